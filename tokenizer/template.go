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
	named map[string]string
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
		switch {
		case t.Name == "default":
			c.text = t.Template
		case len(c.named) >= maxTemplates:
			return fmt.Errorf("%w: more than %d chat templates", ErrTooLarge, maxTemplates)
		case t.Name != "":
			if c.named == nil {
				c.named = map[string]string{}
			}
			c.named[templateName(t.Name)] = t.Template
		}
		return nil
	})
}

// readTemplates looks for chat templates in files of their own unless
// tokenizer_config.json has one.
func (s *sidecar) readTemplates(f folder) error {
	if s.template != "" || len(s.templates) > 0 {
		return nil
	}
	b, found, err := f.read("chat_template.jinja", maxSidecar)
	if err != nil {
		return err
	}
	if found {
		s.template = string(b)
		return s.readNamedTemplates(f)
	}
	var c struct {
		Template chatTemplate `json:"chat_template"`
	}
	_, err = f.json("chat_template.json", &c)
	s.template, s.templates = c.Template.text, c.Template.named
	return err
}

// maxTemplates bounds the files of additional_chat_templates.
const maxTemplates = 256

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
		b, _, err := f.read(path.Join(dir, e.Name()), maxSidecar)
		if err != nil {
			return err
		}
		if s.templates == nil {
			s.templates = map[string]string{}
		}
		s.templates[templateName(name)] = string(b)
	}
	return nil
}
