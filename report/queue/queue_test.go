//go:build unix

package queue_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/batch/ledger/ledgertest"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
	"vbankbatch/report"
	"vbankbatch/report/command"
	"vbankbatch/report/queue"
)

// TestMain lets the tests run this binary as vbankbatch, in processes of its own.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "vbankbatch" {
		debug.SetGCPercent(400) // as main does
		debug.SetMemoryLimit(112 << 20)
		os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, time.Now))
	}
	os.Exit(m.Run())
}

// site is a database, an API, and hosts that know both.
type site struct {
	testing.TB
	api     *sandbox.Sandbox
	came    *arrivals
	server  *ledgertest.Postgres
	address string // of the database
	env     []string
	binary  string
	dir     string
}

func newSite(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	return siteOn(t, ledgertest.Start(t, "fsync=off"), sandbox.Config{})
}

func siteOn(t testing.TB, server *ledgertest.Postgres, api sandbox.Config) *site {
	t.Helper()
	s := &site{TB: t, server: server, dir: t.TempDir(), came: new(arrivals)}
	var err error
	if s.api, err = sandbox.New(api); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.came.watch(s.api))
	t.Cleanup(func() { web.Close(); s.api.Close() })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.binary = filepath.Join(s.dir, "vbankbatch")
	if err := os.Symlink(self, s.binary); err != nil {
		t.Fatal(err)
	}
	s.address = s.server.Database(t)
	s.env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+s.dir, "VBANKBATCH_LEDGER="+s.address, "VBANKBATCH_API_URL="+web.URL, "IMP_KEY=key", "IMP_SECRET=secret")
	return s
}

// psql asks the database.
func (s *site) psql(query string) string {
	s.Helper()
	_, name, _ := strings.Cut(s.address, "@/")
	name, _, _ = strings.Cut(name, "?")
	return s.server.Psql(s, name, query)
}

// arrivals are when orders to issue came to an API, by what stands before the "-" in their numbers: a merchant's, in most tests.
type arrivals struct {
	mu    sync.Mutex
	times map[string][]time.Time
}

func (a *arrivals) watch(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/vbanks" {
			text, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(text))
			var order client.IssueRequest
			if json.Unmarshal(text, &order) == nil {
				file, _, _ := strings.Cut(order.MerchantUID, "-")
				a.mu.Lock()
				if a.times == nil {
					a.times = make(map[string][]time.Time)
				}
				a.times[file] = append(a.times[file], time.Now())
				a.mu.Unlock()
			}
		}
		api.ServeHTTP(w, r)
	})
}

// all are the arrivals until now.
func (a *arrivals) all() map[string][]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.times)
}

func (s *site) command(args ...string) *exec.Cmd {
	c := exec.Command(s.binary, args...)
	c.Env, c.Dir = s.env, s.dir
	return c
}

// run runs a command and returns its exit status and what it printed.
func (s *site) run(args ...string) (exit int, out, errs string) {
	var stdout, stderr bytes.Buffer
	c := s.command(args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		exit = failed.ExitCode()
	} else if err != nil {
		s.Error(err)
	}
	return exit, strings.TrimSpace(stdout.String()), stderr.String()
}

// must runs a command that ends with the exit status, and returns its standard output.
func (s *site) must(exit int, args ...string) string {
	s.Helper()
	got, out, errs := s.run(args...)
	if got != exit {
		s.Fatalf("vbankbatch %s: exit status %d, want %d\n%s", strings.Join(args, " "), got, exit, errs)
	}
	return out
}

// work starts a worker, which ends with the test, or by kill -9 if the test wants it to.
func (s *site) work(args ...string) (worker *exec.Cmd) {
	s.Helper()
	worker = s.command(append([]string{"work"}, args...)...)
	log := new(bytes.Buffer)
	worker.Stdout, worker.Stderr = log, log
	if err := worker.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		worker.Process.Signal(os.Interrupt)
		worker.Wait()
		if s.Failed() {
			s.Logf("worker %v:\n%s", args, log)
		}
	})
	return worker
}

