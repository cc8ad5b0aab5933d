//go:build !linux

package convert

import "os"

// shareBlocks is not available: everything is copied.
func shareBlocks(*os.File, int64, *os.File, int64, int64) bool { return false }

// There is no portable way to give the kernel these hints.
func willNeed(*os.File, int64, int64)     {}
func startWriting(*os.File, int64, int64) {}
