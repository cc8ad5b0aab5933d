package convert

import (
	"fmt"
	"math"
	"runtime"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/smelt-project/smelt/tensor"
)

// A Goal limits the size of a file whose types are chosen for the least error.
// One of Size, BitsPerWeight and Memory is set; the zero value is no goal. The
// types do not depend on Workers.
type Goal struct {
	Size          int64   // of the whole file in bytes
	BitsPerWeight float64 // of all tensors together
	Memory        int64   // bytes of a computer that the model has to run on
	Context       int     // with Memory: positions that have to fit; 0 is DefaultContext
	Workers       int     // tensors measured at once; 0: one per processor
}

func (g Goal) workers() int {
	if g.Workers > 0 {
		return g.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// DefaultContext is the context for which Goal.Memory leaves room, in positions.
const DefaultContext = 4096

// maxBits is the size of the largest elements, F64.
const maxBits = 64

// Check fails if g is not one goal.
func (g Goal) Check() error {
	set := 0
	for _, is := range []bool{g.Size != 0, g.BitsPerWeight != 0, g.Memory != 0} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("a size, bits per weight and a memory each set the limit; give one of them: %w", tensor.ErrUnsupported)
	case g.Size < 0 || g.Memory < 0 || g.Context < 0 || g.Workers < 0:
		return fmt.Errorf("a size, memory, context or number of workers is less than 0: %w", tensor.ErrUnsupported)
	case !(g.BitsPerWeight >= 0 && g.BitsPerWeight <= maxBits): // NaN neither
		return fmt.Errorf("%g bits per weight, want more than 0 and at most %d: %w", g.BitsPerWeight, maxBits, tensor.ErrUnsupported)
	case g.Context != 0 && g.Memory == 0:
		return fmt.Errorf("a context of %d goes with a memory only: %w", g.Context, tensor.ErrUnsupported)
	}
	return nil
}

// A GoalError says that no choice of types reaches a goal.
type GoalError struct {
	Goal     Goal
	Size     int64   // what the file may have, in bytes
	Smallest int64   // what it has with the smallest types
	Bits     float64 // for each weight, of that file
	How      string  // where Size comes from, "" if it was asked for
}

// Error says both sides, and the smallest goal that can be reached.
func (e *GoalError) Error() string {
	if e.Goal.BitsPerWeight != 0 {
		return fmt.Sprintf("%g bits per weight cannot be reached: the smallest possible is %.4f", e.Goal.BitsPerWeight, e.Bits)
	}
	how := e.How
	if how != "" {
		how = strings.TrimSuffix(how, ".") + "; "
	}
	return fmt.Sprintf("%sa file of at most %s bytes (%s) cannot be made: the smallest possible has %s bytes (%s)",
		how, humanize.Comma(e.Size), humanize.IBytes(uint64(max(e.Size, 0))), humanize.Comma(e.Smallest), humanize.IBytes(uint64(e.Smallest))) //nolint:gosec // sizes are not negative
}

// A budget is what a goal leaves for one file.
type budget struct {
	size  int64 // of the file; 0: bits decide
	fixed int64 // of it that is not to choose, by the measure of the goal
	free  int64 // elements of the tensors whose types may be chosen
	total int64 // elements
	bytes int64 // for the free tensors
	notes []string
}

// budget divides the goal between what draft stores anyway and its free tensors.
// split is what the files will be limited to; draft is one file.
func (g Goal) budget(draft *Plan, split Split) (*budget, error) {
	b := &budget{size: g.Size}
	var freeBytes, fixedBytes int64
	for _, s := range draft.Steps {
		size, err := s.To.Size()
		if err != nil {
			return nil, err
		}
		n, _ := s.To.Shape.Elems() // Size has checked it
		b.total += n
		if !s.free {
			fixedBytes += size
			continue
		}
		b.free += n
		freeBytes += draft.Target.padded(draft, size)
	}
	if g.BitsPerWeight != 0 {
		b.fixed = fixedBytes
		b.bytes = int64(math.Floor(g.BitsPerWeight/8*float64(b.total))) - fixedBytes
		return b, nil
	}
	if g.Memory != 0 {
		var err error
		if b.size, b.notes, err = g.fileFor(draft); err != nil {
			return nil, err
		}
	}
	shards, err := split.Overhead(b.size, len(draft.Steps))
	if err != nil {
		return nil, err
	}
	b.fixed = draft.Size() - freeBytes + shards
	b.bytes = b.size - b.fixed
	return b, nil
}

// bits is what there is for each weight that is free.
func (b *budget) bits() float64 { return 8 * float64(b.bytes) / float64(max(b.free, 1)) }

// unreachable describes the failure to fit smallest bytes into the budget.
func (b *budget) unreachable(g Goal, smallest int64) error {
	return &GoalError{Goal: g, Size: b.size, How: strings.Join(b.notes, " "), Smallest: b.fixed + smallest, Bits: 8 * float64(b.fixed+smallest) / float64(max(b.total, 1))}
}
