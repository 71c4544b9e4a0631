package batch_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

var errRefused = &client.Error{Kind: client.Refused, Code: 1, Message: "변경할 수 없습니다"}

// TestChangeCommittedLate loses an update that is carried out ten seconds later, and has the second one refused: the row is
// not told as rejected while the first can still have its effect.
func TestChangeCommittedLate(t *testing.T) {
	for _, late := range []bool{true, false} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000", "B,1000")); err != nil {
					t.Fatal(err)
				}
				tries := 0
				api := bent{API: w.client, update: func(impUID string) (client.Payment, error) {
					if tries++; tries == 1 {
						if late {
							time.AfterFunc(10*time.Second, func() {
								w.client.Update(context.Background(), impUID, client.UpdateRequest{Amount: 1500})
							})
						}
						return client.Payment{}, errLost
					}
					return client.Payment{}, errRefused
				}}
				began := time.Now()
				got, err := w.with(api, plan(t, "주문번호,금액,처리", "A,1500,변경"))
				if err != nil {
					t.Error(err)
				}
				if late {
					w.expect(got, "A updated")
				} else {
					w.expect(got, "A rejected PG_REFUSED")
				}
				if took := time.Since(began); took < w.opts.DoubtWait {
					t.Errorf("decided after %v", took)
				}
			})
		})
	}
}

// TestShortReply: a reply to an update that leaves out the account takes nothing away of it.
func TestShortReply(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000")); err != nil {
			t.Fatal(err)
		}
		due := time.Now().AddDate(0, 0, 20).Unix()
		api := bent{API: w.client, update: func(impUID string) (client.Payment, error) {
			_, err := w.client.Update(t.Context(), impUID, client.UpdateRequest{Amount: 1500, VbankDue: due})
			return client.Payment{ImpUID: client.Text(impUID), Amount: 1500, Status: client.StatusReady, VbankDate: client.Unix(due)}, err
		}}
		got, err := w.with(api, plan(t, "주문번호,금액,처리", "A,1500,변경"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A updated")
		book := w.book()
		defer book.Close()
		order := ledger.Order{MerchantUID: "A"}
		known, err := book.Orders(t.Context(), []ledger.Order{order})
		if now := known[order]; err != nil || now.VbankNum != string(w.api.Payments()[0].VbankNum) || now.VbankDue != due || now.NowAmount != 1500 {
			t.Errorf("%+v, %v", now, err)
		}
	})
}

// TestRefusedAndChanged has updates and revocations refused that were carried out all the same. Their rows are done, and the
// next run knows how the account stands.
func TestRefusedAndChanged(t *testing.T) {
	for _, c := range []struct{ change, want, next string }{
		{"A,1500,변경", "A updated", "A unchanged"},
		{"A,1000,말소", "A revoked", "A rejected NOT_READY"},
	} {
		t.Run(c.want, func(t *testing.T) {
			lies := false
			lie := func(r *http.Request, _ string, _ int) sandbox.Fault {
				if lies && r.Method != http.MethodGet && strings.HasPrefix(r.URL.Path, "/vbanks/") {
					return sandbox.Lying(http.StatusForbidden)
				}
				return ""
			}
			faked(t, sandbox.Config{Fault: lie}, func(t *testing.T, w *world) {
				if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000")); err != nil {
					t.Fatal(err)
				}
				lies = true
				got, err := w.run(t.Context(), plan(t, "주문번호,금액,처리", c.change))
				if err != nil {
					t.Error(err)
				}
				w.expect(got, c.want)
				got, err = w.run(t.Context(), plan(t, "주문번호,금액,처리", "A,1500,변경"))
				if err != nil {
					t.Error(err)
				}
				w.expect(got, c.next)
			})
		})
	}
}

// TestChangeInDoubtIsWaitedFor has a process die with an update under way that is carried out later. Neither a run that
// meets its order, nor another change of it, nor reconcile believes at once that it was not.
func TestChangeInDoubtIsWaitedFor(t *testing.T) {
	for how, want := range map[string]string{"issue": "A conflict FIGURES_DIFFER", "update": "A updated", "reconcile": "A updated"} {
		t.Run(how, func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				w.opts.RemoteCheck, w.opts.Audit = false, nil
				issues := plan(t, "주문번호,금액", "A,1000")
				if _, err := w.run(t.Context(), issues); err != nil {
					t.Fatal(err)
				}
				time.Sleep(24 * time.Hour) // the issue itself is in doubt no more
				killed := bent{API: w.client, update: func(impUID string) (client.Payment, error) {
					time.AfterFunc(10*time.Second, func() {
						w.client.Update(context.Background(), impUID, client.UpdateRequest{Amount: 1500})
					})
					panic("killed")
				}}
				w.with(killed, plan(t, "주문번호,금액,처리", "A,1500,변경"))
				var got []string
				switch how {
				case "issue":
					got, _ = w.run(t.Context(), issues)
				case "update":
					got, _ = w.run(t.Context(), plan(t, "주문번호,금액,처리", "A,2000,변경"))
					time.Sleep(time.Minute)
					payments, err := w.client.FindAll(t.Context(), "", "A", "")
					if err != nil || payments[0].Amount != 2000 {
						t.Errorf("the earlier update came after the later one: %v, %v", payments, err)
					}
				case "reconcile":
					book := w.book()
					err := batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, false, func(s batch.Settled) {
						got = append(got, s.Order.MerchantUID+" "+s.Status)
						if s.Order.NowAmount != 1500 {
							t.Errorf("the ledger has %d won", s.Order.NowAmount)
						}
					})
					book.Close()
					if err != nil {
						t.Error(err)
					}
				}
				w.expect(got, want)
			})
		})
	}
}

