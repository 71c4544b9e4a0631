package batch

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Settled is an order in doubt and what asking the API said of it.
type Settled struct {
	Order  ledger.Entry
	Status Status      // Issued: found and adopted. NotSent: surely no account, free to be issued. Updated, Revoked: how its account stands. Unknown: still in doubt
	Note   say.Message // why it is still in doubt
}

// Reconcile settles every order in doubt of the merchant, waiting until "not found" can be believed, and calls tell
// for each. It issues nothing: an order without an account is issued by the next run of its file, or stays in doubt if leave is
// set; see Options.LeaveDoubts.
func Reconcile(ctx context.Context, api LookUp, book Ledger, doubtWait time.Duration, leave bool, tell func(Settled)) error {
	return reconcile(ctx, api, book, doubtWait, true, leave, tell)
}

// reconcile is Reconcile; when it is not patient it leaves alone what would have to be waited for.
func reconcile(ctx context.Context, api LookUp, book Ledger, wait time.Duration, patient, leave bool, tell func(Settled)) error {
	if err := takeStrays(ctx, book, func(ledger.Order) bool { return true }); err != nil {
		return err
	}
	orders, err := book.InDoubt(ctx)
	if err != nil {
		return err
	}
	c := &reconciling{api: api, ledger: book, wait: wait, patient: patient, leave: leave, tell: tell}
	var changes []ledger.Entry
	for _, order := range orders {
		if order.State == ledger.Changing {
			changes = append(changes, order)
		} else {
			c.waiting.put(newDoubt(order, nil, book.Quiet(), wait, api.ServerTime()))
		}
	}
	if err := c.issues(ctx); err != nil {
		return err
	}
	return c.changes(ctx, changes)
}

// takeStrays puts those of some orders in doubt of which a process was told an account when others had taken over already. What the API
// said it made is not made again, even where it does not show it.
func takeStrays(ctx context.Context, book Ledger, some func(ledger.Order) bool) error {
	strays, err := book.Strays(ctx)
	strays = slices.DeleteFunc(strays, func(stray ledger.Entry) bool { return !some(stray.Order) })
	if err != nil || len(strays) == 0 {
		return err
	}
	orders := make([]ledger.Order, len(strays))
	for i := range strays {
		orders[i] = strays[i].Order
	}
	known, err := book.Orders(ctx, orders)
	if err != nil {
		return err
	}
	for _, stray := range strays {
		if e, taken := asStray(known[stray.Order], stray); taken {
			if err := atItsLine(ctx, book, &e); err != nil {
				return err
			}
			if err := book.Record(ctx, e); err != nil {
				return err
			}
			known[stray.Order] = e
		}
		if err := book.Settled(ctx, stray); err != nil {
			return err
		}
	}
	return nil
}

// atItsLine gives an entry that a stray made a line of its own where the one that it names is another order's, or not there: the ledger
// was restored since, and its runs have other numbers.
func atItsLine(ctx context.Context, book Ledger, e *ledger.Entry) error {
	there, err := book.Entries(ctx, e.Run, e.Line, e.Line)
	if err != nil || len(there) == 1 && there[0].Order == e.Order {
		return err
	}
	found, err := book.Begin(ctx, ledger.Run{Digest: "stray/" + e.Tier + "/" + e.MerchantUID, Started: time.Now()})
	e.Run, e.Line = found.ID, 1
	return err
}

// asOfNow returns how an order in doubt stands: its sender may have been told of its account since others have taken over.
func asOfNow(ctx context.Context, book Ledger, order ledger.Order) (ledger.Entry, error) {
	if err := takeStrays(ctx, book, func(stray ledger.Order) bool { return stray == order }); err != nil {
		return ledger.Entry{}, err
	}
	return holderOf(ctx, book, order)
}

// holderOf returns the entry that holds an order, which is Vacant where none does.
func holderOf(ctx context.Context, book Known, order ledger.Order) (ledger.Entry, error) {
	known, err := book.Orders(ctx, []ledger.Order{order})
	return known[order], err
}

