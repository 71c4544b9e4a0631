package batch_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
	"vbankbatch/client/say"
)

// world is a sandbox, a ledger and a way between them, without sockets, so that it runs in faked time.
type world struct {
	t      *testing.T
	api    *sandbox.Sandbox
	client *client.Client
	ledger string
	opts   batch.Options
	saved  int

	lease  *ledger.Lease // with -database: of the book that was opened last
	died   bool          // its holder did not give it back
	cleans bool
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
			Workers: 4, DoubtWait: 30 * time.Second, SettleTime: time.Minute, RemoteCheck: true, Audit: new(batch.Audit)}})
	})
}

// book opens the ledger.
func (w *world) book() *ledger.Ledger {
	w.t.Helper()
	book, err := w.open()
	if err != nil {
		w.t.Fatal(err)
	}
	return book
}

// plan reads a file with the header and the lines.
func plan(t *testing.T, lines ...string) *batch.Plan {
	t.Helper()
	return planOf(t, nil, lines...)
}

// planOf is plan for the rows in which something holds.
func planOf(t *testing.T, where []input.Where, lines ...string) *batch.Plan {
	t.Helper()
	return planFile(t, "orders.csv", strings.Join(lines, "\n")+"\n", input.Options{Where: where})
}

// planFile reads a file with the name and the text.
func planFile(t *testing.T, name, text string, options input.Options) *batch.Plan {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := input.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	options.Now, options.Set = time.Now(), map[string]string{"vbank_due": "+7d", "vbank_holder": "한빛", "vbank_code": "국민"}
	p, err := batch.Preflight(context.Background(), file, options)
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
	results := w.results(ctx, p, book, found.ID)
	if finisher, ok := book.(*ledger.Ledger); ok && ended == nil {
		if err := finisher.Finish(ctx, found.ID, time.Now()); err != nil {
			w.t.Fatal(err)
		}
	}
	return results, ended
}

// reconciled settles what is in doubt, and returns the results of the plan's last run as they are told then.
func (w *world) reconciled(p *batch.Plan) []string {
	w.t.Helper()
	book := w.book()
	defer book.Close()
	if err := batch.Reconcile(w.t.Context(), w.client, book, w.opts.DoubtWait, false, func(batch.Settled) {}); err != nil {
		w.t.Error(err)
	}
	last, err := book.LastRun(w.t.Context(), p.Digest())
	if err != nil {
		w.t.Fatal(err)
	}
	return w.results(w.t.Context(), p, book, last.ID)
}

