package verify

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/quantize"
	"github.com/smelt-project/smelt/tensor"
)

// checkTensors looks for tensors that are missing, and for some that are too many.
func checkTensors(ctx context.Context, v *verifier) error {
	expected := v.expected()
	v.checkAccounts(expected)
	known := map[string]bool{}
	for _, want := range expected {
		known[want.Name] = true
	}
	var extra []*tensor.Tensor
	for _, got := range v.Result.Model.Tensors() {
		if !known[got.Name] {
			extra = append(extra, got)
		}
	}
	for _, want := range expected {
		if v.Result.Model.Tensor(want.Name) != nil {
			continue
		}
		cause, at, err := v.otherName(ctx, want, extra)
		if err != nil {
			return err
		}
		if at >= 0 {
			extra = slices.Delete(extra, at, at+1)
		}
		v.find(mismatch(Finding{Tensor: want.Name, Expected: describe(want.Info), Found: "nothing", Cause: cause}))
	}
	for _, got := range extra {
		if err := v.judgeExtra(ctx, got); err != nil {
			return err
		}
	}
	v.find(matches(Finding{Expected: count(len(expected), "tensor"), Found: "compared"}))
	return nil
}

// checkAccounts finds tensors of the original that became nothing without a reason.
func (v *verifier) checkAccounts(expected []*tensor.Tensor) {
	used := map[string]bool{}
	for _, t := range expected {
		used[v.Canonical.Sources[t.Name]] = true
	}
	for _, d := range v.Canonical.Dropped {
		used[d.Name] = true
	}
	for _, t := range v.Original.Model.Tensors() {
		if !used[t.Name] {
			v.find(mismatch(Finding{Tensor: t.Name, Expected: "a place in the result, or a reason to leave it out", Found: "neither",
				Cause: "no rule for it: it is lost"}))
		}
	}
}

// otherName looks among tensors that should not be there for one that holds the
// values of want, and returns its index, -1 if there is none.
func (v *verifier) otherName(ctx context.Context, want *tensor.Tensor, extra []*tensor.Tensor) (cause string, at int, err error) {
	for i, got := range extra {
		if !got.Shape.Equal(want.Shape) {
			continue
		}
		c, err := v.compare(ctx, want, got)
		if err != nil {
			return "", -1, err
		}
		if c.ok() {
			return "it is there under the name " + got.Name, i, nil
		}
	}
	if n, ok := layerOf(want.Name); ok {
		return fmt.Sprintf("layer %d has lost it", n), -1, nil
	}
	return "it was left out", -1, nil
}

// judgeExtra judges a tensor of the result that the original has no place for. A
// copy of the tensor that it would be tied to is none too many.
func (v *verifier) judgeExtra(ctx context.Context, got *tensor.Tensor) error {
	if twin := v.tiedTo(got.Name); twin != nil && twin.Shape.Equal(got.Shape) {
		c, err := v.compare(ctx, twin, got)
		if err != nil {
			return err
		}
		f := Finding{Tensor: got.Name, Expected: "a copy of " + twin.Name, Found: "one"}
		if c.ok() {
			v.find(matches(f))
			return nil
		}
		f.Found, f.Cause = "other values", "the original's output matrix is its token embedding; the result has another one"
		v.find(mismatch(f))
		return nil
	}
	cause := "the original has no such tensor"
	for _, t := range v.Canonical.Model.Tensors() {
		if !t.Shape.Equal(got.Shape) {
			continue
		}
		c, err := v.compare(ctx, t, got)
		if err != nil {
			return err
		}
		if c.ok() {
			cause = "it equals " + t.Name
			break
		}
	}
	v.find(mismatch(Finding{Tensor: got.Name, Expected: "nothing", Found: describe(got.Info), Cause: cause}))
	return nil
}

// checkShapes compares the shapes of tensors that both have. Dimensions of
// length one do not count: whisper.cpp's files add some.
func checkShapes(ctx context.Context, v *verifier) error {
	n := 0
	err := v.both(func(want, got *tensor.Tensor) error {
		n++
		if want.Shape.Squeeze().Equal(got.Shape.Squeeze()) {
			return nil
		}
		cause, err := v.diagnoseShape(ctx, want, got)
		v.find(mismatch(Finding{Tensor: want.Name, Expected: want.Shape.String(), Found: got.Shape.String(), Cause: cause}))
		return err
	})
	v.find(matches(Finding{Expected: count(n, "shape"), Found: "compared"}))
	return err
}

