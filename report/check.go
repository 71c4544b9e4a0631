package report

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rivo/uniseg"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// Formats are those that Check writes.
const (
	Text = "text" // for people
	JSON = "json" // one object: what was understood, the totals, the problems
	CSV  = "csv"  // a line for each problem
)

// Check tells all that the preflight found: what was understood, the control totals, and every problem of every row; and in
// text and JSON what a run would do, where the plan was held against a ledger.
// A file without problems is not read again.
func Check(ctx context.Context, w say.Writer, p *batch.Plan, found *batch.Compared, format string) error {
	switch format {
	case JSON:
		return checkJSON(ctx, w, p, found)
	case CSV:
		return checkCSV(ctx, w, p)
	}
	printFigures(w, p, printColumns)
	err := EachProblem(ctx, p, func(line int, problem *input.Problem) error {
		_, err := fmt.Fprintln(w, complaint(w.Language, line, problem))
		return err
	})
	if err != nil {
		return err
	}
	printCodes(w, p.Codes)
	if found != nil {
		PrintCompared(w, *found)
	}
	return nil
}

// PrintCompared tells what a run over a plan would do.
func PrintCompared(w say.Writer, c batch.Compared) {
	for _, part := range []struct {
		planned batch.Planned
		says    string
	}{
		{c.New, say.Mark("to issue, new to the ledger: %s (%s won)\n")},
		{c.Issued, say.Mark("issued already, nothing is sent: %s (%s won)\n")},
		{c.Changed, say.Mark("issued already with other figures, a conflict: %s (%s won)\n")},
		{c.InDoubt, say.Mark("in doubt, looked up first: %s (%s won)\n")},
		{c.Changes, say.Mark("updates and revocations to send: %s (%s won)\n")},
		{c.Done, say.Mark("updates and revocations that are done already: %s (%s won)\n")},
	} {
		if part.planned.Rows > 0 {
			w.Printf(part.says, Count(w.Language, part.planned.Rows, "1 row", "%s rows"), Thousands(part.planned.Won))
		}
	}
}

