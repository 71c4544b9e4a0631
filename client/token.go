package client

import (
	"context"
	"sync"
	"time"
)

// tokenMargin is how long before its end a token is no longer used. With under a minute left the API prolongs a
// token by five minutes, so a margin under a minute gets a longer life out of every refresh.
const tokenMargin = 30 * time.Second

// slept is how much more the clock on the wall must have advanced than the monotonic one for the machine to have been
// asleep, or the clock to have been set. Nothing that was known of the server's time or of connections holds then.
const slept = 5 * time.Second

// tokens holds the access token that all callers share. turn lets one of them refresh it at a time.
type tokens struct {
	turn chan struct{}

	mu     sync.Mutex
	value  string
	until  time.Time // by the local monotonic clock
	server time.Time // the server's clock at the last refresh
	local  time.Time // ours at that moment, monotonic
	wall   time.Time // likewise, as the clock on the wall shows it
}

func (t *tokens) get() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Before(t.until) && !t.asleepUntil(now) {
		return t.value
	}
	return ""
}

// asleep reports whether the machine slept since the last refresh, or its clock was set.
func (t *tokens) asleep() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.value != "" && t.asleepUntil(time.Now())
}

func (t *tokens) asleepUntil(now time.Time) bool {
	return (now.Round(0).Sub(t.wall) - now.Sub(t.local)).Abs() > slept
}

// drop forgets the token that a 401 came back for. It reports false if another caller has replaced it meanwhile.
func (t *tokens) drop(value string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != value {
		return false
	}
	t.value, t.until = "", time.Time{}
	return true
}

func (t *tokens) set(value string, life time.Duration, server time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value, t.server, t.local = value, server, time.Now()
	t.wall = t.local.Round(0)
	t.until = t.local.Add(life - min(tokenMargin, life/2))
}

// token returns a token with some life left, from the API if need be.
func (c *Client) token(ctx context.Context) (string, error) {
	if value := c.tokens.get(); value != "" {
		return value, nil
	}
	k := call{op: "POST /users/getToken", bare: true, body: map[string]string{"imp_key": string(c.config.Key), "imp_secret": string(c.config.Secret)}}
	select {
	case c.tokens.turn <- struct{}{}:
		defer func() { <-c.tokens.turn }()
	case <-ctx.Done():
		return "", &Error{Op: k.op, Kind: Stopped, Err: context.Cause(ctx)}
	}
	if value := c.tokens.get(); value != "" { // another caller fetched it while we waited
		return value, nil
	}
	if c.tokens.asleep() {
		c.http.CloseIdleConnections() // the other end has forgotten them
	}
	var reply struct {
		AccessToken Text `json:"access_token"`
		Now         Unix `json:"now"`
		ExpiredAt   Unix `json:"expired_at"`
	}
	if err := c.do(ctx, k, &reply); err != nil {
		if fault, ok := err.(*Error); ok {
			beforeSending(fault)
			if fault.Kind == Refused || fault.Kind == NotFound {
				fault.Kind = Unauthorized // a 4xx means that the credentials were refused
			}
		}
		return "", err
	}
	if reply.AccessToken == "" {
		return "", &Error{Op: k.op, Kind: NotWritten, Err: errMissingToken}
	}
	life := time.Duration(reply.ExpiredAt-reply.Now) * time.Second // both by the server's clock
	server := time.Unix(int64(reply.Now), 0)
	if reply.Now == 0 {
		server = time.Now() // it tells no time
	}
	c.tokens.set(string(reply.AccessToken), max(life, 2*time.Second), server)
	return string(reply.AccessToken), nil
}

// beforeSending restates the failure of a request that went ahead of another one, for the call that needed it: that
// call was never written, however the request before it ended.
func beforeSending(fault *Error) {
	switch fault.Kind {
	case NoReply, ServerError, Malformed:
		kind := NotWritten
		if fault.Status/100 == 3 {
			kind = Redirected
		}
		fault.Kind = kind
	}
}

// Authenticate fetches a token if none is at hand, so that wrong credentials are known before anything else is sent.
// POST /users/getToken; the error's kind is Unauthorized when they were refused.
func (c *Client) Authenticate(ctx context.Context) error {
	_, err := c.token(ctx)
	return err
}

// ServerTime returns the server's time as of its last token reply, carried on by the monotonic clock, so that a local
// clock that is wrong, or set while a run is under way, does no harm. Before the first token it is the local time.
// It is good to a second or two.
func (c *Client) ServerTime() time.Time {
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	if c.tokens.local.IsZero() {
		return time.Now()
	}
	now := time.Now()
	passed := now.Sub(c.tokens.local)
	if c.tokens.asleepUntil(now) { // the monotonic clock stood still; until the next token tells, what is later is safer to believe
		passed = max(passed, now.Round(0).Sub(c.tokens.wall))
	}
	return c.tokens.server.Add(passed)
}

// dated is when a reply came, by the server's clock and by ours.
type dated struct{ server, local time.Time }

// Date returns the server's time as of the Date header of its last reply about a token, refused or not; the zero time if there
// was none.
func (c *Client) Date() time.Time {
	if d := c.dated.Load(); d != nil {
		return d.server.Add(time.Since(d.local))
	}
	return time.Time{}
}
