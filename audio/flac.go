package audio

import (
	"errors"
	"fmt"
	"io"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
)

// openFLAC opens a FLAC stream (RFC 9639).
func openFLAC(r io.ReadSeeker) (track, error) {
	s, err := contained(func() (*flac.Stream, error) { return flac.New(r) })
	if err != nil {
		return track{}, corrupt(err)
	}
	var got uint64
	var mono []float32
	return track{rate: int(s.Info.SampleRate), next: func() ([]float32, error) {
		f, err := contained(s.ParseNext)
		if errors.Is(err, io.EOF) {
			if want := s.Info.NSamples; want != 0 && got != want {
				return nil, fmt.Errorf("%d samples, the header says %d: %w", got, want, ErrCorrupt)
			}
			return nil, io.EOF
		}
		if err != nil {
			return nil, corrupt(fmt.Errorf("after %d samples: %w", got, err))
		}
		if mono, err = mixFLAC(mono[:0], f, s.Info.BitsPerSample, int(s.Info.NChannels)); err != nil {
			return nil, err
		}
		got += uint64(len(mono))
		return mono, nil
	}}, nil
}

// mixFLAC appends the samples of a frame.
func mixFLAC(mono []float32, f *frame.Frame, bits uint8, channels int) ([]float32, error) {
	if len(f.Subframes) != channels || f.BitsPerSample != 0 && f.BitsPerSample != bits || bits == 0 || bits > 32 {
		return nil, fmt.Errorf("frame %d has %d channels of %d bits, the stream %d of %d: %w", f.Num, len(f.Subframes), f.BitsPerSample, channels, bits, ErrUnsupported)
	}
	n := len(f.Subframes[0].Samples)
	for _, s := range f.Subframes {
		if len(s.Samples) != n {
			return nil, fmt.Errorf("frame %d has channels of %d and %d samples: %w", f.Num, n, len(s.Samples), ErrCorrupt)
		}
	}
	scale := 1 / (float32(uint64(1)<<(bits-1)) * float32(channels))
	for i := range n {
		var sum int64
		for _, s := range f.Subframes {
			sum += int64(s.Samples[i])
		}
		x, _ := clip(float32(sum) * scale)
		mono = append(mono, x)
	}
	return mono, nil
}

// corrupt classifies what a library found wrong.
func corrupt(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}
