package batch_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/batch/ledger/ledgertest"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
	"vbankbatch/client/say"
)

// sharedLedger is a ledger that another host has written to.
type sharedLedger struct {
	*ledger.Ledger
	quiet    time.Time
	restored bool
	strays   []ledger.Entry
}

func (l *sharedLedger) Quiet() time.Time { return l.quiet }
func (l *sharedLedger) Restored() bool   { return l.restored }

func (l *sharedLedger) Strays(context.Context) ([]ledger.Entry, error) { return l.strays, nil }

func (l *sharedLedger) Settled(_ context.Context, stray ledger.Entry) error {
	l.strays = l.strays[1:]
	return nil
}

// frozenHost runs a plan on a host that stands still when its first request is to be sent, and has it sent long after, or, with 0,
// never.
func (w *world) frozenHost(p *batch.Plan, arrives time.Duration) (sent chan error) {
	w.t.Helper()
	book := w.book()
	_, err := batch.Run(w.t.Context(), p, w.client, mortalLedger{book, &life{left: 2, after: true}}, w.opts) // Begin, then the intents
	if err == nil {
		w.t.Fatal("the host did not die")
	}
	if err := book.Close(); err != nil {
		w.t.Fatal(err)
	}
	sent = make(chan error, 1)
	if arrives == 0 {
		return sent
	}
	go func() {
		time.Sleep(arrives)
		_, err := w.client.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000, VbankCode: "004",
			VbankDue: time.Now().Add(24 * time.Hour).Unix(), VbankHolder: "한빛"})
		sent <- err
	}()
	return sent
}

// TestQuiet: a host that had the merchant's lease before may have requests on their way for as long as a request can last, though
// its intents are old. Until then "not found" is not believed.
func TestQuiet(t *testing.T) {
	for name, change := range map[string]bool{"issue": false, "change": true} {
		t.Run(name, func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				p := plan(t, "주문번호,금액", "A-1,1000")
				sent := w.frozenHost(p, 20*time.Hour+80*time.Second)
				time.Sleep(20 * time.Hour) // the intent is old when another host takes over
				book := &sharedLedger{Ledger: w.book(), quiet: time.Now().Add(time.Minute)}
				defer book.Close()
				var err error
				if change {
					err = batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, false, func(batch.Settled) {})
				} else {
					_, err = batch.Run(t.Context(), p, w.client, book, w.opts)
				}
				if err = errors.Join(err, <-sent); err != nil {
					t.Fatal(err)
				}
				w.expect(w.results(t.Context(), p, book, 1), "A-1 issued")
				if n := len(w.api.Payments()); n != 1 {
					t.Errorf("%d accounts", n)
				}
			})
		})
	}
}

// TestLeaveDoubts: who cannot live with what a frozen host may still send has its orders left to a person, by each run.
func TestLeaveDoubts(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000", "A-2,1000")
		sent := w.frozenHost(plan(t, "주문번호,금액", "A-1,1000"), 100*time.Hour)
		w.opts.LeaveDoubts = true
		for range 2 {
			got, err := w.run(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			w.expect([]string{got[0]}, "A-1 unknown IN_DOUBT")
			time.Sleep(20 * time.Hour)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		got, err := w.run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 already_issued", "A-2 already_issued")
		if n := len(w.api.Payments()); n != 2 {
			t.Errorf("%d accounts", n)
		}
	})
}

