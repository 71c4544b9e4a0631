package sandbox

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"
)

var errClosed = errors.New("the sandbox is closed")

// Transport serves a client in this process without a socket, so that tests can run in a [testing/synctest] bubble
// (make the Sandbox inside it). A dropped connection is io.ErrUnexpectedEOF after the request was written, a reply
// cut short ends in it. A request whose context ends is left; its effect is not undone, and Close waits for it.
func (s *Sandbox) Transport() http.RoundTripper { return transport{s} }

type transport struct{ sandbox *Sandbox }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
	}
	ctx := r.Context()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if !t.sandbox.enter() {
		return nil, errClosed
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	arrived := r.Clone(ctx)
	arrived.Body = io.NopCloser(bytes.NewReader(body))
	answer := &recorder{header: make(http.Header)}
	done := make(chan struct{})
	go func() {
		defer t.sandbox.running.Done()
		defer close(done)
		t.sandbox.serve(answer, arrived)
	}()
	select {
	case <-done:
		return answer.response(r)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// recorder is a reply as it stands on the wire.
type recorder struct {
	header  http.Header
	status  int
	body    bytes.Buffer
	dropped bool
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *recorder) drop() { w.dropped = true }

func (w *recorder) response(r *http.Request) (*http.Response, error) {
	if w.dropped {
		return nil, io.ErrUnexpectedEOF
	}
	w.WriteHeader(http.StatusOK)
	w.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	response := &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, ContentLength: int64(w.body.Len()), Request: r,
	}
	var body io.Reader = &w.body
	if whole, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && whole > response.ContentLength {
		response.ContentLength = whole
		body = io.MultiReader(body, cutOff{})
	}
	response.Body = io.NopCloser(body)
	return response, nil
}

// cutOff is what is read where a connection broke.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
