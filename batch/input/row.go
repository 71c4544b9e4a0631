package input

import (
	"cmp"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// Row is one row of the input. Of an update Request holds the order number, the new amount and due date (0 leaves them
// as they are) and the PG; of a revocation the order number and the PG.
type Row struct {
	Line        int      // physical, from 1, where it starts
	Cells       []string // as they stand in the file, as many as the header has
	Action      Action
	Tier        string              // the sub-merchant's; "" without one
	PG          string              // whose rules apply, {PG} or {PG}.{MID}, by channel_key or pg; "" where that is not known
	Request     client.IssueRequest // VbankCode in the form that its PG takes
	Bank        string              // KFTC's code
	ImpUID      string
	IssuedAs    string    // of an issue in a results file: the imp_uid that it came to, says the file, or "an account"
	RelativeDue bool      // the due date was a span from now: no part of what makes two requests the same
	Skip        string    // why the row is not to be done, Filtered, NotIssued or ZeroBalance; such a row has no problems
	Problems    []Problem // in the order of their columns, then those without one
}

// Invalid reports whether a problem keeps the row from being done.
func (r *Row) Invalid() bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return !p.Warning })
}

// OnlyLacks reports whether all that keeps the row from being done is what the whole file lacks.
func (r *Row) OnlyLacks() bool {
	return !slices.ContainsFunc(r.Problems, func(p Problem) bool { return !p.Warning && !p.Everywhere })
}

// row makes a Row of a record: the whole row at once if its cells cannot be told apart, else field by field; and nil
// of a header in other words.
func (r *Reader) row(raw *raw, c *columns) (*Row, error) {
	row := &Row{Line: raw.line, Cells: raw.cells}
	if problem := r.unreadable(raw); problem != nil {
		row.Problems = []Problem{*problem}
		r.tally.add(0, false)
		return row, nil
	}
	before := r.tally
	r.parse(c, row)
	if again, err := r.headerAgain(raw, row); again || err != nil {
		return nil, err
	}
	if problem := r.misplaced(raw, row); problem != nil {
		row.Skip = ""
		row.Problems, row.Request.Amount = []Problem{*problem}, 0
		r.tally.drop(&before)
		return row, nil
	}
	r.sample(row.Cells)
	if !r.revoke && r.cutAtComma(raw) {
		row.Skip, row.Request.Amount = "", 0
		r.tally.drop(&before)
		row.Problems = append(row.Problems, Problem{Code: AmountAmbiguous, Field: "amount", Column: r.amountAt + 1, Header: oneLine(r.header.names[r.amountAt]),
			Message: say.NewMessage("the amount may have been cut in two at its own comma, as in 35,000 without quotation marks; write it in digits alone")})
	}
	for _, w := range r.where {
		cell := clean(row.Cells[w.column])
		if strings.Contains(cell, lost) { // it may have been the value
			row.Problems = append(row.Problems, Problem{Code: TextInvalid, Message: TextInvalid.Meaning(), Column: w.column + 1, Header: oneLine(r.header.names[w.column])})
		} else if cell != w.value {
			row.Skip = Filtered
		}
	}
	r.refuseSettled(row)
	if row.Skip == Filtered {
		r.tally.now.filtered++
		r.tally.now.out += r.tally.now.won - before.now.won
	}
	if row.Skip != "" {
		row.Problems = nil
	}
	r.countGiven(row)
	return row, nil
}

// unreadable returns what keeps the cells of a row from being read at all, or nil.
func (r *Reader) unreadable(raw *raw) *Problem {
	switch {
	case raw.torn:
		return &Problem{Code: UnreadableRow, Message: UnreadableRow.Meaning()}
	case raw.lines > 1 && r.swallowed(raw):
		return &Problem{Code: UnreadableRow, Message: say.Messagef("a cell goes on over %d lines and holds as many separators as a row; look for a quotation mark too many", raw.lines)}
	}
	return nil
}

