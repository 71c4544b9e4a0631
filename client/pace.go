package client

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	firstPause  = 250 * time.Millisecond // at most, doubled with each refusal in a row
	hardly      = 4                      // requests taken since the last refusal, and the next one is not in a row with it;
	easily      = 10                     // so many, and short pauses do again
	quietFrom   = 3                      // attempts in a row without an answer, from any caller, after which the API counts as down
	blockedFrom = 20                     // foreign replies since the API's own last one, after which they count as no answer
)

// pace lets attempts go one after the other, evenly, all callers together: never faster than the rate that was asked
// for, slower once the server has said 429, and fewer at once while it fails. One 429 pauses all, and so does an API
// that answers nobody.
type pace struct {
	slots   chan struct{} // one for each attempt that may be under way
	turn    chan struct{} // held by the one caller that waits for its moment, so that a new rate concerns the next
	limiter *rate.Limiter
	free    atomic.Bool // there is no limit and nothing to wait for

	mu       sync.Mutex
	limit    limit         // what is learnt from refusals
	since    time.Time     // of the last refusal that was learnt from
	patience time.Duration // the longest pause over silence, and over a refusal that asks for more than maxBackoff
	resume   time.Time     // nothing goes before; at first the time of the first attempt
	silent   int           // attempts without an answer, of anybody, since the last one that had one
	down     time.Time     // when the first of them ended
	foreign  int           // foreign replies since the API's own last one
	waits    int           // pauses over them
	paused   time.Time     // end of the last pause over a refusal, which told counts as a whole
	slow     bool          // short pauses were too short
	row      int           // refusals with hardly an answer between them
	withheld int           // slots that are not given back
	want     int           // slots to be withheld
	good     int           // answers since a slot was last taken or given
	cut      time.Time     // when the last slots were
	told     LimitStats
}

// LimitStats are what a client found out about the server's limits.
type LimitStats struct {
	TooMany   int64         // attempts that were answered with 429
	Rate      float64       // the limit that the refusals name, attempts a second; 0 where nothing speaks for one below the rate asked for
	Confirmed bool          // less was sent then, which helped, and more was refused again: they are no strays
	Paused    time.Duration // in all, so far
	Failures  int64         // attempts that the server failed at, or left without an answer
	AtOnce    int           // attempts under way at once, as of now
	LeastOnce int           // the fewest that were allowed
}

// Learnt is what a client found out that the next one of the same key should know.
type Learnt struct {
	Rate   float64   // the limit that is kept to, attempts a second; 0 is none
	Resume time.Time // end of the pause that a 429 asked for, by this machine's clock; zero when it is over
}

func newPace(config Config) *pace {
	p := &pace{patience: config.Patience, slots: make(chan struct{}, config.Workers), turn: make(chan struct{}, 1), limiter: rate.NewLimiter(rate.Inf, 1)}
	p.told.AtOnce, p.told.LeastOnce = config.Workers, config.Workers
	p.setTop(config.Rate)
	now := time.Now()
	p.limit.restore(now, config.Learnt.Rate)
	p.rest(now, p.bounded(config.Learnt.Resume.Sub(now)))
	p.adjust(now)
	return p
}

// learnt tells what a client that takes over needs to know.
func (p *pace) learnt() (l Learnt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.limit.claim; c != nil {
		l.Rate = cmp.Or(c.lower, c.rate)
	}
	if p.paused.After(time.Now()) {
		l.Resume = p.paused
	}
	return l
}

// setTop changes the rate that is asked for; 0 is no limit.
func (p *pace) setTop(perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit.top = perSecond; perSecond <= 0 {
		p.limit.top = math.Inf(1)
	}
	p.adjust(time.Now())
}

// enter waits for a slot, and for the moment at which an attempt may be sent.
func (p *pace) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := context.Cause(ctx)
	if err == nil && !p.free.Load() {
		err = p.moment(ctx)
	}
	if err != nil {
		<-p.slots
	}
	return err
}

func (p *pace) moment(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		for wait := p.pause(); wait > 0; wait = p.pause() {
			if err := sleep(ctx, wait); err != nil {
				return context.Cause(ctx)
			}
		}
		if err := p.limiter.Wait(ctx); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		if p.pause() <= 0 {
			return nil
		}
	}
}

// pause returns how long nobody may go, and sets the limiter.
func (p *pace) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.adjust(now)
	return p.resume.Sub(now)
}

