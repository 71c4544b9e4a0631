package batch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// life counts the calls of a run on its ledger and on the API, and ends with a given one: from then on nothing has an
// effect and every call fails, as for a process that was killed.
type life struct {
	mu      sync.Mutex
	left    int  // calls until death; negative for ever
	after   bool // the last call has its effect, and nobody hears of it
	revives bool // only the one call fails, as on a disk that was full for a moment
}

var errDead = errors.New("dead")

// take reports whether a call may be made, and whether its answer may be told.
func (l *life) take() (act, tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.left < 0:
		return true, true
	case l.left > 1:
		l.left--
		return true, true
	case l.left == 1:
		l.left = 0
		if l.revives {
			l.left = -1
		}
		return l.after, false
	}
	return false, false
}

func (l *life) write(do func() error) error {
	act, tell := l.take()
	if act {
		if err := do(); tell {
			return err
		}
	}
	return errDead
}

// mortalLedger has every write count.
type mortalLedger struct {
	batch.Ledger
	*life
}

func (m mortalLedger) Begin(ctx context.Context, run ledger.Run) (found ledger.Run, err error) {
	err = m.write(func() error {
		found, err = m.Ledger.Begin(ctx, run)
		return err
	})
	if err != nil {
		return ledger.Run{}, err
	}
	return found, nil
}

func (m mortalLedger) Intend(ctx context.Context, entries ...ledger.Entry) error {
	return m.write(func() error { return m.Ledger.Intend(ctx, entries...) })
}

func (m mortalLedger) RecordOutcome(ctx context.Context, outcomes ...ledger.Outcome) error {
	return m.write(func() error { return m.Ledger.RecordOutcome(ctx, outcomes...) })
}

func (m mortalLedger) Record(ctx context.Context, entries ...ledger.Entry) error {
	return m.write(func() error { return m.Ledger.Record(ctx, entries...) })
}

func (m mortalLedger) RecordBatched(ctx context.Context, entries ...ledger.Entry) error {
	return m.write(func() error { return m.Ledger.RecordBatched(ctx, entries...) })
}

// mortalAPI has every request that changes something count. What died with its process is in doubt, but nobody asks.
type mortalAPI struct {
	batch.API
	*life
}

func (m mortalAPI) change(do func() (client.Payment, error)) (p client.Payment, err error) {
	lost := m.write(func() error {
		p, err = do()
		return nil
	})
	if lost != nil {
		return client.Payment{}, lost
	}
	return p, err
}

func (m mortalAPI) Issue(ctx context.Context, request client.IssueRequest) (client.Payment, error) {
	return m.change(func() (client.Payment, error) { return m.API.Issue(ctx, request) })
}

func (m mortalAPI) Update(ctx context.Context, impUID string, request client.UpdateRequest) (client.Payment, error) {
	return m.change(func() (client.Payment, error) { return m.API.Update(ctx, impUID, request) })
}

func (m mortalAPI) Revoke(ctx context.Context, impUID string, request client.RevokeRequest) (client.Payment, error) {
	return m.change(func() (client.Payment, error) { return m.API.Revoke(ctx, impUID, request) })
}

