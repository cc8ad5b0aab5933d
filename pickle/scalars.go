package pickle

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/smelt-project/smelt/tensor"
)

// scalars collects the metadata of a checkpoint: every number, text and flag
// under its dotted name, bounded in count and size.
type scalars struct {
	s       *session
	kvs     []tensor.KV
	at      map[string]int
	bytes   int64
	dropped int
}

// Bounds on metadata: no config comes near them; a tokenizer's table kept as a
// dict does, and is of no use as metadata.
const (
	maxScalars     = 1 << 16
	maxScalarBytes = 16 << 20
	maxText        = 1 << 20
)

func newScalars(s *session) *scalars { return &scalars{s: s, at: map[string]int{}} }

// full reports whether nothing more is taken.
func (s *scalars) full() bool { return len(s.kvs) >= maxScalars || s.bytes >= maxScalarBytes }

// add stores value under name if there is room. A name that is taken gets a
// number, as tensors do.
func (s *scalars) add(name string, value any) bool {
	size := sizeOf(value)
	if size > maxText || s.full() || s.s.take(size+int64(len(name))+128) != nil {
		s.dropped++
		return false
	}
	if name == "" {
		name = "value"
	}
	base := name
	for n := 2; ; n++ {
		if _, taken := s.at[name]; !taken {
			break
		}
		name = fmt.Sprintf("%s#%d", base, n)
	}
	s.bytes += size
	s.at[name] = len(s.kvs)
	s.kvs = append(s.kvs, tensor.KV{Key: name, Value: value})
	return true
}

func sizeOf(v any) int64 {
	switch v := v.(type) {
	case string:
		return int64(len(v))
	case []string:
		n := int64(16 * len(v))
		for _, s := range v {
			n += int64(len(s))
		}
		return n
	case []int64:
		return int64(8 * len(v))
	case []float64:
		return int64(8 * len(v))
	case []bool:
		return int64(len(v))
	}
	return 8
}

// scalar converts a value of the pickle to a metadata value: int64, float64,
// bool or string.
func scalar(v any) (any, bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case int:
		return int64(v), true
	case float64:
		return v, true
	case string:
		return validText(v), true
	case *big.Int:
		if v.IsUint64() {
			return v.Uint64(), true
		}
		return v.String(), true
	case complex128:
		return strconv.FormatComplex(v, 'g', -1, 128), true
	case word:
		return string(v), true
	case layoutName:
		return "torch." + string(v), true
	case scheme:
		return "torch." + string(v), true
	case *scalarType:
		return "torch." + v.name, true
	case *dtypeObject:
		return v.code, true
	}
	return nil, false
}

// homogeneous converts a list of scalars of one kind, and returns nil for any
// other; integers among floats become floats.
func homogeneous(list []any) any {
	if len(list) == 0 {
		return nil
	}
	switch list[0].(type) {
	case bool:
		return all(list, func(v any) (bool, bool) { b, ok := v.(bool); return b, ok })
	case string:
		return all(list, func(v any) (string, bool) { s, ok := v.(string); return validText(s), ok })
	case int, float64:
		if ints := all(list, func(v any) (int64, bool) { n, ok := v.(int); return int64(n), ok }); ints != nil {
			return ints
		}
		return all(list, toFloat)
	}
	return nil
}

// validText returns s, or s with Go escapes where it is not UTF-8.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return escaped(s)
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), int(float64(v)) == v
	case float64:
		return v, true
	}
	return 0, false
}

func all[T any](list []any, as func(any) (T, bool)) any {
	out := make([]T, 0, len(list))
	for _, v := range list {
		x, ok := as(v)
		if !ok {
			return nil
		}
		out = append(out, x)
	}
	return out
}

// scalarText renders a scalar as Python does, anything else not at all: a value
// may hold itself, or more than a message should.
func scalarText(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return strings.ToUpper(strconv.FormatBool(v)[:1]) + strconv.FormatBool(v)[1:]
	case int:
		return strconv.Itoa(v)
	case float64:
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(s, ".einN") {
			s += ".0"
		}
		return s
	case string:
		return strconv.Quote(v[:min(len(v), 80)])
	case *big.Int:
		return v.String()
	}
	return ""
}

// bigUint returns u as an int where it fits, as the machine does.
func bigUint(u uint64) any {
	if n := int(u); n >= 0 && uint64(n) == u { //nolint:gosec // compared
		return n
	}
	return new(big.Int).SetUint64(u)
}
