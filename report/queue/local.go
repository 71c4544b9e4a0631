package queue

import (
	"cmp"
	"context"
	"errors"
	"time"

	"vbankbatch/batch/ledger"
)

// Local is the queue of a ledger in a file: one process runs its jobs, one after the other, since one may write to the file.
// Other processes may run the same ledger's files meanwhile; the job then waits for its lock. The caller closes the jobs.
func Local(jobs *ledger.Jobs, path string) *Queue { return &Queue{Jobs: jobs, address: path} }

// wholeJob is the slice of a job that nobody takes over.
const wholeJob = 100 * 24 * time.Hour

// RunLocal runs the jobs of a ledger in a file until ctx ends; then the rows under way are finished, and the next process
// goes on with the file. It looks for jobs whenever woken says so, and every few seconds.
func (w *Worker) RunLocal(ctx context.Context, woken <-chan struct{}) {
	w.Slice, w.Lapse, w.stopping = wholeJob, cmp.Or(w.Lapse, halfMinute), ctx
	w.lookEvery(ctx, soon, woken, func() {
		if err := w.openJobs(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("a job could not be done, and is tried again", "error", err)
		}
	})
}

// openJobs does the jobs that are open, the oldest of each merchant first. One that fails keeps back none of another merchant.
func (w *Worker) openJobs(ctx context.Context) error {
	open, err := w.Queue.Jobs.Open(ctx)
	for i := 0; i < len(open) && ctx.Err() == nil; i++ {
		err = errors.Join(err, w.local(ctx, &open[i]))
	}
	return err
}

// local does a job. One whose lock another process holds, or that another process took first, is left for now.
func (w *Worker) local(ctx context.Context, stored *ledger.Job) error {
	unlock, err := ledger.Lock(ctx, w.Queue.address, 0) // whoever is at a job holds the lock: it keeps its turn
	if errors.Is(err, ledger.ErrLocked) {
		return nil
	}
	if err == nil {
		err = unlock()
	}
	if err != nil {
		return err
	}
	now, err := w.Queue.Jobs.Turn(ctx, stored.ID, stored.Turn)
	if err == nil {
		_, err = w.do(context.WithoutCancel(ctx), &now)
	}
	if errors.Is(err, ledger.ErrTurn) || errors.Is(err, ledger.ErrNoJob) {
		return nil
	}
	return err
}
