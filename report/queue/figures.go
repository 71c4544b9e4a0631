package queue

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"time"

	"vbankbatch/batch/ledger"
)

// Figures serves /healthz, which is well while the database answers, and /metrics, the jobs of each merchant for Prometheus. They
// name no file, person or account.
func (w *Worker) Figures() http.Handler {
	mux := http.NewServeMux()
	within := func(r *http.Request) (context.Context, context.CancelFunc) {
		return context.WithTimeout(r.Context(), 5*time.Second)
	}
	mux.HandleFunc("GET /healthz", func(out http.ResponseWriter, r *http.Request) {
		ctx, cancel := within(r)
		defer cancel()
		if err := w.Queue.Jobs.Ping(ctx); err != nil {
			http.Error(out, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(out, "ok")
	})
	mux.HandleFunc("GET /metrics", func(out http.ResponseWriter, r *http.Request) {
		ctx, cancel := within(r)
		defer cancel()
		counts, err := w.Queue.Jobs.Counts(ctx)
		if err != nil {
			http.Error(out, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		out.Header().Set("Content-Type", "text/plain; version=0.0.4")
		text := bufio.NewWriter(out)
		defer text.Flush()
		writeFigures(text, counts, time.Now())
	})
	return mux
}

func writeFigures(w *bufio.Writer, counts []ledger.JobCount, now time.Time) {
	for _, family := range []struct {
		name, help string
		value      func(*ledger.JobCount) int64
		open       bool // of jobs that are not over
	}{
		{"jobs", "Jobs by merchant and state.", func(c *ledger.JobCount) int64 { return c.Jobs }, false},
		{"jobs_rows", "Rows of the jobs that are not over.", func(c *ledger.JobCount) int64 { return c.Rows }, true},
		{"jobs_rows_done", "Rows of these that have an outcome.", func(c *ledger.JobCount) int64 { return c.Done }, true},
		{"jobs_rows_not_done", "Rows of these that were not done.", func(c *ledger.JobCount) int64 { return c.NotDone }, true},
		{"jobs_rows_waiting", "Rows of these that wait to be looked up or for their next try.", func(c *ledger.JobCount) int64 { return c.Waiting }, true},
		{"jobs_won_issued", "Won that these have issued.", func(c *ledger.JobCount) int64 { return c.Won }, true},
		{"jobs_oldest_seconds", "How long ago the oldest of these was submitted.", func(c *ledger.JobCount) int64 { return int64(now.Sub(c.Oldest).Seconds()) }, true},
	} {
		fmt.Fprintf(w, "# HELP vbankbatch_%[1]s %[2]s\n# TYPE vbankbatch_%[1]s gauge\n", family.name, family.help)
		for i := range counts {
			if c := &counts[i]; !family.open || c.State.Open() {
				fmt.Fprintf(w, "vbankbatch_%s{merchant=%q,state=%q} %d\n", family.name, c.Merchant, string(c.State), family.value(c))
			}
		}
	}
}
