package input

import (
	"regexp"
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
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c < utf8.RuneSelf:
			i++
			continue
		case c == 0xEB || c == 0xEC: // U+B000 to U+CFFF, all of them syllables
			i += 3
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if (r < '가' || r > '힣') && (r < '一' || r > '\u9fff') {
			return false
		}
		i += n
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

// lost is the character that a conversion writes for one that it could not read.
const lost = "\uFFFD"

// placeholders are the words that programs and people write where they have nothing, folded as plain does.
var placeholders = func() map[string]bool {
	words := make(map[string]bool)
	for _, word := range strings.Split("null,(null),<null>,[null],na,n/a,n.a.,<na>,none,nil,<nil>,nan,nat,undefined,\\n,#n/a,#ref!,#value!,#div/0!,#name?,#num!,#null!,"+
		"#spill!,#calc!,#field!,#blocked!,#connect!,#unknown!,#busy!,#error!,#getting_data,#nv,없음,해당없음,해당 없음,미정,미지정", ",") {
		words[word] = true
	}
	return words
}()

const longestPlaceholder = len("해당 없음")

// placeholder reports a text that stands for none: a word such as NULL and 없음, an error of Excel, or signs without a
// letter or digit among them, such as - and ########.
func placeholder(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	if c := s[0] | ' '; c >= 'a' && c <= 'z' && c != 'n' && c != 'u' || s[0] >= 0xEA && s[0] <= 0xED && !strings.HasPrefix(s, "없") && !strings.HasPrefix(s, "해당") && !strings.HasPrefix(s, "미") {
		return false // a letter that none of the words begins with: nearly all there is
	}
	if len(s) <= longestPlaceholder && placeholders[plain(s)] {
		return true
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || r == utf8.RuneError })
}

// sheetError reports an error of a spreadsheet, such as #N/A, or ######## for what a column is too narrow to show.
func sheetError(s string) bool { return len(s) > 1 && s[0] == '#' && placeholder(s) }

// exponent reports a long number as Excel shows it, 2.02611E+15, or as databases do, 2.02611E15.
func exponent(s string) bool {
	if len(s) < 3 || !digits(s[:1]) || !strings.Contains(".,eE", s[1:2]) {
		return false // nearly all there is
	}
	at := strings.IndexAny(s, "eE")
	if at < 0 {
		return false
	}
	power, signed := strings.CutPrefix(s[at+1:], "+")
	return digits(power) && (at == 1 && signed || at > 1 && digits(s[2:at]))
}

// withFraction reports a whole number that a program has read as a quantity: 20261101.0.
func withFraction(s string) bool {
	whole, fraction, pointed := strings.Cut(s, ".")
	return pointed && digits(whole) && digits(fraction) && strings.Trim(fraction, "0") == ""
}

// digitsLost reports a number that may have had more than the fifteen digits Excel keeps: it puts zeros for the rest.
func digitsLost(s string) bool {
	return len(s) > 15 && digits(s) && strings.Trim(s[15:], "0") == ""
}

// excelDay is how Excel shows an order number that it has taken for a day: 12-3 becomes 12월 03일 or 03-Dec.
var excelDay = regexp.MustCompile(`^(0?[1-9]|1[0-2])월 ?\d{2}일$|^\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)$|^(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{2}$`)

// sheetDay is how a cell of a workbook that holds a day or a time is read.
var sheetDay = regexp.MustCompile(`^\d{4}-\d\d-\d\d([ T][\d:.Z]+)?$|^\d\d:\d\d:\d\d$`)

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
	if withFraction(s) { // 1012345678.0
		s, _, _ = strings.Cut(s, ".")
	}
	bare := hyphens.Replace(s)
	if (len(bare) == 9 || len(bare) == 10) && digits(bare) {
		return "0" + s, true
	}
	return s, false
}

// phoneFirst is a whole phone number, and what may stand between it and a note or another number.
var phoneFirst = regexp.MustCompile(`^(\(?0\d{1,3}\)?[-. ]?\d{3,4}[-. ]?\d{4}|1\d{3}[-. ]?\d{4})[^-.\d]`)

// firstPhone returns the number at the front of a text that is longer than the API takes, since it goes on with a note or
// another number, or "".
func firstPhone(s string) string {
	if utf8.RuneCountInString(s) <= mostPhone {
		return ""
	}
	if m := phoneFirst.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}
