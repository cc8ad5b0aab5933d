// Package verify proves that a converted model is the model that it was made
// from, or says what is wrong with it and where: it compares structure, weights,
// what the layers of both compute, and what both answer.
//
// It is given models, not files, and shares no code with what writes them. The
// layers and outputs of the original are computed by infer/origin, which reads
// the original's own names and hyperparameters, so that a fault of the mapping
// between names cannot hide behind itself.
package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/infer"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A Side is one of the two models that are compared.
type Side struct {
	Name  string // how the user calls it
	Model *tensor.Model
	Files []File
}

// A File is one of the files that a side is stored in.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
}

// A Pair is an original and what was made of it.
type Pair struct {
	Original Side
	// Canonical is the original under the names of the result: tensors rearranged
	// but not converted, the metadata that the original states, and that of its
	// tokenizer.
	Canonical *arch.Result
	// Configs are the files beside the original that state its hyperparameters.
	Configs []arch.Config
	// Root is where in the original the network is, as origin.Options has it.
	Root   string
	Result Side
}

// A Level is how much is compared; each includes those before it.
type Level int

// The levels, the cheapest first.
const (
	Structure Level = iota + 1
	Weights
	Layers
	Outputs
	Devices
)

// levels names them; the last is everything.
var levels = map[Level]string{Structure: "structure", Weights: "weights", Layers: "layers", Outputs: "outputs", Devices: "all"}

// String names the level.
func (l Level) String() string { return levels[l] }

// LevelNames lists what ParseLevel takes.
func LevelNames() []string {
	var names []string
	for _, l := range slices.Sorted(maps.Keys(levels)) {
		names = append(names, levels[l])
	}
	return names
}

// ParseLevel returns the level called name.
func ParseLevel(name string) (Level, error) {
	for l, n := range levels {
		if n == name {
			return l, nil
		}
	}
	return 0, fmt.Errorf("unknown level %q: %w", name, tensor.ErrUnsupported)
}

// Options say how much is verified, and with what. The zero value verifies
// everything on nothing but structure and weights: running the models takes a
// backend.
type Options struct {
	Level   Level         // 0 is all
	Workers int           // 0: one per processor
	Time    time.Duration // after which no more work is begun; 0 is no limit
	// Text is what language models are given, instead of the built-in prompts.
	Text string
	// Audio is what speech models are given, mono at 16 kHz, instead of the
	// built-in speech.
	Audio []float32
	// Backends run the result. The first does for layers and outputs; the others
	// are compared with it.
	Backends []infer.Backend
	// Importance is the matrix that the result was quantized with. Without it,
	// the bytes of a file that was made with one cannot be made again.
	Importance *quantize.Importance
	// Progress is told, from several goroutines at once, how much of a check is
	// done, in units of the check. It may be nil.
	Progress func(check string, done, total int64)
}

// A Check compares one aspect of two models.
type Check struct {
	Name  string
	Level Level
	About string // what is compared, and where the limit comes from
	// applies reports whether the check is one of these models; nil is always.
	applies func(*verifier) bool
	run     func(context.Context, *verifier) error
}

// Checks lists the checks in the order in which they are made, the cheapest first.
func Checks() []Check {
	return []Check{
		{"structure.tensors", Structure, "every tensor of the original is in the result under one name, or left out for a reason; nothing else is in the result", nil, checkTensors},
		{"structure.shapes", Structure, "shapes are those that the architecture gives the original's tensors", nil, checkShapes},
		{"structure.types", Structure, "stored types can hold what the original stores; general.file_type is that of the tensors", nil, checkTypes},
		{"structure.metadata", Structure, "hyperparameters are those that the original states; a missing key counts as the runtime's default", nil, checkMetadata},
		{"structure.offsets", Structure, "no two tensors share bytes of the file, and each is inside it", nil, checkOffsets},
		{"structure.tokenizer", Structure, "tokens, merges, types and special ids are the original's, and texts become the same ids", nil, checkTokenizer},
		{"weights", Weights, "each tensor is the original's, converted: byte for byte where the conversion can be repeated, else within the error of the type on that very data", nil, checkWeights},
		{"layers.mapping", Layers, "the original's values under the names and metadata of the result compute, layer by layer, what the original's own program computes", nil, checkMapping},
		{"layers", Layers, "the result computes, layer by layer, what the original's own program computes, within what its stored types lose", nil, checkLayers},
		{"outputs", Outputs, "both answer alike: logits of every token, within what the stored types lose", nil, checkOutputs},
		{"outputs.transcript", Outputs, "both write the same transcript, token by token where the original is sure", writes, checkTranscript},
		{"devices", Devices, "every backend computes what the first does", severalBackends, checkDevices},
	}
}

// A verifier is the work of one call of Run.
type verifier struct {
	Pair
	Options
	report   *Report
	check    *Check
	deadline time.Time              // zero: none
	errors   map[string]*comparison // of tensors of the result, from the weights check
	runs     *runs                  // what the networks compute, once it is needed
	// From the outputs check: the result's logits of each probe, and their sums.
	answers   []*rows
	agreement agreement
}

// Run makes the checks up to the level of opt. It fails only if it cannot
// judge: what is wrong with the result is in the report.
func Run(ctx context.Context, p Pair, opt Options) (*Report, error) {
	began := time.Now()
	if opt.Level == 0 {
		opt.Level = Devices
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	v := &verifier{Pair: p, Options: opt, report: newReport(p, opt), errors: map[string]*comparison{}}
	if opt.Time > 0 {
		v.deadline = began.Add(opt.Time)
	}
	for _, c := range Checks() {
		if c.Level > opt.Level || c.applies != nil && !c.applies(v) {
			continue
		}
		if err := v.make(ctx, c); err != nil {
			return nil, err
		}
	}
	v.report.Seconds = time.Since(began).Seconds()
	v.report.judge()
	return v.report, nil
}

// errExpired ends a check whose time is up; it does not leave the package.
var errExpired = errors.New("time is up")

// make makes one check.
func (v *verifier) make(ctx context.Context, c Check) error {
	began := time.Now()
	v.check = &c
	first := len(v.report.Findings)
	if v.expired() {
		v.leaveOut("the time that --time allows was used up before it")
		return nil
	}
	err := c.run(ctx, v)
	if errors.Is(err, errExpired) {
		v.leaveOut("the time that --time allows was used up")
		err = nil
	}
	v.report.add(c, first, time.Since(began))
	return err
}

func (v *verifier) expired() bool { return !v.deadline.IsZero() && time.Now().After(v.deadline) }

// find records a finding of the check that is being made.
func (v *verifier) find(f Finding) {
	f.Check = v.check.Name
	v.report.Findings = append(v.report.Findings, f)
}

// leaveOut records that the check, or a part of it, was not made.
func (v *verifier) leaveOut(format string, args ...any) {
	v.report.LeftOut = append(v.report.LeftOut, LeftOut{v.check.Name, fmt.Sprintf(format, args...)})
}

// architecture is that of the original.
func (v *verifier) architecture() string { return v.Canonical.Model.Meta.Text("general.architecture") }
