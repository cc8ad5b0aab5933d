//go:build interop

package interop

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/quantize/quantizetest"
	"github.com/smelt-project/smelt/tensor"
)

// ggmlBase is the library with the quantizers of llama.cpp's x86-64 releases.
var ggmlBase = peer{"llama.cpp's libggml-base.so", setup, func() (string, error) {
	return existing(filepath.Join(cacheDir(), "node", "node_modules", "@node-llama-cpp", "linux-x64", "bins", "linux-x64", "libggml-base.so"))
}}

// Rows of 768 are whole blocks of every type.
const quantizedRow, rowsPerGenerator = 768, 12

// latticeTypes round groups to listed points. ggml aborts the process in them
// when sums are not finite.
var latticeTypes = map[tensor.DType]bool{
	tensor.IQ1S: true, tensor.IQ1M: true, tensor.IQ2XXS: true, tensor.IQ2XS: true, tensor.IQ2S: true, tensor.IQ3XXS: true, tensor.IQ3S: true,
}

func TestBlocksOfHardRowsEqualThoseOfLlamaCpp(t *testing.T) {
	library := need(t, ggmlBase)
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip(err)
	}
	n := 0
	for d := range tensor.DType(64) {
		l, ok := d.Layout()
		codec, err := quantize.CodecOf(d)
		if !ok || l.Kind != tensor.Block || err != nil {
			continue
		}
		n++
		t.Run(d.String(), func(t *testing.T) {
			src, names := hardRows(d)
			importance := make([]float32, quantizedRow)
			quantizetest.Importance(rand.New(rand.NewPCG(5, uint64(d))), importance)
			modes := []string{"plain", "importance"}
			if codec.NeedsImportance {
				modes = modes[1:]
			}
			for _, p := range peerBlocks(t, library, d, l, src, importance, modes) {
				weights := importance
				if p.mode == "plain" {
					weights = nil
				}
				got, x := make([]byte, len(p.blocks)), make([]float32, len(src))
				codec.Encode(got, src, weights)
				codec.Decode(x, p.blocks)
				rowBytes := quantizedRow / l.Elems * l.Bytes
				for row, name := range names {
					name = p.mode + ", " + name
					sameBlocks(t, name, l, got[row*rowBytes:][:rowBytes], p.blocks[row*rowBytes:][:rowBytes])
					sameNumbers(t, name, x[row*quantizedRow:][:quantizedRow], p.decoded[row*quantizedRow:][:quantizedRow])
				}
			}
		})
	}
	if n != 25 {
		t.Errorf("%d block types, want 25", n)
	}
}

// hardRows returns rows of every kind that ggml takes for d, and the kind of each.
func hardRows(d tensor.DType) (x []float32, names []string) {
	for _, g := range quantizetest.Generators {
		if g.Payloads || g.Extreme && latticeTypes[d] {
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(g.Name))
		r := rand.New(rand.NewPCG(h.Sum64(), 1))
		for range rowsPerGenerator {
			row := make([]float32, quantizedRow)
			g.Fill(r, row)
			x, names = append(x, row...), append(names, g.Name)
		}
	}
	return x, names
}

// A quantized is what the library made in one mode, and what it decodes that to.
type quantized struct {
	mode    string
	blocks  []byte
	decoded []float32
}

func peerBlocks(t *testing.T, library string, d tensor.DType, l tensor.Layout, src, importance []float32, modes []string) (made []quantized) {
	t.Helper()
	args := []string{filepath.Join("peers", "ggml_quantize.py"), library, d.String()}
	for _, v := range []int{int(d), len(src) / quantizedRow, quantizedRow, l.Elems, l.Bytes} {
		args = append(args, strconv.Itoa(v))
	}
	var in bytes.Buffer
	for _, x := range [][]float32{src, importance} {
		if err := binary.Write(&in, binary.LittleEndian, x); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("python3", append(args, modes...)...)
	cmd.Stdin = &in
	out := output(t, cmd)
	nBlocks := len(src) / l.Elems * l.Bytes
	if len(out) != len(modes)*(nBlocks+4*len(src)) {
		t.Fatalf("%d bytes from the library, want %d", len(out), len(modes)*(nBlocks+4*len(src)))
	}
	for _, mode := range modes {
		q := quantized{mode, out[:nBlocks], make([]float32, len(src))}
		for i := range q.decoded {
			q.decoded[i] = math.Float32frombits(binary.LittleEndian.Uint32(out[nBlocks+4*i:]))
		}
		made, out = append(made, q), out[nBlocks+4*len(src):]
	}
	return made
}

// sameBlocks reports the first block that differs.
func sameBlocks(t *testing.T, name string, l tensor.Layout, got, want []byte) {
	t.Helper()
	for i := 0; i < len(got); i += l.Bytes {
		if g, w := got[i:i+l.Bytes], want[i:i+l.Bytes]; !bytes.Equal(g, w) {
			t.Errorf("%s: block %d = %x, want %x", name, i/l.Bytes, g, w)
			return
		}
	}
}

// sameNumbers reports the first element that differs in its bits, if it is a number.
func sameNumbers(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for i, g := range got {
		if w := want[i]; math.Float32bits(g) != math.Float32bits(w) && (g == g || w == w) {
			t.Errorf("%s: element %d decoded to %x, want %x", name, i, g, w)
			return
		}
	}
}
