package ollama_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/ollama/ollamatest"
)

// The templates that HuggingFaceTB/SmolLM2-135M-Instruct and
// meta-llama/Meta-Llama-3-8B-Instruct are published with.
const (
	smolJinja = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`
	llama3    = `{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`
)

type message struct{ Role, Content string }

func render(t *testing.T, text string, messages ...message) string {
	t.Helper()
	tmpl, err := template.New("").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := tmpl.Execute(&b, map[string]any{"Messages": messages}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func describe(kvs ...ollama.KV) *ollama.Description {
	return ollama.Describe(ollama.GGUF{Metadata: append(kvs, ollama.KV{Key: "general.architecture", Value: "llama"}), Parameters: 134_515_008, FileType: "Q4_K_M"})
}

func TestTemplateWritesWhatTheChatTemplateWrites(t *testing.T) {
	system, hi, hello, bye := message{"system", "S"}, message{"user", "Hi"}, message{"assistant", "Hello"}, message{"user", "Bye"}
	for _, tt := range []struct {
		name, jinja string
		messages    []message
		want        string
	}{
		{"ChatML, one turn", smolJinja, []message{system, hi}, "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
		{"ChatML, two turns", smolJinja, []message{system, hi, hello, bye}, "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"},
		{"ChatML, continued", smolJinja, []message{hi, hello}, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello"},
		{"Llama 3", llama3, []message{system, hi, hello, bye}, "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>" +
			"<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
	} {
		d := describe(ollama.KV{Key: "tokenizer.chat_template", Value: tt.jinja})
		if got := render(t, d.Template, tt.messages...); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

func TestDescriptionFollowsFromTheChatTemplate(t *testing.T) {
	for _, jinja := range []string{smolJinja, strings.ReplaceAll(smolJinja, `\n`, "\n")} { // tokenizer_config.json, chat_template.jinja
		followsFrom(t, jinja)
	}
}

func followsFrom(t *testing.T, jinja string) {
	t.Helper()
	d := describe(ollama.KV{Key: "tokenizer.chat_template", Value: jinja}, ollama.KV{Key: "general.sampling.temp", Value: float32(0.2)},
		ollama.KV{Key: "general.sampling.top_k", Value: int32(40)}, ollama.KV{Key: "general.license", Value: "apache-2.0"})
	params, err := json.Marshal(d.Params)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"temperature":0.2,"top_k":40,"stop":["\u003c|im_start|\u003e","\u003c|im_end|\u003e"]}`; string(params) != want {
		t.Errorf("params %s; want %s", params, want)
	}
	if want := "You are a helpful AI assistant named SmolLM, trained by Hugging Face"; d.System != want {
		t.Errorf("system %q; want %q", d.System, want)
	}
	if c := d.Config; c.ModelType != "134.52M" || c.FileType != "Q4_K_M" || c.Family != "llama" || c.Format != "gguf" || c.OS != "linux" {
		t.Errorf("config %+v", c)
	}
	if len(d.Licenses) != 1 || d.Licenses[0] != "apache-2.0" || len(d.Notes) > 0 {
		t.Errorf("licenses %q, notes %q", d.Licenses, d.Notes)
	}
}

func TestTemplateThatIsNotKnownIsNotGuessed(t *testing.T) {
	for _, jinja := range []string{"", "{{ messages }}", smolJinja + "{{ strftime_now('%Y') }}", "<|im_start|>"} {
		d := describe(ollama.KV{Key: "tokenizer.chat_template", Value: jinja})
		if d.Template != "" || d.Params != nil || d.System != "" || len(d.Notes) != 1 {
			t.Errorf("%q: template %q, params %v, system %q, notes %q; want a note alone", jinja, d.Template, d.Params, d.System, d.Notes)
		}
	}
}

func TestWhatAModelKeptInMetadataComesBack(t *testing.T) {
	s := ollamatest.New(t)
	s.Example()
	m := s.Resolve("smol")
	d := describe(append(m.Metadata(), ollama.KV{Key: "tokenizer.chat_template", Value: llama3})...)
	if d.Template != m.Template || d.System != m.System || !reflect.DeepEqual(d.Licenses, m.Licenses) {
		t.Errorf("template %q, system %q, licenses %q; want those of the model", d.Template, d.System, d.Licenses)
	}
	if !reflect.DeepEqual(d.Params, m.Params) {
		t.Errorf("params %v; want %v", d.Params, m.Params)
	}
	if got, err := ollama.ParseMessages(d.Messages); err != nil || !reflect.DeepEqual(got, m.Messages) {
		t.Errorf("messages %v, %v; want %v", got, err, m.Messages)
	}
}

// Whatever a GGUF says, its description parses, and the text of its template is
// one that Ollama can read.
func FuzzDescribe(f *testing.F) {
	f.Add(smolJinja, "llama", "", []byte(`[{"role":"user","content":"Hi"}]`))
	f.Add(llama3, "", "{{ .Prompt }}", []byte("x"))
	f.Fuzz(func(t *testing.T, jinja, family, license string, messages []byte) {
		d := describe(ollama.KV{Key: "tokenizer.chat_template", Value: jinja}, ollama.KV{Key: "general.architecture", Value: family},
			ollama.KV{Key: "general.license", Value: license}, ollama.KV{Key: "ollama.messages", Value: string(messages)},
			ollama.KV{Key: "ollama.params." + family, Value: []any{license, 1}})
		if _, err := template.New("").Parse(d.Template); err != nil {
			t.Errorf("template %q: %v", d.Template, err)
		}
		b, err := json.Marshal(d.Params)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ollama.ParseParams(b); err != nil {
			t.Errorf("params %s: %v", b, err)
		}
		if len(d.System) > len(jinja) {
			t.Errorf("a system prompt of %d bytes from a template of %d", len(d.System), len(jinja))
		}
	})
}
