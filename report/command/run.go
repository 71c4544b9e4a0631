package command

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

type runCommand struct {
	inputFlags    `embed:""`
	merchantFlags `embed:""`
	requestFlags  `embed:""`
	batch.Guards  `embed:""`
	logFlags      `embed:""`
	outputFlags   `embed:""`
	notifyFlags   `embed:""`
	RemoteCheck   bool   `default:"true" negatable:"" help:"Ask the API for orders that the ledger does not know, before issuing them."`
	Audit         bool   `default:"true" negatable:"" help:"At the end, hold the orders that were sent against the API once more."`
	Until         string `placeholder:"HH:MM" help:"Take no new rows from then on, by the API's clock, in Korea: 23:25, before the banks close."`
	MaxFailures   string `default:"100%" help:"Stop once this many rows, or this share after 100 rows, were refused by the API."`
	Revoke        bool   `help:"Take back what a results file says was issued: FILE is that file."`
	Yes           bool   `help:"Ask no question."`

	inInbox  bool // FILE is one of the folder that was named; the run is finished once its files can be moved
	salvaged []salvaged
}

func (runCommand) Help() string {
	return `Checks the whole file first, then issues (or updates, or revokes) an account for every row, and writes the results.
The same command again goes on where an interrupted run ended; after a finished one it sends nothing and repeats the accounts.

FILE may be a folder: its *.csv and *.csv.gz are run one after the other, the oldest first, and moved with their
results to its folders done and failed.

  vbankbatch run --sandbox testdata/orders.csv
  IMP_KEY_FILE=key IMP_SECRET_FILE=secret vbankbatch run --rate 5 --due +7d orders.csv`
}

// Run runs the file, or those of a folder, and tells how that ended.
func (c *runCommand) Run(a *app) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // who reads what is printed may go; the run does not
	if c.Profile != "" {
		a.holdReload()
	}
	if info, err := os.Stat(c.File); err == nil && info.IsDir() {
		return c.inbox(a)
	}
	told, facts := c.begun(), new(report.Facts)
	ended := c.run(a, told, facts)
	c.over(a, told)
	return c.end(a, told, facts, ended)
}

// begun is what can be told of a run at its start.
func (c *runCommand) begun() *report.Run {
	return &report.Run{Command: "run", File: c.File, LogID: c.logID(), Started: time.Now()}
}

