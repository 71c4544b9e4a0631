package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Faults says how often the sandbox misbehaves. Shares are from 0 to 1 of the requests; a request meets one fault at
// most, so those of one kind of request together must not exceed 1. Shares speak of POST, PUT and DELETE /vbanks
// unless it says otherwise. The tags are for the command line.
type Faults struct {
	Seed uint64 `help:"The same seed gives the same fault to the same request."`

	DropBefore   float64 `help:"Connection closed, nothing done."`
	DropAfter    float64 `help:"Connection closed once the effect is there."`
	Late         float64 `help:"Effect at once, reply after --late-by."`
	CommitLate   float64 `help:"Connection closed at once, effect after --commit-by."`
	ErrorBefore  float64 `help:"HTTP 500, nothing done."`
	ErrorAfter   float64 `help:"HTTP 500 once the effect is there."`
	BadGateway   float64 `help:"HTTP 502 and HTML, half of them before the effect, half after."`
	CutJSON      float64 `name:"cut-json" help:"Effect, and half of the reply."`
	WrongOrder   float64 `help:"Effect, and a reply about another order."`
	Refuse       float64 `help:"HTTP 200 with code 1 and --refuse-with, nothing done."`
	Unauthorized float64 `help:"401 and the token is dropped; of all but token requests."`
	TooMany      float64 `help:"429 with --retry-after; of all requests."`
	LookDrop     float64 `help:"Connection closed; of GET."`
	LieAfter     float64 `help:"401, 429 or a refusal once the effect is there."`
	ShortList    float64 `help:"Every fifth of what is there (HTTP 200 or 207), an empty list or 404; of GET /payments."`
	WrongPages   float64 `help:"The first page again, or half of what is there; of findAll."`
	Stale        float64 `help:"Payments as they were --stale-by ago; of GET."`

	LateBy     time.Duration `default:"2s" help:"See --late."`
	CommitBy   time.Duration `default:"2s" help:"See --commit-late."`
	StaleBy    time.Duration `default:"2s" help:"See --stale."`
	RefuseWith string        `help:"The PG's words; '[4116] …' is a bank's passing trouble."`
	RetryAfter string        `help:"Seconds, or a duration such as 2s to send as an HTTP date; by default none."`
	Latency    time.Duration `help:"Before every reply, once its effect is there."`
	Limit      float64       `help:"Requests a second; those above get 429 with Retry-After 1. 0 for no limit."`
}

// Fault is one way to misbehave, as a field of Faults describes it; "" is none.
type Fault string

// The faults. A Config.Fault may choose any of them for any request; where one has no meaning the answer is honest.
const (
	DropBefore       Fault = "drop before"
	DropAfter        Fault = "drop after"
	Late             Fault = "late"
	CommitLate       Fault = "commit late"
	ErrorBefore      Fault = "error before"
	ErrorAfter       Fault = "error after"
	BadGatewayBefore Fault = "bad gateway before"
	BadGatewayAfter  Fault = "bad gateway after"
	CutJSON          Fault = "cut JSON"
	WrongOrder       Fault = "wrong order"
	Refuse           Fault = "refuse"
	Unauthorized     Fault = "unauthorized"
	TooMany          Fault = "too many"

	// Lie has the effect and answers with a refusal, or the status of Lying. On a GET it denies what is there.
	Lie Fault = "lie"

	// Lies of look-ups; those of lists are for GET /payments and findAll. WrongOrder puts a payment that nobody asked
	// about in the place of one of the list.

	ShortList  Fault = "short list"  // every fifth of what is there, as if it were all: HTTP 200, a total that fits
	PartList   Fault = "part list"   // the same with HTTP 207; of findAll with the total of all
	EmptyList  Fault = "empty list"  // HTTP 200 and nothing, in place of a 404 too
	SamePage   Fault = "same page"   // findAll: the first page, whichever was asked for
	SmallTotal Fault = "small total" // findAll: the newer half (the larger one, if odd) and a total that fits
	Stale      Fault = "stale"       // every GET of payments: as they were StaleBy ago
)

// Refusal is Refuse with words of its own.
func Refusal(words string) Fault { return Refuse + ": " + Fault(words) }

