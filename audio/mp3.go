package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hajimehoshi/go-mp3"
)

// mp3Frame is the size of what the decoder gives: two channels of 16 bits.
const mp3Frame = 4

// openMP3 opens a stream of MPEG-1 or MPEG-2 layer III. What the encoder put
// before the beginning stays: some tens of milliseconds.
func openMP3(r io.ReadSeeker) (track, error) {
	// Without Seek: the decoder would read the file once more to index it.
	plain := struct{ io.Reader }{r}
	d, err := contained(func() (*mp3.Decoder, error) { return mp3.NewDecoder(plain) })
	if err != nil {
		return track{}, corrupt(err)
	}
	raw, mono := make([]byte, wavBlock*mp3Frame), make([]float32, wavBlock)
	return track{rate: d.SampleRate(), next: func() ([]float32, error) {
		n, err := contained(func() (int, error) { return io.ReadFull(d, raw) })
		switch {
		case n > 0 && errors.Is(err, io.ErrUnexpectedEOF), err == nil:
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, corrupt(fmt.Errorf("a frame cannot be decoded: %w", err))
		}
		out := mono[:n/mp3Frame]
		for i := range out {
			left, right := binary.LittleEndian.Uint16(raw[i*mp3Frame:]), binary.LittleEndian.Uint16(raw[i*mp3Frame+2:])
			out[i] = float32(int32(int16(left))+int32(int16(right))) / (1 << 16) //nolint:gosec // two's complement
		}
		return out, nil
	}}, nil
}
