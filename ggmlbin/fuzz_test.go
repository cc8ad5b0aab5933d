package ggmlbin

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// Whatever Read accepts and holds tensors is laid out again to the same bytes;
// and memory follows the size of the file.
func FuzzRead(f *testing.F) {
	f.Add(fixture(f, "small.bin"))
	f.Add(smallHeader().bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := readBytes(file)
		runtime.ReadMemStats(&after)
		// Tokens of no bytes cost most, 4 in the file for a slice header of 24
		// and a string header of 16; slices double as they grow.
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+64*len(file)); got > limit {
			t.Errorf("%d bytes allocated for a file of %d, limit %d", got, len(file), limit)
		}
		if err != nil || len(m.Tensors()) == 1 {
			return
		}
		if !bytes.Equal(rewrite(t, m), file) {
			t.Error("laid out again, the file differs")
		}
	})
}

// Place and Check agree on every header and tensor type that the format can hold.
func FuzzPlace(f *testing.F) {
	f.Add(uint8(8), uint8(2), uint8(1), uint8(4), uint8(5), []byte("token"), uint32(tensor.F16))
	f.Add(uint8(32), uint8(1), uint8(2), uint8(80), uint8(1), []byte{}, uint32(tensor.Q8_0))
	f.Fuzz(func(t *testing.T, width, audio, text, mels, fft uint8, token []byte, d uint32) {
		h := &Header{Vocab: 3, AudioCtx: 2, AudioState: int32(width), AudioHead: 1, AudioLayer: int32(audio % 4), TextCtx: 2, TextState: int32(width),
			TextHead: 1, TextLayer: int32(text % 4), Mels: int32(mels), FFT: int(fft), Filters: make([]float32, int(mels)*int(fft)), Tokens: [][]byte{token}}
		var err error
		if h.FType, err = FileType(tensor.DType(d)); err != nil {
			return
		}
		infos := smallInfos(h, tensor.DType(d))
		p, err := Place(h, infos)
		if err != nil {
			return
		}
		b := write(p, nil)
		if err := Check(bytes.NewReader(b), int64(len(b)), h, infos); err != nil {
			t.Error(err)
		}
		m, err := readBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(rewrite(t, m), b) {
			t.Error("laid out again, the file differs")
		}
	})
}
