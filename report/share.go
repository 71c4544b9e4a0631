package report

import (
	"errors"
	"io/fs"
	"os"
)

// Share lets a group read a file, or a folder and, where the system allows that, what is made in it. A file that is not there
// is no error.
func Share(path string, gid int) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	mode := fs.FileMode(0o640)
	if info.IsDir() {
		mode = 0o750 | fs.ModeSetgid
	}
	if err := os.Lchown(path, -1, gid); err != nil { // before the mode: the group may be another still
		return err
	}
	err = os.Chmod(path, mode)
	if info.IsDir() && errors.Is(err, fs.ErrPermission) { // systemd's RestrictSUIDSGID
		err = os.Chmod(path, 0o750)
	}
	return err
}