// file writes a file of n orders.
func (s *site) file(name string, n int) string {
	s.Helper()
	var text strings.Builder
	text.WriteString("merchant_uid,amount,vbank_code,vbank_holder,vbank_due\n")
	for i := range n {
		fmt.Fprintf(&text, "%s-%d,1000,004,hanbit,+7d\n", name, i)
	}
	path := filepath.Join(s.dir, name+".csv")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// submit submits a file of each of some merchants, with names that begin with the prefix, and returns the jobs.
func (s *site) submit(prefix string, merchants, rows int, flags ...string) (ids []string) {
	s.Helper()
	for m := range merchants {
		name := fmt.Sprint("m", m)
		s.env = append(s.env, fmt.Sprintf("IMP_KEY_M%d=key %d", m, m), fmt.Sprintf("IMP_SECRET_M%d=secret", m))
		ids = append(ids, s.must(0, append([]string{"submit", "--merchant", name, s.file(prefix+name, rows)}, flags...)...))
	}
	return ids
}

// arrived waits until what came to the API is as the test wants it, and returns that.
func (s *site) arrived(what string, is func(map[string][]time.Time) bool) map[string][]time.Time {
	s.Helper()
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if came := s.came.all(); is(came) {
			return came
		}
	}
	s.Fatalf("what came to the API is not %s", what)
	return nil
}

// ended waits until so many jobs are done, and returns when the last was.
func (s *site) ended(jobs int) time.Time {
	s.Helper()
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		var done int
		var last int64
		if _, err := fmt.Sscanf(s.psql(`SELECT count(*) || ' ' || coalesce(max(ended_at), 0) FROM jobs WHERE state = 'done'`), "%d %d", &done, &last); err != nil {
			s.Fatal(err)
		}
		if done == jobs {
			return time.UnixMicro(last)
		}
	}
	s.Fatalf("the jobs are not done: %s", s.must(0, "jobs", "list"))
	return time.Time{}
}

// job is what jobs show tells.
type job struct {
	ID             int64 `json:"id"`
	Started, Ended string
	State          string   `json:"state"`
	Done           int      `json:"rows_done"`
	Won            int      `json:"won_issued"`
	Exit           *int     `json:"exit_status"`
	Lacking        bool     `json:"credentials_missing"`
	Files          []string `json:"files"`
}

func (s *site) show(id string) (j job) {
	s.Helper()
	if err := json.Unmarshal([]byte(s.must(0, "jobs", "show", "--format=json", id)), &j); err != nil {
		s.Fatal(err)
	}
	return j
}

// until waits until a job is as the test wants it.
func (s *site) until(id string, what string, is func(job) bool) job {
	s.Helper()
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if j := s.show(id); is(j) {
			return j
		}
	}
	s.Fatalf("job %s: not %s: %+v", id, what, s.show(id))
	return job{}
}

// told is what the results tell of a row.
type told struct{ status, account string }

// rows reads results, by order.
func (s *site) rows(path string) map[string]told {
	s.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	table, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		s.Fatal(err)
	}
	column := func(name string) int { return len(table[0]) - 1 - slices.Index(reversed(table[0]), name) }
	uid, num, status := column("merchant_uid"), column("vbank_num"), column("status")
	rows := make(map[string]told)
	for _, row := range table[1:] {
		rows[row[uid]] = told{row[status], row[num]}
	}
	return rows
}

