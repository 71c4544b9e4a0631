package access

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Sessions keeps sessions by the SHA-256 hash of their tokens. PutSession replaces what it has of that hash. Session returns
// ledger.ErrNoSession, or nothing at all, for one that it does not have; any other error is a store that does not answer.
type Sessions interface {
	PutSession(ctx context.Context, hash, whose string, ends time.Time) error
	Session(ctx context.Context, hash string) (whose string, ends time.Time, err error)
	DropSession(ctx context.Context, hash string) error
}

// Config is who gets in, and how: by Link, OIDC or Proxy, one of them at least.
type Config struct {
	Sessions Sessions
	URL      string   // that people use: https://orders.example.com, or http://127.0.0.1:8080 on this machine
	Hosts    []string // others that a request's Host may be, with their port where it is not the scheme's own
	Link     bool     // whoever opens the one-time link may do everything
	Owner    string   // their name; "" is local
	OIDC     *OIDC
	Proxy    *Proxy
	Rules    []Rule // of those whom OIDC or Proxy names

	// Note writes to the audit trail what is one of the Noted; who is "" where nobody is known. Nobody signs in whose sign-in it
	// cannot write.
	Note func(ctx context.Context, who, from, what string) error
	Log  *slog.Logger // what is wrong with the issuer or the sessions; nil is none
	Now  func() time.Time
}

const (
	sessionLife = 12 * time.Hour
	sessionIdle = 2 * time.Hour // for which nobody uses a session before it ends
)

// What Note is told.
const (
	NotedSignIn  = "sign-in"
	NotedRefused = "sign-in-refused" // by the rules, or what the issuer said did not hold
	NotedForged  = "header-refused"  // a proxy's header came from somewhere else
	NotedSignOut = "sign-out"
)

// Proxy is a proxy that names who has signed in to it. It must take the same headers of its clients away.
type Proxy struct {
	Header       string         // has the person's name
	GroupsHeader string         // has the groups, with commas between them; "" for none
	From         []netip.Prefix // its addresses; a unix socket counts without
}

// Gate stands around the pages. It is safe for concurrent use.
type Gate struct {
	c      Config
	secure bool
	hosts  []string
	cookie string // its name
	flow   string // how the names of the cookies of a sign-in under way begin
	page   *template.Template
	limits *limits
	issuer issuer

	mu    sync.Mutex
	links map[string]time.Time // by the hash of their secret, when they end
}

//go:embed page.html
var pageHTML string

// New makes the gate. The issuer of OIDC is asked when somebody signs in, so that it may be down at the start.
func New(c Config) (*Gate, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, say.Errorf("%q is not an address of pages, such as https://orders.example.com", c.URL)
	}
	if u.Scheme == "http" && !client.Loopback(c.URL) {
		return nil, say.Errorf("%s: plain http is for loopback addresses only; people get in by https", c.URL)
	}
	if !c.Link && c.OIDC == nil && c.Proxy == nil {
		return nil, say.New("nobody can get in: there is no link, no issuer and no proxy")
	}
	if (c.OIDC != nil || c.Proxy != nil) && len(c.Rules) == 0 {
		return nil, say.New("nobody can get in: there are no rules that say who may do what")
	}
	if c.Proxy != nil && c.Proxy.Header == "" {
		return nil, say.New("the header is not named in which the proxy says who has signed in")
	}
	if c.OIDC != nil {
		if err := c.OIDC.check(); err != nil {
			return nil, err
		}
	}
	c.URL = u.Scheme + "://" + u.Host
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Note == nil {
		c.Note = func(context.Context, string, string, string) error { return nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gate{c: c, secure: u.Scheme == "https", limits: newLimits(), links: make(map[string]time.Time)}
	for _, host := range append([]string{u.Host}, c.Hosts...) {
		g.hosts = append(g.hosts, g.host(host))
	}
	// Cookies do not tell ports apart: two servers on one machine need two names.
	prefix := strings.TrimSuffix("vbankbatch-"+u.Port(), "-")
	if g.secure {
		prefix = "__Host-" + prefix
	}
	g.cookie, g.flow = prefix+"-session", prefix+"-oidc-"
	g.page, err = template.New("page").Parse(pageHTML)
	return g, err
}

// host is the one spelling of a host.
func (g *Gate) host(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), map[bool]string{true: ":443", false: ":80"}[g.secure])
}