// headerAgain reports a header in other words, whose name of the amount is none, and returns an error for one that names
// other columns than the file's own.
func (r *Reader) headerAgain(raw *raw, row *Row) (bool, error) {
	if !slices.ContainsFunc(row.Problems, func(p Problem) bool { return p.Code == AmountInvalid }) {
		return false, nil
	}
	if at := r.amountAt; at >= 0 && strings.IndexAny(raw.cells[at], "0123456789") == 0 {
		return false, nil // no name: a look at all cells costs much more
	}
	other := newHeader("", raw.record)
	if !other.sufficient() && !r.namesColumns(other) {
		return false, nil
	}
	if r.sameColumns(other) {
		return true, nil
	}
	return false, &Error{Path: r.header.path, Line: raw.line, Message: say.Messagef("is another header than the one on line %d", r.header.line),
		Hint: say.NewMessage("files with different columns cannot be read as one; run each on its own")}
}

// nameOfSome is how the names of many columns end that nothing is known of.
var nameOfSome = regexp.MustCompile(`^.{2,}(번호|코드|일자|일시|일)$`)

// namesColumns reports a line that names columns, if not those of orders: an amount's name stands where the amounts do, and
// beside it stand other names. One is enough where the line has no digit, as a row would.
func (r *Reader) namesColumns(other header) bool {
	if r.amountAt < 0 || r.amountAt >= len(other.folded) {
		return false
	}
	name := other.folded[r.amountAt]
	if m, ok := meanings[name]; !(ok && m.field == "amount") && roleOf(name) == noRole {
		return false
	}
	names, numbered := 0, false
	for i, name := range other.folded {
		numbered = numbered || strings.ContainsAny(name, "0123456789")
		if i == r.amountAt || name == "" {
			continue
		}
		_, known := meanings[name]
		own := i < len(r.header.folded) && r.header.folded[i] == name
		if known || own || roleOf(name) != noRole || nameOfSome.MatchString(name) {
			names++
		}
	}
	return names > 1 || names == 1 && !numbered
}

// misplaced returns why any cell of a row may stand in another's place, or nil.
func (r *Reader) misplaced(raw *raw, row *Row) *Problem {
	inPlace := r.scan.src.file.Sheet != "" // each cell of a workbook says which column it is in, and empty ones need not stand there
	if raw.width < len(r.header.names) && !inPlace && !r.cutShort(raw, row) {
		return &Problem{Code: ColumnCount, Message: say.Messagef("the row has %d columns, the header %d; look for a separator too few, or, if only its last columns are left out, give --ignore for those", raw.width, len(r.header.names))}
	}
	if raw.width > len(r.header.names) {
		return &Problem{Code: ColumnCount, Message: say.Messagef("the row has %d columns, the header %d; look for a separator too many or too few", raw.width, len(r.header.names))}
	}
	for _, code := range []Code{ColumnCount, UnreadableRow} {
		if !r.revoke && r.refused(raw.cells, code) {
			return &Problem{Code: code, Column: r.reasonAt + 1, Header: oneLine(r.header.names[r.reasonAt]),
				Message: say.NewMessage("the run before could not tell this row's cells apart, so they may stand in the wrong columns or be cut short here; put the row right and empty this cell")}
		}
	}
	return nil
}

// sameColumns reports a header that says the same as the file's own in other words, such as in English below Korean.
func (r *Reader) sameColumns(other header) bool {
	return !slices.ContainsFunc(r.mapped, func(m Mapped) bool {
		if m.Column > len(other.names) {
			return true
		}
		meant, ok := other.meaning(m.Column - 1)
		return !ok || meant.field != m.Field
	})
}

// swallowed reports a cell of several lines that may be other rows, between two quotation marks that do not belong
// together.
func (r *Reader) swallowed(raw *raw) bool {
	for i, cell := range raw.cells {
		line, _, more := strings.Cut(cell, "\n")
		if separators := strings.Count(line, string(r.scan.comma)); more && separators > 0 && i+separators == len(r.header.names)-1 {
			return true // up to the line's end it would be a row
		}
		if more && slices.ContainsFunc(strings.Split(cell, "\n")[1:], r.wholeRow) {
			return true
		}
	}
	return false
}

// wholeRow reports a line within a cell that has as many cells as the header, and an amount among them.
func (r *Reader) wholeRow(line string) bool {
	separator := string(r.scan.comma)
	if r.amountAt < 0 || strings.Count(line, separator) != len(r.header.names)-1 {
		return false
	}
	_, code := ParseAmount(clean(strings.Split(line, separator)[r.amountAt]))
	return code == ""
}

