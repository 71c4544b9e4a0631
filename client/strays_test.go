package client_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"vbankbatch/client"
)

// TestStrays has a server without a limit that refuses some requests at random. The ideal is every request at the rate asked
// for, and the pauses.
func TestStrays(t *testing.T) {
	for _, share := range []float64{0.005, 0.02, 0.05} {
		for _, after := range []string{"1", ""} {
			t.Run(fmt.Sprintf("%g and Retry-After %s", share, after), func(t *testing.T) {
				const seeds = 10
				sum, worst, claimed := 0.0, 0.0, 0
				paused, refused := 0.0, 0
				for seed := range uint64(seeds) {
					synctest.Test(t, func(t *testing.T) {
						random := rand.New(rand.NewPCG(seed, 7))
						g := &gate{latency: 50 * time.Millisecond, headers: http.Header{}, allow: func(time.Time) bool { return random.Float64() >= share }}
						if after != "" {
							g.headers.Set("Retry-After", after)
						}
						c := connect(t, client.Config{Through: g, Rate: 20, Workers: 8, Patience: time.Minute})
						took := work(t, c, 8, 600).Seconds()
						learnt := c.Limits()
						took /= float64(len(g.arrived))/20 + learnt.Paused.Seconds()
						sum, worst = sum+took, max(worst, took)
						paused, refused = paused+learnt.Paused.Seconds(), refused+g.refused
						if learnt.Confirmed && learnt.Rate < 18 {
							claimed++
						}
					})
				}
				if sum/seeds > 1.2 || after != "" && worst > 1.2 || claimed > 1 || after == "" && paused > 0.75*float64(refused) {
					t.Errorf("%.2f of the ideal, %.2f at worst; a limit was claimed %d times; paused %.2f s a refusal", sum/seeds, worst, claimed, paused/float64(refused))
				}
			})
		}
	}
}

// changing makes of bucket or window one whose limit is another every two minutes.
func changing[L float64 | int](server func(L) func(time.Time) bool, limits ...L) func(time.Time) bool {
	var started time.Time
	var allow func(time.Time) bool
	current := -1
	return func(now time.Time) bool {
		if started.IsZero() {
			started = now
		}
		if i := int(now.Sub(started)/(2*time.Minute)) % len(limits); i != current {
			current, allow = i, server(limits[i])
		}
		return allow(now)
	}
}

// TestLimitChanges has a server whose limit changes, and that asks for twenty seconds after each refusal. Halving at every
// refusal took 20 and 22 minutes.
func TestLimitChanges(t *testing.T) {
	for name, allow := range map[string]func() func(time.Time) bool{
		"a bucket": func() func(time.Time) bool { return changing(bucket, 100, 30, 60, 15, 100) },
		"a window": func() func(time.Time) bool { return changing(window, 100, 30, 60, 15, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{latency: 20 * time.Millisecond, allow: allow(), headers: http.Header{"Retry-After": {"20"}}}
				c := connect(t, client.Config{Through: g, Rate: 100, Workers: 8, Patience: time.Hour})
				took := work(t, c, 8, 40000)
				if took > 20*time.Minute {
					t.Errorf("took %v with %d refusals", took, g.refused)
				}
			})
		})
	}
}

// TestLimitMoves has a limit that is another one after three minutes, and stays so.
func TestLimitMoves(t *testing.T) {
	for _, limits := range [][2]int{{15, 60}, {60, 15}} {
		for _, after := range []string{"1", ""} {
			t.Run(fmt.Sprintf("%v and Retry-After %s", limits, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					before, later := window(limits[0]), window(limits[1])
					moves := time.Now().Add(3 * time.Minute)
					g := &gate{latency: 20 * time.Millisecond, headers: http.Header{}, allow: func(now time.Time) bool {
						if now.Before(moves) {
							return before(now)
						}
						return later(now)
					}}
					if after != "" {
						g.headers.Set("Retry-After", after)
					}
					c := connect(t, client.Config{Through: g, Rate: 100, Workers: 8, Patience: time.Hour})
					for time.Now().Before(moves) {
						work(t, c, 8, 10*limits[0])
					}
					ideal := 2 * time.Minute
					took := work(t, c, 8, limits[1]*120)
					if times := took.Seconds() / ideal.Seconds(); times > 1.3 {
						t.Errorf("took %.2f of the ideal", times)
					}
				})
			})
		}
	}
}

