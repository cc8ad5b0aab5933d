package convert

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/pickle"
	"github.com/smelt-project/smelt/tensor"
)

// A layout is a way to spread one model over the files of a folder.
type layout struct {
	name  string
	match func(names []string) []string // the files that belong to it
	read  func(f *folder, parts []string, opt OpenOptions) (*tensor.Model, error)
}

// layouts is tried in order.
var layouts = []layout{
	{"PyTorch distributed checkpoint", matching(regexp.MustCompile(`^\.metadata$|\.distcp$`), ".metadata"), readDistributed},
	{"Hugging Face pytorch_model shards", matching(regexp.MustCompile(`^pytorch_model(-\d{5}-of-\d{5})?\.bin$`), ""), readShards},
	{"Meta consolidated ranks", matching(regexp.MustCompile(`^consolidated\.\d\d\.pth$`), ""), readRanks},
}

// matching returns the names that fit pattern, none if need is not among them.
func matching(pattern *regexp.Regexp, need string) func([]string) []string {
	return func(names []string) (parts []string) {
		for _, n := range names {
			if pattern.MatchString(n) {
				parts = append(parts, n)
			}
		}
		if need != "" && !slices.Contains(parts, need) {
			return nil
		}
		return parts
	}
}

func readDistributed(f *folder, _ []string, opt OpenOptions) (*tensor.Model, error) {
	return pickle.ReadDistributed(f, f.dir, opt.Pickle)
}

// readParts reads each file as a model of its own.
func readParts(f *folder, parts []string, opt OpenOptions) ([]*tensor.Model, error) {
	var models []*tensor.Model
	for _, p := range parts {
		m, _, err := f.readFile(p, opt)
		if err != nil {
			return nil, err
		}
		models = append(models, m)
	}
	return models, nil
}

// readRanks joins tensor-parallel ranks, in the order of their numbers.
func readRanks(f *folder, parts []string, opt OpenOptions) (*tensor.Model, error) {
	for i, p := range parts {
		if want := fmt.Sprintf("consolidated.%02d.pth", i); p != want {
			return nil, &tensor.Error{Op: "open", File: f.dir, Err: fmt.Errorf("%s is missing (found %s): %w", want, p, tensor.ErrNotFound)}
		}
	}
	models, err := readParts(f, parts, opt)
	if err != nil || len(models) == 1 {
		return first(models), err
	}
	return arch.Merge(models)
}

func first(models []*tensor.Model) *tensor.Model {
	if len(models) == 0 {
		return nil
	}
	return models[0]
}

// readShards joins files that hold different tensors, and compares them with
// the index beside them if there is one.
func readShards(f *folder, parts []string, opt OpenOptions) (*tensor.Model, error) {
	if slices.Contains(parts, "pytorch_model.bin") && len(parts) > 1 {
		return nil, &tensor.Error{Op: "open", File: f.dir, Err: fmt.Errorf("both pytorch_model.bin and %d shards are here, remove one: %w",
			len(parts)-1, tensor.ErrCorrupt)}
	}
	index, err := f.shardIndex(parts)
	if err != nil {
		return nil, err
	}
	models, err := readParts(f, parts, opt)
	if err != nil {
		return nil, err
	}
	var all []*tensor.Tensor
	var meta tensor.Meta
	var notes []string
	for i, m := range models {
		for _, t := range m.Tensors() {
			if want, ok := index[t.Name]; index != nil && (!ok || want != parts[i]) {
				return nil, &tensor.Error{Op: "open", File: f.path(parts[i]), Tensor: t.Name,
					Err: fmt.Errorf("the index says %q, found in %q: %w", want, parts[i], tensor.ErrCorrupt)}
			}
			delete(index, t.Name)
		}
		all = append(all, m.Tensors()...)
		meta = meta.With(m.Meta.All()...)
		notes = append(notes, m.Notes...)
	}
	if len(index) > 0 {
		missing := slices.Sorted(maps.Keys(index))
		return nil, &tensor.Error{Op: "open", File: f.path(index[missing[0]]), Tensor: missing[0],
			Err: fmt.Errorf("the index lists it but the file does not hold it (%d such tensors): %w", len(missing), tensor.ErrNotFound)}
	}
	m, err := tensor.NewModel(models[0].Format, meta, all)
	if err != nil {
		return nil, err
	}
	m.Notes = notes
	return m, nil
}

// shardIndex returns the file of each tensor according to
// pytorch_model.bin.index.json, nil if there is none, and checks that parts is
// complete.
func (f *folder) shardIndex(parts []string) (map[string]string, error) {
	path := f.path("pytorch_model.bin.index.json")
	fail := func(err error) (map[string]string, error) {
		return nil, &tensor.Error{Op: "read index", File: path, Err: err}
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, checkComplete(f, parts)
	}
	if st.Size() > maxIndex {
		return fail(fmt.Errorf("%d bytes, at most %d are read: %w", st.Size(), maxIndex, tensor.ErrTooLarge))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fail(err)
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return fail(fmt.Errorf("%w: %w", tensor.ErrCorrupt, err))
	}
	if index.WeightMap == nil {
		return fail(fmt.Errorf("it has no weight_map: %w", tensor.ErrCorrupt))
	}
	for _, file := range index.WeightMap {
		if !slices.Contains(parts, file) {
			return fail(fmt.Errorf("it names %q, which is not in the folder: %w", file, tensor.ErrNotFound))
		}
	}
	return index.WeightMap, nil
}

// maxIndex bounds the index of shards: a million tensors of 60 bytes.
const maxIndex = 256 << 20

// checkComplete fails if a shard of a set without an index is missing.
func checkComplete(f *folder, parts []string) error {
	for i, p := range parts {
		var no, of int
		if _, err := fmt.Sscanf(p, "pytorch_model-%05d-of-%05d.bin", &no, &of); err != nil {
			return nil // pytorch_model.bin alone
		}
		if no != i+1 || of != len(parts) {
			return &tensor.Error{Op: "open", File: f.dir, Err: fmt.Errorf("%s is one of %d shards, %d are in the folder: %w", p, of, len(parts), tensor.ErrNotFound)}
		}
	}
	return nil
}
