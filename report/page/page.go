// Package page writes NAME.report.html, one page for people.
package page

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

//go:embed page.html
var text string

//go:embed page.css
var style string

var layout = template.Must(template.New("page").Parse(text))

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
	return report.Replace(path, 0o600, func(w io.Writer) error { return layout.Execute(w, newPage(run, facts, options)) })
}

// page is what the template shows: texts in the page's language, ready to be read.
type page struct {
	Lang                               say.Language
	Policy                             string
	Style                              template.CSS
	File, Started, Ended, Took         string
	Sandbox, Continued, Again, Masked  bool
	Verdict                            verdict
	Total, Issued                      sum
	Failed, Unknown                    string
	Statuses, Banks, PGs               []sum
	Reasons                            []reason
	Measured                           bool
	Charts                             []chart
	Accounts                           []row
	OtherAccounts                      string // how many; "" for none
	Endpoints                          []endpoint
	Classes                            []string
	Waited                             string
	Limits                             []string
	Digest, Encoding, API, Version, ID string
	HeaderLine                         int
	Mapping                            []input.Mapped
	Results, InDoubt                   string
}

type verdict struct {
	Class string // good, bad or doubt
	Texts []string
}

type sum struct{ Name, Rows, Won string }

type reason struct {
	Code, Sentence, Rows string
	First                []row
	Others               string // how many; "" for none
}

type row struct {
	Line                                                int64
	Status, Order, Won, Message, Bank, Num, Holder, Due string
}

type endpoint struct {
	Name    string
	Figures []string // number, retries, by class, milliseconds
}

func newPage(run *report.Run, facts *report.Facts, options Options) *page {
	p := &page{Lang: run.Language, Policy: policy, Style: template.CSS(style),
		File: report.Clip(report.FileName(run.Plan).In(run.Language)), Started: report.Clock(run.Started), Ended: report.Clock(run.Ended),
		Sandbox: run.API == "sandbox" || client.Loopback(run.API), Continued: run.Continued, Again: run.Command == "report", Masked: !options.ShowAccounts,
		Failed: report.Thousands(facts.NotDone()), Unknown: report.Thousands(facts.Statuses[batch.Unknown].Rows),
		Digest: run.Plan.Digest(), Encoding: run.Plan.Layout.Encoding, HeaderLine: run.Plan.Layout.HeaderLine, Mapping: run.Plan.Mapping,
		API: run.API, Version: run.Version, ID: strconv.FormatInt(run.ID, 10), Results: run.Files.Results}
	if !run.Ended.IsZero() {
		p.Took = p.duration(run.Ended.Sub(run.Started))
	}
	p.Verdict = p.verdict(run, facts)
	p.figures(facts)
	p.reasons(facts)
	for _, r := range facts.Accounts {
		row := p.row(r)
		if row.Num, row.Holder = r.Num, r.Holder; p.Masked {
			row.Num, row.Holder = report.Mask(r.Num), report.MaskName(r.Holder)
		}
		p.Accounts = append(p.Accounts, row)
	}
	p.OtherAccounts = rest(facts.Statuses[batch.Issued].Rows, len(facts.Accounts))
	if run.Measures != nil {
		p.Measured = true
		p.Charts = p.charts(run.Measures)
		p.requests(run.Measures)
	}
	if run.Limits != nil {
		p.limits(run.Limits)
	}
	if run.InDoubt != nil && *run.InDoubt > 0 {
		p.InDoubt = report.Thousands(int64(*run.InDoubt))
	}
	return p
}

// verdict says how the run ended, the gravest first, and what to do.
func (p *page) verdict(run *report.Run, facts *report.Facts) verdict {
	v := verdict{Class: "bad"}
	add := func(key string, values ...any) { v.Texts = append(v.Texts, p.T(key, values...)) }
	if facts.Statuses[batch.Unknown].Rows > 0 {
		v.Class = "doubt"
		add("unknown", p.Unknown)
	}
	switch run.Reason {
	case report.ReasonDone, report.ReasonRowsNotDone, report.ReasonRowsUnknown:
	case report.ReasonInterrupted:
		add("interrupted")
	default:
		add("ended early", run.Reason)
	}
	if facts.NotDone() > 0 {
		add("not done", p.Failed)
	}
	if v.Texts == nil {
		v.Class = "good"
		add("all done")
	}
	return v
}

