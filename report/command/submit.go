package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
	"vbankbatch/report/queue"
	"vbankbatch/report/serve"
)

// namedFlags say whose credentials are meant where there are those of several merchants.
type namedFlags struct {
	Credentials string `placeholder:"DIR" help:"The credentials of merchants by name: DIR/NAME/key, DIR/NAME/secret and DIR/NAME/pg_api_key. Without the folder of a name: IMP_KEY_NAME, IMP_SECRET_NAME and so on, or IMP_KEY_NAME_FILE."`
}

// named reads the credentials of a merchant; "" is the one of IMP_KEY. What there is nothing of is empty.
func (f *namedFlags) named(ctx context.Context, name string) (client.Credentials, error) {
	if name == "" {
		return client.Environment(ctx)
	}
	return client.Named(ctx, f.Credentials, name)
}

type submitCommand struct {
	File       string `arg:"" help:"The orders, CSV or .xlsx; - is standard input."`
	runFlags   `embed:""`
	namedFlags `embed:""`
	Merchant   string `placeholder:"NAME" help:"Whose orders these are, by the name that the workers' credentials have. Default: the merchant of IMP_KEY."`
	Again      bool   `help:"Make another job, although these bytes were submitted today with the same settings."`
	Wait       bool   `help:"Wait for the end, show how far the job is, and write its results here as run does."`
}

func (submitCommand) Help() string {
	return `Checks the file as run does, stores it in the ledger's database and queues it there, for vbankbatch work on any host.
Prints the job's number. The same bytes with the same settings are one job on one day: a second submit attaches to it.

  vbankbatch submit --wait --ledger postgres://vbankbatch@db/vbankbatch --due +7d orders.csv`
}

// flagsOf are those of the run that a request asks for. The profile stands for those that say how the file is read.
func flagsOf(s *job.Request) (f runFlags) {
	f.MaxInput, f.Guards, f.Sending, f.Output = s.MaxInput, s.Guards, s.Sending, s.Output
	f.Rate, f.Workers, f.Timeout, f.DoubtWait, f.Patience = &s.Rate, s.Workers, time.Duration(s.Timeout), time.Duration(s.DoubtWait), time.Duration(s.Patience)
	return f
}

// refuse refuses flags of run that a job cannot have.
func (c *submitCommand) refuse() error {
	info, err := os.Stat(c.File)
	switch {
	case err == nil && info.IsDir():
		return usage("name one of its files", "submit takes one file, and %s is a folder", c.File)
	case c.Sandbox:
		return usage("serve one with vbankbatch sandbox, and name it with --api-url", "--sandbox is for this process, and others run what is submitted")
	case c.DryRun:
		return usage("vbankbatch check or run --dry-run does that", "--dry-run sends nothing, and submit is there to have it sent")
	case c.Out == "-":
		return usage("name a file with --out", "standard output has the job's number, not its results")
	case c.Out != "" && !c.Wait:
		return usage("give --wait, or fetch the results with vbankbatch jobs results", "--out is where --wait writes the results")
	case c.Group != "" || c.Metrics != "" || c.NotifyCmd != "":
		return usage("go by the exit status of --wait, and by the figures of vbankbatch work --listen", "--group, --metrics and --notify-cmd are for a run in this process")
	case c.Merchant != "" && !client.MerchantName.MatchString(c.Merchant):
		return usage("a name has small letters, digits and hyphens", "--merchant: %q is not a merchant's name", c.Merchant)
	}
	return nil
}

func (c *submitCommand) Run(a *app) (err error) {
	if err := c.refuse(); err != nil {
		return err
	}
	d := (&runCommand{File: c.File, runFlags: c.runFlags}).driver(a)
	if err := c.prepare(a, d); err != nil {
		return err
	}
	out := resultsOf(c.File, c.Out)
	if out == "-" && c.Wait {
		return usage("name a file with --out", "the results of standard input have no place of their own")
	}
	if c.Wait {
		if err := distinct([]string{c.File, c.Profile}, nil, c.paths(out)); err != nil {
			return err
		}
		if err := replaceable(c.paths(out)); err != nil {
			return err
		}
	}
	q, err := openQueue(a, d.merchant, quietLog())
	if err != nil {
		return err
	}
	defer func() { err = also(err, q.Close()) }()
	stored, err := c.submit(a, d, q)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.stdout, stored.ID); err != nil {
		return err
	}
	switch {
	case c.Wait:
		return c.wait(a, q.Jobs, stored.ID, out)
	case stored.State == ledger.JobCancelled || stored.State == ledger.JobRefused: // nobody runs it
		return jobOutcome(a, stored)
	}
	return nil
}

