package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/report/access"
	"vbankbatch/report/job"
)

// site is a server of pages for two merchants, to which a proxy names the people.
type site struct {
	testing.TB
	*Server
	web    *httptest.Server
	path   string
	pushed []int64
	said   []batch.Verdict
}

var when = time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)

func newSite(t testing.TB, configure ...func(*http.Server)) *site {
	t.Helper()
	s := &site{TB: t, path: filepath.Join(t.TempDir(), "ledger.db")}
	book, err := ledger.Open(s.path, "whose seoul")
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	jobs, err := ledger.OpenJobs(t.Context(), s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { jobs.Close() })
	var rules []access.Rule
	for _, text := range []string{"viewers=viewer@seoul", "uploaders=uploader@seoul", "approvers=approver@seoul", "both=uploader+approver@seoul", "others=uploader+approver@busan", "all=approver"} {
		read, err := access.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, read...)
	}
	s.web = httptest.NewUnstartedServer(nil)
	gate, err := access.New(access.Config{Sessions: jobs, URL: "http://" + s.web.Listener.Addr().String(), Rules: rules,
		Proxy: &access.Proxy{Header: "X-User", GroupsHeader: "X-Groups", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = &Server{Jobs: jobs, Gate: gate, Merchants: []string{"seoul", "busan"}, API: "sandbox", MaxUpload: 1 << 20, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return when },
		Request: job.Request{MaxInput: "4MiB", Workers: 1, Sending: job.Sending{MaxFailures: "100%"}},
		Options: func(_ context.Context, _ string, r *job.Request, now time.Time) (input.Options, error) {
			return r.Profile.Options(now)
		},
		Whose: func(_ context.Context, merchant string) (string, error) { return "whose " + merchant, nil },
		Read: func(ctx context.Context, merchant, _ string) (*ledger.Reader, error) {
			return ledger.OpenReader(ctx, s.path, "whose "+merchant)
		},
		Approved: func(_ context.Context, approved *ledger.Job) error {
			s.pushed = append(s.pushed, approved.ID)
			return nil
		},
		Settle: func(_ context.Context, _ string, verdict batch.Verdict) error {
			s.said = append(s.said, verdict)
			return nil
		},
		Reconcile: func(context.Context, string) (int, int, error) { return 2, 1, nil },
	}
	s.web.Config.Handler = s.Handler()
	for _, set := range configure {
		set(s.web.Config)
	}
	s.web.Start()
	t.Cleanup(s.web.Close)
	return s
}

// ask sends a request of somebody in a group; "" is nobody.
func (s *site) ask(group, method, path string, body io.Reader, kind string) *http.Response {
	s.Helper()
	r, err := http.NewRequest(method, s.web.URL+path, body)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Accept-Language", "en")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if group != "" {
		r.Header.Set("X-User", group+"@example.com")
		r.Header.Set("X-Groups", group)
	}
	r.Header.Set("Origin", s.web.URL)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return s.send(r)
}

func (s *site) send(r *http.Request) *http.Response {
	s.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	return answer
}

// text is what an answer says.
func text(answer *http.Response) string {
	defer answer.Body.Close()
	all, _ := io.ReadAll(answer.Body)
	return string(all)
}

func (s *site) get(group, path string) string {
	s.Helper()
	answer := s.ask(group, "GET", path, nil, "")
	if answer.StatusCode != http.StatusOK {
		s.Fatalf("GET %s: %s\n%s", path, answer.Status, text(answer))
	}
	return text(answer)
}

func (s *site) post(group, path string, values url.Values) *http.Response {
	s.Helper()
	return s.ask(group, "POST", path, strings.NewReader(values.Encode()), "application/x-www-form-urlencoded")
}

// bring uploads a file and returns the job's number.
func (s *site) bring(group, merchant, name, body string) (int64, *http.Response) {
	s.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	w.WriteField("merchant", merchant)
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		s.Fatal(err)
	}
	io.WriteString(part, body)
	w.Close()
	answer := s.ask(group, "POST", "/uploads", &form, w.FormDataContentType())
	var id int64
	fmt.Sscanf(answer.Header.Get("Location"), "/files/%d/check", &id)
	return id, answer
}

