package gguf

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// blocks_be.gguf is blocks_le.gguf through the gguf package's own converter.
func TestBigEndianBlocksEqualTheLittleEndianOnes(t *testing.T) {
	little, err := readBytes(fixture(t, "blocks_le.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	big, err := readBytes(fixture(t, "blocks_be.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if big.Format != "GGUF v3 big-endian" || len(big.Tensors()) != 6 {
		t.Errorf("%s with %d tensors, want GGUF v3 big-endian with 6", big.Format, len(big.Tensors()))
	}
	for i, x := range big.Tensors() {
		got, err := x.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		want, err := little.Tensors()[i].ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: bytes differ from the little-endian file", x.Name)
		}
	}
}

func TestScalesAreSwappedWhereTheBlockHasThem(t *testing.T) {
	tests := []struct {
		dtype tensor.DType
		at    []int // of both bytes of each number
	}{
		{tensor.TQ2_0, []int{64}},
		{tensor.Q1_0, []int{0}},
		{tensor.Q4K, []int{0, 2}},
	}
	for _, tt := range tests {
		l, _ := tt.dtype.Layout()
		block := make([]byte, l.Bytes)
		for i := range block {
			block[i] = byte(i)
		}
		want := bytes.Clone(block)
		for _, at := range tt.at {
			want[at], want[at+1] = want[at+1], want[at]
		}
		r, err := toLittle(bytes.NewReader(block), tt.dtype)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, l.Bytes)
		if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: % x, %v; want % x", tt.dtype, got, err, want)
		}
	}
}

func TestAnyRangeOfSwappedBlocksReadsTheSame(t *testing.T) {
	src := make([]byte, 18*40)
	for i := range src {
		src[i] = byte(i * 7)
	}
	r, err := toLittle(bytes.NewReader(src), tensor.Q4_0)
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, len(src))
	if _, err := r.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		off := rng.IntN(len(src))
		p := make([]byte, rng.IntN(len(src)-off+40))
		n, err := r.ReadAt(p, int64(off))
		want := whole[off:min(off+len(p), len(whole))]
		if !bytes.Equal(p[:n], want) || (n < len(p)) != (err != nil) {
			t.Fatalf("ReadAt(%d bytes, %d) = %d, %v; want the %d bytes of the whole", len(p), off, n, err, len(want))
		}
	}
}

func TestBigEndianBlocksWithoutADefinedFormAreRefusedByName(t *testing.T) {
	_, err := toLittle(bytes.NewReader(nil), tensor.IQ2XS)
	if !errors.Is(err, tensor.ErrUnsupported) || !bytes.Contains([]byte(err.Error()), []byte("iq2_xs")) {
		t.Errorf("%v, want %v that names iq2_xs", err, tensor.ErrUnsupported)
	}
}
