package batch_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/unicode"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/batch/ledger/ledgertest"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// orders writes a file of n orders with 15 columns.
func orders(tb testing.TB, n int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "orders.csv")
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := bufio.NewWriter(file)
	fmt.Fprintln(w, "주문번호,주문일자,주문자명,연락처,이메일,주소,우편번호,상품명,수량,공급가액,결제금액,은행,예금주,입금기한,비고")
	for i := range n {
		fmt.Fprintf(w, "ORD-%08d,2026-11-03,홍길동,010-0000-%04d,hong%d@example.com,서울시 중구 세종대로 110,04524,머그컵 외 2건,1,%d,\"%d,000\",국민은행,한빛상사,2099-12-31,\n",
			i, i%10000, i, 10000+i%1000, 1+i%999)
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := file.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// forgetful is a ledger that takes everything and keeps nothing.
type forgetful struct{}

func (forgetful) Quiet() time.Time                               { return time.Time{} }
func (forgetful) Restored() bool                                 { return false }
func (forgetful) Strays(context.Context) ([]ledger.Entry, error) { return nil, nil }
func (forgetful) Settled(context.Context, ledger.Entry) error    { return nil }

func (forgetful) Begin(_ context.Context, run ledger.Run) (ledger.Run, error) {
	run.ID = 1
	return run, nil
}
func (forgetful) Intend(context.Context, ...ledger.Entry) error          { return nil }
func (forgetful) Record(context.Context, ...ledger.Entry) error          { return nil }
func (forgetful) RecordBatched(context.Context, ...ledger.Entry) error   { return nil }
func (forgetful) RecordOutcome(context.Context, ...ledger.Outcome) error { return nil }
func (forgetful) InDoubt(context.Context) ([]ledger.Entry, error)        { return nil, nil }
func (forgetful) Entries(context.Context, int64, int64, int64) ([]ledger.Entry, error) {
	return nil, nil
}
func (forgetful) Sent(context.Context, int64, int64, int) ([]ledger.Entry, error) { return nil, nil }
func (forgetful) Runs(context.Context, bool) ([]ledger.Run, error)                { return nil, nil }
func (forgetful) Statuses(context.Context, int64, int64, int64) (map[int64]string, error) {
	return nil, nil
}
func (forgetful) Orders(context.Context, []ledger.Order) (map[ledger.Order]ledger.Entry, error) {
	return nil, nil
}

// intentsOnly is a ledger that keeps intents and no outcomes.
type intentsOnly struct{ *ledger.Ledger }

func (intentsOnly) Record(context.Context, ...ledger.Entry) error        { return nil }
func (intentsOnly) RecordBatched(context.Context, ...ledger.Entry) error { return nil }

func preflight(b *testing.B, path string) *batch.Plan {
	file, err := input.Open(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	plan, err := batch.Preflight(context.Background(), file, input.Options{Now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

// usage is what the process spent while the timer ran: CPU time, the sandbox's included, and allocations.
type usage struct {
	cpu, cpuAt       time.Duration
	allocs, allocsAt uint64
}

func (u *usage) start(b *testing.B) {
	u.cpuAt, u.allocsAt = spentSoFar(b)
	b.StartTimer()
}

func (u *usage) stop(b *testing.B) {
	b.StopTimer()
	cpu, allocs := spentSoFar(b)
	u.cpu += cpu - u.cpuAt
	u.allocs += allocs - u.allocsAt
	b.StartTimer()
}

func (u *usage) report(b *testing.B, rows int) {
	all := float64(rows) * float64(b.N)
	b.ReportMetric(all/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(u.cpu.Microseconds())/all, "cpu-µs/row")
	b.ReportMetric(float64(u.allocs)/all, "allocs/row")
}

func spentSoFar(b *testing.B) (cpu time.Duration, allocs uint64) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), memory.Mallocs
}

// BenchmarkRun is the whole way of a row: the sandbox over loopback HTTP, 16 workers, no rate limit, and so many rows
// that a ledger's first pages count little. "audited" is the real thing, "ledger" has no audit, "intents" no durable
// outcomes, "forgetful" keeps nothing at all, and "bare" is the client in a loop with the same requests.
func BenchmarkRun(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as main does
	const rows = 20000
	path := orders(b, rows)
	setUp := func(b *testing.B) *client.Client { return connected(b, sandbox.Faults{}) }
	run := func(b *testing.B, audit *batch.Audit, open func() batch.Ledger) {
		var spent usage
		for b.Loop() {
			b.StopTimer()
			c, book := setUp(b), open()
			spent.start(b)
			whole(b, path, rows, c, book, audit)
			spent.stop(b)
		}
		spent.report(b, rows)
	}
	b.Run("audited", func(b *testing.B) { run(b, new(batch.Audit), func() batch.Ledger { return opened(b) }) })
	b.Run("ledger", func(b *testing.B) { run(b, nil, func() batch.Ledger { return opened(b) }) })
	b.Run("intents", func(b *testing.B) { run(b, nil, func() batch.Ledger { return intentsOnly{opened(b)} }) })
	b.Run("forgetful", func(b *testing.B) { run(b, nil, func() batch.Ledger { return forgetful{} }) })
	b.Run("bare", func(b *testing.B) {
		requests := requests(b, path)
		var spent usage
		for b.Loop() {
			b.StopTimer()
			c := setUp(b)
			spent.start(b)
			bare(b, c, requests)
			spent.stop(b)
		}
		spent.report(b, rows)
	})
}

// BenchmarkShared is the whole way of a row with 32 workers, its audit too: with the ledger in a file, in a database, and in a
// database for 20 merchants of whom 8 are served at once by 8 workers each, as one host does by default, or 16, as two do. It
// tells how many statements the database had for a row.
func BenchmarkShared(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as main does
	const rows, workers = 20000, 32
	server := ledgertest.Start(b, "shared_preload_libraries=pg_stat_statements")
	server.Psql(b, "postgres", "CREATE EXTENSION pg_stat_statements")
	claimed := func(address, merchant string) batch.Ledger {
		lease, err := ledger.Claim(b.Context(), address, merchant, ledger.Terms{Life: time.Minute, Patience: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		book, err := lease.Ledger(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			book.Close()
			lease.Release()
		})
		return book
	}
	statements := func(b *testing.B, all int) {
		calls, err := strconv.Atoi(server.Psql(b, "postgres", "SELECT sum(calls) FROM pg_stat_statements"))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(calls)/float64(all), "statements/row")
	}
	one := func(b *testing.B, open func() batch.Ledger) {
		path := orders(b, rows)
		var spent usage
		for b.Loop() {
			b.StopTimer()
			c, book := connected(b, sandbox.Faults{}, workers), open()
			server.Psql(b, "postgres", "SELECT pg_stat_statements_reset()")
			spent.start(b)
			wholeBy(b, path, rows, c, book, new(batch.Audit), workers)
			spent.stop(b)
		}
		spent.report(b, rows)
	}
	b.Run("file", func(b *testing.B) { one(b, func() batch.Ledger { return opened(b) }) })
	b.Run("database", func(b *testing.B) {
		one(b, func() batch.Ledger { return claimed(server.Database(b), "merchant") })
		statements(b, rows)
	})
	merchants := func(b *testing.B, atOnce int) {
		const merchants, workers = 20, 8
		path := orders(b, rows/merchants)
		var spent usage
		for b.Loop() {
			b.StopTimer()
			address := server.Database(b)
			var group errgroup.Group
			group.SetLimit(atOnce)
			var clients []*client.Client
			var books []batch.Ledger
			for m := range merchants {
				clients = append(clients, connected(b, sandbox.Faults{}, workers))
				books = append(books, claimed(address, fmt.Sprint("merchant", m)))
			}
			spent.start(b)
			for m := range merchants {
				group.Go(func() error {
					wholeBy(b, path, rows/merchants, clients[m], books[m], new(batch.Audit), workers)
					return nil
				})
			}
			group.Wait()
			spent.stop(b)
		}
		spent.report(b, rows)
	}
	b.Run("merchants-by-8", func(b *testing.B) { merchants(b, 8) })
	b.Run("merchants-by-16", func(b *testing.B) { merchants(b, 16) })
}

// connected serves a sandbox on a socket and returns a client of it, by default with 16 workers.
func connected(b *testing.B, faults sandbox.Faults, workers ...int) *client.Client {
	api, err := sandbox.New(sandbox.Config{Faults: faults})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(api)
	b.Cleanup(func() { server.Close(); api.Close() })
	c, err := client.New(client.Config{BaseURL: server.URL, Key: "k", Secret: "s", Workers: cmp.Or(append(workers, 16)...) + 1}) // as the command line has it
	if err == nil {
		err = c.Authenticate(context.Background()) // likewise
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

// BenchmarkLatency has every reply take 50 ms: 16 workers cannot do more than 320 requests a second. "bare" is the client
// in a loop.
func BenchmarkLatency(b *testing.B) {
	const rows = 12_800
	path := orders(b, rows)
	slow := sandbox.Faults{Latency: 50 * time.Millisecond}
	tell := func(b *testing.B) {
		perSecond := rows * float64(b.N) / b.Elapsed().Seconds()
		b.ReportMetric(perSecond, "rows/s")
		b.ReportMetric(100*perSecond/(16/0.05), "%-of-320")
	}
	b.Run("run", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			c, book := connected(b, slow), opened(b)
			b.StartTimer()
			whole(b, path, rows, c, book, nil)
		}
		tell(b)
	})
	b.Run("bare", func(b *testing.B) {
		requests := requests(b, path)
		for b.Loop() {
			b.StopTimer()
			c := connected(b, slow)
			b.StartTimer()
			bare(b, c, requests)
		}
		tell(b)
	})
}

// requests are those of a file's rows.
func requests(b *testing.B, path string) (all []client.IssueRequest) {
	plan := preflight(b, path)
	defer plan.File.Close()
	if err := plan.Each(context.Background(), func(row *input.Row) error {
		all = append(all, row.Request)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return all
}

// whole runs the whole file with 16 workers.
func whole(b *testing.B, path string, rows int64, c *client.Client, book batch.Ledger, audit *batch.Audit) {
	wholeBy(b, path, rows, c, book, audit, 16)
}

// wholeBy runs the whole file with so many workers.
func wholeBy(b *testing.B, path string, rows int64, c *client.Client, book batch.Ledger, audit *batch.Audit, workers int) {
	plan := preflight(b, path)
	defer plan.File.Close()
	var counts batch.Counts
	_, err := batch.Run(context.Background(), plan, c, book, batch.Options{Workers: workers, RemoteCheck: true, Counts: &counts, Audit: audit})
	if err != nil || counts.Done.Load() != rows || counts.Failed.Load() != 0 {
		b.Fatalf("%d rows done, %d failed: %v", counts.Done.Load(), counts.Failed.Load(), err)
	}
}

// bare sends requests, 16 at once.
func bare(b *testing.B, c *client.Client, requests []client.IssueRequest) {
	var group errgroup.Group
	group.SetLimit(16)
	for _, request := range requests {
		group.Go(func() error {
			_, err := c.Issue(context.Background(), request)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// opened is a new ledger, closed in the end.
func opened(tb testing.TB) *ledger.Ledger {
	tb.Helper()
	book, err := ledger.Open(filepath.Join(tb.TempDir(), "ledger.db"), "bench")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { book.Close() })
	return book
}

// BenchmarkPreflight reads and checks a million rows of 15 columns, as check does with a file that is good.
func BenchmarkPreflight(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as main does
	const rows = 1_000_000
	plain := orders(b, rows)
	for _, name := range []string{"utf-8", "cp949", "utf-16le"} {
		b.Run(name, func(b *testing.B) {
			path := plain
			if encoding, ok := map[string]encoding.Encoding{"cp949": korean.EUCKR, "utf-16le": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}[name]; ok {
				path = filepath.Join(b.TempDir(), name)
				encode(b, plain, path, encoding)
			}
			b.ReportAllocs()
			for b.Loop() {
				file, err := input.Open(path, nil)
				if err != nil {
					b.Fatal(err)
				}
				plan, err := batch.Preflight(context.Background(), file, input.Options{Now: time.Now()})
				if err != nil || plan.ToDo() != rows || plan.Layout.Encoding != name {
					b.Fatal(plan, err)
				}
				file.Close()
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// encode writes a file once more in another encoding.
func encode(b *testing.B, from, to string, encoding encoding.Encoding) {
	text, err := os.ReadFile(from)
	if err == nil {
		text, err = encoding.NewEncoder().Bytes(text)
	}
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkResume runs a file of a million rows whose interrupted run has done them all, to the results; "open" is
// the opening of its ledger alone.
func BenchmarkResume(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as main does
	const rows = 1_000_000
	path, dir, ctx := orders(b, rows), b.TempDir(), context.Background()
	file, err := input.Open(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	plan, err := batch.Preflight(ctx, file, input.Options{Now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	open := func() *ledger.Ledger {
		book, err := ledger.Open(filepath.Join(dir, "ledger.db"), "bench")
		if err != nil {
			b.Fatal(err)
		}
		return book
	}
	book := open()
	run, err := book.Begin(ctx, ledger.Run{Digest: plan.Digest(), Settings: plan.Settings(), Started: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	var entries []ledger.Entry
	for i := range int64(rows) {
		entries = append(entries, ledger.Entry{Outcome: ledger.Outcome{Run: run.ID, Line: i + 2, Status: batch.Issued, Action: "issue", Order: ledger.Order{MerchantUID: fmt.Sprintf("ORD-%08d", i)}, Amount: 1000 * (1 + i%999), Due: 4102412399, Bank: "004", Account: ledger.Account{ImpUID: fmt.Sprintf("imp_%012d", i), VbankCode: "004",
			VbankName: "국민은행", VbankNum: fmt.Sprintf("%014d", i), VbankHolder: "한빛상사", VbankDue: 4102412399, PGProvider: "settle", IssuedAt: 1767225600}}, State: ledger.Issued, IntentAt: time.Now()})
		if len(entries) == 10_000 {
			if err := book.Record(ctx, entries...); err != nil {
				b.Fatal(err)
			}
			entries = entries[:0]
		}
	}
	book.Close()
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			open().Close()
		}
	})
	b.Run("run", func(b *testing.B) {
		for b.Loop() {
			book := open()
			plan, err := batch.Preflight(ctx, file, input.Options{Now: time.Now()})
			if err != nil {
				b.Fatal(err)
			}
			var counts batch.Counts
			found, err := batch.Run(ctx, plan, nobody{}, book, batch.Options{Workers: 8, RemoteCheck: true, Counts: &counts})
			if err != nil || found.ID != run.ID || counts.Done.Load() != rows {
				b.Fatal(found, err, counts.Done.Load())
			}
			n := 0
			err = batch.Results(ctx, plan, book, found.ID, func(_ *input.Row, r *batch.Result) error {
				if r.Status == batch.Issued {
					n++
				}
				return nil
			})
			if err != nil || n != rows {
				b.Fatal(n, err)
			}
			book.Close()
		}
	})
}

// nobody is an API that must not be asked for anything.
type nobody struct{ batch.API }

func (nobody) ServerTime() time.Time { return time.Now() }
