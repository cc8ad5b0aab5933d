package mutation

import (
	"path/filepath"
	"testing"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
	"github.com/smelt-project/smelt/verify"
)

func backends(t *testing.T) []infer.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return []infer.Backend{b}
}

func subject(t *testing.T, opt convert.Options) *Subject {
	t.Helper()
	src, err := convert.Open(filepath.Join("..", "..", "testdata", "stories260K", "stories260K.pt"), convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := Convert(t.Context(), src, t.TempDir(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// located is the least share of faults that have to be named.
const located = 0.95

func TestEveryFaultIsDetectedAndMostAreNamed(t *testing.T) {
	opt := verify.Options{Backends: backends(t)}
	for _, typ := range []string{"f32", "f16", "Q8_0"} {
		t.Run(typ, func(t *testing.T) {
			s := subject(t, convert.Options{To: "gguf", Type: typ})
			var sum Summary
			for _, m := range All() {
				o, ok, err := Run(t.Context(), s, m, opt)
				if err != nil {
					t.Fatalf("%s: %s: %v", m.Kind, m.Name, err)
				}
				if !ok {
					continue
				}
				sum.Add(o)
				switch {
				case !o.Detected:
					t.Errorf("%s: %s: not detected", m.Kind, m.Name)
				case !o.Located:
					t.Logf("%s: %s: found at %s%s%s as %q, not where and as what it is", m.Kind, m.Name, o.First.Tensor, o.First.Key, o.First.Layer, o.First.Cause)
				}
			}
			if share := float64(sum.Located) / float64(sum.Planted); share < located {
				t.Errorf("%d of %d faults are named, want %.0f %%", sum.Located, sum.Planted, 100*located)
			}
			t.Logf("%+v", sum)
		})
	}
}

func TestCorrectConversionsAreVerified(t *testing.T) {
	opt := verify.Options{Backends: backends(t)}
	importance, err := WriteImportance(subject(t, convert.Options{To: "gguf", Type: "f16"}), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range Types(importance) {
		t.Run(typ.Name, func(t *testing.T) {
			report, err := verify.Run(t.Context(), subject(t, typ.Options).Pair, opt)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Failures() {
				t.Errorf("%+v", f)
			}
		})
	}
}
