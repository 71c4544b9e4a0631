package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vbankbatch/client"
)

// faultCases are what each fault looks like to a client, and how many accounts it leaves.
var faultCases = []struct {
	fault    Fault
	kind     client.Kind
	accounts int
}{
	{DropBefore, client.NoReply, 0},
	{DropAfter, client.NoReply, 1},
	{Late, "", 1},
	{CommitLate, client.NoReply, 1},
	{ErrorBefore, client.ServerError, 0},
	{ErrorAfter, client.ServerError, 1},
	{BadGatewayBefore, client.ServerError, 0},
	{BadGatewayAfter, client.ServerError, 1},
	{CutJSON, client.NoReply, 1},
	{WrongOrder, client.Mismatch, 1},
	{Refuse, client.Refused, 0},
	{Unauthorized, "", 1}, // the client gets another token and tries again
	{TooMany, "", 1},      // so here
}

// once meets the first request for an order with a fault.
func once(fault Fault) func(*http.Request, string, int) Fault {
	return func(r *http.Request, id string, nth int) Fault {
		if r.Method == http.MethodPost && id == "a" && nth == 1 {
			return fault
		}
		return ""
	}
}

func TestFaults(t *testing.T) {
	for _, test := range faultCases {
		t.Run(string(test.fault), func(t *testing.T) {
			s, c, _ := start(t, Config{Fault: once(test.fault), Faults: Faults{LateBy: time.Millisecond, CommitBy: time.Millisecond}})
			issue(t, c, order("b")) // a connection to lose
			_, err := c.Issue(t.Context(), order("a"))
			if client.KindOf(err) != test.kind || (err != nil) != (test.kind != "") {
				t.Errorf("got %v, want %q", err, test.kind)
			}
			if err := s.Close(); err != nil { // waits for the late ones
				t.Error(err)
			}
			if n := s.Ready("a"); n != test.accounts {
				t.Errorf("%d accounts, want %d", n, test.accounts)
			}
		})
	}
}

func TestFaultsThroughTransport(t *testing.T) {
	for _, test := range faultCases {
		t.Run(string(test.fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := bubble(t, Config{Fault: once(test.fault), Faults: Faults{LateBy: 2 * time.Second, CommitBy: 5 * time.Second, RetryAfter: "3s"}}, time.Minute)
				start := time.Now()
				_, err := c.Issue(t.Context(), soon("a"))
				if client.KindOf(err) != test.kind || (err != nil) != (test.kind != "") {
					t.Errorf("got %v, want %q", err, test.kind)
				}
				took := time.Since(start)
				switch test.fault {
				case Late:
					if took != 2*time.Second {
						t.Errorf("late by %v", took)
					}
				case TooMany:
					if took != 3*time.Second {
						t.Errorf("tried again after %v, want what Retry-After asked for", took)
					}
				case CommitLate:
					if took != 0 || s.Ready("a") != 0 {
						t.Errorf("took %v, accounts %d", took, s.Ready("a"))
					}
					time.Sleep(5 * time.Second)
					synctest.Wait()
				}
				if n := s.Ready("a"); n != test.accounts {
					t.Errorf("%d accounts, want %d", n, test.accounts)
				}
			})
		})
	}
}

// bubble returns a sandbox and its client for a test in a synctest bubble.
func bubble(t *testing.T, config Config, timeout time.Duration) (*Sandbox, *client.Client) {
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Key: "k", Secret: "s", Timeout: timeout, Through: s.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, c
}

func soon(uid string) client.IssueRequest {
	request := order(uid)
	request.VbankDue = time.Now().Add(time.Hour).Unix()
	return request
}

func TestTransportTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := bubble(t, Config{Fault: once(Late), Faults: Faults{LateBy: time.Hour, Latency: time.Second}}, 10*time.Second)
		start := time.Now()
		_, err := c.Issue(t.Context(), soon("a"))
		if client.KindOf(err) != client.NoReply || time.Since(start) != 11*time.Second { // 1 s for the token
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if s.Ready("a") != 1 {
			t.Error("the effect is undone")
		}
		if _, err := c.Issue(t.Context(), soon("b")); err != nil || time.Since(start) != 12*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestTransportStopped(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", "http://sandbox/users/pg", nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := s.Transport().RoundTrip(request); err != context.Canceled {
		t.Errorf("got %v, %v", response, err)
	}
	s.Close()
	if response, err := s.Transport().RoundTrip(request.WithContext(t.Context())); err == nil {
		t.Errorf("a closed sandbox answers: %v", response)
	}
}

// TestCloseHastensLateEffects: what was still to come is there once Close returns.
func TestCloseHastensLateEffects(t *testing.T) {
	s, c, _ := start(t, Config{Fault: once(CommitLate), Faults: Faults{CommitBy: time.Hour}})
	if _, err := c.Issue(t.Context(), order("a")); client.KindOf(err) != client.NoReply || s.Ready("a") != 0 {
		t.Errorf("got %v, %d accounts", err, s.Ready("a"))
	}
	if err := s.Close(); err != nil || s.Ready("a") != 1 {
		t.Errorf("got %v, %d accounts", err, s.Ready("a"))
	}
}

func TestFaultsOfOtherWrites(t *testing.T) {
	s, c, _ := start(t, Config{Fault: func(r *http.Request, id string, nth int) Fault {
		switch {
		case r.Method == http.MethodPut && nth == 1:
			return DropAfter
		case r.Method == http.MethodDelete && nth == 1:
			return WrongOrder
		case r.Method == http.MethodGet && nth == 1:
			return CutJSON
		}
		return ""
	}})
	id := string(issue(t, c, order("a")).ImpUID)
	if _, err := c.Update(t.Context(), id, client.UpdateRequest{Amount: 7}); client.KindOf(err) != client.NoReply || s.Payments()[0].Amount != 7 {
		t.Errorf("update: %v, %+v", err, s.Payments()[0])
	}
	if _, err := c.Revoke(t.Context(), id, ""); client.KindOf(err) != client.Mismatch || s.Ready("a") != 0 {
		t.Errorf("revoke: %v, %d ready", err, s.Ready("a"))
	}
	if p, err := c.Payment(t.Context(), id); err != nil || string(p.ImpUID) != id || s.Requests()["GET /payments/{imp_uid}"] != 2 {
		t.Errorf("look-up: %v, %v", err, s.Requests())
	}
}

func TestLookDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := bubble(t, Config{Faults: Faults{LookDrop: 1}}, time.Minute)
		if _, err := c.Issue(t.Context(), soon("a")); err != nil {
			t.Error(err)
		}
		if _, err := c.Find(t.Context(), "a", ""); client.KindOf(err) != client.NoReply || s.Requests()["GET /payments/find/{merchant_uid}"] != 4 {
			t.Errorf("got %v, %v", err, s.Requests())
		}
	})
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := bubble(t, Config{Faults: Faults{Limit: 2}}, time.Minute)
		start := time.Now()
		for range 4 {
			if _, err := c.Issue(t.Context(), soon("a")); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took < time.Second || took > 3*time.Second || s.Requests()["POST /vbanks"] <= 4 || s.Ready("a") != 4 {
			t.Errorf("took %v, %v", took, s.Requests())
		}
		if n := s.Replies()["POST /vbanks"]; n[200] != 4 || n[429] != s.Requests()["POST /vbanks"]-4 {
			t.Errorf("%v of %v", n, s.Requests())
		}
	})
}

