package ollama

import (
	"regexp"
	"slices"
	"strings"
)

// A chatFormat is a way to write a conversation that many models share. Those
// that render a GGUF's own template (Jinja) need none; older versions of Ollama
// know only their own language.
type chatFormat struct {
	name string
	// marks are all in a Jinja template of the format, none of without is.
	marks, without []string
	before, after  string // a message; before holds {{ .Role }}
	stop           []string
}

// chatFormats are recognised by their marks. Templates that add to what the format
// says, such as today's date, are left out, as Ollama's language cannot say it.
var chatFormats = []chatFormat{
	{
		name: "ChatML", marks: []string{"<|im_start|>", "<|im_end|>", "add_generation_prompt"}, without: []string{"strftime_now", "<think>"},
		before: "<|im_start|>{{ .Role }}\n", after: "<|im_end|>\n",
		stop: []string{"<|im_start|>", "<|im_end|>"},
	},
	{
		name: "Llama 3", marks: []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, without: []string{"strftime_now", "Knowledge Date"},
		before: "<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n", after: "<|eot_id|>",
		stop: []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
	},
}

// formatOf returns the format of a Jinja template.
func formatOf(jinja string) (chatFormat, bool) {
	for _, f := range chatFormats {
		has := func(mark string) bool { return strings.Contains(jinja, mark) }
		if !slices.ContainsFunc(f.marks, func(m string) bool { return !has(m) }) && !slices.ContainsFunc(f.without, has) {
			return f, true
		}
	}
	return chatFormat{}, false
}

// template returns the format in Go's text/template, over the list .Messages that
// Ollama gives it. A last message of the assistant is to be continued.
func (f chatFormat) template() string {
	begin := strings.ReplaceAll(f.before, "{{ .Role }}", "assistant")
	return `{{- range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}` +
		f.before + `{{ .Content }}{{ if not (and $last (eq .Role "assistant")) }}` + f.after + `{{ end }}` +
		`{{ if and $last (ne .Role "assistant") }}` + begin + `{{ end }}{{ end }}`
}

// defaultSystem returns the system prompt that a Jinja template writes if a
// conversation has none: the one text between the marks of a system message that
// is not made of parts.
func (f chatFormat) defaultSystem(jinja string) string {
	escaped := strings.NewReplacer("\n", `\n`).Replace // a Jinja text may hold a line break as either
	begin := strings.ReplaceAll(f.before, "{{ .Role }}", "system")
	end := strings.TrimSpace(f.after)
	pattern := regexp.QuoteMeta(escaped(begin)) + `([^'"{}<]+)` + regexp.QuoteMeta(end)
	found := map[string]bool{}
	text := ""
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(escaped(jinja), -1) {
		text = strings.ReplaceAll(m[1], `\n`, "\n")
		found[text] = true
	}
	if len(found) != 1 {
		return ""
	}
	return text
}
