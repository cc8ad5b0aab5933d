package verify

import (
	"fmt"

	"github.com/smelt-project/smelt/tokenizer"
)

// prompts are what language models read if nothing else is asked: short, because
// each token is computed twice, and unlike each other.
var prompts = []string{
	"Once upon a time, there was a little girl who lived in a village near the forest.",
	"def area(radius):\n    return 3.14159 * radius ** 2\n",
	"La capitale de la France est Paris. Die Hauptstadt von Österreich ist",
}

// Of one probe: tokens, and logits, of which those of both models are kept.
const (
	maxProbe  = 512
	maxLogits = 1 << 25
)

// drawnTokens is how many ids are drawn where there is no vocabulary.
const drawnTokens = 24

// textProbes returns the ids of the texts that a language model reads.
func textProbes(v *verifier) ([]probe, error) {
	meta := v.Canonical.Model.Meta
	size, _ := meta.Int(v.architecture() + ".vocab_size")
	room := max(min(maxProbe, maxLogits/max(size, 1)), 1)
	if n, ok := meta.Int(v.architecture() + ".context_length"); ok && n > 0 {
		room = min(room, n)
	}
	texts := prompts
	if v.Text != "" {
		texts = []string{v.Text}
	}
	t, err := tokenizerOf(meta)
	if err != nil {
		if v.Text != "" {
			return nil, fmt.Errorf("the text becomes no tokens: the original's vocabulary: %w", err)
		}
		return []probe{{name: "token ids", ids: drawn(size)}}, nil
	}
	var out []probe
	for _, text := range texts {
		ids := t.Encode(text, tokenizer.EncodeOptions{BOS: true})
		if int64(len(ids)) > room {
			v.leaveOut("all but the first %d of %d tokens of a text", room, len(ids))
			ids = ids[:room]
		}
		out = append(out, probe{name: text, ids: ids})
	}
	return out, nil
}

// drawn returns ids that are spread over a vocabulary.
func drawn(size int64) []int32 {
	ids := make([]int32, drawnTokens)
	for i := range ids {
		ids[i] = int32(int64(i+1) * 7919 % max(size, 1)) //nolint:gosec // below the size of a vocabulary
	}
	return ids
}
