package serve

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/access"
	"vbankbatch/report/queue"
)

// file shows how a file stands: what is to be done before it is sent, how far it is, or what came of it.
func (s *Server) file(v *visit) error {
	stored, err := v.job(access.Viewer)
	if err != nil {
		return err
	}
	switch {
	case stored.State == ledger.JobUploaded:
		return v.goOn(filePath(stored.ID, "check"))
	case stored.State.Open():
		v.Title = v.T("%s is under way", stored.File)
		return v.show("progress", http.StatusOK, s.under(v, stored))
	}
	return s.results(v, stored)
}

// progressPage shows how far a file is, by the figures that its run stores.
type progressPage struct {
	Job     *ledger.Job
	Percent int64
	Left    string // how long it will take still, "" where that cannot be said
	Told    []string
	CanStop bool
}

func (s *Server) under(v *visit, stored *ledger.Job) *progressPage {
	p := &progressPage{Job: stored, CanStop: v.HasPart(stored) && !stored.Cancel}
	done := stored.Progress.Done
	if rows := stored.Progress.Rows; rows > 0 {
		p.Percent = min(100*done/rows, 100)
		if took := s.Now().Sub(stored.Started); done > 20 && took > 5*time.Second && done < rows {
			p.Left = v.duration(time.Duration(float64(took) / float64(done) * float64(rows-done)))
		}
	}
	switch {
	case stored.Lacking:
		p.Told = append(p.Told, v.T("It waits: nobody who runs files has the credentials of this merchant so far."))
	case stored.State == ledger.JobQueued:
		p.Told = append(p.Told, v.T("It waits for its turn: the files of a merchant are sent one after the other."))
	case stored.Progress.Rows == 0:
		p.Told = append(p.Told, v.T("The file is read and checked once more."))
	}
	if n := stored.Progress.Waiting; n > 0 {
		p.Told = append(p.Told, v.T("Rows whose answer was lost: %s. Each is asked for, and sent again only once it is certain that no account was made.", report.Thousands(n)))
	}
	if stored.Cancel {
		p.Told = append(p.Told, v.T("It was asked to end: the rows under way are finished, then the results are written."))
	}
	return p
}

// duration is a length of time, roughly.
func (v *visit) duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return v.T("less than a minute")
	case d < time.Hour:
		return v.T("about %d minutes", int(d.Round(time.Minute).Minutes()))
	}
	return v.T("about %d hours", int(d.Round(time.Hour).Hours()))
}

