package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxJSON bounds a tokenizer.json; the largest published ones have 34 MB (Gemma 3).
const maxJSON = 128 << 20

// HuggingFace reads a tokenizer.json (huggingface/tokenizers) with a byte-pair
// model: a vocabulary for "gpt2" if text is mapped to the byte-level alphabet,
// for "llama" if spaces are written "▁" and unknown characters fall back to bytes.
// Errors wrap [ErrCorrupt], [ErrTooLarge] or [ErrUnsupported]; the last shows what
// was found, among others a way of splitting text that no runtime has a name for.
//
// Files beside tokenizer.json say which tokens begin and end a text; [Open] reads
// them too.
func HuggingFace(tokenizerJSON []byte) (*Vocab, error) {
	t, err := parseHuggingFace(tokenizerJSON)
	if err != nil {
		return nil, err
	}
	return t.vocab(Options{}, newSidecar())
}

func hfError(err error) error {
	return &Error{Op: "tokenizer: read tokenizer.json", Offset: jsonOffset(err), Err: err}
}

// An hfFile is a parsed tokenizer.json.
type hfFile struct {
	model hfModel
	added []addedToken

	normalizers, preTokenizers, postProcessors []component
}

type hfModel struct {
	Type             string    `json:"type"`
	Vocab            textIDs   `json:"vocab"`
	Merges           mergeList `json:"merges"`
	UnkToken         *string   `json:"unk_token"`
	ContinuingPrefix string    `json:"continuing_subword_prefix"`
	EndOfWordSuffix  string    `json:"end_of_word_suffix"`
	ByteFallback     bool      `json:"byte_fallback"`
	IgnoreMerges     bool      `json:"ignore_merges"`
}

func parseHuggingFace(b []byte) (*hfFile, error) {
	var raw struct {
		AddedTokens   addedTokens     `json:"added_tokens"`
		Normalizer    json.RawMessage `json:"normalizer"`
		PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
		PostProcessor json.RawMessage `json:"post_processor"`
		Model         hfModel         `json:"model"`
	}
	if err := decodeJSON(b, maxJSON, &raw); err != nil {
		return nil, hfError(err)
	}
	f := &hfFile{model: raw.Model, added: raw.AddedTokens}
	for _, c := range []struct {
		what string
		raw  json.RawMessage
		to   *[]component
	}{
		{"normalizer", raw.Normalizer, &f.normalizers},
		{"pre-tokenizer", raw.PreTokenizer, &f.preTokenizers},
		{"post-processor", raw.PostProcessor, &f.postProcessors},
	} {
		list, err := parseComponents(c.what, c.raw)
		if err != nil {
			return nil, hfError(err)
		}
		*c.to = list
	}
	return f, nil
}

// check accepts the byte-pair models that have a form in GGUF. Files from before
// tokenizers 0.9 have no type.
func (m *hfModel) check() error {
	switch {
	case m.Type != "BPE" && (m.Type != "" || len(m.Merges) == 0):
		return fmt.Errorf("%w: a %s model; only byte-pair (BPE) models can be used", ErrUnsupported, quote(m.Type))
	case m.ContinuingPrefix != "":
		return fmt.Errorf("%w: pieces inside a word are marked by %s (continuing_subword_prefix)", ErrUnsupported, quote(m.ContinuingPrefix))
	case m.EndOfWordSuffix != "":
		return fmt.Errorf("%w: the ends of words are marked by %s (end_of_word_suffix)", ErrUnsupported, quote(m.EndOfWordSuffix))
	case len(m.Vocab) == 0:
		return fmt.Errorf("%w: the model has no vocabulary", ErrCorrupt)
	}
	return nil
}

// byteLevel: text is mapped to the alphabet in which every byte is a character.
func (t *hfFile) byteLevel() bool {
	for _, c := range t.preTokenizers {
		if c.Type == "ByteLevel" {
			return true
		}
	}
	return false
}

func (t *hfFile) vocab(o Options, side *sidecar) (*Vocab, error) {
	if err := t.model.check(); err != nil {
		return nil, hfError(err)
	}
	build := t.spaceMarked
	if t.byteLevel() {
		build = t.byteLevelled
	}
	v, err := build(o, side)
	if err != nil {
		return nil, hfError(err)
	}
	t.addTemplate(v, side)
	side.apply(v)
	if err := v.check(); err != nil {
		return nil, hfError(err)
	}
	return v, nil
}

// byteLevelled makes a "gpt2" vocabulary.
func (t *hfFile) byteLevelled(o Options, side *sidecar) (*Vocab, error) {
	// Runtimes add BOS by default for some pre-tokenizers; the template decides.
	v := &Vocab{Model: "gpt2", Pre: o.Pre, AddBOS: ptr(false)}
	if v.Pre == "" {
		row, err := t.recognize(side)
		if err != nil {
			return nil, err
		}
		v.Pre = row.name
	}
	for _, c := range t.preTokenizers {
		if c.Type == "ByteLevel" {
			v.AddSpacePrefix = ptr(c.prefixesSpace())
		}
	}
	return v, t.fill(v)
}

