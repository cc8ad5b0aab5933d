package ollama

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// DefaultGrace is how long Ollama itself spares blobs that nothing refers to: a
// model that is just being made has its blobs before its manifest.
// (ollama server/images.go, PruneLayers@fb3076099)
const DefaultGrace = time.Hour

// CollectOptions say what is collected. The zero value spares no age.
type CollectOptions struct {
	Grace  time.Duration // files that were written or linked within it are spared
	DryRun bool          // nothing is removed
}

// A Collection says what [Store.Collect] removed, or would.
type Collection struct {
	Removed []Garbage
	Spared  []Garbage // not old enough
}

// Garbage is a file among the blobs that nothing refers to.
type Garbage struct {
	Path   string
	Size   int64 // bytes; of a symbolic link, those of the link are not counted
	About  string
	Age    time.Duration
	Shared bool // it is a link: removing it frees nothing
}

// aboutKinds says what the kinds of garbage are, in plain words.
var aboutKinds = map[fileKind]string{
	kindBlob:     "blob that no manifest refers to",
	kindPartial:  "part of a download that was not finished",
	kindLeftover: "file that was not completed",
}

// Collect removes the blobs that no manifest refers to, the remains of downloads
// and of writers that were killed, if they are older than the grace time. Files
// of other names are left alone. It fails with ErrUncertain, and removes nothing,
// if a manifest cannot be read: what it refers to is not known.
func (s *Store) Collect(opt CollectOptions) (c *Collection, err error) {
	l, err := s.lock()
	if err != nil {
		return nil, s.failAt("collect garbage", s.path("blobs", ""), err)
	}
	defer func() { err = errors.Join(err, l.unlock()) }()
	v, err := s.survey()
	if err != nil {
		return nil, err
	}
	if err := v.uncertain("collect garbage"); err != nil {
		return nil, err
	}
	c = &Collection{}
	unused := v.unused()
	for i, age := range ages(unused, time.Now()) {
		g := s.garbage(&unused[i], age)
		if age < opt.Grace {
			c.Spared = append(c.Spared, g)
			continue
		}
		if !opt.DryRun {
			if err := s.removeBlob(unused[i].name); err != nil {
				return c, err
			}
		}
		c.Removed = append(c.Removed, g)
	}
	return c, nil
}

func (s *Store) garbage(f *blobFile, age time.Duration) Garbage {
	links, _ := linkCount(f.info)
	return Garbage{s.path("blobs", f.name), f.size(), aboutKinds[f.kind], age, f.link || links > 1}
}

// removeBlob removes a file among the blobs, not what it links to.
func (s *Store) removeBlob(name string) error {
	if err := os.Remove(s.path("blobs", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.failAt("remove blob", s.path("blobs", name), err)
	}
	return nil
}

func (s *Store) failAt(op, path string, err error) error {
	return explainAccess(&Error{Op: "ollama: " + op, Path: path, Err: underlying(err)})
}

// uncertain fails with ErrUncertain if a manifest could not be read.
func (v *survey) uncertain(op string) error {
	if len(v.broken) == 0 {
		return nil
	}
	var paths []string
	for _, e := range v.broken {
		paths = append(paths, visible(e.Path))
	}
	const most = 5
	if n := len(paths); n > most {
		paths = append(paths[:most], fmt.Sprintf("and %d more", n-most))
	}
	return &Error{Op: "ollama: " + op, Err: fmt.Errorf("%w: %d of them cannot be read: %s", ErrUncertain, len(v.broken), strings.Join(paths, ", ")),
		Fix: "smelt ollama check says what is wrong with them; repair or remove them first"}
}
