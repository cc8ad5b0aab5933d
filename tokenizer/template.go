package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// A chatTemplate is a string, or a list of named ones of which "default" is the
// template itself.
type chatTemplate struct {
	text  string
	named templates
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *chatTemplate) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &c.text) == nil {
		return nil
	}
	return each(b, '[', "chat_template", func(dec *json.Decoder) error {
		var t struct {
			Name     string `json:"name"`
			Template string `json:"template"`
		}
		if err := dec.Decode(&t); err != nil {
			return err
		}
		if t.Name == "default" {
			c.text = t.Template
			return nil
		}
		return c.named.add(t.Name, t.Template)
	})
}

// templates are chat templates by the name that metadata can carry.
type templates map[string]string

func (m *templates) add(name, text string) error {
	key := templateName(name)
	switch _, taken := (*m)[key]; {
	case taken || key == "":
		return fmt.Errorf("%w: two chat templates, or one without a name, at %s", ErrCorrupt, quote(name))
	case len(*m) >= maxTemplates:
		return fmt.Errorf("%w: more than %d chat templates", ErrTooLarge, maxTemplates)
	case *m == nil:
		*m = templates{}
	}
	(*m)[key] = text
	return nil
}

// readTemplates looks for chat templates in files of their own unless
// tokenizer_config.json has one.
func (s *sidecar) readTemplates(f folder) error {
	if s.template != "" || len(s.templates) > 0 {
		return nil
	}
	text, found, err := f.text("chat_template.jinja", maxTemplate)
	if err != nil {
		return err
	}
	if found {
		s.template = text
		return s.readNamedTemplates(f)
	}
	var c struct {
		Template chatTemplate `json:"chat_template"`
	}
	err = f.json("chat_template.json", &c)
	s.template, s.templates = c.Template.text, c.Template.named
	return err
}

// The bounds of chat templates; published ones have up to 30 KB and three others
// beside them.
const (
	maxTemplate  = 1 << 20
	maxTemplates = 32
)

func (s *sidecar) readNamedTemplates(f folder) error {
	const dir = "additional_chat_templates"
	entries, err := fs.ReadDir(f.fsys, f.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > maxTemplates {
		return f.bad(dir, fmt.Errorf("%w: %d files, the limit is %d", ErrTooLarge, len(entries), maxTemplates))
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".jinja")
		if !ok {
			continue
		}
		text, _, err := f.text(path.Join(dir, e.Name()), maxTemplate)
		if err != nil {
			return err
		}
		if err := s.templates.add(name, text); err != nil {
			return f.bad(path.Join(dir, e.Name()), err)
		}
	}
	return nil
}
