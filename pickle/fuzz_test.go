package pickle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRead reads whole files: no panic, and a tensor that is offered has
// elements or an error.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/torch/2.11/*", "testdata/torch/1.13/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range paths {
			if info, err := os.Stat(p); err != nil || info.IsDir() || filepath.Ext(p) == ".json" || info.Size() > 6<<10 {
				continue
			}
			b, err := os.ReadFile(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) { readAnything(t, b) })
}

// readAnything reads b as a file, and every tensor of it that is not large.
func readAnything(t *testing.T, b []byte) {
	opt := Options{ForceInert: true, TakeUnknown: true, AllowExpand: true, Limits: Limits{Memory: 16 << 20, Work: 64 << 20}}
	m, err := Read(bytes.NewReader(b), int64(len(b)), "file.pt", opt)
	if err != nil {
		return
	}
	for _, x := range m.Tensors() {
		if x.Size() > 1<<20 {
			continue
		}
		if _, err := x.ReadAll(); err != nil && bytes.HasPrefix(b, []byte("PK")) {
			continue // a compressed member is inflated only now
		} else if err != nil {
			t.Errorf("tensor %q was offered and cannot be read: %v", x.Name, err)
		}
	}
}

// FuzzUnpickle puts pickles into an archive whose storages are there: what the
// audit passes, the machine and the walk survive.
func FuzzUnpickle(f *testing.F) {
	for _, value := range []string{
		pyVector("0", 4),
		pyDict(pyStr("a"), pyVector("0", 4), pyStr("b"), pyList(pyInt(1), pyFloat(2), pyStr("c"), "N", "\x88")),
		pyBuild(pyNew("my.Thing"), pyTuple(pyDict(pyStr("_modules"), pyDict(pyStr("0"), pyVector("0", 4))), pyDict())),
		pyQuantized("torch.QInt8Storage", 16, []int64{4, 4}, pyGlobal("torch.per_tensor_affine"), pyFloat(0.5), pyInt(0)),
		pyCall("torch._utils._rebuild_sparse_tensor", pyGlobal("torch.sparse_coo"), pyTuple(indices(1, 2), small(2), pyInts(4))),
		pyArray("<f4", counting(3), "\x88", 3),
		pyCall("torch.storage._load_from_bytes", pyBytes(string(legacyFile(pyVector("0", 1), legacyStorage{"0", 1, counting(1)})))),
		pyCall("collections.OrderedDict", pyList(pyTuple(pyStr("k"), small(2)))),
	} {
		f.Add([]byte(pyPickle(value)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		readAnything(t, zipOf(t, zipPart{"data.pkl", string(b)}, zipPart{"data/0", counting(4)}, zipPart{"data/1", i64s(0, 1, 2, 3, 4, 5)}))
	})
}
