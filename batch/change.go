package batch

import (
	"cmp"
	"context"
	"sync"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// maxTries is how often an update, a revocation or an issue is sent when every answer is lost.
const maxTries = 3

// Updates and revocations may be sent twice without harm. An answer that is lost is looked up by imp_uid all the
// same: what is done already need not be asked for again. But a change whose answer was lost may still be carried out
// seconds later. So that it was not is believed only after the doubt wait, as with an issue; until then the row waits.

func (r *run) update(ctx context.Context, j *job) {
	request := client.UpdateRequest{Tier: j.row.Tier, Amount: j.row.Request.Amount, VbankDue: j.row.Request.VbankDue}
	r.change(ctx, j, change{
		status: Updated,
		send: func(impUID string) (client.Payment, error) {
			sent := request
			if sent.VbankDue == 0 && pg.WantsDue(j.order.PGProvider) {
				sent.VbankDue = j.order.VbankDue // as it is
			}
			return r.api.Update(ctx, impUID, sent)
		},
		done: func() bool { return unchanged(j.row, &j.order) },
		keep: func() {
			j.order.NowAmount = cmp.Or(request.Amount, j.order.NowAmount)
			j.order.NowDue = cmp.Or(request.VbankDue, j.order.NowDue)
		},
	})
}

func (r *run) revoke(ctx context.Context, j *job) {
	r.change(ctx, j, change{
		status: Revoked,
		keyed:  len(r.options.PGAPIKeys.ByMID) > 0,
		send: func(impUID string) (client.Payment, error) {
			var key client.Secret
			if pg.NeedsAPIKey(j.order.PGProvider) {
				key = r.options.PGAPIKeys.For(j.order.PGID)
			}
			return r.api.Revoke(ctx, impUID, client.RevokeRequest{Tier: j.row.Tier, PGAPIKey: key})
		},
		done: func() bool { return j.order.State == ledger.Revoked },
		keep: func() { j.order.State = ledger.Revoked },
	})
}

// change is what an update and a revocation do differently.
type change struct {
	status Status
	keyed  bool // which key is sent depends on the account's MID
	send   func(impUID string) (client.Payment, error)
	done   func() bool // the account is as the row asks
	keep   func()      // put what was asked into the order
}

// change finds the account, sees whether it needs changing, and changes it.
func (r *run) change(ctx context.Context, j *job, c change) {
	impUID, ok := r.account(ctx, j)
	if !ok {
		return
	}
	unlock, before := r.accounts.lock(impUID)
	defer unlock()
	others := j.order.State == ledger.Changing && !j.tried // another row's change is in doubt
	// Not the ledger's account, or perhaps changed by a try that was lost or by another row, or of a MID that is not known.
	if j.order.State != ledger.Issued || j.tried || before || c.keyed && j.order.PGID == "" {
		if found, ok := r.look(ctx, j, impUID, c); !ok || found {
			return
		}
	}
	if j.refused != nil {
		r.changed(j, r.refusal(j, j.refused))
		return
	}
	if others && r.waitUntilRipe(j) { // it must not come after this one
		return
	}
	// From here on a try may have reached the API although the process dies: the run that continues must know, and
	// whoever asks the ledger for the order.
	intent := []ledger.Entry{{Outcome: j.result(Unknown, CodeInDoubt, meaning(CodeInDoubt))}}
	intent[0].Run = r.id
	if j.order.Run != 0 {
		holder := j.order
		holder.State, holder.IntentAt = ledger.Changing, r.api.ServerTime()
		intent = append(intent, holder)
	}
	if err := r.ledger.Record(ctx, intent...); err != nil {
		r.stop(err)
		return
	}
	r.sendChange(ctx, j, impUID, c)
}

// sendChange sends a change whose intent is durable, again if the answer is lost and the account is as before.
func (r *run) sendChange(ctx context.Context, j *job, impUID string, c change) {
	for {
		j.sent++
		payment, err := c.send(impUID)
		switch {
		case err == nil:
			j.order.State = ledger.Issued
			c.keep()
			j.order.Account, j.order.MerchantUID = accountOf(payment), string(payment.MerchantUID)
			j.order.NowAmount = int64(payment.Amount)
			if asked := j.row.Request.Amount; c.status == Updated && asked != 0 && asked != j.order.NowAmount {
				r.changed(j, j.result(Conflict, CodeReplyDiffers, say.Messagef("asked for %d won, the API has %d", asked, payment.Amount)))
				return
			}
			r.changed(j, j.result(c.status, "", ""))
			return
		case !client.InDoubt(err) && !j.tried:
			switch refusal := r.refusal(j, err); {
			case r.tryLater(ctx, j, err, refusal):
			case client.KindOf(err) == client.Refused && r.changedAllTheSame(ctx, j, impUID, c):
				r.changed(j, j.result(c.status, "", ""))
			default:
				r.changed(j, refusal)
			}
			return
		}
		// Lost, or refused after a try that was lost: how the account stands decides.
		j.tried = true
		if client.InDoubt(err) {
			j.ripe = time.Now().Add(r.options.DoubtWait)
		}
		if found, ok := r.look(ctx, j, impUID, c); !ok || found {
			return
		}
		if !client.InDoubt(err) { // the one that was lost decides, once it can be believed not to have happened
			if j.refused = err; !r.waitUntilRipe(j) {
				r.changed(j, r.refusal(j, err))
			}
			return
		}
		if j.lost() >= maxTries || ctx.Err() != nil {
			r.record(j, j.result(Unknown, CodeInDoubt, say.Of(err)))
			return
		}
	}
}

// changedAllTheSame asks whether an account is as a change asked that was refused: a gateway in front of the API may refuse
// what it has passed on. If the API cannot be asked the refusal is believed.
func (r *run) changedAllTheSame(ctx context.Context, j *job, impUID string, c change) bool {
	payment, err := r.api.Payment(ctx, j.row.Tier, impUID)
	if err != nil {
		return false
	}
	j.order = refreshed(j.order, payment)
	return c.done()
}

// waitUntilRipe puts a row aside whose account may still be changed by a request that was lost, and reports whether it
// did: then the row comes back when that time has passed.
func (r *run) waitUntilRipe(j *job) bool {
	if j.ripe.IsZero() { // an earlier process's
		j.ripe = ripeFor(&j.order, r.options.DoubtWait, r.api.ServerTime())
	}
	return time.Now().Before(j.ripe) && r.pending.sendAgain(j, j.ripe)
}

// accounts lets one row at a time change an account: a file may name it in one row by its order and in another by its
// imp_uid. The zero value is ready.
type accounts struct {
	mu     sync.Mutex
	busy   map[string]chan struct{} // by imp_uid; closed when the row that holds it is done
	recent map[string]bool          // changed by rows of late, about which other rows may know less
	order  [recentAccounts]string   // of recent, the next to be forgotten at next
	next   int
}

// recentAccounts is more than the rows that are read ahead.
const recentAccounts = 4 * blockRows

// lock waits for the account and returns what lets it go, and whether another row has held it of late.
func (a *accounts) lock(impUID string) (unlock func(), before bool) {
	a.mu.Lock()
	for a.busy[impUID] != nil {
		done := a.busy[impUID]
		a.mu.Unlock()
		<-done
		a.mu.Lock()
	}
	defer a.mu.Unlock()
	if a.busy == nil {
		a.busy, a.recent = make(map[string]chan struct{}), make(map[string]bool)
	}
	done := make(chan struct{})
	a.busy[impUID] = done
	if before = a.recent[impUID]; !before {
		delete(a.recent, a.order[a.next])
		a.order[a.next], a.recent[impUID] = impUID, true
		a.next = (a.next + 1) % recentAccounts
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.busy, impUID)
		close(done)
	}, before
}

