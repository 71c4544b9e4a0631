package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
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
	{Lie, client.Refused, 1},
	{Lying(200), client.Refused, 1},
	{Lying(403), client.Refused, 1},
	{Lying(404), client.NotFound, 1},
	{Lying(409), client.Refused, 1},
	{Lying(408), client.Malformed, 1},
	{Lying(302), client.Malformed, 1},
	{Lying(307), client.Malformed, 1},
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
					if took < 3*time.Second || took > 4*time.Second { // the order is looked up before the second try
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
	if _, err := c.Revoke(t.Context(), id, client.RevokeRequest{}); client.KindOf(err) != client.Mismatch || s.Ready("a") != 0 {
		t.Errorf("revoke: %v, %d ready", err, s.Ready("a"))
	}
	if p, err := c.Payment(t.Context(), "", id); err != nil || string(p.ImpUID) != id || s.Requests()["GET /payments/{imp_uid}"] != 2 {
		t.Errorf("look-up: %v, %v", err, s.Requests())
	}
}

// TestLies: the statuses that a client takes for "nothing was done" come once all is done, and a change's too.
func TestLies(t *testing.T) {
	for _, status := range []int{200, 302, 401, 403, 404, 408, 409, 429} {
		s, c, base := start(t, Config{Fault: func(r *http.Request, id string, nth int) Fault {
			if id == "honest" || id == "" { // "" is the token's
				return ""
			}
			return Lying(status)
		}, Faults: Faults{RetryAfter: "7"}})
		id := string(issue(t, c, order("honest")).ImpUID)
		for _, request := range []struct{ method, path, body string }{
			{"POST", "/vbanks", fmt.Sprintf(`{"merchant_uid":"a","amount":5,"vbank_code":"004","vbank_due":%d,"vbank_holder":"h"}`, order("a").VbankDue)},
			{"PUT", "/vbanks/" + id, `{"amount":77}`},
			{"DELETE", "/vbanks/" + id, ""},
			{"GET", "/payments/" + id, ""},
		} {
			response := raw(t, s, request.method, base+request.path, request.body)
			if response.StatusCode != status || (response.Header.Get("Retry-After") != "") != (status == 429) {
				t.Errorf("%s: HTTP %d, want %d", request.path, response.StatusCode, status)
			}
		}
		if p := s.Payments()[0]; s.Ready("a") != 1 || p.Amount != 77 || p.Status != client.StatusFailed {
			t.Errorf("HTTP %d: %d accounts, %+v", status, s.Ready("a"), p)
		}
	}
}

// raw sends a request with a token that is good now, as a lie of 401 has just dropped the last.
func raw(t *testing.T, s *Sandbox, method, address, body string) *http.Response {
	t.Helper()
	token := s.getToken(&request{fields: map[string]string{"imp_key": "k", "imp_secret": "s"}})
	_, rest, _ := strings.Cut(string(token.body), `"access_token":"`)
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+rest[:40])
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}

// TestShortLists: what the look-up of many orders tells of ten, of which all have an account.
func TestShortLists(t *testing.T) {
	var lie Fault
	s, c, base := start(t, Config{Fault: func(r *http.Request, _ string, nth int) Fault {
		if r.Pattern == "GET /payments" {
			return lie
		}
		return ""
	}})
	var uids []string
	for i := range 10 {
		uids = append(uids, fmt.Sprint("order-", i))
		issue(t, c, order(uids[i]))
	}
	query := "/payments?" + url.Values{"merchant_uid[]": uids}.Encode()
	for _, test := range []struct {
		lie           Fault
		status, found int
		kind          client.Kind
	}{{"", 200, 10, ""}, {ShortList, 200, 0, client.Mismatch}, {PartList, 207, 2, ""}, {EmptyList, 200, 0, client.Mismatch}, {Lying(404), 404, 0, ""}} {
		lie = test.lie
		found, err := c.Payments(t.Context(), "", uids)
		if client.KindOf(err) != test.kind || len(found) != test.found {
			t.Errorf("%q: found %d, %v; want %d", lie, len(found), err, test.found)
		}
		if status, body := get(t, s, base, query); status != test.status {
			t.Errorf("%q: HTTP %d, want %d: %s", lie, status, test.status, body)
		}
	}
	lie = WrongOrder
	if _, err := c.Payments(t.Context(), "", uids); client.KindOf(err) != client.Mismatch {
		t.Errorf("a payment of another order: %v", err)
	}
	for _, uid := range uids { // the lies are told of the list alone
		if _, err := c.Find(t.Context(), "", uid, ""); err != nil {
			t.Error(err)
		}
	}
}

// TestWrongPages: what findAll tells of an order with 250 accounts.
func TestWrongPages(t *testing.T) {
	var lie Fault
	s, c, _ := start(t, Config{Fault: func(*http.Request, string, int) Fault { return lie }})
	for range 250 {
		issue(t, c, order("a"))
	}
	newest := s.Payments()[249].ImpUID
	for _, test := range []struct {
		lie           Fault
		listed, alike int // how many are listed, and how many times the newest one
		kind          client.Kind
	}{{"", 250, 1, ""}, {SamePage, 0, 0, client.Malformed}, {SmallTotal, 125, 1, ""}, {ShortList, 50, 0, ""}, {EmptyList, 0, 0, ""},
		{PartList, 0, 0, client.Malformed}, {WrongOrder, 0, 0, client.Mismatch}, {Lying(404), 0, 0, ""}} {
		lie = test.lie
		all, err := c.FindAll(t.Context(), "", "a", "")
		alike := 0
		for _, p := range all {
			if string(p.ImpUID) == newest {
				alike++
			}
		}
		if lie == ShortList {
			alike = 0 // which fifth it is hangs on the request
		}
		if len(all) != test.listed || alike != test.alike || client.KindOf(err) != test.kind {
			t.Errorf("%q: %d listed, the newest %d times, %v", lie, len(all), alike, err)
		}
	}
}

