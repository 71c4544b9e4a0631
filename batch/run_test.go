package batch_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// world is a sandbox, a ledger and a way between them, without sockets, so that it runs in faked time.
type world struct {
	t      *testing.T
	api    *sandbox.Sandbox
	client *client.Client
	ledger string
	opts   batch.Options
}

// faked runs a test in a bubble whose clock moves only when everybody waits.
func faked(t *testing.T, config sandbox.Config, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		api, err := sandbox.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer api.Close()
		c, err := client.New(client.Config{Key: "k", Secret: "s", Workers: 4, Timeout: time.Minute, Through: api.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		test(t, &world{t: t, api: api, client: c, ledger: filepath.Join(t.TempDir(), "ledger.db"), opts: batch.Options{
			Workers: 4, DoubtWait: 30 * time.Second, SettleTime: time.Minute, RemoteCheck: true}})
	})
}

// book opens the ledger.
func (w *world) book() *ledger.Ledger {
	w.t.Helper()
	book, err := ledger.Open(w.ledger, "merchant")
	if err != nil {
		w.t.Fatal(err)
	}
	return book
}

// plan reads a file with the header and the lines.
func plan(t *testing.T, lines ...string) *batch.Plan {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := input.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	p, err := batch.Preflight(context.Background(), file, input.Options{Now: time.Now(),
		Set: map[string]string{"vbank_due": "+7d", "vbank_holder": "한빛", "vbank_code": "국민"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a plan to its end and returns the results, one string a row: "order status code".
func (w *world) run(ctx context.Context, p *batch.Plan) ([]string, error) {
	w.t.Helper()
	book := w.book()
	defer book.Close()
	return w.runOn(ctx, p, w.client, book)
}

func (w *world) runOn(ctx context.Context, p *batch.Plan, api batch.API, book batch.Ledger) ([]string, error) {
	w.t.Helper()
	found, ended := batch.Run(ctx, p, api, book, w.opts)
	var results []string
	err := batch.Results(context.WithoutCancel(ctx), p, book, found.ID, func(_ *input.Row, r *batch.Result) error {
		results = append(results, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.MerchantUID, r.Status, r.ErrorCode)))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return results, ended
}

func (w *world) expect(got []string, want ...string) {
	w.t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// once lets the first POST for every order meet the fault.
func once(fault sandbox.Fault) func(*http.Request, string, int) sandbox.Fault {
	return func(r *http.Request, _ string, nth int) sandbox.Fault {
		if r.URL.Path == "/vbanks" && nth == 1 {
			return fault
		}
		return ""
	}
}

// TestFaults has every order meet a fault on its first issue. Whatever it is, one account comes of it.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		fault  sandbox.Fault
		status string
		posts  int           // for two orders
		within time.Duration // from the start to the end of the run
	}{
		{"", "issued", 2, time.Second},
		{sandbox.DropBefore, "issued", 4, time.Minute},
		{sandbox.DropAfter, "issued", 2, 30 * time.Second},
		{sandbox.Late, "issued", 2, 3 * time.Minute},
		{sandbox.CommitLate, "issued", 2, time.Minute},
		{sandbox.ErrorBefore, "issued", 4, time.Minute},
		{sandbox.ErrorAfter, "issued", 2, 30 * time.Second},
		{sandbox.BadGatewayBefore, "issued", 4, time.Minute},
		{sandbox.BadGatewayAfter, "issued", 2, 30 * time.Second},
		{sandbox.CutJSON, "issued", 2, 30 * time.Second},
		{sandbox.WrongOrder, "issued", 2, 30 * time.Second},
		{sandbox.Refuse, "rejected PG_REFUSED", 2, time.Second},
		{sandbox.Unauthorized, "issued", 0, time.Second}, // 4 or 5: one order's 401 may cost the other its token
		{sandbox.TooMany, "issued", 4, time.Minute},
	} {
		t.Run(cmp.Or(string(test.fault), "none"), func(t *testing.T) {
			config := sandbox.Config{Fault: once(test.fault), Faults: sandbox.Faults{LateBy: 2 * time.Minute, CommitBy: 20 * time.Second}}
			faked(t, config, func(t *testing.T, w *world) {
				started := time.Now()
				got, err := w.run(t.Context(), plan(t, "주문번호,금액", "A-1,1000", "A-2,2000"))
				if err != nil {
					t.Error(err)
				}
				w.expect(got, "A-1 "+test.status, "A-2 "+test.status)
				want := 1
				if test.fault == sandbox.Refuse {
					want = 0
				}
				for _, order := range []string{"A-1", "A-2"} {
					if n := w.api.Ready(order); n != want {
						t.Errorf("%s has %d accounts, want %d", order, n, want)
					}
				}
				if posts := w.api.Requests()["POST /vbanks"]; posts != test.posts && test.posts > 0 {
					t.Errorf("%d issues were sent, want %d", posts, test.posts)
				}
				if took := time.Since(started); took > test.within {
					t.Errorf("took %v, more than %v", took, test.within)
				}
			})
		})
	}
}
