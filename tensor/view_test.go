package tensor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// storage returns n elements of es bytes, all different where es allows it.
func storage(n, es int) []byte {
	b := make([]byte, n*es)
	for i := range n {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], uint64(i)*0x9E3779B97F4A7C15>>8)
		copy(b[i*es:(i+1)*es], w[:])
	}
	return b
}

// gathered is the definition of a strided view.
func gathered(b []byte, es int, shape Shape, strides []int64, offset int64) []byte {
	n, _ := shape.Elems()
	var out []byte
	for i := range n {
		at, rest := offset, i
		for k := len(shape) - 1; k >= 0; k-- {
			at += rest % int64(shape[k]) * strides[k]
			rest /= int64(shape[k])
		}
		out = append(out, b[at*int64(es):(at+1)*int64(es)]...)
	}
	return out
}

func TestStridedEqualsItsDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	types := []DType{U8, F16, F32, F64, C128}
	for trial := range 2000 {
		d := types[trial%len(types)]
		l, _ := d.Layout()
		rank := rng.IntN(5)
		shape, strides := make(Shape, rank), make([]int64, rank)
		order := rng.Perm(rank)
		step := int64(1 + rng.IntN(2))
		for _, k := range order {
			shape[k], strides[k] = rng.IntN(6), step
			if rng.IntN(6) == 0 {
				strides[k] = 0
			}
			step *= int64(max(shape[k], 1) + rng.IntN(2))
		}
		offset := int64(rng.IntN(4))
		last, err := lastElem(shape, strides, offset)
		if err != nil {
			t.Fatal(err)
		}
		b := storage(int(last)+1+rng.IntN(3), l.Bytes)
		v, err := Strided(bytes.NewReader(b), int64(len(b)), Info{"x", d, shape}, strides, offset, Origin{})
		if err != nil {
			t.Fatalf("Strided(%v %v %v %d): %v", d, shape, strides, offset, err)
		}
		want := gathered(b, l.Bytes, shape, strides, offset)
		for range 4 {
			lo := rng.IntN(len(want) + 1)
			hi := lo + rng.IntN(len(want)-lo+1)
			got := make([]byte, hi-lo)
			if n, err := v.Data.ReadAt(got, int64(lo)); n != len(got) || err != nil && err != io.EOF {
				t.Fatalf("%v %v %v %d: ReadAt(%d, %d) = %d, %v", d, shape, strides, offset, hi-lo, lo, n, err)
			}
			if !bytes.Equal(got, want[lo:hi]) {
				t.Fatalf("%v %v %v %d: bytes %d to %d differ from the definition", d, shape, strides, offset, lo, hi)
			}
		}
		if n, err := v.Data.ReadAt(make([]byte, 1), int64(len(want))); n != 0 || err != io.EOF {
			t.Fatalf("%v %v: read at the end = %d, %v; want 0, EOF", shape, strides, n, err)
		}
	}
}

func TestLargeTransposeEqualsItsDefinition(t *testing.T) {
	const rows, cols = 700, 900 // crosses the scratch buffer: 700 × 900 × 4 > 256 KiB
	b := storage(rows*cols, 4)
	v, err := Strided(bytes.NewReader(b), int64(len(b)), Info{"x", F32, Shape{cols, rows}}, []int64{1, cols}, 0, Origin{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, gathered(b, 4, v.Shape, []int64{1, cols}, 0)) {
		t.Error("transpose differs from its definition")
	}
}

func TestStridedRefusesWhatLeavesTheStorage(t *testing.T) {
	for _, c := range []struct {
		name    string
		shape   Shape
		strides []int64
		offset  int64
		class   error
	}{
		{"one past the end", Shape{5}, []int64{1}, 6, ErrCorrupt},
		{"stride past the end", Shape{2, 2}, []int64{9, 1}, 0, ErrCorrupt},
		{"negative stride", Shape{2}, []int64{-1}, 5, ErrUnsupported},
		{"negative offset", Shape{2}, []int64{1}, -1, ErrCorrupt},
		{"negative dimension", Shape{-2}, []int64{1}, 0, ErrCorrupt},
		{"strides missing", Shape{2, 2}, []int64{1}, 0, ErrCorrupt},
		{"product overflows", Shape{1 << 40, 1 << 40}, []int64{1, 1}, 0, ErrTooLarge},
		{"reach overflows", Shape{3}, []int64{math.MaxInt64 / 2}, 2, ErrCorrupt},
		{"offset overflows", Shape{1}, []int64{1}, math.MaxInt64, ErrCorrupt},
		{"empty past the end", Shape{0}, []int64{1}, 11, ErrCorrupt},
		{"empty, offset overflows", Shape{0}, []int64{1}, math.MaxInt64, ErrCorrupt},
	} {
		b := storage(10, 4)
		_, err := Strided(bytes.NewReader(b), int64(len(b)), Info{"x", F32, c.shape}, c.strides, c.offset, Origin{})
		if !errors.Is(err, c.class) {
			t.Errorf("%s: %v; want %v", c.name, err, c.class)
		}
	}
}

func TestContiguousViewIsASectionOfItsStorage(t *testing.T) {
	b := storage(24, 2)
	r := bytes.NewReader(b)
	v, err := Strided(r, int64(len(b)), Info{"x", F16, Shape{2, 1, 3}}, []int64{3, 99, 1}, 4, Origin{Offset: 100})
	if err != nil {
		t.Fatal(err)
	}
	s, ok := v.Data.(*io.SectionReader)
	if !ok {
		t.Fatalf("Data is %T; want a section", v.Data)
	}
	if outer, off, n := s.Outer(); outer != io.ReaderAt(r) || off != 8 || n != 12 || v.Origin.Offset != 108 {
		t.Errorf("section of %v at %d, %d bytes, file offset %d; want 8, 12, 108", outer, off, n, v.Origin.Offset)
	}
}

func make2D(t *testing.T, name string, rows, cols int) *Tensor {
	t.Helper()
	v, err := New(Info{name, F32, Shape{rows, cols}}, bytes.NewReader(storage(rows*cols, 4)), Origin{Offset: -1})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// elems returns the elements of v as their source indices cannot be told apart
// otherwise: the 4-byte words.
func words(t *testing.T, v *Tensor) []uint32 {
	t.Helper()
	b, err := v.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]uint32, len(b)/4)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return out
}

