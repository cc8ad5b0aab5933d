package ollama

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// A Description is everything of a model but its weights.
type Description struct {
	Config   Config
	Template string // Go text/template; "" leaves it to the GGUF's own
	System   string
	Params   Params
	Messages json.RawMessage // a list; nil if there are none
	Licenses []string
	Notes    []string // sentences about what could not be found out
}

// GGUF is what a Description is made from.
type GGUF struct {
	Metadata   []KV // of any type of value
	Parameters int64
	FileType   string // the name of general.file_type, such as Q4_K_M; "" if unknown
}

// Describe derives from a GGUF's metadata what Ollama keeps beside it. What
// [Model.Metadata] wrote comes back as it was; else the template and the stop
// strings follow from the chat template, and the parameters from
// general.sampling.*.
func Describe(g GGUF) *Description {
	meta := map[string]any{}
	for _, kv := range g.Metadata {
		meta[kv.Key] = kv.Value
	}
	text := func(key string) string {
		s, _ := meta[key].(string)
		return s
	}
	family := text("general.architecture")
	d := &Description{
		System: text(metadataPrefix + "system"),
		Config: Config{
			Format: "gguf", Family: family, Families: []string{family}, ModelType: humanNumber(g.Parameters), FileType: g.FileType,
			Renderer: text(metadataPrefix + "renderer"), Parser: text(metadataPrefix + "parser"), Requires: text(metadataPrefix + "requires"),
			Capabilities: texts(meta[metadataPrefix+"capabilities"]),
			Architecture: "amd64", OS: "linux",
		},
		Licenses: texts(meta[metadataPrefix+"license"]),
	}
	if m := text(metadataPrefix + "messages"); json.Valid([]byte(m)) {
		d.Messages = json.RawMessage(m)
	}
	if license := text("general.license"); license != "" && d.Licenses == nil {
		d.Licenses = []string{license}
	}
	d.addParams(g.Metadata)
	d.addTemplate(text(metadataPrefix+"template"), text("tokenizer.chat_template"))
	return d
}

// texts returns the strings of a list.
func texts(v any) []string {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// addTemplate sets the template, and for one that was recognised the stop strings
// and the system prompt, unless they are known.
func (d *Description) addTemplate(own, jinja string) {
	if own != "" {
		d.Template = own
		return
	}
	if jinja == "" {
		d.Notes = append(d.Notes, "The model has no chat template: Ollama passes prompts on as they are.")
		return
	}
	f, ok := formatOf(jinja)
	if !ok {
		d.Notes = append(d.Notes, "The chat template has no known counterpart in Ollama's language: versions of Ollama that do not read the GGUF's own pass prompts on as they are.")
		return
	}
	d.Template = f.template()
	if _, ok := d.Params.Get("stop"); !ok {
		d.Params = d.Params.set(Param{"stop", f.stop})
	}
	if d.System == "" {
		d.System = f.defaultSystem(jinja)
	}
}

// addParams takes ollama.params.*, then what general.sampling.* recommends.
func (d *Description) addParams(kvs []KV) {
	recommended := map[string]string{}
	for _, s := range paramSpecs {
		if s.ggufKey != "" {
			recommended[s.ggufKey] = s.name
		}
	}
	for _, kv := range kvs {
		name, own := strings.CutPrefix(kv.Key, paramPrefix)
		if !own {
			name = recommended[kv.Key]
		}
		if _, known := d.Params.Get(name); name == "" || known && !own {
			continue
		}
		if v, ok := paramValue(name, kv.Value); ok {
			d.Params = d.Params.set(Param{name, v})
		}
	}
}

// paramValue returns v as the value of a parameter.
func paramValue(name string, v any) (any, bool) {
	if list := texts(v); list != nil {
		return list, true
	}
	spec, _ := lookupParam(name)
	switch r := reflect.ValueOf(v); {
	case r.CanFloat():
		f := r.Float()
		if _, short := v.(float32); short { // 0.1, not 0.10000000149011612
			f = shortest(f)
		}
		return f, !math.IsNaN(f) && !math.IsInf(f, 0)
	case r.CanInt() && spec.kind == paramFloat:
		return float64(r.Int()), true
	case r.CanInt():
		return r.Int(), true
	case r.CanUint() && r.Uint() <= math.MaxInt64:
		return int64(r.Uint()), true //nolint:gosec // it was compared
	case r.Kind() == reflect.Bool, r.Kind() == reflect.String:
		return v, true
	}
	return nil, false
}

// shortest returns the double nearest to the shortest decimal that is f as a
// float32.
func shortest(f float64) float64 {
	var d float64
	if _, err := fmt.Sscan(fmt.Sprint(float32(f)), &d); err != nil {
		return f
	}
	return d
}

// MarshalJSON writes the parameters as one object, in their order.
func (p Params) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, q := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(q.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(q.Value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%s", name, value)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// magnitudes are how Ollama writes numbers of parameters.
// (ollama format/format.go, HumanNumber@fb3076099)
var magnitudes = []struct {
	from   int64
	digits int
	unit   string
}{{1e9, 1, "B"}, {1e6, 2, "M"}, {1e3, 0, "K"}, {1, 0, ""}}

func humanNumber(n int64) string {
	for _, m := range magnitudes {
		if n >= m.from {
			digits := m.digits
			if n%m.from == 0 {
				digits = 0
			}
			return fmt.Sprintf("%.*f%s", digits, float64(n)/float64(m.from), m.unit)
		}
	}
	return ""
}
