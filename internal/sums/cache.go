// Package sums computes the SHA-256 of files and remembers them while the files
// have not changed, so that a large file is read once.
//
// A file counts as unchanged while its device, inode, size, time of modification
// and time of change are those that were seen when it was read. Programs can set
// the first of these times but not the second, so only a changed clock, or a
// write to the disk past the file system, can hide a change.
package sums

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/smelt-project/smelt/internal/atomicfile"
)

// ErrChanged means that a file was written to while it was read.
var ErrChanged = errors.New("changed while it was read")

// A Cache is a folder with one small file for each sum. The zero Cache remembers
// nothing.
type Cache struct{ dir string }

// In returns the cache in dir, which is created when it is needed.
func In(dir string) Cache { return Cache{dir} }

// A state tells one content of a file from another. It is what a cache's file
// holds.
type state struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Size   int64  `json:"size"`
	Mtime  int64  `json:"mtime"` // nanoseconds since 1970
	Ctime  int64  `json:"ctime"`
}

type record struct {
	state

	SHA256 string `json:"sha256"`
}

// A Sum is the SHA-256 of one file as lower-case hex digits.
type Sum struct {
	Hex        string
	Remembered bool // the file was not read

	state state
	known bool // state says something
}

// Recall returns the sum of f if it is remembered.
func (c Cache) Recall(f *os.File) (s Sum, ok bool, err error) {
	now, known, err := stateOf(f)
	if err != nil || !known {
		return Sum{}, false, err
	}
	text, ok := c.recall(now)
	return Sum{text, true, now, true}, ok, nil
}

// Of returns the sum of f, reading f only if it is not remembered, and then
// calling progress, if it is not nil, with the number of bytes read so far. It
// fails with ErrChanged, or ctx's error.
func (c Cache) Of(ctx context.Context, f *os.File, progress func(n int64)) (Sum, error) {
	if s, ok, err := c.Recall(f); ok || err != nil {
		return s, err
	}
	before, known, err := stateOf(f)
	if err != nil {
		return Sum{}, err
	}
	began := time.Now()
	text, err := Read(ctx, f, progress)
	if err != nil {
		return Sum{}, err
	}
	s := Sum{text, false, before, known}
	if !settled(before, began) {
		c = Cache{}
	}
	return c.Renew(f, s)
}

// clockStep is more than the resolution of any file system's times: within it,
// two writes can leave the same time.
const clockStep = 2 * time.Second

// settled reports whether a write after the time began must show in the time of
// modification.
func settled(s state, began time.Time) bool { return began.UnixNano()-s.Mtime >= int64(clockStep) }

// Renew keeps the sum of f through a change of f's links or owner, which s was
// computed before: size and time of modification must be what they were. It
// fails with ErrChanged if they are not.
func (c Cache) Renew(f *os.File, s Sum) (Sum, error) {
	now, known, err := stateOf(f)
	if err != nil {
		return s, err
	}
	if now.Size != s.state.Size || now.Mtime != s.state.Mtime || now.Inode != s.state.Inode || now.Device != s.state.Device {
		return s, ErrChanged
	}
	s.state, s.known = now, known
	if !settled(now, time.Now()) {
		return s, nil
	}
	return s, c.remember(s)
}

// chunk is large enough to hide the calls and small enough to notice a cancelled
// context within milliseconds.
const chunk = 1 << 20

// Read returns the SHA-256 of all of r, which is read from its start without
// moving its position.
func Read(ctx context.Context, r io.ReaderAt, progress func(n int64)) (string, error) {
	h := sha256.New()
	buf := make([]byte, chunk)
	for off := int64(0); ; {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		n, err := r.ReadAt(buf, off)
		h.Write(buf[:n])
		off += int64(n)
		if progress != nil {
			progress(off)
		}
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func (c Cache) path(s state) string {
	return filepath.Join(c.dir, fmt.Sprintf("%x-%x.json", s.Device, s.Inode))
}

// recall returns the sum of a file in the state s. What cannot be read counts
// as not known.
func (c Cache) recall(s state) (text string, ok bool) {
	if c.dir == "" {
		return "", false
	}
	b, err := os.ReadFile(c.path(s))
	var r record
	if err != nil || json.Unmarshal(b, &r) != nil || r.state != s {
		return "", false
	}
	if sum, err := hex.DecodeString(r.SHA256); err != nil || len(sum) != sha256.Size {
		return "", false
	}
	return r.SHA256, true
}

// remember writes s to the cache. That it cannot be written, for want of a
// writable folder or of space, changes no result and is no failure.
func (c Cache) remember(s Sum) error {
	if c.dir == "" || !s.known {
		return nil
	}
	b, err := json.Marshal(record{s.state, s.Hex})
	if err != nil {
		return err
	}
	if err := c.write(c.path(s.state), b); !isOfSystem(err) {
		return err
	}
	return nil
}

func isOfSystem(err error) bool {
	var path *fs.PathError
	var call *os.SyscallError
	var link *os.LinkError
	return errors.As(err, &path) || errors.As(err, &call) || errors.As(err, &link)
}

func (c Cache) write(path string, b []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	f, err := atomicfile.Create(c.dir, filepath.Base(path))
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Discard())
	}
	return errors.Join(f.Publish(filepath.Base(path), atomicfile.Replace), f.Discard())
}

// stateOf returns the state of an open file; known is false where the system
// does not tell when a file was last changed.
func stateOf(f *os.File) (s state, known bool, err error) {
	fi, err := f.Stat()
	if err != nil {
		return state{}, false, err
	}
	s = state{Size: fi.Size(), Mtime: fi.ModTime().UnixNano()}
	known = s.addIdentity(fi)
	return s, known, nil
}
