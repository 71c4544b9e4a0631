package input

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDue(t *testing.T) {
	for text, want := range map[string]string{
		"2026-12-31": "2026-12-31T23:59:59", "2026.12.31": "2026-12-31T23:59:59", "2026. 12. 31.": "2026-12-31T23:59:59", "2026/12/31": "2026-12-31T23:59:59",
		"2026-1-5": "2026-01-05T23:59:59", "20261231": "2026-12-31T23:59:59", "31.12.2026": "2026-12-31T23:59:59", "2026년 12월 31일": "2026-12-31T23:59:59",
		"2026년12월31일 18:00": "2026-12-31T18:00:00", "２０２６-12-31": "2026-12-31T23:59:59", " 2026-12-31 ": "2026-12-31T23:59:59",
		"2026/12/31 23:59": "2026-12-31T23:59:00", "2026-12-31 23:59:58": "2026-12-31T23:59:58", "2026-12-31T18:00:00": "2026-12-31T18:00:00",
		"2026-12-31 오후 6:00": "2026-12-31T18:00:00", "2026-12-31 오전 12:00": "2026-12-31T00:00:00", "2026-12-31 오후 12:30": "2026-12-31T12:30:00",
		"2026-12-31 오전 6:00:05": "2026-12-31T06:00:05", "2026-12-31 6:00 PM": "2026-12-31T18:00:00", "2026-12-31 12:00 AM": "2026-12-31T00:00:00",
		"46387": "2026-12-31T23:59:59", "1798729199": "2026-12-31T23:59:59", "2026-12-31T23:59:59+09:00": "2026-12-31T23:59:59",
		"2026-12-31T14:59:59Z": "2026-12-31T23:59:59", "2028-02-29": "2028-02-29T23:59:59", "2026-11-04": "2026-11-04T23:59:59",
	} {
		due, relative, code := ParseDue(text, now, 0)
		if got := time.Unix(due, 0).In(KST).Format("2006-01-02T15:04:05"); got != want || relative || code != "" {
			t.Errorf("ParseDue(%q) = %s %t %s, want %s", text, got, relative, code, want)
		}
	}
	for code, texts := range map[Code][]string{
		DueMissing: {"", " "},
		DateNoYear: {"12/10", "12-10", "12월 10일", "12월10일", "12.10"},
		DateInvalid: {"2026-02-30", "2026-13-01", "2026-00-10", "2027-02-29", "26-12-31", "26.12.31", "12/31/2026", "2026-12-31 25:00", "2026-12-31 오후 18:00", "2026-12-31 6",
			"2026-12-31 24:00", "2026-12-31x", "2026-12/31", "2026", "202612", "1", "99999", "10000", "9999999999", "123456789012", "1798729199000", "20260230", "31122026", "내일", "+d", "+7",
			"+99999999999d", "+-1d", "2026-12-31T25:00:00Z", "2026-12-31T10:00:00+99:00x", "2026년 12월", "12월", "1899-12-31", "2100-01-01", "-", "오후 6:00", "2026-12-3118:00"},
	} {
		for _, text := range texts {
			if due, relative, c := ParseDue(text, now, 0); c != code || due != 0 || relative {
				t.Errorf("ParseDue(%q) = %d %s, want %s", text, due, c, code)
			}
		}
	}
}

func TestParseDueRelative(t *testing.T) {
	for _, c := range []struct{ now, text, want string }{
		{"2026-11-05T09:00:00+09:00", "+7d", "2026-11-12T23:59:59+09:00"},
		{"2026-11-05T23:30:00+09:00", "+0d", "2026-11-05T23:59:59+09:00"},
		{"2026-11-05T20:00:00Z", "+1d", "2026-11-07T23:59:59+09:00"}, // the sixth in Seoul already
		{"2026-12-30T09:00:00+09:00", "+2d", "2027-01-01T23:59:59+09:00"},
	} {
		at, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		due, relative, code := ParseDue(c.text, at, 0)
		if got := time.Unix(due, 0).In(KST).Format(time.RFC3339); got != c.want || !relative || code != "" {
			t.Errorf("%s at %s: %s %t %s, want %s", c.text, c.now, got, relative, code, c.want)
		}
	}
}

func TestParseDueReadsEveryForm(t *testing.T) {
	layouts := []string{"2006-01-02", "2006.1.2", "2006/01/02", "20060102", "02.01.2006", "2006년 1월 2일", "2006. 1. 2."}
	clocks := []string{" 15:04:05", " 15:04", " PM 3:04", " 3:04:05 PM"}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(firstDay.Unix(), lastDay.Unix()).Draw(t, "unix"), 0).In(KST)
		text := at.Format(rapid.SampledFrom(layouts).Draw(t, "layout"))
		if due, _, code := ParseDue(text, now, 0); code != "" || due != endOfDay(at.Year(), int(at.Month()), at.Day()).Unix() {
			t.Fatalf("ParseDue(%q) = %d %s", text, due, code)
		}
		if digits(text) {
			return
		}
		clock := rapid.SampledFrom(clocks).Draw(t, "clock")
		want := at
		if clock == " 15:04" || clock == " PM 3:04" {
			want = at.Truncate(time.Minute)
		}
		if due, _, code := ParseDue(text+at.Format(clock), now, 0); code != "" || due != want.Unix() {
			t.Fatalf("ParseDue(%q) = %d %s, want %d", text+at.Format(clock), due, code, want.Unix())
		}
	})
}

func FuzzDue(f *testing.F) {
	for _, seed := range []string{"2026-12-31", "12월 10일", "+7d", "46387", "2026-12-31 오후 6:00", "31.12.2026", "2026-12-31T23:59:59+09:00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		due, relative, code := ParseDue(text, now, 0)
		if code != "" && (due != 0 || relative) {
			t.Fatalf("ParseDue(%q) = %d %t %s", text, due, relative, code)
		}
		if again, _, code := ParseDue(time.Unix(due, 0).In(KST).Format(time.RFC3339), now, 0); due > 0 && (again != due || code != "") {
			t.Fatalf("%q is %d, which is %d %q", text, due, again, code)
		}
		if code == "" && !relative && (due < firstDay.Unix() || due > lastDay.Unix()) {
			t.Fatalf("ParseDue(%q) = %d", text, due)
		}
	})
}

func TestParseDay(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-01": "2026-11-01T00:00:00+09:00", "2026.11.1": "2026-11-01T00:00:00+09:00", "20261101": "2026-11-01T00:00:00+09:00",
		"2026/11/01": "2026-11-01T00:00:00+09:00", " 2026년 11월 1일 ": "2026-11-01T00:00:00+09:00", "２０２６-11-01": "2026-11-01T00:00:00+09:00",
		"": "", "yesterday": "", "2026-11-31": "", "11-01": "", "+7d": "", "46387": "", "1793458800": "", "2026-11-01 23:59:59": "",
		"2026-11-01 09:00": "", "2026-11-01T00:00:00+09:00": "", "0206-11-01": "",
	} {
		got, err := ParseDay(text)
		if (err == nil) != (want != "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %q", text, got, err, want)
		}
	}
}
