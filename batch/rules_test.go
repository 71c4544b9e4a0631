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

// The rules that keep a run from believing the wrong thing, each by itself.

// TestAnotherAmount has the API issue for another amount than was asked for.
func TestAnotherAmount(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			request.Amount /= 10
			return w.client.Issue(context.Background(), request)
		}}
		w.opts.Audit = nil
		got, err := w.with(api, plan(t, "주문번호,금액", "A,10000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A conflict REPLY_DIFFERS")
		got, err = w.run(t.Context(), plan(t, "주문번호,금액", "A,10000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A conflict FIGURES_DIFFER") // the ledger has the API's amount
	})
}

// TestMadeAndFailed has the API answer an issue with a payment that has failed: there is no account.
func TestMadeAndFailed(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			return client.Payment{ImpUID: "imp_1", MerchantUID: "A", Status: client.StatusFailed, FailReason: "한도 초과", Amount: 1000}, nil
		}}
		w.opts.Audit = nil
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A rejected PG_REFUSED")
	})
}

// TestMadeBefore loses an issue that never arrived, of an order that has an account from before: that one is not what the
// issue made.
func TestMadeBefore(t *testing.T) {
	faked(t, sandbox.Config{Fault: once(sandbox.DropBefore)}, func(t *testing.T, w *world) {
		w.opts.RemoteCheck = false
		api := bent{API: w.client}
		older := client.Payment{ImpUID: "imp_1", MerchantUID: "A", Status: client.StatusReady, PayMethod: "vbank", Amount: 1000, VbankNum: "01",
			VbankIssuedAt: client.Unix(time.Now().Add(-5 * time.Minute).Unix())}
		api.findAll = func(string) ([]client.Payment, error) { return []client.Payment{older}, nil }
		api.many = func([]string) (map[string][]client.Payment, error) {
			return map[string][]client.Payment{"A": {older}}, nil
		}
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A unknown OTHER_ACCOUNT")
		older.VbankIssuedAt = client.Unix(time.Now().Unix()) // the same, made since
		got, err = w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A issued")
	})
}

// TestBeingMade loses an issue whose account has no number at first: it is waited for, and taken with its number.
func TestBeingMade(t *testing.T) {
	faked(t, sandbox.Config{Fault: once(sandbox.DropAfter)}, func(t *testing.T, w *world) {
		began := time.Now()
		api := bent{API: w.client, findAll: func(uid string) ([]client.Payment, error) {
			all, err := w.client.FindAll(context.Background(), "", uid, "")
			for i := range all {
				if time.Since(began) < 20*time.Second {
					all[i].VbankNum = ""
				}
			}
			return all, err
		}}
		w.opts.RemoteCheck = false
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A issued")
		if took := time.Since(began); took < 20*time.Second || took > time.Minute {
			t.Errorf("taken after %v", took)
		}
	})
}

// TestLookUpAheadFails has the look-up of many orders fail over one of them: that says nothing about the others.
func TestLookUpAheadFails(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		for _, i := range []int{7, 33} { // past any sample
			w.other(fmt.Sprintf("A-%d", i), 1000)
		}
		for _, kind := range []client.Kind{client.Refused, client.Mismatch, client.ServerError, client.NoReply, client.Malformed} {
			api := bent{API: w.client, many: func([]string) (map[string][]client.Payment, error) {
				return nil, &client.Error{Op: "GET /payments", Kind: kind}
			}}
			w.restore("")
			w.opts.Audit = nil
			got, err := w.with(api, manyOrders(t, 40))
			if err != nil || strings.Count(strings.Join(got, "\n"), "already_issued") < 2 {
				t.Fatalf("%s: %q, %v", kind, got, err)
			}
			w.oneEach(40)
		}
	})
}

// TestNotFoundTooEarly loses an issue that is carried out twenty seconds later, while the look-up of many orders fails, so that
// each is asked for by itself: "not found" is not believed before its time then either.
func TestNotFoundTooEarly(t *testing.T) {
	config := sandbox.Config{Fault: once(sandbox.CommitLate), Faults: sandbox.Faults{CommitBy: 20 * time.Second}}
	faked(t, config, func(t *testing.T, w *world) {
		w.opts.RemoteCheck, w.opts.Audit = false, nil
		api := bent{API: w.client, many: func([]string) (map[string][]client.Payment, error) {
			return nil, &client.Error{Op: "GET /payments", Kind: client.Refused}
		}}
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A issued")
		time.Sleep(time.Minute)
		if n := w.api.Ready("A"); n != 1 {
			t.Errorf("%d accounts", n)
		}
	})
}

// TestNotTheAccount loses an issue that never arrived, of an order that gets another account meanwhile: for another amount, or
// one that has no number when the doubt wait is over. It is left to a person.
func TestNotTheAccount(t *testing.T) {
	for name, won := range map[string]int64{"another amount": 900, "no number": 1000} {
		t.Run(name, func(t *testing.T) {
			faked(t, sandbox.Config{Fault: once(sandbox.DropBefore)}, func(t *testing.T, w *world) {
				w.opts.RemoteCheck, w.opts.Audit = false, nil
				time.AfterFunc(10*time.Second, func() { w.other("A", won) })
				api := bent{API: w.client, findAll: func(uid string) ([]client.Payment, error) {
					all, err := w.client.FindAll(context.Background(), "", uid, "")
					for i := range all {
						if name == "no number" {
							all[i].VbankNum = ""
						}
					}
					return all, err
				}}
				got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
				if err != nil {
					t.Fatal(err)
				}
				w.expect(got, "A unknown OTHER_ACCOUNT")
				if n := w.api.Ready("A"); n != 1 {
					t.Errorf("%d accounts", n)
				}
			})
		})
	}
}

