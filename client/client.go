// Package client speaks the PortOne V1 REST API (once i'mport): virtual bank accounts are issued, updated and
// revoked, and payments looked up. Start with [New], then [Client.Issue].
//
// It promises that an issue is written to the network at most once for each call, except where the server surely has
// not acted on the earlier attempt: nothing of it was written, or the server refused it with 401 or 429 and, asked, has
// no account of the order. Each error says whether the server can have acted ([InDoubt]). It takes one turn of the rate
// limiter for every HTTP attempt, token requests and retries included. It keeps no record of what was issued: never
// issuing twice across calls is the caller's business, with [Client.FindAll] to ask.
//
// With a [Gate] nothing is written while it is closed. On Linux the kernel too drops what was written and is not
// acknowledged within Config.Timeout, even if the process is stopped. What proxies and the API's own gateways hold back is
// beyond both.
//
// A Client is safe for concurrent use.
package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	json "github.com/go-json-experiment/json/v1" // what encoding/json is to become: it goes over a reply once, not twice

	"vbankbatch/client/say"
)

// DefaultURL is the live API.
const DefaultURL = "https://api.iamport.kr"

// maxReply is the largest reply body read, in bytes; a page of 1,000 payments is about 2 MB.
const maxReply = 8 << 20

// Retries of what is safe to send again. A lost issue is not.
const (
	maxRenewals  = 2 // of a token that is refused; another caller's 401 may have cost the first
	maxAttempts  = 4 // while others are answered; see Config.Patience
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// Secret is text that must not be printed: it formats as "[secret]".
type Secret string

// String hides the secret from every fmt verb for text.
func (Secret) String() string { return "[secret]" }

// GoString hides it from %#v.
func (Secret) GoString() string { return "[secret]" }

// Config is what a Client needs to know.
type Config struct {
	BaseURL string        // "" means DefaultURL; plain http only to a loopback address
	Key     Secret        // imp_key
	Secret  Secret        // imp_secret
	Rate    float64       // HTTP attempts a second, all endpoints together; 0 means no limit
	Workers int           // HTTP attempts at once, and connections kept alive; callers beyond that wait
	Timeout time.Duration // one HTTP attempt, from dialling to the last byte; 0 means 60 s

	// Patience is how long a call is repeated whose attempts surely had no effect, while the API cannot be reached,
	// answers nobody or says 429. With 0 it is given up after four attempts.
	Patience time.Duration
	Gate     Gate              // asked before anything is written; nil is always open
	Learnt   Learnt            // by another client of the same key, as its method Learnt told
	Log      *slog.Logger      // one event for each attempt, at debug level, and those of outages; nil means none
	Outage   slog.Level        // of the events that the API is down, and that it answers again
	Through  http.RoundTripper // in place of the network, for tests; nil means the network
}

// Client calls the API. Make one with New.
type Client struct {
	config   Config
	http     *http.Client
	pace     *pace
	tokens   tokens
	requests atomic.Int64
	measured measuring
	dated    atomic.Pointer[dated]
}

// New checks the configuration and returns a Client. Nothing is sent until the first call.
func New(config Config) (*Client, error) {
	var err error
	if config.BaseURL, err = Address(config.BaseURL); err != nil {
		return nil, err
	}
	config.Workers = max(config.Workers, 1)
	config.Timeout = cmp.Or(max(config.Timeout, 0), time.Minute)
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	return &Client{
		config: config,
		http: &http.Client{
			Transport: cmp.Or[http.RoundTripper](config.Through, transport(config)),
			// A redirect may send a POST again (307, 308): it is a reply like any other, and a malformed one.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		pace:   newPace(config),
		tokens: tokens{turn: make(chan struct{}, 1)},
	}, nil
}

// Address returns the one spelling of an API's address: lower case, without the scheme's own port or a slash at the
// end; "" is DefaultURL. It refuses what would carry credentials in the clear, or is no base of an API.
func Address(base string) (string, error) {
	u, err := url.Parse(cmp.Or(base, DefaultURL))
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", say.New("the API's address must look like https://api.iamport.kr")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", say.New("the API's address must hold no user, query or fragment")
	}
	if u.Scheme == "http" && !Loopback(base) {
		return "", say.New("plain http would send the credentials in the clear: use https (http is for loopback addresses only)")
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme + "://" + host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// Loopback reports whether the address of an API is on this machine.
func Loopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// Proxy is the proxy by which requests to an address go, as HTTPS_PROXY and NO_PROXY say, "" without one: its host alone, since
// what stands before it may be a password.
func Proxy(address string) (host string, err error) {
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return "", say.New("the API's address must look like https://api.iamport.kr")
	}
	proxy, err := http.ProxyFromEnvironment(request)
	if err != nil {
		return "", say.New("HTTPS_PROXY or HTTP_PROXY holds no address of a proxy")
	}
	if proxy == nil {
		return "", nil
	}
	return proxy.Host, nil
}

// transport keeps one connection alive for each worker. HTTP/1.1 only: what HTTP/2 sends again by itself is harder to know.
func transport(config Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           config.dial, // of a proxy too, and beneath TLS
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConns:          config.Workers,
		MaxIdleConnsPerHost:   config.Workers,
		MaxConnsPerHost:       config.Workers,
		IdleConnTimeout:       20 * time.Second,
		ExpectContinueTimeout: time.Second,
		Protocols:             protocols,
	}
}

// dial makes a connection that, once it is closed or its process dead, sends no more: a request that was given up must
// not arrive later. Without that the kernel goes on retransmitting what was written to a path that was dead.
func (c Config) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: DropAfter(c.Timeout)}
	conn, err := dialer.DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	if c.Gate == nil || err != nil {
		return conn, err
	}
	return &gatedConn{Conn: conn, gate: c.Gate}, nil
}