const good = "merchant_uid,amount,vbank_code,vbank_holder,vbank_due\nA-1,1000,004,한빛상사,+7d\nA-2,2000,004,한빛상사,+7d\n"

// approval is what the page of a file has somebody approve.
func (s *site) approval(group string, id int64) url.Values {
	s.Helper()
	page := s.get(group, filePath(id, "check"))
	values := url.Values{"sure": {"yes"}}
	for _, name := range []string{"settings", "digest", "to-do", "total", "due"} {
		_, rest, found := strings.Cut(page, `name="`+name+`" value="`)
		if !found {
			s.Fatalf("the page has no %s\n%s", name, page)
		}
		value, _, _ := strings.Cut(rest, `"`)
		values.Set(name, value)
	}
	return values
}

// TestWhoMayDoWhat asks for every route as everybody.
func TestWhoMayDoWhat(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	done, _ := s.bring("uploaders", "seoul", "b.csv", good+"A-3,3000,004,한빛상사,+7d\n")
	s.finish(done)
	file, over := fmt.Sprintf("/files/%d", id), fmt.Sprintf("/files/%d", done)
	const everybody = "viewers uploaders approvers both all"
	const bringers = "uploaders both"
	const bosses = "approvers both all"
	table := map[string]struct{ path, may, apart string }{ // apart: what happens to a file that is not there for them
		"GET /{$}":                          {"/", everybody + " others", ""},
		"GET /trail":                        {"/trail", "all", ""},
		"POST /uploads":                     {"/uploads", bringers, "hidden"},
		"GET /files/{id}":                   {file, everybody, "hidden"},
		"GET /files/{id}/columns":           {file + "/columns", everybody, "hidden"},
		"POST /files/{id}/columns":          {file + "/columns", bringers, "hidden"},
		"POST /files/{id}/answer":           {file + "/answer", bringers, "hidden"},
		"GET /files/{id}/check":             {file + "/check", everybody, "hidden"},
		"GET /files/{id}/problems.csv":      {file + "/problems.csv", everybody, "hidden"},
		"GET /files/{id}/changes":           {over + "/changes", everybody, "hidden"},
		"POST /files/{id}/approve":          {file + "/approve", bosses, "hidden"},
		"POST /files/{id}/discard":          {fmt.Sprintf("/files/%d/discard", done), bringers, "hidden"},
		"GET /files/{id}/progress":          {over + "/progress", everybody, "hidden"},
		"POST /files/{id}/stop":             {over + "/stop", "uploaders approvers both all", "hidden"},
		"POST /files/{id}/resume":           {over + "/resume", bosses, "hidden"},
		"GET /files/{id}/rows":              {over + "/rows", everybody, "hidden"},
		"POST /files/{id}/rows":             {over + "/rows", everybody, "hidden"},
		"GET /files/{id}/download/{kind}":   {over + "/download/.results.csv", everybody, "hidden"},
		"GET /search":                       {"/search?q=A-1", everybody + " others", ""},
		"GET /orders/{merchant}":            {"/orders/seoul?order=A-1", everybody, "hidden"},
		"POST /orders/{merchant}/whole":     {"/orders/seoul/whole?order=A-1", everybody, "hidden"},
		"POST /orders/{merchant}/{what}":    {"/orders/seoul/update?order=A-1&amount=5", bringers, "hidden"},
		"POST /orders/{merchant}/settle":    {"/orders/seoul/settle?order=A-1", bosses, "hidden"},
		"POST /merchants/{merchant}/settle": {"/merchants/seoul/settle", bosses, "hidden"},
		"POST /merchants/{merchant}/forms":  {"/merchants/seoul/forms", bringers, "hidden"},
	}
	for pattern := range s.routes() {
		if _, told := table[pattern]; !told {
			t.Errorf("nobody says who may do %s", pattern)
		}
	}
	for pattern, route := range table {
		method, _, _ := strings.Cut(pattern, " ")
		for _, group := range strings.Fields("viewers uploaders approvers both all others strangers") {
			may := strings.Contains(" "+route.may+" ", " "+group+" ")
			answer := s.request(group, method, route.path)
			said := text(answer)
			forbidden := answer.StatusCode == http.StatusForbidden
			if group == "others" && route.apart == "hidden" || group == "strangers" {
				forbidden = forbidden || answer.StatusCode == http.StatusNotFound
			}
			if may == forbidden {
				t.Errorf("%s as %s: %s, may: %v", pattern, group, answer.Status, may)
			}
			if group == "others" && route.apart == "hidden" && answer.StatusCode != http.StatusNotFound {
				t.Errorf("%s: another merchant's people learn more than that there is no such page: %s", pattern, answer.Status)
			}
			if answer.StatusCode == http.StatusInternalServerError || strings.Contains(said, "<no value>") {
				t.Errorf("%s as %s: %s\n%s", pattern, group, answer.Status, said)
			}
			if answer.Header.Get("Cache-Control") != "no-store" || !strings.Contains(answer.Header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("%s: %v", pattern, answer.Header)
			}
		}
		nobody := s.request("", method, route.path)
		if nobody.StatusCode == http.StatusOK || strings.Contains(text(nobody), "a.csv") {
			t.Errorf("%s without a session: %s", pattern, nobody.Status)
		}
		elsewhere, err := http.NewRequest(method, s.web.URL+route.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere.Header.Set("X-User", "both@example.com")
		elsewhere.Header.Set("X-Groups", "both")
		if method == http.MethodPost {
			elsewhere.Header.Set("Origin", "https://evil.example")
			elsewhere.Header.Set("Sec-Fetch-Site", "cross-site")
			if answer := s.send(elsewhere); answer.StatusCode != http.StatusForbidden {
				t.Errorf("%s from another site: %s", pattern, answer.Status)
			}
		}
		elsewhere.Host = "evil.example"
		if answer := s.send(elsewhere); answer.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s at another host's name: %s", pattern, answer.Status)
		}
		if method == http.MethodPost { // no state changes by GET
			if answer := s.ask("both", "GET", route.path, nil, ""); answer.StatusCode < 400 && s.routes()["GET "+strings.TrimPrefix(pattern, "POST ")] == nil {
				t.Errorf("%s by GET: %s", pattern, answer.Status)
			}
		}
	}
	if still, err := s.Jobs.Get(t.Context(), id); err != nil || still.State != ledger.JobUploaded {
		t.Errorf("the file is %q now, %v", still.State, err)
	}
}

