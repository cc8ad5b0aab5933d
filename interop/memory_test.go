//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/tensor"
)

// A model of 3.2 GB whose tensors are a hole in its file: zeros take no room on
// the disk, and as many bytes of memory as other numbers.
func TestMemoryOfQuantizingIsBounded(t *testing.T) {
	const most = 300e6
	source := hollowModel(t)
	out := filepath.Join(t.TempDir(), "out.gguf")
	cmd := exec.Command(need(t, smeltBinary), "quantize", source, out, "Q4_K_M", "--workers", "2", "--quiet")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peak := peakPrivate(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f MB of private memory", float64(peak)/1e6)
	if peak == 0 || peak >= most {
		t.Errorf("%d bytes of private memory, want some and less than %.0f", peak, most)
	}
}

// hollowModel writes the header of a llama model in f16 and leaves out the rest.
func hollowModel(t *testing.T) string {
	t.Helper()
	const layers, width, forward, vocabulary = 8, 4096, 11008, 1024
	meta := tensor.NewMeta(
		tensor.KV{Key: "general.architecture", Value: "llama"},
		tensor.KV{Key: "llama.block_count", Value: uint32(layers)},
		tensor.KV{Key: "llama.context_length", Value: uint32(2048)},
		tensor.KV{Key: "llama.embedding_length", Value: uint32(width)},
		tensor.KV{Key: "llama.feed_forward_length", Value: uint32(forward)},
		tensor.KV{Key: "llama.attention.head_count", Value: uint32(32)},
		tensor.KV{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		tensor.KV{Key: "llama.vocab_size", Value: uint32(vocabulary)},
		tensor.KV{Key: "tokenizer.ggml.model", Value: "none"},
	)
	matrix := func(name string, rows, columns int) tensor.Info {
		return tensor.Info{Name: name + ".weight", DType: tensor.F16, Shape: tensor.Shape{rows, columns}}
	}
	infos := []tensor.Info{matrix("token_embd", vocabulary, width), matrix("output", vocabulary, width), {Name: "output_norm.weight", DType: tensor.F32, Shape: tensor.Shape{width}}}
	for i := range layers {
		blk := fmt.Sprintf("blk.%d.", i)
		for _, name := range []string{"attn_norm", "ffn_norm"} {
			infos = append(infos, tensor.Info{Name: blk + name + ".weight", DType: tensor.F32, Shape: tensor.Shape{width}})
		}
		for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_output"} {
			infos = append(infos, matrix(blk+name, width, width))
		}
		infos = append(infos, matrix(blk+"ffn_gate", forward, width), matrix(blk+"ffn_up", forward, width), matrix(blk+"ffn_down", width, forward))
	}
	place, err := gguf.Place(meta, infos)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hollow.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(place.Size); err != nil {
		t.Fatal(err)
	}
	for _, piece := range place.Pieces {
		if _, err := f.WriteAt(piece.Bytes, piece.Off); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// peakPrivate looks at the private memory of a process, RssAnon in bytes, until
// it has ended.
func peakPrivate(pid int) (peak int64) {
	for ; ; time.Sleep(time.Millisecond) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return peak
		}
		_, after, ok := strings.Cut(string(status), "RssAnon:")
		if !ok { // it has ended, and waits to be asked how
			return peak
		}
		kilobytes, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
		if err != nil {
			return peak
		}
		peak = max(peak, kilobytes<<10)
	}
}
