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

// job is a row with what is known of its order.
type job struct {
	row    *input.Row
	order  ledger.Entry // the order's live entry; its State is Vacant where the ledger knows of no account
	stage  stage
	listed bool // a list of the API shows payments of the order
	tried  bool // an earlier try of this update or revocation may have reached the API
	sent   int  // issues, updates or revocations sent for the row in this run

	refusals int         // of them, those that were refused over what passes; see tryLater
	refusal  say.Message // the words of the last one

	ripe    time.Time // from then on a change in doubt that is not seen at the API is believed not to have happened
	refused error     // how the row's change was refused, after an earlier try that may still be carried out
}

// stage is what a row needs next that a request must be sent for.
type stage int

// The stages. An issue goes from toIssue, or toLookUp, to intended, to inDoubt, until an answer or a look-up settles it.
const (
	toIssue   stage = iota + 1 // its order surely has no account: an intent, then the request
	toLookUp                   // its order may have an account that the ledger does not know: the API must be asked first
	intended                   // its intent is durable: the request
	inDoubt                    // its request may have reached the API: a look-up
	toRefresh                  // a change of its order's account is in doubt: how the account stands
	toRecheck                  // the API contradicted the ledger about its order's account: how the account stands
	toUpdate
	toRevoke
)

// begin sets the row's first stage. An issue that is suspect was perhaps sent before.
func (j *job) begin(suspect bool) {
	switch {
	case j.row.Action == input.Update:
		j.stage = toUpdate
	case j.row.Action == input.Revoke:
		j.stage = toRevoke
	case j.order.State == ledger.Changing:
		j.stage = toRefresh
	case j.order.State == ledger.Issued:
		j.stage = toRecheck
	case j.order.State == ledger.Intended:
		j.stage = inDoubt // an earlier run sent it, and nobody knows what came of it
	case suspect:
		j.stage = toLookUp
	default:
		j.stage = toIssue
	}
}

// names is the order that the row names.
func (j *job) names() ledger.Order {
	return ledger.Order{Tier: j.row.Tier, MerchantUID: j.row.Request.MerchantUID}
}

// lost is how many tries of the row had no answer, or may have had none.
func (j *job) lost() int { return j.sent - j.refusals }

// know takes what the ledger knows of the row's order. A row that names its account by imp_uid may mean another one.
func (j *job) know(orders map[ledger.Order]ledger.Entry) {
	j.order = orders[j.names()]
	if j.row.Action != input.Issue && j.row.ImpUID != "" && j.row.ImpUID != j.order.ImpUID {
		j.order = ledger.Entry{}
	}
}

// The life of a row: decide tells its outcome if that needs no request. Otherwise begin sets its stage, process does what the
// stage needs, and conclude ends a doubt. All else in this package only schedules rows, or looks orders up.

// decide tells the outcome of a row by itself and by what the ledger knows of its order; its Status is "" if the API must be
// asked.
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
		code, note := purged(order)
		return j.result(AlreadyIssued, code, note)
	case row.Action == input.Update && order.State == ledger.Issued && unchanged(row, order):
		code, note := purged(order)
		return j.result(j.already(Updated), code, note)
	case row.Action == input.Update && order.State == ledger.Revoked:
		return j.result(Rejected, CodeNotReady, say.NewMessage("the account was revoked"))
	case row.Action == input.Revoke && order.State == ledger.Revoked:
		return j.result(j.already(Revoked), "", "")
	case row.Action != input.Issue && order.State == ledger.Intended:
		return j.result(NotSent, CodeInDoubt, say.NewMessage("the order's issue is in doubt itself; vbankbatch reconcile settles it"))
	}
	return Result{}
}

// purged says why the results have no account number of an order that has its account: the ledger has lost it.
func purged(order *ledger.Entry) (code string, note say.Message) {
	if order.VbankNum != "" {
		return "", ""
	}
	return CodeAccountPurged, meaning(CodeAccountPurged)
}

// whySkipped is the sentence of the row's Skip, or what was found about it.
func (j *job) whySkipped() say.Message {
	_, note := j.row.Complaint()
	return cmp.Or(note, meaning(j.row.Skip), input.Code(j.row.Skip).Meaning())
}

// already is the status of a change whose account is as the row asks: Unchanged, unless a try of this row that was lost
// has made it so.
func (j *job) already(changed Status) Status {
	if j.tried {
		return changed
	}
	return Unchanged
}