// refused reports whether an earlier run refused the row for this code, says the file. What its cells looked like then
// may not show in this file any more.
func (r *Reader) refused(cells []string, code Code) bool {
	return r.reasonAt >= 0 && slices.Contains(strings.Split(clean(cells[r.reasonAt]), ";"), string(code))
}

// refusedFor reports whether an earlier run refused the row for this code in a column that is read as no field, or does not say in
// which one. Its message begins with the column's name.
func (r *Reader) refusedFor(cells []string, code Code, column int) bool {
	if !r.refused(cells, code) {
		return false
	}
	at, other := r.header.last("error_message"), false
	for i, name := range r.header.names {
		field := slices.ContainsFunc(r.mapped, func(m Mapped) bool { return m.Column-1 == i })
		if at < 0 || name == "" || field || !strings.Contains("; "+clean(cells[at]), "; "+oneLine(name)+": ") {
			continue
		}
		if i == column {
			return true
		}
		other = true
	}
	return !other
}

// cutAtComma reports an amount that may be the first part of one: 35,000 without quotation marks is 35 and 000. Where the
// next column is one that is read, what stands there tells, but a text, such as a name, may be any.
func (r *Reader) cutAtComma(raw *raw) bool {
	at := r.amountAt
	if at < 0 {
		return false
	}
	if amount := clean(raw.cells[at]); len(amount) > 3 || !digits(amount) || amount[0] == '0' {
		return false
	}
	if r.refused(raw.cells, AmountAmbiguous) {
		return true // whatever has become of the other part
	}
	if r.scan.comma != ',' || at+1 >= len(raw.cells) {
		return false
	}
	if rest := clean(raw.cells[at+1]); len(rest) != 3 || !digits(rest) {
		return false
	}
	read := slices.ContainsFunc(r.mapped, func(m Mapped) bool { return m.Column-1 == at+1 && !described[m.Field] })
	return raw.extra || !read
}

// parse fills in a row and says all that is wrong with it.
func (r *Reader) parse(c *columns, row *Row) {
	p := parser{r: r, row: row}
	d := &r.defaults
	req := &row.Request
	if !r.revoke || row.Cells == nil {
		p.action(c)
	} else if !p.takeBack() {
		return
	}
	switch {
	case r.key == nil:
		req.MerchantUID = p.id("merchant_uid", c.MerchantUID, 40)
		p.answer("merchant_uid", func(answer string) bool { return answer == req.MerchantUID })
	case row.Cells != nil:
		req.MerchantUID = p.composed()
	}
	req.PG = p.gateway(p.text("pg", c.PG, d.PG, 0))
	req.ChannelKey = p.text("channel_key", c.ChannelKey, d.ChannelKey, 0)
	row.PG = p.channel()
	row.Tier = p.id("tier", cmp.Or(clean(c.Tier), d.Tier), 0)
	switch row.Action {
	case Issue:
		p.issue(c, d)
	default:
		if req.MerchantUID == "" && row.ImpUID == "" {
			p.add(ImpUIDMissing, "imp_uid", "")
		}
		if row.Action == Update {
			p.update(c)
		}
	}
	p.rules()
	if len(row.Problems) > 1 {
		slices.SortStableFunc(row.Problems, func(a, b Problem) int { return cmp.Compare(uint(a.Column)-1, uint(b.Column)-1) })
	}
}

// parser is a row in the making.
type parser struct {
	r   *Reader
	row *Row
}

// add notes a problem with a field; the text is what stands there.
func (p *parser) add(code Code, field, text string) *Problem {
	problem := Problem{Field: field, Code: code, Message: code.Meaning(), Warning: warnings[code], Everywhere: text == "" && p.r.lacking[field]}
	for _, m := range p.r.mapped {
		if m.Field == field {
			problem.Column, problem.Header = m.Column, m.Header
		}
	}
	if !personal[field] {
		problem.Text = shorten(oneLine(text))
	}
	p.row.Problems = append(p.row.Problems, problem)
	return &p.row.Problems[len(p.row.Problems)-1]
}