func (t *hfFile) recognize(side *sidecar) (*preTokenizer, error) {
	tr := traits{ignoreMerges: t.model.IgnoreMerges, clean: side.cleanUp}
	for _, n := range t.normalizers {
		if n.Type != "NFC" {
			return nil, fmt.Errorf("%w: text is normalized by %s, which the form for byte-level vocabularies cannot say; if a runtime does it under a name of its own, give that with --meta tokenizer.ggml.pre=NAME", ErrUnsupported, n.Type)
		}
		tr.nfc = true
	}
	for _, p := range t.postProcessors {
		tr.roberta = tr.roberta || p.Type == "RobertaProcessing"
	}
	return recognize(steps(t.preTokenizers), tr)
}

// fill sets tokens, types and merges.
func (t *hfFile) fill(v *Vocab) error {
	if err := t.place(v); err != nil {
		return err
	}
	known := make(map[string]struct{}, len(t.model.Vocab))
	for _, e := range t.model.Vocab {
		known[e.text] = struct{}{}
	}
	v.Merges = make([]string, len(t.model.Merges))
	for i, m := range t.model.Merges {
		for _, part := range []string{m.left(), m.right(), m.result()} {
			if _, ok := known[part]; !ok {
				return fmt.Errorf("%w: merge %d, %s and %s, needs the token %s, which is not in the vocabulary", ErrCorrupt, i, quote(m.left()), quote(m.right()), quote(part))
			}
		}
		v.Merges[i] = m.text
	}
	return nil
}

// place puts every token at its id; ids without a token become padding.
func (t *hfFile) place(v *Vocab) error {
	n := 0
	for _, e := range t.model.Vocab {
		n = max(n, e.id+1)
	}
	for _, a := range t.added {
		n = max(n, a.ID+1)
	}
	if have := len(t.model.Vocab) + len(t.added); n-have > have+maxHoles {
		return fmt.Errorf("%w: %d tokens have ids up to %d", ErrCorrupt, have, n-1)
	}
	texts, types := make([]string, n), make([]TokenType, n)
	for _, e := range t.model.Vocab {
		if types[e.id] != 0 {
			return fmt.Errorf("%w: id %d belongs to two tokens, %s and %s", ErrCorrupt, e.id, quote(texts[e.id]), quote(e.text))
		}
		texts[e.id], types[e.id] = e.text, t.typeOf(e.text)
	}
	for _, a := range t.added {
		if types[a.ID] != 0 && texts[a.ID] != a.Content {
			return fmt.Errorf("%w: id %d belongs to two tokens, %s and the added %s", ErrCorrupt, a.ID, quote(texts[a.ID]), quote(a.Content))
		}
		texts[a.ID] = a.spaced()
		if t.byteLevel() {
			texts[a.ID] = a.Content
		}
		if types[a.ID] != Unknown {
			types[a.ID] = a.typeOf()
		}
	}
	for id := range texts {
		if types[id] == 0 {
			texts[id], types[id] = padName(id), Unused
		}
	}
	v.Tokens, v.Types = texts, types
	return nil
}

// typeOf is the type of a token of the model itself. Byte-level vocabularies have
// neither byte tokens nor a stand-in for unknown text.
func (t *hfFile) typeOf(text string) TokenType {
	switch {
	case t.byteLevel():
		return Normal
	case t.model.UnkToken != nil && *t.model.UnkToken == text:
		return Unknown
	case isByteToken(text):
		return Byte
	}
	return Normal
}

// addTemplate reads from the post-processor what is put around a text. The first
// special token of the template is BOS unless the files beside it name another,
// the last is EOS; another one that they name EOS ends a turn (llama.cpp
// gguf-py/gguf/vocab.py, SpecialVocab).
func (t *hfFile) addTemplate(v *Vocab, side *sidecar) {
	for _, p := range t.postProcessors {
		if p.Type == "RobertaProcessing" {
			v.AddBOS, v.AddEOS, v.AddSEP = ptr(true), ptr(true), ptr(true)
		}
		if p.Type != "TemplateProcessing" {
			continue
		}
		v.AddBOS = ptr(false)
		if len(p.Single) < 2 {
			continue
		}
		if first := p.Single[0].SpecialToken; first != nil {
			side.suggest(BOS, first.ID)
			v.AddBOS = ptr(side.names(first.ID, BOS, CLS))
		}
		if last := p.Single[len(p.Single)-1].SpecialToken; last != nil {
			side.suggest(EOS, last.ID)
			if eos := side.texts[EOS]; eos != last.ID {
				side.suggest(EOT, eos)
				side.texts[EOS] = last.ID
			}
			v.AddEOS = ptr(true)
		}
	}
}

func (a addedToken) typeOf() TokenType {
	if a.Special || looksSpecial(a.Content) {
		return Control
	}
	return UserDefined
}

// spaced is the text in a vocabulary that writes spaces as "▁": tokens found in
// text hold plain ones (llama.cpp conversion/base.py, get_vocab_base).
func (a addedToken) spaced() string {
	if a.typeOf() == Control {
		return a.Content
	}
	return unescapeSpaces(a.Content)
}

// looksSpecial recognizes control tokens that published files do not mark as such
// (llama.cpp conversion/base.py, does_token_look_special).
func looksSpecial(text string) bool {
	switch text {
	case "<pad>", "<mask>", "<2mass>", "[@BOS@]":
		return true
	}
	for _, m := range [][2]string{{"<|", "|>"}, {"<｜", "｜>"}, {"<unused", ">"}} {
		if strings.HasPrefix(text, m[0]) && strings.HasSuffix(text, m[1]) {
			return true
		}
	}
	return false
}
