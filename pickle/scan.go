package pickle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// ScanOptions say how a scan is done. The zero value is the default.
type ScanOptions struct {
	Limits Limits
}

// Scan examines a file, or every file in a folder and the folders below it, and
// reports every global that a pickle in them would import: in zip archives and
// archives within them, in tar files, in PyTorch's containers of every version,
// in NumPy's object arrays and in pickles inside pickles. It executes nothing.
//
// A folder's files that are neither pickles, nor archives, nor named like
// checkpoints are left out. What cannot be examined is in a report's Errors.
// Scan itself fails only if path cannot be found or ctx is done.
func Scan(ctx context.Context, path string, opt ScanOptions) ([]Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &tensor.Error{Op: "scan", File: path, Err: unwrapPath(err)}
	}
	if !info.IsDir() {
		return []Report{*scanPath(ctx, path, opt)}, ctx.Err()
	}
	t := tree{opt: opt, seen: map[string]bool{}}
	if err := t.walk(ctx, path); err != nil {
		return nil, err
	}
	return t.reports, nil
}

// unwrapPath takes the path out of an error that will name it anyway.
func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// A tree is the scan of a folder.
type tree struct {
	opt     ScanOptions
	reports []Report
	seen    map[string]bool // folders, without symbolic links
}

// walk scans the files of a folder in the order of their names. Symbolic links
// are followed, each folder is entered once.
func (t *tree) walk(ctx context.Context, dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.failed(dir, err)
		return nil
	}
	if t.seen[real] {
		return nil
	}
	t.seen[real] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.failed(dir, err)
		return nil
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.entry(ctx, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) entry(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		t.failed(path, err)
	case info.IsDir():
		return t.walk(ctx, path)
	default:
		if rep := scanPath(ctx, path, t.opt); rep.matters() {
			t.reports = append(t.reports, *rep)
		}
	}
	return nil
}

// failed reports a file or folder that cannot be opened.
func (t *tree) failed(path string, err error) {
	rep := newReport(path)
	rep.fail(unwrapPath(err))
	rep.judge()
	t.reports = append(t.reports, *rep)
}

// matters reports whether a file in a folder is worth a report.
func (r *Report) matters() bool {
	if len(r.Pickles) > 0 || r.Verdict == VerdictDangerous || checkpointName(r.Path) {
		return true
	}
	row, ok := scans[r.Format]
	return ok && row.archive || !ok && r.Format == ""
}

// checkpointName reports whether a file is called like something that is loaded
// as a pickle.
func checkpointName(path string) bool {
	return slices.Contains(checkpointNames, strings.ToLower(filepath.Ext(path)))
}

var checkpointNames = []string{".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".p", ".joblib", ".dill", ".pk", ".pth.tar", ".npy", ".npz", ".model", ".distcp", ".metadata", ".debug_pkl"}

func newReport(path string) *Report {
	return &Report{Path: path, Globals: []Global{}, Errors: []string{}}
}

// scanPath scans one file of the file system.
func scanPath(ctx context.Context, path string, opt ScanOptions) *Report {
	rep, err := openAndScan(ctx, path, opt)
	if err != nil {
		rep = newReport(path)
		rep.fail(unwrapPath(err))
		rep.judge()
	}
	return rep
}

func openAndScan(ctx context.Context, path string, opt ScanOptions) (*Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		return nil, fmt.Errorf("is no regular file: %w", tensor.ErrUnsupported)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ScanReader(ctx, f, info.Size(), path, opt), nil
}

// ScanReader examines the size bytes of r as Scan does a file called path.
func ScanReader(ctx context.Context, r io.ReaderAt, size int64, path string, opt ScanOptions) *Report {
	s := &scanner{ctx: ctx, lim: opt.Limits.withDefaults(), rep: newReport(path), seen: map[string]int{}, how: scans}
	s.file(piece{r: r, size: size, named: checkpointName(path)})
	s.rep.judge()
	return s.rep
}
