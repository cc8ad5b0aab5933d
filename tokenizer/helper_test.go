package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func loadTestdata[T any](t testing.TB, name string) (v T) {
	t.Helper()
	if err := json.Unmarshal(readTestdata(t, name), &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// digest is the SHA-256 over the length, as 32-bit little-endian, and the bytes of each entry.
func digest[T string | []byte](list []T) string {
	h := sha256.New()
	for _, s := range list {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// pair returns the value of key among v's metadata, nil if it is not there.
func pair(v *Vocab, key string) any {
	for _, kv := range v.Pairs() {
		if kv.Key == key {
			return kv.Value
		}
	}
	return nil
}
