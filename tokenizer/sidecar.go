package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// maxSidecar bounds the files beside a tokenizer; the largest published ones, with
// thousands of added tokens, have 2 MB.
const maxSidecar = 8 << 20

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
	templates templates
}

func newSidecar() *sidecar {
	return &sidecar{texts: map[Role]string{}, ids: map[Role]int{}, flags: map[string]bool{}}
}

func (f folder) sidecar() (*sidecar, error) {
	s := newSidecar()
	if err := s.readAdded(f); err != nil {
		return nil, err
	}
	for _, read := range []struct {
		name string
		take func(object) error
	}{
		{"tokenizer_config.json", s.takeConfig},
		{"special_tokens_map.json", s.takeTexts},
		{"config.json", s.takeIDs},
		{"generation_config.json", s.takeIDs},
	} {
		var o object
		if err := f.json(read.name, &o); err != nil {
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

// maxKeys bounds the keys of a configuration; published ones have up to 100.
const maxKeys = 4096

// UnmarshalJSON implements json.Unmarshaler.
func (o *object) UnmarshalJSON(b []byte) error {
	*o = object{}
	return each(b, '{', "the file", func(dec *json.Decoder) error {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if len(*o) >= maxKeys {
			return fmt.Errorf("%w: more than %d keys", ErrTooLarge, maxKeys)
		}
		name, _ := key.(string)
		(*o)[name] = raw
		return nil
	})
}

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

func (s *sidecar) readAdded(f folder) error {
	var list textIDs
	err := f.json("added_tokens.json", &list)
	for _, e := range list {
		s.added = append(s.added, addedToken{ID: e.id, Content: e.text})
	}
	return err
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
			v.pad()
		}
		v.Tokens[a.ID], v.Types[a.ID] = a.spaced(), a.typeOf()
		v.Scores[a.ID] = addedScore
	}
	return nil
}

// addedScore is the score of added tokens, which are never the result of merging
// (llama.cpp conversion/base.py).
const addedScore = -1000
