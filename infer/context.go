package infer

import (
	"context"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/infer/trace"
	"github.com/smelt-project/smelt/tensor"
)

// A Context is a text that a Llama is reading: the keys and values of what it has
// read so far.
type Context struct {
	model  *Llama
	size   int // tokens that it may hold
	room   int // tokens that there is memory for
	used   int
	keys   []Buffer // a layer each, [room, kvHeads·dim]
	values []Buffer
	logits []float32

	// What a batch of rows tokens is computed in, [rows, …] each.
	rows                       int
	stream, normed, out        Buffer
	q, k, v, weighed, gate, up Buffer
}

// batch is how many tokens are computed at a time: enough that each weight is
// read rarely, and the memory for activations is small.
const batch = 512

// NewContext returns a context for at most size tokens. Its memory grows with what
// it reads; Close frees it.
func (n *Llama) NewContext(size int) *Context {
	return &Context{model: n, size: size, keys: make([]Buffer, len(n.layers)), values: make([]Buffer, len(n.layers))}
}

// grow makes room for the keys and values of n tokens.
func (c *Context) grow(n int) {
	if n <= c.room {
		return
	}
	room := min(c.size, max(n, 2*c.room))
	for i := range c.keys {
		c.keys[i] = c.moved(c.keys[i], room)
		c.values[i] = c.moved(c.values[i], room)
	}
	c.room = room
}

// moved returns a buffer for room tokens with what has been read of old.
func (c *Context) moved(old Buffer, room int) Buffer {
	b, width := c.model.backend, c.model.kvHeads*c.model.dim
	x := b.Alloc(room * width)
	if old != nil {
		b.Copy(x, 0, old, 0, c.used*width)
		b.Free(old)
	}
	return x
}

// Len returns how many tokens have been read.
func (c *Context) Len() int { return c.used }

// Truncate forgets the tokens from n on.
func (c *Context) Truncate(n int) { c.used = min(c.used, n) }

// Logits returns those of the last token that was read, one for each token id.
// They are overwritten by the next Forward.
func (c *Context) Logits() []float32 { return c.logits }

// Close frees the memory of the context.
func (c *Context) Close() {
	if c.room > 0 {
		for i := range c.keys {
			c.model.backend.Free(c.keys[i])
			c.model.backend.Free(c.values[i])
		}
		c.room = 0
	}
	c.free()
}

// Forward reads ids. A text longer than 512 tokens is computed, and shown to see,
// in parts of that size. see may be nil; with it, the logits of every token are
// computed.
func (c *Context) Forward(ctx context.Context, ids []int32, see trace.Func) error {
	if len(ids) == 0 {
		return fmt.Errorf("infer: no tokens: %w", tensor.ErrNotFound)
	}
	if len(ids) > c.size-c.used {
		return fmt.Errorf("infer: %d tokens after %d of a context of %d: %w", len(ids), c.used, c.size, tensor.ErrTooLarge)
	}
	for _, id := range ids {
		if id < 0 || int(id) >= c.model.vocab {
			return fmt.Errorf("infer: token id %d of a vocabulary of %d: %w", id, c.model.vocab, tensor.ErrNotFound)
		}
	}
	for len(ids) > 0 {
		n := min(batch, len(ids))
		if err := c.forward(ctx, ids[:n], n == len(ids), see); err != nil {
			return err
		}
		c.used += n
		ids = ids[n:]
	}
	return nil
}

// alloc makes the buffers of n rows.
func (c *Context) alloc(n int) {
	if n <= c.rows {
		return
	}
	c.free()
	m, b := c.model, c.model.backend
	for _, row := range c.activations() {
		*row.buffer = b.Alloc(n * row.width(m))
	}
	c.rows = n
}

// free lets go of what alloc made.
func (c *Context) free() {
	if c.rows == 0 {
		return
	}
	for _, row := range c.activations() {
		c.model.backend.Free(*row.buffer)
	}
	c.rows = 0
}

// An activation is a buffer of rows of that width.
type activation struct {
	buffer *Buffer
	width  func(*Llama) int
}

func (c *Context) activations() []activation {
	stream := func(m *Llama) int { return m.width }
	queries := func(m *Llama) int { return m.heads * m.dim }
	keys := func(m *Llama) int { return m.kvHeads * m.dim }
	hidden := func(m *Llama) int { return m.hidden }
	return []activation{
		{&c.stream, stream}, {&c.normed, stream}, {&c.out, stream},
		{&c.q, queries}, {&c.weighed, queries}, {&c.k, keys}, {&c.v, keys},
		{&c.gate, hidden}, {&c.up, hidden},
	}
}

