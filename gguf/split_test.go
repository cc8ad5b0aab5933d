package gguf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// splitSet returns the three shards that the gguf package wrote.
func splitSet(tb testing.TB) memFiles {
	tb.Helper()
	set := memFiles{}
	for i := range 3 {
		name := ShardName("set", i, 3)
		set[name] = fixture(tb, name)
	}
	return set
}

func TestAnyShardGivesTheWholeModel(t *testing.T) {
	set := splitSet(t)
	for name := range set {
		m, err := ReadSet(set, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := m.Meta.Text("general.name"); got != "in three" {
			t.Errorf("%s: general.name %q, want that of the first shard", name, got)
		}
		if _, ok := m.Meta.Get("split.count"); ok {
			t.Errorf("%s: split.count is left in the metadata of the whole", name)
		}
		if len(m.Tensors()) != 5 {
			t.Fatalf("%s: %d tensors, want 5", name, len(m.Tensors()))
		}
		for i, x := range m.Tensors() {
			b, err := x.ReadAll()
			want := fmt.Sprintf("t.%d", i)
			if err != nil || x.Name != want || !bytes.Equal(b[:4], bytes.Repeat(b[12:16], 1)) || x.Origin.File != ShardName("set", i/2, 3) {
				t.Errorf("%s: tensor %d is %s of %s, %v; want %s of shard %d", name, i, x.Name, x.Origin.File, err, want, i/2+1)
			}
		}
	}
}

func TestFileThatIsNotSplitIsRead(t *testing.T) {
	files := memFiles{"m.gguf": fixture(t, "align64.gguf")}
	m, err := ReadSet(files, "m.gguf")
	if err != nil || len(m.Tensors()) != 2 {
		t.Errorf("%v, %v; want 2 tensors", m, err)
	}
}

// merged files keep split.count 0 (llama-gguf-split --merge)
func TestMergedFileIsNotAShard(t *testing.T) {
	meta := tensor.NewMeta(tensor.KV{Key: "split.no", Value: uint16(0)}, tensor.KV{Key: "split.count", Value: uint16(0)}, tensor.KV{Key: "split.tensors.count", Value: int32(1)})
	p, err := Place(meta, []tensor.Info{{Name: "a", DType: tensor.I8, Shape: tensor.Shape{1}}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadSet(memFiles{"merged.gguf": write(p, nil)}, "merged.gguf")
	if err != nil || len(m.Tensors()) != 1 {
		t.Errorf("%v, %v; want 1 tensor", m, err)
	}
}

// shard returns a file that says it is shard no of count of a model of tensors tensors.
func shardFile(tb testing.TB, no, count, tensors int, names ...string) []byte {
	tb.Helper()
	var infos []tensor.Info
	for _, n := range names {
		infos = append(infos, tensor.Info{Name: n, DType: tensor.I8, Shape: tensor.Shape{1}})
	}
	p, err := Place(tensor.NewMeta(
		tensor.KV{Key: "split.no", Value: uint16(no)},
		tensor.KV{Key: "split.count", Value: uint16(count)},
		tensor.KV{Key: "split.tensors.count", Value: int32(tensors)}), infos)
	if err != nil {
		tb.Fatal(err)
	}
	return write(p, nil)
}

func TestBrokenSetsAreNamed(t *testing.T) {
	a, b := ShardName("m", 0, 2), ShardName("m", 1, 2)
	one, two := shardFile(t, 0, 2, 2, "x"), shardFile(t, 1, 2, 2, "y")
	plain := fixture(t, "align64.gguf")
	tests := []struct {
		name  string
		files memFiles
		open  string
		want  error
		says  []string
	}{
		{"missing", memFiles{a: one}, a, tensor.ErrNotFound, []string{"1 of 2 shards are missing", b, "fetch"}},
		{"missing first", memFiles{b: two}, b, tensor.ErrNotFound, []string{a}},
		{"renamed sibling", memFiles{a: one, "second.gguf": two}, a, tensor.ErrNotFound, []string{b, `"second.gguf" says that it is shard 2`}},
		{"renamed", memFiles{"first.gguf": one, b: two}, "first.gguf", tensor.ErrNotFound, []string{"shard 1 of 2", "first-00001-of-00002.gguf"}},
		{"swapped", memFiles{a: two, b: one}, a, tensor.ErrCorrupt, []string{"is shard 2 of 2, its name says 1 of 2"}},
		{"doubled", memFiles{a: one, b: one}, a, tensor.ErrCorrupt, []string{b, "shard 1 was copied over it"}},
		{"sibling of another set", memFiles{a: one, b: shardFile(t, 1, 2, 9, "y")}, a, tensor.ErrCorrupt, []string{b, "9 tensors", "mixed"}},
		{"sibling of a longer set", memFiles{a: one, b: shardFile(t, 1, 3, 2, "y")}, a, tensor.ErrCorrupt, []string{b, "3 shards", "mixed"}},
		{"sibling not split", memFiles{a: one, b: plain}, a, tensor.ErrCorrupt, []string{b, "not a shard"}},
		{"sibling not GGUF", memFiles{a: one, b: []byte("<!DOCTYPE html>")}, a, tensor.ErrCorrupt, []string{b, "<!DO"}},
		{"tensor in both", memFiles{a: one, b: shardFile(t, 1, 2, 2, "x")}, a, tensor.ErrCorrupt, []string{b, a, `"x"`}},
		{"tensors missing", memFiles{a: shardFile(t, 0, 2, 3, "x"), b: shardFile(t, 1, 2, 3, "y")}, a, tensor.ErrCorrupt, []string{"split.tensors.count is 3", "hold 2"}},
		{"number past count", memFiles{a: shardFile(t, 2, 2, 2, "x")}, a, tensor.ErrCorrupt, []string{"split.no 2 of split.count 2"}},
		{"65535 shards", memFiles{ShardName("m", 0, 65535): shardFile(t, 0, 65535, 2, "x")}, ShardName("m", 0, 65535), tensor.ErrNotFound, []string{"65534 of 65535", "65526 more"}},
		{"not there", memFiles{}, a, nil, []string{a}},
	}
	for _, tt := range tests {
		_, err := ReadSet(tt.files, tt.open)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			continue
		}
		for _, s := range tt.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: error lacks %q: %v", tt.name, s, err)
			}
		}
	}
}

