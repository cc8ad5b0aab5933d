//go:build unix

package ollama

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// ownerOf returns whose fi's file is, or false if the system does not tell.
func ownerOf(fi fs.FileInfo) (owner, bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}, false
	}
	uid := strconv.FormatUint(uint64(st.Uid), 10)
	gid := strconv.FormatUint(uint64(st.Gid), 10)
	o := owner{user: "#" + uid, group: "#" + gid, uid: uid}
	if u, err := user.LookupId(uid); err == nil {
		o.user = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		o.group = g.Name
	}
	return o, true
}
