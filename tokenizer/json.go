package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodeJSON reads a file of at most limit bytes into v. Text that encoding/json
// would replace silently, invalid UTF-8 and lone surrogates, is refused.
func decodeJSON(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(b), limit)
	}
	if what := disguised(b); what != "" {
		return fmt.Errorf("%w: %s", ErrUnsupported, what)
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: not UTF-8", ErrCorrupt)
	}
	if at := loneSurrogate(b); at >= 0 {
		return fmt.Errorf("%w: half a character, %s, at byte %#x", ErrCorrupt, b[at:at+6], at)
	}
	err := json.Unmarshal(b, v)
	if err == nil || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// jsonOffset is where err says that JSON is malformed, or -1.
func jsonOffset(err error) int64 {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Offset
	}
	return -1
}

// loneSurrogate returns the offset of an escape \ud800 to \udfff that is not one
// of a pair, or -1.
func loneSurrogate(b []byte) int {
	for at := 0; at < len(b); at++ {
		if b[at] != '\\' {
			continue
		}
		half := surrogate(b[at:])
		switch {
		case half == 0:
			at++ // the escaped character may be a backslash
		case half == 'h' && surrogate(b[at+6:]) == 'l':
			at += 11
		default:
			return at
		}
	}
	return -1
}

// surrogate is 'h' or 'l' if b begins with the escape of a high or low surrogate, else 0.
func surrogate(b []byte) byte {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	u, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	switch {
	case err != nil || u < 0xd800 || u > 0xdfff:
		return 0
	case u < 0xdc00:
		return 'h'
	}
	return 'l'
}

// An addedToken is a token outside the byte-pair model.
type addedToken struct {
	ID      int
	Content string
	Special bool
}

type rawAddedToken struct {
	ID      *int    `json:"id"`
	Content *string `json:"content"`
	Special bool    `json:"special"`
}

func (raw rawAddedToken) token(n int) (addedToken, error) {
	switch {
	case raw.ID == nil || raw.Content == nil:
		return addedToken{}, fmt.Errorf("%w: added token %d has no id or no content", ErrCorrupt, n)
	case *raw.ID < 0 || *raw.ID >= maxTokens:
		return addedToken{}, fmt.Errorf("%w: added token %s has id %d, want 0 to %d", ErrCorrupt, quote(*raw.Content), *raw.ID, maxTokens-1)
	case n >= maxTokens:
		return addedToken{}, fmt.Errorf("%w: more than %d added tokens", ErrTooLarge, maxTokens)
	}
	return addedToken{*raw.ID, *raw.Content, raw.Special}, nil
}

// addedTokens is the list of a tokenizer.json. Like the other readers here it
// refuses a bad element before the list grows.
type addedTokens []addedToken

// UnmarshalJSON implements json.Unmarshaler.
func (list *addedTokens) UnmarshalJSON(b []byte) error {
	return each(b, '[', "added_tokens", func(dec *json.Decoder) error {
		var raw rawAddedToken
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		t, err := raw.token(len(*list))
		*list = append(*list, t)
		return err
	})
}

// decoderTokens is the same list as tokenizer_config.json has it, an object with
// the ids as keys.
type decoderTokens []addedToken

// UnmarshalJSON implements json.Unmarshaler.
func (list *decoderTokens) UnmarshalJSON(b []byte) error {
	return each(b, '{', "added_tokens_decoder", func(dec *json.Decoder) error {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		text, _ := key.(string)
		id, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%w: added_tokens_decoder has the key %s, want an id", ErrCorrupt, quote(text))
		}
		raw := rawAddedToken{ID: &id}
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		t, err := raw.token(len(*list))
		*list = append(*list, t)
		return err
	})
}

// A merge is a pair of adjacent pieces that become one, in the form of metadata:
// "left right". A space inside a piece is written as byte-level vocabularies
// spell it.
type merge struct {
	text string
	cut  int // the length of the left piece
}

