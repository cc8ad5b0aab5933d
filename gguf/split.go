package gguf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// Keys that say which shard of a set a file is (src/llama-model-loader.cpp).
const (
	splitPrefix  = "split."
	splitNo      = "split.no"            // counted from 0
	splitCount   = "split.count"         // of shards; 0 and 1: not split
	splitTensors = "split.tensors.count" // of all shards together
)

var shardName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// ShardName returns the file name of shard no, counted from 0, of count. It is
// the only name under which llama.cpp finds a shard.
func ShardName(prefix string, no, count int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", prefix, no+1, count)
}

// ParseShardName undoes ShardName; ok is false for any other name.
func ParseShardName(name string) (prefix string, no, count int, ok bool) {
	m := shardName.FindStringSubmatch(name)
	if m == nil {
		return "", 0, 0, false
	}
	no, err := strconv.Atoi(m[2])
	if err != nil {
		return "", 0, 0, false
	}
	count, err = strconv.Atoi(m[3])
	if err != nil || no < 1 || no > count {
		return "", 0, 0, false
	}
	return m[1], no - 1, count, true
}

// ShardMeta returns the metadata of shard no of count for a model of the given
// metadata and number of tensors: everything in the first, in the others nothing
// but what they are, as llama-gguf-split writes them
// (tools/gguf-split/gguf-split.cpp@3f545becc).
func ShardMeta(meta tensor.Meta, no, count, tensors int) tensor.Meta {
	var whole tensor.Meta
	if no == 0 {
		whole = withoutSplit(meta)
	}
	return whole.With(
		tensor.KV{Key: splitNo, Value: uint16(no)},          //nolint:gosec // Shards has checked it
		tensor.KV{Key: splitCount, Value: uint16(count)},    //nolint:gosec // as above
		tensor.KV{Key: splitTensors, Value: int32(tensors)}, //nolint:gosec // as above
	)
}

func withoutSplit(meta tensor.Meta) tensor.Meta {
	return meta.Without(func(key string) bool { return strings.HasPrefix(key, splitPrefix) })
}

// A Limit says how large the files of a set become. A field that is 0 does not
// limit; the zero value does not split.
type Limit struct {
	Bytes   int64 // of a file, its header included
	Tensors int   // in a file
}

// Shards divides the tensors of infos, in their order, among as few files as
// the limit allows if each is filled before the next is begun. It returns for
// each file the index after its last tensor. A tensor is never divided: a file
// whose only tensor does not fit is larger than the limit.
func (l Limit) Shards(meta tensor.Meta, infos []tensor.Info) (ends []int, err error) {
	if len(infos) > math.MaxInt32 {
		return nil, &tensor.Error{Op: "gguf: split", Err: fmt.Errorf("%d tensors, %s counts at most %d: %w", len(infos), splitTensors, math.MaxInt32, tensor.ErrTooLarge)}
	}
	if _, err := Place(withoutSplit(meta), infos); err != nil { // everything but the number of files
		return nil, err
	}
	var size fileSize
	begun := 0
	for i, info := range infos {
		if i == 0 || i > begun && l.full(size.with(info), i-begun) {
			if i > 0 {
				ends = append(ends, i)
			}
			begun = i
			if size, err = emptyShard(meta, len(ends), len(infos)); err != nil {
				return nil, err
			}
		}
		size = size.with(info)
	}
	if ends = append(ends, len(infos)); len(ends) > math.MaxUint16 {
		return nil, &tensor.Error{Op: "gguf: split", Err: fmt.Errorf("%d files, %s counts at most %d; allow more in a file: %w", len(ends), splitCount, math.MaxUint16, tensor.ErrTooLarge)}
	}
	return ends, nil
}

// full reports whether a file of before tensors has no room for one more, with
// which its size would be next.
func (l Limit) full(next fileSize, before int) bool {
	return l.Tensors > 0 && before >= l.Tensors || l.Bytes > 0 && next.bytes() > l.Bytes
}

