package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/say"
)

// What Facts keeps at most, however many rows there are.
const (
	mostAccounts = 1000
	mostNames    = 100 // of banks and of PGs; what comes after them is added up under OtherName
	mostReasons  = 100
	mostLines    = 20   // of each reason
	mostText     = 200  // characters of a cell or a message
	mostMessage  = 2000 // bytes of a message that is in no language yet
)

// OtherName is the code of all banks, or PGs, that there was no room for.
const OtherName = "other"

// Facts are what a run's results come to: what the summary, the metrics and the page are written from. They are gathered
// as the results are written, in memory that does not grow with the rows. The zero value is a run without rows.
type Facts struct {
	Rows     int64
	Statuses map[batch.Status]Sum
	Codes    map[string]int // rows by error code
	Told     int64          // rows whose customers are told of an account that can be paid into
	Accounts []Row          // the first of them
	banks    map[string]*Named
	pgs      map[string]*Named
	reasons  map[string]*CodeRows
}

// NotDone is the number of rows that were not done, without the unknown ones.
func (f *Facts) NotDone() (rows int64) {
	for _, status := range []batch.Status{batch.Invalid, batch.Rejected, batch.Conflict, batch.NotSent} {
		rows += f.Statuses[status].Rows
	}
	return rows
}

// Total adds up the rows of all statuses.
func (f *Facts) Total() Sum { return f.sum(batch.Statuses...) }

// Standing adds up the rows that have their account, issued in the run or before.
func (f *Facts) Standing() Sum { return f.sum(batch.Issued, batch.AlreadyIssued) }

func (f *Facts) sum(statuses ...batch.Status) (total Sum) {
	for _, status := range statuses {
		s := f.Statuses[status]
		total.Won = min(total.Won, math.MaxInt64-max(s.Won, 0)) + s.Won
		total.Rows += s.Rows
	}
	return total
}

// Sum adds up rows.
type Sum struct {
	Rows int64 `json:"rows"`
	Won  int64 `json:"won"` // of the results' column amount, which is empty where the row says none
}

// Add adds a row.
func (s *Sum) Add(won int64) {
	s.Rows++
	s.Won = min(s.Won, math.MaxInt64-max(won, 0)) + won // a sum that does not wrap around
}

// Named is a bank or a PG and what was issued there. What there are too many of has the code OtherName.
type Named struct {
	Code string `json:"code"` // of a bank KFTC's
	Name string `json:"name"`
	Sum
}

// In is the name for a reader.
func (n *Named) In(language say.Language) string {
	if n.Code == OtherName {
		return language.Text("Others")
	}
	return cmp.Or(strings.TrimSpace(n.Name+" "+n.Code), language.Text("Not told"))
}

// CodeRows is an error code, and the first of the rows that have it.
type CodeRows struct {
	Code    string
	Rows    int64
	Unknown bool // one of them is
	First   []Row
}

// Add counts a row and what became of it. Both may be reused afterwards.
func (f *Facts) Add(row *input.Row, result *batch.Result) {
	if f.Statuses == nil {
		f.Statuses, f.Codes, f.reasons = make(map[batch.Status]Sum), make(map[string]int), make(map[string]*CodeRows)
		f.banks, f.pgs = make(map[string]*Named), make(map[string]*Named)
	}
	f.Rows++
	sum := f.Statuses[result.Status]
	sum.Add(result.Amount)
	f.Statuses[result.Status] = sum
	if result.Status == batch.Issued {
		pg, _, _ := strings.Cut(row.PG, ".")
		tally(f.banks, result.VbankCode, result.VbankName).Add(result.Amount)
		tally(f.pgs, cmp.Or(result.PGProvider, pg), "").Add(result.Amount)
	}
	if payable(row, result) {
		if f.Told++; len(f.Accounts) < mostAccounts {
			told := rowOf(result)
			told.Name, told.Tel = Clip(row.Request.BuyerName), Clip(row.Request.BuyerTel)
			f.Accounts = append(f.Accounts, told)
		}
	}
	for code := range strings.SplitSeq(result.ErrorCode, ";") {
		if code == "" {
			continue
		}
		f.Codes[code]++
		if result.Status != batch.Skipped {
			f.because(code, row, result)
		}
	}
}

