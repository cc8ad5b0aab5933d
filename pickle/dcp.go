package pickle

import (
	"fmt"
	"io"
	"strings"

	"github.com/nlpodyssey/gopickle/types"

	"github.com/smelt-project/smelt/tensor"
)

// metadataName is the file that makes a folder a distributed checkpoint
// (torch/distributed/checkpoint/filesystem.py).
const metadataName = ".metadata"

// A distributed is a folder that torch.distributed.checkpoint wrote: a pickled
// description, and files in which whole zip containers follow each other, one
// for each chunk of a tensor.
type distributed struct {
	r      *reader // of the description
	files  tensor.Files
	folder string
	parts  map[chunkKey]*object // _StorageInfo
	opened map[string]*opened
	c      *checkpoint
}

// A chunkKey is a MetadataIndex: a name, and where the chunk starts.
type chunkKey struct{ name, offset string }

// An opened is a file of the folder.
type opened struct {
	r    io.ReaderAt
	size int64
}

// ReadDistributed reads a checkpoint folder of torch.distributed.checkpoint:
// .metadata and the *.distcp files that it names. folder is the name for
// messages. files must stay open as long as the model's tensors are read.
func ReadDistributed(files tensor.Files, folder string, opt Options) (*tensor.Model, error) {
	src, size, err := files.Open(metadataName)
	if err != nil {
		return nil, &tensor.Error{Op: "pickle: open", File: folder + "/" + metadataName, Err: err}
	}
	d := &distributed{r: newReader(src, size, folder+"/"+metadataName, opt), files: files, folder: folder,
		parts: map[chunkKey]*object{}, opened: map[string]*opened{}, c: &checkpoint{format: "PyTorch distributed checkpoint"}}
	v, a, err := d.r.pickleAt("", src, 0, size, noStorages)
	if err == nil {
		err = d.r.ends("", a.Size, size)
	}
	if err != nil {
		return nil, err
	}
	d.c.facts = append(d.c.facts, tensor.KV{Key: "container", Value: "distributed"}, tensor.KV{Key: "protocol", Value: int64(a.Protocol)})
	if err := d.read(v); err != nil {
		return nil, err
	}
	return d.r.model(d.c)
}

func (d *distributed) fail(name string, err error) error {
	return &tensor.Error{Op: "pickle: read distributed checkpoint", File: d.r.file, Tensor: escaped(name), Err: err}
}

// read follows the description: every name, and the chunks of each.
func (d *distributed) read(v any) error {
	names, ok := d.r.entries(d.attribute(v, "state_dict_metadata"))
	if !ok {
		return d.fail("", fmt.Errorf("description is a %s without state_dict_metadata: %w", kindOf(v), tensor.ErrUnsupported))
	}
	if version, ok := d.attribute(v, "version").(string); ok {
		d.c.facts = append(d.c.facts, tensor.KV{Key: "version", Value: validText(version)})
	}
	if err := d.index(d.attribute(v, "storage_data")); err != nil {
		return err
	}
	for _, e := range names {
		name, ok := e.Key.(string)
		if !ok {
			return d.fail("", fmt.Errorf("name is a %s: %w", kindOf(e.Key), tensor.ErrCorrupt))
		}
		value, err := d.value(name, e.Value)
		if err != nil {
			return err
		}
		d.c.roots = append(d.c.roots, child{name: name, v: value})
	}
	d.c.facts = append(d.c.facts, tensor.KV{Key: "files", Value: int64(len(d.opened))})
	return d.idle()
}

// index makes the places of chunks findable.
func (d *distributed) index(v any) error {
	places, ok := d.r.entries(v)
	if !ok {
		return d.fail("", fmt.Errorf("storage_data is a %s: %w", kindOf(v), tensor.ErrUnsupported))
	}
	for _, e := range places {
		name, ok := d.attribute(e.Key, "fqn").(string)
		info, ok2 := e.Value.(*object)
		if !ok || !ok2 {
			return d.fail(name, fmt.Errorf("storage_data maps a %s to a %s: %w", kindOf(e.Key), kindOf(e.Value), tensor.ErrUnsupported))
		}
		key := chunkKey{name: name}
		if offset := d.attribute(e.Key, "offset"); offset != nil {
			a := &arguments{of: "offset of a chunk", vals: []any{offset}, s: d.r.session}
			if key.offset = a.shape(0).String(); a.err != nil {
				return d.fail(name, a.err)
			}
		}
		if _, twice := d.parts[key]; twice {
			return d.fail(name, fmt.Errorf("chunk at %s is stored twice: %w", key.offset, tensor.ErrCorrupt))
		}
		d.parts[key] = info
	}
	return nil
}

