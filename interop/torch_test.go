//go:build interop

package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A torchFile is what make_torch_files.py says of a file that PyTorch wrote.
type torchFile struct {
	File    string `json:"file"`
	Torch   string `json:"torch"`
	Tensors map[string]struct {
		DType  string `json:"dtype"`
		Shape  []int  `json:"shape"`
		SHA256 string `json:"sha256"`
	} `json:"tensors"`
	WithoutData []string `json:"without_data"` // tensors that no file has elements of
	MayRefuse   string   `json:"may_refuse"`   // why a reader may decline the file
}

func (f torchFile) list() []tensorInfo {
	var list []tensorInfo
	for name, i := range f.Tensors {
		list = append(list, tensorInfo{Name: name, DType: i.DType, Shape: i.Shape, SHA256: i.SHA256})
	}
	return list
}

var torchVersions = []struct {
	name string
	peer peer
}{
	{"1.13", oldPython},
	{"2.11", python},
}

func TestTensorsOfFilesWrittenByPyTorchCompareBitForBit(t *testing.T) {
	for _, v := range torchVersions {
		t.Run(v.name, func(t *testing.T) {
			dir := torchFiles(t, v.name, need(t, v.peer))
			for _, name := range torchIndex(t, dir) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					compareTorchFile(t, dir, name)
				})
			}
		})
	}
}

func compareTorchFile(t *testing.T, dir, name string) {
	var want torchFile
	decode(t, readFile(t, dir, name+".json"), &want)
	r := try(t, "inspect", filepath.Join(dir, want.File), "--json", "--digest")
	if r.code != 0 && want.MayRefuse != "" {
		if !strings.Contains(r.stderr, want.File) {
			t.Errorf("refused without naming the file: %s", r.stderr)
		}
		t.Logf("refused (%s): %s", want.MayRefuse, lastLine([]byte(r.stderr)))
		return
	}
	if r.code != 0 {
		t.Fatalf("exit %d, want 0\n%s", r.code, tail([]byte(r.stderr)))
	}
	var got inspection
	decode(t, []byte(r.stdout), &got)
	held := slices.DeleteFunc(got.Tensors, func(i tensorInfo) bool { return i.SHA256 == "" && slices.Contains(want.WithoutData, i.Name) })
	sameTensors(t, held, want.list())
}

// torchFiles writes the files once for each version of the generator and returns their folder.
func torchFiles(t *testing.T, version, py string) string {
	t.Helper()
	h := sha256.New()
	for _, source := range []string{"make_torch_files.py", "torch_cases.py", "torch_checkpoints.py", "torch_expected.py", "torch_tensors.py"} {
		h.Write(readFile(t, "peers", source))
	}
	dir := filepath.Join(cacheDir(), "torch-files", version+"-"+hex.EncodeToString(h.Sum(nil))[:12])
	if exists(t, dir) {
		return dir
	}
	stale, err := filepath.Glob(filepath.Join(filepath.Dir(dir), version+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range stale {
		if err := os.RemoveAll(d); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s", lastLine(script(t, py, "make_torch_files.py", dir+".part")))
	if err := os.Rename(dir+".part", dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func torchIndex(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	if err := json.Unmarshal(readFile(t, dir, "index.json"), &names); err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("the generator wrote no file")
	}
	return names
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
