package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
	"github.com/smelt-project/smelt/tensor"
)

// put converts or imports src into the store dir.
func put(t *testing.T, src, dst, dir string, opt Options) *Result {
	t.Helper()
	s, err := Open(src, OpenOptions{OllamaDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run := RunOptions{Store: StoreOptions{Dir: dir}}
	var r *Result
	if s.Unchanged(opt) {
		r, err = s.Import(context.Background(), dst, run)
	} else {
		var p *Plan
		if p, err = NewPlan(context.Background(), s, dst, opt); err == nil {
			r, err = p.Run(context.Background(), dst, run)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantWhole(t *testing.T, dir string) {
	t.Helper()
	s, err := ollama.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Check(context.Background(), nil, ollama.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Findings) > 0 {
		t.Errorf("the check finds %+v", c.Findings)
	}
}

func TestConvertedAndImportedModelsAreTheSame(t *testing.T) {
	const source = "../testdata/stories260K/stories260K.pt"
	dir := ollamatest.New(t).Dir
	file := convertFile(t, source, "stories.gguf", Options{}, RunOptions{})
	converted := put(t, source, "ollama:converted", dir, Options{})
	imported := put(t, file, "ollama:imported", dir, Options{})
	if converted.Stored.Blobs[0].Digest != imported.Stored.Blobs[0].Digest {
		t.Errorf("the converted model is %s, the imported %s", converted.Stored.Blobs[0].Digest, imported.Stored.Blobs[0].Digest)
	}
	if how := imported.Stored.Blobs[0].Storage; how != ollama.Present {
		t.Errorf("the imported model is %s; want present", how)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(dir, "blobs", strings.Replace(imported.Stored.Blobs[0].Digest, ":", "-", 1))
	if got, err := os.ReadFile(blob); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the blob is not the file (%v)", err)
	}
	wantWhole(t, dir)
}

func TestModelOfAStoreKeepsItsLayersInAnother(t *testing.T) {
	from := ollamatest.New(t)
	weights, err := os.ReadFile(convertFile(t, "../testdata/stories260K/stories260K.pt", "stories.gguf", Options{}, RunOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	from.Model("stories", from.Layer(ollama.RoleConfig, `{"model_format":"gguf"}`), from.Layer(ollama.RoleModel, string(weights)),
		from.Layer(ollama.RoleSystem, "You tell stories."), from.Layer(ollama.RoleUnknown, "kept"))
	want := from.Resolve("stories").Manifest
	to := filepath.Join(t.TempDir(), "models")
	s, err := Open("ollama:stories", OpenOptions{OllamaDir: from.Dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Import(context.Background(), "ollama:copy", RunOptions{Store: StoreOptions{Dir: to}}); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, to)
	store, err := ollama.Dir(to)
	if err != nil {
		t.Fatal(err)
	}
	n, err := ollama.ParseName("copy")
	if err != nil {
		t.Fatal(err)
	}
	m, err := store.Resolve(n)
	if err != nil {
		t.Fatal(err)
	}
	if m.Manifest.Config != want.Config || len(m.Manifest.Layers) != len(want.Layers) {
		t.Fatalf("the manifest is %+v; want %+v", m.Manifest, want)
	}
	for i, l := range want.Layers {
		if m.Manifest.Layers[i] != l {
			t.Errorf("layer %d is %+v; want %+v", i, m.Manifest.Layers[i], l)
		}
	}
	same := put(t, "ollama:stories", "ollama:second", from.Dir, Options{})
	for _, b := range same.Stored.Blobs {
		if b.Storage != ollama.Present {
			t.Errorf("in the same store, %s is %s; want present", b.Role, b.Storage)
		}
	}
}

// safetensorsOf returns a safetensors file of one tensor.
func safetensorsOf(t *testing.T, x *tensor.Tensor) string {
	t.Helper()
	data := make([]byte, x.Size())
	if err := x.ReadFull(data, 0); err != nil {
		t.Fatal(err)
	}
	header, err := json.Marshal(map[string]any{x.Name: map[string]any{
		"dtype": strings.ToUpper(x.DType.String()), "shape": x.Shape, "data_offsets": []int{0, len(data)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + string(header) + string(data)
}

func TestModelOfTheMLXEngineBecomesTheFileOfItsFolder(t *testing.T) {
	const folder = "testdata/tiny/hf"
	src, err := Open(folder, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	store := ollamatest.New(t)
	layers := []ollama.Layer{store.Layer(ollama.RoleConfig, `{"model_format":"safetensors"}`)}
	for _, x := range src.Model.Tensors() {
		l := store.Layer(ollama.RoleTensor, safetensorsOf(t, x))
		l.Name = x.Name
		layers = append(layers, l)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l := store.Layer(ollama.RoleJSON, string(b))
		l.Name = filepath.Base(path)
		layers = append(layers, l)
	}
	store.Model("tiny", layers...)
	want := digests(t, convertFile(t, folder, "a.gguf", Options{Type: "f16"}, RunOptions{}))
	dir := t.TempDir()
	m, err := Open("ollama:tiny", OpenOptions{OllamaDir: store.Dir})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dst := filepath.Join(dir, "b.gguf")
	p, err := NewPlan(context.Background(), m, dst, Options{Type: "f16"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(context.Background(), dst, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	got := digests(t, dst)
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s is %s; want %s", name, got[name], w)
		}
	}
	to := ollamatest.New(t)
	if _, err := m.Import(context.Background(), "ollama:moved", RunOptions{Store: StoreOptions{Dir: to.Dir}}); err != nil {
		t.Fatal(err)
	}
	if got := len(to.Resolve("moved").Manifest.Layers); got != len(layers)-1 {
		t.Errorf("%d layers were moved; want %d", got, len(layers)-1)
	}
	wantWhole(t, to.Dir)
}

func TestConvertedModelOfAStoreKeepsItsCompanions(t *testing.T) {
	store := ollamatest.New(t)
	weights, err := os.ReadFile(convertFile(t, "../testdata/stories260K/stories260K.pt", "stories.gguf", Options{}, RunOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	projector := store.Layer(ollama.RoleProjector, "GGUF projector")
	store.Model("stories", store.Layer(ollama.RoleConfig, `{"model_format":"gguf"}`), store.Layer(ollama.RoleModel, string(weights)), projector,
		store.Layer(ollama.RoleSystem, "You tell stories."), store.Layer(ollama.RoleParams, `{"temperature":0.5,"stop":["x"]}`))
	put(t, "ollama:stories", "ollama:small", store.Dir, Options{Type: "f16"})
	m := store.Resolve("small")
	if got := m.ByRole(ollama.RoleProjector); len(got) != 1 || got[0].Digest != projector.Digest {
		t.Errorf("projectors %v; want %s", got, projector.Digest)
	}
	temperature, _ := m.Params.Get("temperature")
	if m.System != "You tell stories." || temperature != 0.5 || m.Config.FileType != "F16" {
		t.Errorf("system %q, params %v, type %s; want those of the source, f16", m.System, m.Params, m.Config.FileType)
	}
	wantWhole(t, store.Dir)
}

func TestDestinationsThatAreNoModelOfAStore(t *testing.T) {
	dir := ollamatest.New(t).Dir
	for _, tt := range []struct {
		name, src, dst string
		opt            Options
		want           error
	}{
		{"a name that escapes", "../testdata/stories260K/stories260K.pt", "ollama:../../x", Options{}, ollama.ErrName},
		{"a .bin", "../testdata/stories260K/stories260K.pt", "ollama:x", Options{To: "ggml"}, tensor.ErrUnsupported},
		{"shards", "../testdata/stories260K/stories260K.pt", "ollama:x", Options{Split: Split{Tensors: 3}}, tensor.ErrUnsupported},
	} {
		s, err := Open(tt.src, OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(context.Background(), s, tt.dst, tt.opt)
		if err == nil {
			_, err = p.Run(context.Background(), tt.dst, RunOptions{Store: StoreOptions{Dir: dir}})
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.name, err, tt.want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if names := append(left(t, filepath.Join(dir, "blobs")), left(t, filepath.Join(dir, "manifests"))...); len(names) > 0 {
		t.Errorf("the store holds %v", names)
	}
}

func TestFailedConversionLeavesNoBlob(t *testing.T) {
	dir := ollamatest.New(t).Dir
	s, err := Open("testdata/tiny/overflow.pt", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := NewPlan(context.Background(), s, "ollama:x", Options{Type: "f16", Arch: "generic"})
	if err != nil {
		t.Fatal(err)
	}
	var o *OverflowError
	if _, err := p.Run(context.Background(), "ollama:x", RunOptions{Store: StoreOptions{Dir: dir}}); !errors.As(err, &o) {
		t.Errorf("Run = %v; want an OverflowError", err)
	}
	if names := left(t, filepath.Join(dir, "blobs")); len(names) > 0 {
		t.Errorf("the store holds %v", names)
	}
}

func TestWhatStandsBesideACheckpointIsDescribed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"generation_config.json": `{"do_sample":true,"temperature":0.6,"top_k":50,"repetition_penalty":1}`,
		"LICENSE":                "MIT License",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS("testdata/tiny/hf")); err != nil {
		t.Fatal(err)
	}
	store := ollamatest.New(t)
	put(t, dir, "ollama:tiny", store.Dir, Options{Type: "f16"})
	m := store.Resolve("tiny")
	if len(m.Licenses) != 1 || m.Licenses[0] != "MIT License" {
		t.Errorf("licenses %q; want the file's", m.Licenses)
	}
	for name, want := range map[string]any{"temperature": 0.6, "top_k": int64(50), "repeat_penalty": 1.0} {
		if got, _ := m.Params.Get(name); got != want {
			t.Errorf("%s = %v; want %v", name, got, want)
		}
	}
	if m.Config.FileType != "F16" || m.Config.Family != "llama" {
		t.Errorf("config %+v", m.Config)
	}
}
