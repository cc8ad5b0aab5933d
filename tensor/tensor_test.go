package tensor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestLayoutsAreConsistent(t *testing.T) {
	seen := map[string]DType{}
	for d, l := range layouts {
		if o, ok := seen[l.Name]; ok {
			t.Errorf("%d and %d are both called %s", d, o, l.Name)
		}
		seen[l.Name] = d
		if l.Elems < 1 || l.Bytes < 1 || l.Name != strings.ToLower(l.Name) {
			t.Errorf("%s: %d elements in %d bytes", l.Name, l.Elems, l.Bytes)
		}
		if l.Word > 0 && l.Bytes%l.Word != 0 {
			t.Errorf("%s: word of %d bytes does not divide %d", l.Name, l.Word, l.Bytes)
		}
		if got, err := ParseDType(strings.ToUpper(l.Name)); err != nil || got != d {
			t.Errorf("ParseDType(%q) = %v, %v; want %v", strings.ToUpper(l.Name), got, err, d)
		}
	}
}

func TestBytesOfShapes(t *testing.T) {
	for _, c := range []struct {
		name  string
		dtype DType
		shape Shape
		want  int64
		class error
	}{
		{"scalar", F32, Shape{}, 4, nil},
		{"empty", F32, Shape{3, 0}, 0, nil},
		{"matrix", BF16, Shape{3, 5}, 30, nil},
		{"blocks", Q4K, Shape{2, 512}, 2 * 2 * 144, nil},
		{"packed pairs", QUInt4x2, Shape{3, 4}, 6, nil},
		{"row not whole blocks", Q4K, Shape{256, 128}, 0, ErrUnsupported},
		{"unknown type", DType(4), Shape{1}, 0, ErrUnsupported},
		{"negative", F32, Shape{-1}, 0, ErrCorrupt},
		{"elements overflow", U8, Shape{math.MaxInt64, 2}, 0, ErrTooLarge},
		{"bytes overflow", F64, Shape{math.MaxInt64 / 4}, 0, ErrTooLarge},
	} {
		got, err := c.dtype.Bytes(c.shape)
		if got != c.want || !errors.Is(err, c.class) {
			t.Errorf("%s: Bytes(%v) = %d, %v; want %d, %v", c.name, c.shape, got, err, c.want, c.class)
		}
	}
}

func TestMetaKeepsOrderAndIsImmutable(t *testing.T) {
	a := NewMeta(KV{"x", int64(1)}, KV{"y", "two"})
	b := a.With(KV{"x", 3.5}, KV{"z", uint32(4)})
	if n, ok := a.Int("x"); n != 1 || !ok || a.Len() != 2 {
		t.Errorf("With changed its receiver: x = %d, %d entries", n, a.Len())
	}
	var keys []string
	for _, kv := range b.All() {
		keys = append(keys, kv.Key)
	}
	if got := strings.Join(keys, " "); got != "x y z" {
		t.Errorf("keys = %s; want x y z", got)
	}
	if _, ok := b.Int("x"); ok {
		t.Error("3.5 passes as an integer")
	}
	if f, ok := b.Float("z"); f != 4 || !ok {
		t.Errorf("Float(z) = %v, %v; want 4", f, ok)
	}
	if _, ok := NewMeta(KV{"n", uint64(math.MaxUint64)}).Int("n"); ok {
		t.Error("2^64-1 passes as an int64")
	}
	c := b.Without(func(k string) bool { return k == "y" })
	if _, ok := c.Get("y"); ok || c.Len() != 2 {
		t.Errorf("Without kept y: %v", c.All())
	}
}

func TestModelRefusesDoubleAndEmptyNames(t *testing.T) {
	x := make2D(t, "x", 1, 1)
	for _, ts := range [][]*Tensor{{x, x}, {x.Renamed("")}} {
		if _, err := NewModel("test", Meta{}, ts); !errors.Is(err, ErrCorrupt) {
			t.Errorf("NewModel: %v; want ErrCorrupt", err)
		}
	}
}

func TestErrorNamesThePlace(t *testing.T) {
	err := error(&Error{Op: "gguf: read tensor info", File: "m.gguf", Tensor: "output.weight", Offset: 0x1f20, Err: ErrCorrupt})
	if got, want := err.Error(), `gguf: read tensor info m.gguf: tensor "output.weight" at byte 0x1f20: corrupt`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDigestAndEqualReadEveryByte(t *testing.T) {
	n := 3*chunkBytes/4 + 7
	b := storage(n, 4)
	v, err := New(Info{"x", F32, Shape{n}}, bytes.NewReader(b), Origin{Offset: -1})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Digest(context.Background()); err != nil || got != sha256.Sum256(b) {
		t.Errorf("Digest = %x, %v; want %x", got, err, sha256.Sum256(b))
	}
	other := bytes.Clone(b)
	other[len(other)-1] ^= 1
	w, _ := New(v.Info, bytes.NewReader(other), Origin{Offset: -1})
	if same, err := Equal(context.Background(), v, w); same || err != nil {
		t.Errorf("Equal of tensors that differ in the last bit = %v, %v", same, err)
	}
	u, _ := New(v.Info, bytes.NewReader(b), Origin{Offset: -1})
	if same, err := Equal(context.Background(), v, u); !same || err != nil {
		t.Errorf("Equal of the same bytes = %v, %v", same, err)
	}
	short, _ := New(v.Info, bytes.NewReader(b[:len(b)-1]), Origin{Offset: -1})
	if _, err := short.Digest(context.Background()); err == nil {
		t.Error("a tensor whose data ends early has a digest")
	}
}
