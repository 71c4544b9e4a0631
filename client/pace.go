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

// What is learnt from refusals.
const (
	recovery    = 2 * time.Second  // from half the rate back to what the server seems to take
	firstHold   = 15 * time.Second // there, before more is tried; doubled when the server refuses at about the same rate again
	longHold    = 20 * time.Minute
	creep       = 1.02 // how much more is tried each second after that;
	stride      = 1.1  // while nothing is known yet
	underneath  = 0.98 // of what the server took
	leastRate   = 0.1
	firstPause  = 250 * time.Millisecond // at most, doubled with each refusal in a row
	noLimit     = 1e5                    // attempts a second that were not refused are as good as no limit
	quietFrom   = 3                      // attempts in a row without an answer, of whomever, and the API counts as down
	blockedFrom = 20                     // foreign replies since the API's own last one, and they count as none
)

// pace lets attempts go one after the other, evenly, all callers together: never faster than the rate that was asked
// for, slower once the server has said 429, and fewer at once while it fails. One 429 pauses all, and so does an API
// that answers nobody.
type pace struct {
	slots chan struct{} // one for each attempt that may be under way
	turn  chan struct{} // held by the one caller that waits for its moment, so that a new rate concerns the next
	limit *rate.Limiter
	free  atomic.Bool // there is no limit and nothing to wait for

	mu       sync.Mutex
	top      float64       // asked for, attempts a second; +Inf without a limit
	since    time.Time     // of the last refusal that was learnt from
	taken    meter         // attempts that were not refused
	patience time.Duration // the longest pause
	resume   time.Time     // nothing goes before; at first the time of the first attempt
	silent   int           // attempts without an answer, of anybody, since the last one that had one
	down     time.Time     // when the first of them ended
	foreign  int           // foreign replies since the API's own last one
	waits    int           // pauses over them
	paused   time.Time     // end of the last pause over a refusal, which told counts as a whole
	learnt   bool          // the rate is lower than asked for:
	low      float64       // at resume,
	plateau  float64       // after recovery, for as long as hold,
	hold     time.Duration // and then creeping up
	row      int           // refusals without an answer between them
	withheld int           // slots that are not given back
	want     int           // slots to be withheld
	good     int           // answers since a slot was last taken or given
	cut      time.Time     // when the last slots were
	told     Learnt
}

// Learnt is what a client found out about the server.
type Learnt struct {
	TooMany   int64         // attempts that were answered with 429
	Rate      float64       // what the server seems to take, attempts a second; 0 where that is all that was asked for
	Paused    time.Duration // in all, so far
	Failures  int64         // attempts that the server failed at, or left without an answer
	AtOnce    int           // attempts under way at once, as of now
	LeastOnce int           // the fewest that were allowed
}

func newPace(perSecond float64, workers int, patience time.Duration) *pace {
	p := &pace{patience: max(patience, maxBackoff), slots: make(chan struct{}, workers), turn: make(chan struct{}, 1), limit: rate.NewLimiter(rate.Inf, 1)}
	p.told.AtOnce, p.told.LeastOnce = workers, workers
	p.setTop(perSecond)
	return p
}

// setTop changes the rate that is asked for; 0 is no limit.
func (p *pace) setTop(perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.top = perSecond; perSecond <= 0 {
		p.top = math.Inf(1)
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
		p.mu.Lock()
		now := time.Now()
		wait := p.resume.Sub(now)
		p.adjust(now)
		p.mu.Unlock()
		if wait > 0 {
			if err := sleep(ctx, wait); err != nil {
				return context.Cause(ctx)
			}
			continue
		}
		if err := p.limit.Wait(ctx); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		p.mu.Lock()
		paused := time.Now().Before(p.resume)
		p.mu.Unlock()
		if !paused {
			return nil
		}
	}
}

// adjust sets the limiter to the rate of the moment. The caller holds mu.
func (p *pace) adjust(now time.Time) {
	perSecond := p.rate(now)
	// rate.Inf is a number, and what x/time/rate takes for no limit.
	if limit := min(rate.Limit(perSecond), rate.Inf); math.Abs(float64(limit/p.limit.Limit())-1) > 0.005 {
		burst := 1
		if perSecond > 1000 && limit != rate.Inf {
			burst = int(perSecond / 100) // the clock is too coarse for one at a time
		}
		p.limit.SetBurstAt(now, burst)
		p.limit.SetLimitAt(now, limit)
	}
	p.free.Store(math.IsInf(perSecond, 1) && !p.learnt && !now.Before(p.resume))
}

