package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"vbankbatch/client"
)

const tokenReply = `{"code":0,"message":null,"response":{"access_token":"token","now":1767225600,"expired_at":1767227400}}`

// serve answers getToken well and everything else with handle, on a real socket.
func serve(t *testing.T, handle http.HandlerFunc) *client.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /users/getToken", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tokenReply) })
	mux.HandleFunc("/", handle)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return connect(t, client.Config{BaseURL: server.URL})
}

func connect(t *testing.T, config client.Config) *client.Client {
	t.Helper()
	config.Key, config.Secret = "key", "secret"
	if strings.Contains(t.Name(), "time-out") {
		config.Timeout = 200 * time.Millisecond
	}
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// hangUp closes the connection, with a reset or quietly, after writing text.
func hangUp(reset bool, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, text)
		if reset {
			conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
	}
}

const (
	goodPayment = `{"imp_uid":"imp_1","merchant_uid":"A-1","amount":1000,"vbank_num":"01234567890123","status":"ready"}`
	good        = `{"code":0,"message":null,"response":` + goodPayment + `}`
	noPayment   = `{"code":-1,"message":"존재하지 않는 결제정보입니다.","response":null}`
)

// TestClosedByReset: a connection ends with a reset, after which the kernel sends nothing of what was written to it;
// batch's TestDeadPath shows what that is good for. It harms no answer that was had.
func TestClosedByReset(t *testing.T) {
	for _, test := range []struct{ name, answer string }{
		{"time-out", ""},
		{"idle", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(tokenReply), tokenReply)},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			ended := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel() // nobody answers what is tried again
				conn, err := listener.Accept()
				if err == nil {
					defer conn.Close()
					conn.Read(make([]byte, 1<<16)) // the whole request
					io.WriteString(conn, test.answer)
					_, err = io.Copy(io.Discard, conn)
				}
				ended <- err
			}()
			c := connect(t, client.Config{BaseURL: "http://" + listener.Addr().String()})
			if err := c.Authenticate(ctx); (err == nil) != (test.answer != "") {
				t.Error(err)
			}
			c.Close()
			if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the server saw %v, want a reset", err)
			}
		})
	}
}

// replyTest is a way in which an issue can end.
type replyTest struct {
	name    string
	handle  http.HandlerFunc
	kind    client.Kind
	inDoubt bool
	sent    int64 // POSTs that arrived
}

// acted says whether the reply tells that the server has acted, although it cannot be used.
func (r replyTest) acted() bool {
	switch r.name {
	case "success without response", "success without imp_uid", "success without vbank_num", "success without vbank_num or status", "response is a list", "amount is no number", "another order's reply", "longer than any reply":
		return true
	}
	return false
}