// Close lets the idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// SetRate changes Config.Rate while the client is at work.
func (c *Client) SetRate(perSecond float64) { c.pace.setTop(perSecond) }

// Limits returns what was found out about the server's limits so far.
func (c *Client) Limits() LimitStats { return c.pace.stats() }

// Learnt returns what a client that takes over needs to know, for its Config.
func (c *Client) Learnt() Learnt { return c.pace.learnt() }

// Requests returns how many HTTP attempts were made so far, of every kind.
func (c *Client) Requests() int64 { return c.requests.Load() }

// call is one API call as the attempt loop needs it.
type call struct {
	op    string // method and path without ids, for errors and logs
	path  string // with ids; "" is the one in op
	tier  string // of the Tier header; "" sends none
	query url.Values
	body  any  // marshalled as JSON when not nil
	again bool // was sent before
	bare  bool // without a token: the call that gets one

	// refuted asks, before a call that acts is sent again, whether the attempt that was refused has acted all the same.
	refuted func(context.Context) *Error
	status  *int // where to put the HTTP status of the reply that was decoded; may be nil
}

func (k *call) method() string {
	method, _, _ := strings.Cut(k.op, " ")
	return method
}

// look reports whether the call only looks: it may be repeated, and broken off, at any time.
func (k *call) look() bool { return k.bare || k.method() == http.MethodGet }

// do makes the call and decodes the envelope's response into reply. It repeats what surely had no effect and
// what only looks; a call that may have acted is returned as it is, in doubt.
func (c *Client) do(ctx context.Context, k call, reply any) error {
	var body []byte
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body); err != nil {
			return &Error{Op: k.op, Kind: Stopped, Err: say.Errorf("the request cannot be written as JSON: %w", err)}
		}
	}
	var renewed renewals
	answered := false     // an attempt was refused in a way that lets it be sent again
	var failing time.Time // since when; a long wait for its turn before that is nobody's failure
	for attempt := 1; ; attempt++ {
		if answered && k.refuted != nil {
			if fault := k.refuted(ctx); fault != nil {
				return fault
			}
		}
		token := ""
		if !k.bare {
			var err error
			if token, err = c.token(ctx); err != nil {
				return err
			}
		}
		fault, sent := c.attempt(ctx, k, token, body, reply)
		unauthorized := fault != nil && fault.Kind == Unauthorized && !k.bare
		switch {
		case fault.held() && (!sent || repeatable(&k, fault)):
			sleep(ctx, backoff(attempt)) // a gate may waver
			continue                     // once it is open again
		case !sent && fault.silence():
			beforeSending(fault)
		case !sent && unauthorized:
			c.tokens.drop(token)
			continue // the API is back, and has forgotten the token
		case !sent && (fault == nil || fault.Kind != Stopped && fault.Kind != RateLimited):
			continue // the API is back
		case fault == nil:
			return nil
		}
		k.again = k.again || sent
		answered = answered || unauthorized || fault.Kind == RateLimited
		if !unauthorized {
			renewed = renewals{} // what the token was before an outage says nothing of it afterwards
		} else if renewed.another(c.tokens.drop(token)) {
			continue
		}
		if failing.IsZero() {
			failing = time.Now()
		}
		if !repeatable(&k, fault) || !c.persist(ctx, attempt, failing, fault) {
			return fault
		}
	}
}

// renewals are the refusals of a call's token in a row, and how many of those tokens were fresh.
type renewals struct{ refused, fresh int }

// another counts a refusal and reports whether to try with a fresh token, which may be the same one: the API says so. A
// token that is not current, since another caller has replaced it already, does not count.
func (r *renewals) another(current bool) bool {
	if r.refused++; r.refused >= 2*maxAttempts {
		return false
	}
	if current {
		r.fresh++
	}
	return !current || r.fresh <= maxRenewals
}

