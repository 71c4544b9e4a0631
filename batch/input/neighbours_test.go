package input

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A layout is a kind of export: the names of its columns of money and numbers, each with the ways in which programs write
// it, and what stands in a row whose customer still has to pay due won.
type layout struct {
	names []string
	row   func(a, b int64) (due int64, cells []int64)
}

const (
	namesOfPaid  = "입금금액|입금액|수납액|수납금액|기납부액|수금액|결제완료금액|납입금액|paid|Amount Paid|총입금액|당월수납액"
	namesOfRest  = "미수금|미납액|미납금액|잔액|잔금|미수금액|미입금액|balance|Outstanding|당월미납액|총미수금"
	namesOfBill  = "청구금액|청구액|합계금액|총액|결제금액|납부금액|합계|금액|Amount|총결제금액|입금금액|총금액"
	namesOfNet   = "금액|Amount|공급가액|amount"
	namesOfVAT   = "부가세|세액|부가가치세|VAT|Tax|부가세액"
	namesOfTotal = "합계|합 계|합계금액|총액|총금액|Total|총합계"
	namesOfCount = "수량|Qty|주문수량|개수"
)

var layouts = map[string]layout{
	"billed, paid and unpaid": {[]string{namesOfBill, namesOfPaid, namesOfRest}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, b, a} }},
	"billed and unpaid":       {[]string{namesOfBill, namesOfRest}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, a} }},
	"billed and paid":         {[]string{namesOfBill, namesOfPaid}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, b} }},
	"supply, VAT and total":   {[]string{namesOfNet, namesOfVAT, namesOfTotal}, func(a, b int64) (int64, []int64) { return a * 11, []int64{a * 10, a, a * 11} }},
	"supply and VAT":          {[]string{namesOfNet, namesOfVAT}, func(a, b int64) (int64, []int64) { return a * 11, []int64{a * 10, a} }},
	"pieces":                  {[]string{"합계|계|Total", "단가|Unit Price", "금액|Amount"}, func(a, b int64) (int64, []int64) { return a * b, []int64{b, a, a * b} }},
	"a ledger":                {[]string{"차변|Debit", "대변|Credit", "잔액|Balance|금액"}, func(a, b int64) (int64, []int64) { return -1, []int64{a, b, a - b} }},
	"before the discount":     {[]string{"금액|Amount", "할인금액|쿠폰할인|Discount|배송비", "결제금액|총결제금액|결제예정금액"}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, b, a} }},
	"quantity and amount":     {[]string{namesOfCount, "단가|Unit Price", "금액|결제금액|청구금액"}, func(a, b int64) (int64, []int64) { return a * b, []int64{b, a, a * b} }},
	"carried forward":         {[]string{"금일매출|매출", "전잔액|전기이월|전월미수금", namesOfPaid, "현잔액|미수잔액|잔액|거래후잔액"}, func(a, b int64) (int64, []int64) { return a + b, []int64{a + 2*b, b, 2 * b, a + b} }},
	"left to pay":             {[]string{"Total|Amount|Invoice Amount|합계금액", "Amount Paid|Paid Amount", "Amount Remaining|Open balance|Outstanding Balance|Remaining Amount"}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, b, a} }},
	"paid or not":             {[]string{namesOfBill, "결제여부|입금여부|수납상태|주문상태|납부여부|Financial Status|Payment Status|결제완료일|입금확인일"}, func(a, b int64) (int64, []int64) { return -1, []int64{a, b % 2} }},
	"a settlement":            {[]string{"결제금액|금액|Amount|총결제금액|합계금액", "PG수수료|결제수수료|서비스이용료|수수료|Fee", "정산금액|정산예정금액|입금예정금액|정산예정금"}, func(a, b int64) (int64, []int64) { return -1, []int64{a, b, a - b} }},
	"a bank's statement":      {[]string{"출금액|출금금액|지급액|출금", "입금액|입금금액|입금", "잔액|거래후잔액|거래 후 잔액"}, func(a, b int64) (int64, []int64) { return -1, []int64{0, a, a + b} }},
	"paid in advance":         {[]string{namesOfBill, "선납금|선납액|계약금|예약금|선수금|과오납금"}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, b} }},
	"instalments":             {[]string{"총금액|합계금액|총액|합계", "월납입금|월렌탈료|회차금액|분납금|Monthly Payment"}, func(a, b int64) (int64, []int64) { return a, []int64{a * b, a} }},
	"before and after":        {[]string{"청구금액|청구액|금액|합계금액|총액", "감면액|할인금액|공제액|할인액", "실청구액|최종금액|실결제금액|최종결제금액|실납부액|차감청구액"}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, b, a} }},
	"paid before the due day": {[]string{"납기내금액|납부할금액|납기내 금액", namesOfPaid, "납기후금액"}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, b, a + 2*b} }},
	"refunded":                {[]string{namesOfBill, "Amount Refunded|Refunded Amount|환불금액|취소금액|총 환불금액|Order Refund Amount|반품금액"}, func(a, b int64) (int64, []int64) { return -1, []int64{a, b} }},
	"arrears of dues":         {[]string{namesOfBill, "미납회비|미납관리비|미수합계|미납총액|미납임대료|잔고"}, func(a, b int64) (int64, []int64) { return a, []int64{a + b, a} }},
	"after the due date":      {[]string{"납기내금액|납기내 금액|납부할금액", "납기후금액", "당월부과액|부과금액", namesOfRest}, func(a, b int64) (int64, []int64) { return a + b, []int64{a + b, a + 2*b, a, b} }},
}

