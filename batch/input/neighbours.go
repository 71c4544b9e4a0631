package input

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"vbankbatch/client/say"
)

// A role is what a column is for in a table, as far as its name tells. Columns that stand beside each other change each
// other's meaning: 결제금액 by itself is what is to be paid, and beside 잔금 what was paid already.
type role int8

const (
	noRole      role = iota
	someAmount       // 금액 does not say of what
	payable          // what is still to be collected, whatever stands beside it
	billed           // what was charged, paid or not
	paid             // what was paid, or is to be
	deposited        // what has come in
	outstanding      // what is left of it
	supply           // without VAT
	vat
	total // of supply and VAT, or of other columns; bare, it may count pieces
	bareTotal
	refund
	adjustment // what makes another amount of an amount: discount, refund, delivery
	debit
	credit
	quantity
	unitPrice
	accountNumber
	contractEnd   // a last day, of what the name does not say
	deliveryDay   // a day by which something is to be delivered, or paid
	contractBegin // the first day of a contract
	delivery      // that there is something to deliver
	contract      // a number that stays the same from bill to bill
	period        // which of the bills of a contract
	currency
	instalment // what is paid at one time of several
	settlement // what a PG or a marketplace pays out of what it has collected
	state      // whether a row is paid already, or cancelled
)

