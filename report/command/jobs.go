package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/queue"
	"vbankbatch/report/serve"
)

type jobsCommand struct {
	List    jobsListCommand    `cmd:"" help:"Print the jobs that were submitted, the newest first."`
	Show    jobsShowCommand    `cmd:"" help:"Print all that is known of a job."`
	Cancel  jobsCancelCommand  `cmd:"" help:"End a job: at once if it has not begun, else after the rows under way."`
	Results jobsResultsCommand `cmd:"" help:"Write a job's results, and what stands beside them, to files here."`
}

// jobsFlags say where the jobs are.
type jobsFlags struct {
	Ledger string `placeholder:"postgres://…" help:"The ledger in whose database the jobs are."`
}

// with opens the jobs for a command.
func (f *jobsFlags) with(a *app, do func(*ledger.Jobs) error) (err error) {
	m, err := (&merchantFlags{Ledger: f.Ledger, APIURL: "https://api.iamport.kr"}).where()
	if err != nil {
		return err
	}
	if err := m.exists(); err != nil {
		return err
	}
	jobs, err := ledger.OpenJobs(a.ctx, m.ledger)
	if err != nil {
		return m.ledgerFails(a.ctx, err)
	}
	defer func() { err = also(err, jobs.Close()) }()
	err = do(jobs)
	if errors.Is(err, ledger.ErrNoJob) {
		return usage("vbankbatch jobs list lists them", "%w", err)
	}
	return queueFails(a.ctx, m, err)
}

// jobFormat is how jobs are printed.
type jobFormat struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// jobFigures are what programs read of a job. Times are RFC 3339 in +09:00.
type jobFigures struct {
	ID        int64           `json:"id"`
	Merchant  string          `json:"merchant"` // name of the credentials, "" of IMP_KEY
	API       string          `json:"api"`
	File      string          `json:"file"`
	SHA256    string          `json:"sha256"`
	Submitted string          `json:"submitted"`
	By        string          `json:"submitted_by"`
	Started   string          `json:"started,omitempty"`
	Ended     string          `json:"ended,omitempty"`
	Fetched   string          `json:"fetched,omitempty"`
	State     ledger.JobState `json:"state"`
	Lacking   bool            `json:"credentials_missing,omitempty"` // at a worker that has looked
	Cancel    bool            `json:"cancel_requested,omitempty"`
	Run       int64           `json:"run,omitempty"`
	Exit      *int            `json:"exit_status,omitempty"` // of a job that is over
	Reason    string          `json:"reason,omitempty"`
	Error     string          `json:"error,omitempty"`
	Rows      int64           `json:"rows"`
	Done      int64           `json:"rows_done"`
	NotDone   int64           `json:"not_done"`
	Waiting   int64           `json:"waiting"`
	Won       int64           `json:"won_issued"`
	Settings  json.RawMessage `json:"settings,omitempty"`
	Files     []string        `json:"files,omitempty"`
}

func figuresOf(j *ledger.Job) *jobFigures {
	p := &j.Progress
	f := &jobFigures{ID: j.ID, Merchant: j.Merchant, API: j.API, File: j.File, SHA256: j.Digest, Submitted: report.Stamp(j.Submitted), By: j.By, Started: report.Stamp(j.Started), Ended: report.Stamp(j.Ended), Fetched: report.Stamp(j.Fetched),
		State: j.State, Lacking: j.Lacking, Cancel: j.Cancel, Run: j.Run, Reason: j.Reason, Error: j.Error, Rows: p.Rows, Done: p.Done, NotDone: p.NotDone, Waiting: p.Waiting, Won: p.Won}
	if !j.State.Open() && j.State != ledger.JobUploaded {
		f.Exit = &j.Exit
	}
	return f
}

type jobsListCommand struct {
	jobsFlags `embed:""`
	jobFormat `embed:""`
	Most      int `default:"50" placeholder:"N" help:"How many."`
}

func (c *jobsListCommand) Run(a *app) error {
	return c.with(a, func(jobs *ledger.Jobs) error {
		found, err := jobs.List(a.ctx, max(c.Most, 0))
		if err != nil {
			return err
		}
		if c.Format == "json" {
			all := []*jobFigures{}
			for i := range found {
				all = append(all, figuresOf(&found[i]))
			}
			return report.EncodeJSON(a.stdout, all)
		}
		for i := range found {
			j := &found[i]
			a.stdout.Printf("%d\t%s\t%s\t%s\t%s of %s rows\t%s won\t%s\t%s\n", j.ID, cmp.Or(j.Merchant, "-"), say.Name(j.File), serve.StateName(a.Language, j.State),
				report.Thousands(j.Progress.Done), report.Thousands(j.Progress.Rows), report.Thousands(j.Progress.Won), say.Name(j.By), report.Clock(j.Submitted))
		}
		return nil
	})
}

type jobsShowCommand struct {
	jobsFlags `embed:""`
	jobFormat `embed:""`
	ID        int64 `arg:"" help:"The job's number."`
}

