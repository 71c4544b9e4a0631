package client

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSecretFromPipe takes what a pipe delivers, in pieces and late, and gives up on one that nobody writes to when the
// time is over or the context ends.
func TestSecretFromPipe(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	path := "/dev/fd/" + strconv.Itoa(int(out.Fd()))
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	go func() {
		in.WriteString(" sec")
		in.WriteString("ret\n")
		in.Close()
	}()
	if got, err := readSecret(t.Context(), path, time.Hour); err != nil || got != "secret" {
		t.Errorf("%q, %v", got, err)
	}

	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Skip(err)
	}
	defer func() { // lets those go that still wait for somebody to write
		if both, err := os.OpenFile(fifo, os.O_RDWR, 0); err == nil {
			both.Close()
		}
	}()
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("terminated"))
	if _, err := readSecret(ended, fifo, time.Hour); err == nil || err.Error() != "terminated" {
		t.Error(err)
	}
	if _, err := readSecret(t.Context(), fifo, time.Millisecond); err == nil || !strings.Contains(err.Error(), "within 1ms") {
		t.Error(err)
	}
}

// TestSecretWithoutEnd refuses what is too large for a secret, and reads no more of it than shows that.
func TestSecretWithoutEnd(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, mostSecret+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{large, "/dev/zero"} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if _, err := readSecret(t.Context(), path, time.Hour); err == nil || !strings.Contains(err.Error(), "a secret is shorter") {
			t.Error(path, err)
		}
	}
}

// TestPlaces: where a secret came from may be told, and not what it is.
func TestPlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("planted"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IMP_KEY", "planted")
	t.Setenv("IMP_KEY_FILE", "")
	t.Setenv("IMP_SECRET", "")
	t.Setenv("IMP_SECRET_FILE", file)
	t.Setenv("IMP_PG_API_KEY", "")
	t.Setenv("IMP_PG_API_KEY_FILE", "")
	c, err := Environment(t.Context())
	if want := "IMP_KEY IMP_SECRET_FILE=" + file; err != nil || strings.Join(c.Places, " ") != want {
		t.Errorf("%q, %v, want %q", c.Places, err, want)
	}
}