func (p *parser) action(c *columns) {
	p.row.ImpUID = p.id("imp_uid", c.ImpUID, 0)
	text := cmp.Or(clean(c.Action), p.r.defaults.Action)
	p.row.Action = Issue
	if p.row.ImpUID != "" || p.r.updates {
		p.row.Action = Update
	}
	if text != "" {
		if action, ok := actionOf(text); ok {
			p.row.Action = action
			if action != Issue && clean(c.Action) != "" && !p.r.actionByUser && p.row.Cells != nil && p.r.refused(p.row.Cells, ActionUnknown) {
				p.add(ActionUnknown, "action", text).Message = say.NewMessage("the run before refused the row for its action; if this is what is to be done, give --map action=HEADER or empty the row's error_code")
			}
		} else {
			p.add(ActionUnknown, "action", text)
		}
	}
	p.notAction()
	if p.r.told == nil || p.row.Cells == nil {
		return
	}
	// Of a change the results' imp_uid is what was asked for; of an issue it is what came of it.
	cell := func(i int) string {
		if i < 0 {
			return ""
		}
		return clean(p.row.Cells[i])
	}
	impUID, status := cell(p.r.told.impUID), cell(p.r.told.status)
	switch {
	case p.row.Action != Issue && p.row.ImpUID == "":
		p.row.ImpUID = p.id("imp_uid", impUID, 0)
	case p.row.Action == Issue && impUID != "":
		p.row.IssuedAs = impUID
	case p.row.Action == Issue && (status == "issued" || status == "already_issued" || cell(p.r.told.vbankNum) != ""):
		p.row.IssuedAs = "an account"
	}
}

// takeBack makes a revocation of a row of results, if that row's account was issued by the run they are of.
func (p *parser) takeBack() bool {
	cells, at := p.row.Cells, p.r.told
	p.row.Action = Revoke
	if clean(cells[at.status]) != "issued" {
		p.row.Skip = NotIssued
		return false
	}
	if p.row.ImpUID = p.id("imp_uid", cells[at.impUID], 0); p.row.ImpUID == "" {
		p.add(ImpUIDMissing, "imp_uid", "").Message = say.NewMessage("the results say issued and name no imp_uid")
	}
	return true
}

func (p *parser) issue(c, d *columns) {
	row, req := p.row, &p.row.Request
	if req.MerchantUID == "" && !slices.ContainsFunc(p.row.Problems, func(p Problem) bool { return p.Field == "merchant_uid" }) {
		problem := p.add(KeyMissing, "merchant_uid", "")
		if problem.Column > 0 && p.r.stood != nil {
			problem.Message = p.r.empty(problem.Column - 1)
		}
	}
	req.FixedUnlimitedVbank = p.flag(cmp.Or(clean(c.FixedUnlimitedVbank), d.FixedUnlimitedVbank))
	p.amount(cmp.Or(clean(c.Amount), d.Amount))
	p.bank(cmp.Or(filled(c.VbankCode), d.VbankCode))
	p.due(cmp.Or(filled(c.VbankDue), d.VbankDue))
	if req.VbankHolder = p.text("vbank_holder", c.VbankHolder, d.VbankHolder, 16); req.VbankHolder == "" && pg.RequiresHolder(row.PG) {
		p.add(HolderMissing, "vbank_holder", "")
	}
	req.Name = p.text("name", c.Name, d.Name, 40)
	req.BuyerName = p.text("buyer_name", c.BuyerName, d.BuyerName, 16)
	req.BuyerEmail = p.text("buyer_email", c.BuyerEmail, d.BuyerEmail, 64)
	req.BuyerTel = p.phone(cmp.Or(filled(oneLine(c.BuyerTel)), d.BuyerTel))
	req.BuyerAddr = p.text("buyer_addr", c.BuyerAddr, d.BuyerAddr, 128)
	req.BuyerPostcode = p.text("buyer_postcode", c.BuyerPostcode, d.BuyerPostcode, 8)
	req.NoticeURL = p.addresses(p.text("notice_url", c.NoticeURL, d.NoticeURL, 0))
	req.CustomData = p.json(cmp.Or(clean(c.CustomData), p.insert(d.CustomData)))
	req.VbankNum = p.id("vbank_num", cmp.Or(clean(c.VbankNum), d.VbankNum), 0)
	req.VbankKey = p.id("vbank_key", cmp.Or(clean(c.VbankKey), d.VbankKey), 13)
	req.ProductType = p.text("product_type", c.ProductType, d.ProductType, 0)
	number := strings.ReplaceAll(cmp.Or(clean(c.BusinessRegistrationNumber), d.BusinessRegistrationNumber), "-", "")
	req.BusinessRegistrationNumber = p.text("business_registration_number", number, "", 10)
	req.TaxFree = p.optional("tax_free", cmp.Or(clean(c.TaxFree), d.TaxFree))
	req.VatAmount = p.optional("vat_amount", cmp.Or(clean(c.VatAmount), d.VatAmount))
	req.ProductCount = p.optional("product_count", cmp.Or(clean(c.ProductCount), d.ProductCount))
	req.EscrowPassword = p.text("escrow_password", c.EscrowPassword, d.EscrowPassword, 0)
}

