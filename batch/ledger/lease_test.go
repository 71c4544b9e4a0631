package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"vbankbatch/batch/ledger/ledgertest"
)

// outlived lets the time of a lease be over, by the database's clock, as if its holder had stood still for so long.
func outlived(t testing.TB, l *Lease) {
	t.Helper()
	l.stop() // it renews it no more
	<-l.ended
	execute(t, l.address, `UPDATE leases SET until = clock_timestamp() - interval '1 second' WHERE owner = '`+l.owner+`'`)
}

func execute(t testing.TB, address, statement string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

// claim claims without waiting.
func claim(t testing.TB, address, merchant string) (*Lease, error) {
	t.Helper()
	now := terms
	now.Wait = 0
	return Claim(ctx, address, merchant, now)
}

func TestLease(t *testing.T) {
	t.Parallel()
	address := ledgertest.Start(t, "fsync=off").Database(t)
	book, first := inDatabase(t, address, "merchant")
	if !first.Open() || first.Wait(ctx) != nil || book.Quiet().After(time.Now()) || book.Restored() {
		t.Fatal("a first lease does not let requests be sent, or waits for others")
	}
	if _, err := claim(t, address, "merchant"); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second claim: %v", err)
	}
	inDatabase(t, address, "another merchant") // is in nobody's way
	run := begin(t, book)
	if err := book.Intend(ctx, intent(run, 2, "A-1"), intent(run, 3, "A-2")); err != nil {
		t.Fatal(err)
	}
	outlived(t, first)
	second, err := claim(t, address, "merchant")
	if err != nil {
		t.Fatal(err)
	}
	next, err := second.Ledger(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(next.Quiet()); left < terms.Life/2 || left > terms.Life {
		t.Errorf("the requests of a holder that did not give its lease back may last another %s", left)
	}
	// The holder before comes back, with an account.
	told := intent(run, 2, "A-1")
	told.State, told.Status, told.Account = Issued, "issued", account
	if err := book.Record(ctx, told); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a write of the holder before: %v", err)
	}
	if err := book.Intend(ctx, intent(run, 4, "A-3")); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("an intent of the holder before: %v", err)
	}
	if first.Open() || !errors.Is(first.Wait(ctx), ErrLeaseLost) {
		t.Error("a holder that knows its lease lost may send requests")
	}
	if doubts, err := next.InDoubt(ctx); err != nil || len(doubts) != 2 {
		t.Errorf("in doubt: %v, %v", doubts, err)
	}
	strays, err := next.Strays(ctx)
	if err != nil || len(strays) != 1 || strays[0] != told {
		t.Errorf("strays: %+v, %v", strays, err)
	}
	if err := next.Settled(ctx, told); err != nil {
		t.Fatal(err)
	}
	if strays, err := next.Strays(ctx); err != nil || len(strays) != 0 {
		t.Errorf("strays that are settled: %+v, %v", strays, err)
	}
	if err := errors.Join(next.Close(), second.Release()); err != nil {
		t.Fatal(err)
	}
	third, err := claim(t, address, "merchant")
	if err != nil {
		t.Fatalf("after a release: %v", err)
	}
	if left := time.Until(third.quiet); left < terms.Life/2 || left > terms.Life {
		t.Errorf("the requests of the first holder may last another %s, though the second gave its lease back", left)
	}
	execute(t, address, `UPDATE leases SET quiet_until = clock_timestamp() - interval '1 second'`)
	if err := third.Release(); err != nil {
		t.Fatal(err)
	}
	fourth, err := claim(t, address, "merchant")
	if err != nil {
		t.Fatalf("after a release: %v", err)
	}
	defer fourth.Release()
	if ago := time.Since(fourth.quiet); ago < time.Second || ago > time.Minute {
		t.Errorf("the last request of a holder that did not give its lease back has ended %s ago", ago)
	}
}

