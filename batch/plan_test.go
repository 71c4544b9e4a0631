package batch_test

import (
	"reflect"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
)

// TestSettings holds the digest of a run's settings against the one that ledgers have by now: with another one
// an interrupted run is not gone on with. Whoever has to change it must see to the runs that are under way.
func TestSettings(t *testing.T) {
	full := input.Options{Encoding: "cp949", Delimiter: ';', Map: map[string]string{"merchant_uid": "주문", "amount": "금액"},
		Set: map[string]string{"vbank_due": "+7d", "custom_data": `{"반":"<{반}> & \u2028"}`}, OnlyMapped: true, Key: "{동}-{호}-202611",
		Where: []input.Where{{Header: "결제방법", Value: "가상계좌"}, {Header: "b", Value: "2"}}, DueYear: 2026, Revoke: true, Banks: map[string]string{"국민": "004"}}
	digest := func(o input.Options) string { return (&batch.Plan{Options: o}).Settings() }
	for want, options := range map[string]input.Options{
		"eeb4202885950442dcbd6c8513e34d4a033b489a4ce279c2127974b6683f25d9": {},
		"a341a77cad2f7383eb74ce02d9fbbc604a0a33316c30eb2841b56215826acb9d": full,
	} {
		if got := digest(options); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	full.DateOrder, full.Unit, full.Items, full.StopAt = input.DayFirst, 1000, input.ItemsSum, "환불 대상"
	full.Sheet, full.Hidden = "청구", input.HiddenSkip
	full.Ignore, full.FillDown, full.PassOver, full.Totals = []string{"통화"}, []string{"동"}, []string{"[완납]"}, input.TotalsWarn
	// Every setting counts, but for the day, for what the surroundings know, and for what is never sent.
	free := map[string]bool{"Now": true, "Channels": true, "HasKey": true, "Unread": true}
	for i := range reflect.TypeFor[input.Options]().NumField() {
		name, other := reflect.TypeFor[input.Options]().Field(i).Name, full
		switch name {
		case "Now":
			other.Now = time.Unix(1, 0)
		case "Channels":
			other.Channels = map[string]string{"channel-key": "nice.MID"}
		case "HasKey":
			other.HasKey = func(string) bool { return true }
		default:
			reflect.ValueOf(&other).Elem().Field(i).SetZero()
		}
		if same := digest(other) == digest(full); same != free[name] {
			t.Errorf("another %s: the same digest is %v, want %v", name, same, free[name])
		}
	}
}