// results returns a run's results, one string a row: "order status code". What the ledger alone says of its rows is the same.
func (w *world) results(ctx context.Context, p *batch.Plan, book batch.Known, run int64) (results []string) {
	w.t.Helper()
	ctx = context.WithoutCancel(ctx)
	byLine := make(map[int64]string)
	tell := func(r *batch.Result) string {
		return strings.TrimSpace(fmt.Sprintf("%s %s %s", r.MerchantUID, r.Status, r.ErrorCode))
	}
	all := func(r *batch.Result) string {
		if r.ErrorCode == batch.CodeKeyLooksAlike { // which the file alone tells
			r.ErrorCode, r.ErrorMessage = "", ""
		}
		return fmt.Sprint(tell(r), r.ErrorMessage, r.Amount, r.Account)
	}
	err := batch.Results(ctx, p, book, run, func(_ *input.Row, r *batch.Result) error {
		results = append(results, tell(r))
		byLine[r.Line] = all(r)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if alone, ok := book.(*ledger.Ledger); ok {
		var last int64
		err := batch.Recorded(ctx, alone, run, func(_ *input.Row, r *batch.Result) error {
			if got := all(r); got != byLine[r.Line] || r.Line <= last {
				w.t.Errorf("line %d: the ledger alone says %s, beside the file %s", r.Line, got, byLine[r.Line])
			}
			last = r.Line
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return results
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
		posts  int           // for two orders, at least
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
		{sandbox.Unauthorized, "issued", 4, time.Second},
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
				most := test.posts
				if test.fault == sandbox.Unauthorized {
					most += 2 // each order's 401 may cost the other its token
				}
				if posts := w.api.Requests()["POST /vbanks"]; posts < test.posts || posts > most {
					t.Errorf("%d issues were sent, want %d to %d", posts, test.posts, most)
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
		if _, err := w.client.Revoke(context.Background(), string(w.other("revoked", 1000).ImpUID), client.RevokeRequest{}); err != nil {
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

		w.restore("")
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

// TestOrderUnknown runs a results file whose order numbers Excel has changed: of orders that nobody knows, and that were
// issued all the same, there would be second accounts.
func TestOrderUnknown(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		other := w.other("A-3", 1000) // another program's
		const header = "주문번호,금액,line,status,error_code,imp_uid"
		file := []string{header, "12345,1000,2,issued,,imp_1", "A-2,1000,3,rejected,PG_REFUSED,", "A-3,1000,4,issued,," + string(other.ImpUID)}
		for range 2 {
			got, err := w.run(t.Context(), plan(t, file...))
			if err != nil {
				t.Error(err)
			}
			if got[1] == "A-2 already_issued" {
				got[1] = "A-2 issued"
			}
			w.expect(got, "12345 conflict ORDER_UNKNOWN", "A-2 issued", "A-3 already_issued")
		}
		for _, file := range [][]string{ // with an imp_uid of the file's own, and without the results'
			{"주문번호,금액,은행,IMP UID,line,status,error_code,imp_uid", "12345,1000,국민,,2,issued,,imp_1"},
			{"주문번호,금액,line,status,error_code", "12345,1000,2,issued,"},
			{"주문번호,금액,line,error_code,vbank_num", "12345,1000,2,,0012345"},
		} {
			got, err := w.run(t.Context(), plan(t, file...))
			if err != nil {
				t.Error(err)
			}
			w.expect(got, "12345 conflict ORDER_UNKNOWN")
		}
		if n := w.api.Ready("12345"); n != 0 {
			t.Errorf("12345 has %d accounts", n)
		}
	})
}

// TestLooksAlike has order numbers that people take for one: they are two, and it is said.
func TestLooksAlike(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액,tier", "ORD-1,1000,", "ord-1,1000,", "ＯＲＤ－１,2000,", "ORD-2,1000,", "ORD-1,1000,001", "가-1,1000,", "\u1100\u1161-1,1000,", "A-1,0,", "a-1,1000,", "B-1,-5,", "b-1,1000,")
		for _, want := range []string{"issued", "already_issued"} {
			got, err := w.run(t.Context(), p)
			if err != nil {
				t.Error(err)
			}
			w.expect(got, "ORD-1 "+want+" KEY_LOOKS_ALIKE", "ord-1 "+want+" KEY_LOOKS_ALIKE", "ＯＲＤ－１ "+want+" KEY_LOOKS_ALIKE", "ORD-2 "+want, "ORD-1 "+want,
				"가-1 "+want, "가-1 skipped REPEATED", "A-1 skipped ZERO_BALANCE", "a-1 "+want, "B-1 invalid AMOUNT_NEGATIVE", "b-1 "+want+" KEY_LOOKS_ALIKE")
		}
		if want := (map[int]int{2: 3, 3: 2, 4: 2, 11: 12, 12: 11}); !maps.Equal(p.Alike, want) {
			t.Error(p.Alike)
		}
		if p.Warned != 4 || p.Codes[batch.CodeKeyLooksAlike] != 5 {
			t.Error(p.Warned, p.Codes)
		}
		if err := (batch.Guards{Strict: true}).Check(p); err == nil || !strings.Contains(err.Error(), "4 rows have warnings") {
			t.Error(err)
		}
	})
}

// TestItemLines has two items of one order at one price: 금액 and 결제금액 may be the item's, 총 결제금액 is the order's.
func TestItemLines(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		lines := []string{"A-1,셔츠,10000", "A-1,바지,10000", "A-2,모자,5000", "A-2,모자,5000"}
		got, err := w.run(t.Context(), plan(t, append([]string{"주문번호,상품명,금액"}, lines...)...))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 invalid DUPLICATE_CONFLICT", "A-1 invalid DUPLICATE_CONFLICT", "A-2 issued", "A-2 skipped REPEATED")
		got, err = w.run(t.Context(), plan(t, append([]string{"주문번호,상품명,총 결제금액"}, lines...)...))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 issued", "A-1 skipped REPEATED", "A-2 already_issued", "A-2 skipped REPEATED")
	})
}

// TestBankDiffers has the API issue at another bank than was asked for: the account stands, and the results say so.
func TestBankDiffers(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		book := w.book()
		defer book.Close()
		api := bent{API: w.client, issue: func(request client.IssueRequest) (client.Payment, error) {
			if request.MerchantUID == "A-1" {
				request.VbankCode = "088"
			}
			return w.client.Issue(context.Background(), request)
		}}
		got, err := w.runOn(t.Context(), plan(t, "주문번호,금액,은행", "A-1,1000,국민", "A-2,1000,신한"), api, book)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 issued BANK_DIFFERS", "A-2 issued")
	})
}

