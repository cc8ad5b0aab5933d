package tokenizer

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

type whisperTokens struct {
	SOT            int32
	EOT            int32
	Transcribe     int32
	Translate      int32
	SOTLM          int32    `json:"sot_lm"`
	SOTPrev        int32    `json:"sot_prev"`
	NoSpeech       int32    `json:"no_speech"`
	NoTimestamps   int32    `json:"no_timestamps"`
	TimestampBegin int32    `json:"timestamp_begin"`
	SOTSequence    []int32  `json:"sot_sequence"`
	NonSpeech      []int32  `json:"non_speech_tokens"`
	Vocab          int      `json:"n_vocab"`
	LanguageTokens []int32  `json:"language_tokens"`
	LanguageCodes  []string `json:"language_codes"`
}

// testdata/whisper_special.json is what openai-whisper 20250625 says of its three tokenizers.
func TestWhisperTokensAreOpenAIs(t *testing.T) {
	for name, want := range loadTestdata[map[string]whisperTokens](t, "whisper_special.json") {
		w := whisperOf(t, want.Vocab)
		for _, c := range []struct {
			what      string
			got, want int32
		}{
			{"sot", w.SOT, want.SOT},
			{"eot", w.EOT, want.EOT},
			{"transcribe", w.Transcribe, want.Transcribe},
			{"translate", w.Translate, want.Translate},
			{"sot_lm", w.SOTLM, want.SOTLM},
			{"sot_prev", w.SOTPrev, want.SOTPrev},
			{"no_speech", w.NoSpeech, want.NoSpeech},
			{"no_timestamps", w.NoTimestamps, want.NoTimestamps},
			{"timestamp_begin", w.TimestampBegin, want.TimestampBegin},
		} {
			if c.got != c.want {
				t.Errorf("%s: %s is %d, want %d", name, c.what, c.got, c.want)
			}
		}
		if got := w.NonSpeech(); !slices.Equal(got, want.NonSpeech) {
			t.Errorf("%s: NonSpeech\n got %v\nwant %v", name, got, want.NonSpeech)
		}
		if got, err := w.Start("en", w.Transcribe); err != nil || !slices.Equal(got, want.SOTSequence) {
			t.Errorf("%s: Start = %v, %v, want %v", name, got, err, want.SOTSequence)
		}
		for i, code := range want.LanguageCodes {
			if id, ok := w.Language(code); !ok || id != want.LanguageTokens[i] {
				t.Errorf("%s: Language(%s) = %d, %v, want %d", name, code, id, ok, want.LanguageTokens[i])
			}
		}
	}
}

// whisperOf makes each tokenizer once, because recovering the merges takes a while.
func whisperOf(t testing.TB, nVocab int) *Whisper {
	t.Helper()
	w, err := whisperTokenizers[nVocab]()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var whisperTokenizers = map[int]func() (*Whisper, error){
	51864: whisperOnce(51864), 51865: whisperOnce(51865), 51866: whisperOnce(51866),
}

func whisperOnce(nVocab int) func() (*Whisper, error) {
	return sync.OnceValues(func() (*Whisper, error) {
		v, err := WhisperGGUF(nVocab)
		if err != nil {
			return nil, err
		}
		return v.Whisper()
	})
}

func TestWhisperLanguagesGrowWithTheVocabulary(t *testing.T) {
	for n, want := range map[int]int{51864: 99, 51865: 99, 51866: 100} {
		if w := whisperOf(t, n); len(w.Languages) != want || w.Languages[0].Code != "en" {
			t.Errorf("%d tokens: %d languages from %s, want %d from en", n, len(w.Languages), w.Languages[0].Code, want)
		}
	}
	if _, err := whisperOf(t, 51865).Start("yue", 0); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Start(yue) before large-v3 = %v, want %v", err, ErrUnsupported)
	}
}

func TestWhisperTimestampsAre20Milliseconds(t *testing.T) {
	w := whisperOf(t, 51865)
	for _, c := range []struct {
		id   int32
		want time.Duration
		ok   bool
	}{
		{w.TimestampBegin - 1, 0, false},
		{w.TimestampBegin, 0, true},
		{w.TimestampBegin + 1, 20 * time.Millisecond, true},
		{w.TimestampBegin + 1500, 30 * time.Second, true},
		{w.TimestampBegin + 1501, 0, false},
	} {
		if at, ok := w.Timestamp(c.id); at != c.want || ok != c.ok {
			t.Errorf("Timestamp(%d) = %v, %v, want %v, %v", c.id, at, ok, c.want, c.ok)
		}
	}
}

func TestWhisperNeedsTheSteeringTokens(t *testing.T) {
	v, err := WhisperGGUF(51864)
	if err != nil {
		t.Fatal(err)
	}
	v.Tokens[slices.Index(v.Tokens, "<|nospeech|>")] = "<|speech|>"
	if _, err := v.Whisper(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Whisper() without <|nospeech|> = %v, want %v", err, ErrCorrupt)
	}
}

// The transcripts are those of openai-whisper: text tokens and timestamps in one list.
func TestWhisperTranscriptsDecode(t *testing.T) {
	for name, n := range map[string]int{"base": 51865, "tiny.en": 51864} {
		w := whisperOf(t, n)
		var golden struct {
			Greedy struct {
				Text     string
				Segments []struct {
					Text   string
					Tokens []int32
				}
			}
		}
		if err := json.Unmarshal([]byte(readString(t, sharedFile(t, "golden", "whisper", name, "golden.json"))), &golden); err != nil {
			t.Fatal(err)
		}
		for _, s := range golden.Greedy.Segments {
			if got := w.Decode(s.Tokens); got != s.Text {
				t.Errorf("%s: Decode(%v) = %q, want %q", name, s.Tokens, got, s.Text)
			}
		}
	}
}

func TestNothingThatSteersIsChosen(t *testing.T) {
	w := whisperOf(t, 51865)
	suppressed := w.Suppressed()
	for _, id := range []int32{w.SOT, w.Transcribe, w.Translate, w.SOTPrev, w.SOTLM, w.NoSpeech} {
		if !slices.Contains(suppressed, id) {
			t.Errorf("Suppressed lacks %d", id)
		}
	}
	if slices.Contains(suppressed, w.EOT) || slices.Contains(suppressed, w.NoTimestamps) {
		t.Error("Suppressed has the end or <|notimestamps|>")
	}
	if want := []int32{220, w.EOT}; !slices.Equal(w.Blank(), want) {
		t.Errorf("Blank() = %v, want %v", w.Blank(), want)
	}
}
