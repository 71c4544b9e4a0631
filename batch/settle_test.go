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
		revoked, err := w.client.Revoke(t.Context(), string(w.other("A-2", 2000).ImpUID), "")
		if err != nil {
			t.Fatal(err)
		}
		api.payment = func(impUID string) (client.Payment, error) {
			if impUID == "imp_bare" {
				return client.Payment{ImpUID: "imp_bare", MerchantUID: "A-1", Status: client.StatusReady}, nil
			}
			return w.client.Payment(t.Context(), impUID)
		}

		book := w.book()
		settle := func(uid, impUID string) error {
			_, err := batch.Settle(t.Context(), api, book, batch.Verdict{Order: ledger.Order{MerchantUID: uid}, ImpUID: impUID, By: "kim", Why: "asked PortOne", At: time.Now()})
			return err
		}
		for _, wrong := range []struct{ uid, impUID, want string }{
			{"A-1", "", "the API has for the order: " + string(found.ImpUID)},
			{"A-1", string(elsewhere.ImpUID), "belongs to the order B-1"},
			{"A-1", "imp_bare", "imp_bare has no account number"},
			{"A-2", string(revoked.ImpUID), "is failed at the API"},
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

// TestSettleAsNone has the API show under its imp_uid an account that it claimed to have made and that no list holds: a person
// cannot say that there is none, nor while that cannot be asked.
func TestSettleAsNone(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		payment, fault := client.Payment{}, error(&client.Error{Kind: client.NotFound})
		api := bent{API: w.client, payment: func(string) (client.Payment, error) { return payment, fault },
			findAll: func(string) ([]client.Payment, error) { return nil, nil },
			many:    func([]string) (map[string][]client.Payment, error) { return nil, nil },
			issue: func(request client.IssueRequest) (client.Payment, error) {
				made, err := w.client.Issue(t.Context(), request)
				payment = made
				return made, err
			}}
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A unknown ACCOUNT_MISSING")
		book := w.book()
		defer book.Close()
		for _, test := range []struct {
			fault error
			want  string
		}{
			{nil, "the API has for the order: " + string(payment.ImpUID)},
			{errLost, errLost.Error()},
			{&client.Error{Kind: client.NotFound}, ""},
		} {
			fault = test.fault
			_, err := batch.Settle(t.Context(), api, book, batch.Verdict{Order: ledger.Order{MerchantUID: "A"}, By: "kim", Why: "asked PortOne", At: time.Now()})
			if text := fmt.Sprint(err); (err == nil) != (test.want == "") || !strings.Contains(text, test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		}
	})
}
