package batch_test

import (
	"context"
	"testing"

	"vbankbatch/batch"
	"vbankbatch/client/sandbox"
)

// TestCompare tells what a run would do before it is done: what is new, what has its account, what has another amount.
func TestCompare(t *testing.T) {
	faked(t, sandbox.Config{}, func(t *testing.T, w *world) {
		book := w.book()
		defer book.Close()
		if _, err := batch.Run(t.Context(), plan(t, "주문번호,금액", "A,1000", "B,2000"), w.client, book, w.opts); err != nil {
			t.Fatal(err)
		}
		p := plan(t, "주문번호,금액", "A,1000", "B,2500", "C,4000", "D,5000", "E,", "D,5000")
		got, err := p.Compare(context.Background(), book.Orders)
		want := batch.Compared{New: batch.Planned{Rows: 2, Won: 9000}, Issued: batch.Planned{Rows: 1, Won: 1000}, Changed: batch.Planned{Rows: 1, Won: 2500}}
		if err != nil || got != want {
			t.Errorf("%+v, want %+v; %v", got, want, err)
		}
	})
}
