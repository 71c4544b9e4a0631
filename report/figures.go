package report

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"path/filepath"
	"slices"
	"time"

	"vbankbatch/batch"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Run is what is told of a run beside its rows. What is not known stays zero.
type Run struct {
	Language  say.Language // of what people read of the run
	Version   string       // the program's
	Command   string       // run or report
	API       string       // its address, or sandbox
	ID        int64        // in the ledger; 0 when it came to no run there
	LogID     string       // the attribute run of its log events
	Continued bool         // an earlier run was interrupted, and this one goes on with it
	Started   time.Time
	Ended     time.Time // zero of a run that never did, told by report
	Exit      int       // status of the process
	Reason    string    // see Reason
	Error     error     // that ended it; nil where only rows were not done
	File      string    // the input, as it was named; the plan knows more
	Plan      *batch.Plan
	Settings  *Settings
	Measures  *client.Measures
	Requests  int64 // HTTP attempts
	Limits    *client.LimitStats
	Audit     *batch.Audit // nil without one
	InDoubt   *int         // orders in doubt in the ledger, of all runs
	NotTaken  *int         // files of the folder that no run takes; nil where no folder was run
	Files     Files
}

// Sandbox reports whether nobody can pay into the accounts.
func (r *Run) Sandbox() bool { return r.API == "sandbox" || client.Loopback(r.API) }

// Settings are the flags that a run went by.
type Settings struct {
	Rate        float64 // HTTP requests a second; 0 is no limit
	Workers     int
	Timeout     time.Duration
	DoubtWait   time.Duration
	RemoteCheck bool
	MaxFailures string // rows, or a share of them as in 10%
	Guards      batch.Guards
}

// Files says where a run's files are; "" is none.
type Files struct {
	Workbook string `json:"workbook,omitempty"`
	Results  string `json:"results,omitempty"` // - is standard output
	Failed   string `json:"failed,omitempty"`  // the rows that are not done or unknown
	Summary  string `json:"summary,omitempty"`
	Page     string `json:"page,omitempty"`
	Metrics  string `json:"metrics,omitempty"`
	Ledger   string `json:"ledger,omitempty"`
}

// The reasons for the end of a run that no code of package batch gives.
const (
	ReasonDone        = "DONE"          // every row
	ReasonRowsNotDone = "ROWS_NOT_DONE" // the run reached its end, some rows were not done
	ReasonRowsUnknown = "ROWS_UNKNOWN"  // likewise, and of some rows it is not known
	ReasonInterrupted = "INTERRUPTED"   // by a signal
	ReasonNotTaken    = "NOT_TAKEN"     // of a folder: files lie there that no run takes
	ReasonFailed      = "FAILED"        // by anything else: see the error that it printed
)

// Reasons tells in a sentence what each of them means, in English; package say has the Korean.
var Reasons = map[string]string{
	ReasonDone:        "every row was done",
	ReasonRowsNotDone: "the run reached its end, and some rows were not done; mend the .failed.csv and run that",
	ReasonRowsUnknown: "the run reached its end, and of some rows it is not known what became of them; run again, or vbankbatch reconcile",
	ReasonInterrupted: "a signal such as Ctrl-C ended the run; the same command goes on",
	ReasonNotTaken:    "files lie in the folder that no run takes, since they are no CSV and no .xlsx, are links or have a name that this program gives; save them as .xlsx or CSV under another name, or take them away",
	ReasonFailed:      "something else ended the run; the error that it printed, which the summary has too, says what",
}

// Reason says why a command ended with an exit status, by the error that ended it: a code of *batch.StopError, or one of the
// above.
func Reason(exit int, ended error) string {
	if stop, ok := errors.AsType[*batch.StopError](ended); ok {
		return stop.Code
	}
	switch {
	case exit == 0:
		return ReasonDone
	case exit == 1:
		return ReasonRowsNotDone
	case exit == 4:
		return ReasonRowsUnknown
	case exit > 128:
		return ReasonInterrupted
	}
	return ReasonFailed
}

// FiguresSchema is the version of Figures. It goes up when a field goes or comes to mean something else, and stays when one
// is added.
const FiguresSchema = 1

