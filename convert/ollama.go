package convert

import (
	"errors"
	"io"
	"os"
	"runtime"

	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/ollama"
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

// readStore reads the model blob of an entry of a store.
func (s *Source) readStore() error {
	blob, err := s.Store.Weights()
	if err != nil {
		return err
	}
	f, err := blob.Open()
	if err != nil {
		return err
	}
	s.closers = append(s.closers, f)
	s.Files = []File{{blob.Path, f.Size()}}
	m, err := gguf.Read(f, f.Size(), blob.Path)
	if err != nil {
		return err
	}
	m.Notes = append(m.Notes, s.Store.Notes...)
	s.Model = m
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

// weights returns the open model blob of the store.
func (s *Source) weights() (f *ollama.File, ok bool) {
	for _, c := range s.closers {
		if f, ok := c.(*ollama.File); ok {
			return f, true
		}
	}
	return nil, false
}

var _ io.ReaderAt = (*ollama.File)(nil)