// TestReplies: a lost connection is no reply, one that is cut short is.
func TestReplies(t *testing.T) {
	s, c, base := start(t, Config{Fault: func(_ *http.Request, id string, _ int) Fault {
		return map[string]Fault{"a": Refuse, "b": BadGatewayAfter, "c": DropAfter, "d": CutJSON}[id]
	}})
	post(t, base+"/vbanks", "application/json", "{}", "Bearer nobody")
	for _, id := range []string{"a", "b", "e", "c", "d", "f"} {
		c.Issue(t.Context(), order(id))
	}
	getAs(t, base+"/users/pg", "")
	want := map[string]map[int]int{"POST /users/getToken": {200: 1}, "POST /vbanks": {200: 4, 401: 1, 502: 1}, "GET /users/pg": {401: 1}}
	if got := s.Replies(); !maps.EqualFunc(got, want, maps.Equal) || s.Requests()["POST /vbanks"] != 7 {
		t.Errorf("got %v of %v, want %v", got, s.Requests(), want)
	}
	_, body := getAs(t, base+"/_sandbox/replies", "")
	var counts map[string]map[int]int
	if err := json.Unmarshal(body, &counts); err != nil || !maps.EqualFunc(counts, want, maps.Equal) {
		t.Errorf("%s", body)
	}
}

func TestUnauthorizedDropsTheToken(t *testing.T) {
	s, c, _ := start(t, Config{Faults: Faults{Unauthorized: 1}})
	_, err := c.Issue(t.Context(), order("a"))
	wantError(t, err, client.Unauthorized, 401, -1, "Unauthorized")
	if n := s.Requests(); n["POST /users/getToken"] != 2 || n["POST /vbanks"] != 2 || s.Ready("a") != 0 {
		t.Errorf("%v, %d ready", n, s.Ready("a"))
	}
}

func TestRefuseWith(t *testing.T) {
	_, c, _ := start(t, Config{Faults: Faults{Refuse: 1, RefuseWith: "가상계좌 계약이 필요합니다."}})
	_, err := c.Issue(t.Context(), order("a"))
	wantError(t, err, client.Refused, 200, 1, "가상계좌 계약이 필요합니다.")
}

// TestSeed: the same orders meet the same faults whoever sends them and in whatever order; another seed gives others.
func TestSeed(t *testing.T) {
	run := func(seed uint64, backwards bool) map[string]client.Kind {
		s, err := New(Config{Clock: func() time.Time { return noon },
			Faults: Faults{Seed: seed, DropAfter: 0.2, ErrorBefore: 0.2, BadGateway: 0.2, CutJSON: 0.1, WrongOrder: 0.1}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c, err := client.New(client.Config{Key: "k", Secret: "s", Through: s.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		kinds := make(map[string]client.Kind)
		var group sync.WaitGroup
		for worker := range 4 {
			group.Go(func() {
				for i := range 100 {
					if backwards {
						i = 99 - i
					}
					uid := fmt.Sprint("order-", 4*i+worker)
					_, err := c.Issue(t.Context(), order(uid))
					mu.Lock()
					kinds[uid] = client.KindOf(err)
					mu.Unlock()
				}
			})
		}
		group.Wait()
		return kinds
	}
	first := run(1, false)
	if !maps.Equal(first, run(1, true)) {
		t.Error("the same seed gives other faults")
	}
	if maps.Equal(first, run(2, false)) {
		t.Error("another seed gives the same faults")
	}
	counts := make(map[client.Kind]int)
	for _, kind := range first {
		counts[kind]++
	}
	for kind, share := range map[client.Kind]float64{"": 0.2, client.NoReply: 0.3, client.ServerError: 0.4, client.Mismatch: 0.1} {
		if got := float64(counts[kind]) / 400; got < share-0.08 || got > share+0.08 {
			t.Errorf("%q: a share of %.2f, want about %.2f", kind, got, share)
		}
	}
}

func TestSharesChecked(t *testing.T) {
	for _, faults := range []Faults{{DropBefore: -0.1}, {TooMany: 1.1}, {Late: 0.6, CutJSON: 0.6}} {
		if _, err := New(Config{Faults: faults}); err == nil {
			t.Errorf("%+v is taken", faults)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for given, want := range map[string]string{"": "", "2": "2", "soon": "soon"} {
		if got := (&Faults{RetryAfter: given}).retryAfter(); got != want {
			t.Errorf("%q: got %q", given, got)
		}
	}
	if _, err := http.ParseTime((&Faults{RetryAfter: "2s"}).retryAfter()); err != nil {
		t.Error(err)
	}
}
