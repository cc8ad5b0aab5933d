package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/ggmlbin"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/tokenizer"
)

// Options say what a source becomes. The zero value writes what the extension
// of the destination asks for and keeps the stored types.
type Options struct {
	Type      string           // recipe, such as f16 or Q4_K_M; "" keeps
	To        string           // target: gguf, ggml; "" by extension
	Arch      string           // architecture; "" detects, "generic" keeps names and shapes
	Root      string           // where in the checkpoint the model is, such as "ema"; "" detects, "." is the top
	Config    string           // path of a config.json or params.json
	Tokenizer string           // path of a tokenizer file or folder
	Meta      []string         // KEY=VALUE or KEY=TYPE:VALUE, override what smelt finds
	Recipe    *quantize.Recipe // a recipe of one's own, instead of Type
	Quantize  Quantization
	Goal      Goal  // types by solving for the least error under it, instead of Type
	Split     Split // of the files of a GGUF
	// Progress is called while types are measured for Goal, with the bytes of the
	// source that are done, counted once for each type, of those to do: with none
	// done first, then from several goroutines at once. It may be nil.
	Progress func(done, total int64)
}

// A Step makes one output tensor from one input tensor.
type Step struct {
	From   *tensor.Tensor
	Source string      // name or names in the source
	To     tensor.Info // canonical name, stored type and shape
	Offset int64       // in its file
	Part   int         // index of its file in Plan.Parts
	Why    string
	// Fallback says why the type is not the one that was meant; "" if it is.
	Fallback string

	// importance is that of the columns of the matrices, one after another.
	importance []float32
	// free: nothing decided but the recipe's default type.
	free bool
}

// A Plan is everything that is decided before a byte is written.
type Plan struct {
	Source  *Source
	Target  *Target
	Arch    string
	Recipe  *quantize.Recipe
	Meta    tensor.Meta
	Steps   []Step
	Dropped []arch.Dropped
	Params  []arch.Param
	Notes   []string
	Parts   []Part // the files, one but for a split GGUF

	ggml       *ggmlbin.Header
	importance *quantize.Importance
	unweighed  []string // tensors that it has no entry for
	lacking    []string // those whose type needs one
	options    Options
	canon      *arch.Result // the source under canonical names
	canonNotes int          // how many notes it brought
}

func (p *Plan) infos() []tensor.Info { return infosOf(p.Steps) }

func infosOf(steps []Step) []tensor.Info {
	infos := make([]tensor.Info, len(steps))
	for i, s := range steps {
		infos[i] = s.To
	}
	return infos
}

// NewPlan decides how src becomes the file dst. It reads no tensor data except
// to tell whether a tied output is the same as the embedding.
func NewPlan(ctx context.Context, src *Source, dst string, opt Options) (*Plan, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := quantize.VectorPath(); err != nil {
		return nil, err
	}
	if opt.Goal != (Goal{}) {
		if err := opt.draft(); err != nil {
			return nil, err
		}
	}
	p := &Plan{Source: src, options: opt}
	if err := p.prepare(dst); err != nil {
		return nil, err
	}
	var err error
	if p.canon, err = p.canonical(opt); err != nil {
		return nil, err
	}
	p.canonNotes = len(p.Notes)
	if opt.Goal != (Goal{}) {
		return p, p.reach(ctx, dst)
	}
	return p, p.fill()
}

// Another decides how the source becomes one more file dst, with the same
// options but for the type. RunAll makes both from one reading.
func (p *Plan) Another(dst, recipe string) (*Plan, error) {
	return p.with(dst, recipe, nil)
}

// with returns the plan for dst by the recipe of that name, or by r.
func (p *Plan) with(dst, name string, r *quantize.Recipe) (*Plan, error) {
	q := &Plan{
		Source: p.Source, Arch: p.Arch, Dropped: p.Dropped, Params: p.Params, Notes: slices.Clone(p.Notes[:p.canonNotes]),
		options: p.options, canon: p.canon, canonNotes: p.canonNotes,
	}
	q.options.Type, q.options.Recipe = name, r
	if err := q.prepare(dst); err != nil {
		return nil, err
	}
	return q, q.fill()
}

// prepare finds the target and the recipe.
func (p *Plan) prepare(dst string) (err error) {
	opt := p.options
	if p.Target, err = TargetFor(dst, opt.To); err != nil {
		return err
	}
	asked := opt.Recipe
	if opt.Type != "" && asked == nil {
		if asked, err = quantize.ParseRecipe(opt.Type); err != nil {
			return err
		}
	}
	if p.Recipe, err = p.Target.recipe(p.Source.Model, asked); err != nil {
		return err
	}
	if err := p.Target.splits(opt.Split, dst); err != nil {
		return err
	}
	if !p.Recipe.Quantizes() && opt.Quantize.chooses() {
		return fmt.Errorf("options that choose types for some tensors go with a quantized type, and %s is none: %w", p.Recipe.Name, tensor.ErrUnsupported)
	}
	return nil
}

