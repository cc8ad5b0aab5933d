package origin

import (
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A rotary is a network's rotary position embedding.
type rotary struct {
	// frequencies are the turns of pair p in radians per position, as the
	// programs have them: float32, [dim/2].
	frequencies []float32
	// magnitude multiplies what is turned (attention_scaling of transformers).
	magnitude float64
	// halves: element p of a head is turned with p+dim/2 (rotate_half of
	// transformers), otherwise 2p with 2p+1 (view_as_complex in Meta's programs).
	halves bool
}

// at returns which elements of a head are pair p of n.
func (r *rotary) at(p, n int) (first, second int) {
	if r.halves {
		return p, p + n
	}
	return 2 * p, 2*p + 1
}

// turn rotates the heads of x, whose first row is at position first.
func (p *pass) turn(x values, r *rotary, first int) values {
	y := newValues(x.rows(), x.width)
	pairs := len(r.frequencies)
	p.parallel(x.rows(), func() func(int) error {
		sin, cos := make([]float32, pairs), make([]float32, pairs)
		return func(t int) error {
			for i, f := range r.frequencies {
				s, c := math.Sincos(float64(float32(first+t) * f))
				sin[i], cos[i] = float32(s*r.magnitude), float32(c*r.magnitude)
			}
			for at := 0; at < x.width; at += 2 * pairs {
				from, to := x.row(t)[at:at+2*pairs], y.row(t)[at:at+2*pairs]
				for i := range pairs {
					a, b := r.at(i, pairs)
					to[a] = float32(from[a]*cos[i]) - float32(from[b]*sin[i])
					to[b] = float32(from[a]*sin[i]) + float32(from[b]*cos[i])
				}
			}
			return nil
		}
	})
	return y
}

// paired returns x with the elements of each head in the order of the pairs, as
// traces show them.
func (r *rotary) paired(x values) values {
	if !r.halves {
		return x
	}
	y := newValues(x.rows(), x.width)
	pairs := len(r.frequencies)
	for at := 0; at < len(x.data); at += 2 * pairs {
		for i := range pairs {
			y.data[at+2*i], y.data[at+2*i+1] = x.data[at+i], x.data[at+pairs+i]
		}
	}
	return y
}

// plain returns 1/theta^(2p/dim) for each pair p, in the float32 arithmetic of
// the programs (compute_default_rope_parameters; precompute_freqs_cis).
func plain(theta float64, dim int) []float32 {
	f := make([]float32, dim/2)
	for p := range f {
		f[p] = 1 / float32(math.Pow(theta, float64(float32(2*p)/float32(dim))))
	}
	return f
}

// A stretch is what a network states about positions beyond those of its
// first training.
type stretch struct {
	factor    float64
	low, high float64 // llama3: low_freq_factor, high_freq_factor
	context   float64 // original_max_position_embeddings
	attention float64 // yarn: attention_factor; 0 is not stated
	fast      float64 // yarn: beta_fast
	slow      float64 // yarn: beta_slow
	truncate  bool    // yarn
}

// stretches are transformers' ways to change frequencies (modeling_rope_utils.py,
// ROPE_INIT_FUNCTIONS) that are computed here; each returns the magnitude.
var stretches = map[string]func(f []float32, theta float64, s stretch) float64{
	"default": func([]float32, float64, stretch) float64 { return 1 },
	"linear":  stretchLinear,
	"llama3":  stretchLlama3,
	"yarn":    stretchYarn,
}

// newRotary returns the rotary embedding of a head of dim elements.
func newRotary(s settings, dim int, otherwise float64, kind string, st stretch) (*rotary, error) {
	change, ok := stretches[kind]
	if !ok {
		return nil, fmt.Errorf("rotary scaling of type %q: %w", kind, tensor.ErrUnsupported)
	}
	theta, err := s.real(otherwise, "rope_parameters.rope_theta", "rope_theta")
	if err != nil {
		return nil, err
	}
	r := &rotary{frequencies: plain(theta, dim)}
	r.magnitude = change(r.frequencies, theta, st)
	return r, nil
}

// stretchLinear is _compute_linear_scaling_rope_parameters.
func stretchLinear(f []float32, _ float64, s stretch) float64 {
	for i := range f {
		f[i] /= float32(s.factor)
	}
	return 1
}

// stretchLlama3 is _compute_llama3_parameters; apply_scaling in Meta's llama3
// model.py.
func stretchLlama3(f []float32, _ float64, s stretch) float64 {
	for i, x := range f {
		wavelength := 2 * math.Pi / float64(x)
		switch {
		case wavelength < s.context/s.high:
		case wavelength > s.context/s.low:
			f[i] = x / float32(s.factor)
		default:
			smooth := (s.context/wavelength - s.low) / (s.high - s.low)
			f[i] = float32((1-smooth)*float64(x)/s.factor + smooth*float64(x))
		}
	}
	return 1
}

// stretchYarn is _compute_yarn_parameters (arXiv:2309.00071).
func stretchYarn(f []float32, theta float64, s stretch) float64 {
	dim := float64(2 * len(f))
	turns := func(n float64) float64 { // the dimension that turns n times
		return dim * math.Log(s.context/(n*2*math.Pi)) / (2 * math.Log(theta))
	}
	low, high := turns(s.fast), turns(s.slow)
	if s.truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, dim-1)
	if low == high {
		high += 0.001 // as the program does against a division by zero
	}
	for i, x := range f {
		ramp := min(max((float32(i)-float32(low))/float32(high-low), 0), 1)
		f[i] = float32(x/float32(s.factor)*ramp) + float32(x*(1-ramp))
	}
	switch {
	case s.attention != 0:
		return s.attention
	case s.factor <= 1:
		return 1
	}
	return 0.1*math.Log(s.factor) + 1
}
