package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets the page do nothing but show itself in its own style: no script, nothing fetched, nothing sent.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}()

// PageOptions say how the page is written.
type PageOptions struct {
	ShowAccounts bool // account numbers and holders in full
}

// WritePage writes NAME.report.html to path, mode 0600, whole or not at all: one page for people that needs no network and
// no script. It holds order numbers, and account numbers and holders masked unless the options say otherwise; of rows in
// their thousands only the first. The run's plan must be known.
func WritePage(path string, run *Run, facts *Facts, options PageOptions) error {
	return replace(path, 0o600, func(w io.Writer) error { return pageTemplate.Execute(w, newPage(run, facts, options)) })
}

// page is what the template shows: texts in the page's language, ready to be read.
type page struct {
	Lang                               string
	Policy                             string
	Style                              template.CSS
	File, Started, Ended, Took         string
	Sandbox, Continued, Again, Masked  bool
	Verdict                            verdict
	Total, Issued                      pageSum
	Failed, Unknown                    string
	Statuses, Banks, PGs               []pageSum
	Reasons                            []pageReason
	Measured                           bool
	Charts                             []chart
	Accounts                           []pageRow
	OtherAccounts                      string // how many; "" for none
	Endpoints                          []pageEndpoint
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

type pageSum struct{ Name, Rows, Won string }

type pageReason struct {
	Code, Sentence, Rows string
	First                []pageRow
	Others               string // how many; "" for none
}

type pageRow struct {
	Line                                                int64
	Status, Order, Won, Message, Bank, Num, Holder, Due string
}

type pageEndpoint struct {
	Name    string
	Figures []string // number, retries, by class, milliseconds
}

func newPage(run *Run, facts *Facts, options PageOptions) *page {
	p := &page{Lang: say.In(), Policy: pagePolicy, Style: template.CSS(pageStyle),
		File: clip(filepath.Base(run.Plan.File.Path)), Started: clock(run.Started), Ended: clock(run.Ended),
		Sandbox: run.API == "sandbox" || client.Loopback(run.API), Continued: run.Continued, Again: run.Command == "report", Masked: !options.ShowAccounts,
		Failed: thousands(int64(facts.Failed())), Unknown: thousands(int64(facts.Statuses[batch.Unknown])),
		Digest: run.Plan.Digest(), Encoding: run.Plan.Layout.Encoding, HeaderLine: run.Plan.Layout.HeaderLine, Mapping: run.Plan.Mapping,
		API: run.API, Version: run.Version, ID: strconv.FormatInt(run.ID, 10), Results: run.Files.Results}
	if !run.Ended.IsZero() {
		p.Took = p.duration(run.Ended.Sub(run.Started))
	}
	p.Verdict = p.verdict(run, facts)
	p.figures(facts)
	p.reasons(facts)
	for _, r := range facts.accounts {
		row := p.row(r)
		if row.Num, row.Holder = r.Num, r.Holder; p.Masked {
			row.Num, row.Holder = maskNumber(r.Num), maskName(r.Holder)
		}
		p.Accounts = append(p.Accounts, row)
	}
	p.OtherAccounts = rest(int64(facts.Statuses[batch.Issued]), len(facts.accounts))
	if run.Measures != nil {
		p.Measured = true
		p.Charts = p.charts(run.Measures)
		p.requests(run.Measures)
	}
	if run.Learnt != nil {
		p.limits(run.Learnt)
	}
	if run.InDoubt != nil && *run.InDoubt > 0 {
		p.InDoubt = thousands(int64(*run.InDoubt))
	}
	return p
}

// verdict says how the run ended, the gravest first, and what to do.
func (p *page) verdict(run *Run, facts *Facts) verdict {
	v := verdict{Class: "bad"}
	add := func(key string, values ...any) { v.Texts = append(v.Texts, p.T(key, values...)) }
	unknown := facts.Statuses[batch.Unknown]
	if unknown > 0 {
		v.Class = "doubt"
		add("unknown", p.Unknown)
	}
	switch run.Reason {
	case ReasonDone, ReasonRowsNotDone, ReasonRowsUnknown:
	case ReasonInterrupted:
		add("interrupted")
	default:
		add("ended early", run.Reason)
	}
	if facts.Failed() > 0 {
		add("not done", p.Failed)
	}
	if v.Texts == nil {
		v.Class = "good"
		add("all done")
	}
	return v
}

func (p *page) figures(facts *Facts) {
	var total Sum
	for _, status := range batch.Statuses {
		s := Sum{int64(facts.Statuses[status]), facts.won[status]}
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
	for _, b := range inOrder(facts.banks) {
		p.Banks = append(p.Banks, shown(p.name(b), b.Sum))
	}
	for _, pg := range inOrder(facts.pgs) {
		p.PGs = append(p.PGs, shown(p.name(pg), pg.Sum))
	}
}

func shown(name string, s Sum) pageSum { return pageSum{name, thousands(s.Rows), thousands(s.Won)} }

// name is that of a bank or a PG.
func (p *page) name(n *named) string {
	if n.code == otherName {
		return p.T("others")
	}
	return cmp.Or(strings.TrimSpace(n.name+" "+n.code), p.T("not told"))
}

func (p *page) reasons(facts *Facts) {
	for _, r := range facts.byGravity() {
		shown := pageReason{Code: r.code, Sentence: Sentence(r.code), Rows: thousands(r.rows), Others: rest(r.rows, len(r.first))}
		for _, row := range r.first {
			if say.Same(english(r.code), row.Message) {
				row.Message = "" // it stands above, whatever the language of the run was
			}
			shown.First = append(shown.First, p.row(row))
		}
		p.Reasons = append(p.Reasons, shown)
	}
}

func (p *page) row(r told) pageRow {
	row := pageRow{Line: r.Line, Status: p.T("status " + r.Status), Order: r.MerchantUID, Won: thousands(r.Amount), Message: r.Message, Bank: r.Bank}
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
	return thousands(all - int64(first))
}

// maskNumber leaves the last four digits of an account number, if there are as many again before them.
func maskNumber(number string) string {
	digits := 0
	for _, r := range number {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	left := digits
	if digits >= 8 {
		left = digits - 4
	}
	return strings.Map(func(r rune) rune {
		if left--; unicode.IsDigit(r) && left >= 0 {
			return '•'
		} else if !unicode.IsDigit(r) {
			left++
		}
		return r
	}, number)
}

// maskName leaves the first character of a name.
func maskName(name string) string {
	for _, first := range name {
		return string(first) + "••"
	}
	return ""
}

func (p *page) requests(m *client.Measures) {
	for _, class := range client.Classes {
		if class == client.ClassNone {
			class = p.T("class none")
		}
		p.Classes = append(p.Classes, class)
	}
	for _, e := range m.Endpoints {
		shown := pageEndpoint{e.Endpoint, []string{thousands(e.Requests), thousands(e.Retries)}}
		for _, class := range client.Classes {
			shown.Figures = append(shown.Figures, thousands(e.Classes[class]))
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
		p.Limits = append(p.Limits, p.T("too many", thousands(l.TooMany), p.duration(l.Paused)))
	}
	if l.Confirmed {
		p.Limits = append(p.Limits, p.T("seems to take", l.Rate))
	}
	if l.Failures > 0 {
		p.Limits = append(p.Limits, p.T("api failed", thousands(l.Failures), l.LeastOnce))
	}
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(input.KST).Format(time.DateTime)
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
	return thousands(d.Round(time.Millisecond).Milliseconds())
}

// chart is drawn by the template. Its paths fill a field of Width by Height, which the browser stretches; all that is to be
// read stands beside it, so that it has one size on every screen.
type chart struct {
	ID, Title, Told           string
	Width, Height             int
	Grid, Area, First, Second string // paths
	Top, Half                 string // of the scale
	From, To                  string // times
}

const (
	chartWidth  = 600
	chartHeight = 160
)

// charts draws the series, if it is long enough to show a course.
func (p *page) charts(m *client.Measures) []chart {
	n := len(m.Series)
	if n < 3 {
		return nil
	}
	speed, half, most := make([]float64, n), make([]float64, n), make([]float64, n)
	changes := int64(0)
	for i, moment := range m.Series {
		lasted := m.Interval
		if i == n-1 { // it was cut short
			lasted = min(max(m.Ended.Sub(m.Started)-time.Duration(i)*m.Interval, m.Interval/2), m.Interval)
		}
		changes += moment.Changes
		speed[i] = float64(moment.Changes) / lasted.Seconds()
		half[i], most[i] = math.NaN(), math.NaN() // nothing is known of a moment without an answer
		if moment.Answered > 0 {
			half[i], most[i] = moment.P50.Seconds()*1000, moment.P99.Seconds()*1000
		}
	}
	slowest := time.Duration(0)
	for _, e := range m.Endpoints {
		slowest = max(slowest, e.Latency.Max)
	}
	fastest, average := greatest(speed), float64(changes)/max(m.Ended.Sub(m.Started).Seconds(), 0.001)
	first := p.chart("speed", m, greatest(speed))
	first.Told = p.T("speed told", figure(average), figure(fastest))
	first.First = steps(speed, niceTop(fastest))
	first.Area = fmt.Sprintf("%sV%d H0Z", first.First, chartHeight)
	second := p.chart("latency", m, greatest(most))
	second.Told = p.T("latency told", p.duration(slowest))
	top := niceTop(greatest(most))
	second.First, second.Second = polyline(half, top), polyline(most, top)
	return []chart{first, second}
}

func (p *page) chart(id string, m *client.Measures, most float64) chart {
	top := niceTop(most)
	return chart{ID: id, Title: p.T(id), Width: chartWidth, Height: chartHeight, Top: figure(top), Half: figure(top / 2),
		Grid: fmt.Sprintf("M0 0H%[1]dM0 %[2]dH%[1]dM0 %[3]dH%[1]d", chartWidth, chartHeight/2, chartHeight),
		From: m.Started.In(input.KST).Format(time.TimeOnly), To: m.Ended.In(input.KST).Format(time.TimeOnly)}
}

// steps draws values that hold for an interval each.
func steps(values []float64, top float64) string {
	var b strings.Builder
	for i, v := range values {
		fmt.Fprintf(&b, "%s%.1f H%.1f", map[bool]string{true: "M0 ", false: "V"}[i == 0], height(v, top), float64(i+1)*chartWidth/float64(len(values)))
	}
	return b.String()
}

// polyline draws values at the middle of an interval each, and nothing where one is not known.
func polyline(values []float64, top float64) string {
	var b strings.Builder
	gap := true
	for i, v := range values {
		if math.IsNaN(v) {
			gap = true
			continue
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[gap], (float64(i)+0.5)*chartWidth/float64(len(values)), height(v, top))
		if gap {
			b.WriteString("h0") // a dot, should it stand alone
		}
		gap = false
	}
	return b.String()
}

func height(v, top float64) float64 { return chartHeight * (1 - v/top) }

func greatest(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		if v > most { // NaN is not
			most = v
		}
	}
	return most
}

// niceTop is the least round number that a value fits under.
func niceTop(v float64) float64 {
	if v <= 0 {
		return 1
	}
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 2.5, 4, 5, 8} {
		if v <= step*ten {
			return step * ten
		}
	}
	return 10 * ten
}

// figure writes a number with as many digits as matter.
func figure(v float64) string {
	if v >= 100 {
		return thousands(int64(math.Round(v)))
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
