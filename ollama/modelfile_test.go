package ollama_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

// readModelfile is a reader of the Modelfile language with the rules of ollama
// parser/parser.go@fb3076099: values end at a line break once their quotes are
// closed, and runes that do not print are dropped.
func readModelfile(text string) (commands []string, err error) {
	for rest := strings.ToValidUTF8(text, "\uFFFD"); rest != ""; {
		line, after, _ := strings.Cut(rest, "\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			rest = after
			continue
		}
		command, tail, _ := strings.Cut(rest, " ")
		if strings.ContainsAny(command, "\r\n") {
			return nil, fmt.Errorf("no value in %q", command)
		}
		if command == "PARAMETER" || command == "MESSAGE" {
			var name string
			name, tail, _ = strings.Cut(tail, " ")
			command += " " + name
		}
		var value string
		if value, rest, err = readValue(tail); err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		commands = append(commands, command+"="+value)
	}
	return commands, nil
}

func readValue(s string) (value, rest string, err error) {
	var b strings.Builder
	for i, r := range s {
		if r == '\n' || r == '\r' {
			if value, closed := closedValue(b.String()); closed {
				return value, s[i+1:], nil
			}
		}
		if strconv.IsPrint(r) || r == '\n' || r == '\r' || r == '\t' {
			b.WriteRune(r)
		}
	}
	value, closed := closedValue(b.String())
	if !closed {
		return "", "", fmt.Errorf("quotes are not closed in %q", b.String())
	}
	return value, "", nil
}

func closedValue(s string) (string, bool) {
	s = strings.TrimSpace(s)
	switch {
	case len(s) >= 3 && s[:3] == `"""`:
		if len(s) < 6 || s[len(s)-3:] != `"""` {
			return "", false
		}
		return s[3 : len(s)-3], true
	case len(s) >= 1 && s[0] == '"':
		if len(s) < 2 || s[len(s)-1] != '"' {
			return "", false
		}
		return s[1 : len(s)-1], true
	}
	return s, true
}

func TestModelfileMakesTheModelAgain(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	got := s.Resolve("smol").Modelfile(ollama.ModelfileOptions{From: "./smol.gguf"})
	want := `# Makes "smol:latest" again: ollama create NAME -f Modelfile
FROM ./smol.gguf
TEMPLATE """{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ .Prompt }}"""
SYSTEM """You are a helpful AI assistant."""
PARAMETER stop "<|im_start|>"
PARAMETER stop "<|im_end|>"
PARAMETER temperature 1
PARAMETER num_ctx 2048
LICENSE """Apache License
Version 2.0"""
MESSAGE user """Hi"""
MESSAGE assistant """Hello!"""
`
	if got != want {
		t.Errorf("Modelfile:\n%s\nwant:\n%s", got, want)
	}
}

func TestModelfileNamesEveryExportedFile(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("x",
		s.Layer(ollama.RoleConfig, `{"renderer":"qwen3-coder","parser":"qwen3-coder","requires":"0.19.0"}`),
		s.Layer(ollama.RoleModel, "m"), s.Layer(ollama.RoleProjector, "p"), s.Layer(ollama.RoleAdapter, "a"),
		s.Layer(ollama.RoleAdapter, "b"), s.Layer(ollama.RoleDraft, "d"))
	m := s.Resolve("x")
	got, err := readModelfile(m.Modelfile(ollama.ModelfileOptions{From: "./my model.gguf", Projectors: []string{"./p.gguf"}, Adapters: []string{"a.gguf"}, Draft: "./d.gguf"}))
	want := []string{"FROM=./my model.gguf", "FROM=./p.gguf", "ADAPTER=a.gguf", "DRAFT=./d.gguf",
		"RENDERER=qwen3-coder", "PARSER=qwen3-coder", "REQUIRES=0.19.0"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Modelfile reads as %q, %v; want %q", got, err, want)
	}
	text := m.Modelfile(ollama.ModelfileOptions{})
	for _, want := range []string{"FROM ./model.gguf\n", "# FROM: not exported: projector sha256:", "# ADAPTER: not exported: adapter sha256:", "# DRAFT: not exported: draft sha256:"} {
		if !strings.Contains(text, want) {
			t.Errorf("Modelfile lacks %q:\n%s", want, text)
		}
	}
}

