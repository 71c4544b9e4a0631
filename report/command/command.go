// Package command is the command line: its commands and flags, the environment, signals and exit statuses, and the wiring
// of all the rest. Start with [Main], then runCommand.Run.
package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"

	"github.com/alecthomas/kong"
)

// What is printed where: results to their file, what a program may read to standard output, everything else to
// standard error, in lower case and without a full stop, first "error:", then "hint:".

// Exit statuses.
const (
	exitDone    = 0 // every row done
	exitFailed  = 1 // finished, some rows not done
	exitUsage   = 2 // command line or configuration
	exitInput   = 3 // input refused, nothing sent
	exitUnknown = 4 // some rows are unknown
	exitStopped = 5 // stopped early
	exitLocked  = 6 // another run holds the lock
	exitSignal  = 128
)

type commands struct {
	Run        runCommand        `cmd:"" help:"Issue, update or revoke an account for every row of a file."`
	Check      checkCommand      `cmd:"" help:"Read and check a file as run would. Sends nothing and needs no credentials."`
	Doctor     doctorCommand     `cmd:"" help:"Check the credentials, the API, the ledger and the folder before the first night. Issues nothing."`
	Report     reportCommand     `cmd:"" help:"Write the results of a file's last run again, from the ledger."`
	Reconcile  reconcileCommand  `cmd:"" help:"Ask the API what came of every order in doubt. Issues nothing."`
	Ledger     ledgerCommand     `cmd:"" help:"Look at the ledger, or take personal data out of it."`
	Serve      serveCommand      `cmd:"" help:"Serve pages for people: bring a file, check, approve, watch, and take the results."`
	Submit     submitCommand     `cmd:"" help:"Check a file, store it in the ledger's database and queue it there, for workers on several hosts."`
	Work       workCommand       `cmd:"" help:"Run what was submitted, on any number of hosts."`
	Jobs       jobsCommand       `cmd:"" help:"Look at what was submitted, end it, or fetch its results."`
	Explain    explainCommand    `cmd:"" help:"Explain a status or an error code, or list them all."`
	Banks      banksCommand      `cmd:"" help:"Print the bank codes of a PG, or of all."`
	Sandbox    sandboxCommand    `cmd:"" help:"Serve the API's sandbox on this machine."`
	Completion completionCommand `cmd:"" help:"Print what completes commands and flags in bash, zsh or fish."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
	Help       helpCommand       `cmd:"" help:"Show help, on all or on a command."`
	Complete   completeCommand   `cmd:"" name:"__complete" hidden:""`

	// Lang is what language finds; here it is checked, and told in the help.
	Lang        string           `placeholder:"ko|en" enum:",ko,en" default:"" help:"The language of what people read. Default: the locale's."`
	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// app is what every command is given.
type app struct {
	signals
	ctx            context.Context
	say.Language   // of who reads what is printed
	stdin          io.Reader
	stdout, stderr say.Writer
	now            func() time.Time // for due dates, and for what is compared with the API's times; durations go by the real clock
	sound          bool             // the ledger, as merchant.book has found
	lines          *jsonLines       // what stderr writes to, with --log-format json
	outage         slog.Level       // of log events about an API that is down
	told           bool             // --notify-cmd has told of the error, with --quiet: standard error need not
}

// failure is an error with its exit status and a hint.
type failure struct {
	error
	exit int
	hint say.Message
}

// Say tells what went wrong.
func (f *failure) Say() say.Message { return say.Of(f.error) }

func (f *failure) Unwrap() error { return f.error }

func usage(hint, format string, values ...any) error {
	return &failure{say.Errorf(format, values...), exitUsage, say.NewMessage(hint)}
}

// rowsNotDone is how a command ends that did its work and has nothing more to say: the results tell the rest.
type rowsNotDone int // the exit status

func (rowsNotDone) Error() string { return say.Mark("some rows were not done") }

// errNotConfirmed is of a question that was not answered with yes.
var errNotConfirmed = say.New("not confirmed; nothing was done")

// ask asks on the terminal, and returns an error unless the answer is yes; nobody is what to say where nobody is there to
// be asked.
func (a *app) ask(question string, nobody error) error {
	if !terminal(a.stdin) || !terminal(a.stderr.Writer) {
		return usage("give --yes to do it without being asked", "%w", nobody)
	}
	fmt.Fprint(a.stderr, question, " ", a.Text("[y/N]"), " ")
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); err != nil || !slices.Contains(yes, answer) {
		return &failure{errNotConfirmed, exitInput, ""}
	}
	return nil
}

var yes = []string{"y", "yes", "예", "네"}

// also adds what failed at the end to how a command ended; rows that were not done are told by the results.
func also(err, last error) error {
	if _, ok := err.(rowsNotDone); ok && last != nil {
		return last
	}
	return cmp.Or(err, last)
}

// Main parses the command line, carries the command out and returns the exit status. The first SIGINT or SIGTERM ends
// the context; the second one leaves at once.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, now func() time.Time) (status int) {
	type helped struct{}
	defer func() { // kong calls Exit after --help, and would go on if it returned
		if r := recover(); r != nil {
			if _, ok := r.(helped); !ok {
				panic(r)
			}
			status = exitDone
		}
	}()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	reader := language(args)
	out := &remembering{Writer: stdout}
	a := &app{ctx: ctx, Language: reader, stdin: stdin, stdout: say.Writer{Writer: out, Language: reader}, stderr: say.Writer{Writer: stderr, Language: reader}, now: now, signals: signals{reloaded: make(chan struct{}, 1)}}
	if given(args, "log-format", "text", "json") == "json" {
		a.lines = newJSONLines(stderr, reader)
		defer a.lines.flush()
		a.stderr.Writer = a.lines
	}
	done := make(chan struct{})
	defer close(done)
	defer a.watch(done, func(s syscall.Signal) {
		signal.Reset(endingSignals...)
		cancel(interrupted{s})
	})()

	parser, err := kong.New(new(commands), kong.Name("vbankbatch"), kong.Writers(out, a.stderr), kong.Resolvers(environment{}),
		kong.Description(description), kong.Vars{"version": "vbankbatch " + version()}, kong.Help(a.printHelp), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(int) { panic(helped{}) }))
	if err != nil {
		panic(err)
	}
	if len(args) == 0 || len(args) == 1 && strings.HasPrefix(args[0], "--lang=") || len(args) == 2 && args[0] == "--lang" {
		args = append(args, "help")
	}
	command, err := parser.Parse(args)
	if err != nil {
		err = &failure{err, exitUsage, say.NewMessage(seeHelp)}
	} else {
		err = command.Run(a, parser)
		err = also(err, out.failed)
	}
	return a.exitStatus(err)
}

// remembering is standard output, and the first of its errors: what could not be printed must not end as if it had been.
type remembering struct {
	io.Writer
	failed error
}

func (r *remembering) Write(p []byte) (n int, err error) {
	n, err = r.Writer.Write(p)
	r.failed = cmp.Or(r.failed, err)
	return n, err
}

// exitStatus prints an error with its hint, unless somebody has been told of it, and returns its exit status.
func (a *app) exitStatus(err error) int {
	status, hint := statusOf(err)
	if _, rows := errors.AsType[rowsNotDone](err); err == nil || rows || a.told {
		return status
	}
	if a.lines != nil {
		figures := []any{"code", report.Reason(status, err), "exit_status", status}
		if hint != "" {
			figures = append(figures, "hint", hint.In(a.Language))
		}
		a.lines.logger().Error(a.Error(err), figures...)
		return status
	}
	printError(a.stderr, err, hint)
	return status
}

func printError(w say.Writer, err error, hint say.Message) {
	w.Printf("error: %v\n", err)
	if hint != "" {
		w.Printf("hint: %s\n", hint)
	}
}

// statusOf turns how a command ended into an exit status, with what to do about it.
func statusOf(err error) (status int, hint say.Message) {
	status, hint = endOf(err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		hint = say.NewMessage("make room on the disk, then run the same command again to go on")
	}
	return status, hint
}

func endOf(err error) (status int, hint say.Message) {
	if err == nil {
		return exitDone, ""
	}
	if rows, ok := errors.AsType[rowsNotDone](err); ok {
		return int(rows), ""
	}
	if signal, ok := errors.AsType[interrupted](err); ok {
		return exitSignal + int(signal.Signal), say.NewMessage(again)
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.exit, f.hint
	}
	if failed, ok := errors.AsType[*job.Error](err); ok {
		return statusOfJob(failed)
	}
	if file, ok := errors.AsType[*input.Error](err); ok {
		return exitInput, cmp.Or(file.Hint, toRead(err))
	}
	if ledger.Damaged(err) {
		return exitStopped, say.NewMessage("put a good copy of the ledger in its place, and the log beside it (-wal) out of the way, then run the same command again")
	}
	return exitStopped, say.NewMessage(again)
}

// statusOfJob does it for a failure of the job itself.
func statusOfJob(err *job.Error) (status int, hint say.Message) {
	switch err.Fault {
	case job.Guarded:
		return exitInput, say.NewMessage("nothing was sent; vbankbatch check shows the rows")
	case job.OfRun:
		return exitInput, say.NewMessage("run it by its own name if that is meant")
	case job.NoPlace:
		return exitUsage, say.NewMessage("nothing was sent; name a place that can be written with --out")
	case job.NotSalvaged:
		return exitStopped, say.Messagef("vbankbatch report --run %d --out FILE writes them to another place", err.Run)
	}
	if _, ok := errors.AsType[*report.EncodingError](err); ok {
		return exitStopped, say.NewMessage("nothing is lost: vbankbatch report without --out-encoding writes the results")
	}
	return exitStopped, say.Messagef("nothing is lost: vbankbatch report writes them again; if the file has changed, vbankbatch report --run %d", err.Run)
}

const seeHelp = "vbankbatch --help, or vbankbatch COMMAND --help"

const again = "run the same command again to go on"

const description = `Issues Korean virtual bank accounts for a CSV of orders through the PortOne V1 API, one order one account.

Every flag can also be set in the environment: --doubt-wait as VBANKBATCH_DOUBT_WAIT. Credentials are read from
IMP_KEY, IMP_SECRET and, for KG Inicis, IMP_PG_API_KEY, or from the files that IMP_KEY_FILE and so on name.

  vbankbatch check orders.csv
  vbankbatch run --sandbox orders.csv
  vbankbatch run --due +7d --holder 한빛상사 orders.csv`

type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command."`
}

// Run parses the command with --help, which does not return.
func (c helpCommand) Run(k *kong.Kong) error {
	_, err := k.Parse(append(c.Command, "--help"))
	return &failure{err, exitUsage, say.NewMessage(seeHelp)}
}

type versionCommand struct{}

func (versionCommand) Run(a *app) error {
	fmt.Fprintln(a.stdout, "vbankbatch", version())
	return nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return fmt.Sprintf("%s, %s", info.Main.Version, info.GoVersion)
	}
	return "unknown"
}
