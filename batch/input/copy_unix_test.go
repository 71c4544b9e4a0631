//go:build unix

package input

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPipes opens a named pipe: it is read like any other input, and nobody has to wait for one that nobody writes to.
func TestPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	written := make(chan error)
	go func() { written <- os.WriteFile(path, []byte(small), 0) }()
	f, err := Open(path, nil)
	if err := errors.Join(err, <-written); err != nil {
		t.Fatal(err)
	}
	if f.Size != int64(len(small)) || f.Place != Place(path) {
		t.Errorf("%d bytes of %s", f.Size, f.Place)
	}
	f.Close()

	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	go cancel(stopped)
	if f, err := OpenContext(ctx, path, nil, MostBytes); f != nil || err != stopped {
		t.Error(f, err)
	}
	// the opening that was given up ends with a writer
	writer, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	writer.Close()

	if _, err := Open("/dev/zero", nil); err == nil || !strings.Contains(err.Error(), "is a device") {
		t.Error(err)
	}
}
