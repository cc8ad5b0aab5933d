package tokenizer

// An encoder appends the ids of a text without special tokens.
type encoder interface {
	encode(ids []int32, text string) []int32
}

// An algorithm is what tokenizer.ggml.model names.
type algorithm struct {
	build func(v *Vocab, types []TokenType) (encoder, error)
	// spell gives the bytes of a normal token.
	spell func(token string) []byte
	// addsSpace: a space is put before a text unless the metadata says otherwise,
	// and taken off again; marksWords: tokens mark the first word as they mark any.
	addsSpace, marksWords bool
	// The tokens that belong around a text, and whether they are added where the
	// metadata does not say.
	first, last Role
	addFirst    func(*Vocab) bool
	addLast     bool
	// special gives the ids of roles that metadata leaves out.
	special map[Role]int
}

func always(*Vocab) bool { return true }

// impliedBOS reports whether the pre-tokenizer means that BOS begins a text.
func impliedBOS(v *Vocab) bool {
	pre := named(v.Pre)
	return pre != nil && pre.addBOS && v.token(BOS) >= 0
}

var algorithms = map[string]algorithm{
	"llama": {
		build: newScoreBPE, spell: spellSpaces, addsSpace: true, first: BOS, last: EOS, addFirst: always,
		special: map[Role]int{BOS: 1, EOS: 2, UNK: 0},
	},
	"gpt2": {build: newByteBPE, spell: spellBytes, first: BOS, last: EOS, addFirst: impliedBOS},
	"bert": {
		build: newWordPiece, spell: spellSpaces, marksWords: true, first: CLS, last: SEP, addFirst: always, addLast: true,
		special: map[Role]int{CLS: 101, SEP: 102, UNK: 100, PAD: 0, MASK: 103},
	},
}

func spellSpaces(token string) []byte { return []byte(unescapeSpaces(token)) }

// spellBytes: a token that is not written in the byte alphabet is text.
func spellBytes(token string) []byte {
	if raw, ok := DecodeBytes(token); ok {
		return raw
	}
	return []byte(token)
}

// endTokens are the tokens that end a generation whatever the metadata says of
// them, unless a vocabulary also has a token that gives them another meaning
// (llama.cpp src/llama-vocab.cpp, special_eog_ids).
var endTokens = []struct{ text, unless string }{
	{text: "<|eot_id|>"}, {text: "<|im_end|>"}, {text: "<|return|>"}, {text: "<|call|>"}, {text: "<|calls|>"},
	{text: "<|flush|>"}, {text: "<end_of_turn>"}, {text: "<|endoftext|>"}, {text: "<|eom_id|>"}, {text: "<EOT>"},
	{text: "_<EOT>"}, {text: "[EOT]"}, {text: "[EOS]"}, {text: "<|end_of_text|>"}, {text: "<end_of_utterance>"},
	{text: "<eos>"}, {text: "<turn|>"}, {text: "<|tool_response>"}, {text: "<｜end▁of▁sentence｜>"}, {text: "[e~["},
	{text: "<|end|>", unless: "<|call|>"},
	{text: "</s>", unless: "<|tool_response>"},
}
