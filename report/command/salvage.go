package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

// The same command over the same bytes goes on with a run that was interrupted. Where the file has been written over, cut or
// taken away since, nothing does, and the accounts that the run made would stand in no results. So the next run of the file,
// or of its folder, salvages them:
//
//  1. the run's orders in doubt are asked for, as by reconcile;
//  2. its results are written from the ledger, to a file of their own that was not there;
//  3. the run is marked as finished.
//
// Killed before 3, the next run does it once more, to another file.

// salvaged is a run whose results were written from the ledger.
type salvaged struct {
	ledger.Run
	path  string
	facts *report.Facts
}

// salvageFile does it for the runs over c.File that bytes of the digest do not go on with. The results of those bytes go to
// path.
func (c *runCommand) salvageFile(a *app, book *ledger.Ledger, path, digest string, connect connector) error {
	place := input.Place(c.File)
	switch {
	case place == "-":
		return c.tellStream(a, book, digest)
	case c.inInbox:
		path = report.Default(report.Failed(c.File))
	case path == "-":
		path = report.Default(c.File)
	}
	lost := func(run ledger.Run) bool { return run.File == place && run.Digest != digest }
	return c.salvage(a, book, lost, func(ledger.Run) string { return path }, connect)
}

// connector returns the client, once it is connected.
type connector = func() (*client.Client, error)

// salvage does it for the interrupted runs that are lost and that sent anything, beside the results that would be theirs. It
// connects where there are orders in doubt.
func (c *runCommand) salvage(a *app, book *ledger.Ledger, lost func(ledger.Run) bool, results func(ledger.Run) string, connect connector) error {
	ctx := context.WithoutCancel(a.ctx)
	runs, err := book.Runs(ctx, true)
	if err != nil {
		return err
	}
	for _, run := range slices.Backward(runs) { // the oldest first
		if run.Digest == "" /* purged */ || !lost(run) {
			continue
		}
		made, inDoubt, err := book.Made(ctx, run.ID)
		if err != nil {
			return err
		}
		if made == 0 {
			continue
		}
		if inDoubt > 0 {
			if err := c.settle(a, book, run, connect); err != nil {
				return err
			}
		}
		s := salvaged{run, report.OfRun(results(run), run.ID), new(report.Facts)}
		err = fromLedger(ctx, book, run.ID, s.path, nil, report.Options{}, s.facts)
		switch {
		case ledger.Damaged(err): // from which nothing can be written to any place
			return err
		case err != nil:
			return &failure{say.Errorf("the results of run %d, which was interrupted, could not be written: %w", run.ID, err), exitStopped, say.Sprintf("vbankbatch report --run %d --out FILE writes them to another place", run.ID)}
		}
		if err := book.Finish(ctx, run.ID, time.Now()); err != nil {
			return err
		}
		c.salvaged = append(c.salvaged, s)
	}
	return nil
}

// settle asks for the orders in doubt, so that the results tell as much as can be known.
func (c *runCommand) settle(a *app, book *ledger.Ledger, run ledger.Run, connect connector) error {
	api, err := connect()
	if err != nil {
		return say.Errorf("run %d was interrupted, and its orders in doubt cannot be asked about: %w", run.ID, err)
	}
	status := say.Sprintf("asking about the orders in doubt of run %d, which was interrupted", run.ID)
	a.tell(func() string { return status })
	if !c.Quiet {
		fmt.Fprintln(a.stderr, status)
	}
	return batch.Reconcile(a.ctx, api, book, c.DoubtWait, func(batch.Settled) {})
}

// tellSalvaged names the files, also with --quiet: nobody would look for them.
func (c *runCommand) tellSalvaged(a *app) {
	for _, s := range c.salvaged {
		say.Fprintf(a.stderr, "run %d was interrupted and its file has since changed or gone; its results were written from the ledger, without the file's own columns: %s\n", s.ID, say.Name(s.path))
		if n := s.facts.Statuses[batch.Unknown]; n > 0 {
			say.Fprintf(a.stderr, "  unknown: %s; vbankbatch reconcile finds out what became of them, then vbankbatch report --run %d writes the results again\n", report.Count(n, "1 row", "%s rows"), s.ID)
		}
	}
}

// tellStream tells of an interrupted run over standard input, of which nobody knows whether the same input will come again.
// It does so once, at the next run over standard input.
func (c *runCommand) tellStream(a *app, book *ledger.Ledger, digest string) error {
	runs, err := book.Runs(a.ctx, false)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(runs, func(run ledger.Run) bool { return run.File == "-" })
	if at < 0 || !runs[at].Finished.IsZero() || runs[at].Digest == digest {
		return nil
	}
	id := runs[at].ID
	made, _, err := book.Made(a.ctx, id)
	if made > 0 {
		say.Fprintf(a.stderr, "run %d over standard input was interrupted; the same input goes on with it, vbankbatch report --run %d writes what it did\n", id, id)
	}
	return err
}

// refused reports whether a file was refused for what it holds, or because it is gone, and nothing was sent.
func refused(path string, err error) bool {
	exit, _ := statusOf(err)
	_, missing := os.Stat(path)
	gone := path != "-" && errors.Is(missing, fs.ErrNotExist)
	return exit == exitInput && !errors.Is(err, notConfirmed{}) && (!machines(err) || gone)
}

// sweep salvages the runs of files that are not in the folder any more.
func (j *inboxJob) sweep(a *app) (err error) {
	if _, err := os.Stat(j.merchant.ledger); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	kept, err := j.profile()
	if err != nil {
		return err
	}
	perSecond, err := j.rate(kept)
	if err != nil {
		return err
	}
	book, release, err := j.merchant.locked(a, &j.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	disconnect := func() error { return nil }
	defer func() { err = also(err, disconnect()) }()
	connect := func() (api *client.Client, err error) {
		api, disconnect, err = j.merchant.connect(a, &j.requestFlags, perSecond, j.log(a.stderr))
		return api, err
	}
	dir := input.Place(j.File)
	lost := func(run ledger.Run) bool {
		info, err := os.Lstat(run.File)
		return filepath.Dir(run.File) == dir && (errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular())
	}
	err = j.salvage(a, book, lost, func(run ledger.Run) string {
		return report.Default(report.Failed(filepath.Join(j.File, filepath.Base(run.File))))
	}, connect)
	j.tellSalvaged(a)
	return errors.Join(err, j.tellOfSalvaged(a, j.salvaged))
}

// tellOfSalvaged tells whom the flags name of runs that were salvaged: what they did not come to is not done.
func (j *inboxJob) tellOfSalvaged(a *app, runs []salvaged) error {
	for _, s := range runs {
		told := j.begun()
		told.API, told.ID, told.File, told.Started = j.merchant.url, s.ID, s.File, s.Started
		told.Files = report.Files{Results: s.path, Metrics: j.Metrics, Ledger: j.merchant.ledger}
		ended := error(rowsNotDone(exitFailed))
		if s.facts.Statuses[batch.Unknown] > 0 {
			ended = rowsNotDone(exitUnknown)
		}
		j.over(a, told)
		exit, _ := statusOf(ended)
		if !j.met(exit) {
			told.Files.Metrics = "" // they tell of the worst file
		}
		if err := j.end(a, told, s.facts, ended); !errors.Is(err, ended) {
			return err
		}
	}
	return nil
}
