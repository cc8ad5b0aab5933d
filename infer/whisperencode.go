package infer

import (
	"context"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// A Sound is 30 s of sound as the decoder of a Whisper attends to it: keys and
// values of what the encoder made of it.
type Sound struct {
	model        *Whisper
	keys, values []Buffer // a layer of the decoder each, [audio context, text width]
}

// Close frees the memory of the sound.
func (s *Sound) Close() {
	for i := range s.keys {
		s.model.backend.Free(s.keys[i])
		s.model.backend.Free(s.values[i])
	}
}

// Encode hears mel, a log-mel spectrogram [Mels, Frames]. see may be nil. Close
// frees the result.
func (n *Whisper) Encode(ctx context.Context, mel []float32, see trace.Func) (*Sound, error) {
	if want := n.mels * n.Frames(); len(mel) != want {
		return nil, fmt.Errorf("infer: a spectrogram of %d elements, want %d of [%d %d]: %w", len(mel), want, n.mels, n.Frames(), tensor.ErrCorrupt)
	}
	r := newWhisperRows(n.audio.context, &n.audio, shown{backend: n.backend, see: see, part: trace.Encoder, layer: -1})
	defer r.free()
	n.convolve(r, mel)
	for i := range n.audio.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.layer = i
		n.encode(r, &n.audio.layers[i])
		if r.err != nil {
			return nil, r.err
		}
	}
	r.layer = -1
	r.normalize(trace.FinalNorm, n.audio.norm)
	return n.sound(r)
}

// convolve makes the stream from a spectrogram.
func (n *Whisper) convolve(r *whisperRows, mel []float32) {
	b, frames, width := n.backend, n.Frames(), n.audio.width
	x := b.Alloc(len(mel))
	defer b.Free(x)
	b.Write(x, 0, transposed(mel, frames))
	first := b.Alloc(frames * width)
	defer b.Free(first)
	b.Conv1D(first, n.conv1.w, n.conv1.b, x, frames, 1)
	b.GELU(first, first, frames*width)
	r.show(trace.Conv1, first, frames, width)
	b.Conv1D(r.stream, n.conv2.w, n.conv2.b, first, frames, whisperFrames)
	b.GELU(r.stream, r.stream, r.n*width)
	r.showRows(trace.Conv2, r.stream)
	b.AddRows(r.stream, n.audio.positions, 0, r.n)
	r.showRows(trace.Embedding, r.stream)
}

// transposed returns x [len(x)/width, width] as [width, len(x)/width].
func transposed(x []float32, width int) []float32 {
	y, rows := make([]float32, len(x)), len(x)/width
	for i, v := range x {
		y[i%width*rows+i/width] = v
	}
	return y
}

// encode is one layer of the encoder.
func (n *Whisper) encode(r *whisperRows, l *whisperLayer) {
	r.attend(&l.attn, selfOps, func() {
		r.keysAndValues(&l.attn)
		n.backend.Attend(r.weighed, r.q, r.k, r.v, n.audio.attention(r.n, r.n))
	})
	r.feedForward(l)
}

// attention is that of queries to keys, which all see each other.
func (s *whisperStack) attention(queries, keys int) Heads {
	return Heads{
		Heads: s.heads, KVHeads: s.heads, Dim: s.dim(), Queries: queries, Keys: keys,
		Scale: float32(1 / math.Sqrt(float64(s.dim()))),
	}
}

// sound makes keys and values of what has been encoded.
func (n *Whisper) sound(r *whisperRows) (*Sound, error) {
	b, s := n.backend, &Sound{model: n}
	for i := range n.text.layers {
		cross := &n.text.layers[i].cross
		k, v := b.Alloc(r.n*n.text.width), b.Alloc(r.n*n.text.width)
		b.MatMul(k, cross.k.w, nil, r.normed, r.n)
		b.MatMul(v, cross.v.w, cross.v.b, r.normed, r.n)
		s.keys, s.values = append(s.keys, k), append(s.values, v)
	}
	r.fail(b.Read(nil, r.normed, 0)) // what has failed, if anything
	if r.err != nil {
		s.Close()
		return nil, r.err
	}
	return s, nil
}
