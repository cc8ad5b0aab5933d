package pickle

import (
	"bytes"
	"context"
	"testing"

	"github.com/smelt-project/smelt/internal/hostile"
)

// seed adds every small file of the hostile corpus and everything that Python
// wrote.
func seed(f *testing.F) {
	f.Helper()
	for _, c := range hostile.All() {
		if c.Make == nil || c.Heavy {
			continue
		}
		if b := c.Make(); len(b) < 4<<10 {
			f.Add(b)
		}
	}
	for _, p := range readGolden(f).Pickles {
		if len(p.Pickle) < 1<<10 {
			f.Add([]byte(p.Pickle))
		}
	}
}

func FuzzSniff(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Sniff(b)
		if _, ok := scans[c]; !ok && c.Advice() == "" {
			t.Errorf("Sniff = %q, which nothing reads and nothing is said about", c)
		}
	})
}

func FuzzZip(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := openAnyZip(bytes.NewReader(b), int64(len(b)), "f.pt", Limits{Inflated: 1 << 20})
		if err != nil {
			return
		}
		end := int64(0)
		for _, m := range a.members() {
			if m.Offset < 0 || m.Compressed < 0 || m.Offset+m.Compressed > int64(len(b)) {
				t.Errorf("member %+v of a file of %d bytes", m, len(b))
			}
			end = max(end, m.end)
			if got, err := a.readAll(m, 1<<20); err == nil && int64(len(got)) != m.Size {
				t.Errorf("readAll(%q) = %d bytes, want %d", m.Name, len(got), m.Size)
			}
		}
		if end > int64(len(b)) {
			t.Errorf("members end at %d of %d bytes", end, len(b))
		}
	})
}

func FuzzAudit(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		a := audit(b, Limits{})
		if a.Size < 0 || a.Size > int64(len(b)) || a.Err == nil && (a.Size == 0 || b[a.Size-1] != '.') {
			t.Fatalf("Size = %d of %d bytes, Err = %v", a.Size, len(b), a.Err)
		}
		if a.Err != nil {
			return
		}
		if again := audit(b[:a.Size], Limits{}); again.Err != nil || again.Opcodes != a.Opcodes || len(again.Globals) != len(a.Globals) {
			t.Errorf("the pickle alone: %+v, with what follows it: %+v", again, a)
		}
		for at, n := 0, 0; at < int(a.Size); n++ {
			if at = operandEnd(b, at); at > int(a.Size) || n > a.Opcodes {
				t.Fatalf("operandEnd leaves the pickle, or there are more than %d instructions", a.Opcodes)
			}
		}
	})
}

func FuzzScan(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		rep := ScanReader(context.Background(), bytes.NewReader(b), int64(len(b)), "f.pt", ScanOptions{Limits: Limits{Inflated: 1 << 20}})
		if rep.Verdict == VerdictSafe && (len(rep.Errors) > 0 || len(rep.Pickles) == 0 && rep.Format != Zip && rep.Format != Tar && rep.Format != NumPy && scans[rep.Format].archive) {
			t.Errorf("safe, with errors or without a pickle: %+v", rep)
		}
		for _, g := range rep.Globals {
			if rank(g.Kind) < 0 || g.Use == "" || g.Count < 1 {
				t.Errorf("global %+v", g)
			}
			if rep.Verdict == VerdictSafe && rank(g.Kind) > rank(Harmless) {
				t.Errorf("safe, with %+v", g)
			}
		}
	})
}
