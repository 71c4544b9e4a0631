package command

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

// merchant is what the merchant flags lead to: the credentials, the ledger's place, and the sandbox if asked for.
type merchant struct {
	client.Credentials
	name   string // in the ledger
	url    string
	ledger string               // a file, or the address of a database
	lease  *ledger.Lease        // of a database, once it is locked
	state  string               // the sandbox's
	served string               // the sandbox's address, where it is served for as long as the process lives
	learnt func() client.Learnt // by the file before; nil for the first
}

func (f *merchantFlags) find(ctx context.Context) (*merchant, error) {
	m, err := f.where()
	if err != nil {
		return nil, err
	}
	return m, f.identify(ctx, m)
}

// where finds the API and the ledger, which needs no credentials but the sandbox's.
func (f *merchantFlags) where() (*merchant, error) {
	address, err := client.Address(f.APIURL)
	if err != nil {
		return nil, usage("", "--api-url: %w", err)
	}
	place, err := f.ledgerPlace()
	if err != nil {
		return nil, err
	}
	m := &merchant{url: address, ledger: place}
	if m.ledger == "" {
		home, err := os.UserHomeDir()
		state := os.Getenv("XDG_STATE_HOME")
		if state == "" && err != nil {
			return nil, usage("set HOME, or give --ledger", "there is no place for the ledger")
		}
		name := map[bool]string{false: "ledger.db", true: "sandbox.db"}[f.Sandbox]
		m.ledger = filepath.Join(cmp.Or(state, filepath.Join(home, ".local", "state")), "vbankbatch", name)
	}
	if f.Sandbox {
		if address != client.DefaultURL {
			return nil, usage("leave one of them out", "--sandbox and --api-url say different things")
		}
		m.Key, m.Secret, m.PGAPIKeys.Any = "sandbox", "sandbox", "sandbox"
		m.url, m.state = "sandbox", m.ledger+".sandbox.jsonl"
		if ledger.IsDatabase(m.ledger) { // then several hosts would have a sandbox each
			return nil, usage("serve one with vbankbatch sandbox, and name it with --api-url", "--sandbox keeps its accounts beside a ledger in a file, and --ledger names a database")
		}
	}
	return m, nil
}

// ledgerPlace is where the flag or the environment says that the ledger is, "" where neither does.
func (f *merchantFlags) ledgerPlace() (string, error) {
	place, file := f.Ledger, os.Getenv(ledgerFile)
	if place == "" && file != "" {
		var err error
		if place, err = client.ReadSecret(context.Background(), file); err != nil {
			return "", usage("", "%s: %w", ledgerFile, err)
		}
		if place == "" {
			return "", usage("", "%s: %s is empty", ledgerFile, file)
		}
	}
	if !ledger.IsDatabase(place) {
		if scheme, _, ok := strings.Cut(place, "://"); ok { // the rest may hold a password
			return "", usage("name a file, or a database as postgres://user@host/database", "--ledger: a ledger is not kept at %s://", scheme)
		}
		return place, nil
	}
	if ledger.HasPassword(place) && place == f.Ledger && place != os.Getenv(variable("ledger")) {
		return "", usage("put it into ~/.pgpass, PGPASSWORD or VBANKBATCH_LEDGER, or the whole address into the file that VBANKBATCH_LEDGER_FILE names", "--ledger holds a password, which every user of this machine can read there")
	}
	return place, nil
}

// ledgerFile names a file that has the ledger's address.
const ledgerFile = "VBANKBATCH_LEDGER_FILE"

// identify reads the credentials, which make the merchant's name in the ledger.
func (f *merchantFlags) identify(ctx context.Context, m *merchant) (err error) {
	if m.state == "" {
		if m.Credentials, err = f.credentials(ctx); err != nil {
			return &failure{say.Errorf("%w", err), exitUsage, toRead(err)}
		}
		if err := m.Complete(); err != nil {
			return usage("set them, or name files that hold them in IMP_KEY_FILE and IMP_SECRET_FILE; --sandbox needs none", "%w", err)
		}
	}
	m.name = ledger.Merchant(m.url, string(m.Key))
	return nil
}

