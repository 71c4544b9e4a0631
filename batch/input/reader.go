package input

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gocarina/gocsv"

	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// Options say how a file is to be read where it does not say so itself.
type Options struct {
	Encoding   string            // utf-8, cp949, utf-16le or utf-16be; "" detects
	Delimiter  rune              // 0 detects , tab ; or |
	Map        map[string]string // field → header; goes before what the names say
	Set        map[string]string // field → value for issue rows that have none; action, pg and channel_key for every row. A {header} in custom_data stands for that cell
	Unread     bool              `json:"-"` // no column is taken for a field: they are only to be shown, and nothing is sent
	OnlyMapped bool              // a column that Map does not name, and whose name is known, stops the file
	Key        string            // makes the order number from columns: "{동}-{호}-202611"; "" takes it from its own
	Where      []Where           // all must hold, or the row is skipped as Filtered
	DueYear    int               // the year of due dates that have none; 0 refuses them
	DateOrder  string            `json:",omitempty"` // of 01/02/2026 and 26.11.27: mdy, dmy or ymd; "" refuses what is not sure
	Unit       int64             `json:",omitempty"` // won in one unit of the amounts, whatever the file says of it; 0 takes won, and the file's word
	Items      string            `json:",omitempty"` // of lines of one order that differ: same, the amount stands in each; sum, each has its own; "" refuses them
	Ignore     []string          `json:",omitempty"` // headers of columns that are not read, and say nothing of the others
	FillDown   []string          `json:",omitempty"` // headers of columns whose empty cells repeat the one above
	Sheet      string            `json:",omitempty"` // of a workbook; "" takes the only one that is shown and has a header
	Hidden     string            `json:",omitempty"` // of a workbook's rows that are hidden: skip or include; "" refuses them
	StopAt     string            `json:",omitempty"` // the rows end at the first line whose first cell that is not empty is this one; "" reads all
	PassOver   []string          `json:",omitempty"` // lines whose first cell that is not empty is one of these, * being any text, are not read
	Totals     string            `json:",omitempty"` // of lines that add others up: warn, those that differ only warn; none, there are none; "" refuses such a file
	Now        time.Time         // what due dates are measured by; the zero time is the clock's
	Revoke     bool              // take back what a results file says was issued, and read nothing else of it
	Banks      map[string]string // bank, by any of its names → the code to send, for a PG whose table is not known or wrong

	// What the surroundings know, and no part of how a file is read.
	Channels map[string]string          `json:"-"` // channel_key → {PG}.{MID}; nil where that is not known
	HasKey   func(pgAndMID string) bool `json:"-"` // whether there is a pg_api_key; nil takes it for granted
}

// Where keeps the rows whose cell under Header is Value, both without the spaces around them.
type Where struct{ Header, Value string }

var errStopped = say.New("the file's pass was stopped")

// Stats counts what a pass has met so far, rows and what it passed over.
type Stats struct {
	Rows    int // those that Next returned
	Titles  int // lines above the header
	Headers int // the header, met again
	Blank   int // lines with nothing in them, among the records and between them
	Notes   int // lines that are no rows: below them all, or named by Options.PassOver
	Cut     int // lines from Options.StopAt on
	Totals  int // subtotals, totals and balances carried forward, by their words or by what they add up
	Agree   int // of them, those that the rows add up to
	Differ  int // those that say something else; the others could not be compared
}

const (
	batchRows  = 256
	batchCells = 1 << 16
	batchBytes = 1 << 18
)

// A batch is what the decoding goroutine hands over at once. One at a time would cost a third of the speed.
type batch struct {
	rows  []raw
	cells []*columns // the mapped cells of rows[i]
	stats Stats      // up to here
	err   error      // what ended the pass, after these rows
}

// raw is a row before it is parsed.
type raw struct {
	record
	width int  // its own number of cells
	extra bool // it has more than the header, if only empty ones
	look  *look
}

// table hands records that were read already to gocsv.
type table [][]string

func (t table) GetCSVRows() ([][]string, error) { return t, nil }

