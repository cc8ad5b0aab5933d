package pickle

import (
	"fmt"
	"slices"
	"strings"
)

// A Verdict is the result of a scan in one word. The worst thing found decides.
type Verdict string

const (
	// VerdictSafe says that every pickle was read to its end, and its globals are all
	// builders or harmless.
	VerdictSafe Verdict = "safe"
	// VerdictUnknown says that some global is not known.
	VerdictUnknown Verdict = "unknown"
	// VerdictUnreadable says that something could not be examined; Errors says what.
	VerdictUnreadable Verdict = "unreadable"
	// VerdictDangerous says that some global is dangerous or computed at run time.
	VerdictDangerous Verdict = "dangerous"
)

// A Report is what a scan found in one file.
type Report struct {
	Path    string    `json:"path"`
	Verdict Verdict   `json:"verdict"`
	Globals []Global  `json:"globals"`
	Errors  []string  `json:"errors"` // what could not be examined, and why
	Format  Container `json:"format"`
	Pickles []Found   `json:"pickles,omitempty"` // the first ten thousand
	Notes   []string  `json:"notes,omitempty"`

	total int // pickles, also those that are not listed
}

// A Found is one pickle in a file.
type Found struct {
	Member   string `json:"member,omitempty"` // of the archive; "outer.zip/inner.pkl" if archives are nested
	Offset   int64  `json:"offset"`           // in the member, or in the file if there is none
	Size     int64  `json:"size"`
	Protocol int    `json:"protocol"`
	Opcodes  int    `json:"opcodes"`
}

// judge sets the verdict from what was found.
func (r *Report) judge() {
	if r.total > len(r.Pickles) {
		r.note("%d pickles were examined, the first %d are listed", r.total, len(r.Pickles))
	}
	is := func(kinds ...GlobalKind) bool {
		return slices.ContainsFunc(r.Globals, func(g Global) bool { return slices.Contains(kinds, g.Kind) })
	}
	switch {
	case is(Dangerous, Dynamic):
		r.Verdict = VerdictDangerous
	case len(r.Errors) > 0:
		r.Verdict = VerdictUnreadable
	case is(Unknown):
		r.Verdict = VerdictUnknown
	default:
		r.Verdict = VerdictSafe
	}
}

// maxPickles bounds Pickles: a file can hold millions that say N.
const maxPickles = 10_000

func (r *Report) found(f Found) {
	if r.total++; r.total <= maxPickles {
		r.Pickles = append(r.Pickles, f)
	}
}

// maxMessages bounds Errors and Notes: an archive of a million broken members
// is as unreadable as one of a hundred.
const maxMessages = 100

func (r *Report) fail(err error) {
	switch {
	case len(r.Errors) < maxMessages:
		r.Errors = append(r.Errors, err.Error())
	case len(r.Errors) == maxMessages:
		r.Errors = append(r.Errors, "more of the same kind are left out")
	}
}

func (r *Report) note(format string, args ...any) {
	if len(r.Notes) < maxMessages {
		r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	}
}

// merge adds the globals of a pickle that starts at off in member. Those that
// the same member already has are counted, not repeated.
func (s *scanner) merge(globals []Global, member string, off int64) {
	for _, g := range globals {
		g.Member, g.Offset = member, g.Offset+off
		key := strings.Join([]string{member, g.In, g.Module, g.Name}, "\x00")
		i, ok := s.seen[key]
		if !ok {
			s.seen[key] = len(s.rep.Globals)
			s.rep.Globals = append(s.rep.Globals, g)
			continue
		}
		old := &s.rep.Globals[i]
		old.Count += g.Count
		old.Use = joinUses(old.Use, g.Use)
		if rank(g.Kind) > rank(old.Kind) {
			old.Kind, old.Why = g.Kind, g.Why
		}
	}
}

// rank orders kinds from the best to the worst.
func rank(k GlobalKind) int {
	return slices.Index([]GlobalKind{Builder, Harmless, Unknown, Dynamic, Dangerous}, k)
}

// joinUses lists what either of two uses lists.
func joinUses(a, b string) string {
	var u use
	for _, x := range uses {
		if strings.Contains(a, x.name) || strings.Contains(b, x.name) {
			u |= x.bit
		}
	}
	return u.String()
}
