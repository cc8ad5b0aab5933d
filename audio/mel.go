package audio

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// The analysis of Whisper (openai/whisper 20250625, whisper/audio.py).
const (
	// Hop is how many samples a frame of the spectrogram is after the one before.
	Hop     = 160
	window  = 400 // samples that a frame is made of
	bins    = window/2 + 1
	minimum = 1e-10 // of a power, before its logarithm
	rangeOf = 8     // decades that are kept below the loudest
)

// A Mel makes log-mel spectrograms. It is used by one goroutine.
type Mel struct {
	filters [][]float32 // a filter each, from its first bin that counts
	first   []int       // that bin
	hann    [window]float64
	fft     *fourier.FFT
}

// NewMel returns what applies a bank of nMels filters, [nMels, 201], to the powers
// of 400-point transforms at 16 kHz. It fails if there are not that many.
func NewMel(filters []float32, nMels int) (*Mel, error) {
	if nMels <= 0 || len(filters)/bins != nMels || len(filters)%bins != 0 {
		return nil, fmt.Errorf("audio: %d elements in the filter bank of %d mels, want %d each: %w", len(filters), nMels, bins, ErrCorrupt)
	}
	m := &Mel{fft: fourier.NewFFT(window)}
	for i := range m.hann {
		m.hann[i] = hann(i)
	}
	for i := range nMels {
		row := filters[i*bins:][:bins]
		lo, hi := 0, bins
		for lo < hi && row[lo] == 0 {
			lo++
		}
		for hi > lo && row[hi-1] == 0 {
			hi--
		}
		m.filters, m.first = append(m.filters, row[lo:hi]), append(m.first, lo)
	}
	return m, nil
}

// LogMel returns the log-mel spectrogram of samples, mono at SampleRate, as
// [nMels, frames] with frames = len(samples)/Hop: of 400 samples around each frame,
// reflected at both ends, the power in each filter, its decimal logarithm, at most
// 8 below the largest of all, shifted and scaled to about -1 to 1
// (log_mel_spectrogram). Samples that have no reflection, because there are fewer
// than 201, count as silence.
func (m *Mel) LogMel(samples []float32) []float32 {
	frames := len(samples) / Hop
	out := make([]float32, len(m.filters)*frames)
	var x [window]float64
	var spectrum [bins]complex128
	var power [bins]float64
	top := math.Inf(-1)
	for t := range frames {
		for i := range x {
			x[i] = m.hann[i] * float64(reflected(samples, t*Hop+i-window/2))
		}
		m.fft.Coefficients(spectrum[:], x[:])
		for k, c := range spectrum {
			power[k] = real(c)*real(c) + imag(c)*imag(c)
		}
		for f, filter := range m.filters {
			var sum float64
			for k, w := range filter {
				sum += float64(w) * power[m.first[f]+k]
			}
			v := math.Log10(max(sum, minimum))
			top = max(top, v)
			out[f*frames+t] = float32(v)
		}
	}
	least := float32(top - rangeOf)
	for i, v := range out {
		out[i] = (max(v, least) + 4) / 4
	}
	return out
}

// hann returns element i of the periodic window, as exact as torch.hann_window
// computes it, in float32.
func hann(i int) float64 {
	const step float32 = 2 * math.Pi / window
	return float64(float32(math.Cos(float64(float32(i)*step)))*-0.5 + 0.5)
}

// reflected returns sample i, mirrored at the first and the last one.
func reflected(x []float32, i int) float32 {
	if i < 0 {
		i = -i
	}
	if i >= len(x) {
		i = 2*(len(x)-1) - i
	}
	if i < 0 || i >= len(x) {
		return 0
	}
	return x[i]
}
