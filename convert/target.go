package convert

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/ggmlbin"
	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
	"github.com/smelt-project/smelt/tokenizer"
)

// A Target is one kind of file that smelt writes.
type Target struct {
	Name string
	Exts []string
	// recipe returns the recipe to use where none is asked, and refuses one
	// that no runtime of the format could run.
	recipe func(src *tensor.Model, asked *quantize.Recipe) (*quantize.Recipe, error)
	// choose returns the stored type of each tensor.
	choose func(r *quantize.Recipe, facts quantize.Facts, infos []tensor.Info, mix quantize.Mix) ([]quantize.Choice, error)
	// arrange fits a plan to the format before its places are fixed.
	arrange func(p *Plan) error
	place   func(p *Plan, part *Part) (*tensor.Placement, error)
	// sharded: a model may be several files.
	sharded bool
	// oneType: all tensors whose type may be chosen share it.
	oneType bool
	// stores reports whether matrices may have the block or floating-point type d.
	stores func(src *tensor.Model, d tensor.DType) bool
	// padded returns the bytes that n bytes of a tensor take in the file.
	padded func(p *Plan, n int64) int64
	// check parses what was written and compares it with the plan.
	check func(p *Plan, part *Part, r io.ReaderAt, size int64) error
	// read opens the model that was written, of which name is a file.
	read func(files tensor.Files, name string) (*tensor.Model, error)
}

// targets is the table of output formats.
var targets = []Target{
	{
		Name: "gguf", Exts: []string{".gguf"}, sharded: true,
		recipe:  func(_ *tensor.Model, asked *quantize.Recipe) (*quantize.Recipe, error) { return orKeep(asked) },
		choose:  (*quantize.Recipe).ChooseAll,
		arrange: func(*Plan) error { return nil },
		place: func(_ *Plan, part *Part) (*tensor.Placement, error) {
			return gguf.Place(part.Meta, infosOf(part.Steps))
		},
		stores: func(*tensor.Model, tensor.DType) bool { return true },
		padded: padGGUF,
		check: func(_ *Plan, part *Part, r io.ReaderAt, size int64) error {
			return gguf.Check(r, size, part.Meta, infosOf(part.Steps))
		},
		read: gguf.ReadSet,
	},
	{
		Name: "ggml", Exts: []string{".bin"},
		recipe: ggmlRecipe, choose: chooseGGML, arrange: arrangeGGML, oneType: true,
		stores: storesGGML,
		padded: func(_ *Plan, n int64) int64 { return n },
		place: func(p *Plan, _ *Part) (*tensor.Placement, error) {
			if err := ggmlbin.Loadable(p.ggml, p.infos()); err != nil {
				return nil, err
			}
			return ggmlbin.Place(p.ggml, p.infos())
		},
		check: func(p *Plan, _ *Part, r io.ReaderAt, size int64) error {
			return ggmlbin.Check(r, size, p.ggml, p.infos())
		},
		read: func(files tensor.Files, name string) (*tensor.Model, error) {
			r, size, err := files.Open(name)
			if err != nil {
				return nil, err
			}
			return ggmlbin.Read(r, size, name)
		},
	},
}

// padGGUF rounds up to the alignment of tensors (ggml/docs/gguf.md), which Place
// has checked.
func padGGUF(p *Plan, n int64) int64 {
	align, ok := p.Meta.Int("general.alignment")
	if !ok {
		align = 32
	}
	return (n + align - 1) / align * align
}

// TargetNames lists the output formats, for help and errors.
func TargetNames() []string {
	var names []string
	for _, t := range targets {
		names = append(names, t.Name)
	}
	return names
}

// storeTarget is the format of the models that Ollama runs.
const storeTarget = "gguf"

// TargetFor returns the output format called name, or if that is empty the one
// that dst's extension asks for.
func TargetFor(dst, name string) (*Target, error) {
	if _, ok := StoreName(dst); ok && name == "" {
		name = storeTarget
	}
	if _, ok := StoreName(dst); ok && !strings.EqualFold(name, storeTarget) {
		return nil, fmt.Errorf("a model of Ollama is a %s, not a %s: %w", storeTarget, name, tensor.ErrUnsupported)
	}
	var known []string
	for i := range targets {
		t := &targets[i]
		if name != "" && strings.EqualFold(name, t.Name) || name == "" && slices.Contains(t.Exts, strings.ToLower(filepath.Ext(dst))) {
			return t, nil
		}
		known = append(known, fmt.Sprintf("%s (%s)", t.Name, strings.Join(t.Exts, " ")))
	}
	if name != "" {
		return nil, fmt.Errorf("unknown output format %q; known: %s: %w", name, strings.Join(known, ", "), tensor.ErrUnsupported)
	}
	return nil, fmt.Errorf("the extension of %s names no output format; known: %s; or say --to: %w", dst, strings.Join(known, ", "), tensor.ErrUnsupported)
}

func orKeep(asked *quantize.Recipe) (*quantize.Recipe, error) {
	if asked != nil {
		return asked, nil
	}
	return quantize.ParseRecipe("keep")
}

