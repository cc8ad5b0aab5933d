package pickle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// summary lists what an audit says of the globals: kind, name and use.
func summary(a *Audit) []string {
	var out []string
	for _, g := range a.Globals {
		out = append(out, fmt.Sprintf("%s %s.%s: %s ×%d at %d", g.Kind, g.Module, g.Name, g.Use, g.Count, g.Offset))
	}
	return out
}

func TestAuditSaysHowGlobalsAreUsed(t *testing.T) {
	for _, c := range []struct {
		name, pickle string
		want         []string
	}{
		{"referenced", "\x80\x02cos\nsystem\n.", []string{"dangerous os.system: referenced ×1 at 2"}},
		{"called", "\x80\x02cos\nsystem\n)R.", []string{"dangerous os.system: called ×1 at 2"}},
		{"called by INST", "(ios\nsystem\n.", []string{"dangerous os.system: called ×1 at 1"}},
		{"called by OBJ", "(cos\nsystem\no.", []string{"dangerous os.system: called ×1 at 1"}},
		{"built", "\x80\x02c__main__\nNet\n)\x81.", []string{"harmless __main__.Net: built ×1 at 2"}},
		{"built and given a state", "\x80\x02c__main__\nNet\n)\x81}b.", []string{"harmless __main__.Net: built, state set ×1 at 2"}},
		{"changed", "\x80\x02c__main__\nNet\n}b.", []string{"dangerous __main__.Net: changed ×1 at 2"}},
		{"called through the memo", "\x80\x02cos\nsystem\nq\x000h\x00)R.", []string{"dangerous os.system: called ×1 at 2"}},
		{"counted", "\x80\x02ca\nb\nca\nb\n\x86.", []string{"unknown a.b: referenced ×2 at 2"}},
		{"by two strings", "\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93.", []string{"dangerous os.system: referenced ×1 at 16"}},
		{"by strings from the memo", "\x80\x04\x8c\x06system\x94\x8c\x02os\x940" + "0h\x01h\x00\x93.", []string{"dangerous os.system: referenced ×1 at 22"}},
		{"by no strings", "\x80\x04K\x01K\x02\x93.", []string{"dynamic (computed).(computed): referenced ×1 at 6"}},
		{"by one string", "\x80\x04\x8c\x02osK\x02\x93.", []string{"dynamic os.(computed): referenced ×1 at 8"}},
		{"a result is called", "\x80\x02ca\nb\n)R)R.", []string{"unknown a.b: called ×1 at 2", "dynamic (computed).what a.b returned: called ×1 at 10"}},
		{"a number is called", "\x80\x02K\x01)R.", []string{"dynamic (computed).a value that is no global: called ×1 at 5"}},
		{"an extension", "\x80\x02\x82\x05.", []string{"dynamic copyreg.extension 5: referenced ×1 at 2"}},
		{"a class by persistent id", "\x80\x02(X\x06\x00\x00\x00modulecos\nsystem\ntQ)R.", []string{"dangerous os.system: called ×1 at 14"}},
		{"inside bytes", "\x80\x03ctorch.storage\n_load_from_bytes\nC\x0e\x80\x02cos\nsystem\n.\x85R.",
			[]string{"builder torch.storage._load_from_bytes: called ×1 at 2", "dangerous os.system: referenced ×1 at 38"}},
		{"before the stream breaks", "\x80\x02cos\nsystem\n)R\xff", []string{"dangerous os.system: called ×1 at 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := audit([]byte(c.pickle), Limits{})
			if got := summary(a); !slices.Equal(got, c.want) {
				t.Errorf("globals %q, want %q (%v)", got, c.want, a.Err)
			}
			if broken := strings.HasSuffix(c.pickle, "\xff"); broken != (a.Err != nil) {
				t.Errorf("Err = %v", a.Err)
			}
		})
	}
}

