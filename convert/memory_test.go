package convert

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// llamaMeta has the hyperparameters of Llama 3 8B, changed by kvs.
func llamaMeta(kvs ...tensor.KV) tensor.Meta {
	return tensor.NewMeta(
		tensor.KV{Key: "general.architecture", Value: "test"}, tensor.KV{Key: "test.block_count", Value: uint32(32)},
		tensor.KV{Key: "test.embedding_length", Value: uint32(4096)}, tensor.KV{Key: "test.feed_forward_length", Value: uint32(14336)},
		tensor.KV{Key: "test.attention.head_count", Value: uint32(32)}, tensor.KV{Key: "test.attention.head_count_kv", Value: uint32(8)},
	).With(kvs...)
}

func TestMemoryLeavesRoomForWhatTheModelNeeds(t *testing.T) {
	const gib = 1 << 30
	// The vocabulary has 64 tokens here. For one position: 2·32 layers·8 heads·128 elements of 2 bytes.
	activations := func(heads, context int64) int64 {
		return 512 * 4 * (64 + 2*14336 + 4*4096 + heads*context)
	}
	for _, c := range []struct {
		name string
		goal Goal
		meta tensor.Meta
		want int64
	}{
		{"8 GiB", Goal{Memory: 8 * gib}, llamaMeta(), 6*gib - 4096*131072 - activations(32, 4096)},
		{"a longer context", Goal{Memory: 16 * gib, Context: 16384}, llamaMeta(), 12*gib - 16384*131072 - activations(32, 16384)},
		{"the least for the system", Goal{Memory: 4 * gib}, llamaMeta(), 5*gib/2 - 4096*131072 - activations(32, 4096)},
		{"heads that share nothing", Goal{Memory: 8 * gib, Context: 1}, llamaMeta().Without(func(k string) bool { return strings.HasSuffix(k, "head_count_kv") }),
			6*gib - 4*131072 - activations(32, 1)},
		{"heads by layer, keys of their own length", Goal{Memory: 8 * gib, Context: 1}, llamaMeta(
			tensor.KV{Key: "test.attention.head_count_kv", Value: []uint32{0, 4, 2}}, tensor.KV{Key: "test.attention.key_length", Value: uint32(64)}),
			6*gib - 2*32*4*(64+128) - activations(32, 1)},
	} {
		s := sourceOf(t, c.meta, floats(t, "token_embd.weight", tensor.Shape{64, 32}, normal(1, 64*32)))
		p := planned(t, s, Options{Type: "Q8_0"})
		got, notes, err := c.goal.fileFor(p)
		if err != nil || got != c.want || len(notes) != 1 || !strings.Contains(notes[0], "of memory, less") {
			t.Errorf("%s: %d, %q, %v; want %d", c.name, got, notes, err, c.want)
		}
		c.goal.Workers = 1
		whole := planned(t, s, Options{Goal: c.goal})
		if whole.Size() > got || !slices.Contains(whole.Notes, notes[0]) {
			t.Errorf("%s: a file of %d bytes for %d, notes %q want %q", c.name, whole.Size(), got, whole.Notes, notes)
		}
	}
}

func TestMemoryThatIsNotKnownOrTooSmallIsAnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		memory int64
		meta   tensor.Meta
		want   error
		says   string
	}{
		{"no hyperparameters", 8 << 30, tensor.Meta{}, tensor.ErrUnsupported, "test.block_count"},
		{"no count", 8 << 30, llamaMeta(tensor.KV{Key: "test.block_count", Value: "many"}), tensor.ErrCorrupt, "want a count"},
		{"no heads", 8 << 30, llamaMeta(tensor.KV{Key: "test.attention.head_count", Value: uint32(0)}), tensor.ErrCorrupt, "want a count above 0"},
		{"nothing left", 1 << 30, llamaMeta(), tensor.ErrTooLarge, "nothing is left"},
	} {
		s := sourceOf(t, c.meta, floats(t, "token_embd.weight", tensor.Shape{64, 32}, normal(1, 64*32)))
		_, err := NewPlan(context.Background(), s, "x.gguf", Options{Goal: Goal{Memory: c.memory}})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %v that says %q", c.name, err, c.want, c.says)
		}
	}
}
