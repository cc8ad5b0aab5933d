package ollama

import (
	"io"
	"io/fs"
	"strings"
	"time"
)

// Files returns the configuration and tokenizer files that a model for the MLX
// engine keeps as layers, under their names. Their digests are verified as they
// are read.
func (m *Model) Files() fs.FS {
	files := layerFS{}
	for _, b := range m.ByRole(RoleJSON) {
		if fs.ValidPath(b.Name) && !strings.Contains(b.Name, "/") {
			files[b.Name] = b
		}
	}
	return files
}

// A layerFS is a folder of layers by name.
type layerFS map[string]*Blob

// Open implements [fs.FS].
func (l layerFS) Open(name string) (fs.File, error) {
	fail := func(err error) (fs.File, error) { return nil, &fs.PathError{Op: "open", Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	b, ok := l[name]
	if !ok {
		return fail(fs.ErrNotExist)
	}
	r, err := b.Reader()
	if err != nil {
		return fail(err)
	}
	return &layerFile{r, b}, nil
}

// A layerFile is a layer that is read as a file.
type layerFile struct {
	io.ReadCloser

	blob *Blob
}

// Stat implements [fs.File].
func (f *layerFile) Stat() (fs.FileInfo, error) { return layerInfo{f.blob}, nil }

// A layerInfo describes a layer as a file.
type layerInfo struct{ blob *Blob }

func (i layerInfo) Name() string       { return i.blob.Name }
func (i layerInfo) Size() int64        { return i.blob.Size }
func (i layerInfo) Mode() fs.FileMode  { return 0o444 }
func (i layerInfo) ModTime() time.Time { return time.Time{} }
func (i layerInfo) IsDir() bool        { return false }
func (i layerInfo) Sys() any           { return nil }
