package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// StoreOptions say how a model is put into an Ollama store.
type StoreOptions struct {
	// Dir is the models directory, which is made if it is not there; "" means
	// OLLAMA_MODELS, then the first of the platform's defaults that is there.
	Dir  string
	Copy bool // files, even where they could be shared
	// Sums is a folder in which the digests of imported files are remembered while
	// the files do not change; "" remembers none.
	Sums string
}

// StoreName returns the name of a destination that is a model of a store.
func StoreName(dst string) (name string, ok bool) { return strings.CutPrefix(dst, ollamaScheme) }

// OpenStore opens a store to write to; see [StoreOptions] for what dir means.
func OpenStore(dir string) (*ollama.Store, error) {
	dirs := StoreDirs(dir)
	if len(dirs) == 1 { // somebody has named it
		return ollama.Create(dirs[0].Path)
	}
	return ollama.Find(dirs)
}

// add begins to put a model into the store that opt names.
func (opt RunOptions) add(name string) (*ollama.Addition, error) {
	n, err := ollama.ParseName(name)
	if err != nil {
		return nil, err
	}
	store, err := OpenStore(opt.Store.Dir)
	if err != nil {
		return nil, err
	}
	return store.Add(n, ollama.AddOptions{Replace: opt.Replace, Copy: opt.Store.Copy, Sums: opt.Store.Sums})
}

// A storeOutput is a model of an Ollama store.
type storeOutput struct {
	dst, name string
	opt       RunOptions
	addition  *ollama.Addition
}

func (o *storeOutput) check(p *Plan) (err error) {
	if err := runsInOllama(p.Arch); err != nil {
		return err
	}
	o.addition, err = o.opt.add(o.name)
	return err
}

// runsInOllama refuses models that Ollama would list but not run.
func runsInOllama(architecture string) error {
	if architecture == "whisper" {
		return fmt.Errorf("Ollama runs no Whisper; write a .bin for whisper.cpp: %w", tensor.ErrUnsupported) //nolint:staticcheck // a name
	}
	return nil
}

func (o *storeOutput) create(p *Plan) ([]*sink, error) {
	f, err := o.addition.Create(p.Size())
	if err != nil {
		return nil, err
	}
	return []*sink{{dst: o.dst, f: f}}, nil
}

func (o *storeOutput) commit(ctx context.Context, r *run) (*Result, error) {
	d, err := describe(r.plan.Source, r.plan.options.Tokenizer, r.plan.Meta, r.plan.infos())
	if err != nil {
		return nil, errors.Join(err, abort([]*run{r}))
	}
	model := r.sinks[0].f
	r.sinks = nil // it is the addition's now
	err = o.addition.Take(ctx, ollama.RoleModel, model, nil)
	if err == nil {
		err = r.plan.Source.carryOver(ctx, o.addition)
	}
	if err == nil {
		err = o.addition.Describe(ctx, d)
	}
	if err != nil {
		return nil, errors.Join(err, o.abort())
	}
	return stored(ctx, o.addition, &d.Config, d.Notes)
}

