//go:build linux || darwin

package ledger

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks a byte of the file for this open file description. A lock by flock(2) is one on the whole file where the
// system makes it of the same kind, as on NFS and macOS: SQLite would be kept out too.
func tryLock(file *os.File) (bool, error) {
	err := unix.FcntlFlock(file.Fd(), ofdSetLock, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: lockByte, Len: 1})
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES):
		return false, nil
	case errors.Is(err, unix.EINVAL): // the system has no such locks: only the file beside is locked
		return true, nil
	}
	return err == nil, err
}
