package command

import (
	"testing"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
)

// TestDueFrom: +7d counts from the day that was shown, though the database's clock tells another.
func TestDueFrom(t *testing.T) {
	t.Parallel()
	for submitted, want := range map[string]string{"2026-11-30 23:59:59": "2026-12-01", "2026-12-01 00:00:00": "2026-12-01", "2026-12-01 23:59:59": "2026-12-01", "2026-12-02 00:00:00": "2026-12-01"} {
		at, err := time.ParseInLocation(time.DateTime, submitted, input.KST)
		if err != nil {
			t.Fatal(err)
		}
		if got := dueFrom(&ledger.Job{Day: want, Submitted: at.UTC()}).In(input.KST); got.Format(time.DateOnly) != want || got.Sub(at).Abs() > time.Second {
			t.Errorf("submitted at %s, due dates count from %s", submitted, got)
		}
	}
	if at := time.Now(); !dueFrom(&ledger.Job{Submitted: at}).Equal(at) {
		t.Error("a job without a day does not go by when it was submitted")
	}
}
