package infer

import "github.com/smelt-project/smelt/infer/trace"

// whisperRows are rows of the stream of one stack of a Whisper, and what a layer
// computes with them.
type whisperRows struct {
	shown
	stack *whisperStack
	n     int // rows

	stream, normed, out, q, k, v, weighed Buffer // [rows, width]
	hidden                                Buffer // [rows, 4·width]
}

func newWhisperRows(n int, stack *whisperStack, s shown) *whisperRows {
	r := &whisperRows{shown: s, stack: stack, n: n}
	for _, b := range r.buffers() {
		*b = s.backend.Alloc(n * stack.width)
	}
	r.hidden = s.backend.Alloc(4 * n * stack.width)
	return r
}

func (r *whisperRows) buffers() []*Buffer {
	return []*Buffer{&r.stream, &r.normed, &r.out, &r.q, &r.k, &r.v, &r.weighed}
}

func (r *whisperRows) free() {
	for _, b := range r.buffers() {
		r.backend.Free(*b)
	}
	r.backend.Free(r.hidden)
}

// showRows shows rows of the stack's width.
func (r *whisperRows) showRows(op trace.Op, x Buffer) { r.show(op, x, r.n, r.stack.width) }

// multiply makes y, rows of the stack's width, from x.
func (r *whisperRows) multiply(op trace.Op, y Buffer, m affine, x Buffer) {
	r.backend.MatMul(y, m.w, m.b, x, r.n)
	r.showRows(op, y)
}

// normalize makes r.normed.
func (r *whisperRows) normalize(op trace.Op, norm affine) {
	r.backend.LayerNorm(r.normed, r.stream, norm.w, norm.b, r.n, whisperEps)
	r.showRows(op, r.normed)
}

// attentionOps are the places in an attention.
type attentionOps struct{ norm, q, context, out trace.Op }

var (
	selfOps  = attentionOps{trace.AttnNorm, trace.AttnQ, trace.AttnContext, trace.AttnOut}
	crossOps = attentionOps{trace.CrossNorm, trace.CrossQ, trace.CrossContext, trace.CrossOut}
)

// attend adds an attention to the stream; weigh makes r.weighed from r.q, and
// r.normed.
func (r *whisperRows) attend(a *whisperAttention, at attentionOps, weigh func()) {
	r.normalize(at.norm, a.norm)
	r.multiply(at.q, r.q, a.q, r.normed)
	weigh()
	r.showRows(at.context, r.weighed)
	r.multiply(at.out, r.out, a.out, r.weighed)
	r.backend.Add(r.stream, r.out, r.n*r.stack.width)
}

// keysAndValues makes r.k and r.v.
func (r *whisperRows) keysAndValues(a *whisperAttention) {
	r.multiply(trace.AttnK, r.k, a.k, r.normed)
	r.multiply(trace.AttnV, r.v, a.v, r.normed)
}

// feedForward adds the feed-forward of a layer to the stream.
func (r *whisperRows) feedForward(l *whisperLayer) {
	width := 4 * r.stack.width
	r.normalize(trace.FFNNorm, l.norm)
	r.backend.MatMul(r.hidden, l.up.w, l.up.b, r.normed, r.n)
	r.show(trace.FFNUp, r.hidden, r.n, width)
	r.backend.GELU(r.hidden, r.hidden, r.n*width)
	r.show(trace.FFNActivation, r.hidden, r.n, width)
	r.multiply(trace.FFNOut, r.out, l.down, r.hidden)
	r.backend.Add(r.stream, r.out, r.n*r.stack.width)
	r.showRows(trace.Residual, r.stream)
}