// policy is for pages that set none of their own.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Handler returns the pages with the guard around them. What is under /assets/, and /healthz, is for everybody.
func (g *Gate) Handler(pages http.Handler) http.Handler {
	routes := http.NewServeMux()
	routes.Handle("GET /assets/", pages)
	routes.Handle("GET /healthz", pages)
	routes.HandleFunc("GET /signin", g.signIn)
	routes.HandleFunc("POST /signout", g.signOut)
	if g.c.Link {
		routes.HandleFunc("GET /enter", g.limited(g.offer))
		routes.HandleFunc("POST /enter", g.limited(g.enter))
	}
	if g.c.OIDC != nil {
		routes.HandleFunc("GET /oidc/start", g.limited(g.start))
		routes.HandleFunc("GET /oidc/callback", g.limited(g.callback))
	}
	routes.Handle("/", g.known(pages))

	ours := http.NewCrossOriginProtection()
	ours.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := Language(r)
		g.show(w, r, http.StatusForbidden, view{Title: l.Text("Not from this page"), Text: l.Text("Another site asked for this. Nothing was changed."), Href: "/", Link: l.Text("Go to the start page")})
	}))
	inner := ours.Handler(routes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		// With no-referrer browsers send Origin: null, which older ones that have no Sec-Fetch-Site are then refused for.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		l := Language(r)
		switch {
		case !slices.Contains(g.hosts, g.host(r.Host)):
			g.show(w, r, http.StatusMisdirectedRequest, view{Title: l.Text("Not this address"), Text: l.Sprintf("These pages are at %s.", g.c.URL)})
		case g.forged(r):
			if g.spare(w, r) {
				g.refuse(w, r, "", NotedForged, view{Title: l.Text("Not from the proxy"), Text: l.Text("Only the proxy may say who has signed in, once.")})
			}
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// forged reports whether the proxy's headers come from somewhere else, or more than once: then only one of them is its own.
func (g *Gate) forged(r *http.Request) bool {
	p := g.c.Proxy
	if p == nil {
		return false
	}
	users, groups := r.Header.Values(p.Header), r.Header.Values(p.GroupsHeader)
	if len(users)+len(groups) == 0 {
		return false
	}
	address, _ := netip.ParseAddr(Address(r)) // the zero Addr is in no prefix
	trusted := bySocket(r) || slices.ContainsFunc(p.From, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
	return !trusted || len(users) > 1 || len(groups) > 1
}

// known calls the pages for whoever may look at anything.
func (g *Gate) known(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		person, err := g.person(r)
		switch {
		case err != nil:
			g.down(w, r, err)
		case person == nil:
			g.unknown(w, r)
		case len(person.Grants) == 0:
			if g.spare(w, r) {
				g.lacking(w, r, person.Name)
			}
		default:
			pages.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), personKey{}, person)))
		}
	})
}

// person is who asks, by the proxy's word or a session; nil if nobody is known.
func (g *Gate) person(r *http.Request) (*Person, error) {
	if name := g.proxied(r); name != "" {
		var groups []string
		for group := range strings.SplitSeq(r.Header.Get(g.c.Proxy.GroupsHeader), ",") {
			if group = strings.TrimSpace(group); group != "" {
				groups = append(groups, group)
			}
		}
		return &Person{name, grants(g.c.Rules, name, groups, g.c.Proxy.GroupsHeader != "")}, nil
	}
	return g.resume(r)
}

// proxied is the name that the proxy gave.
func (g *Gate) proxied(r *http.Request) string {
	if g.c.Proxy == nil {
		return ""
	}
	return nameOf(r.Header.Get(g.c.Proxy.Header))
}

// nameOf returns a name as it can stand in the trail, or "".
func nameOf(name string) string {
	if !utf8.ValidString(name) || len(name) > 200 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return strings.TrimSpace(name)
}

// session is what is kept of one. Its grants are not: a rule that was taken back counts at once.
type session struct {
	Name   string
	Groups []string
	By     string // byLink, or the issuer
}

const byLink = "link"

// resume finds the session of a request; nil without one. A session is two entries: its own, which ends with its life, and
// one that ends when nobody uses it. Use renews the second alone, so that it can't bring back a session that was signed out.
func (g *Gate) resume(r *http.Request) (*Person, error) {
	cookie, err := r.Cookie(g.cookie)
	if err != nil || g.c.Sessions == nil {
		return nil, nil
	}
	now, key := g.c.Now(), hash(cookie.Value)
	whose, _, err := g.kept(r, key)
	if err != nil || whose == "" {
		return nil, err
	}
	used, idle, err := g.kept(r, use(key))
	if err != nil || used == "" {
		return nil, err
	}
	var s session
	if err := json.Unmarshal([]byte(whose), &s); err != nil {
		return nil, err
	}
	var person *Person
	switch {
	case s.By == byLink && g.c.Link:
		person = &Person{g.owner(), []Grant{{Role: Uploader}, {Role: Approver}}}
	case g.c.OIDC != nil && s.By == g.c.OIDC.Issuer:
		person = &Person{s.Name, grants(g.c.Rules, s.Name, s.Groups, true)}
	default: // people get in by other ways now
		return nil, nil
	}
	// What a script of the page fetches by itself is no use of it.
	if polls := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Dest") == "empty"; !polls && idle.Sub(now) < sessionIdle-sessionIdle/60 {
		if err := g.c.Sessions.PutSession(r.Context(), use(key), used, now.Add(sessionIdle)); err != nil {
			g.c.Log.Warn("a session was not renewed", "error", err) // it is good until it ends
		}
	}
	return person, nil
}

