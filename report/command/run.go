package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/report"
)

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
