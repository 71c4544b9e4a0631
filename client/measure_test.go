package client_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbankbatch/client"
)

// TestMeasures counts attempts by endpoint and class, and keeps the wait for the limiter out of the latency.
func TestMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &gate{latency: 200 * time.Millisecond, headers: http.Header{"Retry-After": {"1"}}}
		c := connect(t, client.Config{Through: api, Rate: 2, Workers: 4})
		refuse := 1
		api.status = func(time.Time, int) int {
			if refuse--; refuse == 0 {
				return http.StatusTooManyRequests
			}
			return http.StatusOK
		}
		if told := c.Measures(); told.Endpoints != nil || told.Series != nil || !told.Started.IsZero() {
			t.Errorf("before the first attempt: %+v", told)
		}
		began := time.Now()
		for range 3 {
			if _, err := c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1"}); err != nil {
				t.Fatal(err)
			}
		}
		api.status = func(time.Time, int) int { return http.StatusBadGateway }
		c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1"})
		api.status = func(time.Time, int) int { return http.StatusNotFound }
		c.Payment(t.Context(), "", "imp_1")
		told := c.Measures()
		if !told.Started.Equal(began) || told.Waited < 1700*time.Millisecond || told.Waited > time.Since(began) {
			t.Errorf("started %v, waited %v", told.Started, told.Waited)
		}
		changes, answered := int64(0), int64(0)
		for _, moment := range told.Series {
			changes, answered = changes+moment.Changes, answered+moment.Answered
		}
		if changes != 4 || answered != 8 || answered != c.Requests() {
			t.Errorf("%d changes among %d answers", changes, answered)
		}
		for i := range told.Endpoints {
			l := &told.Endpoints[i].Latency
			for _, d := range []time.Duration{l.P50, l.P90, l.P99, l.Max} {
				if d < 197*time.Millisecond || d > 203*time.Millisecond {
					t.Errorf("%s: %+v", told.Endpoints[i].Endpoint, *l)
				}
			}
			*l = client.Latency{}
		}
		want := []client.EndpointMeasures{
			{Endpoint: "GET /payments/findAll/{merchant_uid}", Requests: 1, Classes: map[string]int64{client.Class4xx: 1}}, // after the 429
			{Endpoint: "GET /payments/{imp_uid}", Requests: 1, Classes: map[string]int64{client.Class4xx: 1}},
			{Endpoint: "POST /users/getToken", Requests: 1, Classes: map[string]int64{client.Class2xx: 1}},
			{Endpoint: "POST /vbanks", Requests: 5, Retries: 1, Classes: map[string]int64{client.Class2xx: 3, client.Class429: 1, client.Class5xx: 1}},
		}
		if diff := cmp.Diff(want, told.Endpoints); diff != "" {
			t.Error(diff)
		}
	})
}

// TestMeasuresWithoutAReply counts what was cut short, without a latency.
func TestMeasuresWithoutAReply(t *testing.T) {
	c := serve(t, hangUp(true, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
	c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1"})
	told := c.Measures().Endpoints[1]
	want := client.EndpointMeasures{Endpoint: "POST /vbanks", Requests: 1, Classes: map[string]int64{client.ClassNone: 1}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

// TestMeasuresAtOnce is for the race detector.
func TestMeasuresAtOnce(t *testing.T) {
	c := serve(t, reply(200, good))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				c.Issue(t.Context(), client.IssueRequest{MerchantUID: "A-1"})
				c.Measures()
			}
		})
	}
	group.Wait()
	if told := c.Measures().Endpoints[1]; told.Requests != 160 {
		t.Errorf("%+v", told)
	}
}
