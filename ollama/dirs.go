package ollama

import (
	"fmt"
	"strings"
)

// A Candidate is a folder in which Ollama may keep its models on this machine.
type Candidate struct {
	Path string
	From string // why it is one, in plain words
}

// defaultDirs are where Ollama keeps models unless OLLAMA_MODELS says
// otherwise. (ollama envconfig/config.go Models and scripts/install.sh@fb3076099:
// the service runs as user ollama, whose home is /usr/share/ollama)
var defaultDirs = []struct {
	goos string   // "": every system
	path []string // elements below home, if there is only a relative path
	abs  string
	from string
}{
	{"", []string{".ollama", "models"}, "", "the default in your home folder"},
	{"linux", nil, "/usr/share/ollama/.ollama/models", "the default of the Linux service"},
}

// DefaultDirs returns where to look for models, in order: the directory in the
// environment variable OLLAMA_MODELS alone, freed of space and quotes, if env
// says that it is set, else the defaults of the system goos (as in
// [runtime.GOOS]) for a user with that home folder ("": not known).
func DefaultDirs(env func(string) string, goos, home string) []Candidate {
	if dir := strings.Trim(strings.TrimSpace(env("OLLAMA_MODELS")), `"'`); dir != "" {
		return []Candidate{{dir, "OLLAMA_MODELS"}}
	}
	separator := "/"
	if goos == "windows" {
		separator = `\`
	}
	var dirs []Candidate
	for _, d := range defaultDirs {
		switch {
		case d.goos != "" && d.goos != goos, d.abs == "" && home == "":
		case d.abs != "":
			dirs = append(dirs, Candidate{d.abs, d.from})
		default:
			path := strings.TrimRight(home, separator) + separator + strings.Join(d.path, separator)
			dirs = append(dirs, Candidate{path, d.from})
		}
	}
	return dirs
}

// A SearchError says why none of several folders would do.
type SearchError struct {
	What  string // "model llama3:latest"
	Tried []Attempt
}

// An Attempt is a folder that was looked into in vain.
type Attempt struct {
	Candidate
	Err error
}

// Error lists every folder with its reason, a line each.
func (e *SearchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ollama: find %s: not found in any of %d folders", e.What, len(e.Tried))
	for _, a := range e.Tried {
		fmt.Fprintf(&b, "\n  %s (%s): %v", visible(a.Path), a.From, a.Err)
	}
	if len(e.Tried) == 0 {
		b.WriteString("; say where Ollama keeps its models with OLLAMA_MODELS")
	}
	return b.String()
}

// Unwrap returns the reasons.
func (e *SearchError) Unwrap() []error {
	var errs []error
	for _, a := range e.Tried {
		errs = append(errs, a.Err)
	}
	return errs
}

// Find opens the first of dirs that is a store. It fails with a [*SearchError].
func Find(dirs []Candidate) (*Store, error) {
	var found *Store
	err := search("models directory", dirs, func(s *Store) error {
		found = s
		return nil
	})
	return found, err
}

// Locate resolves n in the first of dirs that holds it, as [Store.Resolve]
// does. If none does, it fails with a [*SearchError].
func Locate(dirs []Candidate, n Name) (*Model, error) {
	var model *Model
	var broken error
	err := search("model "+n.String(), dirs, func(s *Store) error {
		if _, err := s.Lookup(n); err != nil {
			return err
		}
		model, broken = s.Resolve(n)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return model, broken
}

// FindModel opens the first of dirs that holds n, whether its manifest can be read
// or not. If none does, it fails with a [*SearchError].
func FindModel(dirs []Candidate, n Name) (*Store, error) {
	var found *Store
	err := search("model "+n.String(), dirs, func(s *Store) error {
		found = s
		_, err := s.lookupFile(n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// search calls accept with each store until it returns nil.
func search(what string, dirs []Candidate, accept func(*Store) error) error {
	e := &SearchError{What: what}
	for _, d := range dirs {
		s, err := Dir(d.Path)
		if err == nil {
			err = accept(s)
		}
		if err == nil {
			return nil
		}
		e.Tried = append(e.Tried, Attempt{d, err})
	}
	return e
}