func newMerge(left, right string) merge {
	space := string(byteRune[' '])
	left = strings.ReplaceAll(left, " ", space)
	return merge{left + " " + strings.ReplaceAll(right, " ", space), len(left)}
}

func (m merge) left() string  { return m.text[:m.cut] }
func (m merge) right() string { return m.text[m.cut+1:] }

// result is the piece that the two become.
func (m merge) result() string { return m.left() + m.right() }

// mergeList reads both forms of merges: "a b" and, since tokenizers 0.20, ["a","b"].
type mergeList []merge

// maxMerges bounds the merges of a file; the longest published list has 580,604
// (Gemma 3), about two for each token.
const maxMerges = 1 << 20

// UnmarshalJSON implements json.Unmarshaler.
func (list *mergeList) UnmarshalJSON(b []byte) error {
	return each(b, '[', "merges", func(dec *json.Decoder) error {
		m, ok, err := readMerge(dec)
		switch {
		case err != nil:
			return err
		case !ok:
			return fmt.Errorf(`%w: merge %d is neither "a b" nor ["a","b"]`, ErrCorrupt, len(*list))
		case m.left() == "#version:": // the first line of a merges.txt
			return nil
		case len(*list) >= maxMerges:
			return fmt.Errorf("%w: more than %d merges", ErrTooLarge, maxMerges)
		}
		*list = append(*list, m)
		return nil
	})
}

func readMerge(dec *json.Decoder) (m merge, ok bool, err error) {
	tok, err := dec.Token()
	if err != nil {
		return merge{}, false, err
	}
	if line, isLine := tok.(string); isLine {
		left, right, _ := strings.Cut(line, " ")
		return merge{line, len(left)}, left != "" && right != "" && !strings.Contains(right, " "), nil
	}
	if tok != json.Delim('[') {
		return merge{}, false, nil
	}
	var pair [2]string
	for i := range pair {
		if tok, err = dec.Token(); err != nil {
			return merge{}, false, err
		}
		pair[i], _ = tok.(string)
	}
	tok, err = dec.Token()
	return newMerge(pair[0], pair[1]), pair[0] != "" && pair[1] != "" && tok == json.Delim(']'), err
}

// textIDs reads an object from token text to id, keeping its order. Another JSON
// value, the vocabulary of another kind of model, reads as empty.
type textIDs []textID

type textID struct {
	text string
	id   int
}

// UnmarshalJSON implements json.Unmarshaler.
func (list *textIDs) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '{' {
		return nil
	}
	return each(b, '{', "vocab", func(dec *json.Decoder) error {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		value, err := dec.Token()
		if err != nil {
			return err
		}
		id, err := newTextID(key, value)
		if err == nil && len(*list) >= maxTokens {
			err = fmt.Errorf("%w: more than %d tokens", ErrTooLarge, maxTokens)
		}
		*list = append(*list, id)
		return err
	})
}

func newTextID(key, value json.Token) (textID, error) {
	text, _ := key.(string)
	num, ok := value.(json.Number)
	if !ok {
		return textID{}, fmt.Errorf("%w: the id of token %s is not a number", ErrCorrupt, quote(text))
	}
	id, err := strconv.Atoi(num.String())
	if err != nil || id < 0 || id >= maxTokens {
		return textID{}, fmt.Errorf("%w: token %s has id %s, want 0 to %d", ErrCorrupt, quote(text), num, maxTokens-1)
	}
	return textID{text, id}, nil
}

// each calls f before every element of the array or object in b, which open
// begins; null has none.
func each(b []byte, open json.Delim, what string, f func(*json.Decoder) error) error {
	if string(b) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	if tok != open {
		return fmt.Errorf("%w: %s does not begin with %s", ErrCorrupt, what, open)
	}
	for dec.More() {
		if err := f(dec); err != nil {
			return err
		}
	}
	return nil
}
