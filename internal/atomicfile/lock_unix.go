//go:build unix && !solaris && !aix

package atomicfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Lock waits until f, a file or folder, is locked for this process alone, until f
// is closed. It fails with [errors.ErrUnsupported] where files cannot be locked.
func Lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return unsupported(err)
		}
	}
}

// TryLock is Lock without waiting; it reports whether f is locked now.
func TryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, unsupported(err)
}

// unsupported classifies what file systems without locks say.
func unsupported(err error) error {
	for _, lacking := range []error{unix.ENOLCK, unix.EBADF, unix.EINVAL, unix.ENOTSUP} {
		if errors.Is(err, lacking) {
			return errors.Join(errors.ErrUnsupported, os.NewSyscallError("flock", err))
		}
	}
	return os.NewSyscallError("flock", err)
}
