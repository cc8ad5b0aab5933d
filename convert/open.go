// Package convert opens models of every kind, plans how one becomes another,
// and runs the plan: in parallel, in bounded memory, and so that the result
// appears whole or not at all.
package convert

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/ggmlbin"
	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/pickle"
	"github.com/smelt-project/smelt/safetensors"
	"github.com/smelt-project/smelt/tensor"
)

// A File is one file that a model is stored in.
type File struct {
	Path string `json:"path"`
	Size int64  `json:"bytes"`
}

// A Source is an opened model: what is in it, and what stands beside it.
type Source struct {
	Path  string // as the user gave it
	Model *tensor.Model
	Files []File // that hold the model, sorted by path
	// Canonical: the tensors have the names that smelt writes; no architecture
	// table is needed to convert them.
	Canonical bool
	// Configs are the configuration files beside the model.
	Configs []arch.Config
	// Folder is where tokenizer files may stand; "" if nowhere.
	Folder string
	// Store is the entry of an Ollama models directory that the model came from.
	Store *ollama.Model

	closers []io.Closer
}

// Close closes the files of the source. Its tensors cannot be read afterwards.
func (s *Source) Close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// Bytes returns the size of the source's files together.
func (s *Source) Bytes() int64 {
	var n int64
	for _, f := range s.Files {
		n += f.Size
	}
	return n
}

// OpenOptions say how a source is read. The zero value is strict about nothing
// and refuses dangerous pickles.
type OpenOptions struct {
	Pickle pickle.Options
	// OllamaDir is the models directory for names like ollama:llama3; "" means
	// OLLAMA_MODELS, then the platform's defaults.
	OllamaDir string
}

// A format is one kind of file that is read.
type format struct {
	read      func(f *folder, name string, opt OpenOptions) (*tensor.Model, error)
	canonical bool
}

// formats is the source table: what a file is, by its content, and how it is
// read. Content that is recognised but not here has advice instead.
var formats = map[pickle.Container]format{
	pickle.GGUF:        {func(f *folder, name string, _ OpenOptions) (*tensor.Model, error) { return gguf.ReadSet(f, name) }, true},
	pickle.GGML:        {readWith(plain(ggmlbin.Read)), true},
	pickle.SafeTensors: {readWith(plain(safetensors.Read)), false},
	pickle.Zip:         {readWith(readPickle), false},
	pickle.Legacy:      {readWith(readPickle), false},
	pickle.Tar:         {readWith(readPickle), false},
	pickle.Pickle:      {readWith(readPickle), false},
}

func readPickle(r io.ReaderAt, size int64, path string, opt OpenOptions) (*tensor.Model, error) {
	return pickle.Read(r, size, path, opt.Pickle)
}

// plain adapts a reader without options.
func plain(read func(io.ReaderAt, int64, string) (*tensor.Model, error)) func(io.ReaderAt, int64, string, OpenOptions) (*tensor.Model, error) {
	return func(r io.ReaderAt, size int64, path string, _ OpenOptions) (*tensor.Model, error) {
		return read(r, size, path)
	}
}

// readWith adapts a reader of single files.
func readWith(read func(io.ReaderAt, int64, string, OpenOptions) (*tensor.Model, error)) func(*folder, string, OpenOptions) (*tensor.Model, error) {
	return func(f *folder, name string, opt OpenOptions) (*tensor.Model, error) {
		r, size, err := f.Open(name)
		if err != nil {
			return nil, err
		}
		return read(r, size, f.path(name), opt)
	}
}

// ollamaScheme is how a name in an Ollama store is told from a path.
const ollamaScheme = "ollama:"

