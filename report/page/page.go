// Package page writes NAME.report.html, one page for people.
package page

import (
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"html/template"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/report"
)

//go:embed page.html
var text string

//go:embed page.css
var style string

var layout = template.Must(template.New("page").Funcs(template.FuncMap{
	"n": report.Thousands, "clock": report.Clock, "due": input.FormatDue, "milliseconds": milliseconds,
}).Parse(text))

// policy lets the page do nothing but show itself in its own style: no script, nothing fetched, nothing sent.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}()

// Options say how the page is written.
type Options struct {
	ShowAccounts bool // account numbers and holders in full
}

// Write writes the page to path, mode 0600, whole or not at all. The page needs no network and no script. It holds order
// numbers, and account numbers and holders masked unless the options say otherwise; of rows in their thousands only the
// first. The run's plan must be known.
func Write(path string, run *report.Run, facts *report.Facts, options Options) error {
	return report.Replace(path, 0o600, func(w io.Writer) error { return layout.Execute(w, &page{run, facts, options}) })
}

// page is what the template shows. Its methods give texts in the reader's language.
type page struct {
	*report.Run
	*report.Facts
	Options
}

// Policy is policy, for the template.
func (p *page) Policy() string { return policy }

// Style is style, for the template.
func (p *page) Style() template.CSS { return template.CSS(style) }

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

// T is a text in the reader's language, with its values filled in.
func (p *page) T(english string, values ...any) string {
	if len(values) == 0 {
		return p.Language.Text(english)
	}
	return p.Language.Sprintf(english, values...)
}

// Status is the name of a status.
func (p *page) Status(status batch.Status) string {
	return report.StatusName(p.Language, status)
}

// Sentence says what an error code means.
func (p *page) Sentence(code string) string { return report.Sentence(p.Language, code) }

// Message is a row's, but for one that says no more than its code.
func (p *page) Message(code string, r report.Row) string {
	if report.IsSentence(code, r.Message) {
		return ""
	}
	return report.Clip(r.Message.In(p.Language))
}

// Num is a row's account number, masked unless it is to be shown.
func (p *page) Num(r report.Row) string {
	if p.ShowAccounts {
		return r.Num
	}
	return report.Mask(r.Num)
}

// Holder is a row's account holder, masked likewise.
func (p *page) Holder(r report.Row) string {
	if p.ShowAccounts {
		return r.Holder
	}
	return report.MaskName(r.Holder)
}

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
