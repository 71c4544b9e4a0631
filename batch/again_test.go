package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// What a run makes of orders that an earlier run, or another file, has had to do with.

// interrupted runs a plan whose results are never written, so that the next run of it goes on.
func (w *world) interrupted(api batch.API, p *batch.Plan) []string {
	w.t.Helper()
	book := w.book()
	defer book.Close()
	found, err := batch.Run(w.t.Context(), p, api, book, w.opts)
	if err != nil {
		w.t.Error(err)
	}
	return w.results(w.t.Context(), p, book, found.ID)
}

// leftOut is a plan without the rows whose column 상태 says something else than 미납.
func leftOut(t *testing.T, lines ...string) *batch.Plan {
	t.Helper()
	return planOf(t, []input.Where{{Header: "상태", Value: "미납"}}, append([]string{"주문번호,금액,상태"}, lines...)...)
}

// TestMissingAgain has an API say that it made an account, and never show it: also the run that goes on with an interrupted
// one does not make another.
func TestMissingAgain(t *testing.T) {
	for name, fails := range map[string]bool{"not shown": false, "not to be asked": true} {
		t.Run(name, func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				sent := 0
				api := bent{API: w.client}
				api.issue = func(r client.IssueRequest) (client.Payment, error) {
					sent++
					return client.Payment{ImpUID: "imp_gone", MerchantUID: client.Text(r.MerchantUID), Status: client.StatusReady, PayMethod: "vbank", Amount: 1000, VbankNum: "01"}, nil
				}
				p := plan(t, "주문번호,금액", "A-1,1000")
				w.expect(w.interrupted(api, p), "A-1 unknown ACCOUNT_MISSING")
				if fails {
					api.findAll = func(string) ([]client.Payment, error) { return nil, &client.Error{Kind: client.Refused} }
				}
				w.expect(w.interrupted(api, p), "A-1 unknown ACCOUNT_MISSING")
				for range 2 {
					got, err := w.with(api, p)
					if err != nil {
						t.Error(err)
					}
					w.expect(got, "A-1 unknown ACCOUNT_MISSING")
				}
				if sent != 1 {
					t.Errorf("it was sent %d times", sent)
				}
			})
		})
	}
}

// TestLeftOutInDoubt: a row that --where leaves out is not sent because its order was in doubt.
func TestLeftOutInDoubt(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.frozenHost(leftOut(t, "A-1,1000,미납"), 0)
		got, err := w.run(t.Context(), leftOut(t, "A-1,1000,취소", "A-2,2000,미납"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 skipped FILTERED", "A-2 issued")
		if n := w.api.Ready("A-1"); n != 0 {
			t.Errorf("%d accounts", n)
		}
	})
}

// TestTwoRowsInDoubt: of two rows that wait for one doubt the one that is only told of does not undo what the other has made
// of the order, though it is looked at later.
func TestTwoRowsInDoubt(t *testing.T) {
	for i := range 4 {
		later, fails := i%2, i/2 == 1 // and cannot be looked at then
		faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
			lines := []string{"A-1,1000,취소", "A-1,1000,미납"}
			for i := range 500 {
				lines = append(lines, fmt.Sprintf("B-%d,1000,미납", i))
			}
			p, book := leftOut(t, lines...), w.book()
			defer book.Close()
			run, err := book.Begin(t.Context(), ledger.Run{Digest: p.Digest(), Settings: p.Settings(), File: p.File.Place, Started: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			order := ledger.Order{MerchantUID: "A-1"}
			intent := ledger.Entry{State: ledger.Intended, IntentAt: time.Now()}
			intent.Run, intent.Line, intent.Order, intent.Action, intent.Status, intent.Amount, intent.Attempts = run.ID, 3, order, "issue", "unknown", 1000, 1
			if err := book.Intend(t.Context(), intent); err != nil { // and the process dies
				t.Fatal(err)
			}
			var mu sync.Mutex
			looks := 0
			api := bent{API: w.client, findAll: func(uid string) ([]client.Payment, error) {
				mu.Lock()
				defer mu.Unlock()
				if uid == "A-1" {
					if looks++; looks == 1+later || fails && (looks == 3 || looks == 4) {
						return nil, errLost
					}
				}
				return w.client.FindAll(context.Background(), "", uid, "")
			}}
			api.issue = func(r client.IssueRequest) (client.Payment, error) {
				time.Sleep(time.Second)
				if r.MerchantUID == "A-1" && !fails {
					time.Sleep(20 * time.Second)
					if known, err := book.Orders(context.Background(), []ledger.Order{order}); err != nil || known[order].State != ledger.Intended {
						t.Errorf("while it is sent: %+v, %v", known, err)
					}
				}
				return w.client.Issue(context.Background(), r)
			}
			if _, err := w.runOn(t.Context(), p, api, book); err != nil {
				t.Error(err)
			}
			known, err := book.Orders(t.Context(), []ledger.Order{order})
			if n := w.api.Ready("A-1"); err != nil || looks < 3 || n != 1 && !(fails && n == 0) || n == 1 && known[order].State != ledger.Issued {
				t.Errorf("%d accounts, %d looks; %+v, %v", n, looks, known[order], err)
			}
		})
	}
}

