package batch_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// world is a sandbox, a ledger and a way between them, without sockets, so that it runs in faked time.
type world struct {
	t      *testing.T
	api    *sandbox.Sandbox
	client *client.Client
	ledger string
	opts   batch.Options
}

// faked runs a test in a bubble whose clock moves only when everybody waits.
func faked(t *testing.T, config sandbox.Config, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		api, err := sandbox.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer api.Close()
		c, err := client.New(client.Config{Key: "k", Secret: "s", Workers: 4, Timeout: time.Minute, Through: api.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		test(t, &world{t: t, api: api, client: c, ledger: filepath.Join(t.TempDir(), "ledger.db"), opts: batch.Options{
			Workers: 4, DoubtWait: 30 * time.Second, SettleTime: time.Minute, RemoteCheck: true}})
	})
}

// book opens the ledger.
func (w *world) book() *ledger.Ledger {
	w.t.Helper()
	book, err := ledger.Open(w.ledger, "merchant")
	if err != nil {
		w.t.Fatal(err)
	}
	return book
}

// plan reads a file with the header and the lines.
func plan(t *testing.T, lines ...string) *batch.Plan {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := input.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	p, err := batch.Preflight(context.Background(), file, input.Options{Now: time.Now(),
		Set: map[string]string{"vbank_due": "+7d", "vbank_holder": "한빛", "vbank_code": "국민"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a plan to its end and returns the results, one string a row: "order status code".
func (w *world) run(ctx context.Context, p *batch.Plan) ([]string, error) {
	w.t.Helper()
	book := w.book()
	defer book.Close()
	return w.runOn(ctx, p, w.client, book)
}

func (w *world) runOn(ctx context.Context, p *batch.Plan, api batch.API, book batch.Ledger) ([]string, error) {
	w.t.Helper()
	found, ended := batch.Run(ctx, p, api, book, w.opts)
	var results []string
	err := batch.Results(context.WithoutCancel(ctx), p, book, found.ID, func(_ *input.Row, r *batch.Result) error {
		results = append(results, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.MerchantUID, r.Status, r.ErrorCode)))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if finisher, ok := book.(*ledger.Ledger); ok && ended == nil {
		if err := finisher.Finish(ctx, found.ID, time.Now()); err != nil {
			w.t.Fatal(err)
		}
	}
	return results, ended
}

func (w *world) expect(got []string, want ...string) {
	w.t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// once lets the first POST for every order meet the fault.
func once(fault sandbox.Fault) func(*http.Request, string, int) sandbox.Fault {
	return func(r *http.Request, _ string, nth int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && nth == 1 {
			return fault
		}
		return ""
	}
}

// TestFaults has every order meet a fault on its first issue. Whatever it is, one account comes of it.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		fault  sandbox.Fault
		status string
		posts  int           // for two orders
		within time.Duration // from the start to the end of the run
	}{
		{"", "issued", 2, time.Second},
		{sandbox.DropBefore, "issued", 4, time.Minute},
		{sandbox.DropAfter, "issued", 2, 30 * time.Second},
		{sandbox.Late, "issued", 2, 3 * time.Minute},
		{sandbox.CommitLate, "issued", 2, time.Minute},
		{sandbox.ErrorBefore, "issued", 4, time.Minute},
		{sandbox.ErrorAfter, "issued", 2, 30 * time.Second},
		{sandbox.BadGatewayBefore, "issued", 4, time.Minute},
		{sandbox.BadGatewayAfter, "issued", 2, 30 * time.Second},
		{sandbox.CutJSON, "issued", 2, 30 * time.Second},
		{sandbox.WrongOrder, "issued", 2, 30 * time.Second},
		{sandbox.Refuse, "rejected PG_REFUSED", 2, time.Second},
		{sandbox.Unauthorized, "issued", 0, time.Second}, // 4 or 5: one order's 401 may cost the other its token
		{sandbox.TooMany, "issued", 4, time.Minute},
	} {
		t.Run(cmp.Or(string(test.fault), "none"), func(t *testing.T) {
			config := sandbox.Config{Fault: once(test.fault), Faults: sandbox.Faults{LateBy: 2 * time.Minute, CommitBy: 20 * time.Second}}
			faked(t, config, func(t *testing.T, w *world) {
				started := time.Now()
				got, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000", "A-2,2000"))
				if err != nil {
					t.Error(err)
				}
				w.expect(got, "A-1 "+test.status, "A-2 "+test.status)
				want := 1
				if test.fault == sandbox.Refuse {
					want = 0
				}
				for _, order := range []string{"A-1", "A-2"} {
					if n := w.api.Ready(order); n != want {
						t.Errorf("%s has %d accounts, want %d", order, n, want)
					}
				}
				if posts := w.api.Requests()["POST /vbanks"]; posts != test.posts && test.posts > 0 {
					t.Errorf("%d issues were sent, want %d", posts, test.posts)
				}
				if took := time.Since(started); took > test.within {
					t.Errorf("took %v, more than %v", took, test.within)
				}
			})
		})
	}
}

// other makes an account as another program would.
func (w *world) other(order string, amount int64) client.Payment {
	w.t.Helper()
	p, err := w.client.Issue(context.Background(), client.IssueRequest{MerchantUID: order, Amount: amount, VbankCode: "004",
		VbankDue: time.Now().Add(24 * time.Hour).Unix(), VbankHolder: "한빛"})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// TestRemoteCheck meets orders that another program issued, and a ledger that was lost.
func TestRemoteCheck(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.other("same", 1000)
		w.other("differs", 999)
		w.other("twice", 1000)
		w.other("twice", 1000)
		if err := w.api.Pay(string(w.other("paid", 1000).ImpUID)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.Revoke(context.Background(), string(w.other("revoked", 1000).ImpUID), ""); err != nil {
			t.Fatal(err)
		}
		p := plan(t, "주문번호,금액", "same,1000", "differs,1000", "twice,1000", "paid,1000", "revoked,1000", "new,1000")
		want := []string{"same already_issued", "differs conflict FIGURES_DIFFER", "twice conflict SEVERAL_ACCOUNTS",
			"paid conflict ORDER_PAID", "revoked issued", "new issued"}
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, want...)
		before := len(w.api.Payments())

		if err := os.Remove(w.ledger); err != nil {
			t.Fatal(err)
		}
		want[4], want[5] = "revoked already_issued", "new already_issued"
		got, err = w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, want...)
		got, _ = w.run(t.Context(), p) // and from the ledger once more
		w.expect(got, want...)
		if after := len(w.api.Payments()); after != before {
			t.Errorf("%d accounts after losing the ledger, %d before", after, before)
		}
	})
}

// TestConflicts has rows that contradict the ledger, and each other.
func TestConflicts(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		got, err := w.run(t.Context(), plan(t, "주문번호,금액,입금기한,은행", "A-1,1000,2099-01-01,국민", "A-2,2000,2099-01-01,국민", "A-3,3000,2099-01-01,국민", "A-4,4000,2099-01-01,국민"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 issued", "A-2 issued", "A-3 issued", "A-4 issued")
		got, err = w.run(t.Context(), plan(t, "주문번호,금액,입금기한,은행", "A-1,1001,2099-01-01,국민", "A-2,2000,2099-01-02,국민", "A-3,3000,2099-01-01,신한", "A-4,4000,+3d,국민"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 conflict FIGURES_DIFFER", "A-2 conflict FIGURES_DIFFER", "A-3 conflict FIGURES_DIFFER", "A-4 already_issued")

		got, err = w.run(t.Context(), plan(t, "주문번호,금액,action,imp_uid",
			"B-1,1000,issue,", "B-1,1000,issue,", // the same row twice
			"B-2,1000,issue,", "B-2,1001,issue,", // two that disagree
			"B-3,1000,issue,", "B-3,1000,update,", // an issue and an update
			"B-4,1000,issue,", "B-4,,revoke,",
			",5000,update,imp_1", ",6000,update,imp_1", // two updates of one account
			"B-5,5000,update,imp_2", "B-5,6000,update,imp_3")) // updates of two accounts of one order
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "B-1 issued", "B-1 skipped REPEATED",
			"B-2 invalid DUPLICATE_CONFLICT", "B-2 invalid DUPLICATE_CONFLICT",
			"B-3 invalid DUPLICATE_CONFLICT", "B-3 invalid DUPLICATE_CONFLICT",
			"B-4 invalid DUPLICATE_CONFLICT", "B-4 invalid DUPLICATE_CONFLICT",
			"invalid DUPLICATE_CONFLICT", "invalid DUPLICATE_CONFLICT",
			"B-5 rejected NOT_FOUND", "B-5 rejected NOT_FOUND")
		if n := w.api.Ready("B-1"); n != 1 {
			t.Errorf("B-1 has %d accounts", n)
		}
	})
}

// TestChanges updates and revokes under every fault.
func TestChanges(t *testing.T) {
	changing := func(fault sandbox.Fault) func(*http.Request, string, int) sandbox.Fault {
		return func(r *http.Request, _ string, nth int) sandbox.Fault {
			if (r.Method == http.MethodPut || r.Method == http.MethodDelete) && nth == 1 {
				return fault
			}
			return ""
		}
	}
	for _, fault := range []sandbox.Fault{"", sandbox.DropBefore, sandbox.DropAfter, sandbox.Late, sandbox.ErrorBefore, sandbox.ErrorAfter,
		sandbox.BadGatewayBefore, sandbox.BadGatewayAfter, sandbox.CutJSON, sandbox.WrongOrder, sandbox.Unauthorized, sandbox.TooMany} {
		t.Run(cmp.Or(string(fault), "none"), func(t *testing.T) {
			faked(t, sandbox.Config{Fault: changing(fault), Faults: sandbox.Faults{LateBy: 2 * time.Minute}}, func(t *testing.T, w *world) {
				w.opts.Workers = 1
				foreign := w.other("F-1", 1000)
				issued := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000", "A-3,3000")
				if _, err := w.run(t.Context(), issued); err != nil {
					t.Fatal(err)
				}
				changes := plan(t, "주문번호,금액,action,imp_uid", "A-1,1500,update,", "A-2,2000,update,", "A-3,,revoke,", "F-1,1200,update,", ",1300,update,"+string(foreign.ImpUID))
				got, err := w.run(t.Context(), changes)
				if err != nil {
					t.Error(err)
				}
				w.expect(got, "A-1 updated", "A-2 unchanged", "A-3 revoked", "F-1 updated", "F-1 updated")
				if w.api.Ready("A-3") != 0 {
					t.Error("A-3 is not revoked")
				}
				gets := w.api.Requests()["GET /payments/{imp_uid}"]
				got, err = w.run(t.Context(), plan(t, "주문번호,금액,action", "A-1,1500,update", "A-3,,revoke"))
				if err != nil {
					t.Error(err)
				}
				w.expect(got, "A-1 unchanged", "A-3 unchanged")
				if now := w.api.Requests()["GET /payments/{imp_uid}"]; now != gets {
					t.Errorf("%d look-ups for what the ledger knows", now-gets)
				}
				got, err = w.run(t.Context(), plan(t, "imp_uid,금액,action", string(foreign.ImpUID)+",1300,update"))
				if err != nil {
					t.Error(err)
				}
				w.expect(got, "F-1 unchanged")
				if now := w.api.Requests()["GET /payments/{imp_uid}"]; now != gets+1 {
					t.Errorf("%d look-ups for what the ledger does not know, want 1", now-gets)
				}
				// the order may be issued again after its account was revoked, and not before
				got, err = w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000", "A-3,3000"))
				if err != nil {
					t.Error(err)
				}
				w.expect(got, "A-1 conflict FIGURES_DIFFER", "A-3 issued")
			})
		})
	}
}

// TestInterrupted ends a run by its context, as a signal does, with rows under way, in doubt and not begun.
func TestInterrupted(t *testing.T) {
	config := sandbox.Config{Faults: sandbox.Faults{Latency: time.Second}, Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && strings.HasSuffix(id, "7") && nth == 1 {
			return sandbox.DropAfter
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		lines := []string{"주문번호,금액"}
		for i := range 200 {
			lines = append(lines, fmt.Sprintf("A-%d,1000", i))
		}
		p := plan(t, lines...)
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped by a signal")
		time.AfterFunc(20*time.Second, func() { cancel(stopped) })
		started := time.Now()
		got, err := w.run(ctx, p)
		if !errors.Is(err, stopped) {
			t.Errorf("ended by %v", err)
		}
		if took := time.Since(started); took > 20*time.Second+w.opts.SettleTime+time.Second {
			t.Errorf("took %v after the signal", took-20*time.Second)
		}
		count := make(map[string]int)
		for _, result := range got {
			_, status, _ := strings.Cut(result, " ")
			count[status]++
		}
		if count["issued"] == 0 || count["not_sent STOPPED"] == 0 || len(got) != 200 ||
			count["issued"]+count["not_sent STOPPED"]+count["unknown IN_DOUBT"] != 200 {
			t.Errorf("%v", count)
		}
		got, err = w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for i, result := range got {
			if result != fmt.Sprintf("A-%d issued", i) {
				t.Errorf("after going on: %s", result)
			}
			if n := w.api.Ready(fmt.Sprintf("A-%d", i)); n != 1 {
				t.Errorf("A-%d has %d accounts", i, n)
			}
		}
	})
}

// TestReconcile settles what a run left in doubt because the API could not be asked.
func TestReconcile(t *testing.T) {
	down := true
	config := sandbox.Config{Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		switch {
		case r.URL.Path == "/vbanks" && id == "A-1":
			return sandbox.DropAfter
		case r.URL.Path == "/vbanks" && id == "A-2" && nth == 1:
			return sandbox.DropBefore
		case r.Method == http.MethodGet && down && strings.Contains(r.URL.RawQuery+r.URL.Path, "A-"):
			return sandbox.ErrorBefore
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		w.opts.RemoteCheck = false
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000")
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 unknown IN_DOUBT", "A-2 unknown IN_DOUBT")

		down = false
		book := w.book()
		var settled []string
		err = batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, func(s batch.Settled) {
			settled = append(settled, s.Order.MerchantUID+" "+s.Status)
		})
		if err != nil {
			t.Error(err)
		}
		slices.Sort(settled)
		w.expect(settled, "A-1 issued", "A-2 not_sent")
		// the results of the run tell it too
		last, err := book.LastRun(t.Context(), p.Digest())
		if err != nil {
			t.Fatal(err)
		}
		entries, err := book.Entries(t.Context(), last.ID, 0, 10)
		if err != nil || len(entries) != 2 || entries[0].Status != batch.Issued || entries[0].VbankNum == "" || entries[1].ErrorCode != batch.CodeNoAccount {
			t.Errorf("%+v, %v", entries, err)
		}
		book.Close()
		if posts := w.api.Requests()["POST /vbanks"]; posts != 2 {
			t.Errorf("reconcile sent %d issues", posts-2)
		}
		got, err = w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 already_issued", "A-2 issued")
	})
}

// TestUnclear leaves to a person what asking cannot settle.
func TestUnclear(t *testing.T) {
	config := sandbox.Config{Fault: once(sandbox.ErrorAfter)}
	faked(t, config, func(t *testing.T, w *world) {
		w.opts.RemoteCheck = false
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000")
		time.AfterFunc(time.Second, func() { w.other("A-1", 1000) }) // while the answer is waited for
		w.opts.DoubtWait = time.Minute
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 unknown OTHER_ACCOUNT", "A-2 issued")
		posts := w.api.Requests()["POST /vbanks"]
		got, err = w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 unknown OTHER_ACCOUNT", "A-2 already_issued")
		if now := w.api.Requests()["POST /vbanks"]; now != posts {
			t.Error("an order that is unclear was sent again")
		}
	})
}

// TestGivesUpSending looks up an order whose every issue fails: in the end it is rejected, and surely has no account.
func TestGivesUpSending(t *testing.T) {
	always := func(r *http.Request, _ string, _ int) sandbox.Fault {
		if r.URL.Path == "/vbanks" {
			return sandbox.ErrorBefore
		}
		return ""
	}
	faked(t, sandbox.Config{Fault: always}, func(t *testing.T, w *world) {
		got, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 rejected API_FAILED")
		if posts := w.api.Requests()["POST /vbanks"]; posts != 3 {
			t.Errorf("%d issues sent, want 3", posts)
		}
	})
}

// TestDoubtOutlastsTheRow has a run die after an issue was sent, and the row be invalid when it is continued: the account
// is found all the same, and a row that surely got none is invalid then.
func TestDoubtOutlastsTheRow(t *testing.T) {
	config := sandbox.Config{Fault: func(r *http.Request, id string, _ int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && id == "A-2" {
			return sandbox.DropBefore
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		w.opts.Workers = 1
		time.Sleep(time.Until(time.Date(2026, 11, 5, 9, 0, 0, 0, time.UTC))) // dates before 2020 are not believed
		due := time.Now().Add(10 * time.Minute).Format(time.RFC3339)
		lines := []string{"주문번호,금액,입금기한", "A-1,1000," + due, "A-2,2000," + due, "A-3,3000," + due}
		book := w.book()
		end := &life{left: 4, after: true} // Begin, two groups of intents, and an account whose outcome is lost
		w.runOn(t.Context(), plan(t, lines...), mortalAPI{w.client, end}, mortalLedger{book, end})
		book.Close()
		if n := len(w.api.Payments()); n != 1 {
			t.Fatalf("%d accounts were made", n)
		}
		time.Sleep(30 * time.Minute)
		late := plan(t, lines...)
		got, err := w.run(t.Context(), late)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 issued", "A-2 invalid DUE_PAST", "A-3 invalid DUE_PAST")
		got, err = w.run(t.Context(), late) // a new run: the account is told again
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 already_issued", "A-2 invalid DUE_PAST", "A-3 invalid DUE_PAST")
	})
}
