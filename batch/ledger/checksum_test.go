package ledger

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vbankbatch/client/say"
)

const pageSize = 1024

// small writes a ledger as runs do, in small pages, so that there are many. It returns the file.
func small(t *testing.T) (path string, orders []Order) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger.db")
	change(t, path, fmt.Sprint(`PRAGMA page_size = `, pageSize), `CREATE TABLE gone (a)`, `DROP TABLE gone`)
	l := open(t, path, "merchant")
	for n := range int64(2) {
		run, err := l.Begin(ctx, Run{Digest: fmt.Sprint("digest", n), Settings: "settings", File: "orders.csv", Started: time.UnixMicro(1767225500_000000)})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(12) {
			e := intent(run, i+2, fmt.Sprintf("A-%d-%d", n, i))
			e.Amount += 1000 * i
			orders = append(orders, e.Order)
			state := []State{Vacant, Issued, Changing, Revoked, Intended, Issued, Issued, Changing, Revoked, Intended, Issued, Vacant}[i]
			if state != Vacant {
				if err := l.Intend(ctx, e); err != nil {
					t.Fatal(err)
				}
			}
			e.State, e.Status, e.Account = state, "issued", account
			e.ImpUID, e.VbankNum = fmt.Sprintf("imp_%d_%d", n, i), fmt.Sprintf("00%d%010d", n, i)
			switch state {
			case Vacant:
				e.Status, e.ErrorCode, e.ErrorMessage, e.Attempts, e.Account = "invalid", "AMOUNT_NEGATIVE", "금액이 음수입니다", 0, Account{}
			case Changing:
				e.NowAmount, e.NowDue = 4321, 4102412300
			case Intended:
				continue
			}
			if err := l.Record(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Finish(ctx, run.ID, time.UnixMicro(1767225700_000000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path, append(orders, Order{MerchantUID: "of nobody"})
}

// known is all that is read of a ledger's entries.
type known struct {
	Orders                    map[Order]Entry
	Doubts                    []Entry
	First, Last               []Entry
	Lines, Some, Invalid, One []Line
}

// knows reads all that a ledger knows of its entries.
func knows(l *Ledger, r *Reader, orders []Order) (k known, err error) {
	if k.Orders, err = l.Orders(ctx, orders); err != nil {
		return k, err
	}
	if k.Doubts, err = l.InDoubt(ctx); err != nil {
		return k, err
	}
	if k.First, err = l.Entries(ctx, 1, 0, 100); err != nil {
		return k, err
	}
	if k.Last, err = l.Entries(ctx, 2, 5, 10); err != nil {
		return k, err
	}
	to := func(lines *[]Line) func(*Line) error {
		return func(line *Line) error {
			*lines = append(*lines, Line{Entry: line.Entry, Live: line.Live}) // the rest is of its run
			return nil
		}
	}
	if err = r.All(ctx, to(&k.Lines)); err != nil {
		return k, err
	}
	if err = r.List(ctx, Filter{InDoubt: true}, to(&k.Some)); err != nil {
		return k, err
	}
	if err = r.List(ctx, Filter{Status: "invalid"}, to(&k.Invalid)); err != nil {
		return k, err
	}
	history, err := r.History(ctx, orders[0])
	for i := range history {
		to(&k.One)(&history[i])
	}
	return k, err
}

// raced reports whether the race detector is at work, which takes twenty times as long over SQLite.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// TestFlippedBits flips bits of a ledger's file, one at a time: all of a page that holds entries, and some of all others.
// Either that is met when the ledger is read, or what is read is what was written.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	path, orders := small(t)
	// As Check, Open and OpenReader do, but for their waiting for the disk.
	look := func() (k known, err error) {
		db, err := connect(path, url.Values{"immutable": {"1"}}, "query_only(1)")
		if err != nil {
			return k, err
		}
		defer db.Close()
		if err := sound(ctx, db); err != nil {
			return k, err
		}
		l := &Ledger{read: db, merchant: 1}
		if err := l.prepareOrders(); err != nil {
			return k, err
		}
		return knows(l, &Reader{db: db, path: path, merchant: 1}, orders)
	}
	want, err := look()
	if err != nil || len(want.Orders) != 20 || len(want.Doubts) != 8 || len(want.First) != 12 || len(want.Lines) != 24 {
		t.Fatalf("%+v, %v", want, err)
	}
	var page, pages int64
	db, err := connect(path, url.Values{"immutable": {"1"}}, "query_only(1)")
	if err == nil {
		err = db.QueryRow(`SELECT pageno, (SELECT count(*) FROM dbstat) FROM dbstat WHERE name = 'entries' AND pagetype = 'leaf' ORDER BY ncell DESC LIMIT 1`).Scan(&page, &pages)
	}
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	met, harmless, raced := 0, 0, raced()
	for bit := int64(0); bit < 8*info.Size(); bit++ {
		if at := bit / 8 / pageSize; at+1 != page && bit%61 != 0 || raced && bit%59 != 0 {
			continue
		}
		var b [1]byte
		if _, err := file.ReadAt(b[:], bit/8); err != nil {
			t.Fatal(err)
		}
		flipped := [1]byte{b[0] ^ 1<<(bit%8)}
		if _, err := file.WriteAt(flipped[:], bit/8); err != nil {
			t.Fatal(err)
		}
		got, err := look()
		switch {
		case Damaged(err) || err != nil && bit < 8*100: // the file's head
			met++
		case err != nil:
			t.Errorf("byte %d of page %d, bit %d: %v", bit/8%pageSize, bit/8/pageSize+1, bit%8, err)
		case cmp.Equal(want, got):
			harmless++
		default:
			t.Errorf("byte %d of page %d, bit %d: %s", bit/8%pageSize, bit/8/pageSize+1, bit%8, cmp.Diff(want, got))
		}
		if _, err := file.WriteAt(b[:], bit/8); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d pages, all of page %d: %d bits were met, %d do no harm", pages, page, met, harmless)
}

// TestChecksumsAreKept writes to a ledger in all ways, whatever the entries say: what is read is never taken for damaged.
func TestChecksumsAreKept(t *testing.T) {
	t.Parallel()
	if raced() {
		t.Skip("nothing in it is concurrent")
	}
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "ledger.db")
		l, err := Open(path, "merchant")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var runs []Run
		begin := func() {
			runs = runs[:0]
			for i := range int64(2) {
				run, err := l.Begin(ctx, Run{Digest: fmt.Sprint(i), Started: time.UnixMicro(i)})
				if err != nil {
					t.Fatal(err)
				}
				runs = append(runs, run)
			}
		}
		begin()
		entry := rapid.Custom(func(t *rapid.T) Entry {
			return Entry{Outcome: Outcome{Run: rapid.SampledFrom(runs).Draw(t, "run").ID, Line: rapid.Int64Range(1, 3).Draw(t, "line"), Order: Order{Tier: rapid.SampledFrom([]string{"", "001"}).Draw(t, "tier"), MerchantUID: rapid.SampledFrom([]string{"A-1", "A-2", "A-3"}).Draw(t, "order")}, Status: text.Draw(t, "status"), ErrorMessage: say.Message(text.Draw(t, "message")), Action: text.Draw(t, "action"), Amount: rapid.Int64().Draw(t, "amount"), Attempts: rapid.IntRange(0, 2).Draw(t, "attempts"), Account: Account{ImpUID: text.Draw(t, "imp_uid"), VbankHolder: text.Draw(t, "holder"), VbankDue: rapid.Int64().Draw(t, "due"), PGID: text.Draw(t, "mid")}, Bank: text.Draw(t, "bank")}, State: rapid.SampledFrom([]State{Vacant, Intended, Issued, Changing, Revoked}).Draw(t, "state"), NowAmount: rapid.Int64().Draw(t, "now"), IntentAt: time.UnixMicro(rapid.Int64Range(-1e17, 1e17).Draw(t, "at"))}
		})
		kept := make(map[[2]int64]Entry) // what was written last, of those that are surely there as they were given
		t.Repeat(map[string]func(*rapid.T){
			"intend": func(t *rapid.T) {
				e := entry.Draw(t, "entry")
				e.State = Intended
				delete(kept, [2]int64{e.Run, e.Line})
				l.Intend(ctx, e) // the order may be taken
			},
			"note": func(t *rapid.T) {
				e := entry.Draw(t, "entry")
				e.State = Vacant
				delete(kept, [2]int64{e.Run, e.Line})
				if l.RecordOutcome(ctx, e.Outcome) == nil {
					kept[[2]int64{e.Run, e.Line}] = Entry{Outcome: e.Outcome, IntentAt: time.UnixMicro(time.Time{}.UnixMicro())}
				}
			},
			"record": func(t *rapid.T) {
				e := entry.Draw(t, "entry")
				clear(kept)
				if l.Record(ctx, e) == nil && e.State == Vacant {
					kept[[2]int64{e.Run, e.Line}] = e
				}
			},
			"purge": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "seldom") > 0 {
					t.Skip("it takes long")
				}
				clear(kept)
				if _, err := l.Purge(ctx, time.UnixMicro(rapid.Int64Range(-1, 2).Draw(t, "before")), time.UnixMicro(1e16)); err != nil {
					t.Fatal(err)
				}
				begin()
			},
			"": func(t *rapid.T) {
				r, err := OpenReader(ctx, path, "merchant")
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if err := r.All(ctx, func(*Line) error { return nil }); err != nil {
					t.Fatal(err)
				}
				for _, run := range runs {
					entries, err := l.Entries(ctx, run.ID, 0, 9)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range entries {
						if want, ok := kept[[2]int64{e.Run, e.Line}]; ok && !cmp.Equal(want, e) {
							t.Fatal(cmp.Diff(want, e))
						}
					}
				}
				if err := Check(ctx, path); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}
