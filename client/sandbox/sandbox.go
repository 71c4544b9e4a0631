// Package sandbox is the PortOne V1 API in process: virtual accounts are issued, updated and revoked, and payments
// looked up, as the real API does it, and it misbehaves on demand. Start with [New]; the [Sandbox] is an
// [http.Handler], and [Sandbox.Transport] serves a client without a socket.
//
// It promises the API's envelope, codes, messages and quirks: a token that is handed out again while it lives,
// several ready accounts for one order, refusals as HTTP 200 with a code, payments of a test channel that hide, and
// text escaped as on the wire. With a state file it promises that what it has answered is there again after the
// process has died. Which fault a request meets depends on the seed, the endpoint, the id and the how-manieth such
// request it is, never on the order of arrival, so a concurrent run repeats. Some faults are lies: a refusal of what
// was done, a look-up that leaves out what is there or tells what was.
//
// A request is held against the rules of its PG, those that [pg.Check] knows as errors: a breach is refused as a PG
// does it, so a file can be tried for a PG without a contract. The PG is the one of channel_key, else of pg, else the
// default one; a channel_key that no channel has counts as none, as a pg that is not known does.
//
// It knows nothing of the merchant's own contract, never talks to a bank, keeps no token across a restart, and its
// state file survives the process, not the machine. One process at a time may use a state file.
//
// Besides the API's own paths it answers, without a token and without faults, so only ever on a loopback address:
//
//	GET  /_sandbox/accounts        every account, in order of making, as a JSON array
//	GET  /_sandbox/requests        how many requests arrived at each endpoint
//	GET  /_sandbox/replies         how many were answered, by endpoint and HTTP status
//	POST /_sandbox/pay/{imp_uid}   a customer pays in
package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"vbankbatch/client"
	"vbankbatch/client/pg"
)

// Config is what a Sandbox needs to know. The zero value is one that forgets everything at its end.
type Config struct {
	Key, Secret string           // imp_key and imp_secret; both "" means that any are accepted
	PGAPIKey    string           // what KG Inicis takes as pg_api_key; "" means any but none
	DefaultPG   string           // for requests that name no known PG; "" means settle, with the documents' rules alone
	Channels    []client.Channel // of GET /users/pg; nil means one for each PG, with the channel_key channel-key-{PG}
	TestChannel bool             // payments are a test channel's: sandbox is true, and GET /payments/{imp_uid} hides them
	TokenLife   time.Duration    // 0 means 30 minutes
	Clock       func() time.Time // for every time in a reply; nil means time.Now. Delays are real
	State       string           // path of the state file; "" keeps everything in memory

	Faults Faults
	// Fault, if not nil, is asked before Faults for each request with a good token; "" leaves it to Faults. id is
	// the merchant_uid or imp_uid that the request is about, nth counts from 1 the requests of one endpoint for
	// that id. r's body has been read. It must be safe for concurrent use.
	Fault func(r *http.Request, id string, nth int) Fault
}

// Sandbox is the API. Make one with New; it is safe for concurrent use. Close it at the end.
type Sandbox struct {
	config  Config
	limiter *rate.Limiter
	shares  map[kind][]share
	closing chan struct{}
	running sync.WaitGroup // requests being answered and effects still to come

	mu         sync.Mutex
	closed     bool
	token      string
	tokenUntil time.Time
	requests   map[string]int
	replies    map[string]map[int]int
	nth        map[uint64]int // by endpoint and id; kept only where faults may be asked for
	journal    *journal       // nil without a state file

	payments []*Payment // in order of making; a change replaces the Payment and never writes into it
	byImpUID map[string]int
	byOrder  map[orderName][]int
}

// orderName names an order, of the merchant itself or of a sub-merchant. No tier sees another's payments.
type orderName struct{ tier, merchantUID string }

// New returns a Sandbox with what its state file holds. The errors are those of the state file, and a fault's share
// outside 0 to 1.
func New(config Config) (*Sandbox, error) {
	config.DefaultPG, _, _ = pg.Name(config.DefaultPG)
	config.TokenLife = cmp.Or(config.TokenLife, 30*time.Minute)
	if config.Clock == nil {
		config.Clock = time.Now
	}
	if config.Channels == nil {
		config.Channels = defaultChannels(config.TestChannel)
	}
	s := &Sandbox{
		config: config, closing: make(chan struct{}),
		requests: make(map[string]int), replies: make(map[string]map[int]int), nth: make(map[uint64]int),
		byImpUID: make(map[string]int), byOrder: make(map[orderName][]int),
	}
	var err error
	if s.shares, err = config.Faults.shares(); err != nil {
		return nil, err
	}
	if limit := config.Faults.Limit; limit > 0 {
		s.limiter = rate.NewLimiter(rate.Limit(limit), max(1, int(limit)))
	}
	if config.State != "" {
		if s.journal, err = openJournal(config.State, s.index); err != nil {
			return nil, fmt.Errorf("state file %s: %w", config.State, err)
		}
	}
	return s, nil
}

// enter says whether a request may still be answered; if so, running.Done must follow.
func (s *Sandbox) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

// Close ends all delays at once, so that late effects come now and late replies too, waits for them, and closes the
// state file. What the Sandbox knows can still be asked for.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if !again {
		close(s.closing)
	}
	s.running.Wait()
	if again || s.journal == nil {
		return nil
	}
	return s.journal.file.Close()
}

// Payments returns every payment, in order of making.
func (s *Sandbox) Payments() []Payment {
	pointers := s.snapshot()
	list := make([]Payment, len(pointers))
	for i, p := range pointers {
		list[i] = *p
		list[i].since, list[i].before = time.Time{}, nil
	}
	return list
}

// Ready returns how many accounts of an order wait for a deposit. Above one, the order can be paid twice.
func (s *Sandbox) Ready(merchantUID string) int {
	return len(s.ofOrder(orderName{merchantUID: merchantUID}, client.StatusReady, time.Time{}))
}

// Requests returns how many requests arrived at each endpoint, by method and path ("PUT /vbanks/{imp_uid}"),
// whatever came of them.
func (s *Sandbox) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

// Replies returns how many requests were answered, by endpoint as in Requests and by HTTP status. Those that are missing
// here lost their connection, or are still under way.
func (s *Sandbox) Replies() map[string]map[int]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]map[int]int)
	for endpoint, byStatus := range s.replies {
		counts[endpoint] = maps.Clone(byStatus)
	}
	return counts
}

// Pay pays an account in full, as a customer would. The error is ErrNotFound or ErrNotReady, or the state file's.
func (s *Sandbox) Pay(impUID string) error {
	_, err := s.change(impUID, func(p *Payment) error {
		p.Status, p.PaidAt = client.StatusPaid, s.now()
		return nil
	})
	return err
}

func (s *Sandbox) now() int64 { return s.config.Clock().Unix() }

// admits notes an arrival and says whether the limit lets it through.
func (s *Sandbox) admits(endpoint string) bool {
	s.mu.Lock()
	s.requests[endpoint]++
	s.mu.Unlock()
	return s.limiter == nil || s.limiter.Allow()
}

// count notes a reply.
func (s *Sandbox) count(endpoint string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replies[endpoint] == nil {
		s.replies[endpoint] = make(map[int]int)
	}
	s.replies[endpoint][status]++
}

// pause waits for d, or until the client is gone or the Sandbox closes.
func (s *Sandbox) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.closing:
	}
}
