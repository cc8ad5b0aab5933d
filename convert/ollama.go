package convert

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/safetensors"
	"github.com/smelt-project/smelt/tensor"
)

// StoreDirs lists where an Ollama store is looked for: dir alone if it is set.
func StoreDirs(dir string) []ollama.Candidate {
	if dir != "" {
		return []ollama.Candidate{{Path: dir, From: "--ollama-dir"}}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // the stores of services do not depend on it
	}
	return ollama.DefaultDirs(os.Getenv, runtime.GOOS, home)
}

// openOllama opens a model of an Ollama store; path is its name with the scheme.
func openOllama(path, name string, opt OpenOptions) (*Source, error) {
	n, err := ollama.ParseName(name)
	if err != nil {
		return nil, err
	}
	model, err := ollama.Locate(StoreDirs(opt.OllamaDir), n)
	if err != nil {
		return nil, err
	}
	s := &Source{Path: path, Canonical: true, Store: model}
	if err := s.readStore(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// readStore reads the model of an entry of a store: one GGUF, or a layer for each
// tensor.
func (s *Source) readStore() error {
	blob, err := s.Store.Weights()
	if err == nil {
		f, err := s.openBlob(blob)
		if err != nil {
			return err
		}
		s.Model, err = gguf.Read(f, f.Size(), blob.Path)
		if err != nil {
			return err
		}
	} else if tensors := s.Store.ByRole(ollama.RoleTensor); len(tensors) > 0 {
		if err := s.readLayers(tensors); err != nil {
			return err
		}
	} else {
		return err
	}
	s.Model.Notes = append(s.Model.Notes, s.Store.Notes...)
	return nil
}

func (s *Source) openBlob(b *ollama.Blob) (*ollama.File, error) {
	f, err := b.Open()
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, f)
	s.Files = append(s.Files, File{b.Path, f.Size()})
	return f, nil
}

// readLayers reads a model for Ollama's MLX engine: a safetensors file for each
// tensor, under the names of the Hugging Face folder that it was made from, and
// that folder's configuration.
func (s *Source) readLayers(layers []*ollama.Blob) error {
	s.Canonical = false
	var all []*tensor.Tensor
	format := ""
	for _, b := range layers {
		f, err := s.openBlob(b)
		if err != nil {
			return err
		}
		m, err := safetensors.Read(f, f.Size(), b.Path)
		if err != nil {
			return err
		}
		format, all = m.Format, append(all, m.Tensors()...)
	}
	var err error
	if s.Model, err = tensor.NewModel(format, tensor.Meta{}, all); err != nil {
		return err
	}
	for _, name := range configNames {
		c, err := readConfigIn(s.Store.Files(), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return &tensor.Error{Op: "read config", File: s.Path, Err: err}
		}
		s.Configs = append(s.Configs, c)
	}
	return nil
}

// beside returns where the files of a tokenizer may stand; nil if nowhere.
func (s *Source) beside() fs.FS {
	switch {
	case s.Folder != "":
		return os.DirFS(s.Folder)
	case s.Store != nil && !s.Canonical:
		return s.Store.Files()
	}
	return nil
}

// storeMeta is the metadata that a store keeps beside the weights.
func (s *Source) storeMeta() []tensor.KV {
	if s.Store == nil {
		return nil
	}
	var kvs []tensor.KV
	for _, kv := range s.Store.Metadata() {
		kvs = append(kvs, tensor.KV{Key: kv.Key, Value: kv.Value})
	}
	return kvs
}

// blobs returns the open files of the store.
func (s *Source) blobs() []*ollama.File {
	var files []*ollama.File
	for _, c := range s.closers {
		if f, ok := c.(*ollama.File); ok {
			files = append(files, f)
		}
	}
	return files
}

// VerifyBlobs compares the digests of the weights of a model of a store with its
// manifest. Of other sources there is nothing to compare.
func (s *Source) VerifyBlobs(ctx context.Context) error {
	for _, f := range s.blobs() {
		if err := f.Verify(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// unchangedBlobs tells whether what was verified is what was read.
func (s *Source) unchangedBlobs() error {
	for _, f := range s.blobs() {
		if err := f.Unchanged(); err != nil {
			return err
		}
	}
	return nil
}

var _ io.ReaderAt = (*ollama.File)(nil)
