package ollama_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

// sequentialFS hides everything of its files but the methods of [fs.File].
type sequentialFS struct{ fs.FS }

func (s sequentialFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if d, ok := f.(fs.ReadDirFile); ok {
		if fi, err := f.Stat(); err == nil && fi.IsDir() {
			return d, nil
		}
	}
	return struct{ fs.File }{f}, nil
}

func TestResolveGivesEveryRole(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	m := s.Resolve("Smol")
	if m.Name.String() != "smol:latest" || m.Path != s.ManifestPath("smol") || len(m.Notes) != 0 {
		t.Errorf("name %s, path %s, notes %q", m.Name, m.Path, m.Notes)
	}
	if m.Config.Family != "llama" || m.Config.FileType != "F16" {
		t.Errorf("Config = %+v", m.Config)
	}
	if m.System != "You are a helpful AI assistant." || !strings.HasPrefix(m.Template, "{{ if .System }}") {
		t.Errorf("System = %q, Template = %q", m.System, m.Template)
	}
	wantParams := ollama.Params{{"stop", []string{"<|im_start|>", "<|im_end|>"}}, {"temperature", 1.0}, {"num_ctx", int64(2048)}}
	if !reflect.DeepEqual(m.Params, wantParams) {
		t.Errorf("Params = %v; want %v", m.Params, wantParams)
	}
	if len(m.Messages) != 2 || m.Messages[1].Content != "Hello!" {
		t.Errorf("Messages = %+v", m.Messages)
	}
	if want := []string{"Apache License\nVersion 2.0"}; !reflect.DeepEqual(m.Licenses, want) {
		t.Errorf("Licenses = %q; want %q", m.Licenses, want)
	}
	if len(m.Blobs) != 7 {
		t.Errorf("%d blobs; want 7", len(m.Blobs))
	}
}

func TestResolveNeedsOnlyAModelLayer(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("bare", s.Layer(ollama.RoleModel, "GGUF"))
	m := s.Resolve("bare")
	if got := readBlob(t, weightsOf(t, m)); got != "GGUF" {
		t.Errorf("content = %q; want GGUF", got)
	}
	if got := m.Metadata(); len(got) != 1 {
		t.Errorf("Metadata = %v; want the name alone", got)
	}
}

func TestRepeatedLayersAreTreatedAsOllamaDoes(t *testing.T) {
	s := ollamatest.New(t)
	config := s.Layer(ollama.RoleConfig, `{"model_family":"stray"}`)
	l := func(role ollama.Role, data string) ollama.Layer { return s.Layer(role, data) }
	prompt := l(ollama.RoleTemplate, "early")
	prompt.MediaType = strings.Replace(prompt.MediaType, "template", "prompt", 1)
	s.Model("many",
		l(ollama.RoleModel, "old"), l(ollama.RoleModel, "new"),
		l(ollama.RoleProjector, "p1"), l(ollama.RoleProjector, "p2"),
		l(ollama.RoleAdapter, "a1"), l(ollama.RoleAdapter, "a2"), l(ollama.RoleAdapter, "a2"),
		prompt, l(ollama.RoleTemplate, "late"),
		l(ollama.RoleLicense, "L1"), l(ollama.RoleLicense, "L2"),
		l(ollama.RoleParams, `{"top_k":1,"top_p":0.5}`), l(ollama.RoleParams, `{"top_k":2}`),
		l(ollama.RoleEmbed, "e"), l("new-thing", "?"))
	editFile(t, s.ManifestPath("many"), `"layers":[`, fmt.Sprintf(`"layers":[{"mediaType":%q,"digest":%q,"size":%d},`, config.MediaType, config.Digest, config.Size))

	m := s.Resolve("many")
	if got := readBlob(t, weightsOf(t, m)); got != "new" {
		t.Errorf("model = %q; want the last", got)
	}
	if got := m.ByRole(ollama.RoleProjector); len(got) != 1 || readBlob(t, got[0]) != "p1" {
		t.Errorf("projectors = %v; want the first", got)
	}
	if got := m.ByRole(ollama.RoleAdapter); len(got) != 3 {
		t.Errorf("%d adapters; want 3", len(got))
	}
	if m.Template != "late" || m.Config.Family != "" {
		t.Errorf("Template = %q, Family = %q; want the last template and no config", m.Template, m.Config.Family)
	}
	if want := (ollama.Params{{"top_k", int64(2)}, {"top_p", 0.5}}); !reflect.DeepEqual(m.Params, want) {
		t.Errorf("Params = %v; want %v", m.Params, want)
	}
	if len(m.Licenses) != 2 {
		t.Errorf("Licenses = %q", m.Licenses)
	}
	notes := strings.Join(m.Notes, "\n")
	for _, want := range []string{"model sha256:", "projector sha256:", "template sha256:", "embeddings of an early version", `"application/x-new-thing" is ignored`} {
		if !strings.Contains(notes, want) {
			t.Errorf("Notes lack %q:\n%s", want, notes)
		}
	}
	if len(m.Notes) != 6 {
		t.Errorf("%d notes; want 6:\n%s", len(m.Notes), notes)
	}
}

func editFile(t *testing.T, path, old, new string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, strings.Replace(string(data), old, new, 1))
}

func TestMissingUnknownLayerDoesNoHarm(t *testing.T) {
	s := ollamatest.New(t)
	unknown := s.Layer("novel", "?")
	s.Model("x", s.Layer(ollama.RoleModel, "GGUF"), unknown)
	remove(t, s.BlobPath(unknown.Digest))
	m := s.Resolve("x")
	if !errors.Is(m.Blobs[1].Err, ollama.ErrMissing) || m.Blobs[1].Used {
		t.Errorf("blob = %+v; want it unused and missing", m.Blobs[1])
	}
}

