package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"vbankbatch/client"
)

// gate is an API in process that notes when requests arrive, and answers those that its limit refuses with 429.
type gate struct {
	allow   func(now time.Time) bool // nil lets all through
	latency time.Duration
	headers http.Header // of a 429
	status  func(now time.Time, atOnce int) int

	mu      sync.Mutex
	arrived []time.Time
	refused int
	atOnce  int
	most    int
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	now := time.Now()
	g.arrived = append(g.arrived, now)
	g.atOnce++
	g.most = max(g.most, g.atOnce)
	atOnce := g.atOnce
	let := g.allow == nil || g.allow(now)
	if !let {
		g.refused++
	}
	g.mu.Unlock()
	time.Sleep(g.latency)
	g.mu.Lock()
	g.atOnce--
	g.mu.Unlock()
	reply := &http.Response{StatusCode: 200, Header: http.Header{}, Request: r}
	body := good
	switch {
	case !let:
		reply.StatusCode, reply.Header, body = 429, g.headers, ""
	case strings.HasSuffix(r.URL.Path, "getToken"):
		body = tokenReply
	case strings.Contains(r.URL.Path, "/findAll/"): // asked before an issue is sent again
		reply.StatusCode, body = 404, noPayment
	case g.status != nil:
		reply.StatusCode = g.status(now, atOnce)
	}
	reply.Body = io.NopCloser(strings.NewReader(body))
	return reply, nil
}

// densest is the most requests that arrived within a second, wherever it begins.
func (g *gate) densest() int {
	most, from := 0, 0
	for i, at := range g.arrived {
		for at.Sub(g.arrived[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// bucket refills at so many a second, up to one second's worth.
func bucket(perSecond float64) func(time.Time) bool {
	left, last := perSecond, time.Time{}
	return func(now time.Time) bool {
		if !last.IsZero() {
			left = min(left+now.Sub(last).Seconds()*perSecond, perSecond)
		}
		if last = now; left < 1 {
			return false
		}
		left--
		return true
	}
}

// window lets so many through in any second.
func window(perSecond int) func(time.Time) bool {
	var let []time.Time
	return func(now time.Time) bool {
		let = slices.DeleteFunc(let, func(t time.Time) bool { return now.Sub(t) >= time.Second })
		if len(let) >= perSecond {
			return false
		}
		let = append(let, now)
		return true
	}
}

// work issues n times with so many workers, and returns how long it took.
func work(t *testing.T, c *client.Client, workers, n int) time.Duration {
	t.Helper()
	started := time.Now()
	var pool errgroup.Group
	pool.SetLimit(workers)
	for range n {
		pool.Go(func() error {
			_, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000})
			return err
		})
	}
	if err := pool.Wait(); err != nil {
		t.Error(err)
	}
	return time.Since(started)
}

// TestPacing looks at the server's side: never more than the rate in any second, and hardly less over all.
func TestPacing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate    float64
		workers int
		latency time.Duration
		n       int
	}{{0.5, 4, time.Millisecond, 20}, {5, 8, 300 * time.Millisecond, 300}, {50, 16, 20 * time.Millisecond, 5000}, {99.5, 16, 0, 5000}, {400, 64, 50 * time.Millisecond, 20000}, {2000, 64, 5 * time.Millisecond, 40000}} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{latency: c.latency}
				took := work(t, connect(t, client.Config{Through: g, Rate: c.rate, Workers: c.workers}), c.workers, c.n)
				most := int(math.Ceil(c.rate)) + 1
				if c.rate >= 100 {
					most = int(c.rate * 1.01)
				}
				if n := g.densest(); n > most {
					t.Errorf("%d arrived within a second, at most %d may", n, most)
				}
				ideal := float64(c.n) / c.rate // the token is one more
				if took.Seconds() > ideal/0.99+1/c.rate+2*c.latency.Seconds() {
					t.Errorf("took %v, ideal were %.1f s", took, ideal)
				}
			})
		})
	}
}