// Figures is what NAME.summary.json holds; testdata/summary.schema.json describes it. It names no person, account or order.
// Times are RFC 3339 in +09:00, durations are in seconds, amounts in won.
type Figures struct {
	Schema    int    `json:"schema"` // FiguresSchema
	Version   string `json:"version"`
	Command   string `json:"command"`          // run or report
	API       string `json:"api"`              // its address, or sandbox
	Run       int64  `json:"run"`              // in the ledger
	LogID     string `json:"log_id,omitempty"` // the attribute run of its log events
	Continued bool   `json:"continued"`

	Started    string   `json:"started"`
	Ended      string   `json:"ended,omitempty"`   // of a run that reached its end
	Seconds    *float64 `json:"seconds,omitempty"` // between the two
	ExitStatus int      `json:"exit_status"`
	Reason     string   `json:"reason"`          // for the exit status; see Reason
	Error      string   `json:"error,omitempty"` // that the command printed, for people

	Input    FiguresInput     `json:"input"`
	Settings *FiguresSettings `json:"settings,omitempty"`

	Rows     int64                `json:"rows"`
	NotDone  int64                `json:"not_done"` // invalid, rejected, conflict, not_sent
	Statuses map[batch.Status]Sum `json:"statuses"` // all of them
	Banks    []*Named             `json:"banks"`    // of the rows issued in this run, most won first
	PGs      []FiguresPG          `json:"pgs"`      // likewise
	Codes    map[string]int       `json:"codes"`    // rows by error code; a row may have several

	Requests      *FiguresRequests `json:"requests,omitempty"`
	Limits        *FiguresLimits   `json:"limits,omitempty"`
	Audit         *FiguresAudit    `json:"audit,omitempty"`
	OrdersInDoubt *int             `json:"orders_in_doubt,omitempty"` // in the ledger, of all runs
	FilesNotTaken *int             `json:"files_not_taken,omitempty"` // of the folder
	Files         Files            `json:"files"`
}

// FiguresInput is the input and how it was read: of a run that was refused, its name alone. Of values that flags gave,
// which may be personal, only the fields are told.
type FiguresInput struct {
	File       string          `json:"file"`             // without its folder
	SHA256     string          `json:"sha256,omitempty"` // of its bytes, unpacked
	Bytes      int64           `json:"bytes,omitempty"`  // unpacked
	Encoding   string          `json:"encoding,omitempty"`
	Delimiter  string          `json:"delimiter,omitempty"`   // the character itself
	HeaderLine int             `json:"header_line,omitempty"` // from 1
	Mapping    []checkedColumn `json:"mapping,omitempty"`
	Key        string          `json:"key,omitempty"`      // the template of order numbers
	Set        []string        `json:"set,omitempty"`      // the fields that flags gave
	Where      []string        `json:"where,omitempty"`    // the headers that rows were chosen by
	DueYear    int             `json:"due_year,omitempty"` // of due dates that have none
	Revoke     bool            `json:"revoke,omitempty"`
}

// FiguresSettings are the flags that say how the run went.
type FiguresSettings struct {
	Rate             float64 `json:"rate"` // HTTP requests a second; 0 is no limit
	Workers          int     `json:"workers"`
	TimeoutSeconds   float64 `json:"timeout_seconds"`
	DoubtWaitSeconds float64 `json:"doubt_wait_seconds"`
	RemoteCheck      bool    `json:"remote_check"`
	MaxFailures      string  `json:"max_failures"` // rows, or a share of them as in 10%
	Strict           bool    `json:"strict"`
	ExpectRows       int     `json:"expect_rows,omitempty"`
	ExpectTotal      int64   `json:"expect_total,omitempty"` // won
	MaxRows          int     `json:"max_rows,omitempty"`
	MaxTotal         int64   `json:"max_total,omitempty"`  // won
	MaxAmount        int64   `json:"max_amount,omitempty"` // won
}

// FiguresPG is what was issued through a PG.
type FiguresPG struct {
	PG string `json:"pg"`
	Sum
}