// fill decides everything about the canonical tensors.
func (p *Plan) fill() (err error) {
	if err := p.openImportance(p.options.Quantize); err != nil {
		return err
	}
	if err := p.addSteps(p.canon, p.options.Quantize); err != nil {
		return err
	}
	if err := p.addMeta(p.canon.Model.Meta, p.options); err != nil {
		return err
	}
	if err := p.Target.arrange(p); err != nil {
		return err
	}
	if err := p.divide(); err != nil {
		return err
	}
	for _, n := range p.Source.Model.Notes { // an architecture may have taken them over
		if !slices.Contains(p.Notes, n) {
			p.Notes = append(p.Notes, n)
		}
	}
	p.noteQuantization()
	return nil
}

// GenericArch is the architecture of models that no table describes.
const GenericArch = "generic"

// canonical gives the source's tensors the names that smelt writes.
func (p *Plan) canonical(opt Options) (*arch.Result, error) {
	src := p.Source.Model
	if p.Source.Canonical && opt.Arch == "" {
		p.Arch = src.Meta.Text("general.architecture")
		return asItIs(src), nil
	}
	if opt.Arch == GenericArch {
		p.Arch = GenericArch
		r, err := arch.Generic(src)
		if err != nil {
			return nil, err
		}
		p.Notes = append(p.Notes, r.Model.Notes...)
		return r, nil
	}
	configs, err := p.configs(opt)
	if err != nil {
		return nil, err
	}
	match, err := arch.DetectAt(src, opt.Arch, opt.Root)
	if err != nil {
		return nil, err
	}
	r, err := match.Canonical(src, configs)
	if err != nil {
		return nil, err
	}
	p.Arch, p.Dropped, p.Params = match.Spec.Name, r.Dropped, r.Params
	p.Notes = append(p.Notes, r.Model.Notes...)
	return r, nil
}

// asItIs is the result for a model that has canonical names already.
func asItIs(m *tensor.Model) *arch.Result {
	r := &arch.Result{Model: m, Sources: map[string]string{}, Why: map[string]string{}}
	for _, t := range m.Tensors() {
		r.Sources[t.Name] = t.Name
	}
	return r
}

func (p *Plan) configs(opt Options) ([]arch.Config, error) {
	if opt.Config == "" {
		return p.Source.Configs, nil
	}
	c, err := ReadConfig(opt.Config)
	if err != nil {
		return nil, err
	}
	return append([]arch.Config{c}, p.Source.Configs...), nil
}

// addSteps chooses the stored type of every tensor; all that cannot be stored
// are reported together.
func (p *Plan) addSteps(r *arch.Result, how Quantization) error {
	tensors := r.Model.Tensors()
	if p.Arch == "whisper" && r.Model.Tensor(ggmlbin.MelFilters) == nil {
		mel, err := melFilters(r.Model.Meta)
		if err != nil {
			return err
		}
		tensors = append(tensors[:len(tensors):len(tensors)], mel)
	}
	choices, err := p.choose(r.Model.Meta, tensors, how)
	if err != nil {
		return err
	}
	var errs []error
	for i, t := range tensors {
		step, err := p.step(t, choices[i])
		if err != nil {
			errs = append(errs, &tensor.Error{Op: "plan", File: t.Origin.File, Tensor: t.Name, Err: err})
			continue
		}
		if how := r.Why[t.Name]; how != "" {
			step.Why = how + "; " + step.Why
		}
		if step.Source = r.Sources[t.Name]; step.Source == "" {
			step.Source = t.Origin.Note
		}
		p.Steps = append(p.Steps, step)
	}
	if len(p.lacking) > 0 {
		errs = append(errs, &ImportanceError{p.lacking})
	}
	return errors.Join(errs...)
}

// step returns the step that stores t as c says, if it can be carried out.
func (p *Plan) step(t *tensor.Tensor, c quantize.Choice) (Step, error) {
	s := Step{From: t, To: tensor.Info{Name: t.Name, DType: c.DType, Shape: t.Shape}, Why: c.Why, Fallback: c.Fallback, free: c.Default && c.Fallback == ""}
	if c.DType == t.DType {
		return s, nil
	}
	if _, err := t.DType.Bytes(t.Shape); err != nil {
		return s, err
	}
	if !p.Recipe.Quantizes() {
		_, err := quantize.NewTranscoder(c.DType, t.DType)
		return s, err
	}
	if _, err := quantize.NewQuantizer(c.DType, t.DType); err != nil {
		return s, err
	}
	return s, p.weigh(&s, c)
}

// melFilters returns the filter bank that Whisper's features are made with:
// tensor mel_filters, f32 [n_mels, 201].
func melFilters(meta tensor.Meta) (*tensor.Tensor, error) {
	n, _ := meta.Int("whisper.encoder.mels_count")
	filters, err := tokenizer.MelFilters(int(n))
	if err != nil {
		return nil, err
	}
	b := make([]byte, 4*len(filters))
	for i, f := range filters {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(f))
	}
	return tensor.New(tensor.Info{Name: ggmlbin.MelFilters, DType: tensor.F32, Shape: tensor.Shape{int(n), len(filters) / int(n)}},
		bytes.NewReader(b), tensor.Origin{Offset: -1, Note: "built in: Whisper's mel filter bank"})
}