// Reader is one pass over a file. It is for one goroutine; what Next returns is the caller's to keep.
type Reader struct {
	header        header
	mapped        []Mapped
	totals        string // Options.Totals
	keys          []int  // indexes of the columns that hold order numbers, or of which they are made
	amountAt      int    // index of the amount's column, -1 without one
	where         []whereColumn
	unread        []int // indexes of the columns of which nothing is known
	key           []keyPart
	lacking       map[string]bool // fields that are missing from all rows
	lacks         func() error    // how to give them; nil where nothing can be missing
	updates       bool            // a row without an action is an update, with or without its imp_uid
	custom        []keyPart       // of the default custom_data
	revoke        bool            // Options.Revoke
	told          *outcome        // where a results file says what came of a row; nil in any other
	reasonAt      int             // index of error_code, where an earlier run says why it refused a row; -1 without one
	defaults      columns
	now           time.Time
	dueYear       int
	dayOrder      string
	channels      map[string]string
	hasKey        func(string) bool
	codes         map[string]string // Options.Banks by KFTC code
	named         map[string]string // Options.Banks of other names, folded
	unit          int64             // won in one unit of the amounts
	currencies    []int             // indexes of the columns that name a row's currency
	endOfContract bool              // the due date's name may also mean the end of a contract, or a delivery
	banks         map[[2]string]bankCode
	lastDue       dueText

	mappedByUser bool       // the column of the amount
	actionByUser bool       // likewise, of the action
	samples      [][]string // by column
	sampled      int        // rows
	given        []Given
	givenAt      []int // indexes of their columns

	scan    *scanner
	batches chan batch
	quit    chan struct{}
	done    sync.WaitGroup
	close   func()

	current batch
	at      int
	stats   Stats
	worded  int // headers in other words than the first
	noted   int // lines that are no rows, beside those in stats
	tally   tally
	largest int64    // of the amounts of the rows before, won
	above   []string // the cells of the row before
	order   order    // of that row, or of the first one of its order
	full    []string // those of the last good row that has all columns
	stood   []bool   // by keys: a line above had that part of the order number
	filling []int    // and of Options.FillDown
	note    *raw     // the first line that is no row and that no good row has followed; nil without one
}

type whereColumn struct {
	column int
	value  string
}

// keyPart is a piece of Options.Key: text, or the cell of a column.
type keyPart struct {
	text   string
	column int // -1 for text
}

// Read begins a pass. It finds the header and settles the columns, or returns an *Error that says why it cannot. A
// file without a column that every row needs is read all the same: Reader.Lacking tells. The Reader must be closed.
func (f *File) Read(o Options) (*Reader, error) {
	if f.book != nil {
		table, err := f.book.table(o)
		if err != nil {
			return nil, err
		}
		o.Encoding, o.Delimiter = "", ','
		r, err := table.Read(o)
		if err != nil {
			return nil, err
		}
		columns := r.formattedAmounts()
		if columns == nil {
			return r, nil
		}
		r.Close()
		if table, err = f.book.plain(table, columns, o); err != nil {
			return nil, err
		}
		return table.Read(o)
	}
	encoding, err := f.encoding(o.Encoding)
	if err != nil {
		return nil, err
	}
	h, comma, err := f.findHeader(encoding, o)
	if err != nil {
		return nil, err
	}
	if err := f.weigh(&h, encoding, comma, o); err != nil {
		return nil, err
	}
	r := &Reader{header: h, now: o.Now, dueYear: o.DueYear, dayOrder: o.DateOrder, channels: o.Channels, hasKey: o.HasKey, banks: make(map[[2]string]bankCode), lastDue: dueText{code: DueMissing},
		unit: max(o.Unit, 1), revoke: o.Revoke, totals: o.Totals}
	if r.now.IsZero() {
		r.now = time.Now()
	}
	r.scan = f.scan(encoding, comma)
	titles, err := r.header.readTitles(r.scan)
	if err != nil {
		return nil, err
	}
	for _, set := range []func(Options) error{r.setColumns, r.setBanks, r.setKeys, r.setDefaults} {
		if err := set(o); err != nil {
			return nil, err
		}
	}
	lines, err := r.newLines(o)
	if err != nil {
		return nil, err
	}
	lines.titles, r.filling, r.stood = titles, lines.filling, make([]bool, len(r.keys))
	r.stats.Titles = h.titles
	r.batches, r.quit = make(chan batch, 2), make(chan struct{})
	r.close = sync.OnceFunc(func() { close(r.quit) })
	r.scan.src.quit = r.quit
	r.done.Go(func() { r.decode(lines) })
	return r, nil
}

