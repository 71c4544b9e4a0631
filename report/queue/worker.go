package queue

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
	"vbankbatch/report/page"
)

// Worker runs the files of a queue.
type Worker struct {
	Queue     *Queue
	Merchants int           // files side by side
	Keep      time.Duration // how long files are kept once a job's results were fetched
	Log       *slog.Logger  // is told neither names nor numbers of people or accounts

	// Task says how a stored job is done. Its error is ErrNoCredentials where this host cannot do it; another one means that no
	// host can.
	Task func(context.Context, *ledger.Job) (*Task, error)
	// End is the exit status of a run that came to those facts and ended with err, and what is told of it beside the rows.
	End func(facts *report.Facts, err error) (exit int, told error)

	Slice time.Duration // of a run, from its first row on; 0 is two minutes
	Lapse time.Duration // after which a job that nobody is at is another's; 0 is half a minute

	stopping context.Context
}

// ErrNoCredentials is returned by Worker.Task for a merchant whose credentials this host does not have.
var ErrNoCredentials = say.New("this host does not have the merchant's credentials")

// errCancelled is the cause of the end of a run that somebody wants to end.
var errCancelled = say.New("the job was cancelled")

// Task is how a stored job is done.
type Task struct {
	Merchant string // in the ledger
	Terms    ledger.Terms
	HTML     bool
	Page     page.Options
	Version  string
	// Job makes the job, for the holder of a lease. The caller calls close, also after an error. The job's input, its place for
	// results and what it tells are the worker's to set.
	Job func(context.Context, *ledger.Lease, *ledger.Ledger) (j *job.Job, close func() error, err error)
}

// A slice goes on beyond its time until it has sent so many rows, at a low rate or while the API is down, but not for ever.
const (
	leastSent    = 50
	longestSlice = 30 * time.Minute
)

const (
	twoMinutes = 2 * time.Minute
	halfMinute = 30 * time.Second
	beatEvery  = 3 * time.Second
	soon       = 3 * time.Second  // until what another process holds is asked for again; River itself wakes what is due within 5 s
	later      = 15 * time.Second // likewise, credentials
)

// Run works until ctx ends; then the rows under way are finished, and other hosts go on with the files.
func (w *Worker) Run(ctx context.Context) error {
	w.Slice, w.Lapse = cmp.Or(w.Slice, twoMinutes), cmp.Or(w.Lapse, halfMinute)
	w.stopping = ctx
	going, now := context.WithoutCancel(ctx), &clock{host: time.Now}
	if err := now.set(going, w.Queue.pool); err != nil {
		return say.Errorf("%w: %w", ledger.ErrUnreachable, err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &sliceWorker{Worker: w})
	client, err := river.NewClient(w.Queue.driver, &river.Config{
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: w.Merchants}},
		Workers:              workers,
		PollOnly:             true, // PgBouncer keeps no LISTEN
		FetchPollInterval:    500 * time.Millisecond,
		JobTimeout:           24 * time.Hour, // far above a slice, and the audit and the results behind it; what no process is at is pushed again long before
		RescueStuckJobsAfter: 25 * time.Hour,
		RetryPolicy:          retrySoon{now},
		Logger:               warnings(w.Log),
		Test:                 river.TestConfig{Time: now},
	})
	if err != nil {
		return err
	}
	if err := client.Start(going); err != nil {
		return say.Errorf("%w: %w", ledger.ErrUnreachable, err)
	}
	w.lookEvery(ctx, w.Lapse/3, nil, func() {
		if err := cmp.Or(now.set(going, w.Queue.pool), w.Queue.pushLost(going, w.Lapse.Seconds())); err != nil {
			w.Log.Warn("the queue could not be looked through", "error", err)
		}
	})
	return client.Stop(going)
}

