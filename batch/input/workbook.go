package input

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"vbankbatch/client/say"
)

// A workbook of Excel (.xlsx, .xlsm: ECMA-376, part 1) is read as the CSV that it would be if Excel saved what its cells hold
// and not what they show: order numbers in full, dates as days, amounts with all their digits. Only texts that a format puts
// around the digits, as in ORD-0012, are read with them. Row 7 is line 7.
type workbook struct {
	file    *File
	parts   map[string]*zip.File
	most    int64   // bytes that a part may unpack to
	sheets  []sheet // worksheets, in their order
	epoch   time.Time
	stale   bool         // who wrote it calculated no formula: Excel is to do that when it opens it
	formats []cellFormat // by style
	texts   sharedTexts
	tables  map[sheetOptions]*File // what was read so far
}

// A sheet is a worksheet of a workbook.
type sheet struct {
	name   string
	part   string // of the package
	hidden bool
}

// sheetOptions say what of a workbook is read: the Options, and the columns of which what the cells hold is taken.
type sheetOptions struct{ sheet, hidden, plain string }

// AsShown is a number in a cell of a workbook whose format shows it as another text.
type AsShown struct{ Shown, Held string }

// What Options.Hidden can say.
const (
	HiddenSkip    = "skip"
	HiddenInclude = "include"
)

const (
	mostTexts = 512 << 20 // bytes of all shared texts, which are kept in memory
	zipMagic  = "PK\x03\x04"
)

// openWorkbook reads what all sheets share. What is a zip archive and no workbook is refused with what to do.
func (f *File) openWorkbook(most int64) error {
	archive, err := zip.NewReader(&f.copy, f.Size)
	if err != nil {
		return &Error{Path: f.Path, Message: say.NewMessage("is a damaged workbook or zip archive"), Hint: say.NewMessage("it may have been cut short: fetch it again"), Err: err}
	}
	w := &workbook{file: f, parts: make(map[string]*zip.File), most: most, tables: make(map[sheetOptions]*File)}
	for _, part := range archive.File {
		w.parts[strings.TrimPrefix(part.Name, "/")] = part
	}
	switch {
	case w.parts["xl/workbook.bin"] != nil:
		return &Error{Path: f.Path, Message: say.NewMessage("is a binary workbook (xlsb)"), Hint: say.NewMessage("save it in Excel as a workbook (.xlsx)")}
	case w.parts["content.xml"] != nil:
		return &Error{Path: f.Path, Message: say.NewMessage("is an OpenDocument spreadsheet (ods)"), Hint: say.NewMessage("save it as an Excel workbook (.xlsx)")}
	case w.parts["xl/workbook.xml"] == nil:
		return &Error{Path: f.Path, Message: say.NewMessage("is a zip archive, not a workbook or CSV file"), Hint: say.NewMessage("unpack it, and name the file in it")}
	}
	for _, read := range []func() error{w.readSheets, w.readStyles, w.readTexts} {
		if err := read(); err != nil {
			return w.failed("", err)
		}
	}
	f.book = w
	return nil
}

// failed is the error of a part that cannot be read.
func (w *workbook) failed(sheet string, err error) error {
	if told, ok := errors.AsType[*Error](err); ok {
		return told
	}
	message := say.NewMessage("the workbook cannot be read")
	if sheet != "" {
		message = say.Messagef("the sheet “%s” cannot be read", told(sheet))
	}
	return &Error{Path: w.file.Path, Message: message, Hint: say.NewMessage("open it in Excel and save it again as a workbook (.xlsx), or as CSV UTF-8"), Err: err}
}

// part opens a part of the package, of which no more than w.most bytes are read, whatever its directory says. A part that is
// not there is empty.
func (w *workbook) part(name string) (*xml.Decoder, io.Closer, error) {
	found := w.parts[name]
	if found == nil {
		return xml.NewDecoder(strings.NewReader("")), io.NopCloser(nil), nil
	}
	r, err := found.Open()
	if err != nil {
		return nil, nil, err
	}
	limited := &limitedReader{r: r, left: w.most, err: &Error{Path: w.file.Path, Message: say.Messagef("unpacks to more than the %d bytes that --max-input allows", w.most), Hint: say.NewMessage("split it, or give a larger --max-input")}}
	return xml.NewDecoder(bufio.NewReaderSize(limited, 64<<10)), r, nil
}

