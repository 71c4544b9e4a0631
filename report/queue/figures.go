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
			http.Error(out, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(out, "ok")
	})
	mux.HandleFunc("GET /metrics", func(out http.ResponseWriter, r *http.Request) {
		ctx, cancel := within(r)
		defer cancel()
		counts, err := w.Queue.Jobs.Counts(ctx)
		if err != nil {
			http.Error(out, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
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
	family := func(name, help string, all bool, value func(*ledger.JobCount) int64) {
		fmt.Fprintf(w, "# HELP vbankbatch_%[1]s %[2]s\n# TYPE vbankbatch_%[1]s gauge\n", name, help)
		for i := range counts {
			if c := &counts[i]; all || c.State.Open() {
				fmt.Fprintf(w, "vbankbatch_%s{merchant=%q,state=%q} %d\n", name, c.Merchant, string(c.State), value(c))
			}
		}
	}
	family("jobs", "Jobs by merchant and state.", true, func(c *ledger.JobCount) int64 { return c.Jobs })
	family("jobs_rows", "Rows of the jobs that are not over.", false, func(c *ledger.JobCount) int64 { return c.Rows })
	family("jobs_rows_done", "Rows of these jobs that have an outcome.", false, func(c *ledger.JobCount) int64 { return c.Done })
	family("jobs_rows_not_done", "Rows of these jobs that were not done.", false, func(c *ledger.JobCount) int64 { return c.NotDone })
	family("jobs_rows_waiting", "Rows of these jobs that wait to be looked up or for their next try.", false, func(c *ledger.JobCount) int64 { return c.Waiting })
	family("jobs_won_issued", "Won that these jobs have issued.", false, func(c *ledger.JobCount) int64 { return c.Won })
	family("jobs_oldest_seconds", "How long ago the oldest of these jobs was submitted.", false, func(c *ledger.JobCount) int64 { return int64(now.Sub(c.Oldest).Seconds()) })
}