// TestLearning has a server that takes less than it is asked for, by two ways of counting.
func TestLearning(t *testing.T) {
	t.Parallel()
	for name, allow := range map[string]func() func(time.Time) bool{
		"a bucket of 40": func() func(time.Time) bool { return bucket(40) },
		"a window of 40": func() func(time.Time) bool { return window(40) },
		"a bucket of 7":  func() func(time.Time) bool { return bucket(7) },
		"a window of 95": func() func(time.Time) bool { return window(95) },
	} {
		for _, after := range []string{"1", ""} {
			t.Run(name+" and Retry-After "+after, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var limit float64
					fmt.Sscanf(name[strings.LastIndex(name, " ")+1:], "%g", &limit)
					g := &gate{latency: 20 * time.Millisecond, allow: allow(), headers: http.Header{}}
					if after != "" {
						g.headers.Set("Retry-After", after)
					}
					c := connect(t, client.Config{Through: g, Rate: 100, Workers: 8})
					n := int(limit * 300)
					took := work(t, c, 8, n)
					if ideal := float64(n) / limit; took.Seconds() > 1.1*ideal {
						t.Errorf("took %v, 1.1 of the ideal %.0f s", took, ideal)
					}
					if share := float64(g.refused) / float64(len(g.arrived)); share > 0.02 {
						t.Errorf("%d of %d were refused", g.refused, len(g.arrived))
					}
					if learnt := c.Limits(); math.Abs(learnt.Rate/limit-1) > 0.15 || learnt.TooMany != int64(g.refused) {
						t.Errorf("learnt %+v", learnt)
					}
				})
			})
		}
	}
}

// TestOnePauseForAll has one 429, with a date, stop everybody until then.
func TestOnePauseForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		n := 0
		g := &gate{latency: time.Millisecond, headers: http.Header{}, allow: func(time.Time) bool { n++; return n != 30 }}
		g.headers.Set("Date", started.UTC().Format(http.TimeFormat))
		g.headers.Set("Retry-After", started.Add(20*time.Second).UTC().Format(http.TimeFormat))
		c := connect(t, client.Config{Through: g, Rate: 100, Workers: 8})
		work(t, c, 8, 500)
		var longest time.Duration
		for i := 1; i < len(g.arrived); i++ {
			longest = max(longest, g.arrived[i].Sub(g.arrived[i-1]))
		}
		if longest < 19*time.Second || g.refused != 1 || c.Limits().Paused < 19*time.Second {
			t.Errorf("the longest pause was %v, %+v", longest, c.Limits())
		}
	})
}

// TestFewerAtOnce has a server that fails when there are too many at once, for a while.
func TestFewerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		g := &gate{latency: 100 * time.Millisecond}
		g.status = func(now time.Time, atOnce int) int {
			if atOnce > 2 && now.Sub(started) < 5*time.Second {
				return 500
			}
			return 200
		}
		c := connect(t, client.Config{Through: g, Workers: 16})
		var pool errgroup.Group
		pool.SetLimit(16)
		failed := 0
		var mu sync.Mutex
		for range 5000 {
			pool.Go(func() error {
				if _, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000}); err != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
				return nil
			})
		}
		pool.Wait()
		if learnt := c.Limits(); learnt.LeastOnce > 3 || learnt.AtOnce != 16 || int(learnt.Failures) < failed || failed > 100 || g.most != 16 {
			t.Errorf("learnt %+v; %d failed, %d at once", learnt, failed, g.most)
		}
	})
}

// TestRateIsChanged lowers and raises the rate of a client at work.
func TestRateIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		c := connect(t, client.Config{Through: g, Rate: 100, Workers: 4})
		for _, step := range []struct {
			rate float64
			n    int
		}{{100, 500}, {10, 50}, {200, 1000}} {
			c.SetRate(step.rate)
			if took := work(t, c, 4, step.n); math.Abs(took.Seconds()-5) > 0.2 {
				t.Errorf("at %g a second %d took %v", step.rate, step.n, took)
			}
		}
	})
}

