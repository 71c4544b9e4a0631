package command

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
)

// A file of a folder is run as it would be by its own name, but that the ledger's run stays open until it is certain that
// the file leaves the folder:
//
//  1. the rows are done, and the results and what belongs to them lie under hidden names in the folder;
//  2. the move is on the disk (report.Inbox.Begin);
//  3. the ledger's run is finished, the files are moved, whoever is to be told is told, the move is forgotten.
//
// Killed before 2, the same command goes on with the run, sends nothing twice and writes the same results; killed after
// it, the same command does 3 again, of which nothing can be done twice but the telling.
//
// The order of the renames alone would not do. The next process could not tell results that were half moved from those of
// an earlier file of that name. It would look for the results in done and failed, from where they may have been collected.
// And a file that was refused has no run in the ledger: nobody would be told of it.

// inbox runs the files of a folder, and tells how that ended where it was not by a file that was run.
func (c *runCommand) inbox(a *app) error {
	told, r := c.begun(a), &folderRun{runCommand: c, worst: exitDone}
	err := r.run(a, &told)
	if err == nil && r.worst != exitDone {
		return rowsNotDone(r.worst)
	}
	if err == nil || r.told {
		return err
	}
	c.over(a, &told)
	return c.end(a, &told, new(report.Facts), err)
}

