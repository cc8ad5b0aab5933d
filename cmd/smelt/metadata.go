package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/smelt-project/smelt/tensor"
)

// metadata prints as a JSON object in the order of its keys. Integers keep all
// their digits, bytes are a list of numbers, and what JSON has no number for is
// a string: "NaN", "Infinity", "-Infinity".
type metadata tensor.Meta

// MarshalJSON implements json.Marshaler.
func (m metadata) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, kv := range tensor.Meta(m).All() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeJSON(&b, kv.Key); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := writeJSON(&b, jsonValue(reflect.ValueOf(kv.Value))); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// writeJSON appends v without HTML escapes.
func writeJSON(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// jsonValue returns v, a value of a tensor.KV, as encoding/json should see it.
func jsonValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		return jsonFloat(v)
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = jsonValue(v.Index(i))
		}
		return list
	}
	return v.Interface()
}

func jsonFloat(v reflect.Value) any {
	switch f := v.Float(); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return v.Interface()
}

// valueTypes names the types of metadata as GGUF does.
var valueTypes = map[reflect.Kind]string{
	reflect.Uint8: "u8", reflect.Int8: "i8", reflect.Uint16: "u16", reflect.Int16: "i16", reflect.Uint32: "u32", reflect.Int32: "i32",
	reflect.Uint64: "u64", reflect.Int64: "i64", reflect.Float32: "f32", reflect.Float64: "f64", reflect.Bool: "bool", reflect.String: "str",
}

// typeName returns the type of a metadata value: "u32", "str[32000]".
func typeName(v any) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Slice {
		return fmt.Sprintf("%s[%d]", valueTypes[t.Elem().Kind()], reflect.ValueOf(v).Len())
	}
	return valueTypes[t.Kind()]
}

// Bounds of what a table shows of one value.
const (
	showItems = 6
	showChars = 60
)

// brief returns a metadata value in one short line.
func brief(v any) string {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice {
		return briefItem(r)
	}
	var items []string
	for i, n := 0, 0; i < r.Len(); i++ {
		item := briefItem(r.Index(i))
		if n += len(item); i == showItems || i > 0 && n > showChars {
			items = append(items, "…")
			break
		}
		items = append(items, item)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func briefItem(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return quoted(v.String(), showChars)
	case reflect.Float32:
		return strconv.FormatFloat(v.Float(), 'g', -1, 32)
	}
	return fmt.Sprint(v.Interface())
}

// printMetadata prints a table of meta, nothing if it is empty.
func (p *program) printMetadata(meta tensor.Meta) error {
	if meta.Len() == 0 {
		return nil
	}
	t := p.table()
	fmt.Fprintf(t, "\nMetadata: %s\n  KEY\tTYPE\tVALUE\n", plural(meta.Len(), "key"))
	for _, kv := range meta.All() {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", inline(kv.Key), typeName(kv.Value), brief(kv.Value))
	}
	return t.Flush()
}

// table returns a writer that aligns columns separated by tabs. Its first
// failure is returned by Flush.
func (p *program) table() *tabwriter.Writer { return tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0) }
