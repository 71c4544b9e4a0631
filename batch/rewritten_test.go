package batch_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"vbankbatch/batch"
	"vbankbatch/client/sandbox"
)

// TestRewritten has the input written over, cut or added to in place while it runs: what is sent and told is what the
// preflight has read, to its last row.
func TestRewritten(t *testing.T) {
	t.Parallel()
	const rows = 2500 // more than are read ahead
	note := strings.Repeat("비", 40)
	text := func(rows, amount int) string {
		var b strings.Builder
		b.WriteString("주문번호,금액,비고\n")
		for i := range rows {
			fmt.Fprintf(&b, "A-%04d,%d,%s\n", i, amount, note)
		}
		return b.String()
	}
	for name, change := range map[string]func(path string) error{
		"written over": func(path string) error { return os.WriteFile(path, []byte(text(rows, 9999)), 0o600) },
		"cut":          func(path string) error { return os.Truncate(path, int64(len(text(rows/2, 1000)))) },
		"added to":     func(path string) error { return os.WriteFile(path, []byte(text(2*rows, 1000)), 0o600) },
		"removed":      os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var path string
			var sent atomic.Int64
			meanwhile := func(r *http.Request, _ string, _ int) sandbox.Fault {
				if r.URL.Path == "/vbanks" && sent.Add(1) == 100 {
					if err := change(path); err != nil {
						t.Error(err)
					}
				}
				return ""
			}
			faked(t, sandbox.Config{Fault: meanwhile}, func(t *testing.T, w *world) {
				w.opts.RemoteCheck = false // which costs the most of the test
				p := plan(t, strings.TrimSpace(text(rows, 1000)))
				path = p.File.Path
				if err := (batch.Guards{MaxAmount: 5000}).Check(p); err != nil {
					t.Fatal(err)
				}
				got, err := w.run(t.Context(), p)
				if err != nil {
					t.Error(err)
				}
				for i, result := range got {
					if want := fmt.Sprintf("A-%04d issued", i); result != want {
						t.Fatalf("%s, want %s", result, want)
					}
				}
				for _, account := range w.api.Payments() {
					if account.Amount != 1000 {
						t.Fatalf("%s has an account for %d won", account.MerchantUID, account.Amount)
					}
				}
				if accounts := len(w.api.Payments()); len(got) != rows || accounts != rows {
					t.Errorf("%d results and %d accounts of %d rows", len(got), accounts, rows)
				}
			})
		})
	}
}