// updates sees what is sent to change accounts.
type updates struct {
	batch.API
	sent *[]client.UpdateRequest
}

func (u updates) Update(ctx context.Context, impUID string, request client.UpdateRequest) (client.Payment, error) {
	*u.sent = append(*u.sent, request)
	return u.API.Update(ctx, impUID, request)
}

// TestUpdateSendsDue changes the amount alone: settle is sent the due date that the account has, also that of an account
// which the ledger does not know; another PG is not.
func TestUpdateSendsDue(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.opts.Workers = 1
		book := w.book()
		defer book.Close()
		if _, err := w.runOn(t.Context(), plan(t, "주문번호,금액,pg", "A-1,1000,settle", "A-2,1000,nice"), w.client, book); err != nil {
			t.Fatal(err)
		}
		other := w.other("A-3", 1000)
		var sent []client.UpdateRequest
		got, err := w.runOn(t.Context(), plan(t, "주문번호,금액,action", "A-1,2000,update", "A-2,2000,update", "A-3,2000,update"), updates{w.client, &sent}, book)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 updated", "A-2 updated", "A-3 updated")
		due := w.api.Payments()[0].VbankDate
		want := []client.UpdateRequest{{Amount: 2000, VbankDue: due}, {Amount: 2000}, {Amount: 2000, VbankDue: int64(other.VbankDate)}}
		if !slices.Equal(sent, want) {
			t.Errorf("sent %v, want %v", sent, want)
		}
	})
}