// formattedAmounts are the indexes of columns of amounts in which a format makes other texts of a workbook's numbers. Amounts are what
// the cells hold.
func (r *Reader) formattedAmounts() (columns []int) {
	for _, m := range r.mapped {
		if _, formatted := r.scan.src.file.formatted[m.Column-1]; formatted && slices.Contains([]string{"amount", "tax_free", "vat_amount"}, m.Field) {
			columns = append(columns, m.Column-1)
		}
	}
	return columns
}

// KeyAsShown returns an order number, or a part of one, that is read as the workbook shows it, which is not what its cell holds; nothing
// if there is none.
func (r *Reader) KeyAsShown() AsShown {
	for _, key := range r.keys {
		if key := r.scan.src.file.formatted[key]; key.Held != "" {
			return key
		}
	}
	return AsShown{}
}

// weigh settles what the columns of a header are for, by their names, by the options and, where a name may mean two things,
// by what stands in the first rows.
func (f *File) weigh(h *header, encoding string, comma rune, o Options) error {
	h.setRoles()
	for _, name := range o.Ignore {
		i, err := h.column("--ignore", name)
		if err != nil {
			return err
		}
		h.ignore, h.roles[i] = append(h.ignore, i), noRole
	}
	h.otherActions = f.otherActions(*h, encoding, comma, o)
	if i := slices.Index(h.folded, "거래고유번호"); i >= 0 && o.Map["imp_uid"] == "" {
		ids := f.firstCells(encoding, comma, *h, i, sampledRows)
		ours := slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, "imp") })
		if !ours && !slices.Contains(h.ignore, i) && h.hasReasons() {
			return h.failed(say.Messagef("“%s” may hold PortOne's numbers or a PG's: the rows that failed do not tell, and those numbers make an update of a row", told(h.names[i])),
				say.Messagef("--ignore '%s' if they are a PG's, --map 'imp_uid=%s' if they are PortOne's", told(h.names[i]), told(h.names[i])))
		}
		if ids != nil && !ours {
			h.ignore = append(h.ignore, i) // a PG's number
		}
	}
	if !h.result {
		f.weighCells(h, encoding, comma)
	}
	return nil
}

// setColumns decides which column each field is read from, and returns an *Error if something speaks against that.
func (r *Reader) setColumns(o Options) (err error) {
	h := &r.header
	if r.mapped, err = h.mapping(o); err != nil {
		return err
	}
	r.amountAt, r.reasonAt, r.lacking = -1, h.last("error_code"), make(map[string]bool)
	for i, m := range r.mapped {
		switch role := h.roles[m.Column-1]; m.Field {
		case "amount":
			r.amountAt, r.mappedByUser = m.Column-1, o.Map["amount"] != ""
			if o.Items == ItemsSum { // the results repeat the sum, and not what the line has
				r.mapped[i].Answer = 0
			}
		case "vbank_due":
			r.endOfContract = o.Map["vbank_due"] == "" && (role == contractEnd || role == deliveryDay && strings.HasPrefix(h.folded[m.Column-1], "납기"))
		}
	}
	r.actionByUser = o.Map["action"] != ""
	r.updates = has(r.mapped, "imp_uid") && !has(r.mapped, "vbank_code") // without a bank it can be nothing else
	if h.result {
		told := h.outcome()
		r.told = &told
	}
	if o.Revoke {
		return h.revocable()
	}
	if err := h.settled(r.mapped, o); err != nil {
		return err
	}
	r.currencies = h.currencyColumns(r.mapped)
	o.Now = r.now
	lacking, _ := h.lacking(r.mapped, nil, o)
	r.lacks = func() error {
		_, err := h.lacking(r.mapped, r.samples, o)
		return err
	}
	for _, field := range lacking {
		r.lacking[field] = true
	}
	return nil
}

