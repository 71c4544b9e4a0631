package access

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// login is an issuer of the test's own. It gives a code once, and an ID token for a code whose verifier is right.
type login struct {
	*httptest.Server
	t     *testing.T
	key   *rsa.PrivateKey // that it signs with
	given url.Values      // what /authorize was asked
	codes map[string]url.Values
	house *house
	// to break it
	down   bool
	claims map[string]any // that differ; nil ones are left out
	signer *rsa.PrivateKey
	broken func(reply map[string]any)
}

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// Making a key takes a while: the issuers share one.
var loginKey = sync.OnceValue(newKey)

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign returns a JWT.
func sign(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64URL([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + base64URL(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64URL(signature)
}

// open makes the issuer and a house whose people sign in with it.
func open(t *testing.T, c Config) (*login, *house) {
	t.Helper()
	l := &login{t: t, key: loginKey(), codes: make(map[string]url.Values)}
	l.signer = l.key
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		if l.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		reply(w, map[string]any{"issuer": l.URL, "authorization_endpoint": l.URL + "/authorize", "token_endpoint": l.URL + "/token", "jwks_uri": l.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]any{"keys": []any{map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
			"n": base64URL(l.key.N.Bytes()), "e": base64URL(big.NewInt(int64(l.key.E)).Bytes())}}})
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		l.given = r.URL.Query()
		code := secret()
		l.codes[code] = l.given
		http.Redirect(w, r, l.given.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {l.given.Get("state")}}.Encode(), http.StatusSeeOther)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, password, _ := r.BasicAuth()
		code := r.PostFormValue("code")
		asked := l.codes[code]
		delete(l.codes, code)
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if id != "pages" || password != "hush" || asked == nil || asked.Get("code_challenge_method") != "S256" || base64URL(sum[:]) != asked.Get("code_challenge") ||
			r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") || r.PostFormValue("grant_type") != "authorization_code" {
			w.WriteHeader(http.StatusBadRequest)
			reply(w, map[string]string{"error": "invalid_grant", "error_description": "of kim@example.com"})
			return
		}
		claims := map[string]any{"iss": l.URL, "sub": "u-1", "aud": "pages", "exp": l.house.clock.Add(time.Hour).Unix(), "iat": l.house.clock.Unix(),
			"nonce": asked.Get("nonce"), "email": "kim@example.com", "email_verified": true, "preferred_username": "kim", "groups": []string{"all", "accounting"}}
		maps.Copy(claims, l.claims)
		maps.DeleteFunc(claims, func(_ string, claim any) bool { return claim == nil })
		answer := map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": sign(t, l.signer, claims)}
		if l.broken != nil {
			l.broken(answer)
		}
		reply(w, answer)
	})
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	if c.OIDC == nil {
		c.OIDC = new(OIDC)
	}
	c.OIDC.Issuer, c.OIDC.ClientID, c.OIDC.ClientSecret = l.URL, "pages", "hush"
	if c.Rules == nil {
		c.Rules = []Rule{{"accounting", Grant{Uploader, []string{"seoul"}}}}
	}
	l.house = build(t, c)
	return l, l.house
}

// begin goes as far as the issuer sends a person back: there, with these cookies.
func (l *login) begin(next string) (string, []*http.Cookie) {
	l.t.Helper()
	got := l.house.do("GET", "/oidc/start?next="+url.QueryEscape(next))
	if got.StatusCode != http.StatusSeeOther {
		l.t.Fatalf("the start: %s", got.Status)
	}
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := stay.Get(got.Header.Get("Location"))
	if err != nil {
		l.t.Fatal(err)
	}
	answer.Body.Close()
	back, ok := strings.CutPrefix(answer.Header.Get("Location"), l.house.c.URL)
	if !ok {
		l.t.Fatalf("the issuer sent %s to %s", answer.Status, answer.Header.Get("Location"))
	}
	return back, got.Cookies()
}

// sessionOf is the session's cookie among those that were set; nil without one.
func (h *house) sessionOf(response *http.Response) *http.Cookie {
	for _, cookie := range response.Cookies() {
		if cookie.Name == h.cookie {
			return cookie
		}
	}
	return nil
}

