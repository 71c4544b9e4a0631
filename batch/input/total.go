package input

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// totals are the words for a line that adds others up, as label makes them, and what such a line adds.
var totals = map[string]totalKind{
	"계": ofGroup, "소계": ofGroup, "중계": ofGroup, "부분합": ofGroup, "부분합계": ofGroup, "subtotal": ofGroup, "小計": ofGroup, "小计": ofGroup,
	"일계": ofPeriod, "주계": ofPeriod, "월계": ofPeriod, "금월계": ofPeriod, "당월계": ofPeriod, "금일계": ofPeriod, "당일계": ofPeriod, "dailytotal": ofPeriod, "monthlytotal": ofPeriod,
	"합계": ofSome, "총합계": ofSome, "총계": ofSome, "총합": ofSome, "합산": ofSome, "전체": ofSome, "전체합계": ofSome, "전체계": ofSome, "총": ofSome, "총액": ofSome,
	"합계금액": ofSome, "합계액": ofSome, "총금액": ofSome, "총합계금액": ofSome, "청구계": ofSome, "청구합계": ofSome,
	"sum": ofSome, "total": ofSome, "totals": ofSome, "grandtotal": ofSome, "totalamount": ofSome, "reporttotal": ofSome, "합계total": ofSome, "合計": ofSome, "総計": ofSome, "總計": ofSome, "合计": ofSome, "总计": ofSome,
	"누계": ofAll, "누적": ofAll, "누적합계": ofAll, "누적계": ofAll, "runningtotal": ofAll,
	"이월": carried, "전월계": carried, "전일계": carried, "전기이월": carried, "전월이월": carried, "전일이월": carried, "전년이월": carried, "차기이월": carried, "차월이월": carried, "이월금액": carried, "이월금": carried, "이월잔액": carried,
	"평균": ofOther, "평균금액": ofOther, "average": ofOther, "avg": ofOther, "요약": ofOther, "수납계": ofOther, "미납계": ofOther, "건수": ofOther, "총건수": ofOther, "count": ofOther, "totalcount": ofOther,
}

// strong are those of the words that are hardly ever a name: 월계 is a part of Seoul, and 계 a club.
var strong = map[string]bool{"소계": true, "합계": true, "총합계": true, "총계": true, "합산": true, "부분합": true, "전체합계": true, "누계": true, "금월계": true, "당월계": true, "전월계": true, "합계금액": true,
	"subtotal": true, "sum": true, "total": true, "totals": true, "grandtotal": true, "合計": true, "小計": true, "総計": true}

type totalKind int

const (
	noTotal  totalKind = iota
	ofGroup            // the rows since some earlier total
	ofPeriod           // those since the same word, if it stood there before
	ofSome             // those since the same word, or since the beginning
	ofAll              // those since the beginning
	carried            // nothing: it is what stood there before, to which the rows are added
	ofOther            // something else, such as an average
)

// label finds the word for a total in the cell that names a line: the word alone (합계, [ 월 계 ]), or behind what it adds up and
// a space (101동 소계, 2026/11/03 계), with a number of rows or without (합계(2건), Total: 2).
func label(cell string) (word string, kind totalKind) {
	if !mayTotal(cell) {
		return "", noTotal
	}
	text := strings.ToLower(norm.NFKC.String(clean(cell)))
	counted := counts.ReplaceAllString(text, " ")
	if word = letters(counted); totals[word] != noTotal && (word != "총" || counted != text) {
		return word, totals[word]
	}
	if words := strings.FieldsFunc(counted, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("[]()<>:", r) }); len(words) > 1 {
		if word = letters(words[len(words)-1]); word != "총" && totals[word] != noTotal {
			return word, totals[word]
		}
	}
	return "", noTotal
}

var (
	counts    = regexp.MustCompile(`[\d,]+\s*(건|명|세대|가구|개|ea|items?|rows?|orders?|records?)($|[^\pL])|[\s:(\[][\d,]+[\s)\]]*$`)
	count     = regexp.MustCompile(`^총?\d+(건|명|세대|가구|호|대|개|ea|items?|rows?|orders?|records?)$`) // of a folded cell
	mayBeFlat = map[string]bool{"호": true, "대": true}
)

