package access

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

// store is Sessions in memory.
type store struct {
	mu   sync.Mutex
	kept map[string]kept
	err  error
}

type kept struct {
	whose string
	ends  time.Time
}

func (s *store) PutSession(_ context.Context, hash, whose string, ends time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.kept[hash] = kept{whose, ends}
	}
	return s.err
}

func (s *store) Session(_ context.Context, hash string) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[hash].whose, s.kept[hash].ends, s.err
}

func (s *store) DropSession(_ context.Context, hash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, hash)
	return s.err
}

// house is a gate with pages behind it, and what became of both.
type house struct {
	*Gate
	http.Handler
	t     *testing.T
	store *store
	clock time.Time
	noted []string
	deaf  error // of Note
	inner []string
}

// build makes a house; the page writes who looks at it.
func build(t *testing.T, c Config) *house {
	t.Helper()
	h := &house{t: t, store: &store{kept: make(map[string]kept)}, clock: time.Date(2026, 11, 5, 9, 0, 0, 0, time.UTC)}
	var mu sync.Mutex
	c.Sessions, c.Now = h.store, func() time.Time { return h.clock }
	c.Note = func(_ context.Context, who, from, what string) error {
		mu.Lock()
		defer mu.Unlock()
		if h.deaf == nil {
			h.noted = append(h.noted, strings.Join([]string{who, from, what}, " "))
		}
		return h.deaf
	}
	if c.URL == "" {
		c.URL = "https://orders.example.com"
	}
	gate, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	h.Gate = gate
	h.Handler = gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		h.inner = append(h.inner, r.Method+" "+r.URL.Path)
		w.Write([]byte("page of " + From(r.Context()).Name))
	}))
	return h
}

// do sends a request; a change makes it another one.
func (h *house) do(method, target string, changes ...func(*http.Request)) *http.Response {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, target, nil)
	r.Host = strings.TrimPrefix(strings.TrimPrefix(h.c.URL, "https://"), "http://")
	r.RemoteAddr = "192.0.2.1:4000"
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func cookies(all ...*http.Cookie) func(*http.Request) {
	return func(r *http.Request) {
		for _, cookie := range all {
			if cookie.MaxAge >= 0 {
				r.AddCookie(cookie)
			}
		}
	}
}

func form(values url.Values) func(*http.Request) {
	return func(r *http.Request) {
		body := strings.NewReader(values.Encode())
		other := httptest.NewRequest(r.Method, "/", body)
		r.Body, r.ContentLength = other.Body, other.ContentLength
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address }
}

// enter signs in by a link.
func (h *house) enter() []*http.Cookie {
	h.t.Helper()
	got := h.press(h.Link())
	if got.StatusCode != http.StatusSeeOther || len(got.Cookies()) != 1 {
		h.t.Fatalf("the link led to %s", got.Status)
	}
	return got.Cookies()
}

// press sends the form that the link's page shows.
func (h *house) press(link string, changes ...func(*http.Request)) *http.Response {
	once := link[strings.LastIndex(link, "=")+1:]
	return h.do("POST", "/enter", append(changes, form(url.Values{"once": {once}}))...)
}

func body(response *http.Response) string {
	var text strings.Builder
	response.Write(&text)
	return text.String()
}

