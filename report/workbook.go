package report

import (
	"archive/zip"
	"cmp"
	"compress/flate"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/rivo/uniseg"
	"github.com/xuri/excelize/v2"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/say"
)

// Workbook says whether one stands beside the results.
type Workbook int

// The choices.
const (
	NoWorkbook    Workbook = iota
	SmallWorkbook          // one of up to SmallRows rows
	AnyWorkbook            // one of as many as Excel takes; of more the results are refused
)

// SmallRows is how many rows a workbook has that nobody asked for.
const SmallRows = 100_000

// Excel's limits.
const (
	mostRows    = excelize.TotalRows - 1 // below the header
	mostColumns = excelize.MaxColumns
)

// fit leaves out a workbook that is too large, or refuses one that was asked for.
func (o *Options) fit() error {
	if o.Plan == nil || o.Workbook == NoWorkbook {
		return nil
	}
	rows, columns := o.Plan.Rows, len(o.Plan.Header)+len(Columns)
	switch {
	case o.Workbook == SmallWorkbook && (rows > SmallRows || columns > mostColumns):
		o.Workbook = NoWorkbook
	case rows > mostRows || columns > mostColumns:
		return say.Errorf("a workbook has room for %s rows and %s columns, and the results have %s and %s; leave --excel out",
			Thousands(mostRows), Thousands(mostColumns), Thousands(int64(rows)), Thousands(int64(columns)))
	}
	return nil
}

// workbook is FILE.xlsx in the making, the results for people who work in Excel: all rows, what customers are told, the
// rows to mend, the figures. What a cell holds is text, a number or a date, and never a formula.
type workbook struct {
	*replacement
	*Options
	file   *excelize.File
	spill  string // the folder of what does not fit into memory
	styles map[style]int

	results   *tab
	customers *tab
	mend      *tab // as FILE.failed.csv
	summary   *tab
	kinds     []kind // of the results' columns
	amount    int    // the input's own column of amounts, -1 without one
}

// kind is what a cell is.
type kind int

const (
	textCell  kind = iota // as it is, whatever it looks like
	wordCell              // text of this program's own, put into the reader's language
	wholeCell             // a number
	timeCell              // from RFC 3339
)

// tone is how a row looks.
type tone int

const (
	plainRow tone = iota
	headRow
	badRow   // not done
	doubtRow // nobody knows yet
)

type style struct {
	kind
	tone
}

var (
	formats = [...]string{textCell: "@", wordCell: "@", wholeCell: "#,##0", timeCell: "yyyy-mm-dd hh:mm:ss"}
	fills   = [...]string{plainRow: "", headRow: "DDE3EA", badRow: "FBE3E0", doubtRow: "FFF2CC"}
)

// titles are the headings of the results' own columns.
var titles = map[string]string{
	"line": "Line", "status": "Status", "error_code": "Error code", "error_message": "Reason", "action": "Action", "merchant_uid": "Order", "imp_uid": "PortOne payment",
	"amount": "Won", "vbank_code": "Bank code", "vbank_name": "Bank", "vbank_num": "Account number", "vbank_holder": "Holder", "vbank_due": "Due", "pg_provider": "PG",
	"issued_at": "Issued at", "attempts": "Attempts"}

var columnKinds = map[string]kind{"line": wholeCell, "status": wordCell, "action": wordCell, "amount": wholeCell, "vbank_due": timeCell, "issued_at": timeCell, "attempts": wholeCell}

// newWorkbook makes the temporary files of one at path.
func newWorkbook(path string, o *Options) (_ *workbook, err error) {
	b := &workbook{Options: o, styles: make(map[style]int)}
	if b.replacement, err = newReplacement(path); err != nil {
		return nil, err
	}
	if b.spill, err = os.MkdirTemp(filepath.Dir(path), temporary(filepath.Base(path))+"*"); err != nil {
		return nil, errors.Join(b.named(err), b.drop())
	}
	b.file = excelize.NewFile(excelize.Options{TmpDir: b.spill})
	b.file.SetZipWriter(b.zip)
	if err := b.begin(); err != nil {
		return nil, errors.Join(err, b.drop(), b.close())
	}
	return b, nil
}

