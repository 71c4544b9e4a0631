package access

import (
	"maps"
	"net/http"
	"net/url"
	"time"
)

// linkLife is how long a one-time link is good.
const linkLife = 10 * time.Minute

// Link returns a new one-time link, or "" where people get in by other ways. It is good for 10 minutes, once.
func (g *Gate) Link() string {
	if !g.c.Link {
		return ""
	}
	once, now := secret(), g.c.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.links, func(_ string, ends time.Time) bool { return !now.Before(ends) })
	g.links[hash(once)] = now.Add(linkLife)
	return g.c.URL + "/enter?once=" + once
}

// offer shows a button to one who opens the link. A program that looks at links before people do presses none.
func (g *Gate) offer(w http.ResponseWriter, r *http.Request) {
	once := r.URL.Query().Get("once")
	g.mu.Lock()
	ends := g.links[hash(once)]
	g.mu.Unlock()
	if !g.c.Now().Before(ends) {
		g.spent(w, r)
		return
	}
	l := Language(r)
	g.show(w, r, http.StatusOK, view{Title: l.Text("Virtual accounts"), Text: l.Text("This link is good for one browser, once."), Action: "/enter", Once: once, Button: l.Text("Go in")})
}

// enter takes the link.
func (g *Gate) enter(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	key := hash(r.PostFormValue("once"))
	g.mu.Lock()
	ends := g.links[key]
	delete(g.links, key)
	g.mu.Unlock()
	if !g.c.Now().Before(ends) {
		g.spent(w, r)
		return
	}
	if err := g.begin(w, r, session{Name: g.owner(), By: byLink}); err != nil {
		g.mu.Lock()
		g.links[key] = ends
		g.mu.Unlock()
		g.down(w, r, err)
		return
	}
	seeOther(w, "/")
}

func (g *Gate) spent(w http.ResponseWriter, r *http.Request) {
	l := Language(r)
	g.show(w, r, http.StatusForbidden, view{Title: l.Text("This link is no longer good"), Text: l.Text(anotherLink)})
}

const anotherLink = "A link is good for one browser, once, within 10 minutes. Whoever started vbankbatch serve gets another by starting it again, or by sending it SIGHUP."

// unknown answers one whom nobody knows: by the way to sign in, and back to the same page.
func (g *Gate) unknown(w http.ResponseWriter, r *http.Request) {
	next := local(r.URL.RequestURI())
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		_, err := r.Cookie(g.cookie)
		if site := r.Header.Get("Sec-Fetch-Site"); err != nil && (site == "cross-site" || site == "same-site") {
			g.goOn(w, r, next) // a link in a mail: the browser keeps the session's cookie back until it comes from here
			return
		}
		seeOther(w, signInAt(next))
		return
	}
	next = "/"
	if from, err := url.Parse(r.Referer()); err == nil && g.host(from.Host) == g.host(r.Host) {
		next = local(from.RequestURI())
	}
	l := Language(r)
	g.show(w, r, http.StatusUnauthorized, view{Title: l.Text("Your session has ended"), Text: l.Text("Nothing was changed. Sign in, and do it again."), Href: signInAt(next), Link: l.Text("Sign in")})
}

func signInAt(next string) string { return "/signin?next=" + url.QueryEscape(next) }

func seeOther(w http.ResponseWriter, path string) {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

// goOn shows a page that goes on by itself: what comes from a page of this site has the session's cookie with it.
func (g *Gate) goOn(w http.ResponseWriter, r *http.Request, next string) {
	l := Language(r)
	g.show(w, r, http.StatusOK, view{Title: l.Text("Virtual accounts"), Next: next, Href: next, Link: l.Text("Go on")})
}

func (g *Gate) signIn(w http.ResponseWriter, r *http.Request) {
	next := local(r.URL.Query().Get("next"))
	person, err := g.person(r)
	switch {
	case err != nil:
		g.down(w, r, err)
	case person != nil:
		seeOther(w, next)
	default:
		g.ways(w, r, http.StatusOK, next, "")
	}
}

// ways shows the ways to sign in, with what was wrong.
func (g *Gate) ways(w http.ResponseWriter, r *http.Request, status int, next, warning string) {
	l := Language(r)
	v := view{Title: l.Text("Sign in"), Warning: warning}
	switch {
	case g.c.OIDC != nil:
		v.Href, v.Link = "/oidc/start?next="+url.QueryEscape(next), l.Sprintf("Sign in with %s", g.c.OIDC.host())
	case g.c.Link:
		v.Text = l.Text("Open the link that vbankbatch serve printed when it was started.") + " " + l.Text(anotherLink)
	default:
		v.Text = l.Text("You get to these pages through the proxy where you sign in. Ask whoever runs it for its address.")
	}
	g.show(w, r, status, v)
}

func (g *Gate) signOut(w http.ResponseWriter, r *http.Request) {
	l := Language(r)
	if g.proxied(r) != "" {
		g.show(w, r, http.StatusOK, view{Title: l.Text("Still signed in"), Text: l.Text("You are signed in at the proxy. Sign out there.")})
		return
	}
	person, err := g.resume(r)
	if err == nil && person != nil {
		err = g.c.Note(r.Context(), person.Name, Address(r), NotedSignOut)
	}
	if cookie, none := r.Cookie(g.cookie); none == nil && err == nil && g.c.Sessions != nil {
		err = g.c.Sessions.DropSession(r.Context(), hash(cookie.Value))
	}
	if err != nil {
		g.down(w, r, err)
		return
	}
	g.setCookie(w, g.cookie, "", http.SameSiteStrictMode, 0)
	g.show(w, r, http.StatusOK, view{Title: l.Text("You have signed out"), Href: "/signin", Link: l.Text("Sign in")})
}
