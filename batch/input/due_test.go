package input

import (
	"fmt"
	"strings"
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
		"2026-12-31 오후 6:00": "2026-12-31T18:00:00", "2026-12-31 오전 12:00": "2026-12-31T23:59:59", "2026-12-31 오후 12:30": "2026-12-31T12:30:00",
		"2026-12-31 오전 6:00:05": "2026-12-31T06:00:05", "2026-12-31 6:00 PM": "2026-12-31T18:00:00", "2026-12-31 12:00 AM": "2026-12-31T23:59:59",
		"46387": "2026-12-31T23:59:59", "1798729199": "2026-12-31T23:59:59", "2026-12-31T23:59:59+09:00": "2026-12-31T23:59:59",
		"2026-12-31T14:59:59Z": "2026-12-31T23:59:59", "2028-02-29": "2028-02-29T23:59:59", "2026-11-04": "2026-11-04T23:59:59",
		// midnight, as programs write a day alone
		"2026-12-31 00:00:00": "2026-12-31T23:59:59", "2026-12-31 오전 12:00:00": "2026-12-31T23:59:59", "2026-12-31 00:00": "2026-12-31T23:59:59", "2026-12-31T00:00:00": "2026-12-31T23:59:59",
		"2026-12-31T00:00:00+09:00": "2026-12-31T23:59:59", "2026-12-30T15:00:00Z": "2026-12-31T23:59:59", "1798642800": "2026-12-31T23:59:59", "2026-12-31 00:00:00.0000000": "2026-12-31T23:59:59",
		"2026-12-31 00:00:00.000": "2026-12-31T23:59:59", "20261231000000": "2026-12-31T23:59:59", "2026-12-31 00:00:01": "2026-12-31T00:00:01", "2026-12-31T00:00:00Z": "2026-12-31T09:00:00",
		"2026-12-31 24:00": "2026-12-31T23:59:59", "2026-12-31 24:00:00": "2026-12-31T23:59:59", "202612312400": "2026-12-31T23:59:59",
		// with a zone
		"2026-12-31 18:00:00+09": "2026-12-31T18:00:00", "2026-12-31 18:00:00 +09:00": "2026-12-31T18:00:00", "2026-12-31T18:00:00.123+0900": "2026-12-31T18:00:00", "2026-12-31T18:00+09:00": "2026-12-31T18:00:00",
		// numbers
		"20261231235959": "2026-12-31T23:59:59", "202612312359": "2026-12-31T23:59:00", "20261231 18:00": "2026-12-31T18:00:00", "46387.0": "2026-12-31T23:59:59", "46387.75": "2026-12-31T18:00:00",
		"46387.999999999": "2026-12-31T23:59:59", "46387.9999884259": "2026-12-31T23:59:59", "20261231.0": "2026-12-31T23:59:59", "1798729199.0": "2026-12-31T23:59:59",
		"2026-12-31 23:59:59.0": "2026-12-31T23:59:59", "2026-12-31 23:59:59.000": "2026-12-31T23:59:59", "2026-12-31 23:59:59.997": "2026-12-31T23:59:59",
		// the day of the week
		"2026-12-31(목)": "2026-12-31T23:59:59", "2026-12-31 (목) 18:00": "2026-12-31T18:00:00", "2026-12-31(목)18:00": "2026-12-31T18:00:00", "2026.12.31. 목": "2026-12-31T23:59:59", "2026년 12월 31일 목요일": "2026-12-31T23:59:59",
		"2026. 12. 31. (목) 오후 6:00": "2026-12-31T18:00:00", "2026-12-31 Thu": "2026-12-31T23:59:59", "2026년 12월 31일(목요일)": "2026-12-31T23:59:59", "2026-11-01(일)": "2026-11-01T23:59:59",
		// two digits of the year, and months by name
		"26.12.31": "2026-12-31T23:59:59", "26-12-31": "2026-12-31T23:59:59", "26/12/31": "2026-12-31T23:59:59", "26년 12월 31일": "2026-12-31T23:59:59", "26. 12. 31.": "2026-12-31T23:59:59", "26.12.31 18:00": "2026-12-31T18:00:00", "27/01/31(일)": "2027-01-31T23:59:59", "26.12.26": "2026-12-26T23:59:59", "26.12.25": "2026-12-25T23:59:59",
		"31-DEC-26": "2026-12-31T23:59:59", "31-Dec-2026": "2026-12-31T23:59:59", "Dec 31, 2026": "2026-12-31T23:59:59", "December 31, 2026 6:00 PM": "2026-12-31T18:00:00", "31-12월-2026": "2026-12-31T23:59:59", "31-12월-26": "2026-12-31T23:59:59",
		"01-01월-27": "2027-01-01T23:59:59", "1-1월 -2027": "2027-01-01T23:59:59", "31 Dec 2026": "2026-12-31T23:59:59", "2026-Dec-31": "2026-12-31T23:59:59",
	} {
		due, relative, code := ParseDue(text, now, 0, "")
		if got := time.Unix(due, 0).In(KST).Format("2006-01-02T15:04:05"); got != want || relative || code != "" {
			t.Errorf("ParseDue(%q) = %s %t %s, want %s", text, got, relative, code, want)
		}
	}
	for code, texts := range map[Code][]string{
		DueMissing: {"", " "},
		DateNoYear: {"12/10", "12-10", "12월 10일", "12월10일", "12.10"},
		DateInvalid: {"2026-02-30", "2026-13-01", "2026-00-10", "2027-02-29", "26-13-31", "26.13.32", "13/32/2026", "2026-12-31 25:00", "2026-12-31 오후 18:00", "2026-12-31 6",
			"2026-12-31 24:01", "2026-12-31 오후 24:00", "2026-12-31x", "2026-12/31", "2026", "202612", "1", "99999", "10000", "9999999999", "123456789012", "1798729199000", "20260230", "31122026", "내일", "+d", "+7",
			"+99999999999d", "+-1d", "2026-12-31T25:00:00Z", "2026-12-31T10:00:00+99:00x", "2026년 12월", "12월", "1899-12-31", "2100-01-01", "-", "오후 6:00", "2026-12-3118:00",
			"-46387", "-46387.5", "46387.7.5", "46387,75", "9999.5", "100000.5", "20261231.5", "20261231246060", "202613312359", "31-Dez-2026", "31-Feb-2026", "Dec 2026", "Dec 31", "31-12월", "123-Dec-2026", "31-Dec-126",
			"2026-12-31(목", "2026-12-31(화수)", "2026-12-31 목 금", "2026-12-31 (목) 25:00", "26-2026-12", "226.12.31"},
		DateAmbiguous: {"12/31/2026", "31/12/2026", "12/11/26", "12-11-2026", "01/02/2026", "31.12.26", "26.11.27", "26/11/27", "11.12.13", "26.02.30", "31-Dec-31", "12/31/26", "1/2/26", "26-DEC-31"},
		DateWeekday:   {"2026-12-31(금)", "2026-12-31 수요일", "2026.12.31. 일 18:00", "31-Dec-2026 Mon"},
	} {
		for _, text := range texts {
			if due, relative, c := ParseDue(text, now, 0, ""); c != code || due != 0 || relative {
				t.Errorf("ParseDue(%q) = %d %s, want %s", text, due, c, code)
			}
		}
	}
}

