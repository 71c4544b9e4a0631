package client

import (
	"math"
	"time"
)

// A 429 does not say why it came. The server may take less than it is sent, another user of the key may take a share for a
// while, or the server may refuse some requests whatever it is sent (strays). Where refusals come tells them apart: a limit
// refuses at the same rate again and again, and no longer once less is sent; strays come at any rate, and no later when less
// is sent.
//
// So one refusal only names a limit: the requests that were taken in the second before it. When several refusals in a row
// name the same limit, that limit becomes a claim, and less is sent. This is an experiment. If the next refusal comes as soon
// as those before, sending less did not help, and the claim is dropped. If it comes later, the claim is kept to for a quarter
// of its age, and then exceeded, slowly at first and then steeply, like the second half of CUBIC's curve (RFC 9438), until the
// server refuses again or has taken more than such a limit lets through. The curve counts requests and not time, and a claim
// is made only if more than it was sent: a rate that the workers or slow replies held down says nothing (RFC 7661).
const (
	safety    = 0.98 // of the limit that refusals name is sent
	leastRate = 0.1  // attempts a second
	noLimit   = 1e5  // attempts a second that were taken are as good as no limit

	claimAfter     = 5                // refusals that name the same limit,
	claimAfterLong = 2                // or so many when each of them costs
	longPause      = 10 * time.Second // or more
	nearly         = 0.15             // limits that differ by a smaller share are the same
	helped         = 2                // less is refused when there are so many times as many requests between refusals
	fallen         = 0.85             // of a claim; refusals that name a lower limit show that the limit has fallen

	holdShare     = 0.25 // of a claim's age, the time it is kept to before more is tried,
	leastPauses   = 2    // but at least so many pauses,
	mostPauses    = 30   // and at most so many, or
	mostRequests  = 150  // requests, whichever lasts longer
	shortestPause = 0.25 // seconds that a pause counts for at least

	growth    = 0.1 // times the cube of the seconds is the share that is tried beyond a claim
	risen     = 1.3 // of a claim; a refusal at a higher rate shows that the limit has risen. A lower one may be slack
	disproved = 1.5 // seconds' worth of requests taken beyond a claim disprove it; a saving server gives one
	window    = 1.0 // seconds over which servers count, and for which a saving server lets save up
)

// limit is what is believed of the server's limit. It does no locking.
type limit struct {
	top   float64 // asked for, attempts a second; +Inf without a limit
	last  meter   // attempts taken within the last second
	claim *claim  // nil while no limit is believed

	// since the last refusal
	taken   float64   // attempts
	started time.Time // end of the pause
	saved   float64   // seconds of the pause, at most one, for which the server may have let save up

	stretch stretch // since the refusal before, or an earlier one if that is less than a second ago
	named   float64 // the limit that the last refusals name
	same    int     // how many of them
	between float64 // mean number of attempts taken between them
}

// stretch is a time that ends with a refusal.
type stretch struct {
	taken, seconds float64
	refusals       int
}

// claim is a rate that is kept to as long as that helps.
type claim struct {
	rate      float64 // attempts a second
	lower     float64 // what the refusals mean if the server lets save up; 0 once that is decided
	before    float64 // attempts between refusals before less was sent
	confirmed int     // how often more was tried, and refused
	made      time.Time
	left      float64 // attempts until more is tried; then:

	grown  float64   // seconds that the attempts since then take by their rates
	beyond float64   // attempts since then
	from   time.Time // then
}

// rate returns how many attempts a second may be sent now.
func (l *limit) rate() float64 {
	if l.claim == nil {
		return l.top
	}
	rate := l.claim.rate
	if g := l.claim.grown; l.claim.left <= 0 {
		rate *= 1 + growth*g*g*g
	}
	return min(rate, l.top)
}

// stats returns the limit that the refusals name, 0 if none, and whether more was tried repeatedly, and refused.
func (l *limit) stats() (rate float64, confirmed bool) {
	switch c := l.claim; {
	case c != nil && c.lower > 0 && c.confirmed > 0:
		return c.lower, c.confirmed > 1
	case c != nil:
		return c.rate, c.confirmed > 1
	case l.same > 0 && l.taken < helped*l.between:
		return l.named, false
	}
	return 0, false
}

// took counts an attempt that was not refused.
func (l *limit) took(now time.Time) {
	l.start(now)
	l.last.add(now)
	l.taken++
	switch c := l.claim; {
	case c == nil:
	case c.left > 0:
		if c.left--; c.left <= 0 {
			c.grown, c.beyond, c.from = 0, 0, now
		}
	default:
		c.beyond++
		rate := l.rate()
		c.grown += 1 / rate
		if rate >= min(l.top, noLimit) && c.excess(now) > disproved {
			l.claim, l.same = nil, 0
		}
	}
}

// start begins with the first attempt, before which the server may have let save up.
func (l *limit) start(now time.Time) {
	if l.started.IsZero() {
		l.started, l.saved = now, window
	}
}

// excess is how many seconds' worth of attempts were taken beyond the claim.
func (c *claim) excess(now time.Time) float64 { return c.beyond/c.rate - now.Sub(c.from).Seconds() }