// TestIssuedMeanwhile: what a run did not get to, and another file has issued since, is not "surely not done".
func TestIssuedMeanwhile(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,2000")
		w.opts.Workers = 1
		ctx, stop := context.WithCancelCause(t.Context())
		api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
			stop(errors.New("stopped"))
			return w.client.Issue(context.Background(), r)
		}}
		book := w.book()
		got, _ := w.runOn(ctx, p, api, book)
		w.expect(got, "A-1 issued", "A-2 not_sent STOPPED")
		book.Close()
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-2,2000")); err != nil {
			t.Error(err)
		}
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 issued", "A-2 already_issued")
	})
}

// TestListDenies: an account that a list denies is not given out on the ledger's word when it cannot be looked at closely, and
// is once list and look-up agree.
func TestListDenies(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		issue, update := plan(t, "주문번호,금액", "A-1,1000"), plan(t, "주문번호,금액,처리", "A-1,1000,변경")
		if _, err := w.run(t.Context(), issue); err != nil {
			t.Fatal(err)
		}
		denied := &client.Error{Kind: client.Refused}
		none := func([]string) (map[string][]client.Payment, error) { return map[string][]client.Payment{}, nil }
		api := bent{API: w.client, many: none, findAll: func(string) ([]client.Payment, error) { return nil, denied }, payment: func(string) (client.Payment, error) { return client.Payment{}, denied }}
		for p, agreed := range map[*batch.Plan]string{issue: "A-1 already_issued", update: "A-1 unchanged"} {
			book := w.book()
			found, err := batch.Run(t.Context(), p, api, book, w.opts)
			if err != nil {
				t.Fatal(err)
			}
			w.expect(w.results(t.Context(), p, book, found.ID), "A-1 not_sent LOOK_UPS_DISAGREE")
			batch.Results(t.Context(), p, book, found.ID, func(_ *input.Row, r *batch.Result) error {
				if r.VbankNum != "" {
					t.Error("a customer would be told to pay into it")
				}
				return nil
			})
			book.Close()
			w.expect(w.interrupted(w.client, p), agreed)
		}
	})
}

// TestListDeniesAtTheEnd: likewise, when the run ends before it comes to the row.
func TestListDeniesAtTheEnd(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,1000")
		if _, err := w.run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancelCause(t.Context())
		api := bent{API: w.client, many: func([]string) (map[string][]client.Payment, error) {
			stop(errors.New("stopped"))
			return nil, nil
		}}
		book := w.book()
		defer book.Close()
		got, _ := w.runOn(ctx, p, api, book)
		w.expect(got, "A-1 not_sent LOOK_UPS_DISAGREE", "A-2 not_sent LOOK_UPS_DISAGREE")
	})
}

// TestAuditAfterDeath: an order that a process has sent that died, and that had no account then, is looked at closely by the
// audit of the run that sent it again, however that learnt of it.
func TestAuditAfterDeath(t *testing.T) {
	for name, later := range map[string]time.Duration{"waited for": 0, "at the start": 20 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				p := plan(t, "주문번호,금액", "A-1,1000")
				api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
					w.other("A-1", 1000) // that of the dead process, very late
					return w.client.Issue(t.Context(), r)
				}}
				api.many = func(uids []string) (map[string][]client.Payment, error) { // tells of the newest account only
					all, err := w.client.Payments(t.Context(), "", uids)
					for uid := range all {
						newest, _ := w.client.Find(t.Context(), "", uid, "")
						all[uid] = []client.Payment{newest}
					}
					return all, err
				}
				w.frozenHost(p, 0)
				time.Sleep(later)
				got, err := w.with(api, p)
				if err != nil {
					t.Error(err)
				}
				w.expect(got, "A-1 conflict SEVERAL_ACCOUNTS")
			})
		})
	}
}

