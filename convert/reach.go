package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// solved is the name of recipes that are made for one model and one size.
const solved = "solved"

// draft makes the options for a goal those of a plan in which every matrix that
// may be quantized is Q8_0. It fails if the goal is none, or if something else
// says what it is to decide.
func (o *Options) draft() error {
	if err := o.Goal.Check(); err != nil {
		return err
	}
	if o.Type != "" || o.Recipe != nil || o.Quantize.Pure {
		return fmt.Errorf("a type, a recipe or one type for all says what a target size is to decide; give one of them: %w", tensor.ErrUnsupported)
	}
	o.Recipe = &quantize.Recipe{Name: solved, Default: tensor.Q8_0}
	return nil
}

// reach makes p a plan whose types have the least error under the goal.
//
// A draft tells which tensors may be chosen and what everything else takes:
// neither the header nor the other tensors depend on their types, so that the
// size of the file is known to the byte before it is planned.
func (p *Plan) reach(ctx context.Context, dst string) error {
	goal := p.options.Goal
	whole := *p
	whole.options.Split = Split{}
	draft, err := whole.with(dst, "", p.options.Recipe)
	if err != nil {
		return err
	}
	b, err := goal.budget(draft, p.options.Split)
	if err != nil {
		return err
	}
	s, err := draft.selectTypes(ctx, b, goal)
	if err != nil {
		return err
	}
	if p.Recipe, err = s.recipe(p); err != nil {
		return err
	}
	if err := p.fill(); err != nil {
		return err
	}
	p.Notes = append(p.Notes, b.notes...)
	p.Notes = append(p.Notes, s.notes()...)
	if b.size != 0 && p.Size() > b.size {
		return fmt.Errorf("smelt planned a file of %d bytes for a limit of %d", p.Size(), b.size)
	}
	return nil
}

// selectTypes chooses; that nothing fits is known before anything is measured.
func (p *Plan) selectTypes(ctx context.Context, b *budget, goal Goal) (*selection, error) {
	options, err := p.sized(b.bits())
	if err != nil {
		return nil, err
	}
	if err := newSelection(p, options).solve(b, goal); err != nil {
		return nil, err
	}
	if options, err = p.measure(ctx, options, goal.workers()); err != nil {
		return nil, err
	}
	s := newSelection(p, options)
	return s, s.solve(b, goal)
}

// stores reports whether runtimes of the target load matrices of type d.
func (p *Plan) stores(d tensor.DType) bool {
	if l, _ := d.Layout(); !d.IsGGML() || l.Kind != tensor.Block && d != tensor.F32 && d != tensor.F16 && d != tensor.BF16 {
		return false
	}
	return p.Target.stores(p.Source.Model, d)
}

// A selection is what is chosen among the options of a plan's free tensors.
type selection struct {
	draft    *Plan
	groups   [][]int // steps that share a type
	options  [][]quantize.Option
	solution *quantize.Solution
}

// newSelection puts tensors that have to share a type together.
func newSelection(draft *Plan, options [][]quantize.Option) *selection {
	s := &selection{draft: draft}
	for i, o := range options {
		if !draft.Steps[i].free {
			continue
		}
		if draft.Target.oneType && len(s.groups) > 0 {
			s.groups[0] = append(s.groups[0], i)
			s.options[0] = together(s.options[0], o)
			continue
		}
		s.groups, s.options = append(s.groups, []int{i}), append(s.options, o)
	}
	return s
}

// together adds up the options of a type that both have.
func together(a, b []quantize.Option) (both []quantize.Option) {
	for _, x := range a {
		i := slices.IndexFunc(b, func(y quantize.Option) bool { return y.DType == x.DType })
		if i >= 0 && x.Bytes <= math.MaxInt64-b[i].Bytes {
			both = append(both, quantize.Option{DType: x.DType, Bytes: x.Bytes + b[i].Bytes, Error: x.Error + b[i].Error})
		}
	}
	return both
}

// solve chooses, and fails with a GoalError if nothing fits.
func (s *selection) solve(b *budget, goal Goal) (err error) {
	s.solution, err = quantize.Solve(s.options, b.bytes)
	var limit *quantize.LimitError
	if errors.As(err, &limit) {
		return b.unreachable(goal, limit.Smallest)
	}
	return err
}

// chosen is the option of group g.
func (s *selection) chosen(g int) quantize.Option { return s.options[g][s.solution.Options[g]] }

