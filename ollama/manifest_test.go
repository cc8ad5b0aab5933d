package ollama_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

var digestA = "sha256:" + strings.Repeat("a", 64)

// manifestJSON is a manifest with one layer made of the given members.
func manifestJSON(layer string) string {
	return `{"schemaVersion":2,"layers":[{` + layer + `}]}`
}

func TestParseManifestAcceptsWhatOllamaDoes(t *testing.T) {
	layer := ollama.Layer{MediaType: "x", Digest: digestA, Size: 5}
	for _, tt := range []struct {
		name, in string
		want     []ollama.Layer
	}{
		{"empty object", `{}`, nil},
		{"null layers", `{"layers":null}`, nil},
		{"unknown fields", `{"annotations":{"a":[1,{}]},"layers":[{"mediaType":"x","digest":"` + digestA + `","size":5,"urls":[]}]}`, []ollama.Layer{layer}},
		{"other schema version", `{"schemaVersion":3,"mediaType":"?","layers":[{"mediaType":"x","digest":"` + digestA + `","size":5}]}`, []ollama.Layer{layer}},
		{"hyphen and upper case", manifestJSON(`"digest":"sha256-` + strings.Repeat("AB", 32) + `"`),
			[]ollama.Layer{{Digest: "sha256-" + strings.Repeat("AB", 32)}}},
		{"from and name", manifestJSON(`"digest":"` + digestA + `","from":"/x","name":"a/b"`),
			[]ollama.Layer{{Digest: digestA, From: "/x", Name: "a/b"}}},
		{"the same layer twice", `{"layers":[{"digest":"` + digestA + `"},{"digest":"` + digestA + `"}]}`,
			[]ollama.Layer{{Digest: digestA}, {Digest: digestA}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ollama.ParseManifest([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(m.Layers, tt.want) {
				t.Errorf("layers = %+v; want %+v", m.Layers, tt.want)
			}
			if want := strings.TrimPrefix(ollamatest.Digest([]byte(tt.in)), "sha256:"); m.ID != want {
				t.Errorf("ID = %s; want the bytes' digest %s", m.ID, want)
			}
		})
	}
}

func TestParseManifestRefusesHostileOnes(t *testing.T) {
	manyLayers := `{"layers":[` + strings.Repeat(`{},`, 1<<15) + `{}]}`
	for _, tt := range []struct {
		name, in string
		class    error
		want     string
	}{
		{"nothing", ``, ollama.ErrMalformed, "not the JSON"},
		{"half", `{"layers":[{"digest":"sha2`, ollama.ErrMalformed, "not the JSON"},
		{"HTML", `<!DOCTYPE html>`, ollama.ErrMalformed, "not the JSON"},
		{"two values", `{}{}`, ollama.ErrMalformed, "not the JSON"},
		{"a list", `[]`, ollama.ErrMalformed, "not the JSON"},
		{"deep nesting", strings.Repeat(`{"a":`, 20000), ollama.ErrMalformed, "not the JSON"},
		{"layers no list", `{"layers":{}}`, ollama.ErrMalformed, "not a list"},
		{"layer no object", `{"layers":[1]}`, ollama.ErrMalformed, "element 0"},
		{"no digest", manifestJSON(`"size":1`), ollama.ErrMalformed, `digest ""`},
		{"short digest", manifestJSON(`"digest":"sha256:abc"`), ollama.ErrMalformed, `digest "sha256:abc"`},
		{"digest that climbs", manifestJSON(`"digest":"sha256:../../../../etc/passwd"`), ollama.ErrMalformed, "digest"},
		{"digest of path length", manifestJSON(`"digest":"sha256:` + strings.Repeat("../", 21) + `x"`), ollama.ErrMalformed, "digest"},
		{"other algorithm", manifestJSON(`"digest":"sha512:` + strings.Repeat("a", 64) + `"`), ollama.ErrMalformed, "digest"},
		{"other separator", manifestJSON(`"digest":"sha256/` + strings.Repeat("a", 64) + `"`), ollama.ErrMalformed, "digest"},
		{"negative size", manifestJSON(`"digest":"` + digestA + `","size":-1`), ollama.ErrMalformed, "size -1 is negative"},
		{"size of float", manifestJSON(`"digest":"` + digestA + `","size":1.5`), ollama.ErrMalformed, "element 0"},
		{"size beyond int64", manifestJSON(`"digest":"` + digestA + `","size":9223372036854775808`), ollama.ErrMalformed, "element 0"},
		{"sum beyond int64", `{"layers":[{"digest":"` + digestA + `","size":9223372036854775807},{"digest":"` + digestA + `","size":1}]}`,
			ollama.ErrMalformed, "add up to more"},
		{"negative config", `{"config":{"size":-1}}`, ollama.ErrMalformed, "config"},
		{"bad config digest", `{"config":{"digest":"x"}}`, ollama.ErrMalformed, `config (""): `},
		{"too many layers", manyLayers, ollama.ErrTooLarge, "more than 32768"},
		{"too many bytes", `{"a":"` + strings.Repeat("x", 16<<20) + `"}`, ollama.ErrTooLarge, "16777224 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ollama.ParseManifest([]byte(tt.in))
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseManifest = %v; want %v with %q", err, tt.class, tt.want)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestParseManifestNamesAllBadLayers(t *testing.T) {
	_, err := ollama.ParseManifest([]byte(`{"layers":[{"digest":"x"},{"digest":"` + digestA + `"},{"digest":"y"}]}`))
	for _, want := range []string{"layer 0", "layer 2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseManifest = %v; want it to name %s", err, want)
		}
	}
	_, err = ollama.ParseManifest([]byte(`{"layers":[` + strings.Repeat(`{},`, 29) + `{}]}`))
	if err == nil || !strings.Contains(err.Error(), "20 more problems") {
		t.Errorf("ParseManifest of 30 bad layers = %v; want 10 named and 20 counted", err)
	}
}

func TestParseManifestMemoryIsBoundedByItsInput(t *testing.T) {
	in := []byte(`{"layers":[` + strings.Repeat(`{},`, 5<<20) + `{}]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ollama.ParseManifest(in); !errors.Is(err, ollama.ErrTooLarge) {
		t.Fatalf("ParseManifest = %v; want ErrTooLarge", err)
	}
	runtime.ReadMemStats(&after)
	// 64 MiB for the layers that are kept and their growth; one copy of the raw list.
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64<<20+2*len(in)); got > limit {
		t.Errorf("%d bytes of manifest took %d bytes; want at most %d", len(in), got, limit)
	}
}

func TestManifestSizeIsThatOfConfigAndLayers(t *testing.T) {
	m, err := ollama.ParseManifest([]byte(`{"config":{"digest":"` + digestA + `","size":100},"layers":[{"digest":"` + digestA + `","size":20},{"digest":"` + digestA + `","size":3}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Size(); got != 123 {
		t.Errorf("Size() = %d; want 123", got)
	}
}

func TestEveryMediaTypeHasOneRow(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range ollama.MediaTypes() {
		if seen[m.Type] || m.Type == "" || m.Role == "" || m.Encoding == "" || m.Repeat == "" || m.About == "" {
			t.Errorf("row %+v is doubled or incomplete", m)
		}
		seen[m.Type] = true
		if got := ollama.LookupMediaType(m.Type); got.Role != m.Role {
			t.Errorf("LookupMediaType(%q) = %s; want %s", m.Type, got.Role, m.Role)
		}
	}
	if got := ollama.LookupMediaType("text/x-new"); got.Role != ollama.RoleUnknown || got.Type != "text/x-new" {
		t.Errorf("LookupMediaType of an unknown type = %+v; want unknown under its name", got)
	}
}

func TestParseConfigKeepsAllFields(t *testing.T) {
	in := `{"model_format":"gguf","model_family":"llama","model_families":["llama","clip"],"model_type":"7.6B","file_type":"Q4_K_M",` +
		`"renderer":"r","parser":"p","requires":"0.19.0","remote_host":"h","remote_model":"m","capabilities":["completion"],` +
		`"context_length":8,"embedding_length":9,"base_name":"b","draft":{"model_format":"gguf","architecture":"a","tensor_prefix":"t","config":"c"},` +
		`"architecture":"amd64","os":"linux"}`
	c, err := ollama.ParseConfig([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != in {
		t.Errorf("written back:\n got %s\nwant %s", out, in)
	}
	if _, err := ollama.ParseConfig([]byte(`{"context_length":"x"}`)); !errors.Is(err, ollama.ErrMalformed) {
		t.Errorf("ParseConfig = %v; want ErrMalformed", err)
	}
}

func FuzzManifest(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"layers":null}`, manifestJSON(`"digest":"` + digestA + `","size":7`),
		`{"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"` + digestA + `","size":1},"layers":[]}`,
		manifestJSON(`"digest":"sha256:../"`), manifestJSON(`"size":-1`), `{"layers":[[]]}`, `[`, "\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ollama.ParseManifest(data)
		if err != nil {
			if !errors.Is(err, ollama.ErrMalformed) && !errors.Is(err, ollama.ErrTooLarge) {
				t.Fatalf("ParseManifest: %v is of no class", err)
			}
			return
		}
		if m.Size() < 0 {
			t.Fatalf("Size() = %d", m.Size())
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ollama.ParseManifest(out)
		if err != nil {
			t.Fatalf("what was written does not parse: %v", err)
		}
		again.ID = m.ID
		if fmt.Sprint(again) != fmt.Sprint(m) {
			t.Fatalf("written and parsed again:\n got %+v\nwant %+v", again, m)
		}
	})
}
