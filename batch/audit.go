package batch

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// What a reply said, and what a look-up found, may turn out wrong: an answer was a lie, an account appeared after "not
// found" had been believed, the ledger was restored from a backup. So a run does not end before it has held the orders
// that it sent against the API once more, and asks again for the accounts that its file only repeats.

// Audit is what the look at the end of a run found.
type Audit struct {
	Orders  int   // sent by the run, and looked at
	Closely int   // of them, those looked at one by one
	Changed int   // rows of which the API told something else than the run had
	Err     error // why some were not looked at; nil when all were
}

// lines is a set of lines of a file. Its zero value is ready, and safe for concurrent use.
type lines struct {
	mu  sync.Mutex
	all map[int64]bool
}

func (l *lines) add(line int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[int64]bool)
	}
	l.all[line] = true
}

func (l *lines) has(line int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[line]
}

// auditing is an audit under way.
type auditing struct {
	*run
	started time.Time // of the run
	mu      sync.Mutex
	found   Audit
	missing []ledger.Entry // claimed, and not shown by the API
}

// audit looks at every order that the run sent, and changes the rows that the API contradicts. Its time is that of one
// request for each hundred orders, and one more for each that was sent more than once, refused, or found after its answer
// was lost.
func (r *run) audit(ctx context.Context, of ledger.Run) Audit {
	a := &auditing{run: r, started: of.Started}
	began := time.Now()
	pool, looking := errgroup.WithContext(ctx)
	pool.SetLimit(max(r.options.Workers, 1))
	err := a.eachChunk(looking, func(chunk []*ledger.Entry) {
		pool.Go(func() error { return a.chunk(looking, chunk) })
	})
	err = cmp.Or(pool.Wait(), err)
	if err == nil && len(a.missing) > 0 { // it may take a while until a new account is shown
		err = pause(ctx, time.Until(began.Add(r.options.DoubtWait)))
	}
	for _, e := range a.missing {
		if err == nil {
			err = a.closely(ctx, e, true)
		}
	}
	a.found.Err = err
	return a.found
}

// eachChunk calls do with the entries that the run sent, those of one tier and one look-up at a time.
func (a *auditing) eachChunk(ctx context.Context, do func([]*ledger.Entry)) error {
	for after := int64(0); ; {
		sent, err := a.ledger.Sent(ctx, a.id, after, blockRows)
		if err != nil || len(sent) == 0 {
			return err
		}
		after = sent[len(sent)-1].Line
		byTier := make(map[string][]*ledger.Entry)
		for i := range sent {
			if e := &sent[i]; e.State != ledger.Intended { // what is in doubt is told as such
				byTier[e.Tier] = append(byTier[e.Tier], e)
			}
		}
		for _, entries := range byTier {
			for chunk := range slices.Chunk(entries, chunkRows) {
				do(chunk)
			}
		}
	}
}

