package job_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
	"vbankbatch/report"
	"vbankbatch/report/job"
	"vbankbatch/report/page"
)

// merchant has an API, a folder and an input of its own, and a ledger that it may share.
type merchant struct {
	t    *testing.T
	name string
	api  *sandbox.Sandbox
	book *ledger.Ledger
	job  *job.Job
}

// rows is how many orders a merchant has. Those of all merchants have the same numbers.
const rows = 200

// newMerchant makes one whose orders are of so many won each, and whose accounts are in its name.
func newMerchant(t *testing.T, name string, won int, ledgerPath string) *merchant {
	t.Helper()
	api, err := sandbox.New(sandbox.Config{Key: name, Secret: "secret of " + name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	book, err := ledger.Open(ledgerPath, ledger.Merchant("sandbox", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	folder := t.TempDir()
	orders := []string{"merchant_uid,amount,vbank_code,vbank_due"}
	for i := range rows {
		orders = append(orders, fmt.Sprintf("ORD-%d,%d,004,+7d", i, won))
	}
	path := filepath.Join(folder, "orders.csv")
	if err := os.WriteFile(path, []byte(strings.Join(orders, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour) // nobody is writing it
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	m := &merchant{t: t, name: name, api: api, book: book}
	m.job = &job.Job{
		About: report.Run{Command: "run", API: "sandbox", File: path, Started: time.Now(), Files: report.Files{
			Results: filepath.Join(folder, "orders.results.csv"), Summary: filepath.Join(folder, "orders.summary.json"), Page: filepath.Join(folder, "orders.report.html")}},
		Settings: report.Settings{Workers: 4, Timeout: time.Minute, DoubtWait: time.Second, RemoteCheck: true, MaxFailures: "100%"},
		MaxInput: input.MostBytes,
		Options:  input.Options{Now: time.Now(), Set: map[string]string{"vbank_holder": name}},
		Audit:    true,
		Ledger:   book,
		Connect: func() (*client.Client, error) {
			return client.New(client.Config{Key: client.Secret(name), Secret: client.Secret("secret of " + name), Workers: 5, Through: api.Transport()})
		},
	}
	return m
}

// check holds the merchant's results against what its API has.
func (m *merchant) check(out *job.Outcome, won int) {
	m.t.Helper()
	issued := make(map[string]string) // account by order
	for _, p := range m.api.Payments() {
		if issued[p.MerchantUID] != "" || p.Amount != int64(won) || p.VbankHolder != m.name {
			m.t.Errorf("%s: the API has %+v", m.name, p)
		}
		issued[p.MerchantUID] = p.VbankNum
	}
	file, err := os.Open(out.Files.Results)
	if err != nil {
		m.t.Fatal(err)
	}
	defer file.Close()
	table, err := csv.NewReader(file).ReadAll()
	if err != nil {
		m.t.Fatal(err)
	}
	uid, num, status := slices.Index(table[0], "merchant_uid"), slices.Index(table[0], "vbank_num"), slices.Index(table[0], "status")
	for _, row := range table[1:] {
		if row[num] == "" || row[num] != issued[row[uid]] || row[status] != batch.Issued {
			m.t.Errorf("%s: the results say %q, the API %q", m.name, row, issued[row[uid]])
		}
	}
	if sum := out.Facts.Statuses[batch.Issued]; sum != (report.Sum{Rows: rows, Won: int64(rows * won)}) || len(table)-1 != rows || len(issued) != rows {
		m.t.Errorf("%s: %+v is counted as issued, %d stand in the results, and the API has %d", m.name, sum, len(table)-1, len(issued))
	}
	last, err := m.book.LastRun(m.t.Context(), out.Plan.Digest())
	if err != nil || last.ID != out.ID || last.Finished.IsZero() {
		m.t.Errorf("%s: the ledger's last run is %+v, %v", m.name, last, err)
	}
	if err := job.WriteFigures(out.Files, &out.Run, &out.Facts, page.Options{}); err != nil {
		m.t.Error(err)
	}
	for _, path := range []string{out.Files.Summary, out.Files.Page} {
		if _, err := os.Stat(path); err != nil {
			m.t.Error(err)
		}
	}
}

// together runs the merchants' jobs at the same time: none sends a row before all of them are about to.
func together(t *testing.T, merchants ...*merchant) []job.Outcome {
	t.Helper()
	outcomes, steps := make([]job.Outcome, len(merchants)), make([][]job.Step, len(merchants))
	var ready, done sync.WaitGroup
	ready.Add(len(merchants))
	for i, m := range merchants {
		m.job.Tell = func(e job.Event) {
			steps[i] = append(steps[i], e.Step)
			if e.Step == job.Running {
				ready.Done()
				ready.Wait()
			}
		}
		done.Go(func() {
			var err error
			if outcomes[i], err = m.job.Run(t.Context()); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		})
	}
	done.Wait()
	for i, m := range merchants {
		if want := []job.Step{job.Checking, job.Planned, job.Running, job.Begun, job.Writing}; !slices.Equal(steps[i], want) {
			t.Errorf("%s: the steps %v, want %v", m.name, steps[i], want)
		}
	}
	return outcomes
}

// TestOneLedger has two merchants in one ledger, at the same time.
func TestOneLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	hanbit, saetbyeol := newMerchant(t, "hanbit", 10000, path), newMerchant(t, "saetbyeol", 25000, path)
	out := together(t, hanbit, saetbyeol)
	hanbit.check(&out[0], 10000)
	saetbyeol.check(&out[1], 25000)
}

// TestRefused: the file is not as the guards say.
func TestRefused(t *testing.T) {
	m := newMerchant(t, "hanbit", 10000, filepath.Join(t.TempDir(), "ledger.db"))
	m.job.Settings.Guards.MaxRows = rows - 1
	out, err := m.job.Run(t.Context())
	if failed, ok := errors.AsType[*job.Error](err); !ok || failed.Fault != job.Guarded || !out.Refused || out.ID != 0 {
		t.Errorf("%v, %+v", err, out)
	}
	if n := len(m.api.Payments()); n != 0 {
		t.Errorf("%d accounts were issued", n)
	}
}

// TestLost: the results cannot be written, so the run is not finished, and the next job goes on with it.
func TestLost(t *testing.T) {
	m := newMerchant(t, "hanbit", 10000, filepath.Join(t.TempDir(), "ledger.db"))
	results := m.job.About.Files.Results
	m.job.Tell = func(e job.Event) {
		if e.Step == job.Writing {
			if err := os.MkdirAll(filepath.Join(results, "in the way"), 0o700); err != nil {
				t.Error(err)
			}
		}
	}
	out, err := m.job.Run(t.Context())
	if failed, ok := errors.AsType[*job.Error](err); !ok || failed.Fault != job.NotWritten || failed.Run != out.ID || out.Files.Results != "" || out.Refused {
		t.Errorf("%v, %+v", err, out)
	}
	if last, err := m.book.LastRun(t.Context(), out.Plan.Digest()); err != nil || !last.Finished.IsZero() {
		t.Errorf("the run is finished: %+v, %v", last, err)
	}
	if err := os.RemoveAll(results); err != nil {
		t.Fatal(err)
	}
	m.job.Tell = nil
	again, err := m.job.Run(t.Context())
	if err != nil || again.ID != out.ID || !again.Continued {
		t.Errorf("%v, %+v", err, again)
	}
	m.check(&again, 10000)
}

// TestEnds: the cause of the context is the job's error, and the results tell which rows were not sent.
func TestEnds(t *testing.T) {
	m := newMerchant(t, "hanbit", 10000, filepath.Join(t.TempDir(), "ledger.db"))
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("the worker is taken down")
	m.job.Connect = func() (*client.Client, error) {
		return client.New(client.Config{Key: "hanbit", Secret: "secret of hanbit", Workers: 5, Through: through(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && r.URL.Path == "/vbanks" {
				cancel(ended)
			}
			return m.api.Transport().RoundTrip(r)
		})})
	}
	out, err := m.job.Run(ctx)
	if !errors.Is(err, ended) || !out.Reached || out.FailedRows == 0 || out.Facts.Rows != rows || out.Facts.Statuses[batch.Issued].Rows == 0 {
		t.Errorf("%v, %+v", err, out)
	}
}

// through is a way to the API.
type through func(*http.Request) (*http.Response, error)

func (f through) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSalvageLeavesDoubts: with --leave-doubts an order in doubt that the API does not show stays unknown, also where it is of an
// interrupted run whose file was written over since.
func TestSalvageLeavesDoubts(t *testing.T) {
	m := newMerchant(t, "hanbit", 1000, filepath.Join(t.TempDir(), "ledger.db"))
	run, err := m.book.Begin(t.Context(), ledger.Run{Digest: "another file's", Settings: "s", File: m.job.About.File, Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	e := ledger.Entry{State: ledger.Intended, IntentAt: time.Now()}
	e.Run, e.Line, e.Order, e.Action, e.Status, e.Amount, e.Attempts = run.ID, 2, ledger.Order{MerchantUID: "ORD-0"}, "issue", "unknown", 1000, 1
	if err := m.book.Intend(t.Context(), e); err != nil { // and the process dies
		t.Fatal(err)
	}
	m.job.LeaveDoubts = true
	out, err := m.job.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := m.api.Ready("ORD-0"); n != 0 {
		t.Errorf("ORD-0 was sent again: %d accounts", n)
	}
	text, err := os.ReadFile(out.Files.Results)
	if err != nil || !strings.Contains(string(text), "unknown,IN_DOUBT") {
		t.Errorf("%v\n%s", err, text[:min(300, len(text))])
	}
}

// TestSalvageSweepLeavesDoubts: likewise where the file is gone.
func TestSalvageSweepLeavesDoubts(t *testing.T) {
	m := newMerchant(t, "hanbit", 1000, filepath.Join(t.TempDir(), "ledger.db"))
	folder := filepath.Dir(m.job.About.File)
	if err := os.Mkdir(filepath.Join(folder, "failed"), 0o700); err != nil {
		t.Fatal(err)
	}
	run, err := m.book.Begin(t.Context(), ledger.Run{Digest: "another file's", Settings: "s", File: filepath.Join(folder, "gone.csv"), Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	e := ledger.Entry{State: ledger.Intended, IntentAt: time.Now()}
	e.Run, e.Line, e.Order, e.Action, e.Status, e.Amount, e.Attempts = run.ID, 2, ledger.Order{MerchantUID: "ORD-0"}, "issue", "unknown", 1000, 1
	if err := m.book.Intend(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	m.job.LeaveDoubts, m.job.About.File = true, folder
	if _, err := m.job.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if doubts, err := m.book.InDoubt(t.Context()); err != nil || len(doubts) != 1 {
		t.Errorf("in doubt: %v, %v", doubts, err)
	}
}

// TestKeptIsNotFinished: a run whose results somebody else keeps is not finished before they are kept, also where it stopped over
// what somebody mends: whoever dies in between goes on with the run, and tells of its orders as of its own.
func TestKeptIsNotFinished(t *testing.T) {
	m := newMerchant(t, "hanbit", 1000, filepath.Join(t.TempDir(), "ledger.db"))
	api, err := sandbox.New(sandbox.Config{Key: m.name, Secret: "secret of " + m.name, Faults: sandbox.Faults{Refuse: 1, RefuseWith: "가상계좌 계약이 필요합니다."}})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	m.job.Connect = func() (*client.Client, error) {
		return client.New(client.Config{Key: client.Secret(m.name), Secret: client.Secret("secret of " + m.name), Workers: 5, Through: api.Transport()})
	}
	in, err := os.Open(m.job.About.File)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	m.job.Kept, m.job.Stdin, m.job.About.File = true, in, "orders.csv"
	_, err = m.job.Run(t.Context())
	if stop, ok := errors.AsType[*batch.StopError](err); !ok || !stop.TriesAgain() {
		t.Fatalf("it ended with %v", err)
	}
	if open, err := m.book.Runs(t.Context(), true); err != nil || len(open) != 1 {
		t.Errorf("runs that are not finished: %v, %v", open, err)
	}
}
