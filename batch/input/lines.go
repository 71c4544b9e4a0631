package input

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"vbankbatch/client/say"
)

// What Options.Totals can say.
const (
	TotalsWarn = "warn"
	TotalsNone = "none"
)

type lineKind int

const (
	rowLine lineKind = iota
	blankLine
	headerLine
	totalLine
	noteLine   // no row: a title, a footer, the name of a section
	passedLine // likewise, and Options.PassOver or the titles above the header name it
	cutLine    // from Options.StopAt on
	faultLine  // the file cannot be read on
)

// look is what a line is by its cells alone. Whether a line adds others up may need the amounts above it: see judge.
type look struct {
	kind  lineKind
	word  string    // of a line of totals, or of one that may be,
	total totalKind // and what it adds up
	doubt bool      // a row with such a word, or with a number of rows for its order number
	group bool      // only Options.FillDown's columns are filled
	told  bool      // an earlier run says why the line was not done: it is a row
}

// plainRow is what nearly all lines look like.
var plainRow look

// toldRow is a row of an earlier run.
var toldRow = look{told: true}

// lines tells the rows of a pass from the lines between them.
type lines struct {
	header   header
	keys     []int
	amount   int   // index of the amount's column, -1 without one
	marks    []int // indexes of other columns that make a row of a line: imp_uid, action
	keyAlone bool  // a row may hold nothing but its order number
	totals   bool  // false: no line adds others up
	unit     bool  // Options.Unit is given
	stopAt   string
	passOver []string
	filling  []int    // indexes of the columns of Options.FillDown, in their order
	filled   []string // what stood there last
	reason   int      // index of the column in which an earlier run says why a row was not done, -1 without one
	titles   []string // the first cells of the lines above the rows
	begun    bool     // a line below the header has passed
	stopped  bool     // at stopAt
	key      string   // of the row before
	fault    error
}

func (r *Reader) newLines(o Options) (*lines, error) {
	l := &lines{header: r.header, keys: r.keys, amount: r.amountAt, totals: o.Totals != TotalsNone, unit: o.Unit != 0, stopAt: spaced(o.StopAt)}
	l.reason = -1
	if r.header.result || r.header.hasReasons() {
		l.reason = r.reasonAt
	}
	d := &r.defaults
	l.keyAlone = r.revoke || d.Amount != "" || d.FixedUnlimitedVbank != "" || d.Action != "" && actions[fold(d.Action)] != Issue
	for _, m := range r.mapped {
		if m.Field == "imp_uid" || m.Field == "action" {
			l.marks = append(l.marks, m.Column-1)
		}
	}
	for _, text := range o.PassOver {
		if text = spaced(text); strings.Trim(text, "* ") == "" {
			return nil, r.header.failed(say.Messagef("--pass-over %s names no line, but any", text), say.NewMessage("write what the line's first cell says; * stands for any text beside it"))
		}
		l.passOver = append(l.passOver, text)
	}
	for _, name := range o.FillDown {
		i, err := r.header.column("--fill-down", name)
		if err != nil {
			return nil, err
		}
		l.filling = append(l.filling, i)
	}
	slices.Sort(l.filling)
	l.filled = make([]string, len(l.filling))
	return l, nil
}

// look says what a line is.
func (l *lines) look(r record) *look {
	if blank(r.cells) {
		return &look{kind: blankLine}
	}
	if l.stopped {
		return &look{kind: cutLine}
	}
	if l.stopAt != "" || l.passOver != nil {
		text, _ := firstCell(r.cells)
		text = spaced(text)
		if l.stopped = text == l.stopAt && text != ""; l.stopped {
			return &look{kind: cutLine}
		}
		if slices.ContainsFunc(l.passOver, func(pattern string) bool { return matches(pattern, text) }) {
			return &look{kind: passedLine}
		}
	}
	if l.header.again(r.cells) {
		return &look{kind: headerLine}
	}
	if r.torn || r.lines > 1 {
		return &plainRow
	}
	if !l.begun {
		l.begun = true
		if kind := l.second(r); kind != rowLine {
			return &look{kind: kind}
		}
	}
	found := l.suspect(r.cells)
	if found.kind == noteLine && l.countsOtherwise(r) {
		return &look{kind: faultLine}
	}
	if found.kind == rowLine && len(l.keys) > 0 && l.keys[0] < len(r.cells) {
		l.key = r.cells[l.keys[0]]
	}
	return found
}

