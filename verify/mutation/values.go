package mutation

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// valueFaults are wrong numbers in right places.
var valueFaults = []Mutation{
	{Values, "a single bit of one block", func(e *edit) expectation {
		p := e.subject.parts
		e.bytes(p.query, func(b []byte) { b[len(b)/3] ^= 4 })
		return expect(p.query, "single bit")
	}},
	{Values, "the highest bit of the last byte", func(e *edit) expectation {
		p := e.subject.parts
		e.bytes(p.embedding, func(b []byte) { b[len(b)-1] ^= 0x80 })
		return expect(p.embedding, "single bit")
	}},
	{Values, "all zero", func(e *edit) expectation {
		p := e.subject.parts
		e.values(p.query, func(m matrix) { clear(m.x) })
		return expect(p.query, "zeroed")
	}},
	{Values, "the second half zero", func(e *edit) expectation {
		p := e.subject.parts
		e.values(p.key, func(m matrix) { clear(m.x[m.rows/2*m.cols:]) })
		return expect(p.key, "truncated")
	}},
	{Values, "two rows zero", func(e *edit) expectation {
		p := e.subject.parts
		e.values(p.value, func(m matrix) { clear(m.x[3*m.cols : 5*m.cols]) })
		return expect(p.value, "zeroed")
	}},
	{Values, "the wrong sign", func(e *edit) expectation {
		p := e.subject.parts
		e.each(p.down, func(x float32) float32 { return -x })
		return expect(p.down, "wrong sign")
	}},
	{Values, "1 added to a norm", func(e *edit) expectation {
		p := e.subject.parts
		e.each(p.norm, func(x float32) float32 { return x + 1 })
		return expect(p.norm, "1 added")
	}},
	{Values, "1 missing from a norm", func(e *edit) expectation {
		p := e.subject.parts
		e.each(p.otherNorm, func(x float32) float32 { return x - 1 })
		return expect(p.otherNorm, "1 missing")
	}},
	scaledBy("an eighth", 0.125, func(p parts) string { return p.key }),
	scaledBy("twice", 2, func(p parts) string { return p.up }),
	scaledBy("the scale of queries", 1/math.Sqrt(64), func(p parts) string { return p.query }),
	scaledBy("the scale of an embedding", 24, func(p parts) string { return p.embedding }),
	{Values, "rows of one head twice as large", func(e *edit) expectation {
		p := e.subject.parts
		e.values(p.value, func(m matrix) {
			for i := 4 * m.cols; i < 12*m.cols; i++ {
				m.x[i] *= 2
			}
		})
		return expect(p.value, "scaled by 2")
	}},
	{Values, "no number in one element", func(e *edit) expectation {
		p := e.subject.parts
		return e.oneElement(p.up, float32(math.NaN()))
	}},
	{Values, "infinity in one element", func(e *edit) expectation {
		p := e.subject.parts
		return e.oneElement(p.out, float32(math.Inf(1)))
	}},
	{Values, "one element is another", func(e *edit) expectation {
		p := e.subject.parts
		e.values(p.norm, func(m matrix) { m.x[5] += 0.5 })
		return expect(p.norm, "values differ", "element", "row")
	}},
	{Values, "cut off instead of rounded to nearest", func(e *edit) expectation {
		p := e.subject.parts
		name := p.query
		if e.dtype(name) != tensor.F16 || e.original(name).DType != tensor.F32 {
			return none // nothing is rounded
		}
		wide := e.originalNumbers(name)
		e.bytes(name, func(b []byte) {
			for i, x := range wide {
				h := binary.LittleEndian.Uint16(b[2*i:])
				if math.Abs(float64(halfOf(h))) > math.Abs(float64(x)) {
					binary.LittleEndian.PutUint16(b[2*i:], h-1)
				}
			}
		})
		return expect(name, "not rounded to nearest")
	}},
	{Values, "noise of one part in a hundred", func(e *edit) expectation {
		p := e.subject.parts
		rng := rand.New(rand.NewPCG(7, 7))
		e.values(p.value, func(m matrix) {
			var squares float64
			for _, x := range m.x {
				squares += float64(x) * float64(x)
			}
			size := 0.01 * math.Sqrt(squares/float64(len(m.x)))
			for i := range m.x {
				m.x[i] += float32(size * rng.NormFloat64())
			}
		})
		return expect(p.value, "no known fault", "error")
	}},
	{Values, "rounded to four bits on the way", func(e *edit) expectation {
		p := e.subject.parts
		coarse, err := quantize.CodecOf(tensor.Q4_0)
		l, _ := tensor.Q4_0.Layout()
		if err != nil || e.tensor(p.query) == nil || e.dtype(p.query) == tensor.Q4_0 {
			return none
		}
		e.values(p.query, func(m matrix) {
			b := make([]byte, len(m.x)/l.Elems*l.Bytes)
			coarse.Encode(b, m.x, nil)
			coarse.Decode(m.x, b)
		})
		return expect(p.query, "no known fault", "coarser", "q4_0")
	}},
	{Values, "a block over its neighbour", func(e *edit) expectation {
		p := e.subject.parts
		l, _ := e.dtype(p.down).Layout()
		n := max(l.Bytes, 64)
		e.bytes(p.down, func(b []byte) { copy(b[3*n:4*n], b[2*n:3*n]) })
		return expect(p.down, "values differ", "row")
	}},
	{Values, "a token with the embedding of another", func(e *edit) expectation {
		p := e.subject.parts
		e.values(p.embedding, func(m matrix) { copy(m.row(300), m.row(301)) })
		return expect(p.embedding, "row 300", "shifted", "row")
	}},
	{Values, "the other byte order", func(e *edit) expectation {
		p := e.subject.parts
		l, _ := e.dtype(p.query).Layout()
		if l.Kind != tensor.Float {
			return none
		}
		e.bytes(p.query, func(b []byte) {
			for word := range slices.Chunk(b, l.Word) {
				slices.Reverse(word)
			}
		})
		return expect(p.query, "wrong byte order")
	}},
	misread("bf16 read as f16", tensor.BF16, tensor.F16),
	misread("f16 read as bf16", tensor.F16, tensor.BF16),
	{Values, "biases of zero", func(e *edit) expectation {
		p := e.subject.parts
		if p.bias == "" {
			return none
		}
		e.values(p.bias, func(m matrix) { clear(m.x) })
		return expect(p.bias, "zeroed")
	}},
}

