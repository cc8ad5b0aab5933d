//go:build !unix || solaris || aix

package atomicfile

import (
	"errors"
	"os"
)

// Lock fails with [errors.ErrUnsupported]: the system has no such locks.
func Lock(*os.File) error { return errors.ErrUnsupported }

// TryLock fails with [errors.ErrUnsupported]: the system has no such locks.
func TryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