// refresh asks how the account of an order stands whose change is in doubt, and decides the row by that.
func (r *run) refresh(ctx context.Context, j *job) {
	payment, err := r.api.Payment(ctx, j.row.Tier, j.order.ImpUID)
	if err != nil {
		r.record(j, r.notAsked(j, err))
		return
	}
	before := j.order
	if j.order = refreshed(before, payment); !differ(&before, &j.order) {
		j.order = before
		if r.waitUntilRipe(j) {
			return
		}
		j.order = refreshed(before, payment)
	}
	if result := j.decide(); result.Status != "" {
		r.changed(j, result)
		return
	}
	r.changed(j, j.result(Conflict, CodeNotReady, say.Messagef("the order's account %s was revoked; run again to issue another", payment.ImpUID)))
}

// refreshed is an order's entry with its account as the API tells of it now.
func refreshed(order ledger.Entry, payment client.Payment) ledger.Entry {
	if amount, _ := current(&order); amount != int64(payment.Amount) {
		order.NowAmount = int64(payment.Amount)
	}
	if order.VbankDue != int64(payment.VbankDate) { // the PG may have rounded what was asked for from the start
		order.NowDue = int64(payment.VbankDate)
	}
	order.State, order.Account = ledger.Issued, accountOf(payment)
	if payment.Status == client.StatusFailed || payment.Status == client.StatusCancelled {
		order.State = ledger.Revoked
	}
	return order
}

