// Package job does a file of orders from first to last: it reads and checks the file, asks whether to go on, has the rows
// sent, writes the results, and comes to the figures that tell of it all. Start with [Job.Run].
//
// It knows nothing of flags, terminals, signals and exit statuses, it prints nothing, and it keeps nothing that a process
// has once: what drives it, such as a command, gives it the input, a ledger and a way to the API, is asked and told through
// functions, and learns from the [Outcome] how it went.
package job

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

// Job is one run over one file. Jobs share nothing: those of several merchants may run at the same time.
type Job struct {
	About       report.Run       // what is known of the run beforehand: File is its input, Files.Results where the results go
	Settings    report.Settings  // Rate is told only; the client has it
	Stdin       io.Reader        // the input where About.File is -
	MaxInput    int64            // how many bytes are taken, unpacked
	Options     input.Options    // how the rows are read
	PGAPIKeys   client.PGAPIKeys // for KG Inicis
	Until       time.Time        // takes no new rows from this time of day on, by the API's clock; see ParseClock, Nearest and Coming
	Limit       batch.Limit      // how many rows may be refused by the API; Settings.MaxFailures tells it
	LeaveDoubts bool             // see batch.Options
	Audit       bool             // holds what was sent against the API once more, at the end
	Form        report.Options   // of the results
	Stdout      io.Writer        // the results where About.Files.Results is -

	// Inbox says that the file is one of a folder, from which whoever drives the job moves it afterwards. The job refuses a
	// file that is the results of a run, and does not mark a run that reached its end as finished: that is done once the move
	// is certain. What is salvaged goes to the folder for files that failed.
	Inbox bool

	// Kept says that the input's bytes come from Stdin, under the name About.File, which is no path. Whoever drives the job keeps
	// them, and the results, and marks a run that reached its end as finished once those are kept.
	Kept bool
	// Submitted is when the job was last asked for; zero is when rows are sent.
	Submitted time.Time
	// Digest is that of the bytes that somebody has approved: others are refused. "" takes any.
	Digest string
	// Counts are bumped while rows are sent; nil makes some.
	Counts *batch.Counts

	// Ledger is the merchant's. Whoever drives the job holds the lock of the ledger's file, for all merchants in it, and closes
	// the ledger.
	Ledger *ledger.Ledger
	// Connect makes a client whose credentials are good. It is called once at most, when there is something to ask of the API.
	// Whoever drives the job closes the client.
	Connect func() (*client.Client, error)
	// Opened is called when the input's bytes have been read, and may still set Options and PGAPIKeys, since due dates such
	// as +7d count from then; it may be nil.
	Opened func() error
	// Confirm is asked before anything is sent; its error ends the job. It may be nil.
	Confirm func(*batch.Plan) error
	// Tell is told how far the job is; it may be nil.
	Tell func(Event)
}

// Event tells how far a job is.
type Event struct {
	Step   Step
	Plan   *batch.Plan   // of Planned, Refused and Running
	Counts *batch.Counts // of Running
	Run    ledger.Run    // of Begun, Writing, Interrupted and Asking
}

// Step is what an event tells of.
type Step int

// The steps. Interrupted and Asking come where earlier runs are salvaged, the others in this order.
const (
	Checking    Step = iota // the input is read and checked
	Planned                 // it was checked, and nothing was sent yet
	Refused                 // it lacks something or is not as the guards say, and is still open; nothing is sent
	Running                 // rows are sent
	Begun                   // likewise, and Run stands in the ledger
	Writing                 // they no longer are, and the results are written; Run.ID is 0 if there are none
	Interrupted             // Run over standard input was interrupted, and only the same input goes on with it
	Asking                  // Run was interrupted, and the API is asked about its orders in doubt
)

// Outcome is what a job came to.
type Outcome struct {
	report.Run              // ID is 0 when there are no results; Exit and Reason are not told yet
	Facts      report.Facts // what the results come to
	Reached    bool         // the run got as far as its results
	Failed     string       // the file of rows that are not done or unknown, if there are any
	FailedRows int
	Salvaged   []Salvaged
	Refused    bool  // the file was refused for what it holds, or because it is gone, and nothing was sent
	Unsalvaged error // why earlier runs were not salvaged when the file was refused
}

// ErrPaused is the cause of the end of a context after which another job goes on with the run at once: no results are written.
var ErrPaused = say.New("the job pauses")

// Error is a failure of the job itself. Other errors come as they are: those of the input, the API, the ledger, and of the
// functions that a Job is given.
type Error struct {
	Fault Fault
	Run   int64 // of NotSalvaged and NotWritten
	Err   error
}

// Fault is what failed.
type Fault int

// The faults.
const (
	Guarded     Fault = iota // the file is not as the guards say; nothing was sent
	OfRun                    // the file is the results of a run; nothing was sent
	NoPlace                  // there is no place for the results; nothing was sent
	NotSalvaged              // the results of an earlier run could not be written; nothing was sent
	NotWritten               // the results could not be written
)

func (e *Error) Error() string { return e.Err.Error() }

