// Package ollamatest builds small Ollama models directories for tests.
package ollamatest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
)

// A Store is a models directory that is removed when the test ends.
type Store struct {
	Dir string
	t   testing.TB
}

// New returns an empty store.
func New(t testing.TB) *Store {
	t.Helper()
	s := &Store{Dir: t.TempDir(), t: t}
	s.mkdir("manifests")
	s.mkdir("blobs")
	return s
}

func (s *Store) mkdir(elem ...string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Join(append([]string{s.Dir}, elem...)...), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// Digest returns the digest under which a store keeps data.
func Digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// BlobPath returns the file of a digest.
func (s *Store) BlobPath(digest string) string {
	return filepath.Join(s.Dir, "blobs", strings.Replace(digest, ":", "-", 1))
}

// Layer writes data as a blob and returns a reference to it. The media type is
// that of role, as in the first row of [ollama.MediaTypes] for it.
func (s *Store) Layer(role ollama.Role, data string) ollama.Layer {
	s.t.Helper()
	digest := Digest([]byte(data))
	s.write(s.BlobPath(digest), []byte(data))
	return ollama.Layer{MediaType: mediaTypeOf(role), Digest: digest, Size: int64(len(data))}
}

func mediaTypeOf(role ollama.Role) string {
	for _, m := range ollama.MediaTypes() {
		if m.Role == role {
			return m.Type
		}
	}
	return "application/x-" + string(role)
}

// Model writes the manifest of a model, with a config if one of the layers is
// of the role config.
func (s *Store) Model(name string, layers ...ollama.Layer) {
	s.t.Helper()
	m := ollama.Manifest{SchemaVersion: 2, MediaType: ollama.ManifestMediaType, Layers: []ollama.Layer{}}
	for _, l := range layers {
		if l.MediaType == ollama.ConfigMediaType {
			m.Config = l
			continue
		}
		m.Layers = append(m.Layers, l)
	}
	data, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(s.ManifestPath(name), data)
}

// ManifestPath returns the manifest file of a name.
func (s *Store) ManifestPath(name string) string {
	s.t.Helper()
	n, err := ollama.ParseName(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return filepath.Join(s.Dir, "manifests", filepath.FromSlash(n.Path()))
}

func (s *Store) write(path string, data []byte) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// Open opens the store.
func (s *Store) Open() *ollama.Store {
	s.t.Helper()
	store, err := ollama.Dir(s.Dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return store
}

// Resolve opens the store and resolves a model in it that has to be whole.
func (s *Store) Resolve(name string) *ollama.Model {
	s.t.Helper()
	n, err := ollama.ParseName(name)
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := s.Open().Resolve(n)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// Example fills the store with "smol:latest", a model with one layer of every
// role that Ollama uses for a GGUF, and returns its weights, which are not a
// real GGUF file.
func (s *Store) Example() (weights string) {
	s.t.Helper()
	weights = "GGUF" + strings.Repeat("smol", 1000)
	s.Model("smol",
		s.Layer(ollama.RoleConfig, `{"model_format":"gguf","model_family":"llama","model_families":["llama"],`+
			`"model_type":"134.52M","file_type":"F16","architecture":"amd64","os":"linux"}`),
		s.Layer(ollama.RoleModel, weights),
		s.Layer(ollama.RoleTemplate, "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}{{ .Prompt }}"),
		s.Layer(ollama.RoleSystem, "You are a helpful AI assistant."),
		s.Layer(ollama.RoleParams, `{"stop":["<|im_start|>","<|im_end|>"],"temperature":1,"num_ctx":2048}`),
		s.Layer(ollama.RoleMessages, `[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello!"}]`),
		s.Layer(ollama.RoleLicense, "Apache License\nVersion 2.0"),
	)
	return weights
}