// differ reports whether an account that a change in doubt was meant for has been changed.
func differ(before, now *ledger.Entry) bool {
	return now.State == ledger.Revoked || before.NowAmount != now.NowAmount || before.NowDue != now.NowDue
}

// account returns the imp_uid of the account to change: the row's, the ledger's, or that of the one account of the
// order that is ready at the API.
func (r *run) account(ctx context.Context, j *job) (string, bool) {
	if j.row.ImpUID != "" {
		return j.row.ImpUID, true
	}
	if j.order.ImpUID != "" {
		return j.order.ImpUID, true
	}
	payments, err := r.api.FindAll(ctx, j.row.Tier, j.row.Request.MerchantUID, client.StatusReady)
	if err != nil && client.KindOf(err) != client.NotFound {
		r.record(j, r.refusal(j, err))
		return "", false
	}
	live, _ := client.Living(payments)
	switch len(live) {
	case 1:
		return string(live[0].ImpUID), true
	case 0:
		r.record(j, j.result(Rejected, string(input.ImpUIDMissing), say.NewMessage("neither the ledger nor the API has an account of this order that waits for a deposit; give its imp_uid")))
	default:
		r.record(j, j.result(Conflict, CodeSeveralAccounts, say.Messagef("name one by its imp_uid: %s", impUIDs(live))))
	}
	return "", false
}

// look asks the API how the account stands. found: the row is settled by that. ok is false when it could not be had.
func (r *run) look(ctx context.Context, j *job, impUID string, c change) (found, ok bool) {
	payment, err := r.api.Payment(ctx, j.row.Tier, impUID)
	if err != nil {
		result := r.refusal(j, err)
		if j.tried {
			result = j.result(Unknown, CodeInDoubt, say.Of(err))
		}
		r.record(j, result)
		return false, false
	}
	if uid := j.row.Request.MerchantUID; uid != "" && uid != string(payment.MerchantUID) {
		r.record(j, j.result(Conflict, CodeOrderDiffers, say.Messagef("%s belongs to the order %s", impUID, payment.MerchantUID)))
		return true, true
	}
	if err := r.know(ctx, j, string(payment.MerchantUID), impUID); err != nil {
		r.stop(err)
		return false, false
	}
	j.order = refreshed(j.order, payment)
	switch {
	case j.order.State == ledger.Revoked && c.status == Updated:
		r.changed(j, j.result(Rejected, CodeNotReady, say.Messagef("the account is failed: %s", payment.FailReason)))
		return true, true
	case j.order.State != ledger.Revoked && payment.Status != client.StatusReady:
		r.changed(j, j.result(Rejected, CodeNotReady, say.Messagef("the account is %s", payment.Status)))
		return true, true
	}
	if !c.done() {
		return false, true
	}
	if j.tried {
		c.keep()
	}
	r.changed(j, j.result(j.already(c.status), "", ""))
	return true, true
}

// know fetches the ledger's entry for an account that the row named by its imp_uid alone, if it has one.
func (r *run) know(ctx context.Context, j *job, merchantUID, impUID string) error {
	if j.order.State != ledger.Vacant {
		return nil
	}
	named := ledger.Order{Tier: j.row.Tier, MerchantUID: merchantUID}
	known, err := r.ledger.Orders(ctx, []ledger.Order{named})
	if j.order = known[named]; j.order.ImpUID != impUID {
		j.order = ledger.Entry{Outcome: ledger.Outcome{Order: named}}
	}
	return err
}

// changed records a row's outcome and, if the ledger knows the account, how it stands now.
func (r *run) changed(j *job, result Result) {
	if j.order.Run == 0 {
		r.record(j, result)
		return
	}
	r.record(j, result, j.order)
}