// limitedReader ends with an error of its own where io.LimitedReader pretends the end.
type limitedReader struct {
	r    io.Reader
	left int64
	err  error
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, l.err
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

// elements calls do for each element that begins in a part, in their order.
func (w *workbook) elements(name string, do func(d *xml.Decoder, e xml.StartElement) error) error {
	d, closer, err := w.part(name)
	if err != nil {
		return err
	}
	defer closer.Close()
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if e, ok := token.(xml.StartElement); ok {
			if err := do(d, e); err != nil {
				return err
			}
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// readSheets finds the worksheets and their parts, and the day from which dates are counted.
func (w *workbook) readSheets() error {
	targets := make(map[string]string)
	err := w.elements("xl/_rels/workbook.xml.rels", func(_ *xml.Decoder, e xml.StartElement) error {
		if target := attribute(e, "Target"); strings.HasSuffix(attribute(e, "Type"), "/worksheet") {
			if !strings.HasPrefix(target, "/") {
				target = path.Join("xl", target)
			}
			targets[attribute(e, "Id")] = strings.TrimPrefix(target, "/")
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.epoch = time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	return w.elements("xl/workbook.xml", func(_ *xml.Decoder, e xml.StartElement) error {
		switch e.Name.Local {
		case "calcPr":
			w.stale = yes(attribute(e, "fullCalcOnLoad"))
		case "workbookPr":
			if yes(attribute(e, "date1904")) {
				w.epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
			}
		case "sheet":
			if part := targets[attribute(e, "id")]; part != "" { // others are charts
				w.sheets = append(w.sheets, sheet{attribute(e, "name"), part, cmp.Or(attribute(e, "state"), "visible") != "visible"})
			}
		}
		return nil
	})
}

func yes(value string) bool { return value == "1" || value == "true" }

// cellFormat is what a number format makes of a number, as far as its meaning goes.
type cellFormat struct {
	date   bool
	pieces []string // of which a whole number is made, as piecesOf has them; nil of other formats
	sign   string   // of a currency other than won
	unit   string   // that the format writes behind the number: 천원
}

// readStyles reads the number formats of the cells' styles.
func (w *workbook) readStyles() error {
	custom, inCells := make(map[string]string), false
	return w.elements("xl/styles.xml", func(_ *xml.Decoder, e xml.StartElement) error {
		switch e.Name.Local {
		case "numFmt":
			custom[attribute(e, "numFmtId")] = attribute(e, "formatCode")
		case "cellStyleXfs", "cellStyles", "dxfs":
			inCells = false
		case "cellXfs":
			inCells = true
		case "xf":
			if inCells {
				id := attribute(e, "numFmtId")
				w.formats = append(w.formats, formatOf(id, custom[id]))
			}
		}
		return nil
	})
}

var (
	quotedFormat   = regexp.MustCompile(`"[^"]*"|\\.|_.|\*.`)
	bracketFormat  = regexp.MustCompile(`\[[^\]]*\]`)
	currencyFormat = regexp.MustCompile(`\[\$([^\]-]*)`)
	quotedWord     = regexp.MustCompile(`"[^"]*"`)
	commasBehind   = regexp.MustCompile(`[0#?](,+)(?:[^0#?,]|$)`)
	formatPiece    = regexp.MustCompile(`"([^"]*)"|\\(.)|[_*].|\[(?:[A-Za-z0-9]+|\$-[^\]]*)\]|.`)
)

// formatOf reads a number format: one of Excel's own by its number (ECMA-376, 18.8.30), or a custom one by its code.
func formatOf(id, code string) (f cellFormat) {
	if code == "" {
		n, _ := strconv.Atoi(id)
		f.date = n >= 14 && n <= 22 || n >= 27 && n <= 36 || n >= 45 && n <= 47 || n >= 50 && n <= 58
		return f
	}
	code, _, _ = strings.Cut(code, ";") // what positive numbers look like
	signs := code
	if found := currencyFormat.FindStringSubmatch(code); found != nil {
		signs = found[1]
	} else {
		signs = bracketFormat.ReplaceAllString(signs, "")
	}
	if sign := foreignNames.FindString(strings.NewReplacer(`"`, "", `\`, "", "%", "").Replace(signs)); sign != "" {
		f.sign = sign
	}
	f.shows(code, signs)
	bare := strings.ToLower(bracketFormat.ReplaceAllString(quotedFormat.ReplaceAllString(code, ""), ""))
	f.date = strings.ContainsAny(bare, "ymdhs") && !strings.Contains(bare, "general") && !strings.ContainsAny(bare, "#?")
	if f.sign+f.unit == "" {
		f.pieces = piecesOf(code)
	}
	return f
}

// numbering are the texts of a format that makes an order number of a number. Those of an amount, such as 총 and 원, or a point and
// two zeros, are no part of it.
var numbering = regexp.MustCompile(`^[\pL_/ -]*[A-Za-z_-][\pL_/ -]*$`)

// piecesOf cuts a format of nothing but zeros, # and such texts as in "ORD-"0000, which shows all digits of a number: texts have a
// quotation mark in front. It returns nil of other formats.
func piecesOf(code string) (pieces []string) {
	var texts string
	places := false
	for _, found := range formatPiece.FindAllStringSubmatch(strings.ReplaceAll(code, "General", "#"), -1) {
		switch piece, text := found[0], found[1]+found[2]; {
		case text != "":
			pieces, texts = append(pieces, `"`+text), texts+text
		case len(piece) > 1 && piece[0] < utf8.RuneSelf: // a space, a colour or a language
		case piece == "0" || piece == "#":
			pieces, places = append(pieces, piece), true
		case piece[0] >= utf8.RuneSelf || strings.Contains("-+ ()", piece):
			pieces, texts = append(pieces, `"`+piece), texts+piece
		default:
			return nil
		}
	}
	if !places || texts != "" && !numbering.MatchString(texts) {
		return nil
	}
	return pieces
}

// shown is a whole number as the pieces of its format make it: 12 as ORD-0012.
func shown(pieces []string, number string) (text string) {
	first := slices.IndexFunc(pieces, func(piece string) bool { return piece[0] != '"' }) // has the digits that are left
	for i, piece := range slices.Backward(pieces) {
		from := max(len(number)-1, 0)
		switch {
		case piece[0] == '"':
			text = piece[1:] + text
			continue
		case number == "" && piece == "0":
			text = "0" + text
		case i == first:
			from = 0
		}
		text, number = number[from:]+text, number[:from]
	}
	return text
}

// shows reads a currency or a unit in letters, which stand between quotation marks or bare. A number that the format divides by
// its unit (#,##0,"천원") is in won.
func (f *cellFormat) shows(code, signs string) {
	for _, word := range append(quotedWord.FindAllString(code, -1), strings.Trim(signs, "#0,.?_- *()")) {
		word = strings.TrimSpace(strings.NewReplacer(`"`, "", `\`, "").Replace(word))
		switch says := moneyOf(word); {
		case says.foreign != "" && f.sign == "" && !strings.Contains(word, "%"):
			f.sign = word
		case says.unit > 1 && says.unit != dividedBy(code):
			f.unit = word
		}
	}
}

// dividedBy is by how much a format divides what it shows: by 1000 for each comma behind its last digit.
func dividedBy(code string) int64 {
	by := int64(1)
	if commas := commasBehind.FindStringSubmatch(code); commas != nil {
		for range commas[1] {
			by *= 1000
		}
	}
	return by
}

// sharedTexts are the texts of all sheets, one after the other.
type sharedTexts struct {
	text []byte
	ends []int
}

func (s *sharedTexts) at(i int) (string, bool) {
	if i < 0 || i >= len(s.ends) {
		return "", false
	}
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	return string(s.text[from:s.ends[i]]), true
}

// readTexts reads the texts that cells refer to by number.
func (w *workbook) readTexts() error {
	return w.elements("xl/sharedStrings.xml", func(d *xml.Decoder, e xml.StartElement) error {
		if e.Name.Local != "si" {
			return nil
		}
		text, err := richText(d)
		w.texts.text = append(w.texts.text, text...)
		w.texts.ends = append(w.texts.ends, len(w.texts.text))
		if len(w.texts.text) > mostTexts {
			err = &Error{Path: w.file.Path, Message: say.Messagef("holds more than %d bytes of text", mostTexts), Hint: say.NewMessage("split it")}
		}
		return err
	})
}

// richText reads to the end of an element and joins its texts, but for how they are pronounced.
func richText(d *xml.Decoder) (string, error) {
	var text strings.Builder
	in := false
	for depth := 1; depth > 0; {
		token, err := d.Token()
		if err != nil {
			return "", unexpected(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "rPh" {
				if err := d.Skip(); err != nil {
					return "", unexpected(err)
				}
				continue
			}
			depth++
			in = token.Name.Local == "t"
		case xml.EndElement:
			depth--
			in = false
		case xml.CharData:
			if in {
				text.Write(token)
			}
		}
	}
	return unescaped(text.String()), nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

var escapedChar = regexp.MustCompile(`_x[0-9A-Fa-f]{4}_`)

// unescaped undoes how Excel writes what XML cannot hold: _x000D_.
func unescaped(text string) string {
	if !strings.Contains(text, "_x") {
		return text
	}
	return escapedChar.ReplaceAllStringFunc(text, func(escape string) string {
		n, _ := strconv.ParseUint(escape[2:6], 16, 16) // four hex digits
		return string(rune(n))
	})
}

// table returns the sheet that the options mean as a CSV file.
func (w *workbook) table(o Options) (*File, error) {
	key := sheetOptions{sheet: o.Sheet, hidden: o.Hidden}
	if f := w.tables[key]; f != nil {
		return f, nil
	}
	var names []string
	var chosen []sheet
	for _, s := range w.sheets {
		if o.Sheet == "" && !s.hidden || o.Sheet != "" && (s.name == o.Sheet || fold(s.name) == fold(o.Sheet)) {
			chosen = append(chosen, s)
		}
		names = append(names, "“"+told(s.name)+"”")
	}
	if o.Sheet != "" && len(chosen) == 0 {
		return nil, &Error{Path: w.file.Path, Message: say.Messagef("there is no sheet “%s” among %s", told(o.Sheet), strings.Join(names, ", ")), Hint: say.NewMessage("name one of them with --sheet")}
	}
	var found *File
	var first error
	var offers []string
	names = nil
	for _, s := range chosen {
		f, refused := w.read(s, o, nil)
		err := refused
		if hidesRows(refused) && len(chosen) > 1 { // it may be one of orders all the same
			shown := o
			shown.Hidden = HiddenInclude
			f, err = w.read(s, shown, nil)
		}
		if err == nil && len(chosen) > 1 {
			_, _, err = f.findHeader(utf8Name, o)
		}
		err = cmp.Or(err, refused)
		switch {
		case hidesRows(err):
			first = err
		case err != nil:
			first = cmp.Or(first, err)
			continue
		case found == nil:
			found = f
		}
		names = append(names, "“"+told(s.name)+"”")
		if !strings.ContainsRune(s.name, '\'') {
			offers = append(offers, "--sheet '"+told(s.name)+"'")
		}
	}
	switch {
	case len(names) > 1:
		return nil, &Error{Path: w.file.Path, Message: say.Messagef("several sheets can be read: %s", strings.Join(names, ", ")), Hint: say.Messagef("name one of them with --sheet: %s", strings.Join(offers, ", "))}
	case found == nil:
		return nil, cmp.Or(first, error(&Error{Path: w.file.Path, Message: say.NewMessage("has no sheet that is shown")}))
	}
	w.tables[key] = found
	return found, nil
}

// plain returns a sheet once more, with what the cells of some columns hold, whatever their formats show.
func (w *workbook) plain(table *File, columns []int, o Options) (*File, error) {
	key := sheetOptions{table.Sheet, o.Hidden, fmt.Sprint(columns)}
	if f := w.tables[key]; f != nil {
		return f, nil
	}
	at := slices.IndexFunc(w.sheets, func(s sheet) bool { return s.name == table.Sheet })
	f, err := w.read(w.sheets[at], o, columns)
	if err == nil {
		w.tables[key] = f
	}
	return f, err
}

// close removes what was read of the sheets.
func (w *workbook) close() (err error) {
	for _, f := range w.tables {
		err = errors.Join(err, f.copy.close())
	}
	return err
}

// read writes a sheet as CSV into a file of its own, each row on the line of its number. Of the plain columns it takes what the cells
// hold.
func (w *workbook) read(s sheet, o Options, plain []int) (*File, error) {
	table := &File{formatted: make(map[int]AsShown), Path: w.file.Path, Place: w.file.Place, Digest: w.file.Digest, Encoding: utf8Name, Sheet: s.name}
	out := bufio.NewWriterSize(writer(func(p []byte) (int, error) {
		table.Size += int64(len(p))
		return len(p), table.copy.write(p)
	}), 256<<10)
	r := sheetReader{workbook: w, sheet: s, options: o, plain: plain, formatted: table.formatted, out: csv.NewWriter(out), lines: out}
	err := w.elements(s.part, r.element)
	if err == nil && w.parts[s.part] == nil {
		err = io.ErrUnexpectedEOF
	}
	r.out.Flush()
	if err = errors.Join(err, r.out.Error(), out.Flush()); err != nil {
		return nil, errors.Join(w.failed(s.name, err), table.copy.close())
	}
	return table, nil
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// sheetReader makes lines of a sheet's rows.
type sheetReader struct {
	*workbook
	sheet   sheet
	options Options
	plain   []int // indexes of columns
	out     *csv.Writer
	lines   *bufio.Writer
	written int // lines
	row     int // number, from 1
	cells   []string
	hides   bool // rows without a height are hidden

	formatted map[int]AsShown // by column
}

const mostRows = 1 << 20 // of Excel's sheets

func (r *sheetReader) element(d *xml.Decoder, e xml.StartElement) error {
	switch e.Name.Local {
	case "sheetFormatPr":
		r.hides = yes(attribute(e, "zeroHeight"))
	case "row":
		return r.readRow(d, e)
	}
	return nil
}

// children calls do, which reads it to its end, for each element within the one that has just begun.
func children(d *xml.Decoder, do func(xml.StartElement) error) error {
	for {
		token, err := d.Token()
		if err != nil {
			return unexpected(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if err := do(token); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

var hiddenHint = say.NewMessage("--hidden skip leaves them out, --hidden include takes them; or show them in Excel")

// hidesRows reports whether a sheet was refused over its hidden rows.
func hidesRows(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Hint == hiddenHint
}

// readRow writes a row that holds something.
func (r *sheetReader) readRow(d *xml.Decoder, e xml.StartElement) error {
	number := r.row + 1
	if text := attribute(e, "r"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n <= r.row || n > mostRows {
			return say.Errorf("row %d is followed by row %s", r.row, told(text))
		}
		number = n
	}
	r.row, r.cells = number, r.cells[:0]
	if err := children(d, func(c xml.StartElement) error { return r.readCell(d, c) }); err != nil {
		return err
	}
	if blank(r.cells) {
		return nil
	}
	if hidden := attribute(e, "hidden"); yes(hidden) || r.hides && hidden == "" && attribute(e, "ht") == "" {
		switch r.options.Hidden {
		case HiddenSkip:
			return nil
		case "":
			return &Error{Path: r.file.Path, Line: r.row, Message: say.Messagef("the sheet “%s” has rows that are hidden or filtered out", told(r.sheet.name)),
				Hint: hiddenHint}
		}
	}
	r.out.Flush()
	for ; r.written < r.row-1; r.written++ {
		r.lines.WriteByte('\n') // Flush tells
	}
	r.written++
	return r.out.Write(r.cells)
}

// readCell reads a cell to its end, and puts its value into its column.
func (r *sheetReader) readCell(d *xml.Decoder, c xml.StartElement) error {
	column, kind, style := len(r.cells), "n", 0
	for _, a := range c.Attr {
		switch a.Name.Local {
		case "r":
			letters := strings.TrimRight(a.Value, "0123456789")
			column = -1
			for i := range len(letters) {
				column = (column+1)*26 + int(letters[i]-'A')
			}
			if letters == "" || column < len(r.cells) || column >= maxColumns {
				return say.Errorf("row %d has no place for a cell %s", r.row, told(a.Value))
			}
		case "t":
			kind = a.Value
		case "s":
			style, _ = strconv.Atoi(a.Value) // what is no number has no format
		}
	}
	var value []byte
	var inline string
	formula, valued := false, false
	err := children(d, func(e xml.StartElement) (err error) {
		switch e.Name.Local {
		case "v":
			valued = true
			value, err = content(d, value)
		case "is":
			inline, err = richText(d)
		default:
			formula = formula || e.Name.Local == "f"
			err = unexpected(d.Skip())
		}
		return err
	})
	if err != nil {
		return err
	}
	if formula && (!valued || r.stale) {
		return &Error{Path: r.file.Path, Line: r.row, Message: say.Messagef("the sheet “%s” has a formula whose value was not saved with it, in the cell %s", told(r.sheet.name), attribute(c, "r")),
			Hint: say.NewMessage("open it in Excel, which calculates it, and save it")}
	}
	text, err := r.value(kind, style, column, string(value), inline)
	if err != nil || text == "" {
		return err
	}
	for len(r.cells) < column {
		r.cells = append(r.cells, "")
	}
	r.cells = append(r.cells, oneLine(text))
	return nil
}

// content reads the characters of an element to its end.
func content(d *xml.Decoder, into []byte) ([]byte, error) {
	for {
		token, err := d.Token()
		if err != nil {
			return nil, unexpected(err)
		}
		switch token := token.(type) {
		case xml.CharData:
			into = append(into, token...)
		case xml.EndElement:
			return into, nil
		}
	}
}

// value is what a cell holds, as text (ECMA-376, 18.18.11).
func (r *sheetReader) value(kind string, style, column int, value, inline string) (string, error) {
	switch kind {
	case "s":
		i, err := strconv.Atoi(value)
		text, ok := r.texts.at(i)
		if err != nil || !ok {
			return "", say.Errorf("row %d names a text that is not there", r.row)
		}
		return text, nil
	case "inlineStr":
		return inline, nil
	case "b":
		if yes(value) {
			return "TRUE", nil
		}
		return "FALSE", nil
	case "n":
		if value = strings.TrimSpace(value); value == "" {
			return "", nil
		}
		var format cellFormat
		if style >= 0 && style < len(r.formats) {
			format = r.formats[style]
		}
		return r.number(value, column, format), nil
	}
	return unescaped(value), nil // a formula's text, an error such as #REF!, a date of ISO 8601
}

// number writes a number as text: a date if its format makes one of it, else with all of its digits. One of more digits than Excel
// keeps is an exponent with all of them, which no order number may be.
func (r *sheetReader) number(value string, column int, format cellFormat) string {
	if format.date {
		if date, ok := r.date(value); ok {
			return date
		}
	}
	text := plainNumber(value)
	switch {
	case !digits(text):
	case len(text) > 15:
		return text[:1] + "." + text[1:] + "E+" + strconv.Itoa(len(text)-1)
	case format.pieces != nil && !slices.Contains(r.plain, column):
		shown := shown(format.pieces, text)
		if _, found := r.formatted[column]; !found && shown != text {
			r.formatted[column] = AsShown{shown, text}
		}
		return shown
	}
	return format.sign + text + format.unit
}

// date writes a serial as a day, with its time if it has one, or as a time alone.
func (r *sheetReader) date(value string) (string, bool) {
	serial, err := strconv.ParseFloat(value, 64)
	if err != nil || serial < 0 || serial >= 2_958_466 { // the year 10000
		return "", false
	}
	days, fraction := math.Modf(serial)
	seconds := int(math.Round(fraction * 86400))
	t := r.epoch.AddDate(0, 0, int(days)).Add(time.Duration(seconds) * time.Second)
	switch {
	case days == 0 && seconds > 0:
		return t.Format("15:04:05"), true
	case seconds == 0:
		return t.Format("2006-01-02"), true
	}
	return t.Format("2006-01-02 15:04:05"), true
}

var exponential = regexp.MustCompile(`^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d{1,3})$`)

// plainNumber writes a number without an exponent, and changes none of its digits.
func plainNumber(value string) string {
	parts := exponential.FindStringSubmatch(value)
	if parts == nil {
		return value
	}
	all, power := parts[2]+parts[3], atoi(strings.TrimLeft(parts[4], "+-"))
	if parts[4][0] == '-' {
		power = -power
	}
	point := len(parts[2]) + power
	switch {
	case point <= 0:
		all, point = strings.Repeat("0", 1-point)+all, 1
	case point > len(all):
		all += strings.Repeat("0", point-len(all))
	}
	whole, fraction := strings.TrimLeft(all[:point], "0"), strings.TrimRight(all[point:], "0")
	if fraction != "" {
		fraction = "." + fraction
	}
	return parts[1] + cmp.Or(whole, "0") + fraction
}

// encrypted reports whether an old container of Microsoft's holds a workbook behind a password.
func encrypted(container []byte) bool {
	return bytes.HasPrefix(container, []byte("\xD0\xCF\x11\xE0")) && bytes.Contains(container, []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00"))
}
