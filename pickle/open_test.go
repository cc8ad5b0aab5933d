package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestContainersAreRecognisedByContent(t *testing.T) {
	value := pyDict(pyStr("a"), pyVector("0", 3))
	for _, c := range []struct {
		format string
		file   []byte
	}{
		{"PyTorch zip", torchZip(t, value, zipPart{"0", counting(3)})},
		{"PyTorch legacy", legacyFile(value, legacyStorage{"0", 3, counting(3)})},
		{"PyTorch legacy", bytes.Replace(legacyFile(value, legacyStorage{"0", 3, counting(3)}), []byte("\x80\x02\x8a\x0a"), []byte("\x80\x02\x8b\x0a\x00\x00\x00"), 1)},
		{"PyTorch tar", ordinaryTar().bytes(t)},
		{"pickle", []byte(pyPickle(pyArray("<f4", counting(3), "\x89", 3)))},
	} {
		m, err := readBytes(c.file, Options{Strict: true})
		if err != nil || m.Format != c.format || len(m.Tensors()) == 0 {
			t.Errorf("Read = %v, %v; want %s with tensors", m, err, c.format)
		}
	}
}

func TestFilesThatAreSomethingElseSayWhat(t *testing.T) {
	for want, file := range map[string]string{
		"HTML page":         "<!DOCTYPE html><html>",
		"Git LFS pointer":   "version https://git-lfs.github.com/spec/v1\noid sha256:00",
		"the file is empty": "",
		"GGUF":              "GGUF\x03\x00\x00\x00",
		"gzip":              "\x1f\x8b\x08\x00",
	} {
		_, err := readBytes([]byte(file), Options{})
		wantError(t, err, tensor.ErrUnsupported, want)
	}
}

func TestFileInsideAPickleIsRead(t *testing.T) {
	inner := string(legacyFile(pyVector("0", 3), legacyStorage{"0", 3, counting(3)}))
	m := mustRead(t, []byte(pyPickle(pyDict(pyStr("a"), pyCall("torch.storage._load_from_bytes", pyBytes(inner)), pyStr("b"), pyCall("torch.storage._load_from_bytes", pyBytes(inner))))), Options{Strict: true})
	wantTensor(t, m, "a", tensor.F32, tensor.Shape{3}, counting(3))
	wantTensor(t, m, "b", tensor.F32, tensor.Shape{3}, counting(3))
	a, b := m.Tensor("a").Origin, m.Tensor("b").Origin
	if a.Storage == b.Storage || a.Offset != -1 || b.Note != "" {
		t.Errorf("origins %+v and %+v, want two storages in no range of the file", a, b)
	}
}

func TestFilesInsidePicklesAreBounded(t *testing.T) {
	nest := func(b string) string { return pyPickle(pyCall("torch.storage._load_from_bytes", pyBytes(b))) }
	file := string(torchZip(t, pyVector("0", 3), zipPart{"0", counting(3)}))
	mustRead(t, []byte(nest(nest(file))), Options{})
	_, err := readBytes([]byte(nest(nest(nest(file)))), Options{})
	wantError(t, err, tensor.ErrTooLarge, "deep")

	many := pyBytes(file) + "q\x010" + pyGlobal("torch.storage._load_from_bytes") + "q\x020](" + strings.Repeat("h\x02h\x01\x85R", 100_000) + "e"
	_, err = readBytes([]byte(pyPickle(many)), Options{})
	wantError(t, err, tensor.ErrTooLarge)
}

func TestDangerInsideAFileInsideAPickleIsFound(t *testing.T) {
	for name, inner := range map[string]string{
		"pickle": pyPickle(pyCall("os.system", pyStr("true"))),
		"zip":    string(torchZip(t, pyCall("os.system", pyStr("true")))),
		"legacy": string(legacyFile(pyCall("os.system", pyStr("true")))),
	} {
		_, err := readBytes([]byte(pyPickle(pyCall("torch.storage._load_from_bytes", pyBytes(inner)))), Options{})
		if wantError(t, err, ErrDangerous, "os.system"); t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestMetadataAndTensorsDoNotDependOnTheRun(t *testing.T) {
	for _, path := range []string{"testdata/torch/2.11/containers.pt", "testdata/torch/2.11/detector_checkpoint.pt", "testdata/torch/2.11/training.pt", "testdata/torch/2.11/distributed_2_ranks"} {
		first := rendered(t, path)
		for range 5 {
			if again := rendered(t, path); again != first {
				t.Fatalf("%s reads as\n%s\nand as\n%s", path, first, again)
			}
		}
	}
}

func rendered(t *testing.T, path string) string {
	t.Helper()
	m, err := readPath(t, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintln(m.Format, m.Meta.All(), m.Notes)
	for _, x := range m.Tensors() {
		s += fmt.Sprintln(x.Info, x.Origin)
	}
	return s
}

// broken fails every read past a place.
type broken struct {
	io.ReaderAt
	from int64
}

var errDisk = errors.New("disk failure")

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, errDisk
	}
	return b.ReaderAt.ReadAt(p, off)
}

func TestReadErrorsAreReportedNotSwallowed(t *testing.T) {
	value := pyDict(pyStr("a"), pyVector("0", 3))
	for name, file := range map[string][]byte{
		"zip":    torchZip(t, value, zipPart{"0", counting(3)}),
		"legacy": legacyFile(value, legacyStorage{"0", 3, counting(3)}),
		"tar":    ordinaryTar().bytes(t),
		"pickle": []byte(pyPickle(pyArray("<f4", counting(3), "\x89", 3))),
	} {
		for from := int64(0); from < int64(len(file)); from += 7 {
			m, err := Read(broken{bytes.NewReader(file), from}, int64(len(file)), "file.pt", Options{})
			if err == nil {
				_, err = m.Tensors()[0].ReadAll()
			}
			if err != nil && (!errors.Is(err, errDisk) || !strings.Contains(err.Error(), "file.pt")) {
				t.Fatalf("%s broken at %d: %v", name, from, err)
			}
			if err == nil && name == "zip" && from < 40 {
				t.Errorf("%s broken at %d is read", name, from)
			}
		}
	}
}

func TestFileThatShrankIsAnError(t *testing.T) {
	b, err := os.ReadFile("testdata/torch/2.11/state_dict.pt")
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(b); n += 11 {
		if m, err := Read(bytes.NewReader(b[:n]), int64(len(b)), "file.pt", Options{}); err == nil {
			t.Errorf("%d of %d bytes are read as %v", n, len(b), namesOf(m))
		}
	}
}