func TestLink(t *testing.T) {
	h := build(t, Config{Link: true, Owner: "kim"})
	link := h.Link()
	if !regexp.MustCompile(`^https://orders\.example\.com/enter\?once=[\w-]{43}$`).MatchString(link) {
		t.Fatalf("the link is %s", link)
	}
	path := strings.TrimPrefix(link, "https://orders.example.com")
	for range 3 { // whatever looks at it first
		got := h.do("GET", path)
		if page := body(got); got.StatusCode != 200 || len(got.Cookies()) != 0 || !strings.Contains(page, `<form method="post" action="/enter">`) || strings.Contains(page, "<script") {
			t.Fatalf("the link's page: %s", page)
		}
	}
	got := h.press(link)
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/" {
		t.Fatalf("%s to %q", got.Status, got.Header.Get("Location"))
	}
	c := got.Cookies()[0]
	if c.Name != "__Host-vbankbatch-session" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*60*60 {
		t.Errorf("the cookie is %v", c)
	}
	if got := body(h.do("GET", "/jobs/5", cookies(c))); !strings.Contains(got, "page of kim") {
		t.Errorf("the page is %s", got)
	}
	for key, kept := range h.store.kept {
		if strings.Contains(key+kept.whose, c.Value) {
			t.Error("the session's token is kept")
		}
	}
	for range 2 {
		if got := h.press(link); got.StatusCode != http.StatusForbidden || len(got.Cookies()) != 0 {
			t.Errorf("the link took a second one in: %s", got.Status)
		}
	}
	if got := h.do("GET", path); got.StatusCode != http.StatusForbidden {
		t.Errorf("a used link's page: %s", got.Status)
	}
	if diff := cmp.Diff([]string{"kim 192.0.2.1 sign-in"}, h.noted); diff != "" {
		t.Error(diff)
	}
}

// TestLinkEnds: a link is good for ten minutes, and again if the sessions did not answer.
func TestLinkEnds(t *testing.T) {
	h := build(t, Config{Link: true})
	old, _ := h.Link(), h.Link()
	h.clock = h.clock.Add(10 * time.Minute)
	if got := h.press(old); got.StatusCode != http.StatusForbidden {
		t.Errorf("a link of ten minutes ago: %s", got.Status)
	}
	link := h.Link()
	if len(h.links) != 1 {
		t.Errorf("%d links are kept", len(h.links))
	}
	h.clock = h.clock.Add(10*time.Minute - 1)
	h.store.err = errors.New("down")
	if got := h.press(link); got.StatusCode != http.StatusServiceUnavailable || len(got.Cookies()) != 0 {
		t.Errorf("without sessions: %s", got.Status)
	}
	h.store.err, h.deaf = nil, errors.New("down")
	if got := h.press(link); got.StatusCode != http.StatusServiceUnavailable || len(h.store.kept) != 0 {
		t.Errorf("without the trail: %s", got.Status)
	}
	h.deaf = nil
	if got := h.press(link); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the link was used up by what failed: %s", got.Status)
	}
}

// TestLinkRace: of many at once one gets in.
func TestLinkRace(t *testing.T) {
	h := build(t, Config{Link: true})
	link := h.Link()
	var group sync.WaitGroup
	got := make(chan int, 20)
	for range 20 {
		group.Go(func() { got <- h.press(link).StatusCode })
	}
	group.Wait()
	close(got)
	in := 0
	for status := range got {
		if status == http.StatusSeeOther {
			in++
		}
	}
	if in != 1 {
		t.Errorf("%d got in", in)
	}
}