// credentials reads the environment once, whatever comes of it: a pipe tells its secret only once.
func (f *merchantFlags) credentials(ctx context.Context) (client.Credentials, error) {
	if f.secrets == nil {
		f.secrets = sync.OnceValues(func() (client.Credentials, error) { return client.Environment(ctx) })
	}
	return f.secrets()
}

// live reports whether what is sent moves money.
func (m *merchant) live() bool { return m.state == "" && !client.Loopback(m.url) }

// books are the files of the ledger and of the sandbox.
func (m *merchant) books() []string {
	if ledger.IsDatabase(m.ledger) {
		return nil
	}
	return []string{m.ledger, m.ledger + "-wal", m.ledger + "-shm", m.ledger + ".lock", m.state}
}

// place finds whose orders a file holds and where everything about them goes. The run is told as soon as it is known that
// nothing is written over something else: what is refused after that is told there.
func place(ctx context.Context, file, profile string, whose *merchantFlags, out *outputFlags, told *report.Run) (*merchant, error) {
	m, err := whose.where()
	if err != nil {
		return nil, err
	}
	results := resultsOf(file, out.Out)
	if err := distinct([]string{file, profile}, m.books(), out.paths(results)); err != nil {
		return nil, err
	}
	told.API, told.Files = m.url, out.files(results, ledger.Name(m.ledger))
	if err := replaceable(out.paths(results)); err != nil {
		return nil, err
	}
	if out.HTML && results == "-" {
		return nil, usage("name a file with --out", "the page stands in a file beside the results, and standard output has nothing beside it")
	}
	return m, whose.identify(ctx, m)
}

// replaceable refuses to write where something stands that is no file of a run's.
func replaceable(written []string) error {
	for _, path := range written {
		if path == "-" {
			continue
		}
		if err := report.Replaceable(path); err != nil {
			return usage("look what it is, then remove it, or give --out or --metrics another name", "%w", err)
		}
	}
	return nil
}

// book opens the ledger, once it has been found sound.
func (m *merchant) book(a *app) (book *ledger.Ledger, err error) {
	if m.lease != nil {
		book, err = m.lease.Ledger(a.ctx)
		return book, m.ledgerFails(a.ctx, err)
	}
	if !a.sound && !ledger.IsDatabase(m.ledger) {
		err = ledger.Check(a.ctx, m.ledger)
		a.sound = err == nil
	}
	if err == nil {
		book, err = ledger.Open(m.ledger, m.name)
	}
	return book, m.ledgerFails(a.ctx, err)
}

// ledgerFails is how a command ends over a ledger that cannot be opened or locked; nil without an error.
func (m *merchant) ledgerFails(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ledger.ErrLocked):
		return &failure{say.Errorf("%w: %s", err, ledger.Name(m.ledger)), exitLocked, say.NewMessage("wait for it to end, here with --lock-wait 10m")}
	case errors.Is(err, ledger.ErrUnreachable):
		return &failure{say.Errorf("%s: %w", ledger.Name(m.ledger), err), exitStopped, say.NewMessage("nothing was sent; look at the database and the network, then run the same command again")}
	}
	return usage(ledgerHint(err), "the ledger: %w", err)
}