// rate is how many attempts a second may be sent now. The caller holds mu.
func (p *pace) rate(now time.Time) float64 {
	if !p.learnt {
		return p.top
	}
	after := now.Sub(p.resume)
	switch {
	case after < recovery:
		return min(p.low+(p.plateau-p.low)*max(after.Seconds(), 0)/recovery.Seconds(), p.top)
	case after < recovery+p.hold:
		return min(p.plateau, p.top)
	}
	growth := creep
	if p.hold == 0 {
		growth = stride
	}
	tried := p.plateau * math.Pow(growth, (after-recovery-p.hold).Seconds())
	if tried >= min(p.top, noLimit) {
		p.learnt, p.told.Rate = false, 0
		return p.top
	}
	return tried
}

// news is what an attempt told of the API as a whole.
type news int

const (
	nothingNew news = iota
	wentDown
	isBack
)

// leave ends an attempt that was let go at the time sent, with what came of it.
func (p *pace) leave(sent time.Time, fault *Error) news {
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
	told := nothingNew
	switch {
	case fault != nil && fault.Kind == Stopped:
	case fault != nil && fault.Kind == RateLimited:
		p.refused(sent, now, fault.RetryAfter)
	case fault.silence():
		p.told.Failures++
		if fault.Kind != NotConnected && fault.Kind != NotWritten {
			p.taken.add(now)
		}
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
			p.resume = now.Add(backoff(p.waits))
			p.free.Store(false)
		}
	default:
		if p.silent >= quietFrom {
			told = isBack
		}
		p.silent, p.waits = 0, 0
		if !fault.foreign() {
			p.foreign = 0
		}
		p.taken.add(now)
		p.row = 0
		if p.good++; p.want > 0 && p.good >= cap(p.slots)-p.want {
			p.good = 0
			p.want--
		}
	}
	p.giveBack()
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

// refused pauses everybody, and lowers the rate unless the attempt was on its way before the last refusal was known.
func (p *pace) refused(sent, now time.Time, asked time.Duration) {
	p.told.TooMany++
	p.row++
	active := now.Sub(p.resume)
	took, current := p.taken.rate(now, active), p.rate(now)
	pause := min(asked, p.patience)
	if pause <= 0 {
		pause = rand.N(min(firstPause<<min(p.row, 6), maxBackoff)) + 1
	}
	if resume := now.Add(pause); resume.After(p.resume) {
		p.told.Paused += resume.Sub(later(p.resume, now))
		p.resume, p.paused = resume, resume
	}
	if p.learnt && !sent.After(p.since) {
		return
	}
	if math.IsInf(current, 1) {
		current = max(took, 1)
	}
	p.low = max(current/2, leastRate)
	plateau, hold := p.low, time.Duration(0) // there is nothing to go by yet
	if active >= time.Second {
		plateau, hold = max(min(took, current)*underneath, p.low), firstHold
		if p.learnt && p.hold > 0 && math.Abs(plateau/p.plateau-1) < 0.1 {
			hold = min(2*p.hold, longHold)
		}
	}
	p.learnt, p.plateau, p.hold, p.since, p.told.Rate = true, plateau, hold, now, plateau
	p.adjust(now)
}

// meter counts what happened within the last seconds.
type meter struct {
	counts [4]float64
	halves [4]int64 // which half second each count is of
}

const metered = 2 * time.Second

func (m *meter) add(now time.Time) {
	half := now.UnixMilli() / 500
	i := half % int64(len(m.halves))
	if m.halves[i] != half {
		m.halves[i], m.counts[i] = half, 0
	}
	m.counts[i]++
}

// rate is how many happened a second, of late, when nothing could have before active.
func (m *meter) rate(now time.Time, active time.Duration) float64 {
	half := now.UnixMilli() / 500
	n := 0.0
	for i, h := range m.halves {
		if half-h < int64(len(m.halves)) {
			n += m.counts[i]
		}
	}
	over := metered - 500*time.Millisecond + time.Duration(now.UnixMilli()%500)*time.Millisecond // the last half is not over
	return n / max(min(active, over).Seconds(), 0.1)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (p *pace) learned() Learnt {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.told
	told.Paused = max(told.Paused-max(time.Until(p.paused), 0), 0)
	return told
}