// TestGate is every way that a request may come, and what becomes of it.
func TestGate(t *testing.T) {
	h := build(t, Config{Link: true, Hosts: []string{"Orders.lan:443"}})
	signed := cookies(h.enter()...)
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, c := range []struct {
		name, method, target string
		changes              []func(*http.Request)
		status               int
		location             string
		page                 bool // the page was called
	}{
		{"a page", "GET", "/jobs", []func(*http.Request){signed}, 200, "", true},
		{"a page, without session", "GET", "/jobs?state=done&a=1", nil, 303, "/signin?next=%2Fjobs%3Fstate%3Ddone%26a%3D1", false},
		{"HEAD, without session", "HEAD", "/jobs", nil, 303, "/signin?next=%2Fjobs", false},
		{"a made-up session", "GET", "/jobs", []func(*http.Request){cookies(&http.Cookie{Name: h.cookie, Value: secret()})}, 303, "/signin?next=%2Fjobs", false},
		{"an act", "POST", "/jobs", []func(*http.Request){signed}, 200, "", true},
		{"an act, without session", "POST", "/jobs", nil, 401, "", false},
		{"a deletion, without session", "DELETE", "/jobs", nil, 401, "", false},
		{"an asset", "GET", "/assets/app.css", nil, 200, "", true},
		{"an asset, posted to", "POST", "/assets/app.css", nil, 401, "", false},
		{"no asset", "GET", "/assetsx", nil, 303, "/signin?next=%2Fassetsx", false},
		{"behind the assets", "GET", "/assets/../jobs", nil, 307, "/jobs", false},
		{"health", "GET", "/healthz", nil, 200, "", true},
		{"below health", "GET", "/healthz/x", nil, 303, "/signin?next=%2Fhealthz%2Fx", false},
		{"a path of two slashes", "GET", "//evil.com/", nil, 307, "/evil.com/", false},

		{"another host", "GET", "/jobs", []func(*http.Request){signed, host("evil.com")}, 421, "", false},
		{"another port", "GET", "/jobs", []func(*http.Request){signed, host("orders.example.com:8443")}, 421, "", false},
		{"a longer host", "GET", "/jobs", []func(*http.Request){signed, host("orders.example.com.evil.com")}, 421, "", false},
		{"no host", "GET", "/jobs", []func(*http.Request){signed, host("")}, 421, "", false},
		{"another host's asset", "GET", "/assets/app.css", []func(*http.Request){host("evil.com")}, 421, "", false},
		{"another host's health", "GET", "/healthz", []func(*http.Request){host("evil.com")}, 421, "", false},
		{"another host's link", "POST", "/enter", []func(*http.Request){host("evil.com")}, 421, "", false},
		{"the host in capitals", "GET", "/jobs", []func(*http.Request){signed, host("ORDERS.example.com:443")}, 200, "", true},
		{"the other host", "GET", "/jobs", []func(*http.Request){signed, host("orders.lan")}, 200, "", true},

		{"another site's act", "POST", "/jobs", []func(*http.Request){signed, header("Sec-Fetch-Site", "cross-site")}, 403, "", false},
		{"a neighbour's act", "POST", "/jobs", []func(*http.Request){signed, header("Sec-Fetch-Site", "same-site")}, 403, "", false},
		{"another site's act, in an old browser", "POST", "/jobs", []func(*http.Request){signed, header("Origin", "https://evil.com")}, 403, "", false},
		{"its own act", "POST", "/jobs", []func(*http.Request){signed, header("Sec-Fetch-Site", "same-origin")}, 200, "", true},
		{"its own act, in an old browser", "POST", "/jobs", []func(*http.Request){signed, header("Origin", "https://orders.example.com")}, 200, "", true},
		{"another site signs somebody in", "POST", "/enter", []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, 403, "", false},
		{"another site signs somebody out", "POST", "/signout", []func(*http.Request){signed, header("Sec-Fetch-Site", "cross-site")}, 403, "", false},
		{"signing out by GET", "GET", "/signout", []func(*http.Request){signed}, 200, "", true}, // a page, which there is none of
		{"signing in again", "GET", "/signin?next=/jobs", []func(*http.Request){signed}, 303, "/jobs", false},
		{"signing in", "GET", "/signin?next=/jobs", nil, 200, "", false},
		{"no issuer", "GET", "/oidc/start", nil, 303, "/signin?next=%2F", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.inner = nil
			got := h.do(c.method, c.target, c.changes...)
			if got.StatusCode != c.status || got.Header.Get("Location") != c.location || (h.inner != nil) != c.page {
				t.Errorf("%s to %q, pages called: %v", got.Status, got.Header.Get("Location"), h.inner)
			}
			for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
				"Referrer-Policy": "same-origin", "Content-Security-Policy": policy, "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
				if got.Header.Get(name) != want {
					t.Errorf("%s: %q", name, got.Header.Get(name))
				}
			}
			if len(got.Cookies()) != 0 {
				t.Errorf("a cookie was set: %v", got.Cookies())
			}
		})
	}
	if got := From(t.Context()); got.Name != "" || got.May(Viewer, "") {
		t.Errorf("where nobody is, there is %v", got)
	}
}