// ledgerHint is what to do about a ledger that cannot be opened. Whoever takes another in its place gives up what keeps an
// order from a second account, so that is no advice.
func ledgerHint(err error) string {
	switch {
	case errors.Is(err, ledger.ErrNewer):
		return say.Mark("nothing was sent; use the newer program: another ledger would not know which orders have their account")
	case ledger.Damaged(err):
		return say.Mark("nothing was sent; put a good copy in its place, and the log beside it (-wal) out of the way: another ledger would not know which orders have their account")
	case errors.Is(err, ledger.ErrOlder):
		return say.Mark("nothing is lost; vbankbatch reconcile brings it up to date")
	case errors.Is(err, ledger.ErrLinked):
		return say.Mark("nothing was sent; remove the other names (find -samefile shows them); if one has a -wal file beside it, that is the name to keep")
	case ledger.Refuses(err):
		return say.Mark("nothing was sent; look at the address, the user, its password (~/.pgpass, PGPASSWORD) and its rights in the database")
	case errors.Is(err, ledger.ErrMounted):
		return say.Mark("nothing was sent; mount the folder that the ledger is in")
	}
	return say.Mark("nothing was sent; name a place that can be written with --ledger")
}

// lock takes the ledger's lock and brings it up to date, once the request flags have been found good; run over a folder has it already.
func (m *merchant) lock(ctx context.Context, f *requestFlags) (unlock func() error, err error) {
	if err := f.check(m); err != nil {
		return nil, err
	}
	if f.held != nil {
		m.lease = f.held.lease
		return func() error { return nil }, nil
	}
	if ledger.IsDatabase(m.ledger) {
		m.lease, err = ledger.Claim(ctx, m.ledger, m.name, ledger.Terms{Wait: f.LockWait, Life: f.Timeout, Patience: f.Patience, Time: f.Lease})
		if err != nil {
			return nil, m.ledgerFails(ctx, err)
		}
		return m.lease.Release, nil
	}
	unlock, err = ledger.Hold(ctx, m.ledger, f.LockWait)
	return unlock, m.ledgerFails(ctx, err)
}

// warnings are what is said of a database at the start.
func (m *merchant) warnings() []say.Message {
	if m.lease == nil {
		return nil
	}
	told := m.lease.Warnings
	if m.lease.Restored {
		told = append(told, say.NewMessage("the ledger's database is a copy or was restored: orders that it does not know are looked up even with --no-remote-check"))
	}
	return told
}

// warn prints warnings.
func (a *app) warn(told []say.Message) {
	for _, warning := range told {
		a.stderr.Printf("warning: %v\n", warning)
	}
}

// exists refuses a ledger that is not there.
func (m *merchant) exists() error {
	if ledger.IsDatabase(m.ledger) {
		return nil // its errors say so
	}
	if _, err := os.Stat(m.ledger); errors.Is(err, fs.ErrNotExist) {
		return usage(noLedgerHint, "there is no ledger at %s: %w", m.ledger, fs.ErrNotExist)
	}
	return nil
}

// existing is locked for a command that has nothing to do without a ledger: it makes none.
func (m *merchant) existing(a *app, f *requestFlags) (*ledger.Ledger, func() error, error) {
	if err := m.exists(); err != nil {
		return nil, nil, err
	}
	return m.locked(a, f)
}

// locked opens the ledger for a command that changes it.
func (m *merchant) locked(a *app, f *requestFlags) (*ledger.Ledger, func() error, error) {
	unlock, err := m.lock(a.ctx, f)
	if err != nil {
		return nil, nil, err
	}
	book, err := m.book(a)
	if err != nil {
		return nil, nil, errors.Join(err, unlock())
	}
	if f.held == nil {
		a.warn(m.warnings())
	}
	return book, func() error { return errors.Join(book.Close(), unlock()) }, nil
}

// connect makes the client, with the sandbox behind it if asked for, and sees that the credentials are good. The
// caller calls close, also after an error.
func (m *merchant) connect(a *app, f *requestFlags, perSecond float64, log *slog.Logger) (api *client.Client, close func() error, err error) {
	api, close, err = m.client(a, f, perSecond, log)
	if err != nil {
		return nil, close, err
	}
	if err := m.authenticate(a, api); err != nil {
		return nil, close, err
	}
	if off := api.ServerTime().Sub(a.now()).Round(time.Second); off.Abs() > wrongClock {
		log.Warn("this machine's clock differs from the API's; due dates such as +7d go by this machine's", "by", off)
	}
	return api, close, nil
}

