package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// busy is a refusal that passes.
var busy = sandbox.Refusal("[4116] 은행 시스템 점검 중입니다. 잠시 후 다시 시도해 주세요.")

// TestPassingRefusals has a bank that is busy: for a while, for good, and until somebody stops the run.
func TestPassingRefusals(t *testing.T) {
	config := sandbox.Config{Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		switch {
		case r.Method == http.MethodPost && id == "once" && nth == 1, r.Method == http.MethodPost && id == "always":
			return busy
		case r.Method == http.MethodPut && nth == 1:
			return busy
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		started := time.Now()
		got, err := w.run(t.Context(), plan(t, "주문번호,금액", "once,1000", "always,1000", "good,1000"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "once issued", "always rejected PG_REFUSED", "good issued")
		if posts, took := w.api.Requests()["POST /vbanks"], time.Since(started); posts != 2+4+1 || took < 5*time.Minute || took > 6*time.Minute {
			t.Errorf("%d issues were sent in %v", posts, took)
		}
		started = time.Now()
		time.AfterFunc(5*time.Second, func() { // whoever dies waiting leaves no doubt behind
			book, err := ledger.OpenReader(t.Context(), w.place(), "merchant")
			if err != nil {
				t.Error(err)
				return
			}
			defer book.Close()
			if doubts, err := book.InDoubt(t.Context()); err != nil || doubts > 0 {
				t.Errorf("in doubt: %d, %v", doubts, err)
			}
		})
		got, err = w.run(t.Context(), plan(t, "주문번호,금액,처리", "good,2000,변경"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "good updated")
		if puts, took := w.api.Requests()["PUT /vbanks/{imp_uid}"], time.Since(started); puts != 2 || took > time.Minute {
			t.Errorf("%d updates were sent in %v", puts, took)
		}
	})
	faked(t, config, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		p := plan(t, "주문번호,금액", "once,1000", "always,1000", "good,1000")
		started := time.Now()
		time.AfterFunc(5*time.Second, cancel)
		got, _ := w.run(ctx, p)
		w.expect(got, "once not_sent PG_REFUSED", "always not_sent PG_REFUSED", "good issued")
		if took := time.Since(started); took > 6*time.Second {
			t.Errorf("the end was waited for %v", took)
		}
		book := w.book()
		if doubts, err := book.InDoubt(t.Context()); err != nil || len(doubts) > 0 {
			t.Errorf("in doubt: %v, %v", doubts, err)
		}
		book.Close()
		got, _ = w.run(t.Context(), p)
		w.expect(got, "once issued", "always rejected PG_REFUSED", "good issued")
		if n := w.api.Ready("once"); n != 1 {
			t.Errorf("%d accounts", n)
		}
	})
}

// TestStoppedBeforeBegin ends the context of a run before the ledger begins it: the error is what ended the context.
func TestStoppedBeforeBegin(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		book := w.book()
		defer book.Close()
		why := errors.New("stopped by SIGINT")
		ctx, stop := context.WithCancelCause(t.Context())
		stop(why)
		found, err := batch.Run(ctx, plan(t, "주문번호,금액", "A,1000"), w.client, book, w.opts)
		if found.ID != 0 || err != why {
			t.Errorf("run %d ended with %v, want %v", found.ID, err, why)
		}
	})
}

// TestNoRefusal has an issue fail over something else, in words that hold the code of a refusal that passes.
func TestNoRefusal(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		api := bent{API: w.client, issue: func(client.IssueRequest) (client.Payment, error) {
			return client.Payment{}, &client.Error{Op: "POST /vbanks", Kind: client.NotConnected, Err: errors.New("dial tcp 127.0.0.1:4116: connection refused")}
		}}
		got, _ := w.with(api, plan(t, "주문번호,금액", "A,1000"))
		w.expect(got, "A not_sent API_UNREACHABLE")
	})
}

