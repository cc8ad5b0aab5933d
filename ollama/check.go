package ollama

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// A FindingKind is a class of what [Store.Check] finds.
type FindingKind string

// The classes. Those after FindingOrphan are waste or of no harm.
const (
	FindingManifest   FindingKind = "manifest"   // cannot be read, or does not parse
	FindingMissing    FindingKind = "missing"    // a manifest refers to it
	FindingPartial    FindingKind = "partial"    // its download was not finished
	FindingTruncated  FindingKind = "truncated"  // fewer bytes than the manifest says
	FindingOversize   FindingKind = "oversize"   // more
	FindingCorrupt    FindingKind = "corrupt"    // other content than its digest says
	FindingUnreadable FindingKind = "unreadable" // a link to nothing, a folder, no permission
	FindingOrphan     FindingKind = "orphan"     // nothing refers to it
	FindingLeftover   FindingKind = "leftover"   // of a download or writer that was stopped
	FindingForeign    FindingKind = "foreign"    // not a name of Ollama's
)

// harmless are the kinds that break no model.
var harmless = []FindingKind{FindingOrphan, FindingLeftover, FindingForeign}

// A Finding is one thing that is not as it should be.
type Finding struct {
	Kind   FindingKind
	Path   string
	Size   int64    // bytes on disk
	Breaks []string // models that cannot be used, or not as they should be
	Err    error    // what is wrong; nil if Kind says it all
}

// Harmless reports whether the finding breaks no model.
func (f *Finding) Harmless() bool { return slices.Contains(harmless, f.Kind) }

// A Checkup is what [Store.Check] found.
type Checkup struct {
	Models   int   // whose manifests were read
	Blobs    int   // that were hashed
	Bytes    int64 // of these
	Findings []Finding
}

// Broken returns the findings that break models.
func (c *Checkup) Broken() []Finding {
	return slices.DeleteFunc(slices.Clone(c.Findings), func(f Finding) bool { return f.Harmless() })
}

// CheckOptions say how a store is checked. The zero value uses every processor.
type CheckOptions struct {
	Workers int // blobs hashed at once; 0: one per processor
	// Progress is called with the bytes hashed so far and in all, from several
	// goroutines at once. It may be nil.
	Progress func(done, total int64)
}

// Check reads every blob again and compares it with its name and with what the
// manifests say, of the whole store or, if names are given, of these models
// alone. Whole, it also finds what nothing refers to. It fails only if the store
// cannot be looked at; what is wrong with it is in the Checkup, whose order does
// not depend on workers.
func (s *Store) Check(ctx context.Context, names []Name, opt CheckOptions) (*Checkup, error) {
	v, err := s.survey()
	if err != nil {
		return nil, err
	}
	c := &checker{store: s, survey: v, opt: opt, whole: names == nil, wanted: map[string]bool{}}
	if err := c.choose(names); err != nil {
		return nil, err
	}
	c.checkManifests()
	c.checkPresence()
	if err := c.checkContent(ctx); err != nil {
		return nil, err
	}
	if c.whole {
		c.checkUnused()
	}
	return &c.out, nil
}

type checker struct {
	store  *Store
	survey *survey
	opt    CheckOptions
	models []Entry
	whole  bool            // the store, not some models of it
	wanted map[string]bool // digests that the models refer to
	out    Checkup
}

// choose takes the manifests of names, or all.
func (c *checker) choose(names []Name) error {
	if c.whole {
		c.models = c.survey.entries
		return nil
	}
	for _, n := range names {
		n, err := c.store.lookupFile(n)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(c.survey.entries, func(e Entry) bool { return e.Name == n })
		if i < 0 {
			return &Error{Op: "ollama: check model", Model: n.String(), Err: ErrChanged, Fix: "try again"}
		}
		c.models = append(c.models, c.survey.entries[i])
	}
	return nil
}

func (c *checker) add(f Finding) { c.out.Findings = append(c.out.Findings, f) }

func (c *checker) checkManifests() {
	for _, e := range c.models {
		if e.Err == nil {
			c.out.Models++
			continue
		}
		f := Finding{Kind: FindingManifest, Path: e.Path, Err: e.Err}
		if e.Name != (Name{}) {
			f.Breaks = []string{e.Name.String()}
		}
		c.add(f)
	}
}

// presences classify why a blob's file does not fit its manifest.
var presences = []struct {
	class error
	kind  FindingKind
}{
	{ErrMissing, FindingMissing},
	{ErrPartial, FindingPartial},
	{ErrTruncated, FindingTruncated},
	{ErrOversize, FindingOversize},
}

