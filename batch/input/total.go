package input

import (
	"slices"
	"strings"
)

// totals are the words for a line that adds others up, and whether such a line may add up only the last of several
// groups. A balance carried forward adds up nothing.
var totals = map[string]totalKind{"계": ofGroup, "소계": ofGroup, "일계": ofGroup, "월계": ofGroup, "합계": ofAll, "총합계": ofAll, "총계": ofAll, "누계": ofAll,
	"전기이월": carried, "전월이월": carried, "전일이월": carried, "차기이월": carried, "차월이월": carried}

type totalKind int

const (
	noTotal totalKind = iota
	ofGroup           // the rows since some earlier total
	ofAll             // those since the same word, or since the beginning
	carried
)

// isTotal tells a line that adds others up by its first cell that is not empty: one of the words alone (합계, [ 월 계 ]), or
// behind what it adds up and a space (101동 소계, 2026/11/03 계). In a line without an order number any cell may be the word.
func isTotal(cells []string, key int) (word string, kind totalKind) {
	first := true
	keyless := key >= 0 && (key >= len(cells) || trim(cells[key]) == "")
	for _, cell := range cells {
		if !first && !keyless {
			break
		}
		if !strings.ContainsAny(cell, "계월\u1100\u110B") { // as every one of the words does, composed or not
			first = first && trim(cell) == ""
			continue
		}
		cell = clean(cell)
		word = fold(cell)
		if i := strings.LastIndexByte(cell, ' '); first && totals[word] == noTotal && i >= 0 {
			word = cell[i+1:]
		}
		if totals[word] != noTotal {
			return word, totals[word]
		}
		first = false
	}
	return "", noTotal
}

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
	from := []sum{{}}
	for _, m := range t.marks {
		if m.rows < t.now.rows && (kind == ofGroup || m.word == word) {
			from = append(from, m.sum)
		}
	}
	if kind == ofAll && len(from) > 2 {
		from = []sum{{}, from[len(from)-1]}
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