// asStray returns the entry that an order is to have since a stray tells of its account, and whether that is another than it
// has.
func asStray(known, stray ledger.Entry) (e ledger.Entry, changed bool) {
	said := saidToBeMade(stray.ImpUID)
	if stray.State == ledger.Intended { // a reply that could not be used
		said = stray.ErrorMessage
	}
	switch e = known; {
	case stray.State == ledger.Intended && (known.State == ledger.Issued || known.State == ledger.Changing):
		if named := strings.Contains(string(said), "imp_"); !named || strings.Contains(string(said), known.ImpUID) {
			return e, false
		}
		e.Status, e.ErrorCode, e.ErrorMessage = Conflict, CodeSeveralAccounts, said
	case stray.State == ledger.Intended && known.State == ledger.Revoked && strings.Contains(string(said), known.ImpUID):
		return e, false
	case known.State == ledger.Vacant || known.State == ledger.Revoked && known.ImpUID != stray.ImpUID:
		e = ledger.Entry{Outcome: stray.Outcome, State: ledger.Intended, IntentAt: stray.IntentAt}
		fallthrough
	case known.State == ledger.Intended:
		if e.ErrorCode == CodeReplyDiffers {
			said = together(e.ErrorMessage, said)
		}
		e.Status, e.Account = Unknown, ledger.Account{ImpUID: cmp.Or(e.ImpUID, stray.ImpUID)} // no other one is the order's
		e.ErrorCode, e.ErrorMessage = CodeReplyDiffers, said
	case known.ImpUID == stray.ImpUID:
		return e, false
	default:
		e.Status, e.ErrorCode = Conflict, CodeSeveralAccounts
		e.ErrorMessage = say.Messagef("%s was issued, and the API said that it had made %s too", known.ImpUID, stray.ImpUID)
	}
	return e, true
}

// together says two things of an order, and what stands in the first already once.
func together(first, second say.Message) say.Message {
	if strings.Contains(string(first), string(second)) {
		return first
	}
	return say.Join([]say.Message{first, second}, "; ")
}

// reconciling is a Reconcile under way.
type reconciling struct {
	api     LookUp
	ledger  Ledger
	wait    time.Duration
	patient bool
	leave   bool // see Options.LeaveDoubts
	tell    func(Settled)
	waiting pending
	mu      sync.Mutex // held while an issue is settled
	failed  error
}

// issues settles the orders whose issue is in doubt.
func (c *reconciling) issues(ctx context.Context) error {
	for c.failed == nil {
		due, _ := c.waiting.take(time.Now(), true)
		if len(due) > 0 {
			ask(ctx, c.api, due, func(d *doubt, found finding, note say.Message) { c.conclude(ctx, d, found, note) })
			continue
		}
		next, ok := c.waiting.next()
		if !ok || !c.patient {
			break
		}
		if err := pause(ctx, time.Until(next)); err != nil {
			return err
		}
	}
	return c.failed
}

func (c *reconciling) conclude(ctx context.Context, d *doubt, found finding, note say.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting.putBack(d, found, c.wait, c.patient) {
		return
	}
	if c.leave {
		found, note = left(found, note)
	}
	now, err := asOfNow(ctx, c.ledger, d.order.Order)
	if err != nil {
		c.failed = err
		return
	}
	if now.ErrorCode != d.order.ErrorCode || now.ErrorMessage != d.order.ErrorMessage { // what was found is of another time: it is looked up once more
		d.order, d.next = now, time.Now()
		c.waiting.put(d)
		return
	}
	entry := d.settled(found, note)
	if err := c.ledger.Record(ctx, entry); err != nil {
		c.failed = err
		return
	}
	c.tell(Settled{Order: entry, Status: entry.Status, Note: note})
}

// changes settles the orders whose update or revocation is in doubt: each account is as the API shows it. An account that
// is as it was before may still be changed; it is asked about again after the wait, or its order is left alone.
func (c *reconciling) changes(ctx context.Context, orders []ledger.Entry) error {
	began := time.Now()
	if quiet := c.ledger.Quiet(); quiet.After(began) {
		began = quiet
	}
	left, err := c.changesOnce(ctx, orders, false)
	if err != nil || !c.patient || len(left) == 0 {
		return err
	}
	if err := pause(ctx, time.Until(began.Add(c.wait))); err != nil {
		return err
	}
	_, err = c.changesOnce(ctx, left, true)
	return err
}

// changesOnce returns the orders that are to be asked about again.
func (c *reconciling) changesOnce(ctx context.Context, orders []ledger.Entry, waited bool) (left []ledger.Entry, err error) {
	for _, order := range orders {
		ripe := waited || !time.Now().Before(ripeFor(&order, c.ledger.Quiet(), c.wait, c.api.ServerTime()))
		settled, err := c.change(ctx, order, ripe)
		if err != nil {
			return nil, err
		}
		if !settled {
			left = append(left, order)
		}
	}
	return left, nil
}

