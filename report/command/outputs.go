package command

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/page"
)

// outputFlags say what is written of a run, and where.
type outputFlags struct {
	Out          string `placeholder:"FILE" help:"The results; - is standard output. Default: FILE without its ending + .results.csv."`
	OutEncoding  string `enum:"utf-8,cp949" default:"utf-8" help:"Of the results: utf-8, which Excel knows by its mark, or cp949."`
	Excel        bool   `help:"The results once more, in a form that Excel opens right by double click: .results.excel.csv."`
	HTML         bool   `name:"html" help:"A page for people: .report.html."`
	ShowAccounts bool   `help:"Whole account numbers and holders on the page."`
	Metrics      string `placeholder:"FILE.prom" help:"Figures of the run for Prometheus, as node_exporter's textfile collector takes them."`
}

// notifyFlags say who is told of a run's end.
type notifyFlags struct {
	NotifyCmd string `placeholder:"COMMAND" help:"Run by the shell once the run has failed, with the summary as JSON on standard input."`
	Notify    string `enum:"failed,always" default:"failed" help:"When: failed or always."`
}

// paths are all the files that are written.
func (f *outputFlags) paths(out string) []string {
	files := f.files(out, "")
	paths := append(report.Paths(out, f.form()), files.Summary, files.Page, f.Metrics)
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

func (f *outputFlags) form() report.Options {
	return report.Options{Excel: f.Excel, Encoding: f.OutEncoding}
}

func (f *outputFlags) files(out, ledger string) report.Files {
	files := report.Files{Results: out, Summary: report.Beside(out, report.SummaryEnding), Metrics: f.Metrics, Ledger: ledger}
	if f.HTML {
		files.Page = report.Beside(out, report.PageEnding)
	}
	return files
}

// writeResults joins the input with the ledger's outcomes. It is done even after a signal. What is counted is whole also
// where it cannot be written. Where the input cannot be read any more, the results are written from the ledger alone, beside
// their own path, and its error says so.
func writeResults(a *app, plan *batch.Plan, book *ledger.Ledger, run int64, results *report.Results, path string, facts *report.Facts) error {
	ctx := context.WithoutCancel(a.ctx)
	err := write(plan, results, facts, func(do doRow) error { return batch.Results(ctx, plan, book, run, do) })
	hint := say.Sprintf("nothing is lost: vbankbatch report writes them again; if the file has changed, vbankbatch report --run %d", run)
	if _, unreadable := errors.AsType[*input.Error](err); unreadable && path != "-" {
		instead := report.OfRun(path, run)
		if failed := fromLedger(ctx, book, run, instead, nil, report.Options{}, facts); failed == nil {
			return &failure{say.Errorf("the results could not be written from the file: %w; from the ledger, without the file's own columns, they are in %s", err, instead), exitStopped, hint}
		}
	}
	if lacking, ok := errors.AsType[*report.EncodingError](err); ok {
		return &failure{lacking, exitStopped, say.Text("nothing is lost: vbankbatch report without --out-encoding writes the results")}
	}
	if ledger.Damaged(err) { // they would be wrong the next time too
		return say.Errorf("the results could not be written: %w", err)
	}
	if err != nil {
		return &failure{say.Errorf("the results could not be written: %w", err), exitStopped, hint}
	}
	return nil
}

// fromLedger writes the results of a run from the ledger alone, in its own columns.
func fromLedger(ctx context.Context, book *ledger.Ledger, run int64, path string, stdout io.Writer, form report.Options, facts *report.Facts) error {
	form.Alone = true
	results, err := report.Create(path, stdout, form)
	if err != nil {
		return err
	}
	defer results.Close()
	return write(new(batch.Plan), results, facts, func(do doRow) error { return batch.Recorded(ctx, book, run, do) })
}

// doRow is called for each row and what became of it.
type doRow = func(*input.Row, *batch.Result) error

// write writes the results that each hands on. Where it fails to, nothing is counted.
func write(plan *batch.Plan, results *report.Results, facts *report.Facts, each func(doRow) error) error {
	written := results.Header(plan)
	err := each(func(row *input.Row, result *batch.Result) error {
		facts.Add(row, result)
		if written == nil {
			written = results.Write(row.Cells, result)
		}
		return nil
	})
	if err != nil {
		*facts = report.Facts{}
	}
	if err = cmp.Or(err, written); err == nil {
		err = results.Commit()
	}
	return err
}

// end tells all who are to know how a run ended, and returns how the command ends: what could not be written is an error
// too.
func (c *runCommand) end(a *app, told *report.Run, facts *report.Facts, ended error) error {
	err := also(ended, c.tellEnd(told.Files, told, facts, ended))
	c.notify(a, told, facts)
	return err
}

// tellEnd writes the files that tell of a run as a whole, once it is known how it ended. They may tell that they are at
// other places than they are written at: they are going to be moved. Of a run that came to no results there are only
// the metrics.
func (f *outputFlags) tellEnd(at report.Files, run *report.Run, facts *report.Facts, ended error) error {
	run.Version = version()
	ends(run, ended)
	err := f.writeEnd(at, run, facts)
	if exit, _ := statusOf(also(ended, err)); exit != run.Exit { // those that could be written must not say otherwise
		ends(run, err)
		err = f.writeEnd(at, run, facts)
	}
	return err
}

// ends tells the run how the command ends.
func ends(run *report.Run, err error) {
	run.Exit, _ = statusOf(err)
	run.Reason = report.Reason(run.Exit, err)
	if _, rows := errors.AsType[rowsNotDone](err); err != nil && !rows {
		run.Error = err.Error()
	}
}

func (f *outputFlags) writeEnd(at report.Files, run *report.Run, facts *report.Facts) error {
	var all []error
	write := func(path string, do func() error) {
		if path != "" {
			if err := do(); err != nil {
				all = append(all, err) // which names the file
			}
		}
	}
	if run.ID != 0 {
		write(at.Summary, func() error { return report.WriteFigures(at.Summary, run, facts) })
		write(at.Page, func() error {
			return page.Write(at.Page, run, facts, page.Options{ShowAccounts: f.ShowAccounts})
		})
	}
	write(at.Metrics, func() error { return report.WriteMetrics(at.Metrics, run, facts) })
	if len(all) == 0 {
		return nil
	}
	hint := ""
	if run.ID != 0 {
		hint = say.Text("the results are not touched by this; vbankbatch report writes these files again, unless the input has changed")
	}
	return &failure{errors.Join(all...), exitStopped, hint}
}

// printFiles names the files that stand in their places now, and says what is to be done next; again is whether the same
// command goes on with the file, and moves whether they are about to be moved, which names them.
func printFiles(a *app, results *report.Results, files report.Files, facts *report.Facts, again, moves bool) {
	failed, n := results.Failed()
	if !moves {
		say.Fprintf(a.stderr, "results: %s\n", files.Results)
	}
	if n > 0 && !moves {
		say.Fprintf(a.stderr, "not done or unknown, %s: %s\n", report.Count(n, "1 row", "%s rows"), failed)
	}
	if files.Page != "" && !moves {
		say.Fprintf(a.stderr, "page: %s\n", files.Page)
	}
	unknown, notSent := say.Mark("next: the same command again finds out what became of the unknown rows; issue nothing for them by other means before that"),
		say.Mark("next: the same command again sends what was not sent")
	if !again {
		unknown, notSent = say.Mark("next: vbankbatch reconcile finds out what became of the unknown rows; issue nothing for them by other means before that"),
			say.Mark("next: vbankbatch run on the input file itself sends what was not sent")
	}
	for _, status := range []struct {
		next string
		rows int
	}{
		{unknown, facts.Statuses[batch.Unknown]},
		{notSent, facts.Statuses[batch.NotSent]},
		{say.Mark("next: mend the rows in the .failed.csv, and run that"), min(n, facts.Failed()-facts.Statuses[batch.NotSent])},
	} {
		if status.rows > 0 {
			fmt.Fprintln(a.stderr, say.Text(status.next))
		}
	}
}

// over completes what is told of a run once it is over.
func (c *runCommand) over(a *app, told *report.Run) {
	told.Ended = time.Now()
	if told.ID == 0 { // no results were written, and what may stand there is another run's
		told.Files = report.Files{Metrics: told.Files.Metrics, Ledger: told.Files.Ledger}
	}
	if told.InDoubt == nil { // the orders in doubt are there all the same
		told.InDoubt = c.inDoubt(context.WithoutCancel(a.ctx))
	}
}

// inDoubt counts the orders in doubt in the ledger; nil where it cannot be asked, or nobody knows whose orders are meant.
func (f *merchantFlags) inDoubt(ctx context.Context) *int {
	m, err := f.find(ctx)
	if err != nil {
		return nil
	}
	book, err := ledger.OpenReader(ctx, m.ledger, m.name)
	if err != nil {
		return nil
	}
	defer book.Close() // it has only read
	orders, err := book.InDoubt(ctx)
	if err != nil {
		return nil
	}
	return &orders
}

// notifyWait is how long the command that is told of a run's end may take.
const notifyWait = time.Minute

// wants reports whether somebody is to be told of a run with that exit status.
func (f *notifyFlags) wants(exit int) bool {
	return f.NotifyCmd != "" && (exit != exitDone || f.Notify == "always")
}

// notify tells whom the flags name how the run ended.
func (c *runCommand) notify(a *app, run *report.Run, facts *report.Facts) {
	if !c.wants(run.Exit) {
		return
	}
	var summary bytes.Buffer
	if err := report.EncodeFigures(&summary, run, facts); err != nil {
		say.Fprintf(a.stderr, "warning: %v\n", err)
		return
	}
	c.pipe(a, &summary)
}

// pipe gives a summary to the command that the flags name.
func (c *runCommand) pipe(a *app, summary io.Reader) {
	kept, _ := c.profile() // also one that was refused says as much as could be read
	c.tell(a, summary, client.Variables(kept.PGAPIKeys), notifyWait)
}

// tell runs the command with a summary, and without the variables that hold secrets. That it failed is a warning: the run
// did not.
func (f *notifyFlags) tell(a *app, summary io.Reader, secrets []string, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), wait)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", f.NotifyCmd)
	command.Stdin, command.Stdout, command.Stderr = summary, a.stderr, a.stderr
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(secrets, name)
	})
	command.WaitDelay = time.Second
	together(command)
	err := command.Run()
	if err != nil && ctx.Err() != nil {
		err = say.New("it took more than a minute, and was ended")
	}
	if err != nil {
		say.Fprintf(a.stderr, "warning: %v\n", fmt.Errorf("--notify-cmd: %w", err))
	}
}