// Say tells what went wrong.
func (e *Error) Say() say.Message { return say.Of(e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// work is a job under way.
type work struct {
	*Job
	api    *client.Client // nil until it is connected
	digest string         // of the input, "" until it is read
	out    Outcome
}

// Run does the job: everything that can be refused is refused first, then the rows are sent, then the results are written,
// whatever happened in between. The error says why the job ended early, or what could not be written; it is nil where the
// rows' own outcomes tell the rest.
//
// The end of ctx ends the job after the rows under way, and its cause is the error. When a file was refused, interrupted runs
// over it are salvaged all the same: nobody knows when there will be a good one.
func (j *Job) Run(ctx context.Context) (Outcome, error) {
	w := &work{Job: j, out: Outcome{Run: j.About}}
	err := w.run(ctx)
	if w.out.ID == 0 && w.refused(err) {
		w.out.Unsalvaged = w.salvageFile(ctx)
		err = cmp.Or(context.Cause(ctx), err)
		w.out.Refused = w.refused(err)
	}
	return w.out, err
}

func (w *work) run(ctx context.Context) error {
	file, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer file.Close()
	plan, err := w.check(ctx, file)
	if err != nil {
		return err
	}
	form := w.Form
	form.Plan, form.Run, form.Facts = plan, &w.out.Run, &w.out.Facts
	results, err := report.Create(w.About.Files.Results, w.Stdout, form)
	if err != nil {
		return &Error{Fault: NoPlace, Err: say.Errorf("the results: %w", err)}
	}
	defer results.Close()
	if w.Confirm != nil {
		if err := w.Confirm(plan); err != nil {
			return err
		}
	}
	if err := w.connect(); err != nil {
		return err
	}
	if err := w.salvageFile(ctx); err != nil {
		return err
	}
	ended := w.send(ctx, plan)
	if w.out.ID == 0 {
		return ended
	}
	return w.finish(ctx, results, ended)
}

// tell tells whoever drives the job how far it is.
func (w *work) tell(e Event) {
	if w.Tell != nil {
		w.Tell(e)
	}
}

// open reads the input's bytes, and learns how its rows are read.
func (w *work) open(ctx context.Context) (*input.File, error) {
	w.tell(Event{Step: Checking})
	path := w.About.File
	if w.Kept {
		path = "-"
	}
	file, err := input.OpenContext(ctx, path, w.Stdin, w.MaxInput)
	if err != nil {
		return nil, err
	}
	if w.Kept {
		file.Path, file.Place = w.About.File, w.About.File
	}
	w.digest = hex.EncodeToString(file.Digest[:])
	if w.Digest != "" && w.Digest != w.digest {
		file.Close() // it was only read
		return nil, &Error{Fault: Guarded, Err: say.New("the file is not the one that was approved")}
	}
	if w.Opened != nil {
		if err := w.Opened(); err != nil {
			file.Close() // the first error says more
			return nil, err
		}
	}
	return file, nil
}

// check reads the rows, and refuses a file that is not to be sent.
func (w *work) check(ctx context.Context, file *input.File) (*batch.Plan, error) {
	options := w.Options
	options.HasKey = HasKey(w.PGAPIKeys)
	plan, err := batch.Preflight(ctx, file, options)
	if err == nil {
		err = file.Settled(ctx)
	}
	if err != nil {
		return nil, err
	}
	if w.Inbox && plan.Layout.Results {
		return nil, &Error{Fault: OfRun, Err: say.Errorf("%s is the results of a run, and a folder's are not run again", say.Name(file.Path))}
	}
	if plan.Channels > 0 && plan.Refusal == nil { // whose rules apply is for the API to say
		if plan, err = w.withChannels(ctx, plan); err != nil {
			return nil, err
		}
	}
	w.tell(Event{Step: Planned, Plan: plan})
	if plan.Refusal != nil {
		w.tell(Event{Step: Refused, Plan: plan})
		return nil, plan.Refusal
	}
	if err := w.Settings.Guards.Check(plan); err != nil {
		w.tell(Event{Step: Refused, Plan: plan})
		return nil, &Error{Fault: Guarded, Err: err}
	}
	return plan, nil
}

// HasKey returns what reports whether there is a pg_api_key for a pg as a row names it.
func HasKey(keys client.PGAPIKeys) func(pgAndMID string) bool {
	return func(pgAndMID string) bool {
		_, mid, _ := pg.Name(pgAndMID)
		return keys.For(mid) != ""
	}
}

// withChannels checks the file once more, with the PG of each channel_key as the API tells of it.
func (w *work) withChannels(ctx context.Context, plan *batch.Plan) (*batch.Plan, error) {
	if err := w.connect(); err != nil {
		return nil, err
	}
	channels, err := w.api.Channels(ctx)
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

// connect makes the client, unless there is one.
func (w *work) connect() (err error) {
	if w.api == nil {
		w.api, err = w.Connect()
	}
	return err
}

// send has every row sent, and begins to tell of the ledger's run unless it came to none.
func (w *work) send(ctx context.Context, plan *batch.Plan) error {
	until, s := Coming(w.Until, w.Submitted), &w.Settings
	if w.Submitted.IsZero() {
		until = Nearest(w.Until, w.api.ServerTime())
	}
	options := batch.Options{Workers: s.Workers, DoubtWait: s.DoubtWait, SettleTime: s.Timeout, RemoteCheck: s.RemoteCheck,
		LeaveDoubts: w.LeaveDoubts, MaxFailures: w.Limit, Until: until, PGAPIKeys: w.PGAPIKeys, Counts: cmp.Or(w.Counts, new(batch.Counts)),
		Begun: func(run ledger.Run) { w.tell(Event{Step: Begun, Run: run}) }}
	if w.Audit {
		options.Audit = new(batch.Audit)
	}
	w.tell(Event{Step: Running, Plan: plan, Counts: options.Counts})
	found, ended := batch.Run(ctx, plan, w.api, w.Ledger, options)
	w.tell(Event{Step: Writing, Run: found})
	if found.ID != 0 {
		w.out.ID, w.out.Continued, w.out.Plan, w.out.Settings, w.out.Audit = found.ID, found.Continued, plan, s, options.Audit
		w.out.Measures, w.out.Limits = new(w.api.Measures()), new(w.api.Limits())
	}
	return whichTime(ended, until)
}

// finish writes what became of the rows, also after the end of ctx, and marks the run as finished unless another job is to go
// on with it: without its results it is not finished.
func (w *work) finish(ctx context.Context, results *report.Results, ended error) error {
	out := &w.out
	if errors.Is(ended, ErrPaused) {
		return ended
	}
	lost := WriteResults(ctx, out.Plan, w.Ledger, out.ID, results, w.About.Files.Results, &out.Facts, func(ctx context.Context, do doRow) error {
		return batch.Results(ctx, out.Plan, w.Ledger, out.ID, do)
	})
	if doubts, err := w.Ledger.InDoubt(context.WithoutCancel(ctx)); err == nil {
		out.InDoubt = new(len(doubts))
	}
	out.Ended, out.Requests, out.Error = time.Now(), w.api.Requests(), ended
	if lost != nil {
		out.Reached, out.Files.Results = true, "" // what may stand there is another run's
		return errors.Join(ended, lost)
	}
	stop, _ := errors.AsType[*batch.StopError](ended)
	if !w.Kept && (ended == nil && !w.Inbox || stop != nil && stop.TriesAgain()) {
		if err := w.Ledger.Finish(ctx, out.ID, time.Now()); err != nil {
			return err
		}
	}
	out.Reached, out.Files.Workbook = true, results.Workbook()
	out.Files.Failed, out.FailedRows = results.Failed()
	return ended
}

// refused reports whether an error refuses the file for what it holds, or because it is gone.
func (w *work) refused(err error) bool {
	fault, ours := errors.AsType[*Error](err)
	_, inputs := errors.AsType[*input.Error](err)
	if ours && fault.Fault != Guarded && fault.Fault != OfRun || !ours && !inputs {
		return false
	}
	_, missing := os.Stat(w.About.File)
	gone := w.About.File != "-" && !w.Kept && errors.Is(missing, fs.ErrNotExist)
	return !machines(err) || gone
}

// machines reports whether a file could not be read for a reason that is this machine's, such as a full disk, and meets
// the next file too.
func machines(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok && !errors.Is(err, fs.ErrPermission)
}

// ParseClock reads a time of day in Korea, HH:MM; the zero time is that of "".
func ParseClock(text string) (clock time.Time, err error) {
	if text != "" {
		if clock, err = time.Parse("15:04", text); err != nil {
			err = say.Errorf("%q is not a time of day", text)
		}
	}
	return clock, err
}

// Nearest is the moment closest to now at which it is that time of day in Korea; the zero time of none.
func Nearest(clock, now time.Time) time.Time {
	if clock.IsZero() {
		return clock
	}
	at := onDay(clock, now)
	switch off := at.Sub(now); {
	case off > 12*time.Hour:
		at = at.AddDate(0, 0, -1)
	case off < -12*time.Hour:
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// Coming is the next moment at which it is that time of day in Korea, of a job that was asked for then, or one in the six hours
// before: a job may be asked for in the morning for an end at night. It is the zero time of none.
func Coming(clock, asked time.Time) time.Time {
	if clock.IsZero() {
		return clock
	}
	past := asked.Add(-6 * time.Hour)
	at := onDay(clock, past)
	if !at.After(past) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// onDay is a time of day on the day in Korea of a moment.
func onDay(clock, moment time.Time) time.Time {
	year, month, day := moment.In(input.KST).Date()
	return time.Date(year, month, day, clock.Hour(), clock.Minute(), 0, 0, input.KST)
}

// whichTime adds to the end of a run by Job.Until which moment that was: the nearest may be last evening's.
func whichTime(ended error, until time.Time) error {
	stop, _ := errors.AsType[*batch.StopError](ended)
	if stop == nil || stop.Code != batch.CodeTimeIsUp {
		return ended
	}
	return &batch.StopError{Code: stop.Code, Err: say.Errorf("--until meant %s in Korea", until.In(input.KST).Format("2006-01-02 15:04"))}
}
