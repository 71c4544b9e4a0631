//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLockByAnyName has a ledger locked, and others come to it by other names.
func TestLockByAnyName(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("only the file beside the ledger is locked on this system")
	}
	for name, other := range map[string]func(t *testing.T, path string) string{
		"hard link": func(t *testing.T, path string) string {
			linked := filepath.Join(t.TempDir(), "linked.db")
			check(t, os.Link(path, linked))
			return linked
		},
		"renamed": func(t *testing.T, path string) string {
			check(t, os.Rename(path, path+".renamed"))
			return path + ".renamed"
		},
		"its lock file removed": func(t *testing.T, path string) string {
			check(t, os.Remove(path+".lock"))
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := place(t)
			unlock, err := Lock(ctx, path, 0)
			if err != nil {
				t.Fatal(err)
			}
			path = other(t, path)
			for _, wait := range []time.Duration{0, 120 * time.Millisecond} {
				if _, err := Lock(ctx, path, wait); !errors.Is(err, ErrLocked) {
					t.Errorf("locked a second time: %v", err)
				}
			}
			time.AfterFunc(60*time.Millisecond, func() { unlock() })
			again, err := Lock(ctx, path, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			check(t, again())
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLockMakesOne has two first runs, by two names of a ledger that is not there yet: one of them makes it, and holds it.
func TestLockMakesOne(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "ledger.db")
		link := filepath.Join(t.TempDir(), "link.db")
		check(t, os.Symlink(path, link))
		var errs [2]error
		var unlock [2]func() error
		var both sync.WaitGroup
		for i, name := range []string{path, link} {
			both.Go(func() { unlock[i], errs[i] = Lock(ctx, name, 0) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), ErrLocked) {
			t.Fatal(errs)
		}
		for i := range unlock {
			if errs[i] == nil {
				check(t, unlock[i]())
			}
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(info, err)
		}
	}
}

// TestLockReplaced has another file put in the ledger's place while its lock is taken, and the ledger taken away.
func TestLockReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	steps := []func(){
		func() { check(t, os.Rename(path, path+".old")) },
		func() {
			check(t, os.WriteFile(path+".new", []byte("another"), 0o600))
			check(t, os.Rename(path+".new", path))
		},
	}
	file, locked, err := lockItself(path, func(file *os.File) (bool, error) {
		locked, err := tryLock(file)
		if len(steps) > 0 {
			steps[0]()
			steps = steps[1:]
		}
		return locked, err
	})
	if err != nil || !locked {
		t.Fatal(locked, err)
	}
	defer file.Close()
	if text, err := io.ReadAll(file); err != nil || string(text) != "another" {
		t.Errorf("locked is %q: %v", text, err)
	}
}

// TestOneName refuses a ledger with two names, by each of them, until one is gone.
func TestOneName(t *testing.T) {
	path, linked := place(t), filepath.Join(t.TempDir(), "linked.db")
	open(t, path, "merchant").Close()
	check(t, os.Link(path, linked))
	for _, name := range []string{path, linked} {
		if l, err := Open(name, "merchant"); !errors.Is(err, ErrLinked) {
			t.Errorf("%v %v", l, err)
		}
		read(t, name, "merchant") // looking at it does no harm
	}
	check(t, os.Remove(linked))
	open(t, path, "merchant")
}

// TestNoFiles has pipes, devices, sockets and folders where the ledger, its log or its lock should be. Opening a pipe
// waits for ever.
func TestNoFiles(t *testing.T) {
	lock := func(path string) error { _, err := Lock(ctx, path, 0); return err }
	open := func(path string) error { _, err := Open(path, "merchant"); return err }
	for _, test := range []struct {
		ending string
		do     func(path string) error
	}{{"", lock}, {"", open}, {".lock", lock}, {"-wal", open}, {"-shm", open}} {
		path := filepath.Join(t.TempDir(), "ledger.db")
		check(t, syscall.Mkfifo(path+test.ending, 0o600))
		done := make(chan error, 1)
		go func() { done <- test.do(path) }()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "ledger.db"+test.ending+" is not a regular file") {
				t.Errorf("a pipe at ledger.db%s: %v", test.ending, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("it waits for the pipe at ledger.db%s", test.ending)
		}
	}
	for _, path := range []string{t.TempDir(), "/dev/null"} {
		if _, err := Lock(ctx, path, 0); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Error(path, err)
		}
	}
}

// TestLockLeavesSQLiteItsLocks locks a ledger as a run does, and sees that SQLite's own locks are there while it is open.
func TestLockLeavesSQLiteItsLocks(t *testing.T) {
	path := place(t)
	unlock, err := Lock(ctx, path, 0)
	check(t, err)
	defer unlock()
	l := open(t, path, "merchant")
	defer l.Close()
	locks := func() (found int) {
		text, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Skip("no list of locks on this system")
		}
		info, err := os.Stat(path)
		check(t, err)
		for line := range strings.Lines(string(text)) { // 1: POSIX ADVISORY READ PID MAJOR:MINOR:INODE START END
			fields := strings.Fields(line)
			if fields[1] == "POSIX" && fields[4] == strconv.Itoa(os.Getpid()) && strings.HasSuffix(fields[5], fmt.Sprintf(":%d", info.Sys().(*syscall.Stat_t).Ino)) {
				found++
			}
		}
		return found
	}
	if locks() == 0 {
		t.Fatal("SQLite has no lock on the open ledger")
	}
	r := read(t, path, "merchant")
	check(t, r.Close())
	if _, err := Lock(ctx, path, 0); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	if _, err := l.Purge(ctx, before, now); err != nil {
		t.Error(err)
	}
	if l, err := Open(path, "merchant"); err != nil {
		t.Error(err)
	} else {
		check(t, l.Close())
	}
	if locks() == 0 {
		t.Error("SQLite's locks on the open ledger are gone")
	}
}