// request asks for a route; an upload is one of a file that is too small to be read.
func (s *site) request(group, method, path string) *http.Response {
	s.Helper()
	if path == "/uploads" {
		_, answer := s.bring(group, "seoul", "small.csv", "x")
		return answer
	}
	if method == "POST" {
		return s.post(group, path, url.Values{})
	}
	return s.ask(group, method, path, nil, "")
}

// finish has a file's run be over, as its runner would.
func (s *site) finish(id int64, statuses ...string) {
	s.Helper()
	told := append(statuses, `"issued":{"rows":3,"won":6000}`)[0]
	ctx := s.Context()
	stored, err := s.Jobs.Get(ctx, id)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.Jobs.Approve(ctx, &stored, stored.Key, "boss", "2026-11-30", ledger.Deed{Who: "boss", What: "approve"}); err != nil {
		s.Fatal(err)
	}
	turn, err := s.Jobs.Turn(ctx, id, 0)
	if err != nil {
		s.Fatal(err)
	}
	book, err := ledger.Open(s.path, "whose seoul")
	if err != nil {
		s.Fatal(err)
	}
	defer book.Close()
	run, err := book.Begin(ctx, ledger.Run{Digest: stored.Digest, Settings: "s", File: stored.File, Started: when})
	if err != nil {
		s.Fatal(err)
	}
	for line := range int64(3) {
		e := ledger.Entry{State: ledger.Intended, IntentAt: when}
		e.Run, e.Line, e.Action, e.Status, e.Amount = run.ID, line+2, "issue", "unknown", 1000*(line+1)
		e.MerchantUID, e.Attempts = fmt.Sprintf("A-%d", line+1), 1
		if err := book.Intend(ctx, e); err != nil {
			s.Fatal(err)
		}
		e.State, e.Status, e.ImpUID, e.VbankNum, e.VbankName = ledger.Issued, "issued", fmt.Sprintf("imp_%d", line), fmt.Sprintf("12345678901%d", line), "국민은행"
		if err := book.Record(ctx, e); err != nil {
			s.Fatal(err)
		}
	}
	if err := s.Jobs.WriteFile(ctx, &turn, ".results.csv", "b.results.csv", strings.NewReader("주문자명,line,status,merchant_uid,amount\n홍길동,2,issued,A-1,1000\n")); err != nil {
		s.Fatal(err)
	}
	turn.State, turn.Run, turn.Summary = ledger.JobDone, run.ID, `{"rows":3,"statuses":{`+told+`}}`
	turn.Progress = ledger.JobProgress{Rows: 3, Done: 3, Won: 6000}
	if err := s.Jobs.End(ctx, nil, &turn, true); err != nil {
		s.Fatal(err)
	}
}