// attribute returns an attribute of an inert object, nil if it has none of that name.
func (d *distributed) attribute(v any, name string) any {
	o, ok := v.(*object)
	if !ok {
		return nil
	}
	for _, s := range o.states {
		if found, ok := d.r.lookup(s, name); ok {
			return found
		}
	}
	return nil
}

// value reads what one name stands for: a tensor in chunks, or any object.
func (d *distributed) value(name string, v any) (any, error) {
	o, ok := v.(*object)
	if !ok {
		return nil, d.fail(name, fmt.Errorf("described by a %s: %w", kindOf(v), tensor.ErrUnsupported))
	}
	class := o.class.name[strings.LastIndexByte(o.class.name, '.')+1:]
	switch class {
	case "BytesStorageMetadata":
		info, ok := d.parts[chunkKey{name: name}]
		if !ok {
			return nil, d.fail(name, fmt.Errorf("is nowhere in storage_data: %w", tensor.ErrNotFound))
		}
		return d.part(name, info)
	case "TensorStorageMetadata":
		return d.tensor(name, o)
	}
	return nil, d.fail(name, fmt.Errorf("described by %s: %w", o.class.name, tensor.ErrUnsupported))
}

func (d *distributed) tensor(name string, o *object) (any, error) {
	a := &arguments{of: "description of a tensor", vals: []any{d.attribute(o, "size"), d.attribute(o, "chunks")}, s: d.r.session}
	whole := &array{shape: a.shape(0), typ: d.propertiesType(d.attribute(o, "properties"))}
	chunks := a.items(1)
	if a.err != nil {
		return nil, d.fail(name, a.err)
	}
	if whole.typ == nil {
		return nil, d.fail(name, fmt.Errorf("its description names no dtype: %w", tensor.ErrUnsupported))
	}
	for _, c := range chunks {
		part, err := d.chunk(name, whole, c)
		if err != nil {
			return nil, err
		}
		whole.chunks = append(whole.chunks, part)
	}
	return whole, nil
}

// propertiesType finds the dtype of TensorProperties, which pickles as a tuple
// whose first part it is.
func (d *distributed) propertiesType(v any) *scalarType {
	o, ok := v.(*object)
	if !ok {
		return nil
	}
	for _, s := range o.states {
		if found, ok := d.r.lookup(s, "dtype"); ok {
			typ, _ := found.(*scalarType)
			return typ
		}
		if t, ok := s.(*types.Tuple); ok && t.Len() > 0 {
			typ, _ := t.Get(0).(*scalarType)
			return typ
		}
	}
	return nil
}

// A chunk is the part of a tensor that starts at an index of it.
type chunk struct {
	at tensor.Shape
	*array
}

func (d *distributed) chunk(name string, whole *array, v any) (chunk, error) {
	a := &arguments{of: "description of a chunk", vals: []any{d.attribute(v, "offsets"), d.attribute(v, "sizes")}, s: d.r.session}
	at, size := a.shape(0), a.shape(1)
	if a.err != nil {
		return chunk{}, d.fail(name, a.err)
	}
	if !inside(at, size, whole.shape) {
		return chunk{}, d.fail(name, fmt.Errorf("chunk of %v at %v of a tensor of %v: %w", size, at, whole.shape, tensor.ErrCorrupt))
	}
	info, ok := d.parts[chunkKey{name, at.String()}]
	if !ok {
		return chunk{}, d.fail(name, fmt.Errorf("chunk of %v at %v is nowhere in storage_data: %w", size, at, tensor.ErrNotFound))
	}
	part, err := d.part(name, info)
	if err != nil {
		return chunk{}, err
	}
	t, ok := part.(*array)
	if !ok || !t.shape.Equal(size) || t.typ != whole.typ {
		return chunk{}, d.fail(name, fmt.Errorf("chunk at %v is a %s %v, its description says %s %v: %w", at, kindOf(part), partShape(part), whole.typ.name, size, tensor.ErrCorrupt))
	}
	return chunk{at, t}, nil
}

