package batch_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
	"vbankbatch/report"
)

// history is what TestModelOfHistories draws: two files that share orders, what is done with them, and how the API misbehaves
// meanwhile.
type history struct {
	workers int
	leaves  bool           // orders that another host may have sent are left in doubt
	asks    bool           // orders that the ledger does not know are asked for
	others  map[string]int // won of accounts that another program has made
	files   [2]modelFile
	steps   []step
	faults  map[string][]sandbox.Fault // of the first, second, … request of a kind: "issue A-1", "change A-1", "look A-1", "list"
}

// modelFile is a file, and how its lines of one order are taken: input.Options.Items. An {A-1} in it stands for the account that the
// order has at the API when it is read.
type modelFile struct{ name, text, items string }

func (f modelFile) String() string {
	return fmt.Sprintf("%s, items %q: %s", f.name, f.items, strings.ReplaceAll(f.text, "\n", " | "))
}

// step is one thing that is done: with one of the files, or to the ledger.
type step struct {
	what  string
	file  int
	part  bool          // of its rows only those of one branch
	at    int           // the point at which a run ends, or which copy of the ledger is restored
	after bool          // see life; or another run follows that of the other host
	other int           // the file that another host runs meanwhile
	thaws time.Duration // after which the host that stood still goes on
	edit  modelFile
}

func (s step) String() string {
	return fmt.Sprintf("%s file %d (part %v, at %d, after %v, other %d, thaws after %s) %s", s.what, s.file, s.part, s.at, s.after, s.other, s.thaws, s.edit)
}

// Times of a history. A late effect and a stale look-up together are over before the doubt wait is.
const (
	modelDoubtWait = 30 * time.Second
	modelCommitBy  = 15 * time.Second
	modelStaleBy   = 10 * time.Second
	frozenFor      = 10 * time.Minute // longer than all waits
	modelLife      = time.Minute      // of a request
)

var modelOrders = []string{"A-1", "A-2", "A-3", "A-4"}