// Overhead bounds what dividing a file of size bytes and that many tensors adds
// to its size.
func (l Limit) Overhead(size int64, tensors int) (int64, error) {
	if l == (Limit{}) {
		return 0, nil
	}
	shards := int64(1)
	if l.Bytes > 0 { // two neighbours together exceed the limit
		shards += 2 * (size/l.Bytes + 1)
	}
	if l.Tensors > 0 {
		shards += int64(tensors / l.Tensors)
	}
	head, err := emptyShard(tensor.Meta{}, 1, tensors)
	if err != nil {
		return 0, err
	}
	// Each has a header and the padding after it, the first one's keys are no
	// more than a header, and the others pad to 32 whatever the model's alignment.
	return (min(shards, int64(tensors))+1)*(head.bytes()+defaultAlignment) + int64(tensors)*defaultAlignment, nil
}

// A fileSize adds up the size of a file as Place lays it out.
type fileSize struct {
	head, data int64
	align      uint32
}

// emptyShard is the size of a shard without tensors.
func emptyShard(meta tensor.Meta, no, tensors int) (fileSize, error) {
	m := ShardMeta(meta, no, no+1, tensors)
	align, err := alignment(m)
	if err != nil {
		return fileSize{}, &tensor.Error{Op: "gguf: split", Err: err}
	}
	head, err := header(m, nil, nil)
	return fileSize{head: int64(len(head)), align: align}, err
}

// with returns the size with one more tensor, which checkInfo has checked.
func (s fileSize) with(info tensor.Info) fileSize {
	n, _ := info.Size()
	s.head += int64(len(putRow(nil, info, 0)))
	s.data += pad(n, s.align)
	return s
}

func (s fileSize) bytes() int64 { return pad(s.head, s.align) + s.data }

// A shard is one file of a set.
type shard struct {
	*Header
	name               string
	r                  io.ReaderAt
	size               int64
	no, count, tensors int // as the file says; count is 0 if it is not split
}

// ReadSet returns the model that the file called name is part of, whichever of
// its shards that is; a file that is not split is read as by Read. Metadata is
// that of the first shard without the split.* keys; tensors are in the order of
// the shards.
//
// Shards that are missing, that are not what their name says, that occur twice
// or belong to another model are named in the error.
func ReadSet(files tensor.Files, name string) (*tensor.Model, error) {
	given, err := openShard(files, name)
	if err != nil {
		return nil, err
	}
	if given.count == 0 {
		tensors, err := given.open(given.r, given.size, name)
		if err != nil {
			return nil, err
		}
		return tensor.NewModel(given.Format(), given.Meta, tensors)
	}
	shards, err := openSet(files, given)
	if err != nil {
		return nil, err
	}
	return join(shards)
}

// openShard reads the header of the file called name.
func openShard(files tensor.Files, name string) (*shard, error) {
	r, size, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	h, err := ReadHeader(r, size, name)
	if err != nil {
		return nil, err
	}
	s := &shard{Header: h, name: name, r: r, size: size}
	if count, _ := h.Meta.Int(splitCount); count <= 1 {
		return s, nil
	}
	for _, f := range []struct {
		key string
		to  *int
	}{{splitNo, &s.no}, {splitCount, &s.count}, {splitTensors, &s.tensors}} {
		v, ok := h.Meta.Int(f.key)
		if !ok || v < 0 || v > math.MaxInt32 {
			return nil, s.fail(tensor.ErrCorrupt, "%s is missing or not a count, though %s says that the model is split", f.key, splitCount)
		}
		*f.to = int(v)
	}
	if s.count > math.MaxUint16 || s.no >= s.count {
		return nil, s.fail(tensor.ErrCorrupt, "%s %d of %s %d", splitNo, s.no, splitCount, s.count)
	}
	return s, nil
}

func (s *shard) fail(class error, format string, args ...any) error {
	return &tensor.Error{Op: "gguf: read split model", File: s.name, Err: fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), class)}
}

