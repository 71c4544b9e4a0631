package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAsleep has a machine sleep for an hour, during which its monotonic clock stands still: the token is asked for anew,
// and with it the time. A clock that is set back is no different.
func TestAsleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, away := 0, time.Duration(0)
		c, err := New(Config{Key: "k", Secret: "s", Through: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := `{"code":0,"message":null,"response":[]}`
			if r.URL.Path == "/users/getToken" {
				tokens++
				now := time.Now().Add(away).Unix()
				body = fmt.Sprintf(`{"code":0,"message":null,"response":{"access_token":"t","now":%d,"expired_at":%d}}`, now, now+1800)
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(body))}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		look := func(want int) {
			t.Helper()
			if _, err := c.Channels(context.Background()); err != nil || tokens != want {
				t.Errorf("%d tokens: %v", tokens, err)
			}
			if off := c.ServerTime().Sub(time.Now().Add(away)).Abs(); off > 2*time.Second {
				t.Errorf("the server's time is %v off", off)
			}
		}
		look(1)
		time.Sleep(time.Minute)
		look(1)
		for i, span := range []time.Duration{time.Hour, -3 * time.Hour} {
			away += span
			c.tokens.wall = c.tokens.wall.Add(-span)                                   // as if the wall's clock alone had moved on
			if off := c.ServerTime().Sub(time.Now().Add(away)); off < -2*time.Second { // what is intended now is not of before the sleep
				t.Errorf("before the next token the server's time is %v off", off)
			}
			look(2 + i)
			look(2 + i)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
