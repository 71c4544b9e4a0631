package batch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/batch/ledger"
)

// run is one pass of a plan's rows through the workers.
type run struct {
	id       int64
	plan     *Plan
	api      API
	ledger   Ledger
	options  Options
	stop     context.CancelCauseFunc
	failures failures
	pending  pending
	perRow   atomic.Int64        // nanoseconds that the workers took for a row of the last group; 0 is not known
	outcomes chan []ledger.Entry // to be recorded; see recorder
	accounts accounts
	suspects lines       // for the audit: found after their answer was lost, or sent again after a refusal
	blind    atomic.Bool // the API's lists do not hold the accounts of its test channels
}

// Run takes every row of the plan that has no outcome yet to one, and returns the ledger's run, whose outcomes are
// the results. A run over the same bytes with the same settings that was interrupted is continued.
//
// The caller writes the results and then marks the run as finished (Ledger.Finish), unless it ended early; killed
// before that, the same command continues it and writes them again.
//
// The error says why it ended early: a *StopError, the cause of ctx (then no more rows are taken, those in flight are
// finished, and what is in doubt is settled for up to Options.SettleTime), or a failure of the ledger or the file. The
// run returned is usable all the same unless its ID is 0.
func Run(ctx context.Context, plan *Plan, api API, book Ledger, options Options) (ledger.Run, error) {
	if plan.Lacking != nil {
		return ledger.Run{}, plan.Lacking
	}
	found, err := book.Begin(ctx, ledger.Run{
		Digest: plan.Digest(), Settings: plan.Settings(), File: plan.File.Place, Started: time.Now()})
	if err != nil {
		return ledger.Run{}, err
	}
	// working ends when the run is to stop, whoever says so; asking goes on for SettleTime after that.
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(working, func() { time.AfterFunc(options.SettleTime, cancel) })()
	r := &run{id: found.ID, plan: plan, api: api, ledger: book, options: options, stop: stop,
		failures: failures{limit: options.MaxFailures, rows: plan.PGs}, outcomes: make(chan []ledger.Entry, 256)}

	if err := reconcile(working, api, book, options.DoubtWait, false, func(Settled) {}); err != nil {
		r.stop(err)
	}
	var recording errgroup.Group
	recording.Go(r.recorder)
	r.rows(working, asking)
	r.settlePending(working, asking)
	close(r.outcomes)
	recording.Wait() // its errors went to stop
	if stop, _ := errors.AsType[*StopError](context.Cause(working)); options.Audit != nil && (working.Err() == nil || stop != nil && stop.TriesAgain()) {
		*options.Audit = r.audit(ctx, found)
	}
	return found, context.Cause(working)
}

// rows hands every row that has to be sent to the workers. They take a turn each as they get free, which is the
// back-pressure, and live as long as the run: a goroutine for every row would have to grow its stack every time.
func (r *run) rows(working, asking context.Context) {
	var workers, reading errgroup.Group
	turns := make(chan func())
	for range max(r.options.Workers, 1) {
		workers.Go(func() error {
			for turn := range turns {
				turn()
			}
			return nil
		})
	}
	give := func(turn func()) { turns <- turn }
	groups := make(chan []*job, 1)
	reading.Go(func() error {
		defer close(groups)
		return r.readAhead(working, groups)
	})
	for group := range groups {
		began := time.Now()
		for _, j := range group {
			r.settleDue(working, asking, give)
			r.makeRoom(working, asking, give)
			turns <- func() { r.process(working, j) }
		}
		r.perRow.Store(int64(time.Since(began)) / int64(len(group)))
	}
	close(turns)
	workers.Wait() // workers return no error: what ends the run goes to stop
	if err := reading.Wait(); err != nil {
		r.stop(err)
	}
}

// record hands a row's outcome to the recorder, and with it the entry that holds the row's order, if that is another.
func (r *run) record(j *job, result Result, holder ...ledger.Entry) {
	r.recordEntry(j, ledger.Entry{Outcome: result}, holder...)
}

// recordEntry is record for a row whose own line holds its order.
func (r *run) recordEntry(j *job, entry ledger.Entry, holder ...ledger.Entry) {
	entry.Run = r.id
	entries := append([]ledger.Entry{entry}, holder...)
	r.outcomes <- entries
	result := &entries[0].Outcome // which the recorder only reads
	switch result.Status {
	case Issued, Updated, Revoked:
		r.failures.accepted(j.row.PG)
	case Rejected:
		if reason := r.failures.add(j.row.PG, result); reason != nil {
			r.stop(reason)
		}
	}
}

// recorder makes outcomes durable, as many at a time as have queued up. Workers do not wait for it: an outcome that
// is lost leaves its intent behind, and the order in doubt. A ledger that cannot take one ends the run.
func (r *run) recorder() error {
	broken := false
	var statuses []Status
	var entries []ledger.Entry
	for outcome := range r.outcomes {
		statuses, entries = append(statuses[:0], outcome[0].Status), append(entries[:0], outcome...)
		for len(r.outcomes) > 0 && len(entries) < cap(r.outcomes) {
			outcome = <-r.outcomes
			statuses, entries = append(statuses, outcome[0].Status), append(entries, outcome...)
		}
		if broken {
			continue // what comes after a lost outcome is lost too, so that the ledger never has a later one alone
		}
		if err := r.ledger.RecordBatched(context.Background(), entries...); err != nil {
			r.stop(err)
			broken = true
			continue
		}
		for _, status := range statuses {
			r.options.Counts.done(status)
		}
	}
	return nil
}

// Counts are bumped while a run is under way, for whoever shows its progress.
type Counts struct {
	Done    atomic.Int64 // rows with an outcome, those of an interrupted run included
	Failed  atomic.Int64 // of them, rows that were not done
	Settled atomic.Int64 // of them, rows that needed no request, such as those of an interrupted run
	Pending atomic.Int64 // rows that wait to be looked up, or for their next try
	Audited atomic.Int64 // orders looked at once more, at the end
}

func (c *Counts) audited(orders int) {
	if c != nil {
		c.Audited.Add(int64(orders))
	}
}

func (c *Counts) pending(rows int64) {
	if c != nil {
		c.Pending.Store(rows)
	}
}

// settled counts a row that needed no request.
func (c *Counts) settled(status Status) {
	if c != nil {
		c.Settled.Add(1)
	}
	c.done(status)
}

func (c *Counts) done(status Status) {
	if c == nil {
		return
	}
	c.Done.Add(1)
	if NotDone(status) {
		c.Failed.Add(1)
	}
}
