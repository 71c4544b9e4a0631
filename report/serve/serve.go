// Package serve is the pages for those who never open a terminal: a person brings a file, sees how it was read and what is
// wrong with it, has it approved, watches it run and takes what came of it. Start with [Server.Handler].
//
// No rule of reading or sending lives here. A page shows what a batch.Plan says, asks for what a job.Request takes, and stores
// that as a job of the ledger (ledger.Jobs); whoever runs the ledger's jobs does the rest, as if the command line had brought
// them. The pages keep nothing that a restart would lose, but for what was found out about files, which is found out again.
package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/access"
	"vbankbatch/report/job"
	"vbankbatch/report/page"
	"vbankbatch/report/queue"
)

// Server serves the pages.
type Server struct {
	Jobs      *ledger.Jobs
	Gate      *access.Gate
	Merchants []string // their credentials' names; "" is the one of IMP_KEY
	API       string   // its address, "sandbox" for the one in this process
	Live      bool     // what is sent moves money
	Two       bool     // whoever approves is another person than those who brought the file and said how it is read
	MaxUpload int64    // bytes of a file as it comes
	Log       *slog.Logger
	Now       func() time.Time

	// Request is what a file is read and sent with, before its columns were looked at.
	Request job.Request
	// Options turns a request into how a file is read.
	Options func(ctx context.Context, merchant string, r *job.Request, now time.Time) (input.Options, error)
	// Whose is the merchant's name in the ledger.
	Whose func(ctx context.Context, merchant string) (string, error)
	// Read opens the ledger of a merchant, by its name in the ledger where that is not ""; nil, nil where there is none yet. Its
	// error is queue.ErrNoCredentials where the name is not known here.
	Read func(ctx context.Context, merchant, whose string) (*ledger.Reader, error)
	// Approved is told of a job that may be run now.
	Approved func(ctx context.Context, approved *ledger.Job) error
	// Reconcile asks the API about a merchant's orders in doubt, and returns how many there were and how many still are.
	Reconcile func(ctx context.Context, merchant string) (settled, unknown int, err error)
	// Elsewhere counts the rows of a plan for whose orders the API has a payment that the ledger does not know; nil asks nothing.
	Elsewhere func(ctx context.Context, merchant string, plan *batch.Plan) (rows int, err error)
	// Settle records a person's verdict about an order that asking cannot settle, once the API was asked whether it can be true.
	Settle func(ctx context.Context, merchant string, verdict batch.Verdict) error
	// Faults is what is wrong with the credentials, the API or the ledger; it is asked for now and then.
	Faults func(context.Context, say.Language) []Fault

	looked looked
	faults map[say.Language]*faults
}

// Fault is something that is wrong for a merchant, and what to do about it.
type Fault struct {
	Merchant   string
	What, Hint say.Message
}

//go:embed pages/*.html
var pages embed.FS

//go:embed assets
var assets embed.FS

// layouts are the pages' templates, which other commands need not wait for.
var layouts = sync.OnceValue(func() map[string]*template.Template {
	functions := template.FuncMap{"n": report.Thousands, "clock": report.Clock, "due": input.FormatDue, "dues": dues, "bank": report.BankName, "mask": report.Mask, "clip": report.Clip, "int64": func(n int) int64 { return int64(n) }}
	base := template.Must(template.New("base.html").Funcs(functions).ParseFS(pages, "pages/base.html"))
	names, err := fs.Glob(pages, "pages/*.html")
	if err != nil {
		panic(err)
	}
	all := make(map[string]*template.Template)
	for _, name := range names {
		if name != "pages/base.html" {
			file := strings.TrimPrefix(name, "pages/")
			all[strings.TrimSuffix(file, ".html")] = template.Must(template.Must(base.Clone()).ParseFS(pages, name)).Lookup(file)
		}
	}
	return all
})

