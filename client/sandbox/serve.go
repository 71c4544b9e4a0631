package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"testing/iotest"
	"time"
)

// Serve makes a Sandbox and serves it on addr, "127.0.0.1:0" for any free port of this machine, until ctx ends.
// ready is called once with the address to reach it at ("http://127.0.0.1:40001"). It returns when everything is
// answered and the state file is closed.
func Serve(ctx context.Context, addr string, config Config, ready func(url string)) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s, err := New(config)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		err := s.Close() // ends delays and waits for what is being answered
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 200*time.Millisecond)
		defer cancel()
		if server.Shutdown(grace) != nil { // only connections are left on which nothing was asked
			err = errors.Join(err, server.Close())
		}
		stopped <- err
	})()
	ready("http://" + listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, s.Close())
	}
	return <-stopped
}

// ServeHTTP answers one request of the API, or one of the sandbox's own.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		page(http.StatusServiceUnavailable).send(w)
		return
	}
	defer s.running.Done()
	s.serve(r).send(w)
}

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
	done := make(chan reply, 1)
	go func() {
		defer t.sandbox.running.Done()
		done <- t.sandbox.serve(arrived)
	}()
	select {
	case out := <-done:
		return out.response(r)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// response is the reply as a client of net/http gets it.
func (out reply) response(r *http.Request) (*http.Response, error) {
	if out.lost {
		return nil, io.ErrUnexpectedEOF
	}
	header, body := out.wire()
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	length, _ := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	reader := io.Reader(bytes.NewReader(body))
	if out.cut {
		reader = io.MultiReader(reader, iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	return &http.Response{
		Status: strconv.Itoa(out.status) + " " + http.StatusText(out.status), StatusCode: out.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: length, Body: io.NopCloser(reader), Request: r,
	}, nil
}