// Each pickle needs one more of something than the limit allows.
func TestAuditKeepsEveryLimit(t *testing.T) {
	for _, c := range []struct {
		name   string
		pickle string
		over   Limits // too little
		under  Limits // enough
	}{
		{"Pickle", "\x80\x02](K\x01e.", Limits{Pickle: 7}, Limits{Pickle: 8}},
		{"Opcodes", "NN0.", Limits{Opcodes: 3}, Limits{Opcodes: 4}},
		{"Marks", "((tt.", Limits{Marks: 1}, Limits{Marks: 2}},
		{"Stack", "NN0.", Limits{Stack: 1}, Limits{Stack: 2}},
		{"Memo", "Nq\x00q\x01.", Limits{Memo: 1}, Limits{Memo: 2}},
		{"Containers", "]]0.", Limits{Containers: 1}, Limits{Containers: 2}},
		{"Text", "\x8c\x03abc.", Limits{Text: 2}, Limits{Text: 3}},
		{"Line", "Vabc\n.", Limits{Line: 3}, Limits{Line: 4}},
		{"Globals", "ca\nb\nca\nc\n\x86.", Limits{Globals: 1}, Limits{Globals: 2}},
		{"Long", "\x8a\x03\x01\x01\x01.", Limits{Long: 2}, Limits{Long: 3}},
		{"Memory", "].", Limits{Memory: listBytes + slotBytes - 1}, Limits{Memory: listBytes + slotBytes}},
		{"Work", "](NNNeq\x00cbuiltins\nlist\nh\x00\x85R.", Limits{Work: 4*slotBytes - 1}, Limits{Work: 4 * slotBytes}},
		{"NestDepth", "cpickle\nloads\nC\x0fcpickle\nloads\nN.\x85R.", Limits{NestDepth: 0}, Limits{NestDepth: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := audit([]byte(c.pickle), c.under); a.Err != nil {
				t.Errorf("with %+v: %v", c.under, a.Err)
			}
			if c.name == "NestDepth" {
				return // zero is the default
			}
			if a := audit([]byte(c.pickle), c.over); !errors.Is(a.Err, tensor.ErrTooLarge) {
				t.Errorf("with %+v: %v, want ErrTooLarge", c.over, a.Err)
			}
		})
	}
}

func TestAuditPointsAtTheInstruction(t *testing.T) {
	for _, c := range []struct {
		name, pickle string
		want         int64
	}{
		{"unknown instruction", "\x80\x02N\xff", 3},
		{"an operand that is cut off", "\x80\x02NJ\x01\x02", 3},
		{"an instruction that fails", "\x80\x02Nh\x05.", 3},
		{"a second line that is missing", "\x80\x02cos\nsystem", 2},
		{"a frame that is not kept", "\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00NJ\x01\x00\x00\x00.", 12},
	} {
		a := audit([]byte(c.pickle), Limits{})
		var at *tensor.Error
		if !errors.As(a.Err, &at) || at.Offset != c.want {
			t.Errorf("%s: %v, want an error at %d", c.name, a.Err, c.want)
		}
	}
}

// Size of a pickle that is refused for what it costs, and of one that is not.
func TestAuditSizeEndsAtStop(t *testing.T) {
	if a := audit([]byte("N.N."), Limits{}); a.Size != 2 {
		t.Errorf("Size = %d, want 2", a.Size)
	}
	if a := audit([]byte("].N."), Limits{Memory: 1}); a.Size != 2 || a.Err == nil {
		t.Errorf("Size = %d, Err = %v; want 2 and an error", a.Size, a.Err)
	}
}

func TestAuditAllocatesPerGlobalNotPerInstruction(t *testing.T) {
	small, large := stateDict(100), stateDict(2000)
	a := testing.AllocsPerRun(5, func() { audit(small, Limits{}) })
	b := testing.AllocsPerRun(5, func() { audit(large, Limits{}) })
	// Stack, memo and their tables grow in steps: a few dozen, not 20 × 100.
	if b > a+40 {
		t.Errorf("2000 tensors take %v allocations, 100 take %v", b, a)
	}
}
