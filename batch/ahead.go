package batch

import (
	"cmp"
	"context"
	"slices"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Ahead of the workers rows are read in blocks, decided as far as the ledger can, looked up at the API, and given their
// intents, so that a worker has nothing to do but to send.

// A group of rows whose intents are made together has two rows for each worker, or, if they are so fast that they would wait
// for the disk, what they take in fastGroup, up to mostAhead times as many. If they are slow, at a low rate for example, it has
// no more than what they take in slowGroup, or while two groups are written.
const (
	fastGroup = 10 * time.Millisecond
	slowGroup = 200 * time.Millisecond
	mostAhead = 4
)

// readAhead reads the rows, settles those that need no request, and hands on the others.
func (r *run) readAhead(ctx context.Context, groups chan<- []*job) error {
	a := &ahead{run: r, groups: groups}
	return r.plan.blocks(ctx, func(rows []*input.Row) error {
		jobs, err := r.classify(ctx, rows)
		if err != nil {
			return err
		}
		return a.send(ctx, jobs)
	})
}

// ahead hands rows to the workers in groups, just ahead of them: a group's intents are durable in one write, and a kill
// leaves three groups in doubt at most.
type ahead struct {
	*run
	groups chan<- []*job
	ready  []*job        // looked up, and not handed on yet
	wrote  time.Duration // that the last group's intents took

	// A list that omits an order proves nothing. So a few of those that a list omits are looked at closely, more of them at
	// first, and once one of them is found all are.
	sampled bool // a first sample was looked at
	lost    bool // one of a sample has payments
}

// size is how many rows the next group is to have.
func (a *ahead) size() int {
	usual, perRow := 2*max(a.options.Workers, 1), time.Duration(a.perRow.Load())
	if perRow == 0 {
		return usual
	}
	most := min(max(int(fastGroup/perRow), usual), mostAhead*usual)
	return min(max(int(max(slowGroup, 2*a.wrote)/perRow), 1), most)
}

// send looks the rows up and hands them on.
func (a *ahead) send(ctx context.Context, jobs []*job) error {
	if len(jobs) == 0 {
		return nil // also when the time of --until has come
	}
	a.timeIsUp() // then ctx is over
	for chunk := range slices.Chunk(jobs, chunkRows) {
		if err := a.lookAhead(ctx, chunk); err != nil {
			return err
		}
		a.ready = append(a.ready, a.withoutStrangers(chunk)...)
		for len(a.ready) >= a.size() {
			if err := a.hand(ctx); err != nil {
				return err
			}
		}
	}
	for len(a.ready) > 0 {
		if err := a.hand(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hand hands on one group.
func (a *ahead) hand(ctx context.Context) error {
	group := a.ready[:min(a.size(), len(a.ready))]
	a.ready = a.ready[len(group):]
	began := time.Now()
	if err := a.intend(ctx, group...); err != nil {
		return err
	}
	a.wrote = time.Since(began)
	select {
	case a.groups <- group:
	case <-ctx.Done():
		for _, j := range group {
			a.drop(j)
		}
		return context.Cause(ctx)
	}
	return nil
}

// classify adds what the ledger knows to a block of rows, records the outcome of those that need no request, and returns
// the others. Rows that have a final outcome in this run already are dropped.
func (r *run) classify(ctx context.Context, block []*input.Row) (toSend []*job, err error) {
	open, err := r.open(ctx, block)
	if err != nil {
		return nil, err
	}
	var outcomes, interim []Result
	var repeats []*job
	for _, j := range open {
		switch result := j.decide(); {
		case result.Status == "":
			toSend = append(toSend, j)
		case result.Status == AlreadyIssued || j.order.State == ledger.Issued && (result.Status == Unchanged || result.Status == Conflict):
			repeats = append(repeats, j)
		default:
			outcomes = append(outcomes, result)
		}
	}
	doubtful, err := r.repeated(ctx, repeats)
	if err != nil {
		return nil, err
	}
	for _, j := range repeats {
		switch result := j.decide(); {
		case slices.Contains(doubtful, j):
			toSend = append(toSend, j)
			if j.denied { // the run may end before it comes to it
				interim = append(interim, j.disagree())
			}
		case result.Status == AlreadyIssued && j.earlier == "": // the results tell it by its order: it needs no line of its own
			r.options.Counts.settled(AlreadyIssued)
		default:
			outcomes = append(outcomes, result)
		}
	}
	if recorded := append(outcomes, interim...); len(recorded) > 0 {
		for i := range recorded {
			recorded[i].Run = r.id
		}
		if err := r.ledger.RecordOutcome(ctx, recorded...); err != nil {
			return nil, err
		}
	}
	for _, outcome := range outcomes {
		r.options.Counts.settled(outcome.Status)
	}
	return toSend, nil
}

// open returns the rows of a block that have no final outcome in this run, with what the ledger knows of them.
func (r *run) open(ctx context.Context, block []*input.Row) (open []*job, err error) {
	earlier, err := r.ledger.Statuses(ctx, r.id, int64(block[0].Line), int64(block[len(block)-1].Line))
	if err != nil {
		return nil, err
	}
	var named []ledger.Order
	for _, row := range block {
		if status := earlier[int64(row.Line)]; final(status) {
			r.options.Counts.settled(status)
			continue
		}
		j := &job{row: row, earlier: earlier[int64(row.Line)]}
		open = append(open, j)
		if row.Request.MerchantUID != "" {
			named = append(named, j.names())
		}
	}
	orders, err := r.ledger.Orders(ctx, named)
	for _, j := range open {
		j.know(orders)
		j.before = r.freed[j.names()]
		j.begin(j.earlier)
	}
	return open, err
}

// repeated asks the API for the accounts that rows repeat or disagree with, while they may still be paid into, and returns the rows whose
// account is not as the ledger says: it may have been revoked or changed elsewhere, and this ledger be restored from a
// backup.
func (r *run) repeated(ctx context.Context, repeats []*job) (doubtful []*job, err error) {
	if !r.options.RemoteCheck {
		return nil, nil
	}
	now := r.api.ServerTime().Unix()
	var payable []*job
	for _, j := range repeats {
		if _, due := current(&j.order); max(due, j.order.VbankDue) >= now || due == 0 {
			payable = append(payable, j)
		}
	}
	for _, chunk := range byTier(payable, (*job).names) {
		found, err := list(ctx, r.api, chunk, (*job).names)
		if fatal := endsReading(err); fatal != nil {
			return nil, fatal
		}
		for _, j := range chunk {
			listed := found[j.order.MerchantUID]
			as := asClaimed(&j.order, listed) && (j.row.Action == input.Issue || int64(inForce(listed)[0].VbankDate) == j.order.VbankDue)
			if !as && (err == nil && (len(listed) > 0 || !r.blind.Load()) || oneByOne(err)) {
				j.denied = err == nil || j.row.Action == input.Update
				doubtful = append(doubtful, j)
			}
		}
	}
	return doubtful, nil
}

// withoutStrangers leaves out the rows of a results file that say issued, of orders that nobody knows: their numbers are
// not what they were, and another account would be a second one.
func (r *run) withoutStrangers(chunk []*job) []*job {
	return slices.DeleteFunc(chunk, func(j *job) bool {
		stranger := j.stage == toIssue && j.isStranger()
		if stranger {
			r.record(j, j.stranger())
		}
		return stranger
	})
}

func (j *job) isStranger() bool {
	return j.row.Action == input.Issue && j.row.IssuedAs != "" && j.order.State == ledger.Vacant
}

func (j *job) stranger() Result {
	return j.result(Conflict, CodeOrderUnknown, say.Messagef("the results say that it was issued as %s, and neither the ledger nor the API knows its order; its number may have been changed since, by Excel for example", j.row.IssuedAs))
}

// lookAhead asks the API, in one request for each tier, for the orders of a chunk that are to be issued: another program may have
// issued them, or this ledger may not be the one that did.
func (a *ahead) lookAhead(ctx context.Context, chunk []*job) error {
	if !a.options.RemoteCheck {
		return nil
	}
	var unknown []*job
	for _, j := range chunk {
		if j.stage == toIssue || j.stage == toLookUp {
			unknown = append(unknown, j)
		}
	}
	for _, jobs := range byTier(unknown, (*job).names) {
		found, err := list(ctx, a.api, jobs, (*job).names)
		if fatal := endsReading(err); fatal != nil {
			return fatal
		}
		var omitted []*job
		for _, j := range jobs {
			if j.listed = len(found[j.row.Request.MerchantUID]) > 0; j.listed || err != nil {
				j.stage = toLookUp
			}
			if j.stage == toIssue {
				omitted = append(omitted, j)
			}
		}
		if err := a.doubtOmitted(ctx, omitted); err != nil {
			return err
		}
	}
	return nil
}

// endsReading is why nothing more is read after a look-up that failed, or nil if the error is of its orders alone.
func endsReading(err error) error {
	if reason := EndsRun(err); err != nil && (reason != nil || client.KindOf(err) == client.Stopped) {
		return cmp.Or(reason, err)
	}
	return nil
}

// Sizes of the sample of the orders that a list omits.
const (
	firstSample = 8
	laterSample = 2
)

// doubtOmitted looks closely at a sample of the rows whose orders a list omitted. If one of them has payments, all are to be
// looked at closely, here and in the lists to come.
func (a *ahead) doubtOmitted(ctx context.Context, omitted []*job) error {
	size := min(firstSample, len(omitted))
	switch {
	case a.lost:
		size = 0
	case a.sampled:
		size = min(laterSample, len(omitted))
	}
	for i := range size {
		j := omitted[i*len(omitted)/size]
		payments, err := a.api.FindAll(ctx, j.row.Tier, j.row.Request.MerchantUID, "")
		if fatal := endsReading(err); fatal != nil {
			return fatal
		}
		if err != nil {
			j.stage = toLookUp
		}
		if len(payments) > 0 {
			a.lost = true
			break
		}
	}
	a.sampled = a.sampled || len(omitted) > 0
	if a.lost {
		for _, j := range omitted {
			j.stage = toLookUp
		}
	}
	return nil
}
