package input

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// clean is a cell as it was meant: without the spaces around it, without Excel's ways to keep text text (="004" and
// a leading '), and with its Hangul composed. Cleaning it again changes nothing, so that what was read and written is
// read as the same.
func clean(s string) string {
	for s = trim(s); s != "" && (s[0] == '=' || s[0] == '\''); s = trim(s) {
		inner, ok := strings.CutPrefix(s, "'")
		if quoted, isText := strings.CutPrefix(s, `="`); isText && strings.HasSuffix(quoted, `"`) {
			inner, ok = strings.ReplaceAll(quoted[:len(quoted)-1], `""`, `"`), true
		}
		if !ok {
			break
		}
		s = inner
	}
	if composed(s) {
		return s
	}
	return norm.NFC.String(s)
}

// Clean returns a cell as it was meant, the text that a pass reads: without the spaces around it, without ="…" or a
// leading ', and with its Hangul composed.
func Clean(cell string) string { return clean(cell) }

// composed is a quick look that most text passes: nothing in it but ASCII, whole syllables and CJK signs, which
// composition leaves alone.
func composed(s string) bool {
	for _, r := range s {
		if r >= utf8.RuneSelf && (r < '가' || r > '힣') && (r < '一' || r > '\u9fff') {
			return false
		}
	}
	return true
}

// plain is a number or date ready to be parsed: full-width digits and signs folded, lower case. Other compatibility
// forms stay what they are, and no digits: ① is a note, not a one.
func plain(s string) string {
	s = trim(s)
	if !ascii(s) {
		s = trim(width.Fold.String(s))
	}
	return strings.ToLower(s)
}

// trim drops spaces of every width, including those that show as nothing.
func trim(s string) string {
	if s == "" {
		return s
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	if !space(first) && !space(last) {
		return s
	}
	return strings.TrimFunc(s, space)
}

func space(r rune) bool {
	if r > ' ' && r < utf8.RuneSelf-1 || r >= '가' && r <= '힣' {
		return false // nearly all there is
	}
	return unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b'
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// control reports a line break or another control character, those of ISO 8859 included.
func control(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 {
			return true
		}
	}
	return false
}

// unseen reports a character that shows as nothing, such as a zero-width space or a change of direction.
func unseen(s string) bool {
	return !ascii(s) && strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Cf, r) })
}

// told is a text of the file as it may stand in a message: short, on one line, without what would steer a terminal.
func told(s string) string {
	return shorten(oneLine(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)))
}

// oneLine puts a space in place of each line break or other control character, and of the spaces around it.
func oneLine(s string) string {
	if !control(s) {
		return s
	}
	parts := strings.FieldsFunc(s, unicode.IsControl)
	for i, p := range parts {
		parts[i] = trim(p)
	}
	return strings.Join(parts, " ")
}

// exponent reports a long number as Excel shows it, 2.02611E+15.
func exponent(s string) bool {
	mantissa, power, ok := strings.Cut(s, "+")
	if !ok || len(mantissa) < 2 || mantissa[len(mantissa)-1]|' ' != 'e' {
		return false
	}
	whole, fraction, pointed := strings.Cut(strings.Replace(mantissa[:len(mantissa)-1], ",", ".", 1), ".")
	return digits(power) && len(whole) == 1 && digits(whole) && (!pointed || digits(fraction))
}

// digitsLost reports a number that may have had more than the fifteen digits Excel keeps: it puts zeros for the rest.
func digitsLost(s string) bool {
	return len(s) > 15 && digits(s) && strings.Trim(s[15:], "0") == ""
}

var hyphens = strings.NewReplacer("-", "", " ", "")

// phone puts a number into the form used within Korea: +82 10 becomes 010, and the zero that Excel takes away comes
// back. Numbers of eight digits, such as 1588-0000, have none.
func phone(s string) (number string, restored bool) {
	if rest, ok := strings.CutPrefix(s, "+82"); ok {
		rest = strings.TrimLeft(rest, " -.)")
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "(0)"), "0")
		return "0" + rest, false
	}
	if s == "" || s[0] < '1' || s[0] > '7' {
		return s, false
	}
	bare := hyphens.Replace(s)
	if (len(bare) == 9 || len(bare) == 10) && digits(bare) {
		return "0" + s, true
	}
	return s, false
}
