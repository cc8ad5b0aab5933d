package ollama

import (
	"encoding/json"
)

// A Config is what Ollama shows about a model and how it drives it, the content
// of a manifest's config blob. All fields may be empty.
// (ollama types/model/config.go ConfigV2@fb3076099)
type Config struct {
	Format       string   `json:"model_format"`   // "gguf" or "safetensors"; "" means "gguf"
	Family       string   `json:"model_family"`   // the GGUF's architecture
	Families     []string `json:"model_families"` // with those of the projectors
	ModelType    string   `json:"model_type"`     // number of parameters as text: "7.6B"
	FileType     string   `json:"file_type"`      // quantization: "Q4_K_M"
	Renderer     string   `json:"renderer,omitempty"`
	Parser       string   `json:"parser,omitempty"`
	Requires     string   `json:"requires,omitempty"` // least version of Ollama
	RemoteHost   string   `json:"remote_host,omitempty"`
	RemoteModel  string   `json:"remote_model,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"`
	ContextLen   int      `json:"context_length,omitempty"`   // tokens
	EmbedLen     int      `json:"embedding_length,omitempty"` // elements
	BaseName     string   `json:"base_name,omitempty"`
	Draft        *Draft   `json:"draft,omitempty"`
	Architecture string   `json:"architecture"` // of the machine, always "amd64"
	OS           string   `json:"os"`           // always "linux"
}

// A Draft describes the draft model that is stored with a model.
type Draft struct {
	Format       string `json:"model_format,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	TensorPrefix string `json:"tensor_prefix,omitempty"`
	Config       string `json:"config,omitempty"`
}

// ParseConfig parses a config blob. Unknown fields are ignored; it fails with
// ErrMalformed.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return Config{}, malformed("config: %w", err)
	}
	return c, nil
}