// lookEvery calls look now, then every so often and whenever woken says so, until ctx ends. Every hour it removes what need not
// be kept any more.
func (w *Worker) lookEvery(ctx context.Context, every time.Duration, woken <-chan struct{}, look func()) {
	again, clean := time.NewTicker(every), time.NewTicker(time.Hour)
	defer again.Stop()
	defer clean.Stop()
	tidy := func() {
		clearFolders()
		if err := w.Queue.Jobs.RemoveFiles(context.WithoutCancel(ctx), w.Keep); err != nil {
			w.Log.Warn("files of jobs could not be removed", "error", err)
		}
	}
	tidy()
	for {
		look()
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-again.C:
		case <-clean.C:
			tidy()
		}
	}
}

// retrySoon is for attempts that failed in ways that nobody has thought of.
type retrySoon struct{ *clock }

func (r retrySoon) NextRetry(*rivertype.JobRow) time.Time { return r.Now().Add(later) }

// folderPrefix begins the names of the folders in which results are written before they are stored.
const folderPrefix = "vbankbatch-job-"

// clearFolders removes folders that workers have left that were killed. Whoever uses one touches it, see beat.
func clearFolders() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	for _, dir := range left {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(dir) // what is another user's stays
		}
	}
}

type sliceWorker struct {
	river.WorkerDefaults[slice]
	*Worker
}

// Work does one slice of a job. River keeps its errors: they are codes.
func (w *sliceWorker) Work(ctx context.Context, r *river.Job[slice]) error {
	stored, err := w.Queue.Jobs.Seen(ctx, r.Args.Job, r.Args.Turn)
	if errors.Is(err, ledger.ErrTurn) || errors.Is(err, ledger.ErrNoJob) {
		return nil // it is over, or another process has it
	}
	if err == nil {
		var wait time.Duration
		if wait, err = w.do(ctx, &stored); err == nil && wait < 0 {
			return nil
		} else if err == nil {
			return river.JobSnooze(wait)
		}
	}
	if errors.Is(err, ledger.ErrTurn) {
		return nil
	}
	w.Log.Warn("a slice of a job could not be done, and is tried again", "job", r.Args.Job, "error", err)
	return river.JobSnooze(soon)
}

// over is what do returns in the place of a wait when the job is over.
const over time.Duration = -1

