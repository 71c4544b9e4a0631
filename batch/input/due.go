package input

import (
	"strconv"
	"strings"
	"time"

	"vbankbatch/client/say"
)

// KST is the time of every date without a zone of its own. Korea has kept it without summer time since 1988.
var KST = time.FixedZone("KST", 9*60*60)

// The days that are believed: an Excel serial, UNIX time or year outside them is something else.
var (
	firstDay = time.Date(2020, 1, 1, 0, 0, 0, 0, KST)
	lastDay  = time.Date(2099, 12, 31, 23, 59, 59, 0, KST)
)

// farAway is how late a due date is believed that stands under a name such as 만료일, which may be the end of a contract.
const farAway = 366 * 24 * time.Hour

// ParseDue reads a due date as UNIX seconds. A day alone means its last second in KST. +7d is the end of the seventh
// day after now, and relative then. A day without a year is refused unless a year is given, not 0.
func ParseDue(text string, now time.Time, year int) (due int64, relative bool, code Code) {
	s := plain(text)
	var t time.Time
	var ok bool
	switch {
	case s == "":
		return 0, false, DueMissing
	case s[0] == '+':
		number, isDays := strings.CutSuffix(s[1:], "d")
		if n, err := strconv.Atoi(number); isDays && digits(number) && err == nil && n <= 3650 {
			now = now.In(KST)
			return endOfDay(now.Year(), int(now.Month()), now.Day()+n).Unix(), true, ""
		}
		return 0, false, DateInvalid
	case digits(s):
		t, ok = numericDay(s)
	case len(s) >= 20 && s[10] == 't':
		var err error
		t, err = time.Parse(time.RFC3339, strings.ToUpper(s))
		ok = err == nil
	default:
		t, code = day(s, year)
		ok = code == ""
	}
	if ok && (t.Before(firstDay) || t.After(lastDay)) {
		ok = false
	}
	if !ok && code == "" {
		code = DateInvalid
	}
	if !ok {
		return 0, false, code
	}
	return t.Unix(), false, ""
}

// ParseDay reads a day, in the forms in which people write due dates, as its first moment in KST. A time of day, and a
// number that only programs write, are refused.
func ParseDay(text string) (time.Time, error) {
	s := plain(text)
	due, relative, code := ParseDue(text, time.Time{}, 0)
	if code != "" || relative || strings.Contains(s, ":") || digits(s) && len(s) != len("20261231") {
		return time.Time{}, say.Errorf("%q is not a day; write it as 2026-12-31", text)
	}
	t := time.Unix(due, 0).In(KST)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, KST), nil
}

func endOfDay(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 23, 59, 59, 0, KST)
}

// numericDay reads 20261231, an Excel serial (46387) or UNIX seconds.
func numericDay(s string) (t time.Time, ok bool) {
	n, _ := strconv.ParseInt(s[:min(len(s), 10)], 10, 64)
	switch len(s) {
	case 5:
		return endOfDay(1899, 12, 30+int(n)), true
	case 8:
		t = endOfDay(int(n/10000), int(n/100%100), int(n%100))
		return t, t.Format("20060102") == s
	case 10:
		return time.Unix(n, 0), s[0] == '1' // until 2033: 2026123118 is a day and an hour
	}
	return t, false
}

// day reads three numbers with separators, year first or, with dots, last; or month and day if the year is given; and a
// time of day if one follows.
func day(s string, year int) (time.Time, Code) {
	first, rest := leading(s)
	separator, rest := separate(rest)
	second, rest := leading(rest)
	next, rest := separate(rest)
	third, rest := leading(rest)
	short := len(first) <= 2 && len(second) <= 2 && first != "" && second != "" && third == "" && separator != "" && separator != "년"
	switch {
	case short && (next == "" && separator != "일" || separator == "월" && next == "일"):
		if year == 0 {
			return time.Time{}, DateNoYear
		}
		first, second, third = strconv.Itoa(year), first, second
		if next == "일" && rest != "" {
			rest = " " + rest // separate has taken the space
		}
	case third == "", separator == "", separator == "월", separator == "년" && next != "월", separator != "년" && next != separator:
		return time.Time{}, DateInvalid
	case separator == "년":
		rest = strings.TrimPrefix(strings.TrimLeft(rest, " "), "일")
	case separator == ".":
		if len(third) == 4 {
			first, third = third, first
		}
		rest = strings.TrimPrefix(rest, ".")
	}
	if len(first) != 4 || len(second) > 2 || len(third) > 2 {
		return time.Time{}, DateInvalid
	}
	hour, minute, second60 := 23, 59, 59
	if clock := strings.TrimLeft(rest, " "); clock != "" {
		if clock == rest { // nothing between day and time but perhaps a T
			var iso bool
			if clock, iso = strings.CutPrefix(rest, "t"); !iso {
				return time.Time{}, DateInvalid
			}
		}
		var ok bool
		if hour, minute, second60, ok = timeOfDay(clock); !ok {
			return time.Time{}, DateInvalid
		}
	}
	y, m, d := atoi(first), atoi(second), atoi(third)
	t := time.Date(y, time.Month(m), d, hour, minute, second60, 0, KST)
	if t.Month() != time.Month(m) || t.Day() != d {
		return time.Time{}, DateInvalid
	}
	return t, ""
}

// timeOfDay reads 18:00, 18:00:30, 오후 6:00 or 6:00 PM.
func timeOfDay(s string) (hour, minute, second int, ok bool) {
	s, before := cut(s, strings.CutPrefix, "오전", "am")
	s, after := s, false
	if !before {
		s, after = cut(s, strings.CutPrefix, "오후", "pm")
	}
	if !before && !after {
		if s, before = cut(s, strings.CutSuffix, "am"); !before {
			s, after = cut(s, strings.CutSuffix, "pm")
		}
	}
	parts := strings.Split(strings.TrimSpace(s), ":")
	if len(parts) != 2 && len(parts) != 3 {
		return 0, 0, 0, false
	}
	for i, p := range parts {
		if !digits(p) || len(p) > 2 || i > 0 && len(p) != 2 {
			return 0, 0, 0, false
		}
	}
	hour, minute = atoi(parts[0]), atoi(parts[1])
	if len(parts) == 3 {
		second = atoi(parts[2])
	}
	if before || after {
		if hour > 12 {
			return 0, 0, 0, false
		}
		hour %= 12
	}
	if after {
		hour += 12
	}
	return hour, minute, second, hour < 24 && minute < 60 && second < 60
}

// leading splits the digits off the front.
func leading(s string) (number, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

// separate splits one separator off the front, and the spaces around it.
func separate(s string) (separator, rest string) {
	trimmed := strings.TrimLeft(s, " ")
	for _, sign := range []string{"-", "/", ".", "년", "월", "일"} {
		if rest, ok := strings.CutPrefix(trimmed, sign); ok {
			return sign, strings.TrimLeft(rest, " ")
		}
	}
	return "", s
}

// atoi is for digits that have been counted.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// FormatDue writes a due date for people, in Korea's time: 2026-12-31 23:59.
func FormatDue(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return time.Unix(unix, 0).In(KST).Format("2006-01-02 15:04")
}
