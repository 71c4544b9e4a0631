package command

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/report"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// inputFlags name a file and say how it is read.
type inputFlags struct {
	File      string `arg:"" help:"The orders, CSV or .xlsx; - is standard input."`
	readFlags `embed:""`
}

// readFlags say how a file is read.
type readFlags struct {
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
	DateOrder  string            `enum:",mdy,dmy,ymd" default:"" placeholder:"mdy|dmy|ymd" help:"How dates such as 01/02/2026 and 26.11.27 are read."`
	Unit       string            `placeholder:"UNIT" help:"What the amounts are counted in, whatever the file says: won, 천원, 만원, 백만원 or a number of won."`
	Items      string            `enum:",same,sum" default:"" placeholder:"same|sum" help:"Lines of one order that differ: each has the order's amount, or each its own."`
	Ignore     []string          `placeholder:"HEADER" sep:"none" help:"A column that is not read and says nothing of the others; repeatable."`
	FillDown   []string          `placeholder:"HEADER" sep:"none" help:"A column whose empty cells repeat the one above; repeatable."`
	Sheet      string            `placeholder:"NAME" help:"The sheet of a workbook; by default the only one that is shown and has a header."`
	Hidden     string            `enum:",skip,include" default:"" placeholder:"skip|include" help:"What becomes of a workbook's rows that are hidden or filtered out."`
	StopAt     string            `placeholder:"TEXT" help:"The rows end at the line that begins with this text."`
	PassOver   []string          `placeholder:"TEXT" sep:"none" help:"A line that begins with this text is no row; * stands for any text; repeatable."`
	Totals     string            `enum:",warn,none" default:"" placeholder:"warn|none" help:"Totals that differ from the rows only warn, or no line is a total."`
	Encoding   string            `placeholder:"NAME" enum:",auto,utf-8,cp949,utf-16le,utf-16be" default:"" help:"utf-8, cp949, utf-16le or utf-16be; by default the bytes tell."`
	Delimiter  string            `placeholder:"NAME" help:"comma, tab, semicolon, pipe or the character itself; by default the header tells."`
	MaxInput   string            `placeholder:"SIZE" default:"4GiB" help:"The largest input that is taken, unpacked: 500MB, 2GiB."`
	Profile    string            `placeholder:"FILE" help:"A file that keeps all these, written by check --save-profile. Flags go before it."`
}

// merchantFlags say whose orders these are, and where what is known of them is kept.
type merchantFlags struct {
	Sandbox bool   `help:"Use the sandbox in this process, with a ledger of its own. Needs no credentials."`
	APIURL  string `name:"api-url" default:"https://api.iamport.kr" help:"The API's address; plain http only to this machine."`
	Ledger  string `placeholder:"FILE|postgres://…" help:"The ledger: a file, or a PostgreSQL database for several hosts. Default: $XDG_STATE_HOME/vbankbatch/ledger.db."`

	secrets func() (client.Credentials, error) // see credentials
}

// requestFlags say how the API is called.
type requestFlags struct {
	Rate      *float64      `placeholder:"N" help:"HTTP requests a second, all together; fractions allowed, 0 for no limit. Default: the profile's, or 10."`
	Workers   int           `default:"8" help:"Rows in flight."`
	Timeout   time.Duration `default:"60s" help:"For one request, and for settling rows in doubt after a signal."`
	DoubtWait time.Duration `default:"30s" help:"How long after a lost request 'not found' is not believed; live, 60s at least together with --timeout."`
	Patience  time.Duration `default:"5m" help:"How long to wait for an API that is down."`
	LockWait  time.Duration `default:"0s" help:"Wait so long for another run's lock."`

	Lease time.Duration `hidden:"" default:"30s"` // how long a database's lease lasts without being renewed

	held *held // the ledger's lock, by run over a folder
}

// held is the lock of a ledger that a command holds for all that it does.
type held struct{ lease *ledger.Lease }

// logFlags say what is told on standard error.
type logFlags struct {
	Quiet     bool   `help:"Only errors."`
	LogFormat string `enum:"text,json" default:"text" help:"text or json: then every line on standard error is an object, errors and hints included."`
	LogLevel  string `placeholder:"LEVEL" enum:",debug,info,warn,error" default:"" help:"debug, info, warn or error; debug tells of every request. Default: warn, or info with --log-format json and without --quiet."`

	id string // see logID
}

// environment gives a flag the value of its variable; one that is empty counts as not set.
type environment struct{}

func (environment) Validate(*kong.Application) error { return nil }

func (environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value := os.Getenv(variable(flag.Name))
	if value == "" || flag.Name == "help" || flag.Name == "version" || flag.Name == "revoke" { // that must be typed
		return nil, nil
	}
	return value, nil
}

