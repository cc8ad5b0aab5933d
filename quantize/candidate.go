package quantize

import "github.com/smelt-project/smelt/tensor"

// A Candidate is a type that Solve may choose from.
type Candidate struct {
	DType tensor.DType
	// Importance: the type is useless without the importance of its columns.
	Importance bool
	// Below: the type is worth measuring only if there are fewer bits for a
	// weight; its search is slow. 0: always.
	Below float64
}

// slowBelow is the size of the smallest types with a fast search in practice,
// Q4_K and IQ4_NL, in bits for a weight.
const slowBelow = 4.5

// candidates are the types that llama.cpp runs on every backend and that suit
// any weights. The ternary, binary and 4-bit float types are for models that
// were trained for them.
var candidates = []Candidate{
	{DType: tensor.Q2K}, {DType: tensor.Q3K}, {DType: tensor.Q4K}, {DType: tensor.Q5K}, {DType: tensor.Q6K},
	{DType: tensor.IQ4XS}, {DType: tensor.IQ4NL},
	{DType: tensor.Q4_0}, {DType: tensor.Q4_1}, {DType: tensor.Q5_0}, {DType: tensor.Q5_1}, {DType: tensor.Q8_0},
	{DType: tensor.F16},
	{DType: tensor.IQ3S, Below: slowBelow},
	{DType: tensor.IQ3XXS, Importance: true, Below: slowBelow},
	{DType: tensor.IQ2S, Importance: true, Below: slowBelow},
	{DType: tensor.IQ2XS, Importance: true, Below: slowBelow},
	{DType: tensor.IQ2XXS, Importance: true, Below: slowBelow},
	{DType: tensor.IQ1M, Importance: true, Below: slowBelow},
	{DType: tensor.IQ1S, Importance: true, Below: slowBelow},
}

// Candidates returns the types that may be chosen for rows of rowLen elements
// if there are bits for each weight on average. weighed says whether their
// columns have an importance.
func Candidates(rowLen int, bits float64, weighed Weighing) []Candidate {
	var out []Candidate
	for _, c := range candidates {
		l, _ := c.DType.Layout()
		if rowLen%l.Elems != 0 || c.Importance && weighed == Unweighed || c.Below != 0 && bits >= c.Below {
			continue
		}
		out = append(out, c)
	}
	return out
}

// A Weighing says whether the columns of a tensor have an importance.
type Weighing int

// The two cases.
const (
	Unweighed Weighing = iota
	Weighed
)

// WeightedError quantizes src, whole rows, into dst as Quantize does, and
// returns Σw·(x−x̂)² over the finite elements, w being the importance of the
// column, 1 without. ok is false if elements do not fit the type.
func (q *Quantizer) WeightedError(dst, src []byte, importance []float32, s *Scratch) (sum float64, ok bool) {
	if q.same {
		return 0, true
	}
	m := q.Quantize(dst, src, importance, s)
	if m.Overflows > 0 {
		return 0, false
	}
	if len(importance) == 0 {
		return m.Errors, true
	}
	n := len(src) / q.layout.Bytes * q.layout.Elems
	for i, x := range s.x[:n] {
		if x-x == 0 {
			d := float64(x) - float64(s.y[i])
			sum += float64(float64(importance[i%len(importance)]) * float64(d*d))
		}
	}
	return sum, true
}
