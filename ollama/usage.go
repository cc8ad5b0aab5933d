package ollama

import "slices"

// A Use is how much disk one model takes.
type Use struct {
	Entry

	Size   int64 // bytes of its files on disk, each counted once
	Own    int64 // of those that no other model uses
	Shared int64 // of those that others use too
	// With are the models that share files with it.
	With []string
	// Missing counts the blobs that are not there or not as long as the manifest
	// says.
	Missing int
	Config  Config // empty if it cannot be read
}

// A Usage is how much disk a store takes.
type Usage struct {
	Models []Use
	Total  int64 // bytes of all files among the blobs
	Unused int64 // of those that nothing refers to
}

// Usage returns what each model takes and what is shared, sorted by name, without
// reading the content of blobs other than the configs.
func (s *Store) Usage() (*Usage, error) {
	v, err := s.survey()
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	u := &Usage{}
	for _, f := range v.files {
		u.Total += f.size()
		if f.kind == kindBlob && f.err == nil {
			sizes[f.hex] = f.size()
		}
	}
	for _, f := range v.unused() {
		u.Unused += f.size()
	}
	for _, e := range v.entries {
		use := Use{Entry: e}
		if e.Err == nil {
			use.measure(v, sizes)
			use.Config = s.configOf(e.Manifest)
		}
		u.Models = append(u.Models, use)
	}
	return u, nil
}

func (u *Use) measure(v *survey, sizes map[string]int64) {
	with := map[string]bool{}
	for _, digits := range u.Manifest.digests() {
		n, ok := sizes[digits]
		if !ok || n != u.Manifest.sizeOf(digits) {
			u.Missing++
		}
		u.Size += n
		if len(v.users[digits]) == 1 {
			u.Own += n
			continue
		}
		u.Shared += n
		for _, m := range v.users[digits] {
			with[m] = m != u.Name.String()
		}
	}
	for m, other := range with {
		if other {
			u.With = append(u.With, m)
		}
	}
	slices.Sort(u.With)
}

// sizeOf returns what m says about the blob of that digest.
func (m *Manifest) sizeOf(digits string) int64 {
	for _, l := range m.layers() {
		if d, err := digestHex(l.Digest); err == nil && d == digits {
			return l.Size
		}
	}
	return 0
}

// configOf returns the config of a model, or an empty one if it cannot be read.
func (s *Store) configOf(m *Manifest) Config {
	if m.Config.Digest == "" || m.Config.Size > maxJSON {
		return Config{}
	}
	b := Blob{Layer: m.Config, Kind: LookupMediaType(ConfigMediaType), store: s}
	if b.Err = b.find(); b.Err != nil {
		return Config{}
	}
	data, err := b.read()
	if err != nil {
		return Config{}
	}
	c, err := ParseConfig(data)
	if err != nil {
		return Config{}
	}
	return c
}
