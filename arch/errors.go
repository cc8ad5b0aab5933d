package arch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// Bounds of what an error message says of a file's contents.
const (
	shown    = 12  // names of one kind
	maxShown = 300 // bytes of one of them
)

// list joins the first names of a list.
func list(names []string) string {
	var out []string
	for _, n := range names[:min(shown, len(names))] {
		out = append(out, brief(n))
	}
	if len(names) > shown {
		return strings.Join(out, ", ") + fmt.Sprintf(" and %d more", len(names)-shown)
	}
	return strings.Join(out, ", ")
}

// An UnknownError says that no table describes the tensors of a model.
type UnknownError struct {
	Want    string   // the architecture that was asked for, "" for any
	Groups  []string // outermost parts of the tensors' names, in order
	First   []string // the first tensors' names
	Closest string   // what fits most, and what it lacks; "" if nothing comes close
}

func (e *UnknownError) Error() string {
	var b strings.Builder
	switch _, ok := ByName(e.Want); {
	case e.Want == "":
		b.WriteString("no known architecture has these tensors")
	case !ok:
		fmt.Fprintf(&b, "architecture %q is not known", e.Want)
	default:
		fmt.Fprintf(&b, "the tensors are not those of %s", e.Want)
	}
	if len(e.First) == 0 {
		b.WriteString("; there are none")
	} else {
		fmt.Fprintf(&b, "; groups: %s; first tensors: %s", list(e.Groups), list(e.First))
	}
	if e.Closest != "" {
		b.WriteString("; closest is " + e.Closest)
	}
	fmt.Fprintf(&b, "; known are %s; --arch generic keeps names and shapes of any model", strings.Join(specNames(), ", "))
	return b.String()
}

// Unwrap classifies the error as tensor.ErrUnsupported.
func (e *UnknownError) Unwrap() error { return tensor.ErrUnsupported }

func specNames() []string {
	var names []string
	for _, s := range Specs() {
		names = append(names, s.Name)
	}
	return names
}

// An AmbiguousError says that a model holds several complete networks, such as
// the trained weights and their moving average.
type AmbiguousError struct {
	Found []string // "llama (Hugging Face transformers) under \"ema\""
	Roots []string // where each starts, for DetectAt: "ema", "." for the top
}

func (e *AmbiguousError) Error() string {
	var quoted []string
	for _, r := range e.Roots {
		quoted = append(quoted, strconv.Quote(r))
	}
	return fmt.Sprintf("%d complete networks: %s; choose one by its root: %s", len(e.Found), list(e.Found), list(quoted))
}

// Unwrap classifies the error as tensor.ErrUnsupported.
func (e *AmbiguousError) Unwrap() error { return tensor.ErrUnsupported }

// An UnmappedError lists everything that keeps a model from being written as an
// architecture: all of it at once, so that one look is enough.
type UnmappedError struct {
	Arch      string
	Unknown   []string // source tensors that no rule takes
	Missing   []string // source names, and the canonical tensors they are needed for
	Misshapen []string // tensors whose shape is not the rule's, with both
	Unfit     []string // what the output format cannot hold, and why
	Conflicts []string // hyperparameters that contradict each other, with both sides
	Params    []string // hyperparameters that nothing states

	cut int // problems beyond maxProblems of a kind
}

// maxProblems bounds each list of an UnmappedError, so that a hostile file
// cannot make an error larger than itself.
const maxProblems = 1000

// add notes a problem in one of e's lists.
func (e *UnmappedError) add(kind *[]string, format string, args ...any) {
	if len(*kind) >= maxProblems {
		e.cut++
		return
	}
	*kind = append(*kind, fmt.Sprintf(format, args...))
}

func (e *UnmappedError) empty() bool {
	return len(e.Unknown)+len(e.Missing)+len(e.Misshapen)+len(e.Unfit)+len(e.Conflicts)+len(e.Params) == 0
}

func (e *UnmappedError) Error() string {
	var out []string
	for _, kind := range []struct {
		name  string
		items []string
	}{
		{"conflicting hyperparameters", e.Conflicts},
		{"missing hyperparameters", e.Params},
		{"missing tensors", e.Missing},
		{"tensors of another shape", e.Misshapen},
		{"tensors that the architecture does not have", e.Unknown},
		{"not storable", e.Unfit},
	} {
		if len(kind.items) > 0 {
			out = append(out, fmt.Sprintf("%s (%d): %s", kind.name, len(kind.items), list(kind.items)))
		}
	}
	if e.cut > 0 {
		out = append(out, fmt.Sprintf("%d further problems", e.cut))
	}
	return "does not fit " + e.Arch + ": " + strings.Join(out, "; ")
}

// Unwrap classifies the error as tensor.ErrUnsupported.
func (e *UnmappedError) Unwrap() error { return tensor.ErrUnsupported }
