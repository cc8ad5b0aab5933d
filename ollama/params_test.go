package ollama_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/smelt-project/smelt/ollama"
)

func TestParseParamsKeepsOrderAndTypes(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     ollama.Params
	}{
		{"null", `null`, nil},
		{"empty", ` { } `, nil},
		{"order", `{"top_p":0.9,"num_ctx":4096,"stop":["b","a"],"use_mmap":false}`, ollama.Params{
			{"top_p", 0.9}, {"num_ctx", int64(4096)}, {"stop", []string{"b", "a"}}, {"use_mmap", false}}},
		{"a known float that is written as an integer", `{"temperature":1}`, ollama.Params{{"temperature", 1.0}}},
		{"a known integer that is written as a float", `{"num_ctx":4096.0,"seed":-1e3}`, ollama.Params{{"num_ctx", int64(4096)}, {"seed", int64(-1000)}}},
		{"a known integer that is none", `{"num_ctx":0.5}`, ollama.Params{{"num_ctx", 0.5}}},
		{"unknown numbers", `{"a":1,"b":1.0,"c":1e6}`, ollama.Params{{"a", int64(1)}, {"b", 1.0}, {"c", 1e6}}},
		{"beyond int64", `{"a":9223372036854775808}`, ollama.Params{{"a", 9223372036854775808.0}}},
		{"string", `{"stop":"x\u0000"}`, ollama.Params{{"stop", "x\x00"}}},
		{"empty list", `{"stop":[]}`, ollama.Params{{"stop", []string{}}}},
		{"doubled", `{"a":1,"b":2,"a":3}`, ollama.Params{{"a", int64(3)}, {"b", int64(2)}}},
		{"null value", `{"a":null,"b":true}`, ollama.Params{{"b", true}}},
		{"other shapes", `{"a":[1,2],"b":{"c":1}}`, ollama.Params{{"a", json.RawMessage(`[1,2]`)}, {"b", json.RawMessage(`{"c":1}`)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ollama.ParseParams([]byte(tt.in))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseParams(%s) = %#v, %v; want %#v", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestParseParamsRefusesWhatIsNoObject(t *testing.T) {
	for _, in := range []string{``, `[]`, `1`, `"x"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{"a":1}x`, `{"a":1}{}`, `{a:1}`, `{"a":1e999}`, `{"a":[}`} {
		if got, err := ollama.ParseParams([]byte(in)); !errors.Is(err, ollama.ErrMalformed) {
			t.Errorf("ParseParams(%s) = %v, %v; want ErrMalformed", in, got, err)
		}
	}
}

func TestParamsGetFindsByName(t *testing.T) {
	p := ollama.Params{{"a", int64(1)}, {"b", "x"}}
	if v, ok := p.Get("b"); !ok || v != "x" {
		t.Errorf(`Get("b") = %v, %v; want "x", true`, v, ok)
	}
	if v, ok := p.Get("c"); ok {
		t.Errorf(`Get("c") = %v, true; want false`, v)
	}
}

func TestParseMessagesNotesOtherFields(t *testing.T) {
	got, err := ollama.ParseMessages([]byte(`[{"role":"user","content":"Hi"},{"role":"assistant","content":"","tool_calls":[],"thinking":"hm"}]`))
	want := []ollama.Message{{Role: "user", Content: "Hi"}, {Role: "assistant", Other: []string{"thinking", "tool_calls"}}}
	if err != nil || len(got) != 2 || got[0].Content != "Hi" || !reflect.DeepEqual(got[1], want[1]) {
		t.Errorf("ParseMessages = %+v, %v; want %+v", got, err, want)
	}
	for _, in := range []string{``, `{}`, `[1]`, `[{"role":1}]`, `[`, `[]x`} {
		if got, err := ollama.ParseMessages([]byte(in)); !errors.Is(err, ollama.ErrMalformed) {
			t.Errorf("ParseMessages(%s) = %v, %v; want ErrMalformed", in, got, err)
		}
	}
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{`{}`, `{"stop":["a"],"temperature":1,"x":{"y":[]}}`, `{"a":1,"a":null}`, `null`, `{"a":1e999}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		params, err := ollama.ParseParams(data)
		if err != nil {
			if !errors.Is(err, ollama.ErrMalformed) {
				t.Fatalf("ParseParams: %v is of no class", err)
			}
			return
		}
		var all map[string]any // an independent reading
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		for _, p := range params {
			if _, ok := all[p.Name]; !ok {
				t.Fatalf("%q is not among %v", p.Name, all)
			}
			delete(all, p.Name)
		}
		for name, v := range all {
			if v != nil {
				t.Fatalf("%q is missing", name)
			}
		}
	})
}