// TestReplies sorts every way in which an issue can end by whether the server can have acted.
func TestReplies(t *testing.T) {
	for _, test := range []replyTest{
		{"success", reply(200, good), "", false, 1},
		{"created", reply(201, good), "", false, 1},
		{"refused by the PG", reply(200, `{"code":1,"message":"[A107] 입금예정일이 지났습니다","response":null}`), client.Refused, false, 1},
		{"refused as 400", reply(400, `{"code":-1,"message":"amount 파라메터가 누락되었습니다.","response":null}`), client.Refused, false, 1},
		{"refused without response", reply(200, `{"code":-1,"message":"no"}`), client.Refused, false, 1},
		{"not found", reply(404, `{"code":-1,"message":"존재하지 않는 결제정보입니다.","response":null}`), client.NotFound, false, 1},
		{"401 twice", reply(401, `{"code":-1,"message":"Unauthorized","response":null}`), client.Unauthorized, false, 1},
		{"429 again and again", reply(429, ``), client.RateLimited, false, 1},
		{"500 with the envelope", reply(500, `{"code":-1,"message":"The payment agency failed to process","response":null}`), client.ServerError, true, 1},
		{"500 that says success", reply(500, good), client.ServerError, true, 1},
		{"502 HTML", reply(502, `<html><h1>Bad Gateway</h1></html>`), client.ServerError, true, 1},
		{"200 HTML", reply(200, `<html>maintenance</html>`), client.Malformed, true, 1},
		{"403 HTML", reply(403, `<html>forbidden</html>`), client.Malformed, true, 1},
		{"a gateway's 404", reply(404, `{"code":404,"message":"no route matched"}`), client.Malformed, true, 1},
		{"success without vbank_num", reply(200, `{"code":0,"response":{"imp_uid":"imp_1","merchant_uid":"A-1","status":"ready"}}`), client.Malformed, true, 1},
		{"success without vbank_num or status", reply(200, `{"code":0,"response":{"imp_uid":"imp_1","merchant_uid":"A-1"}}`), client.Malformed, true, 1},
		{"404 HTML", reply(404, `<html>not found</html>`), client.Malformed, true, 1},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, client.Malformed, true, 1},
		{"empty body", reply(200, ``), client.Malformed, true, 1},
		{"no code", reply(200, `{"message":null,"response":{}}`), client.Malformed, true, 1},
		{"code is text", reply(200, `{"code":"zero","response":{}}`), client.Malformed, true, 1},
		{"success without response", reply(200, `{"code":0,"message":null,"response":null}`), client.Malformed, true, 1},
		{"success without imp_uid", reply(200, `{"code":0,"response":{"merchant_uid":"A-1"}}`), client.Malformed, true, 1},
		{"response is a list", reply(200, `{"code":0,"response":[]}`), client.Malformed, true, 1},
		{"amount is no number", reply(200, strings.Replace(good, "1000", `"many"`, 1)), client.Malformed, true, 1},
		{"JSON cut short, connection kept", reply(200, good[:40]), client.Malformed, true, 1},
		{"another order's reply", reply(200, strings.Replace(good, "A-1", "A-2", 1)), client.Mismatch, true, 1},
		{"longer than any reply", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, good)
			w.Write(bytes.Repeat([]byte(" "), 9<<20))
		}, client.Malformed, true, 1},
		{"reset before a reply", hangUp(true, ""), client.NoReply, true, 1},
		{"closed before a reply", hangUp(false, ""), client.NoReply, true, 1},
		{"closed within the headers", hangUp(false, "HTTP/1.1 200 OK\r\nContent-Le"), client.NoReply, true, 1},
		{"closed within the body", hangUp(false, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"+good), client.NoReply, true, 1},
		{"not HTTP", hangUp(false, "SSH-2.0-OpenSSH\r\n\r\n"), client.NoReply, true, 1},
		{"time-out before the headers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, client.NoReply, true, 1},
		{"time-out in the body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "500")
			io.WriteString(w, good)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, client.NoReply, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost { // what refuses an issue refuses the look-up before its next try, too
					sent.Add(1)
				}
				io.Copy(io.Discard, r.Body)
				test.handle(w, r)
			})
			payment, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000})
			if got := client.KindOf(err); got != test.kind {
				t.Errorf("kind %q, want %q: %v", got, test.kind, err)
			}
			if got := client.InDoubt(err); got != test.inDoubt {
				t.Errorf("in doubt: %v, want %v: %v", got, test.inDoubt, err)
			}
			if got := sent.Load(); got != test.sent {
				t.Errorf("%d POSTs arrived, want %d", got, test.sent)
			}
			if fault, ok := errors.AsType[*client.Error](err); ok && fault.Acted != test.acted() {
				t.Errorf("acted: %v", fault.Acted)
			}
			if test.kind == "" && payment.VbankNum != "01234567890123" {
				t.Errorf("account %q", payment.VbankNum)
			}
		})
	}
}

// broken is a network that breaks where a test wants it to.
type broken func(*http.Request) (*http.Response, error)

func (b broken) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/getToken") {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tokenReply))}, nil
	}
	return b(r)
}

// TestNotSent has the ways in which an issue ends before it is written: they may be tried again, and are.
func TestNotSent(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	tries := 0
	c := connect(t, client.Config{Through: broken(func(*http.Request) (*http.Response, error) {
		if tries++; tries < 3 {
			return nil, refused
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(good))}, nil
	})})
	if _, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1"}); err != nil || tries != 3 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	c = connect(t, client.Config{Through: broken(func(*http.Request) (*http.Response, error) { return nil, errors.New("reset by peer") })})
	_, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1"})
	if client.KindOf(err) != client.NotWritten || client.InDoubt(err) {
		t.Errorf("broken before writing: %v", err)
	}

	c = connect(t, client.Config{BaseURL: "http://127.0.0.1:1"}) // nobody listens there
	_, err = c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1"})
	if client.KindOf(err) != client.NotConnected || client.InDoubt(err) {
		t.Errorf("nobody listens: %v", err)
	}

	unknown := httptest.NewUnstartedServer(reply(200, good))
	unknown.Config.ErrorLog = log.New(io.Discard, "", 0)
	unknown.StartTLS() // with a certificate that nobody has signed
	defer unknown.Close()
	c = connect(t, client.Config{BaseURL: unknown.URL})
	_, err = c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1"})
	if err == nil || client.InDoubt(err) {
		t.Errorf("untrusted certificate: %v", err)
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("stopped by a signal"))
	c = serve(t, reply(200, good))
	_, err = c.Issue(ctx, client.IssueRequest{MerchantUID: "A-1"})
	if client.KindOf(err) != client.Stopped || client.InDoubt(err) {
		t.Errorf("stopped beforehand: %v", err)
	}
}