// TestStrays: what a host was told when it had lost its lease is not forgotten.
func TestStrays(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "doubt,1000", "freed,1000", "hidden,1000", "known,1000", "second,1000", "revoked,1000")
		w.frozenHost(plan(t, "주문번호,금액", "doubt,1000"), 0)
		got, err := w.run(t.Context(), plan(t, "주문번호,금액", "known,1000", "second,1000", "revoked,1000"))
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "known issued", "second issued", "revoked issued")
		if _, err := w.run(t.Context(), plan(t, "주문번호,금액,처리", "revoked,,말소")); err != nil {
			t.Fatal(err)
		}
		stray := func(line int64, order string, impUID string) ledger.Entry {
			return ledger.Entry{Outcome: ledger.Outcome{Run: 1, Line: line, Order: ledger.Order{MerchantUID: order}, Status: batch.Issued, Action: "issue", Amount: 1000, Attempts: 1,
				Account: ledger.Account{ImpUID: impUID}}, State: ledger.Issued, IntentAt: time.Now()}
		}
		own := func(order string) string {
			for _, p := range w.api.Payments() {
				if p.MerchantUID == order && p.Status == client.StatusReady {
					return p.ImpUID
				}
			}
			return string(w.other(order, 1000).ImpUID)
		}
		book := &sharedLedger{Ledger: w.book()}
		defer book.Close()
		book.strays = []ledger.Entry{stray(2, "doubt", own("doubt")), stray(10, "freed", own("freed")), stray(11, "hidden", "imp_of_nobody"),
			stray(12, "known", own("known")), stray(13, "second", string(w.other("second", 1000).ImpUID)), stray(14, "revoked", "imp_again")}
		w.opts.RemoteCheck = false // what is not known is not asked for: the strays alone tell of it
		got, err = w.runOn(t.Context(), p, w.client, book)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "doubt issued", "freed issued", "hidden unknown REPLY_DIFFERS", "known already_issued",
			"second conflict SEVERAL_ACCOUNTS", "revoked unknown REPLY_DIFFERS")
		if len(book.strays) > 0 {
			t.Errorf("strays are left: %v", book.strays)
		}
		for order, want := range map[string]int{"doubt": 1, "freed": 1, "hidden": 0, "known": 1, "second": 2, "revoked": 1} {
			made := 0
			for _, p := range w.api.Payments() {
				if p.MerchantUID == order {
					made++
				}
			}
			if made != want {
				t.Errorf("%s: %d accounts were made", order, made)
			}
		}
	})
}

// saidLater is a ledger whose other host is told of an account while a look-up of its order is under way.
type saidLater struct {
	*sharedLedger
	looked func() bool // some order was looked up
	stray  ledger.Entry
}

func (l *saidLater) Strays(ctx context.Context) ([]ledger.Entry, error) {
	if l.looked() && l.stray.Run != 0 {
		l.strays, l.stray = append(l.strays, l.stray), ledger.Entry{}
	}
	return l.sharedLedger.Strays(ctx)
}

// TestReconcileSaid: reconcile hears what the sender of an order was told, before or at the last moment: the order is its account's
// where the API shows one, and is not freed where it shows none.
func TestReconcileSaid(t *testing.T) {
	for _, test := range []struct {
		shown, late bool
		want        string
	}{
		{true, false, "A-1 issued"}, {true, true, "A-1 issued"},
		{false, false, "A-1 unknown REPLY_DIFFERS"}, {false, true, "A-1 unknown REPLY_DIFFERS"},
	} {
		t.Run(fmt.Sprintf("shown %v, late %v", test.shown, test.late), func(t *testing.T) {
			asked := false
			faked(t, sandbox.Config{Fault: func(r *http.Request, _ string, _ int) sandbox.Fault {
				asked = asked || r.Method == http.MethodGet && r.URL.Path != "/payments"
				return ""
			}}, func(t *testing.T, w *world) {
				p := plan(t, "주문번호,금액", "A-1,1000")
				w.frozenHost(p, 0)
				if test.shown {
					w.other("A-1", 1000)
				}
				asked = false
				stray := ledger.Entry{Outcome: ledger.Outcome{Run: 1, Line: 2, Order: ledger.Order{MerchantUID: "A-1"}, Status: batch.Unknown, Action: "issue", Amount: 1000,
					ErrorCode: batch.CodeReplyDiffers, ErrorMessage: "said"}, State: ledger.Intended, IntentAt: time.Now()}
				book := &saidLater{&sharedLedger{Ledger: w.book()}, func() bool { return asked || !test.late }, stray}
				defer book.Close()
				told := 0
				err := batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, false, func(batch.Settled) { told++ })
				if err != nil || told != 1 {
					t.Errorf("%d orders were told of: %v", told, err)
				}
				w.expect(w.results(t.Context(), p, book, 1), test.want)
				known, err := book.Orders(t.Context(), []ledger.Order{{MerchantUID: "A-1"}})
				if e := known[ledger.Order{MerchantUID: "A-1"}]; err != nil || (e.State == ledger.Issued) != test.shown || (e.VbankNum != "") != test.shown || e.State == ledger.Vacant {
					t.Errorf("the order is %+v, %v", e, err)
				}
			})
		})
	}
}