func (p *page) figures(facts *report.Facts) {
	var total report.Sum
	for _, status := range batch.Statuses {
		s := facts.Statuses[status]
		total.Won = min(total.Won, math.MaxInt64-max(s.Won, 0)) + s.Won
		total.Rows += s.Rows
		if s.Rows > 0 {
			p.Statuses = append(p.Statuses, shown(p.T("status "+status), s))
		}
		if status == batch.Issued {
			p.Issued = shown("", s)
		}
	}
	p.Total = shown("", total)
	for _, b := range facts.Banks() {
		p.Banks = append(p.Banks, shown(p.name(b), b.Sum))
	}
	for _, pg := range facts.PGs() {
		p.PGs = append(p.PGs, shown(p.name(pg), pg.Sum))
	}
}

func shown(name string, s report.Sum) sum {
	return sum{name, report.Thousands(s.Rows), report.Thousands(s.Won)}
}

// name is that of a bank or a PG.
func (p *page) name(n *report.Named) string {
	if n.Code == report.OtherName {
		return p.T("others")
	}
	return cmp.Or(strings.TrimSpace(n.Name+" "+n.Code), p.T("not told"))
}

func (p *page) reasons(facts *report.Facts) {
	for _, r := range facts.Reasons() {
		shown := reason{Code: r.Code, Sentence: report.Sentence(p.Lang, r.Code), Rows: report.Thousands(r.Rows), Others: rest(r.Rows, len(r.First))}
		for _, row := range r.First {
			if report.IsSentence(r.Code, row.Message) {
				row.Message = "" // it stands above
			}
			shown.First = append(shown.First, p.row(row))
		}
		p.Reasons = append(p.Reasons, shown)
	}
}

func (p *page) row(r report.Row) row {
	row := row{Line: r.Line, Status: p.T("status " + r.Status), Order: r.MerchantUID, Won: report.Thousands(r.Amount), Message: report.Clip(r.Message.In(p.Lang)), Bank: r.Bank}
	if r.Due != 0 {
		row.Due = input.FormatDue(r.Due)
	}
	return row
}

// rest is how many of all are not among the first, "" if none.
func rest(all int64, first int) string {
	if all <= int64(first) {
		return ""
	}
	return report.Thousands(all - int64(first))
}

func (p *page) requests(m *client.Measures) {
	for _, class := range client.Classes {
		if class == client.ClassNone {
			class = p.T("class none")
		}
		p.Classes = append(p.Classes, class)
	}
	for _, e := range m.Endpoints {
		shown := endpoint{e.Endpoint, []string{report.Thousands(e.Requests), report.Thousands(e.Retries)}}
		for _, class := range client.Classes {
			shown.Figures = append(shown.Figures, report.Thousands(e.Classes[class]))
		}
		for _, d := range []time.Duration{e.Latency.P50, e.Latency.P90, e.Latency.P99, e.Latency.Max} {
			shown.Figures = append(shown.Figures, milliseconds(d))
		}
		p.Endpoints = append(p.Endpoints, shown)
	}
	p.Waited = p.T("waited", p.duration(m.Waited))
}

func (p *page) limits(l *client.LimitStats) {
	if l.TooMany > 0 {
		p.Limits = append(p.Limits, p.T("too many", report.Thousands(l.TooMany), p.duration(l.Paused)))
	}
	if l.Confirmed {
		p.Limits = append(p.Limits, p.T("seems to take", l.Rate))
	}
	if l.Failures > 0 {
		p.Limits = append(p.Limits, p.T("api failed", report.Thousands(l.Failures), l.LeastOnce))
	}
}

// duration writes one for people: 350 ms, 12.0 s, 2 min 8 s, 3 h 20 min.
func (p *page) duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return p.T("ms", milliseconds(d))
	case d < time.Minute:
		return p.T("s", d.Seconds())
	case d < time.Hour:
		return p.T("min s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return p.T("h min", int(d.Hours()), int(d.Minutes())%60)
}

func milliseconds(d time.Duration) string {
	if d < 10*time.Millisecond {
		return strconv.FormatFloat(math.Round(d.Seconds()*1e4)/10, 'f', -1, 64)
	}
	return report.Thousands(d.Round(time.Millisecond).Milliseconds())
}