// begin makes the sheets, in their order, and the looks of their cells.
func (b *workbook) begin() error {
	all := []error{b.file.SetDocProps(&excelize.DocProperties{Creator: "vbankbatch", Created: time.Now().UTC().Format(time.RFC3339)})}
	names := headings(b.Language, "Results", "For customers", "To mend", "Summary")
	for i, t := range []**tab{&b.results, &b.customers, &b.mend, &b.summary} {
		*t = &tab{workbook: b, name: names[i]}
		_, err := b.file.NewSheet(names[i])
		all = append(all, err, b.file.SetSheetDimension(names[i], ""), // not known yet, and some readers believe it
			b.file.SetSheetProps(names[i], &excelize.SheetPropsOptions{FitToPage: new(true)}),
			b.file.SetPageLayout(names[i], &excelize.PageLayoutOptions{Orientation: new("landscape"), FitToWidth: new(1), FitToHeight: new(0)}))
	}
	all = append(all, b.file.DeleteSheet("Sheet1")) // which a new file has
	family, err := b.file.GetDefaultFont()
	all = append(all, err)
	for k := range formats {
		for t, fill := range fills {
			look := &excelize.Style{CustomNumFmt: &formats[k], Alignment: &excelize.Alignment{Horizontal: "left"}}
			if kind(k) == wholeCell {
				look.Alignment = &excelize.Alignment{Horizontal: "right", Indent: 1}
			}
			if fill != "" {
				look.Fill = excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{fill}}
			}
			if tone(t) == headRow {
				look.Font = &excelize.Font{Bold: true, Family: family}
			}
			id, err := b.file.NewStyle(look)
			b.styles[style{kind(k), tone(t)}], all = id, append(all, err)
		}
	}
	return errors.Join(all...)
}

// zip has the workbook packed into its place instead of into memory.
func (b *workbook) zip(io.Writer) excelize.ZipWriter {
	w := zip.NewWriter(b.out)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	return packed{w}
}

// packed is what a workbook is packed into. Excel does not open a larger part than it takes in the way that it is written here.
type packed struct{ *zip.Writer }

func (p packed) Create(name string) (io.Writer, error) {
	w, err := p.Writer.Create(name)
	return &part{w, math.MaxUint32}, err
}

type part struct {
	io.Writer
	left int64
}

func (p *part) Write(b []byte) (int, error) {
	if p.left -= int64(len(b)); p.left < 0 {
		return 0, say.New("a sheet of the workbook comes to more than 4 GiB; give --no-excel")
	}
	return p.Writer.Write(b)
}

// close removes the temporary files of what did not fit into memory.
func (b *workbook) close() error {
	return errors.Join(b.file.Close(), os.RemoveAll(b.spill))
}

// header begins the sheets. Kept are the input's columns that stand in the results, and called are their names there.
func (b *workbook) header(plan *batch.Plan, kept []int, called []string) error {
	names := slices.Clone(called)
	b.amount = -1
	for i, column := range kept {
		k := textCell
		if slices.ContainsFunc(plan.Mapping, func(m input.Mapped) bool { return m.Column-1 == column && m.Field == "amount" }) {
			k, b.amount = wholeCell, i
		}
		b.kinds = append(b.kinds, k)
	}
	for _, name := range Columns {
		names, b.kinds = append(names, b.Language.Text(titles[name])), append(b.kinds, columnKinds[name])
	}
	if err := b.results.add(headRow, b.kinds, names...); err != nil {
		return err
	}
	return b.customers.add(headRow, customerKinds, CustomerHeadings(b.Language)...)
}

// customerKinds are those of what customers are told.
var customerKinds = []kind{textCell, textCell, textCell, textCell, textCell, wholeCell, timeCell, textCell}

// CustomerHeadings are those of the list of what customers are told.
func CustomerHeadings(language say.Language) []string {
	return headings(language, "Name", "Phone", "Bank", "Account number", "Holder", "Won", "Due", "Order")
}