// change settles one order, and reports whether it is settled or cannot be asked about. An account that is as before is
// believed not to have been changed only when the order is ripe.
func (c *reconciling) change(ctx context.Context, order ledger.Entry, ripe bool) (settled bool, err error) {
	payment, err := c.api.Payment(ctx, order.Tier, order.ImpUID)
	if err != nil {
		c.tell(Settled{Order: order, Status: Unknown, Note: say.Of(err)})
		return true, nil
	}
	now := refreshed(order, payment)
	if !ripe && !hasChanged(&order, &now) {
		return false, nil
	}
	if err := c.ledger.Record(ctx, now); err != nil {
		return false, err
	}
	status := Updated
	if now.State == ledger.Revoked {
		status = Revoked
	}
	c.tell(Settled{Order: now, Status: status, Note: say.Messagef("%d won until %s", int64(payment.Amount), input.FormatDue(now.VbankDue))})
	return true, nil
}

// A Verdict is a person's word about an order that asking the API cannot settle: the API has several accounts for it, or one
// that does not match, or said that it made one and does not show it.
type Verdict struct {
	Order  ledger.Order
	ImpUID string    // of the account that is the order's; "" says that none is, and frees the order to be issued again
	By     string    // who says so
	Why    string    // and why
	At     time.Time // when
}

// ErrSettled is returned by Settle and Contested for an order that nothing is to be said about: it is not in the ledger, or
// is not in doubt.
var ErrSettled = say.New("the ledger has no doubt about the order")

// Contested returns the ledger's entry of an order that a person may settle.
func Contested(ctx context.Context, book Known, order ledger.Order) (ledger.Entry, error) {
	e, err := holderOf(ctx, book, order)
	if err != nil {
		return ledger.Entry{}, err
	}
	if !IsContested(&e) {
		return ledger.Entry{}, ErrSettled
	}
	return e, nil
}

// IsContested reports whether a person may settle the order of an entry that holds it.
func IsContested(e *ledger.Entry) bool {
	return e.State == ledger.Intended || e.State == ledger.Issued && questioned(e)
}

// Settle records a person's verdict, after the API was asked whether it can be true: the account that is named must be the
// order's and not revoked; that there is none is refused while the API shows one that can be paid into, or was, and the API
// is asked only once wait is over, as for any order in doubt: a person sees no more of what is under way. It issues nothing.
// The caller holds the ledger's lock.
func Settle(ctx context.Context, api LookUp, book Ledger, wait time.Duration, v Verdict) (ledger.Entry, error) {
	e, err := Contested(ctx, book, v.Order)
	if err != nil {
		return e, err
	}
	if v.ImpUID == "" {
		if e.State == ledger.Intended {
			if err := pause(ctx, time.Until(ripeFor(&e, book.Quiet(), wait, api.ServerTime()))); err != nil {
				return e, err
			}
		}
		e, err = settledAsNone(ctx, api, e)
	} else {
		e, err = settledAs(ctx, api, e, v.ImpUID)
	}
	if err != nil {
		return e, err
	}
	e.ErrorCode = CodeSettled
	e.ErrorMessage = say.Messagef("settled by %s on %s: %s", v.By, v.At.In(input.KST).Format(time.DateOnly), v.Why)
	return e, book.Record(ctx, e)
}

func settledAs(ctx context.Context, api LookUp, e ledger.Entry, impUID string) (ledger.Entry, error) {
	payment, err := api.Payment(ctx, e.Tier, impUID)
	switch {
	case client.KindOf(err) == client.NotFound:
		return e, say.Errorf("the API knows no %s", impUID)
	case err != nil:
		return e, err
	case string(payment.MerchantUID) != e.MerchantUID:
		return e, say.Errorf("%s belongs to the order %s", impUID, payment.MerchantUID)
	case payment.Status == client.StatusFailed || payment.Status == client.StatusCancelled:
		return e, say.Errorf("%s is %s at the API", impUID, payment.Status)
	case payment.VbankNum == "":
		return e, say.Errorf("%s has no account number", impUID)
	}
	e = refreshed(e, payment)
	e.Status = Issued
	return e, nil
}

func settledAsNone(ctx context.Context, api LookUp, e ledger.Entry) (ledger.Entry, error) {
	payments, err := api.FindAll(ctx, e.Tier, e.MerchantUID, "")
	if err != nil {
		return e, err
	}
	if e.ImpUID != "" && claimed(&e, payments) == nil {
		own, err := api.Payment(ctx, e.Tier, e.ImpUID)
		if err == nil {
			payments = append(payments, own)
		} else if client.KindOf(err) != client.NotFound {
			return e, err
		}
	}
	if live := inForce(payments); len(live) > 0 {
		return e, say.Errorf("the API has for the order: %s", impUIDs(live))
	}
	e.State, e.Status, e.Account = ledger.Vacant, NotSent, ledger.Account{}
	e.NowAmount, e.NowDue = 0, 0
	return e, nil
}
