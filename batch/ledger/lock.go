package ledger

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"vbankbatch/client/say"
)

// ErrLocked is returned by Lock when another run holds the ledger.
var ErrLocked = say.New("another run holds the ledger's lock")

// A ledger has one name. SQLite keeps what was committed last in a log beside the file, by the file's name: under another
// name there is another log, the intents of a run that was killed stand in neither the file nor that log, and once both
// logs are merged the file is ruined. So the lock is on the file itself, whatever it is called, and these are refused.
var (
	// ErrLinked is the error for a ledger that has hard links.
	ErrLinked = say.New("the file has several names (hard links), and a ledger must have one")
	// ErrMounted is the error for a ledger that is mounted without the folder that it is in.
	ErrMounted = say.New("the file is mounted by itself, without the log that stands beside it")
)

// locate returns the one path of the ledger's file, whichever of its links path is, and makes the file when it is missing.
// What is there is not opened: see lockItself.
func locate(path string) (string, error) {
	if err := regular(path); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite gives its other files the same mode
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if absolute, err = filepath.EvalSymlinks(absolute); err != nil {
		return "", err
	}
	if err := regular(absolute+"-wal", absolute+"-shm"); err != nil {
		return "", err
	}
	switch names, err := links(absolute); {
	case err != nil:
		return "", err
	case names > 1:
		return "", say.Errorf("%s: %w", path, ErrLinked)
	case mounted(absolute):
		return "", say.Errorf("%s: %w", path, ErrMounted)
	}
	return absolute, nil
}

// lockByte is the byte of the ledger that a run locks, far behind those that SQLite locks, and behind all that are
// written: on Windows nobody else can read a byte that is locked.
const lockByte = 1 << 62

// Lock takes the run lock of the ledger at path, waiting for it up to wait, and returns what gives it back; that is not
// called before the ledger is closed. A ledger that is missing is made, empty. The kernel drops the lock of a process
// that dies, however it dies.
//
// Two files are locked: the ledger itself, which is the same by whatever name, and the one beside it, whose content means
// nothing: earlier versions of this program lock only that.
func Lock(ctx context.Context, path string, wait time.Duration) (unlock func() error, err error) {
	if err := regular(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	end := time.Now().Add(wait)
	unlockBeside, err := LockBeside(ctx, path, wait)
	if err != nil {
		return nil, err
	}
	var file *os.File
	err = patiently(ctx, end, func() (locked bool, err error) {
		file, locked, err = lockItself(path, tryLock)
		return locked, err
	})
	if err != nil {
		return nil, errors.Join(err, unlockBeside())
	}
	return func() error { return errors.Join(file.Close(), unlockBeside()) }, nil
}

// LockBeside takes the lock of a file beside path alone, which two names of one folder share.
func LockBeside(ctx context.Context, path string, wait time.Duration) (unlock func() error, err error) {
	end := time.Now().Add(wait)
	// A link to it has the same lock, before the file is there too.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	if err := regular(path + ".lock"); err != nil {
		return nil, err
	}
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	if err := patiently(ctx, end, lock.TryLock); err != nil {
		return nil, err
	}
	return lock.Unlock, nil
}

// patiently tries to take a lock until it has it or the end has come.
func patiently(ctx context.Context, end time.Time, try func() (locked bool, err error)) error {
	for {
		locked, err := try()
		switch {
		case err != nil:
			return say.Errorf("the ledger's lock cannot be taken: %w", err)
		case locked:
			return nil
		case !time.Now().Before(end):
			return ErrLocked
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(min(50*time.Millisecond, time.Until(end))):
		}
	}
}

// lockItself opens the ledger and locks it with try, unless somebody else has.
//
// The file stays open as long as it is locked. Closing any descriptor of it takes from this process all the locks that
// SQLite has on it: that is done before SQLite opens it, or after SQLite has closed it.
func lockItself(path string, try func(*os.File) (bool, error)) (*os.File, bool, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite gives its other files the same mode
		if err != nil {
			return nil, false, err
		}
		locked, err := try(file)
		there := locked
		if err == nil && locked {
			there, err = isAt(file, path)
		}
		if err == nil && there {
			return file, true, nil
		}
		if err := errors.Join(err, file.Close()); err != nil || !locked {
			return nil, false, err
		}
	}
}

// isAt reports whether the path still names the file; it may have been replaced while it was waited for.
func isAt(file *os.File, path string) (bool, error) {
	mine, err := file.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, now), err
}

// regular returns an error if something at the paths is not a regular file: to open a pipe may block for ever, and to open a
// device may do anything.
func regular(paths ...string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return say.Errorf("%s is not a regular file", path)
		}
	}
	return nil
}
