package ollama

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// A Message is one message of those with which every chat of a model begins.
type Message struct {
	Role    string // "system", "user", "assistant" or "tool"
	Content string
	// Other names the message's further fields, sorted: thinking, images,
	// tool_calls, which only the messages blob itself holds.
	Other []string
}

// maxMessageCount is a limit of ours: a message takes at least 3 bytes of a
// blob, but some 60 in memory.
const maxMessageCount = 1 << 16

// ParseMessages parses the JSON list of a messages layer. It fails with
// ErrMalformed or ErrTooLarge.
func ParseMessages(data []byte) ([]Message, error) {
	if !json.Valid(data) {
		return nil, malformed("messages are not JSON")
	}
	list, err := decodeList[Message](data, maxMessageCount)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	return list, nil
}

// UnmarshalJSON decodes one message, noting the fields it does not keep.
func (m *Message) UnmarshalJSON(data []byte) error {
	var known struct{ Role, Content string }
	if err := json.Unmarshal(data, &known); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	delete(all, "role")
	delete(all, "content")
	*m = Message{Role: known.Role, Content: known.Content, Other: slices.Sorted(maps.Keys(all))}
	return nil
}