// Lying is Lie with an HTTP status: 200 is a refusal (code 1), 3xx, 408 and 429 are a gateway's page, any other is the
// API's envelope.
func Lying(status int) Fault { return Lie + ": " + Fault(strconv.Itoa(status)) }

// kind is what a request is for, which decides the faults it may meet.
type kind int

const (
	authenticate kind = iota
	look
	lookMany  // GET /payments
	lookPages // findAll
	write
)

type share struct {
	fault Fault
	of    float64
}

func (f Faults) shares() (map[kind][]share, error) {
	looks := []share{{TooMany, f.TooMany}, {Unauthorized, f.Unauthorized}, {DropBefore, f.LookDrop}, {Stale, f.Stale}}
	all := map[kind][]share{
		authenticate: {{TooMany, f.TooMany}},
		look:         looks,
		lookMany: append(looks[:len(looks):len(looks)], share{ShortList, f.ShortList / 4}, share{PartList, f.ShortList / 4},
			share{EmptyList, f.ShortList / 4}, share{Lying(http.StatusNotFound), f.ShortList / 4}),
		lookPages: append(looks[:len(looks):len(looks)], share{SamePage, f.WrongPages / 2}, share{SmallTotal, f.WrongPages / 2}),
		write: {{TooMany, f.TooMany}, {Unauthorized, f.Unauthorized}, {DropBefore, f.DropBefore}, {DropAfter, f.DropAfter},
			{Late, f.Late}, {CommitLate, f.CommitLate}, {ErrorBefore, f.ErrorBefore}, {ErrorAfter, f.ErrorAfter},
			{BadGatewayBefore, f.BadGateway / 2}, {BadGatewayAfter, f.BadGateway / 2}, {CutJSON, f.CutJSON},
			{WrongOrder, f.WrongOrder}, {Refuse, f.Refuse},
			{Lying(http.StatusUnauthorized), f.LieAfter / 3}, {Lying(http.StatusTooManyRequests), f.LieAfter / 3}, {Lying(http.StatusOK), f.LieAfter / 3}},
	}
	for kind, shares := range all {
		sum := 0.0
		var some []share
		for _, s := range shares {
			if s.of < 0 || s.of > 1 {
				return nil, fmt.Errorf("the share of the fault %q must be from 0 to 1", s.fault)
			}
			if s.of > 0 {
				some = append(some, s)
			}
			sum += s.of
		}
		if sum > 1+1e-9 {
			return nil, fmt.Errorf("the shares of the faults add up to %g, more than 1", sum)
		}
		all[kind] = some
	}
	return all, nil
}

// drawn is a fault and the number that it was drawn with.
type drawn struct {
	fault  Fault
	number uint64
}

// draw decides about a request by what it is, not by when it came.
func (s *Sandbox) draw(kind kind, r *http.Request, id string) drawn {
	shares := s.shares[kind]
	if len(shares) == 0 && s.config.Fault == nil {
		return drawn{}
	}
	key := hash(s.config.Faults.Seed, r.Pattern, id)
	s.mu.Lock()
	s.nth[key]++
	nth := s.nth[key]
	s.mu.Unlock()
	d := drawn{number: mix(key + uint64(nth))}
	if s.config.Fault != nil {
		d.fault = s.config.Fault(r, id, nth)
	}
	if d.fault != "" {
		return d
	}
	point := float64(d.number>>11) / (1 << 53)
	for _, share := range shares {
		if point -= share.of; point < 0 {
			d.fault = share.fault
			break
		}
	}
	return d
}

// hash is FNV-1a over both texts, the same on every machine and in every run.
func hash(seed uint64, endpoint, id string) uint64 {
	const prime = 1099511628211
	h := seed ^ 14695981039346656037
	for _, text := range [...]string{endpoint, id} {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * prime
		}
		h = (h ^ 0xff) * prime
	}
	return mix(h)
}

