package ledger

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

const ofdSetLock = unix.F_OFD_SETLK

// mounted reports whether the file at the path, which goes through no link, is mounted without its folder.
func mounted(path string) bool {
	var file, folder unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &file) != nil || unix.Statx(unix.AT_FDCWD, filepath.Dir(path), 0, unix.STATX_MNT_ID, &folder) != nil {
		return false
	}
	return file.Mask&folder.Mask&unix.STATX_MNT_ID != 0 && file.Mnt_id != folder.Mnt_id // Linux before 5.8 does not tell
}