// FiguresRequests are the HTTP attempts of a run. A latency is of one attempt, from being let go by the limiter to the
// last byte of its reply, good to 2 %; attempts without a whole reply have none.
type FiguresRequests struct {
	Total         int64             `json:"total"`
	Retries       int64             `json:"retries"`        // of them, those after the first of their call
	WaitedSeconds float64           `json:"waited_seconds"` // for being let go by the limiter, all attempts added up
	Endpoints     []FiguresEndpoint `json:"endpoints"`
	Series        FiguresSeries     `json:"series"`
}

// FiguresEndpoint are those of one endpoint.
type FiguresEndpoint struct {
	Endpoint string           `json:"endpoint"` // method and path without ids
	Requests int64            `json:"requests"`
	Retries  int64            `json:"retries"`
	Classes  map[string]int64 `json:"classes"` // all of client.Classes
	Latency  struct {
		P50 float64 `json:"p50"`
		P90 float64 `json:"p90"`
		P99 float64 `json:"p99"`
		Max float64 `json:"max"`
	} `json:"latency_seconds"`
}

// FiguresSeries is the run cut into moments of the same length.
type FiguresSeries struct {
	Started         string          `json:"started,omitempty"` // the first moment
	IntervalSeconds float64         `json:"interval_seconds"`  // of each moment
	Moments         []FiguresMoment `json:"moments"`
}

// FiguresMoment is what ended within one of them.
type FiguresMoment struct {
	Answered int64   `json:"answered"` // attempts that got a whole reply
	Changes  int64   `json:"changes"`  // of them, issues, updates and revocations, but for 401 and 429
	P50      float64 `json:"p50_seconds"`
	P99      float64 `json:"p99_seconds"`
}

// FiguresLimits are what was learnt of the API's limits.
type FiguresLimits struct {
	TooMany       int64   `json:"too_many"`       // attempts that were answered with 429
	Rate          float64 `json:"rate"`           // what the API seems to take, attempts a second; 0 where nothing was learnt
	PausedSeconds float64 `json:"paused_seconds"` // after 429, in all
	Failures      int64   `json:"failures"`       // attempts that the API failed at, or left without an answer
	AtOnce        int     `json:"at_once"`        // attempts under way at once that were allowed in the end
	LeastAtOnce   int     `json:"least_at_once"`  // and at the fewest
}

// FiguresAudit is what the look at the end of a run found.
type FiguresAudit struct {
	Orders  int    `json:"orders"`          // that were sent, and looked at
	Closely int    `json:"closely"`         // of them, those looked at one by one
	Changed int    `json:"changed"`         // rows of which the API shows something else than it had answered
	Error   string `json:"error,omitempty"` // why some were not looked at, for people
}

// WriteFigures writes NAME.summary.json to path, mode 0600, whole or not at all. The run's plan must be known.
func WriteFigures(path string, run *Run, facts *Facts) error {
	return Replace(path, 0o600, func(w io.Writer) error { return EncodeFigures(w, run, facts) })
}

// EncodeFigures writes them to w. Of a run that came to no plan only the input's name is told.
func EncodeFigures(w io.Writer, run *Run, facts *Facts) error {
	return EncodeJSON(w, figures(run, facts))
}

// EncodeJSON writes a value for programs, and for people who look at it.
func EncodeJSON(w io.Writer, value any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(value)
}