// roleNames are the names of columns by role, as roleOf looks for them: folded, an amount without 금액, 액 or 금 at its end
// and without 당월, 총 and the like in front.
var roleNames = map[role]string{
	someAmount: "금액 amount 판매 매출 상품 주문",
	payable: "납기내 납부할 납부하실 납입할 내실 받을 납부예정 입금예정 입금할 결제예정 결제할 청구합계 변경 amountdue balancedue totaldue totalamountdue amountpayable totalpayable " +
		"미납포함 미납합계 차감청구 차인청구 실청구 최종청구 최종결제 최종납부 최종주문 최종 실납부 실결제 할인후 감면후 할인적용",
	billed:    "청구 부과 고지 billed billedamount invoiced invoiceamount invoiced amountbilled",
	paid:      "결제 납부 납입 payment payments",
	deposited: "입금 수납 수금 기납부 기수납 기입금 입금확인 선납 선입 선수 과납 과오납 계약금 예약금 선금 착수금 맡기신 받으신 받은 낸 납부한 납입한 입금한 입금된 결제한 결제된 결제완료 납부완료 납입완료 수령 영수 paid amountpaid paidamount totalpaid received amountreceived receivedamount totalreceived paymentreceived deposit",
	outstanding: "미수 미납 잔 잔여 미결제 미입금 미수납 미회수 체납 balance outstanding outstandingbalance openbalance unpaid unpaidamount 외상잔 " +
		"현잔 현재잔 거래후잔 미수잔 미납잔 납부잔 납입잔 수납잔 결제잔 청구잔 기말잔 채권잔 잔고 미수합계 미납총 미납회비 미납관리비 미납임대료 미납수강료 미납원비 미납요금 미납보험료 " +
		"remaining amountremaining remainingamount openamount amountoutstanding outstandingamount invoiceamountdue amountduesigned residual",
	supply:        "공급가 공급 공급대가 과세 순 net netamount subtotal supplyprice",
	vat:           "부가세 부가가치세 세 vat tax taxes taxamount vatamount surtax 부가세액 gst",
	total:         "합계금액 총금액 총액 총합계 총결제 합계결제 결제합계 청구총 계약금액 grandtotal totalamount ordertotal",
	bareTotal:     "합계 계 총계 total 총",
	adjustment:    "할인 쿠폰 쿠폰할인 상품할인 배송비 배송료 배송 적립 포인트 예치 감면 공제 discount shipping coupon discountamount",
	refund:        "환불 취소 반품 부분취소 부분환불 refund refunded refundedamount amountrefunded totalrefunded orderrefundamount",
	debit:         "차변 출금 찾으신 보내신 debit dr withdrawal 지급 매입",
	credit:        "대변 credit cr",
	quantity:      "수량 qty quantity 개수 건수 매수 부수 총수량 주문수량",
	unitPrice:     "단가 unitprice 판매단가 출고단가",
	accountNumber: "계좌번호 계좌 은행계좌 은행계좌번호 입금계좌번호 출금계좌 출금계좌번호 결제계좌 결제계좌번호 이체계좌 자동이체계좌 자동이체계좌번호 cms계좌 환급계좌 accountno accountnumber account bankaccount iban 통장번호",
	contractEnd:   "만료일 만기일 종료일 마감일 만료일자 enddate expirydate expirationdate validuntil",
	deliveryDay:   "납기일 납기 납기일자 duedate due",
	contractBegin: "계약일 계약일자 시작일 시작일자 개시일 계약시작일 가입일 가입일자 계약기간 임대시작일 입주일 입학일 개강일 등록일 갱신일 startdate contractdate begindate validfrom 유효시작일 이용시작일",
	delivery:      "납품처 납품일 납품장소 납품수량 출고일 출고예정일 출하일 배송일 배송예정일 배송희망일 발주번호 발주일 수주번호 수주일 입고일 입고예정일 인도일 인도조건 deliverydate shipdate purchaseorder ponumber po pono orderqty",
	contract: "계약번호 관리번호 고객번호 고객코드 회원번호 회원id 학번 원생번호 수용가번호 거래처코드 거래처번호 사업자번호 사업자등록번호 증권번호 가입번호 서비스번호 " +
		"contract contractno contractnumber contractid customer customerno customerid customernumber memberid subscription subscriptionid",
	period:     "청구월 청구년월 청구연월 부과월 부과년월 부과연월 고지월 고지년월 납부월 귀속월 귀속년월 해당월 이용월 사용월 대상월 월분 회차 청구회차 납입회차 납부회차 기수 차수 회기 학기 분기 청구일자 청구일 month period billingmonth billingperiod invoicemonth installment",
	currency:   "통화 통화코드 통화단위 통화구분 화폐 화폐단위 화폐코드 환종 외화구분 외화코드 거래통화 결제통화 청구통화 주문통화 판매통화 기준통화 currency currencycode curr cur ccy lcurr localcurrency amountcurrency transactioncurrency documentcurrency 환율 적용환율 기준환율 매매기준율 exchangerate fxrate conversionrate currencyrate",
	instalment: "월납입 월납부 월렌탈료 월이용료 회차금액 회차별금액 분할금액 분납금액 분납금 installmentamount monthlypayment",
	settlement: "수수료 총수수료 수수료합계 정산 정산예정 정산예정금 정산대상 정산기준 당일정산 서비스이용료 pg수수료 결제수수료 판매수수료 카드수수료 정산수수료 settlement settlementamount payout fee fees transactionfee processingfee",
	state: "주문상태 결제상태 입금상태 수납상태 납부상태 납입상태 거래상태 결제여부 입금여부 수납여부 납부여부 납입여부 완납여부 미납여부 입금확인여부 취소여부 취소구분 영수청구구분 출금결과 이체결과 수납결과 " +
		"취소일 취소일자 취소일시 환불일 환불일자 환불일시 환불완료일 승인일시 완납 입금일 " +
		"결제일시 결제일시입금확인일 입금확인일 입금확인일시 결제완료일 결제완료일시 입금완료일 입금완료일시 입금일시 입금일자 수납일 수납일자 " +
		"financialstatus paymentstatus paymentstate orderstatus invoicestatus paidat paiddate datepaid",
}

var roles = func() map[string]role {
	names := make(map[string]role)
	for role, list := range roleNames {
		for _, name := range strings.Fields(list) {
			names[name] = role
		}
	}
	return names
}()

var amountBegins = []string{"당월", "전월", "금월", "이번달", "당기", "전기", "누적", "총", "기", "최종", "실"}

// withoutBegin takes one of amountBegins off a name.
func withoutBegin(name string) string {
	for _, begin := range amountBegins {
		if rest, found := strings.CutPrefix(name, begin); found {
			return rest
		}
	}
	return name
}

// currencyName is a name such as Entered Currency, unless it says that it is an amount in one.
var currencyName = regexp.MustCompile(`^[a-z]+currency(code)?$`)
var amountName = regexp.MustCompile(`amount|total|balance|price|value|paid|due|rate`)

// ownAccount is the name of an account that is not the one to pay into: 환불계좌, 고객계좌번호. A virtual account is another.
var (
	ownAccount     = regexp.MustCompile(`(환불|반환|환급|지급|수취|출금|정산|본인|고객).*계좌`)
	virtualAccount = regexp.MustCompile(`가상|전용|고정`)
)

