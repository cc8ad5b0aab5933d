//go:build unix

package ollama

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// ownerOf returns the name of the user that fi's file belongs to, and the same
// with its group for a message; both "" if the system does not tell.
func ownerOf(fi fs.FileInfo) (owner, text string) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "", ""
	}
	uid, gid := strconv.FormatUint(uint64(st.Uid), 10), strconv.FormatUint(uint64(st.Gid), 10)
	owner, group := "#"+uid, gid
	if u, err := user.LookupId(uid); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		group = g.Name
	}
	return owner, fmt.Sprintf("user %s (uid %s), group %s", owner, uid, group)
}
