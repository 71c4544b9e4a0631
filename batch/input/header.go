package input

import (
	"cmp"
	"io"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// columns are the cells of a row by the API's name of their field, as gocsv fills them in. All are text: gocsv reads
// 010 as 8 into an integer, and nothing at all as 0.
type columns struct {
	Action                     string `csv:"action"`
	ImpUID                     string `csv:"imp_uid"`
	MerchantUID                string `csv:"merchant_uid"`
	Amount                     string `csv:"amount"`
	VbankCode                  string `csv:"vbank_code"`
	VbankDue                   string `csv:"vbank_due"`
	VbankHolder                string `csv:"vbank_holder"`
	Name                       string `csv:"name"`
	BuyerName                  string `csv:"buyer_name"`
	BuyerEmail                 string `csv:"buyer_email"`
	BuyerTel                   string `csv:"buyer_tel"`
	BuyerAddr                  string `csv:"buyer_addr"`
	BuyerPostcode              string `csv:"buyer_postcode"`
	PG                         string `csv:"pg"`
	ChannelKey                 string `csv:"channel_key"`
	Tier                       string `csv:"tier"`
	NoticeURL                  string `csv:"notice_url"`
	CustomData                 string `csv:"custom_data"`
	VbankNum                   string `csv:"vbank_num"`
	VbankKey                   string `csv:"vbank_key"`
	ProductType                string `csv:"product_type"`
	BusinessRegistrationNumber string `csv:"business_registration_number"`
	TaxFree                    string `csv:"tax_free"`
	VatAmount                  string `csv:"vat_amount"`
	ProductCount               string `csv:"product_count"`
	EscrowPassword             string `csv:"escrow_password"`
	FixedUnlimitedVbank        string `csv:"fixed_unlimited_vbank"`
}

// fields are the names in columns, in its order.
var fields = func() (names []string) {
	for f := range reflect.TypeFor[columns]().Fields() {
		names = append(names, f.Tag.Get("csv"))
	}
	return names
}()

// aliases are the headers people's programs write, by field. Those behind the bar count only where none before it is
// there. Headers such as 공급가액, 배송비, 환불은행, 입금계좌 or 주문일자 mean something else and stand nowhere here.
var aliases = map[string]string{
	"action":         "처리 작업",
	"merchant_uid":   "order_id orderno ordernumber 주문번호 청구번호 고지번호 전표번호 문서번호 계약번호 접수번호 관리번호 일자-no | 상품주문번호",
	"amount":         "청구금액 청구액 입금금액 입금액 입금예정금액 결제금액 총결제금액 결제예정금액 납부금액 납부할금액 납기내금액 합계금액 합계 총금액 총액 변경금액 원화금액 원화합계 원화환산금액 | 금액 잔액 미수금",
	"vbank_code":     "bank bank_code 은행 은행명 은행코드 입금은행 가상계좌은행",
	"vbank_due":      "due due_date netduedate 입금기한 입금마감일 납부기한 납부마감일 납기일 마감일 만료일 지급기한 변경입금기한 납기내기한",
	"vbank_holder":   "예금주 예금주명 계좌주",
	"name":           "order_name 주문명 품목명 품목명(요약) 주문상품명 주문상품명(옵션포함) 품명 상품명 청구내용",
	"buyer_name":     "주문자 주문자명 주문자이름 구매자명 구매자 고객명 거래처명 거래처 상호 회사명 회원명 성명 이름 학생명 납부자명 납부자성명 세대주 입주자명 임차인 임차인명 원생명 수강생명 customername billingname",
	"buyer_tel":      "주문자핸드폰번호 주문자휴대폰번호 주문자휴대전화 주문자연락처 구매자연락처 구매자휴대폰 구매자전화번호 학부모연락처 휴대폰번호 휴대폰 휴대전화 핸드폰번호 mobile 연락처 phone | 전화번호",
	"buyer_email":    "주문자e-mail 주문자이메일 email e-mail 이메일 메일 customeremail",
	"buyer_addr":     "주문자주소 주소",
	"buyer_postcode": "우편번호",
	"imp_uid":        "포트원거래번호 거래고유번호",
	"vbank_num":      "고정계좌번호 전용계좌번호 가상계좌번호",
	"vbank_key":      "고객키 계좌고유키",
}

// meaning is the field that a header stands for; a lower rank goes before a higher one.
type meaning struct {
	field string
	rank  int // 0 the API's own name, 1 an alias, 2 a weak one
	order int // of the names of one rank
}

// describe are the fields that only describe an order: of two columns that can be one of them, the name that stands first in
// aliases is taken, and of two columns with the same name neither.
var describe = []string{"name", "buyer_name", "buyer_tel", "buyer_email", "buyer_addr", "buyer_postcode"}

const (
	foreignRank = 3 // of a name that says itself that the amounts are not in single won
	answerRank  = 4 // of what a results file repeats
)

var meanings = func() map[string]meaning {
	m := make(map[string]meaning)
	for _, field := range fields {
		strong, weak, _ := strings.Cut(aliases[field], "|")
		for i, name := range strings.Fields(weak) {
			m[fold(name)] = meaning{field, 2, i}
		}
		for i, name := range strings.Fields(strong) {
			m[fold(name)] = meaning{field, 1, i}
		}
		m[fold(field)] = meaning{field, 0, 0}
	}
	return m
}()

// outcomes are the columns of a results file that say what became of a row. Read back as input they mean nothing: an
// imp_uid among them does not make an update of the row.
var outcomes = []string{"line", "status", "error_code", "error_message", "imp_uid", "vbank_num", "vbank_name", "pg_provider", "issued_at", "attempts"}

// answers are those that repeat what the row asked for, or what the API made of it. They are read where the file's
// own columns say nothing.
var answers = []string{"action", "merchant_uid", "amount", "vbank_code", "vbank_holder", "vbank_due"}

// remarks are what stands in brackets behind a header and does not change its meaning.
var remarks = []string{"필수", "선택", "부가세포함", "vat포함", "세금포함", "vatincluded", "vatincl", "incl.vat"}

// fold makes two spellings of a header equal: beside what pg.Fold takes away, units and currencies in brackets do not count
// (headerMoney reads them), nor does (필수).
func fold(header string) string {
	if len(header) > maxName {
		return "" // it is no header
	}
	text := strings.Join(strings.Fields(norm.NFKC.String(header)), "")
	if !strings.ContainsAny(text, "([{<【") {
		return pg.Fold(text) // nearly all there is
	}
	return pg.Fold(inBrackets.ReplaceAllStringFunc(text, func(group string) string {
		word := strings.ToLower(inBrackets.FindStringSubmatch(group)[1])
		if slices.Contains(remarks, word) || headerMoney(group) != (money{}) {
			return ""
		}
		return group
	}))
}

// Mapped says which column a field is read from.
type Mapped struct {
	Field  string
	Header string
	Column int // from 1
	Answer int // the column in which a results file repeats the field, for rows whose own is empty; 0 without one
}

// header is the line that names the columns, or the two lines, and what the options make of it.
type header struct {
	path   string
	line   int
	record int // how many records stand before it
	titles int // how many of those are not blank
	names  []string
	folded []string
	roles  []role
	ignore []int      // columns of Options.Ignore, which mean nothing
	groups bool       // a group above some column changes what its name means
	splits bool       // a name of the amount stands above several columns
	parts  []int      // those columns, where none of them is their total
	lines  [][]string // the names as they stand, line by line
	result bool       // of a results file
	torn   bool       // not readable as CSV

	money        money // what the lines above say of all amounts,
	moneyLine    int   // on this line,
	moneyText    string
	otherActions map[int]bool // columns that are called an action and hold something else
}

func newHeader(path string, r record) header {
	h := header{path: path, line: r.line, torn: r.torn}
	for _, cell := range r.cells {
		h.names = append(h.names, clean(strings.TrimPrefix(cell, bom)))
	}
	h.lines = [][]string{h.names}
	h.folded = make([]string, len(h.names))
	for i, name := range h.names {
		h.folded[i] = fold(name)
	}
	h.mark()
	return h
}

// mark finds out whether the header is that of a results file.
func (h *header) mark() {
	marks := 0 // any two will do, as people take columns out, but a billing table has line and status too
	own := h.withoutReasons()
	for _, name := range []string{"line", "status", "error_code", "error_message", "vbank_name", "pg_provider", "issued_at", "attempts"} {
		if slices.Contains(own, name) {
			marks++
		}
	}
	h.result = marks > 2 || marks == 2 && !(slices.Contains(own, "line") && slices.Contains(own, "status") && !slices.Contains(own, "imp_uid"))
}

// setRoles finds what each column is for. The API's own names, but amount, are what they say.
func (h *header) setRoles() {
	h.roles = make([]role, len(h.names))
	for i, name := range h.names {
		if name == "amount" || !slices.Contains(fields, name) {
			h.roles[i] = roleOf(h.folded[i])
		}
	}
}

// hasReasons reports a file of rows that an earlier run did not do.
func (h header) hasReasons() bool { return len(h.withoutReasons()) < len(h.names) }

// withoutReasons are the names without error_code and error_message at their end, which stand there where rows that
// failed were written to a file of their own: that file is read as the one it was made of.
func (h header) withoutReasons() []string {
	own := h.names
	for len(own) > 0 && own[len(own)-1] == "" {
		own = own[:len(own)-1]
	}
	if n := len(own) - 2; n >= 0 && own[n] == "error_code" && own[n+1] == "error_message" {
		return own[:n]
	}
	return h.names
}

// under joins a header of several lines, as merged cells leave it: a column is called what either line says, or both together
// where that is a known name (납기내 above 금액) or where the group above changes what the lower one means (환불 above 합계금액),
// else what the lower one says.
func (h header) under(upper header) header {
	joined := h
	joined.titles, joined.lines = upper.titles, append(slices.Clone(upper.lines), h.names)
	joined.names = make([]string, max(len(upper.names), len(h.names)))
	joined.folded = make([]string, len(joined.names))
	copy(joined.names, h.names)
	copy(joined.folded, h.folded)
	group, folded := "", "" // the same, folded
	for i, below := range joined.names {
		above := ""
		if i < len(upper.names) {
			above = upper.names[i]
		}
		if above != "" || below == "" {
			group, folded = above, "" // it goes on over the columns to its right that it does not name
			if above != "" {
				folded = upper.folded[i]
			}
		}
		switch {
		case below == "":
			joined.names[i], joined.folded[i] = above, folded
			continue
		case group == "":
			continue
		}
		name := below
		nearest := group[strings.LastIndexByte(group, ' ')+1:] // of groups in two lines
		if _, known := meanings[fold(nearest+below)]; known {
			name = nearest + " " + below
		} else if changes(group, folded, h.folded[i]) {
			name, joined.groups = group+" "+below, true
		} else if slices.Contains(h.names[:i], below) || slices.Contains(h.names[i+1:], below) {
			name = group + " " + below
		}
		if name != below {
			joined.names[i], joined.folded[i] = name, fold(name)
		}
	}
	joined.divide(h, upper)
	joined.mark()
	return joined
}

// divide finds a name of the amount above several columns, as a merged cell leaves it: 납부금액 above 수강료 and 교재비. Their total, if
// there is one, is the amount, unless another of them is one by its own name: that is asked.
func (h *header) divide(lower, upper header) {
	for first, name := range upper.folded {
		title := first == 0 && len(indexes(upper.names)) == 1
		if meanings[name].field != "amount" || title || first >= len(lower.names) || lower.names[first] == "" {
			continue
		}
		behind := slices.IndexFunc(upper.names[first+1:], func(name string) bool { return name != "" })
		if behind >= 0 {
			if _, code := ParseAmount(upper.names[first+1+behind]); code == "" {
				continue // the line sums the rows up: 총액, and how much that is
			}
		}
		var parts []int
		sum, named := -1, false
		for i := first; i < len(lower.names) && (i == first || i >= len(upper.names) || upper.names[i] == ""); i++ {
			if field := meanings[lower.folded[i]].field; field != "" && field != "amount" || freeText.MatchString(lower.folded[i]) {
				break // it is beside the merged cell
			}
			if lower.names[i] != "" {
				parts = append(parts, i)
			}
			for _, r := range []role{roleOf(lower.folded[i]), roleOf(h.folded[i])} {
				if r == total || r == bareTotal {
					sum = i
				}
			}
			named = named || namesAmount(lower.folded[i], h.folded[i])
		}
		if len(parts) < 2 || !lower.namesParts(parts) {
			continue
		}
		h.splits = true
		if sum < 0 && !named {
			h.parts = append(h.parts, parts...)
			continue
		}
		for _, i := range parts {
			if meanings[lower.folded[i]].field == "amount" {
				h.names[i], h.folded[i] = lower.names[i], lower.folded[i]
			}
		}
		if sum >= 0 && (roleOf(name) != someAmount || meanings[lower.folded[sum]].field != "amount") { // 합계 says more than 금액 above it
			h.names[sum], h.folded[sum] = upper.names[first], name // known, so that files made of this one are read as it is
		}
	}
}

// namesAmount reports a column below a name of the amount that is the whole amount by its own name, and no part of it: 납기내, and
// 결제금액 below 금액, which changes nothing. Both names are folded: that of the lower line alone, and with the group above.
func namesAmount(below, joined string) bool {
	if r := roleOf(below); r != payable {
		return meanings[joined].field == "amount" && r != someAmount && r != deposited
	}
	return true
}

// namesParts reports whether a line can name the parts of an amount, and is no row: it has no amount there, and no digit beside it.
func (h header) namesParts(parts []int) bool {
	for i, name := range h.names {
		numbered := strings.ContainsAny(name, "0123456789")
		if !slices.Contains(parts, i) {
			if numbered {
				return false
			}
			continue
		}
		if _, code := ParseAmount(name); numbered && code != AmountInvalid || placeholder(name) || unitWords[strings.ToLower(name)] {
			return false
		}
	}
	return true
}

// neutralNames are groups of columns that do not change what those below them mean.
var neutralNames = `주문 주문정보 주문내역 주문자 주문자정보 구매자 구매자정보 결제 결제정보 결제내역 청구 청구정보 청구내역 납부 납부정보 납부내역 고지 고지내역 부과 부과내역
		고객 고객정보 회원 회원정보 거래처 거래처정보 기본정보 가상계좌 가상계좌정보 입금 입금정보 상품 상품정보 계약 계약정보 금액 금액정보 판매 판매내역 매출 매출내역
		관리비 수업료 수강료 교육비 원비 회비 임대료 월세 요금 대금 사용료 이용료
		원화 원화금액 krw
		order orderinfo customer buyer payment invoice billing virtualaccount 원 단위원`

var neutral = set(neutralNames)

// changes reports whether a group above a name, both folded, may change what it means: 금액 and 은행 under 환불.
func changes(group, folded, below string) bool {
	m, known := meanings[below]
	if folded == "" && headerMoney(group).unit == 1 {
		return false // (단위: 원) above the first column is said of all
	}
	return known && !neutral[folded] && slices.Contains([]string{"amount", "vbank_code", "vbank_due", "vbank_holder", "vbank_num", "merchant_uid", "imp_uid"}, m.field)
}

// sufficient reports whether rows can stand under the header: it names amounts, and what they are for.
func (h header) sufficient() bool {
	var amount, order bool
	for i := range h.folded {
		m, ok := h.meaning(i)
		amount = amount || ok && m.field == "amount"
		order = order || ok && (m.field == "merchant_uid" || m.field == "imp_uid")
	}
	return amount && order
}

// meaning is that of column i by its name. What a results file adds goes behind everything else.
func (h header) meaning(i int) (meaning, bool) {
	m, ok := meanings[h.folded[i]]
	if strings.Contains(h.names[i], lost) || m.field == "action" && h.otherActions[i] {
		return meaning{}, false
	}
	if slices.Contains(h.ignore, i) {
		return meaning{}, false
	}
	if ok && m.field == "amount" {
		if says := headerMoney(h.names[i]); says.foreign != "" || says.unit > 1 {
			m.rank = foreignRank
		}
	}
	if ok && h.result && m.rank == 0 {
		if slices.Contains(outcomes, m.field) && h.names[i] == m.field {
			return meaning{}, false
		}
		if slices.Contains(answers, m.field) && h.names[i] == m.field { // Amount is the file's own
			m.rank = answerRank
		}
	}
	return m, ok
}

// score is how many fields, and columns that the options name, are recognised.
func (h header) score(o Options) (n int) {
	asked := make(map[string]bool)
	for _, name := range o.Map {
		asked[fold(name)] = true
	}
	for _, w := range o.Where {
		asked[fold(w.Header)] = true
	}
	for _, part := range strings.Split(o.Key, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		asked[fold(name)] = true
	}
	fields := make(map[string]bool)
	for i, name := range h.folded {
		if m, ok := h.meaning(i); ok {
			fields[m.field] = true
		} else if name != "" && asked[name] {
			n++
		}
	}
	if h.groups || h.splits {
		n++
	}
	if h.splits {
		fields["amount"] = true
	}
	return n + len(fields)
}

const (
	headerLines = 100     // the header is among so many lines that are not blank,
	headerUntil = 100_000 // and among so many in all
	maxColumns  = 1 << 14 // Excel's own limit
	maxName     = 1000    // bytes
)

// findHeader tries each separator and takes the line on which most columns are recognised.
func (f *File) findHeader(encoding string, o Options) (header, rune, error) {
	commas := []rune{',', '\t', ';', '|'}
	if o.Delimiter != 0 {
		commas = []rune{o.Delimiter}
	}
	search := headerSearch{options: o}
	for _, comma := range commas {
		if err := search.try(f, encoding, comma); err != nil {
			return header{}, 0, err
		}
	}
	if err := search.failure(f.Path); err != nil {
		return header{}, 0, err
	}
	return search.best, search.comma, nil
}

// headerSearch is the search for a file's header, and what it has found so far.
type headerSearch struct {
	options Options
	best    header // most columns are recognised on it,
	comma   rune   // if the file is cut at this separator
	score   int    // of best; 0 without one
	rival   header // the first header above best that rows can stand under, with the same separator; none if names is nil
	opening header // the first line, by the separator that makes most columns of it
}

// try looks for the header among the first lines as one separator cuts them.
func (s *headerSearch) try(f *File, encoding string, comma rune) error {
	scan := f.scan(encoding, comma)
	scan.src.until = headerUntil
	var above []header // the lines right before, of which up to two may belong to the header
	var rival header   // see headerSearch
	lines, blanks := 0, 0
	for n := 0; lines < headerLines; n++ {
		r, err := scan.read()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if scan.src.blank > blanks || blank(r.cells) {
			above, blanks = nil, scan.src.blank
		}
		if blank(r.cells) {
			continue
		}
		lines++
		if len(r.cells) > maxColumns {
			if lines == 1 {
				s.opening = header{path: f.Path, line: r.line, names: make([]string, len(r.cells))}
			}
			above = nil
			continue
		}
		h := newHeader(f.Path, r)
		h.record, h.titles = n, lines-1
		if lines == 1 && len(h.names) > len(s.opening.names) {
			s.opening = h
		}
		if !h.torn {
			s.consider(h, above, r.cells, comma, rival)
			if rival.names == nil && h.sufficient() {
				rival = h
			}
		}
		if above = append(above, h); len(above) > 2 {
			above = above[1:]
		}
	}
	return nil
}

// consider takes a line as the best, by itself or with one or two above it, if more columns are recognised so.
func (s *headerSearch) consider(h header, above []header, cells []string, comma rune, rival header) {
	if score := h.score(s.options); score > s.score && (score >= 2 || h.titles == 0) {
		s.best, s.comma, s.score, s.rival = h, comma, score, rival
	}
	columns := len(h.names)
	for _, upper := range above {
		columns = max(columns, len(upper.names))
	}
	if columns+1 <= s.score { // no more can be recognised
		return
	}
	_, kind := isTotal(cells, nil)
	for n := 1; n <= len(above); n++ {
		joined := above[len(above)-n]
		for _, lower := range append(slices.Clone(above[len(above)-n+1:]), h) {
			joined = lower.under(joined)
		}
		if score := joined.score(s.options); score > s.score && (kind == noTotal || joined.splits) {
			if slices.ContainsFunc(above, func(h header) bool { return h.line == rival.line }) {
				rival = header{}
			}
			s.best, s.comma, s.score, s.rival = joined, comma, score, rival
		}
	}
}

// failure says why there is no header, or more than one.
func (s *headerSearch) failure(path string) error {
	opening := s.opening
	switch {
	case opening.names == nil:
		return &Error{Path: path, Message: say.NewMessage("is empty")}
	case s.score == 0 && opening.torn:
		return opening.failed(say.NewMessage("a quotation mark is opened and never closed"), say.NewMessage("remove it, or export the file again"))
	case s.score == 0 && len(opening.names) > maxColumns:
		return opening.failed(say.Messagef("the line has %d columns, more than %d", len(opening.names), maxColumns), "")
	case s.score == 0:
		hint := say.NewMessage("the header must name at least the order number and the amount; give unusual names with --map FIELD=HEADER")
		if opening.onlyNames() {
			hint = say.Messagef("if line %d is the header, say which of %s are the order number and the amount: --map merchant_uid=HEADER --map amount=HEADER", opening.line, opening.list())
		}
		return opening.failed(say.Messagef("no header was found in the first %d lines", headerLines), hint)
	case s.rival.names != nil && s.rival.line != s.best.line:
		return s.best.failed(say.Messagef("is another header than the one on line %d", s.rival.line), say.NewMessage("files with different columns cannot be read as one; run each on its own"))
	}
	return nil
}

// onlyNames reports whether a line can be told as a header: three cells at least, none with a digit in it. Other lines may be
// people's data, and are not repeated.
func (h header) onlyNames() bool {
	filled := slices.DeleteFunc(slices.Clone(h.names), func(name string) bool { return name == "" })
	return len(filled) >= 3 && !slices.ContainsFunc(filled, func(name string) bool { return strings.ContainsAny(name, "0123456789@") })
}

func (h header) failed(message, hint say.Message) *Error {
	return &Error{Path: h.path, Line: h.line, Message: message, Hint: hint}
}

// list names the headers that are there.
func (h header) list() say.Message {
	const most = 40
	var names []say.Message
	for _, name := range h.names {
		if name != "" {
			names = append(names, say.Message("“"+told(name)+"”"))
		}
	}
	if len(names) > most {
		names = append(names[:most], say.Messagef("and %d more", len(names)-most))
	}
	return say.Join(names, ", ")
}

// column finds the one column that a person means by name: the same text, else the same when folded.
func (h header) column(flag, name string) (int, error) {
	name = clean(name)
	for _, c := range []struct {
		in   []string
		name string
	}{{h.names, name}, {h.folded, fold(name)}} {
		i := slices.Index(c.in, c.name)
		if i < 0 || c.name == "" {
			continue
		}
		if j := slices.Index(c.in[i+1:], c.name); j >= 0 {
			return 0, h.failed(say.Messagef("%s names “%s”, and columns %d and %d are both called so", flag, name, i+1, i+j+2), say.NewMessage("rename one of them in the file"))
		}
		return i, nil
	}
	return 0, h.failed(say.Messagef("%s names “%s”, and there is no such column among %s", flag, name, h.list()), say.NewMessage("write the header as it stands in the file"))
}

// mapping decides which column each field is read from: Options.Map first, then the names.
func (h header) mapping(o Options) ([]Mapped, error) {
	for field := range o.Map {
		if !slices.Contains(fields, field) {
			return nil, h.failed(say.Messagef("--map %s names no field", field), say.Messagef("the fields are %s", strings.Join(fields, ", ")))
		}
	}
	var mapped []Mapped
	if o.Unread {
		return nil, nil
	}
	taken := make(map[int]bool) // what the user has given a meaning has no other
	for _, field := range fields {
		name, ok := o.Map[field]
		if !ok {
			continue
		}
		i, err := h.column("--map "+field, name)
		if err != nil {
			return nil, err
		}
		if h.result && h.names[i] == field && slices.Contains(outcomes, field) { // of a profile for the file that was run first
			anyName := o
			anyName.OnlyMapped = false
			if own, err := h.byName(field, taken, anyName); err != nil {
				return nil, err
			} else if own.Column > 0 {
				i = own.Column - 1
			}
		}
		taken[i] = true
		m := Mapped{Field: field, Header: oneLine(h.names[i]), Column: i + 1}
		for j := range h.names {
			if found, ok := h.meaning(j); ok && found.field == field && found.rank == answerRank && j != i {
				m.Answer = j + 1
			}
		}
		mapped = append(mapped, m)
	}
	for _, field := range fields {
		if _, ok := o.Map[field]; ok || field == "merchant_uid" && o.Key != "" {
			continue
		}
		m, err := h.byName(field, taken, o)
		if err != nil {
			return nil, err
		}
		if m.Column > 0 {
			mapped = append(mapped, m)
		}
	}
	slices.SortStableFunc(mapped, func(a, b Mapped) int { return a.Column - b.Column })
	return mapped, nil
}

// byName finds the column whose name means a field, among those that are not taken; its Column is 0 if there is none. It returns
// an *Error if two fit equally well, or if a neighbour speaks against it.
func (h header) byName(field string, taken map[int]bool, o Options) (Mapped, error) {
	best, other, answer, rank, order := -1, -1, -1, answerRank, 0
	for i := range h.names {
		m, ok := h.meaning(i)
		switch {
		case !ok || m.field != field || taken[i]:
		case m.rank == answerRank:
			answer = i
		case m.rank > rank:
		case m.rank < rank, m.order < order && slices.Contains(describe, field):
			best, other, rank, order = i, -1, m.rank, m.order
		case other < 0 && (!slices.Contains(describe, field) || m.order == order):
			other = i
		}
	}
	if field == "amount" && h.parts != nil && !o.Revoke && o.Set["amount"] == "" {
		return Mapped{}, h.divided(best)
	}
	if other >= 0 && slices.Contains(describe, field) {
		best, other = -1, -1 // two columns of one name, such as the seller's and the buyer's: neither is guessed
	}
	if other >= 0 && h.names[best] == h.names[other] {
		return Mapped{}, h.failed(say.Messagef("columns %d and %d are both called “%s”, which is %s", best+1, other+1, told(h.names[best]), field), say.NewMessage("rename one of them in the file"))
	} else if other >= 0 {
		if h.roles[best] != payable && h.roles[other] != payable { // what stands beside them says more
			if err := cmp.Or(h.doubted(field, best), h.doubted(field, other)); err != nil {
				return Mapped{}, err
			}
		}
		return Mapped{}, h.failed(say.Messagef("both “%s” and “%s” can be %s", told(h.names[best]), told(h.names[other]), field),
			say.Messagef("choose one: --map '%s=%s' or --map '%s=%s'", field, told(h.names[best]), field, told(h.names[other])))
	}
	if o.OnlyMapped && best >= 0 {
		return Mapped{}, h.failed(say.Messagef("the column “%s” is %s by its name, and the profile does not know it", told(h.names[best]), field),
			say.Messagef("if it is right, write the profile anew, or give --map '%s=%s'; the export may have changed", field, told(h.names[best])))
	}
	if best >= 0 && answer < 0 && !o.Revoke {
		if err := h.doubted(field, best); err != nil {
			return Mapped{}, err
		}
	}
	switch {
	case best >= 0 && answer >= 0:
		return Mapped{Field: field, Header: oneLine(h.names[best]), Column: best + 1, Answer: answer + 1}, nil
	case max(best, answer) >= 0:
		return Mapped{Field: field, Header: oneLine(h.names[max(best, answer)]), Column: max(best, answer) + 1}, nil
	}
	return Mapped{}, nil
}

// divided is the *Error for an amount that is divided between columns; sum is one that may be theirs, by another name, -1 without one.
func (h header) divided(sum int) *Error {
	var parts header
	for _, i := range h.parts {
		parts.names = append(parts.names, h.names[i])
	}
	hint := say.NewMessage("add a column with their sum to the file, and name it with --map amount=HEADER; or name the one that alone is to be paid")
	if sum >= 0 {
		hint = say.Messagef("--map 'amount=%s' if it is what is to be paid; else add a column that is, and name it with --map", told(h.names[sum]))
	}
	return h.failed(say.Messagef("the amount is divided between the columns %s, and none of them is called their sum", parts.list()), hint)
}

// find returns the place of a field among those that are mapped, -1 without it.
func find(mapped []Mapped, field string) int {
	return slices.IndexFunc(mapped, func(m Mapped) bool { return m.Field == field })
}

func has(mapped []Mapped, field string) bool { return find(mapped, field) >= 0 }

// lacking returns the fields that no row of the file can be done without and that neither a column nor an option
// gives, and an *Error that says how to give them, by the cells that the columns begin with as far as they are known.
func (h header) lacking(mapped []Mapped, samples [][]string, o Options) (lacking []string, err error) {
	given := func(field string) bool { return o.Set[field] != "" || has(mapped, field) }
	var hints []say.Message
	need := func(field, otherwise string) {
		if given(field) {
			return
		}
		hint := h.mapHint(field, mapped, samples, o)
		if otherwise != "" {
			hint = say.Messagef(otherwise, hint)
		}
		lacking, hints = append(lacking, field), append(hints, hint)
	}
	updates := has(mapped, "imp_uid")
	if o.Key == "" && !updates {
		need("merchant_uid", say.Mark("%s, or --key TEMPLATE such as '{동}-{호}-202611'"))
	}
	switch {
	case given("action"):
	case updates && !given("amount"):
		need("vbank_due", say.Mark("%s, or --map amount=HEADER"))
	case !updates:
		need("amount", "")
		need("vbank_code", say.Mark("--bank, or %s"))
		need("vbank_due", say.Mark("--due, or %s"))
		if !given("channel_key") && (!given("pg") || o.Set["pg"] != "" && pg.RequiresHolder(o.Set["pg"])) {
			need("vbank_holder", say.Mark("--holder, or %s"))
		}
	}
	if lacking == nil {
		return nil, nil
	}
	return lacking, h.failed(say.Messagef("there is no column for %s; the headers are %s", strings.Join(lacking, ", "), h.list()), say.Messagef("give %s", say.Join(hints, "; ")))
}

// outcome is where a results file says what came of a row: the indexes of columns, -1 for one that was taken out.
type outcome struct{ status, impUID, vbankNum, merchantUID int }

// outcome finds them.
func (h header) outcome() outcome {
	return outcome{h.last("status"), h.last("imp_uid"), h.last("vbank_num"), h.last("merchant_uid")}
}

// last finds a column of this program's by its exact name, behind the file's own; -1 without one.
func (h header) last(name string) int {
	for i, n := range slices.Backward(h.names) {
		if n == name {
			return i
		}
	}
	return -1
}

// revocable returns an *Error if the header is not that of results, whose accounts can be taken back.
func (h header) revocable() error {
	if o := h.outcome(); !h.result || o.impUID < 0 || o.status < 0 {
		return h.failed(say.NewMessage("is not a results file: it lacks the columns status, error_code and imp_uid"), say.NewMessage("--revoke takes back what the results of a run say was issued"))
	}
	return nil
}

// blank reports a record with nothing in it.
func blank(cells []string) bool {
	return !slices.ContainsFunc(cells, func(c string) bool { return trim(c) != "" && c != string(controlZ) })
}
