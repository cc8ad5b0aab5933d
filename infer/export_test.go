package infer

import "context"

// Texts gives tests the texts that a beam search continues.
type Texts struct{ *whisperTexts }

// NewTexts returns one text without tokens, with room for most.
func (n *Whisper) NewTexts(sound *Sound, most int) Texts { return Texts{n.newTexts(sound, most)} }

// Keep replaces the texts by those that sources lists.
func (t Texts) Keep(sources []int) { t.keep(sources) }

// Forward appends ids and returns the logits of the last token of each text.
func (t Texts) Forward(ctx context.Context, ids []int32) ([]float32, error) {
	var last []int
	for i := range t.count {
		last = append(last, (i+1)*len(ids)/t.count-1)
	}
	return t.forward(ctx, ids, last, nil)
}

// Close frees the texts.
func (t Texts) Close() { t.close() }