// add adds a line of the results, and what its customer is told if there is an account to be paid into. An amount that the
// input has as 49,900원 becomes a number, so that it adds up.
func (b *workbook) add(line []string, row *input.Row, r *batch.Result) error {
	t := plainRow
	if r.Status == batch.Unknown {
		t = doubtRow
	} else if batch.NotDone(r.Status) {
		t = badRow
	}
	if b.amount >= 0 && line[b.amount] != "" && row.Request.Amount > 0 && !row.Invalid() {
		line[b.amount] = number(row.Request.Amount)
	}
	if err := b.results.add(t, b.kinds, line...); err != nil || !payable(row, r) {
		return err
	}
	return b.customers.add(plainRow, customerKinds, row.Request.BuyerName, row.Request.BuyerTel, cmp.Or(r.VbankName, r.VbankCode), r.VbankNum,
		r.VbankHolder, number(r.Amount), moment(r.VbankDue), r.MerchantUID)
}

// end writes the figures, if they are known, and packs the workbook. A sheet without rows is left out, but for the results'.
func (b *workbook) end() error {
	if b.Run != nil && b.Facts != nil {
		if err := b.figures(); err != nil {
			return err
		}
	}
	var sheets []*tab
	for _, t := range []*tab{b.results, b.customers, b.mend, b.summary} {
		if t.rows > 1 || t == b.results {
			sheets = append(sheets, t)
		} else if err := b.file.DeleteSheet(t.name); err != nil {
			return err
		}
	}
	for _, t := range sheets {
		if err := t.end(); err != nil {
			return err
		}
	}
	return b.file.Write(io.Discard) // see zip
}

// figures writes the sheet that tells of the run as a whole.
func (b *workbook) figures() error {
	l, f := b.Language, b.Facts
	var all []error
	add := func(t tone, cells ...string) {
		all = append(all, b.summary.add(t, []kind{textCell, wholeCell, wholeCell}, cells...))
	}
	name := filepath.Base(b.Run.File)
	if b.Run.File == "-" {
		name = l.Text("standard input")
	}
	all = append(all, b.summary.add(headRow, nil, l.Text("File"), name))
	all = append(all, b.summary.add(plainRow, nil, l.Text("Run"), strconv.FormatInt(b.Run.ID, 10)))
	all = append(all, b.summary.add(plainRow, []kind{textCell, timeCell}, l.Text("Started"), Stamp(b.Run.Started)))
	if b.Run.Sandbox() {
		add(plainRow, l.Text("This run was a trial against a sandbox: nobody can pay into these accounts."))
	}
	row := func(t tone, name string, s Sum) {
		add(t, name, strconv.FormatInt(s.Rows, 10), strconv.FormatInt(s.Won, 10))
	}
	if all := f.Standing(); all.Rows > 0 {
		add(plainRow)
		add(headRow, headings(l, "Accounts", "Rows", "Won")...)
		row(plainRow, l.Text("All"), all)
		row(plainRow, l.Text("Issued in this run"), f.Statuses[batch.Issued])
	}
	add(plainRow)
	add(headRow, headings(l, "By status", "Rows", "Won")...)
	for _, status := range batch.Statuses {
		if s := f.Statuses[status]; s.Rows > 0 {
			row(plainRow, StatusName(l, status), s)
		}
	}
	row(headRow, l.Text("All"), f.Total())
	if banks := f.Banks(); len(banks) > 0 {
		add(plainRow)
		add(headRow, headings(l, "Issued, by bank", "Accounts", "Won")...)
		for _, bank := range banks {
			row(plainRow, bank.In(l), bank.Sum)
		}
	}
	if len(f.Codes) > 0 {
		add(plainRow)
		add(headRow, headings(l, "By reason", "Rows")...)
		for _, code := range commonest(f.Codes) {
			add(plainRow, code, strconv.Itoa(f.Codes[code]), "", Sentence(l, code))
		}
	}
	return errors.Join(all...)
}

// tab is a sheet of a workbook in the making.
type tab struct {
	*workbook
	name    string
	stream  *excelize.StreamWriter // nil until the widths of the columns are known
	waiting [][]any                // the rows before that
	looked  int                    // at cells of them; a long one counts as several
	widths  []int
	rows    int // with the header
}

// Widths of columns, in characters, and how many cells are looked at to find them.
const (
	narrowest  = 8
	widest     = 50
	widthCells = 10_000
)