// TestStale: each look-up tells what was so StaleBy ago, of changes too.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := bubble(t, Config{Fault: func(r *http.Request, _ string, _ int) Fault { return Stale }, Faults: Faults{StaleBy: 10 * time.Second}}, time.Minute)
		p, err := c.Issue(t.Context(), soon("a"))
		if err != nil {
			t.Fatal(err)
		}
		id := string(p.ImpUID)
		look := func(when string, found int, amount int64, ready int) {
			t.Helper()
			many, err := c.Payments(t.Context(), "", []string{"a"})
			if err != nil || len(many) != found {
				t.Errorf("%s: the list has %d, %v", when, len(many), err)
			}
			all, err := c.FindAll(t.Context(), "", "a", client.StatusReady)
			if err != nil || len(all) != ready {
				t.Errorf("%s: findAll has %d, %v", when, len(all), err)
			}
			_, err = c.Find(t.Context(), "", "a", "")
			if (client.KindOf(err) == client.NotFound) != (found == 0) {
				t.Errorf("%s: find: %v", when, err)
			}
			one, err := c.Payment(t.Context(), "", id)
			if (client.KindOf(err) == client.NotFound) != (found == 0) || int64(one.Amount) != amount {
				t.Errorf("%s: %d won, %v", when, one.Amount, err)
			}
		}
		asked := int64(p.Amount)
		look("at once", 0, 0, 0)
		time.Sleep(9 * time.Second)
		look("after 9 s", 0, 0, 0)
		time.Sleep(time.Second)
		look("after 10 s", 1, asked, 1)
		if _, err := c.Update(t.Context(), id, client.UpdateRequest{Amount: 77}); err != nil {
			t.Error(err)
		}
		look("updated", 1, asked, 1)
		time.Sleep(5 * time.Second)
		if _, err := c.Revoke(t.Context(), id, client.RevokeRequest{}); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		look("10 s later", 1, 77, 1)
		time.Sleep(5 * time.Second)
		look("at last", 1, 77, 0)
		if s.Ready("a") != 0 {
			t.Error("Ready is stale itself")
		}
	})
}

// TestLyingShares: the flags draw every lie of their kind.
func TestLyingShares(t *testing.T) {
	s, err := New(Config{Faults: Faults{LieAfter: 1, ShortList: 1, WrongPages: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[kind][]Fault{
		write:     {Lying(401), Lying(429), Lying(200)},
		lookMany:  {ShortList, PartList, EmptyList, Lying(404)},
		lookPages: {SamePage, SmallTotal},
	} {
		drawn := make(map[Fault]bool)
		for i := range 100 {
			drawn[s.draw(kind, new(http.Request), fmt.Sprint(i)).fault] = true
		}
		for _, fault := range want {
			if !drawn[fault] {
				t.Errorf("%q is not drawn", fault)
			}
		}
		if len(drawn) != len(want) {
			t.Errorf("drawn: %v, want %v", drawn, want)
		}
	}
	s, err = New(Config{Faults: Faults{Stale: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []kind{look, lookMany, lookPages} {
		if d := s.draw(kind, new(http.Request), "a"); d.fault != Stale {
			t.Errorf("drawn: %q", d.fault)
		}
	}
}

func TestLookDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := bubble(t, Config{Faults: Faults{LookDrop: 1}}, time.Minute)
		if _, err := c.Issue(t.Context(), soon("a")); err != nil {
			t.Error(err)
		}
		if _, err := c.Find(t.Context(), "", "a", ""); client.KindOf(err) != client.NoReply || s.Requests()["GET /payments/find/{merchant_uid}"] != 4 {
			t.Errorf("got %v, %v", err, s.Requests())
		}
	})
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := bubble(t, Config{Faults: Faults{Limit: 2}}, time.Minute)
		start := time.Now()
		for _, uid := range []string{"a", "b", "c", "d"} {
			if _, err := c.Issue(t.Context(), soon(uid)); err != nil || s.Ready(uid) != 1 {
				t.Error(err)
			}
		}
		if took := time.Since(start); took < time.Second || took > 4*time.Second || s.Requests()["POST /vbanks"] <= 4 {
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
	if n := s.Requests(); n["POST /users/getToken"] != 4 || n["POST /vbanks"] != 1 || s.Ready("a") != 0 { // three for the look-up before a second try
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
	synctest.Test(t, testSeed)
}

func testSeed(t *testing.T) {
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
	for _, faults := range []Faults{{DropBefore: -0.1}, {TooMany: 1.1}, {Late: 0.6, CutJSON: 0.6}, {Stale: 0.6, ShortList: 0.6}} {
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
