package pickle

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestFactsOfTheArchiveAreMetadata(t *testing.T) {
	b := zipOf(t, zipPart{"data.pkl", pyPickle(pyVector("0", 2))}, zipPart{".format_version", "1"}, zipPart{".storage_alignment", "64"}, zipPart{"byteorder", "little"},
		zipPart{"data/0", f32s(1, 2)}, zipPart{"version", "3\n"}, zipPart{".data/serialization_id", "0123456789"})
	m := mustRead(t, b, Options{})
	for key, want := range map[string]any{"container": "zip", "root": "m", "byteorder": "little", "version": int64(3), "format_version": int64(1), "alignment": int64(64), "serialization_id": "0123456789", "protocol": int64(2)} {
		if got, _ := m.Meta.Get("pytorch." + key); got != want {
			t.Errorf("pytorch.%s = %#v, want %#v", key, got, want)
		}
	}
	if m.Format != "PyTorch zip" {
		t.Errorf("format %q", m.Format)
	}
}

func TestTorchScriptConstantsHaveAFolderOfTheirOwn(t *testing.T) {
	b := zipOf(t, zipPart{"data.pkl", pyPickle(pyBuild(pyNew("__torch__.Net"), pyDict(pyStr("w"), pyVector("0", 2))))}, zipPart{"data/0", f32s(1, 2)},
		zipPart{"constants.pkl", pyPickle(pyTuple(pyVector("0", 1)))}, zipPart{"constants/0", f32s(7)}, zipPart{"version", "3\n"})
	m := mustRead(t, b, Options{})
	wantNames(t, m, "w", "constants.0")
	wantTensor(t, m, "w", tensor.F32, tensor.Shape{2}, f32s(1, 2))
	wantTensor(t, m, "constants.0", tensor.F32, tensor.Shape{1}, f32s(7))
	if v, _ := m.Meta.Get("pytorch.torchscript"); m.Format != "PyTorch zip (TorchScript)" || v != true {
		t.Errorf("format %q, pytorch.torchscript = %v", m.Format, v)
	}
}

func TestArchiveThatIsNoCheckpointIsRefused(t *testing.T) {
	data := zipPart{"data.pkl", pyPickle(pyVector("0", 2))}
	storage := zipPart{"data/0", f32s(1, 2)}
	for _, c := range []struct {
		name  string
		parts []zipPart
		class error
		says  string
	}{
		{"no data.pkl", []zipPart{storage}, tensor.ErrNotFound, "no m/data.pkl among 1 members"},
		{"unknown byte order", []zipPart{data, {"byteorder", "middle"}, storage}, tensor.ErrUnsupported, `"middle", want little or big`},
		{"long byte order", []zipPart{data, {"byteorder", strings.Repeat(" ", 2000)}, storage}, tensor.ErrCorrupt, "2000 bytes, want at most"},
		{"bytes behind the pickle", []zipPart{{data.name, data.data + "x"}, storage}, tensor.ErrCorrupt, "1 bytes follow the end"},
		{"broken constants", []zipPart{data, {"constants.pkl", "\x80\x02"}, storage}, tensor.ErrCorrupt, `member "m/constants.pkl"`},
		{"dangerous constants", []zipPart{data, {"constants.pkl", pyPickle(pyCall("os.system", pyStr("true")))}, storage}, ErrDangerous, "os.system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readBytes(zipOf(t, c.parts...), Options{})
			wantError(t, err, c.class, c.says)
		})
	}
}

func TestCompressedStorageIsInflatedWhenItIsRead(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, 9) })
	data := strings.Repeat(f32s(1, 2, 3, 4), 1000)
	for _, p := range []zipPart{{"data.pkl", pyPickle(pyVector("0", 4000))}, {"data/0", data}} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "m/" + p.name, Method: zip.Deflate})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(p.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	m := mustRead(t, b.Bytes(), Options{})
	wantTensor(t, m, "tensor", tensor.F32, tensor.Shape{4000}, data)
	wantNote(t, m, "1 storages are compressed")
	if o := m.Tensor("tensor").Origin.Offset; o != -1 {
		t.Errorf("offset %d of compressed bytes, want -1", o)
	}
}