// add adds a row, whose cells are text where kinds has none for them.
func (t *tab) add(tone tone, kinds []kind, cells ...string) error {
	row := make([]any, len(cells))
	values := make([]excelize.Cell, len(cells))
	t.widths = append(t.widths, make([]int, max(len(cells)-len(t.widths), 0))...)
	for i, cell := range cells {
		k := textCell
		if i < len(kinds) {
			k = kinds[i]
		}
		value, shown := t.value(k, input.Clean(cell))
		if _, is := value.(string); is && tone != headRow { // whatever it was to be
			k = textCell
		}
		values[i] = excelize.Cell{StyleID: t.styles[style{k, tone}], Value: value}
		row[i] = &values[i]
		t.looked += 1 + len(cell)/100
		if t.stream == nil && len(cells) > 1 {
			t.widths[i] = max(t.widths[i], uniseg.StringWidth(shown))
		}
	}
	t.rows++
	if t.stream != nil {
		return t.put(t.rows, row)
	}
	if t.waiting = append(t.waiting, row); t.looked < widthCells {
		return nil
	}
	return t.begin()
}

// texts adds a row of texts, the first of which is the header.
func (t *tab) texts(cells []string) error {
	if t.rows == 0 {
		return t.add(headRow, nil, cells...)
	}
	return t.add(plainRow, nil, cells...)
}

// value is what a cell holds, and that as it shows. A header is text.
func (t *tab) value(k kind, cell string) (value any, shown string) {
	switch {
	case cell == "":
		return nil, ""
	case t.rows == 0 || k == textCell:
	case k == wordCell && slices.Contains(batch.Statuses, cell):
		cell = StatusName(t.Language, cell)
	case k == wordCell:
		cell = t.Language.Text(cell)
	case k == wholeCell:
		n, err := strconv.ParseInt(strings.ReplaceAll(cell, ",", ""), 10, 64)
		if shown := Thousands(n); err == nil && max(n, -n) < 1e15 && (cell == shown || cell == strconv.FormatInt(n, 10)) {
			return n, shown
		}
	case k == timeCell:
		if at, err := time.Parse(time.RFC3339, cell); err == nil {
			return at.In(input.KST), time.DateTime
		}
	}
	return within(cell), cell
}

// within is as much of a text as a cell of Excel holds, which counts UTF-16. A … stands where it is cut.
func within(s string) string {
	const most = excelize.TotalCellChars
	if len(s) <= most {
		return s
	}
	units, cut := 0, 0
	for i, r := range s {
		if units < most {
			cut = i
		}
		if units += utf16.RuneLen(r); units > most {
			return s[:cut] + "…"
		}
	}
	return s
}

// begin gives the columns their widths, and writes the rows that have waited for that.
func (t *tab) begin() (err error) {
	if t.stream, err = t.file.NewStreamWriter(t.name); err != nil {
		return err
	}
	if t != t.summary {
		err = errors.Join(err, t.stream.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}))
	}
	if t == t.mend { // what is typed into it stays what was typed
		err = errors.Join(err, t.stream.SetColStyle(1, len(t.widths), t.styles[style{textCell, plainRow}]))
	}
	for i, width := range slices.Backward(t.widths) { // it puts each before those that it has
		err = errors.Join(err, t.stream.SetColWidth(i+1, i+1, float64(min(max(width+3, narrowest), widest))))
	}
	for i, row := range t.waiting {
		err = errors.Join(err, t.put(i+1, row))
	}
	t.waiting = nil
	return err
}

func (t *tab) put(n int, row []any) error {
	return t.stream.SetRow("A"+strconv.Itoa(n), row)
}

// end completes the sheet: a filter over its columns, and no marks at numbers that are text.
func (t *tab) end() (err error) {
	if t.stream == nil {
		if err := t.begin(); err != nil {
			return err
		}
	}
	if t != t.summary {
		last, _ := excelize.CoordinatesToCellName(len(t.widths), t.rows)
		err = errors.Join(err, t.file.AutoFilter(t.name, "A1:"+last, nil), t.file.AddIgnoredErrors(t.name, "A1:"+last, excelize.IgnoredErrorsNumberStoredAsText))
	}
	return errors.Join(err, t.stream.Flush())
}
