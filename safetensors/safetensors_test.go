package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// file joins a header and data.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestReadsWhatTheOriginalLibraryWrote(t *testing.T) {
	b, err := os.ReadFile("testdata/small.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if !Match(b[:min(len(b), 1024)]) {
		t.Error("Match refuses it")
	}
	m, err := Read(bytes.NewReader(b), int64(len(b)), "small.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"half":   "f16 [2 3] 00000040008000c2004400c5", // 0, 2, -0, -3, 4, -5
		"scalar": "i64 [] 2a00000000000000",
		"empty":  "f32 [0 4] ",
		"flags":  "bool [3] 010001",
		"brain":  "bf16 [1] 803f",
	} {
		x := m.Tensor(name)
		if x == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		data, err := x.ReadAll()
		if got := strings.TrimRight(x.DType.String()+" "+x.Shape.String()+" "+hex(data), "\n"); err != nil || got != want {
			t.Errorf("%s = %s, %v; want %s", name, got, err, want)
		}
	}
	if got := m.Meta.Text("format"); got != "pt" {
		t.Errorf("metadata format = %q; want pt", got)
	}
}

func hex(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		const digits = "0123456789abcdef"
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func TestHostileHeadersAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"empty", nil, tensor.ErrCorrupt},
		{"header length of 2^64-1", append(bytes.Repeat([]byte{0xff}, 8), '{'), tensor.ErrCorrupt},
		{"header longer than the file", file("{}", 0)[:9], tensor.ErrCorrupt},
		{"not JSON", file("hello", 0), tensor.ErrCorrupt},
		{"list", file("[]", 0), tensor.ErrCorrupt},
		{"broken off", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`, 1), tensor.ErrCorrupt},
		{"text after the object", file(`{} x`, 0), tensor.ErrCorrupt},
		{"no offsets", file(`{"a":{"dtype":"U8","shape":[1]}}`, 1), tensor.ErrCorrupt},
		{"unknown type", file(`{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}`, 1), tensor.ErrUnsupported},
		{"too short", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 7), tensor.ErrCorrupt},
		{"size and shape disagree", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4), tensor.ErrCorrupt},
		{"gap", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), tensor.ErrCorrupt},
		{"overlap", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), tensor.ErrCorrupt},
		{"bytes that no tensor covers", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2), tensor.ErrCorrupt},
		{"name twice", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), tensor.ErrCorrupt},
		{"negative dimension", file(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, 1), tensor.ErrCorrupt},
		{"shape overflows", file(`{"a":{"dtype":"U8","shape":[9223372036854775807,3],"data_offsets":[0,1]}}`, 1), tensor.ErrTooLarge},
		{"metadata is not strings", file(`{"__metadata__":{"a":1}}`, 0), tensor.ErrCorrupt},
		{"not UTF-8", file("{\"\xff\":1}", 0), tensor.ErrCorrupt},
	} {
		if _, err := Read(bytes.NewReader(c.file), int64(len(c.file)), "x"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", c.name, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	b, err := os.ReadFile("testdata/small.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(file(`{"__metadata__":{"a":"b"}}`, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(bytes.NewReader(b), int64(len(b)), "x")
		if err != nil {
			return
		}
		var n int64
		for _, x := range m.Tensors() {
			if _, err := x.ReadAll(); err != nil {
				t.Errorf("%s parses but cannot be read: %v", x.Name, err)
			}
			n += x.Size()
		}
		if n > int64(len(b)) {
			t.Errorf("tensors of %d bytes in a file of %d", n, len(b))
		}
	})
}
