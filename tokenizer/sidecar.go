package tokenizer

import (
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

	configured bool // there is a tokenizer_config.json
	cleanUp    *bool
	flags      map[string]bool // add_bos_token and the like

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
		err = &Error{Op: "tokenizer: read", File: f.path(name), Offset: -1, Err: fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)}
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
		return true, &Error{Op: "tokenizer: read", File: f.path(name), Offset: jsonOffset(err), Err: err}
	}
	return true, nil
}

type object map[string]json.RawMessage

func (f folder) sidecar() (*sidecar, error) {
	s := &sidecar{}
	for _, read := range []func(folder) error{s.readAdded, s.readConfig, s.readSpecials, s.readIDs, s.readTemplates} {
		if err := read(f); err != nil {
			return nil, err
		}
	}
	// Encoders name what begins and ends a text "cls" and "sep".
	s.suggest(BOS, s.texts[CLS])
	s.suggest(EOS, s.texts[SEP])
	return s, nil
}

func (s *sidecar) readAdded(f folder) error {
	var list textIDs
	_, err := f.json("added_tokens.json", &list)
	for _, e := range list {
		s.added = append(s.added, addedToken{ID: e.id, Content: e.text})
	}
	return err
}

func (s *sidecar) readConfig(f folder) error {
	var c struct {
		Added    decoderTokens `json:"added_tokens_decoder"`
		CleanUp  *bool         `json:"clean_up_tokenization_spaces"`
		Template chatTemplate  `json:"chat_template"`
	}
	var all object
	found, err := f.json("tokenizer_config.json", &c)
	if err != nil || !found {
		return err
	}
	if _, err := f.json("tokenizer_config.json", &all); err != nil {
		return err
	}
	s.configured, s.cleanUp, s.added = true, c.CleanUp, append(s.added, c.Added...)
	s.takeTexts(all)
	s.flags = map[string]bool{}
	for _, name := range []string{"add_bos_token", "add_eos_token", "add_sep_token", "add_prefix_space"} {
		var on bool
		if raw, ok := all[name]; ok && string(raw) != "null" && json.Unmarshal(raw, &on) == nil {
			s.flags[name] = on
		}
	}
	s.template, s.templates = c.Template.text, c.Template.named
	return nil
}

func (s *sidecar) readSpecials(f folder) error {
	var all object
	_, err := f.json("special_tokens_map.json", &all)
	s.takeTexts(all)
	return err
}

// takeTexts reads the special tokens of o, each a string or {"content": string}.
func (s *sidecar) takeTexts(o object) {
	for _, r := range roles {
		raw, ok := o[string(r.role)+"_token"]
		if !ok {
			continue
		}
		var t struct {
			Content string `json:"content"`
		}
		if json.Unmarshal(raw, &t.Content) == nil || json.Unmarshal(raw, &t) == nil {
			s.suggest(r.role, t.Content)
		}
	}
}

func (s *sidecar) readIDs(f folder) error {
	for _, name := range []string{"config.json", "generation_config.json"} {
		var all object
		if _, err := f.json(name, &all); err != nil {
			return err
		}
		s.takeIDs(all)
		var text object // of models that know more than text
		if raw, ok := all["text_config"]; ok && json.Unmarshal(raw, &text) == nil {
			s.takeIDs(text)
		}
	}
	return nil
}

// takeIDs reads ids, each a number or a list of alternatives of which the first counts.
func (s *sidecar) takeIDs(o object) {
	for _, r := range roles {
		raw := o[string(r.role)+"_token_id"]
		var one *int
		var several []int
		if json.Unmarshal(raw, &one) != nil && json.Unmarshal(raw, &several) == nil && len(several) > 0 {
			one = &several[0]
		}
		if _, ok := s.ids[r.role]; ok || one == nil {
			continue
		}
		if s.ids == nil {
			s.ids = map[Role]int{}
		}
		s.ids[r.role] = *one
	}
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
		return &Error{Op: "tokenizer: read", File: f.path(dir), Offset: -1, Err: fmt.Errorf("%w: %d files, the limit is %d", ErrTooLarge, len(entries), maxTemplates)}
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
	if _, ok := s.texts[role]; ok || text == "" {
		return
	}
	if s.texts == nil {
		s.texts = map[Role]string{}
	}
	s.texts[role] = text
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
// (conversion/base.py, _create_vocab_sentencepiece). Tokens after the last id
// must follow without a gap.
func (s *sidecar) override(v *Vocab) error {
	slices.SortStableFunc(s.added, func(a, b addedToken) int { return a.ID - b.ID })
	for _, a := range s.added {
		if a.ID > len(v.Tokens) {
			return fmt.Errorf("%w: the added token %s has id %d, the vocabulary has %d tokens", ErrCorrupt, quote(a.Content), a.ID, len(v.Tokens))
		}
		if a.ID == len(v.Tokens) {
			v.pad(a.ID)
		}
		if v.Types[a.ID] == Unknown || v.Types[a.ID] == Byte {
			continue
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