// kept is what is kept of a session, "" if it has ended.
func (g *Gate) kept(r *http.Request, key string) (whose string, ends time.Time, err error) {
	whose, ends, err = g.c.Sessions.Session(r.Context(), key)
	if errors.Is(err, ledger.ErrNoSession) || err == nil && !g.c.Now().Before(ends) {
		return "", ends, nil
	}
	return whose, ends, err
}

func (g *Gate) owner() string { return cmp.Or(g.c.Owner, "local") }

// begin signs a person in.
func (g *Gate) begin(w http.ResponseWriter, r *http.Request, s session) error {
	whose, err := json.Marshal(s)
	if err != nil {
		return err
	}
	token, now := secret(), g.c.Now()
	if err := g.c.Note(r.Context(), s.Name, Address(r), NotedSignIn); err != nil {
		return err
	}
	if err := g.c.Sessions.PutSession(r.Context(), hash(token), string(whose), now.Add(sessionLife)); err != nil {
		return err
	}
	if err := g.c.Sessions.PutSession(r.Context(), use(hash(token)), "used", now.Add(sessionIdle)); err != nil {
		return err
	}
	g.setCookie(w, g.cookie, token, http.SameSiteStrictMode, sessionLife)
	return nil
}

// setCookie sets a cookie that no script reads; one without life is removed.
func (g *Gate) setCookie(w http.ResponseWriter, name, value string, site http.SameSite, life time.Duration) {
	age := int(life.Seconds())
	if age == 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: g.secure, HttpOnly: true, SameSite: site})
}

// secret returns 256 random bits.
func secret() string {
	bits := make([]byte, 32)
	rand.Read(bits) // never fails
	return base64.RawURLEncoding.EncodeToString(bits)
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// use is the key of the entry that ends when nobody uses a session.
func use(key string) string { return hash("used " + key) }

func bySocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// Address is the address of the request's peer, for the audit trail; unix for a socket.
func Address(r *http.Request) string {
	if bySocket(r) {
		return "unix"
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return peer.Addr().Unmap().WithZone("").String()
}

// local returns the path of a page to go on to, / for what a browser could take for anything else.
func local(next string) string {
	u, err := url.Parse(next) // refuses control characters, which browsers leave out
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsAny(next, "\\ ") || len(next) > 1000 /* it has to fit into a cookie */ || slices.Contains(doors, strings.Split(u.Path, "/")[1]) {
		return "/"
	}
	return next
}

// doors are the first parts of the gate's own paths.
var doors = []string{"enter", "signin", "signout", "oidc"}

// view is a page of the gate's own, in the reader's language.
type view struct {
	Title, Text, Warning string
	Next                 string // to which it goes on by itself
	Action, Button, Once string // of its form
	Href, Link           string
	Language             say.Language
}

func (g *Gate) show(w http.ResponseWriter, r *http.Request, status int, v view) {
	v.Language = Language(r)
	var page bytes.Buffer
	if err := g.page.Execute(&page, v); err != nil {
		g.c.Log.Warn("a page was not made", "error", err)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(page.Bytes())
}

func (g *Gate) down(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		g.c.Log.Warn("a session or the audit trail was not to be had", "error", err)
	}
	l := Language(r)
	w.Header().Set("Retry-After", "5")
	g.show(w, r, http.StatusServiceUnavailable, view{Title: l.Text("Try again soon"), Text: l.Text("The ledger does not answer at the moment.")})
}

// refuse shows why somebody does not get in, once the trail has it.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, who, what string, v view) {
	if err := g.c.Note(r.Context(), who, Address(r), what); err != nil {
		g.down(w, r, err)
		return
	}
	g.show(w, r, http.StatusForbidden, v)
}

// lacking refuses somebody whom no rule gives anything.
func (g *Gate) lacking(w http.ResponseWriter, r *http.Request, name string) {
	l := Language(r)
	v := view{Title: l.Text("You have no access"), Text: l.Sprintf("You are signed in as %s, and no rule of this server gives you a role. Ask whoever runs it.", name)}
	if _, err := r.Cookie(g.cookie); err == nil {
		v.Action, v.Button = "/signout", l.Text("Sign out")
	}
	g.refuse(w, r, name, NotedRefused, v)
}

// spare takes an attempt to sign in from what the peer may have, or answers that there were too many.
func (g *Gate) spare(w http.ResponseWriter, r *http.Request) bool {
	wait := g.limits.wait(Address(r), g.c.Now())
	if wait > 0 {
		l := Language(r)
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		g.show(w, r, http.StatusTooManyRequests, view{Title: l.Text("Too many attempts"), Text: l.Text("Wait a minute, then try again.")})
	}
	return wait <= 0
}

func (g *Gate) limited(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if g.spare(w, r) {
			handler(w, r)
		}
	}
}
