package batch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// TestAuditSeveral has another account appear for an order that was issued. The run says so, the next one still does, and
// the one after it is revoked does not.
func TestAuditSeveral(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000")
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 issued", "A-2 issued")
		other := w.other("A-1", 1000)
		for range 2 {
			got, err = w.run(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			w.expect(got, "A-1 conflict SEVERAL_ACCOUNTS", "A-2 already_issued")
		}
		if _, err := w.client.Revoke(t.Context(), string(other.ImpUID), client.RevokeRequest{}); err != nil {
			t.Fatal(err)
		}
		got, err = w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 already_issued", "A-2 already_issued")
	})
}

// TestAuditLate has accounts appear after "not found" was believed, and the orders were sent again: the run that did so
// says so.
func TestAuditLate(t *testing.T) {
	late := func(r *http.Request, id string, nth int) sandbox.Fault {
		if strings.HasSuffix(id, "7") { // not so many that the API seems to be down
			return once(sandbox.CommitLate)(r, id, nth)
		}
		return ""
	}
	config := sandbox.Config{Fault: late, Faults: sandbox.Faults{CommitBy: 40 * time.Second}}
	faked(t, config, func(t *testing.T, w *world) {
		lines := []string{"주문번호,금액"}
		for i := range 60 {
			lines = append(lines, fmt.Sprintf("A-%d,1000", i))
		}
		w.opts.Workers = 64
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			payment, err := w.client.Issue(t.Context(), request)
			if err == nil && strings.HasSuffix(request.MerchantUID, "7") {
				time.Sleep(15 * time.Second) // until the late ones are there
			}
			return payment, err
		}}
		got, err := w.with(api, plan(t, lines...))
		if err != nil {
			t.Fatal(err)
		}
		twice := 0
		for i, result := range got[:60] {
			want := "issued"
			if w.api.Ready(fmt.Sprintf("A-%d", i)) > 1 {
				want = "conflict SEVERAL_ACCOUNTS"
				twice++
			}
			if result != fmt.Sprintf("A-%d %s", i, want) {
				t.Errorf("%s, want %s", result, want)
			}
		}
		if audit := w.opts.Audit; twice < 5 || audit.Orders != 60 || audit.Err != nil || audit.Changed != twice {
			t.Errorf("%d orders have two accounts, %+v", twice, audit)
		}
	})
}

// TestAuditRefusedAndMade has every issue refused by the PG and carried out all the same.
func TestAuditRefusedAndMade(t *testing.T) {
	config := sandbox.Config{Fault: func(r *http.Request, id string, _ int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && id != "A-9" {
			return sandbox.Lying(http.StatusOK)
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		p := manyOrders(t, 16)
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for i, result := range got {
			if result != fmt.Sprintf("A-%d issued", i) {
				t.Error(result)
			}
		}
		again, err := w.run(t.Context(), p)
		if err != nil || !strings.HasSuffix(again[0], "already_issued") {
			t.Errorf("%v, %v", again, err)
		}
		w.oneEach(16)
	})
}

// TestAuditNothingThere has the API say that it made accounts which it does not have. They are told as unknown, in this
// run and in the next, and are not sent again.
func TestAuditNothingThere(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		sent := 0
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			if request.MerchantUID != "A-1" {
				return w.client.Issue(t.Context(), request)
			}
			sent++
			return client.Payment{ImpUID: "imp_gone", MerchantUID: "A-1", Status: client.StatusReady, PayMethod: "vbank", Amount: 1000, VbankNum: "01"}, nil
		}}
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000")
		began := time.Now()
		for range 2 {
			got, err := w.with(api, p)
			if err != nil {
				t.Fatal(err)
			}
			w.expect(got[:1], "A-1 unknown ACCOUNT_MISSING")
		}
		if took := time.Since(began); took < w.opts.DoubtWait {
			t.Errorf("called missing after %v", took)
		}
		if sent != 1 {
			t.Errorf("sent %d times", sent)
		}
	})
}