// TestFromAMail: a link in a mail has a person come without the session's cookie, who then comes again with it.
func TestFromAMail(t *testing.T) {
	h := build(t, Config{Link: true})
	got := h.do("GET", "/jobs?a=1&b=2", header("Sec-Fetch-Site", "cross-site"))
	if page := body(got); got.StatusCode != 200 || !strings.Contains(page, `<meta http-equiv="refresh" content="0; url=/jobs?a=1&amp;b=2">`) || h.inner != nil {
		t.Errorf("%s", page)
	}
	for _, changes := range [][]func(*http.Request){
		{header("Sec-Fetch-Site", "same-origin")}, // as it comes again, so that it never goes round
		{header("Sec-Fetch-Site", "cross-site"), cookies(&http.Cookie{Name: h.cookie, Value: secret()})},
	} {
		if got := h.do("GET", "/jobs", changes...); got.StatusCode != http.StatusSeeOther {
			t.Errorf("%s", got.Status)
		}
	}
}

// TestNext: what is gone on to is a page of this server.
func TestNext(t *testing.T) {
	for next, want := range map[string]string{
		"/jobs/5?page=2&q=%2F": "/jobs/5?page=2&q=%2F", "/": "/", "/?a": "/?a", "/a//b": "/a//b", "/jobs?u=https://x": "/jobs?u=https://x",
		"": "/", "jobs": "/", "//evil.com": "/", "///evil.com": "/", "/\\evil.com": "/", "\\/evil.com": "/", "/\t/evil.com": "/", "\t//evil.com": "/",
		"/\n/evil.com": "/", "/ /evil.com": "/", "https://evil.com": "/", "https:/evil.com": "/", "javascript:alert(1)": "/", "data:text/html,x": "/",
		"http:evil.com": "/", "@evil.com": "/", "/%zz": "/", "/signin?next=/": "/", "/signout": "/", "/enter": "/", "/oidc/start": "/",
		"/" + strings.Repeat("a", 1000): "/", "/\x00": "/", "/a\r\nSet-Cookie: x": "/",
	} {
		if got := local(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
	h := build(t, Config{Link: true})
	signed := cookies(h.enter()...)
	for _, next := range []string{"//evil.com", "https://evil.com", "/\\evil.com", "/%09/evil.com"} {
		if got := h.do("GET", "/signin?next="+url.QueryEscape(next), signed); strings.Contains(got.Header.Get("Location"), "//") || strings.Contains(got.Header.Get("Location"), "\\") {
			t.Errorf("%q leads to %q", next, got.Header.Get("Location"))
		}
	}
	for referer, want := range map[string]string{"https://orders.example.com/jobs/5?a=1": "next=%2Fjobs%2F5%3Fa%3D1", "https://evil.com/x": "next=%2F\"", "": "next=%2F\""} {
		if got := body(h.do("POST", "/jobs/5/approve", header("Referer", referer))); !strings.Contains(got, want) {
			t.Errorf("from %q: %s", referer, got)
		}
	}
}

// TestSessionEnds: it ends after its life, earlier if nobody uses it, and when it is signed out.
func TestSessionEnds(t *testing.T) {
	h := build(t, Config{Link: true, Owner: "kim"})
	signed := h.enter()
	in := func(after time.Duration, want bool, changes ...func(*http.Request)) {
		t.Helper()
		h.clock = h.clock.Add(after)
		got := h.do("GET", "/jobs", append(changes, cookies(signed...))...)
		if (got.StatusCode == 200) != want {
			t.Errorf("%v later: %s", after, got.Status)
		}
	}
	for range 6 { // used, it lives as long as it may
		in(2*time.Hour-time.Minute, true)
	}
	in(5*time.Minute, true)
	in(time.Minute, false)

	signed = h.enter()
	in(2*time.Hour, false)

	signed = h.enter()
	polls := header("Sec-Fetch-Dest", "empty")
	in(time.Hour+59*time.Minute, true, polls) // which is no use
	in(time.Minute, false, polls)

	signed = h.enter()
	in(time.Hour, true)
	in(time.Hour+59*time.Minute, true)

	kept := h.store.kept[hash(signed[0].Value)]
	h.noted = nil
	got := h.do("POST", "/signout", cookies(signed...))
	if c := got.Cookies(); got.StatusCode != 200 || len(c) != 1 || c[0].MaxAge != -1 || c[0].Name != h.cookie {
		t.Errorf("%s, cookies %v", got.Status, c)
	}
	in(0, false)
	if diff := cmp.Diff([]string{"local 192.0.2.1 sign-out"}, []string{strings.Replace(strings.Join(h.noted, ","), "kim", "local", 1)}); diff != "" {
		t.Error(diff)
	}
	if kept.whose == "" || strings.Contains(kept.whose, "approver") {
		t.Errorf("what is kept of a session: %q", kept.whose)
	}
	h.do("POST", "/signout", cookies(signed...))
	if len(h.noted) != 1 {
		t.Errorf("signed out twice: %q", h.noted)
	}
}

// TestSignedOutForGood: a request that is under way while somebody signs out does not bring the session back.
func TestSignedOutForGood(t *testing.T) {
	h := build(t, Config{Link: true})
	signed := cookies(h.enter()...)
	h.clock = h.clock.Add(time.Hour)
	under := &underway{store: h.store, between: func() { h.do("POST", "/signout", signed) }}
	h.c.Sessions = under
	h.do("GET", "/jobs", signed)
	if under.between != nil {
		t.Fatal("the session was not renewed")
	}
	if got := h.do("GET", "/jobs", signed); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the session is back: %s", got.Status)
	}
}

// underway does something once before a session is renewed.
type underway struct {
	*store
	between func()
}

func (u *underway) PutSession(ctx context.Context, hash, whose string, ends time.Time) error {
	if between := u.between; between != nil {
		u.between = nil
		between()
	}
	return u.store.PutSession(ctx, hash, whose, ends)
}

// TestSessionsDown: sessions that do not answer are no reason to sign in again.
func TestSessionsDown(t *testing.T) {
	h := build(t, Config{Link: true})
	signed := cookies(h.enter()...)
	h.store.err = errors.New("down")
	for _, request := range []string{"GET /jobs", "POST /jobs", "GET /signin", "POST /signout"} {
		method, path, _ := strings.Cut(request, " ")
		got := h.do(method, path, signed)
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || len(got.Cookies()) != 0 {
			t.Errorf("%s: %s", request, got.Status)
		}
	}
	h.store.err, h.deaf = nil, errors.New("down")
	if got := h.do("POST", "/signout", signed); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a sign-out that the trail has not: %s", got.Status)
	}
	if got := h.do("GET", "/jobs", signed); got.StatusCode != 200 {
		t.Errorf("%s", got.Status)
	}
}