// TestNoRate asks for no rate of a server that takes a hundred a second, with workers that could send four hundred.
func TestNoRate(t *testing.T) {
	for name, allow := range map[string]func() func(time.Time) bool{
		"a bucket": func() func(time.Time) bool { return bucket(100) },
		"a window": func() func(time.Time) bool { return window(100) },
	} {
		for _, after := range []string{"1", ""} {
			t.Run(name+" and Retry-After "+after, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := &gate{latency: 20 * time.Millisecond, allow: allow(), headers: http.Header{}}
					if after != "" {
						g.headers.Set("Retry-After", after)
					}
					c := connect(t, client.Config{Through: g, Workers: 8, Patience: time.Minute})
					first, second := work(t, c, 8, 10000), work(t, c, 8, 10000)
					if first > 125*time.Second || second > 115*time.Second {
						t.Errorf("took %v and %v, ideal were 100 s each", first, second)
					}
				})
			})
		}
	}
}

// TestNeighbour has another user of the key take half of the limit for a while. Once it is gone, nine tenths of the rate
// are to be back, soon after a short stay.
func TestNeighbour(t *testing.T) {
	for _, limit := range []float64{20, 40, 100} {
		for _, after := range []string{"1", ""} {
			for _, stays := range []time.Duration{10 * time.Second, 2 * time.Minute} {
				t.Run(fmt.Sprintf("%g and Retry-After %s, %v", limit, after, stays), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						alone, shared := window(int(limit)), window(int(limit/2))
						comes := time.Now().Add(30 * time.Second)
						goes := comes.Add(stays)
						g := &gate{latency: 20 * time.Millisecond, headers: http.Header{}, allow: func(now time.Time) bool {
							if now.After(comes) && now.Before(goes) {
								return shared(now)
							}
							return alone(now)
						}}
						if after != "" {
							g.headers.Set("Retry-After", after)
						}
						c := connect(t, client.Config{Through: g, Rate: 0.95 * limit, Workers: 8, Patience: time.Minute})
						work(t, c, 8, int((60+stays.Seconds())*limit))
						back, most := time.Hour, int(0.9*0.95*limit)
						for i, at := range g.arrived {
							if at.After(goes) && i+most < len(g.arrived) && g.arrived[i+most].Sub(at) <= time.Second {
								back = at.Sub(goes)
								break
							}
						}
						within := 5 * time.Second
						if stays > 20*time.Second {
							within = 40 * time.Second // more is tried less often, since every try costs a pause
						}
						if back > within || g.refused == 0 {
							t.Errorf("back after %v; %d were refused", back, g.refused)
						}
					})
				})
			}
		}
	}
}

// TestHeldDown has replies take ten seconds for a while, in which some are refusals. The rate that was seen then says
// nothing of the server's limit.
func TestHeldDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := &gate{latency: 10 * time.Second, headers: http.Header{"Retry-After": {"1"}}}
		fast := &gate{latency: 20 * time.Millisecond}
		g.allow = func(time.Time) bool { n++; return n%20 != 0 }
		var slow bool
		api := through(func(r *http.Request) (*http.Response, error) {
			if slow {
				return g.RoundTrip(r)
			}
			return fast.RoundTrip(r)
		})
		c := connect(t, client.Config{Through: api, Rate: 20, Workers: 8, Patience: time.Minute})
		work(t, c, 8, 400)
		slow = true
		work(t, c, 8, 200)
		slow = false
		if took := work(t, c, 8, 200); took > 11*time.Second || g.refused < 10 || c.Limits().Rate > 0 {
			t.Errorf("took %v after %d refusals; %+v", took, g.refused, c.Limits())
		}
	})
}
