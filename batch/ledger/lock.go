package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"vbankbatch/client/say"
)

// ErrLocked is returned by Lock when another run holds the ledger.
var ErrLocked = say.New("another run holds the ledger's lock")

// Lock takes the run lock of the ledger at path, waiting for it up to wait, and returns what gives it back. The
// kernel drops the lock of a process that dies, however it dies; the file beside the ledger stays and means nothing.
func Lock(ctx context.Context, path string, wait time.Duration) (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// Two names of one ledger are one lock, before its file is there too.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeoutCause(ctx, wait, ErrLocked)
	defer cancel()
	locked, err := lock.TryLock()
	if err == nil && !locked && wait > 0 {
		locked, err = lock.TryLockContext(ctx, 50*time.Millisecond)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	switch {
	case err != nil && !errors.Is(err, ErrLocked):
		return nil, say.Errorf("the ledger's lock cannot be taken: %w", err)
	case !locked:
		return nil, ErrLocked
	}
	return lock.Unlock, nil
}
