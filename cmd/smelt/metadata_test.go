package main

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestMetadataIsAnOrderedObjectOfExactValues(t *testing.T) {
	meta := tensor.NewMeta(
		tensor.KV{Key: "z", Value: uint64(math.MaxUint64)},
		tensor.KV{Key: "a", Value: int64(math.MinInt64)},
		tensor.KV{Key: "f32", Value: float32(1e-5)},
		tensor.KV{Key: "f64", Value: 0.1},
		tensor.KV{Key: "nan", Value: math.NaN()},
		tensor.KV{Key: "inf", Value: []float32{float32(math.Inf(1)), float32(math.Inf(-1)), 2}},
		tensor.KV{Key: "bytes", Value: []uint8{1, 255}},
		tensor.KV{Key: "none", Value: []string{}},
		tensor.KV{Key: "<b>", Value: "a\"\n\x1b"},
		tensor.KV{Key: "yes", Value: true},
	)
	got, err := json.Marshal(metadata(meta))
	const want = `{"z":18446744073709551615,"a":-9223372036854775808,"f32":0.00001,"f64":0.1,"nan":"NaN",` +
		`"inf":["Infinity","-Infinity",2],"bytes":[1,255],"none":[],"\u003cb\u003e":"a\"\n\u001b","yes":true}`
	if err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v\nwant %s", got, err, want)
	}
}

func TestLongValuesAreAbbreviated(t *testing.T) {
	long := make([]byte, 100)
	for i := range long {
		long[i] = 'x'
	}
	for _, c := range []struct {
		name       string
		value      any
		kind, want string
	}{
		{"number", uint32(7), "u32", "7"},
		{"float", float32(0.1), "f32", "0.1"},
		{"string", "a\x1b[31m\n", "str", `"a\x1b[31m\n"`},
		{"long string", string(long), "str", `"` + string(long[:60]) + `"… (100 bytes)`},
		{"list", []int32{1, 2}, "i32[2]", "[1, 2]"},
		{"long list", []int32{1, 2, 3, 4, 5, 6, 7}, "i32[7]", "[1, 2, 3, 4, 5, 6, …]"},
		{"long strings", []string{string(long), "b"}, "str[2]", `["` + string(long[:60]) + `"… (100 bytes), …]`},
		{"strings", []string{"<s>", "\u202e"}, "str[2]", `["<s>", "\u202e"]`},
		{"empty", []bool{}, "bool[0]", "[]"},
	} {
		if got := typeName(c.value); got != c.kind {
			t.Errorf("%s: typeName = %s; want %s", c.name, got, c.kind)
		}
		if got := brief(c.value); got != c.want {
			t.Errorf("%s: brief = %s; want %s", c.name, got, c.want)
		}
	}
}
