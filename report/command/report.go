package command

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
)

type reportCommand struct {
	File          string `arg:"" optional:"" help:"The CSV of orders; - is standard input."`
	OfRun         int64  `name:"run" placeholder:"N" help:"Without FILE: the results of this run, from the ledger alone, without the file's own columns."`
	readFlags     `embed:""`
	merchantFlags `embed:""`
	logFlags      `embed:""`
	outputFlags   `embed:""`
}

func (reportCommand) Help() string {
	return `Writes the results of FILE again, and tells of every order what the ledger knows now, whichever file brought it:
an order whose row was mended in the .failed.csv has its account. Give the flags of the run that say how the file is read.
Of a file that has changed since, or is gone, --run writes what a run came to.

  vbankbatch report --sandbox testdata/orders.csv
  vbankbatch report --sandbox --run 12`
}

func (c *reportCommand) Run(a *app) error {
	if (c.File == "") == (c.OfRun == 0) {
		return usage("name the file that was run, or the run by its number in vbankbatch ledger stats", "report takes FILE or --run")
	}
	if c.OfRun != 0 {
		return c.ofRun(a)
	}
	return c.ofFile(a)
}

// ofFile writes the results of a file's last run.
func (c *reportCommand) ofFile(a *app) (err error) {
	told := &report.Run{Language: a.Language, Command: "report"}
	m, err := place(a.ctx, c.File, c.Profile, &c.merchantFlags, &c.outputFlags, told)
	if err != nil {
		return err
	}
	kept, err := c.profile()
	if err != nil {
		return err
	}
	plan, err := c.open(a, c.File, func() (input.Options, error) { return c.options(kept, a.now()) })
	if err != nil {
		return err
	}
	defer plan.File.Close()
	if plan.Refusal != nil {
		return plan.Refusal
	}
	book, err := m.book(a)
	if err != nil {
		return err
	}
	defer func() { err = also(err, book.Close()) }()
	found, err := book.LastRun(a.ctx, plan.Digest())
	if errors.Is(err, sql.ErrNoRows) {
		return &failure{say.Errorf("%s holds no run of this file", ledger.Name(m.ledger)), exitInput, c.otherRun(a, book, plan.File)}
	}
	if err != nil {
		return err
	}
	told.ID, told.Started, told.Ended, told.File, told.Plan = found.ID, found.Started, found.Finished, c.File, plan
	form, facts := c.form(a.Language), new(report.Facts)
	form.Plan, form.Run, form.Facts = plan, told, facts
	results, err := report.Create(told.Files.Results, a.stdout, form)
	if err != nil {
		return usage("", "the results: %w", err)
	}
	defer results.Close()
	err = job.WriteResults(a.ctx, plan, book, found.ID, results, told.Files.Results, facts, func(ctx context.Context, do func(*input.Row, *batch.Result) error) error {
		return batch.Present(ctx, plan, book, found, do)
	})
	if err != nil {
		return err
	}
	ended := outcome(facts)
	n := 0
	told.Files.Workbook = results.Workbook()
	told.Files.Failed, n = results.Failed()
	if doubts, err := book.InDoubt(a.ctx); err == nil {
		told.InDoubt = new(len(doubts))
	}
	if err := c.tellEnd(told.Files, told, facts, ended); err != nil {
		return err
	}
	if !c.Quiet {
		a.stderr.Printf("run of %s\n", report.Clock(found.Started))
		facts.Print(a.stderr, nil)
		c.printFiles(a, told.Files, facts, n, false, false, false)
	}
	return ended
}

// otherRun says where to look for the results of a file whose bytes the ledger does not know.
func (c *reportCommand) otherRun(a *app, book *ledger.Ledger, file *input.File) say.Message {
	runs, err := book.Runs(a.ctx, false)
	if err == nil {
		for _, run := range runs {
			if run.File != "" && run.File != "-" && (run.File == file.Place || filepath.Base(run.File) == filepath.Base(file.Place)) {
				return say.Messagef("a file of that name with other bytes was run %d, whose results vbankbatch report --run %d writes from the ledger", run.ID, run.ID)
			}
		}
	}
	return say.NewMessage("the file may have changed since, or the run had another --ledger, --api-url or key")
}