// TestLedger: a ledger's sessions are those of a gate.
func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	book, err := ledger.Open(path, "merchant")
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	jobs, err := ledger.OpenJobs(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	h := build(t, Config{Link: true})
	h.c.Sessions, h.clock = jobs, time.Now() // the ledger goes by its own
	signed := h.enter()
	see := func(want int, cookie *http.Cookie) {
		t.Helper()
		if got := h.do("GET", "/jobs", cookies(cookie)); got.StatusCode != want {
			t.Errorf("%s, want %d", got.Status, want)
		}
	}
	see(200, signed[0])
	see(303, &http.Cookie{Name: h.cookie, Value: secret()})
	h.do("POST", "/signout", cookies(signed...))
	see(303, signed[0])
	if err := jobs.Close(); err != nil {
		t.Fatal(err)
	}
	see(503, signed[0])
}

// TestOtherWays: a session of a link is none for a server that has no links any more.
func TestOtherWays(t *testing.T) {
	h := build(t, Config{Link: true})
	signed := cookies(h.enter()...)
	h.c.Link = false
	if got := h.do("GET", "/jobs", signed); got.StatusCode != http.StatusSeeOther {
		t.Errorf("%s", got.Status)
	}
	if h.Link() != "" {
		t.Error("there is a link")
	}
}