// systemOf returns how Ollama reads the SYSTEM of a model's Modelfile.
func systemOf(t *testing.T, system string) (value string, found bool, text string) {
	t.Helper()
	s := ollamatest.New(t)
	s.Model("x", s.Layer(ollama.RoleModel, "m"), s.Layer(ollama.RoleSystem, system), s.Layer(ollama.RoleLicense, "end"))
	text = s.Resolve("x").Modelfile(ollama.ModelfileOptions{})
	commands, err := readModelfile(text)
	if err != nil {
		t.Fatalf("SYSTEM %q makes a Modelfile that is none: %v\n%s", system, err, text)
	}
	if n := len(commands); commands[0] != "FROM=./model.gguf" || commands[n-1] != "LICENSE=end" || n > 3 {
		t.Fatalf("SYSTEM %q spills over: %q", system, commands)
	}
	if len(commands) == 3 {
		value, found = strings.CutPrefix(commands[1], "SYSTEM=")
	}
	return value, found, text
}

func TestModelfileQuotesReadBack(t *testing.T) {
	for _, system := range []string{
		`plain`, ` space around `, "\ttab\t", "two\nlines", "\nbreak first and last\n", "dos\r\nlines\r\n",
		`"`, `""`, `"""`, `""""`, `a "quoted" word`, `"quoted"`, `ends in "`, `"begins`, `"""three"""`,
		"line ends in \"\nmore", "line begins\n\"with\" quotes", `has """ inside`, "# no comment", "FROM x", "x\nFROM evil",
		"x\n\"\"\" y\nz", "日本語 ｜ ▁ 🙂", `back\slash\n`, "{{- range .Messages }}\n{{ end }}",
	} {
		if got, found, text := systemOf(t, system); !found || got != system {
			t.Errorf("SYSTEM %q reads back as %q, %v:\n%s", system, got, found, text)
		}
	}
}

func TestModelfileTellsWhatItCannotHold(t *testing.T) {
	for _, tt := range []struct{ name, system, reads, comment string }{
		{"three quotes at a line's end", "a \"\"\"\nb", "", "# SYSTEM: left out: no quotes can hold its 7 bytes"},
		{"three quotes and space at a line's end", "\"\"\" \t\r\nb", "", "# SYSTEM: left out"},
		{"no-break space", "a\u00a0b\u200b", "ab", `# SYSTEM: Ollama drops 2 characters that do not print, the first of them "\u00a0"`},
		{"control characters", "a\x00\x1bb", "ab", `the first of them "\x00"`},
		{"not UTF-8", "a\xffb", "a\uFFFDb", `the first of them "\xff"`},
		{"dropped ones before a line's end", "\"\"\"\u200b\nb", "", "# SYSTEM: left out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, found, text := systemOf(t, tt.system)
			if got != tt.reads || found != (tt.reads != "") || !strings.Contains(text, tt.comment) {
				t.Errorf("SYSTEM %q reads back as %q, %v; want %q and %q in\n%s", tt.system, got, found, tt.reads, tt.comment, text)
			}
		})
	}
}