// ofRun writes the results of a run without its file.
func (c *reportCommand) ofRun(a *app) (err error) {
	m, err := c.find(a.ctx)
	if err != nil {
		return err
	}
	if c.HTML || c.Metrics != "" {
		return usage("name the file that was run", "--html and --metrics need FILE, and --run does without it")
	}
	if err := m.exists(); err != nil {
		return err
	}
	book, err := m.book(a)
	if err != nil {
		return err
	}
	defer func() { err = also(err, book.Close()) }()
	runs, err := book.Runs(a.ctx, false)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(runs, func(run ledger.Run) bool { return run.ID == c.OfRun })
	if at < 0 {
		return &failure{say.Errorf("%s holds no run %d", ledger.Name(m.ledger), c.OfRun), exitInput, say.NewMessage("vbankbatch ledger stats lists the runs; --ledger, --api-url or the key may be others")}
	}
	if runs[at].Digest == "" {
		return &failure{say.Errorf("run %d was purged from the ledger", c.OfRun), exitInput, say.NewMessage("vbankbatch ledger list --run tells what is left of it")}
	}
	path := c.Out
	if path == "" {
		name := filepath.Base(runs[at].File)
		if name == "-" {
			name = "stdin"
		}
		path = report.OfRun(report.Default(name), c.OfRun)
	}
	form := c.form(a.Language)
	form.Alone, form.Run = true, &report.Run{ID: c.OfRun, API: m.url, File: runs[at].File, Started: runs[at].Started}
	if err := distinct([]string{"", c.Profile}, m.books(), report.Paths(path, form)); err != nil {
		return err
	}
	facts := new(report.Facts)
	workbook, err := job.FromLedger(context.WithoutCancel(a.ctx), book, c.OfRun, path, a.stdout, form, facts)
	switch {
	case ledger.Damaged(err):
		return err
	case err != nil:
		return &failure{say.Errorf("the results could not be written: %w", err), exitStopped, say.NewMessage("nothing is lost: the same command writes them again")}
	}
	if !c.Quiet {
		a.stderr.Printf("run of %s\n", report.Clock(runs[at].Started))
		facts.Print(a.stderr, nil)
		if runs[at].Finished.IsZero() {
			fmt.Fprintln(a.stderr, a.Text("the run did not reach its end; rows that it did not get to are missing"))
		}
		c.printWorkbook(a, report.Files{Workbook: workbook, Results: path}, facts, false)
		a.stderr.Printf("results: %s\n", path)
	}
	return outcome(facts)
}

type reconcileCommand struct {
	merchantFlags `embed:""`
	requestFlags  `embed:""`
	logFlags      `embed:""`
	LeaveDoubts   bool `help:"An order that the API does not show stays unknown for a person to settle; it is not freed."`
}

func (reconcileCommand) Help() string {
	return `For every order whose request may have reached the API without an answer: looks it up, takes its account into the
ledger, or frees it for the next run. Prints order, status, imp_uid and a note, separated by tabs.

  vbankbatch reconcile`
}

func (c *reconcileCommand) Run(a *app) (err error) {
	m, err := c.find(a.ctx)
	if err != nil {
		return err
	}
	book, release, err := m.existing(a, &c.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	perSecond, err := c.rate(input.Profile{})
	if err != nil {
		return err
	}
	api, disconnect, err := m.connect(a, &c.requestFlags, perSecond, c.log(a))
	defer func() { err = also(err, disconnect()) }()
	if err != nil {
		return err
	}
	settled, unknown := 0, 0
	var untold error
	err = batch.Reconcile(a.ctx, api, book, c.DoubtWait, c.LeaveDoubts, func(s batch.Settled) {
		settled++
		if s.Status == batch.Unknown {
			unknown++
		}
		_, failed := a.stdout.Printf("%s\t%s\t%s\t%s\n", s.Order.MerchantUID, s.Status, s.Order.ImpUID, s.Note)
		untold = cmp.Or(untold, failed)
	})
	if err != nil {
		return err
	}
	if untold != nil {
		return &failure{say.Errorf("what became of the orders is in the ledger, and could not be printed: %w", untold), exitStopped, say.NewMessage("vbankbatch ledger list tells how each stands now")}
	}
	if !c.Quiet {
		a.stderr.Printf("%d orders were in doubt, %d still are\n", settled, unknown)
	}
	if unknown > 0 {
		return rowsNotDone(exitUnknown)
	}
	return nil
}
