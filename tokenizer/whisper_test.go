package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"testing"
)

type whisperFacts struct {
	Vocabularies map[int]struct {
		Tokens int
		SHA256 string
	}
	GPT2 struct {
		Tokens, Merges string
		NMerges        int `json:"n_merges"`
	}
	Mel     map[int]string
	Special map[int]struct {
		SOT            int
		EOT            int
		Transcribe     int
		Translate      int
		SotLM          int      `json:"sot_lm"`
		SotPrev        int      `json:"sot_prev"`
		NoSpeech       int      `json:"no_speech"`
		NoTimestamps   int      `json:"no_timestamps"`
		TimestampBegin int      `json:"timestamp_begin"`
		LanguageTokens []int    `json:"language_tokens"`
		LanguageCodes  []string `json:"language_codes"`
	}
}

func TestWhisperVocabEqualsWhatWhisperCppWrites(t *testing.T) {
	for n, want := range loadTestdata[whisperFacts](t, "whisper.json").Vocabularies {
		tokens, err := WhisperVocab(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := digest(tokens); len(tokens) != want.Tokens || got != want.SHA256 {
			t.Errorf("WhisperVocab(%d) = %d tokens, digest %s; want %d, %s", n, len(tokens), got, want.Tokens, want.SHA256)
		}
	}
}

func TestWhisperSpecialTokensHaveOpenAIsIds(t *testing.T) {
	for n, want := range loadTestdata[whisperFacts](t, "whisper.json").Special {
		v, err := WhisperGGUF(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Tokens) != n || len(v.Types) != n {
			t.Errorf("%d: %d tokens, %d types", n, len(v.Tokens), len(v.Types))
		}
		ids := map[string]int{
			"<|endoftext|>": want.EOT, "<|startoftranscript|>": want.SOT, "<|transcribe|>": want.Transcribe,
			"<|translate|>": want.Translate, "<|startoflm|>": want.SotLM, "<|startofprev|>": want.SotPrev,
			"<|nospeech|>": want.NoSpeech, "<|notimestamps|>": want.NoTimestamps,
			"<|0.00|>": want.TimestampBegin, "<|7.42|>": want.TimestampBegin + 371, "<|30.00|>": n - 1,
		}
		for i, code := range want.LanguageCodes {
			ids["<|"+code+"|>"] = want.LanguageTokens[i]
		}
		for text, id := range ids {
			if v.Tokens[id] != text || v.Types[id] != Control {
				t.Errorf("%d: token %d is %s of type %d, want %s of type %d", n, id, v.Tokens[id], v.Types[id], text, Control)
			}
		}
		if v.Special[BOS] != want.SOT || v.Special[EOS] != want.EOT {
			t.Errorf("%d: special ids %v, want bos %d and eos %d", n, v.Special, want.SOT, want.EOT)
		}
	}
}

func TestMergesRecoveredFromRanksAreThoseOfGPT2(t *testing.T) {
	want := loadTestdata[whisperFacts](t, "whisper.json").GPT2
	v, err := WhisperGGUF(51864)
	if err != nil {
		t.Fatal(err)
	}
	if got := digest(v.Merges); got != want.Merges || len(v.Merges) != want.NMerges {
		t.Errorf("%d merges, digest %s; want %d, %s", len(v.Merges), got, want.NMerges, want.Merges)
	}
	if got := digest(v.Tokens[:50257]); got != want.Tokens {
		t.Errorf("tokens have digest %s, want %s", got, want.Tokens)
	}
}

func TestEveryWhisperTokenIsByteWiseOrMerged(t *testing.T) {
	v, err := WhisperGGUF(51866)
	if err != nil {
		t.Fatal(err)
	}
	if want := 50257 - 256 - 1; len(v.Merges) != want {
		t.Errorf("%d merges, want one for each of the %d tokens of several bytes", len(v.Merges), want)
	}
	if v.Tokens[50256] != "" || v.Types[50256] != Unused {
		t.Errorf("token 50256 is %q of type %d, want the empty one, unused", v.Tokens[50256], v.Types[50256])
	}
}

func TestTokenThatMergingCannotReachIsCorrupt(t *testing.T) {
	tokens := [][]byte{[]byte("a"), []byte("b"), []byte("abb")}
	if _, err := newRanks(tokens).merges(tokens); !errors.Is(err, ErrCorrupt) {
		t.Errorf("merges = %v, want %v", err, ErrCorrupt)
	}
}

func TestMelFiltersEqualWhatWhisperCppWrites(t *testing.T) {
	for n, want := range loadTestdata[whisperFacts](t, "whisper.json").Mel {
		filters, err := MelFilters(n)
		if err != nil {
			t.Fatal(err)
		}
		var raw []byte
		for _, f := range filters {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
		if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != want {
			t.Errorf("MelFilters(%d) has digest %x, want %s", n, sum, want)
		}
	}
}

// The filters come from librosa.filters.mel(sr=16000, n_fft=400), which rounds to
// float32 twice: the ramp, then its product with the width. That is a relative
// error of at most 2^-23; 1e-12 covers the cancellation in ramps near zero, which
// are differences of float64 numbers below 10^4.
func TestMelFiltersAreSlaneysTriangles(t *testing.T) {
	for _, n := range []int{80, 128} {
		filters, err := MelFilters(n)
		if err != nil {
			t.Fatal(err)
		}
		edges := melEdges(n + 2)
		for m := range n {
			lo, mid, hi := edges[m], edges[m+1], edges[m+2]
			for k := range melBins {
				hz := float64(k) * 16000 / 400
				want := max(0, min((hz-lo)/(mid-lo), (hi-hz)/(hi-mid))) * 2 / (hi - lo)
				got := float64(filters[m*melBins+k])
				if !(math.Abs(got-want) <= math.Abs(want)*0x1p-23+1e-12) {
					t.Fatalf("MelFilters(%d)[%d,%d] = %g, want %g", n, m, k, got, want)
				}
			}
		}
	}
}

// melEdges returns n frequencies from 0 to 8000 Hz at equal distances on Slaney's
// mel scale: linear to 1000 Hz, logarithmic above.
func melEdges(n int) []float64 {
	const step, knee = 200.0 / 3, 15.0
	growth := math.Log(6.4) / 27
	top := knee + math.Log(8000.0/1000)/growth
	edges := make([]float64, n)
	for i := range edges {
		mel := top * float64(i) / float64(n-1)
		edges[i] = step * mel
		if mel >= knee {
			edges[i] = 1000 * math.Exp(growth*(mel-knee))
		}
	}
	return edges
}

func TestUnknownWhisperSizesAreUnsupported(t *testing.T) {
	for _, n := range []int{-1, 0, 50257, 51863, 51867, 1 << 40} {
		if _, err := WhisperVocab(n); !errors.Is(err, ErrUnsupported) {
			t.Errorf("WhisperVocab(%d) = %v, want %v", n, err, ErrUnsupported)
		}
		if _, err := WhisperGGUF(n); !errors.Is(err, ErrUnsupported) {
			t.Errorf("WhisperGGUF(%d) = %v, want %v", n, err, ErrUnsupported)
		}
		if _, err := MelFilters(n); !errors.Is(err, ErrUnsupported) {
			t.Errorf("MelFilters(%d) = %v, want %v", n, err, ErrUnsupported)
		}
	}
}

func ExampleWhisperGGUF() {
	v, err := WhisperGGUF(51865)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range v.Pairs()[:2] {
		fmt.Println(kv.Key, "=", kv.Value)
	}
	fmt.Println(len(v.Tokens), v.Tokens[50258], v.Tokens[50364])
	// Output:
	// tokenizer.ggml.model = gpt2
	// tokenizer.ggml.pre = gpt-2
	// 51865 <|startoftranscript|> <|0.00|>
}