func TestResolveReportsAllBrokenBlobsAndReturnsTheRest(t *testing.T) {
	s := ollamatest.New(t)
	system := s.Layer(ollama.RoleSystem, "be nice")
	params := s.Layer(ollama.RoleParams, `{"a":`)
	license := s.Layer(ollama.RoleLicense, "MIT")
	s.Model("x", s.Layer(ollama.RoleModel, "GGUF"), system, params, license, s.Layer(ollama.RoleTemplate, "{{ .Prompt }}"))
	writeFile(t, s.BlobPath(system.Digest), "be evil")
	remove(t, s.BlobPath(license.Digest))

	m, err := s.Open().Resolve(parse(t, "x"))
	for _, class := range []error{ollama.ErrDigest, ollama.ErrMalformed, ollama.ErrMissing} {
		if !errors.Is(err, class) {
			t.Errorf("Resolve = %v; want %v in it", err, class)
		}
	}
	if m == nil || m.System != "" || m.Template != "{{ .Prompt }}" {
		t.Errorf("model = %+v; want what could be verified and nothing else", m)
	}
}

func TestTextLayersAreBoundedInMemory(t *testing.T) {
	s := ollamatest.New(t)
	big := s.Layer(ollama.RoleSystem, "")
	big.Digest, big.Size = digestA, 1<<30
	writeFile(t, s.BlobPath(digestA), "")
	truncate(t, s.BlobPath(digestA), 1<<30)
	s.Model("big", big)
	if _, err := s.Open().Resolve(parse(t, "big")); !errors.Is(err, ollama.ErrTooLarge) {
		t.Errorf("Resolve with a system prompt of 1 GiB = %v; want ErrTooLarge", err)
	}

	license := s.Layer(ollama.RoleLicense, strings.Repeat("x", 4<<20))
	s.Model("again", license, license, license, license, license, license, license, license,
		license, license, license, license, license, license, license, license, license)
	m, err := s.Open().Resolve(parse(t, "again"))
	if !errors.Is(err, ollama.ErrTooLarge) || len(m.Licenses) != 16 {
		t.Errorf("Resolve with one license of 4 MiB 17 times = %v; want ErrTooLarge after 16", err)
	}
}

func TestManyMissingLayersAreToldBriefly(t *testing.T) {
	s := ollamatest.New(t)
	layers := make([]ollama.Layer, 1<<15)
	for i := range layers {
		layers[i] = ollama.Layer{MediaType: "application/vnd.ollama.image.tensor", Digest: fmt.Sprintf("sha256:%064x", i), Size: 1}
	}
	s.Model("wide", layers...)
	m, err := s.Open().Resolve(parse(t, "wide"))
	if !errors.Is(err, ollama.ErrMissing) || m == nil || len(m.Blobs) != len(layers) {
		t.Fatalf("Resolve = %v", err)
	}
	if n := len(err.Error()); n > 20000 || !strings.Contains(err.Error(), "32748 more problems") {
		t.Errorf("the message has %d bytes: %.200s", n, err)
	}
}

func TestWeightsSaysWhereTheyAre(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("mlx", s.Layer(ollama.RoleConfig, `{"model_format":"safetensors"}`), s.Layer(ollama.RoleTensor, "a"), s.Layer(ollama.RoleTensor, "b"), s.Layer(ollama.RoleJSON, "{}"))
	s.Model("cloud", s.Layer(ollama.RoleConfig, `{"remote_host":"https://ollama.com:443","remote_model":"gpt-oss:120b"}`))
	s.Model("nothing", s.Layer(ollama.RoleSystem, "x"))
	for _, tt := range []struct{ name, want string }{
		{"mlx", "2 safetensors layers"},
		{"cloud", `its weights stay on "https://ollama.com:443"`},
		{"nothing", "none of the manifest's 1 layers is a model"},
	} {
		if _, err := s.Resolve(tt.name).Weights(); !errors.Is(err, ollama.ErrUnsupported) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Weights = %v; want ErrUnsupported with %q", tt.name, err, tt.want)
		}
	}
}

// pullFS replaces a model when its first blob is looked at, as a pull that ends
// at that moment does.
type pullFS struct {
	fs.FS
	at   string
	pull func()
}

func (p *pullFS) Stat(name string) (fs.FileInfo, error) {
	if strings.HasPrefix(name, p.at) && p.pull != nil {
		pull := p.pull
		p.pull = nil
		pull()
	}
	return fs.Stat(p.FS, name)
}

func TestModelReplacedWhileReadIsToldAsChange(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("x", s.Layer(ollama.RoleModel, "old"))
	fsys := &pullFS{FS: os.DirFS(s.Dir), at: "blobs/", pull: func() {
		s.Model("x", s.Layer(ollama.RoleModel, "new"))
		remove(t, s.BlobPath(ollamatest.Digest([]byte("old"))))
	}}
	store := ollama.Open(fsys)
	if m, err := store.Resolve(parse(t, "x")); !errors.Is(err, ollama.ErrChanged) || m != nil {
		t.Errorf("Resolve = %v, %v; want no model and ErrChanged", m, err)
	}
	m, err := store.Resolve(parse(t, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if got := readBlob(t, weightsOf(t, m)); got != "new" {
		t.Errorf("afterwards the model is %q; want new", got)
	}
}

func TestTextThatIsNotUTF8IsNoted(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("x", s.Layer(ollama.RoleModel, "GGUF"), s.Layer(ollama.RoleSystem, "caf\xe9"))
	m := s.Resolve("x")
	if m.System != "caf\xe9" || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "not valid UTF-8") {
		t.Errorf("System = %q, Notes = %q", m.System, m.Notes)
	}
}
