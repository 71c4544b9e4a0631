package batch_test

import (
	"fmt"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/client/sandbox"
)

// TestIntentsAhead kills a slow run: of its rows no more are in doubt than those on their way and three groups, whose intents
// are made ahead: of two a worker at the start, and then of one.
func TestIntentsAhead(t *testing.T) {
	faked(t, sandbox.Config{Faults: sandbox.Faults{Latency: 50 * time.Second}}, func(t *testing.T, w *world) {
		w.opts.Workers, w.opts.RemoteCheck = 2, false
		lines := []string{"주문번호,금액"}
		for i := range 200 {
			lines = append(lines, fmt.Sprintf("A-%d,1000", i))
		}
		book := w.book()
		defer book.Close()
		orders := plan(t, lines...)
		done := make(chan error, 1)
		go func() {
			_, err := batch.Run(t.Context(), orders, w.client, book, w.opts)
			done <- err
		}()
		for _, minutes := range []time.Duration{0, 20, 40} {
			time.Sleep(minutes*time.Minute + 30*time.Second)
			inDoubt, err := book.InDoubt(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			most := 3 + 2 // two are on their way
			if minutes == 0 {
				most = 3*2*2 + 2
			}
			if n := len(inDoubt); n < 2 || n > most {
				t.Errorf("after %d min %d rows are in doubt", minutes, n)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