// TestApprove: what is approved is what the page showed, once.
func TestApprove(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	shown := s.approval("approvers", id)
	refused := func(what string, status int, change func(url.Values)) {
		t.Helper()
		values := url.Values{}
		for name := range shown {
			values.Set(name, shown.Get(name))
		}
		change(values)
		if answer := s.post("approvers", filePath(id, "approve"), values); answer.StatusCode != status {
			t.Errorf("%s: %s\n%s", what, answer.Status, text(answer))
		}
	}
	refused("other bytes", http.StatusConflict, func(v url.Values) { v.Set("digest", "0") })
	refused("other settings", http.StatusConflict, func(v url.Values) { v.Set("settings", "0") })
	refused("other rows", http.StatusConflict, func(v url.Values) { v.Set("to-do", "1") })
	refused("other won", http.StatusConflict, func(v url.Values) { v.Set("total", "1") })
	refused("due dates of another day", http.StatusConflict, func(v url.Values) { v.Set("due", "1-2") })
	refused("a total that is expected", http.StatusUnprocessableEntity, func(v url.Values) { v.Set("won", "2,999") })
	refused("rows that are expected", http.StatusUnprocessableEntity, func(v url.Values) { v.Set("rows", "3") })
	refused("no confirmation", http.StatusUnprocessableEntity, func(v url.Values) { v.Del("sure") })
	if len(s.pushed) != 0 {
		t.Fatal("it was sent")
	}
	shown.Set("won", "3,000원")
	for range 2 { // a second click does nothing
		if answer := s.post("approvers", filePath(id, "approve"), shown); answer.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s\n%s", answer.Status, text(answer))
		}
	}
	stored, err := s.Jobs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	request, err := job.ReadRequest(stored.Settings)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.pushed) != 1 || stored.State != ledger.JobQueued || stored.ApprovedBy != "approvers@example.com" || request.Guards.ExpectRows != 2 || request.Guards.ExpectTotal != 3000 || request.Digest != stored.Digest {
		t.Errorf("pushed %v; %+v; %+v", s.pushed, stored, request)
	}
}

// TestApprovedMeanwhile: who approves a file that another server sends at that moment sees how far it is.
func TestApprovedMeanwhile(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	shown := s.approval("approvers", id)
	s.looked.looks = nil
	read := s.Read
	s.Read = func(ctx context.Context, merchant, whose string) (*ledger.Reader, error) {
		s.Read = read
		s.finish(id)
		return read(ctx, merchant, whose)
	}
	if answer := s.post("approvers", filePath(id, "approve"), shown); answer.StatusCode != http.StatusSeeOther || len(s.pushed) != 0 {
		t.Errorf("%s, pushed %v\n%s", answer.Status, s.pushed, text(answer))
	}
}