// TestTiers has one order number for the merchant and for two sub-merchants: three orders, also when replies are lost,
// and each changed by a row of its own tier.
func TestTiers(t *testing.T) {
	faked(t, sandbox.Config{Fault: once(sandbox.DropAfter)}, func(t *testing.T, w *world) {
		file := []string{"주문번호,금액,tier", "A-1,1000,", "A-1,2000,001", "A-1,3000,002", "A-1,3000,002"}
		for _, want := range []string{"issued", "already_issued"} {
			got, err := w.run(t.Context(), plan(t, file...))
			if err != nil {
				t.Error(err)
			}
			w.expect(got, "A-1 "+want, "A-1 "+want, "A-1 "+want, "A-1 skipped REPEATED")
		}
		got, err := w.run(t.Context(), plan(t, "주문번호,금액,tier,action", "A-1,1500,,update", "A-1,,001,revoke", "A-1,,003,revoke"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 updated", "A-1 revoked", "A-1 rejected IMP_UID_MISSING")
		if got, err = w.run(t.Context(), plan(t, "주문번호,금액,tier", "A-1,3000,\"002 \"")); err != nil { // spaces count for nothing
			t.Error(err)
		}
		w.expect(got, "A-1 already_issued")
		amounts := make(map[string]string)
		for _, a := range w.api.Payments() {
			amounts[a.Tier] += fmt.Sprint(a.Amount, a.Status)
		}
		if fmt.Sprint(amounts) != "map[:1500ready 001:2000failed 002:3000ready]" {
			t.Error(amounts)
		}
	})
}

// TestChanges updates and revokes under every fault.
func TestChanges(t *testing.T) {
	t.Parallel()
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

// TestCountsSettled tells the rows that a run sends apart from those that need no request: what an interrupted run has done,
// what has its account already, and what cannot be done.
func TestCountsSettled(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		book := w.book()
		defer book.Close()
		p := plan(t, "주문번호,금액", "A,1000", "B,1000", "C,")
		for _, run := range []struct {
			plan          *batch.Plan
			done, settled int64
		}{
			{p, 3, 1},
			{p, 3, 3}, // nobody finished it
			{plan(t, "주문번호,금액", "A,1000", "B,1000", "D,1000"), 3, 2},
		} {
			var counts batch.Counts
			w.opts.Counts = &counts
			if _, err := batch.Run(t.Context(), run.plan, w.client, book, w.opts); err != nil {
				t.Fatal(err)
			}
			if done, settled := counts.Done.Load(), counts.Settled.Load(); done != run.done || settled != run.settled {
				t.Errorf("%d done, %d of them settled, want %d and %d", done, settled, run.done, run.settled)
			}
		}
	})
}

// TestStoppedInKorean stops a run in the middle: whatever a row waited for, its sentence can be told in Korean.
func TestStoppedInKorean(t *testing.T) {
	config := sandbox.Config{Faults: sandbox.Faults{Latency: time.Second}, Fault: func(r *http.Request, id string, _ int) sandbox.Fault {
		if id == "A-0" || r.URL.Path == "/vbanks" && id == "A-1" {
			return sandbox.DropAfter
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		w.opts.RemoteCheck, w.opts.SettleTime = false, time.Second
		lines := []string{"주문번호,금액"}
		for i := range 200 {
			lines = append(lines, fmt.Sprintf("A-%d,1000", i))
		}
		p := plan(t, lines...)
		book := w.book()
		defer book.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		found, _ := batch.Run(ctx, p, w.client, book, w.opts)
		count := make(map[string]int)
		err := batch.Results(t.Context(), p, book, found.ID, func(_ *input.Row, r *batch.Result) error {
			count[r.ErrorCode]++
			korean := strings.ContainsFunc(r.ErrorMessage.In(say.Korean), func(c rune) bool { return unicode.Is(unicode.Hangul, c) })
			if r.ErrorCode != "" && !korean {
				t.Errorf("%s is told as %q", r.MerchantUID, r.ErrorMessage)
			}
			return nil
		})
		if err != nil || count[batch.CodeStopped] < 100 || count[batch.CodeInDoubt] == 0 {
			t.Errorf("%v, %v", count, err)
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
		err = batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, false, func(s batch.Settled) {
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

// bent is an API whose answers a test bends.
type bent struct {
	batch.API
	issue   func(client.IssueRequest) (client.Payment, error)
	update  func(impUID string) (client.Payment, error)
	revoke  func(impUID string) (client.Payment, error)
	payment func(impUID string) (client.Payment, error)
	many    func([]string) (map[string][]client.Payment, error)
	findAll func(string) ([]client.Payment, error)
	server  func() time.Time
}

func (b bent) Issue(ctx context.Context, request client.IssueRequest) (client.Payment, error) {
	if b.issue != nil {
		return b.issue(request)
	}
	return b.API.Issue(ctx, request)
}

func (b bent) Update(ctx context.Context, impUID string, request client.UpdateRequest) (client.Payment, error) {
	if b.update != nil {
		return b.update(impUID)
	}
	return b.API.Update(ctx, impUID, request)
}

func (b bent) Payment(ctx context.Context, tier, impUID string) (client.Payment, error) {
	if b.payment != nil {
		return b.payment(impUID)
	}
	return b.API.Payment(ctx, tier, impUID)
}

func (b bent) Revoke(ctx context.Context, impUID string, request client.RevokeRequest) (client.Payment, error) {
	if b.revoke != nil {
		return b.revoke(impUID)
	}
	return b.API.Revoke(ctx, impUID, request)
}

func (b bent) Payments(ctx context.Context, tier string, uids []string) (map[string][]client.Payment, error) {
	if b.many != nil {
		return b.many(uids)
	}
	return b.API.Payments(ctx, tier, uids)
}

func (b bent) FindAll(ctx context.Context, tier, uid, status string) ([]client.Payment, error) {
	if b.findAll != nil {
		return b.findAll(uid)
	}
	return b.API.FindAll(ctx, tier, uid, status)
}

func (b bent) ServerTime() time.Time {
	if b.server != nil {
		return b.server()
	}
	return b.API.ServerTime()
}

var errLost = &client.Error{Op: "POST /vbanks", Kind: client.NoReply}

func (w *world) with(api batch.API, p *batch.Plan) ([]string, error) {
	w.t.Helper()
	book := w.book()
	defer book.Close()
	return w.runOn(w.t.Context(), p, api, book)
}

// TestActedElsewhere has the API make the account under another spelling of the order: it is not found under ours, and
// must not be made again, now or later.
func TestActedElsewhere(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		api := bent{API: w.client}
		api.issue = func(request client.IssueRequest) (client.Payment, error) {
			request.MerchantUID = strings.ToLower(request.MerchantUID)
			payment, err := w.client.Issue(context.Background(), request)
			if err != nil {
				return payment, err
			}
			return client.Payment{}, &client.Error{Kind: client.Mismatch, Acted: true, ImpUID: string(payment.ImpUID)}
		}
		p := plan(t, "주문번호,금액", "A,1000")
		for i := range 4 {
			api.many, api.findAll = nil, nil
			if i == 0 || i == 2 { // and the look-ups fail, now and then
				down := &client.Error{Kind: client.ServerError}
				api.many = func([]string) (map[string][]client.Payment, error) { return nil, down }
				api.findAll = func(string) ([]client.Payment, error) { return nil, down }
				w.opts.RemoteCheck = false
			}
			got, err := w.with(api, p)
			if err != nil {
				t.Error(err)
			}
			w.expect(got, "A unknown REPLY_DIFFERS")
			time.Sleep(48 * time.Hour)
		}
		if n := w.api.Ready("a"); n != 1 {
			t.Errorf("%d accounts", n)
		}
	})
}

// TestLookUpsDisagree has one look-up find the order and the other not: neither is believed alone.
func TestLookUpsDisagree(t *testing.T) {
	config := sandbox.Config{Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && id == "A" && nth == 1 {
			return sandbox.DropAfter
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		api := bent{API: w.client, findAll: func(string) ([]client.Payment, error) { return nil, nil }}
		p := plan(t, "주문번호,금액", "A,1000")
		got, err := w.with(api, p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A unknown IN_DOUBT")
		w.other("B", 1000)
		got, err = w.with(api, plan(t, "주문번호,금액", "B,1000"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "B not_sent LOOK_UPS_DISAGREE")
		if a, b := w.api.Ready("A"), w.api.Ready("B"); a != 1 || b != 1 {
			t.Errorf("%d and %d accounts", a, b)
		}
		got, _ = w.run(t.Context(), p)
		w.expect(got, "A issued")
	})
}

// TestServerClockSet has the server's clock jump between an issue and its doubt: the wait is not cut short.
func TestServerClockSet(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		var ahead time.Duration
		api := bent{API: w.client, server: func() time.Time { return time.Now().Add(ahead) }}
		api.issue = func(request client.IssueRequest) (client.Payment, error) {
			if ahead == 0 {
				ahead = 48 * time.Hour
				time.AfterFunc(5*time.Second, func() { w.client.Issue(context.Background(), request) })
				return client.Payment{}, errLost
			}
			return w.client.Issue(context.Background(), request)
		}
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		if err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		w.expect(got, "A issued")
		if n := w.api.Ready("A"); n != 1 {
			t.Errorf("%d accounts", n)
		}
	})
}

// TestOddNeighbour has one order spoil the look-up of all: the others are asked for one by one.
func TestOddNeighbour(t *testing.T) {
	for _, kind := range []client.Kind{client.Refused, client.Mismatch} {
		faked(t, sandbox.Config{Fault: once(sandbox.DropAfter)}, func(t *testing.T, w *world) {
			api := bent{API: w.client, many: func([]string) (map[string][]client.Payment, error) { return nil, &client.Error{Kind: kind} }}
			got, err := w.with(api, plan(t, "주문번호,금액", "A,1000", "B,1000", "C,1000"))
			if err != nil {
				t.Error(err)
			}
			w.expect(got, "A issued", "B issued", "C issued")
			for _, order := range []string{"A", "B", "C"} {
				if n := w.api.Ready(order); n != 1 {
					t.Errorf("%s has %d accounts", order, n)
				}
			}
		})
	}
}

// TestCardIsNoAccount has an order whose payment by card was begun: it gets its account.
func TestCardIsNoAccount(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		card := client.Payment{ImpUID: "imp_card", MerchantUID: "A", PayMethod: "card", Status: "ready", Amount: 1000}
		bare := client.Payment{ImpUID: "imp_bare", MerchantUID: "B", PayMethod: "vbank", Status: "ready", Amount: 1000}
		api := bent{API: w.client, many: func([]string) (map[string][]client.Payment, error) {
			return map[string][]client.Payment{"A": {card}, "B": {bare}}, nil
		}, findAll: func(uid string) ([]client.Payment, error) {
			return map[string][]client.Payment{"A": {card}, "B": {bare}}[uid], nil
		}}
		got, err := w.with(api, plan(t, "주문번호,금액", "A,1000", "B,1000"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A issued", "B conflict OTHER_ACCOUNT")
	})
}

// TestStoppedBeforeItsTurn stops a run before it reaches rows whose orders an earlier run knows: the results say so.
func TestStoppedBeforeItsTurn(t *testing.T) {
	down := true
	config := sandbox.Config{Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && id == "A" {
			return sandbox.DropAfter
		}
		if r.Method == http.MethodGet && down && strings.Contains(r.URL.String(), "A") {
			return sandbox.ErrorBefore
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		w.opts.RemoteCheck = false
		p := plan(t, "주문번호,금액", "A,1000", "B,1000")
		got, _ := w.run(t.Context(), p)
		w.expect(got, "A unknown IN_DOUBT", "B issued")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got, err := w.run(ctx, p)
		if err == nil {
			t.Error("the run was not stopped")
		}
		w.expect(got, "A unknown IN_DOUBT", "B already_issued")
		got, _ = w.run(t.Context(), p) // in doubt still, now in a run of its own
		w.expect(got, "A unknown IN_DOUBT", "B already_issued")
		down = false
		w.expect(w.reconciled(p), "A already_issued", "B already_issued")
	})
}

// TestIssuedElsewhereAfterRevoking has another program issue an order whose account this one revoked.
func TestIssuedElsewhereAfterRevoking(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.run(t.Context(), plan(t, "주문번호,처리", "A,말소")); err != nil {
			t.Fatal(err)
		}
		other := w.other("A", 1000)
		p := plan(t, "주문번호,금액", "A,1000", "B,1000", "C,1000")
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A already_issued", "B issued", "C issued")
		// a row that says issue and names an account that is not the order's any more
		got, err = w.run(t.Context(), plan(t, "주문번호,금액,action,imp_uid", "A,1000,issue,imp_000000000001", "A2,1000,issue,"+string(other.ImpUID)))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A already_issued", "A2 issued")
	})
}

// TestRevokedMeanwhile continues a run whose account another run has revoked since: nobody is told to pay into it.
func TestRevokedMeanwhile(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A,1000")
		book := w.book()
		if _, err := batch.Run(t.Context(), p, w.client, book, w.opts); err != nil { // killed before its end was marked
			t.Fatal(err)
		}
		book.Close()
		if _, err := w.run(t.Context(), plan(t, "주문번호,처리", "A,말소")); err != nil {
			t.Fatal(err)
		}
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A revoked")
	})
}

// TestChangesInDoubt loses updates and revocations, and every look at what came of them: until that is known the ledger
// answers for none of their orders.
func TestChangesInDoubt(t *testing.T) {
	down := false
	config := sandbox.Config{Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		switch {
		case down && (r.Method == http.MethodPut || r.Method == http.MethodDelete):
			return sandbox.DropAfter
		case down && r.Method == http.MethodGet:
			return sandbox.ErrorBefore
		}
		return ""
	}}
	for _, how := range []string{"reconcile", "issue again", "change again"} {
		t.Run(how, func(t *testing.T) {
			faked(t, config, func(t *testing.T, w *world) {
				w.opts.RemoteCheck = false
				issues := plan(t, "주문번호,금액", "A,1000", "B,1000", "C,1000")
				if _, err := w.run(t.Context(), issues); err != nil {
					t.Fatal(err)
				}
				down = true
				w.opts.Workers = 3
				got, _ := w.run(t.Context(), plan(t, "주문번호,금액,action", "A,2000,update", "B,,revoke", "C,1000,update"))
				w.expect(got[:2], "A unknown IN_DOUBT", "B unknown IN_DOUBT")
				down = false
				switch how {
				case "reconcile":
					book := w.book()
					var settled []string
					err := batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, false, func(s batch.Settled) {
						settled = append(settled, s.Order.MerchantUID+" "+s.Status)
					})
					book.Close()
					if err != nil {
						t.Error(err)
					}
					w.expect(settled, "A updated", "B revoked")
				case "issue again":
					got, err := w.run(t.Context(), issues)
					if err != nil {
						t.Error(err)
					}
					if got[0] != "A conflict FIGURES_DIFFER" || !strings.HasPrefix(got[1], "B issued") && !strings.HasPrefix(got[1], "B conflict") {
						t.Error(got)
					}
				case "change again":
					got, err := w.run(t.Context(), plan(t, "주문번호,금액,action", "A,1000,update", "B,,revoke"))
					if err != nil {
						t.Error(err)
					}
					w.expect(got, "A updated", "B unchanged")
				}
			})
		})
	}
}