// differences names the figures in which an order was issued otherwise than the row asks, both of each; "" if none.
func differences(row *input.Row, order *ledger.Entry) say.Message {
	request := &row.Request
	amount, due := current(order)
	switch {
	case request.Amount != amount:
		return say.Messagef("the account is for %d won, the row says %d", amount, request.Amount)
	case !row.RelativeDue && due != 0 && request.VbankDue != due && request.VbankDue != order.VbankDue:
		return say.Messagef("the account is due %s, the row says %s", input.FormatDue(due), input.FormatDue(request.VbankDue))
	case order.Bank != "" && row.Bank != order.Bank:
		return say.Messagef("the account is at bank %s, the row says %s", order.Bank, row.Bank)
	}
	return ""
}

// current is an order's amount and due date as last asked for.
func current(order *ledger.Entry) (amount, due int64) {
	return cmp.Or(order.NowAmount, order.Amount), cmp.Or(order.NowDue, order.Due)
}

// unchanged reports whether the order already has what the update asks for.
func unchanged(row *input.Row, order *ledger.Entry) bool {
	wantAmount, wantDue := row.Request.Amount, row.Request.VbankDue
	amount, due := current(order)
	return (wantAmount == 0 || wantAmount == amount) && (wantDue == 0 || wantDue == due || wantDue == order.VbankDue)
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
	if j.row.Invalid() && j.order.State == ledger.Vacant { // it was in doubt, and surely has no account
		code, message := j.row.Complaint()
		r.record(j, j.result(Invalid, code, message))
		return
	}
	switch j.stage {
	case toRefresh:
		r.refresh(ctx, j)
	case toRecheck:
		r.recheck(ctx, j)
	case toUpdate:
		r.update(ctx, j)
	case toRevoke:
		r.revoke(ctx, j)
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
		r.record(j, j.result(NotSent, CodeStopped, meaning(CodeStopped)))
	case j.refusals > 0: // it waited for its next try
		r.changed(j, j.result(NotSent, CodePGRefused, j.refusal))
	}
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
		outcome := j.result(Unknown, CodeInDoubt, "") // its sentence is added when it is told
		outcome.Run = r.id
		j.order = ledger.Entry{Outcome: outcome, State: ledger.Intended, IntentAt: r.api.ServerTime()}
		entries = append(entries, j.order)
	}
	if len(entries) == 0 {
		return nil
	}
	if err := r.ledger.Intend(ctx, entries...); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.stage == toIssue {
			j.stage = intended
		}
	}
	return nil
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
			r.suspects.add(int64(j.row.Line))
		}
		r.recordEntry(j, issued(j, payment))
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
		j.order.ErrorMessage = say.Messagef("the API said that it had made %s, and it is not found under this order", cmp.Or(say.Message(fault.ImpUID), say.NewMessage("an account")))
		if err := r.ledger.Record(ctx, j.order); err != nil {
			r.stop(err)
			return
		}
	}
	r.setAside(j)
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

// atOtherBank warns of an account that is not at the bank that was asked for; both are KFTC's codes.
func atOtherBank(asked string, account *ledger.Account) (code string, note say.Message) {
	if asked == "" || account.VbankCode == "" || asked == account.VbankCode {
		return "", ""
	}
	return CodeBankDiffers, say.Messagef("the account is at bank %s, the row asked for %s", account.VbankCode, asked)
}

// takeOver decides an order for which the look-up ahead found payments that this ledger does not know: another
// program made them, or the ledger was lost.
func (r *run) takeOver(ctx context.Context, j *job) {
	payments, err := r.api.FindAll(ctx, j.row.Tier, j.row.Request.MerchantUID, "")
	if err != nil {
		r.record(j, r.notAsked(j, err))
		return
	}
	live, paid := client.Living(payments)
	conflict := func(with *client.Payment, code string, message say.Message) {
		result := j.result(Conflict, code, message)
		if with != nil {
			result.Amount, result.Account = int64(with.Amount), accountOf(*with)
		}
		r.record(j, result)
	}
	switch {
	case paid != nil:
		conflict(paid, CodeOrderPaid, say.Messagef("%s is paid already", paid.ImpUID))
	case j.listed && len(payments) == 0:
		r.record(j, j.result(NotSent, CodeLookUpsDisagree, meaning(CodeLookUpsDisagree)))
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
		r.recordEntry(j, ledger.Entry{Outcome: j.result(AlreadyIssued, code, note), State: ledger.Issued, NowDue: j.order.VbankDue})
	}
}

