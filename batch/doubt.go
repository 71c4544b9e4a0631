package batch

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// An issue is in doubt when it may have reached the API and no answer says so. Its row is set aside and its worker takes
// the next one. Pending rows are looked up, many to a request, until the account is found or the doubt wait has passed
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
		askTier(ctx, api, tier, doubts, tell)
	}
}

func askTier(ctx context.Context, api LookUp, tier string, doubts []*doubt, tell func(d *doubt, found finding, note say.Message)) {
	uids := make([]string, len(doubts))
	for i, d := range doubts {
		uids[i] = d.order.MerchantUID
	}
	known, err := api.Payments(ctx, tier, uids)
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
			all, err := api.FindAll(ctx, tier, d.order.MerchantUID, "")
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