// addMeta fills the metadata in the order in which readers expect it: general,
// architecture, tokenizer, what a store added, what the user asked for.
func (p *Plan) addMeta(meta tensor.Meta, opt Options) error {
	if !p.Source.Canonical {
		meta = p.general(meta)
		vocab, err := p.vocabulary(opt)
		if err != nil {
			return err
		}
		meta = meta.With(vocab...)
	} else if p.Target.Name == "gguf" && p.Arch == "whisper" {
		if _, ok := meta.Get("tokenizer.ggml.model"); !ok { // from a ggml .bin
			vocab, err := p.vocabulary(opt)
			if err != nil {
				return err
			}
			meta = p.general(meta).With(vocab...)
		}
	}
	if p.Source.Canonical && !p.Recipe.Keep {
		meta = meta.With(tensor.KV{Key: "general.file_type", Value: p.Recipe.FileType})
	}
	meta = meta.With(p.quantizationMeta()...)
	meta = meta.With(p.Source.storeMeta()...)
	meta, err := override(meta, opt.Meta)
	p.Meta = meta
	return err
}

// general puts the general.* keys before those of the architecture.
func (p *Plan) general(meta tensor.Meta) tensor.Meta {
	name := strings.TrimSuffix(filepath.Base(p.Source.Path), filepath.Ext(p.Source.Path))
	out := tensor.NewMeta(
		tensor.KV{Key: "general.architecture", Value: p.Arch},
		tensor.KV{Key: "general.type", Value: "model"},
		tensor.KV{Key: "general.name", Value: name},
	).With(meta.All()...)
	if ft, ok := p.Recipe.FileTypeOf(p.infos()); ok {
		out = out.With(tensor.KV{Key: "general.file_type", Value: ft})
	}
	return out
}

// vocabulary returns the tokenizer's metadata.
func (p *Plan) vocabulary(opt Options) ([]tensor.KV, error) {
	if p.Arch == GenericArch && opt.Tokenizer == "" {
		return nil, nil
	}
	vocab, err := p.openVocabulary(opt)
	if errors.Is(err, tokenizer.ErrNotFound) {
		p.Notes = append(p.Notes, "No tokenizer was found: the file can be run on token ids only. Name a tokenizer.model or tokenizer.json with --tokenizer.")
		return []tensor.KV{{Key: "tokenizer.ggml.model", Value: "none"}}, nil
	}
	if err != nil {
		return nil, err
	}
	var kvs []tensor.KV
	for _, kv := range vocab.Pairs() {
		kvs = append(kvs, tensor.KV{Key: kv.Key, Value: kv.Value})
	}
	return kvs, nil
}

func (p *Plan) openVocabulary(opt Options) (*tokenizer.Vocab, error) {
	n := p.vocabSize()
	if p.Arch == "whisper" {
		return tokenizer.WhisperGGUF(n)
	}
	vocab, err := findVocabulary(opt, p.Source.beside())
	if err != nil || n == 0 {
		return vocab, err
	}
	return vocab, vocab.Resize(n)
}

// vocabSize is the number of token ids of the model, 0 if it has none.
func (p *Plan) vocabSize() int {
	for _, s := range p.Steps {
		if s.To.Name == "token_embd.weight" || s.To.Name == "decoder.token_embedding.weight" {
			return s.To.Shape[0]
		}
	}
	return 0
}

// preKey is where the pre-tokenizer's name stands; --meta gives it for a
// tokenizer.json that is not recognised.
const preKey = "tokenizer.ggml.pre"

// findVocabulary opens the tokenizer that the options name, or the one in beside.
func findVocabulary(opt Options, beside fs.FS) (*tokenizer.Vocab, error) {
	var how tokenizer.Options
	for _, pair := range opt.Meta {
		if pre, ok := strings.CutPrefix(pair, preKey+"="); ok {
			how.Pre = pre
		}
	}
	path := opt.Tokenizer
	if path == "" {
		if beside == nil {
			return nil, tokenizer.ErrNotFound
		}
		return how.Open(beside, ".")
	}
	fail := func(err error) (*tokenizer.Vocab, error) {
		return nil, &tensor.Error{Op: "open tokenizer", File: path, Err: err}
	}
	st, err := os.Stat(path)
	if err != nil {
		return fail(notFound(err))
	}
	if !st.IsDir() {
		return how.OpenFile(path)
	}
	v, err := how.Open(os.DirFS(path), ".")
	if errors.Is(err, tokenizer.ErrNotFound) { // it was asked for: more than a note
		return fail(fmt.Errorf("no tokenizer.model or tokenizer.json in it: %w", tensor.ErrNotFound))
	}
	return v, err
}
