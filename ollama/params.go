package ollama

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// A Param is one parameter of a params layer. Value is a string, []string,
// int64, float64 or bool, or the [json.RawMessage] of anything else.
type Param struct {
	Name  string
	Value any
}

// Params are a model's parameters, in the order of its params layer.
type Params []Param

// Get returns the value of the parameter of that name.
func (p Params) Get(name string) (value any, ok bool) {
	for _, q := range p {
		if q.Name == name {
			return q.Value, true
		}
	}
	return nil, false
}

// set replaces the parameter of that name where it stands, or appends it.
func (p Params) set(q Param) Params {
	for i := range p {
		if p[i].Name == q.Name {
			p[i].Value = q.Value
			return p
		}
	}
	return append(p, q)
}

type paramKind string

const (
	paramInt   paramKind = "int"
	paramFloat paramKind = "float"
	paramBool  paramKind = "bool"
	paramList  paramKind = "list"
)

// A paramSpec is a parameter that Ollama knows. ggufKey is the key under which
// a GGUF recommends the same setting to llama.cpp, "" if there is none.
type paramSpec struct {
	name    string
	kind    paramKind
	ggufKey string
}

// paramSpecs are the fields of Options and Runner in ollama
// api/types.go@fb3076099 and what parser.go there still takes with a warning;
// the GGUF keys are llama.cpp's general.sampling.* (gguf-py
// gguf/constants.py, Keys.General).
var paramSpecs = []paramSpec{
	{"num_keep", paramInt, ""},
	{"seed", paramInt, ""},
	{"num_predict", paramInt, ""},
	{"top_k", paramInt, "general.sampling.top_k"},
	{"top_p", paramFloat, "general.sampling.top_p"},
	{"min_p", paramFloat, "general.sampling.min_p"},
	{"typical_p", paramFloat, ""},
	{"repeat_last_n", paramInt, "general.sampling.penalty_last_n"},
	{"temperature", paramFloat, "general.sampling.temp"},
	{"repeat_penalty", paramFloat, "general.sampling.penalty_repeat"},
	{"presence_penalty", paramFloat, ""},
	{"frequency_penalty", paramFloat, ""},
	{"stop", paramList, ""},
	{"num_ctx", paramInt, ""},
	{"num_batch", paramInt, ""},
	{"num_gpu", paramInt, ""},
	{"main_gpu", paramInt, ""},
	{"use_mmap", paramBool, ""},
	{"num_thread", paramInt, ""},
	{"draft_num_predict", paramInt, ""},

	{"penalize_newline", paramBool, ""},
	{"low_vram", paramBool, ""},
	{"f16_kv", paramBool, ""},
	{"logits_all", paramBool, ""},
	{"vocab_only", paramBool, ""},
	{"use_mlock", paramBool, ""},
	{"mirostat", paramInt, "general.sampling.mirostat"},
	{"mirostat_tau", paramFloat, "general.sampling.mirostat_tau"},
	{"mirostat_eta", paramFloat, "general.sampling.mirostat_eta"},
}

func lookupParam(name string) (paramSpec, bool) {
	for _, s := range paramSpecs {
		if s.name == name {
			return s, true
		}
	}
	return paramSpec{}, false
}

// ParseParams parses the JSON object of a params layer. Of a name that occurs
// twice, the last value counts. A number of a parameter that Ollama knows as a
// float is a float64 however it is written; null is left out. It fails with
// ErrMalformed.
func ParseParams(data []byte) (Params, error) {
	var value json.RawMessage
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, malformed("params: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	t, err := dec.Token()
	if err != nil {
		return nil, malformed("params: %w", err)
	}
	if t == nil {
		return nil, nil
	}
	if t != json.Delim('{') {
		return nil, malformed("params are not a JSON object but begin with %.20q", fmt.Sprint(t))
	}
	params, err := parseMembers(dec)
	if err != nil {
		return nil, malformed("params: %w", err)
	}
	return params, nil
}

func parseMembers(dec *json.Decoder) (Params, error) {
	var params Params
	at := map[string]int{} // index in params
	for dec.More() {
		p, err := parseMember(dec)
		if err != nil {
			return nil, err
		}
		if i, ok := at[p.Name]; ok {
			params[i] = p
			continue
		}
		at[p.Name] = len(params)
		params = append(params, p)
	}
	_, err := dec.Token()
	return withoutNil(params), err
}

func withoutNil(all Params) Params {
	var kept Params
	for _, p := range all {
		if p.Value != nil {
			kept = append(kept, p)
		}
	}
	return kept
}

func parseMember(dec *json.Decoder) (Param, error) {
	key, err := dec.Token()
	if err != nil {
		return Param{}, err
	}
	name, ok := key.(string)
	if !ok {
		return Param{}, malformed("%v is not a name", key)
	}
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return Param{}, err
	}
	value, err := parseValue(name, raw)
	if err != nil {
		return Param{}, malformed("%.80q: %w", name, err)
	}
	return Param{name, value}, nil
}

func parseValue(name string, raw json.RawMessage) (any, error) {
	switch raw[0] {
	case 'n':
		return nil, nil
	case '"':
		return decode[string](raw)
	case 't', 'f':
		return decode[bool](raw)
	case '[':
		if list, err := decode[[]string](raw); err == nil {
			return list, nil
		}
		return raw, nil
	case '{':
		return raw, nil
	}
	return parseNumber(name, string(raw))
}

func decode[T any](raw json.RawMessage) (any, error) {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	return v, nil
}

// parseNumber gives a number the type that Ollama would: the kind of a
// parameter that it knows, else by whether it is written as an integer.
func parseNumber(name, text string) (any, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	spec, _ := lookupParam(name)
	if spec.kind == paramFloat {
		return f, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	if spec.kind == paramInt && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	return f, nil
}