// TestLedgersOfALease: of several ledgers that are opened for a lease, one after the other, each one's runs are stored.
func TestLedgersOfALease(t *testing.T) {
	t.Parallel()
	lease, err := claim(t, ledgertest.Start(t, "fsync=off").Database(t), "merchant")
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	for i := range 3 {
		book, err := lease.Ledger(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := book.Begin(ctx, Run{Digest: fmt.Sprint(i), Settings: "s", File: "orders.csv"}); err != nil {
			t.Error(err)
		}
		if runs, err := book.Runs(ctx, false); err != nil || len(runs) != i+1 {
			t.Errorf("runs of %d files: %v, %v", i+1, runs, err)
		}
		if err := book.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLeaseRenewed: a lease is kept, with what was learnt, and outlasts a database that is away for longer than its time.
func TestLeaseRenewed(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	book, lease := inDatabase(t, address, "merchant")
	lease.Learn(func() (float64, time.Time) { return 7.5, time.Now().Add(time.Hour) })
	run := begin(t, book)
	server.Stop()
	lease.open.Store(0) // its time is over
	if lease.Open() {
		t.Fatal("requests may be sent when the lease's time is over")
	}
	wrote := make(chan error)
	go func() { wrote <- book.Intend(ctx, intent(run, 2, "A-1")) }()
	server.Serve(t)
	execute(t, address, `UPDATE leases SET until = clock_timestamp() - interval '1 second'`)
	if err := <-wrote; err != nil {
		t.Fatalf("a write that waited for the database: %v", err)
	}
	waiting, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := lease.Wait(waiting); err != nil {
		t.Fatalf("nobody claimed it: %v", err)
	}
	if err := lease.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(book.Close(), lease.Release()); err != nil {
		t.Fatal(err)
	}
	next, err := claim(t, address, "merchant")
	if err != nil {
		t.Fatal(err)
	}
	defer next.Release()
	if left := time.Until(next.Resume); next.Rate != 7.5 || left < 59*time.Minute || left > time.Hour {
		t.Errorf("the next holder learns of %v/s and a pause of %s", next.Rate, left)
	}
}

// TestFence: of a holder that writes all the while, nothing is committed once another has claimed the lease.
func TestFence(t *testing.T) {
	t.Parallel()
	address := ledgertest.Start(t, "fsync=off").Database(t)
	for round := range 10 {
		merchant := fmt.Sprint("merchant", round)
		book, lease := inDatabase(t, address, merchant)
		run := begin(t, book)
		var line atomic.Int64
		var over atomic.Bool
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				for !over.Load() {
					n := line.Add(1)
					if err := book.Intend(ctx, intent(run, n, fmt.Sprint("A-", n))); err != nil {
						if !errors.Is(err, ErrLeaseLost) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		for line.Load() < 50 {
			time.Sleep(time.Millisecond)
		}
		outlived(t, lease)
		second, err := claim(t, address, merchant)
		for errors.Is(err, ErrLocked) { // a write has renewed it, since nobody had claimed it
			outlived(t, lease)
			second, err = claim(t, address, merchant)
		}
		if err != nil {
			t.Fatal(err)
		}
		next, err := second.Ledger(ctx)
		if err != nil {
			t.Fatal(err)
		}
		before, _, err := next.Made(ctx, run.ID)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		over.Store(true)
		writers.Wait()
		after, _, err := next.Made(ctx, run.ID)
		if err != nil || before != after || after == 0 {
			t.Errorf("%d intents at the claim, %d later, %v", before, after, err)
		}
		if err := errors.Join(next.Close(), second.Release()); err != nil {
			t.Fatal(err)
		}
	}
}

// cutter passes connections on to a server, and cuts some of them where it is told to.
type cutter struct {
	dir   string
	words string       // of the requests that are meant
	cuts  atomic.Int64 // answers to be lost: the connection is cut once the server has carried out the request
	hold  atomic.Int64 // requests that are to reach the server only after a while, when their connection is gone
	made  atomic.Int64
}

func cut(t testing.TB, server string) *cutter {
	dir, err := os.MkdirTemp("/tmp", "vb-cut-")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{dir: dir, words: "ledger_fence"}
	var passing sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		passing.Wait()
		os.RemoveAll(dir)
	})
	passing.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { c.pass(client, filepath.Join(server, ".s.PGSQL.5432")) })
		}
	})
	return c
}

func (c *cutter) address(address, server string) string {
	return strings.Replace(address, server, c.dir, 1)
}