// both calls fn with each tensor of the result and what it should be.
func (v *verifier) both(fn func(want, got *tensor.Tensor) error) error {
	for _, want := range v.expected() {
		if got := v.Result.Model.Tensor(want.Name); got != nil {
			if err := fn(want, got); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTypes finds tensors stored as something that cannot hold them.
func checkTypes(_ context.Context, v *verifier) error {
	n := 0
	err := v.both(func(want, got *tensor.Tensor) error {
		n++
		if why := unfit(want.DType, got.DType); why != "" {
			v.find(mismatch(Finding{Tensor: want.Name, Expected: want.DType.String(), Found: got.DType.String(), Cause: why}))
		}
		return nil
	})
	v.find(matches(Finding{Expected: count(n, "stored type"), Found: "compared"}))
	if err != nil {
		return err
	}
	return v.checkFileType()
}

// unfit says why a tensor of type from cannot be stored as to; "" if it can.
func unfit(from, to tensor.DType) string {
	src, _ := from.Layout()
	dst, _ := to.Layout()
	floats := func(k tensor.Kind) bool { return k == tensor.Float || k == tensor.Block }
	wide, ok := quantize.Widened(from)
	switch {
	case from == to:
	case floats(src.Kind) != floats(dst.Kind):
		return "numbers of one kind are read as numbers of another"
	case floats(src.Kind):
		if _, err := quantize.NewQuantizer(to, from); err != nil {
			return err.Error()
		}
	case !ok || wide != to:
		return "the type does not hold every value of the original's"
	}
	return ""
}

// fileTypeKey states which recipe chose the types.
const fileTypeKey = "general.file_type"

// checkFileType finds a stated file type that describes another file: one whose
// recipe gives less than half as many weights the type that they have than the
// recipe that fits best. (Types may be overridden, so that no recipe need fit.)
func (v *verifier) checkFileType() error {
	stated, ok := v.Result.Model.Meta.Int(fileTypeKey)
	facts, err := quantize.FactsOf(v.architecture(), v.Canonical.Model.Meta)
	if !ok || err != nil {
		return nil //nolint:nilerr // facts that are wrong are the metadata check's to tell
	}
	var of, best float64
	var fits string
	for _, r := range quantize.Recipes() {
		if r.Keep {
			continue
		}
		share := v.sharing(&r, facts)
		if int64(r.FileType) == stated {
			of = max(of, share)
		}
		if share > best {
			best, fits = share, fmt.Sprintf("%d, %s", r.FileType, r.Name)
		}
	}
	f := Finding{Key: fileTypeKey, Expected: fits, Found: strconv.FormatInt(stated, 10)}
	if of < best/2 {
		f.Cause = "the tensors are not of the stated type"
		v.find(mismatch(f))
		return nil
	}
	f.Expected = f.Found
	v.find(matches(f))
	return nil
}

// sharing returns the share of the result's matrices, by elements, that have
// the type that a recipe gives them.
func (v *verifier) sharing(r *quantize.Recipe, facts quantize.Facts) float64 {
	var infos []tensor.Info
	for _, t := range v.Canonical.Model.Tensors() {
		if len(t.Shape) > 1 {
			infos = append(infos, t.Info)
		}
	}
	chosen := make([]tensor.DType, len(infos))
	if r.Quantizes() {
		choices, err := r.ChooseAll(facts, infos, quantize.Mix{Importance: true, Requantize: true})
		if err != nil {
			return 0
		}
		for i, c := range choices {
			chosen[i] = c.DType
		}
	} else {
		for i, info := range infos {
			d, _, err := r.Choose(info)
			if err != nil {
				return 0
			}
			chosen[i] = d
		}
	}
	var all, same float64
	for i, info := range infos {
		n, _ := info.Shape.Elems() // New has checked it
		all += float64(n)
		if got := v.Result.Model.Tensor(info.Name); got != nil && got.DType == chosen[i] {
			same += float64(n)
		}
	}
	return same / max(all, 1)
}

// checkOffsets compares the places of the result's tensors with each other and
// with the sizes of its files.
func checkOffsets(_ context.Context, v *verifier) error {
	size := map[string]int64{}
	for _, f := range v.Result.Files {
		size[filepath.Base(f.Path)] = f.Size
	}
	placed := slices.DeleteFunc(slices.Clone(v.Result.Model.Tensors()), func(t *tensor.Tensor) bool { return t.Origin.Offset < 0 || t.Size() == 0 })
	slices.SortStableFunc(placed, func(a, b *tensor.Tensor) int {
		return cmp.Or(cmp.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Offset, b.Origin.Offset))
	})
	for i, t := range placed {
		end := t.Origin.Offset + t.Size()
		if n, ok := size[filepath.Base(t.Origin.File)]; ok && end > n {
			v.find(mismatch(Finding{Tensor: t.Name, Expected: fmt.Sprintf("at most byte %d", n), Found: fmt.Sprintf("bytes to %d", end), Cause: "truncated"}))
		}
		if i+1 < len(placed) && placed[i+1].Origin.File == t.Origin.File && placed[i+1].Origin.Offset < end {
			v.find(mismatch(Finding{Tensor: placed[i+1].Name, Expected: fmt.Sprintf("at byte %d or after", end),
				Found: fmt.Sprintf("at byte %d", placed[i+1].Origin.Offset), Cause: "it shares bytes with " + t.Name}))
		}
	}
	v.find(matches(Finding{Expected: count(len(placed), "place"), Found: "compared"}))
	return nil
}

// describe says what a tensor is: f16 [32 64].
func describe(i tensor.Info) string { return i.DType.String() + " " + i.Shape.String() }

// count returns "1 tensor", "2 tensors".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// layerOf returns the number in a name such as blk.3.attn_q.weight.
func layerOf(name string) (n int, ok bool) {
	for part := range strings.SplitSeq(name, ".") {
		if _, err := fmt.Sscanf(part, "%d", &n); err == nil {
			return n, true
		}
	}
	return 0, false
}
