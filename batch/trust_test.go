package batch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"vbankbatch/batch"
	"vbankbatch/client/sandbox"
)

// manyOrders is a plan of n orders.
func manyOrders(t *testing.T, n int) *batch.Plan {
	lines := []string{"주문번호,금액"}
	for i := range n {
		lines = append(lines, fmt.Sprintf("A-%d,1000", i))
	}
	return plan(t, lines...)
}

// oneEach sees that each of those orders has one account.
func (w *world) oneEach(orders int) {
	w.t.Helper()
	for i := range orders {
		if n := w.api.Ready(fmt.Sprintf("A-%d", i)); n != 1 {
			w.t.Errorf("A-%d has %d accounts", i, n)
		}
	}
}

// TestListsThatLie has a ledger lost, and an API whose lists of many orders hold some, or none, of those that have an
// account: no order gets a second one.
func TestListsThatLie(t *testing.T) {
	t.Parallel()
	for _, lie := range []sandbox.Fault{sandbox.ShortList, sandbox.PartList, sandbox.EmptyList, sandbox.Lying(http.StatusNotFound)} {
		t.Run(string(lie), func(t *testing.T) {
			t.Parallel()
			var lying bool
			config := sandbox.Config{Fault: func(r *http.Request, _ string, _ int) sandbox.Fault {
				if lying && r.Pattern == "GET /payments" {
					return lie
				}
				return ""
			}}
			faked(t, config, func(t *testing.T, w *world) {
				const rows = 250
				p := manyOrders(t, rows)
				if _, err := w.run(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				lying = true
				w.restore("")
				got, err := w.run(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				for i, result := range got {
					if result != fmt.Sprintf("A-%d already_issued", i) {
						t.Errorf("%s", result)
					}
				}
				w.oneEach(rows)
			})
		})
	}
}

// TestListsThatLieLater has lists deny all orders, most of which have no account: once one was found that a list denied, no list
// is believed any more.
func TestListsThatLieLater(t *testing.T) {
	config := sandbox.Config{Fault: func(r *http.Request, _ string, _ int) sandbox.Fault {
		if r.Pattern == "GET /payments" {
			return sandbox.Lying(http.StatusNotFound)
		}
		return ""
	}}
	faked(t, config, func(t *testing.T, w *world) {
		for i := range 100 {
			w.other(fmt.Sprintf("A-%d", i), 1000)
		}
		for _, i := range []int{133, 171, 222, 266, 299} { // past any sample
			w.other(fmt.Sprintf("A-%d", i), 1000)
		}
		if _, err := w.run(t.Context(), manyOrders(t, 300)); err != nil {
			t.Fatal(err)
		}
		w.oneEach(300)
	})
}

// TestRefusalsThatLie has issues refused that the API has carried out: what can be sent again is looked up before.
func TestRefusalsThatLie(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusTooManyRequests} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			faked(t, sandbox.Config{Fault: once(sandbox.Lying(status))}, func(t *testing.T, w *world) {
				w.opts.Workers = 1 // a 401 costs everybody the token
				got, err := w.run(t.Context(), manyOrders(t, 16))
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(strings.Join(got, "\n"), " issued"); n != 16 {
					t.Errorf("%q", got)
				}
				w.oneEach(16)
			})
		})
	}
}