// TestUnchangedElsewhere: that an account is as an update asks is not told from memory.
func TestUnchangedElsewhere(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		time.Sleep(time.Until(time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC))) // due dates of the year 2000 are refused
		p := plan(t, "주문번호,금액", "A-1,1000")
		if _, err := w.run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		impUID, due := string(w.api.Payments()[0].ImpUID), time.Now().AddDate(0, 0, 20).Format(time.DateOnly)
		for i, row := range []string{"A-1,1000,변경,", "A-1,,변경," + due} {
			update := plan(t, "주문번호,금액,처리,입금기한", row)
			if i == 1 {
				if _, err := w.run(t.Context(), update); err != nil {
					t.Fatal(err)
				}
			}
			change := client.UpdateRequest{Amount: 2500, VbankDue: time.Now().AddDate(0, 0, 30).Unix()}
			if _, err := w.client.Update(t.Context(), impUID, change); err != nil { // in the console
				t.Fatal(err)
			}
			for _, want := range []string{"updated", "unchanged"} {
				got, err := w.run(t.Context(), update)
				if err != nil {
					t.Error(err)
				}
				w.expect(got, "A-1 "+want)
			}
		}
		if now := w.api.Payments()[0]; now.Amount != 2500 || time.Unix(int64(now.VbankDate), 0).Format(time.DateOnly) != due {
			t.Errorf("%+v", now)
		}
	})
}

// TestAuditOfOthers: the audit of a run that was interrupted leaves alone what other files have done with its orders since.
func TestAuditOfOthers(t *testing.T) {
	t.Run("issued again", func(t *testing.T) {
		faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
			p := plan(t, "주문번호,금액", "A-1,1000", "A-2,1000")
			w.interrupted(w.client, p)
			for _, lines := range [][]string{{"주문번호,금액,처리", "A-1,,revoke"}, {"주문번호,금액,비고", "A-1,1000,다시"}} {
				if _, err := w.run(t.Context(), plan(t, lines...)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := w.run(t.Context(), p)
			if err = errors.Join(err, w.opts.Audit.Err); err != nil {
				t.Error(err)
			}
			w.expect(got, "A-1 revoked", "A-2 issued")
		})
	})
	t.Run("a change in doubt", func(t *testing.T) {
		faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
			p := plan(t, "주문번호,금액", "A-1,1000", "A-2,1000")
			w.interrupted(w.client, p)
			api := bent{API: w.client, update: func(string) (client.Payment, error) { return client.Payment{}, errLost }}
			w.with(api, plan(t, "주문번호,금액,처리", "A-1,1500,변경"))
			inDoubt := func() int {
				book := w.book()
				defer book.Close()
				doubts, err := book.InDoubt(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return len(doubts)
			}
			before := inDoubt()
			if _, err := w.run(t.Context(), p); err != nil {
				t.Error(err)
			}
			if now := inDoubt(); before != 1 || now != 1 {
				t.Errorf("%d changes in doubt, and %d after the audit", before, now)
			}
		})
	})
}

// lostLease is a ledger whose lease is lost.
type lostLease struct {
	*ledger.Ledger
	told []string
}

func (l *lostLease) RecordBatched(_ context.Context, entries ...ledger.Entry) error {
	for _, e := range entries {
		if e.State == ledger.Issued {
			l.told = append(l.told, e.ImpUID)
		}
	}
	return ledger.ErrLeaseLost
}

// TestLateAnswers: every account that the API tells of after the lease was lost is handed to the ledger, which keeps it for the
// next holder.
func TestLateAnswers(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
			payment, err := w.client.Issue(context.Background(), r)
			time.Sleep(time.Second) // all are under way
			if r.MerchantUID != "A-0" {
				time.Sleep(time.Second)
			}
			return payment, err
		}}
		book := &lostLease{Ledger: w.book()}
		defer book.Close()
		if _, err := batch.Run(t.Context(), manyOrders(t, 4), api, book, w.opts); !errors.Is(err, ledger.ErrLeaseLost) {
			t.Error(err)
		}
		if made := len(w.api.Payments()); made != 4 || len(book.told) != made {
			t.Errorf("%d accounts were made, and the ledger was told of %v", made, book.told)
		}
	})
}

