package job_test

import (
	"testing"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/report/job"
)

// TestNearest: --until is the moment nearest to now, be it yesterday's or tomorrow's; what lies twelve hours off to the
// second is today's.
func TestNearest(t *testing.T) {
	for _, test := range []struct{ now, clock, want string }{
		{"2026-11-05 22:00:00", "23:25", "2026-11-05 23:25:00"},
		{"2026-11-05 23:25:00", "23:25", "2026-11-05 23:25:00"},
		{"2026-11-05 23:40:00", "23:25", "2026-11-05 23:25:00"},
		{"2026-11-05 23:40:00", "00:10", "2026-11-06 00:10:00"},
		{"2026-11-05 00:10:00", "23:40", "2026-11-04 23:40:00"},
		{"2026-12-31 23:40:00", "00:10", "2027-01-01 00:10:00"},
		{"2027-01-01 00:10:00", "23:40", "2026-12-31 23:40:00"},
		{"2026-11-05 11:00:01", "23:00", "2026-11-05 23:00:00"},
		{"2026-11-05 11:00:00", "23:00", "2026-11-05 23:00:00"},
		{"2026-11-05 10:59:59", "23:00", "2026-11-04 23:00:00"},
		{"2026-11-05 22:59:59", "11:00", "2026-11-05 11:00:00"},
		{"2026-11-05 23:00:00", "11:00", "2026-11-05 11:00:00"},
		{"2026-11-05 23:00:01", "11:00", "2026-11-06 11:00:00"},
	} {
		now, err := time.ParseInLocation(time.DateTime, test.now, input.KST)
		if err != nil {
			t.Fatal(err)
		}
		for _, zone := range []*time.Location{input.KST, time.UTC, time.FixedZone("", -11*3600)} {
			clock, err := job.ParseClock(test.clock)
			if got := job.Nearest(clock, now.In(zone)); err != nil || got.In(input.KST).Format(time.DateTime) != test.want {
				t.Errorf("at %s, %s is %v, want %s; %v", test.now, test.clock, got, test.want, err)
			}
		}
	}
	if got, err := job.ParseClock(""); err != nil || !job.Nearest(got, time.Now()).IsZero() {
		t.Error(got, err)
	}
	for _, clock := range []string{"24:00", "23:60", "2325", "23:25:00", "-1:00", "now"} {
		if got, err := job.ParseClock(clock); err == nil {
			t.Errorf("%s is %v", clock, got)
		}
	}
}

// TestComing: of a job that was stored, --until lies less than six hours back, or up to eighteen ahead.
func TestComing(t *testing.T) {
	for _, test := range []struct{ asked, clock, want string }{
		{"2026-11-05 10:00:00", "23:25", "2026-11-05 23:25:00"},
		{"2026-11-05 22:00:00", "23:25", "2026-11-05 23:25:00"},
		{"2026-11-05 23:40:00", "23:25", "2026-11-05 23:25:00"},
		{"2026-11-06 05:24:59", "23:25", "2026-11-05 23:25:00"},
		{"2026-11-06 05:25:00", "23:25", "2026-11-06 23:25:00"},
		{"2026-12-31 23:40:00", "00:10", "2027-01-01 00:10:00"},
	} {
		asked, err := time.ParseInLocation(time.DateTime, test.asked, input.KST)
		if err != nil {
			t.Fatal(err)
		}
		clock, err := job.ParseClock(test.clock)
		if got := job.Coming(clock, asked.UTC()); err != nil || got.In(input.KST).Format(time.DateTime) != test.want {
			t.Errorf("at %s, %s is %v, want %s; %v", test.asked, test.clock, got, test.want, err)
		}
	}
	if got := job.Coming(time.Time{}, time.Now()); !got.IsZero() {
		t.Error(got)
	}
}
