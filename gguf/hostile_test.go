package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

const i8 = 24 // ggml's type id, one byte an element

func TestHostileFilesAreRefused(t *testing.T) {
	kv := func(key string, typ uint32) *builder { return build().head(0, 1).text(key).u32(typ) }
	array := func(typ uint32, n uint64) *builder { return kv("k", arrayID).u32(typ).u64(n) }
	tests := []struct {
		name string
		b    *builder
		want error
		says string
	}{
		{"empty", build(), tensor.ErrCorrupt, "needs 8 bytes, file has 0"},
		{"magic alone", build().raw("GGUF"), tensor.ErrCorrupt, "file has 4"},
		{"other magic", build().raw("GGML").u32(3), tensor.ErrCorrupt, `"GGML"`},
		{"web page", build().raw("<!DOCTYPE html><html>"), tensor.ErrCorrupt, `"<!DO"`},
		{"version 0", build().raw(Magic).u32(0).u64(0).u64(0), tensor.ErrUnsupported, "version 0"},
		{"version 4", build().raw(Magic).u32(4).u64(0).u64(0), tensor.ErrUnsupported, "version 4, smelt reads 1 to 3"},
		{"version 4 big-endian", build().raw(Magic).u32(4 << 24).u64(0).u64(0), tensor.ErrUnsupported, "version 4"},
		{"version of nonsense", build().raw(Magic).u32(1 << 16).u64(0).u64(0), tensor.ErrUnsupported, "version 256"},
		{"2^60 tensors", build().head(1<<60, 0), tensor.ErrCorrupt, "1152921504606846976 tensors"},
		{"-1 tensors", build().head(math.MaxUint64, 0), tensor.ErrCorrupt, "tensors"},
		{"2^60 keys", build().head(0, 1<<60), tensor.ErrCorrupt, "keys"},
		{"one key more than there is", build().head(0, 2).text("a").u32(0).raw("\x01"), tensor.ErrCorrupt, "keys"},
		{"more keys than there are", build().head(0, 2).text("a").u32(8).text(strings.Repeat("x", 40)), tensor.ErrCorrupt, "needs 8 bytes, file has 0"},
		{"key of 2^60 bytes", build().head(0, 1).u64(1 << 60).raw(strings.Repeat("k", 40)), tensor.ErrTooLarge, "key is 1152921504606846976 bytes"},
		{"key past the end", build().head(0, 1).u64(41).raw(strings.Repeat("k", 40)), tensor.ErrCorrupt, "needs 41 bytes, file has 40"},
		{"empty key", kv("", 0).raw("\x01\x00"), tensor.ErrCorrupt, "key 0 of 1 is empty"},
		{"key twice", build().head(0, 2).text("same").u32(0).raw("\x01").text("same").u32(0).raw("\x02"), tensor.ErrCorrupt, `"same" occurs twice, first at byte 0x18`},
		{"value type 13", kv("k", 13).u64(0), tensor.ErrCorrupt, "value type 13"},
		{"value type -1", kv("k", math.MaxUint32).u64(0), tensor.ErrCorrupt, "value type 4294967295"},
		{"bool 2", kv("k", 7).raw("\x02"), tensor.ErrCorrupt, "bool is 2"},
		{"bool array with 255", array(7, 2).raw("\x01\xff"), tensor.ErrCorrupt, "bool is 255"},
		{"string of 2^60", kv("k", 8).u64(1 << 60).raw("abc"), tensor.ErrTooLarge, "string is 1152921504606846976"},
		{"string past the end", kv("k", 8).u64(4).raw("abc"), tensor.ErrCorrupt, "needs 4 bytes, file has 3"},
		{"value past the end", kv("k", 10).raw("abc"), tensor.ErrCorrupt, "needs 8 bytes, file has 3"},
		{"array of 2^60", array(6, 1<<60).u64(0), tensor.ErrCorrupt, "elements"},
		{"array whose bytes overflow", array(10, 1<<61+1).u64(0), tensor.ErrCorrupt, "elements"},
		{"array one longer than the file", array(4, 3).u64(0), tensor.ErrCorrupt, "claims 3 elements of at least 4 bytes each, file has 8"},
		{"strings of 2^40", array(8, 1<<40).u64(0), tensor.ErrCorrupt, "elements"},
		{"array of arrays", array(9, 1).u32(0).u64(0), tensor.ErrUnsupported, "array of arrays"},
		{"alignment of 0", kv(alignmentKey, 4).u32(0), tensor.ErrCorrupt, "power of two"},
		{"alignment of 3", kv(alignmentKey, 4).u32(3), tensor.ErrCorrupt, "power of two"},
		{"alignment of 2^31", kv(alignmentKey, 4).u32(1 << 31), tensor.ErrTooLarge, "limit"},
		{"alignment as u64", kv(alignmentKey, 10).u64(32), tensor.ErrCorrupt, "uint64, the format wants uint32"},
		{"alignment as string", kv(alignmentKey, 8).text("32"), tensor.ErrCorrupt, "string"},
		{"tensor name of 64 bytes", build().head(1, 0).row(strings.Repeat("n", 64), i8, 0, 1).data(1), tensor.ErrTooLarge, "tensor name is 64 bytes long, the limit is 63"},
		{"tensor without a name", build().head(1, 0).row("", i8, 0, 1).data(1), tensor.ErrCorrupt, "no name"},
		{"tensor twice", build().head(2, 0).row("x", i8, 0, 1).row("x", i8, 32, 1).data(33), tensor.ErrCorrupt, "occurs twice"},
		{"five dimensions", build().head(1, 0).row("x", i8, 0, 1, 1, 1, 1, 1).data(1), tensor.ErrUnsupported, "5 dimensions"},
		{"2^32-1 dimensions", build().head(1, 0).text("x").u32(math.MaxUint32).data(64), tensor.ErrUnsupported, "4294967295 dimensions"},
		{"negative dimension", build().head(1, 0).row("x", i8, 0, math.MaxUint64).data(1), tensor.ErrCorrupt, "dimension of 18446744073709551615"},
		{"elements overflow", build().head(1, 0).row("x", i8, 0, 1<<32, 1<<32).data(1), tensor.ErrTooLarge, "overflows"},
		{"elements wrap to one", build().head(1, 0).row("x", i8, 0, 1<<62, 4, 1).data(1), tensor.ErrTooLarge, "overflows"},
		{"bytes overflow", build().head(1, 0).row("x", 28, 0, 1<<62).data(1), tensor.ErrTooLarge, "overflows"},
		{"row of half a block", build().head(1, 0).row("x", 2, 0, 16, 2).data(18), tensor.ErrUnsupported, "multiple of q4_0's block of 32"},
		{"removed type", build().head(1, 0).row("x", 4, 0, 32).data(32), tensor.ErrUnsupported, "type 4 (Q4_2) was removed"},
		{"type of the future", build().head(1, 0).row("x", 43, 0, 32).data(32), tensor.ErrUnsupported, "type id 43 is unknown"},
		{"type that is only smelt's own", build().head(1, 0).row("x", uint32(tensor.Bool), 0, 32).data(32), tensor.ErrUnsupported, "bool does not exist in GGUF"},
		{"offset past the end", build().head(1, 0).row("x", i8, 1<<20, 1).data(1), tensor.ErrCorrupt, "incomplete"},
		{"offset of 2^63", build().head(1, 0).row("x", i8, 1<<63, 1).data(1), tensor.ErrCorrupt, "offset 9223372036854775808"},
		{"offset that overflows with the start", build().head(1, 0).row("x", i8, math.MaxInt64-31, 1).data(1), tensor.ErrCorrupt, "offset 9223372036854775776"},
		{"offset between alignments", build().head(1, 0).row("x", i8, 16, 1).data(32), tensor.ErrCorrupt, "not a multiple of the alignment 32"},
		{"data one byte short", build().head(1, 0).row("x", i8, 0, 64).data(63), tensor.ErrCorrupt, "64 bytes of data from byte 64, file ends at 127"},
		{"data in the same place", build().head(2, 0).row("x", i8, 0, 1).row("y", i8, 0, 1).data(64), tensor.ErrCorrupt, `inside tensor "x"`},
		{"data that overlaps", build().head(2, 0).row("x", i8, 0, 33).row("y", i8, 32, 32).data(64), tensor.ErrCorrupt, `inside tensor "x"`},
		{"table cut short", build().head(2, 0).row("x", i8, 0, 1).data(0), tensor.ErrCorrupt, "tensors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := readBytes(tt.b.b)
			if err == nil {
				t.Fatalf("accepted: %v %v", m.Meta.All(), m.Tensors())
			}
			var te *tensor.Error
			if !errors.Is(err, tt.want) || !errors.As(err, &te) || te.File != "m.gguf" || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v\nwant a *tensor.Error of m.gguf, %v, that says %q", err, tt.want, tt.says)
			}
		})
	}
}