func scaledBy(what string, factor float64, which func(parts) string) Mutation {
	return Mutation{Values, "scaled by " + what, func(e *edit) expectation {
		name := which(e.subject.parts)
		e.each(name, func(x float32) float32 { return x * float32(factor) })
		return expect(name, "scaled by")
	}}
}

// misread has the numbers of a tensor in one type and reads them as another.
func misread(name string, written, read tensor.DType) Mutation {
	return Mutation{Values, name, func(e *edit) expectation {
		at := e.subject.parts.out
		w, errW := quantize.CodecOf(written)
		r, errR := quantize.CodecOf(read)
		if l, _ := e.dtype(at).Layout(); errW != nil || errR != nil || l.Kind != tensor.Float {
			return none
		}
		x := e.originalNumbers(at)
		b := make([]byte, 2*len(x))
		w.Encode(b, x, nil)
		r.Decode(x, b)
		e.store(at, x)
		return expect(at, name)
	}}
}

// oneElement makes one element of a matrix of floats v.
func (e *edit) oneElement(name string, v float32) expectation {
	if l, _ := e.dtype(name).Layout(); l.Kind != tensor.Float {
		return none
	}
	e.values(name, func(m matrix) { m.row(7)[1] = v })
	return expect(name, "row 7", "no number", "not finite")
}

// original returns what the original has for a tensor of the result.
func (e *edit) original(name string) *tensor.Tensor {
	return e.subject.Pair.Canonical.Model.Tensor(name)
}

// originalNumbers returns the numbers of the original's tensor.
func (e *edit) originalNumbers(name string) []float32 {
	o := edit{tensors: []*tensor.Tensor{e.original(name)}}
	m := o.numbers(name)
	if e.err == nil {
		e.err = o.err
	}
	return m.x
}

func halfOf(h uint16) float32 {
	var b [2]byte
	binary.LittleEndian.PutUint16(b[:], h)
	return float32(quantize.Number(tensor.F16, b[:]))
}