// variable is the one that has a flag's value.
func variable(flag string) string {
	return "VBANKBATCH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// logID is what all log events of a run carry as the attribute run, so that one run can be picked out of a journal. It is
// made up: the ledger's number is not known at the first request, and two ledgers have runs of the same number.
func (f *logFlags) logID() string {
	if f.id == "" {
		f.id = strings.ToLower(rand.Text()[:8])
	}
	return f.id
}

// log returns the logger that the flags ask for. It is given neither names nor numbers of people or accounts.
func (f *logFlags) log(a *app) *slog.Logger {
	if !f.Quiet { // otherwise an outage is told once it has ended the run
		a.outage = slog.LevelWarn
	}
	level := slog.LevelWarn
	if f.LogFormat == "json" && !f.Quiet {
		level = slog.LevelInfo
	}
	if f.LogLevel != "" {
		if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
			panic(err) // the flag's enum has let it through
		}
	}
	if a.lines == nil {
		return slog.New(slog.NewTextHandler(a.stderr, options(level))).With("run", f.logID())
	}
	a.lines.use(f.jsonLog(a, slog.LevelDebug))
	return f.jsonLog(a, level)
}

// jsonLog logs to standard error in JSON, whatever else is printed there.
func (f *logFlags) jsonLog(a *app, level slog.Level) *slog.Logger {
	to := a.stderr.Writer
	if a.lines != nil {
		to = a.lines.to
	}
	return slog.New(slog.NewJSONHandler(to, options(level))).With("run", f.logID())
}

// profile reads the profile that the flags name, if any.
func (f *readFlags) profile() (kept input.Profile, err error) {
	if f.Profile != "" {
		if kept, err = input.ReadProfile(f.Profile); err != nil {
			err = usage("vbankbatch check --save-profile FILE writes one", "--profile: %w", err)
		}
	}
	return kept, err
}

// options turns the flags, and the profile behind them, into what package input takes.
func (f *readFlags) options(kept input.Profile, now time.Time) (input.Options, error) {
	flags := input.Profile{Encoding: f.Encoding, Delimiter: f.Delimiter, Key: f.Key, Where: f.Where, DueYear: f.DueYear, Map: f.Map, Set: map[string]string{},
		DateOrder: f.DateOrder, Unit: f.Unit, Items: f.Items, Ignore: f.Ignore, FillDown: f.FillDown, StopAt: f.StopAt, PassOver: f.PassOver, Totals: f.Totals, Sheet: f.Sheet, Hidden: f.Hidden}
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

// open reads and checks the file as read says, which is called once its bytes are here; the caller closes the plan's File.
func (f *readFlags) open(a *app, path string, read func() (input.Options, error)) (*batch.Plan, error) {
	most, err := f.mostInput()
	if err != nil {
		return nil, err
	}
	file, err := input.OpenContext(a.ctx, path, a.stdin, most)
	if err != nil {
		return nil, err
	}
	var plan *batch.Plan
	options, err := read()
	if err == nil {
		plan, err = batch.Preflight(a.ctx, file, options)
	}
	if err == nil {
		err = file.Settled(a.ctx)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return plan, nil
}

// mostInput is how many bytes of the input are taken.
func (f *readFlags) mostInput() (int64, error) {
	most, err := input.ParseSize(f.MaxInput)
	if err != nil {
		err = usage("", "--max-input: %w", err)
	}
	return most, err
}

// resultsOf is the path of a file's results: the file's without its ending and .results.csv; standard output for what lies
// nowhere, such as standard input.
func resultsOf(path, asked string) string {
	if asked != "" || input.Place(path) == "-" {
		return cmp.Or(asked, "-")
	}
	return report.Default(path)
}

// slowest is how long the API may take for an answer, as its vendor advises: an account may appear so long after its
// request was written.
const slowest = 60 * time.Second

// check refuses figures that make no sense, and waits that would make second accounts. A request that ran into its
// time-out is believed to have made none once the time-out and the doubt wait have passed since it was written.
func (f *requestFlags) check(m *merchant) error {
	if m.live() && f.DoubtWait < 5*time.Second {
		return usage("an account may appear seconds after its connection broke; leave it at 30s", "--doubt-wait under 5s would have 'not found' believed too soon")
	}
	if m.live() && f.Timeout+f.DoubtWait < slowest {
		return usage("leave them at 60s and 30s, or raise one until they are 60s together",
			"--timeout %v and --doubt-wait %v would have 'not found' believed too soon: an account may appear up to 60s after its request was sent", f.Timeout, f.DoubtWait)
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

// mode is how progress is shown on w.
func (f *logFlags) mode(w io.Writer) report.Mode {
	switch {
	case f.Quiet:
		return report.Silent
	case terminal(w) && os.Getenv("TERM") != "dumb":
		return report.Bar
	}
	return report.Lines
}

// terminal reports whether a person sits at a stream.
func terminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
