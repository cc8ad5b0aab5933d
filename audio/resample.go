package audio

import (
	"fmt"
	"math"
)

// The filter of the resampler, a sinc under a Kaiser window (Oppenheim and Schafer,
// Discrete-Time Signal Processing, §7.5).
const (
	// zeroCrossings of the sinc, on each side, at the lower of the two rates.
	zeroCrossings = 64
	// stopBand is by how many dB what lies above half the lower rate is damped.
	stopBand = 100.0
)

var (
	// kaiserBeta shapes the window for that stop-band.
	kaiserBeta = 0.1102 * (stopBand - 8.7)
	// transition is how far below half the lower rate the pass-band ends, as a part
	// of that rate: 0.05, so that speech at 16 kHz is kept up to 7.2 kHz.
	transition = (stopBand - 8) / (2.285 * 2 * math.Pi * 2 * zeroCrossings)
)

// A resampler changes a rate to SampleRate: sample n of the result is the
// band-limited signal at the time of n·down/up samples of the input. Each of the up
// fractions of a sample has a filter of its own.
type resampler struct {
	up, down int
	half     int         // samples of the input that count on each side
	phases   [][]float32 // a filter for each fraction, made when it is needed

	in    []float32 // what counts for the next sample and after it
	part  int       // the time of the next sample after in[half-1], in up-ths of a sample
	total int       // samples of the input
	out   []float32
}

// maxFilters bounds the elements of all filters together, 64 MB. The usual rates
// need less than a hundredth of it.
const maxFilters = 1 << 24

func newResampler(rate int) (*resampler, error) {
	d := gcd(rate, SampleRate)
	s := &resampler{up: SampleRate / d, down: rate / d}
	s.half = int(math.Ceil(zeroCrossings * s.stretch()))
	if s.up > maxFilters/(2*s.half) {
		return nil, fmt.Errorf("%d samples a second: the filters from there to %d Hz: %w", rate, SampleRate, ErrTooLarge)
	}
	s.phases = make([][]float32, s.up)
	s.in = make([]float32, s.half-1) // silence before the beginning
	return s, nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// stretch is the length of a sample of the lower rate, in samples of the input.
func (s *resampler) stretch() float64 { return max(1, float64(s.down)/float64(s.up)) }

// write appends what follows of the input.
func (s *resampler) write(x []float32) {
	s.total += len(x)
	if s.up == s.down {
		s.out = append(s.out, x...)
		return
	}
	s.in = append(s.in, x...)
	s.advance()
}

// finish returns the result, as long as the input: ceil(total·up/down) samples.
func (s *resampler) finish() []float32 {
	if s.up == s.down {
		return s.out
	}
	want := (s.total*s.up + s.down - 1) / s.down
	s.in = append(s.in, make([]float32, s.half+1)...) // silence after the end
	s.advance()
	return s.out[:min(want, len(s.out))]
}

// advance makes all samples whose surroundings are known.
func (s *resampler) advance() {
	used := 0
	for len(s.in)-used >= 2*s.half {
		s.out = append(s.out, dot(s.phase(s.part), s.in[used:]))
		s.part += s.down
		used += s.part / s.up
		s.part %= s.up
	}
	s.in = s.in[:copy(s.in, s.in[used:])] // a step is shorter than a filter
}

// phase returns the filter for a time part/up after input sample half-1 of those
// that count.
func (s *resampler) phase(part int) []float32 {
	if s.phases[part] != nil {
		return s.phases[part]
	}
	width := zeroCrossings * s.stretch()
	cutoff := (0.5 - transition/2) / s.stretch() // cycles a sample of the input
	h := make([]float64, 2*s.half)
	var sum float64
	for i := range h {
		t := float64(i-s.half+1) - float64(part)/float64(s.up)
		h[i] = sinc(2*cutoff*t) * kaiser(t/width)
		sum += h[i]
	}
	f := make([]float32, len(h))
	for i, v := range h {
		f[i] = float32(v / sum) // a constant stays what it is
	}
	s.phases[part] = f
	return f
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the window over [-1, 1].
func kaiser(x float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return besselI0(kaiserBeta*math.Sqrt(1-x*x)) / besselI0(kaiserBeta)
}

// besselI0 is the modified Bessel function of the first kind and order 0, by its
// power series (Abramowitz and Stegun, 9.6.12).
func besselI0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-17*sum; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}

func dot(f, x []float32) float32 {
	x = x[:len(f)]
	var a, b, c, d float32 // len(f) is even
	i := 0
	for ; i+4 <= len(f); i += 4 {
		a += f[i] * x[i]
		b += f[i+1] * x[i+1]
		c += f[i+2] * x[i+2]
		d += f[i+3] * x[i+3]
	}
	for ; i < len(f); i++ {
		a += f[i] * x[i]
	}
	return a + b + (c + d)
}
