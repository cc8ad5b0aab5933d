package tokenizer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Whisper is a tokenizer with the tokens that steer a Whisper model
// (openai/whisper whisper/tokenizer.py, Tokenizer). Encode gives text tokens,
// without the tokens around them.
type Whisper struct {
	*Tokenizer
	// SOT begins a transcript, EOT ends it, SOTPrev begins the text before it.
	SOT, EOT, SOTPrev, SOTLM int32
	// Transcribe and Translate name the task; English-only models have them but
	// were not trained with them.
	Transcribe, Translate int32
	NoSpeech              int32
	NoTimestamps          int32
	TimestampBegin        int32 // "<|0.00|>"; all ids from it on are timestamps
	// Languages lists the languages by ascending id.
	Languages []Language
}

// A Language is a token that names a language.
type Language struct {
	Code string // "en"
	ID   int32
}

// timestampStep is the time between two timestamps.
const timestampStep = 20 * time.Millisecond

// Whisper returns the tokenizer of a Whisper model. It fails with [ErrCorrupt] if
// a token that the model cannot do without is missing, and as [Vocab.Tokenizer] does.
func (v *Vocab) Whisper() (*Whisper, error) {
	t, err := v.Tokenizer()
	if err != nil {
		return nil, err
	}
	w := &Whisper{Tokenizer: t}
	steering := []struct {
		text string
		id   *int32
	}{
		{"<|startoftranscript|>", &w.SOT}, {"<|endoftext|>", &w.EOT}, {"<|startofprev|>", &w.SOTPrev}, {"<|startoflm|>", &w.SOTLM},
		{"<|transcribe|>", &w.Transcribe}, {"<|translate|>", &w.Translate},
		{"<|nospeech|>", &w.NoSpeech}, {"<|notimestamps|>", &w.NoTimestamps}, {"<|0.00|>", &w.TimestampBegin},
	}
	for _, s := range steering {
		at := slices.Index(t.tokens, s.text)
		if at < 0 {
			return nil, fmt.Errorf("%w: not the vocabulary of a Whisper model: it has no token %s", ErrCorrupt, s.text)
		}
		*s.id = int32(at) //nolint:gosec // below maxTokens
	}
	for id, text := range t.tokens {
		if code := languageCode(text); code != "" {
			w.Languages = append(w.Languages, Language{code, int32(id)})
		}
	}
	return w, nil
}

// languageCode returns the code of a language's token, "" for another text.
func languageCode(text string) string {
	code := strings.TrimSuffix(strings.TrimPrefix(text, "<|"), "|>")
	if len(code)+len("<||>") == len(text) && slices.Contains(whisperLanguages, code) {
		return code
	}
	return ""
}

// Multilingual reports whether the model knows languages other than English: the
// vocabulary of the others is one token shorter.
func (w *Whisper) Multilingual() bool { return w.EOT >= 50257 }

// Language returns the token of a language by its code; ok is false if the model
// does not know it.
func (w *Whisper) Language(code string) (id int32, ok bool) {
	for _, l := range w.Languages {
		if l.Code == code {
			return l.ID, true
		}
	}
	return 0, false
}

// Start returns the tokens that begin a transcript in a language, with task one of
// w.Transcribe and w.Translate. English-only models are told neither. It fails
// with [ErrUnsupported] for a language that the model does not know.
func (w *Whisper) Start(language string, task int32) ([]int32, error) {
	if !w.Multilingual() {
		return []int32{w.SOT}, nil
	}
	id, ok := w.Language(language)
	if !ok {
		codes := make([]string, len(w.Languages))
		for i, l := range w.Languages {
			codes[i] = l.Code
		}
		slices.Sort(codes)
		return nil, fmt.Errorf("%w: the language %s; the model knows %s", ErrUnsupported, strconv.Quote(language), strings.Join(codes, " "))
	}
	return []int32{w.SOT, id, task}, nil
}

// Timestamp returns the time that a token stands for; ok is false if it is no timestamp.
func (w *Whisper) Timestamp(id int32) (at time.Duration, ok bool) {
	if id < w.TimestampBegin || int(id) >= w.Len() {
		return 0, false
	}
	return time.Duration(id-w.TimestampBegin) * timestampStep, true
}

// NonSpeech returns the ids of symbols that are not spoken, such as musical notes
// and brackets around descriptions of sounds, in ascending order (openai/whisper
// whisper/tokenizer.py, non_speech_tokens).
func (w *Whisper) NonSpeech() []int32 {
	var ids []int32
	add := func(text string, whole bool) {
		if t := w.Encode(text, EncodeOptions{}); len(t) == 1 || len(t) > 0 && !whole {
			ids = append(ids, t[0])
		}
	}
	// A hyphen and an apostrophe are suppressed only where a word begins with them.
	add(" -", false)
	add(" '", false)
	for _, s := range strings.Fields(nonSpeech) {
		whole := !strings.Contains(musicSigns, s)
		add(s, whole)
		add(" "+s, whole)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

const (
	nonSpeech = `" # ( ) * + / : ; < = > @ [ \ ] ^ _ ` + "`" + ` { | } ~ 「 」 『 』
		<< >> <<< >>> -- --- -( -[ (' (" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪ ` + "♩ ♪ ♫ ♬ ♭ ♮ ♯"
	// musicSigns are suppressed by the first of their bytes, which no other
	// character in use begins with: U+2640 to U+267F.
	musicSigns = "♩♪♫♬♭♮♯"
)

// Suppressed returns the ids that are never chosen: those of [Whisper.NonSpeech]
// and the tokens that steer the model (openai/whisper whisper/decoding.py,
// _get_suppress_tokens).
func (w *Whisper) Suppressed() []int32 {
	ids := append(w.NonSpeech(), w.Transcribe, w.Translate, w.SOT, w.SOTPrev, w.SOTLM, w.NoSpeech)
	slices.Sort(ids)
	return ids
}

// Blank returns the ids that are not chosen first: a space and the end
// (openai/whisper whisper/decoding.py, SuppressBlank).
func (w *Whisper) Blank() []int32 { return append(w.Encode(" ", EncodeOptions{}), w.EOT) }
