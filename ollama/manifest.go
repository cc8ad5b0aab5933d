package ollama

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Limits of ours. A manifest has some 200 bytes a layer; models for the MLX
// engine have one layer a tensor, which makes up to about 10,000.
const (
	maxManifest = 16 << 20
	maxLayers   = 1 << 15
)

// A Manifest names the blobs that make up one model.
// (ollama manifest/manifest.go@fb3076099)
type Manifest struct {
	SchemaVersion int     `json:"schemaVersion"` // 2; not checked, as in Ollama
	MediaType     string  `json:"mediaType"`     // ManifestMediaType; not checked
	Config        Layer   `json:"config"`        // Digest is "" if there is none
	Layers        []Layer `json:"layers"`

	// ID is the SHA-256 of the manifest's bytes in lower-case hex, which Ollama
	// shows as the model's ID (its first 12 digits).
	ID string `json:"-"`
}

// A Layer is a manifest's reference to one blob.
// (ollama manifest/layer.go@fb3076099)
type Layer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`         // "sha256:" and 64 hex digits
	Size      int64  `json:"size"`           // bytes
	From      string `json:"from,omitempty"` // parent model or source file, as told at creation
	Name      string `json:"name,omitempty"` // of the tensor or the configuration file
}

// ParseManifest parses the bytes of a manifest file. Digests must be well
// formed and sizes not negative; unknown fields and media types are accepted.
// It fails with ErrMalformed or ErrTooLarge, and reports all bad layers at once.
func ParseManifest(data []byte) (*Manifest, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("%w: manifest has %d bytes, at most %d are read", ErrTooLarge, len(data), maxManifest)
	}
	var m struct {
		Manifest
		Layers json.RawMessage `json:"layers"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, malformed("manifest is not the JSON of one: %w", err)
	}
	layers, err := decodeList[Layer](m.Layers, maxLayers)
	if err != nil {
		return nil, fmt.Errorf("manifest's layers: %w", err)
	}
	m.Manifest.Layers = layers
	sum := sha256.Sum256(data)
	m.ID = hex.EncodeToString(sum[:])
	return &m.Manifest, m.check()
}

// decodeList decodes a JSON list of at most limit elements, so that a list of
// tiny elements does not become a multiple of its size in memory.
func decodeList[T any](data json.RawMessage, limit int) ([]T, error) {
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, malformed("not a list")
	}
	var list []T
	for dec.More() {
		if len(list) == limit {
			return nil, fmt.Errorf("%w: more than %d elements", ErrTooLarge, limit)
		}
		var v T
		if err := dec.Decode(&v); err != nil {
			return nil, malformed("element %d: %w", len(list), err)
		}
		list = append(list, v)
	}
	return list, nil
}

// check reports every layer that cannot be a blob's reference.
func (m *Manifest) check() error {
	var errs []error
	if m.Config.Digest != "" || m.Config.Size < 0 {
		errs = append(errs, m.Config.check("config"))
	}
	for i, l := range m.Layers {
		errs = append(errs, l.check(fmt.Sprintf("layer %d", i)))
	}
	errs = append(errs, m.checkTotal())
	return errors.Join(firstErrors(errs, 10)...)
}

// firstErrors returns the first n errors and a count of the others.
func firstErrors(errs []error, n int) []error {
	var kept []error
	more := 0
	for _, err := range errs {
		switch {
		case err == nil:
		case len(kept) < n:
			kept = append(kept, err)
		default:
			more++
		}
	}
	if more > 0 {
		kept = append(kept, malformed("and %d more problems", more))
	}
	return kept
}

func (l Layer) check(what string) error {
	if _, err := digestHex(l.Digest); err != nil {
		return fmt.Errorf("%s (%.100q): %w", what, l.MediaType, err)
	}
	if l.Size < 0 {
		return malformed("%s (%.100q): size %d is negative", what, l.MediaType, l.Size)
	}
	return nil
}

func (m *Manifest) checkTotal() error {
	var total int64
	for _, l := range append([]Layer{m.Config}, m.Layers...) {
		if l.Size > math.MaxInt64-total {
			return malformed("the layers' sizes add up to more than %d bytes", int64(math.MaxInt64))
		}
		total += max(l.Size, 0)
	}
	return nil
}

// layers returns the config, if there is one, and the layers.
func (m *Manifest) layers() []Layer {
	if m.Config.Digest == "" {
		return m.Layers
	}
	return append([]Layer{m.Config}, m.Layers...)
}

// Size returns the sum of the sizes of the config and all layers in bytes, as
// "ollama list" shows it.
func (m *Manifest) Size() int64 {
	total := m.Config.Size
	for _, l := range m.Layers {
		total += l.Size
	}
	return total
}

// digestHex returns the digits of a digest in lower case. Ollama takes upper
// and lower case and both separators. (ollama manifest/paths.go@fb3076099)
func digestHex(digest string) (string, error) {
	const prefix = "sha256"
	hexDigits := strings.ToLower(strings.TrimPrefix(digest, prefix))
	if !strings.HasPrefix(digest, prefix) || len(digest) != len(prefix)+1+2*sha256.Size ||
		hexDigits[0] != ':' && hexDigits[0] != '-' {
		return "", malformed("digest %.80q is not \"sha256:\" and %d hex digits", digest, 2*sha256.Size)
	}
	if _, err := hex.DecodeString(hexDigits[1:]); err != nil {
		return "", malformed("digest %.80q: %w", digest, err)
	}
	return hexDigits[1:], nil
}
