package tokenizer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxSidecar bounds the files beside a tokenizer.
const maxSidecar = 16 << 20

// A sidecar is what the files beside a tokenizer add to it, where several say the
// same the first of: tokenizer_config.json, special_tokens_map.json, config.json,
// generation_config.json.
type sidecar struct {
	texts map[Role]string // special tokens by text
	ids   map[Role]int    // special tokens by id
	added []addedToken    // in the order in which they override

	cleanUp *bool
	flags   map[string]bool // add_bos_token and the like

	template  string
	templates map[string]string
}

// A folder is where a tokenizer and the files beside it are.
type folder struct {
	fsys fs.FS
	dir  string
}

// read returns the file called name, at most limit bytes; found is false if there is none.
func (f folder) read(name string, limit int) (b []byte, found bool, err error) {
	file, err := f.fsys.Open(path.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	b, err = io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = f.bad(name, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit))
	}
	return b, true, err
}

func (f folder) path(name string) string { return path.Join(f.dir, name) }

// json decodes the file called name into v, which stays as it is if there is none.
func (f folder) json(name string, v any) (found bool, err error) {
	b, found, err := f.read(name, maxSidecar)
	if err != nil || !found {
		return found, err
	}
	if err := decodeJSON(b, maxSidecar, v); err != nil {
		return true, f.bad(name, err)
	}
	return true, nil
}

// bad says that the file called name is at fault.
func (f folder) bad(name string, err error) error {
	return &Error{Op: "tokenizer: read", File: f.path(name), Offset: jsonOffset(err), Err: err}
}

func newSidecar() *sidecar {
	return &sidecar{texts: map[Role]string{}, ids: map[Role]int{}, flags: map[string]bool{}}
}

func (f folder) sidecar() (*sidecar, error) {
	s := newSidecar()
	for _, read := range []struct {
		name string
		take func(object) error
	}{
		{"added_tokens.json", s.takeAdded},
		{"tokenizer_config.json", s.takeConfig},
		{"special_tokens_map.json", s.takeTexts},
		{"config.json", s.takeIDs},
		{"generation_config.json", s.takeIDs},
	} {
		var o object
		if _, err := f.json(read.name, &o); err != nil {
			return nil, err
		}
		if err := read.take(o); err != nil {
			return nil, f.bad(read.name, err)
		}
	}
	// Encoders name what begins and ends a text "cls" and "sep".
	s.suggest(BOS, s.texts[CLS])
	s.suggest(EOS, s.texts[SEP])
	return s, s.readTemplates(f)
}

// An object is the content of a JSON file, decoded as its parts are asked for.
type object map[string]json.RawMessage

// get decodes the value of key into v, which stays as it is if there is none.
func (o object) get(key string, v any) error {
	raw, ok := o[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, key, err)
	}
	return nil
}

func (s *sidecar) takeAdded(o object) error {
	for text := range o {
		var id json.Number
		if err := o.get(text, &id); err != nil {
			return err
		}
		e, err := newTextID(text, id)
		if err != nil {
			return err
		}
		s.added = append(s.added, addedToken{ID: e.id, Content: text})
	}
	// Two texts of one id are refused later; the order makes the message the same each time.
	slices.SortFunc(s.added, func(a, b addedToken) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Content, b.Content))
	})
	return nil
}

func (s *sidecar) takeConfig(o object) error {
	var added decoderTokens
	var template chatTemplate
	err := errors.Join(
		o.get("added_tokens_decoder", &added),
		o.get("clean_up_tokenization_spaces", &s.cleanUp),
		o.get("chat_template", &template),
		s.takeTexts(o),
	)
	for _, name := range []string{"add_bos_token", "add_eos_token", "add_sep_token", "add_prefix_space"} {
		var on *bool
		if err = errors.Join(err, o.get(name, &on)); on != nil {
			s.flags[name] = *on
		}
	}
	s.added = append(s.added, added...)
	s.template, s.templates = template.text, template.named
	return err
}

