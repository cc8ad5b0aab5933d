package convert

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/smelt-project/smelt/tensor"
)

// What a computer's memory holds beside the file, in the order in which it is
// subtracted.
const (
	// systemShare of the memory is the system's and that of other programs, but
	// at least systemLeast. macOS lets a GPU use about three quarters.
	systemShare = 4
	systemLeast = 3 << 29 // 1.5 GiB: a desktop at rest
	// ubatch is how many tokens llama.cpp computes at once
	// (llama.cpp src/llama-context.cpp, llama_context_default_params: n_ubatch).
	ubatch = 512
	// cacheBytes is the size of an element of the KV cache: f16 by default (the same, type_k).
	cacheBytes = 2
	floatBytes = 4
)

// A memoryShape holds the hyperparameters that memory depends on.
type memoryShape struct {
	layers, heads, embedding, feedForward, vocabulary float64
	keysAndValues                                     float64 // elements of the cache for a position, all layers together
}

// fileFor returns how large the file may be so that the model runs in g.Memory
// with g.Context positions, and how it got there.
func (g Goal) fileFor(p *Plan) (size int64, notes []string, err error) {
	m, err := p.memoryShape()
	if err != nil {
		return 0, nil, err
	}
	context := float64(g.Context)
	if g.Context == 0 {
		context = DefaultContext
	}
	parts := []struct {
		bytes float64
		what  string
	}{
		{math.Max(float64(g.Memory)/systemShare, systemLeast), "for the system and other programs"},
		{m.keysAndValues * context * cacheBytes, fmt.Sprintf("for keys and values: %.0f in f16 for each of %.0f positions", m.keysAndValues, context)},
		{m.activations(context), fmt.Sprintf("for activations of %d tokens at once", ubatch)},
	}
	left := float64(g.Memory)
	var text []string
	for _, part := range parts {
		left -= math.Ceil(part.bytes)
		text = append(text, fmt.Sprintf("%s %s", bytesText(part.bytes), part.what))
	}
	said := fmt.Sprintf("%s of memory, less %s", bytesText(float64(g.Memory)), strings.Join(text, ", less "))
	if !(left >= 1) {
		return 0, nil, fmt.Errorf("nothing is left for the file: %s; use a smaller context: %w", said, tensor.ErrTooLarge)
	}
	return int64(left), []string{fmt.Sprintf("%s, leaves %s for the file.", said, bytesText(left))}, nil
}

// activations estimates llama.cpp's compute buffer: for each token of a batch the
// logits, the feed-forward layer's two inner rows, a few rows of the embedding's
// width, and the scores of every head with every position, which flash attention
// would save.
func (m memoryShape) activations(context float64) float64 {
	return ubatch * floatBytes * (m.vocabulary + 2*m.feedForward + 4*m.embedding + m.heads*context)
}

func bytesText(n float64) string { return humanize.IBytes(uint64(min(n, math.MaxInt64))) }

// memoryShape reads the hyperparameters of a model that keeps keys and values as
// llama does, under the names of the GGUF specification.
func (p *Plan) memoryShape() (m memoryShape, err error) {
	var kvHeads, keyLength, valueLength float64
	for _, k := range []struct {
		key string
		to  *float64
		or  *float64 // what stands for it where the key is missing
	}{
		{"block_count", &m.layers, nil},
		{"embedding_length", &m.embedding, nil},
		{"attention.head_count", &m.heads, nil},
		{"attention.head_count_kv", &kvHeads, &m.heads},
		{"feed_forward_length", &m.feedForward, nil},
	} {
		if *k.to, err = p.largest(k.key, k.or); err != nil {
			return m, err
		}
	}
	perHead := m.embedding / m.heads
	if keyLength, err = p.largest("attention.key_length", &perHead); err != nil {
		return m, err
	}
	if valueLength, err = p.largest("attention.value_length", &perHead); err != nil {
		return m, err
	}
	m.keysAndValues = m.layers * kvHeads * (keyLength + valueLength)
	m.vocabulary = float64(p.vocabSize())
	return m, nil
}

// largest returns the value of the architecture's key, of a list the largest
// element, or *or if there is none.
func (p *Plan) largest(key string, or *float64) (most float64, err error) {
	key = p.Arch + "." + key
	v, ok := p.Meta.Get(key)
	if !ok && or != nil {
		return *or, nil
	}
	if !ok {
		return 0, fmt.Errorf("the memory that %s needs is not known: there is no metadata %s; give a target size instead: %w", p.Arch, key, tensor.ErrUnsupported)
	}
	values := []any{v}
	if list := reflect.ValueOf(v); list.Kind() == reflect.Slice {
		values = values[:0]
		for i := range list.Len() {
			values = append(values, list.Index(i).Interface())
		}
	}
	for _, v := range values {
		n, ok := tensor.AsInt(v)
		if !ok || n < 0 || n > math.MaxInt32 {
			return 0, fmt.Errorf("metadata %s is %v, want a count: %w", key, v, tensor.ErrCorrupt)
		}
		most = max(most, float64(n))
	}
	if most == 0 {
		return 0, fmt.Errorf("metadata %s is %v, want a count above 0: %w", key, v, tensor.ErrCorrupt)
	}
	return most, nil
}
