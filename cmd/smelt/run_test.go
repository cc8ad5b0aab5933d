package main

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The limit is that of the network's own test.
func TestRunWritesTheLogitsOfThePrompt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logits.f32")
	code, _, stderr := smelt(t, "run", filepath.Join("..", "..", "testdata", "stories260K", "stories260K.pt"),
		"--prompt", "Once upon a time, there was a little girl named Lily.", "-n", "0", "--logits", path)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("..", "..", "infer", "testdata", "stories260K", "logits.f32"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d bytes; want %d", len(got), len(want))
	}
	for i := 0; i < len(got); i += 4 {
		x := math.Float32frombits(binary.LittleEndian.Uint32(got[i:]))
		y := math.Float32frombits(binary.LittleEndian.Uint32(want[i:]))
		if d := math.Abs(float64(x) - float64(y)); !(d <= 2e-5) {
			t.Fatalf("logit %d is %v; want %v", i/4, x, y)
		}
	}
}