// TestRefusedAndMade has a PG refuse an order over a bank that is slow, and the account be made all the same.
func TestRefusedAndMade(t *testing.T) {
	config := sandbox.Config{Fault: func(r *http.Request, id string, nth int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && id == "A" && nth == 1 {
			return busy
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		time.AfterFunc(5*time.Second, func() { w.other("A", 1000) })
		got, err := w.run(t.Context(), plan(t, "주문번호,금액", "A,1000", "B,1000"))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A already_issued", "B issued")
		if n := w.api.Ready("A"); n != 1 {
			t.Errorf("%d accounts", n)
		}
	})
}

// TestHopeless refuses rows in words that tell what the others would meet.
func TestHopeless(t *testing.T) {
	t.Parallel()
	const key, contract, plain = "hashData 불일치", "[PAYMENTS] 가상계좌 계약이 필요합니다.", "[9999] 거절"
	for _, c := range []struct {
		name   string
		rows   int
		words  func(id string) string // "" accepts
		reason string
		posts  int
	}{
		{"contract", 50, func(string) string { return contract }, batch.CodeNoContract, 1},
		{"one row", 1, func(string) string { return key }, batch.CodeKeyRefused, 1},
		{"two rows", 2, func(string) string { return key }, batch.CodeKeyRefused, 2},
		{"key", 50, func(string) string { return key }, batch.CodeKeyRefused, 3},
		{"plan", 50, func(string) string { return "요금제를 확인해 주세요" }, batch.CodePlanEnded, 3},
		{"all in the same words", 50, func(string) string { return plain }, batch.CodeAllRefused, 20},
		{"fewer than that", 19, func(string) string { return plain }, "", 19},
		{"each in its own words", 50, func(id string) string { return plain + id }, "", 50},
		{"after one was accepted", 50, func(id string) string { return map[bool]string{false: contract}[id == "A-00"] }, "", 50},
		{"some", 50, func(id string) string { return map[bool]string{true: contract}[id == "A-20"] }, "", 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := sandbox.Config{Fault: func(r *http.Request, id string, _ int) sandbox.Fault {
				if words := c.words(id); r.URL.Path == "/vbanks" && words != "" {
					return sandbox.Refusal(words)
				}
				return ""
			}}
			faked(t, config, func(t *testing.T, w *world) {
				w.opts.Workers = 1
				lines := []string{"주문번호,금액"}
				for i := range c.rows {
					lines = append(lines, fmt.Sprintf("A-%02d,1000", i))
				}
				got, err := w.run(t.Context(), plan(t, lines...))
				stop, _ := errors.AsType[*batch.StopError](err)
				if (c.reason == "") != (err == nil) || stop != nil && stop.Code != c.reason {
					t.Errorf("ended by %v", err)
				}
				refused := len(slices.DeleteFunc(slices.Clone(got), func(r string) bool { return !strings.Contains(r, "rejected") }))
				unsent := len(slices.DeleteFunc(slices.Clone(got), func(r string) bool { return !strings.Contains(r, "not_sent STOPPED") }))
				if posts := w.api.Requests()["POST /vbanks"]; posts != c.posts || unsent != c.rows-posts {
					t.Errorf("%d issues were sent, %d rejected, %d not sent", posts, refused, unsent)
				}
			})
		})
	}
}

// TestUntil takes no rows after a time by the API's clock, whatever this machine's clock says.
func TestUntil(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"right": 0, "three hours ahead": 3 * time.Hour, "three hours behind": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synced := func() time.Time { return time.Now().Add(ahead) }
			faked(t, sandbox.Config{Clock: synced, Faults: sandbox.Faults{Latency: time.Second}}, func(t *testing.T, w *world) {
				w.opts.RemoteCheck, w.opts.Workers = false, 1
				if err := w.client.Authenticate(t.Context()); err != nil { // as main does
					t.Fatal(err)
				}
				w.opts.Until = synced().Add(10 * time.Second)
				lines := []string{"주문번호,금액"}
				for i := range 50 {
					lines = append(lines, fmt.Sprintf("A-%02d,1000", i))
				}
				p := plan(t, lines...)
				got, err := w.run(t.Context(), p)
				if stop, _ := errors.AsType[*batch.StopError](err); stop == nil || stop.Code != batch.CodeTimeIsUp {
					t.Errorf("ended by %v", err)
				}
				if posts := w.api.Requests()["POST /vbanks"]; posts < 8 || posts > 11 || got[49] != "A-49 not_sent STOPPED" {
					t.Errorf("%d issues were sent; the last row is %s", posts, got[49])
				}
				w.opts.Until = time.Time{}
				if got, err = w.run(t.Context(), p); err != nil || got[0] != "A-00 issued" || got[49] != "A-49 issued" {
					t.Errorf("the next day: %s … %s, %v", got[0], got[49], err)
				}
			})
		})
	}
}

// TestUntilNothingToSend has the time come before rows that need not be sent, which is no reason to end early, and before one
// that would have to be.
func TestUntilNothingToSend(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		done := []string{"주문번호,금액", "A,1000", "B,1000"}
		if _, err := w.run(t.Context(), plan(t, done...)); err != nil {
			t.Fatal(err)
		}
		w.opts.Until = time.Now().Add(-2 * time.Minute)
		got, err := w.run(t.Context(), plan(t, append(slices.Clip(done), "C,")...))
		if err != nil {
			t.Error(err)
		}
		w.expect(got, "A already_issued", "B already_issued", "C invalid AMOUNT_MISSING")
		got, err = w.run(t.Context(), plan(t, append(slices.Clip(done), "C,1000")...))
		if stop, _ := errors.AsType[*batch.StopError](err); stop == nil || stop.Code != batch.CodeTimeIsUp {
			t.Errorf("ended by %v", err)
		}
		w.expect(got, "A already_issued", "B already_issued", "C not_sent STOPPED")
	})
}

