package access

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"vbankbatch/client"
	"vbankbatch/client/say"
)

// OIDC is an issuer of OpenID Connect where people sign in: by code, with PKCE. It sends them back to /oidc/callback.
type OIDC struct {
	Issuer, ClientID, ClientSecret string
	GroupsClaim                    string // "" is groups
}

func (o *OIDC) check() error {
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && client.Loopback(o.Issuer)) {
		return say.Errorf("%q is not the address of an issuer, such as https://login.example.com", o.Issuer)
	}
	if o.ClientID == "" {
		return say.New("the issuer's name for this client (client ID) is not given")
	}
	return nil
}

// host is the issuer's, which people know it by.
func (o *OIDC) host() string {
	u, _ := url.Parse(o.Issuer) // check has
	return u.Host
}

// issuer is what an issuer says of itself, once it has been asked.
type issuer struct {
	mu       sync.Mutex
	provider *oidc.Provider
}

// toIssuer is for all requests to it.
var toIssuer = &http.Client{Timeout: 10 * time.Second}

// oidc returns what is needed to sign in with the issuer. It is asked about itself until it has answered once.
func (g *Gate) oidc(ctx context.Context) (*oauth2.Config, *oidc.IDTokenVerifier, error) {
	g.issuer.mu.Lock()
	provider := g.issuer.provider
	g.issuer.mu.Unlock()
	o := g.c.OIDC
	if provider == nil {
		var err error
		if provider, err = oidc.NewProvider(ctx, o.Issuer); err != nil {
			return nil, nil, err
		}
		g.issuer.mu.Lock()
		g.issuer.provider = provider
		g.issuer.mu.Unlock()
	}
	return &oauth2.Config{ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: provider.Endpoint(), RedirectURL: g.c.URL + "/oidc/callback",
		Scopes: []string{oidc.ScopeOpenID, "email", "profile"}}, provider.Verifier(&oidc.Config{ClientID: o.ClientID, Now: g.c.Now}), nil
}

// A flow is a sign-in under way: state, nonce, verifier and next. It stands in a cookie of the browser that began it: one
// for each, since several tabs may.
const flowLife = 10 * time.Minute

// flowCookie is the name of a flow's cookie.
func (g *Gate) flowCookie(state string) string { return g.flow + state[:min(8, len(state))] }

func (g *Gate) start(w http.ResponseWriter, r *http.Request) {
	next := local(r.URL.Query().Get("next"))
	conf, _, err := g.oidc(oidc.ClientContext(r.Context(), toIssuer))
	if err != nil {
		g.silent(w, r, next, err)
		return
	}
	state, nonce, verifier := secret(), secret(), oauth2.GenerateVerifier()
	flow := url.Values{"state": {state}, "nonce": {nonce}, "verifier": {verifier}, "next": {next}}
	g.setCookie(w, g.flowCookie(state), flow.Encode(), http.SameSiteLaxMode, flowLife)
	seeOther(w, conf.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
}

// silent tells of an issuer that does not answer as it should.
func (g *Gate) silent(w http.ResponseWriter, r *http.Request, next string, err error) {
	g.c.Log.Warn("the issuer is not to be had", "issuer", g.c.OIDC.Issuer, "error", err)
	g.ways(w, r, http.StatusServiceUnavailable, next, Language(r).Sprintf("%s does not answer as it should. Try again later.", g.c.OIDC.host()))
}

// begun finds the flow that an answer of the issuer belongs to; nil without one.
func (g *Gate) begun(r *http.Request, state string) url.Values {
	cookie, err := r.Cookie(g.flowCookie(state))
	if err != nil {
		return nil
	}
	flow, err := url.ParseQuery(cookie.Value)
	if err != nil || state == "" || !same(flow.Get("state"), state) {
		return nil
	}
	return flow
}

// same compares secrets.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (g *Gate) callback(w http.ResponseWriter, r *http.Request) {
	l, answer := Language(r), r.URL.Query()
	state := answer.Get("state")
	flow := g.begun(r, state)
	if flow == nil {
		g.ways(w, r, http.StatusBadRequest, "/", l.Text("This sign-in is over, or another browser began it."))
		return
	}
	g.setCookie(w, g.flowCookie(state), "", http.SameSiteLaxMode, 0)
	next := local(flow.Get("next"))
	if answer.Get("error") != "" {
		g.ways(w, r, http.StatusForbidden, next, l.Sprintf("%s did not sign you in.", g.c.OIDC.host()))
		return
	}
	ctx := oidc.ClientContext(r.Context(), toIssuer)
	conf, verifier, err := g.oidc(ctx)
	if err != nil {
		g.silent(w, r, next, err)
		return
	}
	token, err := conf.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(flow.Get("verifier")))
	refused, told := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case told: // its text may hold anything
		err = errors.New("oauth2: " + cmp.Or(refused.ErrorCode, refused.Response.Status))
	case err != nil:
		g.silent(w, r, next, err)
		return
	}
	var s session
	if err == nil {
		s, err = g.identify(ctx, verifier, token, answer.Get("iss"), flow.Get("nonce"))
	}
	if err != nil {
		g.c.Log.Warn("a sign-in was refused", "error", err)
		g.refuse(w, r, "", NotedRefused, view{Title: l.Text("You are not signed in"), Text: l.Sprintf("What %s said of you could not be confirmed. If it happens again, tell whoever runs this server.", g.c.OIDC.host()),
			Href: signInAt(next), Link: l.Text("Sign in")})
		return
	}
	if len(grants(g.c.Rules, s.Name, s.Groups, true)) == 0 {
		g.lacking(w, r, s.Name)
		return
	}
	if err := g.begin(w, r, s); err != nil {
		g.down(w, r, err)
		return
	}
	g.goOn(w, r, next) // a redirect would still come from the issuer, and the browser keep the new cookie back
}

// The errors of identify are for the log.
var (
	errNoToken    = say.New("the issuer gave no ID token")
	errNonce      = say.New("the ID token is for another sign-in")
	errOther      = say.New("the answer is another issuer's")
	errNoName     = say.New("the ID token has no name that can be used")
	errUnverified = say.New("the issuer has not verified the address of the person")
)

// identify returns who signed in, if all of what the issuer said holds.
func (g *Gate) identify(ctx context.Context, verifier *oidc.IDTokenVerifier, token *oauth2.Token, iss, nonce string) (s session, err error) {
	if iss != "" && iss != g.c.OIDC.Issuer { // RFC 9207
		return s, errOther
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return s, errNoToken
	}
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return s, err
	}
	if !same(id.Nonce, nonce) {
		return s, errNonce
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return s, err
	}
	s.By = g.c.OIDC.Issuer
	switch groups := claims[cmp.Or(g.c.OIDC.GroupsClaim, "groups")].(type) {
	case string:
		s.Groups = []string{groups}
	case []any:
		for _, group := range groups {
			if group, ok := group.(string); ok {
				s.Groups = append(s.Groups, group)
			}
		}
	}
	for _, claim := range []string{"email", "preferred_username", "sub"} {
		name, _ := claims[claim].(string)
		if name == "" {
			continue
		}
		if verified := claims["email_verified"]; claim == "email" && (verified == false || verified == "false") {
			return s, errUnverified
		}
		if s.Name = nameOf(name); s.Name != "" {
			return s, nil
		}
		break
	}
	return s, errNoName
}