func figures(run *Run, facts *Facts) *Figures {
	f := &Figures{Schema: FiguresSchema, Version: run.Version, Command: run.Command, API: run.API, Run: run.ID, LogID: run.LogID, Continued: run.Continued,
		Started: Stamp(run.Started), Ended: Stamp(run.Ended), ExitStatus: run.Exit, Reason: run.Reason,
		Input: figuresInput(run), Settings: figuresSettings(run.Settings),
		Rows: facts.Rows, NotDone: facts.NotDone(), Statuses: make(map[batch.Status]Sum), Banks: facts.Banks(), PGs: []FiguresPG{}, Codes: facts.Codes,
		Requests: figuresRequests(run.Measures), OrdersInDoubt: run.InDoubt, FilesNotTaken: run.NotTaken, Files: run.Files}
	if run.Error != nil {
		f.Error = run.Language.Error(run.Error)
	}
	if !run.Ended.IsZero() {
		f.Seconds = new(seconds(run.Ended.Sub(run.Started)))
	}
	for _, status := range batch.Statuses {
		f.Statuses[status] = facts.Statuses[status]
	}
	for _, pg := range facts.PGs() {
		f.PGs = append(f.PGs, FiguresPG{pg.Code, pg.Sum})
	}
	if f.Codes == nil {
		f.Codes = map[string]int{}
	}
	if l := run.Limits; l != nil {
		f.Limits = &FiguresLimits{l.TooMany, 0, seconds(l.Paused), l.Failures, l.AtOnce, l.LeastOnce}
		if l.Confirmed {
			f.Limits.Rate = l.Rate
		}
	}
	if a := run.Audit; a != nil {
		f.Audit = &FiguresAudit{Orders: a.Orders, Closely: a.Closely, Changed: a.Changed}
		if a.Err != nil {
			f.Audit.Error = run.Language.Error(a.Err)
		}
	}
	return f
}

func figuresInput(run *Run) FiguresInput {
	p := run.Plan
	if p == nil {
		return FiguresInput{File: filepath.Base(run.File)}
	}
	in := FiguresInput{File: filepath.Base(FilePath(p, say.English)), SHA256: p.Digest(), Bytes: p.File.Size, Encoding: p.Layout.Encoding,
		Delimiter: string(p.Layout.Delimiter), HeaderLine: p.Layout.HeaderLine,
		Key: p.Options.Key, DueYear: p.Options.DueYear, Revoke: p.Options.Revoke}
	for _, m := range p.Mapping {
		in.Mapping = append(in.Mapping, checkedColumn{m.Field, m.Header, m.Column})
	}
	for field := range p.Options.Set {
		in.Set = append(in.Set, field)
	}
	slices.Sort(in.Set)
	for _, w := range p.Options.Where {
		in.Where = append(in.Where, w.Header)
	}
	return in
}

func figuresSettings(s *Settings) *FiguresSettings {
	if s == nil {
		return nil
	}
	g := s.Guards
	return &FiguresSettings{s.Rate, s.Workers, seconds(s.Timeout), seconds(s.DoubtWait), s.RemoteCheck, s.MaxFailures,
		g.Strict, g.ExpectRows, g.ExpectTotal, g.MaxRows, g.MaxTotal, g.MaxAmount}
}

func figuresRequests(m *client.Measures) *FiguresRequests {
	if m == nil {
		return nil
	}
	r := &FiguresRequests{WaitedSeconds: seconds(m.Waited), Endpoints: []FiguresEndpoint{},
		Series: FiguresSeries{Started: Stamp(m.Started), IntervalSeconds: seconds(m.Interval), Moments: []FiguresMoment{}}}
	for _, e := range m.Endpoints {
		r.Total, r.Retries = r.Total+e.Requests, r.Retries+e.Retries
		endpoint := FiguresEndpoint{Endpoint: e.Endpoint, Requests: e.Requests, Retries: e.Retries, Classes: make(map[string]int64)}
		for _, class := range client.Classes {
			endpoint.Classes[class] = e.Classes[class]
		}
		l := &endpoint.Latency
		l.P50, l.P90, l.P99, l.Max = seconds(e.Latency.P50), seconds(e.Latency.P90), seconds(e.Latency.P99), seconds(e.Latency.Max)
		r.Endpoints = append(r.Endpoints, endpoint)
	}
	for _, moment := range m.Series {
		r.Series.Moments = append(r.Series.Moments, FiguresMoment{moment.Answered, moment.Changes, seconds(moment.P50), seconds(moment.P99)})
	}
	return r
}

// seconds writes no more digits than were measured.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }

// FilePath is the path of the run's file, or what there is instead of one.
func FilePath(p *batch.Plan, language say.Language) string {
	if p.File.Path == "-" {
		return p.File.Name().In(language)
	}
	return p.File.Path
}
