package pickle

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// A tarCheckpoint is what PyTorch 0.1 writes; tests change a part of it.
type tarCheckpoint struct{ system, storages, tensors, pickle, tail string }

func ordinaryTar() tarCheckpoint {
	le := binary.LittleEndian
	head := string(le.AppendUint32(nil, 2)) + "\x00\x00\x00\x00"
	return tarCheckpoint{
		system: pyPickle(pyDict(pyStr("little_endian"), "\x88")),
		storages: pyPickle(pyInt(1)) + pyPickle(pyTuple(pyInt(10), pyStr("cpu"), pyGlobal("torch.FloatStorage"))) + i64s(6) + counting(6) +
			pyPickle(pyList(pyTuple(pyInt(11), pyInt(10), pyInt(2), pyInt(4)))),
		tensors: pyPickle(pyInt(2)) +
			pyPickle(pyTuple(pyInt(20), pyInt(10), pyGlobal("torch.FloatTensor"))) + head + i64s(3, 2, 1, 3, 0) +
			pyPickle(pyTuple(pyInt(21), pyInt(11), pyGlobal("torch.FloatTensor"))) + head + i64s(1, 2, 2, 1, 1),
		pickle: pyPickle(pyDict(pyStr("t"), pyInt(20)+"Q", pyStr("part"), pyStr("21")+"Q", pyStr("whole"), pyInt(10)+"Q")),
	}
}