// TestNoStranger: an order of a results file is not called unknown before it was looked for closely.
func TestNoStranger(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		api := bent{API: w.client, many: func([]string) (map[string][]client.Payment, error) { return nil, nil }}
		lines := []string{"주문번호,금액,line,status,error_code,imp_uid"}
		for i := range 2 {
			lines = append(lines, fmt.Sprintf("A-%d,1000,%d,issued,,%s", i, i+2, w.other(fmt.Sprint("A-", i), 1000).ImpUID))
		}
		got, err := w.with(api, plan(t, append(lines, "A-9,1000,4,issued,,imp_9")...))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-0 already_issued", "A-1 already_issued", "A-9 conflict ORDER_UNKNOWN")

		// Nor is one that the ledger knows to be revoked.
		if got, err := w.run(t.Context(), plan(t, "주문번호,금액,처리", "A-1,,revoke")); err != nil {
			t.Error(got, err)
		}
		w.opts.RemoteCheck = false
		if got, err = w.run(t.Context(), plan(t, lines[0], lines[2])); err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 issued")
	})
}

// TestChangeInDoubtTold: of an order whose change is in doubt no row of an issue says that surely nothing was done.
func TestChangeInDoubtTold(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000")); err != nil {
			t.Fatal(err)
		}
		api := bent{API: w.client, update: func(string) (client.Payment, error) { return client.Payment{}, errLost }}
		w.with(api, plan(t, "주문번호,금액,처리", "A-1,1500,변경"))
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { stop(errors.New("stopped")) })
		got, err := w.run(ctx, plan(t, "주문번호,금액", "A-1,1000", "A-3,2000"))
		if err == nil {
			t.Error("it was not stopped")
		}
		w.expect(got, "A-1 unknown IN_DOUBT", "A-3 issued")
	})
}

// twins is a file in which a row of A-1, the last of a block, is followed by one of the same order that --where leaves out, and
// that by so many others.
func twins(t *testing.T, behind int) *batch.Plan {
	var lines []string
	for i := range 1023 {
		lines = append(lines, fmt.Sprintf("B-%d,1000,미납", i))
	}
	lines = append(lines, "A-1,1000,미납", "A-1,1000,취소")
	for i := range behind {
		lines = append(lines, fmt.Sprintf("C-%d,1000,미납", i))
	}
	return leftOut(t, lines...)
}

// TestTwinInFlight: a row that --where leaves out names the order of a row whose issue is under way in this very run, held up by a
// pause of a minute that the API asked for. That the API shows no account meanwhile frees nothing.
func TestTwinInFlight(t *testing.T) {
	for name, lost := range map[string]bool{"answered": false, "answer lost": true} {
		t.Run(name, func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				p := twins(t, 300)
				sent := 0
				api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
					if r.MerchantUID != "A-1" {
						if r.MerchantUID[0] == 'C' {
							time.Sleep(time.Second)
						}
						return w.client.Issue(context.Background(), r)
					}
					if sent++; sent == 1 {
						time.Sleep(70 * time.Second) // Retry-After
					}
					payment, err := w.client.Issue(context.Background(), r)
					if lost && sent == 1 {
						return client.Payment{}, errLost
					}
					return payment, err
				}}
				w.opts.Audit = nil
				got, err := w.with(api, p)
				if err != nil {
					t.Error(err)
				}
				w.expect(got[1023:1024], "A-1 issued")
				if n := w.api.Ready("A-1"); n != 1 || sent != 1 {
					t.Errorf("A-1 was sent %d times and has %d accounts", sent, n)
				}
				if strings.Contains(fmt.Sprint(got), "unknown") {
					t.Error("something is unknown")
				}
			})
		})
	}
}

// TestQuietIsPast: a lease that was taken over an hour ago (so that Quiet is in the past) is held for one run after the other, as
// over a folder. What the run before has left in doubt a moment ago is waited for all the same.
func TestQuietIsPast(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		book := &sharedLedger{Ledger: w.book(), quiet: time.Now().Add(-time.Hour)}
		defer book.Close()
		made := make(chan struct{})
		api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
			go func() { // its answer is lost, and the bank takes its time
				defer close(made)
				time.Sleep(27 * time.Second)
				if _, err := w.client.Issue(context.Background(), r); err != nil {
					t.Error(err)
				}
			}()
			return client.Payment{}, errLost
		}}
		down := func(string) ([]client.Payment, error) { return nil, errLost }
		api.findAll, api.many = down, func([]string) (map[string][]client.Payment, error) { return nil, errLost }
		w.opts.RemoteCheck, w.opts.Audit = false, nil
		got, err := w.runOn(t.Context(), plan(t, "주문번호,금액", "A-1,1000"), api, book)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 unknown IN_DOUBT")
		got, err = w.runOn(t.Context(), plan(t, "주문번호,금액", "A-1,1000", "A-2,1000"), w.client, book) // the next file
		if err != nil {
			t.Error(err)
		}
		<-made
		w.expect(got, "A-1 issued", "A-2 issued")
		if n := w.api.Ready("A-1"); n != 1 {
			t.Errorf("A-1 has %d accounts", n)
		}
	})
}

