package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/smelt-project/smelt/internal/atomicfile"
	"github.com/smelt-project/smelt/ollama"
	"github.com/smelt-project/smelt/tensor"
)

// A companion is a file that belongs to a model of an Ollama store and is
// written beside the model's file.
type companion struct {
	path string
	blob *ollama.Blob // nil: the Modelfile
	role ollama.Role
}

// companionRoles are the blobs of a model that are files of their own.
var companionRoles = []ollama.Role{ollama.RoleProjector, ollama.RoleAdapter, ollama.RoleDraft}

// companions lists what is written beside dst: NAME-projector.gguf and the
// like, and a Modelfile that makes the model again.
func (s *Source) companions(dst string, r atomicfile.Replacement) []companion {
	if s.Store == nil {
		return nil
	}
	base := strings.TrimSuffix(dst, filepath.Ext(dst))
	var out []companion
	for _, role := range companionRoles {
		for i, b := range s.Store.ByRole(role) {
			path := fmt.Sprintf("%s-%v.gguf", base, role)
			if i > 0 {
				path = fmt.Sprintf("%s-%v-%d.gguf", base, role, i+1)
			}
			out = append(out, companion{path, b, role})
		}
	}
	return append(out, companion{path: modelfilePath(filepath.Dir(dst), base, r)})
}

// modelfilePath is where the Modelfile goes: under that name if it is free, so
// that ollama create finds it; else under NAME.Modelfile, because it is that of
// another model in the same folder.
func modelfilePath(dir, base string, r atomicfile.Replacement) string {
	plain, own := filepath.Join(dir, "Modelfile"), base+".Modelfile"
	_, taken := os.Lstat(plain)
	_, before := os.Lstat(own)
	if taken == nil && (r == atomicfile.Keep || before == nil) {
		return own
	}
	return plain
}

// checkAll fails early if one of the files, dst without its companions, or a
// file beside them cannot be written.
func (s *Source) checkAll(dst string, files []string, r atomicfile.Replacement) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, checkDestination(f, r))
	}
	for _, c := range s.companions(dst, r) {
		errs = append(errs, checkDestination(c.path, r))
	}
	return errors.Join(errs...)
}

// writeCompanions writes the files beside dst, whose first file is first, and
// returns their paths.
func (s *Source) writeCompanions(dst, first string, r atomicfile.Replacement) ([]string, error) {
	opts := ollama.ModelfileOptions{From: "./" + filepath.Base(first)}
	var paths []string
	for _, c := range s.companions(dst, r) {
		name := "./" + filepath.Base(c.path)
		content, size := io.Reader(nil), int64(0)
		switch c.role {
		case ollama.RoleProjector:
			opts.Projectors = append(opts.Projectors, name)
		case ollama.RoleAdapter:
			opts.Adapters = append(opts.Adapters, name)
		case ollama.RoleDraft:
			opts.Draft = cmp.Or(opts.Draft, name)
		}
		if c.blob == nil {
			text := s.Store.Modelfile(opts)
			content, size = strings.NewReader(text), int64(len(text))
		} else {
			blob, err := c.blob.Reader()
			if err != nil {
				return paths, err
			}
			defer blob.Close()
			content, size = blob, c.blob.Size
		}
		if err := writeFile(c.path, content, size, r); err != nil {
			return paths, err
		}
		paths = append(paths, c.path)
	}
	return paths, nil
}

// writeFile writes all of content, size bytes, to path.
func writeFile(path string, content io.Reader, size int64, r atomicfile.Replacement) error {
	s, err := newSink(path, size)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.NewOffsetWriter(s.f, 0), content)
	if err == nil && n != size {
		err = fmt.Errorf("got %d of %d bytes: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return errors.Join(&tensor.Error{Op: "write", File: path, Err: err}, s.abort())
	}
	return s.commit(r)
}

// CopyRaw writes the model blob of an Ollama store to dst, unchanged, after its
// digest was verified, and a Modelfile beside it.
func (s *Source) CopyRaw(ctx context.Context, dst string, opt RunOptions) (*Result, error) {
	files := s.blobs()
	if !s.Canonical || len(files) != 1 {
		return nil, &tensor.Error{Op: "copy", File: s.Path, Err: fmt.Errorf("only a model of an Ollama store that is a GGUF can be copied as it is, named ollama:NAME: %w", tensor.ErrUnsupported)}
	}
	f := files[0]
	if err := s.checkAll(dst, []string{dst}, opt.replacement()); err != nil {
		return nil, err
	}
	out, err := newSink(dst, f.Size())
	if err != nil {
		return nil, err
	}
	whole := &tensor.Tensor{Info: tensor.Info{Name: filepath.Base(dst), DType: tensor.U8, Shape: tensor.Shape{int(f.Size())}}, Data: f,
		Origin: tensor.Origin{File: s.Files[0].Path}}
	r := &run{sinks: []*sink{out}, progress: counting(new(atomic.Int64), opt.Progress)}
	if err := r.copyWhole(ctx, whole, f, opt.workers()); err != nil {
		return nil, errors.Join(err, out.abort())
	}
	if err := out.commit(opt.replacement()); err != nil {
		return nil, err
	}
	also, err := s.writeCompanions(dst, dst, opt.replacement())
	return &Result{Path: dst, Size: f.Size(), Also: also}, err
}

// copyWhole copies the bytes of t and verifies them in f at the same time.
func (r *run) copyWhole(ctx context.Context, t *tensor.Tensor, f *ollama.File, workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers + 1)
	g.Go(func() error { return f.Verify(ctx, nil) })
	step := &Step{From: t}
	for off := int64(0); off < t.Size(); off += chunkCopy {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n := min(chunkCopy, t.Size()-off)
			w := worker{run: r}
			defer r.progress(n)
			return w.copy(step, off, off, n)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return f.Unchanged() // what was verified is what was read
}

func (o RunOptions) workers() int { return cmp.Or(max(o.Workers, 0), runtime.GOMAXPROCS(0)) }

func (o RunOptions) replacement() atomicfile.Replacement {
	if o.Replace {
		return atomicfile.Replace
	}
	return atomicfile.Keep
}