// update takes no defaults: they would change what the row does not mention.
func (p *parser) update(c *columns) {
	amount, due := clean(c.Amount), filled(c.VbankDue)
	if amount == "" && due == "" {
		p.add(NothingToChange, "", "")
		return
	}
	if amount != "" {
		p.amount(amount)
	}
	if due != "" {
		p.due(due)
	}
}

// amount reads the amount. Nothing to collect is no mistake of an issue: bills have empty flats.
func (p *parser) amount(text string) {
	won, code := ParseAmount(text)
	if p.row.Cells != nil {
		p.r.tally.addRow(p.row.Request.MerchantUID, won, code == "" || code == AmountZero || code == AmountNegative || code == AmountMissing)
	}
	unit := p.unit()
	if code == "" && won > MaxAmount/unit {
		code = AmountTooLarge
	}
	switch {
	case code == "":
		won *= unit
		p.row.Request.Amount = won
		p.foreign()
		p.answer("amount", func(answer string) bool { again, _ := ParseAmount(answer); return again == won })
	case p.row.Request.FixedUnlimitedVbank && (code == AmountZero || code == AmountMissing): // whatever is paid in
	case code == AmountZero && p.row.Action == Issue:
		p.row.Skip = ZeroBalance
	default:
		problem := p.add(code, "amount", text)
		if code == AmountInvalid && inWords(text) {
			problem.Message = say.NewMessage("the amount has words for numbers in it, such as 만 and 천; write it in digits")
		}
	}
}

// unit is how many won make one unit of the row's amount. What --set gives, and what results repeat, is in won.
func (p *parser) unit() int64 {
	at := p.r.amountAt
	if p.r.unit == 1 || p.row.Cells == nil || at < 0 || clean(p.row.Cells[at]) == "" || p.r.header.result && p.r.header.names[at] == "amount" {
		return 1
	}
	return p.r.unit
}

// exchangeRate is the name of a column of rates; that of won is 1, or nothing.
var (
	exchangeRate = regexp.MustCompile(`율$|rate$`)
	rateOfOne    = regexp.MustCompile(`^1(\.0+|,00?)?$`)
)

// foreign refuses an amount whose row names another currency than won, or its rate: of a row that says that it is in won a rate says
// nothing.
func (p *parser) foreign() {
	if p.row.Cells == nil {
		return
	}
	inWon := slices.ContainsFunc(p.r.currencies, func(i int) bool {
		return !exchangeRate.MatchString(p.r.header.folded[i]) && moneyOf(clean(p.row.Cells[i])).unit == 1
	})
	for _, i := range p.r.currencies {
		text := clean(p.row.Cells[i])
		if text == "" || moneyOf(text).unit == 1 {
			continue
		}
		rate := exchangeRate.MatchString(p.r.header.folded[i])
		if won, code := ParseAmount(text); rate && (inWon || won == 1 || code == AmountZero || rateOfOne.MatchString(text)) {
			continue
		}
		header := told(p.r.header.names[i])
		problem := p.add(CurrencyUnsupported, "amount", text)
		problem.Column, problem.Header = i+1, oneLine(p.r.header.names[i])
		problem.Message = say.Messagef("the row is not in won; --where '%s=KRW' leaves such rows out, --ignore '%s' takes the amounts for won all the same", header, header)
		switch {
		case rate:
			problem.Message = say.Messagef("the row has an exchange rate, so its amount may not be in won; --ignore '%s' takes the amounts for won all the same", header)
		case header == "":
			problem.Message = say.NewMessage("the row is not in won, says a column without a name; take the row out of the file, or write its amount in won")
		}
		return
	}
}

