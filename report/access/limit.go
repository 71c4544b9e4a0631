package access

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Attempts to sign in: of one address (of IPv6, of one network), and in all. People behind one proxy have one address.
const (
	addressRate  rate.Limit = 0.5
	addressBurst            = 30
	allRate      rate.Limit = 10
	allBurst                = 200
)

type limits struct {
	mu   sync.Mutex
	all  *rate.Limiter
	each map[string]*rate.Limiter
}

func newLimits() *limits {
	return &limits{all: rate.NewLimiter(allRate, allBurst), each: make(map[string]*rate.Limiter)}
}

// wait takes an attempt, or returns how long until there is one.
func (l *limits) wait(from string, now time.Time) time.Duration {
	if address, err := netip.ParseAddr(from); err == nil && address.Is6() {
		network, _ := address.Prefix(64) // it has so many bits
		from = network.String()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := until(l.all, now); wait > 0 { // before there is an entry: so they stay few
		return wait
	}
	one := l.each[from]
	if one == nil {
		if len(l.each) >= 1000 {
			maps.DeleteFunc(l.each, func(_ string, one *rate.Limiter) bool { return one.TokensAt(now) >= addressBurst })
		}
		one = rate.NewLimiter(addressRate, addressBurst)
		l.each[from] = one
	}
	if wait := until(one, now); wait > 0 {
		return wait
	}
	one.AllowN(now, 1)
	l.all.AllowN(now, 1)
	return 0
}

// until is how long it takes until a limiter has one.
func until(l *rate.Limiter, now time.Time) time.Duration {
	return time.Duration((1 - l.TokensAt(now)) / float64(l.Limit()) * float64(time.Second))
}
