package ollama

import (
	"fmt"
	"slices"
	"strings"
)

// Lookup returns the name in the store that n means, in the spelling of the
// store: n itself if it is there, else one that differs only in case. It fails
// with ErrNotFound, then naming the models that come closest.
func (s *Store) Lookup(n Name) (Name, error) {
	if err := n.Check(); err != nil {
		return Name{}, &Error{Op: "ollama: find model", Model: shorten(n.String()), Err: err}
	}
	entries, err := s.walk()
	if err != nil {
		return Name{}, err
	}
	var names []Name
	for _, e := range entries {
		if e.Err == nil {
			names = append(names, e.Name)
		}
	}
	if slices.Contains(names, n) {
		return n, nil
	}
	if i := slices.IndexFunc(names, n.EqualFold); i >= 0 {
		return names[i], nil
	}
	return Name{}, s.notFound(n, names, entries)
}

func (s *Store) notFound(n Name, names []Name, entries []Entry) error {
	e := &Error{Op: "ollama: find model", Model: n.String(), Path: s.path("manifests", n.Path()), Err: ErrNotFound}
	e.Fix = suggestion(n, names)
	for _, broken := range entries {
		if broken.Err != nil && (broken.Name == Name{}) {
			e.Err = fmt.Errorf("%w (and part of the store cannot be read: %w)", ErrNotFound, broken.Err)
			break
		}
	}
	return e
}

func suggestion(n Name, names []Name) string {
	if len(names) == 0 {
		return "the store holds no models; pull one with \"ollama pull " + n.String() + "\""
	}
	var close []string
	for _, c := range Closest(n, names, 4) {
		close = append(close, c.String())
	}
	return "the closest names in the store are " + strings.Join(close, ", ")
}

// Closest returns up to limit of names, those most like n first: by the number
// of characters to change, another tag of the same model counting as one.
func Closest(n Name, names []Name, limit int) []Name {
	type scored struct {
		name Name
		far  int
	}
	var all []scored
	for _, c := range names {
		all = append(all, scored{c, nameDistance(n, c)})
	}
	slices.SortFunc(all, func(a, b scored) int {
		if a.far != b.far {
			return a.far - b.far
		}
		return compareNames(a.name, b.name)
	})
	var closest []Name
	for _, c := range all[:min(limit, len(all))] {
		closest = append(closest, c.name)
	}
	return closest
}

func nameDistance(a, b Name) int {
	far := 0
	if !strings.EqualFold(a.Tag, b.Tag) {
		far = 1
	}
	a.Tag, b.Tag = "", ""
	return far + editDistance(strings.ToLower(a.String()), strings.ToLower(b.String()))
}

// editDistance is the Levenshtein distance of a and b in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
