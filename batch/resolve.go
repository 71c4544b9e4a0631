package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// An issue is in doubt when it may have reached the API and no answer says so. Its row is parked and its worker takes
// the next one. Parked rows are looked up, many to a request, until the account is found or the doubt wait has passed
// since the intent: an account may still be being made at the bank when it is first asked for. Only then is "not
// found" believed, and only after the look-up that shows every account of the order says it too.

// clockSlack is how much earlier than its intent an account may seem to be made: the clocks of the API, the PG and
// the bank are not one.
const clockSlack = 2 * time.Minute

// maxLookUps is how many look-ups may fail in a row before a doubt is left for the next run.
const maxLookUps = 3

// doubt is an order in doubt on its way to being settled.
type doubt struct {
	order ledger.Entry
	job   *job      // the row that waits for it; nil without an input file
	ripe  time.Time // from then on "not found" is believed
	next  time.Time // when to ask next
	fails int       // look-ups that failed, in a row
}

// longAgo is the age from which another process's intent needs no more waiting for. It is long because a request may
// have waited for its turn, and because it goes by the server's clock, which may have been set since.
const longAgo = 12 * time.Hour

// newDoubt starts the wait of an order in doubt. It counts from now, not from the intent: the request may have been
// written long after that, having waited for its turn, and nobody knows when another process died.
func newDoubt(order ledger.Entry, j *job, wait time.Duration, serverTime time.Time) *doubt {
	now := time.Now()
	ripe := now.Add(wait)
	if sentHere := j != nil && j.sent > 0; !sentHere {
		ripe = ripeFor(&order, wait, serverTime)
	}
	return &doubt{order: order, job: j, ripe: ripe, next: now.Add(ripe.Sub(now) / 8)}
}

// ripeFor is when what an earlier process left in doubt can be believed not to have happened.
func ripeFor(order *ledger.Entry, wait time.Duration, serverTime time.Time) time.Time {
	if serverTime.Sub(order.IntentAt) > longAgo {
		wait = 0
	}
	return time.Now().Add(wait)
}

// later puts the next look-up half-way to the end of the wait, or to its very end when that is near.
func (d *doubt) later(wait time.Duration) {
	now := time.Now()
	left := d.ripe.Sub(now)
	switch {
	case left <= 0:
		d.next = now.Add(wait / 8)
	case left < wait/8:
		d.next = d.ripe
	default:
		d.next = now.Add(left / 2)
	}
}

// finding is what a look-up says of an order in doubt.
type finding int

const (
	stillOpen finding = iota // not found yet, and too early to say that there is none
	adopted                  // found: the order holds its account now
	absent                   // surely no account
	unclear                  // several accounts, or one that does not match: for a person
	unasked                  // the look-up could not be had
)

// askers is how many orders that a look-up found are looked at closely at once.
const askers = 8

// ask looks the orders up, at most 100 in one request for each tier, and reports what it found of each through tell,
// which must be safe for concurrent use.
func ask(ctx context.Context, api LookUp, doubts []*doubt, tell func(d *doubt, found finding, note say.Message)) {
	byTier := make(map[string][]*doubt)
	for _, d := range doubts {
		byTier[d.order.Tier] = append(byTier[d.order.Tier], d)
	}
	for tier, doubts := range byTier {
		askTier(client.WithTier(ctx, tier), api, doubts, tell)
	}
}