func TestConcatJoinsAlongEachAxis(t *testing.T) {
	a, b := make2D(t, "a", 3, 4), make2D(t, "b", 3, 2)
	wa, wb := words(t, a), words(t, b)
	var want []uint32
	for r := range 3 {
		want = append(append(want, wa[4*r:4*r+4]...), wb[2*r:2*r+2]...)
	}
	v, err := Concat(1, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if got := words(t, v); !v.Shape.Equal(Shape{3, 6}) || !slices.Equal(got, want) {
		t.Errorf("Concat(1) = %v %v; want [3 6] %v", v.Shape, got, want)
	}
	odd := make([]byte, 7) // a read that starts and ends inside elements of both parts
	if _, err := v.Data.ReadAt(odd, 13); err != nil {
		t.Fatal(err)
	}
	if all, _ := v.ReadAll(); !bytes.Equal(odd, all[13:20]) {
		t.Error("an unaligned read differs from the whole")
	}
	c := make2D(t, "c", 2, 4)
	v, err = Concat(0, a, c)
	if err != nil {
		t.Fatal(err)
	}
	if got := words(t, v); !v.Shape.Equal(Shape{5, 4}) || !slices.Equal(got, append(words(t, a), words(t, c)...)) {
		t.Errorf("Concat(0) = %v %v", v.Shape, got)
	}
	if _, err := Concat(0, a, b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Concat of [3 4] and [3 2] along 0: %v; want ErrCorrupt", err)
	}
}

func TestPermuteRowsAndRows(t *testing.T) {
	a := make2D(t, "a", 6, 5)
	order := []int{3, 4, 0, 5, 1, 2}
	v, err := a.PermuteRows(func(i int) int { return order[i] })
	if err != nil {
		t.Fatal(err)
	}
	w := words(t, a)
	var want []uint32
	for _, r := range order {
		want = append(want, w[5*r:5*r+5]...)
	}
	if got := words(t, v); !slices.Equal(got, want) {
		t.Errorf("PermuteRows = %v; want %v", got, want)
	}
	r, err := v.Rows(1, 4)
	if err != nil {
		t.Fatal(err)
	}
	if got := words(t, r); !slices.Equal(got, want[5:20]) {
		t.Errorf("Rows(1, 4) = %v; want %v", got, want[5:20])
	}
	if _, err := v.Rows(4, 7); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Rows(4, 7) of 6: %v; want ErrCorrupt", err)
	}
}

func TestSwappedAndFlippedDoNotDependOnTheRead(t *testing.T) {
	b := storage(16, 4)
	want := slices.Clone(b)
	for i := 0; i < len(want); i += 4 {
		slices.Reverse(want[i : i+4])
		want[i+3] ^= 0x80
	}
	r := Flipped(Swapped(bytes.NewReader(b), 4), []byte{0, 0, 0, 0x80})
	for lo := range len(b) {
		for hi := lo + 1; hi <= len(b); hi++ {
			got := make([]byte, hi-lo)
			if n, err := r.ReadAt(got, int64(lo)); n != len(got) || err != nil && err != io.EOF || !bytes.Equal(got, want[lo:hi]) {
				t.Fatalf("bytes %d to %d: %x (%d, %v); want %x", lo, hi, got, n, err, want[lo:hi])
			}
		}
	}
}

// BenchmarkStridedTranspose reads a transposed matrix in ranges of rows, as a
// conversion does.
func BenchmarkStridedTranspose(b *testing.B) {
	const rows, cols = 4096, 4096
	data := storage(rows*cols, 2)
	v, err := Strided(bytes.NewReader(data), int64(len(data)), Info{"x", F16, Shape{cols, rows}}, []int64{1, cols}, 0, Origin{})
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 2<<20)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if err := v.ReadFull(buf, 4<<20); err != nil {
			b.Fatal(err)
		}
	}
}