// TestLostThenRefused loses a revocation that is committed a moment later, and has the second one refused for it: the
// row is not rejected.
func TestLostThenRefused(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		issues := plan(t, "주문번호,금액", "A,1000")
		if _, err := w.run(t.Context(), issues); err != nil {
			t.Fatal(err)
		}
		tries := 0
		api := bent{API: w.client, revoke: func(impUID string) (client.Payment, error) {
			if tries++; tries == 1 {
				time.AfterFunc(time.Millisecond, func() { w.client.Revoke(context.Background(), impUID, client.RevokeRequest{}) })
				return client.Payment{}, errLost
			}
			time.Sleep(10 * time.Millisecond)
			return w.client.Revoke(context.Background(), impUID, client.RevokeRequest{})
		}}
		got, err := w.with(api, plan(t, "주문번호,처리", "A,말소"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A revoked")
		got, err = w.run(t.Context(), issues)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A issued")
	})
}

// TestLostThenNotToldOf loses an update that happened, and has the look-up refused: it is not known, and stays so until
// it is; then report tells what the run did.
func TestLostThenNotToldOf(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000", "B,1000")); err != nil {
			t.Fatal(err)
		}
		refused := func(string) (client.Payment, error) {
			return client.Payment{}, &client.Error{Kind: client.Refused, Code: -1, Status: 400}
		}
		api := bent{API: w.client, update: func(impUID string) (client.Payment, error) {
			w.client.Update(context.Background(), impUID, client.UpdateRequest{Amount: 1500})
			return client.Payment{}, errLost
		}, revoke: func(impUID string) (client.Payment, error) {
			w.client.Revoke(context.Background(), impUID, client.RevokeRequest{})
			return client.Payment{}, errLost
		}, payment: refused}
		changes := plan(t, "주문번호,금액,action", "A,1500,update", "B,,revoke")
		got, err := w.with(api, changes)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A unknown IN_DOUBT", "B unknown IN_DOUBT")

		w.expect(w.reconciled(changes), "A updated", "B revoked")
	})
}