// countsOtherwise reports a line below the header that says that the amounts are not in won, where nothing else says what they
// are in.
func (l *lines) countsOtherwise(r record) bool {
	says := noteMoney(r.cells)
	if l.unit || l.amount < 0 || says.unit <= 1 && says.foreign == "" || headerMoney(l.header.names[l.amount]) != (money{}) {
		return false
	}
	text := told(strings.TrimSpace(strings.Join(r.cells, " ")))
	l.fault = &Error{Path: l.header.path, Line: r.line, Message: say.Messagef("counts the amounts in “%s” and not in won", text), Hint: say.NewMessage("--unit says what they are counted in")}
	return true
}

// suspect looks closely at a line that is not plainly a row. Nearly all lines are: their order number and amount are
// filled, and nothing in them reads like a word for a total.
func (l *lines) suspect(cells []string) *look {
	filled := func(i int) bool { return i >= 0 && i < len(cells) && trim(cells[i]) != "" }
	if filled(l.reason) {
		return &toldRow
	}
	plain := filled(l.amount) && strings.ContainsAny(cells[l.amount], "0123456789")
	for _, key := range l.keys {
		plain = plain && filled(key) && !mayTotal(cells[key]) && !mayCount(cells[key])
	}
	for _, cell := range cells {
		if trim(cell) != "" {
			plain = plain && !mayTotal(cell)
			break
		}
	}
	if plain {
		return &plainRow
	}
	if l.totals {
		if found := l.adds(cells); found.kind == totalLine || found.doubt {
			return &found
		}
	}
	if group := len(l.filling) > 0 && !slices.ContainsFunc(indexes(cells), func(i int) bool { return !slices.Contains(l.filling, i) }); group {
		return &look{kind: noteLine, group: true}
	}
	if filled(l.amount) && strings.ContainsFunc(cells[l.amount], unicode.IsDigit) || !l.isNote(cells) {
		return &plainRow
	}
	if text, _ := firstCell(cells); slices.Contains(l.titles, text) {
		return &look{kind: passedLine}
	}
	return &look{kind: noteLine}
}

// indexes are those of the cells that are filled.
func indexes(cells []string) (list []int) {
	for i, cell := range cells {
		if trim(cell) != "" {
			list = append(list, i)
		}
	}
	return list
}

// adds looks for the word of a total in a line.
func (l *lines) adds(cells []string) look {
	if word, kind := isTotal(cells, l.keys); kind != noTotal {
		return look{kind: totalLine, word: word, total: kind}
	}
	text, first := firstCell(cells)
	if word, kind := label(text); kind != noTotal && !slices.Contains(l.keys, first) && strong[word] && word == fold(text) {
		return look{word: word, total: kind, doubt: true}
	}
	for _, key := range l.keys {
		if key >= len(cells) {
			continue
		}
		cell := clean(cells[key])
		if word, kind := label(cell); kind != noTotal {
			return look{word: word, total: kind, doubt: true}
		}
		if readsLikeTotal(cell) {
			return look{total: ofSome, doubt: true}
		}
		if unit := count.FindStringSubmatch(fold(cell)); unit != nil && !(mayBeFlat[unit[1]] && (l.key == "" || shape(cell) == shape(l.key) || len(l.keys) > 1)) {
			return look{total: ofSome, doubt: true}
		}
	}
	return look{}
}

// isNote reports a line without digits for its amount that is no row: one with hardly a cell filled, or with the words that
// programs write below their tables.
func (l *lines) isNote(cells []string) bool {
	at := indexes(cells)
	if slices.ContainsFunc(at, func(i int) bool { return slices.Contains(l.marks, i) }) {
		return false
	}
	keyed := 0
	for _, key := range l.keys {
		if slices.Contains(at, key) {
			keyed++
		}
	}
	if l.keyAlone && keyed == len(l.keys) && keyed > 0 {
		return false
	}
	named := 0
	for _, name := range l.header.names {
		if name != "" {
			named++
		}
	}
	first := clean(cells[at[0]])
	switch {
	case l.amount < 0:
		return keyed == 0 && len(at) == 1
	case footer.MatchString(strings.ToLower(first)):
		return !l.keyBehind(cells, at[0])
	case len(at) == 1 && otherSeparators(cells[at[0]]) >= max(2, named/2): // a row of a file that was joined to this one
		return false
	case len(at) == 1 && keyed == 1 && len(l.keys) == 1: // an order without its amount?
		like := trim(l.key)
		if named <= 3 && (like == "" || shape(first) == shape(like)) {
			return false
		}
		return !strings.ContainsFunc(first, unicode.IsDigit) || like != "" && shape(first) != shape(like) || like == "" && named > 3
	case len(at) == 1:
		return true
	}
	return keyed == 0 && len(at) == 2 && named > 4
}