func TestShardNamesAreLlamaCpps(t *testing.T) {
	if got := ShardName("dir/m", 1, 12); got != "dir/m-00002-of-00012.gguf" {
		t.Errorf("ShardName = %q", got)
	}
	tests := []struct {
		name   string
		prefix string
		no, of int
		ok     bool
	}{
		{"dir/m-00002-of-00012.gguf", "dir/m", 1, 12, true},
		{"-00001-of-00001.gguf", "", 0, 1, true},
		{"m-00000-of-00012.gguf", "", 0, 0, false},
		{"m-00013-of-00012.gguf", "", 0, 0, false},
		{"m-2-of-12.gguf", "", 0, 0, false},
		{"m-00002-of-00012.gguf.part", "", 0, 0, false},
		{"m.gguf", "", 0, 0, false},
	}
	for _, tt := range tests {
		prefix, no, of, ok := ParseShardName(tt.name)
		if prefix != tt.prefix || no != tt.no || of != tt.of || ok != tt.ok {
			t.Errorf("ParseShardName(%q) = %q, %d, %d, %v; want %q, %d, %d, %v", tt.name, prefix, no, of, ok, tt.prefix, tt.no, tt.of, tt.ok)
		}
	}
}

// What Shards counts is what Place lays out, and no file but those of one
// tensor is larger than the limit.
func TestShardsAreAsLargeAsPlaceSays(t *testing.T) {
	meta := tensor.NewMeta(tensor.KV{Key: "general.name", Value: strings.Repeat("n", 301)}, tensor.KV{Key: "split.count", Value: uint16(0)})
	var infos []tensor.Info
	for i := range 60 {
		infos = append(infos, tensor.Info{Name: fmt.Sprintf("t.%d", i), DType: tensor.I8, Shape: tensor.Shape{1 + i%7, 1 + 37*i%211}})
	}
	for _, align := range []uint32{0, 8, 64} {
		meta := meta
		if align > 0 {
			meta = meta.With(tensor.KV{Key: "general.alignment", Value: align})
		}
		for _, limit := range []Limit{{Bytes: 1}, {Bytes: 900}, {Bytes: 4000}, {Bytes: 1 << 30}, {Tensors: 1}, {Tensors: 7}, {Bytes: 3000, Tensors: 9}} {
			ends, err := limit.Shards(meta, infos)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := Place(withoutSplit(meta), infos)
			if err != nil {
				t.Fatal(err)
			}
			overhead, err := limit.Overhead(whole.Size, len(infos))
			if err != nil {
				t.Fatal(err)
			}
			from, total := 0, int64(0)
			for i, end := range ends {
				place := func(to int) int64 {
					p, err := Place(ShardMeta(meta, i, len(ends), len(infos)), infos[from:to])
					if err != nil {
						t.Fatal(err)
					}
					return p.Size
				}
				n, size := end-from, place(end)
				if n == 0 || limit.Tensors > 0 && n > limit.Tensors || limit.Bytes > 0 && size > limit.Bytes && n > 1 {
					t.Errorf("align %d, %+v: shard %d has %d tensors, %d bytes", align, limit, i, n, size)
				}
				if end < len(infos) && (limit.Tensors == 0 || n < limit.Tensors) && (limit.Bytes == 0 || place(end+1) <= limit.Bytes) {
					t.Errorf("align %d, %+v: shard %d ends after %d tensors, one more fits", align, limit, i, n)
				}
				from, total = end, total+size
			}
			if from != len(infos) || total > whole.Size+overhead {
				t.Errorf("align %d, %+v: %d tensors in %d bytes; want %d in at most %d + %d", align, limit, from, total, len(infos), whole.Size, overhead)
			}
		}
	}
}

func TestTooManyShardsAreRefused(t *testing.T) {
	infos := make([]tensor.Info, 65536)
	for i := range infos {
		infos[i] = tensor.Info{Name: fmt.Sprint(i), DType: tensor.I8, Shape: tensor.Shape{1}}
	}
	if _, err := (Limit{Tensors: 1}).Shards(tensor.Meta{}, infos); !errors.Is(err, tensor.ErrTooLarge) {
		t.Errorf("65536 shards: %v", err)
	}
	if ends, err := (Limit{Tensors: 2}).Shards(tensor.Meta{}, infos); err != nil || len(ends) != 32768 {
		t.Errorf("32768 shards: %d, %v", len(ends), err)
	}
}
