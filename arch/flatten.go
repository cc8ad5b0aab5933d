package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/smelt-project/smelt/tensor"
)

// Limits of a configuration file, far above real ones (hundreds of keys in a
// few kilobytes, five levels deep).
const (
	maxConfigBytes  = 16 << 20
	maxConfigValues = 1 << 16
	maxConfigDepth  = 64
	maxConfigKey    = 512 // bytes of a dotted key
)

// FlattenJSON turns a JSON object, such as config.json or params.json, into
// metadata whose keys join nested names with dots. Integers become int64,
// other numbers float64; a list of scalars of one kind becomes a slice, other
// lists get their positions as names; null and empty containers are left out.
// A repeated key has its last value, as in Python.
func FlattenJSON(b []byte) (tensor.Meta, error) {
	fail := func(at int64, err error) (tensor.Meta, error) {
		return tensor.Meta{}, &tensor.Error{Op: "read JSON", Offset: at, Err: err}
	}
	if len(b) > maxConfigBytes {
		return fail(0, fmt.Errorf("%d bytes, at most %d are read: %w", len(b), maxConfigBytes, tensor.ErrTooLarge))
	}
	f := &flattener{dec: json.NewDecoder(bytes.NewReader(b))}
	f.dec.UseNumber()
	tok, err := f.next()
	if err == nil && tok != json.Delim('{') {
		err = fmt.Errorf("%v is not an object: %w", tok, tensor.ErrCorrupt)
	}
	if err == nil {
		err = f.object("", 0)
	}
	if err != nil {
		return fail(f.dec.InputOffset(), err)
	}
	if _, err := f.dec.Token(); err != io.EOF {
		return fail(f.dec.InputOffset(), fmt.Errorf("text follows the object: %w", tensor.ErrCorrupt))
	}
	return tensor.NewMeta(f.kvs...), nil
}

// A flattener walks the tokens of one JSON text.
type flattener struct {
	dec    *json.Decoder
	kvs    []tensor.KV
	values int // met so far
}

func (f *flattener) next() (json.Token, error) {
	tok, err := f.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", tensor.ErrCorrupt, err)
	}
	return tok, nil
}

// object reads up to the closing brace.
func (f *flattener) object(prefix string, depth int) error {
	for {
		tok, err := f.next()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return nil // the closing brace: the decoder has checked
		}
		if err := f.value(prefix+name, depth); err != nil {
			return err
		}
	}
}

// value reads one value into f.kvs.
func (f *flattener) value(key string, depth int) error {
	tok, err := f.next()
	if err != nil {
		return err
	}
	return f.put(key, tok, depth)
}

// put stores the value that starts with tok under key.
func (f *flattener) put(key string, tok json.Token, depth int) error {
	f.values++
	switch {
	case f.values > maxConfigValues:
		return fmt.Errorf("more than %d values: %w", maxConfigValues, tensor.ErrTooLarge)
	case depth > maxConfigDepth:
		return fmt.Errorf("nested more than %d deep: %w", maxConfigDepth, tensor.ErrTooLarge)
	case len(key) > maxConfigKey:
		return fmt.Errorf("key of %d bytes, at most %d: %w", len(key), maxConfigKey, tensor.ErrTooLarge)
	}
	switch tok {
	case nil:
		return nil
	case json.Delim('{'):
		return f.object(key+".", depth+1)
	case json.Delim('['):
		return f.array(key, depth+1)
	}
	v, err := scalar(tok)
	if err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("empty key: %w", tensor.ErrUnsupported)
	}
	f.kvs = append(f.kvs, tensor.KV{Key: key, Value: v})
	return nil
}

// array reads up to the closing bracket.
func (f *flattener) array(key string, depth int) error {
	start := len(f.kvs)
	n := 0
	for ; ; n++ {
		tok, err := f.next()
		if err != nil {
			return err
		}
		if tok == json.Delim(']') {
			break
		}
		if err := f.put(key+"."+strconv.Itoa(n), tok, depth); err != nil {
			return err
		}
	}
	items := f.kvs[start:]
	if len(items) != n {
		return nil
	}
	for i, kv := range items {
		if kv.Key != key+"."+strconv.Itoa(i) { // it came from a container inside
			return nil
		}
	}
	if list := homogeneous(items); list != nil {
		f.kvs = append(f.kvs[:start], tensor.KV{Key: key, Value: list})
	}
	return nil
}

func scalar(tok json.Token) (any, error) {
	n, ok := tok.(json.Number)
	if !ok {
		return tok, nil // string or bool
	}
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u, nil
	}
	x, err := n.Float64()
	if errors.Is(err, strconv.ErrRange) {
		return nil, fmt.Errorf("number %.40s does not fit: %w", n, tensor.ErrUnsupported)
	}
	return x, err
}

// homogeneous returns the values of items as one slice if they are scalars of
// one kind, else nil.
func homogeneous(items []tensor.KV) any {
	if len(items) == 0 {
		return nil
	}
	switch items[0].Value.(type) {
	case int64, float64:
		if ints := gathered[int64](items); ints != nil {
			return ints
		}
		return floats(items)
	case string:
		return orNil(gathered[string](items))
	case bool:
		return orNil(gathered[bool](items))
	}
	return nil
}

func gathered[T any](items []tensor.KV) []T {
	out := make([]T, len(items))
	for i, kv := range items {
		v, ok := kv.Value.(T)
		if !ok {
			return nil
		}
		out[i] = v
	}
	return out
}

// orNil returns list as a value that equals nil if it is nil.
func orNil[T any](list []T) any {
	if list == nil {
		return nil
	}
	return list
}

func floats(items []tensor.KV) any {
	out := make([]float64, len(items))
	for i, kv := range items {
		switch v := kv.Value.(type) {
		case int64:
			out[i] = float64(v)
		case float64:
			out[i] = v
		default:
			return nil
		}
	}
	return out
}
