package infer

import (
	"fmt"

	"github.com/smelt-project/smelt/tensor"
)

// A Whisper is OpenAI's network of an encoder, which hears 30 s of sound, and a
// decoder, which writes what was said. Its weights are those of a canonical model,
// named as in openai/whisper and whisper.cpp (openai/whisper 20250625,
// whisper/model.py).
type Whisper struct {
	backend Backend
	mels    int
	vocab   int

	audio, text  whisperStack
	conv1, conv2 affine
	embedding    Weight // of the tokens, and the output
}

// whisperStack is the encoder or the decoder.
type whisperStack struct {
	context, width, heads int
	positions             Weight // [context, width]
	layers                []whisperLayer
	norm                  affine
}

// affine is a weight with its bias: a matrix, a convolution, or a norm.
type affine struct{ w, b Weight }

// whisperLayer is one layer; only those of the decoder attend to the sound.
type whisperLayer struct {
	attn, cross whisperAttention
	norm        affine
	up, down    affine
}

type whisperAttention struct {
	norm, q, k, v, out affine // keys have no bias
}

// whisperEps is PyTorch's in LayerNorm.
const whisperEps = 1e-5

// whisperFrames is the number of frames of the spectrogram that become one position
// of the encoder: the stride of the second convolution.
const whisperFrames = 2

// NewWhisper returns the network of a canonical model of architecture whisper. m
// must stay open. All that is missing or misshapen is reported at once.
func NewWhisper(m *tensor.Model, b Backend) (*Whisper, error) {
	if arch := m.Meta.Text("general.architecture"); arch != "whisper" {
		return nil, &tensor.Error{Op: "run", File: fileOf(m), Err: fmt.Errorf("architecture %q, want whisper: %w", arch, tensor.ErrUnsupported)}
	}
	h := &hypers{meta: m.Meta, prefix: "whisper."}
	n := &Whisper{backend: b, mels: h.count("encoder.mels_count", 0), vocab: h.count("vocab_size", 0)}
	encoderLayers := n.audio.measure(h, "encoder.")
	decoderLayers := n.text.measure(h, "decoder.")
	if len(h.errs) > 0 {
		return nil, wrong(m, h.errs)
	}
	l := &loader{model: m, backend: b}
	n.conv1 = l.affine("encoder.conv1", n.audio.width, n.mels, 3)
	n.conv2 = l.affine("encoder.conv2", n.audio.width, n.audio.width, 3)
	n.audio.load(l, "encoder.", "ln_post", encoderLayers, 0)
	n.embedding = l.weight("decoder.token_embedding.weight", n.vocab, n.text.width)
	n.text.load(l, "decoder.", "ln", decoderLayers, n.audio.width)
	return n, wrong(m, l.errs)
}

// measure reads the hyperparameters of a stack and returns how many layers it has.
func (s *whisperStack) measure(h *hypers, prefix string) int {
	s.context = h.count(prefix+"context_length", 0)
	s.width = h.count(prefix+"embedding_length", 0)
	s.heads = h.count(prefix+"attention.head_count", 0)
	if s.width%s.heads != 0 {
		h.failf("%d elements in %d heads of the %s: %w", s.width, s.heads, prefix[:len(prefix)-1], tensor.ErrCorrupt)
	}
	return h.count(prefix+"block_count", 0)
}

// dim is the number of elements of a head.
func (s *whisperStack) dim() int { return s.width / s.heads }

// load takes the weights of as many layers as there should be, and stops at the
// first that has none. source is the width of what the layers also attend to; 0 is
// nothing.
func (s *whisperStack) load(l *loader, prefix, norm string, layers, source int) {
	s.positions = l.weight(prefix+"positional_embedding", s.context, s.width)
	s.norm = l.affine(prefix+norm, s.width)
	for i := 0; i < layers && len(l.errs) == 0; i++ {
		at := fmt.Sprintf("%sblocks.%d.", prefix, i)
		layer := whisperLayer{
			attn: l.attention(at+"attn", s.width, s.width),
			norm: l.affine(at+"mlp_ln", s.width),
			up:   l.affine(at+"mlp.0", 4*s.width, s.width),
			down: l.affine(at+"mlp.2", s.width, 4*s.width),
		}
		if source > 0 {
			layer.cross = l.attention(at+"cross_attn", s.width, source)
		}
		s.layers = append(s.layers, layer)
	}
}

// affine returns a weight of that shape and its bias, of the first dimension.
func (l *loader) affine(name string, shape ...int) affine {
	return affine{l.weight(name+".weight", shape...), l.weight(name+".bias", shape[0])}
}

// attention returns the attention of a stream of width elements to one of source.
func (l *loader) attention(name string, width, source int) whisperAttention {
	return whisperAttention{
		norm: l.affine(name+"_ln", width),
		q:    l.affine(name+".query", width, width),
		k:    affine{w: l.weight(name+".key.weight", width, source)},
		v:    l.affine(name+".value", width, source),
		out:  l.affine(name+".out", width, width),
	}
}

// Mels returns how many mels a frame of the spectrogram has.
func (n *Whisper) Mels() int { return n.mels }

// Frames returns how many frames of the spectrogram the encoder hears at a time:
// 3000, which are 30 s.
func (n *Whisper) Frames() int { return whisperFrames * n.audio.context }

// TextContext returns how many tokens the decoder reads at most.
func (n *Whisper) TextContext() int { return n.text.context }

// Vocab returns the number of token ids.
func (n *Whisper) Vocab() int { return n.vocab }
