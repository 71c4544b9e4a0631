//go:build linux || darwin || freebsd

package command

import "golang.org/x/sys/unix"

// mayAccess reports why the user may not read what stands at path; or, in a folder, not make and remove files.
func mayAccess(path string, write bool) error {
	if write {
		return unix.Access(path, unix.R_OK|unix.W_OK|unix.X_OK)
	}
	return unix.Access(path, unix.R_OK)
}

// free is how many bytes the user may still write to the disk that path is on.
func free(path string) (bytes uint64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true
}