// persist waits until a call that has failed for a while may be sent again, and reports false if it is to be given up.
func (c *Client) persist(ctx context.Context, attempt int, failing time.Time, fault *Error) bool {
	if down := c.pace.downSince(); !down.IsZero() {
		fault.Down, fault.Since, failing = true, down, down
	}
	lasting := fault.Down || !fault.InDoubt() // a look-up alone that fails while others are answered gets four tries
	left := c.config.Patience - time.Since(failing)
	if attempt >= maxAttempts && (left <= 0 || !lasting) || c.config.Patience > 0 && fault.RetryAfter > left {
		return false
	}
	if fault.Kind == RateLimited {
		return true // the pace has paused everybody
	}
	if fault.Kind == NoReply {
		c.http.CloseIdleConnections() // whatever has forgotten this connection may have forgotten the others too
	}
	return sleep(ctx, backoff(attempt)) == nil
}

// probe is asked while the API is down: it changes nothing, and any answer will do.
var probe = call{op: opChannels}

// repeatable reports whether the same call may be sent again without asking.
func repeatable(k *call, fault *Error) bool {
	switch fault.Kind {
	case NotConnected, NotWritten, Redirected, RateLimited:
		return true
	case NoReply, ServerError:
		return k.look()
	case Malformed:
		return k.look() && !fault.Acted
	}
	return false
}

// backoff is exponential with full jitter.
func backoff(attempt int) time.Duration {
	return rand.N(min(firstBackoff<<min(attempt, 10), maxBackoff))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// attempt sends the call once, or, if it acts and the API answers nobody, something harmless in its place: then sent is
// false. The end of ctx stops it while it waits for its turn; once it is on its way, only a call that looks is broken off.
func (c *Client) attempt(ctx context.Context, k call, token string, body []byte, reply any) (fault *Error, sent bool) {
	if c.config.Gate != nil {
		if err := c.config.Gate.Wait(ctx); err != nil {
			return &Error{Op: k.op, Kind: Stopped, Err: err}, true
		}
	}
	asked := time.Now()
	if err := c.pace.enter(ctx); err != nil {
		return &Error{Op: k.op, Kind: Stopped, Err: err}, true
	}
	if sent = k.look() || c.pace.downSince().IsZero(); !sent {
		k, body, reply = probe, nil, new(json.RawMessage)
	}
	began := time.Now()
	defer func() {
		switch c.pace.leave(began, fault) {
		case wentDown:
			c.config.Log.LogAttrs(ctx, c.config.Outage, "the API does not answer; trying again", append(fault.attributes(k, time.Since(began)),
				slog.Duration("patience", c.config.Patience), slog.Any("error", fault.Err))...)
		case isBack:
			c.config.Log.LogAttrs(ctx, c.config.Outage, "the API answers again")
		}
	}()
	sending := ctx
	if !k.look() {
		sending = context.WithoutCancel(ctx)
	}
	sending, cancel := context.WithTimeout(sending, c.config.Timeout)
	defer cancel()

	seen := new(wire)
	sending = httptrace.WithClientTrace(sending, seen.trace(c.config.Gate != nil))
	request, err := c.build(sending, k, token, body)
	if err != nil {
		return &Error{Op: k.op, Kind: Stopped, Err: err}, sent
	}
	c.requests.Add(1)
	fault = c.exchange(k, request, seen, reply)
	c.measured.add(&k, began.Sub(asked), began, fault)
	if c.config.Log.Enabled(ctx, slog.LevelDebug) {
		c.config.Log.LogAttrs(ctx, slog.LevelDebug, "request", fault.attributes(k, time.Since(began))...)
	}
	return fault, sent
}

// buffers hold the texts of replies.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// exchange sends the request and reads the reply.
func (c *Client) exchange(k call, request *http.Request, seen *wire, reply any) *Error {
	response, err := c.http.Do(request)
	if err != nil {
		cause, written := seen.failed(err)
		fault := unanswered(k, cause, written)
		if k.look() && errors.Is(err, context.Canceled) {
			fault.Kind = Stopped // broken off by the caller; nothing was changed
		}
		return fault
	}
	defer response.Body.Close()
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil && k.bare {
		c.dated.Store(&dated{date, time.Now()})
	}
	text := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(text) // what is decoded holds none of its bytes
	text.Reset()
	if n := response.ContentLength; n > 0 && n <= maxReply {
		text.Grow(int(n) + bytes.MinRead) // so much that ReadFrom need not grow it
	}
	_, err = text.ReadFrom(io.LimitReader(response.Body, maxReply+1))
	if k.status != nil {
		*k.status = response.StatusCode
	}
	return classify(k, response, text.Bytes(), err, reply)
}

// attributes tell of an attempt without its URL, its body or the API's words, which may name people; e is nil for one
// that succeeded.
func (e *Error) attributes(k call, took time.Duration) []slog.Attr {
	attributes := []slog.Attr{slog.String("op", k.op), slog.Duration("took", took)}
	if e != nil {
		attributes = append(attributes, slog.String("kind", string(e.Kind)), slog.Int("status", e.Status), slog.Int("code", e.Code))
	}
	return attributes
}

func (c *Client) build(ctx context.Context, k call, token string, body []byte) (*http.Request, error) {
	path := k.path
	if path == "" {
		_, path, _ = strings.Cut(k.op, " ")
	}
	address := c.config.BaseURL + path
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, k.method(), address, reader)
	if err != nil {
		return nil, say.New("the request's address is malformed") // err would print the query
	}
	if !k.look() {
		request.GetBody = nil // net/http must have no means to send it again by itself
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "vbankbatch")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if k.tier != "" && !k.bare {
		request.Header.Set("Tier", k.tier)
	}
	return request, nil
}