func (c tarCheckpoint) bytes(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range []zipPart{{"sys_info", c.system}, {"pickle", c.pickle}, {"tensors", c.tensors}, {"storages", c.storages}} {
		if p.data == "" {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: p.name, Size: int64(len(p.data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(p.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b.WriteString(c.tail)
	return b.Bytes()
}

func TestTarOfTheFirstPyTorchIsRead(t *testing.T) {
	b := ordinaryTar().bytes(t)
	m := mustRead(t, b, Options{Strict: true})
	wantTensor(t, m, "t", tensor.F32, tensor.Shape{3, 2}, f32s(0, 3, 1, 4, 2, 5))
	wantTensor(t, m, "part", tensor.F32, tensor.Shape{1, 2}, f32s(3, 4))
	wantTensor(t, m, "whole", tensor.F32, tensor.Shape{6}, counting(6))
	if o := m.Tensor("part").Origin; string(b[o.Offset:o.Offset+8]) != f32s(3, 4) || o.Member != "storages" {
		t.Errorf("origin %+v", o)
	}
	if m.Format != "PyTorch tar" {
		t.Errorf("format %q", m.Format)
	}
	padded := ordinaryTar()
	padded.tail = strings.Repeat("\x00", 9000)
	mustRead(t, padded.bytes(t), Options{})
}

func TestDamagedTarIsRefused(t *testing.T) {
	replace := func(s *string, from, to string) { *s = strings.Replace(*s, from, to, 1) }
	for _, c := range []struct {
		name   string
		change func(*tarCheckpoint)
		class  error
		says   string
	}{
		{"no storages", func(c *tarCheckpoint) { c.storages = "" }, tensor.ErrUnsupported, `without the member "storages"`},
		{"bytes behind", func(c *tarCheckpoint) { c.tail = "x" }, tensor.ErrCorrupt, "bytes follow the end"},
		{"bytes behind the pickle", func(c *tarCheckpoint) { c.pickle += "x" }, tensor.ErrCorrupt, "1 bytes follow the end"},
		{"bytes behind the storages", func(c *tarCheckpoint) { c.storages += "x" }, tensor.ErrCorrupt, "1 bytes follow the end"},
		{"bytes behind the tensors", func(c *tarCheckpoint) { c.tensors += "x" }, tensor.ErrCorrupt, "1 bytes follow the end"},
		{"big-endian", func(c *tarCheckpoint) { replace(&c.system, "\x88", "\x89") }, tensor.ErrUnsupported, "little_endian is False"},
		{"storages to come", func(c *tarCheckpoint) { replace(&c.storages, pyInt(1), pyInt(1000)) }, tensor.ErrCorrupt, "count is a int 1000"},
		{"a storage of too many", func(c *tarCheckpoint) { replace(&c.storages, i64s(6), i64s(1<<40)) }, tensor.ErrCorrupt, "has 1099511627776 elements"},
		{"a storage of less than none", func(c *tarCheckpoint) { replace(&c.storages, i64s(6), i64s(-6)) }, tensor.ErrCorrupt, "count -6"},
		{"a storage of a class", func(c *tarCheckpoint) { replace(&c.storages, "FloatStorage", "FloatTensor") }, tensor.ErrCorrupt, "want a storage class"},
		{"a view outside", func(c *tarCheckpoint) {
			replace(&c.storages, pyInt(2)+pyInt(4), pyInt(3)+pyInt(4))
		}, tensor.ErrCorrupt, "takes elements 3 to 7 of storage 10 of 6"},
		{"a view of nothing", func(c *tarCheckpoint) {
			replace(&c.storages, pyInt(11)+pyInt(10), pyInt(11)+pyInt(12))
		}, tensor.ErrCorrupt, "of storage 12, which is not there"},
		{"one key twice", func(c *tarCheckpoint) {
			replace(&c.storages, pyInt(11)+pyInt(10), pyInt(10)+pyInt(10))
		}, tensor.ErrCorrupt, "key 10 is defined twice"},
		{"a tensor of nothing", func(c *tarCheckpoint) { replace(&c.tensors, pyInt(20)+pyInt(10), pyInt(20)+pyInt(12)) }, tensor.ErrCorrupt, "of storage 12, which is not there"},
		{"dimensions by the thousand", func(c *tarCheckpoint) {
			replace(&c.tensors, "\x02\x00\x00\x00\x00\x00\x00\x00"+i64s(3), "\x00\x10\x00\x00\x00\x00\x00\x00")
		}, tensor.ErrTooLarge, "has 4096 dimensions"},
		{"less than no dimensions", func(c *tarCheckpoint) {
			replace(&c.tensors, "\x02\x00\x00\x00\x00\x00\x00\x00"+i64s(3), "\xff\xff\xff\xff\x00\x00\x00\x00")
		}, tensor.ErrTooLarge, "has -1 dimensions"},
		{"a negative size", func(c *tarCheckpoint) { replace(&c.tensors, i64s(3, 2, 1, 3, 0), i64s(-3, 2, 1, 3, 0)) }, tensor.ErrCorrupt, "has size -3 and stride 1"},
		{"a negative offset", func(c *tarCheckpoint) { replace(&c.tensors, i64s(3, 2, 1, 3, 0), i64s(3, 2, 1, 3, -1)) }, tensor.ErrCorrupt, "has offset -1"},
		{"elements outside", func(c *tarCheckpoint) { replace(&c.tensors, i64s(3, 2, 1, 3, 0), i64s(3, 2, 1, 3, 1)) }, tensor.ErrCorrupt, "storage holds 6"},
		{"elements outside a view", func(c *tarCheckpoint) { replace(&c.tensors, i64s(1, 2, 2, 1, 1), i64s(1, 2, 2, 1, 3)) }, tensor.ErrCorrupt, "storage holds 4"},
		{"numbers cut off", func(c *tarCheckpoint) { c.tensors = c.tensors[:len(c.tensors)-1] }, tensor.ErrCorrupt, "40 bytes are needed, the member has 39 more"},
		{"a key that is not there", func(c *tarCheckpoint) { replace(&c.pickle, pyInt(20), pyInt(99)) }, tensor.ErrCorrupt, `persistent id "99"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			tc := ordinaryTar()
			c.change(&tc)
			_, err := readBytes(tc.bytes(t), Options{})
			wantError(t, err, c.class, c.says)
		})
	}
}
