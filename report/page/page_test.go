package page

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

// hostile is an order number that would do something on a page.
const hostile = `<img src=//h.invalid onerror=a()>`

// ran is a run of 60 orders that were issued and 33 that the PG refused, and the numbers of its accounts.
func ran() (run *report.Run, facts *report.Facts, numbers []string) {
	start := time.Unix(1767150000, 0)
	facts = new(report.Facts)
	for i := range int64(93) {
		r := batch.Result{Line: i + 2, Status: batch.Issued, Amount: 10_000 + 1000*i, Order: ledger.Order{MerchantUID: fmt.Sprintf("ORDER-%04d", i)}}
		r.Account = ledger.Account{VbankCode: "004", VbankName: "국민은행", VbankNum: fmt.Sprintf("002345678%05d", 91*i), VbankHolder: "한빛상사", VbankDue: start.Unix()}
		switch {
		case i == 0:
			r.MerchantUID = hostile
		case i >= 60:
			r.Status, r.ErrorCode, r.ErrorMessage, r.Account = batch.Rejected, batch.CodePGRefused, "잔액증명이 없습니다 <script>alert(1)</script>", ledger.Account{}
		}
		facts.Add(&input.Row{PG: "settle"}, &r)
		if r.VbankNum != "" {
			numbers = append(numbers, r.VbankNum)
		}
	}
	moment := client.Moment{Answered: 10, Changes: 10, P50: 100 * time.Millisecond, P99: 200 * time.Millisecond}
	run = &report.Run{Version: "v1.2.3", Command: "run", API: "sandbox", ID: 1, Started: start, Ended: start.Add(10 * time.Second), Exit: 1, Reason: report.ReasonRowsNotDone,
		Plan:    &batch.Plan{File: &input.File{Path: "orders.csv"}, Mapping: []input.Mapped{{Field: "merchant_uid", Header: "주문번호", Column: 1}}},
		Limits:  &client.LimitStats{TooMany: 3, Paused: time.Second, Rate: 15, Confirmed: true, Failures: 1, LeastOnce: 2},
		InDoubt: new(1),
		Measures: &client.Measures{Started: start, Ended: start.Add(10 * time.Second), Interval: time.Second, Series: slices.Repeat([]client.Moment{moment}, 10),
			Endpoints: []client.EndpointMeasures{{Endpoint: "POST /vbanks", Requests: 95, Retries: 2, Classes: map[string]int64{"2xx": 60}}}},
		Files: report.Files{Results: "orders.results.csv", Page: "orders.report.html"}}
	return run, facts, numbers
}

// pageOf writes the page and returns its path and its text.
func pageOf(t *testing.T, run *report.Run, facts *report.Facts, options Options) (string, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orders.report.html")
	if err := Write(path, run, facts, options); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the page has the mode %v", info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(text)
}

func TestPage(t *testing.T) {
	t.Parallel()
	run, facts, numbers := ran()
	for lang, want := range map[say.Language][]string{
		say.Korean:  {`<html lang="ko">`, "살펴볼 행", "33건", "이번 실행에서 발급", "초당 처리한", "그 밖의 13건은 결과 파일에 있습니다.", "국민은행 004", "2,370,000", "***4550", "한**"},
		say.English: {`<html lang="en">`, "Rows to look at", "rows: 33", "Issued in this run", "13 others stand in the results.", "국민은행 004", "2,370,000", "***4550", "한**"},
	} {
		run.Language = lang
		_, text := pageOf(t, run, facts, Options{})
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q", lang, part)
			}
		}
		for _, number := range numbers {
			if strings.Contains(text, number) {
				t.Fatalf("%s: the account %s is not masked", lang, number)
			}
		}
		if strings.Count(text, "<script") != 1 {
			t.Errorf("%s: the page has other scripts than its own", lang)
		}
		for _, broken := range []string{"<script>alert", "<img", "%!", "NaN", "ZgotmplZ", "010-1234", "홍길동", "http:", "https:", "url(", "@import"} {
			if strings.Contains(text, broken) {
				t.Errorf("%s: %q stands on the page", lang, broken)
			}
		}
		if strings.Count(text, "&lt;img src=//h.invalid onerror=a()&gt;") != 1 || !strings.Contains(text, "&lt;script&gt;alert(1)&lt;/script&gt;") {
			t.Errorf("%s: hostile cells are not shown as they are", lang)
		}
	}
	_, text := pageOf(t, run, facts, Options{ShowAccounts: true})
	for _, part := range []string{numbers[0], "한빛상사"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q", part)
		}
	}
	if strings.Contains(text, "**") {
		t.Error("accounts are masked although they are to be shown")
	}
}

