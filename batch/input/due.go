package input

import (
	"math"
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

// ParseDue reads a due date as UNIX seconds. A day alone means its last second in KST, and so does its midnight, by which
// databases and .NET write a day alone. +7d is the end of the seventh day after now, and relative then. A day without a
// year is refused unless a year is given, not 0, and one whose order is not sure unless it is given: mdy, dmy or ymd.
func ParseDue(text string, now time.Time, year int, order string) (due int64, relative bool, code Code) {
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
	case isNumber(s):
		t, ok = numericDay(s)
	case len(s) > 16 && s[4] == '-' && (s[10] == 't' || s[10] == ' ') && strings.ContainsAny(s[16:], "z+-"):
		t, ok = instant(s)
	default:
		t, code = day(s, now, year, order)
		ok = code == ""
	}
	if t = t.In(KST); ok && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 {
		t = endOfDay(t.Year(), int(t.Month()), t.Day())
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
	due, relative, code := ParseDue(text, time.Time{}, 0, "")
	if code != "" || relative || strings.Contains(s, ":") || isNumber(s) && len(s) != len("20261231") {
		return time.Time{}, say.Errorf("%q is not a day; write it as 2026-12-31", text)
	}
	t := time.Unix(due, 0).In(KST)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, KST), nil
}

func endOfDay(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 23, 59, 59, 0, KST)
}

// isNumber reports digits with nothing but a fraction behind them.
func isNumber(s string) bool {
	whole, fraction, pointed := strings.Cut(s, ".")
	return digits(whole) && (!pointed || len(whole) > 4 && digits(fraction))
}

// numericDay reads 20261231, with a time of day right behind it or not, an Excel serial (46387, or 46387.75 with its time
// of day) or UNIX seconds.
func numericDay(s string) (t time.Time, ok bool) {
	s, fraction, _ := strings.Cut(s, ".")
	if len(s) != 5 && strings.Trim(fraction, "0") != "" {
		return t, false
	}
	n, _ := strconv.ParseInt(s[:min(len(s), 10)], 10, 64)
	switch len(s) {
	case 5:
		part, err := strconv.ParseFloat("0."+fraction+"0", 64)
		second := int(math.Round(part * 86400))
		t = time.Date(1899, 12, 30+int(n), 0, 0, second, 0, KST)
		if second == 86400 { // the last instant of a day, rounded
			t = t.Add(-time.Second)
		}
		return t, err == nil
	case 8:
		t = endOfDay(int(n/10000), int(n/100%100), int(n%100))
		return t, t.Format("20060102") == s
	case 10:
		return time.Unix(n, 0), s[0] == '1' // until 2033: 2026123118 is a day and an hour
	case 12, 14:
		if t, ok = numericDay(s[:8]); !ok {
			return t, false
		}
		clock := s[8:10] + ":" + s[10:12]
		if len(s) == 14 {
			clock += ":" + s[12:]
		}
		hour, minute, second, ok := timeOfDay(clock)
		return time.Date(t.Year(), t.Month(), t.Day(), hour, minute, second, 0, KST), ok
	}
	return t, false
}

// instant reads a day and a time with a zone, as programs and databases write them.
func instant(s string) (time.Time, bool) {
	s = strings.ToUpper(s[:10] + "t" + strings.ReplaceAll(s[11:], " ", ""))
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Truncate(time.Second), true
		}
	}
	return time.Time{}, false
}