// payable reports whether a row has an account that its customer is told.
func payable(row *input.Row, r *batch.Result) bool {
	return r.VbankNum != "" && row.Action != input.Revoke && slices.Contains([]batch.Status{batch.Issued, batch.AlreadyIssued, batch.Updated, batch.Unchanged}, r.Status)
}

func (f *Facts) because(code string, row *input.Row, result *batch.Result) {
	r := f.reasons[code]
	if r == nil {
		if len(f.reasons) == mostReasons {
			return // there are fewer codes than that
		}
		r = &CodeRows{Code: strings.Clone(code)}
		f.reasons[r.Code] = r
	}
	r.Rows++
	r.Unknown = r.Unknown || result.Status == batch.Unknown
	if len(r.First) == mostLines {
		return
	}
	told := rowOf(result)
	for _, p := range row.Problems {
		if string(p.Code) == code {
			told.Header, told.Text, told.Message = Clip(p.Header), Clip(p.Text), bounded(p.Message)
			break
		}
	}
	r.First = append(r.First, told)
}

// tally returns the entry of a code, or the one for all others where there are too many.
func tally(all map[string]*Named, code, name string) *Named {
	if n := all[code]; n != nil {
		return n
	}
	if len(all) >= mostNames {
		code, name = OtherName, ""
		if n := all[code]; n != nil {
			return n
		}
	}
	n := &Named{Code: Clip(code), Name: Clip(name)}
	all[strings.Clone(code)] = n
	return n
}

// Row is what the page tells of a row.
type Row struct {
	Line        int64
	Status      batch.Status
	MerchantUID string
	Amount      int64  // won
	Header      string // of the column that the reason is about, "" without one
	Text        string // what stands in it, unless that is personal
	Message     say.Message
	Name, Tel   string // of the customer, where one is told
	Bank        string
	Num         string // of the account
	Holder      string
	Due         int64 // UNIX seconds
}

func rowOf(r *batch.Result) Row {
	return Row{Line: r.Line, Status: strings.Clone(r.Status), MerchantUID: Clip(r.MerchantUID), Amount: r.Amount, Message: bounded(r.ErrorMessage),
		Bank: Clip(cmp.Or(r.VbankName, r.VbankCode)), Num: Clip(r.VbankNum), Holder: Clip(r.VbankHolder), Due: r.VbankDue}
}

// bounded is the message, but of one that is too long to be kept its beginning, in English.
func bounded(message say.Message) say.Message {
	if len(message) > mostMessage {
		return say.Message(Clip(message.String()))
	}
	return say.Message(strings.Clone(string(message)))
}

// Banks lists those of the rows issued, the most won first.
func (f *Facts) Banks() []*Named { return inOrder(f.banks) }

// PGs lists those of the rows issued, the most won first.
func (f *Facts) PGs() []*Named { return inOrder(f.pgs) }

// inOrder sorts them.
func inOrder(all map[string]*Named) []*Named {
	list := slices.AppendSeq(make([]*Named, 0, len(all)), maps.Values(all)) // [] in JSON, also without any
	slices.SortFunc(list, func(a, b *Named) int {
		return cmp.Or(cmp.Compare(b.Won, a.Won), cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Code, b.Code))
	})
	return list
}

// Reasons lists the error codes, those of rows in doubt first, then the commonest.
func (f *Facts) Reasons() []*CodeRows {
	return slices.SortedFunc(maps.Values(f.reasons), func(a, b *CodeRows) int {
		if a.Unknown != b.Unknown {
			return map[bool]int{true: -1, false: 1}[a.Unknown]
		}
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Code, b.Code))
	})
}
