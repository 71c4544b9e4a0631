package access

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	gate, err := New(t.Context(), c)
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
