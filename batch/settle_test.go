package batch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// TestSettle has the API say that it made an account and show it under no order that was asked for: only a person can
// tell what that is, and is held to what the API shows.
func TestSettle(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000", "A-3,3000")
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			if request.MerchantUID == "A-3" {
				return w.client.Issue(t.Context(), request)
			}
			return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.Mismatch, Acted: true, ImpUID: "imp_x"}
		}}
		got, err := w.with(api, p)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 unknown REPLY_DIFFERS", "A-2 unknown REPLY_DIFFERS", "A-3 issued")
		found := w.other("A-1", 1000)
		elsewhere := w.other("B-1", 1000)
		revoked, err := w.client.Revoke(t.Context(), string(w.other("A-2", 2000).ImpUID), client.RevokeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		api.payment = func(impUID string) (client.Payment, error) {
			switch impUID {
			case "imp_bare":
				return client.Payment{ImpUID: "imp_bare", MerchantUID: "A-1", Status: client.StatusReady}, nil
			case "imp_lost":
				return client.Payment{}, errLost
			}
			return w.client.Payment(t.Context(), "", impUID)
		}

		book := w.book()
		settle := func(uid, impUID string) error {
			_, err := batch.Settle(t.Context(), api, book, time.Second, batch.Verdict{Order: ledger.Order{MerchantUID: uid}, ImpUID: impUID, By: "kim", Why: "asked PortOne", At: time.Now()})
			return err
		}
		for _, wrong := range []struct{ uid, impUID, want string }{
			{"A-1", "", "the API has for the order: " + string(found.ImpUID)},
			{"A-1", string(elsewhere.ImpUID), "belongs to the order B-1"},
			{"A-1", "imp_bare", "imp_bare has no account number"},
			{"A-2", string(revoked.ImpUID), "is failed at the API"},
			{"A-1", "imp_lost", errLost.Error()},
			{"A-1", "imp_nobody", "the API knows no imp_nobody"},
			{"A-3", "", batch.ErrSettled.Error()},
			{"A-9", "", batch.ErrSettled.Error()},
		} {
			if err := settle(wrong.uid, wrong.impUID); err == nil || !strings.Contains(err.Error(), wrong.want) {
				t.Errorf("%s %s: %v, want %s", wrong.uid, wrong.impUID, err, wrong.want)
			}
		}
		if err := errors.Join(settle("A-1", string(found.ImpUID)), settle("A-2", "")); err != nil {
			t.Fatal(err)
		}
		last, err := book.LastRun(t.Context(), p.Digest())
		if err != nil {
			t.Fatal(err)
		}
		w.expect(w.results(t.Context(), p, book, last.ID), "A-1 issued SETTLED", "A-2 not_sent SETTLED", "A-3 issued")
		book.Close()
		got, err = w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 already_issued", "A-2 issued", "A-3 already_issued")
	})
}

// TestSettleAsNone has the API stop showing the account of a sub-merchant's order: a person cannot say that there is none while
// it is shown in any way, or cannot be asked for.
func TestSettleAsNone(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		for _, line := range []string{"A,1000,001,발급", "A,1500,001,변경"} {
			if _, err := w.run(t.Context(), plan(t, "주문번호,금액,tier,처리", line)); err != nil {
				t.Fatal(err)
			}
		}
		all, err := w.client.FindAll(t.Context(), "001", "A", "")
		if err != nil {
			t.Fatal(err)
		}
		ready, paid := all[0], all[0]
		paid.Status = client.StatusPaid
		gone := &client.Error{Kind: client.NotFound}
		hidden := func(payment client.Payment, err error) batch.API {
			return bent{API: w.client, payment: func(string) (client.Payment, error) { return payment, err },
				findAll: func(string) ([]client.Payment, error) { return nil, nil },
				many:    func([]string) (map[string][]client.Payment, error) { return nil, nil }}
		}
		got, err := w.with(hidden(client.Payment{}, gone), plan(t, "주문번호,금액,tier", "A,1500,001"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A unknown ACCOUNT_MISSING")
		book := w.book()
		defer book.Close()
		there := "the API has for the order: " + string(ready.ImpUID)
		for _, test := range []struct {
			api  batch.API
			want string
		}{
			{hidden(ready, nil), there},
			{hidden(paid, nil), there},
			{hidden(client.Payment{}, errLost), errLost.Error()},
			{w.client, there},
			{hidden(client.Payment{}, gone), "<nil>"},
		} {
			e, err := batch.Settle(t.Context(), test.api, book, time.Second, batch.Verdict{Order: ledger.Order{Tier: "001", MerchantUID: "A"}, By: "kim", Why: "asked PortOne", At: time.Now()})
			if fmt.Sprint(err) != test.want || err == nil && (e.ImpUID != "" || e.NowAmount != 0) {
				t.Errorf("%+v, %v, want %s", e, err, test.want)
			}
		}
	})
}

// TestHastyVerdict has a person say that an order has no account while the request for one is still on its way.
func TestHastyVerdict(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000")
		sent := w.frozenHost(p, w.opts.DoubtWait/2)
		book := w.book()
		_, err := batch.Settle(t.Context(), w.client, book, w.opts.DoubtWait, batch.Verdict{Order: ledger.Order{MerchantUID: "A-1"}, By: "kim", Why: "the console shows none", At: time.Now()})
		if err == nil || !strings.Contains(err.Error(), "the API has for the order") {
			t.Errorf("the verdict: %v", err)
		}
		book.Close()
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 issued") // by the host that died
		if n := len(w.api.Payments()); n != 1 {
			t.Errorf("%d accounts", n)
		}
	})
}
