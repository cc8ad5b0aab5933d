package sums

import (
	"io/fs"
	"syscall"
)

func (s *state) addIdentity(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	s.Device, s.Inode, s.Ctime = uint64(st.Dev), st.Ino, syscall.TimespecToNsec(st.Ctim) //nolint:unconvert // Dev has another type on mips
	return true
}