// TestQuietJustPast: a host stands still right before a request whose intent is 20 hours old when another takes over. The other's
// second run begins a moment after Quiet: what was sent until then may still be being made.
func TestQuietJustPast(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000")
		sent := w.frozenHost(p, 20*time.Hour+75*time.Second) // written before Quiet, made 15 s behind it
		time.Sleep(20 * time.Hour)
		book := &sharedLedger{Ledger: w.book(), quiet: time.Now().Add(time.Minute)}
		defer book.Close()
		if _, err := w.runOn(t.Context(), plan(t, "주문번호,금액", "B-1,1000"), w.client, book); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(book.quiet.Add(time.Second)))
		got, err := w.runOn(t.Context(), p, w.client, book)
		if err = errors.Join(err, <-sent); err != nil {
			t.Error(err)
		}
		if n := w.api.Ready("A-1"); n != 1 {
			t.Errorf("A-1 has %d accounts; %v", n, got)
		}
	})
}

// TestRestoredWaits: a database that was restored may lack an order that another host is still sending, which counts as absent no sooner
// than one in doubt.
func TestRestoredWaits(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		book := &sharedLedger{Ledger: w.book(), quiet: time.Now().Add(time.Minute), restored: true}
		defer book.Close()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			time.Sleep(75 * time.Second) // written before Quiet, made 15 s behind it
			w.other("A-1", 1000)
		}()
		got, err := w.runOn(t.Context(), plan(t, "주문번호,금액", "A-1,1000"), w.client, book)
		<-sent
		if n := w.api.Ready("A-1"); n != 1 || err != nil {
			t.Errorf("A-1 has %d accounts: %v %v", n, got, err)
		}
	})
}

// toldLate is what a host was told of an order's account when it had lost its lease.
func toldLate(line int64, order, impUID string, said string) ledger.Entry {
	e := ledger.Entry{Outcome: ledger.Outcome{Run: 1, Line: line, Order: ledger.Order{MerchantUID: order}, Status: batch.Issued, Action: "issue", Amount: 1000, Attempts: 1,
		Account: ledger.Account{ImpUID: impUID}}, State: ledger.Issued, IntentAt: time.Now()}
	if said != "" {
		e.State, e.Status, e.ErrorCode, e.Account = ledger.Intended, batch.Unknown, batch.CodeReplyDiffers, ledger.Account{}
		e.ErrorMessage = say.Messagef("the API said that it had made %s, and it is not found under this order", said)
	}
	return e
}

// TestStrayOfRevoked: a stray that tells, by a reply that could not be used, of an account that was found and revoked since, does not put
// its order in doubt again.
func TestStrayOfRevoked(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000")
		w.frozenHost(p, 0)
		own := string(w.other("A-1", 1000).ImpUID)
		if _, err := w.run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got, err := w.run(t.Context(), plan(t, "주문번호,금액,처리", "A-1,,말소")); err != nil || got[0] != "A-1 revoked" {
			t.Fatal(got, err)
		}
		book := &sharedLedger{Ledger: w.book()}
		defer book.Close()
		book.strays = []ledger.Entry{toldLate(2, "A-1", "", own)}
		if err := batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, false, func(batch.Settled) {}); err != nil {
			t.Error(err)
		}
		w.expect(w.results(t.Context(), p, book, 1), "A-1 revoked")
	})
}

