package ollama

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// spelled returns n with each part in the spelling that the store has for it, as
// Ollama does when it writes: names differ by more than case.
func (s *Store) spelled(n Name) (Name, error) {
	dir := "."
	for _, part := range []*string{&n.Host, &n.Namespace, &n.Model, &n.Tag} {
		found, err := s.spelling(dir, *part)
		if err != nil {
			return n, explainAccess(&Error{Op: "ollama: find model", Model: n.String(), Path: s.path("manifests", dir), Err: underlying(err)})
		}
		*part = found
		dir = path.Join(dir, found)
	}
	return n, nil
}

// spelling returns the name in dir that differs from want in case at most, or
// want if there is none.
func (s *Store) spelling(dir, want string) (string, error) {
	entries, err := fs.ReadDir(s.manifests, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return want, nil
	}
	found := want
	for _, e := range entries {
		if e.Name() == want {
			return want, nil
		}
		if strings.EqualFold(e.Name(), want) {
			found = e.Name()
		}
	}
	return found, err
}

// A sourceTag is a tag, or the end of one, that Ollama takes for a word about
// where a model runs, not for part of its name.
// (ollama types/model/name.go and internal/modelref@fb3076099)
var sourceTags = []struct {
	tag, suffix string
}{{"cloud", "-cloud"}, {"local", ""}}

// checkNew refuses names that Ollama would read as others.
func checkNew(n Name) error {
	for _, r := range sourceTags {
		if strings.EqualFold(n.Tag, r.tag) || r.suffix != "" && strings.HasSuffix(strings.ToLower(n.Tag), r.suffix) {
			return &Error{Op: "ollama: add model", Model: n.String(), Err: ErrName,
				Fix: "choose another tag: Ollama takes " + strings.TrimPrefix(n.Tag, "-") + " for the place where a model runs"}
		}
	}
	return n.Check()
}
