package input

import (
	"regexp"
	"slices"
	"strings"
)

// totals are the words for a line that adds others up, and what such a line adds. A balance carried forward adds up
// nothing.
var totals = map[string]totalKind{"계": ofGroup, "소계": ofGroup, "일계": ofPeriod, "월계": ofPeriod, "합계": ofSome, "총합계": ofSome, "총계": ofSome, "누계": ofAll,
	"전기이월": carried, "전월이월": carried, "전일이월": carried, "차기이월": carried, "차월이월": carried}

type totalKind int

const (
	noTotal  totalKind = iota
	ofGroup            // the rows since some earlier total
	ofPeriod           // those since the same word, if it stood there before
	ofSome             // those since the same word, or since the beginning
	ofAll              // those since the beginning
	carried
)

// isTotal tells a line that adds others up by its first cell that is not empty: one of the words alone (합계, [ 월 계 ]), or
// behind what it adds up and a space (101동 소계, 2026/11/03 계). In a line without an order number any cell may be the
// word; a line with one, in the columns keys, is an order, unless the word stands there.
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
		if !strings.ContainsAny(cell, "계월\u1100\u110B") { // as every one of the words does, composed or not
			first = first && trim(cell) == ""
			continue
		}
		cell = clean(cell)
		word = fold(cell)
		if words := strings.Fields(cell); first && totals[word] == noTotal && len(words) > 1 {
			word = fold(words[len(words)-1])
		}
		if totals[word] == noTotal {
			first = false
			continue
		}
		if elsewhere := !slices.Contains(keys, i); keyed > 0 && keyed == len(keys) && (elsewhere || keyed > 1) {
			return "", noTotal
		}
		return word, totals[word]
	}
	return "", noTotal
}

// readsLikeTotal reports an order number, or a part of one, that has a word for a total in it. Such a row may be an
// order, or a line of totals in a form that isTotal does not know: nobody is asked to pay it.
func readsLikeTotal(s string) bool {
	if ascii(s) {
		return strings.ContainsAny(s, "tT") && totalWord.MatchString(s)
	}
	return totalWords.MatchString(strings.Join(strings.Fields(s), "")) || totals[fold(s)] != noTotal
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
	uid         string // of the row before, and its amount
	won         int64
	differences []Difference
}

// sum is of the amounts as they stand in the file, returns and rows that are filtered out included.
type sum struct {
	won    int64
	rows   int
	unread int // rows whose amount could not be read
}

type mark struct {
	word string
	sum
}

// addRow adds a row, unless it repeats the order and the amount of the row before, as items of one order do.
func (t *tally) addRow(uid string, won int64, read bool) {
	if repeated := uid != "" && uid == t.uid && won == t.won; repeated && read {
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

// total compares a line of totals with the rows above it. It says nothing of one that has no amount, or for which the
// amount of a row is not known.
func (t *tally) total(word string, kind totalKind, amount string) (says, adds int64, checked, agrees bool) {
	defer func() {
		if t.marks = append(t.marks, mark{word, t.now}); len(t.marks) > mostMarks {
			t.marks = slices.Delete(t.marks, 0, 1)
		}
	}()
	says, code := ParseAmount(amount)
	if code != "" && code != AmountZero && code != AmountNegative {
		return says, 0, false, false
	}
	if kind == carried {
		t.carried += says
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
		since := t.now.won - begin.won
		if !checked {
			adds, checked = since, true
		}
		if says == since || begin.rows == 0 && says == since+t.carried {
			return says, since, true, true
		}
	}
	return says, adds, checked, false
}
