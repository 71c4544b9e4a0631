package batch

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

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

func (d *doubt) names() ledger.Order { return d.order.Order }

// longAgo is the age from which another process's intent needs no more waiting for. It is long because a request may
// have waited for its turn, and because it goes by the server's clock, which may have been set since.
const longAgo = 12 * time.Hour

// newDoubt starts the wait of an order in doubt. It counts from now, not from the intent: the request may have been
// written long after that, having waited for its turn, and nobody knows when another process died.
func newDoubt(order ledger.Entry, j *job, quiet time.Time, wait time.Duration, serverTime time.Time) *doubt {
	now := time.Now()
	ripe := now.Add(wait)
	if sentHere := j != nil && j.sent > 0; !sentHere {
		ripe = ripeFor(&order, quiet, wait, serverTime)
	}
	return &doubt{order: order, job: j, ripe: ripe, next: now.Add(ripe.Sub(now) / 8)}
}

// left returns what is made of a finding where an order that the API does not show is left to a person.
func left(found finding, note say.Message) (finding, say.Message) {
	if found == absent {
		return stillOpen, say.NewMessage("the API shows no account, and --leave-doubts has it left to a person: vbankbatch ledger settle, or reconcile")
	}
	return found, note
}

// ripeFor returns when a request that an earlier process left in doubt is believed not to have happened. One of another host
// may have been sent until quiet, long after its intent, and be carried out until the wait behind that is over.
func ripeFor(order *ledger.Entry, quiet time.Time, wait time.Duration, serverTime time.Time) time.Time {
	ripe := time.Now()
	if serverTime.Sub(order.IntentAt) <= longAgo {
		ripe = ripe.Add(wait)
	}
	return later(ripe, quiet.Add(wait))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// later sets the next look-up half-way to the end of the wait, or at its end when that is near.
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
	for _, doubts := range byTier(doubts, (*doubt).names) {
		listed, err := list(ctx, api, doubts, (*doubt).names)
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
			seen := len(listed[d.order.MerchantUID]) > 0
			if together && !seen && !ripe {
				tell(d, stillOpen, "")
				continue
			}
			closely.Go(func() error {
				found, note := d.askClosely(ctx, api, seen, ripe)
				tell(d, found, note)
				return nil
			})
		}
		closely.Wait()
	}
}

// askClosely looks one order up by itself. It was seen if a list shows payments of it.
func (d *doubt) askClosely(ctx context.Context, api LookUp, seen, ripe bool) (finding, say.Message) {
	payments, err := api.FindAll(ctx, d.order.Tier, d.order.MerchantUID, "")
	switch {
	case err != nil:
		return unasked, say.Of(err)
	case seen && len(payments) == 0:
		return unasked, say.NewMessage("one look-up finds the order and the other does not")
	}
	return d.decide(payments, ripe)
}

// decide says what the order's payments mean. A single account that was made for the intent is the order's; the customer may
// have paid into it already.
func (d *doubt) decide(payments []client.Payment, ripe bool) (finding, say.Message) {
	live := inForce(payments)
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
	if said := accountsIn(d.order.ErrorMessage); d.order.ImpUID != "" && slices.ContainsFunc(said, func(impUID string) bool { return impUID != account.ImpUID }) {
		return unclear, say.Messagef("the API has %s, and said that it had made %s", account.ImpUID, strings.Join(said, " "))
	}
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

// accountsIn returns the accounts that a message names.
func accountsIn(message say.Message) (impUIDs []string) {
	for _, word := range strings.FieldsFunc(string(message), func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.HasPrefix(word, "imp_") && !slices.Contains(impUIDs, word) {
			impUIDs = append(impUIDs, word)
		}
	}
	return impUIDs
}

// settled returns the entry of an order in doubt after a look-up. An order that is still not known stays in doubt.
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
			if found == unclear {
				e.ErrorMessage = together(e.ErrorMessage, note)
			}
		case found == unclear:
			e.ErrorCode, e.ErrorMessage = CodeOtherAccount, note
		default:
			e.ErrorCode, e.ErrorMessage = CodeInDoubt, note
		}
	}
	return e
}

// standing returns an order's entry as all of its payments show it, and whether that differs from the entry. If the entry has
// no account, an account at the API becomes the order's if it can be the one that was asked for.
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
	live, own := inForce(payments), claimed(&e, payments)
	amount, _ := current(&e)
	switch others := slices.ContainsFunc(live, func(p client.Payment) bool { return string(p.ImpUID) != e.ImpUID }); {
	case others:
		return conflict(Conflict, CodeSeveralAccounts, say.Messagef("%s was issued, and the API has for the order: %s", e.ImpUID, impUIDs(live)))
	case own == nil:
		return conflict(Unknown, CodeAccountMissing, say.Messagef("the API said that it had made %s, and does not show it any more", e.ImpUID))
	case len(live) == 0:
		told = refreshed(e, *own)
		return conflict(Conflict, CodeNotReady, say.Messagef("the order's account %s was revoked; run again to issue another", e.ImpUID))
	case int64(own.Amount) != amount:
		told = refreshed(e, *own)
		return conflict(Conflict, CodeReplyDiffers, say.Messagef("asked for %d won, the API has %d", amount, own.Amount))
	case questioned(&e):
		told.Status, told.ErrorCode, told.ErrorMessage = Issued, "", ""
		return told, true
	}
	return e, false
}

// maxPending is how many rows may be in doubt at once; an API that loses more answers than that is down. Rows that an
// earlier run has left in doubt wait for their turn.
const maxPending = 1000

// pending holds orders in doubt until they are settled. Its zero value is ready.
type pending struct {
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

func (p *pending) put(d *doubt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubts = append(p.doubts, d)
}

// inDoubt counts the doubts, and those of them whose answer was lost here and not by an earlier run.
func (p *pending) inDoubt() (all, lost int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.doubts {
		if d.job != nil && d.job.sent > 0 {
			lost++
		}
	}
	return len(p.doubts), lost
}

// putBack lets an order wait for its next look-up after one that did not settle it, and reports whether there is to be one.
// Look-ups that fail are tried again only while the caller is patient.
func (p *pending) putBack(d *doubt, found finding, wait time.Duration, patient bool) bool {
	if found == unasked {
		d.fails++
	}
	if found != stillOpen && !(found == unasked && d.fails < maxLookUps && patient) {
		return false
	}
	d.later(wait)
	p.put(d)
	return true
}

// sendAgain lets a row wait for its next try. It reports false if too many rows wait already.
func (p *pending) sendAgain(j *job, at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.again) >= maxPending && at.After(time.Now()) {
		return false
	}
	p.again = append(p.again, waiting{j, at})
	return true
}

func (p *pending) size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.doubts) + len(p.again))
}

// take removes and returns the doubts whose next look-up is due, at most one request's worth, and the rows to send
// again: those whose time has come, or all.
func (p *pending) take(now time.Time, all bool) (due []*doubt, again []*job) {
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

// next returns when there is something to take; ok is false if nothing is pending.
func (p *pending) next() (next time.Time, ok bool) {
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

// pause waits for d, or for the end of ctx, whose cause it returns.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
