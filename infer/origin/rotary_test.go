package origin

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// The frequencies differ by the rounding of float32 operations only: some six of
// them, each within 2⁻²⁴ relative.
const rounding = 6 * 0x1p-24

func TestRotaryFrequenciesAreThoseOfTransformers(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "rotary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name        string
		Parameters  map[string]any
		HeadDim     int `json:"head_dim"`
		Magnitude   float64
		Frequencies []float64
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var kvs []tensor.KV
			for k, v := range c.Parameters {
				kvs = append(kvs, tensor.KV{Key: "rope_parameters." + k, Value: v})
			}
			s := newSettings(tensor.Meta{}, []tensor.Meta{tensor.NewMeta(kvs...)})
			kind, st, err := hfStretch(s)
			if err != nil {
				t.Fatal(err)
			}
			r, err := newRotary(s, c.HeadDim, 10000, kind, st)
			if err != nil {
				t.Fatal(err)
			}
			if r.magnitude != c.Magnitude {
				t.Errorf("magnitude %v, want %v", r.magnitude, c.Magnitude)
			}
			if len(r.frequencies) != len(c.Frequencies) {
				t.Fatalf("%d frequencies, want %d", len(r.frequencies), len(c.Frequencies))
			}
			for i, want := range c.Frequencies {
				if got := float64(r.frequencies[i]); !(math.Abs(got-want) <= rounding*want) {
					t.Errorf("frequency %d is %v, want %v", i, got, want)
				}
			}
		})
	}
}
