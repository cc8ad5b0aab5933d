package main

import (
	"strings"
	"testing"
)

func TestWhatRunsAModelIsSaidForEveryKind(t *testing.T) {
	for _, c := range []struct {
		name          string
		d             description
		runs, convert string
	}{
		{"llama checkpoint", description{Format: "PyTorch zip", Architecture: "llama"}, "nothing as it is", "{base}.gguf"},
		{"whisper checkpoint", description{Format: "PyTorch legacy", Architecture: "whisper"}, "whisper.cpp", ".bin"},
		{"unknown checkpoint", description{Format: "safetensors"}, "does not know its architecture", "--arch generic"},
		{"llama GGUF", description{Format: "GGUF v3", Architecture: "llama"}, "llama-cli -m", ""},
		{"other GGUF", description{Format: "GGUF v2", Architecture: "falcon"}, "if they know the architecture {arch}", ""},
		{"old GGUF", description{Format: "GGUF v1", Architecture: "llama"}, "convert it first", "-v3.gguf"},
		{"big-endian GGUF", description{Format: "GGUF v3 big-endian", Architecture: "llama"}, "byte order", "-le.gguf"},
		{"whisper GGUF", description{Format: "GGUF v3", Architecture: "whisper"}, "no program reads Whisper", ".bin"},
		{"generic GGUF", description{Format: "GGUF v3", Architecture: "generic"}, "nothing", ""},
		{"nameless GGUF", description{Format: "GGUF v3"}, "does not say", ""},
		{"whisper .bin", description{Format: "whisper.cpp ggml", Architecture: "whisper"}, "whisper-cli", ""},
		{"Ollama", description{Format: "GGUF v3", Architecture: "llama", Ollama: &storeEntry{}}, "ollama run", ".gguf"},
	} {
		u := useOf(&c.d)
		if !strings.Contains(u.runs, c.runs) || !strings.Contains(u.convert, c.convert) || (c.convert == "") != (u.convert == "") {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, u.runs, u.convert, c.runs, c.convert)
		}
	}
}

func TestCommandsSurviveACopyIntoAShell(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "models/a-1.pt", "models/a-1.pt"},
		{"blank", "my model.pt", "'my model.pt'"},
		{"quote", "it's", `'it'\''s'`},
		{"command", "$(rm -r x).pt", "'$(rm -r x).pt'"},
		{"empty", "", "''"},
		{"store", "ollama:hf.co/a/b:c", "ollama:hf.co/a/b:c"},
	} {
		if got := shellWord(c.in); got != c.want {
			t.Errorf("%s: shellWord(%q) = %s; want %s", c.name, c.in, got, c.want)
		}
	}
}
