package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/arch"
	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/tensor"
)

// A description is what inspect says of a model; it is the JSON object that
// --json prints.
type description struct {
	Path         string         `json:"path"`
	Format       string         `json:"format"`
	Architecture string         `json:"architecture"` // "" if no table describes it
	Naming       string         `json:"naming,omitempty"`
	Parameters   int64          `json:"parameters"` // elements of the model's tensors, shared ones once
	DTypes       []dtypeUse     `json:"dtypes"`
	DiskBytes    int64          `json:"disk_bytes"`
	MemoryBytes  int64          `json:"memory_bytes"` // of the elements, shared ones once
	Files        []convert.File `json:"files"`
	Tokenizer    string         `json:"tokenizer"` // "" if there is none
	Runs         string         `json:"runs"`
	Convert      string         `json:"convert,omitempty"` // the command that makes it run
	Notes        []string       `json:"notes"`
	Ollama       *storeEntry    `json:"ollama,omitempty"`
	Metadata     metadata       `json:"metadata"`
	Tensors      []tensorRow    `json:"tensors"`

	beside int // tensors that are not the model's
}

// A dtypeUse says how much of a model has one type.
type dtypeUse struct {
	DType   string `json:"dtype"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

// A storeEntry is the model of an Ollama store.
type storeEntry struct {
	Name  string     `json:"name"`
	Blobs []blobLine `json:"blobs"`
}

// A blobLine is one blob of it.
type blobLine struct {
	Role   ollama.Role `json:"role"`
	Digest string      `json:"digest"`
	Bytes  int64       `json:"bytes"`
	Path   string      `json:"path"`
	Used   bool        `json:"used"`
	About  string      `json:"about"`
}

// A tensorRow is one tensor; Shape is outermost first.
type tensorRow struct {
	Name   string `json:"name"`
	DType  string `json:"dtype"`
	Shape  []int  `json:"shape"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
	Note   string `json:"note,omitempty"`
}

// describe says what src is. It reads no tensor data.
func describe(src *convert.Source) *description {
	m := src.Model
	d := &description{
		Path: src.Path, Format: m.Format, Files: src.Files, DiskBytes: src.Bytes(),
		Notes: slices.Clone(m.Notes), Metadata: metadata(m.Meta), DTypes: []dtypeUse{},
	}
	if d.Notes == nil {
		d.Notes = []string{}
	}
	prefix := d.detect(src)
	d.count(m, prefix)
	d.Tokenizer = findTokenizer(src, d.Architecture)
	d.Ollama = entryOf(src.Store)
	if src.Store != nil {
		for _, kv := range src.Store.Metadata() {
			d.Metadata = metadata(tensor.Meta(d.Metadata).With(tensor.KV{Key: kv.Key, Value: kv.Value}))
		}
	}
	u := useOf(d)
	fill := strings.NewReplacer("{path}", shellWord(d.Path), "{file}", shellWord(firstFile(d)), "{base}", shellWord(baseName(d)), "{arch}", d.Architecture, "{name}", shellWord(storeName(d)))
	d.Runs, d.Convert = fill.Replace(u.runs), fill.Replace(u.convert)
	return d
}

// detect sets the architecture and returns what the model's tensors are under.
func (d *description) detect(src *convert.Source) (prefix string) {
	if src.Canonical {
		d.Architecture = src.Model.Meta.Text("general.architecture")
		return ""
	}
	match, err := arch.Detect(src.Model, "")
	if err == nil {
		d.Architecture, d.Naming = match.Spec.Name, match.String()
		return match.Prefix
	}
	var unknown *arch.UnknownError
	if !errors.As(err, &unknown) || unknown.Closest != "" {
		d.Notes = append(d.Notes, message(err))
	}
	return ""
}

// count adds up the tensors; those that share a storage take memory once, and
// only those under prefix are parameters of the model.
func (d *description) count(m *tensor.Model, prefix string) {
	seen := map[tensor.Origin]bool{}
	at := map[tensor.DType]int{}
	for _, t := range m.Tensors() {
		i, ok := at[t.DType]
		if !ok {
			i = len(d.DTypes)
			at[t.DType] = i
			d.DTypes = append(d.DTypes, dtypeUse{DType: t.DType.String()})
		}
		d.DTypes[i].Tensors++
		inside := strings.HasPrefix(t.Name, prefix)
		if !inside {
			d.beside++
		}
		if place := placeOf(t); seen[place] {
			continue
		} else if place != (tensor.Origin{}) {
			seen[place] = true
		}
		d.DTypes[i].Bytes += t.Size()
		d.MemoryBytes += t.Size()
		if n, err := t.Shape.Elems(); err == nil && inside {
			d.Parameters += n
		}
	}
	slices.SortStableFunc(d.DTypes, func(a, b dtypeUse) int { return cmp.Compare(b.Bytes, a.Bytes) })
}

