// Package infer runs models: the forward passes of the architectures that smelt
// knows, over a small set of operations that each device implements.
package infer

import "github.com/smelt-project/smelt/tensor"

// A Buffer is an array of float32 that lives where a backend computes.
type Buffer interface {
	Len() int // elements
}

// A Weight is a tensor of a model as a backend holds it: in its stored type.
type Weight interface {
	Info() tensor.Info
}

// A Rotation is a rotary position embedding (RoFormer, arXiv:2104.09864): pair p
// of a head is turned by position × Frequencies[p].
type Rotation struct {
	Frequencies []float32 // radians per position, one a pair; its pairs are the first 2·len elements of a head
	// Halves: element p is paired with p+len(Frequencies), as in Hugging Face's
	// models and GPT-NeoX; otherwise 2p with 2p+1, as in Meta's.
	Halves bool
	// Magnitude multiplies the rotated elements; 0 is 1.
	Magnitude float32
}

// Heads describes an attention. q is [queries, heads·dim]; k and v are
// [keys, kvHeads·dim]; head h of q looks at head h·kvHeads/heads.
type Heads struct {
	Heads, KVHeads, Dim int
	Queries, Keys       int     // rows in use
	Scale               float32 // of the products of queries and keys
	// Causal: query i sees the keys up to Keys-Queries+i.
	Causal bool
}

// A Backend runs the operations that inference is made of. x and y are matrices
// of n rows, row-major and without gaps, at the start of their buffers unless an
// offset is given. Operations are queued; the first failure is kept and returned
// by Read, as bufio.Writer keeps it for Flush. A Backend is used by one goroutine
// and gives the same bits for any number of its own workers.
type Backend interface {
	Name() string
	// Load makes a tensor usable. Its bytes may stay in their file.
	Load(t *tensor.Tensor) (Weight, error)
	Alloc(n int) Buffer // of n zeros
	Free(b Buffer)
	Write(dst Buffer, at int, src []float32)
	Copy(dst Buffer, at int, src Buffer, from, n int)
	Read(dst []float32, src Buffer, from int) error

	// Gather makes y[t] = w[ids[t]], rows of a matrix.
	Gather(y Buffer, w Weight, ids []int32)
	// MatMul makes y[t,o] = Σᵢ w[o,i]·x[t,i] + bias[o]; bias may be nil.
	MatMul(y Buffer, w, bias Weight, x Buffer, n int)
	// Add makes y += x over n elements.
	Add(y, x Buffer, n int)
	// AddRows makes y[t] += w[first+t].
	AddRows(y Buffer, w Weight, first, n int)
	// RMSNorm makes y[t] = x[t]/√(mean x[t]²+eps)·w over rows of w's length
	// (arXiv:1910.07467).
	RMSNorm(y, x Buffer, w Weight, n int, eps float32)
	// LayerNorm makes y[t] = (x[t]-mean)/√(variance+eps)·w+b (arXiv:1607.06450).
	LayerNorm(y, x Buffer, w, b Weight, n int, eps float32)
	// SwiGLU makes y = SiLU(gate)·up over n elements (arXiv:2002.05202).
	SwiGLU(y, gate, up Buffer, n int)
	// GELU makes y = x·Φ(x) over n elements, with the exact normal distribution.
	GELU(y, x Buffer, n int)
	// Rotate turns the heads of x [n, heads·dim] in place; row t is at position first+t.
	Rotate(x Buffer, n, heads, dim, first int, r *Rotation)
	// Attend makes y [queries, heads·dim], the values weighted by the softmax of
	// the scaled products of queries and keys.
	Attend(y, q, k, v Buffer, h Heads)
	// Conv1D makes y [ceil(n/stride), out] from x [n, in] with w [out, in, 3] and
	// a padding of one: PyTorch's Conv1d with time as rows.
	Conv1D(y Buffer, w, bias Weight, x Buffer, n, stride int)
	Close() error
}
