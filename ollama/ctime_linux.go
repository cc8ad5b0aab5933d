package ollama

import (
	"io/fs"
	"syscall"
	"time"
)

// changeTime returns when the file or its links were last changed.
func changeTime(fi fs.FileInfo) (time.Time, bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(st.Ctim.Unix()), true
}