// letters drops what stands around and between the letters of a word. A sign within it, as in SUM-1, stays: that is an
// order's number.
func letters(s string) string {
	s = strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("[]()<>", r) }), "")
}

// mayTotal is a quick look that nearly all cells fail: whether there may be a word for a total in the cell.
func mayTotal(cell string) bool {
	if !ascii(cell) && strings.ContainsAny(cell, "계합총누평월체약적액건合小総總总Ｔｔ\u1100\u110B\u1112\u110E\u1102\u1111") {
		return true
	}
	for i := range len(cell) {
		switch rest := cell[i:]; cell[i] | ' ' {
		case 't':
			if len(rest) > 4 && strings.EqualFold(rest[:5], "total") || len(rest) > 1 && rest[1] == ' ' {
				return true
			}
		case 's':
			if len(rest) > 2 && strings.EqualFold(rest[:3], "sum") {
				return true
			}
		case 'a':
			if len(rest) > 2 && (strings.EqualFold(rest[:2], "av")) {
				return true
			}
		case 'c':
			if len(rest) > 4 && strings.EqualFold(rest[:5], "count") {
				return true
			}
		}
	}
	return false
}

// mayCount is a quick look whether an order number may be a number of rows: 2건, 3 items.
func mayCount(cell string) bool {
	if cell = trim(cell); cell == "" || digits(cell[len(cell)-1:]) {
		return false
	}
	return count.MatchString(fold(cell))
}

// isTotal tells a line that adds others up by its first cell that is not empty. In a line without an order number any cell
// may be the word; a line with one, in the columns keys, may be an order, unless the word stands there.
func isTotal(cells []string, keys []int) (word string, kind totalKind) {
	keyed := 0 // columns of the order number that are filled
	for _, key := range keys {
		if key < len(cells) && trim(cells[key]) != "" {
			keyed++
		}
	}
	keyless := len(keys) > 0 && keyed == 0
	first := true
	for i, cell := range cells {
		if !first && !keyless {
			break
		}
		if trim(cell) == "" {
			continue
		}
		if word, kind = label(cell); kind == noTotal || !first && word != fold(cell) && word != letters(strings.ToLower(cell)) {
			first = false
			continue
		}
		if elsewhere := !slices.Contains(keys, i); keyed > 0 && keyed == len(keys) && (elsewhere || keyed > 1) {
			return "", noTotal
		}
		return word, kind
	}
	return "", noTotal
}

// readsLikeTotal reports an order number, or a part of one, that has a word for a total in it. Such a row may be an
// order, or a line of totals in a form that isTotal does not know: nobody is asked to pay it.
func readsLikeTotal(s string) bool {
	if ascii(s) {
		return strings.ContainsAny(s, "tT") && totalWord.MatchString(s)
	}
	if !mayTotal(s) {
		return false
	}
	_, kind := label(s)
	return kind != noTotal || totalWords.MatchString(strings.Join(strings.Fields(s), ""))
}

// The words stand alone, or at the end of a word: 합계빌라 and TotalCare are names.
var (
	totalWord  = regexp.MustCompile(`(?i)(^|[^a-z])(sub|grand)?[ -]?total([^a-z]|$)`)
	totalWords = regexp.MustCompile(`(소계|합계|총계|누계|현계|총액|평균|이월|누적)(금액|액)?($|[^\p{Hangul}])|^총\d+건$`)
)

// A Difference is a line of totals that does not agree with the rows.
type Difference struct {
	Line   int // physical, from 1
	Column int // from 1
	Header string
	Says   int64 // won
	Adds   int64 // what the rows above it come to, won
}

const (
	mostMarks       = 100 // totals that a later one may begin at
	mostDifferences = 100 // that are told one by one
)