// TestStrayOfAnother: a stray tells of an account, and the API shows another one. Neither is forgotten.
func TestStrayOfAnother(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000")
		w.frozenHost(p, 0)
		w.other("A-1", 1000)
		book := &sharedLedger{Ledger: w.book()}
		defer book.Close()
		book.strays = []ledger.Entry{toldLate(2, "A-1", "imp_000000000077", "")}
		w.opts.RemoteCheck = false
		if _, err := batch.Run(t.Context(), p, w.client, book, w.opts); err != nil {
			t.Error(err)
		}
		err := batch.Results(t.Context(), p, book, 1, func(_ *input.Row, r *batch.Result) error {
			if r.Status == batch.Issued || !strings.Contains(string(r.ErrorMessage)+r.ImpUID, "imp_000000000077") {
				t.Errorf("%s %s %s %s: the API said that it had made imp_000000000077", r.Status, r.ErrorCode, r.ImpUID, r.ErrorMessage)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestTwoStrays: two hosts were told an account of an order that is free.
func TestTwoStrays(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000")
		book := &sharedLedger{Ledger: w.book()}
		defer book.Close()
		a, b := string(w.other("A-1", 1000).ImpUID), string(w.other("A-1", 1000).ImpUID)
		book.strays = []ledger.Entry{toldLate(2, "A-1", a, ""), toldLate(9, "A-1", b, "")}
		run, err := batch.Run(t.Context(), p, w.client, book, w.opts)
		if err != nil {
			t.Error(err)
		}
		batch.Results(t.Context(), p, book, run.ID, func(_ *input.Row, r *batch.Result) error {
			if text := r.ErrorMessage.String(); !strings.Contains(text, a) || !strings.Contains(text, b) {
				t.Errorf("%s %s %s does not tell of %s and %s", r.Status, r.ErrorCode, text, a, b)
			}
			return nil
		})
	})
}

// heldBetween is the ledger of a host that stands still once its intents are durable, right before it sends.
type heldBetween struct {
	*ledger.Ledger
	held chan struct{} // closed once they are
	goOn chan struct{}
}

func (l heldBetween) Intend(ctx context.Context, entries ...ledger.Entry) error {
	err := l.Ledger.Intend(ctx, entries...)
	close(l.held)
	<-l.goOn
	return err
}

// silent is a way to a database that can be shut: nothing gets through then, and nobody is told.
type silent struct {
	address string
	shut    sync.RWMutex
}

func silence(t *testing.T, server *ledgertest.Postgres, address string) *silent {
	dir, err := os.MkdirTemp("/tmp", "vb-silent-")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		listener.Close()
		os.RemoveAll(dir)
	})
	s := &silent{address: strings.Replace(address, server.Socket(), dir, 1)}
	pass := func(to, from net.Conn) {
		defer to.Close()
		buffer := make([]byte, 1<<16)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			s.shut.RLock()
			to.Write(buffer[:n])
			s.shut.RUnlock()
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", filepath.Join(server.Socket(), ".s.PGSQL.5432"))
			if err != nil {
				client.Close()
				continue
			}
			go pass(to, client)
			go pass(client, to)
		}
	}()
	return s
}

// TestTakenOver: a host stands still between an intent and its request for longer than its lease lasts, cut off from the
// database. Another takes over, finds no account, and issues one. When the first goes on it sends nothing.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	way := silence(t, server, address)
	api, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(api)
	t.Cleanup(func() { web.Close(); api.Close() })
	terms := ledger.Terms{Wait: 20 * time.Second, Life: time.Second, Patience: 20 * time.Second, Time: 2 * time.Second}
	host := func(address string) (*ledger.Lease, *ledger.Ledger, *client.Client) {
		lease, err := ledger.Claim(t.Context(), address, "merchant", terms)
		if err != nil {
			t.Fatal(err)
		}
		book, err := lease.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(client.Config{BaseURL: web.URL, Key: "k", Secret: "s", Workers: 2, Timeout: time.Second, Gate: lease})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.Close()
			book.Close()
			lease.Release()
		})
		return lease, book, c
	}
	p := plan(t, "주문번호,금액", "A-1,1000")
	options := batch.Options{Workers: 1, DoubtWait: 500 * time.Millisecond, SettleTime: time.Second, RemoteCheck: true}
	_, book, c := host(way.address)
	first := heldBetween{book, make(chan struct{}), make(chan struct{})}
	ended := make(chan error)
	go func() {
		_, err := batch.Run(t.Context(), p, c, first, options)
		ended <- err
	}()
	<-first.held
	way.shut.Lock() // its renewals get no answer
	began := time.Now()
	_, second, api2 := host(address)
	if _, err := batch.Run(t.Context(), p, api2, second, options); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < terms.Life+options.DoubtWait {
		t.Errorf("the order in doubt was settled after %s", took)
	}
	close(first.goOn)
	time.Sleep(100 * time.Millisecond) // it would send
	way.shut.Unlock()
	stop, ok := errors.AsType[*batch.StopError](<-ended)
	if !ok || stop.Code != batch.CodeLeaseLost {
		t.Errorf("the first host ended with %v", stop)
	}
	if payments := api.Payments(); len(payments) != 1 {
		t.Errorf("%d accounts", len(payments))
	}
	entries, err := second.Entries(t.Context(), 1, 0, 9)
	if err != nil || len(entries) != 1 || entries[0].Status != batch.Issued {
		t.Errorf("%+v, %v", entries, err)
	}
}

