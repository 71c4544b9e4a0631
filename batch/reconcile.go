package batch

import (
	"context"
	"sync"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

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
	var waiting pending
	var changes []ledger.Entry
	for _, order := range orders {
		if order.State == ledger.Changing {
			changes = append(changes, order)
			continue
		}
		waiting.put(newDoubt(order, nil, wait, api.ServerTime()))
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
			waiting.put(d)
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
		due, _ := waiting.take(time.Now(), true)
		if len(due) > 0 {
			ask(ctx, api, due, conclude)
			continue
		}
		next, ok := waiting.next()
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
	payment, err := api.Payment(ctx, order.Tier, order.ImpUID)
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
