package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
)

// What Facts keeps at most, however many rows there are.
const (
	mostAccounts = 1000
	mostNames    = 100 // of banks and of PGs; what comes after them is added up under otherName
	mostReasons  = 100
	mostLines    = 20  // of each reason
	mostText     = 200 // characters of a cell or a message
)

const otherName = "other"

// Facts are what a run's results come to: what the summary, the metrics and the page are written from. They are gathered
// as the results are written, in memory that does not grow with the rows. The zero value is a run without rows.
type Facts struct {
	Summary
	won      map[batch.Status]int64
	banks    map[string]*named
	pgs      map[string]*named
	reasons  map[string]*reason
	accounts []told // the first of those issued
}

// Sum adds up rows.
type Sum struct {
	Rows int64 `json:"rows"`
	Won  int64 `json:"won"` // of the results' column amount, which is empty where the row says none
}

func (s *Sum) add(won int64) {
	s.Rows++
	s.Won = min(s.Won, math.MaxInt64-max(won, 0)) + won // a sum that does not wrap around
}

// named is a bank or a PG and what was issued there.
type named struct {
	code, name string
	Sum
}

// reason is an error code, and the first of the rows that have it.
type reason struct {
	code    string
	rows    int64
	unknown bool // one of them is
	first   []told
}

// Add counts a row and what became of it. Both may be reused afterwards.
func (f *Facts) Add(row *input.Row, result *batch.Result) {
	f.Summary.Add(result)
	if f.won == nil {
		f.won, f.reasons = make(map[batch.Status]int64), make(map[string]*reason)
		f.banks, f.pgs = make(map[string]*named), make(map[string]*named)
	}
	f.won[result.Status] = min(f.won[result.Status], math.MaxInt64-max(result.Amount, 0)) + result.Amount
	if result.Status == batch.Issued {
		pg, _, _ := strings.Cut(row.PG, ".")
		tally(f.banks, result.VbankCode, result.VbankName).add(result.Amount)
		tally(f.pgs, cmp.Or(result.PGProvider, pg), "").add(result.Amount)
		if len(f.accounts) < mostAccounts {
			f.accounts = append(f.accounts, toldOf(result))
		}
	}
	if result.Status == batch.Skipped {
		return
	}
	for code := range strings.SplitSeq(result.ErrorCode, ";") {
		if code != "" {
			f.because(code, result)
		}
	}
}

func (f *Facts) because(code string, result *batch.Result) {
	r := f.reasons[code]
	if r == nil {
		if len(f.reasons) == mostReasons {
			return // there are fewer codes than that
		}
		r = &reason{code: strings.Clone(code)}
		f.reasons[r.code] = r
	}
	r.rows++
	r.unknown = r.unknown || result.Status == batch.Unknown
	if len(r.first) < mostLines {
		r.first = append(r.first, toldOf(result))
	}
}

// tally returns the entry of a code, or the one for all others where there are too many.
func tally(all map[string]*named, code, name string) *named {
	if n := all[code]; n != nil {
		return n
	}
	if len(all) >= mostNames {
		code, name = otherName, ""
		if n := all[code]; n != nil {
			return n
		}
	}
	n := &named{code: clip(code), name: clip(name)}
	all[strings.Clone(code)] = n
	return n
}

// told is what the page tells of a row.
type told struct {
	Line        int64
	Status      batch.Status
	MerchantUID string
	Amount      int64 // won
	Message     string
	Bank        string
	Num         string // of the account
	Holder      string
	Due         int64 // UNIX seconds
}

func toldOf(r *batch.Result) told {
	return told{Line: r.Line, Status: strings.Clone(r.Status), MerchantUID: clip(r.MerchantUID), Amount: r.Amount, Message: clip(r.ErrorMessage),
		Bank: clip(cmp.Or(r.VbankName, r.VbankCode)), Num: clip(r.VbankNum), Holder: clip(r.VbankHolder), Due: r.VbankDue}
}

// clip shortens a text from outside to what a page has room for, in a string of its own, and makes what cannot be seen
// in it visible: a character that turns the direction of writing could show other digits than there are.
func clip(text string) string {
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

// inOrder lists banks or PGs, the most won first.
func inOrder(all map[string]*named) []*named {
	return slices.SortedFunc(maps.Values(all), func(a, b *named) int {
		return cmp.Or(cmp.Compare(b.Won, a.Won), cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.code, b.code))
	})
}

// byGravity lists the reasons, those of rows in doubt first, then the commonest.
func (f *Facts) byGravity() []*reason {
	return slices.SortedFunc(maps.Values(f.reasons), func(a, b *reason) int {
		if a.unknown != b.unknown {
			return map[bool]int{true: -1, false: 1}[a.unknown]
		}
		return cmp.Or(cmp.Compare(b.rows, a.rows), cmp.Compare(a.code, b.code))
	})
}
