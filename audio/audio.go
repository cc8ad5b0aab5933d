// Package audio reads sound the way Whisper hears it: WAV, FLAC and MP3 become
// mono samples at 16 kHz, and those a log-mel spectrogram.
//
// The package is a leaf: it knows nothing of models.
package audio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// SampleRate is that of decoded audio, in Hz.
const SampleRate = 16000

// What can be wrong with a recording. Errors of Decode wrap one of these, or the
// error of the reader.
var (
	// ErrCorrupt: the file contradicts its format or itself, or ends early.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnsupported: the file is none of those that are read.
	ErrUnsupported = errors.New("not supported")
	// ErrTooLarge: the recording is longer than MaxDuration.
	ErrTooLarge = errors.New("too large")
)

// MaxDuration bounds what Decode returns to 0.9 GB: a file of a few kilobytes can
// decode to any length.
const MaxDuration = 4 * time.Hour

// The sample rates that are read, in Hz, wider than those of any recording. They
// bound the filters of the resampler.
const (
	minRate = 2000
	maxRate = 384000
)

// A track is a recording that is being decoded.
type track struct {
	rate int // Hz
	// next returns the samples that follow, the mean of all channels between -1 and
	// 1, or io.EOF after the last. They are valid until the next call.
	next func() ([]float32, error)
}

// A format is one kind of file; a file is one if it starts with magic, where
// question marks stand for any byte.
type format struct {
	magic string
	open  func(io.ReadSeeker) (track, error) // nil: it is known but not read
	name  string
}

// formats are tried in order.
var formats = []format{
	{"RIFF????WAVE", openWAV, "WAV"},
	{"fLaC", openFLAC, "FLAC"},
	{"OggS", nil, "Ogg"},
	{"????ftyp", nil, "MPEG-4"},
	{"\x1aE\xdf\xa3", nil, "Matroska or WebM"},
	{"FORM????AIF", nil, "AIFF"},
	{"RF64", nil, "RF64"},
	{"caff", nil, "Core Audio"},
}

// mp3Format has no magic: it is what starts with a frame or with a tag.
var mp3Format = format{open: openMP3, name: "MP3"}

const remedy = "WAV, FLAC and MP3 are read; ffmpeg -i FILE -ar 16000 -ac 1 FILE.wav makes a WAV of anything"

// Decode returns the whole recording in r, mono at SampleRate, in samples between
// about -1 and 1. Channels are averaged. Sound that a rate of 16 kHz cannot hold is
// removed before the rate is changed; the samples of a 16 kHz file are returned as
// they are.
//
// It fails with ErrUnsupported for anything that is not WAV with integers or floats,
// FLAC or MP3, with ErrCorrupt for a file that ends early or contradicts itself, and
// with ErrTooLarge beyond MaxDuration.
func Decode(r io.ReadSeeker) ([]float32, error) {
	f, err := recognize(r)
	if err != nil {
		return nil, err
	}
	samples, err := f.decode(r, int(MaxDuration.Seconds())*SampleRate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return samples, nil
}

// decode returns at most limit samples.
func (f format) decode(r io.ReadSeeker, limit int) ([]float32, error) {
	if f.open == nil {
		return nil, fmt.Errorf("%w; %s", ErrUnsupported, remedy)
	}
	t, err := f.open(r)
	if err != nil {
		return nil, err
	}
	if t.rate < minRate || t.rate > maxRate {
		return nil, fmt.Errorf("%d samples a second, want %d to %d: %w", t.rate, minRate, maxRate, ErrUnsupported)
	}
	s, err := newResampler(t.rate)
	if err != nil {
		return nil, err
	}
	for {
		block, err := t.next()
		if errors.Is(err, io.EOF) {
			return s.finish(), nil
		}
		if err != nil {
			return nil, err
		}
		s.write(block)
		if len(s.out) > limit {
			return nil, fmt.Errorf("longer than %v: %w; cut it into parts", time.Duration(limit)*time.Second/SampleRate, ErrTooLarge)
		}
	}
}

// recognize returns the format of r and leaves r at its beginning, after an ID3
// tag if there is one.
func recognize(r io.ReadSeeker) (format, error) {
	head := make([]byte, 16)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return format{}, err
	}
	head = head[:n]
	var start int64
	tagged := n >= 10 && bytes.HasPrefix(head, []byte("ID3"))
	if tagged {
		// id3.org, ID3v2.4.0 §3.1: four bytes of seven bits each, without the header.
		for _, b := range head[6:10] {
			start = start<<7 | int64(b&0x7f)
		}
		start += 10
		if _, err := r.Seek(start, io.SeekStart); err != nil {
			return format{}, err
		}
		if n, err = io.ReadFull(r, head[:4]); err != nil {
			return format{}, fmt.Errorf("nothing after an ID3 tag of %d bytes: %w", start, ErrCorrupt)
		}
		head = head[:n]
	}
	if _, err := r.Seek(start, io.SeekStart); err != nil {
		return format{}, err
	}
	for _, f := range formats {
		if fits(head, f.magic) {
			return f, nil
		}
	}
	if tagged || len(head) > 1 && head[0] == 0xff && head[1]&0xe0 == 0xe0 {
		return mp3Format, nil
	}
	return format{}, fmt.Errorf("no audio that is known: %w; %s", ErrUnsupported, remedy)
}

func fits(head []byte, magic string) bool {
	if len(head) < len(magic) {
		return false
	}
	for i, c := range []byte(magic) {
		if c != '?' && head[i] != c {
			return false
		}
	}
	return true
}

// contained calls read, a method of a library that is not known to survive every
// input, and turns a panic into a failure.
func contained[T any](read func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder failed: %v: %w", p, ErrCorrupt)
		}
	}()
	return read()
}

// clip keeps a sample between -1 and 1; it fails for what is no number.
func clip(x float32) (float32, bool) {
	return max(-1, min(1, x)), !math.IsNaN(float64(x))
}