// forward reads at most batch tokens; last tells that their logits are wanted.
func (c *Context) forward(ctx context.Context, ids []int32, last bool, see trace.Func) error {
	m, b, n := c.model, c.model.backend, len(ids)
	c.alloc(n)
	c.grow(c.used + n)
	s := &shown{backend: b, see: see, part: trace.Decoder, layer: -1}
	b.Gather(c.stream, m.embedding, ids)
	s.show(trace.Embedding, c.stream, n, m.width)
	for i := range m.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.layer = i
		c.attend(s, i, n)
		c.feedForward(s, &m.layers[i], n)
		s.show(trace.Residual, c.stream, n, m.width)
		if s.err != nil {
			return s.err
		}
	}
	s.layer = -1
	b.RMSNorm(c.normed, c.stream, m.norm, n, m.eps)
	s.show(trace.FinalNorm, c.normed, n, m.width)
	switch {
	case s.err != nil:
		return s.err
	case see != nil:
		return c.allLogits(s, n)
	case last:
		return c.lastLogits(n - 1)
	}
	return b.Read(nil, c.stream, 0) // what has failed, if anything
}

func (c *Context) attend(s *shown, i, n int) {
	m, b, l := c.model, c.model.backend, &c.model.layers[i]
	b.RMSNorm(c.normed, c.stream, l.attnNorm, n, m.eps)
	s.show(trace.AttnNorm, c.normed, n, m.width)
	b.MatMul(c.q, l.q, l.qBias, c.normed, n)
	b.MatMul(c.k, l.k, l.kBias, c.normed, n)
	b.MatMul(c.v, l.v, l.vBias, c.normed, n)
	if l.qNorm != nil {
		b.RMSNorm(c.q, c.q, l.qNorm, n*m.heads, m.eps)
	}
	if l.kNorm != nil {
		b.RMSNorm(c.k, c.k, l.kNorm, n*m.kvHeads, m.eps)
	}
	b.Rotate(c.q, n, m.heads, m.dim, c.used, m.rotation)
	b.Rotate(c.k, n, m.kvHeads, m.dim, c.used, m.rotation)
	keys := m.kvHeads * m.dim
	s.show(trace.AttnQ, c.q, n, m.heads*m.dim)
	s.show(trace.AttnK, c.k, n, keys)
	s.show(trace.AttnV, c.v, n, keys)
	b.Copy(c.keys[i], c.used*keys, c.k, 0, n*keys)
	b.Copy(c.values[i], c.used*keys, c.v, 0, n*keys)
	b.Attend(c.weighed, c.q, c.keys[i], c.values[i], Heads{
		Heads: m.heads, KVHeads: m.kvHeads, Dim: m.dim, Queries: n, Keys: c.used + n,
		Scale: float32(1 / math.Sqrt(float64(m.dim))), Causal: true,
	})
	s.show(trace.AttnContext, c.weighed, n, m.heads*m.dim)
	b.MatMul(c.out, l.out, l.oBias, c.weighed, n)
	s.show(trace.AttnOut, c.out, n, m.width)
	b.Add(c.stream, c.out, n*m.width)
}

func (c *Context) feedForward(s *shown, l *llamaLayer, n int) {
	m, b := c.model, c.model.backend
	b.RMSNorm(c.normed, c.stream, l.ffnNorm, n, m.eps)
	s.show(trace.FFNNorm, c.normed, n, m.width)
	b.MatMul(c.gate, l.gate, l.gateBias, c.normed, n)
	s.show(trace.FFNGate, c.gate, n, m.hidden)
	b.MatMul(c.up, l.up, l.upBias, c.normed, n)
	s.show(trace.FFNUp, c.up, n, m.hidden)
	b.SwiGLU(c.gate, c.gate, c.up, n*m.hidden)
	s.show(trace.FFNActivation, c.gate, n, m.hidden)
	b.MatMul(c.out, l.down, l.downBias, c.gate, n)
	s.show(trace.FFNOut, c.out, n, m.width)
	b.Add(c.stream, c.out, n*m.width)
}

// lastLogits keeps those of row t.
func (c *Context) lastLogits(t int) error {
	m, b := c.model, c.model.backend
	b.Copy(c.out, 0, c.normed, t*m.width, m.width)
	logits := b.Alloc(m.vocab)
	defer b.Free(logits)
	b.MatMul(logits, m.output, m.outputBias, c.out, 1)
	c.logits = sized(c.logits, m.vocab)
	return b.Read(c.logits, logits, 0)
}

// logitElems is how many logits are computed at a time.
const logitElems = 1 << 24

// allLogits shows those of n rows, some rows at a time, and keeps the last.
func (c *Context) allLogits(s *shown, n int) error {
	m, b := c.model, c.model.backend
	rows := min(n, max(1, logitElems/m.vocab))
	logits := b.Alloc(rows * m.vocab)
	defer b.Free(logits)
	for t := 0; t < n; t += rows {
		count := min(rows, n-t)
		b.Copy(c.out, 0, c.normed, t*m.width, count*m.width)
		b.MatMul(logits, m.output, m.outputBias, c.out, count)
		s.show(trace.Logits, logits, count, m.vocab)
		if t+count == n {
			c.logits = sized(c.logits, m.vocab)
			s.fail(b.Read(c.logits, logits, (count-1)*m.vocab))
		}
	}
	return s.err
}