// policy lets a page load its own style and script, send its own forms, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Handler serves the pages to whom the gate lets in.
func (s *Server) Handler() http.Handler {
	s.faults = map[say.Language]*faults{say.English: new(faults), say.Korean: new(faults)}
	s.looked.slots = make(chan struct{}, mostReading)
	mux := http.NewServeMux()
	for pattern, do := range s.routes() {
		mux.Handle(pattern, s.answer(do))
	}
	mux.Handle("GET /assets/", cached(http.HandlerFunc(serveAsset)))
	mux.HandleFunc("GET /healthz", s.health)
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		mux.ServeHTTP(w, r)
	})
	gate := s.Gate.Handler(inner)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/uploads" { // which has a limit of its own
			r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		}
		gate.ServeHTTP(w, r)
	})
}

// mostForm is how many bytes a form has that has no file: what is larger is not read.
const mostForm = 1 << 20

// routes are what is answered by pages, with what the person must be allowed to do.
func (s *Server) routes() map[string]action {
	return map[string]action{
		"GET /{$}":                          s.start,
		"GET /trail":                        s.trail,
		"POST /uploads":                     s.upload,
		"GET /files/{id}":                   s.file,
		"GET /files/{id}/columns":           s.columns,
		"POST /files/{id}/columns":          s.setColumns,
		"POST /files/{id}/answer":           s.setAnswer,
		"GET /files/{id}/check":             s.check,
		"GET /files/{id}/problems.csv":      s.problems,
		"GET /files/{id}/changes":           s.changes,
		"POST /files/{id}/approve":          s.approve,
		"POST /files/{id}/discard":          s.discard,
		"GET /files/{id}/progress":          s.progress,
		"POST /files/{id}/stop":             s.stop,
		"POST /files/{id}/resume":           s.resume,
		"GET /files/{id}/rows":              s.rows,
		"POST /files/{id}/rows":             s.rowsWhole,
		"GET /files/{id}/download/{kind}":   s.download,
		"GET /search":                       s.search,
		"GET /orders/{merchant}":            s.order,
		"POST /orders/{merchant}/whole":     s.orderWhole,
		"POST /orders/{merchant}/{what}":    s.changeOrder,
		"POST /orders/{merchant}/settle":    s.settleOrder,
		"POST /merchants/{merchant}/settle": s.settle,
		"POST /merchants/{merchant}/forms":  s.dropForm,
	}
}

// visit is one request of a person.
type visit struct {
	*Server
	w      http.ResponseWriter
	r      *http.Request
	Person *access.Person
	say.Language
	Title string
	Path  string
}

// action answers a request. Its error becomes a page.
type action func(*visit) error

func (s *Server) answer(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Server: s, w: w, r: r, Person: access.From(r.Context()), Language: access.Language(r), Path: r.URL.Path}
		if err := do(v); err != nil {
			v.fail(err)
		}
	})
}

// refusal is why a request is not done: what is told, and the HTTP status.
type refusal struct {
	status int
	what   say.Message
	hint   say.Message
}

func (e *refusal) Error() string { return e.what.String() }

// The refusals that say little, so that nothing is told of another merchant's files.
var (
	errNotFound = &refusal{http.StatusNotFound, say.NewMessage("there is no such page"), say.NewMessage("it may have been removed")}
	errNotYours = &refusal{http.StatusForbidden, say.NewMessage("you may not do that"), say.NewMessage("somebody with another role has to do it")}
	errNoFile   = &refusal{http.StatusBadRequest, say.NewMessage("no file came"), say.NewMessage("choose one, and send it again")}
	errStale    = &refusal{http.StatusConflict, say.NewMessage("this page is not up to date any more"), say.NewMessage("somebody, or another window of yours, has changed something; look again")}
)