// setBanks takes Options.Banks: codes for banks that are known, and names of which nothing is.
func (r *Reader) setBanks(o Options) error {
	r.codes, r.named = make(map[string]string), make(map[string]string)
	for bank, code := range o.Banks {
		kftc, ok := pg.BankByName(bank)
		if !ok {
			name := pg.Fold(bank)
			if other := r.named[name]; name != "" && code != "" && (other == "" || other == code) {
				r.named[name] = code
				continue
			}
			return r.header.failed(say.Messagef("[banks] says that “%s” is “%s”, which is nothing, or another code than it says elsewhere", bank, code), say.NewMessage("write a name and its one code: \"국민\" = \"04\""))
		}
		if other := r.codes[kftc]; other != "" && other != code {
			return r.header.failed(say.Messagef("[banks] gives bank %s two codes, %s and %s", kftc, other, code), say.NewMessage("leave one of them"))
		}
		r.codes[kftc] = code
	}
	return nil
}

// setKeys finds the columns that choose rows and that make order numbers.
func (r *Reader) setKeys(o Options) (err error) {
	for _, w := range o.Where {
		i, err := r.header.column("--where", w.Header)
		if err != nil {
			return err
		}
		r.where = append(r.where, whereColumn{i, clean(w.Value)})
	}
	r.key, err = r.header.keyParts(o.Key)
	r.keys, r.tally.each = r.keyColumns(), o.Items == ItemsSum
	r.unread = r.unreadColumns()
	return err
}

// firstCells are what a column holds in the first rows, where it holds something.
func (f *File) firstCells(encoding string, comma rune, h header, column, rows int) (cells []string) {
	f.firstRows(encoding, comma, h, rows, func(row []string) {
		if column < len(row) && trim(row[column]) != "" {
			cells = append(cells, clean(row[column]))
		}
	})
	return cells
}

// firstRows hands on the cells of the first rows. What cannot be read is for the pass to tell.
func (f *File) firstRows(encoding string, comma rune, h header, rows int, take func(cells []string)) {
	scan := f.scan(encoding, comma)
	for n := range h.record + 1 + rows {
		r, err := scan.read()
		if err != nil {
			break
		}
		if _, total := isTotal(r.cells, nil); n <= h.record || total != noTotal || h.again(r.cells) {
			continue
		}
		take(r.cells)
	}
}

// keyParts cuts a template at its braces.
func (h header) keyParts(template string) (parts []keyPart, err error) {
	if template == "" {
		return nil, nil
	}
	columns := 0
	for rest := template; rest != ""; {
		text, after, open := strings.Cut(rest, "{")
		if text != "" {
			parts = append(parts, keyPart{text, -1})
		}
		name, after, closed := strings.Cut(after, "}")
		if open && !closed {
			return nil, h.failed(say.Messagef("--key %s opens a brace and does not close it", template), "")
		} else if open {
			i, err := h.column("--key", name)
			if err != nil {
				return nil, err
			}
			parts = append(parts, keyPart{column: i})
			columns++
		}
		rest = after
	}
	if columns == 0 {
		return nil, h.failed(say.Messagef("--key %s names no column, so that every row would have the same order number", template), say.NewMessage("write the columns in braces: '{동}-{호}-202611'"))
	}
	return parts, nil
}

// insertion is a column within a custom_data: {반}, inside a string or in the place of a number.
var insertion = regexp.MustCompile(`\{[^{}"]*[^{}"\s][^{}"]*\}`)

// insertions cuts a custom_data at the columns it names.
func (h header) insertions(text string) (parts []keyPart, err error) {
	end := 0
	for _, at := range insertion.FindAllStringIndex(text, -1) {
		i, err := h.column("--set custom_data", text[at[0]+1:at[1]-1])
		if err != nil {
			return nil, err
		}
		parts = append(parts, keyPart{text[end:at[0]], -1}, keyPart{column: i})
		end = at[1]
	}
	if parts != nil {
		parts = append(parts, keyPart{text[end:], -1})
	}
	return parts, nil
}

