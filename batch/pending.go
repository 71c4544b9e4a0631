package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/client/say"
)

// maxPending is how many rows may be in doubt at once; an API that loses more answers than that is down. Rows that an
// earlier run has left in doubt wait for their turn.
const maxPending = 1000

// pending holds orders in doubt until they are settled. Its zero value is ready.
type pending struct {
	mu     sync.Mutex
	doubts []*doubt
	again  []waiting
}

// waiting is a row that surely has no account and is to be sent once more: it was looked up, or refused over what
// passes.
type waiting struct {
	job *job
	at  time.Time
}

func (p *pending) put(d *doubt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubts = append(p.doubts, d)
}

// inDoubt counts the doubts, and those of them whose answer was lost here and not by an earlier run.
func (p *pending) inDoubt() (all, lost int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.doubts {
		if d.job != nil && d.job.sent > 0 {
			lost++
		}
	}
	return len(p.doubts), lost
}

// sendAgain lets a row wait for its next try. There is no room for many that have to wait long.
func (p *pending) sendAgain(j *job, at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.again) >= maxPending && at.After(time.Now()) {
		return false
	}
	p.again = append(p.again, waiting{j, at})
	return true
}

func (p *pending) size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.doubts) + len(p.again))
}

// take removes and returns the doubts whose next look-up is due, at most one request's worth, and the rows to send
// again: those whose time has come, or all.
func (p *pending) take(now time.Time, all bool) (due []*doubt, again []*job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = slices.DeleteFunc(p.again, func(w waiting) bool {
		if !all && w.at.After(now) {
			return false
		}
		again = append(again, w.job)
		return true
	})
	p.doubts = slices.DeleteFunc(p.doubts, func(d *doubt) bool {
		if len(due) == chunkRows || d.next.After(now) {
			return false
		}
		due = append(due, d)
		return true
	})
	return due, again
}

// next tells when there is something to take; ok is false when nothing is pending.
func (p *pending) next() (next time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sooner := func(at time.Time) {
		if !ok || at.Before(next) {
			next, ok = at, true
		}
	}
	for _, w := range p.again {
		sooner(w.at)
	}
	for _, d := range p.doubts {
		sooner(d.next)
	}
	return next, ok
}

// setAside puts a row in doubt aside.
func (r *run) setAside(j *job) {
	r.pending.put(newDoubt(j.order, j, r.options.DoubtWait, r.api.ServerTime()))
	if _, lost := r.pending.inDoubt(); lost >= maxPending {
		r.stop(&StopError{CodeTooManyInDoubt, say.Errorf("%d rows have lost their answer and wait to be looked up", maxPending)})
	}
}

// settleDue gives the workers what is due among the pending rows.
func (r *run) settleDue(working, asking context.Context, give func(turn func())) {
	due, again := r.pending.take(time.Now(), working.Err() != nil)
	r.options.Counts.pending(r.pending.size())
	if len(due) > 0 {
		give(func() {
			ask(asking, r.api, due, func(d *doubt, found finding, note say.Message) { r.conclude(working, d, found, note) })
		})
	}
	for _, j := range again {
		give(func() { r.process(working, j) })
	}
}

// makeRoom waits while as many rows are pending as may be: a run that was killed can have left more behind.
func (r *run) makeRoom(working, asking context.Context, give func(turn func())) {
	for working.Err() == nil {
		if all, _ := r.pending.inDoubt(); all < maxPending {
			return
		}
		if next, ok := r.pending.next(); ok {
			pause(working, time.Until(next))
		}
		r.settleDue(working, asking, give)
	}
}

// settlePending waits for the rows that are still in doubt after the last row was taken, until asking ends. What is
// left then stays in doubt.
func (r *run) settlePending(working, asking context.Context) {
	var pool errgroup.Group
	pool.SetLimit(max(r.options.Workers, 1))
	for asking.Err() == nil {
		r.settleDue(working, asking, func(turn func()) {
			pool.Go(func() error {
				turn()
				return nil
			})
		})
		pool.Wait()
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

// pause waits for d, or for the end of ctx, whose cause it returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
