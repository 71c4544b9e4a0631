package command

import (
	"bytes"
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
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
	"vbankbatch/report/page"
)

// outputFlags say what is written of a run, and where.
type outputFlags struct {
	Out        string `placeholder:"FILE" help:"The results; - is standard output. Default: FILE without its ending + .results.csv."`
	job.Output `embed:""`
	Group      string `placeholder:"NAME" help:"A group that may read the results, and a folder's done and failed; of Unix."`
	Metrics    string `placeholder:"FILE.prom" help:"Figures of the run for Prometheus, as node_exporter's textfile collector takes them."`
}

// notifyFlags say who is told of a run's end.
type notifyFlags struct {
	NotifyCmd string   `placeholder:"COMMAND" help:"Run by the shell once the run has failed, with what happened in three lines, and the summary as JSON, on standard input."`
	Notify    []string `enum:"failed,always,json" default:"failed" help:"When: failed or always; json: with the summary alone. always,json is both."`
}

// paths are all the files that are written.
func (f *outputFlags) paths(out string) []string {
	files := f.files(out, "")
	paths := append(report.Paths(out, f.form(say.English)), files.Summary, files.Page, f.Metrics)
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

func (f *outputFlags) form(language say.Language) report.Options {
	workbook := report.SmallWorkbook
	if f.Excel != nil && *f.Excel {
		workbook = report.AnyWorkbook
	} else if f.Excel != nil {
		workbook = report.NoWorkbook
	}
	return report.Options{Workbook: workbook, Encoding: f.OutEncoding, Language: language}
}

func (f *outputFlags) files(out, ledger string) report.Files {
	files := report.Files{Results: out, Summary: report.Beside(out, report.SummaryEnding), Metrics: f.Metrics, Ledger: ledger}
	if f.HTML {
		files.Page = report.Beside(out, report.PageEnding)
		if !f.ShowAccounts && page.Shows(files.Page) {
			files.Page = report.Beside(out, report.MaskedEnding)
		}
	}
	return files
}

// end tells all who are to know how a run ended, and returns how the command ends: what could not be written is an error
// too.
func (c *runCommand) end(a *app, told *report.Run, facts *report.Facts, ended error) error {
	err := also(ended, c.tellEnd(told.Files, told, facts, ended))
	c.logEnd(a, told, facts)
	var summary bytes.Buffer
	if err := c.writeNotice(&summary, told.File, told, facts); err != nil {
		a.stderr.Printf("warning: %v\n", err)
	} else {
		c.notify(a, told.Exit, &summary)
	}
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
		run.Error = err
	}
}

func (f *outputFlags) writeEnd(at report.Files, run *report.Run, facts *report.Facts) error {
	err := job.WriteFigures(at, run, facts, page.Options{ShowAccounts: f.ShowAccounts})
	if err == nil {
		return f.shareResults(at.Results)
	}
	hint := say.Message("")
	if run.ID != 0 {
		hint = say.NewMessage("the results are not touched by this; vbankbatch report writes these files again, unless the input has changed")
	}
	return &failure{err, exitStopped, hint}
}

// printFiles names the files that stand in their places now, and says what is to be done next; n rows are not done or
// unknown, again is whether the same command goes on with the file, and moves whether they are about to be moved,
// which names them, and refused whether the rows that were not sent would be refused like the others.
func (f *outputFlags) printFiles(a *app, files report.Files, facts *report.Facts, n int, again, moves, refused bool) {
	f.printWorkbook(a, files, facts, moves)
	if !moves {
		a.stderr.Printf("results: %s\n", files.Results)
	}
	if n > 0 && !moves {
		a.stderr.Printf("not done or unknown, %s: %s\n", report.Count(a.Language, n, "1 row", "%s rows"), files.Failed)
	}
	if files.Page != "" && !moves {
		a.stderr.Printf("page: %s\n", files.Page)
	}
	unknown, notSent := say.Mark("next: the same command again finds out what became of the unknown rows; issue nothing for them by other means before that"),
		say.Mark("next: the same command again sends what was not sent")
	if !again {
		unknown, notSent = say.Mark("next: vbankbatch reconcile finds out what became of the unknown rows; issue nothing for them by other means before that"),
			say.Mark("next: vbankbatch run on the input file itself sends what was not sent")
	}
	if refused {
		notSent = say.Mark("next: look at the reason above; the rows that were not sent would be refused like the others")
	}
	for _, status := range []struct {
		next string
		rows int64
	}{
		{unknown, facts.Statuses[batch.Unknown].Rows},
		{notSent, facts.Statuses[batch.NotSent].Rows},
		{say.Mark("next: mend the rows in the .failed.csv, and run that"), min(int64(n), facts.NotDone()-facts.Statuses[batch.NotSent].Rows)},
	} {
		if status.rows > 0 {
			fmt.Fprintln(a.stderr, a.Text(status.next))
		}
	}
}

// printWorkbook names the workbook, or says why there is none.
func (f *outputFlags) printWorkbook(a *app, files report.Files, facts *report.Facts, moves bool) {
	if files.Workbook != "" && !moves {
		a.stderr.Printf("workbook: %s\n", files.Workbook)
	}
	if facts.Rows > report.SmallRows && f.Excel == nil && files.Results != "-" {
		a.stderr.Printf("no workbook: of more than %s rows it is written with --excel\n", report.Thousands(report.SmallRows))
	}
}

// lost says what came of a run that was salvaged.
func lost(s *job.Salvaged) error {
	return say.Errorf("run %d was interrupted and its file has since changed or gone; its results were written from the ledger, without the file's own columns", s.ID)
}

// tellSalvaged names the files, also with --quiet: nobody would look for them.
func tellSalvaged(a *app, runs []job.Salvaged) {
	for _, s := range runs {
		fmt.Fprintf(a.stderr, "%s: %s\n", a.Error(lost(&s)), say.Name(s.Path))
		if n := int(s.Facts.Statuses[batch.Unknown].Rows); n > 0 {
			a.stderr.Printf("  unknown: %s; vbankbatch reconcile finds out what became of them, then vbankbatch report --run %d writes the results again\n", report.Count(a.Language, n, "1 row", "%s rows"), s.ID)
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

// notify tells whom the flags name of a run with that exit status, by its summary.
func (c *runCommand) notify(a *app, exit int, summary io.Reader) {
	a.told = false
	if exit != exitDone || slices.Contains(c.Notify, "always") {
		c.send(a, summary)
	}
}

// send tells whom the flags name.
func (c *runCommand) send(a *app, summary io.Reader) {
	a.told = false
	if c.NotifyCmd == "" {
		return
	}
	kept, _ := c.profile() // also one that was refused says as much as could be read
	a.told = c.tell(a, summary, client.Variables(kept.PGAPIKeys), notifyWait) && c.Quiet && a.lines == nil
}

// tell runs the command with a summary, and without the variables that hold secrets. That it failed is a warning: the run
// did not.
func (f *notifyFlags) tell(a *app, summary io.Reader, secrets []string, wait time.Duration) (told bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), wait)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", f.NotifyCmd)
	command.Stdin, command.Stdout, command.Stderr = summary, a.stderr.Writer, a.stderr.Writer
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
		a.stderr.Printf("warning: %v\n", say.Errorf("--notify-cmd: %w", err))
	}
	return err == nil
}