func drawHistory(t *rapid.T) history {
	h := history{workers: rapid.IntRange(1, 3).Draw(t, "workers"), asks: rapid.IntRange(0, 4).Draw(t, "asks") > 0,
		leaves: rapid.IntRange(0, 9).Draw(t, "leaves") == 0, others: make(map[string]int), faults: make(map[string][]sandbox.Fault)}
	uids := modelOrders[:rapid.IntRange(1, 4).Draw(t, "orders")]
	won := rapid.SampledFrom([]int{1000, 2000, 3000})

	// No program can be sure of two things at once: lists that leave out accounts which its ledger does not know, or an
	// account that was made although its issue was refused, and that is not shown yet.
	short, stale := rapid.Bool().Draw(t, "short lists"), rapid.Bool().Draw(t, "stale look-ups")
	broken := []sandbox.Fault{"", "", sandbox.DropBefore, sandbox.ErrorBefore, sandbox.BadGatewayBefore, sandbox.TooMany, sandbox.Unauthorized, sandbox.CutJSON}
	with := func(more ...sandbox.Fault) []sandbox.Fault { return append(slices.Clone(broken), more...) }
	doubts := with(sandbox.DropAfter, sandbox.Late, sandbox.CommitLate, sandbox.ErrorAfter, sandbox.BadGatewayAfter, sandbox.WrongOrder,
		sandbox.Refuse, busy, sandbox.Lying(302), sandbox.Lying(408))
	denials := slices.Clone(doubts)
	for _, status := range []int{200, 401, 403, 404, 409, 429} {
		if h.asks { // else a refusal is believed
			denials = append(denials, sandbox.Lying(status))
		}
	}
	lists, looks, issues := with(sandbox.WrongOrder, sandbox.Stale), broken, denials
	if short {
		lists = append(lists, sandbox.ShortList, sandbox.PartList, sandbox.EmptyList, sandbox.Lying(404))
	}
	if stale {
		looks, issues = with(sandbox.Stale), doubts
	}
	meets := func(name string, faults []sandbox.Fault, most int) {
		h.faults[name] = rapid.SliceOfN(rapid.SampledFrom(faults), 0, most).Draw(t, name)
	}
	meets("list", lists, 3)
	for _, uid := range uids {
		if h.asks && !short && rapid.IntRange(0, 9).Draw(t, "other") == 0 {
			h.others[uid] = won.Draw(t, "others")
		}
		meets("issue "+uid, issues, 2)
		meets("change "+uid, denials, 2)
		meets("look "+uid, looks, 2)
	}

	file := func() modelFile {
		f := modelFile{name: "orders.csv", text: modelHeader + "B-1,1000,issue,본점,\n", items: rapid.SampledFrom([]string{"", "", input.ItemsSame, input.ItemsSum}).Draw(t, "items")}
		for _, uid := range uids {
			for range rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2}).Draw(t, "lines") {
				action := rapid.SampledFrom([]string{"issue", "issue", "issue", "update", "revoke"}).Draw(t, uid)
				amount := ""
				if action != "revoke" {
					amount = fmt.Sprint(won.Draw(t, "won"))
				}
				order, account := uid, ""
				if action != "issue" && rapid.IntRange(0, 2).Draw(t, "by account") == 0 {
					order, account = rapid.SampledFrom([]string{"", uid}).Draw(t, "order too"), "{"+uid+"}"
				}
				f.text += fmt.Sprintf("%s,%s,%s,%s,%s\n", order, amount, action, rapid.SampledFrom([]string{"본점", "분점"}).Draw(t, "branch"), account)
			}
		}
		return f
	}
	h.files = [2]modelFile{file(), file()}
	steps := []string{"run", "run", "run", "die", "die", "freeze", "stop", "edit", "feed back", "feed back the failed", "reconcile", "purge", "wait"}
	if !short {
		steps = append(steps, "settle")
	}
	if !short && h.asks {
		steps = append(steps, "lose the ledger", "restore the ledger")
	}
	if *inDatabase {
		steps = append(steps, "take over", "take over")
	}
	for range rapid.IntRange(1, 8).Draw(t, "steps") {
		s := step{what: rapid.SampledFrom(steps).Draw(t, "what"), file: rapid.IntRange(0, 1).Draw(t, "file"), part: rapid.IntRange(0, 3).Draw(t, "part") == 0}
		switch s.what {
		case "take over":
			s.other = rapid.SampledFrom([]int{s.file, s.file, 1 - s.file}).Draw(t, "other file")
			s.thaws = rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second, 50 * time.Second, 50 * time.Second, frozenFor}).Draw(t, "thaws")
			s.at, s.after = rapid.IntRange(1, 4).Draw(t, "at"), rapid.Bool().Draw(t, "another behind it")
		case "die", "freeze", "stop", "restore the ledger", "settle":
			s.at, s.after = rapid.IntRange(1, 20).Draw(t, "at"), rapid.Bool().Draw(t, "after")
		case "edit":
			s.edit = file()
		}
		h.steps = append(h.steps, s)
	}
	return h
}

const modelHeader = "주문번호,금액,action,지점,imp_uid\n"

// frost is the way to the API of a process that is stopped at its at-th request, and goes on after a while. What it was
// about to write is on its way then, whatever has run out meanwhile; only a request's life after it lost its lease nothing is
// written any more.
type frost struct {
	http.RoundTripper
	ice    chan struct{} // held while nothing moves
	at     int           // requests until then; with acts only those that issue or change something
	acts   bool
	stood  bool          // still
	thaws  time.Duration // after that
	frozen chan struct{} // closed then
	lost   atomic.Bool   // another process has the lease
}

