package origin

import "math"

// heads is how an attention divides its vectors. Query head h looks at head
// h·kv/q.
type heads struct {
	q, kv, dim int
	// causal: query i sees the keys up to keys-queries+i.
	causal bool
}

// queryBlock is how many queries of a head are one job.
const queryBlock = 32

// attend returns softmax(q·kᵀ/√dim)·v, head by head (eager_attention_forward of
// transformers; qkv_attention of openai/whisper; Attention.forward of Meta's
// llama). q is [queries, q·dim]; k and v are [keys, kv·dim].
func (p *pass) attend(q, k, v values, h heads) values {
	y := newValues(q.rows(), h.q*h.dim)
	keys, columns := headRows(k, h), headColumns(v, h)
	blocks := (q.rows() + queryBlock - 1) / queryBlock
	p.parallel(h.q*blocks, func() func(int) error {
		query := make([]float64, queryBlock*h.dim)
		scores := make([]float64, queryBlock*k.rows())
		return func(job int) error {
			head, lo := job/blocks, job%blocks*queryBlock
			hi := min(lo+queryBlock, q.rows())
			for t := lo; t < hi; t++ {
				widen(query[(t-lo)*h.dim:], q.row(t)[head*h.dim:(head+1)*h.dim])
			}
			kv := head * h.kv / h.q
			product(scores, k.rows(), matrix{query, hi - lo, h.dim}, keys[kv])
			for t := lo; t < hi; t++ {
				row := scores[(t-lo)*k.rows() : (t-lo+1)*k.rows()]
				seen := len(row)
				if h.causal {
					seen = k.rows() - q.rows() + t + 1
				}
				softmax(row, seen, 1/math.Sqrt(float64(h.dim)))
			}
			product(y.data[lo*y.width+head*h.dim:], y.width, matrix{scores, hi - lo, k.rows()}, columns[kv])
			return nil
		}
	})
	return y
}

// softmax turns the first seen of row into weights, as float32 numbers, and the
// others into zeros.
func softmax(row []float64, seen int, scale float64) {
	top := math.Inf(-1)
	for _, v := range row[:seen] {
		top = max(top, v)
	}
	var sum float64
	for i, v := range row[:seen] {
		row[i] = math.Exp((v - top) * scale)
		sum += row[i]
	}
	for i, v := range row[:seen] {
		row[i] = float64(float32(v / sum))
	}
	clear(row[seen:])
}

// headRows returns each head of x as a matrix [rows, dim].
func headRows(x values, h heads) []matrix {
	out := make([]matrix, h.kv)
	for n := range out {
		m := matrix{make([]float64, x.rows()*h.dim), x.rows(), h.dim}
		for t := range m.rows {
			widen(m.row(t), x.row(t)[n*h.dim:(n+1)*h.dim])
		}
		out[n] = m
	}
	return out
}

// headColumns returns each head of x as a matrix [dim, rows].
func headColumns(x values, h heads) []matrix {
	out := make([]matrix, h.kv)
	for n := range out {
		m := matrix{make([]float64, x.rows()*h.dim), h.dim, x.rows()}
		for t := range m.width {
			for i, v := range x.row(t)[n*h.dim : (n+1)*h.dim] {
				m.data[i*m.width+t] = float64(v)
			}
		}
		out[n] = m
	}
	return out
}

// A history keeps the keys and values of the tokens so far, layer by layer.
type history []pastLayer

type pastLayer struct{ k, v values }

// append adds the keys and values of new tokens and returns those of all.
func (h history) append(layer int, k, v values) (allKeys, allValues values) {
	kept := &h[layer]
	kept.k = values{append(kept.k.data, k.data...), k.width}
	kept.v = values{append(kept.v.data, v.data...), v.width}
	return kept.k, kept.v
}