// tally adds the rows up as they pass, to compare the sums with the lines of totals.
type tally struct {
	now         sum
	marks       []mark // the last totals
	carried     int64  // won
	open        bool   // something was carried forward that does not stand in the amount's column
	each        bool   // lines of one order have their own amounts
	uid         string // of the row before, and its amount
	won         int64
	differences []Difference
}

// sum is of the amounts as they stand in the file, returns and rows that are filtered out included.
type sum struct {
	won      int64
	rows     int
	unread   int   // rows whose amount could not be read
	filtered int   // rows that are filtered out,
	out      int64 // and what they come to
}

type mark struct {
	word string
	sum
}

// addRow adds a row, unless it repeats the order and the amount of the row before, as items of one order do that have no
// amounts of their own.
func (t *tally) addRow(uid string, won int64, read bool) {
	if repeated := !t.each && uid != "" && uid == t.uid && won == t.won; repeated && read {
		won = 0
	} else {
		t.uid, t.won = uid, won
	}
	t.add(won, read)
}

func (t *tally) add(won int64, read bool) {
	t.now.rows++
	if t.now.won += won; !read {
		t.now.unread++
	}
}

// drop takes back the amount of the row that was added last.
func (t *tally) drop(before *tally) {
	rows := t.now.rows
	*t = *before
	t.now.rows, t.now.unread = rows, t.now.unread+1
}

// total compares a line of totals with the rows above it. It says nothing of one that has no amount, or for which the
// amount of a row is not known.
func (t *tally) total(word string, kind totalKind, amount string) (says, adds int64, checked, agrees bool) {
	defer func() {
		if t.marks = append(t.marks, mark{word, t.now}); len(t.marks) > mostMarks {
			t.marks = slices.Delete(t.marks, 0, 1)
		}
	}()
	says, code := ParseAmount(amount)
	t.open = t.open || kind == carried && code == AmountMissing
	if code != "" && code != AmountZero && code != AmountNegative {
		return says, 0, false, false
	}
	if kind == carried || kind == ofOther {
		if kind == carried {
			t.carried += says
		}
		return says, 0, false, false
	}
	if t.now.rows == 0 { // it stands above what it adds up
		return says, 0, false, false
	}
	from := []sum{{}}
	for _, m := range t.marks {
		if m.rows < t.now.rows && (kind == ofGroup || kind != ofAll && m.word == word) {
			from = append(from, m.sum)
		}
	}
	switch last := from[len(from)-1]; {
	case kind == ofPeriod:
		from = []sum{last}
	case kind == ofSome && len(from) > 2:
		from = []sum{{}, last}
	}
	for _, begin := range slices.Backward(from) {
		if t.now.unread > begin.unread {
			continue
		}
		since, out := t.now.won-begin.won, t.now.out-begin.out
		if !checked && t.now.filtered == begin.filtered { // else the total may leave out those rows, or others like them
			adds, checked = since, true
		}
		if says == since || says == since-out || begin.rows == 0 && says == since+t.carried {
			return says, says, true, true
		}
	}
	return says, adds, checked && !(t.open && kind == ofAll), false
}

// sumsUp reports an amount that two rows or more come to, those since the last total or all.
func (t *tally) sumsUp(won int64) bool {
	last := sum{}
	if len(t.marks) > 0 {
		last = t.marks[len(t.marks)-1].sum
	}
	return won > 0 && (t.now.rows-last.rows > 1 && won == t.now.won-last.won || t.now.rows > 1 && won == t.now.won)
}

// compare holds a line of totals to the rows above it.
func (r *Reader) compare(raw *raw, found look) {
	r.stats.Totals++
	if r.amountAt < 0 {
		return
	}
	m := r.mapped[find(r.mapped, "amount")]
	says, adds, checked, agrees := r.tally.total(found.word, found.total, clean(raw.cells[m.Column-1]))
	switch {
	case agrees:
		r.stats.Agree++
	case checked:
		if r.stats.Differ++; r.stats.Differ <= mostDifferences {
			r.tally.differences = append(r.tally.differences, Difference{raw.line, m.Column, m.Header, says, adds})
		}
	}
}