// EachProblem calls do with all problems in the order of their lines. What every row lacks is told by Plan.Refusal.
func EachProblem(ctx context.Context, p *batch.Plan, do func(line int, problem *input.Problem) error) error {
	differ := p.Differ
	before := func(line int) error {
		for ; len(differ) > 0 && differ[0].Line < line; differ = differ[1:] {
			if err := do(differ[0].Line, difference(p, differ[0])); err != nil {
				return err
			}
		}
		return nil
	}
	if len(p.Codes) == 0 {
		return before(math.MaxInt)
	}
	err := p.Each(ctx, func(row *input.Row) error {
		if err := before(row.Line); err != nil {
			return err
		}
		for i := range row.Problems {
			if row.Problems[i].Everywhere {
				continue
			}
			if err := do(row.Line, &row.Problems[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return cmp.Or(err, before(math.MaxInt))
}

func difference(p *batch.Plan, d input.Difference) *input.Problem {
	return &input.Problem{Column: d.Column, Header: d.Header, Field: "amount", Code: input.TotalDiffers, Text: strconv.FormatInt(d.Says, 10), Warning: p.Options.Totals == input.TotalsWarn,
		Message: say.Messagef("the total says %s won and the rows above it come to %s; a row may be missing or changed", Thousands(d.Says), Thousands(d.Adds))}
}

// complaint is a problem as one line: where, what, and what to do.
func complaint(language say.Language, line int, p *input.Problem) string {
	var b strings.Builder
	b.WriteString(language.Sprintf("line %d", line))
	if p.Column > 0 {
		b.WriteString(language.Sprintf(", column %d (%s)", p.Column, p.Header))
	}
	if p.Warning {
		b.WriteString(language.Text(", warning"))
	}
	fmt.Fprintf(&b, ": %s: ", p.Code)
	if p.Text != "" {
		fmt.Fprintf(&b, "“%s”: ", p.Text)
	}
	b.WriteString(p.Message.In(language))
	return b.String()
}

// WriteProblems writes a file's problems as Check does in CSV, with the mark by which Excel knows UTF-8; nothing if there are
// none.
func WriteProblems(ctx context.Context, language say.Language, path string, p *batch.Plan) error {
	if len(p.Codes) == 0 && len(p.Differ) == 0 {
		return nil
	}
	return Replace(path, 0o600, func(w io.Writer) error {
		if _, err := io.WriteString(w, "\uFEFF"); err != nil {
			return err
		}
		return checkCSV(ctx, say.Writer{Writer: w, Language: language}, p)
	})
}

func checkCSV(ctx context.Context, w say.Writer, p *batch.Plan) error {
	out := defused{csv.NewWriter(w)}
	out.Write([]string{"line", "column", "header", "field", "code", "text", "message", "warning"}) // Error tells
	err := EachProblem(ctx, p, func(line int, p *input.Problem) error {
		return out.Write([]string{strconv.Itoa(line), number(int64(p.Column)), p.Header, p.Field, string(p.Code), p.Text, p.Message.In(w.Language), strconv.FormatBool(p.Warning)})
	})
	out.Flush()
	return cmp.Or(err, out.Error())
}

// checked is what check says in JSON, but for the problems.
type checked struct {
	File       string          `json:"file"`
	Encoding   string          `json:"encoding"`
	Delimiter  string          `json:"delimiter"`
	HeaderLine int             `json:"header_line"`
	Columns    []checkedColumn `json:"columns"`
	All        []shownColumn   `json:"all_columns"`
	Lacking    string          `json:"lacking,omitempty"`
	Refusal    string          `json:"refusal,omitempty"`
	Lines      struct {
		Titles       int `json:"titles"`
		Headers      int `json:"repeated_headers"`
		Blank        int `json:"blank"`
		Notes        int `json:"notes"`
		Cut          int `json:"cut"`
		Totals       int `json:"totals"`
		TotalsAgree  int `json:"totals_agree"`
		TotalsDiffer int `json:"totals_differ"`
	} `json:"lines"`
	Rows    int                  `json:"rows"`
	ToDo    int                  `json:"to_do"`
	Invalid int                  `json:"invalid"`
	Skipped map[string]int       `json:"skipped"`
	Actions map[input.Action]int `json:"actions"`
	Issue   struct {
		Won         int64          `json:"won"`
		Smallest    int64          `json:"smallest"`
		Largest     int64          `json:"largest"`
		EarliestDue string         `json:"earliest_due,omitempty"`
		LatestDue   string         `json:"latest_due,omitempty"`
		Banks       map[string]int `json:"banks"`
		PGs         map[string]int `json:"pgs"`
	} `json:"issue"`
	Ledger  *batch.Compared `json:"ledger,omitempty"` // what a run would do, where the file was held against a ledger
	Codes   map[string]int  `json:"codes"`
	Notices []string        `json:"notices"`
}

type checkedColumn struct {
	Field  string `json:"field"`
	Header string `json:"header"`
	Column int    `json:"column"`
}

// shownColumn is any column of the file, used or not. Of what may be personal the samples show little.
type shownColumn struct {
	Column  int      `json:"column"`
	Header  string   `json:"header"`
	Field   string   `json:"field,omitempty"`
	Note    string   `json:"note,omitempty"`
	Samples []string `json:"samples,omitempty"`
}

type checkedProblem struct {
	Line    int        `json:"line"`
	Column  int        `json:"column,omitempty"`
	Header  string     `json:"header,omitempty"`
	Field   string     `json:"field,omitempty"`
	Code    input.Code `json:"code"`
	Text    string     `json:"text,omitempty"`
	Message string     `json:"message"`
	Warning bool       `json:"warning"`
}

// checkJSON writes the problems as they are found; there may be millions.
func checkJSON(ctx context.Context, w say.Writer, p *batch.Plan, found *batch.Compared) error {
	c := checked{Ledger: found, File: FilePath(p, say.English), Encoding: p.Layout.Encoding, Delimiter: string(p.Layout.Delimiter), HeaderLine: p.Layout.HeaderLine,
		Rows: p.Rows, ToDo: p.ToDo(), Invalid: p.Invalid, Skipped: p.Skips, Actions: p.Actions, Codes: p.Codes, Notices: Notices(w.Language, p)}
	for _, m := range p.Mapping {
		c.Columns = append(c.Columns, checkedColumn{m.Field, m.Header, m.Column})
	}
	for _, column := range p.Columns {
		c.All = append(c.All, shownColumn{column.Number, column.Header, column.Field, column.Note.In(w.Language), column.Samples})
	}
	if p.Lacking != nil {
		c.Lacking = w.Error(p.Lacking)
	}
	if p.Refusal != nil {
		c.Refusal = w.Error(p.Refusal)
	}
	s := p.Passed
	c.Lines.Titles, c.Lines.Headers, c.Lines.Blank, c.Lines.Notes, c.Lines.Cut = s.Titles, s.Headers, s.Blank, s.Notes, s.Cut
	c.Lines.Totals, c.Lines.TotalsAgree, c.Lines.TotalsDiffer = s.Totals, s.Agree, s.Differ
	c.Issue.Won, c.Issue.Smallest, c.Issue.Largest, c.Issue.Banks, c.Issue.PGs = p.Won, p.Least, p.Most, p.Banks, p.PGs
	c.Issue.EarliestDue, c.Issue.LatestDue = moment(p.FirstDue), moment(p.LastDue)
	head, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s,\n  \"problems\": [", strings.TrimSuffix(string(head), "\n}")); err != nil {
		return err
	}
	separator := "\n    "
	err = EachProblem(ctx, p, func(line int, p *input.Problem) error {
		text, err := json.Marshal(checkedProblem{line, p.Column, p.Header, p.Field, p.Code, p.Text, p.Message.In(w.Language), p.Warning})
		if err == nil {
			_, err = fmt.Fprintf(w, "%s%s", separator, text)
		}
		separator = ",\n    "
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(w, "]\n}\n")
	return err
}

// PrintPlan tells a person what a file asks for, before anything is sent, which totals in it are not right, and which order
// numbers look alike.
func PrintPlan(w say.Writer, p *batch.Plan) {
	printFigures(w, p, printMapping)
	for i, d := range p.Differ {
		if i == 10 {
			w.Printf("  and %d more totals that differ\n", p.Passed.Differ-i)
			break
		}
		w.Printf("warning: line %d, column %d (%s): %s\n", d.Line, d.Column, d.Header, difference(p, d).Message)
	}
	printAlike(w, p.Alike)
}

// printAlike tells of order numbers that look like those of lines above them.
func printAlike(w say.Writer, alike map[int]int) {
	var lines []int
	for line, other := range alike {
		if other < line {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	for i, line := range lines {
		if i == 10 {
			w.Printf("  and %d more order numbers that look alike\n", len(lines)-i)
			break
		}
		w.Printf("warning: line %d: %s\n", line, batch.Alike(alike[line]))
	}
}

// printMapping tells which columns are read, and which are not.
func printMapping(w say.Writer, p *batch.Plan) {
	for _, m := range p.Mapping {
		fmt.Fprintf(w, "  %s ", padded(w.Language, p, inWords(w.Language, m.Field)))
		w.Printf("from column %d, %s\n", m.Column, m.Header)
	}
	var unused []string
	for _, c := range p.Columns {
		if c.Field == "" && c.Note == "" {
			unused = append(unused, cmp.Or(c.Header, strconv.Itoa(c.Number)))
		}
	}
	if more := len(unused) - mostUnused; more > 0 {
		unused = append(unused[:mostUnused], w.Sprintf("and %d more", more))
	}
	if unused != nil {
		w.Printf("  not used: %s\n", strings.Join(unused, ", "))
	}
}

// mostUnused is how many columns that are not used are told.
const mostUnused = 40

// printColumns tells what each column was taken for, and why, with some of its values.
func printColumns(w say.Writer, p *batch.Plan) {
	unused := 0
	for _, c := range p.Columns {
		used := inWords(w.Language, c.Field)
		if c.Field == "" && c.Note == "" {
			if unused++; unused > mostUnused {
				continue
			}
			used = w.Text("not used")
		} else if c.Field == "" {
			used = w.Text("looked at")
		}
		fmt.Fprintf(w, "  %s ", padded(w.Language, p, used))
		w.Printf("column %d, %s: %s", c.Number, c.Header, cmp.Or(strings.Join(c.Samples, " | "), w.Text("empty")))
		if c.Note != "" {
			fmt.Fprintf(w, " (%s)", c.Note.In(w.Language))
		}
		fmt.Fprintln(w)
	}
	if unused > mostUnused {
		w.Printf("  and %d more columns that are not used\n", unused-mostUnused)
	}
}

// fieldWords are what the fields of a row are in other languages than the API's own.
var fieldWords = map[string]string{"merchant_uid": "Order", "amount": "amount", "vbank_code": "Bank", "vbank_due": "Due", "vbank_holder": "Holder", "vbank_num": "Account number",
	"name": "Name of the order", "buyer_name": "Name", "buyer_tel": "Phone", "buyer_email": "Email", "buyer_addr": "Address", "action": "Action", "imp_uid": "PortOne payment"}

// inWords is a field by the API's name, in Korean behind the word for it.
func inWords(language say.Language, field string) string {
	if word := language.Text(fieldWords[field]); word != fieldWords[field] {
		return fmt.Sprintf("%s (%s)", word, field)
	}
	return field
}

// FieldName is the word for a field, or the API's name where there is none.
func FieldName(language say.Language, field string) string {
	return cmp.Or(language.Text(fieldWords[field]), field)
}

// padded is what stands before a column or in its place, as wide as the fields of the file.
func padded(language say.Language, p *batch.Plan, said string) string {
	wide := 14
	if p.Options.Key != "" {
		wide = max(wide, uniseg.StringWidth(inWords(language, "merchant_uid")))
	}
	for _, c := range p.Columns {
		wide = max(wide, uniseg.StringWidth(inWords(language, c.Field)))
	}
	return said + strings.Repeat(" ", max(wide-uniseg.StringWidth(said), 0))
}

// printFigures tells how the file was understood, and the control totals.
func printFigures(w say.Writer, p *batch.Plan, columns func(say.Writer, *batch.Plan)) {
	if p.Layout.Sheet != "" {
		w.Printf("%s: workbook, sheet “%s”, header on row %d\n", p.File.Name(), p.Layout.Sheet, p.Layout.HeaderLine)
	} else {
		w.Printf("%s: %s, separated by %s, header on line %d\n", p.File.Name(), p.Layout.Encoding, delimiterName(w.Language, p.Layout.Delimiter), p.Layout.HeaderLine)
	}
	columns(w, p)
	if p.Options.Key != "" {
		fmt.Fprintf(w, "  %s ", padded(w.Language, p, inWords(w.Language, "merchant_uid")))
		w.Printf("made of %s\n", p.Options.Key)
	}
	if given := slices.Sorted(maps.Keys(p.Options.Set)); len(given) > 0 {
		for i := range given {
			given[i] = inWords(w.Language, given[i])
		}
		w.Printf("  given for rows that have none: %s\n", strings.Join(given, ", "))
	}
	if p.Refusal != nil { // what the rows come to was not read as it should be
		w.Printf("%s: the file is refused, nothing is sent\n", Count(w.Language, p.Rows, "1 row", "%s rows"))
		printPassed(w, p)
		return
	}
	w.Printf("%s: %s to do", Count(w.Language, p.Rows, "1 row", "%s rows"), Thousands(int64(p.ToDo())))
	for _, action := range []input.Action{input.Issue, input.Update, input.Revoke} {
		if n := p.Actions[action]; n > 0 {
			w.Printf(", %s to %s", Thousands(int64(n)), w.Text(string(action)))
		}
	}
	w.Printf("; %s skipped%s, %s invalid\n", Thousands(int64(p.Skipped)), inBrackets(p.Skips), Thousands(int64(p.Invalid)))
	printPassed(w, p)
	if p.Actions[input.Issue] > 0 && p.Won > 0 {
		w.Printf("to issue: %s won, from %s to %s each, due from %s to %s\n", Thousands(p.Won), Thousands(p.Least), Thousands(p.Most),
			input.FormatDue(p.FirstDue), input.FormatDue(p.LastDue))
		w.Printf("by bank: %s\n", counts(banksNamed(p.Banks), w.Text("none")))
		w.Printf("by pg: %s\n", counts(p.PGs, w.Text("the default")))
	}
	for _, notice := range Notices(w.Language, p) {
		w.Printf("notice: %s\n", notice)
	}
}

// Notices are what is told once for many rows.
func Notices(language say.Language, p *batch.Plan) (list []string) {
	if n := p.PGs[""]; n > 0 {
		list = append(list, language.Sprintf("%s: no pg is named, so PortOne takes the merchant's default PG, whose rules are not known here; --pg names it", Count(language, n, "1 row", "%s rows")))
	}
	if key := p.Shown; key.Held != "" {
		list = append(list, language.Sprintf("order numbers are read as the workbook shows them: %s, where the cell holds %s; earlier versions took %s, and what was issued under that number is another order", key.Shown, key.Held, key.Held))
	}
	for _, g := range p.Given {
		if g.Rows > 0 {
			list = append(list, language.Sprintf("%s: the column “%s” goes before the %s that was given for all (the first on line %d); --ignore '%s' has it taken for all",
				Count(language, g.Rows, "1 row", "%s rows"), g.Header, inWords(language, g.Field), g.Line, g.Header))
		}
	}
	for _, message := range slices.Sorted(maps.Keys(p.Notices)) {
		list = append(list, language.Sprintf("%s: %s", Count(language, p.Notices[message], "1 row", "%s rows"), message))
	}
	return list
}

func printPassed(w say.Writer, p *batch.Plan) {
	if passed := passedOver(w.Language, p.Passed); passed != "" {
		w.Printf("passed over: %s\n", passed)
	}
}

// passedOver says what stands between the rows, and whether the totals among it are right.
func passedOver(language say.Language, s input.Stats) string {
	var list []string
	add := func(n int, counted string) {
		if n > 0 {
			list = append(list, counted)
		}
	}
	add(s.Titles, Count(language, s.Titles, "1 line above the header", "%s lines above the header"))
	add(s.Headers, Count(language, s.Headers, "1 repeated header", "%s repeated headers"))
	add(s.Blank, Count(language, s.Blank, "1 blank line", "%s blank lines"))
	add(s.Notes, Count(language, s.Notes, "1 line that is no row", "%s lines that are no rows"))
	add(s.Cut, Count(language, s.Cut, "1 line from --stop-at on", "%s lines from --stop-at on"))
	add(s.Totals, Count(language, s.Totals, "1 line of totals", "%s lines of totals"))
	if s.Totals > 0 {
		var totals []string
		for _, t := range []struct {
			n      int
			format string
		}{{s.Agree, say.Mark("%s as the rows add up")}, {s.Differ, say.Mark("%s different")}, {s.Totals - s.Agree - s.Differ, say.Mark("%s not compared")}} {
			if t.n > 0 {
				totals = append(totals, language.Sprintf(t.format, Thousands(int64(t.n))))
			}
		}
		list[len(list)-1] += " (" + strings.Join(totals, ", ") + ")"
	}
	return strings.Join(list, ", ")
}

// banksNamed are the counts of banks by their names, with the codes behind.
func banksNamed(codes map[string]int) map[string]int {
	named := make(map[string]int, len(codes))
	for code, rows := range codes {
		named[BankName(code)] += rows
	}
	return named
}

// BankName is a bank with its code: 국민은행 (004).
func BankName(code string) string {
	if name := pg.BankName(code); name != "" {
		return name + " (" + code + ")"
	}
	return code
}

// counts writes what is counted in the order of its names.
func counts(m map[string]int, nameless string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s %s", cmp.Or(name, nameless), Thousands(int64(m[name]))))
	}
	return strings.Join(list, ", ")
}

func inBrackets(m map[string]int) string {
	if len(m) == 0 {
		return ""
	}
	return " (" + counts(m, "") + ")"
}

// Count writes a number of things: one as it is, or the format for many.
func Count(language say.Language, n int, one, many string) string {
	if n == 1 {
		return language.Text(one)
	}
	return language.Sprintf(many, Thousands(int64(n)))
}

func delimiterName(language say.Language, r rune) string {
	switch r {
	case ',':
		return language.Text("commas")
	case '\t':
		return language.Text("tabs")
	case ';':
		return language.Text("semicolons")
	case '|':
		return language.Text("bars")
	}
	return strconv.QuoteRune(r)
}