func (c *jobsShowCommand) Run(a *app) error {
	return c.with(a, func(jobs *ledger.Jobs) error {
		j, err := jobs.Get(a.ctx, c.ID)
		if err != nil {
			return err
		}
		files, err := jobs.Files(a.ctx, j.ID)
		if err != nil {
			return err
		}
		f := figuresOf(&j)
		f.Settings = json.RawMessage(j.Settings)
		for _, file := range files {
			if file.Kind != ledger.JobInput {
				f.Files = append(f.Files, file.Name)
			}
		}
		if c.Format == "json" {
			return report.EncodeJSON(a.stdout, f)
		}
		return c.print(a, &j, f)
	})
}

// print prints a job for people.
func (c *jobsShowCommand) print(a *app, j *ledger.Job, f *jobFigures) error {
	out, p := a.stdout, &j.Progress
	out.Printf("job %d: %s\n", j.ID, serve.StateName(a.Language, j.State))
	out.Printf("file: %s, submitted at %s by %s\n", say.Name(j.File), report.Clock(j.Submitted), say.Name(j.By))
	if j.Merchant != "" {
		out.Printf("merchant: %s at %s\n", j.Merchant, j.API)
	} else {
		out.Printf("merchant: the one of IMP_KEY at %s\n", j.API)
	}
	if p.Rows > 0 {
		out.Printf("%s of %s rows, %s not done, %s waiting, %s won issued\n", report.Thousands(p.Done), report.Thousands(p.Rows), report.Thousands(p.NotDone), report.Thousands(p.Waiting), report.Thousands(p.Won))
	}
	if j.State == ledger.JobQueued {
		printWaiting(out, j)
	}
	if j.State.Open() && j.Cancel {
		out.Printf("it was asked to end\n")
	}
	if !j.State.Open() {
		out.Printf("ended at %s with exit status %d, %s\n", report.Clock(j.Ended), j.Exit, j.Reason)
	}
	if j.Error != "" {
		fmt.Fprintf(out, "  %s\n", j.Error)
	}
	printSettings(out, "  ", j.Settings)
	for _, name := range f.Files {
		out.Printf("kept: %s\n", say.Name(name))
	}
	return nil
}

// printSettings prints what was asked for, a line for each setting that says something.
func printSettings(out io.Writer, indent, text string) {
	var settings map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &settings) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		switch value := string(settings[name]); value {
		case "null", "false", "0", `""`, "{}", "[]":
		default:
			if value[0] == '{' {
				printSettings(out, indent+name+".", value)
			} else {
				fmt.Fprintf(out, "%s%s: %s\n", indent, name, value)
			}
		}
	}
}

type jobsCancelCommand struct {
	jobsFlags `embed:""`
	ID        int64 `arg:"" help:"The job's number."`
}

func (c *jobsCancelCommand) Run(a *app) error {
	return c.with(a, func(jobs *ledger.Jobs) error {
		j, err := jobs.Cancel(a.ctx, c.ID)
		switch {
		case err != nil:
			return err
		case j.State == ledger.JobCancelled:
			a.stderr.Printf("job %d is cancelled\n", j.ID)
		case j.State == ledger.JobUploaded:
			return usage("whoever uploaded it can discard it", "job %d is not approved, so nothing runs it", j.ID)
		case j.State.Open():
			a.stderr.Printf("job %d ends after the rows under way; what it has issued stands in its results\n", j.ID)
		default:
			return usage("", "job %d is over: %s", j.ID, serve.StateName(a.Language, j.State))
		}
		return nil
	})
}

type jobsResultsCommand struct {
	jobsFlags `embed:""`
	ID        int64  `arg:"" help:"The job's number."`
	Out       string `placeholder:"DIR" default:"." help:"The folder for the files."`
}

func (c *jobsResultsCommand) Run(a *app) error {
	return c.with(a, func(jobs *ledger.Jobs) error {
		j, err := jobs.Get(a.ctx, c.ID)
		if err != nil {
			return err
		}
		if j.State.Open() {
			return &failure{say.Errorf("job %d is not over", j.ID), exitFailed, say.Messagef("vbankbatch jobs show %d tells how far it is", j.ID)}
		}
		if info, err := os.Stat(c.Out); err != nil || !info.IsDir() {
			return usage("make it first", "--out: %s is not a folder", c.Out)
		}
		files, err := jobs.Files(a.ctx, j.ID)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(files, func(f ledger.JobFile) bool { return f.Kind != ledger.JobInput }) {
			err, hint := say.Errorf("job %d has no results: %s", j.ID, serve.StateName(a.Language, j.State)), say.Messagef("vbankbatch jobs show %d tells why", j.ID)
			if len(files) == 0 {
				err = say.Errorf("the files of job %d were removed, some time after they were fetched", j.ID)
			}
			if j.Run != 0 {
				hint = say.Messagef("vbankbatch report --run %d writes the results from the ledger", j.Run)
			}
			return &failure{err, exitFailed, hint}
		}
		out := filepath.Join(c.Out, report.Default(queue.FileName(&j)))
		paths, err := fetch(a, jobs, &j, out)
		for _, path := range paths {
			fmt.Fprintln(a.stdout, say.Name(path))
		}
		return err
	})
}