func TestRateLimit(t *testing.T) {
	h := build(t, Config{Link: true})
	try := func(address string) *http.Response { return h.do("POST", "/enter", from(address)) }
	for i := range addressBurst {
		if got := try("192.0.2.9:1"); got.StatusCode != http.StatusForbidden {
			t.Fatalf("attempt %d: %s", i, got.Status)
		}
	}
	got := try("192.0.2.9:2")
	if got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") != "3" {
		t.Errorf("one too many: %s, Retry-After %s", got.Status, got.Header.Get("Retry-After"))
	}
	if got := h.press(h.Link(), from("192.0.2.9:3")); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a good link, one too many: %s", got.Status)
	}
	h.clock = h.clock.Add(2 * time.Second)
	if got := try("192.0.2.9:1"); got.StatusCode != http.StatusForbidden {
		t.Errorf("two seconds later: %s", got.Status)
	}
	for i := range addressBurst {
		try("[2001:db8::" + string(rune('a'+i%6)) + "]:1")
	}
	if got := try("[2001:db8::ffff]:1"); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one too many of a network: %s", got.Status)
	}
	if got := try("[2001:db8:1::a]:1"); got.StatusCode != http.StatusForbidden {
		t.Errorf("another network: %s", got.Status)
	}
	late := 0
	for i := range allBurst {
		if try("198.51."+strings.Repeat("1", 1+i%2)+"."+strings.TrimLeft(string([]byte{'0' + byte(i/100), '0' + byte(i/10%10), '0' + byte(i%10)}), "0")+":1").StatusCode == http.StatusTooManyRequests {
			late++
		}
	}
	if late == 0 || late == allBurst {
		t.Errorf("of all attempts %d were too many", late)
	}
	if got := h.do("GET", "/jobs"); got.StatusCode != http.StatusSeeOther {
		t.Errorf("a page is no attempt: %s", got.Status)
	}
}

// TestLimitsStaySmall: addresses are forgotten that have made no attempt for a while.
func TestLimitsStaySmall(t *testing.T) {
	l, now := newLimits(), time.Date(2026, 11, 5, 9, 0, 0, 0, time.UTC)
	for i := range 5000 {
		now = now.Add(time.Second)
		l.wait(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), now)
	}
	if len(l.each) > 1000 {
		t.Errorf("%d addresses are kept", len(l.each))
	}
}

