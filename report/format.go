package report

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"vbankbatch/batch/input"
)

// Bytes writes a size: 64 MiB.
func Bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Thousands writes 1234567 as 1,234,567.
func Thousands(n int64) string {
	return humanize.Comma(n)
}

// Clock writes a time for people, in Korea, "" for none.
func Clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(input.KST).Format(time.DateTime)
}

// Stamp writes a time for programs, "" for none.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(input.KST).Format(time.RFC3339)
}

// moment is stamp for UNIX seconds, "" for 0.
func moment(unix int64) string {
	if unix == 0 {
		return ""
	}
	return Stamp(time.Unix(unix, 0))
}

// Mask hides an account number but for its last four characters, and a short one whole.
func Mask(number string) string {
	all := []rune(number)
	hidden := len(all)
	if hidden >= 8 {
		hidden -= 4
	}
	return strings.Repeat("*", hidden) + string(all[hidden:])
}

// MaskName leaves the first character of a name.
func MaskName(name string) string {
	for _, first := range name {
		return string(first) + "**"
	}
	return ""
}

// Clip shortens a text from outside to what a page has room for, in a string of its own, and makes what cannot be seen
// in it visible: a character that turns the direction of writing could show other digits than there are.
func Clip(text string) string {
	n := 0
	return strings.Clone(strings.Map(func(r rune) rune {
		n++
		switch {
		case n > mostText:
			return -1
		case n == mostText:
			return '…'
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, text))
}
