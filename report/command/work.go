package command

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
	"vbankbatch/report/page"
	"vbankbatch/report/queue"
)

type workCommand struct {
	APIURL     string `name:"api-url" default:"https://api.iamport.kr" help:"The API's address; jobs for another one are left to others."`
	Ledger     string `placeholder:"postgres://…" help:"The ledger in whose database the jobs are."`
	namedFlags `embed:""`
	logFlags   `embed:""`
	Merchants  int           `default:"8" placeholder:"N" help:"Files that are run side by side, of as many merchants."`
	Keep       string        `default:"30d" placeholder:"DAYS" help:"How long a job's files are kept once its results were fetched: 30d, 12h."`
	Listen     string        `placeholder:"ADDRESS" help:"Serve /healthz and /metrics there: 127.0.0.1:9099."`
	Slice      time.Duration `hidden:"" default:"2m"`
	Lease      time.Duration `hidden:"" default:"30s"`
}

func (workCommand) Help() string {
	return `Runs what was submitted, on as many hosts as there are workers, until SIGTERM or Ctrl-C; then the rows under way are
finished, and other hosts go on.

  IMP_KEY_FILE=key IMP_SECRET_FILE=secret vbankbatch work --ledger postgres://vbankbatch@db/vbankbatch
  vbankbatch work --credentials /etc/vbankbatch/merchants --listen 127.0.0.1:9099`
}

func (c *workCommand) Run(a *app) (err error) {
	m, err := (&merchantFlags{Ledger: c.Ledger, APIURL: c.APIURL}).where()
	if err != nil {
		return err
	}
	if !ledger.IsDatabase(m.ledger) {
		return usage("give --ledger postgres://user@host/database", "jobs are queued in a PostgreSQL database")
	}
	keep, err := parseKeep(c.Keep)
	if err != nil {
		return usage("30d is thirty days", "--keep: %w", err)
	}
	if c.Merchants < 1 || c.Slice <= 0 {
		return usage("leave them out", "--merchants and --slice must be positive")
	}
	if c.LogLevel == "" && !c.Quiet {
		c.LogLevel = "info"
	}
	log := c.log(a)
	q, err := openToWork(a, m, log)
	if err != nil {
		return err
	}
	defer func() { err = also(err, q.Close()) }()
	w := &queue.Worker{Queue: q, Merchants: c.Merchants, Keep: keep, Log: log, Slice: c.Slice, Lapse: c.Lease, End: jobEnd,
		Task: (&tasks{a: a, where: m, named: c.named, log: log, logFlags: c.logFlags, lease: c.Lease}).task}
	if c.Listen != "" {
		close, err := serveFigures(a, c.Listen, w)
		if err != nil {
			return err
		}
		defer close()
	}
	if !c.Quiet {
		a.stderr.Printf("working on the jobs in %s; Ctrl-C ends it\n", ledger.Name(m.ledger))
	}
	if err := w.Run(a.ctx); err != nil {
		return queueFails(context.WithoutCancel(a.ctx), m, err)
	}
	return nil
}

// parseKeep reads a length of time, in which days may be told too.
func parseKeep(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	keep, err := time.ParseDuration(text)
	if err == nil && keep < 0 {
		err = say.Errorf("%q is negative", text)
	}
	return keep, err
}

// serveFigures serves what monitoring asks for.
func serveFigures(a *app, address string, w *queue.Worker) (close func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usage("name an address that is free, such as 127.0.0.1:9099", "--listen: %w", err)
	}
	server := &http.Server{Handler: w.Figures(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	go server.Serve(listener)
	return func() { server.Close() }, nil
}

// jobEnd is the exit status of a run, and what is told of its end beside the rows.
func jobEnd(facts *report.Facts, err error) (int, error) {
	exit, _ := statusOf(cmp.Or(err, outcome(facts)))
	return exit, err
}

// tasks are how stored jobs are done: as a run in this process would, with the flags that were stored.
type tasks struct {
	a     *app
	where *merchant
	named func(ctx context.Context, name string) (client.Credentials, error)
	log   *slog.Logger
	logFlags
	lease time.Duration
}

func (t *tasks) task(ctx context.Context, stored *ledger.Job) (*queue.Task, error) {
	settings, err := job.ReadRequest(stored.Settings)
	if err != nil {
		return nil, err
	}
	if stored.API != t.where.url { // the keys go to no address but this process's own
		return nil, queue.ErrNoCredentials
	}
	m, err := t.merchant(ctx, stored.Merchant)
	if err != nil {
		return nil, err
	}
	run := &runCommand{File: stored.File, runFlags: flagsOf(&settings)}
	run.logFlags = t.logFlags
	if err := run.requestFlags.check(m); err != nil {
		return nil, err
	}
	own := t.a.within(ctx, say.Language(stored.Language))
	d := run.driver(own)
	d.merchant, d.log = m, t.log.With("job", stored.ID)
	if err := d.parse(); err != nil {
		return nil, err
	}
	d.kept = settings.Profile
	told := run.begun(own)
	told.API, told.Files.Ledger = m.url, ledger.Name(m.ledger)
	return &queue.Task{Merchant: m.name, Terms: ledger.Terms{Life: run.Timeout, Patience: run.Patience, Time: t.lease}, HTML: run.HTML, Page: page.Options{ShowAccounts: run.ShowAccounts}, Version: version(),
		Job: func(_ context.Context, lease *ledger.Lease, book *ledger.Ledger) (*job.Job, func() error, error) {
			disconnect := func() error { return d.disconnect() } // which connecting sets
			m.lease = lease
			j, err := d.job(told, book)
			if err != nil {
				return nil, disconnect, err
			}
			opened := j.Opened
			j.Digest = settings.Digest
			j.Confirm, j.Opened = nil, func() error {
				err := opened()
				j.Options.Now = dueFrom(stored) // in every slice
				return err
			}
			return j, disconnect, nil
		}}, nil
}

// dueFrom is when due dates such as +7d count from: when the job was submitted, but on the day in Korea that was shown then,
// which the database's clock need not agree with.
func dueFrom(stored *ledger.Job) time.Time {
	day, err := time.ParseInLocation(time.DateOnly, stored.Day, input.KST)
	last := day.AddDate(0, 0, 1).Add(-time.Second)
	switch {
	case err != nil:
	case stored.Submitted.Before(day):
		return day
	case stored.Submitted.After(last):
		return last
	}
	return stored.Submitted
}

// within is an app for a part of what a process does, that ends by itself and heeds no signals.
func (a *app) within(ctx context.Context, language say.Language) *app {
	return &app{signals: signals{reloaded: make(chan struct{}, 1)}, ctx: ctx, Language: language, stdout: a.stdout, stderr: a.stderr, now: a.now, outage: a.outage}
}

// merchant is the one of that name, with the credentials.
func (t *tasks) merchant(ctx context.Context, name string) (*merchant, error) {
	if name != "" && !client.MerchantName.MatchString(name) {
		return nil, queue.ErrNoCredentials
	}
	m := &merchant{url: t.where.url, ledger: t.where.ledger, state: t.where.state, served: t.where.served}
	var err error
	if m.Credentials, err = t.named(ctx, name); err != nil {
		t.log.Warn("credentials cannot be read", "merchant", name, "error", err)
		return nil, queue.ErrNoCredentials
	}
	if m.Complete() != nil {
		return nil, queue.ErrNoCredentials
	}
	m.name = ledger.Merchant(m.url, string(m.Key))
	return m, nil
}
