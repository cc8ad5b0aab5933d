package tokenizer

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// SentencePiece reads a SentencePiece model (sentencepiece_model.proto,
// ModelProto), in full: a vocabulary for "llama" if it is a byte-pair model, for
// "t5" if it is a unigram model. Pieces and scores are taken as they are; in
// pieces that are found in text before anything is split (USER_DEFINED) "▁" is
// written as the space it stands for. Errors wrap [ErrCorrupt], [ErrUnsupported]
// (word and character models) or [ErrTooLarge] and carry the offset.
func SentencePiece(b []byte) (*Vocab, error) {
	m, err := parseSentencePiece(b)
	if err != nil {
		return nil, err
	}
	v, err := m.with(newSidecar(), nil)
	if err != nil {
		return nil, spError(-1, err)
	}
	return v, nil
}

func spError(offset int, err error) error {
	return &Error{Op: "tokenizer: read SentencePiece", Offset: int64(offset), Err: err}
}

// The fields of sentencepiece_model.proto that decide something.
const (
	modelPiece      = 1
	modelTrainer    = 2
	modelNormalizer = 3

	pieceText  = 1
	pieceScore = 2
	pieceType  = 3

	trainerModelType  = 3
	trainerWordSuffix = 24 // treat_whitespace_as_suffix
	trainerUnkPiece   = 45
	trainerBosPiece   = 46
	trainerEosPiece   = 47
	trainerPadPiece   = 48

	normCharsmap    = 2
	normDummyPrefix = 3
	normExtraSpaces = 4
	normEscape      = 5
)

// spModels lists the values of TrainerSpec.ModelType; those without a runtime's
// name for the algorithm have no form in GGUF.
var spModels = map[uint64]struct{ name, gguf string }{
	1: {"unigram", "t5"},
	2: {"byte-pair", "llama"},
	3: {"word", ""},
	4: {"character", ""},
}

// A spModel is the part of a ModelProto that this package uses.
type spModel struct {
	tokens []string
	scores []float32
	types  []TokenType

	modelType              uint64
	suffix                 uint64
	bos, eos, pad          string
	charsmap               []byte
	dummyPrefix, cutSpaces uint64
	escape                 uint64
}

func parseSentencePiece(b []byte) (*spModel, error) {
	m := &spModel{
		modelType: 1, bos: "<s>", eos: "</s>", pad: "<pad>",
		dummyPrefix: 1, cutSpaces: 1, escape: 1,
	}
	if what := disguised(b); what != "" {
		return nil, spError(-1, fmt.Errorf("%w: %s", ErrUnsupported, what))
	}
	n, err := countFields(b, modelPiece)
	if err != nil {
		return nil, err
	}
	if n > maxTokens {
		return nil, spError(-1, fmt.Errorf("%w: %d pieces, the limit is %d", ErrTooLarge, n, maxTokens))
	}
	m.tokens, m.scores, m.types = make([]string, 0, n), make([]float32, 0, n), make([]TokenType, 0, n)
	err = fields(b, 0, func(f field) error {
		switch f.num {
		case modelPiece:
			return m.addPiece(f)
		case modelTrainer:
			return f.each(m.setTrainer)
		case modelNormalizer:
			return f.each(m.setNormalizer)
		}
		return nil
	})
	return m, err
}

func (m *spModel) addPiece(f field) error {
	text, score, typ := "", float32(0), uint64(Normal)
	err := f.each(func(p field) (err error) {
		switch p.num {
		case pieceText:
			text, err = p.text()
		case pieceScore:
			score, err = p.float()
		case pieceType:
			typ, err = p.varint()
		}
		return err
	})
	if err != nil {
		return err
	}
	switch id := len(m.tokens); {
	case text == "":
		return spError(f.offset, fmt.Errorf("%w: piece %d is empty", ErrCorrupt, id))
	case math.IsNaN(float64(score)) || math.IsInf(float64(score), 0):
		return spError(f.offset, fmt.Errorf("%w: piece %d, %s, has score %v", ErrCorrupt, id, quote(text), score))
	case typ < uint64(Normal) || typ > uint64(Byte):
		return spError(f.offset, fmt.Errorf("%w: piece %d, %s, has type %d, want 1 to 6", ErrCorrupt, id, quote(text), typ))
	}
	kind := TokenType(typ)
	if kind == UserDefined {
		text = unescapeSpaces(text)
	}
	m.tokens, m.scores, m.types = append(m.tokens, text), append(m.scores, score), append(m.types, kind)
	return nil
}

func (m *spModel) setTrainer(f field) (err error) {
	switch f.num {
	case trainerModelType:
		m.modelType, err = f.varint()
	case trainerWordSuffix:
		m.suffix, err = f.varint()
	case trainerBosPiece:
		m.bos, err = f.text()
	case trainerEosPiece:
		m.eos, err = f.text()
	case trainerPadPiece:
		m.pad, err = f.text()
	}
	return err
}

func (m *spModel) setNormalizer(f field) (err error) {
	switch f.num {
	case normCharsmap:
		m.charsmap, err = f.bytes()
	case normDummyPrefix:
		m.dummyPrefix, err = f.varint()
	case normExtraSpaces:
		m.cutSpaces, err = f.varint()
	case normEscape:
		m.escape, err = f.varint()
	}
	return err
}

