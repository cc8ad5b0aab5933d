package convert

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/smelt-project/smelt/gguf"
	"github.com/smelt-project/smelt/tensor"
)

// A Split limits the files of a GGUF; the zero value writes one.
type Split = gguf.Limit

// Sharded reports whether the source is a GGUF by the name of a shard.
func (s *Source) Sharded() bool {
	_, _, _, ok := gguf.ParseShardName(filepath.Base(s.Path))
	return ok && s.Canonical && s.Store == nil
}

// A Part is one file of a plan.
type Part struct {
	Meta  tensor.Meta
	Steps []Step // those of Plan.Steps that are in it
	Place *tensor.Placement
}

// Size returns the bytes of all files together.
func (p *Plan) Size() int64 {
	var n int64
	for _, part := range p.Parts {
		n += part.Place.Size
	}
	return n
}

// Paths returns the paths of the plan's files if dst is asked for: dst, or
// those of the shards named after it.
func (p *Plan) Paths(dst string) []string {
	if p.options.Split == (Split{}) {
		return []string{dst}
	}
	var paths []string
	prefix := strings.TrimSuffix(dst, filepath.Ext(dst))
	for i := range p.Parts {
		paths = append(paths, gguf.ShardName(prefix, i, len(p.Parts)))
	}
	return paths
}

// splits refuses a limit that the target cannot keep, or a name that shards
// cannot be named after.
func (t *Target) splits(limit Split, dst string) error {
	if limit == (Split{}) {
		return nil
	}
	if !t.sharded {
		return fmt.Errorf("a file of format %s cannot be split; only a GGUF can: %w", t.Name, tensor.ErrUnsupported)
	}
	if _, ok := StoreName(dst); ok {
		return fmt.Errorf("Ollama keeps a model in one file; it cannot be split: %w", tensor.ErrUnsupported) //nolint:staticcheck // a name
	}
	if _, _, _, ok := gguf.ParseShardName(dst); ok {
		return fmt.Errorf("%s is the name of one shard; give the name of the whole, and the shards are numbered: %w", dst, tensor.ErrUnsupported)
	}
	return nil
}

// divide fixes the files and the place of every tensor in them.
func (p *Plan) divide() error {
	parts, err := p.parts()
	if err != nil {
		return err
	}
	for i := range parts {
		part := &parts[i]
		if part.Place, err = p.Target.place(p, part); err != nil {
			return err
		}
		for j := range part.Steps {
			part.Steps[j].Part, part.Steps[j].Offset = i, part.Place.Offsets[j]
		}
		if limit := p.options.Split.Bytes; limit > 0 && part.Place.Size > limit {
			p.Notes = append(p.Notes, fmt.Sprintf("Shard %d has %d bytes, more than asked: a tensor is never divided.", i+1, part.Place.Size))
		}
	}
	p.Parts = parts
	return nil
}

// parts divides the steps among files.
func (p *Plan) parts() ([]Part, error) {
	limit := p.options.Split
	if limit == (Split{}) {
		return []Part{{Meta: p.Meta, Steps: p.Steps}}, nil
	}
	ends, err := limit.Shards(p.Meta, p.infos())
	if err != nil {
		return nil, err
	}
	var parts []Part
	from := 0
	for i, end := range ends {
		parts = append(parts, Part{Meta: gguf.ShardMeta(p.Meta, i, len(ends), len(p.Steps)), Steps: p.Steps[from:end]})
		from = end
	}
	return parts, nil
}