// carryOver adds the files that go with the weights of a model of a store.
func (s *Source) carryOver(ctx context.Context, a *ollama.Addition) error {
	if s.Store == nil {
		return nil
	}
	for _, role := range companionRoles {
		for _, b := range s.Store.ByRole(role) {
			if err := a.ImportBlob(ctx, b, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *storeOutput) abort() error {
	if o.addition == nil {
		return nil
	}
	return o.addition.Abort()
}

// stored ends an addition and says what became of it.
func stored(ctx context.Context, a *ollama.Addition, c *ollama.Config, notes []string) (*Result, error) {
	added, err := a.Commit(ctx, c)
	if err != nil {
		return nil, err
	}
	name := ollamaScheme + added.Name.String()
	r := &Result{Path: name, Stored: added, Notes: notes}
	for _, b := range added.Blobs {
		r.Size += b.Size
	}
	return r, nil
}

// runnable are the forms of GGUF that llama.cpp loads.
var runnable = []string{"GGUF v2", "GGUF v3"}

// Unchanged reports whether a store can take the source as it is: a single GGUF
// or a model of a store, of which nothing is to be changed.
func (s *Source) Unchanged(opt Options) bool {
	if len(opt.Meta) == 0 {
		opt.Meta = nil
	}
	if len(opt.Quantize.Tensors) == 0 {
		opt.Quantize.Tensors = nil
	}
	if opt.To == "gguf" {
		opt.To = ""
	}
	single := s.Canonical && len(s.Files) == 1 && slices.Contains(runnable, s.Model.Format)
	return reflect.ValueOf(opt).IsZero() && (single || s.Store != nil)
}

// Import puts the source into an Ollama store under the name that dst has after
// its scheme, as it is: no byte of a GGUF changes, and a model of a store keeps
// all its layers.
func (s *Source) Import(ctx context.Context, dst string, opt RunOptions) (*Result, error) {
	name, ok := StoreName(dst)
	if !ok || !s.Unchanged(Options{}) {
		return nil, &tensor.Error{Op: "import", File: s.Path, Err: fmt.Errorf("only a GGUF in one file or a model of a store can be put into a store as it is: %w", tensor.ErrUnsupported)}
	}
	if err := runsInOllama(s.Model.Meta.Text("general.architecture")); err != nil {
		return nil, err
	}
	a, err := opt.add(name)
	if err != nil {
		return nil, err
	}
	if s.Store != nil {
		return s.importBlobs(ctx, a, opt)
	}
	d, err := describe(s, "", s.Model.Meta, infosOfModel(s.Model))
	if err == nil {
		err = a.Import(ctx, ollama.RoleModel, s.Files[0].Path, opt.Progress)
	}
	if err == nil {
		err = a.Describe(ctx, d)
	}
	if err != nil {
		return nil, errors.Join(err, a.Abort())
	}
	return stored(ctx, a, &d.Config, d.Notes)
}

func infosOfModel(m *tensor.Model) []tensor.Info {
	var infos []tensor.Info
	for _, t := range m.Tensors() {
		infos = append(infos, t.Info)
	}
	return infos
}

// importBlobs takes over all layers of a model of a store.
func (s *Source) importBlobs(ctx context.Context, a *ollama.Addition, opt RunOptions) (*Result, error) {
	done := int64(0)
	for i := range s.Store.Blobs {
		b := &s.Store.Blobs[i]
		var progress func(int64)
		if opt.Progress != nil {
			progress = func(n int64) { opt.Progress(done + n) }
		}
		if err := a.ImportBlob(ctx, b, progress); err != nil {
			return nil, errors.Join(err, a.Abort())
		}
		done += b.Size
	}
	return stored(ctx, a, nil, nil)
}

// describe derives what Ollama keeps beside a GGUF of that metadata and these
// tensors, with what stands beside the source, or beside the tokenizer if that is
// elsewhere.
func describe(s *Source, tokenizer string, meta tensor.Meta, infos []tensor.Info) (*ollama.Description, error) {
	g := ollama.GGUF{}
	for _, kv := range meta.All() {
		g.Metadata = append(g.Metadata, ollama.KV{Key: kv.Key, Value: kv.Value})
	}
	sampling, err := s.sampling(tokenizer)
	if err != nil {
		return nil, err
	}
	g.Metadata = append(g.Metadata, sampling...)
	for _, info := range infos {
		n, err := info.Shape.Elems()
		if err != nil {
			return nil, err
		}
		g.Parameters += n
	}
	if ft, ok := meta.Int("general.file_type"); ok {
		g.FileType = fileTypeName(ft)
	}
	d := ollama.Describe(g)
	license, err := s.license()
	if license != "" {
		d.Licenses = []string{license}
	}
	return d, err
}

// fileTypeName returns the name of a value of general.file_type.
func fileTypeName(ft int64) string {
	for _, r := range quantize.Recipes() {
		if int64(r.FileType) == ft && !r.Keep {
			return strings.ToUpper(r.Name)
		}
	}
	return ""
}

// generationConfig is what Hugging Face models say about how to sample.
const generationConfig = "generation_config.json"

// samplingKeys are fields of a generation_config.json and the keys that a GGUF has
// for them. (gguf-py gguf/constants.py, Keys.General)
var samplingKeys = []struct{ field, key string }{
	{"temperature", "general.sampling.temp"},
	{"top_k", "general.sampling.top_k"},
	{"top_p", "general.sampling.top_p"},
	{"min_p", "general.sampling.min_p"},
	{"repetition_penalty", "general.sampling.penalty_repeat"},
}

// sampling reads the generation_config.json in the tokenizer's folder, or beside
// the source. One that says not
// to sample recommends nothing.
func (s *Source) sampling(tokenizer string) ([]ollama.KV, error) {
	beside := s.beside()
	if st, err := os.Stat(tokenizer); err == nil && st.IsDir() {
		beside = os.DirFS(tokenizer)
	}
	if beside == nil {
		return nil, nil
	}
	c, err := readConfigIn(beside, generationConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &tensor.Error{Op: "read " + generationConfig, File: cmp.Or(tokenizer, s.Path), Err: err}
	}
	if v, ok := c.Meta.Get("do_sample"); ok && v == false {
		return nil, nil
	}
	var kvs []ollama.KV
	for _, k := range samplingKeys {
		if v, ok := c.Meta.Get(k.field); ok {
			kvs = append(kvs, ollama.KV{Key: k.key, Value: v})
		}
	}
	return kvs, nil
}

// licenseNames are files that hold the license of the model beside them.
var licenseNames = []string{"LICENSE", "LICENSE.txt", "LICENSE.md"}

// maxLicense bounds a license; the longest known have some 100 KB.
const maxLicense = 1 << 20

// license reads the license beside the source, if its folder is a model's: one
// with a configuration.
func (s *Source) license() (string, error) {
	if len(s.Configs) == 0 || s.Folder == "" {
		return "", nil
	}
	for _, name := range licenseNames {
		path := filepath.Join(s.Folder, name)
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		text, err := readText(path)
		if err != nil {
			return "", &tensor.Error{Op: "read license", File: path, Err: err}
		}
		return text, nil
	}
	return "", nil
}

func readText(path string) (text string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(io.LimitReader(f, maxLicense+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxLicense:
		return "", fmt.Errorf("more than %d bytes: %w", maxLicense, tensor.ErrTooLarge)
	case !utf8.Valid(b):
		return "", fmt.Errorf("not UTF-8: %w", tensor.ErrCorrupt)
	}
	return string(b), nil
}