// TestWrongRows: wrong rows are left out when somebody says so, and not otherwise; two people are two.
func TestWrongRows(t *testing.T) {
	s := newSite(t)
	s.Two = true
	id, _ := s.bring("both", "seoul", "a.csv", good+"A-3,1만원,004,한빛상사,+7d\nA-4,=1+1,004,<script>alert(1)</script>,+7d\n")
	page := s.get("approvers", filePath(id, "check"))
	if strings.Contains(page, "<script>alert") || !strings.Contains(page, "1만원") {
		t.Error("the page shows a cell as it must not, or not at all")
	}
	values := s.approval("approvers", id)
	if answer := s.post("approvers", filePath(id, "approve"), values); answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("with wrong rows: %s", answer.Status)
	}
	values.Set("leave-out", "yes")
	s.approvedByAnother(id, values)
}

// approvedByAnother has a file approved by somebody who had a hand in it, which is refused, and by somebody else.
func (s *site) approvedByAnother(id int64, values url.Values) {
	s.Helper()
	if answer := s.post("both", filePath(id, "approve"), values); answer.StatusCode != http.StatusForbidden {
		s.Errorf("by one who had a hand in it: %s", answer.Status)
	}
	if answer := s.post("approvers", filePath(id, "approve"), values); answer.StatusCode != http.StatusSeeOther || len(s.pushed) != 1 {
		s.Errorf("by another: %s, pushed %v", answer.Status, s.pushed)
	}
}

// TestOwnReading: who decides what another's file says does not approve it alone.
func TestOwnReading(t *testing.T) {
	s := newSite(t)
	s.Two = true
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	stored, err := s.Jobs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if answer := s.post("both", filePath(id, "columns"), url.Values{"settings": {stored.Key}, "set-name": {"월세"}}); answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("columns: %s", answer.Status)
	}
	values := s.approval("approvers", id)
	if strings.Contains(s.get("both", filePath(id, "check")), `name="sure"`) {
		t.Error("the page offers what is refused")
	}
	s.approvedByAnother(id, values)
}

// TestOwnForm: who has saved a form does not approve alone what it makes of another's file. What a form holds of one month, or of
// how this server was started, is not used.
func TestOwnForm(t *testing.T) {
	s := newSite(t)
	s.Two = true
	s.Request.Profile.Set = map[string]string{"pg": "nice.OLD"}
	const columns = "동,호,금액,은행,예금주,입금기한\n"
	first, _ := s.bring("both", "seoul", "a.csv", columns+"1,101,1000,004,한빛상사,+7d\n")
	stored, err := s.Jobs.Get(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	values := url.Values{"settings": {stored.Key}, "key": {"{동}-{호}-202611"}, "set-name": {"월세"}, "set-vbank_due": {"2026-12-24"}, "form": {"매월"}}
	if answer := s.post("both", filePath(first, "columns"), values); answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("columns: %s\n%s", answer.Status, text(answer))
	}
	s.Request.Profile.Set = map[string]string{"pg": "nice.NEW"}
	second, _ := s.bring("uploaders", "seoul", "b.csv", columns+"1,102,1000,004,한빛상사,+7d\n")
	if stored, err = s.Jobs.Get(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	used, err := job.ReadRequest(stored.Settings)
	if want := map[string]string{"pg": "nice.NEW", "name": "월세"}; err != nil || used.Form != "매월" || used.FormBy != "both@example.com" || used.Profile.Key != "" || !maps.Equal(used.Profile.Set, want) {
		t.Errorf("%+v, %v", used, err)
	}
	values = url.Values{"settings": {stored.Key}, "key": {"{동}-{호}"}, "set-name": {"월세"}}
	if answer := s.post("uploaders", filePath(second, "columns"), values); answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("columns: %s\n%s", answer.Status, text(answer))
	}
	s.approvedByAnother(second, s.approval("approvers", second))
}

// TestOtherServer: a server shows nothing of a merchant that it was not started for, to whoever may do what.
func TestOtherServer(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	s.Merchants = []string{"busan"}
	for _, page := range []string{"check", "columns", "download/input"} {
		if answer := s.ask("all", "GET", filePath(id, page), nil, ""); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", page, answer.Status)
		}
	}
}

