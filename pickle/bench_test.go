package pickle

import (
	"os"
	"testing"
)

func BenchmarkLocal(b *testing.B) {
	for _, path := range []string{"/tmp/torch211/large_128mb.pt", "/tmp/torch211/many_tensors.pt"} {
		b.Run(path, func(b *testing.B) {
			f, err := os.Open(path)
			if err != nil {
				b.Skip(err)
			}
			defer f.Close()
			st, _ := f.Stat()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Read(f, st.Size(), path, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