// filled is a cell without a sign or a word for none, such as - and NULL. An error of a spreadsheet stays: it stands for a value.
func filled(cell string) string {
	s := clean(cell)
	if placeholder(s) && !sheetError(s) {
		return ""
	}
	return s
}

// answer compares a field of a results file that is run again: its own column, which a person may have corrected, with
// what the results repeat. Which of two is meant cannot be known.
func (p *parser) answer(field string, same func(string) bool) {
	if p.r.told == nil {
		return
	}
	for _, m := range p.r.mapped {
		if m.Field != field || m.Answer == 0 || p.row.Cells == nil {
			continue
		}
		if answer := clean(p.row.Cells[m.Answer-1]); answer != "" && !same(answer) {
			problem := p.add(ResultDiffers, field, answer)
			problem.Message = say.Messagef("%s stands in this file twice and differs, here and in column %d (%s); make them agree",
				field, m.Answer, told(p.r.header.names[m.Answer-1]))
		}
	}
}

// text reads a field on one line, of at most so many characters; 0 is no limit.
func (p *parser) text(field, cell, otherwise string, most int) string {
	if cell == "" { // as most of the optional columns are
		return p.atMost(field, otherwise, most)
	}
	s := clean(oneLine(cell))
	if placeholder(s) && described[field] {
		if sheetError(s) && (field == "vbank_holder" || field == "buyer_tel") {
			p.add(TextInvalid, field, s).Message = say.NewMessage("an error of the spreadsheet stands here in place of a value; put it right, or leave the column out with --ignore if it is not needed")
		}
		s = ""
	}
	p.undamaged(field, s)
	return p.atMost(field, cmp.Or(s, otherwise), most)
}

// described are the fields that describe an order to people, and that may be empty: a sign or a word for none in them is
// nothing.
var described = map[string]bool{"vbank_holder": true, "name": true, "buyer_name": true, "buyer_email": true, "buyer_tel": true, "buyer_addr": true, "buyer_postcode": true, "notice_url": true}

// undamaged refuses a text in which a character was lost.
func (p *parser) undamaged(field, s string) {
	if strings.IndexByte(s, lost[0]) >= 0 && strings.Contains(s, lost) {
		p.add(TextInvalid, field, s)
	}
}

// atMost cuts a text that only describes, with a warning; any other that is too long is refused.
func (p *parser) atMost(field, s string, most int) string {
	if most == 0 || len(s) <= most {
		return s
	}
	n := utf8.RuneCountInString(s)
	if n <= most {
		return s
	}
	problem := p.add(TooLong, field, s)
	problem.Message = say.Messagef("%s has %d characters, the API takes at most %d", field, n, most)
	if field == "name" || field == "buyer_name" || field == "buyer_addr" {
		problem.Warning = true
		problem.Message = say.Messagef("%s has %d characters, the API takes at most %d; the rest is left out", field, n, most)
		s = filled(string([]rune(s)[:most]))
	}
	return s
}

// id reads what identifies something and therefore must be exactly as it was written.
func (p *parser) id(field, cell string, most int) string {
	s := clean(cell)
	p.checkID(field, s)
	switch { // a part of --key may be a day
	case field != "merchant_uid":
	case excelDay.MatchString(s):
		p.add(KeyDamagedByExcel, field, s).Message = say.NewMessage("Excel has taken the number for a day, and what it was cannot be known; export it again with that column as text")
	case sheetDay.MatchString(s) && (p.r.scan.src.file.Sheet != "" || p.r.refused(p.row.Cells, KeyDamagedByExcel)):
		p.add(KeyDamagedByExcel, field, s).Message = say.NewMessage("the cell holds a day, which Excel makes of a number such as 12-3; type the number anew in a column that is text, or, if a day is meant, --key '{HEADER}' takes it as it stands")
	}
	return p.atMost(field, s, most)
}

