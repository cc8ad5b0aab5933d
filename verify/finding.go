package verify

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// A Metric is what a finding measures.
type Metric string

// The metrics. Those of atLeast are good where they are large.
const (
	Mismatches     Metric = "mismatches"      // facts that differ, of one
	DifferingBytes Metric = "differing_bytes" // from what the conversion makes of the original
	DifferingShare Metric = "differing_share" // of a quantized tensor's blocks
	RelativeRMS    Metric = "relative_rms"    // ‖x−x̂‖₂/‖x‖₂
	MaxError       Metric = "max_error"       // max |x−x̂|
	Cosine         Metric = "cosine"          // x·x̂/(‖x‖‖x̂‖)
	SNR            Metric = "snr_db"          // 20·log₁₀ ‖x‖₂/‖x−x̂‖₂
	BlockError     Metric = "block_error"     // worst error of 256 elements, in units of the type's own there
	DifferingIDs   Metric = "differing_ids"   // token ids
)

// atLeast are the metrics that must not fall below their limit.
var atLeast = map[Metric]bool{Cosine: true, SNR: true, TopOne: true, TopFive: true}

// A Finding is one measured number and the limit that it has to keep.
type Finding struct {
	Check  string `json:"check"`
	Tensor string `json:"tensor"` // "" if it is about no tensor
	Key    string `json:"key"`    // of the metadata, "" if it is about none
	Layer  string `json:"layer"`  // such as decoder.3.attn_q, "" if it is about none
	Metric Metric `json:"metric"`
	Got    Number `json:"got"`
	Limit  Number `json:"limit"`
	OK     bool   `json:"ok"`
	// Expected and Found say both sides of what is not a number.
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	Cause    string `json:"cause"` // what explains a failure; "" if it is none or nothing is known
}

// judged returns f with OK set: whether Got keeps Limit. NaN keeps none.
func (f Finding) judged() Finding {
	if atLeast[f.Metric] {
		f.OK = f.Got >= f.Limit
	} else {
		f.OK = f.Got <= f.Limit
	}
	return f
}

// mismatch is a failed finding about a fact.
func mismatch(f Finding) Finding {
	f.Metric, f.Got, f.Limit = Mismatches, 1, 0
	return f.judged()
}

// matches is a finding that n facts are right.
func matches(f Finding) Finding {
	f.Metric, f.Got, f.Limit = Mismatches, 0, 0
	return f.judged()
}

// A Number is a float64 that JSON can hold: NaN, Infinity and -Infinity are
// strings.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	switch x := float64(n); {
	case math.IsNaN(x):
		return []byte(`"NaN"`), nil
	case math.IsInf(x, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(x, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(x)
	}
}

// String has as many digits as a person can use.
func (n Number) String() string {
	x := float64(n)
	if x == math.Trunc(x) && math.Abs(x) < 1e9 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprintf("%.3g", x)
}
