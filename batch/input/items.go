package input

import (
	"regexp"
	"slices"
)

// Telling is a column that tells lines of one order apart where they differ in it.
type Telling struct {
	Column int    // from 1
	Header string // as in Mapped
	Field  string // that is read from it, "" without one
	Item   bool   // by its name it is of an item: 상품명, 수량
	Period bool   // by its name it tells bills apart: 청구월, 회차
}

var (
	freeText    = regexp.MustCompile(`^비고|^메모|(비고|메모|요청사항|요구사항|메시지|메세지|특이사항|참고사항|전달사항|남기실말씀|memos?|notes?|remarks?|comments?|message|instructions)\d*$`)
	itemNames   = regexp.MustCompile(`상품|품목|품명|옵션|수량|단가|규격|모델|바코드|색상|사이즈|sku|product|item|quantity|qty|option|variant|price`)
	periodNames = regexp.MustCompile(`(월|월분|회차|차수|기수|기|일자|일|학기|분기|주차|month|period|term|date|installment|cycle)$`)
	orderTotal  = regexp.MustCompile(`^(총(주문)?결제(예정)?금액|결제금액총|총주문금액|주문총액|주문총금액|주문총결제금액|결제총액|총실결제금액|실결제총액|ordertotal(amount|price)?|totalorderamount|grandtotal)$`)
)

// Tellings are the columns in which two lines of one order must agree to be one row that stands there twice: all that
// have a name or a cell but for remarks, for those of Options.Ignore and for what a results file adds.
func (r *Reader) Tellings() (list []Telling) {
	h := r.header
	own := len(h.withoutReasons())
	for i, name := range h.names {
		folded := h.folded[i]
		if freeText.MatchString(folded) || i >= own && name != "" || slices.Contains(r.header.ignore, i) ||
			h.result && h.last(name) == i && (slices.Contains(outcomes, name) || slices.Contains(answers, name)) {
			continue
		}
		t := Telling{Column: i + 1, Header: oneLine(name), Item: itemNames.MatchString(folded), Period: periodNames.MatchString(folded)}
		for _, m := range r.mapped {
			if m.Column == i+1 {
				t.Field = m.Field
			}
		}
		list = append(list, t)
	}
	return list
}

// OrderTotal reports whether the amount's column says by its name that it holds the order's total, and no item's.
func (r *Reader) OrderTotal() bool {
	return r.amountAt >= 0 && orderTotal.MatchString(r.header.folded[r.amountAt])
}

// order is the row before, as far as the lines of its other items need it.
type order struct {
	uid, tier string
	line      int
	cells     []string
	amount    bool // it has one
}

// continues reports a line without an amount right below another one for the same order, as shops write the items of an
// order whose total stands in the first: nothing else in it may be another.
func (r *Reader) continues(row *Row) bool {
	o := r.order
	if !o.amount || row.Action != Issue || row.Skip != "" || r.tally.each || row.Request.MerchantUID == "" || row.Request.MerchantUID != o.uid || row.Tier != o.tier || !row.has(AmountMissing) {
		return false
	}
	for _, m := range r.mapped {
		if cell := trim(row.Cells[m.Column-1]); cell != "" && m.Field != "name" && m.Field != "product_count" && clean(cell) != clean(o.cells[m.Column-1]) {
			return false
		}
	}
	return true
}
