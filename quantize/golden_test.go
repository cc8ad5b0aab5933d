package quantize

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// blockTypes are the types that store blocks, in the order of their ids.
func blockTypes() (types []tensor.DType) {
	for d := range tensor.DType(64) {
		if l, ok := d.Layout(); ok && l.Kind == tensor.Block && codecs[d].Decode != nil {
			types = append(types, d)
		}
	}
	return types
}

// The input is 16 rows of 1,024; the bytes are those of the libraries that
// llama.cpp releases. testdata/golden/README.md says how they were made.
const goldenRow = 1024

func readGolden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenFloats(t *testing.T, name string) []float32 {
	t.Helper()
	b := readGolden(t, name)
	x := make([]float32, len(b)/4)
	decodeF32(x, b)
	return x
}

func TestBytesEqualThoseOfGGML(t *testing.T) {
	src, importance := goldenFloats(t, "input.f32"), goldenFloats(t, "imatrix.f32")
	if len(src) != 16*goldenRow || len(importance) != goldenRow {
		t.Fatalf("the input is %d elements, the importance %d; want %d, %d", len(src), len(importance), 16*goldenRow, goldenRow)
	}
	var digests map[string]string
	if err := json.Unmarshal(readGolden(t, "dequantized_sha256.json"), &digests); err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		if p := &paths[i]; p.available {
			t.Run(p.name, func(t *testing.T) { testGolden(t, p, src, importance, digests) })
		} else {
			t.Logf("this machine has no %s", p.name)
		}
	}
}

func testGolden(t *testing.T, p *vectorPath, src, importance []float32, digests map[string]string) {
	for _, d := range blockTypes() {
		l, _ := d.Layout()
		codec, _ := p.codec(d)
		for _, c := range []struct {
			name, suffix string
			importance   []float32
		}{{"plain", ".bin", nil}, {"importance", ".imatrix.bin", importance}} {
			if c.importance == nil && codecs[d].NeedsImportance {
				continue // llama.cpp makes no such file
			}
			t.Run(d.String()+" "+c.name, func(t *testing.T) {
				file := strings.ToUpper(l.Name) + c.suffix
				want := readGolden(t, file)
				got := bytes.Repeat([]byte{0xa5}, len(src)/l.Elems*l.Bytes)
				lost, wantLost := codec.Encode(got, src, c.importance), 0
				for _, v := range src {
					if d == tensor.NVFP4 && abs(v) > 6*448 {
						wantLost++
					}
				}
				if lost != wantLost {
					t.Errorf("%d values did not fit; want %d", lost, wantLost)
				}
				sameBlocks(t, got, want, l.Bytes)
				x, b := make([]float32, len(src)), make([]byte, 4*len(src))
				codec.Decode(x, want)
				encodeF32(b, x, nil)
				digest := sha256.Sum256(b)
				if hex.EncodeToString(digest[:]) != digests[file] {
					t.Errorf("decoded to %x; want %s", digest, digests[file])
				}
			})
		}
	}
}

func sameBlocks(t *testing.T, got, want []byte, size int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d bytes; want %d", len(got), len(want))
	}
	first, n := -1, 0
	for i := 0; i < len(got); i += size {
		if !bytes.Equal(got[i:i+size], want[i:i+size]) {
			n++
			if first < 0 {
				first = i
			}
		}
	}
	if n > 0 {
		t.Errorf("%d of %d blocks differ, first block %d:\n got %x\nwant %x", n, len(got)/size, first/size, got[first:first+size], want[first:first+size])
	}
}