// TestRestoredDatabase: a ledger that is a copy may lack orders, which are asked for though nobody wants that.
func TestRestoredDatabase(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		w.other("A-1", 1000)
		w.opts.RemoteCheck = false
		book := &sharedLedger{Ledger: w.book(), restored: true}
		defer book.Close()
		got, err := w.runOn(t.Context(), plan(t, "주문번호,금액", "A-1,1000"), w.client, book)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(got, "A-1 already_issued")
	})
}

// hosts are those that take over a merchant's lease from each other, by open, with a client of their API. lose is how the one that
// holds it is cut off from the database, and another claims it.
func hosts(t *testing.T, life time.Duration) (c *client.Client, open func() *ledger.Ledger, lose func()) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	api, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	c, err = client.New(client.Config{Key: "k", Secret: "s", Workers: 2, Timeout: time.Second, Through: api.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	terms := ledger.Terms{Wait: 20 * time.Second, Life: life, Patience: 5 * time.Second, Time: time.Minute}
	open = func() *ledger.Ledger {
		lease, err := ledger.Claim(t.Context(), address, "merchant", terms)
		if err != nil {
			t.Fatal(err)
		}
		book, err := lease.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { book.Close(); lease.Release() })
		return book
	}
	lose = func() {
		server.Psql(t, "ledger1", "UPDATE leases SET until = clock_timestamp() - interval '1 second', epoch = epoch + 1, owner = 'another'")
	}
	return c, open, lose
}

// TestLateSaid: a reply that says that an account was made, and cannot be used, is remembered for the next holder too when it
// comes after the lease was lost: the order is not sent again though the API does not show its account.
func TestLateSaid(t *testing.T) {
	c, open, lose := hosts(t, 100*time.Millisecond)
	p := plan(t, "주문번호,금액", "A-1,1000")
	options := batch.Options{Workers: 1, DoubtWait: 200 * time.Millisecond, SettleTime: time.Second, RemoteCheck: true}
	first := open()
	sent := 0
	said := bent{API: c, issue: func(r client.IssueRequest) (client.Payment, error) {
		sent++ // the host is cut off, and another takes over
		lose()
		return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.Mismatch, Acted: true, ImpUID: "imp_said"}
	}}
	if _, err := batch.Run(t.Context(), p, said, first, options); err == nil {
		t.Error("the lease was not lost")
	}
	second := open()
	again := bent{API: c, issue: func(r client.IssueRequest) (client.Payment, error) {
		sent++
		return c.Issue(t.Context(), r)
	}}
	if _, err := batch.Run(t.Context(), p, again, second, options); err != nil {
		t.Error(err)
	}
	entries, err := second.Entries(t.Context(), 1, 0, 9)
	if err != nil || len(entries) != 1 || entries[0].ErrorCode != batch.CodeReplyDiffers || sent != 1 {
		t.Errorf("it was sent %d times; %+v, %v", sent, entries, err)
	}
}

