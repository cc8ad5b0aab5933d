//go:build !unix

package ollama

import "io/fs"

// ownerOf returns false: only Unix keeps a file's owner in its FileInfo.
func ownerOf(fs.FileInfo) (owner, bool) { return owner{}, false }