func askTier(ctx context.Context, api LookUp, doubts []*doubt, tell func(d *doubt, found finding, note say.Message)) {
	uids := make([]string, len(doubts))
	for i, d := range doubts {
		uids[i] = d.order.MerchantUID
	}
	known, err := api.Payments(ctx, uids)
	together := err == nil
	if oneByOne(err) {
		err = nil
	}
	var closely errgroup.Group
	closely.SetLimit(askers)
	for _, d := range doubts {
		if err != nil {
			if EndsRun(err) != nil { // the client has been patient
				d.fails = maxLookUps
			}
			tell(d, unasked, say.Of(err))
			continue
		}
		ripe := !time.Now().Before(d.ripe)
		seen := len(known[d.order.MerchantUID]) > 0
		if together && !seen && !ripe {
			tell(d, stillOpen, "")
			continue
		}
		closely.Go(func() error {
			all, err := api.FindAll(ctx, d.order.MerchantUID, "")
			switch {
			case err != nil:
				tell(d, unasked, say.Of(err))
			case seen && len(all) == 0:
				tell(d, unasked, say.NewMessage("one look-up finds the order and the other does not"))
			default:
				found, note := d.decide(all, ripe)
				tell(d, found, note)
			}
			return nil
		})
	}
	closely.Wait()
}

// oneByOne reports whether a look-up of many orders failed over one of them, perhaps, so that each must be asked for
// itself.
func oneByOne(err error) bool {
	kind := client.KindOf(err)
	return kind == client.Refused || kind == client.Mismatch
}

// decide reads what the API has of the order. One account that was made for the intent is it; the customer may have
// paid into it already.
func (d *doubt) decide(payments []client.Payment, ripe bool) (finding, say.Message) {
	live, paid := client.Living(payments)
	if paid != nil {
		live = append(live, *paid)
	}
	switch {
	case len(live) == 0 && ripe && d.order.ErrorCode == CodeReplyDiffers:
		return unclear, d.order.ErrorMessage
	case len(live) == 0 && ripe:
		return absent, ""
	case len(live) == 0:
		return stillOpen, ""
	case len(live) > 1:
		return unclear, say.Messagef("the API has several accounts for the order: %s", impUIDs(live))
	}
	account := accountOf(live[0])
	madeBefore := account.IssuedAt != 0 && time.Unix(account.IssuedAt, 0).Before(d.order.IntentAt.Add(-clockSlack))
	switch {
	case account.VbankNum == "" && !ripe:
		return stillOpen, "" // it is being made
	case account.VbankNum == "":
		return unclear, say.Messagef("the API has %s, which has no account number", live[0].ImpUID)
	case int64(live[0].Amount) != d.order.Amount:
		return unclear, say.Messagef("the API has %s for %d won, %d were asked for", live[0].ImpUID, live[0].Amount, d.order.Amount)
	case madeBefore:
		return unclear, say.Messagef("the API has %s, made before the request that is in doubt", live[0].ImpUID)
	}
	d.order.State, d.order.Account = ledger.Issued, account
	return adopted, ""
}

// parking holds orders in doubt until they are settled. Its zero value is ready.
type parking struct {
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

func (p *parking) put(d *doubt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubts = append(p.doubts, d)
}

// inDoubt counts the doubts, and those of them whose answer was lost here and not by an earlier run.
func (p *parking) inDoubt() (all, lost int) {
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
func (p *parking) sendAgain(j *job, at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.again) >= maxParked && at.After(time.Now()) {
		return false
	}
	p.again = append(p.again, waiting{j, at})
	return true
}

func (p *parking) size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.doubts) + len(p.again))
}

