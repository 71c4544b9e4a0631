package client

import (
	"cmp"
	"maps"
	"math/bits"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The classes that attempts are counted in: by HTTP status, with 429 apart from the other 4xx.
const (
	Class2xx  = "2xx" // the API's own refusals too: their code stands in the envelope
	Class3xx  = "3xx"
	Class4xx  = "4xx"
	Class429  = "429"
	Class5xx  = "5xx"
	ClassNone = "none" // no whole reply: no connection, time out, cut short
)

// Classes lists them in the order in which a table has them.
var Classes = []string{Class2xx, Class3xx, Class4xx, Class429, Class5xx, ClassNone}

// Measures tells what a client's HTTP attempts came to. A latency is of one attempt, from being let go by the limiter to
// the last byte of its reply; attempts without a whole reply are counted and have none. Percentiles are good to 2 %.
type Measures struct {
	Endpoints []EndpointMeasures // in the order of their paths
	Waited    time.Duration      // for being let go, all attempts added up: for the rate, a pause or a free slot
	Started   time.Time          // when the first attempt was let go; zero before that
	Ended     time.Time          // when the last attempt ended
	Interval  time.Duration      // what each moment of Series is long
	Series    []Moment           // from Started on, one after the other, up to the last reply
}

// EndpointMeasures are those of one endpoint.
type EndpointMeasures struct {
	Endpoint string           // method and path without ids: "POST /vbanks"
	Requests int64            // attempts of every class
	Retries  int64            // of them, those after the first of their call
	Classes  map[string]int64 // attempts by class, those without any left out
	Latency  Latency
}

// Latency is how long replies took; all zero without a reply.
type Latency struct{ P50, P90, P99, Max time.Duration }

// Moment is what ended within one interval.
type Moment struct {
	Answered int64 // attempts that got a whole reply
	Changes  int64 // of them, issues, updates and revocations, but for 401 and 429, after which they are sent again
	P50, P99 time.Duration
}

// Measures returns what was measured so far.
func (c *Client) Measures() Measures { return c.measured.snapshot() }

// The series begins with short intervals. When all are used, each two become one, of twice the length.
const (
	mostMoments    = 120
	firstIntervals = 500 * time.Millisecond
)

// measuring adds up attempts as they end, in memory that does not grow. The zero value is ready.
type measuring struct {
	mu        sync.Mutex
	endpoints map[string]*endpointCounts // by op
	waited    time.Duration
	started   time.Time
	ended     time.Time
	interval  time.Duration
	used      int
	moments   [mostMoments]momentCounts
}

type endpointCounts struct {
	EndpointMeasures // but for the latency
	took             histogram
}

type momentCounts struct {
	changes int64
	took    histogram
}

// add counts an attempt that has just ended, let go at sent after a wait.
func (m *measuring) add(k *call, waited time.Duration, sent time.Time, fault *Error) {
	now := time.Now()
	class := classOf(fault)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waited += waited
	m.ended = now
	if m.started.IsZero() {
		m.started, m.interval, m.endpoints = sent, firstIntervals, make(map[string]*endpointCounts)
	}
	counts := m.endpoints[k.op]
	if counts == nil {
		counts = &endpointCounts{EndpointMeasures: EndpointMeasures{Endpoint: k.op, Classes: make(map[string]int64)}}
		m.endpoints[k.op] = counts
	}
	counts.Requests++
	counts.Classes[class]++
	if k.again {
		counts.Retries++
	}
	if class == ClassNone {
		return
	}
	took := now.Sub(sent)
	counts.took.add(took)
	moment := m.moment(now)
	moment.took.add(took)
	if !k.look() && class != Class429 && (fault == nil || fault.Status != http.StatusUnauthorized) {
		moment.changes++
	}
}

// moment returns the interval that now is in. The caller holds mu.
func (m *measuring) moment(now time.Time) *momentCounts {
	passed := max(now.Sub(m.started), 0) // another attempt may have started later and ended earlier
	for passed >= m.interval*mostMoments {
		m.interval *= 2
		for i := range m.moments {
			var both momentCounts
			if 2*i < m.used {
				both = m.moments[2*i]
				both.changes += m.moments[2*i+1].changes
				both.took.merge(&m.moments[2*i+1].took)
			}
			m.moments[i] = both
		}
		m.used = (m.used + 1) / 2
	}
	i := int(passed / m.interval)
	m.used = max(m.used, i+1)
	return &m.moments[i]
}

func (m *measuring) snapshot() Measures {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := Measures{Waited: m.waited, Started: m.started, Ended: m.ended, Interval: m.interval}
	path := func(op string) string { return op[strings.Index(op, " "):] }
	ops := slices.SortedFunc(maps.Keys(m.endpoints), func(a, b string) int {
		return cmp.Or(cmp.Compare(path(a), path(b)), cmp.Compare(a, b))
	})
	for _, op := range ops {
		e, h := m.endpoints[op].EndpointMeasures, &m.endpoints[op].took
		e.Classes = maps.Clone(e.Classes)
		e.Latency = Latency{P50: h.percentile(50), P90: h.percentile(90), P99: h.percentile(99), Max: h.most}
		told.Endpoints = append(told.Endpoints, e)
	}
	for i := range m.moments[:m.used] {
		h := &m.moments[i].took
		told.Series = append(told.Series, Moment{Answered: h.n, Changes: m.moments[i].changes, P50: h.percentile(50), P99: h.percentile(99)})
	}
	return told
}

func classOf(fault *Error) string {
	switch {
	case fault == nil:
		return Class2xx
	case fault.Status == 0 || fault.Kind == NoReply:
		return ClassNone
	case fault.Status == http.StatusTooManyRequests:
		return Class429
	}
	return [...]string{Class2xx, Class3xx, Class4xx, Class5xx}[min(max(fault.Status/100, 2), 5)-2]
}

// A histogram of microseconds is exact up to 64 of them; from there each power of two has halfSlots slots, so that the
// middle of a slot is off by 1/64 at most.
const (
	halfSlots = 32
	mostBits  = 32 // 71 minutes; what takes longer counts as that
)

type histogram struct {
	n     int64
	most  time.Duration
	slots [(mostBits - 4) * halfSlots]uint32
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.most = max(h.most, d)
	micros := min(uint64(max(d, 0)/time.Microsecond), 1<<mostBits-1)
	shift := max(bits.Len64(micros)-6, 0)
	h.slots[shift*halfSlots+int(micros>>shift)]++
}

func (h *histogram) merge(other *histogram) {
	h.n += other.n
	h.most = max(h.most, other.most)
	for i, n := range other.slots {
		h.slots[i] += n
	}
}

// percentile returns the least duration that so many percent of all are not above; 0 without any.
func (h *histogram) percentile(percent int64) time.Duration {
	rank := (h.n*percent + 99) / 100
	for i, n := range h.slots {
		if rank -= int64(n); n == 0 || rank > 0 {
			continue
		}
		if i < 2*halfSlots {
			return min(time.Duration(i)*time.Microsecond, h.most)
		}
		shift := i/halfSlots - 1
		low, width := time.Duration(i-shift*halfSlots)<<shift, time.Duration(1)<<shift
		return min((2*low+width)*time.Microsecond/2, h.most)
	}
	return 0
}
