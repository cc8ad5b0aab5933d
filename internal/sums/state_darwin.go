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
	s.Device, s.Inode, s.Ctime = uint64(st.Dev), st.Ino, syscall.TimespecToNsec(st.Ctimespec) //nolint:gosec // a number without a sign
	return true
}