// take removes and returns the doubts whose next look-up is due, at most one request's worth, and the rows to send
// again: those whose time has come, or all.
func (p *parking) take(now time.Time, all bool) (due []*doubt, again []*job) {
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

// next tells when there is something to take; ok is false when nothing is parked.
func (p *parking) next() (next time.Time, ok bool) {
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

// park puts a row in doubt aside.
func (r *run) park(j *job) {
	r.parked.put(newDoubt(j.order, j, r.options.DoubtWait, r.api.ServerTime()))
	if _, lost := r.parked.inDoubt(); lost >= maxParked {
		r.stop(&StopError{CodeTooManyInDoubt, say.Errorf("%d rows have lost their answer and wait to be looked up", maxParked)})
	}
}

// settleDue gives the workers what is due among the parked rows.
func (r *run) settleDue(working, asking context.Context, give func(turn func())) {
	due, again := r.parked.take(time.Now(), working.Err() != nil)
	r.options.Counts.parked(r.parked.size())
	if len(due) > 0 {
		give(func() {
			ask(asking, r.api, due, func(d *doubt, found finding, note say.Message) { r.conclude(working, d, found, note) })
		})
	}
	for _, j := range again {
		give(func() { r.process(working, j) })
	}
}

// makeRoom waits while as many rows are parked as may be: a run that was killed can have left more behind.
func (r *run) makeRoom(working, asking context.Context, give func(turn func())) {
	for working.Err() == nil {
		if all, _ := r.parked.inDoubt(); all < maxParked {
			return
		}
		if next, ok := r.parked.next(); ok {
			pause(working, time.Until(next))
		}
		r.settleDue(working, asking, give)
	}
}

// settleParked waits for the rows that are still in doubt after the last row was taken, until asking ends. What is
// left then stays in doubt.
func (r *run) settleParked(working, asking context.Context) {
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
		next, ok := r.parked.next()
		if !ok {
			return
		}
		waking := asking
		if working.Err() == nil {
			waking = working
		}
		pause(waking, time.Until(next))
	}
	for _, d := range r.parked.doubts {
		r.conclude(working, d, unasked, say.NewMessage("there was no time left to ask"))
	}
}

// conclude acts on what a look-up found of a parked row.
func (r *run) conclude(working context.Context, d *doubt, found finding, note say.Message) {
	j := d.job
	switch found {
	case stillOpen:
		d.later(r.options.DoubtWait)
		r.parked.put(d)
		return
	case unasked:
		if d.fails++; d.fails < maxLookUps && working.Err() == nil {
			d.later(r.options.DoubtWait)
			r.parked.put(d)
			return
		}
	}
	if found == adopted {
		r.suspects.add(int64(j.row.Line))
	}
	// The entry that holds the order is this row's own, or that of the run which sent the issue.
	holder, own := d.settled(found, note), d.order.Run == r.id && d.order.Line == int64(j.row.Line)
	j.order = holder
	if found == absent {
		if j.lost() < maxTries && working.Err() == nil {
			if err := r.ledger.Record(working, holder); err != nil {
				r.stop(err)
				return
			}
			j.stage = toIssue
			r.parked.sendAgain(j, time.Time{})
			return
		}
		if own && j.lost() >= maxTries {
			holder.Status, holder.ErrorCode, holder.ErrorMessage = Rejected, CodeAPIFailed, meaning(CodeAPIFailed)
		}
	}
	if own {
		r.record(j, holder)
		return
	}
	result := j.result(holder.Status, holder.ErrorCode, holder.ErrorMessage)
	if differs := differences(j.row, &holder); found == adopted && differs != "" {
		result = j.result(Conflict, CodeFiguresDiffer, differs)
	}
	r.record(j, result, holder)
}

// settled is the entry of an order in doubt after a look-up. What is still not known stays in doubt.
func (d *doubt) settled(found finding, note say.Message) ledger.Entry {
	e := d.order
	switch found {
	case adopted:
		e.Status = Issued
		e.ErrorCode, e.ErrorMessage = atOtherBank(e.Bank, &e.Account)
	case absent:
		e.State = ledger.Vacant
		e.Status, e.ErrorCode, e.ErrorMessage = NotSent, CodeNoAccount, meaning(CodeNoAccount)
	default:
		e.Status = Unknown
		switch {
		case e.ErrorCode == CodeReplyDiffers: // stays: the API said that it acted, and no look-up unsays it
		case found == unclear:
			e.ErrorCode, e.ErrorMessage = CodeOtherAccount, note
		default:
			e.ErrorCode, e.ErrorMessage = CodeInDoubt, note
		}
	}
	return e
}

// Settled is an order in doubt and what asking the API said of it.
type Settled struct {
	Order  ledger.Entry
	Status Status      // Issued: found and adopted. NotSent: surely no account, free to be issued. Updated, Revoked: how its account stands. Unknown: still in doubt
	Note   say.Message // why it is still in doubt
}

// Reconcile settles every order in doubt of the merchant, waiting until "not found" can be believed, and calls tell
// for each. It issues nothing: an order without an account is issued by the next run of its file.
func Reconcile(ctx context.Context, api LookUp, book Ledger, doubtWait time.Duration, tell func(Settled)) error {
	return reconcile(ctx, api, book, doubtWait, true, tell)
}

// reconcile is Reconcile; when it is not patient it leaves alone what would have to be waited for.
func reconcile(ctx context.Context, api LookUp, book Ledger, wait time.Duration, patient bool, tell func(Settled)) error {
	orders, err := book.InDoubt(ctx)
	if err != nil {
		return err
	}
	var parked parking
	var changes []ledger.Entry
	for _, order := range orders {
		if order.State == ledger.Changing {
			changes = append(changes, order)
			continue
		}
		parked.put(newDoubt(order, nil, wait, api.ServerTime()))
	}
	var mu sync.Mutex
	var failed error
	conclude := func(d *doubt, found finding, note say.Message) {
		mu.Lock()
		defer mu.Unlock()
		again := found == stillOpen
		if found == unasked {
			d.fails++
			again = patient && d.fails < maxLookUps
		}
		if again {
			d.later(wait)
			parked.put(d)
			return
		}
		entry := d.settled(found, note)
		if err := book.Record(ctx, entry); err != nil {
			failed = err
			return
		}
		tell(Settled{Order: entry, Status: entry.Status, Note: note})
	}
	for failed == nil {
		due, _ := parked.take(time.Now(), true)
		if len(due) > 0 {
			ask(ctx, api, due, conclude)
			continue
		}
		next, ok := parked.next()
		if !ok || !patient {
			break
		}
		if err := pause(ctx, time.Until(next)); err != nil {
			return err
		}
	}
	if failed != nil {
		return failed
	}
	return settleChanges(ctx, api, book, changes, wait, patient, tell)
}

// settleChanges settles orders whose update or revocation is in doubt: each account is as the API tells of it. One that is
// as it was before may still be changed; when that cannot be waited for its order is left alone.
func settleChanges(ctx context.Context, api LookUp, book Ledger, orders []ledger.Entry, wait time.Duration, patient bool, tell func(Settled)) error {
	began := time.Now()
	var left []ledger.Entry
	for _, order := range orders {
		ripe := !time.Now().Before(ripeFor(&order, wait, api.ServerTime()))
		settled, err := settleChange(ctx, api, book, order, ripe, tell)
		if err != nil {
			return err
		}
		if !settled {
			left = append(left, order)
		}
	}
	if !patient || len(left) == 0 {
		return nil
	}
	if err := pause(ctx, time.Until(began.Add(wait))); err != nil {
		return err
	}
	for _, order := range left {
		if _, err := settleChange(ctx, api, book, order, true, tell); err != nil {
			return err
		}
	}
	return nil
}

// settleChange reports whether there is nothing more to be done about an order. Only when it is ripe is it believed of an
// account that is as before that it was not changed.
func settleChange(ctx context.Context, api LookUp, book Ledger, order ledger.Entry, ripe bool, tell func(Settled)) (settled bool, err error) {
	payment, err := api.Payment(client.WithTier(ctx, order.Tier), order.ImpUID)
	if err != nil {
		tell(Settled{Order: order, Status: Unknown, Note: say.Of(err)})
		return true, nil
	}
	before := order
	if order = refreshed(order, payment); !ripe && !differ(&before, &order) {
		return false, nil
	}
	if err := book.Record(ctx, order); err != nil {
		return false, err
	}
	status := Updated
	if order.State == ledger.Revoked {
		status = Revoked
	}
	tell(Settled{Order: order, Status: status, Note: say.Messagef("%d won until %s", int64(payment.Amount), input.FormatDue(order.VbankDue))})
	return true, nil
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