// TestDateOrder has the order of a date's numbers given.
func TestDateOrder(t *testing.T) {
	for _, c := range []struct{ order, text, want string }{
		{"mdy", "12/31/2026", "2026-12-31"}, {"mdy", "01/02/2026", "2026-01-02"}, {"mdy", "12-31-2026 18:00", "2026-12-31"}, {"mdy", "12/11/26", "2026-12-11"}, {"mdy", "31/12/2026", ""}, {"mdy", "12.31.2026", "2026-12-31"}, {"mdy", "26.12.31", ""},
		{"dmy", "31/12/2026", "2026-12-31"}, {"dmy", "01/02/2026", "2026-02-01"}, {"dmy", "31.12.2026", "2026-12-31"}, {"dmy", "12/11/26", "2026-11-12"}, {"dmy", "31.12.26", "2026-12-31"}, {"dmy", "12/31/2026", ""}, {"dmy", "31-Dec-31", "2031-12-31"},
		{"ymd", "26.11.27", "2026-11-27"}, {"ymd", "26-DEC-31", ""}, {"ymd", "31-DEC-26", "2026-12-31"}, {"ymd", "12/31/2026", ""}, {"ymd", "31.12.2026", "2026-12-31"},
		{"mdy", "2026-02-01", "2026-02-01"}, {"dmy", "2026-02-01", "2026-02-01"}, {"dmy", "20260201", "2026-02-01"}, {"mdy", "12월 10일", "2026-12-10"}, {"dmy", "12월 10일", "2026-12-10"}, {"dmy", "10/12", "2026-12-10"}, {"mdy", "12/10", "2026-12-10"},
	} {
		due, _, code := ParseDue(c.text, now, 2026, c.order)
		if got := time.Unix(due, 0).In(KST).Format("2006-01-02"); (code == "") != (c.want != "") || code == "" && got != c.want {
			t.Errorf("ParseDue(%q, %s) = %s %s, want %s", c.text, c.order, got, code, c.want)
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
		due, relative, code := ParseDue(c.text, at, 0, "")
		if got := time.Unix(due, 0).In(KST).Format(time.RFC3339); got != c.want || !relative || code != "" {
			t.Errorf("%s at %s: %s %t %s, want %s", c.text, c.now, got, relative, code, c.want)
		}
	}
}

func TestParseDueReadsEveryForm(t *testing.T) {
	layouts := []string{"2006-01-02", "2006.1.2", "2006/01/02", "20060102", "02.01.2006", "2006년 1월 2일", "2006. 1. 2.", "02-Jan-2006", "January 2, 2006", "02-01월-2006", "06년 1월 2일", "2006-01-02 Mon", "2006-01-02(Mon)"}
	clocks := []string{" 15:04:05", " 15:04", " PM 3:04", " 3:04:05 PM", " 15:04:05.000"}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(firstDay.Unix(), lastDay.Unix()).Draw(t, "unix"), 0).In(KST)
		text := at.Format(rapid.SampledFrom(layouts).Draw(t, "layout"))
		if due, _, code := ParseDue(text, now, 0, ""); code != "" || due != endOfDay(at.Year(), int(at.Month()), at.Day()).Unix() {
			t.Fatalf("ParseDue(%q) = %d %s", text, due, code)
		}
		clock := rapid.SampledFrom(clocks).Draw(t, "clock")
		want := at
		if clock == " 15:04" || clock == " PM 3:04" {
			want = at.Truncate(time.Minute)
		}
		if want.Format("15:04:05") == "00:00:00" { // how programs write a day alone
			want = endOfDay(at.Year(), int(at.Month()), at.Day())
		}
		if due, _, code := ParseDue(text+at.Format(clock), now, 0, ""); code != "" || due != want.Unix() {
			t.Fatalf("ParseDue(%q) = %d %s, want %d", text+at.Format(clock), due, code, want.Unix())
		}
	})
}

