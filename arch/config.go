package arch

import (
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// A Config is a configuration file, flattened to dotted keys.
type Config struct {
	From string // how to call it: "config.json"
	Meta tensor.Meta
}

// A group is the hyperparameters under one dotted prefix of a checkpoint's
// scalars or of a configuration file.
type group struct {
	from   string // "checkpoint" or the file
	prefix string // "" or ending in a dot
	meta   tensor.Meta
	inside bool // in the checkpoint, recognised by its keys
}

func (g group) get(key string) (any, bool) { return g.meta.Get(g.prefix + key) }

// name says where a key is: checkpoint model_args.dim.
func (g group) name(key string) string { return g.from + " " + g.prefix + key }

// has reports whether g has key, or something below it if key ends in ".*".
// It returns the key that it found.
func (g group) has(key string) (string, bool) {
	stem, tree := strings.CutSuffix(key, "*")
	if !tree {
		_, ok := g.get(key)
		return key, ok
	}
	for _, kv := range g.meta.All() {
		if rest, ok := strings.CutPrefix(kv.Key, g.prefix); ok && strings.HasPrefix(rest, stem) {
			return rest, true
		}
	}
	return "", false
}

// groups returns the prefixes under which meta has all of keys, outermost
// first, else in order.
func groups(meta tensor.Meta, keys []string) []string {
	var out []string
	for _, kv := range meta.All() {
		at, ok := strings.CutSuffix(kv.Key, keys[0])
		if ok && (at == "" || strings.HasSuffix(at, ".")) && hasAll(meta, at, keys) {
			out = append(out, at)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	return out
}

func hasAll(meta tensor.Meta, at string, keys []string) bool {
	for _, k := range keys {
		if _, ok := meta.Get(at + k); !ok {
			return false
		}
	}
	return true
}

// settings returns all groups that may state hyperparameters, first the
// checkpoint's.
func settings(c Convention, meta tensor.Meta, configs []Config) []group {
	var out []group
	for _, at := range groups(meta, c.Group) {
		out = append(out, group{"checkpoint", at, meta, true})
	}
	out = append(out, group{"checkpoint", "", meta, false})
	for _, cfg := range configs {
		out = append(out, group{cfg.From, "", cfg.Meta, false})
		for _, at := range groups(cfg.Meta, c.Group) {
			if at != "" {
				out = append(out, group{cfg.From, at, cfg.Meta, false})
			}
		}
	}
	return out
}