// checkPresence looks for every blob that the manifests refer to. One of a size
// that only some manifests agree with breaks the others.
func (c *checker) checkPresence() {
	at := map[string]int{} // finding of each file and kind
	for _, e := range c.models {
		if e.Err != nil {
			continue
		}
		for _, l := range e.Manifest.layers() {
			digits, err := digestHex(l.Digest)
			if err != nil {
				continue // the manifest has been refused then
			}
			c.wanted[digits] = true
			b := Blob{Layer: l, Kind: LookupMediaType(l.MediaType), store: c.store, model: e.Name.String()}
			if b.Err = b.find(); errors.Is(b.Err, ErrMissing) {
				b.Err = b.explainAbsence()
			}
			if b.Err != nil {
				c.broken(at, digits, &b)
			}
		}
	}
}

// broken adds a finding about b, or the model to one that is there.
func (c *checker) broken(at map[string]int, digits string, b *Blob) {
	f := Finding{Kind: FindingUnreadable, Path: b.Path, Err: b.Err}
	for _, p := range presences {
		if errors.Is(b.Err, p.class) {
			f.Kind = p.kind
			break
		}
	}
	if f.Path == "" {
		f.Path = c.store.path("blobs", "sha256-"+digits)
	}
	key := string(f.Kind) + digits
	i, ok := at[key]
	if !ok {
		i = len(c.out.Findings)
		at[key] = i
		c.add(f)
	}
	if breaks := &c.out.Findings[i].Breaks; !slices.Contains(*breaks, b.model) {
		*breaks = append(*breaks, b.model)
	}
}

// checkContent hashes the blobs, several at once.
func (c *checker) checkContent(ctx context.Context) error {
	var files []blobFile
	var total int64
	for _, f := range c.survey.files {
		if f.kind == kindBlob && (c.whole || c.wanted[f.hex]) && f.err == nil && f.info.Mode().IsRegular() {
			files = append(files, f)
			total += f.size()
		}
	}
	errs := make([]error, len(files))
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	workers := c.opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	g.SetLimit(workers)
	for i := range files {
		g.Go(func() error {
			before := int64(0)
			errs[i] = c.hash(ctx, &files[i], func(n int64) {
				all := done.Add(n - before)
				before = n
				if c.opt.Progress != nil {
					c.opt.Progress(all, total)
				}
			})
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return context.Cause(ctx)
	}
	for i, err := range errs {
		c.hashed(&files[i], err)
	}
	return nil
}

// hash compares the content of f with its name.
func (c *checker) hash(ctx context.Context, f *blobFile, progress func(int64)) (err error) {
	file, err := c.store.blobs.Open(f.name)
	if err != nil {
		return underlying(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	v, err := NewVerifyReader(file, f.size(), "sha256:"+f.hex)
	if err != nil {
		return err
	}
	return v.drain(ctx, progress)
}

// hashed records what came out.
func (c *checker) hashed(f *blobFile, err error) {
	c.out.Blobs++
	c.out.Bytes += f.size()
	if err == nil {
		return
	}
	kind := FindingUnreadable
	if errors.Is(err, ErrDigest) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrOversize) {
		kind = FindingCorrupt
	}
	path := c.store.path("blobs", f.name)
	found := Finding{Kind: kind, Path: path, Size: f.size(), Breaks: c.survey.users[f.hex],
		Err: explainAccess(&Error{Op: "ollama: check blob", Path: path, Err: underlying(err)})}
	if i := slices.IndexFunc(c.out.Findings, func(o Finding) bool { return o.Path == path }); i >= 0 {
		return // its size is wrong: told already
	}
	c.add(found)
}

// unusedKinds are what files that nothing refers to count as.
var unusedKinds = map[fileKind]FindingKind{
	kindBlob: FindingOrphan, kindPartial: FindingLeftover, kindLeftover: FindingLeftover,
}

// checkUnused adds what is waste, and what is not Ollama's.
func (c *checker) checkUnused() {
	for _, f := range c.survey.unused() {
		path := c.store.path("blobs", f.name)
		told := slices.ContainsFunc(c.out.Findings, func(o Finding) bool { return o.Path == path })
		downloading := f.kind == kindPartial && len(c.survey.users[f.hex]) > 0
		if !told && !downloading {
			c.add(Finding{Kind: unusedKinds[f.kind], Path: path, Size: f.size(), Err: f.err})
		}
	}
	for _, f := range c.survey.files {
		if f.kind == kindOther || f.kind != kindBlob && f.info != nil && f.info.IsDir() {
			c.add(Finding{Kind: FindingForeign, Path: c.store.path("blobs", f.name), Size: f.size(),
				Err: errors.New("not a name of Ollama's, which removes such files when it starts")})
		}
	}
}
