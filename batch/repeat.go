package batch

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"vbankbatch/batch/input"
	"vbankbatch/client/say"
)

// CodeRepeated rows are skipped and CodeDuplicateConflict rows invalid; repeat says which, for one line.
type repeat struct {
	first    int  // the line whose row stands for all
	conflict bool // the rows disagree, and none is done
	composed bool // their order number is made of columns, and names no order if two rows have it
}

func (r repeat) tell(row *input.Row) {
	which := say.Messagef("the first is on line %d", r.first)
	if r.first == row.Line {
		which = say.NewMessage("this is the first of them")
	}
	switch {
	case r.composed:
		row.Problems = append(row.Problems, input.Problem{
			Code: CodeDuplicateConflict, Field: "merchant_uid",
			Message: say.Messagef("--key makes the same order number of several rows (%s), so none was sent; add a column that tells them apart", which),
		})
	case r.conflict:
		row.Problems = append(row.Problems, input.Problem{
			Code:    CodeDuplicateConflict,
			Message: say.Messagef("rows for this order say different things (%s), so none was sent; leave the right one and run again", which),
		})
	case r.first != row.Line && row.Skip == "":
		row.Skip = CodeRepeated
		row.Problems = []input.Problem{{
			Code: CodeRepeated, Warning: true,
			Message: say.Messagef("line %d has the same order with the same figures and stands for this one", r.first),
		}}
	}
}

// tellAlike warns of an order number that differs from another line's in a way that people do not see.
func tellAlike(row *input.Row, other int) {
	if row.Skip != "" {
		return
	}
	row.Problems = append(row.Problems, input.Problem{Code: CodeKeyLooksAlike, Field: "merchant_uid", Warning: true, Message: Alike(other)})
}

// Alike says of an order number that it looks like another line's.
func Alike(other int) say.Message {
	return say.Messagef("the order number differs from that on line %d only in case or in the width of characters; if they are one order, write them alike", other)
}

// repeatIndex finds the orders and accounts that stand in several rows, and order numbers that look alike. It keeps
// hashes, not the rows.
type repeatIndex struct {
	composed bool  // the order numbers are made by Options.Key
	items    []int // columns in which two lines of one order may not differ; see itemColumns
	most     int   // lines that may be for orders or accounts that other lines are for too
	entries  []entry
	counted  int    // entries up to which tooMany has looked
	name     []byte // of the claim that is being added
}

// entry is one row's claim on an order or on an account.
type entry struct {
	key      uint64  // of the imp_uid, or of the merchant_uid as appendAlike makes it
	figures  uint64  // of all that must agree, the name as it is written included
	line     uint32  // physical
	spelling [3]byte // of the name as it is written; two names that differ and have the same disagree, at worst
	by       claim
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

type claim uint8

const (
	byOrder      claim = iota // an issue, or an update or revocation that names the order alone
	byOrderToo                // an update or revocation that names the order beside its imp_uid
	byAccount                 // an update or revocation that names the imp_uid
	issueByOrder              // an issue
)

var repeatSeed = maphash.MakeSeed()

// itemColumns returns the indexes of the columns that are no field of an order, if the amount's column is called 금액 or the
// like. Lines of one order that differ there are its items, and the amounts may be the items' and not the order's.
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
		if x.name = x.name[:0]; by == byAccount {
			x.name = append(append(x.name, 'a'), id...) // an imp_uid is one account whoever asks
		} else {
			x.name = appendAlike(append(append(append(x.name, 'o'), row.Tier...), 0), id)
		}
		spelled := maphash.String(repeatSeed, id)
		x.entries = append(x.entries, entry{key: maphash.Bytes(repeatSeed, x.name), figures: hash ^ spelled, line: uint32(row.Line),
			spelling: [3]byte{byte(spelled), byte(spelled >> 8), byte(spelled >> 16)}, by: by})
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

// appendAlike appends an order number as people read it, without regard to case and to the width of characters.
func appendAlike(name []byte, id string) []byte {
	if strings.ContainsFunc(id, func(r rune) bool { return r >= utf8.RuneSelf && (r < '가' || r > '힣') }) { // hardly ever
		id = strings.ToUpper(norm.NFKC.String(id))
	}
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		name = append(name, c)
	}
	return name
}

