package tokenizer

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// The files are made from the assets of openai-whisper 20250625 (MIT licence,
// assets/LICENSE.whisper) by assets/make.py.
//
//go:embed assets/*.gz
var assets embed.FS

// A whisperVocab is one of the vocabularies that OpenAI trained Whisper with.
type whisperVocab struct {
	size      int    // n_vocab of the model
	asset     string // the text tokens
	languages int
}

var whisperVocabs = []whisperVocab{
	{51864, "gpt2", 99},          // the .en models
	{51865, "multilingual", 99},  // tiny to large-v2
	{51866, "multilingual", 100}, // large-v3 and turbo
}

// whisperLanguages in the order of their tokens (openai/whisper
// whisper/tokenizer.py, LANGUAGES).
var whisperLanguages = strings.Fields(`
	en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs
	ro da hu ta no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk
	br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu
	am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue`)

// melBins is the number of frequency bins of a 400-point transform.
const melBins = 201

// WhisperVocab returns the text tokens of the Whisper model with nVocab tokens,
// as whisper.cpp's files hold them: 50,256 for English-only models, 50,257 with
// an empty last one for multilingual models. The special tokens that follow are
// not part of the list. It fails with [ErrUnsupported] for sizes other than
// 51864, 51865 and 51866.
func WhisperVocab(nVocab int) ([][]byte, error) {
	w, err := whisperBySize(nVocab)
	if err != nil {
		return nil, err
	}
	return w.tokens()
}

// WhisperGGUF returns the complete vocabulary of the Whisper model with nVocab
// tokens: the text tokens in the byte alphabet, their merges, and the special
// tokens by the names of openai/whisper (whisper/tokenizer.py, get_encoding).
// BOS is "<|startoftranscript|>", EOS "<|endoftext|>". It fails as
// [WhisperVocab] does.
func WhisperGGUF(nVocab int) (*Vocab, error) {
	w, err := whisperBySize(nVocab)
	if err != nil {
		return nil, err
	}
	text, err := w.tokens()
	if err != nil {
		return nil, err
	}
	v := &Vocab{Model: "gpt2", Pre: "gpt-2"}
	if v.Merges, err = newRanks(text).merges(text); err != nil {
		return nil, err
	}
	for _, t := range text {
		v.Tokens, v.Types = append(v.Tokens, EncodeBytes(t)), append(v.Types, textType(t))
	}
	v.setSpecial(EOS, len(v.Tokens))
	v.setSpecial(BOS, len(v.Tokens)+1)
	for _, name := range w.specials() {
		v.Tokens, v.Types = append(v.Tokens, name), append(v.Types, Control)
	}
	return v, v.check()
}

// textType: the empty token of the multilingual vocabulary is never produced.
func textType(token []byte) TokenType {
	if len(token) == 0 {
		return Unused
	}
	return Normal
}

// MelFilters returns the filter bank of Whisper's log-mel spectrogram, nMels rows
// (80 or 128) of 201 weights each, for 16 kHz and 400-point transforms. It fails
// with [ErrUnsupported] for another nMels.
func MelFilters(nMels int) ([]float32, error) {
	if nMels != 80 && nMels != 128 {
		return nil, fmt.Errorf("%w: Whisper has filter banks of 80 and 128 mels, not %d", ErrUnsupported, nMels)
	}
	raw, err := readAsset(fmt.Sprintf("mel%d.f32.gz", nMels))
	if err != nil {
		return nil, err
	}
	if len(raw) != 4*nMels*melBins {
		return nil, fmt.Errorf("%w: filter bank of %d bytes, want %d", ErrCorrupt, len(raw), 4*nMels*melBins)
	}
	filters := make([]float32, nMels*melBins)
	for i := range filters {
		filters[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return filters, nil
}

func whisperBySize(n int) (whisperVocab, error) {
	for _, w := range whisperVocabs {
		if w.size == n {
			return w, nil
		}
	}
	return whisperVocab{}, fmt.Errorf("%w: a Whisper vocabulary has 51864 (English), 51865 or 51866 (multilingual) tokens, not %d; a model with tokens of its own needs its tokenizer.json", ErrUnsupported, n)
}

func (w whisperVocab) tokens() ([][]byte, error) {
	raw, err := readAsset(w.asset + ".vocab.gz")
	if err != nil {
		return nil, err
	}
	var tokens [][]byte
	for len(raw) > 0 {
		n := 1 + int(raw[0])
		if n > len(raw) {
			return nil, fmt.Errorf("%w: token %d of %s needs %d bytes, %d remain", ErrCorrupt, len(tokens), w.asset, n, len(raw))
		}
		tokens, raw = append(tokens, raw[1:n:n]), raw[n:]
	}
	return tokens, nil
}

func (w whisperVocab) specials() []string {
	names := []string{"<|endoftext|>", "<|startoftranscript|>"}
	for _, code := range whisperLanguages[:w.languages] {
		names = append(names, "<|"+code+"|>")
	}
	names = append(names, "<|translate|>", "<|transcribe|>", "<|startoflm|>",
		"<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")
	for i := range 1501 { // 30 s in steps of 20 ms
		names = append(names, fmt.Sprintf("<|%d.%02d|>", i/50, i%50*2))
	}
	return names
}

func readAsset(name string) ([]byte, error) {
	packed, err := assets.ReadFile("assets/" + name)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