// TestParseDueReadsPrograms has a moment written as programs write it: it is read as that moment, or at midnight as its day.
func TestParseDueReadsPrograms(t *testing.T) {
	writers := map[string]func(time.Time) string{
		"FormatDue":  func(t time.Time) string { return FormatDue(t.Unix()) + t.Format(":05") },
		"results":    func(t time.Time) string { return t.Format(time.RFC3339) },
		"Postgres":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05-07") },
		"SQL Server": func(t time.Time) string { return t.Format("2006-01-02 15:04:05.0000000 -07:00") },
		"JavaScript": func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") },
		"compact":    func(t time.Time) string { return t.Format("20060102150405") },
		"Oracle":     func(t time.Time) string { return strings.ToUpper(t.Format("02-Jan-2006 15:04:05")) },
		"Excel":      func(t time.Time) string { return fmt.Sprintf("%.9f", float64(t.Unix()+9*60*60)/86400+25569) },
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(firstDay.Unix(), lastDay.Unix()).Draw(t, "unix"), 0).In(KST)
		if rapid.Bool().Draw(t, "midnight") {
			at = time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, KST)
		}
		want := at
		if at.Format("15:04:05") == "00:00:00" {
			want = endOfDay(at.Year(), int(at.Month()), at.Day())
		}
		for writer, write := range writers {
			if due, _, code := ParseDue(write(at), now, 0, ""); code != "" || due != want.Unix() {
				t.Fatalf("%s: ParseDue(%q) = %d %s, want %d", writer, write(at), due, code, want.Unix())
			}
		}
	})
}

// TestTwoDigitYears has every day of two years written with two digits of the year: it is read as that day or refused.
func TestTwoDigitYears(t *testing.T) {
	doubtful := 0
	for at := time.Date(2026, 1, 1, 0, 0, 0, 0, KST); at.Year() < 2028; at = at.AddDate(0, 0, 1) {
		for _, layout := range []string{"06.01.02", "06-1-2", "06/01/02", "06. 1. 2."} {
			switch due, _, code := ParseDue(at.Format(layout), now, 0, ""); {
			case code == DateAmbiguous:
				doubtful++
			case code != "" || due != endOfDay(at.Year(), int(at.Month()), at.Day()).Unix():
				t.Fatalf("ParseDue(%q) = %d %s", at.Format(layout), due, code)
			}
		}
		for _, layout := range []string{"02.01.06", "01/02/06", "02/01/06"} {
			if due, _, code := ParseDue(at.Format(layout), now, 0, ""); code == "" && due != endOfDay(at.Year(), int(at.Month()), at.Day()).Unix() {
				t.Errorf("ParseDue(%q) = %s, not %s", at.Format(layout), FormatDue(due), at.Format("2006-01-02"))
			}
		}
	}
	if doubtful > 4*2*12*4 {
		t.Errorf("%d were refused", doubtful)
	}
}

func FuzzDue(f *testing.F) {
	for _, seed := range []string{"2026-12-31", "12월 10일", "+7d", "46387", "2026-12-31 오후 6:00", "31.12.2026", "2026-12-31T23:59:59+09:00",
		"26.12.31", "31-12월-26", "Dec 31, 2026", "46387.75", "20261231235959", "2026-12-31 (목) 24:00", "2026-12-31 00:00:00.0 +09"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		due, relative, code := ParseDue(text, now, 0, "")
		if code != "" && (due != 0 || relative) {
			t.Fatalf("ParseDue(%q) = %d %t %s", text, due, relative, code)
		}
		if again, _, code := ParseDue(time.Unix(due, 0).In(KST).Format(time.RFC3339), now, 0, ""); due > 0 && (again != due || code != "") {
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
		"2026-11-01 09:00": "", "2026-11-01T00:00:00+09:00": "", "0206-11-01": "", "46387.5": "", "20261101000000": "", "26.11.01": "", "2026-11-01(일)": "2026-11-01T00:00:00+09:00",
	} {
		got, err := ParseDay(text)
		if (err == nil) != (want != "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %q", text, got, err, want)
		}
	}
}
