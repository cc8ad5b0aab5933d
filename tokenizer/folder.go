package tokenizer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"unicode/utf8"
)

// A folder is where a tokenizer and the files beside it are.
type folder struct {
	fsys fs.FS
	dir  string
}

// read returns the file called name, at most limit bytes; found is false if there is none.
func (f folder) read(name string, limit int) (b []byte, found bool, err error) {
	info, err := fs.Stat(f.fsys, f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, true, f.bad(name, fmt.Errorf("%w: not a regular file", ErrUnsupported))
	}
	file, err := f.fsys.Open(f.path(name))
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	b, err = io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = f.bad(name, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit))
	}
	return b, true, err
}

func (f folder) path(name string) string { return path.Join(f.dir, name) }

// text is read for a file that has to be UTF-8.
func (f folder) text(name string, limit int) (text string, found bool, err error) {
	b, found, err := f.read(name, limit)
	if err == nil && !utf8.Valid(b) {
		err = f.bad(name, fmt.Errorf("%w: not UTF-8", ErrCorrupt))
	}
	return string(b), found, err
}

// json decodes the file called name into v, which stays as it is if there is none.
func (f folder) json(name string, v any) error {
	b, found, err := f.read(name, maxSidecar)
	if err != nil || !found {
		return err
	}
	if err := decodeJSON(b, maxSidecar, v); err != nil {
		return f.bad(name, err)
	}
	return nil
}

// bad says that the file called name is at fault.
func (f folder) bad(name string, err error) error {
	return &Error{Op: "tokenizer: read", File: f.path(name), Offset: jsonOffset(err), Err: err}
}
