package sandbox

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	json "github.com/go-json-experiment/json/v1" // faster than encoding/json
)

// endpoint is one of the API's, or of the sandbox's own.
type endpoint struct {
	pattern string // method and path
	kind    kind
	answer  func(*Sandbox, *request) reply
}

var endpoints = []endpoint{
	{"POST /vbanks", write, (*Sandbox).issue},
	{"PUT /vbanks/{imp_uid}", write, (*Sandbox).update},
	{"DELETE /vbanks/{imp_uid}", write, (*Sandbox).revoke},
	{"GET /payments", lookMany, (*Sandbox).getPayments},
	{"GET /payments/{imp_uid}", look, (*Sandbox).getPayment},
	{"GET /payments/find/{merchant_uid}", look, (*Sandbox).find},
	{"GET /payments/find/{merchant_uid}/{status}", look, (*Sandbox).find},
	{"GET /payments/findAll/{merchant_uid}", lookPages, (*Sandbox).findAll},
	{"GET /payments/findAll/{merchant_uid}/{status}", lookPages, (*Sandbox).findAll},
	{"GET /users/pg", look, (*Sandbox).getChannels},
	{"POST /users/getToken", authenticate, (*Sandbox).getToken},
	{"GET /_sandbox/accounts", own, (*Sandbox).getAccounts},
	{"GET /_sandbox/requests", own, func(s *Sandbox, _ *request) reply { return plain(s.Requests()) }},
	{"GET /_sandbox/replies", own, func(s *Sandbox, _ *request) reply { return plain(s.Replies()) }},
	{"POST /_sandbox/pay/{imp_uid}", own, (*Sandbox).payIn},
}

// serve finds the endpoint and answers. No http.ServeMux, since that one does not take an order whose id is "/".
func (s *Sandbox) serve(r *http.Request) reply {
	segments := strings.Split(r.Method+" "+r.URL.EscapedPath(), "/")
	for i := range endpoints {
		if e := &endpoints[i]; match(e.pattern, segments, r) {
			r.Pattern = e.pattern
			return s.guard(e, r)
		}
	}
	return page(http.StatusNotFound)
}

// match compares an escaped path with a pattern, segment by segment, and notes the values of those in braces.
func match(pattern string, segments []string, r *http.Request) bool {
	if strings.Count(pattern, "/") != len(segments)-1 {
		return false
	}
	i := 0
	for want := range strings.SplitSeq(pattern, "/") {
		if strings.HasPrefix(want, "{") {
			value, err := url.PathUnescape(segments[i])
			if err != nil || value == "" {
				return false
			}
			r.SetPathValue(strings.Trim(want, "{}"), value)
		} else if segments[i] != want {
			return false
		}
		i++
	}
	return true
}

// guard is what stands before all endpoints but the sandbox's own: the limit, the token and the faults.
func (s *Sandbox) guard(e *endpoint, r *http.Request) reply {
	q, malformed := read(r)
	if e.kind == own {
		return e.answer(s, q)
	}
	var out reply
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !s.admits(e.pattern):
		out = tooMany("1")
	case e.kind != authenticate && !s.authorized(token):
		out = unauthorized
	default:
		q.fault = s.draw(e.kind, r, q.id())
		out = s.misbehave(r.Context(), q.fault, token, func() reply {
			if malformed != nil {
				return failure(malformed)
			}
			return e.answer(s, q)
		})
	}
	if !out.lost {
		s.count(e.pattern, out.status)
	}
	return out
}

func (s *Sandbox) authorized(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return token != "" && token == s.token && s.config.Clock().Before(s.tokenUntil)
}

func (s *Sandbox) dropToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}

// getToken hands out the token that lives, prolonged when it is about to end, or a new one: POST /users/getToken.
func (s *Sandbox) getToken(q *request) reply {
	key, secret := q.fields["imp_key"], q.fields["imp_secret"]
	if key == "" || secret == "" {
		return failure(invalid("imp_key, imp_secret 파라메터가 누락되었습니다."))
	}
	if (s.config.Key != "" || s.config.Secret != "") && (key != s.config.Key || secret != s.config.Secret) {
		return problem(http.StatusUnauthorized, -1, "인증에 실패하였습니다. API키와 secret을 확인하세요.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Clock()
	switch left := s.tokenUntil.Sub(now); {
	case s.token == "" || left <= 0:
		value := make([]byte, 20)
		rand.Read(value) // never fails
		s.token, s.tokenUntil = hex.EncodeToString(value), now.Add(s.config.TokenLife)
	case left < time.Minute:
		s.tokenUntil = s.tokenUntil.Add(5 * time.Minute)
	}
	return ok(fmt.Appendf(nil, `{"access_token":%q,"now":%d,"expired_at":%d}`, s.token, now.Unix(), s.tokenUntil.Unix()))
}

// request is what a request asks for, read whole before anything is decided about it.
type request struct {
	impUID, merchantUID, status string // from the path
	tier                        string // of the Tier header
	query                       url.Values
	fields                      map[string]string // of the body, as scalar has them
	fault                       drawn             // look-ups tell their own lies
}

const maxBody = 1 << 20 // bytes

func read(r *http.Request) (*request, error) {
	q := &request{impUID: r.PathValue("imp_uid"), merchantUID: r.PathValue("merchant_uid"), status: r.PathValue("status"),
		tier: r.Header.Get("Tier"), fields: make(map[string]string)}
	if r.URL.RawQuery != "" {
		q.query = r.URL.Query()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return q, invalid("요청 본문을 읽을 수 없습니다.")
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return q, invalid("요청 본문이 올바른 form 형식이 아닙니다.")
		}
		for name := range values {
			q.fields[name] = values.Get(name)
		}
	} else if len(bytes.TrimSpace(body)) > 0 {
		var values map[string]jsontext.Value
		if err := json.Unmarshal(body, &values); err != nil {
			return q, invalid("요청 본문이 올바른 JSON 형식이 아닙니다.")
		}
		for name, value := range values {
			q.fields[name] = scalar(value)
		}
	}
	return q, nil
}

// scalar is the text of a JSON value: that of a string, "" for null, and for all else the JSON itself.
func scalar(raw jsontext.Value) string {
	switch raw.Kind() {
	case 'n':
		return ""
	case '"':
		text, _ := jsontext.AppendUnquote(nil, raw) // with U+FFFD in place of what is not UTF-8
		return string(text)
	}
	raw.Compact() // has no error, as raw was parsed before
	return string(raw)
}

// whole is a text as a whole number; 1000.0 is one too.
func whole(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	n := int64(f)
	return n, err == nil && f > -1<<53 && f < 1<<53 && float64(n) == f
}

// id is what the request is about, by which its faults are drawn.
func (q *request) id() string {
	return cmp.Or(q.impUID, q.merchantUID, q.fields["merchant_uid"], q.query.Get("merchant_uid[]"), q.query.Get("imp_uid[]"))
}