// openSet opens the shards beside given, in order.
func openSet(files tensor.Files, given *shard) ([]*shard, error) {
	prefix, no, count, ok := ParseShardName(given.name)
	if !ok {
		return nil, given.fail(tensor.ErrNotFound, "the file is shard %d of %d; the others are found by name, so give all of them their names back: %q and so on",
			given.no+1, given.count, ShardName(strings.TrimSuffix(given.name, ".gguf"), given.no, given.count))
	}
	if no != given.no || count != given.count {
		return nil, given.fail(tensor.ErrCorrupt, "the file is shard %d of %d, its name says %d of %d; it was renamed or copied over another shard",
			given.no+1, given.count, no+1, count)
	}
	shards := make([]*shard, 0, min(count, 1024))
	var missing []int
	for i := range count {
		s, err := given, error(nil)
		if i != no {
			s, err = openShard(files, ShardName(prefix, i, count))
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, tensor.ErrNotFound) {
			missing = append(missing, i)
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := s.fits(i, given); err != nil {
			return nil, err
		}
		shards = append(shards, s)
	}
	if len(missing) > 0 {
		return nil, missingShards(files, given, prefix, missing)
	}
	return shards, nil
}

// fits reports whether s is shard i of the set that given belongs to.
func (s *shard) fits(i int, given *shard) error {
	switch {
	case s.count == 0:
		return s.fail(tensor.ErrCorrupt, "not a shard, though its name says %d of %d", i+1, given.count)
	case s.no != i:
		return s.fail(tensor.ErrCorrupt, "the file is shard %d of %d, its name says %d; it was renamed, or shard %d was copied over it", s.no+1, s.count, i+1, s.no+1)
	case s.count != given.count || s.tensors != given.tensors:
		return s.fail(tensor.ErrCorrupt, "belongs to a set of %d shards and %d tensors, %s to one of %d and %d; files of two models are mixed",
			s.count, s.tensors, given.name, given.count, given.tensors)
	}
	return nil
}

// missingShards names what is missing, and files beside given that say they
// are it under another name.
func missingShards(files tensor.Files, given *shard, prefix string, missing []int) error {
	const show = 8
	var names []string
	for _, i := range missing[:min(show, len(missing))] {
		names = append(names, strconv.Quote(ShardName(prefix, i, given.count)))
	}
	if len(missing) > show {
		names = append(names, fmt.Sprintf("%d more", len(missing)-show))
	}
	hint := "fetch them into the same folder"
	if strays := strayShards(files, given, missing); len(strays) > 0 {
		hint = strings.Join(strays, "; ")
	}
	return given.fail(tensor.ErrNotFound, "%d of %d shards are missing: %s; %s", len(missing), given.count, strings.Join(names, ", "), hint)
}

// strayShards looks for the missing shards among differently named files. It is
// a help for the error text, so a file that cannot be read is passed over.
func strayShards(files tensor.Files, given *shard, missing []int) []string {
	const most = 64 // files looked into
	names, err := files.Names()
	if err != nil || path.Dir(given.name) != "." {
		return nil
	}
	wanted := make(map[int]bool, len(missing))
	for _, i := range missing {
		wanted[i] = true
	}
	var found []string
	looked := 0
	for _, name := range names {
		if _, _, count, ok := ParseShardName(name); !strings.HasSuffix(name, ".gguf") || ok && count == given.count || looked == most {
			continue
		}
		looked++
		s, err := openShard(files, name)
		if err == nil && s.count == given.count && s.tensors == given.tensors && wanted[s.no] {
			found = append(found, fmt.Sprintf("%q says that it is shard %d, rename it", name, s.no+1))
		}
	}
	return found
}

// join makes one model of all shards.
func join(shards []*shard) (*tensor.Model, error) {
	first := shards[0]
	var all []*tensor.Tensor
	home := make(map[string]string)
	for _, s := range shards {
		tensors, err := s.open(s.r, s.size, s.name)
		if err != nil {
			return nil, err
		}
		for _, t := range tensors {
			if other, ok := home[t.Name]; ok {
				return nil, &tensor.Error{Op: "gguf: read split model", File: s.name, Tensor: t.Name,
					Err: fmt.Errorf("also in %s; a shard occurs twice or files of two models are mixed: %w", other, tensor.ErrCorrupt)}
			}
			home[t.Name] = s.name
		}
		all = append(all, tensors...)
	}
	if len(all) != first.tensors {
		return nil, first.fail(tensor.ErrCorrupt, "%s is %d, the %d shards hold %d; files of two models are mixed", splitTensors, first.tensors, len(shards), len(all))
	}
	m, err := tensor.NewModel(first.Format(), withoutSplit(first.Meta), all)
	if err != nil {
		return nil, err
	}
	m.Notes = append(m.Notes, fmt.Sprintf("The model is split into %d files.", len(shards)))
	return m, nil
}
