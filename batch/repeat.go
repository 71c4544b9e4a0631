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
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// CodeRepeated rows are skipped and CodeDuplicateConflict rows invalid; repeat says which, for one line.
type repeat struct {
	first    int  // the line whose row stands for all
	conflict bool // the rows disagree, and none is done
	composed bool // their order number is made of columns, and names no order if two rows have it
	lines    *orderLines
}

// orderLines are those of one order, or account.
type orderLines struct {
	hashes  []uint32 // of the first one's cells, by telling
	differ  uint64   // bits of the tellings in which another line differs from the first
	won     int64    // what they come to
	invalid int      // the first line that is invalid in itself; 0 without one
	parts   bool     // they have taxes of their own
}

// add holds a line to the first one.
func (l *orderLines) add(row *input.Row, tellings []input.Telling) {
	l.won = min(l.won, math.MaxInt64-row.Request.Amount) + row.Request.Amount
	l.parts = l.parts || row.Request.TaxFree != nil || row.Request.VatAmount != nil
	if l.invalid == 0 && row.Invalid() && !row.OnlyLacks() {
		l.invalid = row.Line
	}
	first := l.hashes == nil
	if first {
		l.hashes = make([]uint32, min(len(tellings), mostTellings))
	}
	hashes := make([]uint32, len(l.hashes))
	for i, t := range tellings {
		n := min(i, mostTellings-1) // the last stands for all behind it
		hashes[n] = hashes[n]*31 + uint32(maphash.String(repeatSeed, input.Clean(row.Cells[t.Column-1])))
	}
	for i, hash := range hashes {
		if first {
			l.hashes[i] = hash
		} else if hash != l.hashes[i] {
			l.differ |= 1 << i
		}
	}
}

// mostTellings is how many columns are told one by one.
const mostTellings = 64

// inFigures are the fields that repeatIndex compares as they are read, and not as they are written.
var inFigures = map[string]bool{"action": true, "imp_uid": true, "merchant_uid": true, "amount": true, "vbank_code": true, "vbank_due": true, "vbank_holder": true,
	"buyer_name": true, "buyer_tel": true, "pg": true, "channel_key": true, "tier": true, "vbank_num": true, "vbank_key": true}

// apart are the columns in which lines differ.
func (p *Plan) apart(l *orderLines) (list []input.Telling) {
	for i, t := range p.tellings {
		if l.differ&(1<<min(i, mostTellings-1)) != 0 {
			list = append(list, t)
		}
	}
	return list
}

// one reports whether the lines of an order that have the same figures are one row that stands there several times.
func (p *Plan) one(row *input.Row, l *orderLines) bool {
	if p.Options.Items != "" || row.Action == input.Revoke {
		return true
	}
	for _, t := range p.apart(l) {
		if !inFigures[t.Field] && !(p.orderTotal && t.Item) {
			return false
		}
	}
	return true
}

// tell adds to a row what its order's other lines make of it.
func (p *Plan) tell(r repeat, row *input.Row) {
	which := say.Messagef("the first is on line %d", r.first)
	if r.first == row.Line {
		which = say.NewMessage("this is the first of them")
	}
	fail := func(code input.Code, field string, message say.Message) {
		row.Problems = append(row.Problems, input.Problem{Code: code, Field: field, Message: message})
	}
	sum := p.Options.Items == input.ItemsSum && row.Action == input.Issue
	switch {
	case r.composed:
		message := say.Messagef("--key makes the same order number of several rows (%s), so none was sent; add a column that tells them apart, or give --items same if they are one order", which)
		if apart := p.apart(r.lines); len(apart) > 0 {
			message = say.Messagef("--key makes the same order number of several rows (%s), which differ in %s, so none was sent; add a column that tells them apart, or give --items same or sum if they are one order", which, headers(apart))
		}
		fail(CodeDuplicateConflict, "merchant_uid", message)
	case p.Options.Items != "" && r.lines.invalid > 0:
		if r.lines.invalid != row.Line {
			fail(CodeDuplicateConflict, "", say.Messagef("line %d is of the same order and is invalid, so none of its lines was sent", r.lines.invalid))
		}
	case r.conflict || !p.one(row, r.lines):
		message := say.Messagef("rows for this order say different things (%s), so none was sent; leave the right one and run again", which)
		if hint := p.suggestion(row, r.lines); hint != "" {
			message = say.Messagef("rows for this order differ in %s (%s), so none was sent; %s", headers(p.apart(r.lines)), which, hint)
		}
		fail(CodeDuplicateConflict, "", message)
	case sum && r.lines.parts:
		fail(CodeDuplicateConflict, "", say.NewMessage("the lines of this order have tax_free or vat_amount, which are not added up, so none was sent; --ignore leaves such a column out"))
	case sum && r.lines.won > input.MaxAmount:
		fail(input.AmountTooLarge, "amount", say.Messagef("the lines of this order come to %d won, which has more than 12 digits", r.lines.won))
	case sum && r.first == row.Line:
		row.Request.Amount = r.lines.won
		for _, b := range pg.Check(row.PG, pg.Issue, row.Request, p.Options.Now) {
			if b.Field == "amount" && !slices.ContainsFunc(row.Problems, func(p input.Problem) bool { return p.Code == input.Code(b.Rule) }) {
				row.Problems = append(row.Problems, input.Problem{Code: input.Code(b.Rule), Field: "amount", Message: b.Message, Warning: b.Warning})
			}
		}
	case r.first != row.Line && row.Skip == "":
		message := say.Messagef("line %d has the same order with the same figures and stands for this one", r.first)
		if sum {
			message = say.Messagef("line %d has the same order and asks for the %d won of all its lines, the %d won of this one among them", r.first, r.lines.won, row.Request.Amount)
		} else if apart := slices.DeleteFunc(p.apart(r.lines), func(t input.Telling) bool { return inFigures[t.Field] }); len(apart) > 0 {
			message = say.Messagef("line %d has the same order with the same figures and stands for this one; they differ in %s", r.first, headers(apart))
		}
		row.Skip = CodeRepeated
		row.Problems = []input.Problem{{Code: CodeRepeated, Warning: true, Message: message}}
	}
}