// run is the main job: everything that can be refused is refused first, then the file runs, then the results are
// written, whatever happened in between.
func (c *runCommand) run(a *app, told *report.Run, facts *report.Facts) (err error) {
	m, path, err := place(a.ctx, c.File, c.Profile, &c.merchantFlags, &c.outputFlags, told)
	if err != nil {
		return err
	}
	limit, err := batch.ParseLimit(c.MaxFailures)
	if err != nil {
		return usage("", "--max-failures: %w", err)
	}
	if c.Profile != "" {
		a.holdReload() // of a folder, the file before this one had another client
	}
	kept, err := c.profile()
	if err != nil {
		return err
	}
	perSecond, err := c.rate(kept)
	if err != nil {
		return err
	}
	if _, err := nearest(c.Until, told.Started); err != nil {
		return err
	}
	book, release, err := m.locked(a, &c.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	c.takeBack = c.Revoke
	a.tell(func() string { return say.Sprintf("checking %s", say.Name(c.File)) })
	var api *client.Client
	log := c.log(a.stderr)
	disconnect := func() error { return nil }
	defer func() { err = also(err, disconnect()) }()
	connect := func() (_ *client.Client, err error) {
		if api == nil {
			api, disconnect, err = m.connect(a, &c.requestFlags, perSecond, log)
		}
		return api, err
	}
	digest := "" // of no run's input
	salvage := func() error { return c.salvageFile(a, book, path, digest, connect) }
	defer func() { c.tellSalvaged(a) }()
	defer func() {
		if told.ID == 0 && refused(c.File, err) {
			if failed := salvage(); failed != nil {
				say.Fprintf(a.stderr, "warning: %v\n", failed)
			}
			err = cmp.Or(context.Cause(a.ctx), err)
		}
	}()
	file, err := c.look(a, c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	digest = hex.EncodeToString(file.Digest[:])
	plan, err := c.plan(a, file, kept, m)
	if err != nil {
		return err
	}
	if c.inInbox && plan.Layout.Results {
		return &failure{say.Errorf("%s is the results of a run, and a folder's are not run again", say.Name(c.File)), exitInput, say.Text("run it by its own name if that is meant")}
	}
	if plan.Channels > 0 && plan.Lacking == nil { // whose rules apply is for the API to say
		if _, err := connect(); err != nil {
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
		return &failure{err, exitInput, say.Text("nothing was sent; vbankbatch check shows the rows")}
	}
	results, err := report.Create(path, a.stdout, c.form())
	if err != nil {
		return usage("nothing was sent; name a place that can be written with --out", "the results: %w", err)
	}
	defer results.Close()
	if err := c.confirm(a, m, plan); err != nil {
		return err
	}
	if _, err := connect(); err != nil {
		return err
	}
	if err := salvage(); err != nil {
		return err
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
	var audit *batch.Audit
	if c.Audit {
		audit = new(batch.Audit)
	}
	progress := report.ShowProgress(a.stderr, c.mode(a.stderr), plan.Rows, &counts)
	found, ended := batch.Run(a.ctx, plan, api, book, batch.Options{Workers: c.Workers, DoubtWait: c.DoubtWait, SettleTime: c.Timeout,
		RemoteCheck: c.RemoteCheck, MaxFailures: limit, Until: until, PGAPIKeys: m.PGAPIKeys, Counts: &counts, Audit: audit})
	progress.Stop()
	ended = whichTime(ended, until)
	a.tell(func() string { return say.Text("writing the results") })
	if found.ID == 0 {
		return ended
	}
	log.Info("the ledger's run", "number", found.ID, "continued", found.Continued)
	told.ID, told.Continued, told.Plan, told.Settings = found.ID, found.Continued, plan, c.settings(perSecond)
	measures, learnt := api.Measures(), api.Learnt()
	told.Measures, told.Learnt, told.Audit = &measures, &learnt, audit
	lost := writeResults(a, plan, book, found.ID, results, path, facts)
	if doubts, err := book.InDoubt(context.WithoutCancel(a.ctx)); err == nil {
		told.InDoubt = new(len(doubts))
	}
	stop, _ := errors.AsType[*batch.StopError](ended)
	effort := &report.Effort{Ended: ended, Elapsed: time.Since(told.Started), Requests: api.Requests(), Learnt: learnt, Audit: audit}
	if lost != nil {
		told.Files.Results = "" // what may stand there is another run's
		if !c.Quiet && facts.Rows > 0 {
			facts.Print(a.stderr, effort)
		}
		return errors.Join(ended, lost)
	}
	if ended == nil && !c.inInbox || stop != nil && stop.TriesAgain() {
		if err := book.Finish(a.ctx, found.ID, time.Now()); err != nil {
			return err
		}
	}
	if !c.Quiet {
		facts.Print(a.stderr, effort)
		moves := c.inInbox && ended == nil
		printFiles(a, results, told.Files, facts, !moves, moves)
	}
	return cmp.Or(ended, outcome(&facts.Summary))
}

// settings are those that the summary tells.
func (c *runCommand) settings(perSecond float64) *report.Settings {
	return &report.Settings{Rate: perSecond, Workers: c.Workers, Timeout: c.Timeout, DoubtWait: c.DoubtWait, RemoteCheck: c.RemoteCheck,
		MaxFailures: c.MaxFailures, Guards: c.Guards}
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
		say.Fprintf(a.stderr, "the rate stays as it is: %v\n", err)
	case c.Rate != nil:
		fmt.Fprintln(a.stderr, say.Text("the rate stays as it is: --rate goes before the profile"))
	case perSecond == 0:
		api.SetRate(perSecond)
		fmt.Fprintln(a.stderr, say.Text("there is no limit to the rate now"))
	default:
		api.SetRate(perSecond)
		say.Fprintf(a.stderr, "the rate is %v requests/s now\n", perSecond)
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

// whichTime adds to the end of a run by --until which moment that was: the nearest may be last evening's.
func whichTime(ended error, until time.Time) error {
	stop, _ := errors.AsType[*batch.StopError](ended)
	if stop == nil || stop.Code != batch.CodeTimeIsUp {
		return ended
	}
	return &batch.StopError{Code: stop.Code, Err: say.Errorf("--until meant %s in Korea", until.In(input.KST).Format("2006-01-02 15:04"))}
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

// distinct refuses to write over what is read, the ledger, or one file of the run with another.
func distinct(read, ledger []string, written []string) error {
	type file struct{ name, path string }
	var files []file
	add := func(name string, paths ...string) {
		for _, path := range paths {
			if path != "" && path != "-" {
				files = append(files, file{name, path})
			}
		}
	}
	add(say.Text("the input"), read[0])
	add(say.Text("the profile"), read[1:]...)
	add(say.Text("the ledger"), ledger...)
	add(say.Text("the results"), written[0])
	add(say.Text("what is written beside the results"), written[1:]...)
	for i, a := range files {
		for _, b := range files[:i] {
			if !same(a.path, b.path) {
				continue
			}
			if a.name == b.name {
				return usage("give --out, --metrics or --ledger another name", "two of what is written are the same file: %s", a.path)
			}
			return usage("give --out, --metrics or --ledger another name", "%s and %s are the same file: %s", b.name, a.name, a.path)
		}
	}
	return nil
}

// same reports whether two paths are one file, also if it is not there yet.
func same(a, b string) bool {
	if infoA, err := os.Stat(a); err == nil {
		if infoB, err := os.Stat(b); err == nil {
			return os.SameFile(infoA, infoB)
		}
	}
	return input.Place(a) == input.Place(b)
}

// confirm asks before anything is sent to the live API, if there is somebody to ask, and before anything is taken back.
func (c *runCommand) confirm(a *app, m *merchant, plan *batch.Plan) error {
	switch {
	case c.Yes || plan.ToDo() == 0:
		return nil
	case c.Quiet && terminal(a.stdin):
		return usage("give --yes to go without asking", "nobody would see the question that is asked before anything is sent")
	case c.Revoke:
		return a.ask(say.Sprintf("take these %d accounts back at %s?", plan.ToDo(), m.url), say.Text("there is no terminal to ask whether to take accounts back"))
	case m.live() && terminal(a.stdin):
		return a.ask(say.Sprintf("send these to %s?", m.url), say.Text("there is no terminal to ask whether to send"))
	}
	return nil
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
