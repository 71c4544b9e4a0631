package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
)

// reply is an answer before it is on its way.
type reply struct {
	status     int
	payment    *Payment // in place of body
	body       []byte
	html       bool
	retryAfter string
	cut        bool // send half of the body
	lost       bool // close the connection in place of all this,
	reset      bool // with RST in place of FIN
}

var unauthorized = problem(http.StatusUnauthorized, -1, "Unauthorized")

func ok(response []byte) reply { return reply{status: http.StatusOK, body: envelope(0, "", response)} }

func problem(status, code int, message string) reply {
	return reply{status: status, body: envelope(code, message, []byte("null"))}
}

// about is the reply about a payment, or about what stands in the way of it.
func about(p *Payment, err error) reply {
	if err != nil {
		return failure(err)
	}
	return reply{status: http.StatusOK, payment: p}
}

// plain is a reply of the sandbox's own.
func plain(value any) reply {
	body, err := json.Marshal(value)
	if err != nil {
		return failure(err)
	}
	return reply{status: http.StatusOK, body: body}
}

// page is what a gateway in front of the API answers.
func page(status int) reply {
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	return reply{status: status, html: true, body: []byte("<html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>\n")}
}

func tooMany(retryAfter string) reply {
	out := page(http.StatusTooManyRequests)
	out.retryAfter = retryAfter
	return out
}

func envelope(code int, message string, response []byte) []byte {
	b := begin(len(response)+len(message)*3, code, message)
	return append(append(b, response...), '}')
}

// begin writes an envelope as far as its response, with room for a response of some bytes.
func begin(room, code int, message string) []byte {
	b := append(make([]byte, 0, room+64), `{"code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `,"message":`...)
	b = appendText(b, message)
	return append(b, `,"response":`...)
}

// wire returns the reply as it is sent; of one that is cut the header tells the length of the whole.
func (out reply) wire() (http.Header, []byte) {
	body := out.body
	if out.payment != nil {
		body = append(out.payment.append(begin(paymentRoom, 0, "")), '}')
	}
	header := http.Header{"Content-Type": {"application/json; charset=UTF-8"}, "Content-Length": {strconv.Itoa(len(body))}}
	if out.html {
		header.Set("Content-Type", "text/html; charset=UTF-8")
	}
	if out.retryAfter != "" {
		header.Set("Retry-After", out.retryAfter)
	}
	if out.cut {
		body = body[:len(body)/2]
	}
	return header, body
}

// send answers through net/http, which closes a connection whose Content-Length was not met.
func (out reply) send(w http.ResponseWriter) {
	if out.lost {
		out.hangUp(w)
		return
	}
	header, body := out.wire()
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(out.status)
	w.Write(body)
}

// hangUp closes the connection without a reply, in one of the two ways that networks have.
func (out reply) hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: resets the stream
	}
	raw := conn
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = secure.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok && out.reset {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// What stands in the way of an effect. ErrNotFound and ErrNotReady are of [Sandbox.Pay] too.
var (
	// ErrNotFound is returned for an imp_uid that no payment has.
	ErrNotFound = errors.New("no such payment")
	// ErrNotReady is returned for an account that does not wait for a deposit any more.
	ErrNotReady = errors.New("the account is not ready")
)

// invalid is a request that the API itself turns down, refused one that a PG does; both in the words to answer with.
type (
	invalid string
	refused string
)

func (e invalid) Error() string { return string(e) }
func (e refused) Error() string { return string(e) }

// failure is the reply that an error gets.
func failure(err error) reply {
	if text, ok := errors.AsType[invalid](err); ok {
		return problem(http.StatusBadRequest, -1, string(text))
	}
	if text, ok := errors.AsType[refused](err); ok {
		return problem(http.StatusOK, 1, string(text))
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return problem(http.StatusNotFound, -1, "존재하지 않는 결제정보입니다.")
	case errors.Is(err, ErrNotReady):
		return problem(http.StatusBadRequest, -1, "입금을 기다리는 가상계좌가 아닙니다.")
	}
	return problem(http.StatusInternalServerError, -1, err.Error())
}