// TestOutage takes the API away for some minutes, in each of the ways that it can be away: what acts is not sent into the
// silence, nobody is hurried, and the calls outlast it unless it is longer than their patience.
func TestOutage(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("no route to host")}
	for _, c := range []struct {
		name    string
		minutes int
		away    func(*http.Request) (*http.Response, error)
		kind    client.Kind // of what fails in the end; "" where nothing does but what was under way
	}{
		{"no network", 3, func(*http.Request) (*http.Response, error) { return nil, dial }, ""},
		{"503", 3, func(r *http.Request) (*http.Response, error) { return answer(r, 503, "<html>"), nil }, ""},
		{"a page", 3, func(r *http.Request) (*http.Response, error) { return answer(r, 200, "<html>"), nil }, ""},
		{"no network for long", 20, func(*http.Request) (*http.Response, error) { return nil, dial }, client.NotConnected},
		{"503 for long", 20, func(r *http.Request) (*http.Response, error) { return answer(r, 503, "<html>"), nil }, client.NotWritten},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				started, issues, others := time.Now(), 0, 0
				var mu sync.Mutex
				api := through(func(r *http.Request) (*http.Response, error) {
					time.Sleep(10 * time.Millisecond)
					since := time.Since(started)
					away := since > 5*time.Second && since < time.Duration(c.minutes)*time.Minute
					mu.Lock()
					defer mu.Unlock()
					switch {
					case away && r.URL.Path == "/vbanks":
						issues++
					case away:
						others++
					}
					switch {
					case away:
						return c.away(r)
					case r.URL.Path == "/users/getToken":
						return answer(r, 200, tokenReply), nil
					}
					return answer(r, 200, good), nil
				})
				const workers = 8
				a := connect(t, client.Config{Through: api, Rate: 10, Workers: workers, Patience: 5 * time.Minute})
				var pool errgroup.Group
				pool.SetLimit(workers)
				inDoubt, failed := 0, 0
				ctx, giveUp := context.WithCancel(context.Background())
				defer giveUp()
				for range 200 {
					pool.Go(func() error {
						_, err := a.Issue(ctx, client.IssueRequest{MerchantUID: "A-1", Amount: 1000})
						mu.Lock()
						defer mu.Unlock()
						switch {
						case client.InDoubt(err):
							inDoubt++
						case err != nil && client.KindOf(err) != client.Stopped:
							giveUp()
							failed++
							away := time.Since(started) - 5*time.Second
							if fault := err.(*client.Error); fault.Kind != c.kind || !fault.Down || away < 5*time.Minute || away > 6*time.Minute {
								t.Errorf("%v after %v (down: %v)", err, away, fault.Down)
							}
						}
						return nil
					})
				}
				pool.Wait()
				if inDoubt > workers || c.kind == "" && failed > 0 || c.kind != "" && failed == 0 || others > 10*c.minutes+20 || issues > 30*c.minutes {
					t.Errorf("%d in doubt, %d failed; %d issues and %d other requests were sent while it was away", inDoubt, failed, issues, others)
				}
			})
		})
	}
}

// TestNoPatience gives calls up without the pauses that only patience is for.
func TestNoPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := through(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("no route to host")}
		})
		c := connect(t, client.Config{Through: api, Workers: 8})
		started := time.Now()
		for range 6 {
			if err := c.Authenticate(context.Background()); client.KindOf(err) != client.NotConnected {
				t.Error(err)
			}
		}
		if took, requests := time.Since(started), c.Requests(); took > 6*4*time.Second || requests != 6*4 {
			t.Errorf("%d requests took %v", requests, took)
		}
	})
}

// TestTokenForgottenInOutage has an API that knows its tokens no more when it answers again. That is no reason to say that
// the credentials were refused, however often a call was tried before.
func TestTokenForgottenInOutage(t *testing.T) {
	for _, away := range []string{"dial", "503", "429"} {
		for _, workers := range []int{1, 2, 8} {
			t.Run(fmt.Sprint(away, " with ", workers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					started, known := time.Now(), "token"
					var mu sync.Mutex
					api := through(func(r *http.Request) (*http.Response, error) {
						time.Sleep(10 * time.Millisecond)
						mu.Lock()
						defer mu.Unlock()
						if since := time.Since(started); since > 5*time.Second && since < 4*time.Minute {
							known = "token-2"
							var status int
							if fmt.Sscan(away, &status); status > 0 {
								return answer(r, status, "<html>"), nil
							}
							return nil, &net.OpError{Op: "dial", Err: errors.New("no route to host")}
						}
						switch {
						case r.URL.Path == "/users/getToken":
							return answer(r, 200, strings.Replace(tokenReply, `"token"`, `"`+known+`"`, 1)), nil
						case r.Header.Get("Authorization") != "Bearer "+known:
							return answer(r, 401, `{"code":-1,"message":"Unauthorized","response":null}`), nil
						}
						return answer(r, 200, good), nil
					})
					a := connect(t, client.Config{Through: api, Rate: 10, Workers: workers, Patience: 5 * time.Minute})
					for _, err := range issues(a, workers, 200) {
						if !client.InDoubt(err) {
							t.Error(err)
						}
					}
				})
			})
		}
	}
}