// roleOf is the role of a column by its folded name.
func roleOf(folded string) role {
	if r := roles[folded]; r != noRole {
		return r
	}
	if currencyName.MatchString(folded) && !amountName.MatchString(folded) {
		return currency
	}
	if ownAccount.MatchString(folded) && !virtualAccount.MatchString(folded) {
		return accountNumber
	}
	for _, ending := range []string{"금액", "액", "금", ""} {
		core, found := strings.CutSuffix(folded, ending)
		if r := roles[core]; found && ending != "" && r != noRole {
			return r
		}
		bare := withoutBegin(core)
		if r := roles[bare]; found && bare != core && r >= billed && r <= adjustment && r != total && r != bareTotal {
			return r
		}
	}
	return noRole
}

// A doubt is what a neighbour makes of a column that was chosen by its name.
type doubt struct {
	field  string
	of     []role // roles of the column that was chosen: any of these
	beside []role // roles of a neighbour: any of these
	unless []role // neighbours that settle it
	says   string // of the column and its neighbour
}

var (
	alreadyPaid  = say.Mark("“%s” may be what was paid already, since “%s” stands beside it")
	lineOfLedger = say.Mark("“%s” may be a line of a ledger or its running balance, since “%s” stands beside it")
)

// doubts are the groups of columns that change each other's meaning. Each is a question that --map or --ignore answers.
var doubts = []doubt{
	{"amount", []role{deposited}, []role{debit, credit}, nil, lineOfLedger},
	{"amount", []role{deposited}, []role{outstanding, billed, total, bareTotal, paid, deposited, someAmount}, nil, alreadyPaid},
	{"amount", []role{paid}, []role{outstanding, billed, total, bareTotal, paid, deposited}, nil, alreadyPaid},
	{"amount", []role{billed, total, bareTotal, someAmount, supply}, []role{outstanding, deposited, paid}, nil, say.Mark("“%s” may be paid in part or in full, as “%s” beside it would tell")},
	{"amount", []role{total, bareTotal}, []role{instalment}, nil, say.Mark("“%s” may be the sum of all instalments, since “%s” stands beside it")},
	{"amount", []role{payable}, []role{deposited, paid}, nil, say.Mark("“%s” may be paid in part or in full, as “%s” beside it would tell")},
	{"amount", []role{billed, paid, total, bareTotal, someAmount}, []role{payable}, nil, say.Mark("“%s” may not be what is still to be paid, since “%s” stands beside it")},
	{"amount", []role{billed, paid, payable, deposited, total, bareTotal, someAmount}, []role{refund}, nil, say.Mark("“%s” may be before “%s” is added or taken away")},
	{"amount", []role{bareTotal}, []role{someAmount, quantity, unitPrice}, []role{vat, supply}, say.Mark("“%s” may count pieces, since “%s” stands beside it")},
	{"amount", []role{someAmount, supply}, []role{vat}, nil, say.Mark("“%s” may be without the VAT that “%s” has")},
	{"amount", []role{outstanding, someAmount}, []role{debit, credit}, nil, lineOfLedger},
	{"amount", []role{someAmount}, []role{adjustment}, nil, say.Mark("“%s” may be before “%s” is added or taken away")},
	{"amount", []role{billed, paid, payable, deposited, total, bareTotal, someAmount}, []role{settlement}, nil, say.Mark("“%s” may be what a PG or a marketplace has collected already, since “%s” stands beside it")},
	{"vbank_code", nil, []role{accountNumber}, nil, say.Mark("“%s” may be the payer's own bank, since “%s” stands beside it")},
	{"vbank_holder", nil, []role{accountNumber}, nil, say.Mark("“%s” may be the holder of the payer's own account, since “%s” stands beside it")},
	{"vbank_due", []role{contractEnd}, []role{contractBegin, contract}, nil, say.Mark("“%s” may be the end of a contract, since “%s” stands beside it")},
	{"vbank_due", []role{deliveryDay}, []role{delivery}, nil, say.Mark("“%s” may be the day of a delivery, since “%s” stands beside it")},
}