// inside reports whether a chunk of a size lies inside a tensor.
func inside(at, size, whole tensor.Shape) bool {
	if len(at) != len(whole) || len(size) != len(whole) {
		return false
	}
	for i := range whole {
		if size[i] > whole[i] || at[i] > whole[i]-size[i] {
			return false
		}
	}
	return true
}

func partShape(v any) string {
	if t, ok := v.(*array); ok {
		return typeName(t.typ) + " " + t.shape.String()
	}
	return ""
}

// part reads the container that a _StorageInfo points to.
func (d *distributed) part(name string, info *object) (any, error) {
	a := &arguments{of: info.class.name, vals: []any{d.attribute(info, "relative_path"), d.attribute(info, "offset"), d.attribute(info, "length")}, s: d.r.session}
	path, off, length := a.text(0), int64(a.int(1)), int64(a.int(2))
	if a.err != nil {
		return nil, d.fail(name, a.err)
	}
	if list, ok := items(d.attribute(info, "transform_descriptors")); ok && len(list) > 0 {
		return nil, d.fail(name, fmt.Errorf("stored through the transforms %.80s: %w", transforms(list), tensor.ErrUnsupported))
	}
	f, err := d.open(name, path)
	if err != nil {
		return nil, err
	}
	if off < 0 || length < 0 || off > f.size || length > f.size-off {
		return nil, d.fail(name, fmt.Errorf("%d bytes at 0x%x of %s, which has %d: %w", length, off, path, f.size, tensor.ErrCorrupt))
	}
	r := &reader{session: d.r.session, src: io.NewSectionReader(f.r, off, length), size: length, file: d.folder + "/" + path, prefix: fmt.Sprintf("%s@%d/", path, off), base: off}
	head := make([]byte, min(length, SniffBytes))
	if n, err := r.src.ReadAt(head, 0); n < len(head) {
		return nil, &tensor.Error{Op: "pickle: read", File: r.file, Tensor: name, Offset: off + int64(n), Err: fmt.Errorf("got %d of %d bytes: %w", n, len(head), err)}
	}
	if kind := Sniff(head); kind != Zip {
		return nil, &tensor.Error{Op: "pickle: read distributed checkpoint", File: r.file, Tensor: name, Offset: off, Err: fmt.Errorf("chunk is stored as %s, want zip: %w", kind, tensor.ErrUnsupported)}
	}
	c, err := readZip(r)
	if err != nil {
		return nil, err
	}
	d.c.blobs = append(d.c.blobs, c.blobs...)
	return c.roots[0].v, nil
}

func transforms(list []any) string {
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = kindOf(v)
		if s, ok := v.(string); ok {
			names[i] = escaped(s)
		}
	}
	return some(names)
}

// open opens a file of the folder; the description may name no other.
func (d *distributed) open(name, path string) (*opened, error) {
	if f, ok := d.opened[path]; ok {
		return f, nil
	}
	if err := checkKey(path); err != nil {
		return nil, d.fail(name, fmt.Errorf("path %.80q is not of a file in the folder: %w", path, tensor.ErrCorrupt))
	}
	r, size, err := d.files.Open(path)
	if err != nil {
		return nil, &tensor.Error{Op: "pickle: open", File: d.folder + "/" + path, Tensor: escaped(name), Err: err}
	}
	d.opened[path] = &opened{r, size}
	return d.opened[path], nil
}

// idle notes the files of the folder that the description does not name.
func (d *distributed) idle() error {
	names, err := d.files.Names()
	if err != nil {
		return &tensor.Error{Op: "pickle: list", File: d.folder, Err: err}
	}
	var idle []string
	for _, n := range names {
		if _, used := d.opened[n]; !used && strings.HasSuffix(n, ".distcp") {
			idle = append(idle, escaped(n))
		}
	}
	if len(idle) > 0 {
		d.r.note("files that the description does not name were not read: %s", some(idle))
	}
	return nil
}