// unanswered sorts an attempt that got no reply by whether its headers were written.
func unanswered(k call, err error, written bool) *Error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // url.Error prints the whole address, pg_api_key included
	}
	fault := &Error{Op: k.op, Kind: NoReply, Err: err}
	if !written {
		fault.Kind = NotWritten
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			fault.Kind = NotConnected
		}
	}
	return fault
}

// envelope is what every reply is wrapped in.
type envelope struct {
	Code     *int `json:"code"`
	Message  Text `json:"message"`
	Response any  `json:"response"` // holds a pointer to decode into, and nothing after a null
}

// classify turns a reply into a value or one typed error. The envelope's code decides, not the HTTP status, except
// that a 5xx is never believed: a gateway may have answered for a server that goes on working.
func classify(k call, response *http.Response, text []byte, readErr error, reply any) *Error {
	fault := &Error{Op: k.op, Status: response.StatusCode}
	var wrapped envelope
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		fault.Kind = Unauthorized
	case response.StatusCode == http.StatusTooManyRequests:
		fault.Kind, fault.RetryAfter = RateLimited, retryAfter(response.Header)
	case response.StatusCode >= 500:
		fault.Kind = ServerError
	default:
		reflect.ValueOf(reply).Elem().SetZero() // an earlier attempt may have put something there
		wrapped.Response = reply
	}
	if readErr != nil {
		if fault.Kind == "" {
			fault.Kind, fault.Err = NoReply, readErr
		}
		return fault
	}
	parseErr := json.Unmarshal(text, &wrapped)
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](parseErr); ok && mistyped.Field == "code" {
		wrapped.Code = nil
	}
	if wrapped.Code != nil {
		fault.Code, fault.Message = *wrapped.Code, string(wrapped.Message)
	}
	malformed := func(what error) *Error {
		fault.Kind, fault.Err = Malformed, what
		fault.Acted = wrapped.Code != nil && *wrapped.Code == 0
		return fault
	}
	_, torn := errors.AsType[*json.SyntaxError](parseErr)
	switch {
	case fault.Kind != "":
		return fault
	case len(text) > maxReply:
		return malformed(say.Errorf("the reply is longer than %d bytes", maxReply))
	case elsewhere(response) != "" && (torn || wrapped.Code == nil):
		return malformed(say.Errorf("the API's address seems to be wrong: it redirects to %s", elsewhere(response)))
	case torn:
		return malformed(say.New("the reply is not JSON"))
	case wrapped.Code == nil:
		return malformed(say.New("the reply has no code"))
	case response.StatusCode == http.StatusNotFound && *wrapped.Code != -1:
		return malformed(say.New("a 404 that is not the API's own")) // its 4xx carry code -1
	case response.StatusCode == http.StatusNotFound:
		fault.Kind = NotFound
		return fault
	case *wrapped.Code != 0:
		fault.Kind = Refused
		return fault
	case parseErr != nil:
		return malformed(say.New("the reply's response has an unexpected shape"))
	case wrapped.Response == nil || !bytes.Contains(text, []byte(`"response"`)): // null, or not there at all
		return malformed(say.New("the reply says success and holds nothing"))
	}
	return nil
}

// elsewhere is the host and path that a redirect leads to, without what may be secret, or "".
func elsewhere(response *http.Response) string {
	if response.StatusCode/100 != 3 {
		return ""
	}
	to, err := response.Location()
	if err != nil || to.Host == "" {
		return ""
	}
	return say.Name(to.Host + to.EscapedPath())
}

// retryAfter reads seconds or an HTTP date, the latter against the server's own Date; 0 when there is neither.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, _ := strconv.Atoi(value); seconds > 0 { // of a number too large it returns the largest
		return time.Duration(min(seconds, 24*60*60)) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(until.Sub(now), 0)
}