// doubtOf returns what speaks against a column that was chosen by its name: the column beside it, and what that makes of it;
// -1 if nothing does.
func (h header) doubtOf(field string, column int) (neighbour int, says string) {
	mine := h.roles[column]
	for _, d := range doubts {
		if d.field != field || d.of != nil && !slices.Contains(d.of, mine) || slices.ContainsFunc(h.roles, func(r role) bool { return slices.Contains(d.unless, r) }) {
			continue
		}
		for _, other := range d.beside {
			for i, r := range h.roles {
				if i != column && r == other {
					return i, d.says
				}
			}
		}
	}
	return -1, ""
}

// doubted returns an *Error if a neighbour speaks against the meaning of a column that was chosen by its name.
func (h header) doubted(field string, column int) error {
	if h.folded[column] == field && (slices.Contains(h.folded, "merchantuid") || slices.Contains(h.folded, "impuid")) {
		return nil // the file was written for the API
	}
	neighbour, says := h.doubtOf(field, column)
	if neighbour < 0 {
		return nil
	}
	mine, other := told(h.names[column]), told(h.names[neighbour])
	message := say.Messagef(says, mine, other)
	switch {
	case field != "amount":
		return h.failed(message, say.Messagef("--map '%s=%s' if it is meant, --ignore '%s' if not", field, mine, mine))
	case slices.Contains([]role{outstanding, paid, deposited, billed, total, bareTotal, someAmount}, h.roles[neighbour]):
		return h.failed(message, say.Messagef("choose one: --map '%s=%s' or --map '%s=%s'", field, mine, field, other))
	}
	for i, r := range h.roles {
		if i != column && (r == total || r == bareTotal || r == payable) {
			return h.failed(message, say.Messagef("choose one: --map '%s=%s' or --map '%s=%s'", field, mine, field, told(h.names[i])))
		}
	}
	return h.failed(message, say.Messagef("--map '%s=%s' if it is what is to be paid; else name the column that is", field, mine))
}

// billNames are the names of order numbers that are another one in each bill, and merchant_uid, which is made for that.
var billNames = `청구번호 과세번호 전자납부번호 고지번호 전표번호 문서번호 명세서번호 영수번호 invoice invoiceno invoicenumber invoiceid billno 일자no merchantuid`

var billNumbers = set(billNames)

// oneBill returns an *Error if the order number may stay the same from bill to bill, while another column tells the bills
// apart: the next month's would be taken for this one's, and never be issued.
func (h header) oneBill(mapped []Mapped) error {
	at := find(mapped, "merchant_uid")
	which := slices.Index(h.roles, period)
	if at < 0 || which < 0 || h.result || has(mapped, "imp_uid") || billNumbers[h.folded[mapped[at].Column-1]] {
		return nil
	}
	number, month := told(h.names[mapped[at].Column-1]), told(h.names[which])
	return h.failed(say.Messagef("“%s” may be the same in every bill of an order or contract, which “%s” tells apart; then only the first bill would get an account", number, month),
		say.Messagef("--key '{%s}-{%s}' makes a number for each bill; --ignore '%s' if “%s” is another one in each", number, month, month, number))
}

// settledWord is a word in a column called Status or something 상태 or 현황, of what the name does not say, for an order that nobody is to pay.
var settledWord = regexp.MustCompile(`(?i)(입금|결제|납부|납입|수납|지급|거래|구매) ?(완료|확인)|구매 ?확정|완납|수납됨|취소|환불|반품|철회|\bpaid\b|refund|cancel|\bvoid|settled|captured`)

// weighCells finds by the first rows the columns called Status, or something 상태 or 현황, in which such a word stands, and, of those
// that nobody reads, the ones whose cells name currencies or units and nothing else, not all of them won.
func (f *File) weighCells(h *header, encoding string, comma rune) {
	states, money, foreign := make(map[int]bool), make(map[int]bool), make(map[int]bool)
	for i, name := range h.folded {
		if h.roles[i] != noRole || slices.Contains(h.ignore, i) {
			continue
		}
		if name == "status" || strings.HasSuffix(name, "상태") || strings.HasSuffix(name, "현황") {
			states[i] = true
		}
		if _, read := h.meaning(i); !read && len(h.names[i]) <= maxName {
			money[i] = true
		}
	}
	if len(states)+len(money) == 0 {
		return
	}
	f.firstRows(encoding, comma, *h, sampledRows, func(cells []string) {
		for i, cell := range cells {
			switch {
			case trim(cell) == "":
			case states[i] && settledWord.MatchString(clean(cell)):
				h.roles[i], states[i] = state, false
			case money[i]:
				names, other := namesMoney(clean(cell))
				money[i], foreign[i] = names, foreign[i] || other
			}
		}
	})
	for i := range money {
		if money[i] && foreign[i] {
			h.roles[i] = currency
		}
	}
}

