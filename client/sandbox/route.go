package sandbox

import (
	"net/http"
	"net/url"
	"strings"
)

// route is one endpoint, and the segments of its path.
type route struct {
	method, pattern string
	segments        []string
	serve           http.HandlerFunc
}

func (s *Sandbox) endpoints() []route {
	var routes []route
	add := func(pattern string, serve http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		routes = append(routes, route{method, pattern, strings.Split(path, "/"), serve})
	}
	add("POST /vbanks", s.api(write, s.issue))
	add("PUT /vbanks/{imp_uid}", s.api(write, s.update))
	add("DELETE /vbanks/{imp_uid}", s.api(write, s.revoke))
	add("GET /payments", s.api(lookMany, s.getPayments))
	add("GET /payments/{imp_uid}", s.api(look, s.getPayment))
	add("GET /payments/find/{merchant_uid}", s.api(look, s.find))
	add("GET /payments/find/{merchant_uid}/{status}", s.api(look, s.find))
	add("GET /payments/findAll/{merchant_uid}", s.api(lookPages, s.findAll))
	add("GET /payments/findAll/{merchant_uid}/{status}", s.api(lookPages, s.findAll))
	add("GET /users/pg", s.api(look, s.getChannels))
	add("POST /users/getToken", s.api(authenticate, s.getToken))
	add("GET /_sandbox/accounts", s.serveAccounts)
	add("GET /_sandbox/requests", s.serveRequests)
	add("GET /_sandbox/replies", s.serveReplies)
	add("POST /_sandbox/pay/{imp_uid}", s.servePay)
	return routes
}

// serve finds the endpoint and answers. No http.ServeMux, since that one does not take an order whose id is "/".
func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i := range s.routes {
		if route := &s.routes[i]; route.method == r.Method && route.match(r, segments) {
			r.Pattern = route.pattern
			route.serve(w, r)
			return
		}
	}
	page(http.StatusNotFound).send(w)
}

// match compares the escaped segments of a path with the route's and notes the values of those in braces.
func (route *route) match(r *http.Request, segments []string) bool {
	if len(segments) != len(route.segments) {
		return false
	}
	for i, want := range route.segments {
		if !strings.HasPrefix(want, "{") {
			if segments[i] != want {
				return false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return false
		}
		r.SetPathValue(strings.Trim(want, "{}"), value)
	}
	return true
}
