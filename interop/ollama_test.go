//go:build interop

package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// store lays out the published SmolLM2 as an Ollama models directory and returns the directory and the GGUF.
func store(t *testing.T) (dir, gguf string) {
	t.Helper()
	py, gguf := need(t, python), need(t, model("smollm2-135m-instruct.Q4_1.gguf"))
	dir = t.TempDir()
	script(t, py, "make_store.py", dir, gguf, "smollm2:135m")
	return dir, gguf
}

func TestAnOllamaModelIsExportedBitForBit(t *testing.T) {
	dir, gguf := store(t)
	out := filepath.Join(t.TempDir(), "out.gguf")
	smelt(t, "convert", "ollama:smollm2:135m", out, "--ollama-dir", dir)
	py := need(t, python)
	sameTensors(t, dump(t, py, out).Tensors, dump(t, py, gguf).Tensors)
	sameTensors(t, inspect(t, out).Tensors, inspect(t, gguf).Tensors)
}

func TestAnExportedOllamaModelKeepsTemplateSystemAndParameters(t *testing.T) {
	dir, _ := store(t)
	out := filepath.Join(t.TempDir(), "out.gguf")
	smelt(t, "convert", "ollama:smollm2:135m", out, "--ollama-dir", dir)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(out), "*Modelfile*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("Modelfiles beside the export = %v (%v), want one", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"out.gguf", "{{ if .System }}<|im_start|>system", "You are a helpful AI assistant named SmolLM", "PARAMETER num_ctx 2048",
		"PARAMETER temperature 0.2", "<|im_end|>", "Apache License, Version 2.0"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("Modelfile has no %q:\n%s", want, b)
		}
	}
	text := strings.Builder{}
	for _, v := range dump(t, need(t, python), out).Metadata {
		if s, ok := v.Value.(string); ok {
			text.WriteString(s + "\n")
		}
	}
	for _, want := range []string{"{{ if .System }}<|im_start|>system", "You are a helpful AI assistant named SmolLM"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the metadata has no %q", want)
		}
	}
}

func TestRawExportIsTheIdenticalFile(t *testing.T) {
	dir, gguf := store(t)
	out := filepath.Join(t.TempDir(), "out.gguf")
	smelt(t, "convert", "ollama:smollm2:135m", out, "--ollama-dir", dir, "--raw")
	if got, want := fileSHA256(t, out), fileSHA256(t, gguf); got != want {
		t.Errorf("SHA-256 = %s, want %s", got, want)
	}
}

func TestLlamaAnswersFromTheExportAsFromTheOriginal(t *testing.T) {
	var g smollm2Golden
	golden(t, &g, "smollm2", "golden.json")
	need(t, llamaCpp)
	dir, gguf := store(t)
	out := filepath.Join(t.TempDir(), "out.gguf")
	smelt(t, "convert", "ollama:smollm2:135m", out, "--ollama-dir", dir)
	got, want := llama(t, out, g.requests()), llama(t, gguf, g.requests())
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the export answers\n%v, the original\n%v", got, want)
	}
}

func TestInspectExplainsAnOllamaModel(t *testing.T) {
	dir, gguf := store(t)
	got := inspect(t, "ollama:smollm2:135m", "--ollama-dir", dir)
	sameTensors(t, got.Tensors, inspect(t, gguf).Tensors)
	words := smelt(t, "inspect", "ollama:smollm2:135m", "--ollama-dir", dir)
	for _, want := range []string{fileSHA256(t, gguf)[:12], "template", "system", "license"} {
		if !strings.Contains(words, want) {
			t.Errorf("smelt inspect does not mention %q:\n%s", want, words)
		}
	}
}

func TestABlobThatIsNotItsDigestIsRefused(t *testing.T) {
	dir, gguf := store(t)
	blob := filepath.Join(dir, "blobs", "sha256-"+fileSHA256(t, gguf))
	f, err := os.OpenFile(blob, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var last [1]byte
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{last[0] ^ 1}, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.gguf")
	r := try(t, "convert", "ollama:smollm2:135m", out, "--ollama-dir", dir)
	if r.code == 0 || !strings.Contains(r.stderr, "sha256") {
		t.Errorf("exit %d, want a failure that names both digests\n%s", r.code, r.stderr)
	}
	onlyFiles(t, filepath.Dir(out))
}

func fileSHA256(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