// accounts are those in a results file by order. Each is the only one that the API has of its order.
func (s *site) accounts(path string, statuses ...string) map[string]string {
	s.Helper()
	found := make(map[string]string)
	for order, row := range s.rows(path) {
		if !slices.Contains(statuses, row.status) {
			s.Errorf("%s: %s: %s", path, order, row.status)
		}
		if row.account != "" {
			found[order] = row.account
		}
	}
	issued := make(map[string]string)
	for _, p := range s.api.Payments() {
		if issued[p.MerchantUID] != "" {
			s.Errorf("%s has two accounts", p.MerchantUID)
		}
		issued[p.MerchantUID] = p.VbankNum
	}
	for order, account := range found {
		if issued[order] != account {
			s.Errorf("%s: the results say %q, the API %q", order, account, issued[order])
		}
	}
	return found
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// TestOneLine has two hosts submit the same file at the same minute, while two workers take slices of its run: it is done once,
// and both have its results.
func TestOneLine(t *testing.T) {
	s := newSite(t)
	const rows = 300
	path := s.file("orders", rows)
	s.work("--slice=1s")
	s.work("--slice=1s")
	var both sync.WaitGroup
	outs, ids := [2]string{}, [2]string{}
	for i := range 2 {
		both.Go(func() {
			outs[i] = filepath.Join(s.dir, fmt.Sprintf("host%d.results.csv", i))
			exit, out, errs := s.run("submit", "--wait", "--rate=60", "--out", outs[i], path)
			if ids[i] = out; exit != 0 {
				t.Errorf("exit status %d\n%s", exit, errs)
			}
		})
	}
	both.Wait()
	if t.Failed() {
		return
	}
	if ids[0] != ids[1] {
		t.Errorf("the jobs %v", ids)
	}
	first, second := s.accounts(outs[0], "issued"), s.accounts(outs[1], "issued")
	if len(first) != rows || len(second) != rows || len(s.api.Payments()) != rows {
		t.Errorf("%d and %d accounts in the results, %d at the API, want %d", len(first), len(second), len(s.api.Payments()), rows)
	}
	if j := s.show(ids[0]); j.State != "done" || j.Done != rows || j.Won != rows*1000 {
		t.Errorf("%+v", j)
	}
	if n := s.psql(`SELECT count(*) FROM runs`); n != "1" {
		t.Errorf("%s runs in the ledger", n)
	}
	if snoozed := s.psql(`SELECT max((metadata->>'snoozes')::int) FROM river_job`); snoozed == "" || snoozed == "0" {
		t.Errorf("the run was not cut into slices: %s", snoozed)
	}
	again := s.must(0, "submit", "--again", path)
	if again == ids[0] {
		t.Error("--again made no other job")
	}
	s.until(again, "done", func(j job) bool { return j.State == "done" })
	s.must(0, "jobs", "results", again)
	if n := len(s.accounts(filepath.Join(s.dir, "orders.results.csv"), "already_issued")); n != rows || len(s.api.Payments()) != rows {
		t.Errorf("%d accounts in the results of --again", n)
	}
}

// TestKilled kills the worker in the middle of a file, and the one that waits for it: another worker goes on, and the same
// command finds the job.
func TestKilled(t *testing.T) {
	s := newSite(t)
	const rows = 150
	path := s.file("orders", rows)
	first := s.work("--lease=5s")
	flags := []string{"submit", "--wait", "--rate=15", "--timeout=5s", "--doubt-wait=2s", path}
	waiting := s.command(flags...)
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	for s.must(0, "jobs", "list") == "" {
		time.Sleep(100 * time.Millisecond)
	}
	s.until("1", "begun", func(j job) bool { return j.State == "running" && j.Done > 10 })
	first.Process.Kill()
	waiting.Process.Kill()
	waiting.Wait()
	s.work("--lease=5s")
	if id := s.must(0, flags...); id != "1" {
		t.Errorf("job %s", id)
	}
	if n := len(s.accounts(filepath.Join(s.dir, "orders.results.csv"), "issued")); n != rows || len(s.api.Payments()) != rows {
		t.Errorf("%d accounts in the results, %d at the API", n, len(s.api.Payments()))
	}
}

// TestFrozen freezes the worker in the middle of a file until another has gone on with it: what wakes late sends nothing, and
// ends nothing.
func TestFrozen(t *testing.T) {
	s := newSite(t)
	const rows = 400
	path := s.file("orders", rows)
	first := s.work("--lease=5s")
	id := s.must(0, "submit", "--rate=15", "--timeout=5s", "--doubt-wait=2s", path)
	s.until(id, "begun", func(j job) bool { return j.Done > 10 })
	first.Process.Signal(syscall.SIGSTOP)
	stood := s.until(id, "begun", func(job) bool { return true }).Done
	s.work("--lease=5s")
	s.until(id, "gone on with", func(j job) bool { return j.Done > stood+20 })
	first.Process.Signal(syscall.SIGCONT)
	s.until(id, "done", func(j job) bool { return j.State == "done" })
	s.must(0, "jobs", "results", id)
	if n := len(s.accounts(filepath.Join(s.dir, "orders.results.csv"), "issued")); n != rows || len(s.api.Payments()) != rows {
		t.Errorf("%d accounts in the results, %d at the API", n, len(s.api.Payments()))
	}
}

// TestCancel ends a job in the middle of its file, and one that has not begun.
func TestCancel(t *testing.T) {
	s := newSite(t)
	path, other := s.file("orders", 400), s.file("others", 3)
	s.work()
	id := s.must(0, "submit", "--rate=15", path)
	second := s.must(0, "submit", other)
	s.must(0, "jobs", "cancel", second)
	if j := s.show(second); j.State != "cancelled" || *j.Exit != 5 {
		t.Errorf("%+v", j)
	}
	for _, args := range [][]string{{"submit", other}, {"submit", "--wait", other}} { // attached to
		if exit, _, errs := s.run(args...); exit != 5 || !strings.Contains(errs, "job "+second+": cancelled\nhint: nothing was sent") {
			t.Errorf("%v: exit status %d\n%s", args, exit, errs)
		}
	}
	s.until(id, "begun", func(j job) bool { return j.Done > 5 })
	s.must(0, "jobs", "cancel", id)
	j := s.until(id, "cancelled", func(j job) bool { return j.State == "cancelled" })
	if *j.Exit != 5 || j.Done == 0 || j.Done >= 400 {
		t.Errorf("%+v", j)
	}
	s.must(0, "jobs", "results", id)
	if n := len(s.accounts(filepath.Join(s.dir, "orders.results.csv"), "issued", "not_sent")); n == 0 || n != len(s.api.Payments()) {
		t.Errorf("%d accounts in the results, %d at the API", n, len(s.api.Payments()))
	}
	s.must(5, "submit", "--wait", "--rate=15", path) // attached to
}

// TestMerchants has the files of several merchants run side by side, by a host that has their credentials; one that has none leaves
// them alone.
func TestMerchants(t *testing.T) {
	s := newSite(t)
	names := []string{"hanbit", "sae-tbyeol", "dal"}
	folder := filepath.Join(s.dir, "merchants")
	for _, name := range names[:2] {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"key", "secret"} {
			if err := os.WriteFile(filepath.Join(folder, name, file), []byte(file+" of "+name+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	lacking := s.work("--merchants=2")
	var ids []string
	for _, name := range names {
		ids = append(ids, s.must(0, "submit", "--rate=20", "--merchant", name, s.file(name, 300)))
	}
	s.until(ids[0], "lacking its credentials", func(j job) bool { return j.Lacking && j.State == "queued" })
	if n := len(s.api.Payments()); n != 0 {
		t.Errorf("%d accounts", n)
	}
	lacking.Process.Signal(os.Interrupt)
	lacking.Wait()
	s.env = append(s.env, "IMP_KEY_DAL=key of dal", "IMP_SECRET_DAL=secret of dal")
	s.work("--credentials", folder)
	for _, id := range ids {
		s.until(id, "done", func(j job) bool { return j.State == "done" })
	}
	if first, second := s.show(ids[0]), s.show(ids[1]); first.Started > second.Ended || second.Started > first.Ended {
		t.Errorf("one file ran from %s to %s, the other from %s to %s", first.Started, first.Ended, second.Started, second.Ended)
	}
	for i, name := range names {
		s.must(0, "jobs", "results", ids[i])
		if n := len(s.accounts(filepath.Join(s.dir, name+".results.csv"), "issued")); n != 300 {
			t.Errorf("%s: %d accounts", name, n)
		}
	}
	dump, err := exec.Command("pg_dump", s.address).Output()
	if err != nil || !strings.Contains(string(dump), "sae-tbyeol") {
		t.Errorf("pg_dump: %v", err)
	}
	for _, text := range []string{"key of", "secret of"} {
		if strings.Contains(string(dump), text) {
			t.Errorf("the database has a %q", text)
		}
	}
}

// TestFewConnections has a worker whose merchants want more connections than the database has.
func TestFewConnections(t *testing.T) {
	t.Parallel()
	s := siteOn(t, ledgertest.Start(t, "fsync=off", "max_connections=20"), sandbox.Config{})
	const merchants, rows = 8, 50
	ids := s.submit("", merchants, rows, "--rate=20")
	s.work("--merchants=8")
	s.ended(merchants)
	for m, id := range ids {
		s.must(0, "jobs", "results", id)
		if n := len(s.accounts(filepath.Join(s.dir, fmt.Sprintf("m%d.results.csv", m)), "issued")); n != rows {
			t.Errorf("%d accounts", n)
		}
	}
}

// TestOthersKey has a worker whose credentials of the same name are another merchant's, and such a host submit the same file.
func TestOthersKey(t *testing.T) {
	s := newSite(t)
	path := s.file("orders", 3)
	id := s.must(0, "submit", path)
	s.env = append(s.env, "IMP_KEY=another", "IMP_SECRET=another")
	if exit, out, errs := s.run("submit", path); exit != 2 || out != "" || !strings.Contains(errs, "--merchant") {
		t.Errorf("exit status %d, job %q\n%s", exit, out, errs)
	}
	s.work()
	s.until(id, "left alone", func(j job) bool { return j.Lacking })
	if n := len(s.api.Payments()); n != 0 {
		t.Errorf("%d accounts", n)
	}
}

// TestWrongClock has a worker do what a host whose clock is an hour ahead has queued for then, and what such a host has stored and
// not queued.
func TestWrongClock(t *testing.T) {
	s := newSite(t)
	ids := s.submit("", 2, 3)
	s.psql(`UPDATE river_job SET state = 'available', scheduled_at = scheduled_at + interval '1 hour'`)
	s.psql(`UPDATE jobs SET submitted_at = submitted_at + 3600000000, turn = 0, seen_at = 0 WHERE id = ` + ids[1])
	s.work("--lease=3s")
	s.ended(len(ids))
}

// TestUntilAgain has a job that was stopped by --until yesterday asked for again: today's is meant now.
func TestUntilAgain(t *testing.T) {
	s := newSite(t)
	flags := []string{"submit", "--until", time.Now().Add(2 * time.Hour).In(input.KST).Format("15:04"), s.file("orders", 3)}
	id := s.must(0, flags...)
	s.psql(`UPDATE jobs SET submitted_at = submitted_at - 86400000000`)
	s.work()
	s.until(id, "stopped", func(j job) bool { return j.State == "stopped" })
	if again := s.must(0, append(flags, "--wait")...); again != id {
		t.Errorf("job %s", again)
	}
}

// hopeless runs a worker in this process that takes so long to find that it cannot do a job, until the job is over. It returns how
// often the job was tried.
func (s *site) hopeless(id string, takes time.Duration, fault error, state string) int64 {
	s.Helper()
	q, err := queue.Open(s.Context(), s.address, slog.New(slog.DiscardHandler))
	if err != nil {
		s.Fatal(err)
	}
	var tries atomic.Int64
	w := &queue.Worker{Queue: q, Merchants: 2, Keep: time.Hour, Log: slog.New(slog.DiscardHandler), Lapse: time.Second,
		Task: func(context.Context, *ledger.Job) (*queue.Task, error) {
			tries.Add(1)
			time.Sleep(takes)
			return nil, fault
		},
		End: func(_ *report.Facts, err error) (int, error) { return 5, err },
	}
	ctx, stop := context.WithCancel(s.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	s.until(id, state, func(j job) bool { return j.State == state })
	stop()
	if err := errors.Join(<-ended, q.Close()); err != nil {
		s.Error(err)
	}
	return tries.Load()
}

var errHopeless = errors.New("no host can do it")

// TestSlowToBegin has a worker that takes long before it has a job's lease: it is at the job, and nobody else comes to it.
func TestSlowToBegin(t *testing.T) {
	s := newSite(t)
	id := s.must(0, "submit", s.file("orders", 3))
	if n := s.hopeless(id, 4*time.Second, errHopeless, "refused"); n != 1 {
		t.Errorf("it was tried %d times", n)
	}
}

// TestRefusedLater has a job that another host has sent rows of taken over by one that cannot do it: that nothing was sent is not said.
func TestRefusedLater(t *testing.T) {
	s := newSite(t)
	id := s.must(0, "submit", "--rate=15", s.file("orders", 400))
	first := s.work()
	s.until(id, "begun", func(j job) bool { return j.Done > 60 })
	first.Process.Kill()
	s.hopeless(id, 0, errHopeless, "stopped")
	if run := s.psql(`SELECT run FROM jobs`); run != "1" {
		t.Errorf("the job's run is %s", run)
	}
	s.known(id)
}

// known looks at the results of a job that was begun by a worker which died, and ended by one that could not go on with it: they have
// what the ledger knows.
func (s *site) known(id string) {
	s.Helper()
	s.must(0, "jobs", "results", id)
	if n, made := len(s.accounts(filepath.Join(s.dir, "orders.results.csv"), "issued", "unknown", "not_sent")), len(s.api.Payments()); n == 0 || n > made || n < made-16 {
		s.Errorf("%d accounts in the results, %d at the API, of which 16 were perhaps not recorded", n, made)
	}
}

// TestCancelWithoutKey ends a job that was begun with a key that nobody has any more: it would keep back the merchant's other files.
func TestCancelWithoutKey(t *testing.T) {
	s := newSite(t)
	id := s.must(0, "submit", "--rate=15", s.file("orders", 400))
	first := s.work()
	s.until(id, "begun", func(j job) bool { return j.Done > 5 })
	first.Process.Kill()
	s.must(0, "jobs", "cancel", id)
	s.hopeless(id, 0, queue.ErrNoCredentials, "cancelled")
	s.known(id)
}

// TestKeep has the files of a job removed once its results were fetched. What an earlier end of it has left is not
// among them.
func TestKeep(t *testing.T) {
	s := newSite(t)
	id, other := s.must(0, "submit", s.file("orders", 3)), s.must(0, "submit", s.file("others", 3))
	s.psql(`INSERT INTO job_files (job, kind, piece, name, bytes) VALUES (` + id + `, '.failed.csv', 0, 'orders.failed.csv', '')`)
	s.work()
	s.until(other, "done", func(j job) bool { return j.State == "done" })
	s.must(0, "jobs", "results", id)
	files := []string{"orders.results.csv", "orders.results.xlsx", "orders.summary.json"}
	if j := s.show(id); !slices.Equal(j.Files, files) {
		t.Errorf("%+v", j)
	}
	s.work("--keep=0s")
	s.until(id, "without files", func(j job) bool { return len(j.Files) == 0 })
	s.must(1, "jobs", "results", id)
	s.must(0, "jobs", "results", other) // which nobody had fetched
}

// TestFolders has a worker remove the folder of one that was killed, and keep its own.
func TestFolders(t *testing.T) {
	s := newSite(t)
	old := time.Now().Add(-48 * time.Hour)
	age := func(path string) {
		t.Helper()
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	left := filepath.Join(s.dir, "vbankbatch-job-left")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	age(left)
	s.work("--lease=4s")
	id := s.must(0, "submit", "--rate=15", s.file("orders", 400))
	s.until(id, "begun", func(j job) bool { return j.Done > 0 })
	folders, err := filepath.Glob(filepath.Join(s.dir, "vbankbatch-job-*"))
	if err != nil || len(folders) != 1 || folders[0] == left {
		t.Fatal(folders, err)
	}
	age(folders[0])
	time.Sleep(3 * time.Second)
	if info, err := os.Stat(folders[0]); err != nil || info.ModTime().Before(old.Add(time.Hour)) {
		t.Errorf("the folder of a run under way may be removed: %v, %v", info, err)
	}
	s.must(0, "jobs", "cancel", id)
}

// TestWarnings has whatever goes on for long tell at its start what is wrong with the database, and a job that the ledger is a copy.
func TestWarnings(t *testing.T) {
	s := newSite(t)
	says := func(path, text string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if log, err := os.ReadFile(path); err == nil && strings.Contains(string(log), text) {
				return
			}
		}
		t.Errorf("%s does not say: %s", filepath.Base(path), text)
	}
	folder := filepath.Join(s.dir, "in")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"work": {}, "serve": {"--listen=127.0.0.1:0"}, "run": {folder}} {
		path := filepath.Join(s.dir, name)
		log, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		process := s.command(append([]string{name}, args...)...)
		process.Stderr = log
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			process.Process.Signal(os.Interrupt)
			process.Wait()
			log.Close()
		})
		says(path, "warning: the database's fsync is off")
	}
	s.psql(`UPDATE ledger_schema SET restored = true`) // of the folder's run
	s.must(0, "submit", "--wait", s.file("orders", 3))
	says(filepath.Join(s.dir, "work"), "the ledger's database is a copy or was restored")
}

// TestTwoKeysOfNoName: files of two merchants without a name, each of an IMP_KEY of its own, do not wait for each other.
func TestTwoKeysOfNoName(t *testing.T) {
	s := newSite(t)
	key := s.env
	s.env = append(key[:len(key):len(key)], "IMP_KEY=another", "IMP_SECRET=another") // no worker has it today
	s.must(0, "submit", s.file("theirs", 3))
	s.env = key
	id := s.must(0, "submit", s.file("ours", 3))
	s.work()
	s.until(id, "done", func(j job) bool { return j.State == "done" })
}