// TestPaidAtOnce loses the answer to an issue whose account is paid into before it is looked up: it is the order's.
func TestPaidAtOnce(t *testing.T) {
	faked(t, sandbox.Config{Fault: once(sandbox.DropAfter)}, func(t *testing.T, w *world) {
		w.opts.RemoteCheck, w.opts.Audit = false, nil
		time.AfterFunc(time.Second, func() { w.api.Pay(w.api.Payments()[0].ImpUID) })
		got, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A issued")
		if posts := w.api.Requests()["POST /vbanks"]; posts != 1 {
			t.Errorf("sent %d times", posts)
		}
	})
}

// TestFoundForOtherFigures leaves an issue in doubt, and goes on with a file that asks for another amount: the account that is
// found is not what that file's row asks for.
func TestFoundForOtherFigures(t *testing.T) {
	faked(t, sandbox.Config{Fault: once(sandbox.DropAfter)}, func(t *testing.T, w *world) {
		w.opts.RemoteCheck, w.opts.Audit = false, nil
		down := &client.Error{Op: "GET /payments", Kind: client.ServerError}
		blind := bent{API: w.client, many: func([]string) (map[string][]client.Payment, error) { return nil, down },
			findAll: func(string) ([]client.Payment, error) { return nil, down }}
		got, err := w.with(blind, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A unknown IN_DOUBT")
		slow := bent{API: w.client} // reconcile at the start of the run is to find nothing
		began := time.Now()
		slow.many = func(uids []string) (map[string][]client.Payment, error) {
			if time.Since(began) < time.Second {
				return nil, nil
			}
			return w.client.Payments(context.Background(), "", uids)
		}
		got, err = w.with(slow, plan(t, "주문번호,금액", "A,2000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A conflict FIGURES_DIFFER")
	})
}

// TestAdoptedIsLookedAtClosely has another account appear for an order whose account was found after its answer was lost, and
// the list of many orders tell of one only.
func TestAdoptedIsLookedAtClosely(t *testing.T) {
	faked(t, sandbox.Config{Fault: once(sandbox.DropAfter)}, func(t *testing.T, w *world) {
		w.opts.RemoteCheck = false
		api := bent{API: w.client}
		adopted := false
		api.many = func(uids []string) (map[string][]client.Payment, error) {
			found, err := w.client.Payments(context.Background(), "", uids)
			if adopted {
				w.other("A", 1000)
			}
			adopted = true
			return found, err
		}
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A conflict SEVERAL_ACCOUNTS")
	})
}

// TestSentTwiceIsLookedAtClosely has another account appear for an order that was sent twice, and the list of many orders tell
// of one only.
func TestSentTwiceIsLookedAtClosely(t *testing.T) {
	faked(t, sandbox.Config{Fault: once(sandbox.DropBefore)}, func(t *testing.T, w *world) {
		w.opts.RemoteCheck = false
		api := bent{API: w.client, many: func(uids []string) (map[string][]client.Payment, error) {
			found, err := w.client.Payments(context.Background(), "", uids)
			if w.api.Ready("A") == 1 {
				w.other("A", 1000)
			}
			return found, err
		}}
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A conflict SEVERAL_ACCOUNTS")
	})
}

// TestRefusedWithAnOlderAccount refuses an order that has an account from before the run, which nobody asked for: the audit
// does not take that for what the run made.
func TestRefusedWithAnOlderAccount(t *testing.T) {
	refuse := false
	config := sandbox.Config{Fault: func(r *http.Request, _ string, _ int) sandbox.Fault {
		if refuse && r.URL.Path == "/vbanks" {
			return sandbox.Refuse
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		w.opts.RemoteCheck = false
		w.other("A", 1000)
		time.Sleep(time.Hour)
		refuse = true
		got, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A conflict OTHER_ACCOUNT")
	})
}

// TestCloseLookFails has a list omit an order, and the close look at it fail at first: it is looked at again.
func TestCloseLookFails(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.other("A", 1000)
		failed := false
		api := bent{API: w.client, many: func([]string) (map[string][]client.Payment, error) { return nil, nil },
			findAll: func(uid string) ([]client.Payment, error) {
				if !failed {
					failed = true
					return nil, &client.Error{Op: "GET /payments/findAll/{merchant_uid}", Kind: client.ServerError}
				}
				return w.client.FindAll(context.Background(), "", uid, "")
			}}
		w.opts.Audit = nil
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A already_issued")
	})
}

// TestNotSentIsAsked stops a run when an issue was refused and made all the same, before it could be looked up: the run that
// goes on looks it up, although it was told to ask for nothing that the ledger does not know.
func TestNotSentIsAsked(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.opts.RemoteCheck, w.opts.Audit = false, nil
		p := plan(t, "주문번호,금액", "A,1000")
		ctx, stop := context.WithCancelCause(t.Context())
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			if _, err := w.client.Issue(context.Background(), request); err != nil {
				t.Error(err)
			}
			stop(errors.New("stopped"))
			return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.RateLimited}
		}}
		book := w.book()
		got, err := w.runOn(ctx, p, api, book)
		book.Close()
		if err == nil {
			t.Error("nothing stopped the run")
		}
		w.expect(got, "A not_sent API_BUSY")
		if got, err = w.run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A already_issued")
		if n := w.api.Ready("A"); n != 1 {
			t.Errorf("%d accounts", n)
		}
	})
}