// recipe returns the recipe that makes the choice: one rule for each tensor, or
// one type for all.
func (s *selection) recipe(p *Plan) (*quantize.Recipe, error) {
	r := &quantize.Recipe{Name: solved, Default: tensor.Q8_0}
	if s.draft.Target.oneType {
		if len(s.groups) > 0 {
			r.Default = s.chosen(0).DType
		}
		return r, nil
	}
	for g, steps := range s.groups {
		for _, i := range steps {
			r.Rules = append(r.Rules, quantize.Rule{Pattern: literal(s.draft.Steps[i].To.Name), DType: s.chosen(g).DType, Why: s.why(g)})
		}
	}
	var err error
	r.FileType, err = s.nearestFileType(p)
	return r, err
}

// literal returns the pattern, as in path.Match, that fits name alone.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// why says what the choice of group g costs, and what its neighbours would.
func (s *selection) why(g int) string {
	c := s.chosen(g)
	text := []string{"least error for the size: " + optionText(c)}
	for _, n := range neighbours(s.options[g], c) {
		text = append(text, optionText(n))
	}
	return strings.Join(text, "; ")
}

func optionText(o quantize.Option) string {
	return fmt.Sprintf("%v %.4g in %s", o.DType, o.Error, humanize.IBytes(uint64(o.Bytes))) //nolint:gosec // a size is not negative
}

// neighbours returns, of the options that are smaller than c, the one of the
// least error, and of those that are better the smallest.
func neighbours(options []quantize.Option, c quantize.Option) (near []quantize.Option) {
	smaller, better := -1, -1
	for i, o := range options {
		if o.Bytes < c.Bytes && (smaller < 0 || o.Error < options[smaller].Error) {
			smaller = i
		}
		if o.Error < c.Error && o.Bytes > c.Bytes && (better < 0 || o.Bytes < options[better].Bytes) {
			better = i
		}
	}
	for _, i := range []int{smaller, better} {
		if i >= 0 {
			near = append(near, options[i])
		}
	}
	return near
}

// nearestFileType returns general.file_type of the named recipe that gives most
// elements the chosen type, the first of equals: runtimes only print it.
func (s *selection) nearestFileType(p *Plan) (uint32, error) {
	chosen := map[string]tensor.DType{}
	for g, steps := range s.groups {
		for _, i := range steps {
			chosen[s.draft.Steps[i].To.Name] = s.chosen(g).DType
		}
	}
	tensors := p.canon.Model.Tensors()
	how := p.options.Quantize
	how.NoFallback, how.Requantize = false, true // nothing is made by these recipes
	var fileType uint32
	most := int64(-1)
	for _, r := range quantize.Recipes() {
		if r.Keep {
			continue
		}
		q := &Plan{Source: p.Source, Target: p.Target, Arch: p.Arch, Recipe: &r}
		choices, err := q.choose(p.canon.Model.Meta, tensors, how)
		if err != nil {
			return 0, err
		}
		var same int64
		for i, t := range tensors {
			if d, ok := chosen[t.Name]; ok && d == choices[i].DType {
				n, _ := t.Shape.Elems() // New has checked it
				same += n
			}
		}
		if same > most {
			most, fileType = same, r.FileType
		}
	}
	return fileType, nil
}

// notes sums up the choice.
func (s *selection) notes() []string {
	if len(s.groups) == 0 {
		return []string{"No tensor has a type to choose: the file is as small as it can be."}
	}
	var measured, all int64
	types := map[tensor.DType]bool{}
	for g, steps := range s.groups {
		for _, o := range s.options[g] {
			types[o.DType] = true
		}
		for _, i := range steps {
			step := &s.draft.Steps[i]
			n, _ := step.To.Shape.Elems() // newSample has checked it
			if n > 0 {
				rows, _ := step.sampled()
				all, measured = all+n, measured+rows*int64(step.To.Shape.Row())
			}
		}
	}
	weight := "squared error"
	if s.draft.importance != nil {
		weight = "squared error, weighted by importance,"
	}
	text := fmt.Sprintf("Types were chosen among %d for the least error: %s %.4g, as measured on %.0f%% of the elements, evenly spaced rows of every tensor; no other choice within the size has less than %.4g.",
		len(types), weight, s.solution.Error, 100*float64(measured)/float64(max(all, 1)), s.solution.Bound)
	if !s.draft.Target.oneType {
		return []string{text}
	}
	return []string{text, "Error and size by type: " + optionList(s.options[0]) + "."}
}

// optionList lists options, the smallest first.
func optionList(options []quantize.Option) string {
	sorted := slices.Clone(options)
	slices.SortStableFunc(sorted, func(a, b quantize.Option) int { return int(min(max(a.Bytes-b.Bytes, -1), 1)) })
	var text []string
	for _, o := range sorted {
		text = append(text, optionText(o))
	}
	return strings.Join(text, ", ")
}
