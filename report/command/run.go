package command

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
)

type runCommand struct {
	File     string `arg:"" help:"The CSV of orders; - is standard input."`
	runFlags `embed:""`

	inInbox  bool // FILE is one of the folder that was named; the run is finished once its files can be moved
	notTaken *int // files of the folder; nil without one
}

// runFlags are all that run takes.
type runFlags struct {
	readFlags     `embed:""`
	merchantFlags `embed:""`
	requestFlags  `embed:""`
	batch.Guards  `embed:""`
	logFlags      `embed:""`
	outputFlags   `embed:""`
	notifyFlags   `embed:""`
	job.Sending   `embed:""`
	Yes           bool   `help:"Ask no question."`
	DryRun        bool   `help:"Check the file, hold it against the ledger, and send nothing."`
	Progress      string `enum:"text,json" default:"text" help:"How far the run is: text, or json, an object each second for programs, with --quiet too."`
}

func (runCommand) Help() string {
	return `Checks the whole file first, then issues (or updates, or revokes) an account for every row, and writes the results.
The same command again goes on where an interrupted run ended; after a finished one it sends nothing and repeats the accounts.

FILE may be a folder: its *.csv, *.csv.gz and *.xlsx are run one after the other, the oldest first, and moved with their
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
	info, err := os.Stat(c.File)
	isDir := err == nil && info.IsDir()
	switch {
	case c.DryRun && isDir:
		return usage("name one of its files", "--dry-run checks one file, and %s is a folder", c.File)
	case c.DryRun:
		whose, err := c.find(a.ctx)
		if err != nil {
			return err
		}
		plan, err := c.look(a, c.File, report.Text, c.Guards, whose)
		if err == nil && plan.Invalid > 0 {
			err = rowsNotDone(exitFailed)
		}
		return err
	case isDir:
		return c.inbox(a)
	}
	out := &job.Outcome{Run: c.begun(a)}
	ended := c.run(a, out)
	c.over(a, &out.Run)
	return c.end(a, &out.Run, &out.Facts, ended)
}

// begun is what can be told of a run at its start.
func (c *runCommand) begun(a *app) report.Run {
	return report.Run{Language: a.Language, Command: "run", File: c.File, LogID: c.logID(), Started: time.Now(), NotTaken: c.notTaken}
}

// run does the job of one file: what is wrong with the flags is refused first, then the ledger's lock is taken, then the job
// runs.
func (c *runCommand) run(a *app, out *job.Outcome) (err error) {
	d := c.driver(a)
	d.log.Info("run started", "file", filepath.Base(c.File))
	if err := d.prepare(&out.Run); err != nil {
		return err
	}
	book, release, err := d.merchant.locked(a, &c.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	j, err := d.job(out.Run, book)
	if err != nil {
		return err
	}
	defer func() { err = also(err, d.disconnect()) }()
	*out, err = j.Run(a.ctx)
	d.printEnd(out)
	if stop, ok := err.(*batch.StopError); ok {
		return d.merchant.advised(stop, say.NewMessage(again))
	}
	if err != nil {
		return err
	}
	return outcome(&out.Facts)
}

// driver drives a job from the command line: what the job asks is asked on the terminal, and what it tells is printed.
type driver struct {
	*runCommand
	a          *app
	log        *slog.Logger
	merchant   *merchant
	kept       input.Profile
	perSecond  float64
	limit      batch.Limit // of --max-failures
	until      time.Time   // of --until
	api        *client.Client
	disconnect func() error
	progress   *report.Progress
}

func (c *runCommand) driver(a *app) *driver {
	return &driver{runCommand: c, a: a, log: c.log(a), disconnect: func() error { return nil }}
}

// prepare reads what the flags, the profile and the environment say, and refuses what is wrong with it.
func (d *driver) prepare(told *report.Run) (err error) {
	if d.merchant, err = place(d.a.ctx, d.File, d.Profile, &d.merchantFlags, &d.outputFlags, told); err != nil {
		return err
	}
	return d.parse()
}

// parse reads the flags whose values say more than their types, and the profile.
func (d *driver) parse() (err error) {
	if d.limit, err = batch.ParseLimit(d.MaxFailures); err != nil {
		return usage("", "--max-failures: %w", err)
	}
	if d.Profile != "" {
		d.a.holdReload() // of a folder, the file before this one had another client
	}
	if d.kept, err = d.profile(); err != nil {
		return err
	}
	if d.perSecond, err = d.rate(d.kept); err != nil {
		return err
	}
	if d.until, err = job.ParseClock(d.Until); err != nil {
		return usage("a time is told as 23:25", "--until: %w", err)
	}
	if d.Group != "" {
		_, err = d.gid()
	}
	return err
}

// job is what the flags ask for.
func (d *driver) job(told report.Run, book *ledger.Ledger) (*job.Job, error) {
	most, err := d.mostInput()
	if err != nil {
		return nil, err
	}
	settings := report.Settings{Rate: d.perSecond, Workers: d.Workers, Timeout: d.Timeout, DoubtWait: d.DoubtWait, RemoteCheck: d.RemoteCheck,
		MaxFailures: d.MaxFailures, Guards: d.Guards}
	j := &job.Job{About: told, Settings: settings, Stdin: d.a.stdin, MaxInput: most, Until: d.until, Limit: d.limit, LeaveDoubts: d.LeaveDoubts, Audit: d.Audit, Form: d.form(d.a.Language), Stdout: d.a.stdout,
		Inbox: d.inInbox, Ledger: book, Connect: d.connect, Confirm: d.confirm, Tell: d.show}
	j.Opened = func() (err error) {
		if j.Options, err = d.options(d.kept, d.a.now()); err != nil {
			return err
		}
		j.Options.Revoke = d.Revoke
		if err := d.merchant.PGAPIKeys.Find(d.a.ctx, d.kept.PGAPIKeys); err != nil && d.merchant.state == "" { // the sandbox takes any
			return usage("", "--profile: %w", err)
		}
		j.PGAPIKeys = d.merchant.PGAPIKeys
		return nil
	}
	return j, nil
}

// connect makes the client; whoever runs the job calls disconnect.
func (d *driver) connect() (_ *client.Client, err error) {
	d.api, d.disconnect, err = d.merchant.connect(d.a, &d.requestFlags, d.perSecond, d.log)
	return d.api, err
}

// show prints what a job tells while it is under way, and keeps what there is to answer who asks for the status.
func (d *driver) show(e job.Event) {
	switch e.Step {
	case job.Checking:
		d.a.tell(func() string { return d.a.Sprintf("checking %s", say.Name(d.File)) })
	case job.Planned:
		d.log.Info("file checked", "rows", e.Plan.Rows, "to_do", e.Plan.ToDo(), "skipped", e.Plan.Skipped, "invalid", e.Plan.Invalid, "won_to_issue", e.Plan.Won)
		if !d.Quiet {
			report.PrintPlan(d.a.stderr, e.Plan)
		}
	case job.Refused:
		if d.inInbox {
			if err := report.WriteProblems(d.a.ctx, d.a.Language, report.Beside(d.Out, report.ProblemsEnding), e.Plan); err != nil {
				d.a.stderr.Printf("warning: %v\n", err)
			}
		}
	case job.Interrupted:
		d.a.stderr.Printf("run %d over standard input was interrupted; the same input goes on with it, vbankbatch report --run %d writes what it did\n", e.Run.ID, e.Run.ID)
	case job.Asking:
		status := d.a.Sprintf("asking about the orders in doubt of run %d, which was interrupted", e.Run.ID)
		d.a.tell(func() string { return status })
		if !d.Quiet {
			fmt.Fprintln(d.a.stderr, status)
		}
	case job.Running:
		running := time.Now()
		d.a.tell(func() string { return report.Status(d.a.Language, e.Plan.Rows, e.Counts, running, d.api.Requests()) })
		if d.Profile != "" {
			d.a.onReload(func() { d.reload(d.a, d.api) })
		}
		if d.Progress == "json" {
			d.progress = report.LogProgress(d.jsonLog(d.a, slog.LevelInfo), e.Plan.Rows, e.Counts)
			break
		}
		d.progress = report.ShowProgress(d.a.stderr, d.mode(d.a.stderr.Writer), e.Plan.Rows, e.Counts)
	case job.Writing:
		d.progress.Stop()
		d.a.tell(func() string { return d.a.Text("writing the results") })
		if e.Run.ID != 0 {
			d.log.Info("the ledger's run", "number", e.Run.ID, "continued", e.Run.Continued)
		}
	}
}

// logEnd logs the figures of a run that is over.
func (c *runCommand) logEnd(a *app, told *report.Run, facts *report.Facts) {
	var rows []any
	for _, status := range batch.Statuses {
		rows = append(rows, status, facts.Statuses[status].Rows)
	}
	c.log(a).Info("run ended", "exit_status", told.Exit, "reason", told.Reason, "number", told.ID, "seconds", told.Ended.Sub(told.Started).Seconds(),
		"rows", facts.Rows, "won_issued", facts.Statuses[batch.Issued].Won, "requests", told.Requests, slog.Group("statuses", rows...))
}

// printEnd prints what a job came to, and the files that it wrote.
func (d *driver) printEnd(out *job.Outcome) {
	if !d.Quiet && out.Reached {
		written := out.Files.Results != ""
		if written || out.Facts.Rows > 0 {
			out.Facts.Print(d.a.stderr, &out.Run)
		}
		if written {
			moves := d.inInbox && out.Error == nil
			d.printFiles(d.a, out.Files, &out.Facts, out.FailedRows, !moves, moves, report.Reason(exitStopped, out.Error) == batch.CodeAllRefused)
		}
	}
	if out.Unsalvaged != nil {
		d.a.stderr.Printf("warning: %v\n", out.Unsalvaged)
	}
	tellSalvaged(d.a, out.Salvaged)
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
		a.stderr.Printf("the rate stays as it is: %v\n", err)
	case c.Rate != nil:
		fmt.Fprintln(a.stderr, a.Text("the rate stays as it is: --rate goes before the profile"))
	case perSecond == 0:
		api.SetRate(perSecond)
		fmt.Fprintln(a.stderr, a.Text("there is no limit to the rate now"))
	default:
		api.SetRate(perSecond)
		a.stderr.Printf("the rate is %v requests/s now\n", perSecond)
	}
}

// distinct refuses to write over what is read, the ledger, or one file of the run with another.
func distinct(read, ledger []string, written []string) error {
	type file struct {
		name say.Message
		path string
	}
	var files []file
	add := func(name say.Message, paths ...string) {
		for _, path := range paths {
			if path != "" && path != "-" {
				files = append(files, file{name, path})
			}
		}
	}
	add(say.NewMessage("the input"), read[0])
	add(say.NewMessage("the profile"), read[1:]...)
	add(say.NewMessage("the ledger"), ledger...)
	add(say.NewMessage("the results"), written[0])
	add(say.NewMessage("what is written beside the results"), written[1:]...)
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
func (d *driver) confirm(plan *batch.Plan) error {
	switch {
	case d.Yes || plan.ToDo() == 0:
		return nil
	case d.Quiet && terminal(d.a.stdin):
		return usage("give --yes to go without asking", "nobody would see the question that is asked before anything is sent")
	case d.Revoke:
		return d.ask(plan, d.a.Sprintf("take back %s virtual accounts?", report.Thousands(int64(plan.ToDo()))), say.New("there is no terminal to ask whether to take accounts back"))
	case d.merchant.live() && terminal(d.a.stdin):
		return d.askToSend(plan)
	}
	return nil
}

// askToSend asks for what will be sent, as far as the ledger knows. Rows that have their account are not asked for.
func (d *driver) askToSend(plan *batch.Plan) error {
	found, err := d.merchant.compare(d.a, plan)
	if err != nil {
		return err
	}
	report.PrintCompared(d.a.stderr, found)
	nobody := say.New("there is no terminal to ask whether to send")
	switch {
	case found.New.Rows > 0:
		return d.ask(plan, d.a.Sprintf("issue %s virtual accounts (%s won)?", report.Thousands(int64(found.New.Rows)), report.Thousands(found.New.Won)), nobody)
	case found.Changes.Rows+found.InDoubt.Rows > 0:
		return d.ask(plan, d.a.Sprintf("send these %s?", report.Count(d.a.Language, found.Changes.Rows+found.InDoubt.Rows, "1 row", "%s rows")), nobody)
	}
	return nil // all is done already
}

// ask says whose accounts these are, as far as that can be told without the key, and asks.
func (d *driver) ask(plan *batch.Plan, question string, nobody error) error {
	whose := []string{d.merchant.url}
	if len(d.merchant.Places) > 0 {
		whose = append(whose, d.a.Sprintf("the credentials of %s", strings.Join(d.merchant.Places, ", ")))
	}
	if tier := plan.Options.Set["tier"]; tier != "" {
		whose = append(whose, d.a.Sprintf("tier %s", tier))
	}
	if d.Profile != "" {
		whose = append(whose, d.a.Sprintf("profile %s", say.Name(d.Profile)))
	}
	return d.a.ask(d.a.Sprintf("merchant: %s\n", strings.Join(whose, "; "))+question, nobody)
}

// outcome is the exit status of a run that reached its end.
func outcome(f *report.Facts) error {
	switch {
	case f.Statuses[batch.Unknown].Rows > 0:
		return rowsNotDone(exitUnknown)
	case f.NotDone() > 0:
		return rowsNotDone(exitFailed)
	}
	return nil
}