// placeOf says where the bytes of t are if other tensors may have the same.
func placeOf(t *tensor.Tensor) tensor.Origin {
	if t.Origin.Storage == "" || t.Origin.Offset < 0 {
		return tensor.Origin{}
	}
	return tensor.Origin{File: t.Origin.File, Storage: t.Origin.Storage, Offset: t.Origin.Offset}
}

// tokenizerFiles are what a vocabulary beside a checkpoint may be called.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer.model", "spiece.model"}

// findTokenizer says where the model's vocabulary is, "" if there is none.
func findTokenizer(src *convert.Source, architecture string) string {
	if kind := src.Model.Meta.Text("tokenizer.ggml.model"); kind != "" {
		if kind == "none" {
			return ""
		}
		return "in the file: " + kind
	}
	if _, ok := src.Model.Meta.Get("ggml.tokens"); ok {
		return "in the file"
	}
	if row, ok := builtIn[architecture]; ok {
		return row
	}
	for _, name := range tokenizerFiles {
		if _, err := os.Stat(filepath.Join(src.Folder, name)); !errors.Is(err, fs.ErrNotExist) && src.Folder != "" {
			return "beside the model: " + name
		}
	}
	return ""
}

// builtIn are architectures whose vocabularies are part of smelt.
var builtIn = map[string]string{"whisper": "Whisper's own, chosen by the size of the vocabulary"}

func entryOf(m *ollama.Model) *storeEntry {
	if m == nil {
		return nil
	}
	e := &storeEntry{Name: m.Name.String()}
	for _, b := range m.Blobs {
		e.Blobs = append(e.Blobs, blobLine{b.Kind.Role, b.Digest, b.Size, b.Path, b.Used, b.Kind.About})
	}
	return e
}

// A use says what runs the files of one format and architecture, and what to do
// about those that nothing runs. Both are patterns as in path.Match; the
// pattern "" fits only an architecture that is not known.
type use struct {
	format, architecture string
	runs, convert        string
}

// uses is tried in order. {path} is the source, {file} its first file, {base} a
// name for the result, {arch} the architecture, {name} a store's name for it.
var uses = []use{
	{"ollama", "*", "Ollama: ollama run {name}; for llama.cpp, export it first", "smelt convert {path} {base}.gguf"},
	{"GGUF*", "whisper", "nothing yet: no program reads Whisper from GGUF; for whisper.cpp, convert it first", "smelt convert {path} {base}.bin"},
	{"GGUF*", "generic", "nothing: the tensors have the names of their source, which no program looks for", ""},
	{"GGUF*", "", "nothing: it does not say which architecture it is", ""},
	{"GGUF*big-endian", "*", "nothing on machines of the usual byte order; convert it first, then llama.cpp and Ollama run it", "smelt convert {path} {base}-le.gguf"},
	{"GGUF v1*", "*", "nothing but an llama.cpp of 2023; convert it first, then llama.cpp and Ollama run it", "smelt convert {path} {base}-v3.gguf"},
	{"GGUF*", "llama", "llama.cpp: llama-cli -m {file}; or Ollama: a Modelfile with the line FROM {file}, then ollama create NAME", ""},
	{"GGUF*", "*", "llama.cpp and Ollama, if they know the architecture {arch}: llama-cli -m {file}", ""},
	{"whisper.cpp ggml*", "*", "whisper.cpp: whisper-cli -m {file} -f AUDIO.wav", ""},
	{"*", "llama", "nothing as it is; convert it first, then llama.cpp and Ollama run it", "smelt convert {path} {base}.gguf"},
	{"*", "whisper", "nothing but the program it was made for; convert it first, then whisper.cpp runs it", "smelt convert {path} {base}.bin"},
	{"*", "", "nothing but the program it was made for: smelt does not know its architecture, but can keep its tensors in a GGUF", "smelt convert {path} {base}.gguf --arch generic"},
}

// useOf returns the first row that fits.
func useOf(d *description) use {
	format := d.Format
	if d.Ollama != nil {
		format = "ollama"
	}
	for _, u := range uses {
		f, errFormat := path.Match(u.format, format)
		a, errArch := path.Match(u.architecture, d.Architecture)
		if f && a && errFormat == nil && errArch == nil {
			return u
		}
	}
	return use{runs: "not known"}
}

func firstFile(d *description) string {
	if len(d.Files) == 0 {
		return d.Path
	}
	return d.Files[0].Path
}

func storeName(d *description) string {
	if d.Ollama == nil {
		return ""
	}
	return d.Ollama.Name
}

// baseName is the name of the model's file or folder without extension, or of
// the model in its store.
func baseName(d *description) string {
	if d.Ollama != nil {
		name, _, _ := strings.Cut(d.Ollama.Name[strings.LastIndexByte(d.Ollama.Name, '/')+1:], ":")
		return name
	}
	if abs, err := filepath.Abs(d.Path); err == nil {
		base := filepath.Base(abs)
		return strings.TrimSuffix(base, filepath.Ext(base))
	}
	return "model"
}

// shellWord quotes s where a shell would take it for more than one word.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,=", r) || r > 0x7f
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
