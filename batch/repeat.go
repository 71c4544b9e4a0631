package batch

import (
	"cmp"
	"hash/maphash"
	"slices"

	"vbankbatch/batch/input"
	"vbankbatch/client/say"
)

// CodeRepeated rows are skipped and CodeDuplicateConflict rows invalid; repeat says which, for one line.
type repeat struct {
	first    int  // the line whose row stands for all
	conflict bool // the rows disagree, and none is done
	composed bool // their order number is made of columns, and is none if two rows have it
}

func (r repeat) tell(row *input.Row) {
	which := say.Sprintf("the first is on line %d", r.first)
	if r.first == row.Line {
		which = say.Text("this is the first of them")
	}
	switch {
	case r.composed:
		row.Problems = append(row.Problems, input.Problem{
			Code: CodeDuplicateConflict, Field: "merchant_uid",
			Message: say.Sprintf("--key makes the same order number of several rows (%s), so none was sent; add a column that tells them apart", which),
		})
	case r.conflict:
		row.Problems = append(row.Problems, input.Problem{
			Code:    CodeDuplicateConflict,
			Message: say.Sprintf("rows for this order say different things (%s), so none was sent; leave the right one and run again", which),
		})
	case r.first != row.Line && row.Skip == "":
		row.Skip = CodeRepeated
		row.Problems = []input.Problem{{
			Code: CodeRepeated, Warning: true,
			Message: say.Sprintf("line %d has the same order with the same figures and stands for this one", r.first),
		}}
	}
}

// repeatIndex finds the orders and accounts that stand in several rows. It keeps hashes, not the rows.
type repeatIndex struct {
	composed bool  // the order numbers are made by Options.Key
	items    []int // columns in which two lines of one order may not differ; see itemColumns
	entries  []entry
}

// entry is one row's claim on an order or on an account.
type entry struct {
	key     uint64 // of the merchant_uid, or of the imp_uid
	figures uint64 // of all that must agree
	line    uint32
	by      claim
}

// figures are what two rows for one order must have in common to be one row said twice. The order's name is not among
// them, but where items have their own amounts: exports repeat an order for each of its items.
type figures struct {
	action                      input.Action
	invalid                     bool
	amount, due                 int64
	holder, bank                string
	pg, channelKey              string
	fixedNum, fixedKey          string
	buyerName, buyerTel, impUID string
	items                       string
}

// name is an order's or an account's.
type name struct {
	ofAccount bool
	tier, id  string
}

type claim uint8

const (
	byOrder      claim = iota // an issue, or an update or revocation that names the order alone
	byOrderToo                // an update or revocation that names the order beside its imp_uid
	byAccount                 // an update or revocation that names the imp_uid
	issueByOrder              // an issue
)

var repeatSeed = maphash.MakeSeed()

// itemColumns are the indexes of all columns that tell nothing else of an order, if its amount is called 금액 or the
// like: lines that differ there are items, and the amounts perhaps theirs and not the order's.
func itemColumns(header []string, mapping []input.Mapped) (items []int) {
	known := make(map[int]bool)
	weak := false
	for _, m := range mapping {
		known[m.Column-1] = m.Field != "name"
		weak = weak || m.Field == "amount" && m.Weak
	}
	for i := range header {
		if weak && !known[i] {
			items = append(items, i)
		}
	}
	return items
}

func (x *repeatIndex) add(row *input.Row) {
	if row.Skip != "" {
		return
	}
	r := &row.Request
	due := r.VbankDue
	if row.RelativeDue {
		due = -1 // two rows read around midnight mean the same
	}
	items := ""
	for _, i := range x.items {
		items += row.Cells[i] + "\x00"
	}
	hash := maphash.Comparable(repeatSeed, figures{row.Action, row.Invalid(), r.Amount, due, r.VbankHolder, r.VbankCode,
		r.PG, r.ChannelKey, r.VbankNum, r.VbankKey, r.BuyerName, r.BuyerTel, row.ImpUID, items})
	put := func(by claim, id string) {
		of := name{by == byAccount, row.Tier, id}
		if of.ofAccount {
			of.tier = "" // an imp_uid is one account whoever asks
		}
		key := maphash.Comparable(repeatSeed, of)
		x.entries = append(x.entries, entry{key: key, figures: hash, line: uint32(row.Line), by: by})
	}
	switch {
	case row.Action == input.Issue && r.MerchantUID != "":
		put(issueByOrder, r.MerchantUID)
	case row.Action != input.Issue && row.ImpUID != "":
		put(byAccount, row.ImpUID)
		if r.MerchantUID != "" {
			put(byOrderToo, r.MerchantUID)
		}
	case row.Action != input.Issue && r.MerchantUID != "":
		put(byOrder, r.MerchantUID)
	}
}

// resolve returns what is to be said of each line whose order or account stands in another line too; of more than
// mostRepeats only the first.
func (x *repeatIndex) resolve() map[int]repeat {
	x.keepRepeated()
	slices.SortFunc(x.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.line, b.line))
	})
	found := make(map[int]repeat)
	for rest := x.entries; len(rest) > 0 && len(found) <= mostRepeats; {
		n := 1
		for n < len(rest) && rest[n].key == rest[0].key {
			n++
		}
		if group := rest[:n]; n > 1 {
			composed := x.composed && group[0].by == issueByOrder
			agree := agreeing(group) && !composed
			for _, e := range group[:min(len(group), mostRepeats+1)] {
				// A line can be in two groups, by its order and by its account: a conflict in either counts, and
				// the account says which line it repeats.
				if old, ok := found[int(e.line)]; (ok && old.conflict) || (agree && e.by == byOrderToo) {
					continue
				}
				found[int(e.line)] = repeat{first: int(group[0].line), conflict: !agree, composed: composed}
			}
		}
		rest = rest[n:]
	}
	x.entries = nil
	return found
}

// keepRepeated drops the claims that nobody else makes, which are nearly all there are. Sorting numbers is fast.
func (x *repeatIndex) keepRepeated() {
	keys := make([]uint64, len(x.entries))
	for i, e := range x.entries {
		keys[i] = e.key
	}
	slices.Sort(keys)
	repeated := make(map[uint64]bool)
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			repeated[keys[i]] = true
		}
	}
	x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return !repeated[e.key] })
}

// agreeing reports whether the claims on one order, or one account, can stand together. Updates that name different
// accounts of one order can; an issue beside an update or a revocation cannot.
func agreeing(group []entry) bool {
	apart := true
	for _, e := range group {
		apart = apart && e.by == byOrderToo
	}
	if apart {
		return true
	}
	for _, e := range group[1:] {
		if e.figures != group[0].figures || e.by != group[0].by {
			return false
		}
	}
	return true
}
