package batch_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/sandbox"
)

// TestAfterAPurge runs an old file once more, whose accounts were purged from the ledger: its orders are known to have
// them, nothing is sent, and the results say why they tell no number.
func TestAfterAPurge(t *testing.T) {
	for _, interrupted := range []bool{false, true} {
		t.Run(fmt.Sprint("interrupted=", interrupted), func(t *testing.T) {
			faked(t, sandbox.Config{}, func(t *testing.T, w *world) { afterAPurge(t, w, interrupted) })
		})
	}
}

func afterAPurge(t *testing.T, w *world, interrupted bool) {
	book := w.book()
	defer book.Close()
	time.Sleep(time.Until(time.Date(2020, 1, 1, 0, 0, 0, 0, input.KST))) // before that no date is believed
	lines := []string{"주문번호,금액,입금기한", "A-1,1000,2020-01-05", "A-2,2000,", "A-3,3000,+60d", "A-4,0,"}
	p := plan(t, lines...)
	run := func(p *batch.Plan, finish bool) ledger.Run {
		t.Helper()
		found, err := batch.Run(t.Context(), p, w.client, book, w.opts)
		if err == nil && finish {
			err = book.Finish(t.Context(), found.ID, time.Now())
		}
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	first := run(p, !interrupted)
	w.expect(w.results(t.Context(), p, book, first.ID), "A-1 issued", "A-2 issued", "A-3 issued", "A-4 skipped ZERO_BALANCE")

	time.Sleep(30 * 24 * time.Hour)
	purged, err := book.Purge(t.Context(), time.Now(), time.Now())
	if want := (ledger.Purged{Accounts: 2, Lines: 1, Files: 1, Waiting: 1}); err != nil || purged != want {
		t.Fatalf("%+v, %v", purged, err)
	}
	sent := w.api.Requests()
	p = plan(t, lines...) // the first due date has passed
	accounts := make(map[string]sandbox.Payment)
	for _, account := range w.api.Payments() {
		accounts[account.MerchantUID] = account
	}
	for range 2 {
		again := run(p, true)
		if again.ID == first.ID {
			t.Error("a purged run is continued")
		}
		w.expect(w.results(t.Context(), p, book, again.ID),
			"A-1 already_issued ACCOUNT_PURGED", "A-2 already_issued ACCOUNT_PURGED", "A-3 already_issued", "A-4 skipped ZERO_BALANCE")
		err = batch.Results(context.Background(), p, book, again.ID, func(row *input.Row, r *batch.Result) error {
			account, ok := accounts[r.MerchantUID]
			kept := r.MerchantUID == "A-3"
			if ok && (r.ImpUID != account.ImpUID || r.Amount != account.Amount || r.VbankDue != account.VbankDate || kept != (r.VbankNum != "") ||
				kept != (r.VbankHolder != "") || kept != (r.ErrorMessage == "")) {
				t.Errorf("%+v", r)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	// Figures are judged as before, and an update that changes nothing is one.
	changed := plan(t, "주문번호,금액,처리", "A-1,1001,발급", "A-2,2000,변경")
	w.expect(w.results(t.Context(), changed, book, run(changed, true).ID), "A-1 conflict FIGURES_DIFFER", "A-2 unchanged ACCOUNT_PURGED")
	asked := w.api.Requests()
	for _, look := range []string{"GET /payments", "POST /users/getToken"} { // for the accounts that are repeated
		delete(sent, look)
		delete(asked, look)
	}
	if !maps.Equal(sent, asked) {
		t.Errorf("sent since the purge: %v, before: %v", asked, sent)
	}
	// An account that was purged can still be changed, and its number is known again.
	update := plan(t, "주문번호,금액,입금기한,처리", "A-2,2500,+7d,변경")
	got := w.results(t.Context(), update, book, run(update, true).ID)
	w.expect(got, "A-2 updated")
	repeated := plan(t, "주문번호,금액", "A-2,2500")
	w.expect(w.results(t.Context(), repeated, book, run(repeated, true).ID), "A-2 already_issued")
	if posts := w.api.Requests()["POST /vbanks"]; posts != 3 {
		t.Errorf("%d issues were sent, want the 3 of the first run", posts)
	}
}