// TestRefusedInASlice: a process that goes on with a run, of which another has had rows accepted, does not say that every row was
// refused, and stop over that.
func TestRefusedInASlice(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
			return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.Refused, Status: 200, Code: -1, Message: "은행 코드 오류"}
		}}
		lines := []string{"주문번호,금액"}
		for i := range 30 {
			lines = append(lines, fmt.Sprintf("A-%d,1000", i))
		}
		w.opts.Counts = new(batch.Counts)
		w.opts.Counts.Sent.Store(5000) // as report/queue sets it: 5,000 rows were accepted by the slices before
		_, err := w.with(api, plan(t, lines...))
		if stop, ok := errors.AsType[*batch.StopError](err); ok && stop.Code == batch.CodeAllRefused {
			t.Errorf("%v; 5,000 were accepted before", err)
		}
	})
}

// TestConflictFromMemory: that a row disagrees with its order's account is not told of an account that the API has revoked since,
// where the ledger is an old copy and the order has another one.
func TestConflictFromMemory(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		first, now := plan(t, "주문번호,금액", "A-1,3000"), plan(t, "주문번호,금액", "A-1,2000")
		w.run(t.Context(), first)
		backup := w.save()
		w.run(t.Context(), plan(t, "주문번호,금액,처리", "A-1,,revoke"))
		got, _ := w.run(t.Context(), now)
		w.expect(got, "A-1 issued")
		w.restore(backup)
		got, err := w.run(t.Context(), now)
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(got[0], batch.CodeSeveralAccounts) && !strings.Contains(got[0], batch.AlreadyIssued) {
			t.Errorf("%s: the order's account is for 2000 won, and the one for 3000 won was revoked", got)
		}
	})
}

// TestChangeByAccountWaits: of two rows that change one account, the first by its order and the second by its imp_uid alone, the second
// waits until the first one's request, whose answer was lost, cannot come after it; also where it asks for what the account has.
func TestChangeByAccountWaits(t *testing.T) {
	for _, second := range []int64{2000, 1000} {
		t.Run(fmt.Sprint(second), func(t *testing.T) { testChangeByAccountWaits(t, second) })
	}
}

func testChangeByAccountWaits(t *testing.T, second int64) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000")); err != nil {
			t.Fatal(err)
		}
		own := string(w.api.Payments()[0].ImpUID)
		book := w.book()
		defer book.Close()
		sent, late := 0, make(chan struct{})
		api := bent{API: w.client}
		api.update = func(impUID string) (client.Payment, error) {
			if sent++; sent == 1 {
				go func() {
					defer close(late)
					time.Sleep(20 * time.Second)
					w.client.Update(context.Background(), impUID, client.UpdateRequest{Amount: 1500})
				}()
				return client.Payment{}, errLost
			}
			if sent <= 3 { // the tries of the first row
				return client.Payment{}, errLost
			}
			return w.client.Update(context.Background(), impUID, client.UpdateRequest{Amount: second})
		}
		w.opts.Workers, w.opts.Audit = 1, nil
		got, err := w.runOn(t.Context(), plan(t, "주문번호,imp_uid,금액,처리", "A-1,,1500,변경", fmt.Sprintf(",%s,%d,변경", own, second)), api, book)
		if err != nil {
			t.Error(err)
		}
		<-late
		if p := w.api.Payments()[0]; p.Amount != second {
			t.Errorf("the API has %d won, the last row asked for %d: %v", p.Amount, second, got)
		}
	})
}