// TestStopWhileSent shows that an issue on its way is not broken off.
func TestStopWhileSent(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		time.Sleep(20 * time.Millisecond)
		io.WriteString(w, good)
	})
	if _, err := c.Issue(ctx, client.IssueRequest{MerchantUID: "A-1"}); err != nil {
		t.Error(err)
	}
}

// TestRefusedAndMade has a gateway refuse an issue that the API has carried out. It is sent once, and left in doubt.
func TestRefusedAndMade(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusTooManyRequests} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var issues atomic.Int64
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/findAll/") {
					io.WriteString(w, `{"code":0,"message":null,"response":{"total":1,"previous":0,"next":0,"list":[`+goodPayment+`]}}`)
					return
				}
				if issues.Add(1) == 1 {
					w.WriteHeader(status)
					return
				}
				io.WriteString(w, good)
			})
			_, err := c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000})
			if client.KindOf(err) != client.Refuted || !client.InDoubt(err) || issues.Load() != 1 {
				t.Errorf("%d issues: %v", issues.Load(), err)
			}
		})
	}
}

// TestRefusedAndNotAsked has an issue refused in a way that lets it be sent again, and the look-up before that not tell that
// there is no account: it is sent once, and left in doubt.
func TestRefusedAndNotAsked(t *testing.T) {
	for name, lookUp := range map[string]http.HandlerFunc{
		"paid at once": reply(200, `{"code":0,"response":{"total":1,"next":0,"list":[`+strings.Replace(goodPayment, "ready", "paid", 1)+`]}}`),
		"refused":      reply(200, `{"code":1,"message":"no","response":null}`),
		"page two is missing": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("page") == "2" {
				reply(404, noPayment)(w, r)
				return
			}
			io.WriteString(w, `{"code":0,"response":{"total":2,"next":2,"list":[`+goodPayment+`]}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var issues atomic.Int64
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/findAll/") {
					lookUp(w, r)
					return
				}
				issues.Add(1)
				w.WriteHeader(http.StatusUnauthorized)
			})
			_, err := c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000})
			if client.KindOf(err) != client.Refuted || issues.Load() != 1 {
				t.Errorf("%d issues: %v", issues.Load(), err)
			}
		})
	}
}

// TestNotSentAgainByItself: net/http has no copy of the body of a request that acts, with which it could send it once more.
func TestNotSentAgainByItself(t *testing.T) {
	asked := 0
	c := connect(t, client.Config{Through: broken(func(r *http.Request) (*http.Response, error) {
		if asked++; r.GetBody != nil {
			t.Errorf("%s %s can be sent again", r.Method, r.URL.Path)
		}
		return answer(r, 200, good), nil
	})})
	_, err := c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000})
	_, err2 := c.Update(t.Context(), "imp_1", client.UpdateRequest{Amount: 1000})
	if err := errors.Join(err, err2); err != nil || asked != 2 {
		t.Errorf("%d requests: %v", asked, err)
	}
}

// TestChangeOfAnotherAccount has a change answered with the account of another payment: it is in doubt.
func TestChangeOfAnotherAccount(t *testing.T) {
	c := serve(t, reply(200, good))
	_, err := c.Update(t.Context(), "imp_2", client.UpdateRequest{Amount: 1000})
	_, err2 := c.Revoke(t.Context(), "imp_2", client.RevokeRequest{})
	for _, err := range []error{err, err2} {
		if fault, ok := errors.AsType[*client.Error](err); !ok || fault.Kind != client.Mismatch || !fault.Acted || fault.ImpUID != "imp_1" {
			t.Errorf("%+v", err)
		}
	}
}

// TestAnotherPayment does not take for an answer a payment that nobody asked about.
func TestAnotherPayment(t *testing.T) {
	c := serve(t, reply(200, good))
	_, err := c.Payment(t.Context(), "", "imp_2")
	_, err2 := c.Find(t.Context(), "", "A-2", "")
	if client.KindOf(err) != client.Mismatch || client.KindOf(err2) != client.Mismatch {
		t.Errorf("%v, %v", err, err2)
	}
}

// TestLiving: what may be paid into is an obstacle to an issue, whatever its status is called; what was begun by card is none.
func TestLiving(t *testing.T) {
	live, paid := client.Living([]client.Payment{{ImpUID: "1", Status: "ready", PayMethod: "vbank"}, {ImpUID: "2", Status: "new"},
		{ImpUID: "3", Status: "ready", PayMethod: "card"}, {ImpUID: "4", Status: "failed"}, {ImpUID: "5", Status: "cancelled"}, {ImpUID: "6", Status: "paid", PayMethod: "card"}})
	if len(live) != 2 || live[0].ImpUID != "1" || live[1].ImpUID != "2" || paid == nil || paid[0].ImpUID != "6" {
		t.Errorf("%v, %v", live, paid)
	}
}

// TestListOfOthers does not take for an answer a list that tells of orders that nobody asked for.
func TestListOfOthers(t *testing.T) {
	c := serve(t, reply(207, `{"code":0,"message":null,"response":[`+goodPayment+`,`+strings.ReplaceAll(goodPayment, "A-1", "A-2")+`]}`))
	if found, err := c.Payments(t.Context(), "", []string{"A-1"}); client.KindOf(err) != client.Mismatch {
		t.Errorf("%v, %v", found, err)
	}
}

// TestNoList does not take for an empty list a reply that says success and holds none.
func TestNoList(t *testing.T) {
	c := serve(t, reply(207, `{"code":0,"message":null}`))
	if found, err := c.Payments(t.Context(), "", []string{"A-1"}); client.KindOf(err) != client.Malformed {
		t.Errorf("%v, %v", found, err)
	}
}

// TestDoubtIsTheSafeSide has an issue end, once it was written, with an error that nobody knows, or in words that are those of
// a caller who broke it off: it is in doubt.
func TestDoubtIsTheSafeSide(t *testing.T) {
	if !client.InDoubt(errors.New("unknown")) {
		t.Error("an unknown error is not in doubt")
	}
	c := connect(t, client.Config{Through: broken(func(r *http.Request) (*http.Response, error) {
		httptrace.ContextClientTrace(r.Context()).WroteHeaders()
		return nil, context.Canceled
	})})
	if _, err := c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1"}); !client.InDoubt(err) {
		t.Errorf("not in doubt: %v", err)
	}
}

// TestTier names a sub-merchant in every request but that for the token, which all of them share.
func TestTier(t *testing.T) {
	var tiers []string
	c := connect(t, client.Config{BaseURL: "http://127.0.0.1", Through: through(func(r *http.Request) (*http.Response, error) {
		tiers = append(tiers, r.URL.Path+" "+r.Header.Get("Tier"))
		if strings.HasSuffix(r.URL.Path, "/getToken") {
			return answer(r, 200, tokenReply), nil
		}
		return answer(r, 200, good), nil
	})})
	if _, err := c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1", Tier: "001"}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q", tiers); got != `["/users/getToken " "/vbanks 001"]` {
		t.Error(got)
	}
}

// TestListThatLacksOrders does not take for an answer a list whose status says that it is whole, and which lacks orders.
func TestListThatLacksOrders(t *testing.T) {
	for body, want := range map[string]client.Kind{
		`[` + goodPayment + `]`: client.Mismatch,
		`[]`:                    client.Mismatch,
		`[` + goodPayment + `,` + strings.ReplaceAll(goodPayment, "A-1", "A-2") + `]`: "",
	} {
		c := serve(t, reply(200, `{"code":0,"message":null,"response":`+body+`}`))
		if found, err := c.Payments(t.Context(), "", []string{"A-1", "A-2"}); client.KindOf(err) != want || want == "" && len(found) != 2 {
			t.Errorf("%s: %v, %v", body, found, err)
		}
		part := serve(t, reply(207, `{"code":0,"message":null,"response":`+body+`}`))
		if _, err := part.Payments(t.Context(), "", []string{"A-1", "A-2"}); err != nil {
			t.Errorf("207 %s: %v", body, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for name, header := range map[string]string{"seconds": "1", "date": "Thu, 01 Jan 2026 00:00:01 GMT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int64
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/findAll/") {
					reply(404, noPayment)(w, r)
					return
				}
				if tries.Add(1) == 1 {
					w.Header().Set("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
					w.Header().Set("Retry-After", header)
					w.WriteHeader(429)
					return
				}
				io.WriteString(w, good)
			})
			started := time.Now()
			if _, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1"}); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(started); waited < time.Second {
				t.Errorf("waited %v of the second that was asked for", waited)
			}
		})
	}
}

func TestLookUpsAreRepeated(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) < 3 {
			w.WriteHeader(500)
			return
		}
		io.WriteString(w, good)
	})
	if _, err := c.Payment(context.Background(), "", "imp_1"); err != nil || tries.Load() != 3 {
		t.Errorf("after %d tries: %v", tries.Load(), err)
	}
}

// TestForgottenConnections has all idle connections forgotten at once, as a balancer does it: a look-up outlasts that.
func TestForgottenConnections(t *testing.T) {
	const workers = 8
	var forgotten atomic.Bool
	var atOnce sync.WaitGroup
	atOnce.Add(workers)
	type opened struct{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/users/getToken" {
			io.WriteString(w, tokenReply)
			return
		}
		if before := !r.Context().Value(opened{}).(bool); before {
			if forgotten.Load() {
				<-r.Context().Done()
				return
			}
			atOnce.Done()
			atOnce.Wait()
		}
		io.WriteString(w, `{"code":0,"message":null,"response":[]}`)
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, opened{}, forgotten.Load())
	}
	server.Start()
	defer server.Close()
	c := connect(t, client.Config{BaseURL: server.URL, Workers: workers, Timeout: 200 * time.Millisecond})
	var looks sync.WaitGroup
	for range workers {
		looks.Go(func() { c.Channels(t.Context()) })
	}
	looks.Wait()
	forgotten.Store(true)
	before := c.Requests()
	if _, err := c.Channels(t.Context()); err != nil || c.Requests() != before+2 {
		t.Errorf("%v after %d requests", err, c.Requests()-before)
	}
}

// TestNoSecretInErrors breaks calls that carry secrets in every way at hand and looks for them.
func TestNoSecretInErrors(t *testing.T) {
	const secret = "very-secret-key"
	for _, handle := range []http.HandlerFunc{hangUp(true, ""), reply(500, ""), reply(200, "{"), reply(200, `{"code":1,"message":"hashData 불일치"}`)} {
		c := serve(t, handle)
		_, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1", PGAPIKey: secret})
		_, err2 := c.Revoke(context.Background(), "imp_1", client.RevokeRequest{PGAPIKey: secret})
		for _, err := range []error{err, err2} {
			for text := range func(yield func(string) bool) {
				for e := err; e != nil; e = errors.Unwrap(e) {
					if !yield(fmt.Sprintf("%v %+v %#v", e, e, e)) {
						return
					}
				}
			} {
				if strings.Contains(text, secret) {
					t.Errorf("the secret stands in %s", text)
				}
			}
		}
	}
	if text := fmt.Sprintf("%v %+v %#v %s %q", client.Secret(secret), client.Config{Key: secret}, client.Config{Secret: secret},
		client.Secret(secret), client.Secret(secret)); strings.Contains(text, secret) {
		t.Errorf("the secret stands in %s", text)
	}
}

// TestToken counts refreshes: one for many workers, one more after a 401, and a new one when half a margin is left.
func TestToken(t *testing.T) {
	t.Parallel()
	var tokens, refused atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /users/getToken", func(w http.ResponseWriter, _ *http.Request) {
		n := tokens.Add(1)
		time.Sleep(10 * time.Millisecond)
		// the server's clock is ten years off, and a token lives for two seconds of it
		fmt.Fprintf(w, `{"code":0,"message":null,"response":{"access_token":"token-%d","now":1451606400,"expired_at":1451606402}}`, n)
	})
	mux.HandleFunc("GET /payments/findAll/", reply(404, noPayment)) // asked after the 401s
	mux.HandleFunc("POST /vbanks", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			refused.Add(1)
			reply(401, `{"code":-1,"message":"Unauthorized","response":null}`)(w, r)
			return
		}
		io.WriteString(w, good)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c := connect(t, client.Config{BaseURL: server.URL, Workers: 16})
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := tokens.Load(); got != 2 {
		t.Errorf("%d tokens fetched by 16 workers, want one and one more after the 401s", got)
	}
	if refused.Load() == 0 {
		t.Error("no 401 was met")
	}
	if off := c.ServerTime().Sub(time.Unix(1451606400, 0)); off < 0 || off > 5*time.Second {
		t.Errorf("the server's time is off by %v", off)
	}
	time.Sleep(1100 * time.Millisecond) // past the half of its life: the clocks' difference plays no part
	if _, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1"}); err != nil || tokens.Load() != 3 {
		t.Errorf("%d tokens: %v", tokens.Load(), err)
	}
}

func TestCredentialsRefused(t *testing.T) {
	server := httptest.NewServer(reply(401, `{"code":-1,"message":"인증에 실패하였습니다. API키와 secret을 확인하세요.","response":null}`))
	defer server.Close()
	c := connect(t, client.Config{BaseURL: server.URL})
	err := c.Authenticate(context.Background())
	if client.KindOf(err) != client.Unauthorized || !strings.Contains(err.Error(), "API키와 secret") {
		t.Error(err)
	}
	if c.Requests() != 1 {
		t.Errorf("%d requests, want 1", c.Requests())
	}
}

// TestRedirected has the request for a token, or the issue itself, answered with a redirect. Where it leads to is told,
// without what may be secret or steers a terminal, and nobody goes there.
func TestRedirected(t *testing.T) {
	for location, want := range map[string]string{
		"https://www.example.com/new/users?key=hidden#f": "www.example.com/new/users",
		"//user:hidden@example.com":                      "example.com",
		"/login":                                         "127.0.0.1/login",
		"https://ex%C2%9Bample.com/%1b%5b2J\u202e":       `"ex\u009bample.com/%1B%5B2J%E2%80%AE"`,
		"": "", // told as before
	} {
		for _, path := range []string{"/users/getToken", "/vbanks"} {
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				c := connect(t, client.Config{BaseURL: "http://127.0.0.1", Through: through(func(r *http.Request) (*http.Response, error) {
					if requests++; r.URL.Path != path {
						return answer(r, 200, tokenReply), nil
					}
					moved := answer(r, 301, "<html>")
					if location != "" {
						moved.Header.Set("Location", location)
					}
					return moved, nil
				})})
				_, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000})
				text := err.Error()
				if want != "" && !strings.HasSuffix(text, "address seems to be wrong: it redirects to "+want) || strings.Contains(text, "hidden") || strings.Contains(text, "not written") {
					t.Errorf("%q at %s: %s", location, path, text)
				}
				if client.InDoubt(err) != (path == "/vbanks") || requests > 4 {
					t.Errorf("in doubt: %v after %d requests", client.InDoubt(err), requests)
				}
			})
		}
	}
}

func TestOneSpelling(t *testing.T) {
	for _, spelling := range []string{"", "https://api.iamport.kr", "https://api.iamport.kr/", "HTTPS://API.iamport.KR", "https://api.iamport.kr:443//"} {
		if got, err := client.Address(spelling); err != nil || got != client.DefaultURL {
			t.Errorf("%q: %q, %v", spelling, got, err)
		}
	}
	if got, err := client.Address("http://127.0.0.1:80/base/"); err != nil || got != "http://127.0.0.1/base" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"https://api.iamport.kr": true, "": true, "http://127.0.0.1:80": true, "http://[::1]:80/": true, "http://localhost": true,
		"http://api.iamport.kr": false, "http://127.0.0.1.example.com": false, "ftp://x": false, "api.iamport.kr": false,
		"https://user@api.iamport.kr": false, "https://api.iamport.kr?x=1": false, "https://": false,
	} {
		if _, err := client.New(client.Config{BaseURL: address}); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestAnswerAfterAnotherIsWhole has a look-up answered by a reply that is malformed, and then by one that says less.
func TestAnswerAfterAnotherIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := connect(t, client.Config{Through: through(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "getToken") {
				return answer(r, 200, tokenReply), nil
			}
			if n++; n == 1 {
				return answer(r, 200, `{"response":{"imp_uid":"imp_1","status":"paid"}}`), nil
			}
			return answer(r, 200, `{"code":0,"message":"","response":{"imp_uid":"imp_1","amount":1000}}`), nil
		})})
		payment, err := c.Payment(t.Context(), "", "imp_1")
		if err != nil || payment.Status != "" || n < 2 {
			t.Errorf("%+v, %v after %d replies", payment, err, n)
		}
	})
}

// TestDate: the server's clock is known from a refusal too.
func TestDate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	c := connect(t, client.Config{BaseURL: server.URL})
	if got := c.Date(); !got.IsZero() {
		t.Errorf("%v before any reply", got)
	}
	if err := c.Authenticate(t.Context()); client.KindOf(err) != client.Unauthorized {
		t.Error(err)
	}
	if off := time.Until(c.Date()) - time.Hour; off.Abs() > 5*time.Second {
		t.Errorf("it is off by %v", off)
	}
}