// TestPatienceAtLowRate has callers wait longer for their turn than their patience is. One 429 then, which asks for a
// second, is not the end.
func TestPatienceAtLowRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := &gate{latency: 10 * time.Millisecond, headers: http.Header{"Retry-After": {"1"}}, allow: func(time.Time) bool { n++; return n != 20 }}
		c := connect(t, client.Config{Through: g, Rate: 0.02, Workers: 8, Patience: 5 * time.Minute})
		for _, err := range issues(c, 8, 50) {
			t.Error(err)
		}
		if g.refused != 1 {
			t.Errorf("%d were refused", g.refused)
		}
	})
}

// TestPatienceEnds has an API that says 429 to all for good: that ends when the patience does.
func TestPatienceEnds(t *testing.T) {
	for _, after := range []string{"", "20", "200", "400"} {
		t.Run("Retry-After "+after, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{latency: 10 * time.Millisecond, headers: http.Header{"Retry-After": {after}}, allow: func(time.Time) bool { return false }}
				c := connect(t, client.Config{Through: g, Rate: 10, Patience: 5 * time.Minute})
				started := time.Now()
				err := c.Authenticate(context.Background())
				if took := time.Since(started); client.KindOf(err) != client.RateLimited || took > 6*time.Minute {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// TestRetryAfterTooLarge has a server ask for longer than a number can say: nobody asks again at once.
func TestRetryAfterTooLarge(t *testing.T) {
	for _, after := range []string{"99999999999999999999999", "9223372036854775807", "86400"} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{headers: http.Header{"Retry-After": {after}}, allow: func(time.Time) bool { return false }}
			c := connect(t, client.Config{Through: g, Rate: 100, Patience: 5 * time.Minute})
			err := c.Authenticate(context.Background())
			if fault, _ := errors.AsType[*client.Error](err); fault == nil || fault.RetryAfter != 24*time.Hour || len(g.arrived) != 1 {
				t.Errorf("%s: %+v after %d requests", after, fault, len(g.arrived))
			}
		})
	}
}

// TestUnlearnt has one 429, and then a server that takes all that is asked for: nothing lower is told in the end.
func TestUnlearnt(t *testing.T) {
	t.Parallel()
	for _, nth := range []int{30, 300} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			g := &gate{latency: 10 * time.Millisecond, allow: func(time.Time) bool { n++; return n != nth }}
			c := connect(t, client.Config{Through: g, Rate: 100, Workers: 8, Patience: 5 * time.Minute})
			work(t, c, 8, nth+5)
			if learnt := c.Limits(); learnt.Rate <= 0 || learnt.Rate >= 100 {
				t.Errorf("at first: %+v", learnt)
			}
			work(t, c, 8, 20000)
			if learnt := c.Limits(); learnt.Rate != 0 || learnt.TooMany != 1 {
				t.Errorf("in the end: %+v", learnt)
			}
		})
	}
}

// TestPauseIsBrokenOff stops within a pause that was to be long: only what has passed of it is told.
func TestPauseIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := &gate{headers: http.Header{"Retry-After": {"200"}}, allow: func(time.Time) bool { n++; return n != 10 }}
		c := connect(t, client.Config{Through: g, Rate: 100, Patience: 5 * time.Minute})
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(4*time.Second, cancel)
		var err error
		for err == nil {
			_, err = c.Issue(ctx, client.IssueRequest{MerchantUID: "A-1", Amount: 1000})
		}
		if paused := c.Limits().Paused; paused < 3*time.Second || paused > 4*time.Second {
			t.Errorf("paused for %v of the 4 s", paused)
		}
		time.Sleep(time.Hour)
		if paused := c.Limits().Paused; paused != 200*time.Second {
			t.Errorf("paused for %v of the 200 s", paused)
		}
	})
}

// issues issues n times with so many workers, and returns what failed.
func issues(c *client.Client, workers, n int) (failed []error) {
	var mu sync.Mutex
	var pool errgroup.Group
	pool.SetLimit(workers)
	for range n {
		pool.Go(func() error {
			if _, err := c.Issue(context.Background(), client.IssueRequest{MerchantUID: "A-1", Amount: 1000}); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	pool.Wait()
	return failed
}

type through func(*http.Request) (*http.Response, error)

func (f through) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(body))}
}