// TestTrail: the trail of a database that several servers share tells each of its own merchants, and of who came and went.
func TestTrail(t *testing.T) {
	s := newSite(t)
	ours, _ := s.bring("others", "busan", "a.csv", good)
	theirs, _ := s.bring("uploaders", "seoul", "b.csv", good)
	note := func(d ledger.Deed) {
		t.Helper()
		if err := s.Jobs.Note(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	note(ledger.Deed{Who: "whoever", What: access.NotedSignIn})
	note(ledger.Deed{Who: "our old one", What: "download", Job: ours})
	note(ledger.Deed{Who: "their old one", What: "download", Job: theirs})
	note(ledger.Deed{Who: "their lost one", What: "discard", Job: 99})
	for range marksAtOnce {
		note(ledger.Deed{Who: "their form", What: "form", Detail: `{"merchant":"seoul"}`})
	}
	for range perPage {
		note(ledger.Deed{Who: "our form", What: "form", Detail: `{"merchant":"busan"}`})
	}
	s.Merchants = []string{"busan"}
	first := s.get("all", "/trail")
	_, next, _ := strings.Cut(first, `href="/trail?`)
	next, _, _ = strings.Cut(next, `"`)
	second := s.get("all", "/trail?"+next)
	for _, who := range []string{"whoever", "our old one", "others@example.com"} {
		if !strings.Contains(second, who) || strings.Contains(first, who) {
			t.Errorf("%s is not on the second page", who)
		}
	}
	if n := strings.Count(first, "our form"); n != perPage || strings.Contains(first+second, "their") || strings.Contains(first+second, "uploaders@") {
		t.Errorf("%d of %d entries on the first page, or another server's\n%s", n, perPage, second)
	}
}

// TestMidnight: what was shown before midnight is not approved after it, though the file was looked through between.
func TestMidnight(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	shown := s.approval("approvers", id)
	var past atomic.Bool
	s.Now = func() time.Time {
		if past.Load() {
			return when.AddDate(0, 0, 1)
		}
		return when
	}
	options := s.Options
	s.Options = func(ctx context.Context, merchant string, r *job.Request, now time.Time) (input.Options, error) {
		past.Store(true)
		return options(ctx, merchant, r, now)
	}
	s.looked.looks = nil // so that it is
	answer := s.post("approvers", filePath(id, "approve"), shown)
	if stored, err := s.Jobs.Get(t.Context(), id); err != nil || stored.State != ledger.JobUploaded || answer.StatusCode != http.StatusConflict {
		t.Errorf("%s; the file is %s, %v", answer.Status, stored.State, err)
	}
}

// TestFault: of what this process is at fault for nobody is told that nothing was sent: an approval's answer may have been lost.
func TestFault(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	s.looked.looks = nil
	s.Options = func(context.Context, string, *job.Request, time.Time) (input.Options, error) {
		return input.Options{}, errors.New("the database is away")
	}
	answer := s.ask("approvers", "GET", filePath(id, "check"), nil, "")
	if said := text(answer); answer.StatusCode != http.StatusInternalServerError || !strings.Contains(said, "nothing is sent twice") || strings.Contains(said, "nothing was sent") || strings.Contains(said, "away") {
		t.Errorf("%s\n%s", answer.Status, said)
	}
}

// TestLargeForm: a form without a file is not read without end.
func TestLargeForm(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	values := s.approval("approvers", id)
	values.Set("rest", strings.Repeat("x", 2*mostForm))
	if answer := s.post("approvers", filePath(id, "approve"), values); answer.StatusCode == http.StatusSeeOther || len(s.pushed) != 0 {
		t.Errorf("%s, pushed %v", answer.Status, s.pushed)
	}
}

// TestInDoubt: a file with rows in doubt is not called done.
func TestInDoubt(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	s.finish(id, `"unknown":{"rows":3}`)
	page := s.get("viewers", filePath(id, ""))
	if strings.Contains(page, "Every row is done.") || !strings.Contains(page, "Rows in doubt at its end: 3.") {
		t.Errorf("the page:\n%s", page)
	}
}

// TestSheets: of a workbook whose sheets can all be read one is chosen at one press, and what is to become of its hidden row at another.
func TestSheets(t *testing.T) {
	s := newSite(t)
	book := excelize.NewFile()
	defer book.Close()
	for i, name := range []string{"10월", "11월"} {
		if _, err := book.NewSheet(name); err != nil {
			t.Fatal(err)
		}
		for row, cells := range [][]any{{"주문번호", "금액", "은행", "예금주", "입금기한"}, {fmt.Sprint("A-", i), 1000 * (i + 1), "004", "한빛상사", "+7d"}, {fmt.Sprint("B-", i), 50, "004", "한빛상사", "+7d"}} {
			if err := book.SetSheetRow(name, fmt.Sprintf("A%d", row+1), &cells); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(book.DeleteSheet("Sheet1"), book.SetRowVisible("11월", 3, false)); err != nil {
		t.Fatal(err)
	}
	var bytes bytes.Buffer
	if err := book.Write(&bytes); err != nil {
		t.Fatal(err)
	}
	id, _ := s.bring("uploaders", "seoul", "a.xlsx", bytes.String())
	for _, answer := range []input.Answer{{Flag: "sheet", Value: "11월"}, {Flag: "hidden", Value: "skip"}} {
		if page := s.get("uploaders", filePath(id, "check")); !strings.Contains(page, filePath(id, "columns")) {
			t.Errorf("the check does not lead on:\n%s", page)
		}
		if page := s.get("uploaders", filePath(id, "columns")); !strings.Contains(page, `name="value" value="`+answer.Value+`"`) {
			t.Fatalf("%v is not offered:\n%s", answer, page)
		}
		stored, err := s.Jobs.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.post("uploaders", filePath(id, "answer"), url.Values{"settings": {stored.Key}, "flag": {answer.Flag}, "value": {answer.Value}}); got.StatusCode != http.StatusSeeOther {
			t.Fatalf("%v: %s", answer, got.Status)
		}
	}
	if values := s.approval("approvers", id); values.Get("total") != "2000" {
		t.Errorf("%v", values)
	}
}

// TestUploads: what cannot be taken is refused with a word, and nothing of it is kept.
func TestUploads(t *testing.T) {
	s := newSite(t)
	if _, answer := s.bring("uploaders", "seoul", "big.csv", strings.Repeat("x", 3<<20)); answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a file that is too large: %s", answer.Status)
	}
	if _, answer := s.bring("uploaders", "seoul", "little.csv", strings.Repeat("x", 1<<20+5)); answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a file that is a little too large: %s", answer.Status)
	}
	bomb := bytes.Repeat([]byte("A-1,1000,004,한빛상사,+7d\n"), 400_000)
	id, _ := s.bring("uploaders", "seoul", "bomb.csv.gz", string(packed(t, bomb)))
	if page := s.get("uploaders", filePath(id, "check")); !strings.Contains(page, "4194304") {
		t.Errorf("a file that unpacks to too much:\n%s", page)
	}
	id, _ = s.bring("uploaders", "seoul", `..\..\<b>하하<b>.csv`, good)
	page := s.get("uploaders", filePath(id, "check"))
	if strings.Contains(page, "<b>하하") || !strings.Contains(page, "하하") {
		t.Error("the file's name is not shown as a name")
	}
	// An upload that is cut off.
	r, err := http.NewRequest("POST", s.web.URL+"/uploads", io.MultiReader(strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"merchant\"\r\n\r\nseoul\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cut.csv\"\r\n\r\n"+good), broken{}))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	r.Header.Set("X-User", "x")
	r.Header.Set("X-Groups", "uploaders")
	if _, err := http.DefaultClient.Do(r); err == nil {
		t.Error("it was not cut off")
	}
	found, err := s.Jobs.Page(t.Context(), nil, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, stored := range found {
		if stored.File == "cut.csv" || stored.File == "big.csv" || stored.File == "little.csv" {
			t.Errorf("%s was kept", stored.File)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// TestQuestions: what a file is refused over is asked, and answered at one press; a form is used by the next file.
func TestQuestions(t *testing.T) {
	s := newSite(t)
	const two = "주문번호,입금금액,미수금,은행,예금주,입금기한\nB-1,1000,2000,국민,한빛상사,+7d\n"
	id, _ := s.bring("uploaders", "seoul", "two.csv", two)
	page := s.get("uploaders", filePath(id, "columns"))
	if !strings.Contains(page, `value="amount=미수금"`) {
		t.Fatalf("there is no choice:\n%s", page)
	}
	stored, _ := s.stored(id)
	if answer := s.post("uploaders", filePath(id, "answer"), url.Values{"settings": {stored.Key}, "flag": {"map"}, "value": {"amount=은행"}}); answer.StatusCode != http.StatusConflict {
		t.Errorf("an answer that was not offered: %s", answer.Status)
	}
	if answer := s.post("uploaders", filePath(id, "answer"), url.Values{"settings": {stored.Key}, "flag": {"map"}, "value": {"amount=미수금"}}); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("%s\n%s", answer.Status, text(answer))
	}
	if page := s.get("uploaders", filePath(id, "check")); !strings.Contains(page, "2,000") || !strings.Contains(page, "To be sent") {
		t.Errorf("it is not answered:\n%s", page)
	}
	if answer := s.choose(id, url.Values{"form": {"미수"}}); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("%s\n%s", answer.Status, text(answer))
	}
	id, _ = s.bring("uploaders", "seoul", "next.csv", strings.ReplaceAll(two, "B-1", "B-2"))
	if page := s.get("uploaders", filePath(id, "check")); !strings.Contains(page, "To be sent") {
		t.Errorf("the form was not used:\n%s", page)
	}
	if answer := s.post("uploaders", "/merchants/seoul/forms", url.Values{"use": {"미수"}}); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("the form was not removed: %s", answer.Status)
	}
	if kept, err := s.Jobs.Forms(t.Context(), "seoul"); err != nil || len(kept) != 0 {
		t.Errorf("%v, %v", kept, err)
	}
}

// TestLookingTwice: two requests for one file look through it once, and one that is changed is looked through again.
func TestLookingTwice(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	stored, err := s.Jobs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.look(t.Context(), &stored)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := s.look(t.Context(), &stored); err != nil || second != first {
		t.Errorf("it was looked through again: %v", err)
	}
	stored.Key = "other"
	if second, err := s.look(t.Context(), &stored); err != nil || second == first {
		t.Errorf("it was not: %v", err)
	}
}

// TestVerdict: a person's word about an order is taken with its reason, and with the account where one is meant.
func TestVerdict(t *testing.T) {
	s := newSite(t)
	for _, refused := range []url.Values{{"which": {"none"}}, {"which": {"account"}, "why": {"x"}}} {
		if answer := s.post("approvers", "/orders/seoul/settle?order=A-1", refused); answer.StatusCode != http.StatusUnprocessableEntity || len(s.said) != 0 {
			t.Errorf("%v: %s", refused, answer.Status)
		}
	}
	if answer := s.post("approvers", "/orders/seoul/settle?order=A-1", url.Values{"why": {"x"}, "imp_uid": {"imp_1"}}); answer.StatusCode != http.StatusConflict || len(s.said) != 0 {
		t.Errorf("neither an account nor none: %s", answer.Status)
	}
	for _, given := range []url.Values{{"which": {"none"}, "imp_uid": {"imp_1"}, "why": {"the console"}}, {"which": {"account"}, "imp_uid": {"imp_1"}, "why": {"the console"}}} {
		if answer := s.post("approvers", "/orders/seoul/settle?order=A-1&tier=x", given); answer.StatusCode != http.StatusSeeOther {
			t.Errorf("%v: %s", given, answer.Status)
		}
	}
	order := ledger.Order{Tier: "x", MerchantUID: "A-1"}
	want := []batch.Verdict{{Order: order, By: "approvers@example.com", Why: "the console", At: when}, {Order: order, ImpUID: "imp_1", By: "approvers@example.com", Why: "the console", At: when}}
	if !slices.Equal(s.said, want) {
		t.Errorf("%+v", s.said)
	}
	marks, err := s.Jobs.Marks(t.Context(), 0, 1)
	if err != nil || len(marks) != 1 || marks[0].What != "verdict" || marks[0].Detail != `{"imp_uid":"imp_1","merchant":"seoul","order_sha256":"`+fmt.Sprintf("%x", sha256.Sum256([]byte("A-1")))+`"}` {
		t.Errorf("the trail: %+v, %v", marks, err)
	}
}