func (c *cutter) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	var losing atomic.Bool
	both.Go(func() {
		buffer := make([]byte, 1<<20)
		for {
			n, err := client.Read(buffer)
			if err != nil {
				server.Close()
				return
			}
			text := buffer[:n]
			if strings.Contains(string(text), c.words) && c.hold.Add(-1) >= 0 {
				c.made.Add(1)
				client.Close()
				time.Sleep(300 * time.Millisecond)
				server.Write(text)
				time.Sleep(100 * time.Millisecond)
				server.Close()
				return
			}
			losing.Store(strings.Contains(string(text), c.words) && c.cuts.Add(-1) >= 0)
			server.Write(text)
			if losing.Load() {
				c.made.Add(1)
				time.Sleep(50 * time.Millisecond) // it commits
				client.Close()
				server.Close()
				return
			}
		}
	})
	both.Go(func() {
		defer client.Close()
		buffer := make([]byte, 1<<16)
		for {
			n, err := server.Read(buffer)
			if err != nil {
				return
			}
			if !losing.Load() {
				client.Write(buffer[:n])
			}
		}
	})
	both.Wait()
}

// TestLostCommit: what a write said is so, though the answers to commits are lost, and though requests reach the database after
// their connection is gone.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	cutter := cut(t, server.Socket())
	address := cutter.address(server.Database(t), server.Socket())
	book, _ := inDatabase(t, address, "merchant")
	cutter.cuts.Store(2)
	run := begin(t, book)
	if runs, err := book.Runs(ctx, false); err != nil || len(runs) != 1 || runs[0].ID != run.ID {
		t.Fatalf("runs: %v, %v; want one, %d", runs, err, run.ID)
	}
	for i := range 40 {
		cutter.cuts.Store(int64(i % 3))
		cutter.hold.Store(int64(i % 2))
		line := int64(2 * i)
		var both sync.WaitGroup
		for n := range int64(2) {
			both.Go(func() {
				if err := book.Intend(ctx, intent(run, line+n, fmt.Sprint("A-", line+n))); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		e := intent(run, line, fmt.Sprint("A-", line))
		e.State, e.Status, e.Account = Issued, "issued", account
		cutter.cuts.Store(int64(i % 2))
		if err := book.Record(ctx, e); err != nil {
			t.Fatal(err)
		}
		if err := book.Intend(ctx, intent(run, 1000, fmt.Sprint("A-", line))); !errors.Is(err, ErrTaken) {
			t.Errorf("an order that has its account: %v", err)
		}
	}
	if made, _, err := book.Made(ctx, run.ID); err != nil || made != 80 {
		t.Errorf("%d lines, %v", made, err)
	}
	if entries, err := book.Entries(ctx, run.ID, 0, 2000); err != nil || len(entries) != 80 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if cutter.made.Load() < 50 {
		t.Errorf("only %d answers were lost", cutter.made.Load())
	}
}

// TestFailOver: who holds the lease writes nothing more to a database that has lost what it had confirmed, as a standby may that
// takes over.
func TestFailOver(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	cutter := cut(t, server.Socket())
	address := server.Database(t)
	book, _ := inDatabase(t, cutter.address(address, server.Socket()), "merchant")
	run := begin(t, book)
	if err := book.Intend(ctx, intent(run, 2, "A-1")); err != nil {
		t.Fatal(err)
	}
	_, name, _ := strings.Cut(address, "@/")
	name, _, _ = strings.Cut(name, "?")
	server.Psql(t, name, "UPDATE leases SET written = written - 1")
	cutter.cuts.Store(1)
	if err := book.Intend(ctx, intent(run, 3, "A-2")); !errors.Is(err, ErrLeaseLost) {
		t.Error(err)
	}
}

// TestDatabaseAway: a write waits for the database as long as it is told to, and what it then said is so.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	lease, err := Claim(ctx, address, "merchant", Terms{Life: time.Second, Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	book, err := lease.Ledger(ctx)
	if err != nil {
		t.Fatal(err)
	}
	run := begin(t, book)
	server.Kill()
	if err := book.Intend(ctx, intent(run, 2, "A-1")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("without a database: %v", err)
	}
	if _, err := claim(t, address, "merchant"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a claim without a database: %v", err)
	}
	if _, err := OpenReader(ctx, address, "merchant"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("reading without a database: %v", err)
	}
	server.Serve(t)
	if err := book.Intend(ctx, intent(run, 3, "A-2")); err != nil {
		t.Errorf("once it is back: %v", err)
	}
	if entries, err := book.Entries(ctx, run.ID, 0, 10); err != nil || len(entries) != 1 || entries[0].Line != 3 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := errors.Join(book.Close(), lease.Release()); err != nil {
		t.Error(err)
	}
}

// TestConflicts: transactions that the database rolls back, since others were in their way, are made again.
func TestConflicts(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off", "default_transaction_isolation=serializable")
	address := server.Database(t)
	var merchants sync.WaitGroup
	for m := range 4 {
		merchants.Go(func() {
			book, _ := inDatabase(t, address, fmt.Sprint("merchant", m))
			run := begin(t, book)
			for n := range int64(100) {
				e := intent(run, n, fmt.Sprint("A-", n))
				if err := book.Intend(ctx, e); err != nil {
					t.Error(err)
				}
				e.State, e.Account = Issued, account
				if err := book.Record(ctx, e); err != nil {
					t.Error(err)
				}
			}
			if made, _, err := book.Made(ctx, run.ID); err != nil || made != 100 {
				t.Errorf("%d lines, %v", made, err)
			}
		})
	}
	merchants.Wait()
}

// TestDatabaseTexts: a text may hold what a database does not take, but not an order number.
func TestDatabaseTexts(t *testing.T) {
	t.Parallel()
	book, _ := inDatabase(t, ledgertest.Start(t, "fsync=off").Database(t), "merchant")
	run, err := book.Begin(ctx, Run{Digest: "d", Settings: "s", File: "a\x00b\xff.csv", Started: time.UnixMicro(1)})
	if err != nil {
		t.Fatal(err)
	}
	e := intent(run, 2, "A-1")
	e.ErrorMessage, e.VbankHolder = "한\x00글\xff'\"\\{},NULL", "\xff"
	e.State, e.ImpUID = Issued, "imp_1"
	if err := book.Record(ctx, e); err != nil {
		t.Fatal(err)
	}
	found, err := book.Entries(ctx, run.ID, 0, 9)
	if err != nil || len(found) != 1 || found[0].ErrorMessage != "한\uFFFD글\uFFFD'\"\\{},NULL" || found[0].VbankHolder != "\uFFFD" {
		t.Errorf("%+v, %v", found, err)
	}
	for _, uid := range []string{"A\x00", "A\xff"} {
		if err := book.Intend(ctx, intent(run, 3, uid)); err == nil || errors.Is(err, ErrTaken) {
			t.Errorf("%q: %v", uid, err)
		}
	}
}

func TestDatabaseSchema(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	if _, err := OpenReader(ctx, address, "merchant"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty database: %v", err)
	}
	var all sync.WaitGroup
	for m := range 10 {
		all.Go(func() { inDatabase(t, address, fmt.Sprint("merchant", m)) }) // each may be the one that makes the tables
	}
	all.Wait()
	execute(t, address, `UPDATE ledger_schema SET version = version + 1`)
	if _, err := claim(t, address, "new"); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer schema, claimed: %v", err)
	}
	if _, err := OpenReader(ctx, address, "new"); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer schema, read: %v", err)
	}
	other := server.Database(t)
	execute(t, other, `CREATE TABLE runs (id int)`)
	if _, err := claim(t, other, "merchant"); err == nil {
		t.Error("another program's database was taken")
	}
	if _, err := claim(t, "postgres://vbankbatch@/nothing?host="+server.Socket(), "merchant"); !Refuses(err) {
		t.Errorf("a database that is not there: %v", err)
	}
}