func TestErrorsNameTensorAndOffset(t *testing.T) {
	_, err := readBytes(build().head(1, 0).row("output.weight", 4, 0, 32).data(32).b)
	// 24 bytes of header, 8+13 of name, 4 of rank, 8 of dimension
	want := `gguf: read tensor table m.gguf: tensor "output.weight" at byte 0x39: type 4 (Q4_2) was removed from ggml`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v\nwant %s…", err, want)
	}
}

// The reader of a file cut anywhere fails, except inside padding after the
// last tensor, and never panics.
func TestFileCutAnywhereIsRefused(t *testing.T) {
	for _, name := range []string{"keys_le.gguf", "keys_be.gguf", "v1.gguf", "v2.gguf"} {
		whole := fixture(t, name)
		m, err := readBytes(whole)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(bytes.NewReader(whole), int64(len(whole)), "")
		if err != nil {
			t.Fatal(err)
		}
		last := h.Tensors[len(h.Tensors)-1]
		end := last.Offset + m.Tensor(last.Name).Size()
		for n := range end {
			if _, err := readBytes(whole[:n]); err == nil {
				t.Fatalf("%s: accepted when cut to %d of %d bytes", name, n, len(whole))
			}
		}
		if _, err := readBytes(whole[:end]); err != nil {
			t.Errorf("%s without padding at its end: %v", name, err)
		}
	}
}

