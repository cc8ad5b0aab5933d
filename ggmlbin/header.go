package ggmlbin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/smelt-project/smelt/tensor"
)

// A Header is everything in a file that is not a tensor.
type Header struct {
	Vocab      int32 // tokens, those included that whisper.cpp makes up itself
	AudioCtx   int32 // positions of the encoder, 1500
	AudioState int32 // width of the encoder
	AudioHead  int32
	AudioLayer int32
	TextCtx    int32 // positions of the decoder, 448
	TextState  int32 // width of the decoder
	TextHead   int32
	TextLayer  int32
	Mels       int32 // 80, or 128 since large-v3
	FType      int32 // see FileType

	Filters []float32 // mel filterbank, row-major [Mels, FFT]
	FFT     int       // frequencies of a filter, 201
	Tokens  [][]byte  // of the text vocabulary, in order of id; at most Vocab
}

// params lists the header's numbers in the order of the file, and the key of
// the GGUF specification for each (ggml/docs/gguf.md, Whisper);
// whisper.vocab_size is the common addition to it.
var params = []struct {
	name string // in whisper.cpp
	key  string // "": not a key of the specification
	at   func(h *Header) *int32
}{
	{"n_vocab", "whisper.vocab_size", func(h *Header) *int32 { return &h.Vocab }},
	{"n_audio_ctx", "whisper.encoder.context_length", func(h *Header) *int32 { return &h.AudioCtx }},
	{"n_audio_state", "whisper.encoder.embedding_length", func(h *Header) *int32 { return &h.AudioState }},
	{"n_audio_head", "whisper.encoder.attention.head_count", func(h *Header) *int32 { return &h.AudioHead }},
	{"n_audio_layer", "whisper.encoder.block_count", func(h *Header) *int32 { return &h.AudioLayer }},
	{"n_text_ctx", "whisper.decoder.context_length", func(h *Header) *int32 { return &h.TextCtx }},
	{"n_text_state", "whisper.decoder.embedding_length", func(h *Header) *int32 { return &h.TextState }},
	{"n_text_head", "whisper.decoder.attention.head_count", func(h *Header) *int32 { return &h.TextHead }},
	{"n_text_layer", "whisper.decoder.block_count", func(h *Header) *int32 { return &h.TextLayer }},
	{"n_mels", "whisper.encoder.mels_count", func(h *Header) *int32 { return &h.Mels }},
	{"ftype", "", func(h *Header) *int32 { return &h.FType }},
}

// Meta returns h as metadata: general.architecture, the whisper.* keys of the
// GGUF specification as uint32, ggml.ftype as int32 and ggml.tokens as []string
// of raw bytes.
func (h *Header) Meta() tensor.Meta {
	kvs := []tensor.KV{{Key: "general.architecture", Value: "whisper"}}
	for _, p := range params {
		if p.key != "" {
			kvs = append(kvs, tensor.KV{Key: p.key, Value: uint32(*p.at(h))}) //nolint:gosec // check has refused negative ones
		}
	}
	tokens := make([]string, len(h.Tokens))
	for i, t := range h.Tokens {
		tokens[i] = string(t)
	}
	return tensor.NewMeta(append(kvs, tensor.KV{Key: ftypeKey, Value: h.FType}, tensor.KV{Key: tokensKey, Value: tokens})...)
}

// HeaderOf returns the header that meta describes with the keys of Header.Meta.
// filters is the mel filterbank, f32 [n_mels, n_fft]. tokens are the bytes of
// the text tokens in order of id; nil takes them from ggml.tokens. FType is
// that of ggml.ftype, 0 without it. The error names every key that is missing.
func HeaderOf(meta tensor.Meta, filters *tensor.Tensor, tokens [][]byte) (*Header, error) {
	h := &Header{Tokens: tokens}
	var errs []error
	for _, p := range params {
		if p.key == "" {
			continue
		}
		n, ok := meta.Int(p.key)
		if !ok || n < 0 || n > math.MaxInt32 {
			errs = append(errs, fmt.Errorf("key %q is missing or not a 32-bit number: %w", p.key, tensor.ErrNotFound))
			continue
		}
		*p.at(h) = int32(n)
	}
	if f, ok := meta.Int(ftypeKey); ok && f >= 0 && f <= math.MaxInt32 {
		h.FType = int32(f)
	}
	if tokens == nil {
		errs = append(errs, h.takeTokens(meta))
	}
	errs = append(errs, h.takeFilters(filters))
	err := errors.Join(errs...)
	if err == nil {
		err = h.check()
	}
	if err != nil {
		return nil, &tensor.Error{Op: "ggmlbin: make header", Err: err}
	}
	return h, nil
}