// prepare refuses what is wrong with the flags, and finds whose orders these are, as far as that is known here.
func (c *submitCommand) prepare(a *app, d *driver) (err error) {
	m, err := c.where()
	if err != nil {
		return err
	}
	if !ledger.IsDatabase(m.ledger) {
		return usage("give --ledger postgres://user@host/database", "what is submitted is queued in a PostgreSQL database")
	}
	d.merchant = m
	if err := d.parse(); err != nil {
		return err
	}
	if err := c.check(m); err != nil {
		return err
	}
	if c.Merchant == "" {
		return c.identify(a.ctx, m)
	}
	if m.Credentials, err = c.named(a.ctx, c.Merchant); err != nil {
		return usage("", "%w", err)
	}
	if m.Complete() == nil {
		m.name = ledger.Merchant(m.url, string(m.Key))
	} else {
		m.Places = []string{c.Merchant} // as the question has it
	}
	return nil
}

// submit checks the file, asks, and stores and queues the job, or finds the one that there is.
func (c *submitCommand) submit(a *app, d *driver, q *queue.Queue) (*ledger.Job, error) {
	options, err := c.options(d.kept, a.now())
	if err != nil {
		return nil, err
	}
	options.Revoke = c.Revoke
	if c.Merchant == "" || d.merchant.name != "" { // else the workers have the keys
		if err := d.merchant.PGAPIKeys.Find(a.ctx, d.kept.PGAPIKeys); err != nil {
			return nil, usage("", "--profile: %w", err)
		}
		options.HasKey = job.HasKey(d.merchant.PGAPIKeys)
	}
	plan, err := c.open(a, c.File, func() (input.Options, error) { return options, nil })
	if err != nil {
		return nil, err
	}
	defer plan.File.Close() // it was only read
	if !c.Quiet {
		report.PrintPlan(a.stderr, plan)
	}
	if plan.Refusal != nil {
		return nil, plan.Refusal
	}
	if err := c.Guards.Check(plan); err != nil {
		return nil, &failure{err, exitInput, say.NewMessage("nothing was sent; vbankbatch check shows the rows")}
	}
	stored, err := c.job(a, d, plan)
	if err != nil {
		return nil, err
	}
	same, err := q.Jobs.Same(a.ctx, stored)
	if err != nil {
		return nil, queueFails(a.ctx, d.merchant, err)
	}
	if same == nil || c.Again {
		if err := c.confirm(d, plan); err != nil {
			return nil, err
		}
	}
	added, err := q.Jobs.Add(a.ctx, stored, c.Again, plan.File.Bytes())
	if err == nil && !added {
		err = c.attach(a, d.merchant, q, stored)
	}
	if err == nil && stored.State == ledger.JobQueued && stored.Turn == 0 {
		err = q.Push(a.ctx, stored.ID, stored.Turn)
	}
	if err != nil {
		return nil, queueFails(a.ctx, d.merchant, err)
	}
	return stored, nil
}

// attach tells of the job that there is, and has one go on that was stopped, as the same command would.
func (c *submitCommand) attach(a *app, m *merchant, q *queue.Queue, stored *ledger.Job) error {
	if m.name != "" && stored.Whose != "" && stored.Whose != m.name {
		return usage("nothing was submitted; name the merchants with --merchant: then each has jobs of its own", "job %d is of the same bytes and settings, and another merchant's: its IMP_KEY is not the one here", stored.ID)
	}
	if !c.Quiet {
		a.stderr.Printf("submitted today already, by %s: job %d, %s; --again makes another\n", say.Name(stored.By), stored.ID, serve.StateName(a.Language, stored.State))
	}
	if stored.State != ledger.JobStopped {
		return nil
	}
	if !c.Quiet {
		a.stderr.Printf("it had been stopped, and goes on now\n")
	}
	if err := q.Jobs.Resume(a.ctx, stored.ID); err != nil {
		return err
	}
	return q.Push(a.ctx, stored.ID, stored.Turn)
}

