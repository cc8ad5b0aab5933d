package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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
	name    string
	pattern *regexp.Regexp // of the names of the files that belong to it
	need    string         // a file without which it is not this layout; "" if none
	read    func(f *folder, parts []string, opt OpenOptions) (*tensor.Model, error)
}

// layouts is tried in order.
var layouts = []layout{
	{"PyTorch distributed checkpoint", regexp.MustCompile(`^\.metadata$|\.distcp$`), ".metadata", readDistributed},
	{"Hugging Face safetensors", regexp.MustCompile(`^model(-\d{5}-of-\d{5})?\.safetensors$`), "", readShards("model", ".safetensors")},
	{"Hugging Face pytorch_model", regexp.MustCompile(`^pytorch_model(-\d{5}-of-\d{5})?\.bin$`), "", readShards("pytorch_model", ".bin")},
	{"Meta consolidated ranks", regexp.MustCompile(`^consolidated\.\d\d\.pth$`), "", readRanks},
}

// parts returns the names that belong to the layout, none if it is not there.
func (l layout) parts(names []string) (parts []string) {
	if l.need != "" && !slices.Contains(names, l.need) {
		return nil
	}
	for _, n := range names {
		if l.pattern.MatchString(n) {
			parts = append(parts, n)
		}
	}
	return parts
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

// readShards returns a reader that joins files NAME-0000i-of-0000n.EXT, which
// hold different tensors, and compares them with NAME.EXT.index.json if that is
// beside them.
func readShards(name, ext string) func(*folder, []string, OpenOptions) (*tensor.Model, error) {
	return func(f *folder, parts []string, opt OpenOptions) (*tensor.Model, error) {
		if slices.Contains(parts, name+ext) && len(parts) > 1 {
			return nil, &tensor.Error{Op: "open", File: f.dir, Err: fmt.Errorf("both %s and %d shards are here, remove one: %w",
				name+ext, len(parts)-1, tensor.ErrCorrupt)}
		}
		if err := f.checkComplete(parts, name+"-%05d-of-%05d"+ext); err != nil {
			return nil, err
		}
		index, err := f.shardIndex(name+ext+".index.json", parts)
		if err != nil {
			return nil, err
		}
		models, err := readParts(f, parts, opt)
		if err != nil {
			return nil, err
		}
		return f.join(models, parts, index)
	}
}

// join makes one model of shards. index maps names to files, nil if unknown.
func (f *folder) join(models []*tensor.Model, parts []string, index map[string]string) (*tensor.Model, error) {
	var all []*tensor.Tensor
	var meta tensor.Meta
	var notes []string
	found := 0
	for i, m := range models {
		for _, t := range m.Tensors() {
			if want, ok := index[t.Name]; ok && want == parts[i] {
				found++
			} else if index != nil {
				return nil, &tensor.Error{Op: "open", File: f.path(parts[i]), Tensor: t.Name,
					Err: fmt.Errorf("the index says %q, found in %q: %w", want, parts[i], tensor.ErrCorrupt)}
			}
		}
		all = append(all, m.Tensors()...)
		meta = meta.With(m.Meta.All()...)
		notes = append(notes, m.Notes...)
	}
	m, err := tensor.NewModel(models[0].Format, meta, all)
	if err != nil {
		return nil, err
	}
	m.Notes = notes
	if found < len(index) {
		return nil, f.missing(m, index)
	}
	return m, nil
}

// missing names the first tensor of the index that m lacks.
func (f *folder) missing(m *tensor.Model, index map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(index)) {
		if m.Tensor(name) == nil {
			return &tensor.Error{Op: "open", File: f.path(index[name]), Tensor: name,
				Err: fmt.Errorf("the index lists it but the file does not hold it: %w", tensor.ErrNotFound)}
		}
	}
	return nil
}

// shardIndex returns the file of each tensor according to the index called
// name, nil if there is none.
func (f *folder) shardIndex(name string, parts []string) (map[string]string, error) {
	path := f.path(name)
	fail := func(err error) (map[string]string, error) {
		return nil, &tensor.Error{Op: "read index", File: path, Err: err}
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return fail(err)
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

// checkComplete fails if a shard of a set is missing; pattern formats a
// shard's number and the length of the set.
func (f *folder) checkComplete(parts []string, pattern string) error {
	for i, p := range parts {
		var no, of int
		if _, err := fmt.Sscanf(p, pattern, &no, &of); err != nil {
			return nil // one file without a number
		}
		if no != i+1 || of != len(parts) {
			return &tensor.Error{Op: "open", File: f.dir, Err: fmt.Errorf("%s is one of %d shards, the folder has %d: %w", p, of, len(parts), tensor.ErrNotFound)}
		}
	}
	return nil
}