// settledCells are cells that say nothing but that nobody is to pay, without spaces.
var settledCells = func() map[string]bool {
	cells := map[string]bool{"완납": true, "구매확정": true, "refunded": true, "cancelled": true, "canceled": true}
	for _, what := range []string{"입금", "결제", "납부", "납입", "수납"} {
		cells[what+"완료"], cells[what+"확인"] = true, true
	}
	for _, what := range []string{"", "주문", "판매", "매출", "구매", "결제", "입금", "전체", "부분"} {
		for _, word := range []string{"취소", "환불", "반품", "철회"} {
			for _, end := range []string{"", "완료", "됨", "처리", "건"} {
				cells[what+word+end] = true
			}
		}
	}
	return cells
}()

const mostSettled = 40 // bytes, of such a cell as it stands

// unreadColumns are the columns that nothing reads and of which no option and no name says what they are.
func (r *Reader) unreadColumns() (columns []int) {
	h := &r.header
	for i := range h.names {
		read := slices.ContainsFunc(r.mapped, func(m Mapped) bool { return m.Column-1 == i || m.Answer-1 == i }) ||
			slices.ContainsFunc(r.where, func(w whereColumn) bool { return w.column == i })
		if !read && h.roles[i] == noRole && !h.otherActions[i] && !slices.Contains(h.ignore, i) && !slices.Contains(r.keys, i) {
			columns = append(columns, i)
		}
	}
	return columns
}

// refuseSettled refuses a row that would be issued and in which a cell that is not read says nothing but that nobody is to pay.
// What is left of an amount is due whatever such a cell says, and results have columns of their own.
func (r *Reader) refuseSettled(row *Row) {
	if row.Action != Issue || row.Skip != "" || row.Invalid() && !row.OnlyLacks() || r.told != nil || r.amountAt >= 0 && r.header.roles[r.amountAt] == outstanding {
		return
	}
	for _, i := range r.unread {
		cell := row.Cells[i]
		if len(cell) < len("취소") || len(cell) > mostSettled {
			continue
		}
		if word := clean(cell); settledCells[strings.ToLower(strings.ReplaceAll(word, " ", ""))] {
			row.Problems = append(row.Problems, Problem{Code: ActionUnknown, Column: i + 1, Header: oneLine(r.header.names[i]), Text: word,
				Message: say.NewMessage("what stands here may mean that nobody is to pay; leave such rows out with --where, or give --ignore for the column if it means something else")})
			return
		}
	}
}

// stillDue returns an *Error if a column tells which rows are paid or cancelled, and no option says which of them are to be
// paid. What is left of an amount is due whatever such a column says.
func (h header) stillDue(mapped []Mapped, o Options) error {
	at := find(mapped, "amount")
	which := slices.Index(h.roles, state)
	switch {
	case which < 0, h.result, has(mapped, "imp_uid"), at < 0 && o.Set["amount"] == "", at >= 0 && h.roles[mapped[at].Column-1] == outstanding:
		return nil
	}
	for _, w := range o.Where {
		if i, err := h.column("--where", w.Header); err == nil && h.roles[i] == state {
			return nil
		}
	}
	name := told(h.names[which])
	return h.failed(say.Messagef("“%s” may tell which rows are paid already or cancelled, and an account would be issued for all of them", name),
		say.Messagef("--where '%s=VALUE' takes only the rows that are still to be paid, and an empty VALUE those where nothing stands; --ignore '%s' if all of them are", name, name))
}

// money is what a text says of the amounts: how many won make one unit, or which foreign currency they are in. Neither if it
// says nothing.
type money struct {
	unit    int64
	foreign string
}

