package ollama

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
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
	o, ok := ownerOf(fi)
	if !ok {
		return e
	}
	e.Err = &accessError{path: path, owner: o, mode: fi.Mode(), err: e.Err}
	e.Fix = fmt.Sprintf("run this as that user (sudo -u %s …) or ask for permission", o.user)
	if o.uid == strconv.Itoa(os.Geteuid()) {
		e.Fix = "give yourself permission: chmod -R u+rX " + visible(path)
	}
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

// An owner says whose a file is. A user without a name is called "#" and its
// number, as sudo takes it.
type owner struct{ user, group, uid string }

// ids are the numbers of a user and a group.
type ids struct{ uid, gid int }

type accessError struct {
	path  string
	owner owner
	mode  fs.FileMode
	err   error
}

func (e *accessError) Error() string {
	return fmt.Sprintf("permission denied: %s belongs to user %s, group %s, mode %s", visible(e.path), e.owner.user, e.owner.group, e.mode)
}

func (e *accessError) Unwrap() error { return e.err }
