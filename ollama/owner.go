package ollama

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// explainAccess completes e, a failure to open or read the OS path e.Path, with
// whose it is and what to do if permission was denied.
func explainAccess(e *Error) *Error {
	if e.Path == "" || !filepath.IsAbs(e.Path) || !errors.Is(e.Err, fs.ErrPermission) {
		return e
	}
	path, fi := lastVisible(e.Path)
	if fi == nil {
		return e
	}
	owner, text := ownerOf(fi)
	if owner == "" {
		return e
	}
	e.Err = &accessError{path: path, owner: text, mode: fi.Mode(), err: e.Err}
	e.Fix = "run this as " + owner + " (sudo -u " + owner + " …) or give yourself read permission"
	return e
}

// lastVisible returns the deepest part of path that can be looked at: path
// itself if only reading was denied, else the folder that denies entry.
func lastVisible(path string) (string, fs.FileInfo) {
	for {
		if fi, err := os.Stat(path); err == nil {
			return path, fi
		}
		parent := filepath.Dir(path)
		if parent == path {
			return path, nil
		}
		path = parent
	}
}

type accessError struct {
	path, owner string
	mode        fs.FileMode
	err         error
}

func (e *accessError) Error() string {
	return "permission denied: " + e.path + " belongs to " + e.owner + ", mode " + e.mode.String()
}

func (e *accessError) Unwrap() error { return e.err }