// progress is the part of the page that changes, for the script that asks for it. It answers 204 once there is another page.
func (s *Server) progress(v *visit) error {
	stored, err := v.job(access.Viewer)
	if err != nil {
		return err
	}
	if !stored.State.Open() {
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return v.show("figures", http.StatusOK, s.under(v, stored))
}

// HasPart reports whether the person may bring a file or approve it, and so stop it, and see what was brought.
func (v *visit) HasPart(stored *ledger.Job) bool {
	return v.Person.May(access.Uploader, stored.Merchant) || v.Person.May(access.Approver, stored.Merchant)
}

// stop asks for the end of a run.
func (s *Server) stop(v *visit) error {
	stored, err := v.job(access.Viewer)
	if err != nil {
		return err
	}
	if !v.HasPart(stored) {
		return errNotYours
	}
	if stored.State.Open() && !stored.Cancel {
		if err := s.Jobs.Note(v.r.Context(), v.deed("stop", stored, nil)); err != nil {
			return err
		}
		if _, err := s.Jobs.Cancel(v.r.Context(), stored.ID); err != nil {
			return err
		}
	}
	return v.goOn(filePath(stored.ID, ""))
}

// resume has a run go on that ended early.
func (s *Server) resume(v *visit) error {
	stored, err := v.job(access.Approver)
	if err != nil {
		return err
	}
	if stored.State == ledger.JobStopped {
		if err := s.Jobs.Note(v.r.Context(), v.deed("resume", stored, nil)); err != nil {
			return err
		}
		if err := s.Jobs.Resume(v.r.Context(), stored.ID); err != nil {
			return err
		}
		if now, err := s.Jobs.Get(v.r.Context(), stored.ID); err == nil && now.State == ledger.JobQueued {
			v.begin(&now)
		}
	}
	return v.goOn(filePath(stored.ID, ""))
}

// resultsPage shows what came of a file.
type resultsPage struct {
	Job      *ledger.Job
	Statuses []statusCount
	Reasons  []reason
	Files    []keptFile
	Failed   bool // there is a file of rows to mend
	Unknown  int64
	Again    bool // it may go on
	CanGoOn  bool
}

type statusCount struct {
	Status batch.Status
	report.Sum
}

// keptFile is one of a job's, to be taken.
type keptFile struct{ Kind, Name, Says string }

// kinds are the files that people take, and what they are.
var kinds = []struct{ ending, says string }{
	{".results.xlsx", say.Mark("Workbook: results, the list for customers, rows to mend")},
	{".results.csv", say.Mark("Results as CSV")},
	{".failed.csv", say.Mark("Rows to mend, as CSV")},
	{".report.html", say.Mark("Report, to print or to keep")},
}

func (s *Server) results(v *visit, stored *ledger.Job) error {
	p := &resultsPage{Job: stored, CanGoOn: v.Person.May(access.Approver, stored.Merchant)}
	var figures report.Figures
	if stored.Summary != "" && json.Unmarshal([]byte(stored.Summary), &figures) == nil {
		for _, status := range batch.Statuses {
			if sum := figures.Statuses[status]; sum.Rows > 0 {
				p.Statuses = append(p.Statuses, statusCount{status, sum})
			}
		}
		p.Unknown = figures.Statuses[batch.Unknown].Rows
	}
	if stored.Run != 0 {
		if err := s.reasons(v, p); err != nil {
			return err
		}
	}
	kept, err := s.Jobs.Files(v.r.Context(), stored.ID)
	if err != nil {
		return err
	}
	p.Again = stored.State == ledger.JobStopped && slices.ContainsFunc(kept, func(file ledger.JobFile) bool { return file.Kind == ledger.JobInput })
	for _, kind := range kinds {
		for _, file := range kept {
			if file.Kind == kind.ending {
				p.Files = append(p.Files, keptFile{file.Kind, file.Name, v.Text(kind.says)})
				p.Failed = p.Failed || kind.ending == ".failed.csv"
			}
		}
	}
	v.Title = v.T("What came of %s", stored.File)
	return v.show("results", http.StatusOK, p)
}

// reason is a code, and what was said of its rows: the PG's own words for example.
type reason struct {
	Code     string
	Rows     int64
	Messages []ledger.Reason
}

const (
	mostReasons  = 200
	mostMessages = 5 // of a code
)

// reasons groups what the rows were not done for.
func (s *Server) reasons(v *visit, p *resultsPage) error {
	book, err := s.Read(v.r.Context(), p.Job.Merchant, p.Job.Whose)
	if err != nil || book == nil {
		return err
	}
	defer book.Close()
	found, err := book.Reasons(v.r.Context(), p.Job.Run, mostReasons)
	if err != nil {
		return err
	}
	for _, of := range found {
		i := slices.IndexFunc(p.Reasons, func(r reason) bool { return r.Code == of.Code })
		if i < 0 {
			i, p.Reasons = len(p.Reasons), append(p.Reasons, reason{Code: of.Code})
		}
		p.Reasons[i].Rows += of.Rows
		if !report.IsSentence(of.Code, of.Message) && of.Message != "" && len(p.Reasons[i].Messages) < mostMessages {
			p.Reasons[i].Messages = append(p.Reasons[i].Messages, of)
		}
	}
	return nil
}

// attach says that what follows is a file to be kept.
func (v *visit) attach(name, kind string) {
	v.w.Header().Set("Content-Type", kind)
	v.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filepath.Base(name)}))
	v.w.Header().Set("X-Content-Type-Options", "nosniff")
}

// download sends one of a job's files. That it was taken stands in the trail: it has account numbers in full.
func (s *Server) download(v *visit) error {
	stored, err := v.job(access.Viewer)
	if err != nil {
		return err
	}
	kind := v.r.PathValue("kind")
	kept, err := s.Jobs.Files(v.r.Context(), stored.ID)
	if err != nil {
		return err
	}
	for _, file := range kept {
		if file.Kind != kind || kind == ledger.JobInput && !v.HasPart(stored) {
			continue
		}
		if err := s.Jobs.Note(v.r.Context(), v.deed("download", stored, details{"kind": kind})); err != nil {
			return err
		}
		name := file.Name
		if kind == ledger.JobInput {
			name = queue.FileName(stored)
		}
		v.attach(name, cmp.Or(mime.TypeByExtension(filepath.Ext(name)), "application/octet-stream"))
		v.takesLong()
		err := v.sends(func(w io.Writer) error { return s.Jobs.ReadFile(v.r.Context(), stored.ID, kind, w) })
		if err == nil && kind != ledger.JobInput {
			err = s.Jobs.NoteFetched(v.r.Context(), stored.ID)
		}
		return err
	}
	return errNotFound
}

// sends sends a file. If it cannot be sent whole, the browser is told so, and does not take a part of it for the whole.
func (v *visit) sends(write func(io.Writer) error) error {
	sent := &counted{Writer: v.w}
	err := write(sent)
	if err != nil && sent.n > 0 {
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		v.w.Header().Del("Content-Disposition")
	}
	return err
}