// TestCopiedDatabase: the holder of a lease in a database does not go on in a copy of it, where orders may be lacking.
func TestCopiedDatabase(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	book, lease := inDatabase(t, address, "merchant")
	run := begin(t, book)
	if err := errors.Join(book.Close(), lease.Release()); err != nil {
		t.Fatal(err)
	}
	copied := server.Database(t)
	server.Copy(t, "ledger1", "ledger2")
	// one that nobody has opened yet, or that is a copy of such a copy, tells as well
	place := server.Database(t)
	server.Copy(t, "ledger1", "ledger3")
	for _, to := range []string{server.Database(t), filepath.Join(t.TempDir(), "ledger.db")} {
		if _, restored, err := Copy(ctx, place, to); err != nil || !restored {
			t.Errorf("%s filled from %s: may lack orders: %v, %v", Name(to), Name(place), restored, err)
		}
		place = to
	}
	next, holder := inDatabase(t, copied, "merchant")
	if !next.Restored() || holder.epoch < 3 {
		t.Errorf("a copy is not known as one; epoch %d", holder.epoch)
	}
	if runs, err := next.Runs(ctx, false); err != nil || len(runs) != 1 || runs[0].ID != run.ID {
		t.Errorf("runs of the copy: %v, %v", runs, err)
	}
	if newer, _ := inDatabase(t, copied, "came after the copy was made"); !newer.Restored() {
		t.Error("orders of a merchant that the copy does not know are not looked up")
	}
	again, _ := inDatabase(t, address, "merchant")
	if again.Restored() {
		t.Error("the first database counts as a copy")
	}
}