// day reads a date in three numbers or with the name of its month, or month and day if the year is given; then the day
// of the week and a time of day if they follow.
func day(s string, now time.Time, year int, order string) (t time.Time, code Code) {
	y, m, d, rest, code := numbers(s, now, year, order)
	if code == DateInvalid {
		y, m, d, rest, code = monthNamed(s, now, order)
	}
	if code != "" {
		return t, code
	}
	rest, weekday := dayOfWeek(rest)
	hour, minute, second := 23, 59, 59
	if clock := strings.TrimLeft(rest, " "); clock != "" {
		if clock == rest { // nothing between day and time but perhaps a T
			var iso bool
			if clock, iso = strings.CutPrefix(rest, "t"); !iso {
				return t, DateInvalid
			}
		}
		var ok bool
		if hour, minute, second, ok = timeOfDay(clock); !ok {
			return t, DateInvalid
		}
	}
	if !isDay(y, m, d) {
		return t, DateInvalid
	}
	t = time.Date(y, time.Month(m), d, hour, minute, second, 0, KST)
	if weekday >= 0 && weekday != t.Weekday() {
		return t, DateWeekday
	}
	return t, ""
}

// isDay reports a day of the calendar.
func isDay(y, m, d int) bool {
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, KST)
	return t.Month() == time.Month(m) && t.Day() == d
}

// numbers reads 2026-12-31 and its like: the year first or last, of four digits or two, or none.
func numbers(s string, now time.Time, year int, order string) (y, m, d int, rest string, code Code) {
	first, rest := leading(s)
	if len(first) == 8 && strings.HasPrefix(rest, " ") { // 20261231 18:00
		return atoi(first[:4]), atoi(first[4:6]), atoi(first[6:]), rest, ""
	}
	separator, rest := separate(rest)
	second, rest := leading(rest)
	next, rest := separate(rest)
	third, rest := leading(rest)
	short := len(first) <= 2 && len(second) <= 2 && first != "" && second != "" && third == "" && separator != "" && separator != "년"
	switch {
	case short && (next == "" && separator != "일" || separator == "월" && next == "일"):
		if year == 0 {
			return 0, 0, 0, "", DateNoYear
		}
		if next == "일" && rest != "" {
			rest = " " + rest // separate has taken the space
		}
		if order == DayFirst && separator != "월" {
			first, second = second, first
		}
		return year, atoi(first), atoi(second), rest, ""
	case third == "", separator == "", separator == "월", separator == "년" && next != "월", separator != "년" && next != separator:
		return 0, 0, 0, "", DateInvalid
	case separator == "년":
		rest = strings.TrimPrefix(strings.TrimLeft(rest, " "), "일")
	case separator == ".":
		rest = strings.TrimPrefix(rest, ".")
	}
	a, b, c := atoi(first), atoi(second), atoi(third)
	switch {
	case len(second) > 2:
		return 0, 0, 0, "", DateInvalid
	case len(first) == 4 && len(third) <= 2:
		return a, b, c, rest, ""
	case len(first) == 2 && len(third) <= 2 && separator == "년":
		return 2000 + a, b, c, rest, ""
	case len(first) <= 2 && len(third) == 4 && separator == "." && order != MonthFirst:
		return c, b, a, rest, "" // nobody writes the month first with dots
	case len(first) > 2 || len(third) != 4 && len(third) > 2:
		return 0, 0, 0, "", DateInvalid
	}
	y, m, d, code = ordered(a, b, c, len(first) == 2, len(third), now, order)
	return y, m, d, rest, code
}

// ordered puts three numbers in order that may be a day in more than one way: the last has so many digits, and the first
// may be a year of two digits. Without an order only the year of two digits first is taken, as Korean programs write it,
// where no other order makes a day of these years of it.
func ordered(a, b, c int, yearFirst bool, digits int, now time.Time, order string) (y, m, d int, code Code) {
	last := c
	if digits == 2 {
		last += 2000
	}
	switch {
	case order == MonthFirst && digits > 1:
		return last, a, b, ""
	case order == DayFirst && digits > 1:
		return last, b, a, ""
	case order == YearFirst && digits < 4 && yearFirst:
		return 2000 + a, b, c, ""
	}
	asYearFirst := digits < 4 && yearFirst && isDay(2000+a, b, c)
	monthFirst, dayFirst := digits > 1 && isDay(last, a, b), digits > 1 && isDay(last, b, a)
	switch {
	case !asYearFirst && !monthFirst && !dayFirst:
		return 0, 0, 0, DateInvalid
	case asYearFirst && a == c && !monthFirst: // 26.12.26 is one day from either end
		return 2000 + a, b, c, ""
	case asYearFirst && near(2000+a, now.Year()-1) && !((monthFirst || dayFirst) && near(last, now.Year())):
		return 2000 + a, b, c, ""
	}
	return 0, 0, 0, DateAmbiguous
}