// refused learns from a refusal, after which nothing is sent before resume.
func (l *limit) refused(now, resume time.Time) {
	l.start(now)
	active := max(now.Sub(l.started).Seconds(), 0.001)
	allowed, pause, taken, second := l.rate(), resume.Sub(now), l.taken, l.last.count(now)
	l.stretch = stretch{l.stretch.taken + taken, l.stretch.seconds + active + l.saved, l.stretch.refusals + 1}
	l.started, l.taken, l.saved = resume, 0, min(pause.Seconds(), window)
	switch {
	case l.claim != nil && l.claim.left <= 0:
		l.claim.exceeded(now, pause, second, allowed)
	case l.stretch.seconds < window:
		return // too short to tell anything by itself
	default:
		l.weigh(now, pause, taken, second, min(allowed, (taken+1)/active))
	}
	l.stretch = stretch{}
}

// weigh makes a claim, keeps it, or drops it, after a stretch in which so many attempts were taken since the last refusal, so
// many in the last second, and so many were sent a second.
func (l *limit) weigh(now time.Time, pause time.Duration, taken, second, sent float64) {
	// A server that counts the last second refuses at that count. One that lets save up refuses at the rate of the stretch.
	counting, saving := max(safety*second, leastRate), max(safety*l.stretch.taken/l.stretch.seconds, leastRate)
	c := l.claim
	if c != nil {
		sent = c.rate
	}
	named := counting
	if named > safety*sent {
		named = saving
	}
	sure := l.agree(named, taken, pause)
	switch {
	case c == nil:
		if sure && named < safety*sent {
			l.believe(now, named, saving)
		}
	case c.lower > 0: // the higher meaning was refused, so the lower one holds
		c.rate, c.lower, c.made = c.lower, 0, now
		c.hold(now, pause)
	case taken > helped*c.before: // it helps; the next time it must help more
		c.rate = min(c.rate, max(saving, 0.9*c.rate))
		c.before = taken / helped
		c.hold(now, pause)
	case sure && c.confirmed > 0 && named < fallen*c.rate:
		l.believe(now, named, saving)
	default:
		l.claim = nil
	}
}

// agree counts the refusals that name the same limit, and reports whether there are enough of them.
func (l *limit) agree(named, taken float64, pause time.Duration) bool {
	if math.Abs(named-l.named) < nearly*named {
		l.same += l.stretch.refusals
		l.between += (taken - l.between) / 2
	} else {
		l.same, l.between = min(l.stretch.refusals, claimAfter-1), taken
	}
	l.named = named
	return l.same >= claimAfter || pause >= longPause && l.same >= claimAfterLong
}

// believe makes a claim of what the stretch has shown.
func (l *limit) believe(now time.Time, rate, lower float64) {
	l.claim = &claim{rate: rate, lower: lower, before: l.between, made: now, left: max(helped*l.stretch.taken, 2)}
	l.same = 1
}

// restore makes a claim of a limit that another client had found out. Whether that helps is not known yet, so the first
// refusal counts for it.
func (l *limit) restore(now time.Time, rate float64) {
	if rate > 0 && rate < l.top {
		rate = max(rate, leastRate)
		l.claim = &claim{rate: rate, before: -1, made: now, left: max(mostPauses*shortestPause*rate, mostRequests)}
	}
}

// exceeded learns from a refusal while more than the claim was tried.
func (c *claim) exceeded(now time.Time, pause time.Duration, second, sent float64) {
	c.confirmed++
	c.lower = 0
	seconds := max(now.Sub(c.from).Seconds(), 0.001)
	lower := max(c.rate, safety*c.beyond/(seconds+window))
	higher := min(max(safety*second, c.rate), sent)
	if excess := c.excess(now); excess > 0.5 && excess < 1.2 {
		higher = lower // what was saved up is used up
	}
	if higher >= risen*c.rate+1 {
		c.rate, c.lower, c.made = higher, lower, now
	}
	c.hold(now, pause)
}

// hold has the claim kept to for a while.
func (c *claim) hold(now time.Time, pause time.Duration) {
	seconds := holdShare * now.Sub(c.made).Seconds()
	seconds = min(seconds, max(mostPauses*max(pause.Seconds(), shortestPause), mostRequests/c.rate))
	seconds = max(seconds, leastPauses*pause.Seconds(), 1)
	c.left = max(seconds*c.rate, 1)
}

// meter counts what happened within the last second, to a fiftieth.
type meter struct {
	counts [64]float64
	parts  [64]int64 // which fiftieth of a second each count is of
}

func (m *meter) add(now time.Time) {
	part := now.UnixMilli() / 20
	i := part % int64(len(m.counts))
	if m.parts[i] != part {
		m.parts[i], m.counts[i] = part, 0
	}
	m.counts[i]++
}

func (m *meter) count(now time.Time) (n float64) {
	part := now.UnixMilli() / 20
	for i, at := range m.parts {
		if at > part-50 && at <= part {
			n += m.counts[i]
		}
	}
	return n
}