// A flipped bit gives an error or a model that can be read to its end.
func TestFlippedBitsDoNotPanic(t *testing.T) {
	whole := fixture(t, "keys_be.gguf")
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			m, err := readBytes(b)
			if err != nil {
				continue
			}
			for _, x := range m.Tensors() {
				if _, err := x.ReadAll(); err != nil {
					t.Errorf("bit %d of byte 0x%x: accepted, then %v", bit, i, err)
				}
			}
		}
	}
}

// lyingReader claims more bytes than it has.
type lyingReader struct{ *bytes.Reader }

func TestFileThatShrinksIsAnError(t *testing.T) {
	b := vocabulary(t, 20000)
	_, err := Read(lyingReader{bytes.NewReader(b[:len(b)/2])}, int64(len(b)), "m.gguf")
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// A sparse file of a terabyte backs every claim with room; memory must follow
// what is read, not what is claimed.
func TestClaimsAloneTakeNoMemory(t *testing.T) {
	const size = 1 << 40
	tests := []struct {
		name string
		head *builder
	}{
		{"tensors", build().head(1<<30, 0)},
		{"keys", build().head(0, 1<<30)},
		{"array", build().head(0, 1).text("k").u32(arrayID).u32(7).u64(1 << 30).raw("\x02")},
	}
	for _, tt := range tests {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Read(sparse{tt.head.b}, size, "m.gguf")
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
			t.Errorf("%s: %d bytes allocated for a header of %d", tt.name, got, len(tt.head.b))
		}
	}
}

// A sparse file starts with head and is zero from there on.
type sparse struct{ head []byte }

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	return len(p), nil
}

func TestBigEndianCountsAreBigEndian(t *testing.T) {
	w := &builder{order: binary.BigEndian}
	b := w.head(1, 1).text("k").u32(arrayID).u32(2).u64(2).raw("\x01\x02\x03\x04").row("x", i8, 0, 3, 2).data(6).b
	m, err := readBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := m.Meta.Get("k")
	if got, ok := v.([]uint16); !ok || len(got) != 2 || got[0] != 0x0102 || got[1] != 0x0304 || !m.Tensor("x").Shape.Equal(tensor.Shape{2, 3}) {
		t.Errorf("k is %v, x is %v; want [258 772], [2 3]", v, m.Tensor("x").Shape)
	}
}
