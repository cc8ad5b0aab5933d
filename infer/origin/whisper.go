package origin

import (
	"context"
	"fmt"

	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// whisperNames are the modules of a Whisper as its program calls them.
type whisperNames struct {
	inner                                string
	conv1, conv2                         string
	encoder, decoder                     whisperStack
	embed                                string
	attnNorm, attn, crossNorm, cross     string
	query, key, value, out               string
	ffnNorm, up, down                    string
	audioHeads, textHeads                string // keys
	audioLayers, textLayers, state, mels string // keys
	guards                               []guard
}

// whisperStack names what one of the two stacks has of its own.
type whisperStack struct{ layers, positions, norm string }

// openaiWhisper is Whisper of openai/whisper (whisper/model.py).
var openaiWhisper = whisperNames{
	conv1: "encoder.conv1", conv2: "encoder.conv2", embed: "decoder.token_embedding.weight",
	encoder:  whisperStack{"encoder.blocks", "encoder.positional_embedding", "encoder.ln_post"},
	decoder:  whisperStack{"decoder.blocks", "decoder.positional_embedding", "decoder.ln"},
	attnNorm: "attn_ln", attn: "attn", crossNorm: "cross_attn_ln", cross: "cross_attn",
	query: "query", key: "key", value: "value", out: "out",
	ffnNorm: "mlp_ln", up: "mlp.0", down: "mlp.2",
	audioHeads: "n_audio_head", textHeads: "n_text_head",
	audioLayers: "n_audio_layer", textLayers: "n_text_layer", state: "n_audio_state", mels: "n_mels",
}

// hfWhisper is WhisperForConditionalGeneration (transformers
// models/whisper/modeling_whisper.py).
var hfWhisper = whisperNames{
	inner: "model.",
	conv1: "encoder.conv1", conv2: "encoder.conv2", embed: "decoder.embed_tokens.weight",
	encoder:  whisperStack{"encoder.layers", "encoder.embed_positions.weight", "encoder.layer_norm"},
	decoder:  whisperStack{"decoder.layers", "decoder.embed_positions.weight", "decoder.layer_norm"},
	attnNorm: "self_attn_layer_norm", attn: "self_attn", crossNorm: "encoder_attn_layer_norm", cross: "encoder_attn",
	query: "q_proj", key: "k_proj", value: "v_proj", out: "out_proj",
	ffnNorm: "final_layer_norm", up: "fc1", down: "fc2",
	audioHeads: "encoder_attention_heads", textHeads: "decoder_attention_heads",
	audioLayers: "encoder_layers", textLayers: "decoder_layers", state: "d_model", mels: "num_mel_bins",
	guards: []guard{
		{[]string{"model_type"}, []any{"whisper"}},
		{[]string{"activation_function"}, []any{"gelu"}},
		{[]string{"scale_embedding"}, []any{false}},
	},
}

// bare returns n for a network that was saved without its head.
func (n whisperNames) bare() whisperNames {
	n.inner = ""
	return n
}

// A Whisper is a Whisper network. It may be used concurrently, a context may not.
type Whisper struct {
	program          string
	workers          int
	mels             int
	conv1, conv2     linear // weights [out, in, 3]
	embed            *parameter
	encoder, decoder whisperHalf
}

// A whisperHalf is AudioEncoder or TextDecoder without what comes before its
// positions.
type whisperHalf struct {
	positions *parameter // [context, state]
	heads     heads      // of its self-attention
	layers    []whisperLayer
	norm      norm
}

// A whisperLayer is a ResidualAttentionBlock. Cross-attention is the decoder's.
type whisperLayer struct {
	attn     whisperAttention
	cross    whisperAttention
	ffnNorm  norm
	up, down linear
}

type whisperAttention struct {
	norm       norm
	q, k, v, o linear
}

// Program names the program whose code is repeated.
func (w *Whisper) Program() string { return w.program }

// Vocab is the number of tokens.
func (w *Whisper) Vocab() int { return w.embed.rows }

// Mels is the number of bands of a spectrogram.
func (w *Whisper) Mels() int { return w.mels }

// Frames is the number of frames of a spectrogram, two for each state.
func (w *Whisper) Frames() int { return 2 * w.encoder.positions.rows }

// Layers are the numbers of layers of the encoder and the decoder.
func (w *Whisper) Layers() (encoder, decoder int) {
	return len(w.encoder.layers), len(w.decoder.layers)
}

func (n whisperNames) build(c *checkpoint) (Network, error) {
	if err := c.settings.expect(n.guards); err != nil {
		return nil, err
	}
	w := &Whisper{program: c.naming.program, workers: c.workers}
	var state, audioLayers, textLayers int
	for _, f := range []struct {
		to  *int
		key string
	}{
		{&state, n.state}, {&w.mels, n.mels}, {&audioLayers, n.audioLayers}, {&textLayers, n.textLayers},
		{&w.encoder.heads.q, n.audioHeads}, {&w.decoder.heads.q, n.textHeads},
	} {
		var err error
		if *f.to, err = c.settings.need(f.key); err != nil {
			return nil, err
		}
	}
	r := &reader{}
	weights := func(path string, shape ...int) linear {
		return linear{r.parameter(c.root, n.inner+path+".weight", shape...), r.parameter(c.root, n.inner+path+".bias", shape[0])}
	}
	w.conv1 = weights(n.conv1, state, w.mels, kernel)
	w.conv2 = weights(n.conv2, state, state, kernel)
	w.embed = r.parameter(c.root, n.inner+n.embed, 0, state)
	for _, half := range []struct {
		to     *whisperHalf
		names  whisperStack
		layers int
		cross  bool
	}{
		{&w.encoder, n.encoder, audioLayers, false},
		{&w.decoder, n.decoder, textLayers, true},
	} {
		half.to.positions = r.parameter(c.root, n.inner+half.names.positions, 0, state)
		half.to.norm = norm(weights(half.names.norm, state))
		if err := half.to.heads.divide(state); err != nil {
			return nil, err
		}
		half.to.heads.causal = half.cross
		found := c.root.list(n.inner + half.names.layers)
		if len(found) != half.layers {
			return nil, fmt.Errorf("%s has %d layers, the settings say %d: %w",
				c.root.name(n.inner+half.names.layers), len(found), half.layers, tensor.ErrCorrupt)
		}
		for _, m := range found {
			half.to.layers = append(half.to.layers, n.layer(r, m, state, half.cross))
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return w, nil
}

// divide sets h to equal heads that share a vector of state elements.
func (h *heads) divide(state int) error {
	if state%h.q != 0 {
		return fmt.Errorf("%d heads do not divide a vector of %d: %w", h.q, state, tensor.ErrCorrupt)
	}
	h.kv, h.dim = h.q, state/h.q
	return nil
}

func (n whisperNames) layer(r *reader, m *module, state int, cross bool) whisperLayer {
	project := func(path string, out, in int) linear {
		return linear{r.parameter(m, path+".weight", out, in), r.parameter(m, path+".bias", out)}
	}
	normed := func(path string) norm {
		return norm{r.parameter(m, path+".weight", state), r.parameter(m, path+".bias", state)}
	}
	attention := func(path, normPath string) whisperAttention {
		return whisperAttention{
			norm: normed(normPath),
			q:    project(path+"."+n.query, state, state),
			k:    linear{weight: r.parameter(m, path+"."+n.key+".weight", state, state)}, // bias=False
			v:    project(path+"."+n.value, state, state),
			o:    project(path+"."+n.out, state, state),
		}
	}
	y := whisperLayer{
		attn:    attention(n.attn, n.attnNorm),
		ffnNorm: normed(n.ffnNorm),
		up:      project(n.up, 4*state, state),
		down:    project(n.down, state, 4*state),
	}
	if cross {
		y.cross = attention(n.cross, n.crossNorm)
	}
	return y
}

// kernel is the width of the convolutions; their padding is 1.
const kernel = 3

// convolved returns the torch.nn.Conv1d of x [time, channels]: its windows times
// its weights.
func (p *pass) convolved(l linear, x values, stride int) values {
	windows := newValues((x.rows()+stride-1)/stride, x.width*kernel)
	for t := range windows.rows() {
		row := windows.row(t)
		for k := range kernel {
			at := t*stride + k - 1
			if at < 0 || at >= x.rows() {
				continue
			}
			for c, v := range x.row(at) {
				row[c*kernel+k] = v
			}
		}
	}
	return p.apply(l, windows)
}

// An Audio is what the decoder attends to: one window of sound, encoded.
type Audio struct {
	// States are what the encoder made, [frames/2, state].
	States  []float32
	crosses history // keys and values of each layer of the decoder
}

// Encode encodes a log-mel spectrogram [Mels, Frames]. show may be nil
// (AudioEncoder.forward).
func (w *Whisper) Encode(ctx context.Context, mel []float32, show trace.Func) (*Audio, error) {
	if len(mel) != w.mels*w.Frames() {
		return nil, fmt.Errorf("a spectrogram of %d numbers, %d bands of %d frames are %d: %w", len(mel), w.mels, w.Frames(), w.mels*w.Frames(), tensor.ErrUnsupported)
	}
	p := &pass{ctx: ctx, workers: w.workers, show: show, part: trace.Encoder, layer: -1}
	x := newValues(w.Frames(), w.mels)
	for t := range x.rows() {
		for m := range w.mels {
			x.row(t)[m] = mel[m*w.Frames()+t]
		}
	}
	x = p.gelu(p.convolved(w.conv1, x, 1))
	p.trace(trace.Conv1, x)
	x = p.gelu(p.convolved(w.conv2, x, 2))
	p.trace(trace.Conv2, x)
	x = p.addRows(x, w.encoder.positions, 0)
	p.trace(trace.Embedding, x)
	for i := range w.encoder.layers {
		p.layer = i
		y := &w.encoder.layers[i]
		x = y.attend(p, x, w.encoder.heads, nil)
		x = y.feed(p, x)
	}
	p.layer = -1
	x = p.layerNorm(x, w.encoder.norm)
	p.trace(trace.FinalNorm, x)
	a := &Audio{States: x.data}
	for i := range w.decoder.layers {
		y := &w.decoder.layers[i].cross
		a.crosses = append(a.crosses, pastLayer{p.apply(y.k, x), p.apply(y.v, x)})
	}
	return a, p.err
}

// attend adds self-attention to the stream x; past, if not nil, keeps keys and
// values.
func (y *whisperLayer) attend(p *pass, x values, hs heads, past history) values {
	a := &y.attn
	h := p.layerNorm(x, a.norm)
	p.trace(trace.AttnNorm, h)
	q := p.apply(a.q, h)
	p.trace(trace.AttnQ, q)
	k := p.apply(a.k, h)
	p.trace(trace.AttnK, k)
	v := p.apply(a.v, h)
	p.trace(trace.AttnV, v)
	if past != nil {
		k, v = past.append(p.layer, k, v)
	}
	h = p.attend(q, k, v, hs)
	p.trace(trace.AttnContext, h)
	h = p.apply(a.o, h)
	p.trace(trace.AttnOut, h)
	return add(x, h)
}

// look adds cross-attention to the keys and values of the audio.
func (y *whisperLayer) look(p *pass, x values, hs heads, audio pastLayer) values {
	hs.causal = false
	h := p.layerNorm(x, y.cross.norm)
	p.trace(trace.CrossNorm, h)
	q := p.apply(y.cross.q, h)
	p.trace(trace.CrossQ, q)
	h = p.attend(q, audio.k, audio.v, hs)
	p.trace(trace.CrossContext, h)
	h = p.apply(y.cross.o, h)
	p.trace(trace.CrossOut, h)
	return add(x, h)
}

// feed adds the two matrices of the layer.
func (y *whisperLayer) feed(p *pass, x values) values {
	h := p.layerNorm(x, y.ffnNorm)
	p.trace(trace.FFNNorm, h)
	h = p.apply(y.up, h)
	p.trace(trace.FFNUp, h)
	h = p.gelu(h)
	p.trace(trace.FFNActivation, h)
	h = p.apply(y.down, h)
	p.trace(trace.FFNOut, h)
	x = add(x, h)
	p.trace(trace.Residual, x)
	return x
}

// A WhisperContext is a transcript so far.
type WhisperContext struct {
	net   *Whisper
	audio *Audio
	past  history
	n     int
}

// NewContext returns an empty transcript of audio.
func (w *Whisper) NewContext(audio *Audio) *WhisperContext {
	return &WhisperContext{net: w, audio: audio, past: make(history, len(w.decoder.layers))}
}

// Forward appends tokens to the transcript and returns the logits after each,
// [len(ids), Vocab] (TextDecoder.forward). show may be nil. After an error the
// transcript is undefined.
func (c *WhisperContext) Forward(ctx context.Context, ids []int32, show trace.Func) ([]float32, error) {
	w := c.net
	if c.n+len(ids) > w.decoder.positions.rows {
		return nil, fmt.Errorf("%d tokens, the context has %d: %w", c.n+len(ids), w.decoder.positions.rows, tensor.ErrTooLarge)
	}
	p := &pass{ctx: ctx, workers: w.workers, show: show, part: trace.Decoder, layer: -1}
	x := p.addRows(p.embed(w.embed, ids), w.decoder.positions, c.n)
	p.trace(trace.Embedding, x)
	for i := range w.decoder.layers {
		p.layer = i
		y := &w.decoder.layers[i]
		x = y.attend(p, x, w.decoder.heads, c.past)
		x = y.look(p, x, w.decoder.heads, c.audio.crosses[i])
		x = y.feed(p, x)
	}
	p.layer = -1
	x = p.layerNorm(x, w.decoder.norm)
	p.trace(trace.FinalNorm, x)
	x = p.linear(x, w.embed, nil)
	p.trace(trace.Logits, x)
	c.n += len(ids)
	return x.data, p.err
}