// setDefaults takes Options.Set, after trying each value as if it stood in a row.
func (r *Reader) setDefaults(o Options) error {
	set := o.Set
	if len(set) == 0 {
		return nil
	}
	var names, values []string
	for _, field := range fields {
		if value, ok := set[field]; ok {
			names, values = append(names, field), append(values, clean(value))
		}
	}
	if len(names) < len(set) || slices.Contains(names, "merchant_uid") || slices.Contains(names, "imp_uid") {
		return r.header.failed(say.NewMessage("a value is set for a name that is not a field, or for an id that two rows cannot share"), say.Messagef("--set takes %s", strings.Join(fields[3:], ", ")))
	}
	var decoded []*columns
	if err := gocsv.UnmarshalDecoder(table{names, values}, &decoded); err != nil {
		return err
	}
	r.defaults = *decoded[0]
	for _, m := range r.mapped {
		if set[m.Field] != "" {
			r.given, r.givenAt = append(r.given, Given{Field: m.Field, Header: m.Header}), append(r.givenAt, m.Column-1)
		}
	}
	var err error
	if r.custom, err = r.header.insertions(r.defaults.CustomData); err != nil {
		return err
	}
	var trial Row
	r.parse(&columns{}, &trial)
	for _, p := range trial.Problems {
		if set[p.Field] != "" && !p.Warning {
			return &Error{Path: r.header.path, Message: say.Messagef("the value given for every row's %s is refused (%s): %s", p.Field, p.Code, p.Message)}
		}
	}
	return nil
}

// Header returns the header's cells, without the spaces around them.
func (r *Reader) Header() []string { return r.header.names }

// Mapping returns which columns are read, in their order.
func (r *Reader) Mapping() []Mapped { return r.mapped }

// Lacking returns nil, or an *Error that names the columns without which no row can be done and says how to give what
// they should hold, by the rows up to here. Every row has a problem that says so, too.
func (r *Reader) Lacking() error {
	if r.lacks == nil {
		return nil
	}
	return r.lacks()
}

// Contradicted returns nil, or an *Error for the first line of totals up to here that does not agree with the rows.
func (r *Reader) Contradicted() error {
	if len(r.tally.differences) == 0 || r.totals == TotalsWarn {
		return nil
	}
	d := r.tally.differences[0]
	return &Error{Path: r.header.path, Line: d.Line, Message: say.Messagef("the total says %d won, and the rows above it come to %d", d.Says, d.Adds),
		Hint: say.NewMessage("look for a row that is missing or changed; if the line adds up something else, --totals warn reads on")}
}

// Differences returns the first hundred lines of totals up to here that do not agree with the rows.
func (r *Reader) Differences() []Difference { return r.tally.differences }

// Stats returns the counts up to the last row returned; after io.EOF they are those of the file.
func (r *Reader) Stats() Stats {
	s := r.stats
	s.Headers += r.worded
	s.Notes += r.noted
	return s
}

// Stop ends the pass from any goroutine: Next returns an error soon. The Reader is still to be closed.
func (r *Reader) Stop() { r.close() }

// Close ends the pass, wherever it is, and waits for its goroutine.
func (r *Reader) Close() error {
	r.close()
	r.done.Wait()
	return nil
}

// Next returns the next row, problems and all. It ends with io.EOF, or with an *Error when no more can be read.
func (r *Reader) Next() (*Row, error) {
	for {
		if r.at < len(r.current.rows) {
			raw, cells := &r.current.rows[r.at], r.current.cells[r.at]
			r.current.cells[r.at] = nil
			r.at++
			row, err := r.judge(raw, cells)
			if row == nil && err == nil {
				continue
			}
			return row, err
		}
		if r.current.err != nil {
			return nil, r.current.err
		}
		b, ok := <-r.batches
		if !ok {
			return nil, errStopped
		}
		s := &r.stats
		b.stats.Rows, b.stats.Totals, b.stats.Agree, b.stats.Differ = s.Rows, s.Totals, s.Agree, s.Differ
		r.current, r.at, r.stats = b, 0, b.stats
	}
}

func (r *Reader) stopped() bool {
	select {
	case <-r.quit:
		return true
	default:
		return false
	}
}

// keyColumns are the indexes of the columns that hold order numbers, or of which they are made.
func (r *Reader) keyColumns() (columns []int) {
	for _, m := range r.mapped {
		if m.Field == "merchant_uid" {
			columns = append(columns, m.Column-1)
		}
	}
	for _, part := range r.key {
		if part.column >= 0 {
			columns = append(columns, part.column)
		}
	}
	return columns
}

