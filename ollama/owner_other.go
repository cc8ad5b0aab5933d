//go:build !unix

package ollama

import "io/fs"

// ownerOf returns false: only Unix keeps a file's owner in its FileInfo.
func ownerOf(fs.FileInfo) (owner, bool) { return owner{}, false }

// ownerIDs returns false, as ownerOf does.
func ownerIDs(fs.FileInfo) (ids, bool) { return ids{}, false }

// linkCount returns false, as ownerOf does.
func linkCount(fs.FileInfo) (uint64, bool) { return 0, false }
