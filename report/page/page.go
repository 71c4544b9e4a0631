// Package page writes NAME.report.html, one page for people.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"html/template"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

//go:embed page.html
var text string

// Style is the page's, and that of other pages that look like it.
//
//go:embed page.css
var Style string

//go:embed page.js
var script string

var layout = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"n": report.Thousands, "clock": report.Clock, "due": input.FormatDue, "milliseconds": milliseconds,
	}).Parse(text))
})

// policy lets the page do nothing but show itself in its own style and search itself by its own script: nothing fetched, nothing
// sent.
var policy = "default-src 'none'; style-src " + digest(Style) + "; script-src " + digest(script) + "; base-uri 'none'; form-action 'none'"

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Options say how the page is written.
type Options struct {
	ShowAccounts bool // names, phones, account numbers and holders in full
}

// Write writes the page to path, mode 0600, whole or not at all. The page needs no network, and its script only searches it.
// It holds order numbers, and customers and accounts masked unless the options say otherwise; of rows in their thousands only the
// first. The run's plan must be known.
func Write(path string, run *report.Run, facts *report.Facts, options Options) error {
	return report.Replace(path, 0o600, func(w io.Writer) error { return layout().Execute(w, &page{run, facts, options}) })
}

// Shows reports whether the page at path, if there is one, has accounts in full.
func Shows(path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && bytes.Contains(text, []byte(`class="list"`))
}

// page is what the template shows. Its methods give texts in the reader's language.
type page struct {
	*report.Run
	*report.Facts
	Options
}

// Policy is policy, for the template.
func (p *page) Policy() string { return policy }

// Style is the page's style, for the template.
func (p *page) Style() template.CSS { return template.CSS(Style) }

// Script is script, for the template.
func (p *page) Script() template.JS { return template.JS(script) }

// Prints reports whether the list for customers is what is printed of the page.
func (p *page) Prints() bool { return p.ShowAccounts && len(p.Accounts) > 0 }

// link leads to a file beside the page.
type link struct{ Title, Name, Href string }

// Links are the files of the run for people.
func (p *page) Links() (links []link) {
	for _, file := range []struct{ title, path string }{
		{say.Mark("Workbook"), p.Files.Workbook}, {say.Mark("Rows to mend"), p.Files.Failed}, {say.Mark("Results"), p.Files.Results},
	} {
		if name := filepath.Base(file.path); file.path != "" && file.path != "-" {
			links = append(links, link{p.Language.Text(file.title), report.Clip(name), "./" + url.PathEscape(name)})
		}
	}
	return links
}

// Mend is the name of the file of rows to mend, "" without one.
func (p *page) Mend() string {
	if p.Files.Failed == "" || p.NotDone() == p.Statuses[batch.NotSent].Rows {
		return ""
	}
	return report.Clip(filepath.Base(p.Files.Failed))
}

// Headings are those of the list for customers, as the workbook has them.
func (p *page) Headings() []string { return report.CustomerHeadings(p.Language) }

// Name is the file's name without its folder.
func (p *page) Name() string { return report.Clip(filepath.Base(report.FilePath(p.Plan, p.Language))) }

// Took is how long the run lasted, "" where it has no end.
func (p *page) Took() string {
	if p.Ended.IsZero() {
		return ""
	}
	return p.duration(p.Ended.Sub(p.Started))
}

// Doubts are the orders in doubt of all runs.
func (p *page) Doubts() (orders int64) {
	if p.InDoubt != nil {
		orders = int64(*p.InDoubt)
	}
	return orders
}

// verdict is how the run ended, and what to do.
type verdict struct {
	Class string // good, bad or doubt
	Texts []string
}