// fail shows what went wrong. What this process is at fault for is logged, and not told.
func (v *visit) fail(err error) {
	told, ours := errors.AsType[*refusal](err)
	_, files := errors.AsType[*input.Error](err)
	switch {
	case ours:
	case errors.Is(err, ledger.ErrNoJob), errors.Is(err, ledger.ErrNoFile), errors.Is(err, ledger.ErrNoForm):
		told = errNotFound
	case errors.Is(err, ledger.ErrNotUploaded), errors.Is(err, ledger.ErrJobChanged):
		told = errStale
	case errors.Is(err, context.Canceled):
		return // nobody reads it
	case errors.Is(err, queue.ErrNoCredentials):
		told = unsettled(err)
	case err == errLooking:
		told = &refusal{http.StatusServiceUnavailable, say.NewMessage("the file is still being looked through, and nothing was done"), say.NewMessage("go back, and press it again in a minute")}
	case files:
		told = &refusal{http.StatusUnprocessableEntity, say.Of(err), ""}
	default:
		v.Log.Error("a page could not be made", "path", v.r.Pattern, "error", err)
		told = &refusal{http.StatusInternalServerError, say.NewMessage("that did not work"), say.NewMessage("try again in a while: nothing is sent twice; what is wrong stands in the program's log")}
	}
	v.Title = v.T("That did not work")
	v.show("failed", told.status, struct{ What, Hint string }{told.what.In(v.Language), told.hint.In(v.Language)})
}

// view is what a template shows.
type view struct {
	*visit
	Of any
}

// show writes a page, whole or not at all.
func (v *visit) show(name string, status int, of any) error {
	var text bytes.Buffer
	if err := layouts()[name].Execute(&text, view{v, of}); err != nil {
		if status == http.StatusInternalServerError {
			http.Error(v.w, "500", status)
			return nil
		}
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	text.WriteTo(v.w) // if that fails they are gone
	return nil
}

// Sandbox reports whether nobody can pay into the accounts.
func (s *Server) Sandbox() bool { return !s.Live }

// MerchantName is a merchant's name for people.
func (v *visit) MerchantName(name string) string {
	if name == "" {
		return v.T("the merchant")
	}
	return name
}

// Slug is a merchant's name in an address.
func (*visit) Slug(name string) string {
	if name == "" {
		return unnamed
	}
	return name
}

// unnamed stands for the merchant of IMP_KEY in addresses and rules.
const unnamed = "default"

// merchant is the one that the address names, if the person may do that for it.
func (v *visit) merchant(role access.Role) (string, error) {
	name := v.r.PathValue("merchant")
	if name == unnamed {
		name = ""
	}
	for _, known := range v.Merchants {
		if known == name && v.Person.May(access.Viewer, name) {
			if !v.Person.May(role, name) {
				return "", errNotYours
			}
			return name, nil
		}
	}
	return "", errNotFound
}

// job is the one that the address names, if the person may do that with it. Another merchant's is not there.
func (v *visit) job(role access.Role) (*ledger.Job, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, errNotFound
	}
	stored, err := v.Jobs.Get(v.r.Context(), id)
	if err != nil {
		return nil, err
	}
	if stored.State == ledger.JobReceiving || stored.API != v.API || !slices.Contains(v.Merchants, stored.Merchant) || !v.Person.May(access.Viewer, stored.Merchant) {
		return nil, errNotFound
	}
	if !v.Person.May(role, stored.Merchant) {
		return nil, errNotYours
	}
	return &stored, nil
}

// looked is a file, and what was found out about it. Where that takes long the person is shown so, and done is true.
func (v *visit) looked() (stored *ledger.Job, found *look, done bool, err error) {
	if stored, err = v.job(access.Viewer); err != nil {
		return nil, nil, false, err
	}
	if found, err = v.look(v.r.Context(), stored); err != errLooking {
		return stored, found, false, err
	}
	v.Title = v.T("Looking through %s", stored.File)
	v.w.Header().Set("Refresh", "2") // the page asks again by itself
	return nil, nil, true, v.show("looking", http.StatusOK, stored)
}

// begin has a job run that may be run now.
func (v *visit) begin(approved *ledger.Job) {
	if err := v.Approved(v.r.Context(), approved); err != nil { // whoever runs the jobs finds it all the same
		v.Log.Warn("a job may be run and could not be queued at once", "job", approved.ID, "error", err)
	}
}

// May reports whether the person may do that for a merchant, for templates.
func (v *visit) May(role, merchant string) bool { return v.Person.May(access.Role(role), merchant) }

// takesLong gives an answer an hour: a server that has a limit has a shorter one.
func (v *visit) takesLong() {
	http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(time.Hour))
}