// TestReadersAtOnce has two readers with different languages look at the same run at the same time.
func TestReadersAtOnce(t *testing.T) {
	t.Parallel()
	run, facts, _ := ran()
	run.Error = say.New("the ledger is closed")
	facts.Add(new(input.Row), &batch.Result{Status: batch.Invalid, ErrorCode: string(input.AmountZero), ErrorMessage: say.NewMessage("the due date has passed")})
	words := map[say.Language][]string{
		say.Korean:  {"살펴볼 행", "입금기한이 지났습니다", "발급 대장이 닫혀 있습니다", "거절"},
		say.English: {"Rows to look at", "the due date has passed", "the ledger is closed", "reasons:"},
	}
	for i := range 10 {
		language, other := say.Korean, say.English
		if i%2 == 0 {
			language, other = other, language
		}
		t.Run(fmt.Sprint(language, i), func(t *testing.T) {
			t.Parallel()
			run := *run
			run.Language = language
			_, text := pageOf(t, &run, facts, Options{})
			var out strings.Builder
			facts.Print(say.Writer{Writer: &out, Language: language}, nil)
			if err := report.EncodeFigures(&out, &run, facts); err != nil {
				t.Fatal(err)
			}
			text += out.String()
			for _, word := range words[language] {
				if !strings.Contains(text, word) {
					t.Errorf("no %q", word)
				}
			}
			for _, word := range words[other] {
				if strings.Contains(text, word) {
					t.Errorf("%q is in the other reader's language", word)
				}
			}
		})
	}
}

// TestPageOfAgain is the page of a second run: the accounts stand there, although none was issued.
func TestPageOfAgain(t *testing.T) {
	t.Parallel()
	run, _, _ := ran()
	facts := new(report.Facts)
	facts.Add(&input.Row{}, &batch.Result{Status: batch.AlreadyIssued, Amount: 12_345, Order: ledger.Order{MerchantUID: "A-1"}, Account: ledger.Account{VbankNum: "00234567890123"}})
	_, text := pageOf(t, run, facts, Options{})
	for _, part := range []string{"<dt>Accounts</dt><dd>1</dd>", "<dt>Won</dt><dd>12,345</dd>", "<dt>Issued in this run</dt><dd>0</dd>", "<bdi>A-1</bdi>", "0123</td>"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q", part)
		}
	}
}

// TestPageOfWhatIsNotKnown has neither measures nor rows, as report may.
func TestPageOfWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	run, _, _ := ran()
	again := &report.Run{Command: "report", ID: run.ID, Started: run.Started, Reason: report.ReasonDone, Plan: run.Plan}
	_, text := pageOf(t, again, new(report.Facts), Options{})
	for _, part := range []string{"Written again from the ledger", "Every row is done.", "No row has an account to tell a customer."} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q", part)
		}
	}
	if strings.Contains(text, "<svg") || strings.Contains(text, "Requests to the API") || strings.Contains(text, "%!") {
		t.Error("what is not known is told")
	}
}