// Verdict says how the run ended, the gravest first, and what to do.
func (p *page) Verdict() verdict {
	v := verdict{Class: "bad"}
	if unknown := p.Statuses[batch.Unknown].Rows; unknown > 0 {
		v.Class = "doubt"
		v.Texts = append(v.Texts, p.T("Rows of which it is not known yet what became of them: %s. vbankbatch reconcile finds out; issue nothing for them by other means before that.", report.Thousands(unknown)))
	}
	switch p.Reason {
	case report.ReasonDone, report.ReasonRowsNotDone, report.ReasonRowsUnknown:
	case report.ReasonInterrupted:
		v.Texts = append(v.Texts, p.T("The run was interrupted. The same command again goes on with it."))
	default:
		v.Texts = append(v.Texts, p.T("The run ended early (%s). When the cause is gone, the same command again goes on with it.", p.Reason))
	}
	if rows := p.NotDone(); rows > 0 {
		v.Texts = append(v.Texts, p.T("Rows that were not done: %s. The reasons are below.", report.Thousands(rows)))
	}
	if v.Texts == nil {
		v.Class = "good"
		v.Texts = append(v.Texts, p.T("Every row is done."))
	}
	return v
}

// All lists the statuses.
func (p *page) All() []batch.Status { return batch.Statuses }

// T is a text in the reader's language.
func (p *page) T(english string, values ...any) string { return p.Language.T(english, values...) }

// Status is the name of a status.
func (p *page) Status(status batch.Status) string {
	return report.StatusName(p.Language, status)
}

// Sentence says what an error code means.
func (p *page) Sentence(code string) string { return report.Sentence(p.Language, code) }

// Why says more of some codes.
func (p *page) Why(code string) string { return report.Why(p.Language, code) }

// group is the rows of a reason of which the same is said.
type group struct {
	Message string // "" if it says no more than the code
	Rows    []report.Row
}

// Groups are the rows of a reason, so that what is said of several is said once.
func (p *page) Groups(reason *report.CodeRows) (groups []group) {
	for _, row := range reason.First {
		message := ""
		if !report.IsSentence(reason.Code, row.Message) {
			message = report.Clip(row.Message.In(p.Language))
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.Message == message })
		if i < 0 {
			i, groups = len(groups), append(groups, group{Message: message})
		}
		groups[i].Rows = append(groups[i].Rows, row)
	}
	return groups
}

// Num is a number of an account or a phone, masked unless it is to be shown.
func (p *page) Num(number string) string {
	if p.ShowAccounts {
		return number
	}
	return report.Mask(number)
}

// Masked is a name, masked likewise.
func (p *page) Masked(name string) string {
	if p.ShowAccounts {
		return name
	}
	return report.MaskName(name)
}

// Shown is how many accounts the page has.
func (p *page) Shown() string { return report.Thousands(int64(len(p.Accounts))) }

// Rest is how many of all are not among the first, "" if none.
func (p *page) Rest(all int64, first []report.Row) string {
	if all <= int64(len(first)) {
		return ""
	}
	return report.Thousands(all - int64(len(first)))
}

// Classes lists those of the HTTP statuses.
func (p *page) Classes() []string { return client.Classes }

// Waited says how long the requests waited for the limiter.
func (p *page) Waited() string {
	return p.T("All requests together waited %s to be let go.", p.duration(p.Measures.Waited))
}

// Learnt says what was found out about the API's limits.
func (p *page) Learnt() (told []string) {
	l := p.Limits
	if l == nil {
		return nil
	}
	if l.TooMany > 0 {
		told = append(told, p.T("The API refused %s requests as too many (429), and nothing was sent for %s.", report.Thousands(l.TooMany), p.duration(l.Paused)))
	}
	if l.Confirmed {
		told = append(told, p.T("It seems to take %.1f a second.", l.Rate))
	}
	if l.Failures > 0 {
		told = append(told, p.T("The API failed at %s requests or left them without an answer, and was sent as few as %d at once.", report.Thousands(l.Failures), l.LeastOnce))
	}
	return told
}

// duration writes one for people: 350 ms, 12.0 s, 2 min 8 s, 3 h 20 min.
func (p *page) duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return p.T("%s ms", milliseconds(d))
	case d < time.Minute:
		return p.T("%.1f s", d.Seconds())
	case d < time.Hour:
		return p.T("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return p.T("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

func milliseconds(d time.Duration) string {
	if d < 10*time.Millisecond {
		return strconv.FormatFloat(math.Round(d.Seconds()*1e4)/10, 'f', -1, 64)
	}
	return report.Thousands(d.Round(time.Millisecond).Milliseconds())
}