func (f *frost) RoundTrip(r *http.Request) (*http.Response, error) {
	f.ice <- struct{}{}
	if !f.acts || r.Method != http.MethodGet && r.URL.Path != "/users/getToken" {
		f.at--
	}
	checked := f.at == 0 && !f.stood // before the process stood still
	f.stood = f.stood || checked
	if checked {
		close(f.frozen)
		time.Sleep(f.thaws)
	}
	<-f.ice
	switch {
	case f.lost.Load() && !(checked && f.thaws < modelLife):
		return nil, client.ErrGateClosed
	case r.Context().Err() == nil:
		return f.RoundTripper.RoundTrip(r)
	}
	httptrace.ContextClientTrace(r.Context()).WroteHeaders()
	go func() {
		time.Sleep(modelCommitBy)
		if response, err := f.RoundTripper.RoundTrip(r.WithContext(context.WithoutCancel(r.Context()))); err == nil {
			response.Body.Close()
		}
	}()
	return nil, r.Context().Err()
}

// Open and Wait are the lease's, by the clock of the process.
func (f *frost) Open() bool { return !f.lost.Load() }

func (f *frost) Wait(context.Context) error {
	if f.lost.Load() {
		return ledger.ErrLeaseLost
	}
	return nil
}

// frozenLedger stands still with its process.
type frozenLedger struct {
	batch.Ledger
	ice chan struct{}
}

func (l frozenLedger) thawed() {
	l.ice <- struct{}{}
	<-l.ice
}

func (l frozenLedger) Intend(ctx context.Context, entries ...ledger.Entry) error {
	l.thawed()
	return l.Ledger.Intend(ctx, entries...)
}

func (l frozenLedger) RecordOutcome(ctx context.Context, outcomes ...ledger.Outcome) error {
	l.thawed()
	return l.Ledger.RecordOutcome(ctx, outcomes...)
}

func (l frozenLedger) Record(ctx context.Context, entries ...ledger.Entry) error {
	l.thawed()
	return l.Ledger.Record(ctx, entries...)
}

func (l frozenLedger) RecordBatched(ctx context.Context, entries ...ledger.Entry) error {
	l.thawed()
	return l.Ledger.RecordBatched(ctx, entries...)
}

// TestModelOfHistories draws histories and holds what comes of them against what must always be so; see simulation.check.
func TestModelOfHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt)
		found := ""
		synctest.Test(t, func(t *testing.T) { found = h.simulate(t) })
		if found != "" {
			rt.Fatal(found)
		}
	})
}

// simulation is a history under way.
type simulation struct {
	*world
	files    [2]modelFile
	results  [2]modelFile // of the last run of each that could write some
	failed   [2]modelFile // the rows that failed of it, if any
	others   map[string]bool
	makers   map[string]string // the runs that made accounts, or were there when one was made that was asked for before
	restores bool              // the ledger, some time
	backups  []string          // of the ledger, before each step

	mu     sync.Mutex
	faults map[string][]sandbox.Fault
	wrong  []string // what must not be
}

func (h history) simulate(t *testing.T) string {
	time.Sleep(time.Until(time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC))) // due dates of the year 2000 are refused
	s := &simulation{others: make(map[string]bool), makers: make(map[string]string)}
	api, err := sandbox.New(sandbox.Config{Fault: s.fault,
		Faults: sandbox.Faults{LateBy: 2 * time.Minute, CommitBy: modelCommitBy, StaleBy: modelStaleBy}})
	if err != nil {
		return err.Error()
	}
	defer api.Close()
	s.world = &world{t: t, api: api, ledger: filepath.Join(t.TempDir(), "ledger.db"),
		opts: batch.Options{Workers: h.workers, DoubtWait: modelDoubtWait, SettleTime: time.Minute, RemoteCheck: h.asks, LeaveDoubts: h.leaves}}
	s.connect(0, 0)
	for uid, won := range h.others {
		s.others[string(s.other(uid, int64(won)).ImpUID)] = true
	}
	time.Sleep(frozenFor)
	s.files, s.faults = h.files, h.faults
	s.restores = slices.ContainsFunc(h.steps, func(s step) bool { return s.what == "restore the ledger" })
	for i, step := range h.steps {
		s.do(t, step)
		if s.wrong != nil {
			return fmt.Sprintf("after step %d, %s:\n%s", i, step, strings.Join(s.wrong, "\n"))
		}
	}
	s.mu.Lock()
	s.faults = nil
	s.mu.Unlock()
	time.Sleep(frozenFor) // late effects come
	s.connect(0, 0)
	s.opts.LeaveDoubts = false
	s.reconcile()
	for i := range s.files {
		if err := s.runFile(t, step{file: i}, &life{left: -1}, 0); err != nil {
			s.complain("the last run of file %d: %v", i, err)
		}
		if s.wrong != nil {
			return fmt.Sprintf("at the end, file %d:\n%s", i, strings.Join(s.wrong, "\n"))
		}
	}
	return ""
}