// TestTwinAskedBefore: of two rows of one order the one that is left out was answered that there is no account just before the other's
// issue arrived, and hears so when that outcome is not durable yet.
func TestTwinAskedBefore(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := twins(t, 300)
		sent := 0
		looking, answered := make(chan struct{}), make(chan struct{})
		var once sync.Once
		began := time.Now()
		api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
			if r.MerchantUID != "A-1" {
				if r.MerchantUID[0] == 'C' {
					time.Sleep(time.Second)
				}
				return w.client.Issue(context.Background(), r)
			}
			sent++
			<-looking
			time.Sleep(100 * time.Millisecond)
			payment, err := w.client.Issue(context.Background(), r)
			close(answered)
			return payment, err
		}}
		api.findAll = func(uid string) ([]client.Payment, error) {
			found, err := w.client.FindAll(context.Background(), "", uid, "")
			if uid == "A-1" && time.Since(began) > 20*time.Second {
				once.Do(func() { close(looking) })
				<-answered
				time.Sleep(time.Nanosecond) // the reply is there, and is being recorded
			}
			return found, err
		}
		w.opts.Audit = nil
		book := w.book()
		defer book.Close()
		got, err := w.runOn(t.Context(), p, api, book)
		if err != nil {
			t.Error(err)
		}
		w.expect(got[1023:1024], "A-1 issued")
		book.Close()
		w.opts.RemoteCheck = false
		got, err = w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000"))
		if n := w.api.Ready("A-1"); err != nil || n != 1 || sent != 1 {
			t.Errorf("%v, %v; A-1 was sent %d times and has %d accounts", got, err, sent, n)
		}
	})
}

// TestTwinAtTheEnd: a run that is stopped does not wait for a row that will not be sent any more.
func TestTwinAtTheEnd(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := twins(t, 400)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var stopped atomic.Int64 // UNIX nanoseconds
		var asked atomic.Int64
		api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
			if r.MerchantUID == "A-1" {
				return client.Payment{}, errLost
			}
			if r.MerchantUID[0] == 'C' {
				time.Sleep(2 * time.Second)
			}
			return w.client.Issue(context.Background(), r)
		}}
		api.findAll = func(uid string) ([]client.Payment, error) {
			found, err := w.client.FindAll(context.Background(), "", uid, "")
			if uid == "A-1" {
				if asked.Add(1) == 1 {
					go func() {
						time.Sleep(time.Millisecond)
						stopped.Store(time.Now().UnixNano())
						cancel(errors.New("stop"))
					}()
				}
			}
			return found, err
		}
		w.opts.Audit, w.opts.SettleTime = nil, 10*time.Minute
		book := w.book()
		defer book.Close()
		_, err := w.runOn(ctx, p, api, book)
		if took := time.Since(time.Unix(0, stopped.Load())); err == nil || took > time.Minute {
			t.Errorf("%v; it ended %s after it was stopped", err, took)
		}
	})
}

// between is a ledger that has something happen after the n-th look at an order, before whoever has looked goes on.
type between struct {
	*ledger.Ledger
	order  string
	after  func()
	armed  atomic.Bool
	wrote  chan struct{} // closed once an entry of the order was recorded since
	once   sync.Once
	filter func(ledger.Entry) bool
}

func (l *between) Orders(ctx context.Context, orders []ledger.Order) (map[ledger.Order]ledger.Entry, error) {
	found, err := l.Ledger.Orders(ctx, orders)
	if len(orders) == 1 && orders[0].MerchantUID == l.order && l.armed.CompareAndSwap(true, false) {
		l.after()
		<-l.wrote
	}
	return found, err
}

func (l *between) wroteIt(entries []ledger.Entry, err error) error {
	for _, e := range entries {
		if e.MerchantUID == l.order && l.filter(e) {
			l.once.Do(func() { close(l.wrote) })
		}
	}
	return err
}

func (l *between) Record(ctx context.Context, entries ...ledger.Entry) error {
	return l.wroteIt(entries, l.Ledger.Record(ctx, entries...))
}

func (l *between) RecordBatched(ctx context.Context, entries ...ledger.Entry) error {
	return l.wroteIt(entries, l.Ledger.RecordBatched(ctx, entries...))
}

