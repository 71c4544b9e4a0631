package sandbox

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// TestServeEnds has a connection open on which nothing is asked: it keeps nobody waiting, and is no error.
func TestServeEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- Serve(ctx, "127.0.0.1:0", Config{}, func(url string) { ready <- url }) }()
	idle, err := net.Dial("tcp", strings.TrimPrefix(<-ready, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	time.Sleep(10 * time.Millisecond) // until the server has taken it
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(4 * time.Second):
		t.Error("still serving")
	}
	if err := Serve(t.Context(), "256.0.0.1:0", Config{}, func(string) {}); err == nil {
		t.Error("an impossible address was served")
	}
}