// ggmlRecipe keeps the types of a ggml .bin; others become F16 by default, as
// whisper.cpp's converter makes them.
func ggmlRecipe(src *tensor.Model, asked *quantize.Recipe) (*quantize.Recipe, error) {
	if asked == nil || asked.Keep {
		if _, ok := src.Meta.Get("ggml.ftype"); ok {
			return orKeep(nil)
		}
		return quantize.ParseRecipe("f16")
	}
	if asked.Default == tensor.F32 {
		return nil, fmt.Errorf("whisper.cpp cannot run a .bin of type f32: it wants the convolutions as F16 in every file (its im2col aborts otherwise) "+
			"and loads F16 convolutions only beside F16, BF16 or quantized weights; use --type f16, or write .gguf to keep f32: %w", tensor.ErrUnsupported)
	}
	return asked, nil
}

// storesGGML reports whether whisper.cpp loads a file of type d.
func storesGGML(src *tensor.Model, d tensor.DType) bool {
	_, refused := ggmlRecipe(src, &quantize.Recipe{Default: d})
	_, unknown := ggmlbin.FileType(d)
	return refused == nil && unknown == nil
}

// chooseGGML follows what whisper.cpp's loader demands of each tensor.
func chooseGGML(r *quantize.Recipe, _ quantize.Facts, infos []tensor.Info, mix quantize.Mix) ([]quantize.Choice, error) {
	if len(mix.Overrides) > 0 || mix.LeaveOutput {
		return nil, fmt.Errorf("whisper.cpp loads one type for all matrices; a .bin can have no other type for some of them: %w", tensor.ErrUnsupported)
	}
	choices := make([]quantize.Choice, len(infos))
	var again, undivided []string
	for i, info := range infos {
		c := ggmlChoice(r, info)
		choices[i] = c
		if c.DType == info.DType {
			continue
		}
		from, _ := info.DType.Layout()
		to, _ := c.DType.Layout()
		if from.Kind == tensor.Block && !mix.Requantize {
			again = append(again, info.Name)
		}
		if info.Shape.Row()%to.Elems != 0 {
			undivided = append(undivided, fmt.Sprintf("%s (rows of %d)", info.Name, info.Shape.Row()))
		}
	}
	if len(again) > 0 {
		return nil, &quantize.RequantizeError{Tensors: again}
	}
	if len(undivided) > 0 {
		return nil, fmt.Errorf("%d tensors have rows that are not whole blocks of %v, and whisper.cpp loads one type for all matrices; take a type of smaller blocks, such as Q5_0 or Q8_0: %s: %w",
			len(undivided), r.Default, listed(undivided), tensor.ErrUnsupported)
	}
	return choices, nil
}

// ggmlChoice returns the one type that whisper.cpp loads a tensor in.
func ggmlChoice(r *quantize.Recipe, info tensor.Info) quantize.Choice {
	if info.Name == ggmlbin.MelFilters {
		return quantize.Choice{DType: tensor.F32, Why: "goes into the header"}
	}
	if l, _ := info.DType.Layout(); r.Keep || l.Kind != tensor.Float && l.Kind != tensor.Block {
		return quantize.Choice{DType: info.DType, Why: "kept as it is"}
	}
	d, why := ggmlbin.TypeOf(info, r.Default)
	free := why == ""
	if free && r.Quantizes() {
		why = "whisper.cpp loads one type for all matrices"
	}
	return quantize.Choice{DType: d, Why: why, Default: free}
}

// arrangeGGML makes the header of a ggml .bin: the filter bank leaves the
// tensors, and the tensors follow the order of the source, as in the files that
// whisper.cpp's own converter writes.
func arrangeGGML(p *Plan) error {
	if p.Arch != "whisper" {
		return fmt.Errorf("a ggml .bin holds Whisper models only (this is %s); write .gguf: %w", p.Arch, tensor.ErrUnsupported)
	}
	var filters *tensor.Tensor
	p.Steps = slices.DeleteFunc(p.Steps, func(s Step) bool {
		if s.To.Name == ggmlbin.MelFilters {
			filters = s.From
			return true
		}
		return false
	})
	if filters == nil {
		return fmt.Errorf("the model has no tensor %s: %w", ggmlbin.MelFilters, tensor.ErrNotFound)
	}
	order := map[string]int{}
	for i, t := range p.Source.Model.Tensors() {
		order[t.Name] = i
	}
	slices.SortStableFunc(p.Steps, func(a, b Step) int { return order[a.Source] - order[b.Source] })
	for i := range p.Steps {
		p.Steps[i].To.Shape = ggmlbin.StoredShape(p.Steps[i].To)
	}
	h, err := p.ggmlHeader(filters)
	p.ggml = h
	return err
}

func (p *Plan) ggmlHeader(filters *tensor.Tensor) (*ggmlbin.Header, error) {
	var tokens [][]byte // from ggml.tokens
	if _, ok := p.Meta.Get("ggml.tokens"); !ok {
		var err error
		if tokens, err = tokenizer.WhisperVocab(p.vocabSize()); err != nil {
			return nil, err
		}
	}
	h, err := ggmlbin.HeaderOf(p.Meta, filters, tokens)
	if err != nil || p.Recipe.Keep {
		return h, err
	}
	h.FType, err = ggmlbin.FileType(p.Recipe.Default)
	return h, err
}
