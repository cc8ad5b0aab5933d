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

// ownerIDs returns the numbers of the user and group whose fi's file is.
func ownerIDs(fi fs.FileInfo) (ids, bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ids{}, false
	}
	return ids{int(st.Uid), int(st.Gid)}, true
}

// linkCount returns how many names fi's file has.
func linkCount(fi fs.FileInfo) (uint64, bool) {
	if fi == nil {
		return 0, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Nlink), true //nolint:unconvert,nolintlint // its type depends on the system
}
