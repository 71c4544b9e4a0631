package ledger

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8") // what runs side by side waits for the disk, most of the time; -parallel goes before it
	goleak.VerifyTestMain(m)
}

var ctx = context.Background()

func open(t testing.TB, path, merchant string) *Ledger {
	t.Helper()
	l, err := Open(path, merchant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func place(t testing.TB) string { return filepath.Join(t.TempDir(), "deep", "ledger.db") }

func begin(t testing.TB, l *Ledger) Run {
	t.Helper()
	run, err := l.Begin(ctx, Run{Digest: "digest", Settings: "settings", File: "orders.csv", Started: time.UnixMicro(1)})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func intent(run Run, line int64, uid string) Entry {
	return Entry{Outcome: Outcome{Run: run.ID, Line: line, Order: Order{MerchantUID: uid}, Status: "unknown", Action: "issue", Amount: 1000, Due: 4102412399, Bank: "004", Attempts: 1}, State: Intended, IntentAt: time.UnixMicro(1767225600_000001)}
}

var account = Account{ImpUID: "imp_1", VbankCode: "004", VbankName: "국민은행", VbankNum: "01234567890123", VbankHolder: "한빛",
	VbankDue: 4102412399, PGProvider: "settle", IssuedAt: 1767225601}

// TestOneLiveEntry is the rule that the whole program stands on: an order that may have an account gets no second intent.
func TestOneLiveEntry(t *testing.T) {
	l := open(t, place(t), "merchant")
	run := begin(t, l)
	first := intent(run, 2, "A-1")
	if err := l.Intend(ctx, first, intent(run, 3, "A-2")); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, e Entry) {
		t.Helper()
		if err := l.Intend(ctx, e); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: %v, want ErrTaken", what, err)
		}
	}
	allowed := func(what string, e Entry) {
		t.Helper()
		if err := l.Intend(ctx, e); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	record := func(e Entry) {
		t.Helper()
		if err := l.Record(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	refused("in doubt, another line", intent(run, 9, "A-1"))
	refused("in doubt, the same line", first)
	refused("in doubt, another run", Entry{Outcome: Outcome{Run: run.ID + 1, Line: 2, Order: Order{MerchantUID: "A-1"}}, State: Intended})

	vacant := first
	vacant.State, vacant.Status = Vacant, "not_sent"
	record(vacant)
	allowed("vacant, the same line", first)
	record(vacant)
	allowed("vacant, another line", intent(run, 9, "A-1"))

	issued := intent(run, 9, "A-1")
	issued.State, issued.Status, issued.Account = Issued, "issued", account
	record(issued)
	refused("issued, another line", intent(run, 10, "A-1"))
	refused("issued, the same line", intent(run, 9, "A-1"))
	refused("another order in the line of an account", intent(run, 9, "A-9"))
	if err := l.RecordOutcome(ctx, Outcome{Run: run.ID, Line: 9, Status: "invalid"}); !errors.Is(err, ErrTaken) {
		t.Errorf("noted in the place of an account: %v, want ErrTaken", err)
	}
	refused("issued, and noted", intent(run, 10, "A-1"))

	revoked := issued
	revoked.State = Revoked
	record(revoked)
	known, err := l.Orders(ctx, named("A-1", "A-2", "A-3"))
	if err != nil || known[Order{MerchantUID: "A-1"}].State != Revoked || known[Order{MerchantUID: "A-2"}].State != Intended || len(known) != 2 {
		t.Errorf("%+v, %v", known, err)
	}
	allowed("revoked, another line", intent(run, 10, "A-1"))
	refused("issued anew", intent(run, 11, "A-1"))

	// the revoked account of before is told of once more: it takes nothing from the new one
	record(revoked)
	if known, err := l.Orders(ctx, named("A-1")); err != nil || known[Order{MerchantUID: "A-1"}].Line != 10 {
		t.Errorf("%+v, %v", known[Order{MerchantUID: "A-1"}], err)
	}
	refused("issued anew, after the old one was told of", intent(run, 11, "A-1"))

	// the database itself refuses what the statements above might let through
	if err := l.Record(ctx, Entry{Outcome: Outcome{Run: 7, Line: 7, Order: Order{MerchantUID: "A-1"}}, State: Issued}); err == nil {
		t.Error("a second live entry was recorded")
	}
}

func TestSurvivesReopening(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	run := begin(t, l)
	want := intent(run, 2, "A-1")
	if err := l.Intend(ctx, want, intent(run, 3, "A-2")); err != nil {
		t.Fatal(err)
	}
	want.State, want.Status, want.Account, want.NowAmount, want.NowDue = Issued, "issued", account, 2000, 4102412300
	other := Entry{Outcome: Outcome{Run: run.ID, Line: 4, Order: Order{MerchantUID: "A-4"}, Status: "invalid", ErrorCode: "A;B", ErrorMessage: "it's, \"wrong\"\n", Action: "update", Amount: 5}, IntentAt: time.UnixMicro(0)}
	if err := l.Record(ctx, want, other); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(ctx, other); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}

	for _, file := range []string{path, path + "-wal", path + "-shm", filepath.Dir(path)} {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", file, info.Mode())
		}
	}
	l = open(t, path, "merchant")
	got, err := l.Entries(ctx, run.ID, 2, 4)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Entry{want, intent(run, 3, "A-2"), other}, got); diff != "" {
		t.Error(diff)
	}
	if doubts, err := l.InDoubt(ctx); err != nil || len(doubts) != 1 || doubts[0].MerchantUID != "A-2" {
		t.Errorf("in doubt: %+v, %v", doubts, err)
	}
	stranger := open(t, path, "another merchant")
	if known, err := stranger.Orders(ctx, named("A-1")); err != nil || len(known) != 0 {
		t.Errorf("another merchant knows %+v, %v", known, err)
	}
	if doubts, err := stranger.InDoubt(ctx); err != nil || len(doubts) != 0 {
		t.Errorf("another merchant doubts %+v, %v", doubts, err)
	}
}

func TestRuns(t *testing.T) {
	l := open(t, place(t), "merchant")
	first := begin(t, l)
	if again := begin(t, l); again.ID != first.ID || !again.Continued || !again.Started.Equal(first.Started) {
		t.Errorf("an interrupted run is not continued: %+v", again)
	}
	if other, err := l.Begin(ctx, Run{Digest: "digest", Settings: "others"}); err != nil || other.ID == first.ID {
		t.Errorf("other settings continue a run: %+v, %v", other, err)
	}
	if err := l.Finish(ctx, first.ID, time.UnixMicro(5)); err != nil {
		t.Fatal(err)
	}
	if last, err := l.LastRun(ctx, "digest"); err != nil || last.Settings != "others" {
		t.Errorf("%+v, %v", last, err)
	}
	if next := begin(t, l); next.ID == first.ID || next.Continued {
		t.Errorf("a finished run is continued: %+v", next)
	}
	if _, err := l.LastRun(ctx, "unknown"); !errors.Is(err, sql.ErrNoRows) {
		t.Error(err)
	}
}

// TestRunsOfAFile lists runs, counts what they made, and reads one from line to line.
func TestRunsOfAFile(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	first := begin(t, l)
	moved, err := l.Begin(ctx, Run{Digest: "digest", Settings: "settings", File: "/in/moved.csv", Started: time.UnixMicro(9)}) // goes on with it
	if err != nil || moved.ID != first.ID {
		t.Fatal(moved, err)
	}
	other, err := l.Begin(ctx, Run{Digest: "other", Settings: "settings", File: "/in/other.csv", Started: time.UnixMicro(2)})
	if err != nil {
		t.Fatal(err)
	}
	issued, invalid := intent(first, 30, "A-3"), Entry{Outcome: Outcome{Run: first.ID, Line: 10, Status: "invalid"}}
	issued.State, issued.Status, issued.Account = Issued, "issued", account
	if err := errors.Join(l.Intend(ctx, intent(first, 20, "A-2"), intent(first, 30, "A-3")), l.Record(ctx, issued, invalid),
		l.RecordOutcome(ctx, Outcome{Run: other.ID, Line: 2, Status: "invalid"}), l.Finish(ctx, other.ID, time.UnixMicro(3))); err != nil {
		t.Fatal(err)
	}
	want := []Run{{ID: other.ID, Digest: "other", Settings: "settings", File: "/in/other.csv", Started: time.UnixMicro(2), Finished: time.UnixMicro(3)},
		{ID: first.ID, Digest: "digest", Settings: "settings", File: "/in/moved.csv", Started: time.UnixMicro(1)}}
	for _, interrupted := range []bool{false, true} {
		if interrupted {
			want = want[1:]
		}
		if got, err := l.Runs(ctx, interrupted); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%v: %v, %s", interrupted, err, cmp.Diff(want, got))
		}
	}
	if got, err := open(t, path, "another merchant").Runs(ctx, false); err != nil || len(got) > 0 {
		t.Error(got, err)
	}
	for run, want := range map[int64][2]int64{first.ID: {2, 1}, other.ID: {0, 0}} {
		if made, inDoubt, err := l.Made(ctx, run); err != nil || [2]int64{made, inDoubt} != want {
			t.Errorf("run %d made %d, %d of them in doubt; %v", run, made, inDoubt, err)
		}
	}
	var lines []int64
	for after := int64(0); ; {
		entries, err := l.EntriesAfter(ctx, first.ID, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			lines, after = append(lines, e.Line), e.Line
		}
	}
	if !cmp.Equal(lines, []int64{10, 20, 30}) {
		t.Error(lines)
	}
}

