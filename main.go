// Command vbankbatch issues, updates and revokes Korean virtual bank accounts for a CSV of orders through the PortOne
// V1 API. README.md tells how to use it and how to read its source; this file is the command line alone.
package main

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/sandbox"
	"vbankbatch/report"
)

// What is printed where: results to their file, what a program may read to standard output, everything else to
// standard error, in lower case and without a full stop, first "error:", then "hint:".

// Exit statuses.
const (
	exitDone    = 0 // every row done
	exitFailed  = 1 // finished, some rows not done
	exitUsage   = 2 // command line or configuration
	exitInput   = 3 // input refused, nothing sent
	exitUnknown = 4 // some rows are unknown
	exitStopped = 5 // stopped early
	exitLocked  = 6 // another run holds the lock
	exitSignal  = 128
)

type commands struct {
	Run       runCommand       `cmd:"" help:"Issue, update or revoke an account for every row of a file."`
	Check     checkCommand     `cmd:"" help:"Read and check a file as run would. Sends nothing and needs no credentials."`
	Report    reportCommand    `cmd:"" help:"Write the results of a file's last run again, from the ledger."`
	Reconcile reconcileCommand `cmd:"" help:"Ask the API what came of every order in doubt. Issues nothing."`
	Banks     banksCommand     `cmd:"" help:"Print the bank codes of a PG, or of all."`
	Sandbox   sandboxCommand   `cmd:"" help:"Serve the API's sandbox on this machine."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// inputFlags say how a file is read.
type inputFlags struct {
	File       string            `arg:"" help:"The CSV of orders; - is standard input."`
	Map        map[string]string `placeholder:"FIELD=HEADER" mapsep:"none" help:"Which column is which field."`
	Set        map[string]string `placeholder:"FIELD=VALUE" mapsep:"none" help:"A field's value for rows that have none."`
	Due        string            `placeholder:"DATE|+7d" help:"vbank_due for rows that have none."`
	Holder     string            `help:"vbank_holder for rows that have none."`
	Bank       string            `help:"vbank_code for rows that have none."`
	PG         string            `name:"pg" help:"pg for rows that have none: nice, nice.MID, inicis.MID, …"`
	ChannelKey string            `help:"channel_key for rows that have none."`
	Tier       string            `help:"The Tier header, for rows of sub-merchants that name none."`
	Key        string            `placeholder:"TEMPLATE" help:"Order numbers made of columns: '{동}-{호}-202611'."`
	Where      []string          `placeholder:"HEADER=VALUE" sep:"none" help:"Only the rows in which this holds; repeatable."`
	DueYear    int               `placeholder:"YEAR" help:"The year of due dates that have none, such as 12월 10일."`
	Encoding   string            `placeholder:"NAME" enum:",auto,utf-8,cp949,utf-16le,utf-16be" default:"" help:"utf-8, cp949, utf-16le or utf-16be; by default the bytes tell."`
	Delimiter  string            `placeholder:"NAME" help:"comma, tab, semicolon, pipe or the character itself; by default the header tells."`
	Profile    string            `placeholder:"FILE" help:"A file that keeps all these, written by check --save-profile. Flags go before it."`

	takeBack bool // run --revoke
}

// merchantFlags say whose orders these are, and where what is known of them is kept.
type merchantFlags struct {
	Sandbox bool   `help:"Use the sandbox in this process, with a ledger of its own. Needs no credentials."`
	APIURL  string `name:"api-url" default:"https://api.iamport.kr" help:"The API's address; plain http only to this machine."`
	Ledger  string `placeholder:"FILE" help:"The ledger. Default: $XDG_STATE_HOME/vbankbatch/ledger.db."`
}

// requestFlags say how the API is called.
type requestFlags struct {
	Rate      *float64      `placeholder:"N" help:"HTTP requests a second, all together; fractions allowed, 0 for no limit. Default: the profile's, or 10."`
	Workers   int           `default:"8" help:"Rows in flight."`
	Timeout   time.Duration `default:"60s" help:"For one request, and for settling rows in doubt after a signal."`
	DoubtWait time.Duration `default:"30s" help:"How long after a lost request 'not found' is not believed."`
	Patience  time.Duration `default:"5m" help:"How long to wait for an API that is down."`
	LockWait  time.Duration `default:"0s" help:"Wait so long for another run's lock."`
}

// logFlags say what is told on standard error.
type logFlags struct {
	Quiet     bool   `help:"Only errors."`
	LogFormat string `enum:"text,json" default:"text" help:"text or json."`
	LogLevel  string `enum:"debug,info,warn,error" default:"warn" help:"debug tells of every request."`
}

func main() {
	// Little is alive at any time: a few MB more buy a fifth of the processor's time, but for a million rows and more.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(112 << 20)
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, time.Now))
}

// app is what every command is given.
type app struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time // for due dates; everything else goes by the real clock

	mu     sync.Mutex
	status func() string // one line for StatusSignal
	reload func()        // for ReloadSignal
}

// tell has what asks for the command's status answered from now on.
func (a *app) tell(status func() string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status = status
}

func (a *app) onReload(reload func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reload = reload
}

// watch handles signals until it is done: one for a line about the command, one to read the profile again (where
// nobody does that it ends the command, as those do that are meant to).
func (a *app) watch(signals <-chan os.Signal, done <-chan struct{}, hangUp bool, end func(syscall.Signal)) {
	for {
		var s os.Signal
		select {
		case s = <-signals:
		case <-done:
			return
		}
		a.mu.Lock()
		status, reload := a.status, a.reload
		a.mu.Unlock()
		switch {
		case s == report.StatusSignal && status != nil:
			fmt.Fprintln(a.stderr, "status:", status())
		case s == report.StatusSignal:
			fmt.Fprintln(a.stderr, "status: nothing to tell yet")
		case s == report.ReloadSignal && reload != nil:
			reload()
		case s == report.ReloadSignal && !hangUp: // nohup
		default:
			end(s.(syscall.Signal))
		}
	}
}

// failure is an error with its exit status and a hint.
type failure struct {
	error
	exit int
	hint string
}

func (f *failure) Unwrap() error { return f.error }

func usage(hint, format string, values ...any) error {
	return &failure{fmt.Errorf(format, values...), exitUsage, hint}
}

// rowsNotDone is how a command ends that did its work and has nothing more to say: the results tell the rest.
type rowsNotDone int // the exit status

func (rowsNotDone) Error() string { return "some rows were not done" }

// also adds what failed at the end to how a command ended; rows that were not done are told by the results.
func also(err, last error) error {
	if _, ok := err.(rowsNotDone); ok && last != nil {
		return last
	}
	return cmp.Or(err, last)
}

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ syscall.Signal }

func (i interrupted) Error() string { return "stopped by " + i.String() }

// run parses the command line, carries the command out and returns the exit status. The first SIGINT or SIGTERM ends
// the context; the second one leaves at once.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, now func() time.Time) (status int) {
	type helped struct{}
	defer func() { // kong calls Exit after --help, and would go on if it returned
		if r := recover(); r != nil {
			if _, ok := r.(helped); !ok {
				panic(r)
			}
			status = exitDone
		}
	}()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	a := &app{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, now: now}
	signals := make(chan os.Signal, 1)
	hangUp := report.ReloadSignal != nil && !signal.Ignored(report.ReloadSignal)
	ending := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	listened := ending
	if report.StatusSignal != nil {
		listened = append(listened, report.StatusSignal, report.ReloadSignal)
	}
	signal.Notify(signals, listened...)
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go a.watch(signals, done, hangUp, func(s syscall.Signal) {
		signal.Reset(ending...)
		cancel(interrupted{s})
	})

	parser, err := kong.New(new(commands), kong.Name("vbankbatch"), kong.Writers(stdout, stderr), kong.Resolvers(environment{}),
		kong.Description(description), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(int) { panic(helped{}) }))
	if err != nil {
		panic(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		err = &failure{err, exitUsage, "vbankbatch --help, or vbankbatch COMMAND --help"}
	} else {
		err = command.Run(a)
	}
	return exitStatus(err, stderr)
}

// exitStatus prints an error with its hint and turns it into an exit status.
func exitStatus(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	if rows, ok := errors.AsType[rowsNotDone](err); ok {
		return int(rows)
	}
	status, hint := exitStopped, "run the same command again to go on"
	if signal, ok := errors.AsType[interrupted](err); ok {
		status = exitSignal + int(signal.Signal)
	} else if f, ok := errors.AsType[*failure](err); ok {
		status, hint = f.exit, f.hint
	} else if file, ok := errors.AsType[*input.Error](err); ok {
		status, hint = exitInput, file.Hint
	}
	fmt.Fprintln(stderr, "error:", err)
	if hint != "" {
		fmt.Fprintln(stderr, "hint:", hint)
	}
	return status
}

const description = `Issues Korean virtual bank accounts for a CSV of orders through the PortOne V1 API, one order one account.

Every flag can also be set in the environment: --doubt-wait as VBANKBATCH_DOUBT_WAIT. Credentials are read from
IMP_KEY, IMP_SECRET and, for KG Inicis, IMP_PG_API_KEY, or from the files that IMP_KEY_FILE and so on name.

  vbankbatch check orders.csv
  vbankbatch run --sandbox orders.csv
  vbankbatch run --due +7d --holder 한빛상사 orders.csv`

// environment gives a flag the value of its variable; one that is empty counts as not set.
type environment struct{}

func (environment) Validate(*kong.Application) error { return nil }

func (environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value := os.Getenv("VBANKBATCH_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")))
	if value == "" || flag.Name == "help" || flag.Name == "revoke" { // that must be typed
		return nil, nil
	}
	return value, nil
}

// log returns the logger that the flags ask for. It is given neither names nor numbers of people or accounts.
func (f *logFlags) log(stderr io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		panic(err) // the flag's enum has let it through
	}
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(stderr, options))
	}
	return slog.New(slog.NewTextHandler(stderr, options))
}

// profile reads the profile that the flags name, if any.
func (f *inputFlags) profile() (kept input.Profile, err error) {
	if f.Profile != "" {
		if kept, err = input.ReadProfile(f.Profile); err != nil {
			err = usage("vbankbatch check --save-profile FILE writes one", "--profile: %w", err)
		}
	}
	return kept, err
}

// options turns the flags, and the profile behind them, into what package input takes.
func (f *inputFlags) options(kept input.Profile, now time.Time) (input.Options, error) {
	flags := input.Profile{Encoding: f.Encoding, Delimiter: f.Delimiter, Key: f.Key, Where: f.Where, DueYear: f.DueYear, Map: f.Map, Set: map[string]string{}}
	for field, value := range map[string]string{"vbank_due": f.Due, "vbank_holder": f.Holder, "vbank_code": f.Bank, "pg": f.PG, "channel_key": f.ChannelKey, "tier": f.Tier} {
		if value != "" {
			flags.Set[field] = value
		}
	}
	for field, value := range f.Set {
		if flags.Set[field] != "" && flags.Set[field] != value {
			return input.Options{}, usage("give it once", "--set %s and the flag of its own disagree", field)
		}
		flags.Set[field] = value
	}
	o, err := kept.With(flags).Options(now)
	if err != nil {
		return o, usage("", "%w", err)
	}
	return o, nil
}

// open reads and checks the file; the caller closes the plan's File. What the profile tells of the merchant goes to m,
// which may be nil, and what m knows to the checks.
func (f *inputFlags) open(a *app, m *merchant) (*batch.Plan, error) {
	kept, err := f.profile()
	if err != nil {
		return nil, err
	}
	options, err := f.options(kept, a.now())
	if err != nil {
		return nil, err
	}
	options.Revoke = f.takeBack
	if m != nil {
		if err := m.PGAPIKeys.Find(kept.PGAPIKeys); err != nil && m.state == "" { // the sandbox takes any
			return nil, usage("", "--profile: %w", err)
		}
		options.HasKey = func(pgAndMID string) bool {
			_, mid, _ := pg.Name(pgAndMID)
			return m.PGAPIKeys.For(mid) != ""
		}
	}
	file, err := input.Open(f.File, a.stdin)
	if err != nil {
		return nil, err
	}
	plan, err := batch.Preflight(a.ctx, file, options)
	if err == nil {
		err = file.Settled(a.ctx)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return plan, nil
}

// out is the path of the results: FILE without its ending and .results.csv, standard output for standard input.
func (f *inputFlags) out(asked string) string {
	if asked != "" || f.File == "-" {
		return cmp.Or(asked, "-")
	}
	name := strings.TrimSuffix(f.File, ".gz")
	return strings.TrimSuffix(name, filepath.Ext(name)) + ".results.csv"
}

// merchant is what the merchant flags lead to: the credentials, the ledger's place, and the sandbox if asked for.
type merchant struct {
	client.Credentials
	name   string // in the ledger
	url    string
	ledger string
	state  string // the sandbox's
}

func (f *merchantFlags) find() (*merchant, error) {
	address, err := client.Address(f.APIURL)
	if err != nil {
		return nil, usage("", "--api-url: %w", err)
	}
	m := &merchant{url: address, ledger: f.Ledger}
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
	} else {
		if m.Credentials, err = client.Environment(); err != nil {
			return nil, usage("", "%w", err)
		}
		if err := m.Complete(); err != nil {
			return nil, usage("set them, or name files that hold them in IMP_KEY_FILE and IMP_SECRET_FILE; --sandbox needs none", "%w", err)
		}
	}
	m.name = ledger.Merchant(m.url, string(m.Key))
	return m, nil
}

// live reports whether what is sent moves money.
func (m *merchant) live() bool { return m.state == "" && !client.Loopback(m.url) }

// check refuses figures that make no sense, and a doubt wait that would make second accounts.
func (f *requestFlags) check(m *merchant) error {
	if m.live() && f.DoubtWait < 5*time.Second {
		return usage("an account may appear seconds after its connection broke; leave it at 30s", "--doubt-wait under 5s would have 'not found' believed too soon")
	}
	if f.Workers < 1 || f.Timeout <= 0 || f.DoubtWait < 0 || f.Patience < 0 || f.LockWait < 0 {
		return usage("leave them out", "--workers, --timeout, --doubt-wait, --patience and --lock-wait must be positive")
	}
	return nil
}

// rate is what the flag says, or the profile, or 10 requests a second.
func (f *requestFlags) rate(kept input.Profile) (float64, error) {
	perSecond := 10.0
	if perSecond = *cmp.Or(f.Rate, kept.Rate, &perSecond); !(perSecond >= 0 && perSecond <= math.MaxInt32) {
		return 0, usage("fractions are allowed, and 0 means no limit", "the rate must be 0 or more requests a second, not %v", perSecond)
	}
	return perSecond, nil
}

// place finds whose orders a file holds and where everything about them goes.
func place(in *inputFlags, whose *merchantFlags, out string) (m *merchant, results string, err error) {
	if m, err = whose.find(); err != nil {
		return nil, "", err
	}
	results = in.out(out)
	return m, results, distinct(in.File, results, m.ledger)
}

// book opens the ledger.
func (m *merchant) book() (*ledger.Ledger, error) {
	book, err := ledger.Open(m.ledger, m.name)
	if err != nil {
		return nil, usage("nothing was sent; name a place that can be written with --ledger", "the ledger: %w", err)
	}
	return book, nil
}

// locked opens the ledger for a command that changes it, once the request flags have been found good.
func (m *merchant) locked(ctx context.Context, f *requestFlags) (*ledger.Ledger, func() error, error) {
	if err := f.check(m); err != nil {
		return nil, nil, err
	}
	unlock, err := ledger.Lock(ctx, m.ledger, f.LockWait)
	if err != nil && ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if errors.Is(err, ledger.ErrLocked) {
		return nil, nil, &failure{fmt.Errorf("%w: %s", err, m.ledger), exitLocked, "wait for it to end, here with --lock-wait 10m"}
	}
	if err != nil {
		return nil, nil, usage("nothing was sent; name a place that can be written with --ledger", "the ledger: %w", err)
	}
	book, err := m.book()
	if err != nil {
		return nil, nil, errors.Join(err, unlock())
	}
	return book, func() error { return errors.Join(book.Close(), unlock()) }, nil
}

// connect makes the client, with the sandbox behind it if asked for, and sees that the credentials are good. The
// caller calls close, also after an error.
func (m *merchant) connect(a *app, f *requestFlags, kept input.Profile, log *slog.Logger) (api *client.Client, close func() error, err error) {
	close = func() error { return nil }
	perSecond, err := f.rate(kept)
	if err != nil {
		return nil, close, err
	}
	address := m.url
	if m.state != "" {
		if address, close, err = a.serve(m); err != nil {
			return nil, close, err
		}
	}
	api, err = client.New(client.Config{BaseURL: address, Key: m.Key, Secret: m.Secret, Log: log,
		Rate: perSecond, Workers: f.Workers + 1 /* rows, and the look-up ahead of them */, Timeout: f.Timeout, Patience: f.Patience})
	if err != nil {
		return nil, close, usage("", "--api-url: %w", err)
	}
	if err := api.Authenticate(a.ctx); err != nil {
		if a.ctx.Err() != nil {
			return nil, close, context.Cause(a.ctx)
		}
		return nil, close, &failure{cmp.Or(batch.EndsRun(err), err), exitStopped, "nothing was sent"}
	}
	if off := api.ServerTime().Sub(a.now()).Round(time.Second); off.Abs() > wrongClock {
		log.Warn("this machine's clock differs from the API's; due dates such as +7d go by this machine's", "by", off)
	}
	return api, close, nil
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

type runCommand struct {
	inputFlags    `embed:""`
	merchantFlags `embed:""`
	requestFlags  `embed:""`
	batch.Guards  `embed:""`
	logFlags      `embed:""`
	Out           string `placeholder:"FILE" help:"The results; - is standard output. Default: FILE without its ending + .results.csv."`
	RemoteCheck   bool   `default:"true" negatable:"" help:"Ask the API for orders that the ledger does not know, before issuing them."`
	Until         string `placeholder:"HH:MM" help:"Take no new rows from then on, by the API's clock, in Korea: 23:25, before the banks close."`
	MaxFailures   string `default:"100%" help:"Stop once this many rows, or this share after 100 rows, were refused by the API."`
	Revoke        bool   `help:"Take back what a results file says was issued: FILE is that file."`
	Yes           bool   `help:"Ask no question."`
}

func (runCommand) Help() string {
	return `Checks the whole file first, then issues (or updates, or revokes) an account for every row, and writes the results.
The same command again goes on where an interrupted run ended; after a finished one it sends nothing and repeats the accounts.

  vbankbatch run --sandbox testdata/orders.csv
  IMP_KEY_FILE=key IMP_SECRET_FILE=secret vbankbatch run --rate 5 --due +7d orders.csv`
}

// Run is the main job: everything that can be refused is refused first, then the file runs, then the results are
// written, whatever happened in between.
func (c *runCommand) Run(a *app) (err error) {
	started := time.Now()
	limit, err := batch.ParseLimit(c.MaxFailures)
	if err != nil {
		return usage("", "--max-failures: %w", err)
	}
	kept, err := c.profile()
	if err != nil {
		return err
	}
	if _, err := c.rate(kept); err != nil {
		return err
	}
	if _, err := nearest(c.Until, started); err != nil {
		return err
	}
	m, path, err := place(&c.inputFlags, &c.merchantFlags, c.Out)
	if err != nil {
		return err
	}
	book, release, err := m.locked(a.ctx, &c.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	c.takeBack = c.Revoke
	a.tell(func() string { return "checking " + c.File })
	plan, err := c.open(a, m)
	if err != nil {
		return err
	}
	defer plan.File.Close()
	var api *client.Client
	disconnect := func() error { return nil }
	defer func() { err = also(err, disconnect()) }()
	if plan.Channels > 0 && plan.Lacking == nil { // whose rules apply is for the API to say
		if api, disconnect, err = m.connect(a, &c.requestFlags, kept, c.log(a.stderr)); err != nil {
			return err
		}
		if plan, err = withChannels(a.ctx, plan, api); err != nil {
			return err
		}
	}
	if !c.Quiet {
		report.PrintPlan(a.stderr, plan)
	}
	if plan.Lacking != nil {
		return plan.Lacking
	}
	if err := c.Check(plan); err != nil {
		return &failure{err, exitInput, "nothing was sent; vbankbatch check shows the rows"}
	}
	results, err := report.Create(path, a.stdout, report.Options{})
	if err != nil {
		return usage("nothing was sent; name a place that can be written with --out", "the results: %w", err)
	}
	defer results.Close()
	if err := c.confirm(a, m, plan); err != nil {
		return err
	}
	if api == nil {
		if api, disconnect, err = m.connect(a, &c.requestFlags, kept, c.log(a.stderr)); err != nil {
			return err
		}
	}
	until, err := nearest(c.Until, api.ServerTime())
	if err != nil {
		return err
	}

	var counts batch.Counts
	running := time.Now()
	a.tell(func() string { return report.Status(plan.Rows, &counts, running, api.Requests()) })
	if c.Profile != "" {
		a.onReload(func() { c.reload(a, api) })
	}
	progress := report.ShowProgress(a.stderr, c.mode(a.stderr), plan.Rows, &counts)
	found, ended := batch.Run(a.ctx, plan, api, book, batch.Options{Workers: c.Workers, DoubtWait: c.DoubtWait, SettleTime: c.Timeout,
		RemoteCheck: c.RemoteCheck, MaxFailures: limit, Until: until, PGAPIKeys: m.PGAPIKeys, Counts: &counts})
	progress.Stop()
	a.tell(func() string { return "writing the results" })
	if found.ID == 0 {
		return ended
	}
	summary, err := writeResults(a, plan, book, found.ID, results)
	if err != nil {
		return errors.Join(ended, &failure{fmt.Errorf("the results could not be written: %w", err), exitStopped,
			"nothing is lost: vbankbatch report writes them again"})
	}
	stop, _ := errors.AsType[*batch.StopError](ended)
	if ended == nil || stop != nil && stop.TriesAgain() {
		if err := book.Finish(a.ctx, found.ID, time.Now()); err != nil {
			return err
		}
	}
	if !c.Quiet {
		summary.Print(a.stderr, &report.Effort{Ended: ended, Elapsed: time.Since(started), Requests: api.Requests(), Learnt: api.Learnt()})
		fmt.Fprintln(a.stderr, "results:", path)
	}
	return cmp.Or(ended, outcome(summary))
}

// reload takes the rate from the profile as it is now.
func (c *runCommand) reload(a *app, api *client.Client) {
	kept, err := c.profile()
	perSecond := 0.0
	if err == nil {
		perSecond, err = c.rate(kept)
	}
	switch {
	case err != nil:
		fmt.Fprintln(a.stderr, "the rate stays as it is:", err)
	case c.Rate != nil:
		fmt.Fprintln(a.stderr, "the rate stays as it is: --rate goes before the profile")
	default:
		api.SetRate(perSecond)
		fmt.Fprintf(a.stderr, "the rate is %v requests/s now\n", perSecond)
	}
}

// nearest is the moment closest to now at which it is HH:MM in Korea; the zero time for "".
func nearest(clock string, now time.Time) (time.Time, error) {
	if clock == "" {
		return time.Time{}, nil
	}
	hour, err := time.Parse("15:04", clock)
	if err != nil {
		return time.Time{}, usage("a time is told as 23:25", "--until: %q is no time of the day", clock)
	}
	year, month, day := now.In(input.KST).Date()
	at := time.Date(year, month, day, hour.Hour(), hour.Minute(), 0, 0, input.KST)
	switch off := at.Sub(now); {
	case off > 12*time.Hour:
		at = at.AddDate(0, 0, -1)
	case off < -12*time.Hour:
		at = at.AddDate(0, 0, 1)
	}
	return at, nil
}

// withChannels checks the file once more, with the PG of each channel_key as the API tells of it.
func withChannels(ctx context.Context, plan *batch.Plan, api *client.Client) (*batch.Plan, error) {
	channels, err := api.Channels(ctx)
	if err != nil {
		return nil, cmp.Or(batch.EndsRun(err), err)
	}
	options := plan.Options
	options.Channels = make(map[string]string)
	for _, c := range channels {
		options.Channels[string(c.ChannelKey)] = strings.TrimSuffix(string(c.PGProvider)+"."+string(c.PGID), ".")
	}
	return batch.Preflight(ctx, plan.File, options)
}

// mode is how progress is shown on w.
func (f *logFlags) mode(w io.Writer) report.Mode {
	switch {
	case f.Quiet:
		return report.Silent
	case terminal(w):
		return report.Bar
	}
	return report.Lines
}

// terminal reports whether a person sits at a stream.
func terminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// distinct refuses to write over the input or the ledger.
func distinct(in, out, ledger string) error {
	names := []string{"the input", "the results", "the ledger"}
	paths := []string{in, out, ledger}
	for _, path := range report.Paths(out, report.Options{})[1:] {
		names, paths = append(names, "what is written beside the results"), append(paths, path)
	}
	for i := range paths {
		for j := range i {
			if paths[i] != "-" && paths[j] != "-" && same(paths[i], paths[j]) {
				return usage("give --out or --ledger another name", "%s and %s are the same file: %s", names[j], names[i], paths[i])
			}
		}
	}
	return nil
}

func same(a, b string) bool {
	if infoA, err := os.Stat(a); err == nil {
		if infoB, err := os.Stat(b); err == nil {
			return os.SameFile(infoA, infoB)
		}
	}
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// confirm asks before anything is sent to the live API, if there is somebody to ask.
func (c *runCommand) confirm(a *app, m *merchant, plan *batch.Plan) error {
	if c.Yes || plan.ToDo() == 0 || !c.Revoke && (!m.live() || !terminal(a.stdin)) {
		return nil
	}
	if !terminal(a.stdin) {
		return usage("give --yes to take the accounts back without being asked", "there is nobody to ask whether %d accounts are to be revoked", plan.ToDo())
	}
	if c.Quiet || !terminal(a.stderr) {
		return usage("give --yes to go without asking", "nobody would see the question that is asked before anything is sent")
	}
	question := "send these to %s? [y/N] "
	if c.Revoke {
		question = "take these accounts back at %s? [y/N] "
	}
	fmt.Fprintf(a.stderr, question, m.url)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); err != nil || (answer != "y" && answer != "yes") {
		return &failure{errors.New("not confirmed"), exitInput, "nothing was sent"}
	}
	return nil
}

// writeResults joins the input with the ledger's outcomes. It is done even after a signal.
func writeResults(a *app, plan *batch.Plan, book batch.Known, run int64, results *report.Results) (*report.Summary, error) {
	summary := new(report.Summary)
	if err := results.Header(plan); err != nil {
		return nil, err
	}
	err := batch.Results(context.WithoutCancel(a.ctx), plan, book, run, func(row *input.Row, result *batch.Result) error {
		summary.Add(result)
		return results.Write(row.Cells, result)
	})
	if err != nil {
		return nil, err
	}
	return summary, results.Commit()
}

// outcome is the exit status of a run that reached its end.
func outcome(s *report.Summary) error {
	switch {
	case s.Statuses[batch.Unknown] > 0:
		return rowsNotDone(exitUnknown)
	case s.Failed() > 0:
		return rowsNotDone(exitFailed)
	}
	return nil
}

type checkCommand struct {
	inputFlags   `embed:""`
	batch.Guards `embed:""`
	Format       string `enum:"text,json,csv" default:"text" help:"text, json or csv."`
	SaveProfile  string `placeholder:"FILE" help:"Keep how the file is read in a new file, for --profile."`
}

func (checkCommand) Help() string {
	return `Prints what was understood, the control totals, and every problem of every row. Exit status 0: all rows are good,
1: some are not, 3: the file was refused.

  vbankbatch check --due +7d --holder 한빛상사 orders.csv
  vbankbatch check --map amount=합계 --due +7d --save-profile hanbit.toml orders.csv`
}

func (c *checkCommand) Run(a *app) error {
	plan, err := c.open(a, nil)
	if err != nil {
		return err
	}
	defer plan.File.Close()
	out := bufio.NewWriter(a.stdout)
	if err := cmp.Or(report.Check(a.ctx, out, plan, c.Format), out.Flush()); err != nil {
		return err
	}
	if plan.Lacking != nil {
		return plan.Lacking
	}
	if err := c.Check(plan); err != nil {
		return &failure{err, exitInput, ""}
	}
	if c.SaveProfile != "" {
		kept, err := c.profile() // for what is not about the file
		if err != nil {
			return err
		}
		profile := plan.Options.Profile(plan.Mapping)
		profile.PGAPIKeys = kept.PGAPIKeys
		if err := profile.Write(c.SaveProfile); err != nil {
			return usage("name a file that does not exist yet", "--save-profile: %w", err)
		}
		fmt.Fprintln(a.stderr, "profile:", c.SaveProfile)
	}
	if plan.Invalid > 0 {
		return rowsNotDone(exitFailed)
	}
	return nil
}

type reportCommand struct {
	inputFlags    `embed:""`
	merchantFlags `embed:""`
	logFlags      `embed:""`
	Out           string `placeholder:"FILE" help:"The results; - is standard output. Default: as run has it."`
}

func (reportCommand) Help() string {
	return `Writes the results of the newest run over the same bytes again, as the ledger knows them now. Give the flags of
that run that say how the file is read.

  vbankbatch report --sandbox testdata/orders.csv`
}

func (c *reportCommand) Run(a *app) (err error) {
	m, path, err := place(&c.inputFlags, &c.merchantFlags, c.Out)
	if err != nil {
		return err
	}
	plan, err := c.open(a, nil)
	if err != nil {
		return err
	}
	defer plan.File.Close()
	if plan.Lacking != nil {
		return plan.Lacking
	}
	if !c.Quiet {
		report.PrintPlan(a.stderr, plan)
	}
	book, err := m.book()
	if err != nil {
		return err
	}
	defer func() { err = also(err, book.Close()) }()
	found, err := book.LastRun(a.ctx, plan.Digest())
	if errors.Is(err, sql.ErrNoRows) {
		return &failure{fmt.Errorf("%s holds no run of this file", m.ledger), exitInput, "the file may have changed since, or the run had another --ledger, --api-url or key"}
	}
	if err != nil {
		return err
	}
	results, err := report.Create(path, a.stdout, report.Options{})
	if err != nil {
		return usage("", "the results: %w", err)
	}
	defer results.Close()
	summary, err := writeResults(a, plan, book, found.ID, results)
	if err != nil {
		return err
	}
	if !c.Quiet {
		fmt.Fprintf(a.stderr, "run of %s\n", found.Started.Format(time.DateTime))
		summary.Print(a.stderr, nil)
		fmt.Fprintln(a.stderr, "results:", path)
	}
	return outcome(summary)
}

type reconcileCommand struct {
	merchantFlags `embed:""`
	requestFlags  `embed:""`
	logFlags      `embed:""`
}

func (reconcileCommand) Help() string {
	return `For every order whose request may have reached the API without an answer: looks it up, takes its account into the
ledger, or frees it for the next run. Prints order, status, imp_uid and a note, separated by tabs.

  vbankbatch reconcile`
}

func (c *reconcileCommand) Run(a *app) (err error) {
	m, err := c.find()
	if err != nil {
		return err
	}
	book, release, err := m.locked(a.ctx, &c.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	api, disconnect, err := m.connect(a, &c.requestFlags, input.Profile{}, c.log(a.stderr))
	defer func() { err = also(err, disconnect()) }()
	if err != nil {
		return err
	}
	settled, unknown := 0, 0
	err = batch.Reconcile(a.ctx, api, book, c.DoubtWait, func(s batch.Settled) {
		settled++
		if s.Status == batch.Unknown {
			unknown++
		}
		fmt.Fprintf(a.stdout, "%s\t%s\t%s\t%s\n", s.Order.MerchantUID, s.Status, s.Order.ImpUID, s.Note)
	})
	if err != nil {
		return err
	}
	if !c.Quiet {
		fmt.Fprintf(a.stderr, "%d orders were in doubt, %d still are\n", settled, unknown)
	}
	if unknown > 0 {
		return rowsNotDone(exitUnknown)
	}
	return nil
}

type banksCommand struct {
	PG     string `name:"pg" help:"Only this PG's: nice, kcp, inicis, …"`
	Format string `enum:"text,json,csv" default:"text" help:"text, json or csv."`
}

func (banksCommand) Help() string {
	return `Prints the PG, the KFTC code, the PG's own code and the bank's name, separated by tabs. In a file the name or the KFTC code will do.

  vbankbatch banks --pg kcp`
}

func (c *banksCommand) Run(a *app) error {
	pgs := pg.PGs()
	if c.PG != "" {
		name, _, known := pg.Name(c.PG)
		if !known {
			return usage("one of "+strings.Join(pgs, " "), "no PG is called %q", c.PG)
		}
		pgs = []string{name}
	}
	return report.Banks(a.stdout, c.Format, pgs)
}

type sandboxCommand struct {
	Listen         string        `default:"127.0.0.1:8787" help:"Where to listen; port 0 takes any free one."`
	State          string        `placeholder:"FILE" help:"Keep the accounts in a file; by default they are gone at the end."`
	TokenLife      time.Duration `default:"30m" help:"How long a token lives."`
	DefaultPG      string        `name:"default-pg" default:"settle" help:"For requests that name no PG."`
	sandbox.Faults `embed:"" group:"Faults: shares from 0 to 1 of POST, PUT and DELETE /vbanks, unless it says otherwise"`
}

func (sandboxCommand) Help() string {
	return `Serves the API's sandbox until it is stopped, and prints its address. It takes any credentials, or only those in
IMP_KEY, IMP_SECRET and IMP_PG_API_KEY if they are set. GET /_sandbox/accounts lists the accounts it has made.

  vbankbatch sandbox --listen 127.0.0.1:8787 --drop-after 0.01
  IMP_KEY=any IMP_SECRET=any vbankbatch run --api-url http://127.0.0.1:8787 orders.csv`
}

func (c *sandboxCommand) Run(a *app) error {
	credentials, err := client.Environment()
	if err != nil {
		return usage("", "%w", err)
	}
	err = sandbox.Serve(a.ctx, c.Listen, sandbox.Config{
		Key: string(credentials.Key), Secret: string(credentials.Secret), PGAPIKey: string(credentials.PGAPIKeys.Any),
		State: c.State, TokenLife: c.TokenLife, DefaultPG: c.DefaultPG, Faults: c.Faults,
	}, func(url string) { fmt.Fprintln(a.stdout, url) })
	if err != nil {
		return usage("", "the sandbox: %w", err)
	}
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(a *app) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = fmt.Sprintf("%s, %s", info.Main.Version, info.GoVersion)
	}
	_, err := fmt.Fprintln(a.stdout, "vbankbatch", version)
	return err
}
