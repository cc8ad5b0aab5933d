package tensor

import (
	"fmt"
	"math"
)

// A KV is one metadata entry. Value is one of
//
//	uint8 int8 uint16 int16 uint32 int32 uint64 int64 float32 float64 bool string
//
// or a slice of one of these. The Go type is the stored type: GGUF's value
// types map to it one to one.
type KV struct {
	Key   string
	Value any
}

// Meta is an ordered set of metadata entries with unique keys. It is immutable;
// With and Without return new sets. The zero value is empty.
type Meta struct {
	kvs   []KV
	index map[string]int
}

// NewMeta returns the set of kvs, in order; a later entry of the same key
// replaces the value of the earlier one.
func NewMeta(kvs ...KV) Meta { return Meta{}.With(kvs...) }

// Len returns the number of entries.
func (m Meta) Len() int { return len(m.kvs) }

// All returns the entries in order. The caller must not change them.
func (m Meta) All() []KV { return m.kvs }

// Get returns the value of key.
func (m Meta) Get(key string) (any, bool) {
	if i, ok := m.index[key]; ok {
		return m.kvs[i].Value, true
	}
	return nil, false
}

// With returns m with kvs added; an existing key keeps its place and gets the
// new value.
func (m Meta) With(kvs ...KV) Meta {
	out := Meta{kvs: make([]KV, len(m.kvs), len(m.kvs)+len(kvs)), index: make(map[string]int, len(m.kvs)+len(kvs))}
	copy(out.kvs, m.kvs)
	for k, i := range m.index {
		out.index[k] = i
	}
	for _, kv := range kvs {
		if i, ok := out.index[kv.Key]; ok {
			out.kvs[i].Value = kv.Value
			continue
		}
		out.index[kv.Key] = len(out.kvs)
		out.kvs = append(out.kvs, kv)
	}
	return out
}

// Without returns m without the entries that drop accepts.
func (m Meta) Without(drop func(key string) bool) Meta {
	var keep []KV
	for _, kv := range m.kvs {
		if !drop(kv.Key) {
			keep = append(keep, kv)
		}
	}
	return NewMeta(keep...)
}

// Text returns the string at key, "" if it is missing or not a string.
func (m Meta) Text(key string) string {
	v, _ := m.Get(key)
	s, _ := v.(string)
	return s
}

// Int returns the integer at key. A float without a fraction counts as an
// integer, because JSON and Python do not tell them apart.
func (m Meta) Int(key string) (n int64, ok bool) {
	v, ok := m.Get(key)
	if !ok {
		return 0, false
	}
	return AsInt(v)
}

// Float returns the number at key.
func (m Meta) Float(key string) (f float64, ok bool) {
	v, ok := m.Get(key)
	if !ok {
		return 0, false
	}
	return AsFloat(v)
}

// AsInt converts any scalar of a KV to an integer if it is one.
func AsInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64 //nolint:gosec // ok says whether it fits
	case float32:
		return AsInt(float64(v))
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<63
	}
	return 0, false
}

// AsFloat converts any number of a KV to a float64.
func AsFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	case uint64:
		return float64(v), true
	}
	n, ok := AsInt(v)
	return float64(n), ok
}

// CheckValue reports whether v is of a type that a KV can hold.
func CheckValue(v any) error {
	switch v.(type) {
	case uint8, int8, uint16, int16, uint32, int32, uint64, int64, float32, float64, bool, string,
		[]uint8, []int8, []uint16, []int16, []uint32, []int32, []uint64, []int64, []float32, []float64, []bool, []string:
		return nil
	}
	return fmt.Errorf("metadata value of type %T: %w", v, ErrUnsupported)
}
