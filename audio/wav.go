package audio

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Codes of a WAV file's encoding (RFC 2361; Microsoft, WAVEFORMATEXTENSIBLE).
const (
	wavInteger    = 1
	wavFloat      = 3
	wavExtensible = 0xfffe
)

// waveGUID is what follows the code in the encoding of an extensible file.
const waveGUID = "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"

// A wavEncoding is a way to store a sample, as a number between -1 and 1.
type wavEncoding struct {
	code, bits int
	sample     func(b []byte) float32
}

var wavEncodings = []wavEncoding{
	{wavInteger, 8, func(b []byte) float32 { return (float32(b[0]) - 128) / (1 << 7) }},
	{wavInteger, 16, func(b []byte) float32 { return float32(int16(binary.LittleEndian.Uint16(b))) / (1 << 15) }},
	{wavInteger, 24, func(b []byte) float32 {
		return float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)) / (1 << 31)
	}},
	{wavInteger, 32, func(b []byte) float32 { return float32(int32(binary.LittleEndian.Uint32(b))) / (1 << 31) }},
	{wavFloat, 32, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }},
	{wavFloat, 64, func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) }},
}

const (
	maxChannels = 256
	// wavUnknown is the length that programs write which do not know it yet.
	wavUnknown = math.MaxUint32
	// wavBlock is how many frames are read at a time.
	wavBlock = 4096
)

// A wav is an open WAV file.
type wav struct {
	r        io.ReadSeeker
	encoding wavEncoding
	channels int
	rate     int
}

// openWAV reads chunks up to the samples (Microsoft and IBM, Multimedia
// Programming Interface and Data Specifications 1.0, "WAVE").
func openWAV(r io.ReadSeeker) (track, error) {
	start, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return track{}, err
	}
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return track{}, err
	}
	w := &wav{r: r}
	for at := start + 12; ; {
		id, size, err := w.chunk(at, end)
		if err != nil {
			return track{}, err
		}
		at += 8
		if id == "data" && size == wavUnknown {
			size = end - at
		}
		if size > end-at {
			return track{}, fmt.Errorf("chunk %q at byte %#x has %d bytes, %d remain: %w", id, at-8, size, end-at, ErrCorrupt)
		}
		switch {
		case id == "fmt ":
			err = w.format(size)
		case id == "data" && w.channels == 0:
			err = fmt.Errorf("samples at byte %#x before the chunk that describes them: %w", at, ErrCorrupt)
		case id == "data":
			return w.track(size)
		}
		if err != nil {
			return track{}, err
		}
		at += size + size&1
	}
}

// chunk reads the name and the length of the chunk at byte at.
func (w *wav) chunk(at, end int64) (id string, size int64, err error) {
	if end-at < 8 {
		return "", 0, fmt.Errorf("no samples before the end at byte %#x: %w", end, ErrCorrupt)
	}
	if _, err := w.r.Seek(at, io.SeekStart); err != nil {
		return "", 0, err
	}
	var head [8]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return "", 0, err
	}
	return string(head[:4]), int64(binary.LittleEndian.Uint32(head[4:])), nil
}

// format reads the chunk that describes the samples.
func (w *wav) format(size int64) error {
	var b [40]byte
	if size < 16 {
		return fmt.Errorf("a description of %d bytes, want 16 or more: %w", size, ErrCorrupt)
	}
	n := min(size, int64(len(b)))
	if _, err := io.ReadFull(w.r, b[:n]); err != nil {
		return err
	}
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	code, bits := u16(0), u16(14)
	if code == wavExtensible && n == 40 && string(b[26:40]) == waveGUID {
		code = u16(24)
	}
	w.channels, w.rate = u16(2), int(binary.LittleEndian.Uint32(b[4:]))
	if w.channels == 0 || w.channels > maxChannels {
		return fmt.Errorf("%d channels, want 1 to %d: %w", w.channels, maxChannels, ErrUnsupported)
	}
	for _, e := range wavEncodings {
		if e.code == code && e.bits == bits {
			w.encoding = e
			if want := w.channels * bits / 8; u16(12) != want {
				return fmt.Errorf("frames of %d bytes, want %d for %d channels of %d bits: %w", u16(12), want, w.channels, bits, ErrCorrupt)
			}
			return nil
		}
	}
	return fmt.Errorf("encoding %#x with %d bits: %w; %s", code, bits, ErrUnsupported, remedy)
}

// track reads size bytes of samples from here on; an incomplete last frame does
// not count.
func (w *wav) track(size int64) (track, error) {
	width := w.encoding.bits / 8
	frame := w.channels * width
	left := size / int64(frame)
	raw, mono := make([]byte, wavBlock*frame), make([]float32, wavBlock)
	return track{rate: w.rate, next: func() ([]float32, error) {
		n := int(min(left, wavBlock))
		if n == 0 {
			return nil, io.EOF
		}
		if _, err := io.ReadFull(w.r, raw[:n*frame]); err != nil {
			return nil, fmt.Errorf("%d frames before the end: %w", left, io.ErrUnexpectedEOF)
		}
		left -= int64(n)
		for i := range mono[:n] {
			var sum float32
			for c := range w.channels {
				x, ok := clip(w.encoding.sample(raw[i*frame+c*width:]))
				if !ok {
					return nil, fmt.Errorf("a sample is no number: %w", ErrCorrupt)
				}
				sum += x
			}
			mono[i] = sum / float32(w.channels)
		}
		return mono[:n], nil
	}}, nil
}
