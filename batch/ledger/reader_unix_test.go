//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const unprivileged = "LEDGER_READ_AS_OTHER"

// TestReadOnlyPlaces reads ledgers where the reader may write nothing, as another user than root, for whom nothing is
// forbidden.
func TestReadOnlyPlaces(t *testing.T) {
	if dir := os.Getenv(unprivileged); dir != "" {
		readOnlyPlaces(t, dir)
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	book := func(name string) (*Ledger, string) {
		path := filepath.Join(dir, name, "ledger.db")
		l := open(t, path, "merchant")
		batchOf(t, l, day(1, 1), true, holding("A-1", Issued, day(12, 31)))
		return l, path
	}
	closed, path := book("closed")
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	book("open") // a run is writing it
	_, written := book("logged")
	copyOf := filepath.Join(dir, "copied") // of a killed run: the log is there, and nobody uses it
	secret := filepath.Join(dir, "secret")
	for _, place := range []string{copyOf, secret} {
		if err := os.Mkdir(place, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{written: copyOf + "/ledger.db", written + "-wal": copyOf + "/ledger.db-wal", path: secret + "/ledger.db"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // so that it can be removed
		for _, name := range []string{"closed", "open", "logged", "copied", "secret"} {
			os.Chmod(filepath.Join(dir, name), 0o755)
		}
	})
	for _, name := range []string{"closed", "open", "copied"} {
		files, _ := filepath.Glob(filepath.Join(dir, name, "*"))
		for _, file := range files {
			if err := os.Chmod(file, 0o444); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, mode := range map[string]fs.FileMode{"closed": 0o555, "open": 0o555, "copied": 0o555, "secret": 0o555} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(secret, "ledger.db"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		readOnlyPlaces(t, dir)
		return
	}
	child := exec.Command("/proc/self/exe", "-test.run=^TestReadOnlyPlaces$", "-test.v")
	child.Env = append(os.Environ(), unprivileged+"="+dir)
	child.Dir = dir
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := child.CombinedOutput()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		t.Skip("no way to be another user here: ", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func readOnlyPlaces(t *testing.T, dir string) {
	for _, name := range []string{"closed", "open"} {
		r, err := OpenReader(ctx, filepath.Join(dir, name, "ledger.db"), "merchant")
		if err != nil {
			t.Error(name, err)
			continue
		}
		if lines, err := r.History(ctx, Order{MerchantUID: "A-1"}); err != nil || len(lines) != 1 {
			t.Error(name, lines, err)
		}
		if err := r.Close(); err != nil {
			t.Error(name, err)
		}
	}
	for name, want := range map[string]string{"copied": "a log beside it", "secret": "permission denied"} {
		if r, err := OpenReader(ctx, filepath.Join(dir, name, "ledger.db"), "merchant"); err == nil {
			r.Close()
			t.Error(name, "was opened")
		} else if !strings.Contains(err.Error(), want) {
			t.Error(name, err)
		}
	}
}

// TestChangedWhileRead writes to a ledger that is read without locks, because its place let the reader have none.
func TestChangedWhileRead(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	batchOf(t, l, day(1, 1), true, holding("A-1", Issued, day(12, 31)))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := read(t, path, "merchant")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	r.still = info // as OpenReader has it then
	read := func() error { return r.All(ctx, func(*Line) error { return nil }) }
	if err := read(); err != nil {
		t.Error(err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, ErrChanged) {
		t.Error(fmt.Errorf("written to while it was read: %w", err))
	}
}
