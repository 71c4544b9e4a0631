package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
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
	own kind = iota // the sandbox's own: no limit, no token, no faults
	authenticate
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
		lookMany: slices.Concat(looks, []share{{ShortList, f.ShortList / 4}, {PartList, f.ShortList / 4},
			{EmptyList, f.ShortList / 4}, {Lying(http.StatusNotFound), f.ShortList / 4}}),
		lookPages: slices.Concat(looks, []share{{SamePage, f.WrongPages / 2}, {SmallTotal, f.WrongPages / 2}}),
		write: {{TooMany, f.TooMany}, {Unauthorized, f.Unauthorized}, {DropBefore, f.DropBefore}, {DropAfter, f.DropAfter},
			{Late, f.Late}, {CommitLate, f.CommitLate}, {ErrorBefore, f.ErrorBefore}, {ErrorAfter, f.ErrorAfter},
			{BadGatewayBefore, f.BadGateway / 2}, {BadGatewayAfter, f.BadGateway / 2}, {CutJSON, f.CutJSON},
			{WrongOrder, f.WrongOrder}, {Refuse, f.Refuse},
			{Lying(http.StatusUnauthorized), f.LieAfter / 3}, {Lying(http.StatusTooManyRequests), f.LieAfter / 3}, {Lying(http.StatusOK), f.LieAfter / 3}},
	}
	for kind, shares := range all {
		sum := 0.0
		for _, s := range shares {
			if s.of < 0 || s.of > 1 {
				return nil, fmt.Errorf("the share of the fault %q must be from 0 to 1", s.fault)
			}
			sum += s.of
		}
		if sum > 1+1e-9 {
			return nil, fmt.Errorf("the shares of the faults add up to %g, more than 1", sum)
		}
		all[kind] = slices.DeleteFunc(shares, func(s share) bool { return s.of == 0 })
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

// misbehave is the reply to a request that meets a fault, if any. answer has the effect.
func (s *Sandbox) misbehave(ctx context.Context, d drawn, token string, answer func() reply) reply {
	faults := &s.config.Faults
	name, words, _ := strings.Cut(string(d.fault), ": ")
	fault := Fault(name)
	var out reply
	switch fault {
	case DropBefore, ErrorBefore, BadGatewayBefore, Refuse, Unauthorized, TooMany: // nothing is done
	case CommitLate:
		s.running.Go(func() {
			s.pause(context.Background(), faults.CommitBy) // the client is gone already
			answer()
		})
	default:
		out = answer()
	}
	wait := faults.Latency
	switch fault {
	case DropBefore, DropAfter, CommitLate:
		return reply{lost: true, reset: d.number&1 == 0}
	case ErrorBefore, ErrorAfter:
		out = problem(http.StatusInternalServerError, -1, "결제 대행사에서 요청을 처리하지 못했습니다.")
	case BadGatewayBefore, BadGatewayAfter:
		out = page(http.StatusBadGateway)
	case Refuse:
		out = faults.refusal(words)
	case Unauthorized:
		out = unauthorized
	case TooMany:
		out = tooMany(faults.retryAfter())
	case Lie:
		out = faults.denial(words)
	case Late:
		wait += faults.LateBy
	case CutJSON:
		out.cut = true
	case WrongOrder:
		if out.payment != nil {
			out.payment = out.payment.another()
		}
	}
	if (fault == Unauthorized || fault == Lie) && out.status == http.StatusUnauthorized {
		s.dropToken(token)
	}
	s.pause(ctx, wait)
	return out
}

// refusal is the reply of Refuse with words of its own, or those of the Faults.
func (f *Faults) refusal(words string) reply {
	return failure(refused(cmp.Or(words, f.RefuseWith, "[F113] 요청하신 은행은 발급할 수 없습니다.")))
}

// denial is the reply of Lie with the status in words.
func (f *Faults) denial(words string) reply {
	status, _ := strconv.Atoi(words)
	switch {
	case status == http.StatusOK || words == "":
		return f.refusal("")
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

// another is the payment with the ids of one that nobody asked about.
func (p *Payment) another() *Payment {
	other := *p
	other.MerchantUID, other.ImpUID = "someone-else", "imp_000000000000"
	return &other
}
