package quantize

import (
	"fmt"
	"reflect"

	"github.com/smelt-project/smelt/tensor"
)

// Facts are what recipes ask about a model. A count that is not known is 0.
type Facts struct {
	Arch    string // general.architecture
	Layers  int
	Heads   int // of attention, in the first layer
	KVHeads int // heads of keys and values, in the first layer
	Experts int
}

// FactsOf reads the facts about a model of arch from the metadata of a GGUF. It
// fails if a count in it is none.
func FactsOf(arch string, meta tensor.Meta) (Facts, error) {
	f := Facts{Arch: arch}
	for _, k := range []struct {
		key string
		to  *int
	}{
		{"block_count", &f.Layers}, {"attention.head_count", &f.Heads}, {"attention.head_count_kv", &f.KVHeads}, {"expert_count", &f.Experts},
	} {
		key := f.Arch + "." + k.key
		v, ok := meta.Get(key)
		if !ok {
			continue
		}
		n, ok := tensor.AsInt(first(v))
		if !ok || n < 0 || n > maxCount {
			return f, fmt.Errorf("metadata %s is %v, want a count: %w", key, v, tensor.ErrCorrupt)
		}
		*k.to = int(n)
	}
	if _, ok := meta.Get(f.Arch + ".attention.head_count_kv"); !ok {
		f.KVHeads = f.Heads // as llama.cpp takes it
	}
	return f, nil
}

// maxCount is above any count of layers, heads or experts.
const maxCount = 1 << 20

// first returns the first element of a list, and other values as they are.
func first(v any) any {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.Len() > 0 {
		return r.Index(0).Interface()
	}
	return v
}

// headsPerKV is the number of heads that share keys and values, 0 if none does.
func (f Facts) headsPerKV() int {
	if f.KVHeads == 0 {
		return 0
	}
	return f.Heads / f.KVHeads
}

// layersOf70B are the layers by which llama.cpp knows the size class 70B
// (src/llama-model.cpp@3f545becc, load_hparams).
var layersOf70B = map[string]int{"llama": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68}

// is70B: a llama of 80 layers whose heads share nothing is the 65B of the first
// Llama, another class.
func (f Facts) is70B() bool {
	return f.Layers > 0 && f.Layers == layersOf70B[f.Arch] && (f.Arch != "llama" || f.Heads != f.KVHeads)
}