// keyBehind reports an order number that looks like the one above and does not stand in the first cell that is filled: the line is
// a row, whatever its first cell says (확인중).
func (l *lines) keyBehind(cells []string, first int) bool {
	if l.key == "" || len(l.keys) == 0 || l.keys[0] <= first || l.keys[0] >= len(cells) {
		return false
	}
	return shape(cells[l.keys[0]]) == shape(l.key)
}

// otherSeparators is how many of one separator stand in a cell.
func otherSeparators(cell string) (most int) {
	for _, comma := range []string{",", "\t", ";", "|"} {
		most = max(most, strings.Count(cell, comma))
	}
	return most
}

// footer is how lines begin that programs and people write below a table.
var footer = regexp.MustCompile(`^([-*=_~<\[( ]*)(이하\s*여백|담당|작성|확인|결재|출력|인쇄|조회일|발행|페이지|기준일|위와\s*같이|비고|참고|주의|안내|끝|confidential|copyright|©|\(c\)|generated|printed|exported|page\b|end of|total pages|notes?\b|remarks?\b|※|powered by)`)

// second looks at the line right below the header, which may say the columns' names once more in English, or their units.
func (l *lines) second(r record) lineKind {
	at := indexes(r.cells)
	units, words, foreign := len(at) > 0, len(at) > 1 && 2*len(at) >= len(indexes(l.header.names)), ""
	for _, i := range at {
		text := clean(r.cells[i])
		unit := strings.ToLower(strings.Trim(text, "()[] "))
		if !unitWords[unit] && !(text != unit && len([]rune(unit)) <= 4 && !strings.ContainsFunc(unit, unicode.IsDigit)) {
			units = false
		} else if i == l.amount && unit != "원" && unit != "won" && unit != "krw" {
			foreign = text
		}
		words = words && ascii(text) && !strings.ContainsFunc(text, unicode.IsDigit) && i < len(l.header.names)
	}
	switch {
	case units && foreign != "" && !l.unit:
		l.fault = &Error{Path: l.header.path, Line: r.line, Message: say.Messagef("counts the amounts in “%s” and not in won", told(foreign)), Hint: say.NewMessage("--unit says what they are counted in")}
		return faultLine
	case units:
		return headerLine
	case !words || ascii(strings.Join(l.header.names, "")):
		return rowLine
	}
	other, known := newHeader("", r), 0
	for i := range other.names { // a name that means another field than the one above it speaks against both
		m, ok := other.meaning(i)
		own, mine := l.header.meaning(i)
		if ok && mine && m.field != own.field {
			return rowLine
		}
		if ok {
			known++
		}
	}
	if l.amount >= 0 && slices.Contains(at, l.amount) && known > 0 {
		return headerLine
	}
	return rowLine
}

// unitWords are what stands in a line of units.
var unitWords = map[string]bool{"원": true, "won": true, "krw": true, "천원": true, "만원": true, "백만원": true, "개": true, "건": true, "ea": true, "%": true, "명": true, "kg": true, "usd": true, "-": true}

// fill gives a row the cells of Options.FillDown from above. They begin anew below totals, notes and headers, and to the
// right of one that the row itself fills: what stood above belongs to another group.
func (l *lines) fill(cells []string, found *look) {
	if len(l.filling) == 0 {
		return
	}
	if found.kind != rowLine && !found.group {
		clear(l.filled)
		return
	}
	if l.reason >= 0 && trim(cells[l.reason]) != "" { // it was filled when it was read first: above it stands another line here
		for n, i := range l.filling {
			l.filled[n] = cells[i]
		}
		return
	}
	anew := false
	for n, i := range l.filling {
		switch {
		case trim(cells[i]) != "":
			anew, l.filled[n] = true, cells[i]
		case anew:
			l.filled[n] = ""
		default:
			cells[i] = l.filled[n]
		}
	}
}

