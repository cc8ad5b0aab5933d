package ollama

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"time"
)

// A survey is what a store holds: every manifest, every file among the blobs, and
// who refers to what.
type survey struct {
	entries []Entry
	files   []blobFile
	// users are the models that refer to a digest (hex digits), in order.
	users map[string][]string
	// broken are the manifests that could not be read, so that it is not known
	// what they refer to.
	broken []Entry
}

// A fileKind says what a file among the blobs is, by its name.
type fileKind string

const (
	kindBlob     fileKind = "blob"
	kindPartial  fileKind = "partial"  // of a download
	kindLeftover fileKind = "leftover" // of a writer like this package
	kindOther    fileKind = "other"
)

// blobNames tell the kinds apart; the first group is the digest.
// (ollama server/download.go and x/transfer/download.go@fb3076099)
var blobNames = []struct {
	kind    fileKind
	pattern *regexp.Regexp
}{
	{kindBlob, regexp.MustCompile(`^sha256[-:]([0-9a-fA-F]{64})$`)},
	{kindPartial, regexp.MustCompile(`^sha256[-:]([0-9a-fA-F]{64})(?:-partial(?:-\d{1,4})?|\.tmp)$`)},
}

// A blobFile is a file among the blobs.
type blobFile struct {
	name string
	kind fileKind
	hex  string // of the digest in its name, lower-case
	info fs.FileInfo
	err  error
	// link: it is a symbolic link; info is then of what it leads to, if err is nil.
	link bool
}

// survey reads everything but the content of blobs.
func (s *Store) survey() (*survey, error) {
	entries, err := s.List()
	if err != nil {
		return nil, err
	}
	v := &survey{entries: entries, users: map[string][]string{}}
	for _, e := range entries {
		if e.Err != nil {
			v.broken = append(v.broken, e)
			continue
		}
		for _, digits := range e.Manifest.digests() {
			v.users[digits] = append(v.users[digits], e.Name.String())
		}
	}
	v.files, err = s.blobFiles()
	return v, err
}

// digests returns the distinct digests that m refers to, as lower-case digits, in
// order.
func (m *Manifest) digests() []string {
	var out []string
	seen := map[string]bool{}
	for _, l := range m.layers() {
		digits, err := digestHex(l.Digest)
		if err != nil || seen[digits] {
			continue
		}
		seen[digits] = true
		out = append(out, digits)
	}
	return out
}

// blobFiles lists the files among the blobs, sorted by name.
func (s *Store) blobFiles() ([]blobFile, error) {
	entries, err := fs.ReadDir(s.blobs, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, explainAccess(&Error{Op: "ollama: list blobs", Path: s.path("blobs", ""), Err: underlying(err)})
	}
	var files []blobFile
	for _, e := range entries {
		f := classify(e.Name())
		f.link = e.Type()&fs.ModeSymlink != 0
		if f.info, f.err = fs.Stat(s.blobs, e.Name()); errors.Is(f.err, fs.ErrNotExist) && !f.link {
			continue // it was removed meanwhile
		}
		files = append(files, f)
	}
	return files, nil
}

func classify(name string) blobFile {
	if isLeftover(name) {
		return blobFile{name: name, kind: kindLeftover}
	}
	for _, n := range blobNames {
		if m := n.pattern.FindStringSubmatch(name); m != nil {
			return blobFile{name: name, kind: n.kind, hex: strings.ToLower(m[1])}
		}
	}
	return blobFile{name: name, kind: kindOther}
}

// size returns the bytes of the file, 0 if it cannot be looked at.
func (f *blobFile) size() int64 {
	if f.info == nil {
		return 0
	}
	return f.info.Size()
}

// touched returns when the file was last written or linked; the zero time if it
// cannot be looked at.
func (f *blobFile) touched() time.Time {
	if f.info == nil {
		return time.Time{}
	}
	t := f.info.ModTime()
	if c, ok := changeTime(f.info); ok && c.After(t) {
		t = c
	}
	return t
}

// unused lists the files that nothing refers to and that are of a kind that may
// be removed, by name.
func (v *survey) unused() []blobFile {
	var out []blobFile
	for _, f := range v.files {
		inUse := f.kind == kindBlob && len(v.users[f.hex]) > 0
		if f.kind != kindOther && !inUse && (f.info == nil || !f.info.IsDir()) {
			out = append(out, f)
		}
	}
	return out
}

// ages returns how long ago each of files was touched. Parts of one download are
// as young as the youngest of them.
func ages(files []blobFile, now time.Time) []time.Duration {
	youngest := map[string]time.Time{}
	for _, f := range files {
		if f.kind == kindPartial && f.touched().After(youngest[f.hex]) {
			youngest[f.hex] = f.touched()
		}
	}
	out := make([]time.Duration, len(files))
	for i, f := range files {
		t := f.touched()
		if f.kind == kindPartial {
			t = youngest[f.hex]
		}
		out[i] = now.Sub(t)
	}
	return out
}
