package tokenizer

import (
	"fmt"
	"strings"
)

// spaceMarked makes a "llama" vocabulary. Its scores order merges as the file
// does; runtimes need nothing else of them.
func (t *hfFile) spaceMarked(Options, *sidecar) (*Vocab, error) {
	if !t.model.ByteFallback {
		return nil, fmt.Errorf("%w: the pre-tokenizer (%s) does not map text to bytes and the model has no byte_fallback", ErrUnsupported, describe(steps(t.preTokenizers)))
	}
	v := &Vocab{Model: "llama", Pre: "default", AddSpacePrefix: ptr(false)}
	if err := t.markSpaces(v); err != nil {
		return nil, err
	}
	if err := t.fill(v); err != nil {
		return nil, err
	}
	v.Scores = t.scores(v)
	v.Merges = nil
	return v, nil
}

// markSpaces checks that text reaches the model as SentencePiece would hand it
// on: spaces as "▁", nothing split before merging.
func (t *hfFile) markSpaces(v *Vocab) error {
	marked := false
	for _, n := range t.normalizers {
		switch {
		case n.Type == "Replace" && n.replaces(" ", "▁"):
			marked = true
		case n.Type == "Prepend" && n.Prepend == "▁":
			v.AddSpacePrefix = ptr(true)
		default:
			return fmt.Errorf("%w: text is normalized by %s, which the form for space-marked vocabularies cannot say", ErrUnsupported, n.Type)
		}
	}
	for _, p := range t.preTokenizers {
		switch {
		case p.Type == "Metaspace":
			marked = true
			if p.Split == nil || *p.Split {
				if err := t.oneWordTokens(); err != nil {
					return err
				}
			}
			if p.PrependScheme != "never" && p.prefixesSpace() {
				v.AddSpacePrefix = ptr(true)
			}
		case p.Type == "Split" && p.Pattern.is(" ") && marked:
			// No space is left to split at.
		default:
			return fmt.Errorf("%w: text is split by %s before merging, which runtimes do not do for space-marked vocabularies", ErrUnsupported, describe(steps(t.preTokenizers)))
		}
	}
	if !marked {
		return fmt.Errorf("%w: the model falls back to bytes but spaces are not written as ▁", ErrUnsupported)
	}
	return nil
}

// oneWordTokens checks that splitting before every "▁" makes no difference to
// merging: no merge reaches over one.
func (t *hfFile) oneWordTokens() error {
	for _, m := range t.model.Merges {
		if strings.LastIndex(m.result(), "▁") > 0 {
			return fmt.Errorf("%w: text is split at spaces before merging (Metaspace), but the merge %s and %s reaches over one", ErrUnsupported, quote(m.left()), quote(m.right()))
		}
	}
	return nil
}

func (c component) replaces(old, with string) bool {
	return c.Pattern.is(old) && c.Content != nil && *c.Content == with
}

// scores gives the token that the first merge makes the score 0, the next -1 and
// so on, as SentencePiece trains them; tokens that no merge makes come last, bytes
// and added tokens have 0. float32 holds these numbers exactly.
func (t *hfFile) scores(v *Vocab) []float32 {
	order := make(map[string]int, len(t.model.Merges))
	for i, m := range t.model.Merges {
		if _, ok := order[m.result()]; !ok {
			order[m.result()] = i
		}
	}
	scores := make([]float32, len(v.Tokens))
	for id, text := range v.Tokens {
		if v.Types[id] != Normal {
			continue
		}
		rank, ok := order[text]
		if !ok {
			rank = len(t.model.Merges) + id
		}
		scores[id] = -float32(rank)
	}
	return scores
}

func isByteToken(s string) bool {
	if len(s) != len("<0x00>") || s[:3] != "<0x" || s[5] != '>' {
		return false
	}
	return isHex(s[3]) && isHex(s[4])
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}