func TestProxy(t *testing.T) {
	rules := []Rule{{"kim", Grant{Uploader, nil}}, {"kim@example.com", Grant{Uploader, []string{"seoul"}}}, {"bosses", Grant{Approver, nil}}}
	proxy := &Proxy{Header: "X-User", GroupsHeader: "X-Groups", From: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::1/128")}}
	socket := func(r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/run/x", Net: "unix"})))
		r.RemoteAddr = "@"
	}
	kim := header("X-User", "kim@example.com")
	for _, c := range []struct {
		name    string
		changes []func(*http.Request)
		status  int
		noted   string
	}{
		{"from the proxy", []func(*http.Request){from("10.1.2.3:1"), kim}, 200, ""},
		{"as IPv6 tells IPv4", []func(*http.Request){from("[::ffff:10.1.2.3]:1"), kim}, 200, ""},
		{"by IPv6", []func(*http.Request){from("[fd00::1]:1"), kim}, 200, ""},
		{"from a socket", []func(*http.Request){socket, kim}, 200, ""},
		{"by a group", []func(*http.Request){socket, header("X-User", "lee"), header("X-Groups", "all, bosses")}, 200, ""},
		{"from somewhere else", []func(*http.Request){from("10.2.0.1:1"), kim}, 403, " 10.2.0.1 header-refused"},
		{"from this machine", []func(*http.Request){from("127.0.0.1:1"), kim}, 403, " 127.0.0.1 header-refused"},
		{"from one who says that it is a socket", []func(*http.Request){from("unix"), kim}, 403, " unix header-refused"},
		{"groups from somewhere else", []func(*http.Request){from("10.2.0.1:1"), header("X-Groups", "bosses")}, 403, " 10.2.0.1 header-refused"},
		{"an empty one from somewhere else", []func(*http.Request){from("10.2.0.1:1"), header("X-User", "")}, 403, " 10.2.0.1 header-refused"},
		{"two", []func(*http.Request){socket, header("X-User", "kim@example.com", "lee")}, 403, " unix header-refused"},
		{"groups twice", []func(*http.Request){socket, kim, header("X-Groups", "all", "bosses")}, 403, " unix header-refused"},
		{"nobody", []func(*http.Request){from("10.1.2.3:1")}, 303, ""},
		{"nobody, from somewhere else", []func(*http.Request){from("10.2.0.1:1")}, 303, ""},
		{"an empty name", []func(*http.Request){socket, header("X-User", "")}, 303, ""},
		{"a name of control characters", []func(*http.Request){socket, header("X-User", "kim@example.com\t")}, 303, ""},
		{"one without a rule", []func(*http.Request){socket, header("X-User", "lee"), header("X-Groups", "all")}, 403, "lee unix sign-in-refused"},
		{"one who is named like a group", []func(*http.Request){socket, header("X-User", "bosses")}, 403, "bosses unix sign-in-refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, Config{Proxy: proxy, Rules: rules})
			got := h.do("GET", "/jobs", c.changes...)
			if got.StatusCode != c.status || (h.inner != nil) != (c.status == 200) || strings.Join(h.noted, ",") != c.noted {
				t.Errorf("%s, noted %q", got.Status, h.noted)
			}
		})
	}
	h := build(t, Config{Proxy: &Proxy{Header: "X-User"}, Rules: rules})
	if got := h.do("GET", "/jobs", socket, header("X-User", "kim")); got.StatusCode != 200 {
		t.Errorf("where no groups are told, any name counts: %s", got.Status)
	}
	if got := body(h.do("POST", "/signout", socket, kim)); !strings.Contains(got, "Still signed in") {
		t.Error(got)
	}
	for range 2 * addressBurst {
		h.do("GET", "/jobs", from("10.2.0.1:1"), kim)
	}
	if len(h.noted) != addressBurst {
		t.Errorf("what is refused fills the trail: %d entries", len(h.noted))
	}
	if h := build(t, Config{Link: true}); h.do("GET", "/jobs", header("X-User", "kim")).StatusCode != http.StatusSeeOther {
		t.Error("a header counts where there is no proxy")
	}
}

func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.1:80": "192.0.2.1", "[fe80::1%eth0]:80": "fe80::1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "@": "@"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "203.0.113.5")
		if got := Address(r); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