// TestSaidMeanwhile: likewise where the reply comes when the next holder waits already.
func TestSaidMeanwhile(t *testing.T) {
	c, open, lose := hosts(t, 3*time.Second)
	p := plan(t, "주문번호,금액", "A-1,1000")
	options := batch.Options{Workers: 1, DoubtWait: 500 * time.Millisecond, SettleTime: time.Second, RemoteCheck: true}
	first := open()
	sent := 0
	cutOff, reply, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	said := bent{API: c, issue: func(r client.IssueRequest) (client.Payment, error) {
		sent++
		lose()
		close(cutOff)
		<-reply
		return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.Mismatch, Acted: true, ImpUID: "imp_said"}
	}}
	go func() {
		defer close(done)
		if _, err := batch.Run(t.Context(), p, said, first, options); err == nil {
			t.Error("the lease was not lost")
		}
	}()
	<-cutOff
	second := open()
	go func() { time.Sleep(1500 * time.Millisecond); close(reply) }() // within its life
	again := bent{API: c, issue: func(r client.IssueRequest) (client.Payment, error) {
		sent++
		return c.Issue(t.Context(), r)
	}}
	if _, err := batch.Run(t.Context(), plan(t, "주문번호,금액", "A-1,1000"), again, second, options); err != nil {
		t.Error(err)
	}
	<-done
	entries, err := second.Entries(t.Context(), 1, 0, 9)
	if err != nil || len(entries) != 1 || entries[0].ErrorCode != batch.CodeReplyDiffers || sent != 1 {
		t.Errorf("it was sent %d times; %+v, %v", sent, entries, err)
	}
}

// TestSecondStray: a second account is told of while the order is looked up for the first.
func TestSecondStray(t *testing.T) {
	for _, run := range []bool{false, true} {
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				p := plan(t, "주문번호,금액", "A-1,1000")
				w.frozenHost(p, 0)
				a := string(w.other("A-1", 1000).ImpUID)
				book := &sharedLedger{Ledger: w.book()}
				defer book.Close()
				b := "imp_000000000077"
				book.strays = []ledger.Entry{toldLate(2, "A-1", a, "")}
				looks, last := 0, 1
				if run {
					last = 2
				}
				api := bent{API: w.client}
				api.findAll = func(uid string) ([]client.Payment, error) {
					looks++
					if looks < last {
						return nil, errLost
					}
					if looks == last {
						book.strays = append(book.strays, toldLate(2, "A-1", b, ""))
					}
					return w.client.FindAll(context.Background(), "", uid, "")
				}
				w.opts.RemoteCheck, w.opts.Audit = false, nil
				found, err := batch.Run(t.Context(), p, api, book, w.opts)
				if err != nil {
					t.Error(err)
				}
				batch.Results(t.Context(), p, book, found.ID, func(_ *input.Row, r *batch.Result) error {
					if !strings.Contains(string(r.ErrorMessage)+r.ImpUID, b) {
						t.Errorf("%s %s %s %q: the API said that it had made %s too", r.Status, r.ErrorCode, r.ImpUID, r.ErrorMessage, b)
					}
					return nil
				})
			})
		})
	}
}

// TestStrayOfAnotherRun: a database was restored, and the run that a stray names is another file's by now.
func TestStrayOfAnotherRun(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		if got, err := w.run(t.Context(), plan(t, "주문번호,금액", "Z-9,1000")); err != nil || got[0] != "Z-9 issued" {
			t.Fatal(got, err)
		}
		x := string(w.other("A-1", 1000).ImpUID)
		book := &sharedLedger{Ledger: w.book(), restored: true}
		defer book.Close()
		book.strays = []ledger.Entry{toldLate(2, "A-1", x, "")}
		api := bent{API: w.client}
		api.findAll = func(uid string) ([]client.Payment, error) { // A-1 is not shown yet
			if uid == "A-1" {
				return nil, nil
			}
			return w.client.FindAll(context.Background(), "", uid, "")
		}
		api.many = func(uids []string) (map[string][]client.Payment, error) {
			found, err := w.client.Payments(context.Background(), "", uids)
			delete(found, "A-1")
			return found, err
		}
		w.opts.Audit = nil
		if _, err := w.runOn(t.Context(), plan(t, "주문번호,금액,비고", "A-1,1000,x"), api, book); err != nil {
			t.Error(err)
		}
		if n := w.api.Ready("A-1"); n != 1 {
			t.Errorf("A-1 has %d accounts", n)
		}
		known, err := book.Orders(t.Context(), []ledger.Order{{MerchantUID: "Z-9"}, {MerchantUID: "A-1"}})
		if z := known[ledger.Order{MerchantUID: "Z-9"}]; err != nil || z.State != ledger.Issued || z.ImpUID == x {
			t.Errorf("Z-9 is %s %s %s %s %s, %v", z.State, z.Status, z.ErrorCode, z.ErrorMessage, z.ImpUID, err)
		}
	})
}

