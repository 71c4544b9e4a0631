package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbankbatch/batch/ledger/ledgertest"
)

var terms = Terms{Wait: time.Minute, Life: time.Minute, Patience: time.Minute}

// inDatabase opens a ledger in a database.
func inDatabase(t testing.TB, address, merchant string) (*Ledger, *Lease) {
	t.Helper()
	lease, err := Claim(ctx, address, merchant, terms)
	if err != nil {
		t.Fatal(err)
	}
	book, err := lease.Ledger(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		book.Close()
		lease.Release()
	})
	return book, lease
}

// TestStoresAgree writes random histories to a file and to a database, and asks both for all that they know.
func TestStoresAgree(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			path, address := filepath.Join(t.TempDir(), "ledger.db"), server.Database(t)
			file := open(t, path, "merchant")
			database, lease := inDatabase(t, address, "merchant")
			asked := history(t, random(seed), file, database)
			want, err := all(file, path, asked)
			if err != nil {
				t.Fatal(err)
			}
			got, err := all(database, address, asked)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("file and database (-file +database):\n%s", diff)
			}
			if seed == 0 {
				testCopy(t, server, file, lease, path, address, asked, want)
			}
		})
	}
}

// testCopy copies the file to another database, that to another file, and asks both what they know.
func testCopy(t *testing.T, server *ledgertest.Postgres, l *Ledger, lease *Lease, path, address string, asked []Order, want everything) {
	t.Helper()
	second, third := server.Database(t), filepath.Join(t.TempDir(), "third.db")
	if _, _, err := Copy(ctx, address, third); !errors.Is(err, ErrInUse) {
		t.Errorf("a database that is in use: %v", err)
	}
	for from, to := path, second; ; from, to = second, third {
		n, restored, err := Copy(ctx, from, to)
		if err != nil || n < 10 || restored {
			t.Fatalf("%s to %s: %d rows, may lack orders: %v, %v", from, to, n, restored, err)
		}
		if _, _, err := Copy(ctx, from, to); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("into one that is not empty: %v", err)
		}
		if to == third {
			break
		}
	}
	copied, _ := inDatabase(t, second, "merchant")
	for place, l := range map[string]*Ledger{second: copied, third: open(t, third, "merchant")} {
		if got, err := all(l, place, asked); err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the copy (-from +to):\n%s", diff)
		}
	}
	if begin(t, copied).ID <= want.Runs[0].ID {
		t.Error("a run of the copy has another's number")
	}
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// history makes the same writes in both ledgers, whose errors must be alike, and returns the orders that it names.
func history(t *testing.T, r *rand.Rand, ledgers ...*Ledger) (asked []Order) {
	t.Helper()
	both := func(what string, do func(*Ledger) error) {
		t.Helper()
		var errs []error
		for _, l := range ledgers {
			errs = append(errs, do(l))
		}
		for _, err := range errs[1:] {
			if (err == nil) != (errs[0] == nil) || errors.Is(err, ErrTaken) != errors.Is(errs[0], ErrTaken) {
				t.Fatalf("%s: %v", what, errs)
			}
		}
	}
	var runs []Run
	for i := range 3 {
		run := Run{Digest: fmt.Sprint("digest", i%2), Settings: "settings", File: "orders.csv", Started: time.UnixMicro(int64(i + 1))}
		both("begin", func(l *Ledger) error {
			found, err := l.Begin(ctx, run)
			run = found
			return err
		})
		runs = append(runs, run)
	}
	for i := range 8 {
		asked = append(asked, Order{Tier: []string{"", "sub"}[i%2], MerchantUID: fmt.Sprint("order-", i/2)})
	}
	states := []State{Vacant, Intended, Issued, Changing, Revoked}
	entry := func() Entry {
		run, line := runs[r.IntN(len(runs))].ID, 1+r.IntN(6)
		e := Entry{Outcome: Outcome{Run: run, Line: int64(line), Order: asked[(int(run)+line*line)%len(asked)], // the order of a line is always the same
			Status: []string{"unknown", "issued", "rejected"}[r.IntN(3)], Action: "issue", Amount: int64(1000 + r.IntN(3)), Due: 4102412399, Bank: "004",
			Attempts: r.IntN(3), ErrorMessage: "가", ErrorCode: "CODE"}, State: states[r.IntN(len(states))], IntentAt: time.UnixMicro(int64(r.IntN(1000)))}
		if e.State != Vacant && e.State != Intended {
			e.Account = account
			e.ImpUID = fmt.Sprint("imp_", r.IntN(9))
			e.NowAmount = int64(r.IntN(2)) * 77
		}
		return e
	}
	for range 150 {
		switch e := entry(); r.IntN(7) {
		case 0, 1, 2:
			e.State, e.Attempts = Intended, 1
			both("intend", func(l *Ledger) error { return l.Intend(ctx, e) })
		case 3, 4:
			both("record", func(l *Ledger) error { return l.Record(ctx, e) })
		case 5:
			both("outcome", func(l *Ledger) error { return l.RecordOutcome(ctx, e.Outcome) })
		case 6:
			second := entry()
			both("record two", func(l *Ledger) error { return l.Record(ctx, e, second) })
		}
		if r.IntN(40) == 0 {
			run := runs[r.IntN(len(runs))].ID
			both("finish", func(l *Ledger) error { return l.Finish(ctx, run, time.UnixMicro(int64(run)*1000)) })
		}
	}
	return asked
}

// everything is what a ledger tells.
type everything struct {
	Known    map[Order]Entry
	Doubt    []Entry
	Runs     []Run
	Lines    map[int64][]Entry
	Statuses map[int64]map[int64]string
	Sent     map[int64][]Entry
	List     []Line
	Stats    Stats
	Purged   Purged
	History  []Line
	Last     Run
}

func all(l *Ledger, place string, orders []Order) (e everything, err error) {
	e.Lines, e.Statuses, e.Sent = make(map[int64][]Entry), make(map[int64]map[int64]string), make(map[int64][]Entry)
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	e.Known, err = l.Orders(ctx, orders)
	add(err)
	e.Doubt, err = l.InDoubt(ctx)
	add(err)
	e.Runs, err = l.Runs(ctx, false)
	add(err)
	e.Last, err = l.LastRun(ctx, "digest1")
	add(err)
	for _, run := range e.Runs {
		e.Lines[run.ID], err = l.Entries(ctx, run.ID, 1, 100)
		add(err)
		e.Statuses[run.ID], err = l.Statuses(ctx, run.ID, 1, 100)
		add(err)
		e.Sent[run.ID], err = l.Sent(ctx, run.ID, 0, 100)
		add(err)
		_, _, err = l.Made(ctx, run.ID)
		add(err)
	}
	reader, err := OpenReader(ctx, place, "merchant")
	if err != nil {
		return e, err
	}
	defer reader.Close()
	add(reader.List(ctx, Filter{}, func(line *Line) error { e.List = append(e.List, *line); return nil }))
	add(reader.All(ctx, func(line *Line) error { e.List = append(e.List, *line); return nil }))
	e.Stats, err = reader.Stats(ctx)
	e.Stats.Bytes, e.Stats.LogBytes = 0, 0
	add(err)
	e.Purged, err = reader.Purgeable(ctx, time.Unix(4102412399, 0), time.Unix(4102412399, 0))
	add(err)
	e.History, err = reader.History(ctx, orders[0])
	if _, unknown := errors.AsType[*UnknownOrderError](err); !unknown {
		add(err)
	}
	return e, errors.Join(errs...)
}