func TestOIDC(t *testing.T) {
	l, h := open(t, Config{})
	if page := body(h.do("GET", "/signin?next=/jobs")); !strings.Contains(page, `href="/oidc/start?next=%2Fjobs"`) {
		t.Errorf("the way to the issuer: %s", page)
	}
	back, flow := l.begin("/jobs/5?a=1&b=2")
	if len(flow) != 1 || flow[0].SameSite != http.SameSiteLaxMode || !flow[0].HttpOnly || !flow[0].Secure || flow[0].MaxAge != 600 || !strings.HasPrefix(flow[0].Name, "__Host-vbankbatch-oidc-") {
		t.Errorf("the flow's cookie: %v", flow)
	}
	if l.given.Get("scope") != "openid email profile" || l.given.Get("response_type") != "code" || len(l.given.Get("state")) != 43 || len(l.given.Get("nonce")) != 43 || len(l.given.Get("code_challenge")) != 43 {
		t.Errorf("the issuer was asked %v", l.given)
	}
	got := h.do("GET", back, cookies(flow...), header("Sec-Fetch-Site", "cross-site"))
	session := h.sessionOf(got)
	page := body(got)
	if got.StatusCode != 200 || session == nil || session.SameSite != http.SameSiteStrictMode || !strings.Contains(page, `content="0; url=/jobs/5?a=1&amp;b=2"`) {
		t.Fatalf("%s, %v: %s", got.Status, session, page)
	}
	if got := got.Cookies(); got[0].Name != flow[0].Name || got[0].MaxAge != -1 {
		t.Errorf("the flow's cookie stays: %v", got)
	}
	if got := body(h.do("GET", "/jobs", cookies(session))); !strings.Contains(got, "page of kim@example.com") {
		t.Errorf("the page is %s", got)
	}
	if got := h.do("GET", back, cookies(flow...)); h.sessionOf(got) != nil {
		t.Error("the same answer signed in twice")
	}
	if diff := cmp.Diff([]string{"kim@example.com 192.0.2.1 sign-in", " 192.0.2.1 sign-in-refused"}, h.noted); diff != "" {
		t.Error(diff)
	}
}

// TestOIDCRefused: nobody gets in on a word that does not hold, and nothing is set.
func TestOIDCRefused(t *testing.T) {
	other := newKey()
	claim := func(name string, value any) func(*login) {
		return func(l *login) { l.claims = map[string]any{name: value} }
	}
	query := func(name, value string) func(string) string {
		return func(back string) string {
			path, q, _ := strings.Cut(back, "?")
			values, _ := url.ParseQuery(q)
			values.Set(name, value)
			return path + "?" + values.Encode()
		}
	}
	for _, c := range []struct {
		name   string
		issuer func(*login)
		back   func(string) string
		flow   func([]*http.Cookie)
		status int
		noted  string
	}{
		{name: "the nonce of another sign-in", issuer: claim("nonce", secret()), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "no nonce", issuer: claim("nonce", nil), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "for another client", issuer: claim("aud", "others"), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "of another issuer", issuer: claim("iss", "https://evil.com"), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "expired", issuer: claim("exp", time.Date(2026, 11, 5, 8, 59, 59, 0, time.UTC).Unix()), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "signed by another", issuer: func(l *login) { l.signer = other }, status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "not signed", issuer: func(l *login) {
			l.broken = func(reply map[string]any) {
				reply["id_token"] = base64URL([]byte(`{"alg":"none"}`)) + "." + strings.Split(reply["id_token"].(string), ".")[1] + "."
			}
		}, status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "no ID token", issuer: func(l *login) { l.broken = func(reply map[string]any) { delete(reply, "id_token") } }, status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "an address that is not verified", issuer: claim("email_verified", false), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "not verified, in words", issuer: claim("email_verified", "false"), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "a name of two lines", issuer: claim("email", "kim\nlee"), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "no group of the rules", issuer: claim("groups", []string{"all"}), status: 403, noted: "kim@example.com 192.0.2.1 sign-in-refused"},
		{name: "no groups", issuer: claim("groups", nil), status: 403, noted: "kim@example.com 192.0.2.1 sign-in-refused"},
		{name: "groups of another kind", issuer: claim("groups", map[string]any{"accounting": true}), status: 403, noted: "kim@example.com 192.0.2.1 sign-in-refused"},
		{name: "named like a group", issuer: func(l *login) {
			l.claims = map[string]any{"email": nil, "preferred_username": "accounting", "groups": nil}
		}, status: 403, noted: "accounting 192.0.2.1 sign-in-refused"},
		{name: "another code", back: query("code", "made-up"), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "another issuer answers", back: query("iss", "https://evil.com"), status: 403, noted: " 192.0.2.1 sign-in-refused"},
		{name: "another state", back: query("state", secret()), status: 400},
		{name: "a state that begins alike", back: func(back string) string { return back[:len(back)-1] + "-" }, status: 400},
		{name: "no state", back: query("state", ""), status: 400},
		{name: "the person said no", back: query("error", "access_denied"), status: 403},
		{name: "another browser", flow: func(flow []*http.Cookie) { flow[0].MaxAge = -1 }, status: 400},
		{name: "another verifier", flow: func(flow []*http.Cookie) {
			values, _ := url.ParseQuery(flow[0].Value)
			values.Set("verifier", secret())
			flow[0].Value = values.Encode()
		}, status: 403, noted: " 192.0.2.1 sign-in-refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, h := open(t, Config{})
			if c.issuer != nil {
				c.issuer(l)
			}
			back, flow := l.begin("/")
			if c.back != nil {
				back = c.back(back)
			}
			if c.flow != nil {
				c.flow(flow)
			}
			got := h.do("GET", back, cookies(flow...))
			if got.StatusCode != c.status || h.sessionOf(got) != nil || len(h.store.kept) != 0 {
				t.Errorf("%s, sessions %v: %s", got.Status, h.store.kept, body(got))
			}
			if got := strings.Join(h.noted, ","); got != c.noted {
				t.Errorf("noted %q, want %q", got, c.noted)
			}
		})
	}
}