func (p *parser) checkID(field, s string) {
	switch {
	case control(s) || unseen(s) || strings.Contains(s, lost):
		p.add(KeyInvalid, field, oneLine(s))
	case placeholder(s):
		p.add(KeyPlaceholder, field, s)
	case withFraction(s):
		p.add(KeyFraction, field, s)
	case exponent(s):
		p.add(KeyDamagedByExcel, field, s)
	case digitsLost(s):
		p.add(KeyDigitsLost, field, s)
	case field == "merchant_uid" && p.r.totals != TotalsNone && readsLikeTotal(s):
		p.add(KeyIsTotal, field, s)
	}
}

// composed makes the order number of Options.Key. None of its cells may be empty.
func (p *parser) composed() string {
	var b strings.Builder
	for _, part := range p.r.key {
		if part.column < 0 {
			b.WriteString(part.text)
			continue
		}
		cell := clean(p.row.Cells[part.column])
		if cell == "" {
			problem := p.add(KeyMissing, "merchant_uid", "")
			problem.Column, problem.Header = part.column+1, p.r.header.names[part.column]
			problem.Message = p.r.empty(part.column)
			return ""
		}
		before := len(p.row.Problems)
		p.checkID("merchant_uid", cell)
		for i := range p.row.Problems[before:] {
			problem := &p.row.Problems[before+i]
			problem.Column, problem.Header = part.column+1, p.r.header.names[part.column]
			if problem.Code == KeyFraction { // --key asks for the cells as they stand
				problem.Warning = true
				problem.Message = say.NewMessage("the order number is made of this cell as it stands, with its .0; another export of the same orders may be without it")
			}
		}
		b.WriteString(cell)
	}
	uid := p.atMost("merchant_uid", b.String(), 40)
	if told := p.r.told; told != nil && told.merchantUID >= 0 {
		at := told.merchantUID
		if answer := clean(p.row.Cells[at]); answer != "" && answer != uid {
			problem := p.add(ResultDiffers, "merchant_uid", answer)
			problem.Column, problem.Header = at+1, p.r.header.names[at]
			problem.Message = say.NewMessage("the results say that this row was for another order than --key makes of it now; its columns may have been changed")
		}
	}
	return uid
}

func (p *parser) gateway(text string) string {
	if text == "" {
		return ""
	}
	if _, _, known := pg.Name(text); !known {
		p.add(PGUnknown, "pg", text)
	}
	return pg.Value(text)
}

// channel is the PG that the row goes to: that of its channel_key, which the API takes in place of pg.
func (p *parser) channel() string {
	key := p.row.Request.ChannelKey
	if key == "" || p.r.channels == nil {
		return p.row.Request.PG
	}
	value, known := p.r.channels[key]
	if !known {
		p.add(ChannelUnknown, "channel_key", key)
		return p.row.Request.PG
	}
	return value
}

// rules holds the row against what its PG asks for. Of a field that has a problem already no more is said.
func (p *parser) rules() {
	r := &p.row.Request
	if p.row.Skip != "" || p.row.Action == Update && r.Amount == 0 && r.VbankDue == 0 { // there is more wrong with it
		return
	}
	request := *r
	if p.r.hasKey == nil || p.r.hasKey(p.row.PG) {
		request.PGAPIKey = "known" // to whoever sends it
	}
	breaches := pg.Check(p.row.PG, pg.Action(p.row.Action), request, p.r.now)
	before := p.row.Problems
	for _, b := range breaches {
		if slices.ContainsFunc(before, func(q Problem) bool { return q.Field == b.Field && !q.Warning }) {
			continue
		}
		problem := p.add(Code(b.Rule), b.Field, "")
		problem.Message, problem.Warning, problem.Everywhere = b.Message, b.Warning, b.Warning && ofAllRows[b.Rule]
	}
}

// ofAllRows are the rules that one row of a PG breaks as all the others do, and that are told once.
var ofAllRows = map[pg.Rule]bool{pg.NotListed: true, pg.Ignored: true, pg.OnlyOtherPGs: true, pg.DependsOnMID: true, pg.DueRounded: true, pg.Required: true}

