package infer_test

import (
	"testing"

	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/infer/cpu"
)

// BenchmarkPrompt reads 512 tokens.
func BenchmarkPrompt(b *testing.B) {
	n := llama(b, canonical(b, model(b, "smollm2.pt")))
	ids := make([]int32, 512)
	for i := range ids {
		ids[i] = int32(i * 83 % n.Vocab())
	}
	c := n.NewContext(len(ids))
	defer c.Close()
	for b.Loop() {
		c.Truncate(0)
		if err := c.Forward(b.Context(), ids, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(ids)*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkToken reads one token after 64 others.
func BenchmarkToken(b *testing.B) {
	n := llama(b, canonical(b, model(b, "smollm2.pt")))
	c := n.NewContext(65)
	defer c.Close()
	if err := c.Forward(b.Context(), make([]int32, 64), nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c.Truncate(64)
		if err := c.Forward(b.Context(), []int32{7}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWhisperEncode hears 30 seconds with Whisper base, keys and values for
// the decoder included.
func BenchmarkWhisperEncode(b *testing.B) {
	backend, err := cpu.New(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	n, err := infer.NewWhisper(canonical(b, model(b, "whisper-base.pt")), backend)
	if err != nil {
		b.Fatal(err)
	}
	mel := make([]float32, n.Mels()*n.Frames())
	for b.Loop() {
		s, err := n.Encode(b.Context(), mel, nil)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