// decode reads the records of the pass and lets gocsv sort their cells into fields.
func (r *Reader) decode(lines *lines) {
	defer close(r.batches)
	names := make([]string, len(r.mapped))
	for i, m := range r.mapped {
		names[i] = m.Field
	}
	most, width := min(batchRows, 1+batchCells/len(r.header.names)), len(names)
	picked := make([]string, most*width)
	records := append(make(table, 0, batchRows+1), names)
	stats := r.stats
	for ended := false; !ended; {
		var b batch
		records = records[:1]
		b.rows = make([]raw, 0, most)
		cells := make([]string, most*len(r.header.names))
		for bytes := 0; len(b.rows) < most && bytes < batchBytes; {
			rec, err := r.scan.read()
			if err == nil && r.stopped() {
				err = errStopped
			}
			if err != nil {
				b.err, ended = err, true
				break
			}
			bytes += rec.bytes
			look := lines.look(rec)
			switch look.kind {
			case blankLine:
				stats.Blank++
				continue
			case headerLine:
				stats.Headers++
				continue
			case passedLine:
				stats.Notes++
				continue
			case cutLine:
				stats.Cut++
				continue
			case faultLine:
				b.err, ended = lines.fault, true
			}
			if ended {
				break
			}
			n := len(r.header.names)
			full := cells[:n:n]
			cells = cells[n:]
			copy(full, rec.cells)
			full[0] = strings.TrimPrefix(full[0], bom)
			lines.fill(full, look)
			pick := picked[len(b.rows)*width:][:width:width]
			for i, m := range r.mapped {
				pick[i] = full[m.Column-1]
				if m.Answer > 0 && blank(pick[i:i+1]) {
					pick[i] = full[m.Answer-1]
				}
			}
			records = append(records, pick)
			b.rows = append(b.rows, raw{record{full, rec.line, rec.lines, rec.bytes, rec.torn}, r.header.count(rec.cells), len(rec.cells) > len(r.header.names), look})
		}
		if len(b.rows) > 0 {
			if err := gocsv.UnmarshalDecoder(records, &b.cells); err != nil {
				b = batch{err: err}
				ended = true
			}
		}
		b.stats = stats
		b.stats.Blank += r.scan.src.blank
		select {
		case r.batches <- b:
		case <-r.quit:
			return
		}
	}
}

// again reports a line of the header standing in the file once more.
func (h header) again(cells []string) bool {
	return slices.ContainsFunc(h.lines, func(names []string) bool { return repeats(names, cells) })
}

// repeats reports a line of the header standing in the file once more, where files were joined.
func repeats(names, cells []string) bool {
	for i, name := range names {
		cell := ""
		if i < len(cells) {
			cell = cells[i]
		}
		if i == 0 {
			cell = strings.TrimPrefix(cell, bom)
		}
		if cell != name && clean(cell) != name {
			return false
		}
	}
	return len(cells) <= len(names) || blank(cells[len(names):])
}

// count is how many cells a record has for the columns of the header, where columns without a name need none and
// cells with nothing in them may be too many.
func (h header) count(cells []string) int {
	n := len(cells)
	for n > len(h.names) && trim(cells[n-1]) == "" {
		n--
	}
	for n < len(h.names) && h.names[n] == "" {
		n++
	}
	return n
}

// dueText is the date read last; the rows of a file often share one.
type dueText struct {
	text     string
	due      int64
	relative bool
	code     Code
}

// Layout is how a pass reads the file's bytes.
type Layout struct {
	Encoding   string // utf-8, cp949, utf-16le or utf-16be
	Delimiter  rune
	Sheet      string // of a workbook, whose encoding is xlsx
	HeaderLine int    // physical, from 1
	Results    bool   // the file is the results of a run, which can be run again
}

// Layout returns what was detected, or what the options say.
func (r *Reader) Layout() Layout {
	layout := Layout{Encoding: r.scan.src.encoding, Delimiter: r.scan.comma, Sheet: r.scan.src.file.Sheet, HeaderLine: r.header.line, Results: r.told != nil}
	if layout.Sheet != "" {
		layout.Encoding = "xlsx"
	}
	return layout
}
