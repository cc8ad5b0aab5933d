package ollama

import (
	"cmp"
	"fmt"
	"path"
	"strings"
)

// Parts that a name leaves out.
const (
	DefaultHost      = "registry.ollama.ai"
	DefaultNamespace = "library"
	DefaultTag       = "latest"
)

// A Name is the full name of a model in a store. Names are compared without
// regard to case, but keep the spelling they were given.
type Name struct {
	Host      string // "registry.ollama.ai"; may carry a port: "localhost:5000"
	Namespace string // "library"
	Model     string // "llama3"
	Tag       string // "latest"
}

// partRule says what one part of a name may be made of: ASCII letters, digits
// and '_' anywhere, '-' and the bytes of also anywhere but at the start.
type partRule struct {
	part string
	max  int // bytes; the least is 1
	also string
	of   func(Name) string
}

// partRules are the rules of ollama/types/model/name.go@fb3076099, in the
// order of a manifest's path. A namespace has no '.', and only a host has ':'.
var partRules = []partRule{
	{"host", 350, ".:", func(n Name) string { return n.Host }},
	{"namespace", 80, "", func(n Name) string { return n.Namespace }},
	{"model", 80, ".", func(n Name) string { return n.Model }},
	{"tag", 80, ".", func(n Name) string { return n.Tag }},
}

// ParseName parses [host/][namespace/]model[:tag], filling in the default host,
// namespace and tag. A scheme ("https://") before the host is dropped. A name
// that it accepts passes [Name.Check], so it cannot lead out of a store; the
// error is ErrName and says which part breaks which rule.
func ParseName(s string) (Name, error) {
	n, err := splitName(s)
	if err == nil {
		err = n.Check()
	}
	if err != nil {
		return Name{}, &Error{Op: "ollama: parse name", Model: shorten(s), Err: err,
			Fix: "write [host/][namespace/]model[:tag], for example llama3 or hf.co/user/model:Q4_K_M"}
	}
	return n, nil
}

func splitName(s string) (Name, error) {
	n := Name{Host: DefaultHost, Namespace: DefaultNamespace, Tag: DefaultTag}
	rest := s
	var found bool
	if strings.LastIndex(s, ":") > strings.LastIndex(s, "/") {
		rest, n.Tag, _ = cutLast(s, ":")
	}
	if rest, n.Model, found = cutLast(rest, "/"); !found {
		n.Model = rest
		return n, nil
	}
	if rest, n.Namespace, found = cutLast(rest, "/"); !found {
		n.Namespace = rest
		return n, nil
	}
	n.Host = rest
	if scheme, host, ok := strings.Cut(rest, "://"); ok {
		if scheme != "https" && scheme != "http" {
			return Name{}, fmt.Errorf("%w: scheme %.40q is neither https nor http", ErrName, scheme)
		}
		n.Host = host
	}
	return n, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Check reports, as ErrName, the first part of n that is empty, too long or has
// a character that it may not have. A name that passes is made of four plain
// path elements.
func (n Name) Check() error {
	for _, r := range partRules {
		if err := r.check(r.of(n)); err != nil {
			return err
		}
	}
	return nil
}

func (r partRule) check(s string) error {
	if s == "" {
		return fmt.Errorf("%w: the %s is empty", ErrName, r.part)
	}
	if len(s) > r.max {
		return fmt.Errorf("%w: the %s has %d characters, at most %d are allowed", ErrName, r.part, len(s), r.max)
	}
	for i := range len(s) {
		if !r.allows(s[i], i) {
			return fmt.Errorf("%w: the %s %.80q has %q at position %d; %s", ErrName, r.part, s, s[i:i+1], i+1, r)
		}
	}
	return nil
}

func (r partRule) allows(c byte, at int) bool {
	if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' {
		return true
	}
	return at > 0 && (c == '-' || strings.IndexByte(r.also, c) >= 0)
}

func (r partRule) String() string {
	also := strings.Join(append([]string{`"-"`}, quoteEach(r.also)...), ", ")
	return `letters, digits and "_" are allowed, and after the first character ` + also
}

func quoteEach(s string) []string {
	var q []string
	for i := range len(s) {
		q = append(q, fmt.Sprintf("%q", s[i:i+1]))
	}
	return q
}

// String returns the short form that Ollama shows: the host is left out if it
// is the default one, and then the namespace too. The tag is always there. The
// zero Name is "".
func (n Name) String() string {
	if n == (Name{}) {
		return ""
	}
	s := n.Model + ":" + n.Tag
	if !strings.EqualFold(n.Host, DefaultHost) {
		return n.Host + "/" + n.Namespace + "/" + s
	}
	if !strings.EqualFold(n.Namespace, DefaultNamespace) {
		return n.Namespace + "/" + s
	}
	return s
}

// Path returns the slash-separated path of n's manifest below manifests/, or ""
// if n does not pass [Name.Check].
func (n Name) Path() string {
	if n.Check() != nil {
		return ""
	}
	return path.Join(n.Host, n.Namespace, n.Model, n.Tag)
}

// EqualFold reports whether n and o name the same model: all four parts are
// equal without regard to case.
func (n Name) EqualFold(o Name) bool {
	for _, r := range partRules {
		if !strings.EqualFold(r.of(n), r.of(o)) {
			return false
		}
	}
	return true
}

func compareNames(a, b Name) int {
	return cmp.Or(cmp.Compare(a.String(), b.String()), cmp.Compare(a.Path(), b.Path()))
}

// nameOf is the inverse of [Name.Path].
func nameOf(manifest string) (Name, error) {
	parts := strings.Split(manifest, "/")
	if len(parts) != len(partRules) {
		return Name{}, fmt.Errorf("%w: %.200q is not four directories deep", ErrName, manifest)
	}
	n := Name{Host: parts[0], Namespace: parts[1], Model: parts[2], Tag: parts[3]}
	return n, n.Check()
}

// shorten quotes what may be any bytes of any length for use in a message.
func shorten(s string) string {
	const most = 100 // enough to recognize a name by
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