func (s *simulation) complain(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// connect starts another process's client, which stands still at a request.
func (s *simulation) connect(at int, thaws time.Duration) *frost {
	f := &frost{RoundTripper: s.api.Transport(), ice: make(chan struct{}, 1), at: at, thaws: thaws, frozen: make(chan struct{})}
	c, err := client.New(client.Config{Key: "k", Secret: "s", Workers: s.opts.Workers + 1, Timeout: modelLife, Through: f, Gate: f})
	if err != nil {
		s.t.Fatal(err)
	}
	s.client = c
	return f
}

// fault takes the next fault of the request's kind and order.
func (s *simulation) fault(r *http.Request, id string, _ int) sandbox.Fault {
	kind := map[string]string{"POST": "issue ", "PUT": "change ", "DELETE": "change ", "GET": "look "}[r.Method] + id
	if r.URL.Path == "/payments" {
		kind = "list"
	} else if strings.HasPrefix(id, "imp_") {
		for _, p := range s.api.Payments() {
			if p.ImpUID == id {
				kind = strings.Replace(kind, id, p.MerchantUID, 1)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.faults[kind]
	if len(list) == 0 {
		return ""
	}
	s.faults[kind] = list[1:]
	return list[0]
}

func (s *simulation) do(t *testing.T, step step) {
	s.connect(0, 0)
	if s.restores {
		s.book().Close() // it leaves one file, with everything in it
		s.backups = append(s.backups, s.save())
	}
	switch step.what {
	case "run":
		s.runFile(t, step, &life{left: -1}, 0)
	case "die":
		s.died = true
		s.runFile(t, step, &life{left: step.at, after: step.after}, 0)
	case "freeze":
		s.connect(step.at, frozenFor)
		s.died = true
		s.runFile(t, step, &life{left: -1}, 0)
	case "stop":
		s.runFile(t, step, &life{left: -1}, time.Duration(step.at*step.at)*time.Second/4)
	case "take over":
		s.takeOver(t, step)
	case "edit":
		s.files[step.file] = step.edit
	case "feed back":
		s.feedBack(step.file, s.results[step.file])
	case "feed back the failed":
		s.feedBack(step.file, s.failed[step.file])
	case "reconcile":
		s.reconcile()
	case "wait":
		time.Sleep(20 * time.Hour) // so that intents are old
	case "settle":
		s.settle(step.after)
	case "purge":
		time.Sleep(30 * 24 * time.Hour)
		book := s.book()
		defer book.Close()
		if _, err := book.Purge(t.Context(), time.Now(), time.Now()); err != nil && !errors.Is(err, ledger.ErrHasStrays) {
			s.complain("purge: %v", err)
		}
	case "lose the ledger":
		time.Sleep(frozenFor) // not while something is on its way: nobody would know of it
		s.restore("")
	case "restore the ledger":
		time.Sleep(frozenFor)
		s.restore(s.backups[step.at%len(s.backups)])
	}
}

// feedBack puts what a run has written in the place of its file.
func (s *simulation) feedBack(i int, written modelFile) {
	if written.text != "" {
		written.items = s.files[i].items
		s.files[i] = written
	}
}

// takeOver has a host stand still at a request, and another take its lease and run a file. The first goes on, perhaps while
// the other still runs.
func (s *simulation) takeOver(t *testing.T, step step) {
	p, book, lease := s.plan(t, step), s.book(), s.lease
	way := s.connect(step.at, step.thaws)
	way.acts = true // with their intents durable
	done := make(chan struct{})
	go func(c *client.Client, options batch.Options) {
		defer close(done)
		batch.Run(context.Background(), p, c, frozenLedger{book, way.ice}, options)
	}(s.client, s.opts)
	select {
	case <-way.frozen:
		s.lease = nil
		databases.server.Psql(s.t, databases.names[s.ledger], "UPDATE leases SET until = '-infinity'")
		way.lost.Store(true)
		s.connect(0, 0)
		step.file = step.other
		s.runFile(t, step, &life{left: -1}, 0)
		if step.after {
			step.file = 1 - step.file
			s.connect(0, 0)
			s.runFile(t, step, &life{left: -1}, 0)
		}
		<-done
		if err := lease.Release(); err != nil {
			s.complain("%v", err)
		}
	case <-done:
	}
	book.Close()
	s.atMostOne()
}

func (s *simulation) reconcile() {
	book := s.book()
	defer book.Close()
	batch.Reconcile(s.t.Context(), s.client, book, modelDoubtWait, s.opts.LeaveDoubts, func(batch.Settled) {})
	s.atMostOne()
}

// shown are the accounts that the API has for the orders, the last of each.
func (s *simulation) shown() map[string]string {
	shown := make(map[string]string)
	for _, p := range s.api.Payments() {
		shown[p.MerchantUID] = p.ImpUID
	}
	return shown
}

// settle has a person say of every order that is in doubt that it has the account that the API shows last, or none.
func (s *simulation) settle(none bool) {
	shown := s.shown()
	book := s.book()
	defer book.Close()
	for _, uid := range modelOrders {
		v := batch.Verdict{Order: ledger.Order{MerchantUID: uid}, ImpUID: shown[uid], By: "kim", Why: "asked", At: time.Now()}
		if none {
			v.ImpUID = ""
		}
		batch.Settle(s.t.Context(), s.client, book, modelDoubtWait, v)
	}
	s.atMostOne()
}

// plan reads the step's file.
func (s *simulation) plan(t *testing.T, step step) *batch.Plan {
	f := s.files[step.file]
	options := input.Options{Items: f.items}
	if step.part {
		options.Where = []input.Where{{Header: "지점", Value: "본점"}}
	}
	text, shown := f.text, s.shown()
	for _, uid := range modelOrders {
		text = strings.ReplaceAll(text, "{"+uid+"}", cmp.Or(shown[uid], "imp_of_nobody"))
	}
	return planFile(t, f.name, text, options)
}

// runFile runs the step's file in a process of its own, which may die, or be told to stop after a while, and checks what its
// results say.
func (s *simulation) runFile(t *testing.T, step step, end *life, stop time.Duration) error {
	p := s.plan(t, step)
	book := s.book()
	defer book.Close()
	s.opts.Audit = new(batch.Audit)
	ctx := context.Background()
	if stop > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, stop)
		defer cancel()
	}
	mortal, before := end.left >= 0, len(s.api.Payments())
	found, ended := batch.Run(ctx, p, mortalAPI{s.client, end}, mortalLedger{book, end}, s.opts)
	s.atMostOne()
	name := p.Digest() + p.Settings()
	for _, made := range s.api.Payments()[before:] {
		s.makers[made.ImpUID] = name
	}
	if found.ID == 0 || mortal && end.left == 0 {
		return ended
	}
	out := filepath.Join(t.TempDir(), "orders.results.csv")
	results, err := report.Create(out, nil, report.Options{})
	if err = errors.Join(err, results.Header(p)); err != nil {
		t.Fatal(err)
	}
	defer results.Close()
	err = batch.Results(context.Background(), p, book, found.ID, func(row *input.Row, r *batch.Result) error {
		s.check(row, r, ran{name, s.files[step.file].text, before, found.Continued, ended == nil && s.opts.Audit.Err == nil})
		return results.Write(row, r)
	})
	if err = errors.Join(err, results.Commit()); err != nil {
		t.Fatal(err)
	}
	failed, _ := results.Failed()
	s.results[step.file], s.failed[step.file] = written(t, out), written(t, failed)
	if ended == nil {
		if err := book.Finish(context.Background(), found.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return ended
}

// written is a file that a run has written, and nothing without a path.
func written(t *testing.T, path string) modelFile {
	if path == "" {
		return modelFile{}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return modelFile{name: filepath.Base(path), text: string(text)}
}

// atMostOne sees that no order has two accounts that can be paid into.
func (s *simulation) atMostOne() {
	live := make(map[string][]string)
	for _, p := range s.api.Payments() {
		if p.Status == client.StatusReady {
			live[p.MerchantUID] = append(live[p.MerchantUID], p.ImpUID)
		}
	}
	for uid, list := range live {
		if len(list) > 1 {
			s.complain("%s has %d accounts: %v", uid, len(list), list)
		}
	}
}

// ran is a run whose results are being checked.
type ran struct {
	name      string
	text      string // of its file
	before    int    // accounts there were when this process began it
	continued bool   // another process did, and another file's run may have changed since what that one did
	audited   bool   // it reached its end, and the audit could look at everything
}

// once reports whether one line alone names the result's order or account.
func (of *ran) once(r *batch.Result) bool {
	n := 0
	for line := range strings.Lines(of.text) {
		if strings.Contains(line, r.MerchantUID) || strings.Contains(line, r.ImpUID) {
			n++
		}
	}
	return n == 1
}

// check holds a result against the API: what it tells is so, and it names every account that was made for its order.
func (s *simulation) check(row *input.Row, r *batch.Result, of ran) {
	payments := s.api.Payments()
	wrong := func(text string) {
		s.complain("%s %s %s %s %d won: %s: %s\n  at the API: %s", r.MerchantUID, r.Status, r.ErrorCode, r.ImpUID, r.Amount, r.ErrorMessage, text, told(payments, r.MerchantUID))
	}
	i := slices.IndexFunc(payments, func(p sandbox.Payment) bool { return p.ImpUID == r.ImpUID })
	known := i >= 0 && payments[i].MerchantUID == r.MerchantUID
	switch r.Status {
	case batch.Issued, batch.AlreadyIssued, batch.Updated, batch.Unchanged, batch.Revoked:
		revoked := r.Status == batch.Revoked || row.Action == input.Revoke
		switch {
		case !known:
			wrong("there is no such account")
		case !of.once(r) || r.VbankDue < time.Now().Unix(): // contradicted by another line, or no account that can be paid into
		case revoked != (payments[i].Status == client.StatusFailed) && (!of.continued || row.Action == input.Issue):
			wrong("it is " + payments[i].Status)
		case !revoked && payments[i].Amount != r.Amount && !of.continued:
			wrong("its amount is another")
		}
	case batch.Unknown, batch.Skipped, batch.Invalid:
		return
	case batch.Rejected, batch.NotSent:
		if !of.audited {
			return
		}
	}
	for i, p := range payments {
		old := r.Status == batch.NotSent && i < of.before || // of this run alone it says that nothing was done
			r.Status == batch.Rejected && of.continued && s.makers[p.ImpUID] != of.name // by its earlier process
		if row.Action == input.Issue && p.MerchantUID == r.MerchantUID && p.Status == client.StatusReady && !old && !s.others[p.ImpUID] &&
			p.ImpUID != r.ImpUID && !strings.Contains(r.ErrorMessage.String(), p.ImpUID) {
			wrong("it does not name " + p.ImpUID)
		}
	}
}

// told lists an order's payments.
func told(payments []sandbox.Payment, uid string) string {
	var list []string
	for _, p := range payments {
		if p.MerchantUID == uid {
			list = append(list, fmt.Sprintf("%s %s %d won", p.ImpUID, p.Status, p.Amount))
		}
	}
	return strings.Join(list, ", ")
}