// with makes the vocabulary, adding what the files beside the model say; hf is the
// tokenizer.json among them, or nil.
func (m *spModel) with(side *sidecar, hf *hfFile) (*Vocab, error) {
	v, err := m.vocab()
	if err != nil {
		return nil, err
	}
	own := m.specials()
	if err := side.override(v); err != nil {
		return nil, err
	}
	if hf != nil {
		hf.addTemplate(v, side)
	}
	side.apply(v)
	for role, id := range own {
		v.setSpecial(role, id)
	}
	return v, v.check()
}

func (m *spModel) vocab() (*Vocab, error) {
	model := spModels[m.modelType]
	switch {
	case model.gguf == "":
		return nil, fmt.Errorf("%w: model type %d %s; only byte-pair and unigram models have a form in GGUF", ErrUnsupported, m.modelType, model.name)
	case len(m.tokens) == 0:
		return nil, fmt.Errorf("%w: the model has no pieces", ErrCorrupt)
	case m.suffix != 0:
		return nil, fmt.Errorf("%w: the model marks spaces after words (treat_whitespace_as_suffix), runtimes mark them before", ErrUnsupported)
	case m.escape == 0:
		return nil, fmt.Errorf("%w: the model does not write spaces as ▁ (escape_whitespaces is false)", ErrUnsupported)
	}
	v := &Vocab{
		Model: model.gguf, Pre: "default",
		Tokens: m.tokens, Scores: m.scores, Types: m.types,
		AddSpacePrefix:         ptr(m.dummyPrefix != 0),
		RemoveExtraWhitespaces: ptr(m.cutSpaces != 0),
		PrecompiledCharsmap:    m.charsmap,
	}
	return v, nil
}

// specials follows SentencePieceProcessor: a role belongs to the control piece of
// that name, "unknown" to the piece of that type (google/sentencepiece
// src/sentencepiece_processor.cc, bos_id).
func (m *spModel) specials() map[Role]int {
	found := map[Role]int{}
	for id, text := range m.tokens {
		switch {
		case m.types[id] == Unknown:
			found[UNK] = id
		case m.types[id] != Control:
		case text == m.bos:
			found[BOS] = id
		case text == m.eos:
			found[EOS] = id
		case text == m.pad:
			found[PAD] = id
		}
	}
	return found
}

func unescapeSpaces(s string) string { return strings.ReplaceAll(s, "▁", " ") }

func ptr[T any](v T) *T { return &v }

// A field is one field of a message. The offset is that of its value in the file.
type field struct {
	num    protowire.Number
	typ    protowire.Type
	value  []byte // without the length prefix for length-delimited fields
	offset int
}

// fields calls f for every field of message b, which starts at byte base of the file.
func fields(b []byte, base int, f func(field) error) error {
	for at := 0; at < len(b); {
		num, typ, n := protowire.ConsumeTag(b[at:])
		if n < 0 {
			return spError(base+at, fmt.Errorf("%w: %w", ErrCorrupt, protowire.ParseError(n)))
		}
		at += n
		size := protowire.ConsumeFieldValue(num, typ, b[at:])
		if size < 0 {
			return spError(base+at, fmt.Errorf("%w: field %d does not fit into the %d bytes that remain: %w",
				ErrCorrupt, num, len(b)-at, protowire.ParseError(size)))
		}
		v := field{num, typ, b[at : at+size], base + at}
		if typ == protowire.BytesType {
			_, prefix := protowire.ConsumeVarint(v.value)
			v.value, v.offset = v.value[prefix:], v.offset+prefix
		}
		if err := f(v); err != nil {
			return err
		}
		at += size
	}
	return nil
}

func countFields(b []byte, num protowire.Number) (n int, err error) {
	err = fields(b, 0, func(f field) error {
		if f.num == num {
			n++
		}
		return nil
	})
	return n, err
}

func (f field) want(typ protowire.Type) error {
	if f.typ != typ {
		return spError(f.offset, fmt.Errorf("%w: field %d has wire type %d, want %d", ErrCorrupt, f.num, f.typ, typ))
	}
	return nil
}

func (f field) each(do func(field) error) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	return fields(f.value, f.offset, do)
}

func (f field) bytes() ([]byte, error) { return f.value, f.want(protowire.BytesType) }

func (f field) text() (string, error) {
	if err := f.want(protowire.BytesType); err != nil {
		return "", err
	}
	if !utf8.Valid(f.value) {
		return "", spError(f.offset, fmt.Errorf("%w: field %d is not UTF-8: %s", ErrCorrupt, f.num, quote(string(f.value))))
	}
	return string(f.value), nil
}

func (f field) varint() (uint64, error) {
	if err := f.want(protowire.VarintType); err != nil {
		return 0, err
	}
	v, _ := protowire.ConsumeVarint(f.value)
	return v, nil
}

func (f field) float() (float32, error) {
	if err := f.want(protowire.Fixed32Type); err != nil {
		return 0, err
	}
	v, _ := protowire.ConsumeFixed32(f.value)
	return math.Float32frombits(v), nil
}