var wonNames = []string{"원", "원화", "krw", "won", "₩", "￦", `\`, "한국원", "대한민국원", "한화", "원(krw)", "krw(원)", "koreanwon", "410"}

// foreignNames are signs and names of other currencies, and what is no amount at all.
var foreignNames = regexp.MustCompile(`[$€¥£￥￡฿₫₽₹円元%％]|달러|유로|엔화|위안|파운드|외화|퍼센트`)

// unitInDigits is a unit such as 1,000원.
var unitInDigits = regexp.MustCompile(`^(1[0,]*)(?:원|₩|￦|krw|won)$`)

// moneyOf reads a currency or a unit: 천원, 천 원, 1,000원, USD, ₩.
func moneyOf(text string) money {
	word := strings.ToLower(strings.Join(strings.Fields(text), ""))
	switch digits := unitInDigits.FindStringSubmatch(word); {
	case word == "":
	case digits != nil && len(digits[1]) < len("1,000,000,000"):
		unit, _ := strconv.ParseInt(strings.ReplaceAll(digits[1], ",", ""), 10, 64)
		return money{unit: unit}
	case slices.Contains(wonNames, word):
		return money{unit: 1}
	case moneyUnits[word] > 0:
		return money{unit: moneyUnits[word]}
	case foreignNames.MatchString(word), currencies[word]:
		return money{foreign: text}
	}
	return money{}
}

// otherWords are codes of currencies that are also words, such as sizes and countries.
var otherWords = []string{"all", "bob", "cup", "gel", "mop", "pen", "ron", "sos", "top", "try", "us", "불", "元"}

// namesMoney reports a cell that says nothing but a currency or a unit, and whether that is surely not won.
func namesMoney(cell string) (names, foreign bool) {
	word := strings.ToLower(strings.Join(strings.Fields(cell), ""))
	known := slices.Contains(wonNames, word) || moneyUnits[word] > 0 || currencies[word] || foreignNames.FindString(word) == word
	if word == "" || !known || strings.ContainsAny(word, "0123456789%％") {
		return false, false
	}
	return true, moneyOf(word).unit != 1 && !slices.Contains(otherWords, word)
}

func set(list string) map[string]bool {
	all := make(map[string]bool)
	for name := range strings.FieldsSeq(list) {
		all[name] = true
	}
	return all
}

var (
	inBrackets   = regexp.MustCompile(`[(\[{（［<【]\s*([^()\[\]{}（）［］<>【】]*?)\s*[)\]}）］>】]`)
	unitTitle    = regexp.MustCompile(`단위\s*[:：=은는]?\s*[(\[]?\s*([^;:()\[\]]+)`)
	unitWord     = regexp.MustCompile(`^((?:1[0,]*|[십백천만억]+)\s*(?:원|₩|￦|(?i:krw|won))?)(?:$|[^\pL\d])`) // a gap may stand before 원
	currencyLine = regexp.MustCompile(`(?i)(?:currency|통화|화폐|환종)\s*(?:코드|단위|code)?\s*[:：]?\s*\(?([^\s,;:()\[\]]+)`)
)

// titledUnit reads what stands behind the word 단위. There 천 is 천원.
func titledUnit(text string) money {
	if unit := unitWord.FindStringSubmatch(text); unit != nil {
		if m := moneyOf(unit[1]); m != (money{}) {
			return m
		}
		return moneyOf(unit[1] + "원")
	}
	if end := strings.IndexFunc(text, func(c rune) bool { return c == ',' || unicode.IsSpace(c) }); end >= 0 {
		text = text[:end]
	}
	return moneyOf(text)
}

// headerMoney is what a header says of its own amounts, in brackets or by a sign: Amount ($), 금액(천원).
func headerMoney(name string) money {
	if len(name) > maxName {
		return money{} // it is no header
	}
	for _, group := range inBrackets.FindAllStringSubmatch(name, -1) {
		m := moneyOf(group[1])
		if unit := unitTitle.FindStringSubmatch(group[1]); unit != nil {
			m = titledUnit(unit[1])
		}
		if m != (money{}) {
			return m
		}
	}
	if sign := foreignNames.FindString(name); sign != "" {
		return money{foreign: sign}
	}
	return money{}
}

// titleMoney is what a line above the rows says of all amounts: (단위: 천원), Currency: USD.
func titleMoney(cells []string) money {
	line := strings.Join(cells, " ")
	if found := unitTitle.FindStringSubmatch(line); found != nil {
		if m := titledUnit(found[1]); m != (money{}) {
			return m
		}
	}
	if found := currencyLine.FindStringSubmatch(line); found != nil {
		if m := moneyOf(found[1]); m != (money{}) {
			return m
		}
	}
	for _, cell := range cells {
		if word := strings.Trim(clean(cell), "()[]（）"); word != clean(cell) {
			if m := moneyOf(word); m != (money{}) {
				return m
			}
		}
	}
	return money{}
}

// noteMoney is what a line below the rows says of all amounts. A share (10%) and a price in brackets are no currency there.
func noteMoney(cells []string) money {
	says := titleMoney(cells)
	if strings.ContainsAny(says.foreign, "0123456789%％") {
		return money{}
	}
	return says
}

// readTitles reads up to the header's end, keeps what the lines above it say of the amounts, and returns the first cell of
// each.
func (h *header) readTitles(scan *scanner) (titles []string, err error) {
	for n := range h.record + 1 {
		r, err := scan.read()
		if err != nil {
			return nil, err
		}
		if title, _ := firstCell(r.cells); title != "" && n < h.record {
			titles = append(titles, title)
		}
		if n < h.record && h.readsLikeRow(r.cells) {
			return nil, &Error{Path: h.path, Line: r.line, Message: say.Messagef("reads like a row, and stands above the header on line %d, where no row is read", h.line),
				Hint: say.NewMessage("move the header to the top of the file, or take the line out of it")}
		}
		if says := titleMoney(r.cells); says != (money{}) && r.line <= h.line-len(h.lines) {
			h.money, h.moneyLine, h.moneyText = says, r.line, strings.TrimSpace(strings.Join(r.cells, " "))
		}
	}
	return titles, nil
}

// readsLikeRow reports a line with an order number, an amount and more than half of the cells that the header names, as there
// is above a header that was sorted with its rows.
func (h *header) readsLikeRow(cells []string) bool {
	if _, kind := isTotal(cells, nil); kind != noTotal {
		return false
	}
	at := indexes(cells)
	var order, amount bool
	for _, i := range at {
		if i >= len(h.names) {
			return false
		}
		m, _ := h.meaning(i)
		switch m.field {
		case "merchant_uid", "imp_uid":
			order = true
		case "amount":
			_, code := ParseAmount(clean(cells[i]))
			amount = amount || code == ""
		}
	}
	return order && amount && len(at) > 2 && 2*len(at) > len(indexes(h.names))
}

// settled returns an *Error if something in the header or above it speaks against the way the amounts and order numbers are
// read.
func (h header) settled(mapped []Mapped, o Options) error {
	if err := h.inWon(mapped, o); err != nil {
		return err
	}
	if err := h.stillDue(mapped, o); err != nil {
		return err
	}
	return h.oneBill(mapped)
}

// inWon returns an *Error if the column of the amounts, or else a title, says that they are counted in something else than
// won, and the user has not said what they are counted in.
func (h header) inWon(mapped []Mapped, o Options) error {
	at := find(mapped, "amount")
	if at < 0 || o.Unit != 0 {
		return nil
	}
	line, says, text := h.line, headerMoney(mapped[at].Header), told(mapped[at].Header)
	if says == (money{}) {
		line, says, text = h.moneyLine, h.money, told(h.moneyText)
	}
	switch {
	case says.foreign != "":
		return &Error{Path: h.path, Line: line, Message: say.Messagef("“%s” says that the amounts are not in won", text),
			Hint: say.NewMessage("--map amount=HEADER for a column in won, or --unit won if they are in won all the same")}
	case says.unit > 1:
		return &Error{Path: h.path, Line: line, Message: say.Messagef("“%s” says that the amounts are not in single won", text),
			Hint: say.Messagef("--unit %d reads 1 as %d won; --unit won takes them as they stand", says.unit, says.unit)}
	}
	return nil
}

// currencyColumns are the indexes of the columns that name each row's currency; none if the amount's own name says won.
func (h header) currencyColumns(mapped []Mapped) (columns []int) {
	local := false // SAP has the currency of the document, and of the company
	for _, m := range mapped {
		if m.Field == "amount" && (headerMoney(m.Header).unit == 1 || strings.Contains(m.Header, "원화")) {
			return nil
		}
		local = local || m.Field == "amount" && strings.Contains(h.folded[m.Column-1], "local")
	}
	for i, r := range h.roles {
		if r == currency && (!local || strings.HasPrefix(h.folded[i], "l")) {
			columns = append(columns, i)
		}
	}
	return columns
}
