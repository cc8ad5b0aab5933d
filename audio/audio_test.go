package audio

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
	"github.com/mewkiz/flac/meta"

	"github.com/smelt-project/smelt/tokenizer"
)

// shared returns a file of the golden results, which lie outside the repository.
func shared(t testing.TB, path ...string) string {
	t.Helper()
	dir := os.Getenv("SMELT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	file := filepath.Join(append([]string{dir}, path...)...)
	if _, err := os.Stat(file); err != nil {
		t.Skipf("no golden result: %v; SMELT_SHARED names their folder", err)
	}
	return file
}

func decodeFile(t testing.TB, path string) []float32 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// tone returns n samples of a sine of that frequency.
func tone(rate, n int, hz, amplitude float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(amplitude * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
	}
	return x
}

func resampled(t testing.TB, rate int, x []float32) []float32 {
	t.Helper()
	s := resamplerOf(t, rate)
	s.write(x)
	return s.finish()
}

func resamplerOf(t testing.TB, rate int) *resampler {
	t.Helper()
	s, err := newResampler(rate)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rms(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(x)))
}

var rates = []int{2000, 8000, 11025, 12000, 22050, 24000, 32000, 44100, 44101, 48000, 96000, 192000, 352800}

// A tone inside the pass-band becomes the same tone. What remains is what the
// stop-band lets through, 10^(-100/20) of it, of each of its images, and the
// rounding of the filter's sum to float32.
func TestResamplerKeepsTones(t *testing.T) {
	for _, rate := range rates {
		low := min(rate, SampleRate)
		for _, part := range []float64{0.01, 0.2, 0.449} {
			hz := part * float64(low)
			got := resampled(t, rate, tone(rate, rate/4, hz, 0.5))
			want := tone(SampleRate, len(got), hz, 0.5)
			edge := SampleRate * zeroCrossings / low * 2 // where silence before and after shows
			if len(got) < 3*edge {
				edge = len(got) / 4
			}
			diff := make([]float32, 0, len(got))
			for i := edge; i < len(got)-edge; i++ {
				diff = append(diff, got[i]-want[i])
			}
			if e := rms(diff); e > 1e-5 {
				t.Errorf("%d Hz at %d: differs by %g (RMS), want at most 1e-5", int(hz), rate, e)
			}
		}
	}
}

// A tone that the result cannot hold is damped by the stop-band.
func TestResamplerRemovesWhatItCannotHold(t *testing.T) {
	limit := math.Pow(10, -stopBand/20)
	for _, rate := range rates {
		if rate <= SampleRate {
			continue
		}
		for _, hz := range []float64{8001, 9000, float64(rate)/2 - 100} {
			if hz < 8000 || hz >= float64(rate)/2 {
				continue
			}
			got := resampled(t, rate, tone(rate, rate/4, hz, 1))
			if e := rms(got[300:len(got)-300]) * math.Sqrt2; e > limit {
				t.Errorf("%g Hz at %d: amplitude %.3g is left, want at most %g", hz, rate, e, limit)
			}
		}
	}
}

func TestResamplerDoesNotShowBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, rate := range rates {
		x := make([]float32, 5000)
		for i := range x {
			x[i] = r.Float32() - 0.5
		}
		want := resampled(t, rate, x)
		if n := (len(x)*SampleRate + rate - 1) / rate; len(want) != n {
			t.Errorf("%d Hz: %d samples became %d, want %d", rate, len(x), len(want), n)
		}
		s := resamplerOf(t, rate)
		for rest := x; len(rest) > 0; {
			n := min(len(rest), r.IntN(700))
			s.write(rest[:n])
			rest = rest[n:]
		}
		if got := s.finish(); !slices.Equal(got, want) {
			t.Errorf("%d Hz: written in blocks it differs", rate)
		}
	}
}

func TestSixteenKilohertzStayAsTheyAre(t *testing.T) {
	x := tone(SampleRate, 1000, 440, 0.3)
	if got := resampled(t, SampleRate, x); !slices.Equal(got, x) {
		t.Error("samples changed")
	}
}