// TestLearntIsHandedOn has a client take over from one that has learnt a limit and been asked to pause.
func TestLearntIsHandedOn(t *testing.T) {
	for name, allow := range map[string]func() func(time.Time) bool{
		"a bucket": func() func(time.Time) bool { return bucket(15) },
		"a window": func() func(time.Time) bool { return window(15) },
	} {
		for _, asked := range []float64{100, 0} {
			t.Run(fmt.Sprint(name, " and a rate of ", asked), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := &gate{latency: 20 * time.Millisecond, allow: allow(), headers: http.Header{"Retry-After": {"20"}}}
					config := client.Config{Through: g, Rate: asked, Workers: 8, Patience: time.Hour}
					first := connect(t, config)
					for first.Learnt().Rate == 0 {
						work(t, first, 1, 1)
					}
					config.Learnt = first.Learnt()
					if rate := config.Learnt.Rate; rate < 10 || rate > 16 {
						t.Fatalf("learnt %+v", config.Learnt)
					}
					config.Learnt.Resume = time.Now().Add(20 * time.Second)
					next := connect(t, config)
					if learnt := next.Learnt(); learnt != config.Learnt {
						t.Errorf("handed on: %+v", learnt)
					}
					g.arrived, g.refused = nil, 0
					work(t, next, 8, 100)
					if from := g.arrived[0]; from.Before(config.Learnt.Resume) || g.refused > 0 || g.densest() > 17 {
						t.Errorf("sent %v after the pause's end, %d refused, %d within a second", from.Sub(config.Learnt.Resume), g.refused, g.densest())
					}
					if learnt := next.Learnt(); !learnt.Resume.IsZero() {
						t.Errorf("a pause that is over is handed on: %+v", learnt)
					}
					if paused := next.Limits().Paused; paused != 20*time.Second {
						t.Errorf("paused for %v", paused)
					}
				})
			})
		}
	}
}

// TestLearntIsTried has the limit that was learnt be another one by now, or nonsense, as is a pause of a year: it is found out.
func TestLearntIsTried(t *testing.T) {
	const patience = time.Minute
	for _, test := range []struct {
		learnt, kept float64
		limit        int
		within       time.Duration // to send 1,000
	}{
		{10, 10, 100, 30 * time.Second}, // and 150 of them at 10 a second
		{50, 50, 20, 70 * time.Second},  // 50 s at best
		{200, 0, 1000, 11 * time.Second},
		{math.Inf(1), 0, 1000, 11 * time.Second},
		{math.NaN(), 0, 1000, 11 * time.Second},
		{-1, 0, 1000, 11 * time.Second},
		{1e-9, 0.1, 1000, 1550 * time.Second}, // and 150 of them at the least rate
	} {
		t.Run(fmt.Sprint(test.learnt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{latency: 20 * time.Millisecond, allow: window(test.limit), headers: http.Header{"Retry-After": {"1"}}}
				learnt := client.Learnt{Rate: test.learnt, Resume: time.Now().AddDate(1, 0, 0)}
				c := connect(t, client.Config{Through: g, Rate: 100, Workers: 8, Patience: patience, Learnt: learnt})
				if kept := c.Learnt().Rate; kept != test.kept {
					t.Errorf("%v is kept to at first", kept)
				}
				if took := work(t, c, 8, 1000); took > patience+test.within {
					t.Errorf("took %v; %d refused", took, g.refused)
				}
			})
		})
	}
}

// TestLearntOutlastsRefusal has the first request of all be refused, which says nothing against a limit that was learnt.
func TestLearntOutlastsRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := &gate{latency: 20 * time.Millisecond, headers: http.Header{"Retry-After": {"1"}}, allow: func(time.Time) bool { n++; return n > 1 }}
		c := connect(t, client.Config{Through: g, Rate: 100, Workers: 8, Patience: time.Minute, Learnt: client.Learnt{Rate: 10}})
		if work(t, c, 1, 1); g.refused != 1 || c.Learnt().Rate < 8 {
			t.Errorf("%d refused; %+v", g.refused, c.Learnt())
		}
	})
}