// TestLedgerFails fails each single write of a run in turn, with and without its effect, and kills the run at each, with 1
// and 8 workers. The next run makes it whole: one account an order, and the results of an undisturbed run.
func TestLedgerFails(t *testing.T) {
	faults := map[string]sandbox.Fault{"B-2": sandbox.DropAfter, "B-3": sandbox.DropBefore, "B-4": sandbox.Refuse, "B-5": sandbox.CutJSON}
	config := sandbox.Config{Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && (nth == 1 || faults[id] == sandbox.Refuse) {
			return faults[id]
		}
		return ""
	}}
	want := []string{"B-1 issued", "B-2 issued", "B-3 issued", "B-4 rejected PG_REFUSED", "B-5 issued", "A-1 updated", "A-2 revoked",
		"A-3 unchanged", "B-6 issued", "B-7 invalid AMOUNT_NEGATIVE", "B-1 skipped REPEATED", "F-1 already_issued"}
	for _, workers := range []int{1, 8} {
		for how := range 4 {
			after, revives := how&1 != 0, how&2 != 0
			t.Run(fmt.Sprintf("%d workers, after %v, revives %v", workers, after, revives), func(t *testing.T) {
				t.Parallel()
				for at, done := 1, false; !done; at++ {
					faked(t, config, func(t *testing.T, w *world) {
						w.opts.Workers = workers
						if _, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000", "A-2,2000", "A-3,3000")); err != nil {
							t.Fatal(err)
						}
						w.other("F-1", 900)
						p := plan(t, "주문번호,금액,action", "B-1,100,", "B-2,200,", "B-3,300,", "B-4,400,", "B-5,500,", "A-1,1500,update", "A-2,,revoke",
							"A-3,3000,update", "B-6,600,", "B-7,-1,", "B-1,100,", "F-1,900,")
						book := w.book()
						defer book.Close()
						end := &life{left: at, after: after, revives: revives}
						got, err := w.runOn(t.Context(), p, w.client, mortalLedger{book, end})
						if done = err == nil; !done {
							got, err = w.runOn(t.Context(), p, w.client, book)
							if err != nil {
								t.Fatalf("write %d: %v", at, err)
							}
						}
						if !slices.Equal(got, want) {
							t.Errorf("write %d:\n  %s\nwant\n  %s", at, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
						}
						for order, n := range map[string]int{"B-1": 1, "B-2": 1, "B-3": 1, "B-4": 0, "B-5": 1, "B-6": 1, "B-7": 0, "A-1": 1, "A-2": 0, "A-3": 1, "F-1": 1} {
							if ready := w.api.Ready(order); ready != n {
								t.Errorf("write %d: %s has %d accounts, want %d", at, order, ready, n)
							}
						}
					})
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// order is one order of a scenario, and what the plain model says must come of it.
type order struct {
	uid    string
	amount int
	faults []sandbox.Fault // of its first, second, … issue
	other  int             // won of an account that another program has made; 0 for none
}

func (o order) want() (status string, accounts int) {
	switch {
	case o.other == o.amount:
		return "already_issued", 1
	case o.other != 0:
		return "conflict FIGURES_DIFFER", 1
	}
	for _, fault := range o.faults {
		if fault == sandbox.Refuse {
			return "rejected PG_REFUSED", 0
		}
		if fault == "" || fault == sandbox.DropAfter || fault == sandbox.ErrorAfter || fault == sandbox.CutJSON || fault == sandbox.CommitLate ||
			fault == sandbox.WrongOrder || fault == sandbox.Late || fault == sandbox.BadGatewayAfter {
			break // there is an account now
		}
	}
	return "issued", 1
}

// TestModel draws orders, faults and the moments at which runs die, runs until one run ends by itself, and compares
// accounts and results with the model.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		fault := rapid.SampledFrom([]sandbox.Fault{"", "", "", sandbox.DropBefore, sandbox.DropAfter, sandbox.Late, sandbox.CommitLate, sandbox.ErrorBefore,
			sandbox.ErrorAfter, sandbox.BadGatewayBefore, sandbox.BadGatewayAfter, sandbox.CutJSON, sandbox.WrongOrder, sandbox.Refuse, busy, sandbox.TooMany})
		var orders []order
		for i := range rapid.IntRange(1, 12).Draw(rt, "orders") {
			o := order{uid: fmt.Sprintf("A-%d", i), amount: rapid.IntRange(1, 3).Draw(rt, "amount") * 1000}
			o.faults = rapid.SliceOfN(fault, 0, 2).Draw(rt, "faults")
			if rapid.IntRange(0, 9).Draw(rt, "other") == 0 {
				o.other = rapid.IntRange(1, 3).Draw(rt, "others") * 1000
			}
			orders = append(orders, o)
		}
		deaths := rapid.SliceOfN(rapid.IntRange(1, 30), 0, 4).Draw(rt, "deaths")
		after := rapid.Bool().Draw(rt, "after")
		workers := rapid.IntRange(1, 4).Draw(rt, "workers")
		found := ""
		synctest.Test(t, func(t *testing.T) { found = simulate(t, orders, deaths, after, workers) })
		if found != "" {
			rt.Fatal(found)
		}
	})
}

func simulate(t *testing.T, orders []order, deaths []int, after bool, workers int) (found string) {
	faults := make(map[string][]sandbox.Fault)
	for _, o := range orders {
		faults[o.uid] = o.faults
	}
	armed := false
	api, err := sandbox.New(sandbox.Config{Faults: sandbox.Faults{LateBy: 2 * time.Minute, CommitBy: 20 * time.Second},
		Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
			for _, o := range orders {
				if o.uid == id && o.other != 0 {
					nth-- // the other program's
				}
			}
			list := faults[id]
			if refused := slices.Index(list, sandbox.Refuse); refused >= 0 && nth > refused {
				nth = refused + 1 // a no stays a no
			}
			if armed && r.URL.Path == "/vbanks" && nth >= 1 && nth <= len(list) {
				return list[nth-1]
			}
			return ""
		}})
	if err != nil {
		return err.Error()
	}
	defer api.Close()
	c, err := client.New(client.Config{Key: "k", Secret: "s", Workers: workers, Timeout: time.Minute, Through: api.Transport()})
	if err != nil {
		return err.Error()
	}
	w := &world{t: t, api: api, client: c, ledger: filepath.Join(t.TempDir(), "ledger.db"),
		opts: batch.Options{Workers: workers, DoubtWait: 30 * time.Second, SettleTime: time.Minute, RemoteCheck: true}}
	lines := []string{"주문번호,금액"}
	for _, o := range orders {
		lines = append(lines, fmt.Sprintf("%s,%d", o.uid, o.amount))
		if o.other != 0 {
			w.other(o.uid, int64(o.other))
		}
	}
	armed = true
	p := plan(t, lines...)
	var got []string
	for i := 0; ; i++ {
		end := &life{left: -1, after: after}
		if i < len(deaths) {
			end.left = deaths[i]
		}
		book := w.book()
		got, err = w.runOn(t.Context(), p, mortalAPI{c, end}, mortalLedger{book, end})
		book.Close()
		if err == nil && end.left < 0 || i >= len(deaths) {
			break
		}
		for _, o := range orders {
			if n := api.Ready(o.uid); n > 1 {
				return fmt.Sprintf("after death %d %s has %d accounts", i, o.uid, n)
			}
		}
	}
	if err != nil {
		return fmt.Sprintf("the last run ended with %v", err)
	}
	for i, o := range orders {
		status, accounts := o.want()
		if got[i] != o.uid+" "+status {
			found += fmt.Sprintf("%s, want %s\n", got[i], status)
		}
		if n := api.Ready(o.uid); n != accounts {
			found += fmt.Sprintf("%s has %d accounts, want %d\n", o.uid, n, accounts)
		}
	}
	return found
}
