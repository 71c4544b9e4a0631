package command

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
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

// TestLearntByTheFileBefore: the client of a folder's next file keeps a pause that the API asked the one before for.
func TestLearntByTheFileBefore(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer api.Close()
	m := &merchant{url: api.URL, Credentials: client.Credentials{Key: "k", Secret: "s"}}
	for _, before := range []bool{false, true} {
		c, end, err := m.client(&app{ctx: t.Context()}, &requestFlags{Workers: 1, Timeout: time.Second}, 0, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if pause := time.Until(c.Learnt().Resume); before != (pause > 10*time.Second) {
			t.Errorf("it begins with a pause of %s", pause)
		}
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := c.Authenticate(short); err == nil {
			t.Error("it got a token")
		}
		cancel()
		if err := end(); err != nil {
			t.Error(err)
		}
	}
}
