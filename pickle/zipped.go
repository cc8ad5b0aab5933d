package pickle

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A zipped is a checkpoint of PyTorch 1.6 and later, or TorchScript
// (torch/serialization.py; caffe2/serialize/inline_container.h).
type zipped struct {
	r     *reader
	a     *archive
	big   bool             // storages are big-endian
	blobs map[string]*blob // by member, without the root
	c     *checkpoint
}

func readZip(r *reader) (*checkpoint, error) {
	a, err := openZip(r.src, r.size, r.file, r.lim)
	if err != nil {
		return nil, err
	}
	z := &zipped{r: r, a: a, blobs: map[string]*blob{}, c: &checkpoint{format: "PyTorch zip"}}
	z.fact("container", "zip")
	z.fact("root", escaped(a.root()))
	if z.big, err = z.bigEndian(); err != nil {
		return nil, err
	}
	if err := z.facts(); err != nil {
		return nil, err
	}
	if err := z.pickle("", "data"); err != nil {
		return nil, err
	}
	if _, ok := a.member("constants.pkl"); ok {
		z.c.format = "PyTorch zip (TorchScript)"
		z.fact("torchscript", true)
		if err := z.pickle("constants", "constants"); err != nil {
			return nil, err
		}
	}
	z.finish()
	return z.c, nil
}

func (z *zipped) fact(key string, value any) {
	z.c.facts = append(z.c.facts, tensor.KV{Key: key, Value: value})
}

func (z *zipped) fail(member string, err error) error {
	return &tensor.Error{Op: "pickle: read zip", File: z.r.file, Member: member, Err: err}
}

// small reads a member of a few bytes, "" if it is not there.
func (z *zipped) small(name string) (string, error) {
	const limit = 1024
	m, ok := z.a.member(name)
	if !ok {
		return "", nil
	}
	if m.Size > limit {
		return "", z.fail(m.Name, fmt.Errorf("%d bytes, want at most %d: %w", m.Size, limit, tensor.ErrCorrupt))
	}
	b, err := z.a.readAll(m, limit)
	return strings.TrimSpace(string(b)), err
}

func (z *zipped) bigEndian() (bool, error) {
	order, err := z.small("byteorder")
	if err != nil {
		return false, err
	}
	if order != "" {
		z.fact("byteorder", escaped(order))
	}
	switch order {
	case "", "little":
		return false, nil
	case "big":
		return true, nil
	}
	return false, z.fail("byteorder", fmt.Errorf("byte order %.40q, want little or big: %w", order, tensor.ErrUnsupported))
}

// facts reads the members that describe the file.
func (z *zipped) facts() error {
	for _, f := range []struct{ key, member string }{
		{"version", "version"},
		{"version", ".data/version"},
		{"format_version", ".format_version"},
		{"alignment", ".storage_alignment"},
		{"serialization_id", ".data/serialization_id"},
	} {
		text, err := z.small(f.member)
		if err != nil {
			return err
		}
		if text == "" {
			continue
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && f.key != "serialization_id" {
			z.fact(f.key, n)
			continue
		}
		z.fact(f.key, escaped(text))
	}
	return nil
}

// pickle runs name.pkl, whose storages are the members of the folder name.
func (z *zipped) pickle(as, name string) error {
	m, ok := z.a.member(name + ".pkl")
	if !ok {
		return z.fail("", fmt.Errorf("no %s/%s.pkl among %d members; PyTorch checkpoints have one: %w", escaped(z.a.root()), name, len(z.a.members()), tensor.ErrNotFound))
	}
	b, err := z.a.readAll(m, z.r.lim.Pickle)
	if err != nil {
		return err
	}
	a := audit(b, z.r.lim)
	v, err := z.r.run(m.Name, 0, b, a, func(id storageID) (any, error) { return z.storage(name, id) })
	if err != nil {
		return err
	}
	if err := z.r.ends(m.Name, a.Size, int64(len(b))); err != nil {
		return err
	}
	if as == "" {
		z.fact("protocol", int64(a.Protocol))
	}
	z.c.roots = append(z.c.roots, child{name: as, v: v})
	return nil
}

// storage finds the member of a persistent id.
func (z *zipped) storage(folder string, id storageID) (any, error) {
	if id.bare || id.view != nil {
		return nil, fmt.Errorf("persistent id of storage %.40q is not of the zip container: %w", id.key, tensor.ErrUnsupported)
	}
	if err := checkKey(id.key); err != nil {
		return nil, err
	}
	name := folder + "/" + id.key
	b, ok := z.blobs[name]
	if !ok {
		m, found := z.a.member(name)
		if !found {
			return nil, fmt.Errorf("storage %.40q: no member %s/%.80s: %w", id.key, escaped(z.a.root()), name, tensor.ErrNotFound)
		}
		var err error
		if b, err = z.blob(name, m); err != nil {
			return nil, err
		}
		z.blobs[name] = b
	}
	return id.over(b)
}

// checkKey refuses keys that could name another member than a storage.
func checkKey(key string) error {
	if key == "" || len(key) > 128 || strings.Trim(key, ".") == "" {
		return fmt.Errorf("storage key %.40q: %w", key, tensor.ErrCorrupt)
	}
	for _, c := range []byte(key) {
		if c == '/' || c == '\\' || c < 0x21 || c > 0x7e {
			return fmt.Errorf("storage key %.40q: %w", key, tensor.ErrCorrupt)
		}
	}
	return nil
}

func (z *zipped) blob(name string, m *member) (*blob, error) {
	b := &blob{id: z.r.prefix + name, file: z.r.file, member: m.Name, size: m.Size, offset: -1, big: z.big}
	if m.Method == methodStored {
		b.offset = z.r.base + m.Offset
	}
	var err error
	b.r, err = z.a.section(m)
	return b, err
}

// finish lists the storages in the order of the file, those that nothing refers
// to as well, and looks at their checksums.
func (z *zipped) finish() {
	filled, sums, compressed := 0, 0, 0
	for _, m := range z.a.members() {
		name := strings.TrimPrefix(m.Name, z.a.root()+"/")
		folder, _, _ := strings.Cut(name, "/")
		if folder != "data" && folder != "constants" || folder == name {
			continue
		}
		b, ok := z.blobs[name]
		if !ok {
			b = &blob{id: name, member: m.Name, size: m.Size}
		}
		z.c.blobs = append(z.c.blobs, b)
		if m.Size > 0 { // the checksum of nothing is zero
			filled++
		}
		if m.CRC32 != 0 {
			sums++
		}
		if m.Method != methodStored {
			compressed++
		}
	}
	if filled > 0 && sums == 0 {
		z.r.note("the file was written without checksums: damage to its tensors cannot be noticed")
	}
	if compressed > 0 {
		z.r.note("%d storages are compressed: each is inflated to a temporary file when it is first read", compressed)
	}
}