// TestDoubtsOutliveRuns finishes a run with an order in doubt: it is still known as such.
func TestDoubtsOutliveRuns(t *testing.T) {
	l := open(t, place(t), "merchant")
	run := begin(t, l)
	e := intent(run, 2, "A-1")
	if err := errors.Join(l.Intend(ctx, e), l.Finish(ctx, run.ID, time.Now())); err != nil {
		t.Fatal(err)
	}
	if doubts, err := l.InDoubt(ctx); err != nil || len(doubts) != 1 {
		t.Fatalf("%+v, %v", doubts, err)
	}
	e.State, e.Status = Issued, "issued"
	if err := errors.Join(l.Record(ctx, e), l.Finish(ctx, run.ID, time.Now())); err != nil {
		t.Fatal(err)
	}
	if doubts, err := l.InDoubt(ctx); err != nil || len(doubts) != 0 {
		t.Fatalf("%+v, %v", doubts, err)
	}
	e.State, e.Status = Intended, "unknown" // since a stray tells of another account
	if err := l.Record(ctx, e); err != nil {
		t.Fatal(err)
	}
	if doubts, err := l.InDoubt(ctx); err != nil || len(doubts) != 1 {
		t.Fatalf("%+v, %v", doubts, err)
	}
}

// TestManyWriters has more writers than a group takes; each gets its own answer.
func TestManyWriters(t *testing.T) {
	l := open(t, place(t), "merchant")
	run := begin(t, l)
	var group sync.WaitGroup
	for i := range int64(1000) {
		group.Go(func() {
			uid := fmt.Sprintf("A-%d", i/2) // every order twice: one of the two is refused
			e := intent(run, i+2, uid)
			err := l.Intend(ctx, e)
			if err != nil && !errors.Is(err, ErrTaken) {
				t.Error(err)
			}
			if err == nil {
				e.State, e.Status, e.Account = Issued, "issued", account
				if err := l.Record(ctx, e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	entries, err := l.Entries(ctx, run.ID, 0, 2000)
	if err != nil || len(entries) != 500 {
		t.Errorf("%d entries, want 500: %v", len(entries), err)
	}
}

func TestUnusableLedgers(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte("this is no database, although it is long enough to be one, or so it seems"), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	l := open(t, newer, "merchant")
	l.Close()
	db, err := sql.Open("sqlite", "file:"+newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, path := range []string{text, newer, dir, filepath.Join(text, "below.db")} {
		if l, err := Open(path, "merchant"); err == nil {
			l.Close()
			t.Errorf("%s was opened", path)
		}
	}
}

func TestLock(t *testing.T) {
	path := place(t)
	unlock, err := Lock(ctx, path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(ctx, path, 0); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock at once: %v", err)
	}
	if _, err := Lock(ctx, path, 120*time.Millisecond); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock after a wait: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(ctx, filepath.Join(link, filepath.Base(path)), 0); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock by another name: %v", err)
	}
	stopped, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("stopped"))
	if _, err := Lock(stopped, path, time.Hour); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("stopped while waiting: %v", err)
	}
	time.AfterFunc(60*time.Millisecond, func() { unlock() })
	again, err := Lock(ctx, path, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func ExampleOpen() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	book, err := Open(filepath.Join(dir, "ledger.db"), Merchant("https://api.iamport.kr", "imp_key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer book.Close()
	run, _ := book.Begin(context.Background(), Run{Digest: "…", Settings: "…", File: "orders.csv", Started: time.Now()})
	intent := Entry{Outcome: Outcome{Run: run.ID, Line: 2, Order: Order{MerchantUID: "A-1"}, Status: "unknown"}, State: Intended}
	fmt.Println(book.Intend(context.Background(), intent))
	fmt.Println(book.Intend(context.Background(), intent))
	// Output:
	// <nil>
	// line 2: the order is taken: it has an account, or an issue in doubt
}

// TestCloseLetsGo opens and closes a ledger again and again: no file stays open, and no log is left to be merged.
func TestCloseLetsGo(t *testing.T) {
	path := place(t)
	files := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no list of open files on this system")
		}
		return len(open)
	}
	before := 0
	for i := range 10 {
		l := open(t, path, "merchant")
		begin(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			before = files()
		}
	}
	if after := files(); after > before {
		t.Errorf("%d files are open, %d were", after, before)
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Error("the write-ahead log is left behind")
	}
}

func named(uids ...string) (orders []Order) {
	for _, uid := range uids {
		orders = append(orders, Order{MerchantUID: uid})
	}
	return orders
}

// TestTiers keeps one order number apart in two tiers of a merchant, each with one account at most.
func TestTiers(t *testing.T) {
	l := open(t, place(t), "merchant")
	run := begin(t, l)
	var lines []Entry
	for i, tier := range []string{"", "001", "002"} {
		e := intent(run, int64(i+2), "A-1")
		e.Tier = tier
		if err := l.Intend(t.Context(), e); err != nil {
			t.Fatal(tier, err)
		}
		lines = append(lines, e)
	}
	again := lines[1]
	again.Line = 9
	if err := l.Intend(t.Context(), again); !errors.Is(err, ErrTaken) {
		t.Error(err)
	}
	known, err := l.Orders(t.Context(), []Order{{"002", "A-1"}, {"", "A-1"}, {"003", "A-1"}})
	if err != nil || len(known) != 2 || known[Order{"002", "A-1"}].Line != 4 || known[Order{"", "A-1"}].Line != 2 {
		t.Error(known, err)
	}
	if open, err := l.InDoubt(t.Context()); err != nil || len(open) != 3 || open[2].Tier != "002" {
		t.Error(open, err)
	}
}

// TestWhoSharesACommit has writes queue up: what can wait goes along with what cannot, and alone after linger.
func TestWhoSharesACommit(t *testing.T) {
	urgent, canWait := &job{}, &job{canWait: true}
	for _, test := range []struct {
		name          string
		first         *job
		queued, later []*job // later ones come 1 ms after
		want          int
		after         time.Duration
		closes        bool
	}{
		{name: "an urgent write", first: urgent, want: 1},
		{name: "with those that wait", first: urgent, queued: []*job{canWait, urgent, canWait}, want: 4},
		{name: "one that can wait meets an urgent one", first: canWait, queued: []*job{canWait}, later: []*job{urgent}, want: 3, after: time.Millisecond},
		{name: "nobody comes", first: canWait, queued: []*job{canWait}, want: 2, after: linger},
		{name: "others come who can wait too", first: canWait, later: []*job{canWait}, want: 2, after: linger},
		{name: "the ledger is closed", first: canWait, closes: true, want: 1, after: time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &Ledger{queue: make(chan *job, maxGroup), closing: make(chan struct{})}
				for _, j := range test.queued {
					l.queue <- j
				}
				time.AfterFunc(time.Millisecond, func() {
					for _, j := range test.later {
						l.queue <- j
					}
					if test.closes {
						close(l.closing)
					}
				})
				start := time.Now()
				group := l.fill([]*job{test.first})
				if len(group) != test.want || time.Since(start) != test.after {
					t.Errorf("%d writes after %v, want %d after %v", len(group), time.Since(start), test.want, test.after)
				}
				time.Sleep(time.Second) // for the timer, which needs the queue
			})
		})
	}
}

// TestRecordBatched is durable when it returns, with nobody else writing.
func TestRecordBatched(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	e := intent(begin(t, l), 2, "A-1")
	if err := l.Intend(ctx, e); err != nil {
		t.Fatal(err)
	}
	e.State, e.Status, e.Account = Issued, "issued", account
	if err := l.RecordBatched(ctx, e); err != nil {
		t.Fatal(err)
	}
	known, err := open(t, path, "merchant").Orders(ctx, named("A-1"))
	if err != nil || known[e.Order].VbankNum != account.VbankNum {
		t.Errorf("%+v, %v", known, err)
	}
	if err := errors.Join(l.Close(), l.RecordBatched(ctx, e)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
