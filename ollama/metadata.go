package ollama

import (
	"encoding/json"
	"math"
	"strings"
)

// A KV is one entry of a GGUF's metadata. Value is a string, []string, bool,
// int32, int64, float32 or float64.
type KV struct {
	Key   string
	Value any
}

// Prefixes of the keys of [Model.Metadata].
const (
	metadataPrefix = "ollama."
	paramPrefix    = metadataPrefix + "params."
)

// Metadata returns what the manifest knows beyond the GGUF, as entries to add
// to an exported one. What the model does not have is left out; the order is
// fixed, parameters following in theirs. No key is one of the GGUF's own: the
// template is Go's text/template and must not become tokenizer.chat_template,
// which is Jinja.
//
//	ollama.name          string    the model's name
//	ollama.template      string    Go text/template
//	ollama.system        string    system prompt
//	ollama.messages      string    JSON list of {"role","content",…}
//	ollama.license       []string  texts
//	ollama.renderer      string    name of Ollama's built-in renderer
//	ollama.parser        string    name of Ollama's built-in parser
//	ollama.requires      string    least version of Ollama
//	ollama.capabilities  []string
//	ollama.params.NAME   int64, float32, bool, string or []string
//
// A parameter that Ollama does not know keeps its number as int64 or float64,
// and anything but a number, bool, string or list of strings becomes its JSON.
// One whose name cannot be part of a key is left out; Notes tell of it.
func (m *Model) Metadata() []KV {
	kvs := []KV{{metadataPrefix + "name", m.Name.String()}}
	if len(m.ByRole(RoleTemplate)) > 0 {
		kvs = append(kvs, KV{metadataPrefix + "template", m.Template})
	}
	kvs = appendText(kvs, "system", m.System)
	kvs = appendText(kvs, "messages", string(m.messagesJSON))
	kvs = appendList(kvs, "license", m.Licenses)
	kvs = appendText(kvs, "renderer", m.Config.Renderer)
	kvs = appendText(kvs, "parser", m.Config.Parser)
	kvs = appendText(kvs, "requires", m.Config.Requires)
	kvs = appendList(kvs, "capabilities", m.Config.Capabilities)
	for _, p := range m.Params {
		if isKeyWord(p.Name) {
			kvs = append(kvs, KV{paramPrefix + p.Name, metadataValue(p)})
		}
	}
	return kvs
}

// isKeyWord reports whether a parameter's name can be part of a key: ASCII
// letters, digits and '_', at most 64 of them, a limit of ours.
func isKeyWord(name string) bool {
	r := partRule{max: 64}
	return !strings.Contains(name, "-") && r.check(name) == nil
}

func appendText(kvs []KV, key, value string) []KV {
	if value == "" {
		return kvs
	}
	return append(kvs, KV{metadataPrefix + key, value})
}

func appendList(kvs []KV, key string, values []string) []KV {
	if len(values) == 0 {
		return kvs
	}
	return append(kvs, KV{metadataPrefix + key, values})
}

func metadataValue(p Param) any {
	switch v := p.Value.(type) {
	case float64:
		if spec, _ := lookupParam(p.Name); spec.kind == paramFloat {
			return float32(v) // as in Ollama's Options
		}
	case json.RawMessage:
		return string(v)
	}
	return p.Value
}

// Sampling returns the parameters for which a GGUF has keys of its own,
// general.sampling.*, as int32 and float32. llama.cpp takes them as defaults,
// so adding them changes how it answers.
func (m *Model) Sampling() []KV {
	var kvs []KV
	for _, p := range m.Params {
		spec, _ := lookupParam(p.Name)
		if spec.ggufKey == "" {
			continue
		}
		switch v := p.Value.(type) {
		case int64:
			if v >= math.MinInt32 && v <= math.MaxInt32 {
				kvs = append(kvs, KV{spec.ggufKey, int32(v)})
			}
		case float64:
			kvs = append(kvs, KV{spec.ggufKey, float32(v)})
		}
	}
	return kvs
}