func (h *Header) takeTokens(meta tensor.Meta) error {
	v, _ := meta.Get(tokensKey)
	words, ok := v.([]string)
	if !ok {
		return fmt.Errorf("key %q is missing, and no tokens are given: %w", tokensKey, tensor.ErrNotFound)
	}
	for _, w := range words {
		h.Tokens = append(h.Tokens, []byte(w))
	}
	return nil
}

func (h *Header) takeFilters(t *tensor.Tensor) error {
	if t == nil {
		return fmt.Errorf("no tensor %q: %w", MelFilters, tensor.ErrNotFound)
	}
	if t.DType != tensor.F32 || len(t.Shape) != 2 {
		return fmt.Errorf("%s is %v %v, want f32 [n_mels n_fft]: %w", t.Name, t.DType, t.Shape, tensor.ErrUnsupported)
	}
	b, err := t.ReadAll()
	if err != nil {
		return err
	}
	h.FFT, h.Filters = t.Shape[1], floats(b)
	return nil
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(le.Uint32(b[4*i:]))
	}
	return out
}

var le = binary.LittleEndian

// check reports whether h is the header of a Whisper model.
func (h *Header) check() error {
	if err := h.checkParams(); err != nil {
		return err
	}
	if h.FFT <= 0 || h.FFT > math.MaxInt32 || len(h.Filters)%h.FFT != 0 || len(h.Filters)/h.FFT != int(h.Mels) {
		return fmt.Errorf("%d numbers in filters of %d frequencies, n_mels is %d: %w", len(h.Filters), h.FFT, h.Mels, tensor.ErrCorrupt)
	}
	if len(h.Tokens) > int(h.Vocab) {
		return fmt.Errorf("%d tokens, n_vocab is %d: %w", len(h.Tokens), h.Vocab, tensor.ErrCorrupt)
	}
	_, err := h.DType()
	return err
}

// checkParams reports whether the numbers of h can be a Whisper model's.
func (h *Header) checkParams() error {
	for _, p := range params {
		if n := *p.at(h); n < 0 || n == 0 && p.key != "" {
			return fmt.Errorf("%s is %d: %w", p.name, n, tensor.ErrCorrupt)
		}
	}
	return nil
}

// bytes returns h as it stands in a file.
func (h *Header) bytes() []byte {
	b := []byte(Magic)
	for _, p := range params {
		b = putInt(b, *p.at(h))
	}
	b = putInt(putInt(b, h.Mels), int32(h.FFT)) //nolint:gosec // check has bounded it
	for _, f := range h.Filters {
		b = le.AppendUint32(b, math.Float32bits(f))
	}
	b = putInt(b, int32(len(h.Tokens))) //nolint:gosec // at most Vocab
	for _, t := range h.Tokens {
		b = append(le.AppendUint32(b, uint32(len(t))), t...) //nolint:gosec // tokens are short
	}
	return b
}

func putInt(b []byte, v int32) []byte { return le.AppendUint32(b, uint32(v)) } //nolint:gosec // same bits

// diff compares h with what it should be, bit by bit.
func (h *Header) diff(want *Header) []error {
	var errs []error
	for _, p := range params {
		if g, w := *p.at(h), *p.at(want); g != w {
			errs = append(errs, fmt.Errorf("%s is %d, want %d", p.name, g, w))
		}
	}
	sameBits := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
	if h.FFT != want.FFT || !slices.EqualFunc(h.Filters, want.Filters, sameBits) {
		errs = append(errs, errors.New("mel filters differ"))
	}
	if !slices.EqualFunc(h.Tokens, want.Tokens, slices.Equal) {
		errs = append(errs, fmt.Errorf("tokens differ: %d, want %d", len(h.Tokens), len(want.Tokens)))
	}
	return errs
}