// TestKilledBeforeItsUpdate has a process die before it sends an update, and the next one have it refused.
func TestKilledBeforeItsUpdate(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000")); err != nil {
			t.Fatal(err)
		}
		changes := plan(t, "주문번호,금액,action", "A,1500,update")
		got, err := w.with(bent{API: w.client, update: func(string) (client.Payment, error) { panic("killed") }}, changes)
		if err == nil {
			t.Error("nothing ended the run")
		}
		w.expect(got, "A unknown IN_DOUBT")
		no := func(string) (client.Payment, error) {
			return client.Payment{}, &client.Error{Kind: client.Refused, Code: 1, Message: "변경할 수 없습니다"}
		}
		got, err = w.with(bent{API: w.client, update: no}, changes)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A rejected PG_REFUSED")
	})
}

// TestManyInDoubt goes on where kills have left more rows in doubt than may be pending at once: nobody has lost an answer
// now, and no order gets two accounts.
func TestManyInDoubt(t *testing.T) {
	t.Parallel()
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		const rows = 2500
		lines := []string{"주문번호,금액"}
		for i := range rows {
			lines = append(lines, fmt.Sprintf("A-%d,1000", i))
		}
		orders := plan(t, lines...)
		book := w.book()
		run, err := book.Begin(t.Context(), ledger.Run{Digest: orders.Digest(), Settings: orders.Settings(), Started: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		intents := make([]ledger.Entry, rows)
		for i := range rows {
			if i%3 == 0 { // of these the account was made
				if _, err := w.client.Issue(t.Context(), client.IssueRequest{MerchantUID: fmt.Sprintf("A-%d", i), Amount: 1000, VbankCode: "004", VbankDue: time.Now().AddDate(0, 0, 7).Unix(), VbankHolder: "한빛"}); err != nil {
					t.Fatal(err)
				}
			}
			intents[i] = ledger.Entry{Outcome: ledger.Outcome{Run: run.ID, Line: int64(i + 2), Order: ledger.Order{MerchantUID: fmt.Sprintf("A-%d", i)}, Status: batch.Unknown, Action: "issue", Amount: 1000, Bank: "004", Attempts: 1}, State: ledger.Intended, IntentAt: w.client.ServerTime()}
		}
		if err := book.Intend(t.Context(), intents...); err != nil {
			t.Fatal(err)
		}
		book.Close()
		got, err := w.run(t.Context(), orders)
		if err != nil {
			t.Error(err)
		}
		if len(got) != rows || len(w.api.Payments()) != rows {
			t.Errorf("%d results, %d accounts", len(got), len(w.api.Payments()))
		}
		for _, result := range got {
			if !strings.HasSuffix(result, " issued") {
				t.Fatal(result)
			}
		}
	})
}

// TestReissued tells an earlier run's results again after its account was revoked and its order issued anew: they name the
// account that the order has now.
func TestReissued(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		first, again := plan(t, "주문번호,금액", "A-1,1000"), plan(t, "주문번호,금액,비고", "A-1,1000,다시")
		for _, p := range []*batch.Plan{first, plan(t, "주문번호,금액,action", "A-1,,revoke"), again} {
			if _, err := w.run(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		book := w.book()
		defer book.Close()
		accounts := make(map[*batch.Plan]batch.Result)
		for _, p := range []*batch.Plan{first, again} {
			run, err := book.LastRun(t.Context(), p.Digest())
			if err != nil {
				t.Fatal(err)
			}
			if err := batch.Results(t.Context(), p, book, run.ID, func(_ *input.Row, r *batch.Result) error { accounts[p] = *r; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		old, now := accounts[first], accounts[again]
		if old.Status != batch.Revoked || now.Status != batch.Issued || !strings.Contains(old.ErrorMessage.String(), now.ImpUID) || strings.Contains(old.ErrorMessage.String(), old.ImpUID) {
			t.Errorf("%+v\n%+v", old, now)
		}
	})
}