// do does a slice of the job, and returns how long to wait before the next one.
func (w *Worker) do(ctx context.Context, stored *ledger.Job) (wait time.Duration, err error) {
	jobs, s := w.Queue.Jobs, w.begin(ctx, *stored)
	defer s.end()
	if first, err := jobs.First(ctx, stored); err != nil || !first {
		return soon, err
	}
	task, err := w.Task(ctx, stored)
	if err == nil && stored.Whose != "" && stored.Whose != task.Merchant {
		err = ErrNoCredentials // those of the same name are another's
	}
	if errors.Is(err, ErrNoCredentials) {
		if stored.Cancel { // nobody may ever have them again
			return w.refuse(s.ctx, nil, nil, stored, errCancelled)
		}
		if !stored.Lacking {
			w.Log.Warn("this host does not have the credentials of the job's merchant, and leaves the job to others", "job", stored.ID, "merchant", stored.Merchant)
		}
		return later, jobs.Lacks(ctx, stored)
	}
	if err != nil {
		return w.refuse(ctx, nil, nil, stored, err)
	}
	lease, book, release, err := w.Queue.claim(s.ctx, task)
	switch {
	case errors.Is(err, ledger.ErrLocked):
		return soon, nil
	case err != nil && s.ctx.Err() != nil:
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if lease != nil && lease.Restored && stored.Started.IsZero() {
		w.Log.Warn("the ledger's database is a copy or was restored: orders that it does not know are looked up in any case", "job", stored.ID, "merchant", stored.Merchant)
	}
	stored.Whose = task.Merchant
	if err := jobs.Start(ctx, lease, stored); err != nil {
		return 0, err
	}
	return w.run(ctx, s, stored, task, lease, book)
}

// run runs the job for a slice, in a folder of its own.
func (w *Worker) run(ctx context.Context, s *running, stored *ledger.Job, task *Task, lease *ledger.Lease, book *ledger.Ledger) (wait time.Duration, err error) {
	dir, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	s.folder.Store(&dir)
	j, disconnect, err := task.Job(ctx, lease, book)
	defer func() { err = errors.Join(err, disconnect()) }()
	if err != nil {
		return w.refuse(ctx, lease, book, stored, err)
	}
	in, err := w.fetch(ctx, stored, dir)
	if errors.Is(err, ledger.ErrNoFile) {
		return w.refuse(ctx, lease, book, stored, err)
	}
	if err != nil {
		return 0, err
	}
	defer in.Close() // it was only read

	j.Kept, j.Stdin, j.Submitted, j.Tell, j.Counts = true, in, stored.Submitted, s.tell, s.counts
	if stored.Approved.After(stored.Submitted) { // asked for again
		j.Submitted = stored.Approved
	}
	j.About.File, j.About.Files.Results = stored.File, filepath.Join(dir, resultsName)
	if !stored.Started.IsZero() {
		j.About.Started = stored.Started
	}
	w.Log.Info("slice started", "job", stored.ID, "merchant", stored.Merchant)
	out, ended := j.Run(s.ctx)
	s.read(&stored.Progress)
	stored.Run = cmp.Or(out.ID, stored.Run)
	w.Log.Info("slice ended", "job", stored.ID, "merchant", stored.Merchant, "run", out.ID, "rows_done", stored.Progress.Done)
	_, encoding := errors.AsType[*report.EncodingError](ended)
	switch {
	case errors.Is(ended, job.ErrPaused) || ctx.Err() != nil:
		_, err := w.Queue.Jobs.Advance(ctx, stored)
		return 0, err
	case errors.Is(ended, ledger.ErrLeaseLost) || errors.Is(ended, ledger.ErrUnreachable):
		return soon, nil
	case out.Reached && out.Files.Results == "" && !encoding && !ledger.Damaged(ended):
		return later, ended // another host may have room for them
	}
	out.Version = task.Version
	w.ended(&out, ended)
	if err := w.keep(ctx, stored, &out, task, dir); err != nil {
		return 0, err
	}
	return over, w.end(ctx, lease, stored, &out, ended)
}

// refuse ends a job that cannot be done, or that somebody wants to end. If it was begun its results are what the ledger knows, which
// needs no credentials; the lease and the ledger are nil where nobody has claimed them.
func (w *Worker) refuse(ctx context.Context, lease *ledger.Lease, book *ledger.Ledger, stored *ledger.Job, why error) (wait time.Duration, err error) {
	language := say.Language(stored.Language)
	out := job.Outcome{Refused: stored.Run == 0, Reached: stored.Run != 0,
		Run: report.Run{Language: language, Command: "run", API: stored.API, ID: stored.Run, Started: stored.Started, File: stored.File}}
	if stored.Run == 0 {
		w.ended(&out, why)
		return over, w.end(ctx, lease, stored, &out, why)
	}
	if book == nil {
		var release func() error
		lease, book, release, err = w.Queue.claim(ctx, &Task{Merchant: stored.Whose})
		if errors.Is(err, ledger.ErrLocked) {
			return soon, nil
		}
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	dir, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	out.Files.Workbook, err = job.FromLedger(ctx, book, stored.Run, filepath.Join(dir, resultsName), nil, report.Options{Language: language, Run: &out.Run}, &out.Facts)
	out.Reached = err == nil
	w.ended(&out, why)
	if out.Reached {
		err = w.keep(ctx, stored, &out, new(Task), dir)
	}
	if err != nil && !ledger.Damaged(err) {
		return 0, err
	}
	return over, w.end(ctx, lease, stored, &out, why)
}

// ended completes an outcome.
func (w *Worker) ended(out *job.Outcome, err error) {
	out.Ended = time.Now()
	out.Exit, out.Error = w.End(&out.Facts, err)
	if out.Reason = report.Reason(out.Exit, err); errors.Is(err, errCancelled) {
		out.Reason = report.ReasonInterrupted
	}
}

// fetch reads the job's input from the database. What fails there is no fault of the file.
func (w *Worker) fetch(ctx context.Context, stored *ledger.Job, dir string) (in *os.File, err error) {
	in, err = os.OpenFile(filepath.Join(dir, "input"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err = w.Queue.Jobs.ReadFile(ctx, stored.ID, ledger.JobInput, in); err == nil {
		_, err = in.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// running is a slice under way.
type running struct {
	*Worker
	ctx    context.Context
	stop   context.CancelCauseFunc
	counts *batch.Counts
	rows   atomic.Int64
	sends  atomic.Bool // rows are sent
	run    chan int64  // the ledger's number, once it is known
	folder atomic.Pointer[string]
	cancel bool
	timer  *time.Timer // of the slice; not running before the first row
	done   chan struct{}
	ended  chan struct{}
	detach func() bool
}

// begin begins a slice, and tells that this process is at the job, before it waits for anything: it ends with its time, with the
// worker, when somebody wants the job to end, and when it is another's.
func (w *Worker) begin(ctx context.Context, stored ledger.Job) *running {
	s := &running{Worker: w, cancel: stored.Cancel, counts: new(batch.Counts), run: make(chan int64), done: make(chan struct{}), ended: make(chan struct{})}
	s.ctx, s.stop = context.WithCancelCause(ctx)
	s.detach = context.AfterFunc(w.stopping, func() { s.stop(job.ErrPaused) })
	p, began := &stored.Progress, time.Now()
	s.timer = time.AfterFunc(longestSlice, func() {
		few := s.counts.Sent.Load()-p.Sent < leastSent && time.Since(began) < longestSlice // each slice asks for its first orders anew
		if few || s.counts.Audited.Load() > 0 {                                            // and an audit would begin anew
			s.timer.Reset(s.Slice)
			return
		}
		s.stop(job.ErrPaused)
	})
	s.rows.Store(p.Rows)
	s.counts.Won.Store(p.Won)
	s.counts.Sent.Store(p.Sent)
	s.counts.Refused.Store(p.Refused)
	go s.beat(ctx, stored)
	return s
}

// tell has the slice's time begin with the first row.
func (s *running) tell(e job.Event) {
	switch e.Step {
	case job.Planned:
		s.rows.Store(int64(e.Plan.Rows))
	case job.Running:
		s.sends.Store(true)
		if s.cancel { // only now are there results to write
			s.stop(errCancelled)
		}
		s.timer.Reset(s.Slice)
	case job.Begun:
		s.run <- e.Run.ID
		s.run <- e.Run.ID // is taken once the first is durable
	}
}

// beat tells how far the job is until the slice ends, and so that this process is at it.
func (s *running) beat(ctx context.Context, stored ledger.Job) {
	defer close(s.ended)
	ticker := time.NewTicker(min(beatEvery, s.Lapse/4))
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case stored.Run = <-s.run: // a job whose worker dies has results all the same
		case <-ticker.C:
		}
		if dir := s.folder.Load(); dir != nil {
			os.Chtimes(*dir, time.Time{}, time.Now()) // if that fails it is removed after a day, and the slice done again
		}
		s.read(&stored.Progress)
		switch cancel, err := s.Queue.Jobs.Advance(ctx, &stored); {
		case errors.Is(err, ledger.ErrTurn):
			s.stop(job.ErrPaused)
		case err == nil && cancel && s.sends.Load():
			s.stop(errCancelled)
		}
	}
}

// read takes over how far the job is. What an earlier slice did is counted anew as its rows are met.
func (s *running) read(p *ledger.JobProgress) {
	c := s.counts
	p.Rows, p.Won, p.Sent, p.Refused = s.rows.Load(), c.Won.Load(), c.Sent.Load(), c.Refused.Load()
	if done := c.Done.Load(); done >= p.Done {
		p.Done, p.NotDone, p.Waiting = done, c.Failed.Load(), c.Pending.Load()
	}
}

// end ends the slice.
func (s *running) end() {
	s.detach()
	s.timer.Stop()
	close(s.done)
	<-s.ended
	s.stop(nil)
}

// resultsName is the name of results before they are stored; what is written beside them begins with resultsStem.
var resultsName = report.Default(resultsStem)

const resultsStem = "job"

// keep stores what the run has written. A file's kind is the ending of its name.
func (w *Worker) keep(ctx context.Context, stored *ledger.Job, out *job.Outcome, task *Task, dir string) error {
	named, results := report.Default(FileName(stored)), filepath.Join(dir, resultsName)
	at := report.Files{Summary: report.Beside(results, report.SummaryEnding)}
	told := report.Files{Results: named, Summary: report.Beside(named, report.SummaryEnding), Ledger: out.Files.Ledger}
	if task.HTML {
		at.Page, told.Page = report.Beside(results, report.PageEnding), report.Beside(named, report.PageEnding)
	}
	if out.Files.Workbook != "" {
		told.Workbook = report.Beside(named, strings.TrimPrefix(filepath.Base(out.Files.Workbook), resultsStem))
	}
	if out.Reached {
		out.Files = told
	} else {
		out.Files = report.Files{}
	}
	if err := job.WriteFigures(at, &out.Run, &out.Facts, task.Page); err != nil {
		return err
	}
	written, err := os.ReadDir(dir)
	if err == nil && out.Reached {
		err = w.Queue.Jobs.RemoveResults(ctx, stored)
	}
	if err != nil {
		return err
	}
	for _, file := range written {
		ending, ours := strings.CutPrefix(file.Name(), resultsStem)
		if !ours {
			continue
		}
		in, err := os.Open(filepath.Join(dir, file.Name()))
		if err != nil {
			return err
		}
		err = w.Queue.Jobs.WriteFile(ctx, stored, ending, report.Beside(named, ending), in)
		if err := errors.Join(err, in.Close()); err != nil {
			return err
		}
		if ending == report.SummaryEnding {
			text, err := os.ReadFile(filepath.Join(dir, file.Name()))
			if err != nil {
				return err
			}
			stored.Summary = string(text)
		}
	}
	return nil
}

// end stores what the job came to.
func (w *Worker) end(ctx context.Context, lease *ledger.Lease, stored *ledger.Job, out *job.Outcome, ended error) error {
	stored.Run, stored.Exit, stored.Reason, stored.Error = cmp.Or(out.ID, stored.Run), out.Exit, out.Reason, ""
	if out.Error != nil {
		stored.Error = say.Language(stored.Language).Error(out.Error)
	}
	switch {
	case ended == nil:
		stored.State = ledger.JobDone
	case errors.Is(ended, errCancelled):
		stored.State = ledger.JobCancelled
	case out.Refused && stored.Run == 0 && stored.Progress.Sent == 0: // nor in an earlier slice
		stored.State = ledger.JobRefused
	default:
		stored.State = ledger.JobStopped
	}
	p := &stored.Progress
	if out.Reached {
		p.Rows, p.Done, p.NotDone, p.Waiting = max(p.Rows, out.Facts.Rows), out.Facts.Rows-out.Facts.Statuses[batch.NotSent].Rows, out.Facts.NotDone(), 0
		p.Won = out.Facts.Statuses[batch.Issued].Won
	}
	stop, _ := errors.AsType[*batch.StopError](ended)
	err := w.Queue.Jobs.End(ctx, lease, stored, out.Reached && (ended == nil || stop != nil && stop.TriesAgain()))
	if err == nil {
		w.Log.Info("job ended", "job", stored.ID, "merchant", stored.Merchant, "state", stored.State, "exit_status", stored.Exit, "reason", stored.Reason, "run", stored.Run, "rows", p.Rows, "won_issued", p.Won)
	}
	return err
}

// FileName is a name for the files of a job, from that of its input, which anybody may have given: it leads nowhere.
func FileName(stored *ledger.Job) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`<>:"|?*`, r) || r == unicode.ReplacementChar {
			return '_'
		}
		return r
	}, report.BaseName(stored.File))
	if name == "" || name[0] == '.' || name == "-" {
		name = "job" + strconv.FormatInt(stored.ID, 10) + name
	}
	return name
}
