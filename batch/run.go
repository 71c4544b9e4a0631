package batch

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Sizes of what is read ahead of the workers: a block of rows shares one look-up in the ledger, a chunk of rows to
// be sent shares one look-up at the API.
const (
	blockRows = 1024
	chunkRows = 100
)

// A group of rows whose intents are made together is as large as the workers need it to be for groupLasts, and at most
// mostAhead times its least size.
const (
	groupLasts = 10 * time.Millisecond
	mostAhead  = 4
)

// maxParked is how many rows may be in doubt at once; an API that loses more answers than that is down.
const maxParked = 1000

// run is one pass of a plan's rows through the workers.
type run struct {
	id       int64
	plan     *Plan
	api      API
	ledger   Ledger
	options  Options
	stop     context.CancelCauseFunc
	failures failures
	parked   parking
	outcomes chan []ledger.Entry // to be recorded; see recorder
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
		Digest: plan.Digest(), Settings: plan.Settings(), File: plan.File.Path, Started: time.Now()})
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
	r.settleParked(working, asking)
	close(r.outcomes)
	recording.Wait() // its errors went to stop
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
	groups := make(chan []*job, 1)
	reading.Go(func() error {
		defer close(groups)
		return r.readAhead(working, groups)
	})
	for group := range groups {
		for _, j := range group {
			r.settleDue(working, asking, func(turn func()) { turns <- turn })
			turns <- func() { r.process(working, j) }
		}
	}
	close(turns)
	workers.Wait() // workers return no error: what ends the run goes to stop
	if err := reading.Wait(); err != nil {
		r.stop(err)
	}
}

// readAhead reads the rows, settles those that need no request, and hands on the others just ahead of the workers, in
// groups: a group's intents are durable in one write, and a kill leaves three groups in doubt at most. So a group is two
// rows for each worker, and grows while the workers are done with it sooner than groupLasts.
func (r *run) readAhead(ctx context.Context, groups chan<- []*job) error {
	block := make([]*job, 0, blockRows)
	least := 2 * max(r.options.Workers, 1)
	size, handed := least, time.Now()
	var ready []*job // looked up
	hand := func() error {
		group := ready[:min(size, len(ready))]
		ready = ready[len(group):]
		if err := r.intend(ctx, group...); err != nil {
			return err
		}
		select {
		case groups <- group:
		case <-ctx.Done():
			for _, j := range group {
				r.drop(j)
			}
			return context.Cause(ctx)
		}
		switch took := time.Since(handed); {
		case took < groupLasts:
			size = min(2*size, mostAhead*least)
		case took > 2*groupLasts:
			size = max(size/2, least)
		}
		handed = time.Now()
		return nil
	}
	send := func(jobs []*job) error {
		r.timeIsUp() // then ctx is over
		for chunk := range slices.Chunk(jobs, chunkRows) {
			if err := r.lookAhead(ctx, chunk); err != nil {
				return err
			}
			ready = append(ready, r.withoutStrangers(chunk)...)
			for len(ready) >= size {
				if err := hand(); err != nil {
					return err
				}
			}
		}
		for len(ready) > 0 {
			if err := hand(); err != nil {
				return err
			}
		}
		return nil
	}
	sift := func() error {
		jobs, err := r.sift(ctx, block)
		if err != nil {
			return err
		}
		block = block[:0]
		return send(jobs)
	}
	err := r.plan.Each(ctx, func(row *input.Row) error {
		block = append(block, &job{row: row})
		if len(block) < blockRows {
			return nil
		}
		return sift()
	})
	if err != nil {
		return err
	}
	return sift()
}

// sift adds what the ledger knows to a block of rows, records the outcome of those that need no request, and returns
// the others. Rows that have a final outcome in this run already are dropped.
func (r *run) sift(ctx context.Context, block []*job) ([]*job, error) {
	if len(block) == 0 {
		return nil, nil
	}
	earlier, err := r.ledger.Statuses(ctx, r.id, int64(block[0].row.Line), int64(block[len(block)-1].row.Line))
	if err != nil {
		return nil, err
	}
	var open []*job
	var named []ledger.Order
	for _, j := range block {
		status := earlier[int64(j.row.Line)]
		if final(status) {
			r.options.Counts.done(status)
			continue
		}
		j.again = status == Unknown
		open = append(open, j)
		if j.row.Request.MerchantUID != "" {
			named = append(named, j.names())
		}
	}
	orders, err := r.ledger.Orders(ctx, named)
	if err != nil {
		return nil, err
	}
	var entries []ledger.Entry
	var toSend []*job
	for _, j := range open {
		j.know(orders)
		if result := j.judge(); result.Status != "" {
			result.Run = r.id
			entries = append(entries, result)
		} else {
			toSend = append(toSend, j)
		}
	}
	if len(entries) > 0 {
		if err := r.ledger.Note(ctx, entries...); err != nil {
			return nil, err
		}
	}
	for _, entry := range entries {
		r.options.Counts.done(entry.Status)
	}
	return toSend, nil
}

// withoutStrangers leaves out the rows of a results file that say issued, of orders that nobody knows: their numbers are
// not what they were, and another account would be a second one.
func (r *run) withoutStrangers(chunk []*job) []*job {
	return slices.DeleteFunc(chunk, func(j *job) bool {
		stranger := j.row.Action == input.Issue && j.row.IssuedAs != "" && j.order.State == ledger.Vacant && !j.seen
		if stranger {
			r.record(j, j.result(Conflict, CodeOrderUnknown, say.Sprintf("the results say that it was issued as %s, and neither the ledger nor the API knows its order; its number may have been changed since, by Excel for example", j.row.IssuedAs)))
		}
		return stranger
	})
}

// lookAhead asks the API, in one request for each tier, for the orders of a chunk that are to be issued: another program may have
// issued them, or this ledger may not be the one that did.
func (r *run) lookAhead(ctx context.Context, chunk []*job) error {
	if !r.options.RemoteCheck {
		return nil
	}
	byTier := make(map[string][]*job)
	for _, j := range chunk {
		if j.row.Action == input.Issue && j.order.State != ledger.Intended && j.order.State != ledger.Changing {
			byTier[j.row.Tier] = append(byTier[j.row.Tier], j)
		}
	}
	for tier, jobs := range byTier {
		uids := make([]string, len(jobs))
		for i, j := range jobs {
			uids[i] = j.row.Request.MerchantUID
		}
		found, err := r.api.Payments(client.WithTier(ctx, tier), uids)
		if reason := EndsRun(err); err != nil && (reason != nil || client.KindOf(err) == client.Stopped) {
			return cmp.Or(reason, err)
		}
		for _, j := range jobs {
			j.seen = len(found[j.row.Request.MerchantUID]) > 0
			j.ask = j.seen || err != nil
		}
	}
	return nil
}

// record hands a row's outcome to the recorder, and with it the entry that holds the row's order, if that is another.
func (r *run) record(j *job, result Result, holder ...ledger.Entry) {
	result.Run = r.id
	r.outcomes <- append([]ledger.Entry{result}, holder...)
	switch result.Status {
	case Issued, Updated, Revoked:
		r.failures.accepted(j.row.PG)
	case Rejected:
		if reason := r.failures.add(j.row.PG, &result); reason != nil {
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
		if err := r.ledger.RecordSoon(context.Background(), entries...); err != nil {
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
