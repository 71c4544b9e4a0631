package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// door is a gate that lets so many more writes through, and is opened by the next call of Wait but closing.
type door struct {
	mu      sync.Mutex
	left    int // writes
	refused int // writes
	waits   int
	closing int // the call of Wait after which the gate closes
	after   int // writes then
	lost    error
}

func (d *door) Wait(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = 1000
	if d.waits++; d.waits == d.closing {
		d.left = d.after
	}
	return d.lost
}

func (d *door) Open() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left < 0 {
		d.refused++
	}
	return d.left >= 0
}

func (d *door) closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left <= 0
}

// gated connects a client with a gate to a server, the way that is named, and counts the requests but those for a token.
func gated(t *testing.T, way string, gate *door) (c *Client, arrived *atomic.Int64) {
	t.Helper()
	arrived = new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, err := io.Copy(io.Discard, r.Body); {
		case err != nil:
			return // cut short
		case gate.closed():
			t.Errorf("%s %s arrived while the gate was closed", r.Method, r.URL.Path)
		}
		if r.URL.Path == "/users/getToken" {
			io.WriteString(w, `{"code":0,"response":{"access_token":"token","now":1767225600,"expired_at":1767227400}}`)
			return
		}
		arrived.Add(1)
		payment := `{"imp_uid":"imp_1","merchant_uid":"A-1","amount":1000,"vbank_num":"01234567890123","status":"ready"}`
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusMultiStatus)
			payment = `[` + payment + `]`
		}
		io.WriteString(w, `{"code":0,"response":`+payment+`}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	config := Config{Key: "key", Secret: "secret", Gate: gate}
	if way == "plain" {
		server.Start()
	} else {
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	config.BaseURL = server.URL
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	through := c.http.Transport.(*http.Transport)
	if way != "plain" {
		through.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		through.TLSClientConfig.NextProtos = nil
	}
	if way == "proxy" {
		proxy := httptest.NewServer(http.HandlerFunc(tunnel))
		t.Cleanup(proxy.Close)
		through.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	}
	return c, arrived
}

// tunnel is a proxy that leads where it is asked to.
func tunnel(w http.ResponseWriter, r *http.Request) {
	there, err := net.Dial("tcp", r.Host)
	if err != nil {
		panic(err)
	}
	defer there.Close()
	here, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer here.Close()
	io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		io.Copy(there, here)
		there.Close()
	}()
	io.Copy(here, there)
}

var ways = []string{"plain", "TLS", "proxy"}

// TestGateCloses has the gate close between the wait for it and the write: nothing is written, on a new connection nor on one
// that was kept, and the call goes on once the gate is open.
func TestGateCloses(t *testing.T) {
	calls := map[string]func(*Client) error{
		"issue": func(c *Client) error {
			_, err := c.Issue(context.Background(), IssueRequest{MerchantUID: "A-1", Amount: 1000})
			return err
		},
		"update": func(c *Client) error {
			_, err := c.Update(context.Background(), "imp_1", UpdateRequest{Amount: 1000})
			return err
		},
		"revoke": func(c *Client) error {
			_, err := c.Revoke(context.Background(), "imp_1", RevokeRequest{})
			return err
		},
		"look-up": func(c *Client) error {
			_, err := c.Payments(context.Background(), "", []string{"A-1"})
			return err
		},
	}
	for _, way := range ways {
		for name, call := range calls {
			for closing, when := range map[int]string{1: "new", 2: "kept"} {
				t.Run(way+" "+name+" "+when, func(t *testing.T) {
					t.Parallel()
					gate := &door{closing: closing}
					c, arrived := gated(t, way, gate)
					if err := call(c); err != nil || arrived.Load() != 1 {
						t.Errorf("%d arrived: %v", arrived.Load(), err)
					}
					if gate.refused == 0 || gate.waits != 3 || c.Limits().Failures != 0 {
						t.Errorf("%d writes refused, %d waits; %+v", gate.refused, gate.waits, c.Limits())
					}
				})
			}
		}
	}
}

// TestGateCutsRequest has the gate close in the middle of a request: an issue is in doubt then and not sent again, a look-up is.
func TestGateCutsRequest(t *testing.T) {
	long := strings.Repeat("x", 20000)
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			gate := &door{closing: 2, after: 1}
			c, arrived := gated(t, way, gate)
			_, err := c.Issue(context.Background(), IssueRequest{MerchantUID: "A-1", Amount: 1000, Name: long})
			if KindOf(err) != NoReply || !InDoubt(err) || !errors.Is(err, ErrGateClosed) || arrived.Load() != 0 || gate.waits != 2 {
				t.Errorf("%d arrived after %d waits: %v", arrived.Load(), gate.waits, err)
			}
			gate.closing = 3
			if _, err = c.Payments(context.Background(), "", []string{"A-1", long[:6000]}); err != nil || arrived.Load() != 1 || gate.waits != 4 {
				t.Errorf("%d arrived after %d waits: %v", arrived.Load(), gate.waits, err)
			}
			if failures := c.Limits().Failures; failures != 0 {
				t.Errorf("%d failures are laid at the API's door", failures)
			}
		})
	}
}

// TestGateStaysClosed has the gate never be opened again: nothing is sent, and the call says why.
func TestGateStaysClosed(t *testing.T) {
	gate := &door{}
	c, arrived := gated(t, "plain", gate)
	if err := c.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	gate.lost = errors.New("the lease was lost")
	_, err := c.Issue(t.Context(), IssueRequest{MerchantUID: "A-1", Amount: 1000})
	if KindOf(err) != Stopped || InDoubt(err) || !errors.Is(err, gate.lost) || arrived.Load() != 0 || c.Requests() != 1 {
		t.Errorf("%d arrived, %d requests: %v", arrived.Load(), c.Requests(), err)
	}
}

// shut is a gate that opens at a time.
type shut time.Time

func (s shut) Open() bool { return !time.Now().Before(time.Time(s)) }
func (s shut) Wait(ctx context.Context) error {
	if sleep(ctx, time.Until(time.Time(s))) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// TestGateIsPatient waits at a gate for longer than the API would be waited for, and no longer than the caller does. The gate
// wavers when it opens.
func TestGateIsPatient(t *testing.T) {
	const wavers = 10
	synctest.Test(t, func(t *testing.T) {
		opens, sent := time.Now().Add(time.Hour), 0
		c, err := New(Config{Gate: shut(opens), Rate: 1, Through: roundTrip(func(r *http.Request) (*http.Response, error) {
			if sent++; time.Now().Before(opens) {
				t.Error("sent before the gate was open")
			}
			if sent < wavers {
				return nil, ErrGateClosed
			}
			body := `{"code":0,"response":{"access_token":"token","now":1767225600,"expired_at":1767227400}}`
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		if err := c.Authenticate(ctx); KindOf(err) != Stopped || !errors.Is(err, gone) || sent != 0 {
			t.Errorf("%d sent: %v", sent, err)
		}
		if err := c.Authenticate(t.Context()); err != nil || sent != wavers {
			t.Errorf("%d sent: %v", sent, err)
		}
	})
}

// TestRefusedWrite: a connection that was not written to once never is again, and the request that it was for has failed by the
// gate, whatever net/http says.
func TestRefusedWrite(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	defer here.Close()
	gate := &door{}
	conn := &gatedConn{Conn: here, gate: gate}
	seen := new(wire)
	seen.got(httptrace.GotConnInfo{Conn: tls.Client(tls.Client(conn, nil), nil)})
	seen.headers.Store(true)
	for _, left := range []int{0, 1000} {
		gate.left = left
		if n, err := conn.Write([]byte("POST")); n != 0 || err != ErrGateClosed {
			t.Errorf("%d bytes were written with %d writes let through: %v", n, left, err)
		}
	}
	if cause, written := seen.failed(net.ErrClosed); cause != ErrGateClosed || written {
		t.Errorf("written: %v; %v", written, cause)
	}
}
