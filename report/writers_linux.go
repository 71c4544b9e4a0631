package report

import (
	"os"
	"syscall"
)

// hasWriter reports whether some process has the file open for writing. Only then a lease for reading is refused with
// EAGAIN. Where there are no leases, as on network file systems, or not for other users' files, it knows of none.
func hasWriter(file *os.File) bool {
	_, _, err := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_SETLEASE, syscall.F_RDLCK)
	if err == 0 {
		syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_SETLEASE, syscall.F_UNLCK) // closing does it too
	}
	return err == syscall.EAGAIN
}