// TestOIDCNames: who people are, and by which of the claims.
func TestOIDCNames(t *testing.T) {
	everybody := []Rule{{"*", Grant{Viewer, nil}}}
	for _, c := range []struct {
		name   string
		oidc   OIDC
		rules  []Rule
		claims map[string]any
		want   string
	}{
		{"the address", OIDC{}, everybody, nil, "kim@example.com"},
		{"the user's name", OIDC{}, everybody, map[string]any{"email": nil}, "kim"},
		{"the subject", OIDC{}, everybody, map[string]any{"email": nil, "preferred_username": ""}, "u-1"},
		{"an address that cannot be a name", OIDC{}, everybody, map[string]any{"email": "kim\n@example.com"}, ""},
		{"an issuer that does not say whether it is verified", OIDC{}, everybody, map[string]any{"email_verified": nil}, "kim@example.com"},
		{"a rule for a person", OIDC{}, []Rule{{"kim@example.com", Grant{Viewer, nil}}}, nil, "kim@example.com"},
		{"groups in another claim", OIDC{GroupsClaim: "roles"}, []Rule{{"bosses", Grant{Viewer, nil}}}, map[string]any{"roles": []any{1, "bosses"}}, "kim@example.com"},
		{"one group, not in a list", OIDC{}, []Rule{{"bosses", Grant{Viewer, nil}}}, map[string]any{"groups": "bosses"}, "kim@example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, h := open(t, Config{OIDC: &c.oidc, Rules: c.rules})
			l.claims = c.claims
			back, flow := l.begin("/")
			session := h.sessionOf(h.do("GET", back, cookies(flow...)))
			if session == nil {
				if c.want != "" {
					t.Errorf("nobody got in; noted %q", h.noted)
				}
				return
			}
			if got := body(h.do("GET", "/", cookies(session))); !strings.HasSuffix(got, "page of "+c.want) || c.want == "" {
				t.Errorf("%s", got)
			}
		})
	}
}

// TestTwoTabs: a sign-in in one tab does not undo that in another.
func TestTwoTabs(t *testing.T) {
	l, h := open(t, Config{})
	one, first := l.begin("/jobs/1")
	two, second := l.begin("/jobs/2")
	both := cookies(append(first, second...)...)
	for back, want := range map[string]string{one: "url=/jobs/1", two: "url=/jobs/2"} {
		if got := h.do("GET", back, both); h.sessionOf(got) == nil || !strings.Contains(body(got), want) {
			t.Errorf("%s", got.Status)
		}
	}
}

// TestRuleTakenBack: what the rules say of a session counts at each request.
func TestRuleTakenBack(t *testing.T) {
	l, h := open(t, Config{})
	back, flow := l.begin("/")
	signed := cookies(h.sessionOf(h.do("GET", back, cookies(flow...))))
	if got := h.do("GET", "/", signed); got.StatusCode != 200 {
		t.Fatal(got.Status)
	}
	h.c.Rules = []Rule{{"bosses", Grant{Approver, nil}}}
	if got := h.do("GET", "/", signed); got.StatusCode != http.StatusForbidden || !strings.Contains(body(got), `action="/signout"`) {
		t.Errorf("%s", got.Status)
	}
	h.c.OIDC.Issuer = "https://other.example.com"
	if got := h.do("GET", "/", signed); got.StatusCode != http.StatusSeeOther {
		t.Errorf("a session of another issuer: %s", got.Status)
	}
}

// TestIssuerDown: the server starts without its issuer, says so, and asks it again.
func TestIssuerDown(t *testing.T) {
	l, h := open(t, Config{})
	l.down = true
	got := h.do("GET", "/oidc/start?next=/jobs")
	if page := body(got); got.StatusCode != http.StatusServiceUnavailable || len(got.Cookies()) != 0 || !strings.Contains(page, "does not answer") || !strings.Contains(page, "next=%2Fjobs") {
		t.Errorf("%s: %s", got.Status, page)
	}
	l.down = false
	back, flow := l.begin("/jobs")
	l.Close()
	if got := h.do("GET", back, cookies(flow...)); got.StatusCode != http.StatusServiceUnavailable || len(h.noted) != 0 {
		t.Errorf("%s, noted %q", got.Status, h.noted)
	}
}

// TestSignInNoted: nobody is refused or signed in without an entry in the trail.
func TestSignInNoted(t *testing.T) {
	for _, groups := range []any{nil, "accounting"} {
		l, h := open(t, Config{})
		l.claims = map[string]any{"groups": groups}
		back, flow := l.begin("/")
		h.deaf = errors.New("down")
		if got := h.do("GET", back, cookies(flow...)); got.StatusCode != http.StatusServiceUnavailable || len(h.store.kept) != 0 {
			t.Errorf("%s", got.Status)
		}
	}
}