// near reports a year that a due date may well be in, not before the first.
func near(year, first int) bool { return year >= first && year <= first+4 }

var months = func() map[string]int {
	m := make(map[string]int)
	for month := time.January; month <= time.December; month++ {
		name := strings.ToLower(month.String())
		m[name], m[name[:3]], m[strconv.Itoa(int(month))+"월"] = int(month), int(month), int(month)
	}
	for month := 1; month <= 9; month++ {
		m["0"+strconv.Itoa(month)+"월"] = month
	}
	return m
}()

// monthNamed reads a date with the name of its month: 31-Dec-26 and 31-12월-26 as Oracle writes them, Dec 31, 2026. A year of
// two digits is the last number, since no program puts it first there.
func monthNamed(s string, now time.Time, order string) (y, m, d int, rest string, code Code) {
	const between = " -/.,"
	var tokens [3]string
	rest = s
	for i := range tokens {
		if i > 0 {
			rest = strings.TrimLeft(rest, between)
		}
		end := strings.IndexAny(rest, between)
		if end < 0 {
			end = len(rest)
		}
		tokens[i], rest = rest[:end], rest[end:]
	}
	at := 1
	if months[tokens[0]] > 0 { // Dec 31, 2026
		at = 0
	}
	m = months[tokens[at]]
	first, last := tokens[1-at], tokens[2]
	switch {
	case m == 0 || !digits(first) || !digits(last):
		return 0, 0, 0, "", DateInvalid
	case at == 1 && len(first) == 4 && len(last) <= 2:
		first, last = last, first
	}
	y, d = atoi(last), atoi(first)
	switch {
	case len(first) > 2 || len(last) != 2 && len(last) != 4:
		return 0, 0, 0, "", DateInvalid
	case len(last) == 4:
		return y, m, d, rest, ""
	case order != DayFirst && order != MonthFirst && !near(2000+y, now.Year()-1):
		return 0, 0, 0, "", DateAmbiguous
	}
	return 2000 + y, m, d, rest, ""
}

var weekdays = func() map[string]time.Weekday {
	names := make(map[string]time.Weekday)
	for day, name := range strings.Split("일월화수목금토", "") {
		english := strings.ToLower(time.Weekday(day).String())
		for _, name := range []string{name, name + "요일", english, english[:3]} {
			names[name] = time.Weekday(day)
		}
	}
	return names
}()

// dayOfWeek takes the day of the week off the front, -1 without one: (목), 목, 목요일 or Thu. What is left begins with a
// space then.
func dayOfWeek(s string) (rest string, weekday time.Weekday) {
	name := strings.TrimLeft(s, " ")
	if inner, ok := strings.CutPrefix(name, "("); ok {
		var closed bool
		if name, rest, closed = strings.Cut(inner, ")"); !closed {
			return s, -1
		}
	} else {
		name, rest, _ = strings.Cut(name, " ")
	}
	if weekday, ok := weekdays[strings.TrimSpace(name)]; ok {
		return " " + rest, weekday
	}
	return s, -1
}

// timeOfDay reads 18:00, 18:00:30, 18:00:30.500, 오후 6:00 or 6:00 PM. 24:00 is the last second of its day.
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
	if whole, fraction, pointed := strings.Cut(parts[len(parts)-1], "."); pointed && len(parts) == 3 && digits(fraction) {
		parts[2] = whole
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
	if hour == 24 && minute == 0 && second == 0 {
		return 23, 59, 59, true
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