// mix is the last step of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// misbehave answers a request with its fault. answer has the effect.
func (s *Sandbox) misbehave(w http.ResponseWriter, r *http.Request, d drawn, token string, answer func() reply) {
	faults := &s.config.Faults
	var out reply
	wait := faults.Latency
	fault, words, _ := strings.Cut(string(d.fault), ": ")
	switch Fault(fault) {
	case DropBefore:
		drop(w, d.number)
		return
	case DropAfter:
		answer()
		drop(w, d.number)
		return
	case CommitLate:
		s.running.Go(func() {
			s.pause(context.Background(), faults.CommitBy) // the client is gone already
			answer()
		})
		drop(w, d.number)
		return
	case ErrorBefore:
		out = broken
	case ErrorAfter:
		answer()
		out = broken
	case BadGatewayBefore:
		out = page(http.StatusBadGateway)
	case BadGatewayAfter:
		answer()
		out = page(http.StatusBadGateway)
	case Refuse:
		out = failure(refused(cmp.Or(words, faults.refuseWith())))
	case Unauthorized:
		s.dropToken(token)
		out = unauthorized
	case TooMany:
		out = tooMany(faults.retryAfter())
	case Late:
		out, wait = answer(), wait+faults.LateBy
	case CutJSON:
		out = answer()
		out.cut = true
	case WrongOrder:
		out = answer().aboutAnother()
	case Lie:
		if out = faults.denial(words); out.status == http.StatusUnauthorized {
			s.dropToken(token)
		}
		answer()
	default:
		out = answer()
	}
	s.pause(r.Context(), wait)
	s.send(w, r, out)
}

var broken = problem(http.StatusInternalServerError, -1, "결제 대행사에서 요청을 처리하지 못했습니다.")

func (f *Faults) refuseWith() string {
	if f.RefuseWith != "" {
		return f.RefuseWith
	}
	return "[F113] 요청하신 은행은 발급할 수 없습니다."
}

// denial is the reply of Lie with the status in words.
func (f *Faults) denial(words string) reply {
	status, _ := strconv.Atoi(words)
	switch {
	case status == http.StatusOK || words == "":
		return failure(refused(f.refuseWith()))
	case status == http.StatusUnauthorized:
		return unauthorized
	case status == http.StatusNotFound:
		return failure(ErrNotFound)
	case status == http.StatusTooManyRequests:
		return tooMany(f.retryAfter())
	case status/100 == 3 || status == http.StatusRequestTimeout:
		return page(status)
	}
	return problem(status, -1, "요청을 처리할 수 없습니다.")
}

// shown is what a look-up that meets the fault tells of a list of payments, the newest first.
func (d drawn) shown(list []*Payment) []*Payment {
	switch d.fault {
	case EmptyList:
		return nil
	case SmallTotal:
		return list[:(len(list)+1)/2]
	case WrongOrder:
		if len(list) > 0 {
			list = append([]*Payment{list[0].another()}, list[1:]...)
		}
	case ShortList, PartList:
		var some []*Payment
		for i := int(d.number % 5); i < len(list); i += 5 {
			some = append(some, list[i])
		}
		return some
	}
	return list
}

func (f *Faults) retryAfter() string {
	if ahead, err := time.ParseDuration(f.RetryAfter); err == nil && ahead > 0 {
		return time.Now().Add(ahead).UTC().Format(http.TimeFormat) // real time, as the Date beside it
	}
	return f.RetryAfter
}

// aboutAnother is the reply with the ids of a payment that nobody asked about.
func (out reply) aboutAnother() reply {
	if out.payment != nil {
		out.payment = out.payment.another()
	}
	return out
}

func (p *Payment) another() *Payment {
	other := *p
	other.MerchantUID, other.ImpUID = "someone-else", "imp_000000000000"
	return &other
}

// dropper is a ResponseWriter that knows how to lose its connection.
type dropper interface{ drop() }

// drop closes the connection without a reply, by turns in the two ways that networks have.
func drop(w http.ResponseWriter, number uint64) {
	if d, ok := w.(dropper); ok {
		d.drop()
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: resets the stream
	}
	if number&1 == 0 {
		raw := conn
		if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
			raw = secure.NetConn()
		}
		if tcp, ok := raw.(*net.TCPConn); ok {
			tcp.SetLinger(0) // RST in place of FIN
		}
	}
	conn.Close()
}
