package job

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

// A job over the same bytes goes on with a run that was interrupted. Where the file has been written over, cut or
// taken away since, nothing does, and the accounts that the run made would stand in no results. So the next run of the file,
// or of its folder, salvages them:
//
//  1. the run's orders in doubt are asked for, as by reconcile;
//  2. its results are written from the ledger, to a file of their own that was not there;
//  3. the run is marked as finished.
//
// Killed before 3, the next run does it once more, to another file.

// Salvaged is a run whose results were written from the ledger.
type Salvaged struct {
	ledger.Run
	Path  string
	Facts report.Facts
}

// Sweep salvages the runs of files that are not in the folder About.File any more.
func (j *Job) Sweep(ctx context.Context) ([]Salvaged, error) {
	w := &work{Job: j}
	dir := input.Place(j.About.File)
	lost := func(run ledger.Run) bool {
		info, err := os.Lstat(run.File)
		return filepath.Dir(run.File) == dir && (errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular())
	}
	err := w.salvage(ctx, lost, func(run ledger.Run) string {
		return report.Default(report.Failed(filepath.Join(j.About.File, filepath.Base(run.File))))
	})
	return w.out.Salvaged, err
}

// salvageFile does it for the runs over the file that its bytes do not go on with. Their results go beside those of the file.
func (w *work) salvageFile(ctx context.Context) error {
	place, path := input.Place(w.About.File), w.About.Files.Results
	switch {
	case w.Kept:
		return nil // whoever keeps it goes on with its run
	case place == "-":
		return w.tellStream(ctx)
	case w.Inbox:
		path = report.Default(report.Failed(w.About.File))
	case path == "-":
		path = report.Default(w.About.File)
	}
	lost := func(run ledger.Run) bool { return run.File == place && run.Digest != w.digest }
	return w.salvage(ctx, lost, func(ledger.Run) string { return path })
}

// salvage does it for the interrupted runs that are lost and that sent anything, beside the results that would be theirs. It
// connects where there are orders in doubt.
func (w *work) salvage(ctx context.Context, lost func(ledger.Run) bool, results func(ledger.Run) string) error {
	going := ctx
	ctx = context.WithoutCancel(ctx)
	runs, err := w.Ledger.Runs(ctx, true)
	if err != nil {
		return err
	}
	for _, run := range slices.Backward(runs) { // the oldest first
		if run.Digest == "" /* purged */ || !lost(run) {
			continue
		}
		made, inDoubt, err := w.Ledger.Made(ctx, run.ID)
		if err != nil {
			return err
		}
		if made == 0 {
			continue
		}
		if inDoubt > 0 {
			if err := w.settle(going, run); err != nil {
				return err
			}
		}
		s := Salvaged{Run: run, Path: report.OfRun(results(run), run.ID)}
		_, err = FromLedger(ctx, w.Ledger, run.ID, s.Path, nil, report.Options{Language: w.About.Language}, &s.Facts)
		switch {
		case ledger.Damaged(err): // from which nothing can be written to any place
			return err
		case err != nil:
			return &Error{NotSalvaged, run.ID, say.Errorf("the results of run %d, which was interrupted, could not be written: %w", run.ID, err)}
		}
		if err := w.Ledger.Finish(ctx, run.ID, time.Now()); err != nil {
			return err
		}
		w.out.Salvaged = append(w.out.Salvaged, s)
	}
	return nil
}

// settle asks for the orders in doubt, so that the results tell as much as can be known.
func (w *work) settle(ctx context.Context, run ledger.Run) error {
	if err := w.connect(); err != nil {
		return say.Errorf("run %d was interrupted, and its orders in doubt cannot be asked about: %w", run.ID, err)
	}
	w.tell(Event{Step: Asking, Run: run})
	return batch.Reconcile(ctx, w.api, w.Ledger, w.Settings.DoubtWait, w.LeaveDoubts, func(batch.Settled) {})
}

// tellStream tells of an interrupted run over standard input, of which nobody knows whether the same input will come again.
// It does so once, at the next run over standard input.
func (w *work) tellStream(ctx context.Context) error {
	runs, err := w.Ledger.Runs(ctx, false)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(runs, func(run ledger.Run) bool { return run.File == "-" })
	if at < 0 || !runs[at].Finished.IsZero() || runs[at].Digest == w.digest {
		return nil
	}
	made, _, err := w.Ledger.Made(ctx, runs[at].ID)
	if made > 0 {
		w.tell(Event{Step: Interrupted, Run: runs[at]})
	}
	return err
}