// takeTexts reads the special tokens of o.
func (s *sidecar) takeTexts(o object) error {
	for _, r := range roles {
		var t tokenText
		if err := o.get(string(r.role)+"_token", &t); err != nil {
			return err
		}
		s.suggest(r.role, string(t))
	}
	return nil
}

// A tokenText is a token as a string or as {"content": string}.
type tokenText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *tokenText) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*string)(t)) == nil {
		return nil
	}
	var o struct {
		Content string `json:"content"`
	}
	err := json.Unmarshal(b, &o)
	*t = tokenText(o.Content)
	return err
}

// takeIDs reads the special ids of a model's configuration and of the part about
// text in models that know more than text.
func (s *sidecar) takeIDs(o object) error {
	for _, r := range roles {
		var ids tokenIDs
		if err := o.get(string(r.role)+"_token_id", &ids); err != nil {
			return err
		}
		if _, ok := s.ids[r.role]; !ok && len(ids) > 0 {
			s.ids[r.role] = ids[0]
		}
	}
	var text object
	if err := o.get("text_config", &text); err != nil || text == nil {
		return err
	}
	delete(text, "text_config")
	return s.takeIDs(text)
}

// tokenIDs is an id or a list of alternatives.
type tokenIDs []int

// UnmarshalJSON implements json.Unmarshaler.
func (t *tokenIDs) UnmarshalJSON(b []byte) error {
	var one *int
	if json.Unmarshal(b, &one) != nil {
		return json.Unmarshal(b, (*[]int)(t))
	}
	if one != nil {
		*t = tokenIDs{*one}
	}
	return nil
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

// suggest names the token for a role that has none.
func (s *sidecar) suggest(role Role, text string) {
	if _, ok := s.texts[role]; !ok && text != "" {
		s.texts[role] = text
	}
}

// names reports whether text is the token of one of these roles.
func (s *sidecar) names(text string, among ...Role) bool {
	return slices.ContainsFunc(among, func(r Role) bool { return s.texts[r] == text })
}

// apply sets special ids, flags and templates. Ids beyond the vocabulary are left
// out: models name tokens that only their padded vocabulary has.
func (s *sidecar) apply(v *Vocab) {
	for _, r := range roles {
		if id := slices.Index(v.Tokens, s.texts[r.role]); s.texts[r.role] != "" && id >= 0 {
			v.setSpecial(r.role, id)
			if v.Types[id] == Normal {
				v.Types[id] = Control
			}
		}
	}
	for _, r := range roles {
		if id, ok := s.ids[r.role]; ok && id >= 0 && id < len(v.Tokens) {
			v.setSpecial(r.role, id)
		}
	}
	for name, to := range map[string]**bool{
		"add_bos_token":    &v.AddBOS,
		"add_eos_token":    &v.AddEOS,
		"add_sep_token":    &v.AddSEP,
		"add_prefix_space": &v.AddSpacePrefix,
	} {
		if on, ok := s.flags[name]; ok {
			*to = ptr(on)
		}
	}
	v.ChatTemplate, v.ChatTemplates = s.template, s.templates
}

// override puts the added tokens over those of v, as llama.cpp does
// (conversion/base.py, _create_vocab_sentencepiece), padding up to them.
func (s *sidecar) override(v *Vocab) error {
	for _, a := range s.added {
		if a.ID-len(v.Tokens) > maxHoles {
			return fmt.Errorf("%w: the added token %s has id %d, the vocabulary %d tokens", ErrCorrupt, quote(a.Content), a.ID, len(v.Tokens))
		}
		for len(v.Tokens) <= a.ID {
			v.pad(len(v.Tokens))
		}
		v.Tokens[a.ID], v.Types[a.ID] = a.resolve()
		v.Scores[a.ID] = addedScore
	}
	return nil
}

// addedScore is the score of added tokens, which are never the result of merging
// (llama.cpp conversion/base.py).
const addedScore = -1000

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
