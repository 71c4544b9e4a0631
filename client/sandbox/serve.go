package sandbox

import (
	"context"
	"errors"
	"net"
	"net/http"
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