// TestOneChangeAtATime changes one account by its order and by its imp_uid at once.
func TestOneChangeAtATime(t *testing.T) {
	config := sandbox.Config{Faults: sandbox.Faults{Latency: time.Second}}
	var under, most atomic.Int32
	faked(t, config, func(t *testing.T, w *world) {
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000")); err != nil {
			t.Fatal(err)
		}
		payments, err := w.client.FindAll(t.Context(), "", "A", "")
		if err != nil {
			t.Fatal(err)
		}
		api := bent{API: w.client, update: func(impUID string) (client.Payment, error) {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			return w.client.Update(context.Background(), impUID, client.UpdateRequest{Amount: 1500})
		}}
		got, err := w.with(api, plan(t, "주문번호,금액,처리,imp_uid", "A,1500,변경,", ",1500,변경,"+string(payments[0].ImpUID)))
		if err != nil {
			t.Error(err)
		}
		if most.Load() != 1 {
			t.Errorf("%d at once", most.Load())
		}
		if fmt.Sprint(got) != "[A updated A unchanged]" && fmt.Sprint(got) != "[A unchanged A updated]" {
			t.Error(got)
		}
	})
}

// TestChangeByOrderWaits is TestChangeByAccountWaits the other way round: the first row names the account by its imp_uid, the second by
// its order.
func TestChangeByOrderWaits(t *testing.T) {
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
			return w.client.Update(context.Background(), impUID, client.UpdateRequest{Amount: 2000})
		}
		w.opts.Workers, w.opts.Audit = 1, nil
		got, err := w.runOn(t.Context(), plan(t, "주문번호,imp_uid,금액,처리", fmt.Sprintf(",%s,1500,변경", own), "A-1,,2000,변경"), api, book)
		if err != nil {
			t.Error(err)
		}
		<-late
		if p := w.api.Payments()[0]; p.Amount != 2000 {
			t.Errorf("the API has %d won, the last row asked for 2000: %v", p.Amount, got)
		}
	})
}

// TestLateFirstTry: the first try of an update is lost, and carried out 20 s later; the second is answered. The update of another row, or
// of the next file, comes after both.
func TestLateFirstTry(t *testing.T) {
	for _, files := range []bool{false, true} {
		t.Run(fmt.Sprint(files), func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000")); err != nil {
					t.Fatal(err)
				}
				own := string(w.api.Payments()[0].ImpUID)
				sent, late := 0, make(chan struct{})
				api := bent{API: w.client}
				change := func(impUID string, won int64) (client.Payment, error) {
					return w.client.Update(context.Background(), impUID, client.UpdateRequest{Amount: won})
				}
				api.issue = func(r client.IssueRequest) (client.Payment, error) {
					time.Sleep(time.Second)
					return w.client.Issue(context.Background(), r)
				}
				api.update = func(impUID string) (client.Payment, error) {
					switch sent++; sent {
					case 1:
						go func() {
							defer close(late)
							time.Sleep(20 * time.Second)
							change(impUID, 1500)
						}()
						return client.Payment{}, errLost
					case 2:
						return change(impUID, 1500)
					}
					return change(impUID, 2000)
				}
				w.opts.Workers, w.opts.Audit = 1, nil
				plans := []*batch.Plan{plan(t, "주문번호,imp_uid,금액,처리", fmt.Sprintf(",%s,1500,변경", own), "C-1,,1000,issue", "C-2,,1000,issue", "A-1,,2000,변경")}
				if files {
					plans = []*batch.Plan{plan(t, "주문번호,금액,처리", "A-1,1500,변경"), plan(t, "주문번호,금액,처리", "A-1,2000,변경")}
				}
				for _, p := range plans {
					if _, err := w.with(api, p); err != nil {
						t.Error(err)
					}
					time.Sleep(2 * time.Second)
				}
				<-late
				for _, p := range w.api.Payments() {
					if string(p.ImpUID) == own && p.Amount != 2000 {
						t.Errorf("the API has %d won, the last row asked for 2000 (sent %d)", p.Amount, sent)
					}
				}
			})
		})
	}
}