// headers names columns, the first few.
func headers(list []input.Telling) say.Message {
	var names []say.Message
	for _, t := range list[:min(len(list), 5)] {
		names = append(names, say.Messagef("“%s” (column %d)", t.Header, t.Column))
	}
	if more := len(list) - len(names); more > 0 {
		names = append(names, say.Messagef("%d more", more))
	}
	return say.Join(names, ", ")
}

// suggestion is what to do about lines of one order that differ, "" if nothing but their figures tells them apart.
func (p *Plan) suggestion(row *input.Row, l *orderLines) say.Message {
	apart := p.apart(l)
	if len(apart) == 0 {
		return ""
	}
	for _, t := range apart {
		if t.Period && !inFigures[t.Field] {
			for _, m := range p.Mapping {
				if m.Field == "merchant_uid" {
					return say.Messagef("if each is a bill of its own, --key '{%s}-{%s}' tells them apart; else --items same or --items sum", m.Header, t.Header)
				}
			}
		}
	}
	amounts := false
	for _, t := range apart {
		if t.Field == "amount" && row.Action == input.Issue {
			amounts = true
		} else if inFigures[t.Field] {
			return say.NewMessage("leave the right one, or give each an order number of its own with --key")
		}
	}
	switch {
	case row.Action != input.Issue:
		return say.NewMessage("leave the right one, or give --items same if they are one")
	case amounts:
		return say.NewMessage("--items sum sends one account over all of their amounts, if each has its own; else leave the right one")
	}
	return say.NewMessage("--items same sends one account over the amount, if each line has the order's; --items sum one over all of their amounts, if each has its own")
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
	composed bool // the order numbers are made by Options.Key
	sum      bool // amounts of one order may differ: Options.Items is sum
	most     int  // lines that may be for orders or accounts that other lines are for too
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

// figures are what two rows for one order must have in common, whatever else tells them apart: see Plan.one.
type figures struct {
	action                      input.Action
	invalid                     bool
	amount, due                 int64
	holder, bank                string
	pg, channelKey              string
	fixedNum, fixedKey          string
	buyerName, buyerTel, impUID string
}

type claim uint8

const (
	byOrder      claim = iota // an issue, or an update or revocation that names the order alone
	byOrderToo                // an update or revocation that names the order beside its imp_uid
	byAccount                 // an update or revocation that names the imp_uid
	issueByOrder              // an issue
)

var repeatSeed = maphash.MakeSeed()

func (x *repeatIndex) add(row *input.Row) {
	if row.Skip != "" {
		return
	}
	r := &row.Request
	due := r.VbankDue
	if row.RelativeDue {
		due = -1 // two rows read around midnight mean the same
	}
	amount := r.Amount
	if x.sum && row.Action == input.Issue {
		amount = 0
	}
	hash := maphash.Comparable(repeatSeed, figures{row.Action, row.Invalid(), amount, due, r.VbankHolder, r.VbankCode,
		r.PG, r.ChannelKey, r.VbankNum, r.VbankKey, r.BuyerName, r.BuyerTel, row.ImpUID})
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