// TestTwinOverwrites: a row that is left out names the order of a row that is being sent, and cannot be looked up. What it makes
// of that does not overwrite what the sender is told at that moment.
func TestTwinOverwrites(t *testing.T) {
	for _, said := range []bool{false, true} { // true: a reply that cannot be used
		t.Run(fmt.Sprint(said), func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				p := twins(t, 300)
				reply := make(chan struct{})
				var once sync.Once
				answer := func() { once.Do(func() { close(reply) }) }
				time.AfterFunc(2*time.Minute, answer) // if nobody looks meanwhile
				sent := 0
				api := bent{API: w.client, issue: func(r client.IssueRequest) (client.Payment, error) {
					if r.MerchantUID != "A-1" {
						if r.MerchantUID[0] == 'C' {
							time.Sleep(time.Second)
						}
						return w.client.Issue(context.Background(), r)
					}
					if sent++; sent > 1 {
						return w.client.Issue(context.Background(), r)
					}
					<-reply
					if said {
						return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.Mismatch, Acted: true, ImpUID: "imp_said"}
					}
					return w.client.Issue(context.Background(), r)
				}}
				book := &between{Ledger: w.book(), order: "A-1", after: answer, wrote: make(chan struct{}), filter: func(e ledger.Entry) bool {
					return e.State == ledger.Issued || e.ErrorCode == batch.CodeReplyDiffers
				}}
				defer book.Close()
				var looks atomic.Int64
				api.findAll = func(uid string) ([]client.Payment, error) {
					if uid == "A-1" {
						if n := looks.Add(1); n <= 3 {
							if n == 3 {
								book.armed.Store(true)
							}
							return nil, errLost
						}
					}
					return w.client.FindAll(context.Background(), "", uid, "")
				}
				w.opts.Audit, w.opts.RemoteCheck = nil, false
				got, err := w.runOn(t.Context(), p, api, book)
				if err != nil {
					t.Error(err)
				}
				want := "A-1 issued"
				if said {
					want = "A-1 unknown REPLY_DIFFERS"
				}
				w.expect(got[1023:1024], want)
				if sent != 1 {
					t.Errorf("A-1 was sent %d times", sent)
				}
			})
		})
	}
}

// TestRevokedTwin: two rows that are left out name an order in doubt; one finds its account, which a third row then revokes; the other
// must not issue.
func TestRevokedTwin(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.frozenHost(plan(t, "주문번호,금액", "A-1,1000"), 0)
		own := string(w.other("A-1", 1000).ImpUID)
		looks := 0
		var mu sync.Mutex
		api := bent{API: w.client, findAll: func(uid string) ([]client.Payment, error) {
			if uid == "A-1" {
				mu.Lock()
				defer mu.Unlock()
				if looks++; looks == 1 {
					return nil, errLost // one of the two is looked at later
				}
			}
			return w.client.FindAll(context.Background(), "", uid, "")
		}}
		api.issue = func(r client.IssueRequest) (client.Payment, error) {
			time.Sleep(time.Second)
			return w.client.Issue(context.Background(), r)
		}
		w.opts.Audit = nil
		lines := []string{"주문번호,금액,상태,처리,imp_uid", "A-1,1000,취소,issue,", "A-1,1000,취소,issue,"}
		for i := range 40 { // until the account is found
			lines = append(lines, fmt.Sprintf("B-%d,1000,미납,issue,", i))
		}
		file := planOf(t, []input.Where{{Header: "상태", Value: "미납"}}, append(lines, ",,미납,revoke,"+own)...)
		got, err := w.with(api, file)
		if err != nil {
			t.Error(err)
		}
		if n := w.api.Ready("A-1"); n != 0 || !strings.HasSuffix(got[42], "revoked") {
			t.Errorf("A-1 has %d accounts although it is left out: %v %v", n, got[:2], got[42:])
		}
	})
}

// TestAdoptedThenRevoked: a file's row found the account that an interrupted run of another file had made, and its run is interrupted
// too. Another file revokes the account. The first one's results do not give it out.
func TestAdoptedThenRevoked(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.frozenHost(plan(t, "주문번호,금액,비고", "A-1,1000,첫"), 0)
		w.other("A-1", 1000)
		p := plan(t, "주문번호,금액", "A-1,1000")
		w.expect(w.interrupted(w.client, p), "A-1 issued")
		if got, err := w.run(t.Context(), plan(t, "주문번호,금액,처리", "A-1,,revoke")); err != nil || got[0] != "A-1 revoked" {
			t.Fatal(got, err)
		}
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A-1 revoked")
	})
}

// TestReissuedElsewhere: as TestAdoptedThenRevoked, and a third file issues the order anew: the first one's results do not give out the
// account that was revoked.
func TestReissuedElsewhere(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.frozenHost(plan(t, "주문번호,금액,비고", "A-1,1000,첫"), 0)
		dead := string(w.other("A-1", 1000).ImpUID)
		p := plan(t, "주문번호,금액", "A-1,1000")
		w.expect(w.interrupted(w.client, p), "A-1 issued")
		if got, err := w.run(t.Context(), plan(t, "주문번호,금액,처리", "A-1,,revoke")); err != nil || got[0] != "A-1 revoked" {
			t.Fatal(got, err)
		}
		if got, err := w.run(t.Context(), plan(t, "주문번호,금액,비고", "A-1,1000,다시")); err != nil || got[0] != "A-1 issued" {
			t.Fatal(got, err)
		}
		book := w.book()
		defer book.Close()
		run, err := batch.Run(t.Context(), p, w.client, book, w.opts)
		if err != nil {
			t.Fatal(err)
		}
		batch.Results(t.Context(), p, book, run.ID, func(_ *input.Row, r *batch.Result) error {
			if !batch.NotDone(r.Status) && r.Status != batch.Revoked && r.ImpUID == dead {
				t.Errorf("%s %s %s %s: it was revoked", r.MerchantUID, r.Status, r.ImpUID, r.VbankNum)
			}
			return nil
		})
	})
}