type counted struct {
	io.Writer
	n int64
}

func (c *counted) Write(bytes []byte) (int, error) {
	n, err := c.Writer.Write(bytes)
	c.n += int64(n)
	return n, err
}

// rowsPage shows rows of a run as the ledger has them.
type rowsPage struct {
	Job      *ledger.Job
	Status   string
	Order    string
	Statuses []batch.Status
	List     []row
	Next     int64 // the line behind which the next page begins; 0 without one
	After    int64
	Whole    bool // account numbers are shown in full
}

// row is a line of a run, and how its order stands now.
type row struct {
	ledger.Entry
	Now *ledger.Entry // of another file; nil if this one holds the order, or none does
}

// rows shows the rows of a run, with account numbers masked.
func (s *Server) rows(v *visit) error { return s.showRows(v, false) }

// rowsWhole shows account numbers in full, which stands in the trail.
func (s *Server) rowsWhole(v *visit) error { return s.showRows(v, true) }

func (s *Server) showRows(v *visit, whole bool) error {
	stored, err := v.job(access.Viewer)
	if err != nil {
		return err
	}
	if stored.Run == 0 {
		return errNotFound
	}
	if whole {
		if err := s.Jobs.Note(v.r.Context(), v.deed("show accounts", stored, nil)); err != nil {
			return err
		}
	}
	book, err := s.Read(v.r.Context(), stored.Merchant, stored.Whose)
	if err != nil || book == nil {
		return cmp.Or(err, error(errNotFound))
	}
	defer book.Close()
	p := &rowsPage{Job: stored, Status: v.r.FormValue("status"), Order: strings.TrimSpace(v.r.FormValue("order")), Statuses: batch.Statuses, Whole: whole}
	p.After, _ = strconv.ParseInt(v.r.FormValue("after"), 10, 64)
	found, err := book.Lines(v.r.Context(), ledger.LineFilter{Run: stored.Run, After: p.After, Status: p.Status, MerchantUID: p.Order}, perPage+1)
	if err != nil {
		return err
	}
	if len(found) > perPage {
		found = found[:perPage]
		p.Next = found[perPage-1].Line
	}
	var named []ledger.Order
	for i := range found {
		named = append(named, found[i].Order)
	}
	now, err := book.Orders(v.r.Context(), named)
	if err != nil {
		return err
	}
	for _, e := range found {
		r := row{Entry: e}
		if holds, ok := now[e.Order]; ok && (holds.Run != e.Run || holds.Line != e.Line) {
			r.Now = &holds
		}
		p.List = append(p.List, r)
	}
	v.Title = v.T("Rows of %s", stored.File)
	return v.show("rows", http.StatusOK, p)
}

// trailPage shows who did what.
type trailPage struct {
	List []ledger.Mark
	Next int64
}

// trail shows the newest entries of the audit trail, to whom may approve for every merchant.
func (s *Server) trail(v *visit) error {
	for _, m := range v.Merchants {
		if !v.Person.May(access.Approver, m) {
			return errNotYours
		}
	}
	before, _ := strconv.ParseInt(v.r.FormValue("before"), 10, 64)
	p := new(trailPage)
	for more := true; more && len(p.List) <= perPage; {
		marks, err := s.Jobs.Marks(v.r.Context(), before, marksAtOnce)
		if err != nil {
			return err
		}
		for _, m := range marks {
			before = m.ID
			if ours, err := v.ours(&m); err != nil {
				return err
			} else if ours {
				p.List = append(p.List, m)
			}
		}
		more = len(marks) == marksAtOnce
	}
	if len(p.List) > perPage {
		p.List, p.Next = p.List[:perPage], p.List[perPage-1].ID
	}
	v.Title = v.T("Who did what")
	return v.show("trail", http.StatusOK, p)
}

// marksAtOnce is how many entries of the trail are read at once: some may be of other servers' merchants.
const marksAtOnce = 10 * perPage

// ours reports whether an entry of the trail is of a merchant whose files the person may see here, or of none.
func (v *visit) ours(m *ledger.Mark) (bool, error) {
	var of struct{ Merchant string }
	json.Unmarshal([]byte(m.Detail), &of) // what it does not tell stays empty
	switch {
	case of.Merchant == unnamed:
		return slices.Contains(v.mine(), ""), nil
	case of.Merchant != "" || m.Job == 0:
		return of.Merchant == "" || slices.Contains(v.mine(), of.Merchant), nil
	}
	stored, err := v.Jobs.Get(v.r.Context(), m.Job) // of an entry from before they told the merchant
	if errors.Is(err, ledger.ErrNoJob) {
		return false, nil
	}
	return err == nil && stored.API == v.API && slices.Contains(v.mine(), stored.Merchant), err
}
