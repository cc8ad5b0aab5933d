package infer

import (
	"context"
	"fmt"

	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// Decode reads ids as the text of a sound and returns the logits of what follows,
// one for each token id. see, which may be nil, is shown the logits of every token.
func (n *Whisper) Decode(ctx context.Context, sound *Sound, ids []int32, see trace.Func) ([]float32, error) {
	t := n.newTexts(sound, 1)
	defer t.close()
	last := []int{len(ids) - 1}
	if see != nil {
		last = last[:0]
		for i := range ids {
			last = append(last, i)
		}
	}
	logits, err := t.forward(ctx, ids, last, see)
	if err != nil {
		return nil, err
	}
	return logits[len(logits)-n.vocab:], nil
}

// whisperTexts are texts of one sound, all equally long, that are continued beside
// each other.
type whisperTexts struct {
	model  *Whisper
	sound  *Sound
	count  int            // texts
	used   int            // tokens of each
	caches []whisperCache // of the texts; the others are free
}

// whisperCache holds the keys and values of a text, a layer each, [text context, width].
type whisperCache struct{ keys, values []Buffer }

// newTexts returns one text without tokens, with room for most.
func (n *Whisper) newTexts(sound *Sound, most int) *whisperTexts {
	t := &whisperTexts{model: n, sound: sound, count: 1, caches: make([]whisperCache, most)}
	for i := range t.caches {
		c := &t.caches[i]
		for range n.text.layers {
			c.keys = append(c.keys, n.backend.Alloc(n.text.context*n.text.width))
			c.values = append(c.values, n.backend.Alloc(n.text.context*n.text.width))
		}
	}
	return t
}

func (t *whisperTexts) close() {
	for _, c := range t.caches {
		for i := range c.keys {
			t.model.backend.Free(c.keys[i])
			t.model.backend.Free(c.values[i])
		}
	}
}

// keep replaces the texts: the new text i is what text sources[i] was.
func (t *whisperTexts) keep(sources []int) {
	next := make([]whisperCache, len(sources), len(t.caches))
	moved := make([]bool, len(t.caches))
	var copied []int
	for i, s := range sources {
		if moved[s] {
			copied = append(copied, i)
			continue
		}
		next[i], moved[s] = t.caches[s], true
	}
	var free []whisperCache
	for s, c := range t.caches {
		if !moved[s] {
			free = append(free, c)
		}
	}
	for j, i := range copied {
		t.copy(free[j], t.caches[sources[i]])
		next[i] = free[j]
	}
	t.caches, t.count = append(next, free[len(copied):]...), len(sources)
}

func (t *whisperTexts) copy(to, from whisperCache) {
	n := t.used * t.model.text.width
	for i := range to.keys {
		t.model.backend.Copy(to.keys[i], 0, from.keys[i], 0, n)
		t.model.backend.Copy(to.values[i], 0, from.values[i], 0, n)
	}
}

// forward appends ids, equally many to each text, those of the first text first. It
// returns the logits of the rows that want lists, in its order.
func (t *whisperTexts) forward(ctx context.Context, ids []int32, want []int, see trace.Func) ([]float32, error) {
	each := len(ids) / t.count
	if err := t.check(ids, each); err != nil {
		return nil, err
	}
	n, s := t.model, &t.model.text
	r := newWhisperRows(len(ids), s, shown{backend: n.backend, see: see, part: trace.Decoder, layer: -1})
	defer r.free()
	n.backend.Gather(r.stream, n.embedding, ids)
	n.backend.Gather(r.out, s.positions, t.places(len(ids), each))
	n.backend.Add(r.stream, r.out, r.n*s.width)
	r.showRows(trace.Embedding, r.stream)
	for i := range s.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.layer = i
		t.layer(r, i, each)
		if r.err != nil {
			return nil, r.err
		}
	}
	r.layer = -1
	t.used += each
	r.normalize(trace.FinalNorm, s.norm)
	return t.logits(r, want)
}

func (t *whisperTexts) check(ids []int32, each int) error {
	if len(ids) == 0 || len(ids) != each*t.count {
		return fmt.Errorf("infer: %d tokens for %d texts: %w", len(ids), t.count, tensor.ErrNotFound)
	}
	if room := t.model.text.context - t.used; each > room {
		return fmt.Errorf("infer: %d tokens after %d of a context of %d: %w", each, t.used, t.model.text.context, tensor.ErrTooLarge)
	}
	for _, id := range ids {
		if id < 0 || int(id) >= t.model.vocab {
			return fmt.Errorf("infer: token id %d of a vocabulary of %d: %w", id, t.model.vocab, tensor.ErrNotFound)
		}
	}
	return nil
}

// places returns the positions of n rows.
func (t *whisperTexts) places(n, each int) []int32 {
	at := make([]int32, n)
	for i := range at {
		at[i] = int32(t.used + i%each) //nolint:gosec // below the context
	}
	return at
}

// layer is layer i of the decoder.
func (t *whisperTexts) layer(r *whisperRows, i, each int) {
	l, s, b := &t.model.text.layers[i], &t.model.text, t.model.backend
	r.attend(&l.attn, selfOps, func() {
		r.keysAndValues(&l.attn)
		t.attendToText(r, i, each)
	})
	r.attend(&l.cross, crossOps, func() {
		b.Attend(r.weighed, r.q, t.sound.keys[i], t.sound.values[i], s.attention(r.n, t.model.audio.context))
	})
	r.feedForward(l)
}

// attendToText makes r.weighed: each text attends to itself. The rows of a text are
// moved to where a backend wants them, at the beginning of a buffer.
func (t *whisperTexts) attendToText(r *whisperRows, i, each int) {
	s, b := &t.model.text, t.model.backend
	heads := s.attention(each, t.used+each)
	heads.Causal = true
	size := each * s.width
	q, y := r.q, r.weighed
	if t.count > 1 {
		q, y = b.Alloc(size), b.Alloc(size)
		defer b.Free(q)
		defer b.Free(y)
	}
	for j, c := range t.caches[:t.count] {
		b.Copy(c.keys[i], t.used*s.width, r.k, j*size, size)
		b.Copy(c.values[i], t.used*s.width, r.v, j*size, size)
		if t.count > 1 {
			b.Copy(q, 0, r.q, j*size, size)
		}
		b.Attend(y, q, c.keys[i], c.values[i], heads)
		if t.count > 1 {
			b.Copy(r.weighed, j*size, y, 0, size)
		}
	}
}

// logits returns those of the rows that want lists.
func (t *whisperTexts) logits(r *whisperRows, want []int) ([]float32, error) {
	b, width, vocab := t.model.backend, t.model.text.width, t.model.vocab
	for i, row := range want {
		b.Copy(r.out, i*width, r.normed, row*width, width)
	}
	y := b.Alloc(len(want) * vocab)
	defer b.Free(y)
	b.MatMul(y, t.model.embedding, nil, r.out, len(want))
	logits := make([]float32, len(want)*vocab)
	r.fail(b.Read(logits, y, 0))
	r.show(trace.Logits, y, len(want), vocab)
	return logits, r.err
}
