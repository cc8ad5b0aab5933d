package pickle

import (
	"bytes"
	"errors"
	"runtime"
	"sort"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// shapes are the densest ways to ask for memory, each repeated as often as the
// audit just allows.
var shapes = []struct{ name, head, again, tail string }{
	{"empty lists", "](", "]", "e."},
	{"empty dicts", "](", "}", "e."},
	{"empty sets", "](", "\x8f", "e."},
	{"empty tuples", "](", ")", "e."},
	{"lists appended to", "]", "]a", "."},
	{"lists of one", "](", "]Na", "e."},
	{"dicts of one", "](", "}K\x01Ns", "e."},
	{"dicts of four", "](", "}(K\x01NK\x02NK\x03NK\x04Nu", "e."},
	{"tuples of one", "](", "N\x85", "e."},
	{"tuples of three", "](", "NNN\x87", "e."},
	{"tuples behind a mark", "](", "(t", "e."},
	{"tuples of four", "](", "(NNNNt", "e."},
	{"tuples of nine", "](", "(NNNNNNNNNt", "e."},
	{"tuples in tuples", "N", "\x85", "."},
	{"lists in lists", "", "]", "."},
	{"None", "](", "N", "e."},
	{"a tuple of None", "(", "N", "t."},
	{"small integers", "](", "K\x05", "e."},
	{"integers", "](", "J\x00\x00\x01\x00", "e."},
	{"long integers", "](", "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "e."},
	{"floats", "](", "G\x40\x09\x21\xfb\x54\x44\x2d\x18", "e."},
	{"strings", "](", "U\x01a", "e."},
	{"empty strings", "](", "U\x00", "e."},
	{"longer strings", "](", "\x8c\x28" + strings.Repeat("a", 40), "e."},
	{"escaped strings", "](", "V\\u0041\n", "e."},
	{"byte strings", "](", "C\x01a", "e."},
	{"entries of one dict", "}(", "J\x00\x00\x01\x00N", "u."},
	{"entries set one by one", "}", "J\x00\x00\x01\x00Ns", "."},
	{"items of one set", "\x8f(", "J\x00\x00\x01\x00", "\x90."},
	{"memo entries", "N", "\x94", "."},
	{"memo entries of their own", "](", "]\x94", "e."},
	{"ordered dicts", "ccollections\nOrderedDict\nq\x00](", "h\x00)R", "e."},
	{"ordered dicts of one", "ccollections\nOrderedDict\nq\x00](", "h\x00)RK\x01Ns", "e."},
	{"sets by name", "c__builtin__\nset\nq\x00](", "h\x00)R", "e."},
	{"sizes", "ctorch\nSize\nq\x00](", "h\x00(NNNt\x85R", "e."},
	{"unknown objects", "ca\nb\nq\x00](", "h\x00)\x81", "e."},
	{"unknown objects called", "ca\nb\nq\x00](", "h\x00NN\x86R", "e."},
	{"unknown objects with keywords", "ca\nb\nq\x00](", "h\x00)}\x92", "e."},
	{"unknown objects with a state", "ca\nb\nq\x00](", "h\x00)\x81}b", "e."},
	{"unknown objects by INST", "](", "(ia\nb\n", "e."},
	{"globals", "](", "ca\nb\n", "e."},
	{"globals by strings", "](", "U\x01aU\x01b\x93", "e."},
}

// densest repeats a shape as often as the audit allows, to an eighth.
func densest(head, again, tail string) []byte {
	make := func(n int) []byte { return []byte("\x80\x04" + head + strings.Repeat(again, n) + tail) }
	if head == "" {
		make = func(n int) []byte {
			return []byte("\x80\x04" + strings.Repeat(again, n) + strings.Repeat("a", n-1) + ".")
		}
	}
	n := 10_000
	for audit(make(2*n), Limits{}).Err == nil && n < 4<<20 {
		n *= 2
	}
	step := n / 8
	more := sort.Search(8, func(i int) bool { return audit(make(n+step*(i+1)), Limits{}).Err != nil })
	return make(n + step*more)
}

// perByte is what a byte of pickle may take besides: memoryPerByte, and what the
// garbage collector leaves lying about.
const perByte = 2 * memoryPerByte

func TestWhatTheAuditPassesFitsInMemory(t *testing.T) {
	if raceEnabled || runtime.GOOS != "linux" || testing.Short() {
		t.Skip("measures the memory of child processes, on Linux and without the race detector")
	}
	for _, c := range shapes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := densest(c.head, c.again, c.tail)
			if a := audit(b, Limits{}); a.Err != nil {
				t.Fatal(a.Err)
			}
			peak, err := peakOf("m.pkl", b, "read", t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if limit := uint64(hostileBytes + len(b) + perByte*len(b)); peak > limit {
				t.Errorf("a pickle of %d bytes takes %d MB at its peak, the limit is %d MB", len(b), peak>>20, limit>>20)
			}
			t.Logf("%d bytes, %d MB", len(b), peak>>20)
		})
	}
}

// A value that only Limits.Memory refuses is built when it is raised.
func TestMemoryLimitCanBeRaised(t *testing.T) {
	b := append([]byte("\x80\x02]("), append(bytes.Repeat([]byte("]"), 900_000), "e."...)...)
	a := audit(b, Limits{})
	if !errors.Is(a.Err, tensor.ErrTooLarge) {
		t.Fatalf("audit = %v, want ErrTooLarge", a.Err)
	}
	if a := audit(b, Limits{Memory: 1 << 30}); a.Err != nil {
		t.Errorf("with a gigabyte: %v", a.Err)
	}
}

// A hundred thousand tensors of a few bytes each are no attack.
func TestAuditPassesALargeStateDict(t *testing.T) {
	if a := audit(stateDict(100_000), Limits{}); a.Err != nil {
		t.Error(a.Err)
	}
}