// conclude acts on what a look-up found of a pending row.
func (r *run) conclude(working context.Context, d *doubt, found finding, note say.Message) {
	j := d.job
	switch found {
	case stillOpen:
		d.later(r.options.DoubtWait)
		r.pending.put(d)
		return
	case unasked:
		if d.fails++; d.fails < maxLookUps && working.Err() == nil {
			d.later(r.options.DoubtWait)
			r.pending.put(d)
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
			r.pending.sendAgain(j, time.Time{})
			return
		}
		if own && j.lost() >= maxTries {
			holder.Status, holder.ErrorCode, holder.ErrorMessage = Rejected, CodeAPIFailed, meaning(CodeAPIFailed)
		}
	}
	if own {
		r.recordEntry(j, holder)
		return
	}
	result := j.result(holder.Status, holder.ErrorCode, holder.ErrorMessage)
	if differs := differences(j.row, &holder); found == adopted && differs != "" {
		result = j.result(Conflict, CodeFiguresDiffer, differs)
	}
	r.record(j, result, holder)
}

func impUIDs(payments []client.Payment) string {
	list := ""
	for i, p := range payments {
		if i > 0 {
			list += " "
		}
		list += string(p.ImpUID)
	}
	return list
}

// refusal is the result of a request that surely had no effect, or of a look-up that failed before one. It stops the
// run if no other row would fare better.
func (r *run) refusal(j *job, err error) Result {
	if reason := EndsRun(err); reason != nil {
		r.stop(reason)
	}
	fault, ok := errors.AsType[*client.Error](err)
	if !ok {
		return j.result(NotSent, CodeStopped, say.Of(err))
	}
	switch fault.Kind {
	case client.Stopped:
		return j.result(NotSent, CodeStopped, meaning(CodeStopped))
	case client.RateLimited:
		return j.result(NotSent, CodeAPIBusy, meaning(CodeAPIBusy))
	case client.Unauthorized:
		return j.result(NotSent, CodeUnauthorized, fault.Say())
	case client.NotFound:
		return j.result(Rejected, CodeNotFound, say.Message(fault.Message))
	case client.Refused:
		code, _ := everyRow(fault.Message)
		return j.result(Rejected, cmp.Or(code, CodePGRefused), say.Message(fault.Message))
	}
	return j.result(NotSent, CodeAPIUnreachable, fault.Say())
}

// notAsked is the result of an issue that was not sent because the look-up before it failed or was refused.
func (r *run) notAsked(j *job, err error) Result {
	result := r.refusal(j, err)
	result.Status = NotSent
	return result
}

// result fills in what the results tell of the row and its account. Its State is Vacant: whoever knows that the order
// is held by this line says so.
func (j *job) result(status Status, code string, message say.Message) Result {
	result := Result{
		Line: int64(j.row.Line), Status: status, ErrorCode: code, ErrorMessage: message,
		Action: string(j.row.Action), Order: ledger.Order{Tier: j.row.Tier, MerchantUID: cmp.Or(j.row.Request.MerchantUID, j.order.MerchantUID)},
		Amount: j.row.Request.Amount, Due: j.row.Request.VbankDue, Bank: j.row.Bank, Attempts: j.sent, Account: j.order.Account,
	}
	result.ImpUID = cmp.Or(result.ImpUID, j.row.ImpUID)
	if amount, _ := current(&j.order); result.Amount == 0 || status == Conflict && amount != 0 {
		result.Amount = amount
	}
	return result
}

// accountOf takes from a payment what the ledger and the results tell of an account.
func accountOf(p client.Payment) ledger.Account {
	issuedAt := p.VbankIssuedAt
	if issuedAt == 0 {
		issuedAt = p.StartedAt
	}
	return ledger.Account{
		ImpUID: string(p.ImpUID), VbankCode: string(p.VbankCode), VbankName: string(p.VbankName), VbankNum: string(p.VbankNum),
		VbankHolder: string(p.VbankHolder), VbankDue: int64(p.VbankDate), PGProvider: string(p.PGProvider), PGID: string(p.PGID), IssuedAt: int64(issuedAt),
	}
}