// wavFile returns a WAV file of frames of raw samples.
func wavFile(code, channels, rate, bits int, extensible bool, data []byte) []byte {
	var f bytes.Buffer
	le := func(v any) { _ = binary.Write(&f, binary.LittleEndian, v) }
	tag := code
	if extensible {
		tag = wavExtensible
	}
	le(uint16(tag))
	le(uint16(channels))
	le(uint32(rate))
	le(uint32(rate * channels * bits / 8))
	le(uint16(channels * bits / 8))
	le(uint16(bits))
	if extensible {
		le([]uint16{22, uint16(bits), 0, 0, uint16(code)})
		f.WriteString(waveGUID)
	}
	description := bytes.Clone(f.Bytes())
	f.Reset()
	f.WriteString("RIFF\xff\xff\xff\xffWAVE")
	for _, c := range []struct {
		id   string
		data []byte
	}{{"LIST", []byte("odd")}, {"fmt ", description}, {"data", data}} {
		f.WriteString(c.id)
		le(uint32(len(c.data)))
		f.Write(c.data)
		if len(c.data)%2 == 1 {
			f.WriteByte(0)
		}
	}
	return f.Bytes()
}

// store writes x in an encoding of WAV files.
func store(code, bits int, x float64) []byte {
	v := int64(math.Round(x * float64(int64(1)<<(bits-1))))
	switch {
	case code == wavFloat && bits == 32:
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(x)))
	case code == wavFloat:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(x))
	case bits == 8:
		v += 128
	}
	return binary.LittleEndian.AppendUint64(nil, uint64(v))[:bits/8]
}

func TestWAVEncodings(t *testing.T) {
	left, right := []float64{0, 0.5, -0.5, -1, 0.25}, []float64{0, 0.25, -0.25, -1, -0.25}
	want := []float32{0, 0.375, -0.375, -1, 0}
	for _, e := range wavEncodings {
		for _, extensible := range []bool{false, true} {
			var data []byte
			for i := range left {
				data = append(append(data, store(e.code, e.bits, left[i])...), store(e.code, e.bits, right[i])...)
			}
			data = append(data, 0) // part of a frame
			got, err := Decode(bytes.NewReader(wavFile(e.code, 2, SampleRate, e.bits, extensible, data)))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("encoding %d with %d bits, extensible %v: %v, %v, want %v", e.code, e.bits, extensible, got, err, want)
			}
		}
	}
}

func TestWAVOfUnknownLength(t *testing.T) {
	b := wavFile(wavInteger, 1, SampleRate, 16, false, []byte{0, 0x40, 0, 0xc0})
	binary.LittleEndian.PutUint32(b[len(b)-8:], wavUnknown)
	got, err := Decode(bytes.NewReader(b))
	if want := []float32{0.5, -0.5}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	ok := wavFile(wavInteger, 1, SampleRate, 16, false, make([]byte, 64))
	changed := func(at int, b ...byte) []byte {
		c := bytes.Clone(ok)
		copy(c[at:], b)
		return c
	}
	const description = 12 + 8 + 4 + 8 // where it starts
	for _, c := range []struct {
		name string
		data []byte
		is   error
		says string
	}{
		{"nothing", nil, ErrUnsupported, "no audio"},
		{"text", []byte("hello, hello, hello"), ErrUnsupported, "ffmpeg"},
		{"Ogg", []byte("OggS and more than that"), ErrUnsupported, "Ogg"},
		{"M4A", []byte("\x00\x00\x00\x20ftypM4A and more"), ErrUnsupported, "MPEG-4"},
		{"a tag alone", []byte("ID3\x04\x00\x00\x00\x00\x00\x06123456"), ErrCorrupt, "tag"},
		{"WAV cut short", ok[:len(ok)-4], ErrCorrupt, "64 bytes, 60 remain"},
		{"WAV without samples", ok[:len(ok)-72], ErrCorrupt, "no samples"},
		{"WAV of no channels", changed(description+2, 0, 0), ErrUnsupported, "0 channels"},
		{"WAV of A-law", changed(description, 6, 0), ErrUnsupported, "encoding 0x6"},
		{"WAV of wrong frames", changed(description+12, 3, 0), ErrCorrupt, "frames of 3 bytes, want 2"},
		{"WAV without time", changed(description+4, 0, 0, 0, 0), ErrUnsupported, "0 samples a second"},
		{"WAV too fast", changed(description+4, 0xff, 0xff, 0xff, 0x7f), ErrUnsupported, "2147483647 samples a second"},
		{"WAV of a prime rate", changed(description+4, 0xf3, 0xdb, 0x05, 0), ErrTooLarge, "383987 samples a second"},
		{"WAV of NaN", wavFile(wavFloat, 1, SampleRate, 32, false, []byte{0, 0, 0xc0, 0x7f}), ErrCorrupt, "no number"},
		{"FLAC cut short", []byte("fLaC\x00\x00\x00\x22"), ErrCorrupt, "FLAC"},
		{"MP3 of noise", append([]byte{0xff, 0xfb, 0x90, 0x64}, bytes.Repeat([]byte{0x55}, 4000)...), ErrCorrupt, "MP3"},
	} {
		x, err := Decode(bytes.NewReader(c.data))
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d samples, %v; want %v that says %q", c.name, len(x), err, c.is, c.says)
		}
	}
}

