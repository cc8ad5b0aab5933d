package gguf

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"
)

var seeds = []string{"keys_le.gguf", "keys_be.gguf", "blocks_le.gguf", "blocks_be.gguf", "align64.gguf", "v1.gguf", "v2.gguf"}

// Whatever Read accepts can be read to its end, laid out again, and reads back
// the same; and memory follows the size of the file.
func FuzzRead(f *testing.F) {
	for _, name := range seeds {
		f.Add(fixture(f, name))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := readBytes(file)
		runtime.ReadMemStats(&after)
		// A file of tensor rows of 25 bytes costs most: about 400 bytes each in
		// maps, infos and readers, and slices that double as they grow.
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+64*len(file)); got > limit {
			t.Errorf("%d bytes allocated for a file of %d, limit %d", got, len(file), limit)
		}
		if err != nil {
			return
		}
		again, err := readBytes(rewrite(t, m))
		if err != nil {
			t.Fatalf("does not read back: %v", err)
		}
		if got, want := len(again.Meta.All()), len(stored(m.Meta)); got != want {
			t.Fatalf("%d keys, want %d", got, want)
		}
		for i, kv := range stored(m.Meta) {
			if got := again.Meta.All()[i]; got.Key != kv.Key || reflect.TypeOf(got.Value) != reflect.TypeOf(kv.Value) {
				t.Errorf("key %q %T, want %q %T", got.Key, got.Value, kv.Key, kv.Value)
			}
		}
		for i, want := range m.Tensors() {
			got := again.Tensors()[i]
			a, err := got.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			b, err := want.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != want.Name || got.DType != want.DType || !got.Shape.Equal(storedShape(want.Shape)) || !bytes.Equal(a, b) {
				t.Errorf("tensor %q %v %v, want %q %v %v and the same bytes", got.Name, got.DType, got.Shape, want.Name, want.DType, want.Shape)
			}
		}
	})
}

// Two files that claim to be a set are refused or give all their tensors.
func FuzzReadSet(f *testing.F) {
	one, two := shardFile(f, 0, 2, 2, "x"), shardFile(f, 1, 2, 2, "y")
	f.Add(one, two)
	f.Add(two, one)
	f.Add(one, one)
	f.Add(one, fixture(f, "align64.gguf"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		files := memFiles{ShardName("m", 0, 2): first, ShardName("m", 1, 2): second}
		m, err := ReadSet(files, ShardName("m", 0, 2))
		if err != nil {
			return
		}
		for _, x := range m.Tensors() {
			if _, err := x.ReadAll(); err != nil {
				t.Errorf("%s: accepted, then %v", x.Name, err)
			}
		}
	})
}