// goOn sends the browser on after something was done.
func (v *visit) goOn(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// details are what the trail tells of a deed beside the job: its merchant, so that people of another one do not see it. It is for
// ever: an order stands there by its digest, as its number may tell of a person.
type details map[string]any

// deed is an entry of the trail.
func (v *visit) deed(what string, stored *ledger.Job, of details) ledger.Deed {
	d := ledger.Deed{Who: v.Person.Name, From: access.Address(v.r), What: what}
	all := make(details)
	if stored != nil {
		d.Job, d.Digest, all["merchant"] = stored.ID, stored.Digest, v.Slug(stored.Merchant)
	}
	maps.Copy(all, of)
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // numbers and strings
	}
	d.Detail = string(text)
	return d
}

// noteOrder appends to the trail what is done with an order of a merchant.
func (v *visit) noteOrder(what, merchant string, order ledger.Order, of details) error {
	sum := sha256.Sum256([]byte(order.MerchantUID))
	all := details{"merchant": v.Slug(merchant), "order_sha256": hex.EncodeToString(sum[:])}
	maps.Copy(all, of)
	return v.Jobs.Note(context.WithoutCancel(v.r.Context()), v.deed(what, nil, all))
}

// StateName is how a job stands, for people.
func (v *visit) StateName(state ledger.JobState) string { return StateName(v.Language, state) }

// StateName is how a job stands, for people.
func StateName(language say.Language, state ledger.JobState) string {
	return language.Text(map[ledger.JobState]string{ledger.JobUploaded: say.Mark("to be approved"), ledger.JobQueued: say.Mark("queued"), ledger.JobRunning: say.Mark("running"), ledger.JobDone: say.Mark("done"),
		ledger.JobRefused: say.Mark("refused"), ledger.JobStopped: say.Mark("stopped early"), ledger.JobCancelled: say.Mark("cancelled"), ledger.JobReceiving: say.Mark("being received")}[state])
}

// StatusName is the name of a status.
func (v *visit) StatusName(status batch.Status) string { return report.StatusName(v.Language, status) }

// Sentence says what an error code means.
func (v *visit) Sentence(code string) string { return report.Sentence(v.Language, code) }

// Why says more of some codes: why it comes to that, and what to do.
func (v *visit) Why(code string) string { return report.Why(v.Language, code) }

// Units are what amounts may be counted in.
func (*visit) Units() []string { return []string{"", "won", "천원", "만원", "백만원"} }

// Deed is what somebody did, for people.
func (v *visit) Deed(what string) string {
	if text, ok := deeds[what]; ok {
		return v.Text(text)
	}
	return what
}

var deeds = map[string]string{"upload": say.Mark("brought a file"), "use form": say.Mark("read it by a form"), "answer": say.Mark("answered how it is read"), "columns": say.Mark("chose its columns"),
	"form": say.Mark("kept a form"), "drop form": say.Mark("removed a form"), "approve": say.Mark("approved it"), "discard": say.Mark("removed it"),
	"stop": say.Mark("stopped it"), "resume": say.Mark("had it go on"), "download": say.Mark("took a file"), "show accounts": say.Mark("looked at account numbers"), "settle": say.Mark("asked about orders in doubt"), "verdict": say.Mark("settled an order"), "verdict-refused": say.Mark("could not settle it so"),
	access.NotedSignIn: say.Mark("signed in"), access.NotedSignOut: say.Mark("signed out"), access.NotedRefused: say.Mark("was not let in"), access.NotedForged: say.Mark("was not let in")}

// FieldName is a field of a row, for people.
func (v *visit) FieldName(field string) string { return report.FieldName(v.Language, field) }

// link is an address of this one with other values; those that are empty are left out.
func link(path string, values ...string) string {
	query := make(url.Values)
	for i := 0; i+1 < len(values); i += 2 {
		if values[i+1] != "" {
			query.Set(values[i], values[i+1])
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/assets/app.css" {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		io.WriteString(w, page.Style)
		own, _ := assets.ReadFile("assets/app.css")
		w.Write(own)
		return
	}
	http.FileServerFS(assets).ServeHTTP(w, r)
}

// cached lets browsers keep what is the same for everybody for a while.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=300")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if err := s.Jobs.Ping(r.Context()); err != nil {
		http.Error(w, say.Mark("the ledger does not answer"), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n")
}