// TestOutage loses the API in the middle of a run, for three minutes and for twenty.
func TestOutage(t *testing.T) {
	t.Parallel()
	for _, minutes := range []int{3, 20} {
		t.Run(fmt.Sprint(minutes), func(t *testing.T) {
			var from, to time.Time
			config := sandbox.Config{Faults: sandbox.Faults{Latency: 100 * time.Millisecond}, Fault: func(*http.Request, string, int) sandbox.Fault {
				if now := time.Now(); now.After(from) && now.Before(to) {
					return sandbox.DropBefore
				}
				return ""
			}}
			faked(t, config, func(t *testing.T, w *world) {
				api, err := client.New(client.Config{Key: "k", Secret: "s", Workers: 4, Rate: 10, Patience: 5 * time.Minute, Through: w.api.Transport()})
				if err != nil {
					t.Fatal(err)
				}
				w.client = api
				from = time.Now().Add(10 * time.Second)
				to = from.Add(time.Duration(minutes) * time.Minute)
				lines := []string{"주문번호,금액"}
				for i := range 200 {
					lines = append(lines, fmt.Sprintf("A-%03d,1000", i))
				}
				p := plan(t, lines...)
				got, err := w.run(t.Context(), p)
				if minutes == 20 {
					stop, _ := errors.AsType[*batch.StopError](err)
					if away := time.Since(from); stop == nil || stop.Code != batch.CodeAPIUnreachable || away < 5*time.Minute || away > 8*time.Minute || got[199] != "A-199 not_sent STOPPED" {
						t.Errorf("ended after %v by %v; the last row is %s", away, err, got[199])
					}
					if unknown := len(slices.DeleteFunc(slices.Clone(got), func(r string) bool { return !strings.Contains(r, "unknown") })); unknown > 8 {
						t.Errorf("%d rows are unknown", unknown)
					}
					time.Sleep(time.Until(to))
					got, err = w.run(t.Context(), p)
				}
				if err != nil {
					t.Error(err)
				}
				for i, result := range got {
					if n := w.api.Ready(fmt.Sprintf("A-%03d", i)); result != fmt.Sprintf("A-%03d issued", i) || n != 1 {
						t.Errorf("%s, %d accounts", result, n)
					}
				}
			})
		})
	}
}

// pages is an API behind something that answers every call but for tokens with a page of its own from some request on.
type pages struct {
	http.RoundTripper
	from  int64
	asked atomic.Int64
}

func (p *pages) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/users/getToken" || p.asked.Add(1) < p.from {
		return p.RoundTripper.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusForbidden, Status: "403 Forbidden", Header: http.Header{"Content-Type": {"text/html"}},
		Body: io.NopCloser(strings.NewReader("<html>Request blocked</html>")), Request: r}, nil
}

// TestForeignPages: an API that cannot be got at, since all is answered by somebody else, is down. Hardly anything is sent
// to it, the run stops once patience is over, and every order gets one account when it is back.
func TestForeignPages(t *testing.T) {
	t.Parallel()
	for _, from := range []int64{1, 100} {
		t.Run(fmt.Sprint(from), func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
				blocked := &pages{RoundTripper: w.api.Transport(), from: from}
				var err error
				if w.client, err = client.New(client.Config{Key: "k", Secret: "s", Workers: 4, Patience: 5 * time.Minute, Through: blocked}); err != nil {
					t.Fatal(err)
				}
				lines := []string{"주문번호,금액"}
				for i := range 1000 {
					lines = append(lines, fmt.Sprintf("A-%03d,1000", i))
				}
				p := plan(t, lines...)
				began := time.Now()
				got, err := w.run(t.Context(), p)
				stop, _ := errors.AsType[*batch.StopError](err)
				if stop == nil || stop.Code != batch.CodeAPIUnreachable || !strings.Contains(stop.Error(), "403") || time.Since(began) < 5*time.Minute || time.Since(began) > 10*time.Minute {
					t.Errorf("ended after %v by %v", time.Since(began), err)
				}
				if n := blocked.asked.Load() - from; n > 200 {
					t.Errorf("%d requests were sent in vain", n)
				}
				if unknown := len(slices.DeleteFunc(slices.Clone(got), func(r string) bool { return !strings.Contains(r, "unknown") })); unknown > 40 { // twenty foreign replies, after which the API counts as down, and what was on its way
					t.Errorf("%d rows are unknown", unknown)
				}
				blocked.from = 1 << 40
				got, err = w.run(t.Context(), p)
				if err != nil {
					t.Error(err)
				}
				for i, result := range got {
					if n := w.api.Ready(fmt.Sprintf("A-%03d", i)); !strings.HasSuffix(result, " issued") || n != 1 {
						t.Fatalf("%s, %d accounts", result, n)
					}
				}
			})
		})
	}
}