// TestPooled goes by PgBouncer, which gives each transaction another connection.
func TestPooled(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; os.Getenv("CI") == "" {
			if _, err := os.Stat(program); err != nil {
				t.Skip("PgBouncer is not installed")
			}
		}
	}
	server := ledgertest.Start(t, "fsync=off")
	address := server.Pool(t, program, server.Database(t))
	var merchants sync.WaitGroup
	for m := range 4 {
		merchants.Go(func() {
			book, lease := inDatabase(t, address, fmt.Sprint("merchant", m))
			asked := history(t, random(uint64(m)), book)
			if _, err := all(book, address, asked); err != nil {
				t.Error(err)
			}
			if err := lease.Renew(ctx); err != nil {
				t.Error(err)
			}
			jobs := openJobs(t, address)
			for range 4 {
				job := newJob("one")
				if err := jobs.Upload(ctx, job, strings.NewReader("orders"), deed); err != nil {
					t.Error(err)
				} else if queued, err := jobs.Approve(ctx, job, "one", "who", "2026-11-05", deed); err != nil || !queued {
					t.Error(queued, err)
				}
			}
		})
	}
	merchants.Wait()
	if all, _, err := marksIn(address); err != nil || len(all) != 32 {
		t.Error(all, err)
	}
}

// TestReadsWait: what a run reads waits for a database that is away, as what it writes does.
func TestReadsWait(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	book, _ := inDatabase(t, address, "merchant")
	run := begin(t, book)
	if err := book.Intend(ctx, intent(run, 2, "A-1")); err != nil {
		t.Fatal(err)
	}
	reads := map[string]func() (int, error){
		"orders": func() (int, error) {
			found, err := book.Orders(ctx, []Order{{MerchantUID: "A-1"}})
			return len(found), err
		},
		"entries":  func() (int, error) { found, err := book.Entries(ctx, run.ID, 1, 2); return len(found), err },
		"statuses": func() (int, error) { found, err := book.Statuses(ctx, run.ID, 1, 2); return len(found), err },
		"in doubt": func() (int, error) { found, err := book.InDoubt(ctx); return len(found), err },
		"made":     func() (int, error) { made, _, err := book.Made(ctx, run.ID); return int(made), err },
	}
	server.Kill()
	var waiting sync.WaitGroup
	for name, read := range reads {
		waiting.Go(func() {
			if n, err := read(); err != nil || n != 1 {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		})
	}
	time.Sleep(300 * time.Millisecond) // they have found nobody
	server.Serve(t)
	waiting.Wait()
	server.Kill()
	book.patience = time.Millisecond
	if _, err := book.Orders(ctx, []Order{{MerchantUID: "A-1"}}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a database that stays away: %v", err)
	}
	server.Serve(t)
}

// TestCopyFences: a host that stood still while its lease ran out, and while the ledger was copied, does not go on with the old one.
func TestCopyFences(t *testing.T) {
	t.Parallel()
	address := ledgertest.Start(t, "fsync=off").Database(t)
	book, frozen := inDatabase(t, address, "merchant")
	run := begin(t, book)
	if err := book.Intend(ctx, intent(run, 2, "A-1")); err != nil {
		t.Fatal(err)
	}
	outlived(t, frozen)
	if _, _, err := Copy(ctx, address, filepath.Join(t.TempDir(), "early.db")); !errors.Is(err, ErrInUse) {
		t.Errorf("while a request of its holder may be under way: %v", err)
	}
	time.Sleep(frozen.terms.Life)
	if _, _, err := Copy(ctx, address, filepath.Join(t.TempDir(), "ledger.db")); err != nil {
		t.Fatal(err)
	}
	if err := frozen.Renew(ctx); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("its lease is renewed: %v; requests may be sent: %v", err, frozen.Open())
	}
	if err := book.Intend(ctx, intent(run, 3, "A-2")); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("it makes intents in the old ledger: %v", err)
	}
}

