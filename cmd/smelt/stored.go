package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/smelt-project/smelt/convert"
	"github.com/smelt-project/smelt/ollama"
)

// storeFlags say how a model is put into an Ollama store.
type storeFlags struct {
	copy bool
	dir  string
}

func (f *storeFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "copy", DisableDefaultText: true, Usage: "copy what goes to ollama: instead of sharing it with SRC", Destination: &f.copy},
		&cli.StringFlag{Name: "ollama-to", Usage: "models `DIR` for a DST that is an ollama: name (default: that of --ollama-dir)", Destination: &f.dir, TakesFile: true},
	}
}

func (f *storeFlags) options(ollamaDir string) convert.StoreOptions {
	o := convert.StoreOptions{Dir: firstOf(f.dir, ollamaDir), Copy: f.copy}
	if cache, err := os.UserCacheDir(); err == nil { // without one, nothing is remembered
		o.Sums = filepath.Join(cache, "smelt", "digests")
	}
	return o
}

// A storedReport says how a model was put into a store.
type storedReport struct {
	Name     string          `json:"name"`
	ID       string          `json:"id"`
	Manifest string          `json:"manifest"`
	Blobs    []storedBlobRow `json:"blobs"`
}

// A storedBlobRow is one blob of it.
type storedBlobRow struct {
	Role      ollama.Role    `json:"role"`
	MediaType string         `json:"media_type"`
	Digest    string         `json:"digest"`
	Bytes     int64          `json:"bytes"`
	Storage   ollama.Storage `json:"storage"`
	Why       string         `json:"why"`
}

func storedReportOf(a *ollama.Added) *storedReport {
	if a == nil {
		return nil
	}
	r := &storedReport{Name: a.Name.String(), ID: a.ID, Manifest: a.Path}
	for _, b := range a.Blobs {
		r.Blobs = append(r.Blobs, storedBlobRow{b.Role, b.MediaType, b.Digest, b.Size, b.Storage, b.Why})
	}
	return r
}

// storages say in words how a file became a blob.
var storages = map[ollama.Storage]string{
	ollama.Present: "%s: nothing was stored",
	ollama.Cloned:  "%s: shared with the source, block by block, and no disk is used",
	ollama.Linked:  "%s: linked to the source, and no disk is used; to edit the source in place would change the model, which --copy avoids",
	ollama.Copied:  "%s: copied",
}

// say tells how the large blobs became what they are.
func (r *storedReport) say(bar *progress) {
	for _, b := range r.Blobs {
		if words, ok := storages[b.Storage]; ok && ollama.LookupMediaType(b.MediaType).Max == 0 {
			bar.say(words+" (%s)", b.Role, b.Why)
		}
	}
	bar.say("ollama run %s", r.Name)
}

// importModel puts src into a store as it is.
func (p *program) importModel(ctx context.Context, src *convert.Source, dst string, f *convertFlags) error {
	bar := p.newProgress(f)
	r := newReport(src, dst)
	r.Architecture, r.Bytes = src.Model.Meta.Text("general.architecture"), src.Bytes()
	bar.say("%s → %s: put there as it is, %s", src.Path, dst, size(r.Bytes))
	if f.dryRun {
		if p.json {
			return p.printJSON(r)
		}
		bar.say("nothing was written")
		return nil
	}
	f.run.Progress = bar.start(src.Bytes())
	began := time.Now()
	result, err := src.Import(ctx, dst, f.run)
	bar.stop()
	if err != nil {
		return err
	}
	r.complete(result, time.Since(began))
	r.say(bar)
	if !p.json {
		return nil
	}
	return p.printJSON(r)
}