func (p *parser) bank(text string) {
	if text == "" {
		p.add(BankMissing, "vbank_code", "")
		return
	}
	b := p.r.bank(p.row.PG, text)
	if !b.known {
		problem := p.add(BankUnknown, "vbank_code", text)
		if b.differ {
			problem.Message = say.NewMessage("the cell names two banks, by code or by name; leave one, or say in the profile's [banks] which code the text stands for")
		}
		return
	}
	p.row.Bank, p.row.Request.VbankCode = b.kftc, b.code
	if p.row.IssuedAs == "" { // else the account tells
		p.answer("vbank_code", func(answer string) bool { return p.r.bank(p.row.PG, answer).kftc == b.kftc })
	}
	if !b.listed {
		p.add(BankNotListed, "vbank_code", text).Warning = b.code != "" // else there is nothing to send
	}
	if len(text) < 3 && digits(text) && text != b.code {
		p.add(BankZerosRestored, "vbank_code", text)
	}
}

func (p *parser) due(text string) {
	d := &p.r.lastDue
	if d.text != text {
		d.text = text
		if d.due, d.relative, d.code = ParseDue(text, p.r.now, p.r.dueYear, p.r.dayOrder); d.code == "" && d.due <= p.r.now.Unix() {
			d.code = DuePast
		}
	}
	switch {
	case d.code != "":
		p.add(d.code, "vbank_due", text)
	case p.r.endOfContract && !d.relative && d.due > p.r.now.Add(farAway).Unix():
		p.add(DueDoubtful, "vbank_due", text)
	}
	p.row.Request.VbankDue, p.row.RelativeDue = d.due, d.relative
	if p.row.IssuedAs == "" && !d.relative {
		p.answer("vbank_due", func(answer string) bool {
			due, _, _ := ParseDue(answer, p.r.now, p.r.dueYear, p.r.dayOrder)
			return due == d.due
		})
	}
}

const mostPhone = 16 // characters

func (p *parser) phone(text string) string {
	if exponent(text) {
		p.add(KeyDamagedByExcel, "buyer_tel", text)
	}
	number, restored := phone(text)
	if restored {
		p.add(PhoneZeroRestored, "buyer_tel", text)
	}
	if first := firstPhone(number); first != "" {
		p.add(PhoneNote, "buyer_tel", text)
		number = first
	}
	return p.text("buyer_tel", number, "", mostPhone)
}

// optional reads an amount that may be zero, and is not the same as none then.
func (p *parser) optional(field, text string) *int64 {
	if text == "" {
		return nil
	}
	won, code := ParseAmount(text)
	if code != "" && code != AmountZero {
		p.add(code, field, text)
		return nil
	}
	return &won
}

func (p *parser) flag(text string) bool {
	switch strings.ToLower(text) {
	case "true", "yes", "y", "1":
		return true
	case "", "false", "no", "n", "0":
	default:
		p.add(FlagInvalid, "fixed_unlimited_vbank", text)
	}
	return false
}

// addresses reads one address or several, with spaces or semicolons between them.
func (p *parser) addresses(text string) client.NoticeURL {
	if text == "" {
		return nil
	}
	list := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ';' })
	for _, address := range list {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			p.add(NoticeURLInvalid, "notice_url", address)
		}
	}
	return list
}

// insert puts the row's cells into the custom_data of Options.Set.
func (p *parser) insert(text string) string {
	if len(p.r.custom) == 0 {
		return text
	}
	var b strings.Builder
	head := p.r.custom[0].text
	isJSON := head != "" && (head[0] == '{' || head[0] == '[')
	for _, part := range p.r.custom {
		if part.column < 0 {
			b.WriteString(part.text)
			continue
		}
		cell := "0" // a trial has no cells
		if p.row.Cells != nil {
			cell = clean(p.row.Cells[part.column])
		}
		if isJSON {
			quoted, _ := json.Marshal(cell) // text always has a JSON form
			cell = string(quoted[1 : len(quoted)-1])
		}
		b.WriteString(cell)
	}
	return b.String()
}

// json passes an object or array on as it is, and makes a JSON string of any other text.
func (p *parser) json(text string) json.RawMessage {
	switch {
	case text == "":
		return nil
	case strings.Contains(text, lost):
		p.add(TextInvalid, "custom_data", text)
	case text[0] != '{' && text[0] != '[':
		quoted, _ := json.Marshal(text) // text always has a JSON form
		return quoted
	case !json.Valid([]byte(text)):
		p.add(CustomDataInvalid, "custom_data", text)
	}
	return json.RawMessage(text)
}