// adjust sets the limiter to the rate of the moment. The caller holds mu.
func (p *pace) adjust(now time.Time) {
	perSecond := p.limit.rate()
	// rate.Inf is a number, and what x/time/rate takes for no limit.
	if limit := min(rate.Limit(perSecond), rate.Inf); math.Abs(float64(limit/p.limiter.Limit())-1) > 0.005 {
		burst := 1
		if perSecond > 1000 && limit != rate.Inf {
			burst = int(perSecond / 100) // the clock is too coarse for one at a time
		}
		p.limiter.SetBurstAt(now, burst)
		p.limiter.SetLimitAt(now, limit)
	}
	p.free.Store(math.IsInf(perSecond, 1) && !now.Before(p.resume))
}

// news is what an attempt told of the API as a whole.
type news int

const (
	nothingNew news = iota
	wentDown
	isBack
)

// leave ends an attempt that was let go at the time sent, with what came of it.
func (p *pace) leave(sent time.Time, fault *Error) (told news) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.resume.IsZero() {
		p.resume = sent
	}
	if fault.foreign() {
		p.foreign++
		fault.blocked = p.foreign >= blockedFrom
	}
	switch {
	case fault != nil && fault.Kind == Stopped || fault.held():
	case fault != nil && fault.Kind == RateLimited:
		p.refused(sent, now, fault.RetryAfter)
	case fault.silence():
		if fault.Kind != NotConnected && fault.Kind != NotWritten {
			p.limit.took(now)
		}
		told = p.unanswered(sent, now)
	default:
		p.limit.took(now)
		if !fault.foreign() {
			p.foreign = 0
		}
		told = p.answered()
	}
	p.giveBack()
	return told
}

// unanswered halves how many may be under way, and pauses everybody once the API answers nobody. The caller holds mu.
func (p *pace) unanswered(sent, now time.Time) (told news) {
	p.told.Failures++
	if !sent.Before(p.cut) { // those that were under way at the same time say nothing new
		p.cut, p.good = now, 0
		p.want = cap(p.slots) - max((cap(p.slots)-p.want)/2, 1)
	}
	switch p.silent++; p.silent {
	case 1:
		p.down = now
	case quietFrom:
		told = wentDown
	}
	if p.silent >= quietFrom && !sent.Before(p.resume) {
		p.waits++
		p.resume = now.Add(min(backoff(p.waits), p.patience))
		p.free.Store(false)
	}
	return told
}

// answered lets one more be under way when so many in a row were answered. The caller holds mu.
func (p *pace) answered() (told news) {
	if p.silent >= quietFrom {
		told = isBack
	}
	p.silent, p.waits = 0, 0
	if p.good++; p.want > 0 && p.good >= cap(p.slots)-p.want {
		p.good = 0
		p.want--
	}
	return told
}

// downSince returns since when the API answers nobody, zero while it does.
func (p *pace) downSince() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent < quietFrom {
		return time.Time{}
	}
	return p.down
}

// giveBack returns the attempt's slot, or keeps it, or returns one that was kept. The caller holds mu.
func (p *pace) giveBack() {
	if p.withheld < p.want {
		p.withheld++
	} else {
		<-p.slots
		if p.withheld > p.want {
			p.withheld--
			<-p.slots
		}
	}
	p.told.AtOnce = cap(p.slots) - p.withheld
	p.told.LeastOnce = min(p.told.LeastOnce, p.told.AtOnce)
}

// refused pauses everybody, and learns from it unless the attempt was on its way before the last refusal was known.
func (p *pace) refused(sent, now time.Time, asked time.Duration) {
	p.told.TooMany++
	fresh := p.since.IsZero() || sent.After(p.since)
	pause := p.bounded(asked)
	if fresh && pause <= 0 {
		switch taken := p.limit.taken; {
		case taken >= easily:
			p.row, p.slow = 0, false
		case taken >= hardly:
			p.row = 0
		}
		p.row++
		pause = rand.N(min(firstPause<<min(p.row, 6), maxBackoff)) + 1
		if p.slow = p.slow || p.row > 1; p.slow || p.limit.claim != nil {
			pause = max(pause, time.Second) // a server that counts by the second has forgotten then
		}
	}
	p.rest(now, pause)
	if !fresh {
		return
	}
	p.since = now
	p.limit.refused(now, p.resume)
	p.adjust(now)
}

// bounded returns as much of a pause that a refusal asked for as is waited.
func (p *pace) bounded(asked time.Duration) time.Duration {
	return min(asked, max(p.patience, maxBackoff))
}

// rest pauses everybody, unless they pause for longer already. The caller holds mu.
func (p *pace) rest(now time.Time, pause time.Duration) {
	if resume := now.Add(pause); pause > 0 && resume.After(p.resume) {
		p.told.Paused += min(resume.Sub(p.resume), pause)
		p.resume, p.paused = resume, resume
	}
}

func (p *pace) stats() LimitStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.told
	told.Paused = max(told.Paused-max(time.Until(p.paused), 0), 0)
	told.Rate, told.Confirmed = p.limit.stats()
	return told
}
