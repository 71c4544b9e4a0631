package batch

import (
	"context"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

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
	found, err := book.Orders(ctx, []ledger.Order{order})
	if err != nil {
		return ledger.Entry{}, err
	}
	e, ok := found[order]
	if !ok || e.State != ledger.Intended && !(e.State == ledger.Issued && questioned(&e)) {
		return ledger.Entry{}, ErrSettled
	}
	return e, nil
}

// Settle records a person's verdict, after the API was asked whether it can be true: the account that is named must be the
// order's and not revoked; that there is none is refused while the API shows one that can be paid into, or was. It issues
// nothing. The caller holds the ledger's lock.
func Settle(ctx context.Context, api LookUp, book Ledger, v Verdict) (ledger.Entry, error) {
	e, err := Contested(ctx, book, v.Order)
	if err != nil {
		return e, err
	}
	if v.ImpUID == "" {
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
	if e.ImpUID != "" && missing(&e, payments) {
		claimed, err := api.Payment(ctx, e.Tier, e.ImpUID)
		if err == nil {
			payments = append(payments, claimed)
		} else if client.KindOf(err) != client.NotFound {
			return e, err
		}
	}
	live, paid := client.Living(payments)
	if paid != nil {
		live = append(live, *paid)
	}
	if len(live) > 0 {
		return e, say.Errorf("the API has for the order: %s", impUIDs(live))
	}
	e.State, e.Status, e.Account = ledger.Vacant, NotSent, ledger.Account{}
	e.NowAmount, e.NowDue = 0, 0
	return e, nil
}