// TestEndAfterFailOver: a job does not end as done by results that were read of a database which has lost what it had confirmed.
func TestEndAfterFailOver(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	jobs := openJobs(t, address)
	job := newJob("one")
	if _, err := jobs.Add(ctx, job, false, strings.NewReader("orders")); err != nil {
		t.Fatal(err)
	}
	book, lease := inDatabase(t, address, "merchant")
	run := begin(t, book)
	if err := book.Intend(ctx, intent(run, 2, "A-1")); err != nil {
		t.Fatal(err)
	}
	job.Run, job.State = run.ID, JobDone
	execute(t, address, `UPDATE leases SET written = written - 1`) // and the intent is gone: an asynchronous standby took over
	execute(t, address, `DELETE FROM entries`)
	if err := jobs.End(ctx, lease, job, true); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the end of a job whose order the database knows no more: %v", err)
	}
}

// TestLearntIsKept: what was learnt of the API's limit since the last renewal, a pause that ended the run for example, stands with
// the lease when it is given back; and a holder that asks the API nothing, and so learns nothing, does not wipe it out.
func TestLearntIsKept(t *testing.T) {
	t.Parallel()
	address := ledgertest.Start(t, "fsync=off").Database(t)
	_, first := inDatabase(t, address, "merchant")
	first.Learn(func() (float64, time.Time) { return 7.5, time.Now().Add(time.Hour) }) // a 429, right before the end of the run
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"released before the next renewal", "renewed by a holder that has no client"} {
		next, err := claim(t, address, "merchant")
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(next.Resume); next.Rate != 7.5 || left < 59*time.Minute {
			t.Errorf("%s: the next holder learns of %v/s and a pause of %s", what, next.Rate, max(left, 0))
		}
		execute(t, address, `UPDATE leases SET rate = 7.5, pause_until = clock_timestamp() + interval '1 hour'`)
		if err := errors.Join(next.Renew(ctx), next.Release()); err != nil {
			t.Fatal(err)
		}
	}
	last, err := claim(t, address, "merchant")
	if err != nil {
		t.Fatal(err)
	}
	defer last.Release()
	if left := time.Until(last.Resume); last.Rate != 7.5 || left < 59*time.Minute {
		t.Errorf("after a holder without a client: %v/s and a pause of %s", last.Rate, max(left, 0))
	}
}

// TestTemplate: a backup that was made within the server (createdb --template) and takes the ledger's place is known as a copy.
func TestTemplate(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	book, lease := inDatabase(t, address, "merchant")
	run := begin(t, book)
	book.Close()
	lease.Release()
	server.Psql(t, "postgres", "CREATE DATABASE backup TEMPLATE ledger1 OWNER vbankbatch")
	book, lease = inDatabase(t, address, "merchant")
	if err := book.Intend(ctx, intent(run, 2, "A-1")); err != nil { // issued after the backup
		t.Fatal(err)
	}
	book.Close()
	lease.Release()
	server.Psql(t, "postgres", "ALTER DATABASE ledger1 RENAME TO broken")
	server.Psql(t, "postgres", "ALTER DATABASE backup RENAME TO ledger1")
	book, _ = inDatabase(t, address, "merchant")
	if !book.Restored() {
		t.Error("a restored backup is not known as one")
	}
}

// TestQuietAfterRestore: a merchant's first lease came after the backup was made; its holder still sends when the backup has taken the
// ledger's place and another host claims.
func TestQuietAfterRestore(t *testing.T) {
	for _, known := range []bool{true, false} {
		server := ledgertest.Start(t, "fsync=off")
		address := server.Database(t)
		if known {
			book, lease := inDatabase(t, address, "merchant")
			book.Close()
			lease.Release()
		} else if err := Prepare(ctx, address); err != nil {
			t.Fatal(err)
		}
		server.Psql(t, "postgres", "CREATE DATABASE backup TEMPLATE ledger1 OWNER vbankbatch")
		_, old := inDatabase(t, address, "merchant")
		old.stop() // it stands still
		<-old.ended
		server.Psql(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ledger1'")
		time.Sleep(200 * time.Millisecond)
		server.Psql(t, "postgres", "ALTER DATABASE ledger1 RENAME TO broken")
		server.Psql(t, "postgres", "ALTER DATABASE backup RENAME TO ledger1")
		now := time.Now()
		book, _ := inDatabase(t, address, "merchant")
		if last := now.Add(time.Duration(old.open.Load()) - sinceBoot()).Add(terms.Life); old.Open() && book.Quiet().Before(last) {
			t.Errorf("known %v: Quiet is %s before the last request of the old holder can end", known, last.Sub(book.Quiet()))
		}
	}
}
