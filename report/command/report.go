package command

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

type reportCommand struct {
	inputFlags    `embed:""`
	merchantFlags `embed:""`
	logFlags      `embed:""`
	outputFlags   `embed:""`
}

func (reportCommand) Help() string {
	return `Writes the results of the newest run over the same bytes again, as the ledger knows them now. Give the flags of
that run that say how the file is read.

  vbankbatch report --sandbox testdata/orders.csv`
}

func (c *reportCommand) Run(a *app) (err error) {
	told := &report.Run{Command: "report"}
	m, path, err := place(a.ctx, &c.inputFlags, &c.merchantFlags, &c.outputFlags, told)
	if err != nil {
		return err
	}
	kept, err := c.profile()
	if err != nil {
		return err
	}
	plan, err := c.open(a, kept, nil)
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
	book, err := m.book(a)
	if err != nil {
		return err
	}
	defer func() { err = also(err, book.Close()) }()
	found, err := book.LastRun(a.ctx, plan.Digest())
	if errors.Is(err, sql.ErrNoRows) {
		return &failure{say.Errorf("%s holds no run of this file", m.ledger), exitInput, say.Text("the file may have changed since, or the run had another --ledger, --api-url or key")}
	}
	if err != nil {
		return err
	}
	results, err := report.Create(path, a.stdout, c.form())
	if err != nil {
		return usage("", "the results: %w", err)
	}
	defer results.Close()
	facts := new(report.Facts)
	if err := writeResults(a, plan, book, found.ID, results, facts); err != nil {
		return err
	}
	ended := outcome(&facts.Summary)
	told.ID, told.Started, told.Ended, told.Plan = found.ID, found.Started, found.Finished, plan
	if doubts, err := book.InDoubt(a.ctx); err == nil {
		told.InDoubt = new(len(doubts))
	}
	if err := c.tellEnd(told.Files, told, facts, ended); err != nil {
		return err
	}
	if !c.Quiet {
		say.Fprintf(a.stderr, "run of %s\n", found.Started.In(input.KST).Format(time.DateTime))
		facts.Print(a.stderr, nil)
		printFiles(a, results, told.Files, facts, false, false)
	}
	return ended
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
	api, disconnect, err := m.connect(a, &c.requestFlags, perSecond, c.log(a.stderr))
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
		say.Fprintf(a.stderr, "%d orders were in doubt, %d still are\n", settled, unknown)
	}
	if unknown > 0 {
		return rowsNotDone(exitUnknown)
	}
	return nil
}