// mostRepeats is the number of lines that may name an order that other lines name too, and mostAlike the number of lines that
// are said to look like others. Each such line takes memory.
const (
	mostRepeats = 1_000_000
	mostAlike   = 100_000
)

// tooMany reports whether too many lines name an order or an account that other lines name too. It counts them once there are
// enough lines, and whenever the lines have doubled since, so that the rest of such a file need not be read.
func (x *repeatIndex) tooMany() bool {
	if len(x.entries) <= max(x.most, 2*x.counted) {
		return false
	}
	x.counted = len(x.entries)
	n := 0
	for one := range cut(x.shared(), sameName) {
		for _, e := range one {
			if len(one) > 1 && e.by != byOrderToo { // a line has one claim beside such
				n++
			}
		}
	}
	return n > x.most
}

// resolve returns, by line, the repeats, and for each line whose order number looks like another's the first line that has
// the other. If there are more than x.most repeats it returns only the first, and of more than mostAlike others only some.
func (x *repeatIndex) resolve() (found map[int]repeat, looks map[int]int) {
	found, looks = make(map[int]repeat), make(map[int]int)
	for group := range cut(x.shared(), func(a, b *entry) bool { return a.key == b.key }) {
		for one := range cut(group, sameName) {
			if len(found) <= x.most {
				x.repeated(one, found)
			}
		}
		lookAlike(group, looks)
	}
	x.entries = nil
	return found, looks
}

// lookAlike adds the lines of a group of names that look alike to looks, each with the first line of another name.
func lookAlike(group []entry, looks map[int]int) {
	first, second := uint32(math.MaxUint32), uint32(math.MaxUint32) // lines of the two names that come first
	for one := range cut(group, sameName) {
		second = min(second, max(first, one[0].line))
		first = min(first, one[0].line)
	}
	for one := range cut(group, sameName) {
		other := first
		if one[0].line == first {
			other = second
		}
		for i := 0; i < len(one) && len(one) < len(group) && len(looks) < mostAlike; i++ {
			looks[int(one[i].line)] = int(other)
		}
	}
}

// repeated adds the lines of one order or account to found.
func (x *repeatIndex) repeated(one []entry, found map[int]repeat) {
	if len(one) == 1 {
		return
	}
	composed := x.composed && one[0].by == issueByOrder
	agree := agreeing(one) && !composed
	for _, e := range one[:min(len(one), x.most+1)] {
		// A line can be in two groups, by its order and by its account: a conflict in either counts, and
		// the account says which line it repeats.
		if old, ok := found[int(e.line)]; (ok && old.conflict) || (agree && e.by == byOrderToo) {
			continue
		}
		found[int(e.line)] = repeat{first: int(one[0].line), conflict: !agree, composed: composed}
	}
}

// shared returns the claims whose key other claims have too, and some more, in the order of key, spelling and line. Nearly
// every claim has a key of its own, so comparing a few bits of the keys first leaves few claims to be sorted.
func (x *repeatIndex) shared() (some []entry) {
	width := bits.Len(uint(len(x.entries))) + 3 // 8 slots or more for each
	seen, again := make([]uint64, 1<<width/64+1), make([]uint64, 1<<width/64+1)
	slot := func(e *entry) (word int, bit uint64) {
		n := e.key >> (64 - width)
		return int(n / 64), 1 << (n % 64)
	}
	for i := range x.entries {
		word, bit := slot(&x.entries[i])
		again[word] |= seen[word] & bit
		seen[word] |= bit
	}
	for i := range x.entries {
		if word, bit := slot(&x.entries[i]); again[word]&bit != 0 {
			some = append(some, x.entries[i])
		}
	}
	slices.SortFunc(some, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.key, b.key), bytes.Compare(a.spelling[:], b.spelling[:]), cmp.Compare(a.line, b.line))
	})
	return some
}

func sameName(a, b *entry) bool { return a.key == b.key && a.spelling == b.spelling }

// cut cuts sorted claims into those that are the same.
func cut(claims []entry, same func(a, b *entry) bool) iter.Seq[[]entry] {
	return func(yield func([]entry) bool) {
		for len(claims) > 0 {
			n := 1
			for n < len(claims) && same(&claims[0], &claims[n]) {
				n++
			}
			if !yield(claims[:n]) {
				return
			}
			claims = claims[n:]
		}
	}
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