// judge makes a row of a line, or passes over one that is none: it returns nil then.
func (r *Reader) judge(raw *raw, c *columns) (*Row, error) {
	found := *raw.look
	if found.doubt && r.addsUp(raw) {
		found.kind = totalLine
	}
	switch {
	case found.kind == totalLine:
		r.compare(raw, found)
		return nil, nil
	case found.kind == noteLine:
		r.stands(raw.cells)
		if r.noted++; r.note == nil && !found.group {
			r.note = raw
		}
		return nil, nil
	}
	before := r.tally
	row, err := r.row(raw, c)
	if row == nil && err == nil { // the header in other words
		r.worded++
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	above := r.above
	r.above = raw.cells
	r.stands(raw.cells)
	if raw.width == len(r.header.names) && !row.Invalid() {
		r.full = raw.cells
	}
	changes := row.ImpUID != "" // an account that has a name: no total
	if found.total == noTotal && !found.told && r.totals != TotalsNone && row.Skip == "" && row.Request.Amount > 0 && !changes && before.sumsUp(r.tally.now.won-before.now.won) && r.bare(raw.cells, above) {
		if !r.keyed(raw.cells) {
			r.tally, r.above, found.total = before, above, ofGroup
			r.compare(raw, found)
			return nil, nil
		}
		found.doubt = true
	}
	if found.total == noTotal && row.Skip == "" && r.totalInWords(row, above) {
		found.doubt, found.total = true, ofSome
	}
	again := r.totals != TotalsNone && !r.revoke && !found.doubt && r.refused(raw.cells, KeyIsTotal)
	found.doubt = found.doubt || again
	r.largest = max(r.largest, row.Request.Amount)
	if found.doubt && row.Skip == "" && !row.has(KeyIsTotal) {
		problem := Problem{Code: KeyIsTotal, Field: "merchant_uid", Message: KeyIsTotal.Meaning()}
		if again {
			problem.Message = say.NewMessage("the run before took the line for one of totals, by lines that may not stand here; if it is an order, put it right and empty its error_code, or give --totals none")
		} else if found.total == noTotal {
			problem.Message = say.NewMessage("the amount is what the rows above come to, and the line has little else, as a line of totals; if it is one, pass it over with --pass-over, and if it is an order, --totals none takes it")
		}
		row.Problems = append(row.Problems, problem)
	}
	if r.continues(row) {
		row.Skip = Repeated
		row.Problems = []Problem{{Code: Repeated, Warning: true, Message: say.Messagef("this line has no amount and belongs to the order on line %d", r.order.line)}}
	} else {
		r.order = order{row.Request.MerchantUID, row.Tier, row.Line, row.Cells, row.Request.Amount > 0}
	}
	if r.note != nil && row.Skip == "" && (!row.Invalid() || row.OnlyLacks()) {
		return nil, r.followed(raw)
	}
	r.stats.Rows++
	return row, nil
}

// totalInWords reports a row that may be a total in words that nobody knows (총매출, 11월 청구분): its order number is in Korean
// and looks unlike that of the row above, its amount is larger than all above, and it has little else.
func (r *Reader) totalInWords(row *Row, above []string) bool {
	uid := row.Request.MerchantUID
	if r.totals == TotalsNone || r.key != nil || len(r.keys) == 0 || len(above) == 0 || row.Action != Issue || row.Invalid() && !row.OnlyLacks() {
		return false
	}
	korean := strings.ContainsFunc(uid, func(c rune) bool { return c >= '가' && c <= '힣' })
	return korean && r.largest > 0 && row.Request.Amount > r.largest && shape(uid) != shape(clean(above[r.keys[0]])) && r.bare(row.Cells, above)
}

// has reports a problem of the row.
func (r *Row) has(code Code) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Code == code })
}

// followed is the error for a line that is no row and stands above a good one.
func (r *Reader) followed(row *raw) error {
	text, i := firstCell(r.note.cells)
	for _, m := range r.mapped {
		if m.Column-1 == i && personal[m.Field] {
			text = "…"
		}
	}
	return &Error{Path: r.header.path, Line: r.note.line, Message: say.Messagef("“%s” is no row, and the rows below it, from line %d on, may mean something else", told(text), row.line),
		Hint: say.Messagef("--stop-at '%s' leaves them out; --pass-over '%s' reads on, and takes * for any text", told(text), told(text))}
}

// addsUp reports whether a line that may be a total is one: what it says is what the rows come to, or nothing else
// makes it a row.
func (r *Reader) addsUp(raw *raw) bool {
	if r.amountAt < 0 || raw.torn {
		return false
	}
	won, code := ParseAmount(clean(raw.cells[r.amountAt]))
	return code == "" && r.tally.sumsUp(won) || r.bare(raw.cells, r.above)
}

// bare reports a line with less than half of what the row above it has beside order number and amount.
func (r *Reader) bare(cells, above []string) bool {
	rest := func(cells []string) (n int) {
		for _, i := range indexes(cells) {
			if i != r.amountAt && !slices.Contains(r.keys, i) {
				n++
			}
		}
		return n
	}
	return 2*rest(cells) < rest(above)
}

