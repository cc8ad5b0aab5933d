package origin

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// settings are where a network's hyperparameters may be stated: the arguments
// saved in the checkpoint, then the files beside it.
type settings []scope

// A scope is the keys of meta that start with prefix.
type scope struct {
	meta   tensor.Meta
	prefix string // "" or ending in a dot
}

// marks are keys of which each tells where a program keeps its settings.
var marks = []string{"n_heads", "num_attention_heads", "n_audio_head", "encoder_attention_heads"}

func newSettings(inside tensor.Meta, files []tensor.Meta) settings {
	s := marked(inside)
	for _, f := range files {
		s = append(append(s, scope{f, ""}), marked(f)...)
	}
	return s
}

// marked returns the scopes of meta that hold one of marks.
func marked(meta tensor.Meta) settings {
	var s settings
	for _, kv := range meta.All() {
		for _, mark := range marks {
			if prefix, ok := strings.CutSuffix(kv.Key, mark); ok && (prefix == "" || strings.HasSuffix(prefix, ".")) {
				s = append(s, scope{meta, prefix})
			}
		}
	}
	return s
}

// get returns the first value that is stated for one of keys.
func (s settings) get(keys ...string) (value any, key string) {
	for _, sc := range s {
		for _, k := range keys {
			if v, ok := sc.meta.Get(sc.prefix + k); ok {
				return v, sc.prefix + k
			}
		}
	}
	return nil, ""
}

// count returns the positive integer at one of keys, 0 if none is stated.
func (s settings) count(keys ...string) (int, error) {
	v, key := s.get(keys...)
	if key == "" {
		return 0, nil
	}
	n, ok := tensor.AsInt(v)
	if !ok || n < 1 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%s is %v, not a positive integer: %w", key, v, tensor.ErrCorrupt)
	}
	return int(n), nil
}

// need is count for a setting that has no default.
func (s settings) need(keys ...string) (int, error) {
	n, err := s.count(keys...)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s is not stated in the checkpoint or a configuration beside it: %w", strings.Join(keys, " or "), tensor.ErrNotFound)
	}
	return n, err
}

// real returns the positive number at one of keys, otherwise the program's default.
func (s settings) real(otherwise float64, keys ...string) (float64, error) {
	v, key := s.get(keys...)
	if key == "" {
		return otherwise, nil
	}
	x, ok := tensor.AsFloat(v)
	if !ok || !(x > 0) || x > math.MaxFloat32 {
		return 0, fmt.Errorf("%s is %v, not a positive number: %w", key, v, tensor.ErrCorrupt)
	}
	return x, nil
}

// text returns the string at one of keys, otherwise the program's default.
func (s settings) text(otherwise string, keys ...string) string {
	v, _ := s.get(keys...)
	if t, ok := v.(string); ok {
		return t
	}
	return otherwise
}

// flag returns the boolean at key; stated is false if there is none.
func (s settings) flag(key string) (value, stated bool) {
	v, _ := s.get(key)
	value, stated = v.(bool)
	return value, stated
}

// A guard is a setting that changes what is computed, and the values of it that
// are computed here; with none it must not be stated.
type guard struct {
	keys     []string
	computed []any
}

// expect fails if the settings ask for something that is not computed.
func (s settings) expect(guards []guard) error {
	for _, g := range guards {
		if v, key := s.get(g.keys...); key != "" && !slices.Contains(g.computed, v) {
			return fmt.Errorf("%s is %v, and only %v is computed: %w", key, v, g.computed, tensor.ErrUnsupported)
		}
	}
	return nil
}