// storedProfile is what is stored of how a file is read; kept is the profile that was given.
func storedProfile(o input.Options, kept input.Profile) input.Profile {
	p := o.Profile(nil)
	p.Map, p.OnlyMapped, p.PGAPIKeys = o.Map, o.OnlyMapped, kept.PGAPIKeys
	return p
}

// job is what is stored.
func (c *submitCommand) job(a *app, d *driver, plan *batch.Plan) (*ledger.Job, error) {
	settings := job.Request{Profile: storedProfile(plan.Options, d.kept), Guards: c.Guards, MaxInput: c.MaxInput, Rate: d.perSecond, Workers: c.Workers, Timeout: job.Duration(c.Timeout), DoubtWait: job.Duration(c.DoubtWait), Patience: job.Duration(c.Patience),
		Sending: c.Sending, Output: c.Output}
	text, key, err := settings.Text()
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	name := filepath.Base(c.File)
	if input.Place(c.File) == "-" {
		name = "stdin"
	}
	return &ledger.Job{Merchant: c.Merchant, API: d.merchant.url, Whose: d.merchant.name, Language: string(a.Language), File: name, Digest: plan.Digest(),
		Settings: text, Key: key, Day: a.now().In(input.KST).Format(time.DateOnly), By: me() + "@" + host, Submitted: a.now()}, nil
}

// confirm asks as run does. Without the merchant's credentials the ledger cannot be asked for its orders.
func (c *submitCommand) confirm(d *driver, plan *batch.Plan) error {
	if d.merchant.name != "" || c.Yes || plan.ToDo() == 0 || !d.merchant.live() || !terminal(d.a.stdin) || c.Quiet || c.Revoke {
		return d.confirm(plan)
	}
	return d.ask(plan, d.a.Sprintf("issue %s virtual accounts (%s won)?", report.Thousands(int64(plan.ToDo())), report.Thousands(plan.Won)), say.New("there is no terminal to ask whether to send"))
}

// openQueue opens the queue in the merchant's ledger.
func openQueue(a *app, m *merchant, log *slog.Logger) (*queue.Queue, error) {
	q, err := queue.Open(a.ctx, m.ledger, log)
	return q, queueFails(a.ctx, m, err)
}

// openToWork is openQueue for a process that goes on, and says at its start what there is to say of the database.
func openToWork(a *app, m *merchant, log *slog.Logger) (*queue.Queue, error) {
	q, err := openQueue(a, m, log)
	if err != nil {
		return nil, err
	}
	told, err := ledger.Warnings(a.ctx, m.ledger)
	if err != nil {
		return nil, queueFails(a.ctx, m, errors.Join(err, q.Close()))
	}
	a.warn(told)
	return q, nil
}

// queueFails is how a command ends over a database that does not do what it should; nil without an error.
func queueFails(ctx context.Context, m *merchant, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, ledger.ErrUnreachable) || ledger.Refuses(err) || errors.Is(err, ledger.ErrNewer) {
		return m.ledgerFails(ctx, err)
	}
	if _, known := errors.AsType[*failure](err); known {
		return err
	}
	return &failure{say.Errorf("%s: %w", ledger.Name(m.ledger), err), exitStopped, say.NewMessage("look at the database and the network, then run the same command again")}
}

// quietLog is the log of what runs no jobs.
func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// waitEvery is how often a job is looked at that is waited for.
const waitEvery = time.Second

// wait waits for the end of a job, writes its results and ends as its run did.
func (c *submitCommand) wait(a *app, jobs *ledger.Jobs, id int64, out string) error {
	stored, err := c.watch(a, jobs, id)
	if err != nil {
		return err
	}
	paths, err := fetch(a, jobs, &stored, out)
	if err != nil {
		return err
	}
	if !c.Quiet {
		printJobEnd(a, &stored)
		for _, path := range paths {
			fmt.Fprintf(a.stderr, "  %s\n", say.Name(path))
		}
	}
	return jobOutcome(a, &stored)
}