// Open opens the model at path: a file, a folder, or ollama:NAME[:TAG].
func Open(path string, opt OpenOptions) (*Source, error) {
	if name, ok := strings.CutPrefix(path, ollamaScheme); ok {
		return openOllama(path, name, opt)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, &tensor.Error{Op: "open", File: path, Err: notFound(err)}
	}
	dir, name := path, ""
	if !st.IsDir() {
		dir, name = filepath.Dir(path), filepath.Base(path)
	}
	f := newFolder(dir)
	s := &Source{Path: path, Folder: dir, closers: []io.Closer{f}}
	if s.Model, s.Canonical, err = f.read(name, opt); err == nil {
		s.Configs, err = f.configs()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.setFiles(f)
	return s, nil
}

// setFiles records the files that the model's tensors come from.
func (s *Source) setFiles(f *folder) {
	s.Files = slices.DeleteFunc(f.used(), func(u File) bool { return slices.Contains(configNames, filepath.Base(u.Path)) })
	slices.SortFunc(s.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no such file or folder: %w", tensor.ErrNotFound)
	}
	return err
}

// read reads the model that the file name is or belongs to, or the folder's one
// model if name is "".
func (f *folder) read(name string, opt OpenOptions) (m *tensor.Model, canonical bool, err error) {
	if name != "" && !slices.ContainsFunc(layouts, func(l layout) bool { return l.pattern.MatchString(name) }) {
		return f.readFile(name, opt) // no need to look at what is beside it
	}
	names, err := f.Names()
	if err != nil {
		return nil, false, &tensor.Error{Op: "open", File: f.dir, Err: err}
	}
	for _, l := range layouts {
		if parts := l.parts(names); len(parts) > 0 && (name == "" || len(parts) > 1 && slices.Contains(parts, name)) {
			m, err := l.read(f, parts, opt)
			return m, false, err
		}
	}
	if name == "" {
		if name, err = f.only(names); err != nil {
			return nil, false, err
		}
	}
	return f.readFile(name, opt)
}

// readFile reads one file by its content.
func (f *folder) readFile(name string, opt OpenOptions) (m *tensor.Model, canonical bool, err error) {
	head, err := f.head(name)
	if err != nil {
		return nil, false, &tensor.Error{Op: "open", File: f.path(name), Err: err}
	}
	kind := pickle.Sniff(head)
	row, ok := formats[kind]
	if !ok {
		return nil, false, &tensor.Error{Op: "open", File: f.path(name), Err: fmt.Errorf("%s: %w", kind.Advice(), tensor.ErrUnsupported)}
	}
	m, err = row.read(f, name, opt)
	return m, row.canonical, err
}

// head returns as much of a file as tells what it is.
func (f *folder) head(name string) ([]byte, error) {
	r, size, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	head := make([]byte, min(size, pickle.SniffBytes))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return head, nil
}

// only returns the one file of a folder that holds a model; the shards of a
// split GGUF count as one.
func (f *folder) only(names []string) (string, error) {
	var found []string
	for _, n := range names {
		head, err := f.head(n)
		if err != nil {
			continue // unreadable files beside a model do no harm
		}
		if _, ok := formats[pickle.Sniff(head)]; ok && !sameSet(found, n) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &tensor.Error{Op: "open", File: f.dir, Err: f.whyNoModel(names)}
	}
	return "", &tensor.Error{Op: "open", File: f.dir, Err: fmt.Errorf("the folder holds several models, name one of: %s: %w",
		strings.Join(found, ", "), tensor.ErrUnsupported)}
}

// sameSet reports whether name is a further shard of a set already found.
func sameSet(found []string, name string) bool {
	base, _, _, ok := gguf.ParseShardName(name)
	return ok && slices.ContainsFunc(found, func(o string) bool {
		b, _, _, ok := gguf.ParseShardName(o)
		return ok && b == base
	})
}

func (f *folder) whyNoModel(names []string) error {
	if st, err := os.Stat(f.path("manifests")); err == nil && st.IsDir() {
		return fmt.Errorf("this is an Ollama models directory: name a model in it as ollama:NAME with --ollama-dir %s: %w", f.dir, tensor.ErrUnsupported)
	}
	return fmt.Errorf("no model in this folder (looked for GGUF, ggml .bin, PyTorch and safetensors files among %d): %w", len(names), tensor.ErrNotFound)
}

// configNames are the configuration files that are looked for beside a model.
var configNames = []string{"config.json", "params.json"}

// maxConfig bounds a configuration file; the largest known are some 100 KB.
const maxConfig = 16 << 20

func (f *folder) configs() ([]arch.Config, error) {
	var out []arch.Config
	for _, n := range configNames {
		if _, err := os.Stat(f.path(n)); err != nil {
			continue
		}
		c, err := ReadConfig(f.path(n))
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// ReadConfig reads a config.json or params.json.
func ReadConfig(path string) (arch.Config, error) {
	c, err := readConfigIn(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	if err != nil {
		return arch.Config{}, &tensor.Error{Op: "read config", File: path, Err: notFound(err)}
	}
	return c, nil
}

func readConfigIn(fsys fs.FS, name string) (arch.Config, error) {
	st, err := fs.Stat(fsys, name)
	if err == nil && st.Size() > maxConfig {
		err = fmt.Errorf("%d bytes, at most %d are read: %w", st.Size(), maxConfig, tensor.ErrTooLarge)
	}
	if err != nil {
		return arch.Config{}, err
	}
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return arch.Config{}, err
	}
	meta, err := arch.FlattenJSON(b)
	return arch.Config{From: name, Meta: meta}, err
}