// chunk looks at up to 100 orders of one tier up together, and then closely at those that need it.
func (a *auditing) chunk(ctx context.Context, chunk []*ledger.Entry) error {
	uids := make([]string, len(chunk))
	for i, e := range chunk {
		uids[i] = e.MerchantUID
	}
	found, err := a.api.Payments(ctx, chunk[0].Tier, uids)
	if err != nil && !oneByOne(err) {
		return err
	}
	a.mu.Lock()
	a.found.Orders += len(chunk)
	a.mu.Unlock()
	a.options.Counts.audited(len(chunk))
	for _, e := range chunk {
		plain := e.Status == Issued && e.Attempts == 1 && !a.suspects.has(e.Line)
		listed := found[e.MerchantUID]
		if plain && (asClaimed(e, listed) || err == nil && len(listed) == 0 && a.blind.Load()) {
			continue
		}
		whole, err := a.ledger.Entries(ctx, e.Run, e.Line, e.Line)
		if err == nil && len(whole) == 1 {
			err = a.closely(ctx, whole[0], false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// asClaimed reports whether an order has one account, the one that the ledger claims, with its figures.
func asClaimed(e *ledger.Entry, payments []client.Payment) bool {
	live, paid := client.Living(payments)
	if paid != nil {
		live = append(live, *paid)
	}
	amount, _ := current(e)
	return e.State == ledger.Issued && len(live) == 1 && string(live[0].ImpUID) == e.ImpUID && int64(live[0].Amount) == amount
}

// closely looks at one order by itself. An account that is claimed and not shown is put aside, and called missing only when
// the time has come to believe that.
func (a *auditing) closely(ctx context.Context, e ledger.Entry, ripe bool) error {
	payments, err := a.all(ctx, &e)
	if err != nil {
		return err
	}
	a.mu.Lock()
	if !ripe {
		a.found.Closely++
	}
	if !ripe && e.State == ledger.Issued && missing(&e, payments) {
		a.missing = append(a.missing, e)
		a.mu.Unlock()
		return nil
	}
	a.mu.Unlock()
	if e.IntentAt.IsZero() {
		e.IntentAt = a.started
	}
	told, changed := standing(e, payments)
	if !changed {
		return nil
	}
	if e.State == ledger.Vacant && told.State != ledger.Vacant { // another line may hold the order
		if held, err := a.ledger.Orders(ctx, []ledger.Order{e.Order}); err != nil || len(held) > 0 {
			return err
		}
	}
	a.mu.Lock()
	a.found.Changed++
	a.mu.Unlock()
	return a.ledger.Record(ctx, told)
}

// all returns every payment of an order, and the one that the ledger claims though no list holds it.
func (r *run) all(ctx context.Context, e *ledger.Entry) ([]client.Payment, error) {
	payments, err := r.api.FindAll(ctx, e.Tier, e.MerchantUID, "")
	if err != nil || e.State != ledger.Issued || !missing(e, payments) {
		return payments, err
	}
	own, err := r.api.Payment(ctx, e.Tier, e.ImpUID)
	switch {
	case client.KindOf(err) == client.NotFound:
		return payments, nil
	case err != nil:
		return nil, err
	}
	if own.Sandbox {
		r.blind.Store(true)
	}
	return append(payments, own), nil
}

// missing reports whether the account that the ledger claims is not among the payments.
func missing(e *ledger.Entry, payments []client.Payment) bool { return own(e, payments) == nil }

func own(e *ledger.Entry, payments []client.Payment) *client.Payment {
	for i := range payments {
		if string(payments[i].ImpUID) == e.ImpUID {
			return &payments[i]
		}
	}
	return nil
}

// standing is an order's entry as all of its payments tell of it, and whether that is something else than the entry says.
// An account that stands where none is claimed is the order's, if it can be the one that was asked for.
func standing(e ledger.Entry, payments []client.Payment) (told ledger.Entry, changed bool) {
	told = e
	conflict := func(status Status, code string, message say.Message) (ledger.Entry, bool) {
		told.Status, told.ErrorCode, told.ErrorMessage = status, code, message
		return told, e.Status != status || e.ErrorCode != code || e.ErrorMessage != message
	}
	if e.State != ledger.Issued {
		d := doubt{order: e}
		switch found, note := d.decide(payments, true); found {
		case adopted:
			return d.settled(adopted, ""), true
		case unclear:
			return conflict(Conflict, CodeOtherAccount, note)
		}
		return e, false
	}
	live, paid := client.Living(payments)
	if paid != nil {
		live = append(live, *paid)
	}
	claimed := own(&e, payments)
	amount, _ := current(&e)
	switch others := slices.ContainsFunc(live, func(p client.Payment) bool { return string(p.ImpUID) != e.ImpUID }); {
	case others:
		return conflict(Conflict, CodeSeveralAccounts, say.Messagef("%s was issued, and the API has for the order: %s", e.ImpUID, impUIDs(live)))
	case claimed == nil:
		return conflict(Unknown, CodeAccountMissing, say.Messagef("the API said that it had made %s, and does not show it any more", e.ImpUID))
	case len(live) == 0:
		told = refreshed(e, *claimed)
		return conflict(Conflict, CodeNotReady, say.Messagef("the order's account %s was revoked; run again to issue another", e.ImpUID))
	case int64(claimed.Amount) != amount:
		told = refreshed(e, *claimed)
		return conflict(Conflict, CodeReplyDiffers, say.Messagef("asked for %d won, the API has %d", amount, claimed.Amount))
	case questioned(&e):
		told.Status, told.ErrorCode, told.ErrorMessage = Issued, "", ""
		return told, true
	}
	return e, false
}

// questioned reports whether the API contradicted what the ledger says of an order, so that it must be asked again.
func questioned(order *ledger.Entry) bool {
	return order.ErrorCode == CodeSeveralAccounts || order.ErrorCode == CodeAccountMissing
}

// recheck decides a row whose order has its account, by the ledger, after the API was asked how that stands.
func (r *run) recheck(ctx context.Context, j *job) {
	payments, err := r.all(ctx, &j.order)
	if err != nil {
		if reason := EndsRun(err); reason != nil {
			r.stop(reason)
		}
		r.record(j, r.asLedger(j))
		return
	}
	told, changed := standing(j.order, payments)
	decide := func() Result { return j.result(told.Status, told.ErrorCode, told.ErrorMessage) }
	if before := j.order; !questioned(&told) { // the line that holds the order says what it said when it was issued
		if told.State != ledger.Revoked {
			decide = j.decide
		}
		j.order = told
		j.order.Status, j.order.ErrorCode, j.order.ErrorMessage = before.Status, before.ErrorCode, before.ErrorMessage
		if questioned(&before) {
			j.order.Status, j.order.ErrorCode, j.order.ErrorMessage = Issued, "", ""
		}
	} else {
		j.order = told
	}
	if changed {
		r.changed(j, decide())
	} else {
		r.record(j, decide())
	}
}

// asLedger is the result of a row whose order has its account, when the API could not be asked about it.
func (r *run) asLedger(j *job) Result {
	if questioned(&j.order) {
		return j.result(j.order.Status, j.order.ErrorCode, j.order.ErrorMessage)
	}
	return j.decide()
}
