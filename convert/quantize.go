package convert

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/internal/mapped"
	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// A Quantization says how a recipe that quantizes is applied. The zero value
// applies it as llama-quantize does.
type Quantization struct {
	Pure           bool     // the recipe's main type everywhere
	LeaveOutput    bool     // output.weight keeps its type
	Tensors        []string // PATTERN=TYPE: tensors whose names the regular expression matches in any part; the first decides
	Output         string   // type of the output matrix; "" is the recipe's
	TokenEmbedding string   // type of the embeddings; "" is the recipe's
	Importance     string   // path of an importance matrix
	Requantize     bool     // what is quantized already may be quantized again
	NoFallback     bool     // a row that a type does not divide is an error
}

// chooses reports whether q says which types tensors get.
func (q Quantization) chooses() bool {
	return q.Pure || q.LeaveOutput || q.NoFallback || len(q.Tensors) > 0 || q.Output != "" || q.TokenEmbedding != ""
}

// Mix returns what q asks of a recipe, and fails if it asks for what does not
// exist.
func (q Quantization) Mix() (quantize.Mix, error) {
	mix := quantize.Mix{Pure: q.Pure, LeaveOutput: q.LeaveOutput, Importance: q.Importance != "", Requantize: q.Requantize, NoFallback: q.NoFallback}
	for _, o := range []struct {
		role quantize.Role
		name string
	}{{quantize.RoleOutput, q.Output}, {quantize.RoleTokenEmbedding, q.TokenEmbedding}} {
		if o.name == "" {
			continue
		}
		d, err := storedType(o.name)
		if err != nil {
			return mix, err
		}
		mix.Overrides = append(mix.Overrides, quantize.Override{Role: o.role, DType: d})
	}
	for _, pair := range q.Tensors {
		o, err := tensorType(pair)
		if err != nil {
			return mix, err
		}
		mix.Overrides = append(mix.Overrides, o)
	}
	return mix, nil
}

// tensorType parses PATTERN=TYPE.
func tensorType(pair string) (quantize.Override, error) {
	i := strings.LastIndexByte(pair, '=')
	if i < 1 {
		return quantize.Override{}, fmt.Errorf("%q: want PATTERN=TYPE, such as ffn_down=q6_k: %w", pair, tensor.ErrUnsupported)
	}
	pattern, err := regexp.Compile(pair[:i])
	if err != nil {
		return quantize.Override{}, fmt.Errorf("%q: %w", pair, err)
	}
	d, err := storedType(pair[i+1:])
	return quantize.Override{Pattern: pattern, DType: d}, err
}

// storedType returns the type called name if smelt writes it.
func storedType(name string) (tensor.DType, error) {
	d, err := tensor.ParseDType(name)
	if err != nil {
		return 0, fmt.Errorf("%w; types are called f16, q8_0, q4_k and so on: %w", err, tensor.ErrUnsupported)
	}
	if c, err := quantize.CodecOf(d); err != nil || c.Encode == nil {
		return 0, fmt.Errorf("smelt does not write %v: %w", d, tensor.ErrUnsupported)
	}
	return d, nil
}

// choose returns the stored type of every tensor.
func (p *Plan) choose(meta tensor.Meta, tensors []*tensor.Tensor, how Quantization) ([]quantize.Choice, error) {
	mix, err := how.Mix()
	if err != nil {
		return nil, err
	}
	mix.Canonical, mix.AnyName = p.Source.Canonical, p.Arch == GenericArch
	recipe := p.Recipe
	var facts quantize.Facts
	switch {
	case recipe.Quantizes():
		if facts, err = quantize.FactsOf(p.Arch, meta); err != nil {
			return nil, &tensor.Error{Op: "plan", File: p.Source.Path, Err: err}
		}
		recipe = p.forArch(recipe)
	case p.Source.Canonical && recipe.Keep || p.Arch == GenericArch:
		recipe = recipe.WithoutRules() // bit for bit, or no runtime is known
	}
	infos := make([]tensor.Info, len(tensors))
	for i, t := range tensors {
		infos[i] = t.Info
	}
	return p.Target.choose(recipe, facts, infos, mix)
}

// convolutions are those of Whisper: no runtime convolves with blocks.
var convolutions = []quantize.Rule{
	{Pattern: "encoder.conv?.weight", DType: tensor.F16, Why: "convolutions stay f16: their rows are three elements"},
}

// forArch puts the rules of the architecture before those of the recipe.
func (p *Plan) forArch(r *quantize.Recipe) *quantize.Recipe {
	if p.Arch != "whisper" {
		return r
	}
	c := *r
	c.Rules = append(append([]quantize.Rule{}, convolutions...), r.Rules...)
	return &c
}