// hiding is an API that shows no account.
func hiding(c *client.Client) bent {
	return bent{API: c, findAll: func(string) ([]client.Payment, error) { return nil, nil },
		many:    func([]string) (map[string][]client.Payment, error) { return map[string][]client.Payment{}, nil },
		payment: func(string) (client.Payment, error) { return client.Payment{}, &client.Error{Kind: client.NotFound} }}
}

// TestAdoptedThenSettledAsNone: a file's row found the account that another run had made; it is missing since, and a person says that the
// order has none. The results do not give it out.
func TestAdoptedThenSettledAsNone(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.frozenHost(plan(t, "주문번호,금액,비고", "A-1,1000,첫"), 0)
		w.other("A-1", 1000)
		p := plan(t, "주문번호,금액", "A-1,1000")
		w.expect(w.interrupted(w.client, p), "A-1 issued")
		api := hiding(w.client)
		if got, err := w.with(api, plan(t, "주문번호,금액,비고", "A-1,1000,다시")); err != nil || got[0] != "A-1 unknown ACCOUNT_MISSING" {
			t.Fatal(got, err)
		}
		book := w.book()
		defer book.Close()
		if _, err := batch.Settle(t.Context(), api, book, w.opts.DoubtWait, batch.Verdict{Order: ledger.Order{MerchantUID: "A-1"}, By: "x", Why: "y", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		w.expect(w.results(t.Context(), p, book, 2), "A-1 not_sent NO_ACCOUNT")
	})
}

// TestRecheckKeepsRevocation: while a row has its order checked again, another row revokes the account.
func TestRecheckKeepsRevocation(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000")); err != nil {
			t.Fatal(err)
		}
		own := string(w.api.Payments()[0].ImpUID)
		if got, err := w.with(hiding(w.client), plan(t, "주문번호,금액,비고", "A-1,1000,b")); err != nil || got[0] != "A-1 unknown ACCOUNT_MISSING" {
			t.Fatal(got, err)
		}
		revoked := make(chan struct{})
		api := bent{API: w.client}
		api.findAll = func(uid string) ([]client.Payment, error) {
			found, err := w.client.FindAll(context.Background(), "", uid, "")
			if uid == "A-1" {
				select {
				case <-revoked:
					time.Sleep(time.Second)
				case <-time.After(10 * time.Second):
				}
			}
			return found, err
		}
		api.revoke = func(impUID string) (client.Payment, error) {
			defer close(revoked)
			return w.client.Revoke(context.Background(), impUID, client.RevokeRequest{})
		}
		w.opts.Audit = nil
		book := w.book()
		defer book.Close()
		if _, err := w.runOn(t.Context(), plan(t, "주문번호,imp_uid,금액,처리", "A-1,,1000,issue", fmt.Sprintf(",%s,,revoke", own)), api, book); err != nil {
			t.Error(err)
		}
		known, err := book.Orders(t.Context(), []ledger.Order{{MerchantUID: "A-1"}})
		if a := known[ledger.Order{MerchantUID: "A-1"}]; err != nil || a.State != ledger.Revoked {
			t.Errorf("the account was revoked, and the ledger says %s %s %s, %v", a.State, a.Status, a.ErrorCode, err)
		}
	})
}

// TestAnsweredChangeIsNotWaitedFor: two rows change one account, and both are answered at once.
func TestAnsweredChangeIsNotWaitedFor(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000")); err != nil {
			t.Fatal(err)
		}
		own := string(w.api.Payments()[0].ImpUID)
		began := time.Now()
		w.opts.Audit = nil
		got, err := w.run(t.Context(), plan(t, "주문번호,imp_uid,금액,처리", fmt.Sprintf(",%s,1500,변경", own), "A-1,,2000,변경"))
		if took := time.Since(began); err != nil || took > 5*time.Second {
			t.Errorf("%v %v: it took %s", got, err, took)
		}
	})
}
