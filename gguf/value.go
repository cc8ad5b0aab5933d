package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/smelt-project/smelt/tensor"
)

// A valueType is one of the format's types of metadata values, and the Go type
// that package tensor holds it as.
type valueType struct {
	id   uint32
	name string
	size int // bytes of one value; 0 for a length and as many bytes
	one  func(c *cursor) any
	many func(c *cursor, n int) any
	// put appends the type and v, little-endian. ok is false if v is not of this type.
	put func(b []byte, v any) (out []byte, ok bool)
}

// arrayID is the type whose value starts with the type and count of its elements.
const arrayID = 9

// valueTypes is ggml/docs/gguf.md, gguf_metadata_value_type, without the array.
var valueTypes = []valueType{
	scalar(0, "u8", 1, (*cursor).u8, func(b []byte, v uint8) []byte { return append(b, v) }),
	scalar(1, "i8", 1, (*cursor).i8, func(b []byte, v int8) []byte { return append(b, uint8(v)) }),
	scalar(2, "u16", 2, (*cursor).u16, le.AppendUint16),
	scalar(3, "i16", 2, (*cursor).i16, func(b []byte, v int16) []byte { return le.AppendUint16(b, uint16(v)) }),
	scalar(4, "u32", 4, (*cursor).u32, le.AppendUint32),
	scalar(5, "i32", 4, (*cursor).i32, func(b []byte, v int32) []byte { return le.AppendUint32(b, uint32(v)) }),
	scalar(6, "f32", 4, (*cursor).f32, func(b []byte, v float32) []byte { return le.AppendUint32(b, math.Float32bits(v)) }),
	scalar(7, "bool", 1, (*cursor).boolean, putBool),
	scalar(8, "string", 0, (*cursor).str, putString),
	scalar(10, "u64", 8, (*cursor).u64, le.AppendUint64),
	scalar(11, "i64", 8, (*cursor).i64, func(b []byte, v int64) []byte { return le.AppendUint64(b, uint64(v)) }),
	scalar(12, "f64", 8, (*cursor).f64, func(b []byte, v float64) []byte { return le.AppendUint64(b, math.Float64bits(v)) }),
}

var le = binary.LittleEndian

// firstElems bounds the room made for an array before any of it has been read.
const firstElems = 1 << 20

// scalar makes the row of a type from how one value is read and appended.
func scalar[T any](id uint32, name string, size int, read func(*cursor) T, put func([]byte, T) []byte) valueType {
	return valueType{
		id: id, name: name,
		size: size,
		one:  func(c *cursor) any { return read(c) },
		many: func(c *cursor, n int) any {
			out := make([]T, 0, min(n, firstElems))
			for len(out) < n && c.err == nil {
				out = append(out, read(c))
			}
			return out
		},
		put: func(b []byte, v any) ([]byte, bool) {
			switch v := v.(type) {
			case T:
				return put(le.AppendUint32(b, id), v), true
			case []T:
				b = le.AppendUint32(b, arrayID)
				b = le.AppendUint32(b, id)
				b = le.AppendUint64(b, uint64(len(v)))
				for _, e := range v {
					b = put(b, e)
				}
				return b, true
			}
			return b, false
		},
	}
}

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func putString(b []byte, s string) []byte {
	return append(le.AppendUint64(b, uint64(len(s))), s...)
}

// value reads the type and the value of key.
func (c *cursor) value(key string) any {
	at := c.at()
	id := c.u32()
	if id == arrayID {
		return c.array(key)
	}
	if t := c.typeOf(key, id, at); t != nil {
		return t.one(c)
	}
	return nil
}

// array reads the type of elements, their number and the elements.
func (c *cursor) array(key string) any {
	at := c.at()
	id := c.u32()
	if id == arrayID {
		c.fail(at, tensor.ErrUnsupported, "key %q: array of arrays, which llama.cpp does not read either", key)
	}
	t := c.typeOf(key, id, at)
	if t == nil {
		return nil
	}
	least := t.size
	if least == 0 {
		least = c.width
	}
	at = c.at()
	n := c.count("elements", least)
	if n > maxArray {
		c.fail(at, tensor.ErrTooLarge, "key %q: %d elements, the limit is %d", key, n, maxArray)
		return nil
	}
	return t.many(c, n)
}

// typeOf returns the type id, which stands at an offset of the file.
func (c *cursor) typeOf(key string, id uint32, at int64) *valueType {
	for i := range valueTypes {
		if valueTypes[i].id == id {
			return &valueTypes[i]
		}
	}
	c.fail(at, tensor.ErrCorrupt, "key %q: value type %d, the format knows 0 to 12", key, id)
	return nil
}

// putValue appends the type and the value v.
func putValue(b []byte, v any) ([]byte, error) {
	for _, t := range valueTypes {
		if out, ok := t.put(b, v); ok {
			return out, nil
		}
	}
	return b, fmt.Errorf("value of type %T has no GGUF type: %w", v, tensor.ErrUnsupported)
}
