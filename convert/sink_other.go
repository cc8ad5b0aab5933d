//go:build !linux

package convert

import "os"

func openSink(dst string) (*sink, error) { return openNamed(dst) }

// reserve sets the length; a full disk shows when the bytes are written.
func reserve(f *os.File, size int64) error { return f.Truncate(size) }

// shareBlocks is not available: everything is copied.
func shareBlocks(*os.File, int64, *os.File, int64, int64) bool { return false }

// There is no portable way to give the kernel these hints.
func willNeed(*os.File, int64, int64)     {}
func startWriting(*os.File, int64, int64) {}