// stands notes which columns of the order number have been filled.
func (r *Reader) stands(cells []string) {
	for n, key := range r.keys {
		r.stood[n] = r.stood[n] || trim(cells[key]) != ""
	}
}

// keyed reports whether all columns of the order number are filled.
func (r *Reader) keyed(cells []string) bool {
	return len(r.keys) > 0 && !slices.ContainsFunc(r.keys, func(key int) bool { return trim(cells[key]) == "" })
}

// firstCell is the first cell that is not empty, cleaned, and its index.
func firstCell(cells []string) (string, int) {
	for i, cell := range cells {
		if trim(cell) != "" {
			return clean(strings.TrimPrefix(cell, bom)), i
		}
	}
	return "", -1
}

// spaced is a text with one space for each of its gaps.
func spaced(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// matches reports whether text is the pattern, in which * stands for any text.
func matches(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	for ok && strings.Contains(rest, "*") {
		head, rest, _ = strings.Cut(rest, "*")
		_, text, ok = strings.Cut(text, head)
	}
	return ok && strings.HasSuffix(text, rest)
}

// shape is how a text looks when letters and digits of a kind are all one: A-12 and B-3 have the same.
func shape(s string) string {
	var b strings.Builder
	last := rune(0)
	for _, c := range trim(s) {
		switch {
		case unicode.IsDigit(c):
			c = '9'
		case c >= '가' && c <= '힣':
			c = '가'
		case unicode.IsLetter(c):
			c = 'A'
		}
		if c != last {
			b.WriteRune(c)
		}
		last = c
	}
	return b.String()
}

// empty says of a column of the order number that it is empty, and what may be meant by that.
func (r *Reader) empty(column int) say.Message {
	name := r.header.names[column]
	if n := slices.Index(r.keys, column); n >= 0 && r.stood[n] && !slices.Contains(r.filling, column) {
		if r.key == nil {
			return say.Messagef("the order number is missing; if it stands in the first row of its order only, --fill-down '%s' repeats it", told(name))
		}
		return say.Messagef("the order number is made of this column, and it is empty; if it stands in the first row of its group only, --fill-down '%s' repeats it", told(name))
	}
	if len(r.key) == 0 {
		return KeyMissing.Meaning()
	}
	return say.NewMessage("the order number is made of this column, and it is empty")
}

// mayLack are the fields whose columns may be left out at the end of a row.
var mayLack = map[string]bool{"name": true, "buyer_name": true, "buyer_tel": true, "buyer_email": true, "buyer_addr": true, "buyer_postcode": true}

// cutShort reports a row without the last columns of the header, as Excel writes one in which they are empty. None of them
// may matter, and what stands in the row must look as in the last whole one: a cell lost further left moves the others.
func (r *Reader) cutShort(raw *raw, row *Row) bool {
	n, ignored := raw.width, true
	for i := n; i < len(r.header.names); i++ {
		if slices.Contains(r.keys, i) || slices.ContainsFunc(r.where, func(w whereColumn) bool { return w.column == i }) ||
			slices.ContainsFunc(r.mapped, func(m Mapped) bool { return m.Column-1 == i && !mayLack[m.Field] }) {
			return false
		}
		ignored = ignored && slices.Contains(r.header.ignore, i)
	}
	if n == 0 || row.Invalid() && !row.OnlyLacks() {
		return false
	}
	last := sortOf(raw.cells[n-1])
	switch {
	case ignored:
		return true
	case last == "":
		return false
	case r.full == nil:
		return slices.ContainsFunc(r.mapped, func(m Mapped) bool {
			return m.Column == n && (m.Field == "vbank_due" || m.Field == "buyer_email" || m.Field == "vbank_code" && last == "text")
		})
	}
	for i, cell := range r.full {
		like := sortOf(cell)
		if i < n && like != "" && trim(raw.cells[i]) != "" && like != sortOf(raw.cells[i]) || i >= n && (like == last || like == "" && last == "number") {
			return false
		}
	}
	return sortOf(r.full[n-1]) != ""
}

// sortOf is what kind of thing stands in a cell: a number, a text, or digits in groups, as in a date or a phone number.
func sortOf(cell string) string {
	cell = clean(cell)
	if cell == "" {
		return ""
	}
	if _, code := ParseAmount(cell); code == "" || code == AmountZero {
		return "number"
	}
	if strings.ContainsFunc(cell, unicode.IsLetter) || !strings.ContainsFunc(cell, unicode.IsDigit) {
		return "text"
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return '9'
		}
		return c
	}, cell)
}