// quantizationMeta is what llama-quantize adds to the metadata.
// (llama.cpp src/llama-quant.cpp@3f545becc, llama_model_quantize_impl)
func (p *Plan) quantizationMeta() []tensor.KV {
	if !p.Recipe.Quantizes() {
		return nil
	}
	kvs := []tensor.KV{{Key: "general.quantization_version", Value: uint32(2)}}
	if p.importance != nil {
		kvs = append(kvs, p.importance.Meta()...)
	}
	return kvs
}

// openImportance reads the importance matrix that the options name.
func (p *Plan) openImportance(how Quantization) error {
	if how.Importance == "" {
		return nil
	}
	if !p.Recipe.Quantizes() {
		p.Notes = append(p.Notes, "The importance matrix is not used: the type "+p.Recipe.Name+" has no choice to make.")
		return nil
	}
	m, err := OpenImportance(how.Importance)
	p.importance = m
	return err
}

// OpenImportance reads an importance matrix in either of llama.cpp's formats,
// GGUF or the older imatrix.dat.
func OpenImportance(path string) (m *quantize.Importance, err error) {
	f, err := mapped.Open(path)
	if err != nil {
		return nil, &tensor.Error{Op: "importance matrix", File: path, Err: notFound(err)}
	}
	defer func() {
		if closing := f.Close(); err == nil && closing != nil {
			m, err = nil, closing
		}
	}()
	head := make([]byte, len(gguf.Magic))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, &tensor.Error{Op: "importance matrix", File: path, Err: err}
	}
	if string(head) != gguf.Magic {
		return quantize.ReadImportance(f, f.Size(), path)
	}
	model, err := gguf.Read(f, f.Size(), path)
	if err != nil {
		return nil, err
	}
	return quantize.ImportanceOf(model, path)
}

// An ImportanceError lists tensors whose type needs an importance matrix that
// knows them.
type ImportanceError struct{ Tensors []string }

// Error names the tensors.
func (e *ImportanceError) Error() string {
	return fmt.Sprintf("%d tensors would become useless without an importance matrix that has an entry for them; give one with --imatrix, or take a larger type: %s",
		len(e.Tensors), listed(e.Tensors))
}

// listed joins the first of names and counts the others.
func listed(names []string) string {
	n := min(len(names), maxListed)
	out := strings.Join(names[:n], ", ")
	if len(names) > n {
		out += fmt.Sprintf(" and %d more", len(names)-n)
	}
	return out
}

// weigh gives a step that makes blocks the importance of its columns, and notes
// those that have none.
func (p *Plan) weigh(s *Step, c quantize.Choice) error {
	codec, err := quantize.CodecOf(c.DType)
	if err != nil {
		return err
	}
	if l, _ := c.DType.Layout(); l.Kind != tensor.Block {
		return nil
	}
	if p.importance != nil {
		columns, note, err := p.importance.Columns(s.To)
		if err != nil {
			return err
		}
		if note != "" {
			p.Notes = append(p.Notes, note)
		}
		s.importance = columns
	}
	switch {
	case s.importance != nil:
	case c.NeedsImportance || codec.NeedsImportance:
		p.lacking = append(p.lacking, fmt.Sprintf("%s (%v)", s.To.Name, c.DType))
	case p.importance != nil:
		p.unweighed = append(p.unweighed, s.To.Name)
	}
	return nil
}

// maxListed bounds the names in a note.
const maxListed = 8

// noteQuantization says what a person should know about the sources and the
// importance of the tensors together.
func (p *Plan) noteQuantization() {
	if len(p.unweighed) > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("The importance matrix %s has no entry for %s; their columns count as equal.", p.importance.File, listed(p.unweighed)))
	}
	if p.Target.Name == "ggml" && p.Recipe.Quantizes() && !strings.EqualFold(p.Recipe.Name, p.Recipe.Default.String()) {
		p.Notes = append(p.Notes, fmt.Sprintf("whisper.cpp loads one type for all matrices: %s becomes %v for each.", p.Recipe.Name, p.Recipe.Default))
	}
	again, fell := 0, map[tensor.DType]int{}
	for _, s := range p.Steps {
		if s.Fallback != "" {
			fell[s.To.DType]++
		}
		if from, _ := s.From.DType.Layout(); from.Kind == tensor.Block && s.To.DType != s.From.DType {
			again++
		}
	}
	if len(fell) > 0 {
		p.Notes = append(p.Notes, fallbackNote(fell, len(p.Steps), p.Recipe.Name))
	}
	if again > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%d tensors were quantized already: the error that is shown comes on top of what they had lost before.", again))
	}
}

// fallbackNote counts the tensors that are stored as another type than the
// recipe means.
func fallbackNote(fell map[tensor.DType]int, of int, recipe string) string {
	n := 0
	var types []string
	for _, d := range slices.Sorted(maps.Keys(fell)) {
		n += fell[d]
		types = append(types, fmt.Sprintf("%d as %v", fell[d], d))
	}
	return fmt.Sprintf("%d of %d tensors have rows that are not whole blocks of the type that %s means for them, and are larger than it means: %s.", n, of, recipe, strings.Join(types, ", "))
}