func TestModelfileLeavesOutWhatCreateRefuses(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("x", s.Layer(ollama.RoleModel, "m"),
		s.Layer(ollama.RoleParams, `{"num_gqa":8,"top_k":0.5,"stop":"x","evil\nFROM y":1,"temperature":0.7,"seed":-1,"use_mmap":true,"top_p":[1],"min_p":1e-7}`),
		s.Layer(ollama.RoleMessages, `[{"role":"tool","content":"t"},{"role":"user","content":"hi","images":["eA=="]},{"role":"x\ny","content":""}]`))
	text := s.Resolve("x").Modelfile(ollama.ModelfileOptions{})
	got, err := readModelfile(text)
	want := []string{"FROM=./model.gguf", "PARAMETER temperature=0.7", "PARAMETER seed=-1", "PARAMETER use_mmap=true", "PARAMETER min_p=1e-07", "MESSAGE user=hi"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Modelfile reads as %q, %v; want %q", got, err, want)
	}
	for _, want := range []string{
		`# PARAMETER "num_gqa": left out: "ollama create" does not take "8"`, `# PARAMETER "top_k": left out`, `# PARAMETER "stop": left out`,
		`# PARAMETER "evil\nFROM y": left out`, `# PARAMETER "top_p": left out: "ollama create" does not take "[1]"`,
		`# MESSAGE: left out: the role "tool"`, `# MESSAGE: left out: the role "x\ny"`, `# MESSAGE: the next one also has "images"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("Modelfile lacks %q:\n%s", want, text)
		}
	}
}

// A writer that looks back over all blank lines at each would take hours here.
func TestModelfileOfManyBlankLinesIsWhole(t *testing.T) {
	system := strings.Repeat("\n", 4<<20)
	s := ollamatest.New(t)
	s.Model("x", s.Layer(ollama.RoleModel, "m"), s.Layer(ollama.RoleSystem, system))
	text := s.Resolve("x").Modelfile(ollama.ModelfileOptions{})
	if want := "\nSYSTEM \"\"\"" + system + "\"\"\"\n"; !strings.HasSuffix(text, want) {
		t.Errorf("Modelfile of %d bytes does not end in the system prompt", len(text))
	}
}

func FuzzModelfileValue(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\"\"\"\n", "\"", "\"\"", " x ", "\u00a0\"\n", "\xff", "\r", "#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		m := ollama.Model{Messages: []ollama.Message{{Role: "user", Content: content}}}
		text := m.Modelfile(ollama.ModelfileOptions{})
		commands, err := readModelfile(text)
		if err != nil || len(commands) == 0 || len(commands) > 2 || commands[0] != "FROM=./model.gguf" {
			t.Fatalf("content %q makes %q, %v", content, commands, err)
		}
		if len(commands) == 1 {
			if !strings.Contains(text, "# MESSAGE user: left out") {
				t.Fatalf("content %q is lost without a word:\n%s", content, text)
			}
			return
		}
		got := strings.TrimPrefix(commands[1], "MESSAGE user=")
		if got != content && !strings.Contains(text, "# MESSAGE user: Ollama drops") {
			t.Fatalf("content %q reads back as %q without a word", content, got)
		}
	})
}

func TestMetadataKeysAndTypes(t *testing.T) {
	s := ollamatest.New(t)
	s.Model("me/x:1",
		s.Layer(ollama.RoleConfig, `{"renderer":"r","parser":"p","requires":"0.1.0","capabilities":["completion","tools"]}`),
		s.Layer(ollama.RoleModel, "m"), s.Layer(ollama.RoleTemplate, "{{ .Prompt }}"), s.Layer(ollama.RoleSystem, "sys"),
		s.Layer(ollama.RoleMessages, "[ {\"role\" : \"user\",\n \"content\":\"hi\"} ]"),
		s.Layer(ollama.RoleLicense, "MIT"), s.Layer(ollama.RoleLicense, "BSD"),
		s.Layer(ollama.RoleParams, `{"temperature":1,"top_k":40,"stop":["a"],"use_mmap":true,"new":0.1,"other":{"a": 1},"bad key":1,"x-y":2}`))
	m := s.Resolve("me/x:1")
	want := []ollama.KV{
		{"ollama.name", "me/x:1"},
		{"ollama.template", "{{ .Prompt }}"},
		{"ollama.system", "sys"},
		{"ollama.messages", `[{"role":"user","content":"hi"}]`},
		{"ollama.license", []string{"MIT", "BSD"}},
		{"ollama.renderer", "r"},
		{"ollama.parser", "p"},
		{"ollama.requires", "0.1.0"},
		{"ollama.capabilities", []string{"completion", "tools"}},
		{"ollama.params.temperature", float32(1)},
		{"ollama.params.top_k", int64(40)},
		{"ollama.params.stop", []string{"a"}},
		{"ollama.params.use_mmap", true},
		{"ollama.params.new", 0.1},
		{"ollama.params.other", `{"a": 1}`},
	}
	if got := m.Metadata(); !reflect.DeepEqual(got, want) {
		t.Errorf("Metadata:\n got %#v\nwant %#v", got, want)
	}
	if notes := strings.Join(m.Notes, "\n"); !strings.Contains(notes, `"bad key" is left out`) || !strings.Contains(notes, `"x-y" is left out`) {
		t.Errorf("Notes = %q; want the names that no key can have", notes)
	}
	wantSampling := []ollama.KV{{"general.sampling.temp", float32(1)}, {"general.sampling.top_k", int32(40)}}
	if got := m.Sampling(); !reflect.DeepEqual(got, wantSampling) {
		t.Errorf("Sampling = %#v; want %#v", got, wantSampling)
	}
}

func TestMessagesInMetadataStayJSON(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	for _, kv := range s.Resolve("smol").Metadata() {
		if kv.Key == "ollama.messages" && !json.Valid([]byte(kv.Value.(string))) {
			t.Errorf("%s = %v is not JSON", kv.Key, kv.Value)
		}
	}
}