// TestStrayOfNoRun: likewise where there is no such run.
func TestStrayOfNoRun(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		book := &sharedLedger{Ledger: w.book(), restored: true}
		defer book.Close()
		stray := toldLate(2, "A-1", "imp_000000000077", "")
		stray.Run = 99
		book.strays = []ledger.Entry{stray}
		told := 0
		if err := batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, false, func(batch.Settled) { told++ }); err != nil {
			t.Fatal(err)
		}
		doubts, err := book.InDoubt(t.Context())
		known, err2 := book.Orders(t.Context(), []ledger.Order{{MerchantUID: "A-1"}})
		a := known[ledger.Order{MerchantUID: "A-1"}]
		if err := errors.Join(err, err2); err != nil || a.State == ledger.Intended && (len(doubts) != 1 || told != 1) {
			t.Errorf("A-1 is in doubt, InDoubt tells of %d, reconcile of %d: %v", len(doubts), told, err)
		}
	})
}

// TestStrayOfAnotherRow: likewise where its line is of a row that was not done.
func TestStrayOfAnotherRow(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		api := bent{API: w.client, issue: func(client.IssueRequest) (client.Payment, error) {
			return client.Payment{}, &client.Error{Kind: client.Refused, Message: "한도 초과"}
		}}
		p := plan(t, "주문번호,금액", "Z-9,1000")
		if got, err := w.with(api, p); err != nil || got[0] != "Z-9 rejected PG_REFUSED" {
			t.Fatal(got, err)
		}
		book := &sharedLedger{Ledger: w.book(), restored: true}
		defer book.Close()
		book.strays = []ledger.Entry{toldLate(2, "A-1", "imp_000000000077", "")}
		if err := batch.Reconcile(t.Context(), w.client, book, w.opts.DoubtWait, false, func(batch.Settled) {}); err != nil {
			t.Fatal(err)
		}
		batch.Results(t.Context(), p, book, 1, func(row *input.Row, r *batch.Result) error {
			if r.MerchantUID != row.Request.MerchantUID {
				t.Errorf("the row of %s is told as %s %s %s", row.Request.MerchantUID, r.MerchantUID, r.Status, r.ErrorCode)
			}
			return nil
		})
	})
}

// TestToldAndChanged: an account that the API said it had made, and does not show, is changed by a row that names it. The run of its order
// goes on.
func TestToldAndChanged(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		p := plan(t, "주문번호,금액", "A-1,1000")
		w.frozenHost(p, 0)
		own := string(w.other("A-1", 1000).ImpUID)
		book := &sharedLedger{Ledger: w.book()}
		book.strays = []ledger.Entry{toldLate(2, "A-1", own, "")}
		if err := batch.Reconcile(t.Context(), hiding(w.client), book, w.opts.DoubtWait, false, func(batch.Settled) {}); err != nil {
			t.Fatal(err)
		}
		book.Close()
		if got, err := w.run(t.Context(), plan(t, "주문번호,imp_uid,금액,처리", fmt.Sprintf(",%s,1500,변경", own))); err != nil || got[0] != "A-1 updated" {
			t.Error(got, err)
		}
		for range 2 {
			got, err := w.run(t.Context(), p)
			if err != nil {
				t.Error(err)
			}
			w.expect(got, "A-1 unknown REPLY_DIFFERS") // it is for another amount than was asked for: a person says whose it is
		}
	})
}
