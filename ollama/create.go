package ollama

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Create returns the store in dir as [Dir] does, after making the folders that it
// lacks: dir itself if its parent is there, manifests and blobs.
func Create(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, &Error{Op: "ollama: create store", Path: dir, Err: err}
	}
	made := false
	for _, d := range []string{abs, filepath.Join(abs, "manifests"), filepath.Join(abs, "blobs")} {
		err := os.Mkdir(d, 0o755)
		switch {
		case err == nil:
			made = true
			err = adopt(d)
		case errors.Is(err, fs.ErrExist):
			err = refuseOther(abs, d, made)
		}
		if err != nil {
			return nil, explainAccess(&Error{Op: "ollama: create store", Path: d, Err: underlying(err)})
		}
	}
	return Dir(abs)
}

// refuseOther fails if dir is there and holds something that is not a store.
func refuseOther(root, dir string, made bool) error {
	if dir != root || made {
		return nil
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() == "manifests" || f.Name() == "blobs" {
			return nil
		}
	}
	if len(files) > 0 {
		return fmt.Errorf("%w: it holds neither manifests nor blobs but %s", ErrNoStore, shorten(files[0].Name()))
	}
	return nil
}

// adopt gives what root makes in the store of another user to that user, the
// owner of the folder around it, so that the service can go on with it.
func adopt(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	parent, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if o, ok := ownerIDs(parent); ok && o.uid != 0 {
		return os.Lchown(path, o.uid, o.gid)
	}
	return nil
}
