package client

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync/atomic"

	"vbankbatch/client/say"
)

// ErrGateClosed is the cause of an error when a connection was not written to because the Gate was closed.
var ErrGateClosed = say.New("nothing may be sent at the moment")

// Gate says whether anything may be sent. It concerns look-ups too: a connection does not know what is written to it.
type Gate interface {
	// Wait is asked before each attempt. It returns nil once Open reports true, an error when that will never be again,
	// and context.Cause(ctx) when ctx has ended.
	Wait(ctx context.Context) error
	// Open is asked right before each write to a connection, by many goroutines at once.
	Open() bool
}

// gatedConn is a connection beneath TLS that is not written to while the gate is closed, nor ever again after that: what
// follows would be the rest of something. A write that has begun goes on: it is short, since no request is as large as the
// kernel's buffer, which is empty then.
type gatedConn struct {
	net.Conn
	gate    Gate
	writes  atomic.Int64 // let through so far
	refused atomic.Bool
}

func (c *gatedConn) Write(p []byte) (int, error) {
	if c.refused.Load() || !c.gate.Open() {
		c.refused.Store(true)
		return 0, ErrGateClosed
	}
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// wire is what is seen of an attempt's way to its connection.
type wire struct {
	headers atomic.Bool // they were written, to net/http's buffer at least
	conn    *gatedConn  // nil without a gate
	before  int64       // writes to conn by others
}

func (w *wire) trace(gated bool) *httptrace.ClientTrace {
	trace := &httptrace.ClientTrace{WroteHeaders: func() { w.headers.Store(true) }}
	if gated {
		trace.GotConn = w.got
	}
	return trace
}

func (w *wire) got(info httptrace.GotConnInfo) {
	conn := info.Conn
	for {
		above, ok := conn.(interface{ NetConn() net.Conn }) // TLS, twice with a proxy that speaks it
		if !ok {
			break
		}
		conn = above.NetConn()
	}
	if w.conn, _ = conn.(*gatedConn); w.conn != nil {
		w.before = w.conn.writes.Load()
	}
}

// failed returns why the request failed, and whether something of it may have been written. When a write was refused,
// net/http's err may be any of what follows from that.
func (w *wire) failed(err error) (cause error, written bool) {
	if w.conn != nil && w.conn.refused.Load() {
		return ErrGateClosed, w.conn.writes.Load() != w.before
	}
	return err, w.headers.Load()
}
