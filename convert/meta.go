package convert

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A valueType parses the text of one metadata type.
type valueType struct {
	name  string
	parse func(s string) (any, error)
}

// valueTypes is the table of scalar types that --meta can write.
var valueTypes = []valueType{
	{"u8", unsigned(8, func(n uint64) any { return uint8(n) })},
	{"u16", unsigned(16, func(n uint64) any { return uint16(n) })},
	{"u32", unsigned(32, func(n uint64) any { return uint32(n) })},
	{"u64", unsigned(64, func(n uint64) any { return n })},
	{"i8", signed(8, func(n int64) any { return int8(n) })},
	{"i16", signed(16, func(n int64) any { return int16(n) })},
	{"i32", signed(32, func(n int64) any { return int32(n) })},
	{"i64", signed(64, func(n int64) any { return n })},
	{"f32", func(s string) (any, error) { f, err := strconv.ParseFloat(s, 32); return float32(f), err }},
	{"f64", func(s string) (any, error) { return strconv.ParseFloat(s, 64) }},
	{"bool", func(s string) (any, error) { return strconv.ParseBool(s) }},
	{"str", func(s string) (any, error) { return s, nil }},
}

func unsigned(bits int, as func(uint64) any) func(string) (any, error) {
	return func(s string) (any, error) {
		n, err := strconv.ParseUint(s, 10, bits)
		return as(n), err
	}
}

func signed(bits int, as func(int64) any) func(string) (any, error) {
	return func(s string) (any, error) {
		n, err := strconv.ParseInt(s, 10, bits)
		return as(n), err
	}
}

// override applies KEY=VALUE and KEY=TYPE:VALUE. Without a type, the value
// takes the type that the key has; a new key becomes a string.
func override(meta tensor.Meta, pairs []string) (tensor.Meta, error) {
	for _, pair := range pairs {
		key, text, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return meta, fmt.Errorf("metadata %q is not KEY=VALUE or KEY=TYPE:VALUE: %w", pair, tensor.ErrUnsupported)
		}
		v, err := parseValue(meta, key, text)
		if err != nil {
			return meta, fmt.Errorf("metadata %q: %w", pair, err)
		}
		meta = meta.With(tensor.KV{Key: key, Value: v})
	}
	return meta, nil
}

func parseValue(meta tensor.Meta, key, text string) (any, error) {
	if name, rest, ok := strings.Cut(text, ":"); ok {
		for _, t := range valueTypes {
			if t.name == name {
				return t.parse(rest)
			}
		}
	}
	old, ok := meta.Get(key)
	if !ok {
		return text, nil
	}
	for _, t := range valueTypes {
		if zero, _ := t.parse("0"); fmt.Sprintf("%T", zero) == fmt.Sprintf("%T", old) {
			return t.parse(text)
		}
	}
	return nil, fmt.Errorf("%s holds a %T, which cannot be given as text: %w", key, old, tensor.ErrUnsupported)
}
