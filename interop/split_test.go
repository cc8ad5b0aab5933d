//go:build interop

package interop

import (
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/smelt-project/smelt/quantize"
)

// shardsOf converts source to a GGUF of at most n tensors a file and returns its shards.
func shardsOf(t *testing.T, source string, n int) []string {
	t.Helper()
	var report struct{ Files []string }
	out := filepath.Join(t.TempDir(), "split.gguf")
	decode(t, []byte(smelt(t, "convert", source, out, "--json", "--split-max-tensors", strconv.Itoa(n))), &report)
	if len(report.Files) < 2 {
		t.Fatalf("%d shards", len(report.Files))
	}
	return report.Files
}

func TestLlamaRunsTheShardsAsTheWhole(t *testing.T) {
	need(t, llamaCpp)
	whole := smollm2F16(t)
	shards := shardsOf(t, whole, 100)
	prompts := []prompt{{Text: "The capital of France is", Predict: 8}}
	got, want := llama(t, shards[0], prompts), llama(t, whole, prompts)
	if len(want[0].Continued) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("from the shards %v, from the whole %v", got, want)
	}
}

// llama.cpp quantizes shard by shard; together they are what it makes of the whole.
func TestShardsOfLlamaCppMergeToItsWholeFile(t *testing.T) {
	libraries := filepath.Dir(need(t, ggmlBase))
	py := need(t, python)
	recipe, err := quantize.ParseRecipe("Q4_K_M")
	if err != nil {
		t.Fatal(err)
	}
	whole := smollm2F16(t)
	shards := shardsOf(t, whole, 100)
	dir := t.TempDir()
	quantized := func(source, name string, flags ...string) string {
		out := filepath.Join(dir, name)
		script(t, py, "llama_quantize.py", append([]string{libraries, source, out, strconv.Itoa(int(recipe.FileType))}, flags...)...)
		return out
	}
	want := quantized(whole, "whole.gguf")
	quantized(shards[0], "q", "--keep-split")
	written, err := filepath.Glob(filepath.Join(dir, "q-*.gguf"))
	if err != nil || len(written) != len(shards) {
		t.Fatalf("llama.cpp wrote %d shards of %d, %v", len(written), len(shards), err)
	}
	merged := filepath.Join(dir, "merged.gguf")
	smelt(t, "merge", written[1], merged)
	sameQuantized(t, inspect(t, merged), inspect(t, want))
}

func TestShardsOfTheGGUFPackageMergeToTheirSource(t *testing.T) {
	py := need(t, python)
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.gguf")
	smelt(t, "convert", stories(t), whole)
	script(t, py, "gguf_split.py", whole, filepath.Join(dir, "s.gguf"), "20")
	merged := filepath.Join(dir, "merged.gguf")
	smelt(t, "merge", filepath.Join(dir, "s-00003-of-00003.gguf"), merged)
	got, want := inspect(t, merged), inspect(t, whole)
	sameTensors(t, got.Tensors, want.Tensors)
	if !reflect.DeepEqual(got.Metadata, want.Metadata) || !slices.EqualFunc(got.Tensors, want.Tensors, func(a, b tensorInfo) bool { return a.Name == b.Name }) {
		t.Errorf("metadata %v, want %v", got.Metadata, want.Metadata)
	}
}