func TestDecodeIsBounded(t *testing.T) {
	// Each sample of the input becomes eight.
	f := bytes.NewReader(wavFile(wavInteger, 1, minRate, 8, false, make([]byte, 100000)))
	if _, err := formats[0].decode(f, 100000); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// flacFile encodes two channels.
func flacFile(t testing.TB, rate int, bits uint8, left, right []int32) []byte {
	t.Helper()
	var f bytes.Buffer
	const block = 1024
	e, err := flac.NewEncoder(&f, &meta.StreamInfo{
		BlockSizeMin: block, BlockSizeMax: block, SampleRate: uint32(rate), NChannels: 2, BitsPerSample: bits, NSamples: uint64(len(left)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(left); i += block {
		n := min(block, len(left)-i)
		err := e.WriteFrame(&frame.Frame{
			Header: frame.Header{HasFixedBlockSize: true, BlockSize: uint16(n), SampleRate: uint32(rate), Channels: frame.ChannelsLR, BitsPerSample: bits, Num: uint64(i / block)},
			Subframes: []*frame.Subframe{
				{SubHeader: frame.SubHeader{Pred: frame.PredVerbatim}, Samples: left[i : i+n], NSamples: n},
				{SubHeader: frame.SubHeader{Pred: frame.PredVerbatim}, Samples: right[i : i+n], NSamples: n},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Bytes()
}

func TestFLAC(t *testing.T) {
	const n = 3000
	for _, bits := range []uint8{8, 16, 24} {
		left, right, want := make([]int32, n), make([]int32, n), make([]float32, n)
		r := rand.New(rand.NewPCG(3, 4))
		for i := range want {
			left[i], right[i] = int32(r.IntN(1<<bits)-1<<(bits-1)), int32(r.IntN(1<<bits)-1<<(bits-1))
			want[i] = float32(int64(left[i])+int64(right[i])) / float32(int64(1)<<bits)
		}
		file := flacFile(t, SampleRate, bits, left, right)
		got, err := Decode(bytes.NewReader(file))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bits: %d samples that differ, %v", bits, len(got), err)
		}
		tagged := append([]byte("ID3\x04\x00\x00\x00\x00\x01\x00"), append(make([]byte, 128), file...)...)
		if got, err := Decode(bytes.NewReader(tagged)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bits after a tag: %d samples that differ, %v", bits, len(got), err)
		}
		if _, err := Decode(bytes.NewReader(file[:len(file)-len(file)/3])); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bits, cut short: %v, want ErrCorrupt", bits, err)
		}
	}
}

// The first frames of an MP3 of a recording are the recording, but for what the
// encoder left out and put before.
func TestMP3IsTheRecording(t *testing.T) {
	got := decodeFile(t, filepath.Join("testdata", "jfk.mp3"))
	wav := decodeFile(t, shared(t, "audio", "jfk.wav"))
	best, at := 0.0, 0
	for shift := range 2 * 1152 {
		if c := correlation(got[shift:], wav); c > best {
			best, at = c, shift
		}
	}
	if best < 0.99 {
		t.Errorf("correlation with the recording %.4f after %d samples, want 0.99", best, at)
	}
}

func correlation(x, y []float32) float64 {
	n := min(len(x), len(y))
	var xx, yy, xy float64
	for i := range n {
		a, b := float64(x[i]), float64(y[i])
		xx, yy, xy = xx+a*a, yy+b*b, xy+a*b
	}
	return xy / math.Sqrt(xx*yy)
}

// melError is the error of the original, whose transform is in float32: where a
// power is some 100 dB below the loudest of its frame, rounding changes it by 1e-4,
// its logarithm divided by 4 by 1.1e-5. This happens in a few of 240,000 elements;
// transforms in float64 of the same products, and numpy's in float32, differ from
// the original by as much. All others are closer than 1e-5.
const melError = 1.1e-5

func TestLogMelIsTheOriginals(t *testing.T) {
	for _, name := range []string{"tiny.en", "base"} {
		file := shared(t, "golden", "whisper", name, "mel.f32")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float32, len(b)/4)
		if _, err := binary.Decode(b, binary.LittleEndian, want); err != nil {
			t.Fatal(err)
		}
		samples := decodeFile(t, shared(t, "audio", "jfk.wav"))
		padded := append(samples, make([]float32, 30*SampleRate-len(samples))...)
		got := whisperMel(t, 80).LogMel(padded)
		if len(got) != len(want) {
			t.Fatalf("%d elements, want %d", len(got), len(want))
		}
		var most float64
		var above int
		for i := range got {
			d := math.Abs(float64(got[i] - want[i]))
			if most = max(most, d); d > 1e-5 {
				above++
			}
		}
		if most > melError || above > 5 {
			t.Errorf("%s: differs by %g, in %d elements by more than 1e-5; want %g and 5", name, most, above, melError)
		}
	}
}

func whisperMel(t testing.TB, n int) *Mel {
	t.Helper()
	filters, err := tokenizer.MelFilters(n)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMel(filters, n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLogMelOfAlmostNothing(t *testing.T) {
	m := whisperMel(t, 80)
	for _, n := range []int{0, 1, 159, 160, 200, 201, 400} {
		x := m.LogMel(make([]float32, n))
		if len(x) != 80*(n/Hop) {
			t.Errorf("%d samples make %d elements, want %d", n, len(x), 80*(n/Hop))
		}
		for _, v := range x {
			if v != -1.5 { // (log10(1e-10)+4)/4
				t.Errorf("silence of %d samples is %g, want -1.5", n, v)
				break
			}
		}
	}
}

func TestNewMelRefusesAnotherSize(t *testing.T) {
	for _, c := range []struct{ elems, n int }{{0, 0}, {201, 2}, {200, 1}, {202, 1}, {201, -1}} {
		if _, err := NewMel(make([]float32, c.elems), c.n); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d elements for %d mels: %v, want ErrCorrupt", c.elems, c.n, err)
		}
	}
}

// golden transcripts are made from what ffmpeg makes of this file.
func TestGettysburgIsAsLongAsItSays(t *testing.T) {
	got := decodeFile(t, shared(t, "audio", "gettysburg.flac"))
	var golden struct {
		Models map[string]struct {
			Segments []struct{ End float64 }
		}
	}
	b, err := os.ReadFile(shared(t, "golden", "whisper", "gettysburg.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	seconds := float64(len(got)) / SampleRate
	for name, m := range golden.Models {
		if end := m.Segments[len(m.Segments)-1].End; end > seconds+1 || end < seconds-5 {
			t.Errorf("%.2f s, the last segment of %s ends at %.2f", seconds, name, end)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(wavFile(wavInteger, 2, 44100, 16, true, make([]byte, 400)))
	f.Add(wavFile(wavFloat, 1, 8000, 32, false, make([]byte, 400)))
	f.Add(flacFile(f, 22050, 16, make([]int32, 2000), make([]int32, 2000)))
	mp3, err := os.ReadFile(filepath.Join("testdata", "jfk.mp3"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(mp3[:3000])
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Decode(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("an error of no class: %v", err)
			}
			return
		}
		for i, v := range x {
			if !(math.Abs(float64(v)) < 8) {
				t.Fatalf("sample %d is %g", i, v)
			}
		}
	})
}

func BenchmarkResample(b *testing.B) {
	x := tone(44100, 44100, 440, 0.5)
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		resampled(b, 44100, x)
	}
}

func BenchmarkLogMel(b *testing.B) {
	m := whisperMel(b, 80)
	x := tone(SampleRate, 30*SampleRate, 440, 0.5)
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		m.LogMel(x)
	}
}
