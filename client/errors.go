package client

import (
	"errors"
	"time"

	"vbankbatch/client/say"
)

// Kind says how a request ended, as far as the client saw it.
type Kind string

// The ways a request can end without the answer that was asked for. Those up to Refused leave nothing behind
// at the server; from NoReply on it may have acted.
const (
	// Stopped: the caller's context ended, or the Gate closed for good, before the request was sent.
	Stopped Kind = "stopped"
	// NotConnected: name look-up, dialling or TLS failed.
	NotConnected Kind = "not connected"
	// NotWritten: the connection broke before the request's headers were written.
	NotWritten Kind = "not written"
	// Redirected: the request that goes ahead of this one, such as that for a token, was answered with a redirect.
	Redirected Kind = "redirected"
	// Unauthorized: HTTP 401, after more tries with fresh tokens; or the credentials themselves were refused.
	Unauthorized Kind = "unauthorized"
	// RateLimited: HTTP 429, still, after the retries.
	RateLimited Kind = "rate limited"
	// NotFound: HTTP 404 with the API's own envelope.
	NotFound Kind = "not found"
	// Refused: the API's envelope with a code other than 0, on an HTTP status below 500.
	Refused Kind = "refused"

	// NoReply: the request was written and the connection broke, or time ran out, before a whole reply came.
	NoReply Kind = "no reply"
	// ServerError: HTTP 5xx, whatever its body says.
	ServerError Kind = "server error"
	// Malformed: a reply that is not the API's envelope (HTML, a redirect, JSON cut short), or one that says
	// success without a payment in it.
	Malformed Kind = "malformed reply"
	// Mismatch: a reply that says success for another order or another payment than was asked for, or a list that
	// lacks orders although its status says that it holds all of them.
	Mismatch Kind = "reply for another order"
	// Refuted: an issue was refused with 401 or 429, and the order has an account all the same, or may have.
	Refuted Kind = "refused, and made all the same"
)

// Error is the one error type that the API's methods return. It never holds a URL, a token or a key;
// of where a redirect leads to, the host and the path.
type Error struct {
	Op         string        // method and endpoint, e.g. "POST /vbanks"
	Kind       Kind          // how the request ended
	Status     int           // HTTP status; 0 without a reply
	Code       int           // the envelope's code; 0 without an envelope
	Message    string        // the envelope's message, as the API wrote it (Korean, a PG's own text)
	Acted      bool          // the reply says success, although it cannot be used: the server has acted
	ImpUID     string        // of the payment in a reply that says success for something else
	RetryAfter time.Duration // what a 429 asked for; 0 when it did not say
	Down       bool          // nobody else got an answer either
	Since      time.Time     // when that began
	blocked    bool          // it is one of many foreign replies in a row
	Err        error         // the cause underneath, or nil
}

// Say tells the operation, the kind and the API's own words.
func (e *Error) Say() say.Message {
	message := say.Messagef("%s: %s", e.Op, say.NewMessage(string(e.Kind)))
	if e.Status != 0 {
		message = say.Messagef("%s (HTTP %d, code %d)", message, e.Status, e.Code)
	}
	if e.Message != "" {
		message = say.Messagef("%s: %s", message, e.Message)
	}
	if e.Err != nil {
		message = say.Messagef("%s: %s", message, e.Err)
	}
	return message
}

// Error is Say in words.
func (e *Error) Error() string { return e.Say().String() }

// Unwrap returns the cause underneath.
func (e *Error) Unwrap() error { return e.Err }

// silence reports whether the attempt tells that the API may be down: no answer, or none of its own.
func (e *Error) silence() bool {
	if e == nil {
		return false
	}
	switch e.Kind {
	case NotConnected, NotWritten, NoReply, ServerError:
		return true
	}
	return e.Kind == Malformed && !e.Acted && (e.Status < 400 || e.blocked) // whoever writes a page with a 4xx is there, at least
}

// foreign reports whether somebody before the API seems to have answered in its place, with a page and a 4xx.
func (e *Error) foreign() bool {
	return e != nil && e.Kind == Malformed && !e.Acted && e.Status >= 400 && e.Status < 500
}

// held reports whether the attempt failed because the gate was closed, which says nothing of the API.
func (e *Error) held() bool { return e != nil && errors.Is(e.Err, ErrGateClosed) }

// InDoubt reports whether the server can have acted on the request although no answer says so. A request in
// doubt must not be sent again before the API has been asked what came of it.
func (e *Error) InDoubt() bool {
	switch e.Kind {
	case Stopped, NotConnected, NotWritten, Redirected, Unauthorized, RateLimited, NotFound, Refused:
		return false
	}
	return true // an unknown kind too: doubt is the safe side
}

// InDoubt reports whether err leaves open that the server acted. Errors that are not the client's are in doubt.
func InDoubt(err error) bool {
	if err == nil {
		return false
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.InDoubt()
	}
	return true
}

// KindOf returns the kind of a client error, or "" for any other error.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}
