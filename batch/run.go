package batch

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

// Run takes every row of the plan that has no outcome yet to one, and returns the ledger's run, whose outcomes are
// the results. A run over the same bytes with the same settings that was interrupted is continued.
//
// The caller writes the results and then marks the run as finished (Ledger.Finish), unless it ended early. If the
// process is killed before that, the same command continues the run and writes them again.
//
// The error says why the run ended early: a *StopError, the cause of ctx, or a failure of the ledger or the file. When
// ctx ends, no more rows are taken, those in flight are finished, and what is in doubt is settled for up to
// Options.SettleTime. The run returned is usable all the same unless its ID is 0.
func Run(ctx context.Context, plan *Plan, api API, book Ledger, options Options) (ledger.Run, error) {
	if plan.Refusal != nil {
		return ledger.Run{}, plan.Refusal
	}
	found, err := book.Begin(ctx, ledger.Run{
		Digest: plan.Digest(), Settings: plan.Settings(), File: plan.File.Place, Started: time.Now()})
	if err != nil {
		return ledger.Run{}, cmp.Or(context.Cause(ctx), ledgerStops(err))
	}
	if options.Begun != nil {
		options.Begun(found)
	}
	options.Counts = cmp.Or(options.Counts, new(Counts))
	// working ends when the run is to stop, whoever says so; asking goes on for SettleTime after that.
	working, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := func(err error) { end(ledgerStops(err)) }
	if book.Restored() { // it may lack orders that another host is still sending
		options.RemoteCheck = true
		pause(working, time.Until(book.Quiet().Add(options.DoubtWait)))
	}
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(working, func() { time.AfterFunc(options.SettleTime, cancel) })()
	r := &run{id: found.ID, plan: plan, api: api, ledger: book, options: options, stop: stop,
		failures: newFailures(options, plan.PGs), outcomes: make(chan []ledger.Entry, 256), freed: make(map[ledger.Order]int)}

	settled := func(s Settled) {
		if s.Status == NotSent {
			r.freed[s.Order.Order] = s.Order.Attempts
		}
	}
	if err := reconcile(working, api, book, options.DoubtWait, false, options.LeaveDoubts, settled); err != nil {
		r.stop(err)
	}
	var recording errgroup.Group
	recording.Go(r.recorder)
	r.rows(working, asking)
	close(r.outcomes)
	recording.Wait() // its errors went to stop
	stopped, _ := errors.AsType[*StopError](context.Cause(working))
	if options.Audit != nil && (working.Err() == nil || stopped != nil && stopped.TriesAgain()) {
		*options.Audit = r.audit(ctx, found)
	}
	return found, context.Cause(working)
}

// workers take a turn each as they get free, which is the back-pressure. They live as long as the run: a goroutine for
// every row would have to grow its stack every time.
type workers struct {
	turns chan func()
	busy  sync.WaitGroup // turns that were given and have not ended
}

func newWorkers(n int) *workers {
	w := &workers{turns: make(chan func())}
	for range max(n, 1) {
		go func() {
			for turn := range w.turns {
				turn()
				w.busy.Done()
			}
		}()
	}
	return w
}

// give waits until a worker takes the turn.
func (w *workers) give(turn func()) {
	w.busy.Add(1)
	w.turns <- turn
}

// rows gives every row that needs a request to the workers, then settles the pending ones.
func (r *run) rows(working, asking context.Context) {
	w := newWorkers(r.options.Workers)
	defer close(w.turns)
	groups := make(chan []*job, 1)
	var reading errgroup.Group
	reading.Go(func() error {
		defer close(groups)
		return r.readAhead(working, groups)
	})
	for group := range groups {
		began := time.Now()
		for _, j := range group {
			r.settleDue(working, asking, w)
			r.makeRoom(working, asking, w)
			w.give(func() { r.process(working, j) })
		}
		took := int64(time.Since(began)) / int64(len(group))
		if before := r.perRow.Load(); before > 0 { // a worker may just have got free
			took = (3*before + took) / 4
		}
		r.perRow.Store(took)
	}
	w.busy.Wait()
	if err := reading.Wait(); err != nil {
		r.stop(err)
	}
	r.settlePending(working, asking, w)
}

// settleDue gives the workers what is due among the pending rows.
func (r *run) settleDue(working, asking context.Context, w *workers) {
	due, again := r.pending.take(time.Now(), working.Err() != nil)
	r.options.Counts.Pending.Store(r.pending.size())
	if len(due) > 0 {
		w.give(func() {
			ask(asking, r.api, due, func(d *doubt, found finding, note say.Message) { r.conclude(working, d, found, note) })
		})
	}
	for _, j := range again {
		w.give(func() { r.process(working, j) })
	}
}

// makeRoom waits while as many rows are pending as may be: a run that was killed can have left more behind.
func (r *run) makeRoom(working, asking context.Context, w *workers) {
	for working.Err() == nil {
		if all, _ := r.pending.inDoubt(); all < maxPending {
			return
		}
		if next, ok := r.pending.next(); ok {
			pause(working, time.Until(next))
		}
		r.settleDue(working, asking, w)
	}
}

// settlePending waits for the rows that are still in doubt after the last row was taken, until asking ends. What is
// left then stays in doubt.
func (r *run) settlePending(working, asking context.Context, w *workers) {
	for asking.Err() == nil {
		r.settleDue(working, asking, w)
		w.busy.Wait()
		next, ok := r.pending.next()
		if !ok {
			return
		}
		waking := asking
		if working.Err() == nil {
			waking = working
		}
		pause(waking, time.Until(next))
	}
	for _, d := range r.pending.doubts {
		r.conclude(working, d, unasked, say.NewMessage("there was no time left to ask"))
	}
}
