package arch

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

func TestFlattenJSON(t *testing.T) {
	got, err := FlattenJSON([]byte(`{"a": {"b": {"c": 1}, "d": -2.5}, "e": true, "f": "x", "n": null, "big": 18446744073709551615, "exp": 1e-05,
		"ints": [1, 2], "mixed": [1, 2.5], "words": ["p", "q"], "flags": [true, false], "none": [], "odd": [1, "x", null, [3]], "deep": [[1, 2], [3]],
		"objects": [{"k": 1}], "twice": 1, "twice": 2, "empty": {}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []tensor.KV{{Key: "a.b.c", Value: int64(1)}, {Key: "a.d", Value: -2.5}, {Key: "e", Value: true}, {Key: "f", Value: "x"},
		{Key: "big", Value: uint64(1<<64 - 1)}, {Key: "exp", Value: 1e-5}, {Key: "ints", Value: []int64{1, 2}}, {Key: "mixed", Value: []float64{1, 2.5}},
		{Key: "words", Value: []string{"p", "q"}}, {Key: "flags", Value: []bool{true, false}}, {Key: "odd.0", Value: int64(1)}, {Key: "odd.1", Value: "x"},
		{Key: "odd.3", Value: []int64{3}}, {Key: "deep.0", Value: []int64{1, 2}}, {Key: "deep.1", Value: []int64{3}},
		{Key: "objects.0.k", Value: int64(1)}, {Key: "twice", Value: int64(2)}}
	if !reflect.DeepEqual(got.All(), want) {
		t.Errorf("FlattenJSON = %v\nwant %v", got.All(), want)
	}
}

func TestFlattenJSONRefusesWhatIsNotAConfiguration(t *testing.T) {
	values := strings.Repeat("0,", maxConfigValues)
	for _, c := range []struct {
		name, text string
		class      error
	}{
		{"nothing", "", tensor.ErrCorrupt},
		{"a list", "[1]", tensor.ErrCorrupt},
		{"cut off", `{"a": {"b": 1}`, tensor.ErrCorrupt},
		{"text after it", `{} {}`, tensor.ErrCorrupt},
		{"a web page", "<html>", tensor.ErrCorrupt},
		{"not a number", `{"a": NaN}`, tensor.ErrCorrupt},
		{"number out of range", `{"a": 1e999}`, tensor.ErrUnsupported},
		{"empty key", `{"": 1}`, tensor.ErrUnsupported},
		{"deep objects", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), tensor.ErrTooLarge},
		{"deep lists", `{"a":` + strings.Repeat("[", 100000), tensor.ErrTooLarge},
		{"many values", `{"a": [` + values + `0]}`, tensor.ErrTooLarge},
		{"long key", `{"` + strings.Repeat("k", maxConfigKey+1) + `": 1}`, tensor.ErrTooLarge},
		{"large", strings.Repeat(" ", maxConfigBytes+1), tensor.ErrTooLarge},
	} {
		_, err := FlattenJSON([]byte(c.text))
		var at *tensor.Error
		if !errors.Is(err, c.class) || !errors.As(err, &at) {
			t.Errorf("%s: %v; want %v with a place", c.name, err, c.class)
		}
	}
}

// FuzzFlattenJSON checks that whatever is accepted holds only values that
// metadata can hold, within the limits.
func FuzzFlattenJSON(f *testing.F) {
	for _, s := range []string{smolLM2Config, llama31Config, largeV3Config, stories260KArgs, `{"a":[[[]]]}`, `{"a":[1,"x",{"b":[2.5e3]}]}`, `{"":{"":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := FlattenJSON(b)
		if err != nil {
			return
		}
		if m.Len() > maxConfigValues {
			t.Errorf("%d values; at most %d", m.Len(), maxConfigValues)
		}
		for _, kv := range m.All() {
			if err := tensor.CheckValue(kv.Value); err != nil || kv.Key == "" || len(kv.Key) > maxConfigKey {
				t.Errorf("%q = %v: %v", kv.Key, kv.Value, err)
			}
		}
	})
}

func ExampleFlattenJSON() {
	meta, err := FlattenJSON([]byte(`{"dim": 288, "rope": {"theta": 10000.0}, "tags": ["a", "b"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range meta.All() {
		fmt.Printf("%s = %v (%T)\n", kv.Key, kv.Value, kv.Value)
	}
	// Output:
	// dim = 288 (int64)
	// rope.theta = 10000 (float64)
	// tags = [a b] ([]string)
}