// run holds the locks of the folder and of the ledger from the first file to the last, so that nobody runs a file that is
// about to be moved.
func (r *folderRun) run(a *app, told *report.Run) (err error) {
	c := r.runCommand
	m, err := c.where()
	if err != nil {
		return err
	}
	if err := distinct([]string{c.File, c.Profile}, m.books(), []string{"-", c.Metrics}); err != nil {
		return err
	}
	told.API, told.Files.Metrics, told.Files.Ledger = m.url, c.Metrics, ledger.Name(m.ledger)
	if err := c.inboxFlags(); err != nil {
		return err
	}
	if err := c.identify(a.ctx, m); err != nil {
		return err
	}
	if err := report.CheckInbox(c.File); err != nil {
		return usage("nothing was sent; this program did not make it: look what it is, then remove it", "%w", err)
	}
	unlock, err := ledger.LockBeside(a.ctx, filepath.Join(c.File, report.InboxLock), c.LockWait)
	switch {
	case err != nil && a.ctx.Err() != nil:
		return context.Cause(a.ctx)
	case errors.Is(err, ledger.ErrLocked):
		return &failure{say.Errorf("another run is busy with %s", c.File), exitLocked, say.NewMessage("wait for it to end, here with --lock-wait 10m")}
	case err != nil:
		return usage("nothing was sent; the folder must be one that can be written", "%s: %w", c.File, err)
	}
	defer func() { err = also(err, unlock()) }()
	release, err := m.lock(a.ctx, &c.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	a.warn(m.warnings())
	box, err := report.OpenInbox(c.File)
	if err != nil {
		return usage("nothing was sent; done and failed must be folders of this one, on its file system, that can be written", "%w", err)
	}
	defer box.Close() // nothing is written through it any more
	if err := c.share(filepath.Join(c.File, report.InboxDone), filepath.Join(c.File, report.InboxFailed)); err != nil {
		return err
	}
	c.held, c.inInbox = &held{m.lease}, true
	r.merchant, r.box = m, box
	left, err := r.all(a)
	noticed := false
	if err == nil && len(r.never) > 0 && r.worst == exitDone { // else whoever was told of a file was told how many these are
		r.tellNever(a)
		noticed = a.told
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if !c.Quiet || slices.Contains(r.never, name) && !noticed {
			fmt.Fprintln(a.stderr, a.Sprintf(left[name], say.Name(name)))
		}
	}
	return err
}

// tellNever tells whom the flags name of files that no run takes.
func (r *folderRun) tellNever(a *app) {
	told := r.begun(a)
	told.API, told.Files = r.merchant.url, report.Files{Metrics: r.Metrics, Ledger: ledger.Name(r.merchant.ledger)}
	r.over(a, &told)
	told.Version, told.Exit, told.Reason = version(), r.worst, report.ReasonNotTaken
	names := r.never
	if len(names) > mostNever {
		names = append(slices.Clone(names[:mostNever]), "…")
	}
	told.Error = &failure{say.Errorf("not taken by any run, in %s: %s", say.Name(r.File), say.Name(strings.Join(names, ", "))), r.worst, say.NewMessage("save them as .xlsx or CSV under another name, or take them out of the folder")}
	var summary bytes.Buffer
	if err := r.writeNotice(&summary, r.File, &told, new(report.Facts)); err == nil {
		r.send(a, &summary)
	}
}

// mostNever is how many files that no run takes are named in a message.
const mostNever = 10

// inboxFlags refuses flags that a folder cannot have.
func (c *runCommand) inboxFlags() error {
	switch {
	case c.Out != "":
		return usage("leave it out: each file's results are moved with it", "--out names one file, and %s is a folder", c.File)
	case c.Revoke:
		return usage("name the results file whose accounts are meant", "--revoke takes back the results of one file, and %s is a folder", c.File)
	case c.Metrics != "":
		return replaceable([]string{c.Metrics})
	}
	return nil
}

// folderRun is one run over a folder.
type folderRun struct {
	*runCommand
	merchant *merchant
	box      *report.Inbox
	worst    int            // exit status so far
	told     bool           // of what ended the command before the last file
	swept    []job.Salvaged // the runs of files that are gone
	never    []string       // files that no run takes
}

// badness orders the exit statuses of files that were run.
var badness = []int{exitDone, exitFailed, exitInput, exitUnknown}

// all runs the files, and returns why others are left. Its error ends the command before the last file.
func (r *folderRun) all(a *app) (left map[string]string, err error) {
	move, err := r.box.Interrupted()
	if err != nil {
		return nil, usage("an earlier run left it; look where its files are, then remove it", "%w", err)
	}
	if move != nil && move.Whose != "" && move.Whose != r.merchant.name {
		return nil, usage("run it once more with those, which finishes it; nothing was sent", "%s: a run with another API address or key, or over --sandbox, was interrupted while it moved %s", r.File, say.Name(string(move.Name)))
	}
	if move != nil {
		r.met(move.Exit)
		if err := r.conclude(a, move); err != nil {
			return nil, err
		}
	}
	if err := r.box.Clear(); err != nil {
		return nil, usage("nothing was sent; the folder must be one that can be written", "%w", err)
	}
	files, left, never, err := r.box.Files()
	if err != nil {
		return nil, err
	}
	r.never, r.notTaken = never, new(len(never))
	for i := range files {
		if a.ctx.Err() != nil {
			return left, context.Cause(a.ctx)
		}
		if !r.Quiet {
			a.stderr.Printf("file %d of %d: %s\n", i+1, len(files), say.Name(files[i].Path))
		}
		taken, err := r.box.Take(a.ctx, &files[i])
		if err == nil && taken {
			taken, err = r.one(a, &files[i])
		}
		if err != nil {
			return left, err
		}
		if !taken {
			left[filepath.Base(files[i].Path)] = report.LeftWriting
		}
	}
	if err := r.sweep(a); err != nil {
		return left, err
	}
	if len(files) == 0 && move == nil && len(r.swept) == 0 {
		return left, r.nothing(a)
	}
	return left, nil
}

// nothing tells of an empty folder; monitoring wants to know that it was looked into.
func (r *folderRun) nothing(a *app) error {
	if !r.Quiet {
		a.stderr.Printf("nothing to run in %s\n", r.File)
	}
	told := r.begun(a)
	told.API, told.Files.Metrics = r.merchant.url, r.Metrics
	r.over(a, &told)
	err := r.tellEnd(told.Files, &told, new(report.Facts), nil)
	r.logEnd(a, &told, new(report.Facts))
	return err
}

// met notes a file's exit status, and reports whether none was worse before.
func (r *folderRun) met(exit int) bool {
	if slices.Index(badness, exit) < slices.Index(badness, r.worst) {
		return false
	}
	r.worst = exit
	return true
}

// one runs a file and moves it. A file that somebody wrote to meanwhile stays; where nothing was sent for it, it has not
// been taken. The error is of a file that was stopped early, which stays where it is.
func (r *folderRun) one(a *app, file *report.InboxFile) (taken bool, err error) {
	c := *r.runCommand
	a.told = false // of this file, nobody
	c.File, c.Out, c.id = file.Path, r.box.Results(), ""
	out := job.Outcome{Run: c.begun(a)}
	ended := c.run(a, &out)
	told, facts := &out.Run, &out.Facts
	c.over(a, told)
	if err := r.tellOfSalvaged(a, out.Salvaged); err != nil {
		return true, err
	}
	exit, _ := statusOf(ended)
	if out.Refused && r.box.Changed(file) {
		return false, r.box.Clear() // what tells why
	}
	if !out.Refused && exit != exitDone && exit != exitFailed && exit != exitUnknown {
		r.told = true
		return true, c.end(a, told, facts, ended)
	}
	if out.Refused && !c.Quiet {
		a.exitStatus(ended)
	}
	here := told.Files
	move, err := r.leave(a, file, told, facts, ended)
	if err != nil { // it stays where it is
		told.Files, r.told = here, true
		return true, c.end(a, told, facts, err)
	}
	c.logEnd(a, told, facts)
	err = r.conclude(a, move)
	if out.Refused && c.Quiet {
		a.exitStatus(ended)
	}
	return true, err
}

// leave writes what tells of a file that was run, and puts its move on the disk.
func (r *folderRun) leave(a *app, file *report.InboxFile, told *report.Run, facts *report.Facts, ended error) (*report.Move, error) {
	exit, _ := statusOf(ended)
	to := report.InboxDone
	if exit != exitDone {
		to = report.InboxFailed
	}
	move, err := r.box.Plan(file, to, time.Now())
	if err != nil {
		return nil, err
	}
	if told.ID == 0 && ended != nil {
		if err := r.reason(a, ended); err != nil {
			return nil, err
		}
	}
	here := told.Files
	for _, path := range []*string{&told.Files.Workbook, &told.Files.Results, &told.Files.Failed, &told.Files.Summary, &told.Files.Page} {
		*path = r.box.At(move, *path)
	}
	if !r.met(exit) {
		here.Metrics = "" // they tell of the worst file
	}
	if err := r.tellEnd(here, told, facts, ended); err != nil {
		return nil, err
	}
	var summary bytes.Buffer
	if err := r.writeNotice(&summary, r.box.At(move, file.Path), told, facts); err != nil {
		return nil, err
	}
	move.Whose, move.Run, move.Exit, move.Summary = r.merchant.name, told.ID, exit, summary.String()
	if told.Plan != nil {
		move.Digest = told.Plan.Digest()
	}
	if err := r.box.Begin(move, file); err != nil {
		return nil, say.Errorf("%s cannot be moved: %w", say.Name(file.Path), err)
	}
	return move, nil
}

// reason writes why a file was refused, for whoever finds it in failed.
func (r *folderRun) reason(a *app, ended error) error {
	path := report.Beside(r.box.Results(), report.ReasonEnding)
	err := report.Replace(path, 0o600, func(w io.Writer) error {
		_, hint := statusOf(ended)
		printError(a.stderr.To(w), ended, hint)
		return nil
	})
	return cmp.Or(err, r.share(path, report.Beside(r.box.Results(), report.ProblemsEnding)))
}

// conclude finishes the ledger's run, moves the files and tells whom the flags name. It is done even after a signal.
func (r *folderRun) conclude(a *app, move *report.Move) error {
	if move.Run != 0 {
		if err := r.finish(a, move); err != nil {
			return err
		}
	}
	moved, err := r.box.Carry(move)
	if err != nil {
		return err
	}
	if !r.Quiet && len(moved) > 0 {
		for i := range moved {
			moved[i] = say.Name(moved[i])
		}
		a.stderr.Printf("moved to %s: %s\n", say.Name(r.box.Folder(move)), strings.Join(moved, ", "))
	}
	if move.Stays { // told with --quiet too: its rows look done, and some are not
		fmt.Fprintln(a.stderr, a.Sprintf(report.LeftChanged, say.Name(string(move.Name))))
	}
	r.notify(a, move.Exit, strings.NewReader(move.Summary))
	return r.box.End()
}

// finish marks the ledger's run as complete, unless it is complete already, or is not this merchant's.
func (r *folderRun) finish(a *app, move *report.Move) error {
	ctx := context.WithoutCancel(a.ctx)
	book, err := r.merchant.book(a)
	if err != nil {
		return err
	}
	found, err := book.LastRun(ctx, move.Digest)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = nil
	case err == nil && found.ID == move.Run && found.Finished.IsZero():
		err = book.Finish(ctx, found.ID, time.Now())
	}
	return errors.Join(err, book.Close())
}

