package batch

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// job is a row with what is known of its order.
type job struct {
	row     *input.Row
	order   ledger.Entry // the order's live entry; its State is Vacant where the ledger knows of no account
	stage   stage
	earlier Status // of the row, by an earlier process of this run
	listed  bool   // a list of the API shows payments of the order
	denied  bool   // a list of the API does not show the order's account as the ledger has it
	before  int    // issues that earlier processes sent for the order, and that came to nothing, as asking showed
	sent    int    // issues, updates or revocations sent for the row in this run

	refusals int         // of them, those that were refused over what passes; see tryLater
	refusal  say.Message // the words of the last one

	ripe    time.Time // from then on a change in doubt that is not seen at the API is believed not to have happened
	refused error     // how the row's change was refused, after an earlier try that may still be carried out
}

// maxTries is how often an update, a revocation or an issue is sent when every answer is lost.
const maxTries = 3

// stage is what a row needs next that a request must be sent for.
type stage int

// The stages. An issue goes from toIssue, or toLookUp, to intended, to inDoubt, until an answer or a look-up settles it.
const (
	toIssue     stage = iota + 1 // its order surely has no account: an intent, then the request
	toLookUp                     // its order may have an account that the ledger does not know: the API must be asked first
	intended                     // its intent is durable: the request
	inDoubt                      // its request may have reached the API: a look-up
	toRefresh                    // a change of its order's account is in doubt: how the account stands
	toRecheck                    // the API contradicted the ledger about its order's account: how the account stands
	toChange                     // an update or a revocation: the request
	changeTried                  // the same, and an earlier try may have reached the API: how the account stands
)

// names returns the order that the row names.
func (j *job) names() ledger.Order {
	return ledger.Order{Tier: j.row.Tier, MerchantUID: j.row.Request.MerchantUID}
}

// lost returns the number of tries of the row that had no answer, or may have had none.
func (j *job) lost() int { return j.sent - j.refusals }

// result fills in what the results tell of the row and its account. Without a message it is the sentence of the code. Its
// State is Vacant: the caller says so if this line holds the order.
func (j *job) result(status Status, code string, message say.Message) Result {
	result := Result{
		Line: int64(j.row.Line), Status: status, ErrorCode: code, ErrorMessage: cmp.Or(message, meaning(code)),
		Action: string(j.row.Action), Order: j.names(),
		Amount: j.row.Request.Amount, Due: j.row.Request.VbankDue, Bank: j.row.Bank, Attempts: j.sent, Account: j.order.Account,
	}
	if j.sent > 0 {
		result.Attempts += j.before
	}
	result.MerchantUID = cmp.Or(result.MerchantUID, j.order.MerchantUID)
	result.ImpUID = cmp.Or(result.ImpUID, j.row.ImpUID)
	if amount, _ := current(&j.order); result.Amount == 0 || status == Conflict && amount != 0 {
		result.Amount = amount
	}
	return result
}

// differences says which figure of the order's account differs from the row's, with both values, or "" if none does.
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

// unchanged reports whether the order already has what the update asks for.
func unchanged(row *input.Row, order *ledger.Entry) bool {
	wantAmount, wantDue := row.Request.Amount, row.Request.VbankDue
	amount, due := current(order)
	return (wantAmount == 0 || wantAmount == amount) && (wantDue == 0 || wantDue == due || wantDue == order.VbankDue)
}

// current returns an order's amount and due date as they were last asked for.
func current(order *ledger.Entry) (amount, due int64) {
	return cmp.Or(order.NowAmount, order.Amount), cmp.Or(order.NowDue, order.Due)
}

// questioned reports whether the API contradicted what the ledger says of an order, so that it must be asked again.
func questioned(order *ledger.Entry) bool {
	return order.ErrorCode == CodeSeveralAccounts || order.ErrorCode == CodeAccountMissing
}

// refreshed returns an order's entry with its account as the API shows it now.
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

// hasChanged reports whether the account of an order has been changed, by its entry before and now.
func hasChanged(before, now *ledger.Entry) bool {
	return now.State == ledger.Revoked || before.NowAmount != now.NowAmount || before.NowDue != now.NowDue
}

// atOtherBank warns of an account that is not at the bank that was asked for; both are KFTC's codes.
func atOtherBank(asked string, account *ledger.Account) (code string, note say.Message) {
	if asked == "" || account.VbankCode == "" || asked == account.VbankCode {
		return "", ""
	}
	return CodeBankDiffers, say.Messagef("the account is at bank %s, the row asked for %s", account.VbankCode, asked)
}

// inForce returns the payments of an order that keep it from another account: those that can be paid into, and one that
// was.
func inForce(payments []client.Payment) []client.Payment {
	live, paid := client.Living(payments)
	return append(live, paid...)
}

// claimed returns the payment of the account that the ledger has for the order, or nil.
func claimed(e *ledger.Entry, payments []client.Payment) *client.Payment {
	i := slices.IndexFunc(payments, func(p client.Payment) bool { return string(p.ImpUID) == e.ImpUID })
	if i < 0 {
		return nil
	}
	return &payments[i]
}

// asClaimed reports whether an order has one account, the one that the ledger claims, with its figures.
func asClaimed(e *ledger.Entry, payments []client.Payment) bool {
	live := inForce(payments)
	amount, _ := current(e)
	return e.State == ledger.Issued && len(live) == 1 && string(live[0].ImpUID) == e.ImpUID && int64(live[0].Amount) == amount
}

func impUIDs(payments []client.Payment) string {
	list := make([]string, len(payments))
	for i, p := range payments {
		list[i] = string(p.ImpUID)
	}
	return strings.Join(list, " ")
}

// accountOf takes from a payment what the ledger and the results tell of an account.
func accountOf(p client.Payment) ledger.Account {
	return ledger.Account{
		ImpUID: string(p.ImpUID), VbankCode: string(p.VbankCode), VbankName: string(p.VbankName), VbankNum: string(p.VbankNum),
		VbankHolder: string(p.VbankHolder), VbankDue: int64(p.VbankDate), PGProvider: string(p.PGProvider), PGID: string(p.PGID),
		IssuedAt: int64(cmp.Or(p.VbankIssuedAt, p.StartedAt)),
	}
}

// byTier cuts items into lists of one tier that one request can ask for.
func byTier[T any](items []T, order func(T) ledger.Order) (lists [][]T) {
	tiers := make(map[string][]T)
	for _, item := range items {
		tier := order(item).Tier
		tiers[tier] = append(tiers[tier], item)
	}
	for _, items := range tiers {
		lists = slices.AppendSeq(lists, slices.Chunk(items, chunkRows))
	}
	return lists
}

// list asks the API for the payments of a list of byTier, in one request.
func list[T any](ctx context.Context, api LookUp, items []T, order func(T) ledger.Order) (map[string][]client.Payment, error) {
	uids := make([]string, len(items))
	for i, item := range items {
		uids[i] = order(item).MerchantUID
	}
	return api.Payments(ctx, order(items[0]).Tier, uids)
}

// oneByOne reports whether a look-up of many orders failed over one of them, perhaps, so that each must be asked for
// itself.
func oneByOne(err error) bool {
	kind := client.KindOf(err)
	return kind == client.Refused || kind == client.Mismatch
}
