package batch

import (
	"cmp"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/batch/ledger"
)

// What a reply said, and what a look-up found, may turn out wrong: an answer was a lie, an account appeared after "not
// found" had been believed, the ledger was restored from a backup. So a run does not end before it has held the orders
// that it sent against the API once more, and asks again for the accounts that its file only repeats.

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
		var answered []*ledger.Entry // what is in doubt is told as such, and what was revoked since was asked for
		for i := range sent {
			if sent[i].State == ledger.Issued || sent[i].State == ledger.Vacant {
				answered = append(answered, &sent[i])
			}
		}
		for _, chunk := range byTier(answered, orderOf) {
			do(chunk)
		}
	}
}

func orderOf(e *ledger.Entry) ledger.Order { return e.Order }

// chunk looks at up to 100 orders of one tier up together, and then closely at those that need it.
func (a *auditing) chunk(ctx context.Context, chunk []*ledger.Entry) error {
	found, err := list(ctx, a.api, chunk, orderOf)
	if err != nil && !oneByOne(err) {
		return err
	}
	a.mu.Lock()
	a.found.Orders += len(chunk)
	a.mu.Unlock()
	a.options.Counts.Audited.Add(int64(len(chunk)))
	for _, e := range chunk {
		_, suspect := a.suspects.Load(e.Line)
		plain := e.Status == Issued && e.Attempts == 1 && !suspect
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

// closely looks at one order by itself. If the API does not show the account that the ledger claims, the order is put aside,
// and the account is called missing only when closely is called again for it with ripe.
func (a *auditing) closely(ctx context.Context, e ledger.Entry, ripe bool) error {
	payments, err := a.payments(ctx, &e)
	if err != nil {
		return err
	}
	a.mu.Lock()
	if !ripe {
		a.found.Closely++
	}
	if !ripe && e.State == ledger.Issued && claimed(&e, payments) == nil {
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
	if e.State == ledger.Vacant { // another line may hold the order
		if held, err := a.ledger.Orders(ctx, []ledger.Order{e.Order}); err != nil || len(held) > 0 {
			return err
		}
	}
	a.mu.Lock()
	a.found.Changed++
	a.mu.Unlock()
	return a.ledger.Record(ctx, told)
}