// TestAuditCost counts what an audit asks for: one request for a hundred orders, and none without Options.Audit.
func TestAuditCost(t *testing.T) {
	for _, audited := range []bool{false, true} {
		faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
			w.opts.RemoteCheck = false
			want := 5
			if !audited {
				w.opts.Audit, want = nil, 0
			}
			if _, err := w.run(t.Context(), manyOrders(t, 500)); err != nil {
				t.Fatal(err)
			}
			if asked := w.api.Requests(); asked["GET /payments"] != want || asked["GET /payments/findAll/{merchant_uid}"] != 0 {
				t.Errorf("%v, want %d look-ups", asked, want)
			}
			if audited && (w.opts.Audit.Orders != 500 || w.opts.Audit.Closely+w.opts.Audit.Changed != 0 || w.opts.Audit.Err != nil) {
				t.Errorf("%+v", w.opts.Audit)
			}
		})
	}
}

// TestRestoredLedger restores a ledger from a backup: what was revoked, or changed, since is not repeated as it was.
func TestRestoredLedger(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000", "A-3,3000")
		if _, err := w.run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		backup := w.save()
		got, err := w.run(t.Context(), plan(t, "주문번호,금액,처리", "A-1,,말소", "A-2,2500,변경"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 revoked", "A-2 updated")
		w.restore(backup)
		got, err = w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 conflict NOT_READY", "A-2 conflict FIGURES_DIFFER", "A-3 already_issued")
		got, err = w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 issued", "A-2 conflict FIGURES_DIFFER", "A-3 already_issued")
	})
}

// TestAuditSentAgain has a gateway refuse an issue that the API has carried out, and the look-up before the second one not
// show it yet: the audit looks at the order closely, since a list may show one account only.
func TestAuditSentAgain(t *testing.T) {
	stale := true
	config := sandbox.Config{Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		switch {
		case r.URL.Path == "/vbanks" && nth == 1:
			return sandbox.Lying(http.StatusTooManyRequests)
		case stale && r.Pattern == "GET /payments/findAll/{merchant_uid}":
			return sandbox.Stale
		}
		return ""
	}, Faults: sandbox.Faults{StaleBy: 20 * time.Second}}
	faked(t, config, func(t *testing.T, w *world) {
		w.opts.RemoteCheck = false
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			payment, err := w.client.Issue(t.Context(), request)
			stale = false
			return payment, err
		}}
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A conflict SEVERAL_ACCOUNTS")
	})
}

// TestRefusedAndIssuedByAnother stops a run after an order of it was refused, and has another file issue that order: when the
// first run goes on, its audit leaves the account to the other one's line.
func TestRefusedAndIssuedByAnother(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000")
		w.opts.Workers = 1
		ctx, stop := context.WithCancelCause(t.Context())
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			if request.MerchantUID == "A-2" {
				stop(errors.New("stopped"))
				return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.Stopped}
			}
			return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.Refused, Message: "한도 초과"}
		}}
		book := w.book()
		got, err := w.runOn(ctx, p, api, book)
		book.Close()
		if err == nil {
			t.Error("nothing stopped the run")
		}
		w.expect(got, "A-1 rejected PG_REFUSED", "A-2 not_sent STOPPED")
		if got, err = w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000", "A-3,3000")); err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 issued", "A-3 issued")
		if got, err = w.run(t.Context(), p); err != nil || w.opts.Audit.Err != nil || w.opts.Audit.Changed != 0 {
			t.Errorf("%v, %+v", err, w.opts.Audit)
		}
		w.expect(got, "A-1 rejected PG_REFUSED", "A-2 issued")
	})
}

// TestSmallFileAfterALie has a list deny the one order of a small file that has an account.
func TestSmallFileAfterALie(t *testing.T) {
	config := sandbox.Config{Fault: func(r *http.Request, _ string, _ int) sandbox.Fault {
		if r.Pattern == "GET /payments" {
			return sandbox.Lying(http.StatusNotFound)
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		w.other("A-5", 1000)
		got, err := w.run(t.Context(), manyOrders(t, 8))
		if err != nil || got[5] != "A-5 already_issued" {
			t.Errorf("%q, %v", got, err)
		}
		w.oneEach(8)
	})
}