// TestDecoys reads generated exports in which other columns stand beside the true one, in any order, with names as programs
// write them: what is read is the true amount, or nothing.
func TestDecoys(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 2))
	kinds, sent := slices.Sorted(maps.Keys(layouts)), make(map[string]int)
	for range 2_000 {
		kind := kinds[random.IntN(len(kinds))]
		l := layouts[kind]
		columns := random.Perm(len(l.names) + 1) // the last is the order number
		used := make(map[string]bool)
		names := make([]string, len(l.names))
		for i, ways := range l.names {
			all := strings.Split(ways, "|")
			for names[i] = all[random.IntN(len(all))]; used[fold(names[i])]; {
				names[i] = all[random.IntN(len(all))]
			}
			used[fold(names[i])] = true
			switch random.IntN(6) {
			case 0:
				names[i] = "* " + names[i]
			case 1:
				names[i] += " (원)"
			case 2:
				names[i] = strings.Join(strings.Split(names[i], ""), " ")
			}
		}
		var text strings.Builder
		var due []int64
		for line := range 4 {
			want, cells := l.row(random.Int64N(900)*100+1000, random.Int64N(8)+2)
			due = append(due, want)
			for i, column := range columns {
				if i > 0 {
					text.WriteByte(',')
				}
				switch {
				case line == 0 && column == len(names):
					text.WriteString("주문번호")
				case line == 0:
					text.WriteString(names[column])
				case column == len(names):
					fmt.Fprintf(&text, "A-%d", line)
				default:
					text.WriteString(strconv.FormatInt(cells[column], 10))
				}
			}
			text.WriteByte('\n')
		}
		rows, _, err := read(t, text.String(), Options{Set: map[string]string{"vbank_code": "국민", "vbank_due": "+7d", "vbank_holder": "한빛"}})
		if err != nil {
			continue
		}
		for i, row := range rows {
			if row.Invalid() || row.Skip != "" {
				continue
			}
			if sent[kind]++; row.Request.Amount != due[i+1] {
				t.Fatalf("%s: %d won were read, %d are due:\n%s", kind, row.Request.Amount, due[i+1], &text)
			}
		}
	}
	t.Log(sent)
	for _, kind := range []string{"supply, VAT and total", "quantity and amount", "after the due date", "before the discount"} {
		if sent[kind] == 0 {
			t.Errorf("%s: nothing was sent", kind)
		}
	}
}

// TestStillDue asks which rows are to be paid where a column tells it, once, and not where the amount is what is left.
func TestStillDue(t *testing.T) {
	for _, c := range []struct {
		header string
		o      Options
		asked  bool
	}{
		{"주문번호,결제금액,주문상태", Options{}, true},
		{"주문번호,결제금액,결제일시(입금확인일)", Options{}, true},
		{"order_id,amount,Paid at", Options{}, true},
		{"merchant_uid,amount,payment_status", Options{}, true},
		{"주문번호,값,주문상태", Options{Map: map[string]string{"amount": "값"}}, true},
		{"주문번호,결제금액,주문상태", Options{Where: []Where{{"주문상태", "입금대기"}}}, false},
		{"주문번호,결제금액,주문 상태", Options{Where: []Where{{"주문상태", "입금대기"}}}, false},
		{"주문번호,결제금액,결제방법,주문상태", Options{Where: []Where{{"결제방법", "가상계좌"}}}, true},
		{"주문번호,결제금액,주문상태", Options{Ignore: []string{"주문상태"}}, false},
		{"주문번호,결제금액,주문상태,결제일시", Options{Ignore: []string{"주문상태"}}, true},
		{"주문번호,미수금,수납상태", Options{}, false},
		{"imp_uid,amount,status,payment_status", Options{}, false},
		{"주문번호,결제금액,결제수단", Options{}, false},
	} {
		c.o.Set = map[string]string{"vbank_code": "국민", "vbank_due": "+7d", "vbank_holder": "한빛"}
		_, _, err := read(t, c.header+"\n", c.o)
		if asked := err != nil && strings.Contains(err.Error(), "paid already or cancelled"); asked != c.asked || err != nil && !asked {
			t.Errorf("%s, %v: asked %t, %v", c.header, c.o.Where, asked, err)
		}
	}
}