// watch shows how far a job is until it is over. A database that is away for a while is waited for.
func (c *submitCommand) watch(a *app, jobs *ledger.Jobs, id int64) (stored ledger.Job, err error) {
	counts := new(batch.Counts)
	var progress *report.Progress
	defer func() {
		if progress != nil {
			progress.Stop()
		}
	}()
	began, answered, told := time.Now(), time.Now(), false
	for {
		stored, err = jobs.Get(a.ctx, id)
		switch {
		case a.ctx.Err() != nil:
			a.stderr.Printf("the job goes on; vbankbatch jobs cancel %d ends it\n", id)
			return stored, context.Cause(a.ctx)
		case err != nil && time.Since(answered) > c.Patience:
			return stored, &failure{say.Errorf("job %d cannot be asked for: %w", id, err), exitStopped, say.NewMessage("the job goes on; run the same command again to wait for it")}
		case err != nil:
		case !stored.State.Open():
			return stored, nil
		default:
			answered = time.Now()
			p := &stored.Progress
			counts.Done.Store(p.Done)
			counts.Failed.Store(p.NotDone)
			counts.Pending.Store(p.Waiting)
			counts.Won.Store(p.Won)
			if progress == nil && stored.State == ledger.JobRunning && p.Rows > 0 {
				if c.Progress == "json" {
					progress = report.LogProgress(c.jsonLog(a, slog.LevelInfo), int(p.Rows), counts)
				} else {
					progress = report.ShowProgress(a.stderr, c.mode(a.stderr.Writer), int(p.Rows), counts)
				}
			}
			if !told && !c.Quiet && stored.State == ledger.JobQueued && time.Since(began) > 10*time.Second {
				told = true
				printWaiting(a.stderr, &stored)
			}
		}
		select {
		case <-a.ctx.Done():
		case <-time.After(waitEvery):
		}
	}
}

// printWaiting tells why a job has not begun.
func printWaiting(w say.Writer, stored *ledger.Job) {
	if stored.Lacking {
		w.Printf("job %d waits: no worker has the credentials of its merchant so far\n", stored.ID)
	} else {
		w.Printf("job %d waits: for a worker (vbankbatch work), or for an earlier file of the same merchant\n", stored.ID)
	}
}

// printJobEnd tells what a job came to.
func printJobEnd(a *app, stored *ledger.Job) {
	a.stderr.Printf("job %d: %s\n", stored.ID, serve.StateName(a.Language, stored.State))
	var figures report.Figures
	if json.Unmarshal([]byte(stored.Summary), &figures) != nil {
		return
	}
	a.stderr.Printf("%s rows\n", report.Thousands(figures.Rows))
	report.PrintStatuses(a.stderr, figures.Statuses)
}

// jobOutcome is how a command ends that waited for a job.
func jobOutcome(a *app, stored *ledger.Job) error {
	switch {
	case stored.State == ledger.JobDone && stored.Exit == exitDone:
		return nil
	case stored.Error == "" && (stored.Exit == exitFailed || stored.Exit == exitUnknown):
		return rowsNotDone(stored.Exit)
	}
	hint := say.NewMessage(again)
	switch stored.State {
	case ledger.JobCancelled:
		if stored.Run == 0 {
			hint = say.NewMessage("nothing was sent; --again makes another job")
			break
		}
		hint = say.NewMessage("what it issued stands in its results; --again makes another job, which goes on")
	case ledger.JobRefused:
		hint = say.NewMessage("nothing was sent; --again makes another job once the cause is gone")
	}
	return &failure{say.Errorf("job %d: %s", stored.ID, cmp.Or(stored.Error, serve.StateName(a.Language, stored.State))), max(stored.Exit, exitFailed), hint}
}

// fetch writes what is kept of a job's run: the results to out, the rest beside them.
func fetch(a *app, jobs *ledger.Jobs, stored *ledger.Job, out string) (paths []string, err error) {
	files, err := jobs.Files(a.ctx, stored.ID)
	if err != nil {
		return nil, err
	}
	var endings []string
	for _, file := range files {
		if file.Kind != ledger.JobInput {
			endings = append(endings, file.Kind)
		}
	}
	paths, err = report.Fetch(out, endings, func(ending string, w io.Writer) error { return jobs.ReadFile(a.ctx, stored.ID, ending, w) })
	if err != nil {
		return nil, &failure{say.Errorf("the results of job %d could not be written: %w", stored.ID, err), exitStopped, say.Messagef("nothing is lost: vbankbatch jobs results %d writes them again", stored.ID)}
	}
	return paths, jobs.NoteFetched(a.ctx, stored.ID)
}