func TestRules(t *testing.T) {
	type rules = []Rule
	for text, want := range map[string]rules{
		"accounting=uploader":                 {{"accounting", Grant{Uploader, nil}}},
		"bosses=uploader+approver@seoul":      {{"bosses", Grant{Uploader, []string{"seoul"}}}, {"bosses", Grant{Approver, []string{"seoul"}}}},
		"*=viewer@default,busan-2":            {{"*", Grant{Viewer, []string{"", "busan-2"}}}},
		"cn=bosses,ou=groups=approver":        {{"cn=bosses,ou=groups", Grant{Approver, nil}}},
		"kim@example.com=approver@seoul":      {{"kim@example.com", Grant{Approver, []string{"seoul"}}}},
		"Finance Team=viewer":                 {{"Finance Team", Grant{Viewer, nil}}},
		"accounting":                          nil,
		"":                                    nil,
		"=uploader":                           nil,
		" =uploader":                          nil,
		"accounting=":                         nil,
		"accounting=boss":                     nil,
		"accounting=Uploader":                 nil,
		"accounting=uploader+":                nil,
		"accounting=uploader,viewer":          nil,
		"accounting=uploader@":                nil,
		"accounting=uploader@Seoul":           nil,
		"accounting=uploader@seoul,":          nil,
		"accounting=uploader@*":               nil,
		"accounting=uploader@-x":              nil,
		"a=viewer@" + strings.Repeat("a", 64): nil,
	} {
		got, err := ParseRule(text)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
}

// TestMay is every role for every merchant.
func TestMay(t *testing.T) {
	for text, want := range map[string]string{
		"w=viewer":                    "viewer:|viewer:seoul|viewer:busan",
		"w=uploader":                  "viewer:|viewer:seoul|viewer:busan|uploader:|uploader:seoul|uploader:busan",
		"w=approver@seoul":            "viewer:seoul|approver:seoul",
		"w=uploader+approver@default": "viewer:|uploader:|approver:",
		"x=approver":                  "",
		"*=viewer@busan":              "viewer:busan",
	} {
		rules, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		merchants := []string{"", "seoul", "busan"}
		p := &Person{"kim", grants(rules, "kim", []string{"w"}, true)}
		var may, seen []string
		for _, role := range []Role{Viewer, Uploader, Approver} {
			for _, merchant := range merchants {
				if p.May(role, merchant) {
					may = append(may, string(role)+":"+merchant)
					if role == Viewer {
						seen = append(seen, merchant)
					}
				}
			}
		}
		if got := strings.Join(may, "|"); got != want {
			t.Errorf("%s: may %s, want %s", text, got, want)
		}
		if diff := cmp.Diff(seen, p.Merchants(merchants)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	if (&Person{Grants: []Grant{{Uploader, []string{}}}}).May(Uploader, "") {
		t.Error("no merchant is not every merchant")
	}
}

func TestLanguage(t *testing.T) {
	for accepted, want := range map[string]say.Language{
		"": say.English, "ko": say.Korean, "ko-KR,ko;q=0.9,en-US;q=0.8": say.Korean, "en-US,en;q=0.9,ko;q=0.8": say.English,
		"en;q=0.5,ko;q=0.9": say.Korean, "ja,ko;q=0.9,en;q=0.8": say.Korean, "ja,zh": say.English, "*": say.English, "ko;q=0,en": say.English, "%%": say.English,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", accepted)
		if got := Language(r); got != want {
			t.Errorf("%q: %s, want %s", accepted, got, want)
		}
	}
	h := build(t, Config{Link: true})
	if page := body(h.do("GET", "/signin", header("Accept-Language", "ko-KR"))); !strings.Contains(page, `<html lang="ko">`) || !strings.Contains(page, "로그인") {
		t.Error(page)
	}
}

func TestNew(t *testing.T) {
	rules := []Rule{{"*", Grant{Viewer, nil}}}
	good := &OIDC{Issuer: "https://login.example.com", ClientID: "pages"}
	for name, c := range map[string]struct {
		Config
		ok bool
	}{
		"a link":                 {Config{URL: "http://127.0.0.1:8080", Link: true}, true},
		"a link by localhost":    {Config{URL: "http://localhost:8080/", Link: true}, true},
		"an issuer":              {Config{URL: "https://orders.example.com", OIDC: good, Rules: rules}, true},
		"no address":             {Config{Link: true}, false},
		"an address with a path": {Config{URL: "https://orders.example.com/vbank", Link: true}, false},
		"another scheme":         {Config{URL: "ftp://orders.example.com", Link: true}, false},
		"plain http":             {Config{URL: "http://orders.example.com", Link: true}, false},
		"nobody":                 {Config{URL: "https://orders.example.com"}, false},
		"no rules for an issuer": {Config{URL: "https://orders.example.com", OIDC: good}, false},
		"no rules for a proxy":   {Config{URL: "https://orders.example.com", Proxy: &Proxy{Header: "X-User"}}, false},
		"no header":              {Config{URL: "https://orders.example.com", Proxy: &Proxy{}, Rules: rules}, false},
		"a plain issuer":         {Config{URL: "https://orders.example.com", OIDC: &OIDC{Issuer: "http://login.example.com", ClientID: "pages"}, Rules: rules}, false},
		"no client":              {Config{URL: "https://orders.example.com", OIDC: &OIDC{Issuer: "https://login.example.com"}, Rules: rules}, false},
	} {
		if _, err := New(c.Config); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, _ := New(Config{URL: "http://127.0.0.1:8080", Link: true})
	b, _ := New(Config{URL: "http://127.0.0.1:8081", Link: true})
	if a.cookie == b.cookie {
		t.Error("two servers on one machine share a cookie")
	}
	if a.cookie != "vbankbatch-8080-session" {
		t.Errorf("the cookie is %s", a.cookie)
	}
}
