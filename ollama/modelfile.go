package ollama

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ModelfileOptions name the files that were exported beside a Modelfile, in the
// order of [Model.ByRole], as it should refer to them: "./llama3.gguf".
type ModelfileOptions struct {
	From       string   // the model's GGUF file; "" means "./model.gguf"
	Projectors []string // a FROM line each
	Adapters   []string // an ADAPTER line each
	Draft      string   // a DRAFT line
}

// Modelfile returns the text from which "ollama create" makes this model again
// out of the exported files. It depends on the model and the options alone.
//
// The language cannot express everything: it has no escapes and its parser
// drops characters that do not print. Each thing that would come out otherwise
// is told in a comment in its place, and so is each blob without a file in the
// options. (ollama parser/parser.go@fb3076099)
func (m *Model) Modelfile(opts ModelfileOptions) string {
	var w modelfileWriter
	w.comment("Makes %s again: ollama create NAME -f Modelfile", shorten(m.Name.String()))
	w.files(m, opts)
	w.texts(m)
	for _, p := range m.Params {
		w.param(p)
	}
	for _, l := range m.Licenses {
		w.command("LICENSE", l, longForms)
	}
	for _, msg := range m.Messages {
		w.message(msg)
	}
	return w.b.String()
}

type modelfileWriter struct{ b strings.Builder }

// comment writes one line. The parts of args that come from a store must be
// quoted by format.
func (w *modelfileWriter) comment(format string, args ...any) {
	fmt.Fprintf(&w.b, "# "+format+"\n", args...)
}

func (w *modelfileWriter) files(m *Model, opts ModelfileOptions) {
	w.command("FROM", cmp.Or(opts.From, "./model.gguf"), shortForms)
	w.blobs("FROM", m.ByRole(RoleProjector), opts.Projectors)
	w.blobs("ADAPTER", m.ByRole(RoleAdapter), opts.Adapters)
	var draft []string
	if opts.Draft != "" {
		draft = []string{opts.Draft}
	}
	w.blobs("DRAFT", m.ByRole(RoleDraft), draft)
}

func (w *modelfileWriter) blobs(command string, blobs []*Blob, files []string) {
	for i, b := range blobs {
		if i < len(files) {
			w.command(command, files[i], shortForms)
			continue
		}
		w.comment("%s: not exported: %s %s, %d bytes (%s)", command, b.Kind.Role, b.Digest, b.Size, b.Kind.About)
	}
}

func (w *modelfileWriter) texts(m *Model) {
	if len(m.ByRole(RoleTemplate)) > 0 {
		w.command("TEMPLATE", m.Template, longForms)
	}
	for _, t := range []struct {
		command, value string
		forms          []string
	}{
		{"SYSTEM", m.System, longForms},
		{"RENDERER", m.Config.Renderer, shortForms},
		{"PARSER", m.Config.Parser, shortForms},
		{"REQUIRES", m.Config.Requires, shortForms},
	} {
		if t.value != "" {
			w.command(t.command, t.value, t.forms)
		}
	}
}

func (w *modelfileWriter) param(p Param) {
	spec, known := lookupParam(p.Name)
	values, fits := paramWords(spec.kind, p.Value)
	if !known || !fits {
		w.comment("PARAMETER %s: left out: \"ollama create\" does not take %s", shorten(p.Name), shorten(paramText(p.Value)))
		return
	}
	for _, v := range values {
		forms := bareForms
		if spec.kind == paramList {
			forms = stringForms
		}
		w.command("PARAMETER "+p.Name, v, forms)
	}
}

// paramWords returns v as the words of PARAMETER lines, one line each, and
// whether v is of the kind that Ollama wants.
func paramWords(kind paramKind, v any) (words []string, fits bool) {
	switch v := v.(type) {
	case int64:
		return []string{strconv.FormatInt(v, 10)}, kind == paramInt
	case float64:
		return []string{strconv.FormatFloat(v, 'g', -1, 64)}, kind == paramFloat
	case bool:
		return []string{strconv.FormatBool(v)}, kind == paramBool
	case []string:
		return v, kind == paramList
	}
	return nil, false
}

func paramText(v any) string {
	if raw, ok := v.(json.RawMessage); ok {
		return string(raw)
	}
	return fmt.Sprint(v)
}

func (w *modelfileWriter) message(m Message) {
	if !slices.Contains([]string{"system", "user", "assistant"}, m.Role) {
		w.comment("MESSAGE: left out: the role %s cannot be written here", shorten(m.Role))
		return
	}
	for _, field := range m.Other {
		w.comment("MESSAGE: the next one also has %s, which cannot be written here", shorten(field))
	}
	w.command("MESSAGE "+m.Role, m.Content, longForms)
}

// The ways to quote a value, in order of preference. A value stands between the
// quotes as it is; a bare one ends with its line.
var (
	bareForms   = []string{``}
	shortForms  = []string{``, `"`, `"""`}
	stringForms = []string{`"`, `"""`, ``}
	longForms   = []string{`"""`, `"`, ``}
)

// command writes value in the first of forms in which Ollama reads it as it is.
func (w *modelfileWriter) command(command, value string, forms []string) {
	kept, dropped := printable(value)
	if dropped > 0 {
		w.comment("%s: Ollama drops %d characters that do not print, the first of them %+q", command, dropped, firstDropped(value))
	}
	for _, quote := range forms {
		if form := quote + kept + quote; readsBack(form, kept) {
			fmt.Fprintf(&w.b, "%s %s%s%s\n", command, quote, value, quote)
			return
		}
	}
	w.comment("%s: left out: no quotes can hold its %d bytes, as a line of it ends in quotes", command, len(value))
}

// printable returns s without what Ollama's parser drops from a value. Runes
// that are not UTF-8 become U+FFFD there, and count as dropped too.
func printable(s string) (kept string, dropped int) {
	var b strings.Builder
	for i, r := range s {
		switch {
		case isDropped(r):
			dropped++
		case r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD"):
			dropped++
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), dropped
}

func isDropped(r rune) bool {
	return !strconv.IsPrint(r) && r != '\n' && r != '\r' && r != '\t'
}

func firstDropped(s string) string {
	for i, r := range s {
		if isDropped(r) {
			return string(r)
		}
		if r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD") {
			return s[i : i+1]
		}
	}
	return ""
}

// readsBack reports whether Ollama's parser takes form, to the end of its line,
// for want. That parser ends a value at the first line break before which the
// text, freed of space around it, is unquoted or has its closing quotes.
func readsBack(form, want string) bool {
	start := len(form) - len(strings.TrimLeft(form, " \t\r\n"))
	end := start // of the text without space after it
	for i := start; i < len(form); i++ {
		switch form[i] {
		case '\n', '\r':
			if _, ok := unquote(form[start:end]); ok {
				return false
			}
		case ' ', '\t':
		default:
			end = i + 1
		}
	}
	got, ok := unquote(form[start:end])
	return ok && got == want && start == 0
}

// unquote returns the value between quotes, or s if there are none; ok is false
// if they are not closed.
func unquote(s string) (value string, ok bool) {
	for _, quote := range []string{`"""`, `"`} {
		if strings.HasPrefix(s, quote) {
			closed := len(s) >= 2*len(quote) && strings.HasSuffix(s, quote)
			return strings.TrimSuffix(strings.TrimPrefix(s, quote), quote), closed
		}
	}
	return s, true
}