// TestRowsToMend has two rows with one reason, said once beside the bad cells, a personal cell that is not shown, and a name
// that would do something on a page; and files whose names would, in a link.
func TestRowsToMend(t *testing.T) {
	t.Parallel()
	run, _, _ := ran()
	run.Files.Failed, run.Files.Workbook = "in/a#1.failed.csv", "javascript:alert(1).results.xlsx"
	var facts report.Facts
	for line, text := range map[int64]string{4: "1만원", 9: "<b>2만원"} {
		problem := input.Problem{Header: "결제금액", Column: 6, Code: input.AmountInvalid, Text: text, Message: say.NewMessage("write digits")}
		facts.Add(&input.Row{Problems: []input.Problem{problem}}, &batch.Result{Line: line, Status: batch.Invalid, ErrorCode: string(input.AmountInvalid), ErrorMessage: "결제금액: write digits"})
	}
	facts.Add(&input.Row{Problems: []input.Problem{{Header: "전화", Code: input.TextInvalid}}}, &batch.Result{Line: 5, Status: batch.Invalid, ErrorCode: string(input.TextInvalid)})
	told := batch.Result{Line: 2, Status: batch.AlreadyIssued, Account: ledger.Account{VbankNum: "00234567890123", VbankName: "국민은행", VbankHolder: "한빛상사"}}
	row := new(input.Row)
	row.Request.BuyerName, row.Request.BuyerTel = "<i>홍길동", "010-0000-1234"
	facts.Add(row, &told)
	facts.Add(row, &batch.Result{Line: 3, Status: batch.Revoked, Account: told.Account})
	facts.Add(&input.Row{Action: input.Revoke, Request: row.Request}, &batch.Result{Line: 6, Status: batch.Unchanged, Account: told.Account}) // taken back before
	_, text := pageOf(t, run, &facts, Options{ShowAccounts: true})
	for part, times := range map[string]int{"write digits": 1, `<mark><bdi>1만원</bdi></mark>`: 1, `<mark><bdi>&lt;b&gt;2만원</bdi></mark>`: 1, `<bdi class="faint">전화</bdi></span>`: 1,
		`href="./a%231.failed.csv"`: 1, `href="./javascript:alert%281%29.results.xlsx"`: 1, "Mend these rows in a#1.failed.csv": 1, `<body class="list">`: 1,
		"&lt;i&gt;홍길동": 1, "010-0000-1234": 1, "00234567890123": 1} {
		if n := strings.Count(text, part); n != times {
			t.Errorf("%d times %s", n, part)
		}
	}
	_, text = pageOf(t, run, &facts, Options{})
	for _, part := range []string{"홍길동", "0000-1234", "00234567890123", "한빛상사", `class="list"`} {
		if strings.Contains(text, part) {
			t.Errorf("%s is shown", part)
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason   string
		statuses []batch.Status
		class    string
		want     string
	}{
		{report.ReasonDone, []batch.Status{batch.Issued}, "good", "Every row is done."},
		{report.ReasonRowsNotDone, []batch.Status{batch.Issued, batch.Rejected}, "bad", "Rows that were not done: 1. The reasons are below."},
		{report.ReasonRowsUnknown, []batch.Status{batch.Unknown}, "doubt", "not known yet what became of them: 1"},
		{report.ReasonInterrupted, []batch.Status{batch.NotSent}, "bad", "was interrupted"},
		{batch.CodeTooManyFailures, []batch.Status{batch.Rejected, batch.Unknown}, "doubt", "ended early (TOO_MANY_FAILURES)"},
		{report.ReasonFailed, nil, "bad", "ended early (FAILED)"},
	} {
		var facts report.Facts
		for _, status := range c.statuses {
			facts.Add(new(input.Row), &batch.Result{Status: status})
		}
		p := &page{Run: &report.Run{Reason: c.reason}, Facts: &facts}
		if v := p.Verdict(); v.Class != c.class || !strings.Contains(strings.Join(v.Texts, "\n"), c.want) {
			t.Errorf("%s, %v: %+v", c.reason, c.statuses, v)
		}
	}
}

// TestPageIsBounded writes of many more accounts and refusals than a page has room for.
func TestPageIsBounded(t *testing.T) {
	t.Parallel()
	run, _, _ := ran()
	var facts report.Facts
	for i := range int64(20_000) {
		r := batch.Result{Line: i + 2, Status: batch.Issued, Order: ledger.Order{MerchantUID: "A"}, Account: ledger.Account{VbankNum: "00123456789012"}}
		if i%2 == 1 {
			r.Status, r.ErrorCode = batch.Rejected, batch.CodePGRefused
		}
		facts.Add(new(input.Row), &r)
	}
	_, text := pageOf(t, run, &facts, Options{})
	if !strings.Contains(text, "The page has room for the first 1,000. 9,000 others stand in the results and in their workbook.") || !strings.Contains(text, "9,980 others stand in the results.") || len(text) > 1<<20 {
		t.Errorf("%d bytes", len(text))
	}
}

func TestCharts(t *testing.T) {
	t.Parallel()
	start := time.Unix(1767150000, 0)
	m := &client.Measures{Started: start, Ended: start.Add(3500 * time.Millisecond), Interval: time.Second, Series: []client.Moment{
		{Answered: 10, Changes: 10, P50: 100 * time.Millisecond, P99: 200 * time.Millisecond}, {}, {Answered: 20, Changes: 20, P50: 100 * time.Millisecond, P99: 400 * time.Millisecond},
		{Answered: 5, Changes: 5, P50: 100 * time.Millisecond, P99: 100 * time.Millisecond}}}
	p := &page{Run: &report.Run{Measures: m}}
	charts := p.Charts()
	if len(charts) != 2 {
		t.Fatalf("%d charts", len(charts))
	}
	// the second second had no answer, and the last half second half as many as a whole one would have
	if want := "M0 80.0 H150.0V160.0 H300.0V0.0 H450.0V80.0 H600.0"; charts[0].First != want {
		t.Errorf("speed %s, want %s", charts[0].First, want)
	}
	if want := "M75.0 120.0h0M375.0 120.0h0L525.0 120.0"; charts[1].First != want {
		t.Errorf("latency %s, want %s", charts[1].First, want)
	}
	if charts[0].Told != "10 a second on average, 20 at most." || charts[0].Top != "20" || charts[1].Top != "400" || charts[0].To != "12:00:03" {
		t.Errorf("%+v", charts)
	}
	m.Series = m.Series[:2]
	if p.Charts() != nil {
		t.Error("two moments make a chart")
	}
}

func TestNiceTop(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0: 1, 0.3: 0.4, 1: 1, 9: 10, 22: 25, 100: 100, 101: 200, 8100: 10_000} {
		if got := niceTop(v); got != want {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}

// TestPageInABrowser opens the page as a person would, light and dark: nothing is fetched, nothing is complained of. A page
// that does both shows first that it would be seen.
func TestPageInABrowser(t *testing.T) {
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && chromium == "" {
			chromium = path
		}
	}
	if chromium == "" {
		t.Skip("SKIPPED: there is no Chromium here to open the page in")
	}
	run, facts, _ := ran()
	run.Language = say.Korean
	page, _ := pageOf(t, run, facts, Options{})
	control := filepath.Join(t.TempDir(), "control.html")
	bad := `<!doctype html><meta http-equiv="Content-Security-Policy" content="script-src 'none'"><script>a()</script><img src="http://h.invalid/">`
	if err := os.WriteFile(control, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}

	dom, complaints, fetched := open(t, chromium, control)
	if len(complaints) == 0 || len(fetched) == 0 {
		t.Fatalf("a bad page is not found out: complaints %q, fetched %q\n%s", complaints, fetched, dom)
	}
	searched := filepath.Join(t.TempDir(), "searched.html")
	_, text := pageOf(t, run, facts, Options{})
	text = strings.Replace(text, `<meta http-equiv="Content-Security-Policy"`, `<meta name="removed"`, 1) + `<script>
		document.getElementById("find-text").value = "order 0007"; document.getElementById("find-status").value = "issued";
		document.getElementById("find-status").dispatchEvent(new Event("change"))</script>`
	if err := os.WriteFile(searched, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if dom, complaints, _ = open(t, chromium, searched); !strings.Contains(dom, "이 페이지의 행 80건 중 1건") || strings.Count(dom, `data-status="issued" hidden=""`) != 59 ||
		strings.Count(dom, `data-status="rejected" hidden=""`) != 20 || len(complaints) > 0 {
		t.Errorf("the search finds something else: %q, %q", complaints, regexp.MustCompile(`id="find-found".*`).FindString(dom))
	}
	for _, flags := range [][]string{nil, {"--blink-settings=preferredColorScheme=0"}} {
		dom, complaints, fetched = open(t, chromium, page, flags...)
		if len(complaints) > 0 || len(fetched) > 0 {
			t.Errorf("%v: complaints %q, fetched %q", flags, complaints, fetched)
		}
		if !strings.Contains(dom, "이 페이지의 행 80건 중 80건") || !strings.Contains(dom, "</html>") || strings.Contains(dom, "<img") || strings.Count(dom, "<script") != 1 || strings.Count(dom, `role="row"`) != int(facts.Statuses[batch.Issued].Rows)+1 {
			t.Errorf("%v: %d bytes of page", flags, len(dom))
		}
	}
}

var (
	consoleLine = regexp.MustCompile(`CONSOLE[^\n]*`)
	home        = regexp.MustCompile(`\.(google|googleapis|gvt1)\.com(:\d+)?$`) // what the browser asks for by itself, whatever the page
)

// open returns the page as the browser understands it, what its console says, and what was asked for through the network. All
// that would leave this machine goes to a proxy that answers nothing.
func open(t *testing.T, chromium, path string, flags ...string) (dom string, complaints, fetched []string) {
	t.Helper()
	var mu sync.Mutex
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !home.MatchString(r.Host) {
			mu.Lock()
			defer mu.Unlock()
			fetched = append(fetched, r.Method+" "+r.Host)
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-default-apps", "--disable-extensions", "--no-first-run", "--enable-logging=stderr", "--user-data-dir=" + t.TempDir(),
		"--proxy-server=" + proxy.URL, "--dump-dom"}, flags...)
	command := exec.CommandContext(ctx, chromium, append(args, "file://"+path)...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	mu.Lock()
	defer mu.Unlock()
	return stdout.String(), consoleLine.FindAllString(stderr.String(), -1), fetched
}