// client makes the client of connect.
func (m *merchant) client(a *app, f *requestFlags, perSecond float64, log *slog.Logger) (api *client.Client, close func() error, err error) {
	close = func() error { return nil }
	address := cmp.Or(m.served, m.url)
	if m.state != "" && m.served == "" {
		if address, close, err = a.serve(m); err != nil {
			return nil, close, err
		}
	}
	config := client.Config{BaseURL: address, Key: m.Key, Secret: m.Secret, Log: log, Outage: a.outage,
		Rate: perSecond, Workers: f.Workers + 1 /* rows, and the look-up ahead of them */, Timeout: f.Timeout, Patience: f.Patience}
	if m.lease != nil {
		config.Gate, config.Learnt = m.lease, client.Learnt{Rate: m.lease.Rate, Resume: m.lease.Resume}
	}
	if m.learnt != nil {
		config.Learnt = m.learnt()
	}
	api, err = client.New(config)
	if err != nil {
		return nil, close, usage("", "--api-url: %w", err)
	}
	end := close
	close = func() error {
		api.Close()
		return end()
	}
	m.learnt = api.Learnt
	if m.lease != nil {
		m.lease.Learn(func() (float64, time.Time) { l := api.Learnt(); return l.Rate, l.Resume })
	}
	return api, close, nil
}

// authenticate sees that the credentials are good.
func (m *merchant) authenticate(a *app, api *client.Client) error {
	err := api.Authenticate(a.ctx)
	if err == nil {
		return nil
	}
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	return m.advised(cmp.Or(batch.EndsRun(err), err), say.NewMessage("nothing was sent"))
}

// advised gives an error that ended a run a hint: what there is to say of every run, and what to look at.
func (m *merchant) advised(err error, hint say.Message) error {
	stop, stopped := errors.AsType[*batch.StopError](err)
	switch {
	case !stopped:
	case stop.Code == batch.CodeUnauthorized && len(m.Places) > 0:
		hint = say.Messagef("%s; the credentials came from %s, and the PortOne console has the right ones: 결제 연동 > 식별코드·API Keys", hint, strings.Join(m.Places, ", "))
	case stop.Code == batch.CodeAPIUnreachable && m.state == "":
		if fault, ok := errors.AsType[*client.Error](err); ok && !fault.Since.IsZero() {
			hint = say.Messagef("%s; %s has not answered since %s: look at the network and the address", hint, m.way(), fault.Since.In(input.KST).Format(time.DateTime))
		} else {
			hint = say.Messagef("%s; %s did not answer: look at the network and the address", hint, m.way())
		}
	case stop.Code == batch.CodeAllRefused:
		hint = say.NewMessage("look at the reason first: the rows that are left would be refused like these; when it is gone run the .failed.csv, then the same command for the rest")
	case stop.TriesAgain():
		hint = say.Messagef("look at the reason first (vbankbatch explain %s); when it is gone the same command sends the refused rows again, and the rest", stop.Code)
	}
	return &failure{err, exitStopped, hint}
}

// way is the API's address, and the proxy on the way there.
func (m *merchant) way() say.Message {
	if proxy, err := client.Proxy(m.url); err == nil && proxy != "" {
		return say.Messagef("%s, by the proxy %s", m.url, proxy)
	}
	return say.Message(m.url)
}

// wrongClock is how far the two clocks may be apart without a word about it.
const wrongClock = 5 * time.Minute

// serve runs the sandbox in this process until it is closed.
func (a *app) serve(m *merchant) (address string, close func() error, err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.ctx))
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- sandbox.Serve(ctx, "127.0.0.1:0", sandbox.Config{State: m.state, Clock: a.now}, func(url string) { ready <- url })
	}()
	select {
	case address = <-ready:
		return address, func() error { cancel(); return <-ended }, nil
	case err := <-ended:
		cancel()
		return "", func() error { return nil }, usage("", "the sandbox: %w", err)
	}
}
