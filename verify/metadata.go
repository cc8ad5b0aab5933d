package verify

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A runtimeDefault is what runtimes take where a file does not state a
// hyperparameter. (llama.cpp src/llama-model.cpp, llama_model::load_hparams, and
// src/llama-hparams.h; LLM_KV names)
type runtimeDefault struct {
	key string // after the architecture's name
	of  func(m tensor.Meta, arch string) any
}

var runtimeDefaults = []runtimeDefault{
	{"attention.head_count_kv", stated("attention.head_count")},
	{"attention.key_length", perHead},
	{"attention.value_length", perHead},
	{"rope.dimension_count", rotated},
	{"rope.freq_base", func(tensor.Meta, string) any { return float32(10000) }},
	{"vocab_size", func(m tensor.Meta, _ string) any {
		tokens, _ := m.Get(tokensKey)
		list, ok := tokens.([]string)
		if !ok {
			return nil
		}
		return uint32(len(list))
	}},
}

func stated(key string) func(tensor.Meta, string) any {
	return func(m tensor.Meta, arch string) any {
		x, _ := m.Get(arch + "." + key)
		return x
	}
}

// perHead is the length of a head if the heads divide the width.
func perHead(m tensor.Meta, arch string) any {
	width, _ := m.Int(arch + ".embedding_length")
	heads, _ := m.Int(arch + ".attention.head_count")
	if heads <= 0 {
		return nil
	}
	return width / heads
}

// rotated is the length of the part of a head that is turned: all of it.
func rotated(m tensor.Meta, arch string) any {
	if n, ok := m.Get(arch + ".attention.key_length"); ok {
		return n
	}
	return perHead(m, arch)
}

// effective returns the value that a runtime takes for a hyperparameter, nil if none.
func effective(m tensor.Meta, arch, key string) any {
	if x, ok := m.Get(key); ok {
		return x
	}
	for _, d := range runtimeDefaults {
		if key == arch+"."+d.key {
			return d.of(m, arch)
		}
	}
	return nil
}

// fixed are keys whose value follows from what smelt and llama.cpp write.
var fixed = []tensor.KV{
	{Key: "general.type", Value: "model"},
	{Key: "general.quantization_version", Value: uint32(2)}, // ggml/include/ggml.h, GGML_QNT_VERSION
}

// checkMetadata compares the hyperparameters.
func checkMetadata(_ context.Context, v *verifier) error {
	want, got, name := v.Canonical.Model.Meta, v.Result.Model.Meta, v.architecture()
	v.compareKey("general.architecture", name, got.Text("general.architecture"))
	seen := map[string]bool{}
	n := 0
	for _, kv := range append(want.All()[:want.Len():want.Len()], got.All()...) {
		if seen[kv.Key] || !strings.HasPrefix(kv.Key, name+".") {
			continue
		}
		seen[kv.Key] = true
		n++
		v.compareKey(kv.Key, effective(want, name, kv.Key), effective(got, name, kv.Key))
	}
	for _, kv := range fixed {
		if x, ok := got.Get(kv.Key); ok {
			n++
			v.compareKey(kv.Key, kv.Value, x)
		}
	}
	v.find(matches(Finding{Expected: count(n, "key"), Found: "compared"}))
	return nil
}

// compareKey records a mismatch if two values of a key are not the same.
func (v *verifier) compareKey(key string, want, got any) {
	if sameValue(want, got) {
		return
	}
	f := Finding{Key: key, Expected: valueText(want), Found: valueText(got)}
	from := v.statedBy(key)
	if got != nil && strings.HasPrefix(from, "assumed") {
		v.leaveOut("%s: the result states %s, the original nothing", key, f.Found)
		return
	}
	if from != "" {
		from = " (" + from + ")"
	}
	switch {
	case got == nil:
		f.Cause = key + " is missing"
	case want == nil:
		f.Cause = key + " is stated, but the original has no such setting"
	default:
		f.Cause = fmt.Sprintf("%s is %s, the original states %s%s", key, f.Found, f.Expected, from)
	}
	v.find(mismatch(f))
}

// statedBy says where the original states a key, or that its value was assumed; ""
// if that is not known.
func (v *verifier) statedBy(key string) string {
	for _, p := range v.Canonical.Params {
		if p.Key == key {
			return p.From
		}
	}
	return ""
}

// sameValue reports whether a and b are the same as a runtime reads them:
// integers of any width, reals as float32.
func sameValue(a, b any) bool {
	if x, ok := tensor.AsInt(a); ok {
		if y, ok := tensor.AsInt(b); ok {
			return x == y
		}
	}
	if x, ok := tensor.AsFloat(a); ok {
		y, ok := tensor.AsFloat(b)
		return ok && float32(x) == float32(y)
	}
	return reflect.DeepEqual(a, b)
}

// valueText prints a value in short.
func valueText(x any) string {
	if x == nil {
		return "nothing"
	}
	if v := reflect.ValueOf(x); v.Kind() == reflect.Slice {
		return fmt.Sprintf("%d values", v.Len())
	}
	s := fmt.Sprint(x)
	if len(s) > 60 {
		return fmt.Sprintf("%.60q…", s)
	}
	return s
}
