//go:build unix

package queue

import (
	"log/slog"
	"testing"
	"time"

	"vbankbatch/batch/ledger/ledgertest"
)

// TestClock has River's times on a host whose clock is wrong be the database's.
func TestClock(t *testing.T) {
	t.Parallel()
	q, err := Open(t.Context(), ledgertest.Start(t, "fsync=off").Database(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	now := &clock{host: func() time.Time { return time.Now().Add(time.Hour) }}
	if err := now.set(t.Context(), q.pool); err != nil {
		t.Fatal(err)
	}
	if off := time.Until(now.Now()); off.Abs() > time.Minute || now.NowOrNil() != nil {
		t.Errorf("the time is off by %s", off)
	}
}
