package batch

import (
	"cmp"
	"context"
	"errors"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// The life of a row: decide tells its outcome if that needs no request. Otherwise begin sets its stage, process does what
// the stage needs, and conclude ends a doubt. The files above this one only schedule rows, or look orders up.

// know sets the row's order to what the ledger knows of it. A row that names its account by imp_uid may mean another account
// than the ledger has for the order; then the ledger knows nothing of it.
func (j *job) know(orders map[ledger.Order]ledger.Entry) {
	j.order = orders[j.names()]
	if j.row.Action != input.Issue && j.row.ImpUID != "" && j.row.ImpUID != j.order.ImpUID {
		j.order = ledger.Entry{}
	}
}

// decide returns the outcome of a row that follows from the row and from what the ledger knows of its order. Its Status is
// "" if the API must be asked.
func (j *job) decide() Result {
	row, order := j.row, &j.order
	switch {
	case row.Action == input.Issue && order.State == ledger.Intended && row.Skip != CodeRepeated:
		return Result{} // in doubt comes first: what is wrong with the row now says nothing of what was sent
	case row.Action == input.Issue && order.State == ledger.Changing && (!row.Invalid() || row.OnlyLate()) && row.Skip == "":
		return Result{} // how its account stands must be asked for
	case row.Action == input.Issue && order.State == ledger.Issued && row.OnlyLate():
		// The day has passed since; the account is there all the same.
	case row.Invalid():
		code, message := row.Complaint()
		return j.result(Invalid, code, message)
	case row.Skip != "":
		return j.result(Skipped, row.Skip, j.whySkipped())
	}
	switch {
	case row.Action == input.Issue && order.State == ledger.Issued && questioned(order):
		return Result{} // the API contradicted the ledger, and is asked again
	case row.Action == input.Issue && order.State == ledger.Issued:
		if differs := differences(row, order); differs != "" {
			return j.result(Conflict, CodeFiguresDiffer, say.Messagef("%s; to change it use a row with the action update", differs))
		}
		return j.result(AlreadyIssued, purged(order), "")
	case row.Action == input.Update && order.State == ledger.Issued && unchanged(row, order):
		return j.result(j.already(), purged(order), "")
	case row.Action == input.Update && order.State == ledger.Revoked:
		return j.result(Rejected, CodeNotReady, say.NewMessage("the account was revoked"))
	case row.Action == input.Revoke && order.State == ledger.Revoked:
		return j.result(j.already(), "", "")
	case row.Action != input.Issue && order.State == ledger.Intended:
		return j.result(NotSent, CodeInDoubt, say.NewMessage("the order's issue is in doubt itself; vbankbatch reconcile settles it"))
	}
	return Result{}
}

// purged returns the code of an order whose account number was purged from the ledger, or "" if the ledger has it.
func purged(order *ledger.Entry) (code string) {
	if order.VbankNum != "" {
		return ""
	}
	return CodeAccountPurged
}

// whySkipped returns what was found about a row that is skipped, or else the sentence of its code.
func (j *job) whySkipped() say.Message {
	_, note := j.row.Complaint()
	return cmp.Or(note, meaning(j.row.Skip), input.Code(j.row.Skip).Meaning())
}

// begin sets the row's first stage, by the status that an earlier process has left of it.
func (j *job) begin(earlier Status) {
	switch {
	case j.row.Action != input.Issue && earlier == Unknown:
		j.stage = changeTried
	case j.row.Action != input.Issue:
		j.stage = toChange
	case j.order.State == ledger.Changing:
		j.stage = toRefresh
	case j.order.State == ledger.Issued:
		j.stage = toRecheck
	case j.order.State == ledger.Intended:
		j.stage = inDoubt // an earlier run sent it, and nobody knows what came of it
	case earlier == NotSent:
		j.stage = toLookUp // it may have been sent, and refused
	default:
		j.stage = toIssue
	}
}

// process does what the row's stage needs, and records what came of it.
func (r *run) process(ctx context.Context, j *job) {
	if r.timeIsUp() || ctx.Err() != nil {
		r.drop(j)
		return
	}
	defer func() {
		if crash := recover(); crash != nil { // an intent that was made stays in the ledger, in doubt
			r.stop(say.Errorf("line %d: internal error: %v", j.row.Line, crash))
		}
	}()
	if (j.order.State == ledger.Vacant || j.order.State == ledger.Revoked) && (j.row.Invalid() || j.row.Skip != "") { // it was in doubt, and has no account now
		r.record(j, j.decide())
		return
	}
	switch j.stage {
	case toRefresh:
		r.refresh(ctx, j)
	case toRecheck:
		r.recheck(ctx, j)
	case toChange, changeTried:
		r.change(ctx, j)
	case inDoubt:
		r.setAside(j)
	case toLookUp:
		r.takeOver(ctx, j)
	case toIssue, intended:
		r.issue(ctx, j)
	default:
		panic("the row has no stage")
	}
}

// drop gives up a row that was not sent. The results say so of every row without an entry; a durable intent must be
// taken back.
func (r *run) drop(j *job) {
	switch {
	case j.stage == intended:
		j.sent--
		r.record(j, j.result(NotSent, CodeStopped, ""))
	case j.refusals > 0: // it waited for its next try
		r.changed(j, j.result(NotSent, CodePGRefused, j.refusal))
	}
	r.flying.CompareAndDelete(j.names(), j) // nothing comes of it any more
}

// intend makes the intents of those rows durable that are to be issued, in one write. Without it nothing may be sent.
func (r *run) intend(ctx context.Context, jobs ...*job) error {
	entries := make([]ledger.Entry, 0, len(jobs))
	for _, j := range jobs {
		if j.stage != toIssue {
			continue
		}
		j.sent++
		j.order = ledger.Entry{}
		outcome := j.result(Unknown, CodeInDoubt, "")
		outcome.Run, outcome.ErrorMessage = r.id, "" // the code's sentence is added when it is told
		j.order = ledger.Entry{Outcome: outcome, State: ledger.Intended, IntentAt: r.api.ServerTime()}
		j.stage = intended // after an error no row goes on
		entries = append(entries, j.order)
		r.flying.Store(j.names(), j)
	}
	if len(entries) == 0 {
		return nil
	}
	return r.ledger.Intend(ctx, entries...)
}

// issue sends a row whose order surely has no account: intent, request, outcome. Most rows come with their intent
// made; a row that is sent again, or that was looked up first, makes its own.
func (r *run) issue(ctx context.Context, j *job) {
	if j.stage == toIssue {
		if err := r.intend(ctx, j); err != nil {
			r.stop(err)
			return
		}
	}
	j.stage = inDoubt // until an answer settles it
	request := j.row.Request
	request.Tier = j.row.Tier
	if _, mid, _ := pg.Name(j.row.PG); pg.NeedsAPIKey(j.row.PG) {
		request.PGAPIKey = r.options.PGAPIKeys.For(mid)
	}
	payment, err := r.api.Issue(ctx, request)
	switch {
	case client.InDoubt(err):
		r.doubt(ctx, j, err)
	case err != nil:
		j.order = ledger.Entry{}
		if refusal := r.refusal(j, err); !r.tryLater(ctx, j, err, refusal) {
			r.record(j, refusal)
		}
	default:
		if payment.SentAgain {
			j.sent++
		}
		r.recordEntries(j, issued(j, payment))
	}
}

// doubt sets a row aside whose issue may have had its effect. A reply that says so, and cannot be used, is remembered: then
// an empty look-up is no reason to send again, in this run or a later one. It stops the run if no other row would get an
// answer either.
func (r *run) doubt(ctx context.Context, j *job, err error) {
	fault, ok := errors.AsType[*client.Error](err)
	if reason := EndsRun(err); ok && reason != nil {
		r.stop(reason)
	}
	if ok && fault.Acted {
		j.order.ErrorCode = CodeReplyDiffers
		j.order.ErrorMessage = saidToBeMade(fault.ImpUID)
		if err := r.ledger.Record(ctx, j.order); err != nil {
			r.stop(err)
			return
		}
	}
	r.setAside(j)
}

// saidToBeMade is the message of an order whose account the API told of and does not show.
func saidToBeMade(impUID string) say.Message {
	return say.Messagef("the API said that it had made %s, and it is not found under this order", cmp.Or(say.Message(impUID), say.NewMessage("an account")))
}

// issued takes a payment as the account that the row's intent asked for.
func issued(j *job, payment client.Payment) ledger.Entry {
	if payment.Status == client.StatusFailed {
		return ledger.Entry{Outcome: j.result(Rejected, CodePGRefused, say.Message(payment.FailReason))}
	}
	j.order.Account = accountOf(payment)
	code, note := atOtherBank(j.row.Bank, &j.order.Account)
	entry := ledger.Entry{Outcome: j.result(Issued, code, note), State: ledger.Issued}
	if amount := int64(payment.Amount); amount != j.order.Amount {
		entry.Outcome = j.result(Conflict, CodeReplyDiffers, say.Messagef("asked for %d won, the API issued %d", j.order.Amount, amount))
		entry.NowAmount = amount
	}
	return entry
}

// takeOver decides a row whose order may have payments that this ledger does not know, since another program made them or
// the ledger was lost.
func (r *run) takeOver(ctx context.Context, j *job) {
	payments, err := r.api.FindAll(ctx, j.row.Tier, j.row.Request.MerchantUID, "")
	if err != nil {
		r.record(j, r.notAsked(j, err))
		return
	}
	live, paid := client.Living(payments)
	if len(payments) == 0 && !j.listed && j.isStranger() {
		r.record(j, j.stranger())
		return
	}
	conflict := func(with *client.Payment, code string, message say.Message) {
		result := j.result(Conflict, code, message)
		if with != nil {
			result.Amount, result.Account = int64(with.Amount), accountOf(*with)
		}
		r.record(j, result)
	}
	switch {
	case len(paid) > 0:
		conflict(&paid[0], CodeOrderPaid, say.Messagef("%s is paid already", impUIDs(paid)))
	case j.listed && len(payments) == 0:
		r.record(j, j.result(NotSent, CodeLookUpsDisagree, ""))
	case len(live) == 0:
		j.stage = toIssue
		r.issue(ctx, j)
	case live[0].VbankNum == "":
		conflict(&live[0], CodeOtherAccount, say.Messagef("the API has %s, which has no account number", live[0].ImpUID))
	case len(live) > 1:
		conflict(nil, CodeSeveralAccounts, say.Messagef("ready at the API: %s", impUIDs(live)))
	case int64(live[0].Amount) != j.row.Request.Amount:
		conflict(&live[0], CodeFiguresDiffer,
			say.Messagef("the API has %s for %d won, the row says %d", live[0].ImpUID, live[0].Amount, j.row.Request.Amount))
	default:
		j.order.Account = accountOf(live[0])
		code, note := atOtherBank(j.row.Bank, &j.order.Account)
		r.recordEntries(j, ledger.Entry{Outcome: j.result(AlreadyIssued, code, note), State: ledger.Issued, NowDue: j.order.VbankDue})
	}
}

// refresh asks the API about the account of an order whose change is in doubt, and decides the row by the answer.
func (r *run) refresh(ctx context.Context, j *job) {
	unlock, ok := r.holdAccount(ctx, j)
	defer unlock()
	if !ok {
		return
	}
	payment, err := r.api.Payment(ctx, j.row.Tier, j.order.ImpUID)
	if err != nil {
		r.record(j, r.notAsked(j, err))
		return
	}
	before := j.order
	if j.order = refreshed(before, payment); !hasChanged(&before, &j.order) {
		j.order = before
		if r.waitUntilRipe(ctx, j) {
			return
		}
		j.order = refreshed(before, payment)
	}
	if result := j.decide(); result.Status != "" {
		r.changed(j, result)
		return
	}
	r.changed(j, j.revokedMeanwhile())
}

// revokedMeanwhile is the result of an issue whose order's account was revoked.
func (j *job) revokedMeanwhile() Result {
	return j.result(Conflict, CodeNotReady, say.Messagef("the order's account %s was revoked; run again to issue another", j.order.ImpUID))
}

// holdAccount keeps other rows from changing the account of an issue's order until unlock is called. It reports false if one of them
// has changed how the order stands: then the row is decided by that, or begins once more.
func (r *run) holdAccount(ctx context.Context, j *job) (unlock func(), ok bool) {
	unlock, before := r.accounts.lock(j.order.ImpUID)
	state := j.order.State
	switch {
	case !before:
	case !r.knowNow(ctx, j):
		return unlock, false
	case j.order.State == ledger.Revoked:
		r.record(j, j.revokedMeanwhile())
		return unlock, false
	case j.order.State != state:
		j.begin(j.earlier)
		r.pending.sendAgain(j, time.Time{})
		return unlock, false
	}
	return unlock, true
}

// recheck asks the API about an account that the ledger has for the row's order, and decides the row by both.
func (r *run) recheck(ctx context.Context, j *job) {
	unlock, ok := r.holdAccount(ctx, j)
	defer unlock()
	if !ok {
		return
	}
	payments, err := r.payments(ctx, &j.order)
	if err != nil {
		if reason := EndsRun(err); reason != nil {
			r.stop(reason)
		}
		r.record(j, r.asLedger(j))
		return
	}
	before := j.order
	told, changed := standing(before, payments)
	j.order = told
	result := j.result(told.Status, told.ErrorCode, told.ErrorMessage)
	if !questioned(&told) { // the line that holds the order says what it said when it was issued
		j.order.Status, j.order.ErrorCode, j.order.ErrorMessage = before.Status, before.ErrorCode, before.ErrorMessage
		if questioned(&before) {
			j.order.Status, j.order.ErrorCode, j.order.ErrorMessage = Issued, "", ""
		}
		if told.State != ledger.Revoked {
			result = j.decide()
		}
	}
	if changed {
		r.changed(j, result)
	} else {
		r.record(j, result)
	}
}

// asLedger returns the result of a row whose order has its account, if the API could not be asked about it.
func (r *run) asLedger(j *job) Result {
	switch {
	case questioned(&j.order):
		return j.result(j.order.Status, j.order.ErrorCode, j.order.ErrorMessage)
	case j.denied:
		return j.disagree()
	}
	return j.decide()
}

// disagree is the result of a row whose account a list denies, until it is looked at closely.
func (j *job) disagree() Result {
	result := j.result(NotSent, CodeLookUpsDisagree, say.NewMessage("the API's list does not show the account as the ledger has it, and it could not be looked at closely"))
	result.Account = ledger.Account{ImpUID: j.order.ImpUID} // nobody must be told to pay into it
	return result
}

// conclude acts on what a look-up found of a pending row.
func (r *run) conclude(working context.Context, d *doubt, found finding, note say.Message) {
	j := d.job
	if r.broken.Load() { // the order stays in doubt
		return
	}
	if by, flying := r.flying.Load(d.order.Order); flying && by != j {
		found, d.order.State, d.order.Account = stillOpen, ledger.Intended, ledger.Account{} // that row is told what came of it
	}
	if r.pending.putBack(d, found, r.options.DoubtWait, working.Err() == nil) {
		return
	}
	if found == adopted {
		r.suspects.Store(int64(j.row.Line), true)
	}
	if r.options.LeaveDoubts && j.sent == 0 {
		found, note = left(found, note)
	}
	holder, own := d.settled(found, note), r.holds(j, &d.order)
	j.before = max(j.before, holder.Attempts-j.sent)
	again := found == absent && j.lost() < maxTries && working.Err() == nil
	if found == absent && own && j.lost() >= maxTries {
		holder.Status, holder.ErrorCode, holder.ErrorMessage = Rejected, CodeAPIFailed, meaning(CodeAPIFailed)
	}
	now, settled, err := r.settle(d, holder)
	if err != nil {
		r.broken.Store(true)
		r.stop(err)
		return
	}
	j.order = now
	if again || !settled {
		earlier := Status("")
		if !settled { // what was found is of another time: it is looked up once more
			earlier = NotSent
		}
		j.begin(earlier)
		r.pending.sendAgain(j, time.Time{})
		return
	}
	if own {
		r.told(j, &holder)
		return
	}
	result := j.result(holder.Status, holder.ErrorCode, holder.ErrorMessage)
	if differs := differences(j.row, &holder); found == adopted && differs != "" {
		result = j.result(Conflict, CodeFiguresDiffer, differs)
	}
	r.recordEntries(j, ledger.Entry{Outcome: result})
}

// settle makes durable what a look-up found of an order in doubt, in the entry that holds the order: the row's own, or that of the
// run which sent the issue, and returns how the order stands. Two rows may wait for one doubt: whoever comes second changes nothing.
func (r *run) settle(d *doubt, holder ledger.Entry) (now ledger.Entry, settled bool, err error) {
	unlock, _ := r.doubted.lock(d.order.Tier + "\x00" + d.order.MerchantUID)
	defer unlock()
	now, err = asOfNow(context.Background(), r.ledger, d.order.Order)
	if err != nil || now.ErrorCode != d.order.ErrorCode || now.ErrorMessage != d.order.ErrorMessage || now.State != ledger.Intended || now.Run != d.order.Run || now.Line != d.order.Line || now.IntentAt.UnixMicro() != d.order.IntentAt.UnixMicro() {
		return now, false, err
	}
	return holder, true, r.ledger.Record(context.Background(), holder)
}

// holds reports whether an entry that holds the row's order is the row's own.
func (r *run) holds(j *job, order *ledger.Entry) bool {
	return order.Run == r.id && order.Line == int64(j.row.Line)
}
