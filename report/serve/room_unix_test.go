//go:build unix

package serve

import (
	"bytes"
	"os/signal"
	"syscall"
	"testing"

	"vbankbatch/batch/ledger"
)

// TestNoRoom: a full disk is no fault of the file, which is looked through again once there is room.
func TestNoRoom(t *testing.T) {
	s := newSite(t)
	large := packed(t, append([]byte(good), bytes.Repeat([]byte("\n"), 9<<20)...)) // more than is kept in memory
	stored := &ledger.Job{Merchant: "seoul", API: s.API, File: "a.csv.gz", Settings: `{"MaxInput":"64MiB"}`, Day: "2026-11-30", Submitted: when}
	if err := s.Jobs.Upload(t.Context(), stored, bytes.NewReader(large), ledger.Deed{}); err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	full := was
	full.Cur = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	_, err := s.lookWhole(t.Context(), stored)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Error("the file is refused over a disk that is full")
	}
	if found, err := s.lookWhole(t.Context(), stored); err != nil || found.Refusal != nil {
		t.Errorf("%v, %v", err, found)
	}
}
