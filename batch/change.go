package batch

import (
	"cmp"
	"context"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// Updates and revocations may be sent twice without harm. An answer that is lost is looked up by imp_uid all the
// same: what is done already need not be asked for again. But a change whose answer was lost may still be carried out
// seconds later. So that it was not is believed only after the doubt wait, as with an issue; until then the row waits, also where a
// further try was answered, and so do the other rows of the account.

// asked returns the status of a row whose change was done.
func (j *job) asked() Status {
	if j.row.Action == input.Revoke {
		return Revoked
	}
	return Updated
}

// already returns the status of a row whose account is as the row asks without a further request: Unchanged, unless an
// earlier try of the row, whose answer was lost, has made it so.
func (j *job) already() Status {
	if j.stage == changeTried {
		return j.asked()
	}
	return Unchanged
}

// done reports whether the account is as the row asks.
func (j *job) done() bool {
	if j.row.Action == input.Revoke {
		return j.order.State == ledger.Revoked
	}
	return unchanged(j.row, &j.order)
}

// keep sets the order to what the row asked for.
func (j *job) keep() {
	if j.row.Action == input.Revoke {
		j.order.State = ledger.Revoked
		return
	}
	j.order.NowAmount = cmp.Or(j.row.Request.Amount, j.order.NowAmount)
	j.order.NowDue = cmp.Or(j.row.Request.VbankDue, j.order.NowDue)
}

// change finds the account, sees whether it needs changing, and changes it.
func (r *run) change(ctx context.Context, j *job) {
	impUID, ok := r.account(ctx, j)
	if !ok {
		return
	}
	unlock, before := r.accounts.lock(impUID)
	defer unlock()
	r.unripe.CompareAndDelete(impUID, j)
	if by, ok := r.unripe.Load(impUID); ok {
		r.sendAgain(ctx, j, later(by.(*job).ripe, time.Now().Add(time.Second))) // the rows of an account keep their order
		return
	}
	tried := j.stage == changeTried
	if before && !r.knowNow(ctx, j) {
		return
	}
	// Which key a revocation is sent with may depend on the account's MID.
	lacksMID := j.row.Action == input.Revoke && len(r.options.PGAPIKeys.ByMID) > 0 && j.order.PGID == ""
	// Not the ledger's account, or perhaps changed by a try that was lost or by another row.
	if j.order.State != ledger.Issued || tried || before || lacksMID || j.denied {
		if !r.toBeChanged(ctx, j, impUID) {
			return
		}
	}
	if j.refused != nil {
		r.changed(j, r.refusal(j, j.refused))
		return
	}
	if err := r.intendChange(ctx, j); err != nil {
		r.stop(err)
		return
	}
	r.sendChange(ctx, j, impUID)
}

// intendChange makes durable that a try may have reached the API from here on although the process dies: the run that
// continues must know it, and so must everyone who asks the ledger for the order.
func (r *run) intendChange(ctx context.Context, j *job) error {
	intent := withOrder(j, j.result(Unknown, CodeInDoubt, ""))
	intent[0].Run = r.id
	if len(intent) > 1 {
		intent[1].State, intent[1].IntentAt = ledger.Changing, r.api.ServerTime()
	}
	return r.ledger.Record(ctx, intent...)
}

// sendOnce sends the request for a change.
func (r *run) sendOnce(ctx context.Context, j *job, impUID string) (client.Payment, error) {
	j.sent++
	if j.row.Action == input.Revoke {
		request := client.RevokeRequest{Tier: j.row.Tier}
		if pg.NeedsAPIKey(j.order.PGProvider) {
			request.PGAPIKey = r.options.PGAPIKeys.For(j.order.PGID)
		}
		return r.api.Revoke(ctx, impUID, request)
	}
	request := client.UpdateRequest{Tier: j.row.Tier, Amount: j.row.Request.Amount, VbankDue: j.row.Request.VbankDue}
	if request.VbankDue == 0 && pg.WantsDue(j.order.PGProvider) {
		request.VbankDue = j.order.VbankDue // as it is
	}
	return r.api.Update(ctx, impUID, request)
}

// sendChange sends a change whose intent is durable, again if the answer is lost and the account is as before.
func (r *run) sendChange(ctx context.Context, j *job, impUID string) {
	for {
		payment, err := r.sendOnce(ctx, j, impUID)
		switch {
		case err == nil && j.stage == changeTried && ctx.Err() == nil && r.waitUntilRipe(ctx, j):
			r.unripe.Store(impUID, j) // the try that was lost may still be carried out, and must not come after another row's change
			return
		case err == nil:
			r.changedTo(j, payment)
			return
		case !client.InDoubt(err) && j.stage != changeTried:
			switch refusal := r.refusal(j, err); {
			case r.tryLater(ctx, j, err, refusal):
			case client.KindOf(err) == client.Refused && r.changedAllTheSame(ctx, j, impUID):
				r.changed(j, j.result(j.asked(), "", ""))
			default:
				r.changed(j, refusal)
			}
			return
		}
		// Lost, or refused after a try that was lost: how the account stands decides.
		j.stage = changeTried
		if client.InDoubt(err) {
			j.ripe = time.Now().Add(r.options.DoubtWait)
		}
		if !r.toBeChanged(ctx, j, impUID) {
			return
		}
		if !client.InDoubt(err) { // the one that was lost decides, once it can be believed not to have happened
			if j.refused = err; !r.waitUntilRipe(ctx, j) {
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

// changedTo records a change that the API has answered.
func (r *run) changedTo(j *job, payment client.Payment) {
	j.order.State = ledger.Issued
	j.keep()
	if account := accountOf(payment); account.VbankNum != "" || j.order.VbankNum == "" {
		j.order.Account = account
	} else { // a short reply takes nothing away
		j.order.VbankDue = cmp.Or(account.VbankDue, j.row.Request.VbankDue, j.order.VbankDue)
	}
	j.order.MerchantUID = cmp.Or(j.order.MerchantUID, string(payment.MerchantUID))
	j.order.NowAmount = int64(payment.Amount)
	result := j.result(j.asked(), "", "")
	if asked := j.row.Request.Amount; result.Status == Updated && asked != 0 && asked != j.order.NowAmount {
		result = j.result(Conflict, CodeReplyDiffers, say.Messagef("asked for %d won, the API has %d", asked, payment.Amount))
	}
	r.changed(j, result)
}

// changedAllTheSame asks whether an account is as a change asked that was refused: a gateway in front of the API may refuse
// what it has passed on. If the API cannot be asked the refusal is believed.
func (r *run) changedAllTheSame(ctx context.Context, j *job, impUID string) bool {
	payment, err := r.api.Payment(ctx, j.row.Tier, impUID)
	if err != nil {
		return false
	}
	j.order = refreshed(j.order, payment)
	return j.done()
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

// toBeChanged asks the API how the account stands, and reports whether it is still to be changed. Otherwise the row has its
// outcome, also when the API could not be asked.
func (r *run) toBeChanged(ctx context.Context, j *job, impUID string) bool {
	tried := j.stage == changeTried
	payment, err := r.api.Payment(ctx, j.row.Tier, impUID)
	if err != nil {
		result := r.refusal(j, err)
		if tried {
			result = j.result(Unknown, CodeInDoubt, say.Of(err))
		} else if j.denied {
			result = j.disagree()
		}
		r.record(j, result)
		return false
	}
	if uid := j.row.Request.MerchantUID; uid != "" && uid != string(payment.MerchantUID) {
		r.record(j, j.result(Conflict, CodeOrderDiffers, say.Messagef("%s belongs to the order %s", impUID, payment.MerchantUID)))
		return false
	}
	if err := r.knowByAccount(ctx, j, string(payment.MerchantUID), impUID); err != nil {
		r.stop(err)
		return false
	}
	if j.order.State == ledger.Changing && !tried && r.waitUntilRipe(ctx, j) { // another row's change is in doubt, and must not come after this one
		return false
	}
	j.order = refreshed(j.order, payment)
	switch {
	case j.order.State == ledger.Revoked && j.asked() == Updated:
		r.changed(j, j.result(Rejected, CodeNotReady, say.Messagef("the account is failed: %s", payment.FailReason)))
	case j.order.State != ledger.Revoked && payment.Status != client.StatusReady:
		r.changed(j, j.result(Rejected, CodeNotReady, say.Messagef("the account is %s", payment.Status)))
	case j.done():
		if tried {
			j.keep()
		}
		r.changed(j, j.result(j.already(), "", ""))
	default:
		return true
	}
	return false
}

// knowNow sets the row's order to what the ledger knows of its account by now, since another row has held it of late. It reports
// false if the ledger cannot be read.
func (r *run) knowNow(ctx context.Context, j *job) bool {
	r.waitForRecorder()
	if j.order.State == ledger.Vacant { // see knowByAccount
		return true
	}
	now, err := holderOf(ctx, r.ledger, j.order.Order)
	if err != nil {
		r.stop(err)
		return false
	}
	if now.ImpUID == j.order.ImpUID {
		j.order = now
	}
	return true
}

// knowByAccount fetches the ledger's entry for an account that the row named by its imp_uid alone, if it has one. An issue in doubt of
// which the API said that it made the account is none: only a look-up settles it.
func (r *run) knowByAccount(ctx context.Context, j *job, merchantUID, impUID string) error {
	if j.order.State != ledger.Vacant {
		return nil
	}
	named := ledger.Order{Tier: j.row.Tier, MerchantUID: merchantUID}
	var err error
	if j.order, err = holderOf(ctx, r.ledger, named); j.order.ImpUID != impUID || j.order.State == ledger.Intended {
		j.order = ledger.Entry{Outcome: ledger.Outcome{Order: named}}
	}
	return err
}