// sweep salvages the runs of files that are not in the folder any more.
func (r *folderRun) sweep(a *app) (err error) {
	if _, err := os.Stat(r.merchant.ledger); errors.Is(err, fs.ErrNotExist) && !ledger.IsDatabase(r.merchant.ledger) {
		return nil
	}
	d := r.driver(a)
	if d.kept, err = r.profile(); err != nil {
		return err
	}
	if d.perSecond, err = r.rate(d.kept); err != nil {
		return err
	}
	book, release, err := r.merchant.locked(a, &r.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	d.merchant = r.merchant
	defer func() { err = also(err, d.disconnect()) }()
	gone := job.Job{About: r.begun(a), Settings: report.Settings{DoubtWait: r.DoubtWait}, Ledger: book, LeaveDoubts: r.LeaveDoubts, Connect: d.connect, Tell: d.show}
	r.swept, err = gone.Sweep(a.ctx)
	tellSalvaged(a, r.swept)
	return errors.Join(err, r.tellOfSalvaged(a, r.swept))
}

// tellOfSalvaged tells whom the flags name of runs that were salvaged: what they did not come to is not done.
func (r *folderRun) tellOfSalvaged(a *app, runs []job.Salvaged) error {
	for _, s := range runs {
		told := r.begun(a)
		told.API, told.ID, told.File, told.Started = r.merchant.url, s.ID, s.File, s.Started
		told.Files = report.Files{Results: s.Path, Metrics: r.Metrics, Ledger: ledger.Name(r.merchant.ledger)}
		ended := &failure{lost(&s), exitFailed, say.NewMessage("look what became of the file: rows that the results lack were not done; nothing is issued twice if it is run again")}
		if s.Facts.Statuses[batch.Unknown].Rows > 0 {
			ended.exit, ended.hint = exitUnknown, say.NewMessage("some of its rows are unknown: vbankbatch reconcile asks the API; issue nothing for them by other means before that")
		}
		r.over(a, &told)
		exit, _ := statusOf(ended)
		if !r.met(exit) {
			told.Files.Metrics = "" // they tell of the worst file
		}
		if err := r.end(a, &told, &s.Facts, ended); err != error(ended) {
			return err
		}
	}
	return nil
}
