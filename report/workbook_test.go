package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// writtenBook writes the results of a file, and opens their workbook.
func writtenBook(t testing.TB, path string, o Options, results func([]*input.Row) []batch.Result) (*excelize.File, [][]string) {
	t.Helper()
	p, rows := plan(t, path, input.Options{})
	o.Workbook, o.Plan = AnyWorkbook, p
	outcomes := results(rows)
	if o.Run != nil {
		o.Facts = new(Facts)
		for i := range rows {
			o.Facts.Add(rows[i], &outcomes[i])
		}
	}
	dir := t.TempDir()
	paths := Paths(filepath.Join(dir, "orders.results.csv"), o)
	if err := writeAll(t, paths[0], o, p, rows, outcomes); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(paths[2]); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > len(paths) {
		t.Errorf("left behind: %v, %v", left, err)
	}
	lines, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(read(t, paths[0]), "\ufeff"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, paths[2]), lines
}

func opened(t testing.TB, path string) *excelize.File {
	t.Helper()
	f, err := excelize.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// held is what a cell holds: its text or number, and its format, unless that is text. It fails on a formula.
func held(t testing.TB, f *excelize.File, sheet string, column, row int) string {
	t.Helper()
	name, err := excelize.CoordinatesToCellName(column, row)
	if err != nil {
		t.Fatal(err)
	}
	if formula, err := f.GetCellFormula(sheet, name); formula != "" || err != nil {
		t.Errorf("%s!%s: formula %q %v", sheet, name, formula, err)
	}
	value, err := f.GetCellValue(sheet, name, excelize.Options{RawCellValue: true})
	if err != nil {
		t.Fatal(err)
	}
	kind, err := f.GetCellType(sheet, name)
	if err != nil {
		t.Fatal(err)
	}
	if kind == excelize.CellTypeInlineString || value == "" {
		return value
	}
	id, err := f.GetCellStyle(sheet, name)
	if err != nil {
		t.Fatal(err)
	}
	style, err := f.GetStyle(id)
	if err != nil {
		t.Fatal(err)
	}
	if style.CustomNumFmt == nil {
		return fmt.Sprint(value, " as ", style.NumFmt)
	}
	return value + " as " + *style.CustomNumFmt
}

func sheetOf(t testing.TB, f *excelize.File, sheet string) (lines [][]string) {
	t.Helper()
	rows, err := f.GetRows(sheet)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		line := make([]string, len(row))
		for j := range row {
			line[j] = held(t, f, sheet, j+1, i+1)
		}
		lines = append(lines, line)
	}
	return lines
}

// meant is how a cell of the results' CSV stands in the workbook.
func meant(language say.Language, column, cell string) string {
	cell = input.Clean(cell)
	switch column {
	case "status", "action":
		return language.Text(strings.ReplaceAll(cell, "_", " "))
	case "line", "amount", "attempts", "결제금액":
		if n, err := strconv.ParseInt(strings.ReplaceAll(cell, ",", ""), 10, 64); err == nil && !strings.HasPrefix(cell, "+") {
			return strconv.FormatInt(n, 10) + " as #,##0"
		}
	case "vbank_due", "issued_at":
		if at, err := time.Parse(time.RFC3339, cell); err == nil {
			days := at.In(input.KST).Sub(time.Date(1899, 12, 30, 0, 0, 0, 0, input.KST)).Seconds() / 86400
			return strconv.FormatFloat(days, 'f', -1, 64) + " as yyyy-mm-dd hh:mm:ss"
		}
	}
	return cell
}

// TestWorkbook reads the workbook back: its cells are those of the CSV, as what they are.
func TestWorkbook(t *testing.T) {
	t.Parallel()
	for _, language := range []say.Language{say.English, say.Korean} {
		run := &Run{ID: 12, File: "in/orders.csv", API: "sandbox", Started: time.Date(2026, 11, 5, 0, 30, 0, 0, time.UTC)}
		f, lines := writtenBook(t, "testdata/orders.csv", Options{Language: language, Run: run}, func(rows []*input.Row) []batch.Result {
			return outcomes(rows, batch.Issued, batch.Rejected, batch.Unknown)
		})
		names := map[say.Language][]string{say.English: {"Results", "For customers", "To mend", "Summary"}, say.Korean: {"결과", "안내", "실패", "요약"}}[language]
		if diff := cmp.Diff(names, f.GetSheetList()); diff != "" {
			t.Fatal(diff)
		}
		for i, line := range lines {
			for j, cell := range line {
				want := meant(language, lines[0][j], cell)
				if own := len(line) - len(Columns); i == 0 && j >= own {
					want = language.Text(titles[Columns[j-own]])
				} else if i == 0 {
					want = cell
				}
				if got := held(t, f, names[0], j+1, i+1); got != want {
					t.Errorf("%s, row %d, %s: %q, want %q", language, i+1, lines[0][j], got, want)
				}
			}
		}
		customers := sheetOf(t, f, names[1])
		if want := []string{"", "010-0000-1234", "국민은행", "00234567890123", "한빛", "1234000 as #,##0", "46387.99998842592 as yyyy-mm-dd hh:mm:ss", "0042"}; len(customers) != 2 || !slices.Equal(customers[1], want) {
			t.Errorf("%q", customers)
		}
		p, _ := plan(t, "testdata/orders.csv", input.Options{})
		mend := sheetOf(t, f, names[2])
		if diff := cmp.Diff(append(slices.Clone(p.Header), codeColumn, messageColumn), mend[0]); diff != "" || len(mend) != len(lines)-1 {
			t.Error(len(mend), diff)
		}
		var shown strings.Builder
		for _, line := range sheetOf(t, f, names[3]) {
			fmt.Fprintln(&shown, strings.Join(line, "|"))
		}
		want := "File|orders.csv\nRun|12\nStarted|46331.395833333336 as yyyy-mm-dd hh:mm:ss\n"
		if all := "Accounts|Rows|Won\nAll|1 as #,##0|1234000 as #,##0\nIssued in this run|1 as #,##0|1234000 as #,##0\n"; language == say.English && !strings.Contains(shown.String(), all) {
			t.Errorf("no %s in %s", all, &shown)
		}
		if language == say.Korean {
			want = "파일|orders.csv\n실행 번호|12\n시작|46331.395833333336 as yyyy-mm-dd hh:mm:ss\n"
		}
		if !strings.HasPrefix(shown.String(), want) || !strings.Contains(shown.String(), "\nPG_REFUSED|") {
			t.Error(shown.String())
		}
		if panes, err := f.GetPanes(names[0]); err != nil || !panes.Freeze || panes.YSplit != 1 {
			t.Error(panes, err)
		}
		if defined := f.GetDefinedName(); len(defined) != 3 || defined[0].RefersTo != "'"+names[0]+"'!$A$1:$"+last(t, len(lines[0]))+"$"+strconv.Itoa(len(lines)) {
			t.Error(defined)
		}
	}
}

func last(t *testing.T, column int) string {
	name, err := excelize.ColumnNumberToName(column)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestWorkbookLooks: rows that are not done, and those of which nobody knows, stand out.
func TestWorkbookLooks(t *testing.T) {
	t.Parallel()
	statuses := []batch.Status{batch.Issued, batch.Rejected, batch.Unknown}
	f, _ := writtenBook(t, "testdata/orders.csv", Options{}, func(rows []*input.Row) []batch.Result { return outcomes(rows, statuses...) })
	for i, tone := range []tone{plainRow, badRow, doubtRow} {
		for _, cell := range []string{"A", "H"} {
			id, err := f.GetCellStyle("Results", cell+strconv.Itoa(i+2))
			if err != nil {
				t.Fatal(err)
			}
			look, err := f.GetStyle(id)
			if err != nil || strings.Join(look.Fill.Color, "") != fills[tone] {
				t.Error(cell, i+2, look.Fill, err)
			}
		}
	}
	f, _ = writtenBook(t, "testdata/orders.csv", Options{}, func(rows []*input.Row) []batch.Result {
		results := outcomes(rows)
		for i := range results {
			results[i].Status = batch.Skipped
		}
		return results
	})
	if sheets := f.GetSheetList(); !slices.Equal(sheets, []string{"Results"}) {
		t.Error("without accounts, failed rows and figures:", sheets)
	}
}

// TestCustomers: what is sent to customers is of accounts that can be paid into, with the phone number as it is to be dialled.
func TestCustomers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "in.csv")
	text := "주문번호,고객명,전화번호,금액,은행,입금기한,예금주\n"
	statuses := append([]batch.Status{batch.Issued, batch.AlreadyIssued, batch.Updated, batch.Unchanged, batch.Revoked, batch.Skipped}, undone...)
	statuses = append(statuses, batch.Unchanged) // of a row that takes back what was taken back before
	for i := range statuses {
		text += fmt.Sprintf("%03d,=고객%d,1012345678,\"1,000원\",국민,2099-12-31,한빛\n", i, i)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, _ := writtenBook(t, path, Options{}, func(rows []*input.Row) []batch.Result {
		results := outcomes(rows, statuses...)
		for i := range results {
			results[i].Account = result.Account
		}
		results[3].VbankNum = "" // purged
		rows[len(rows)-1].Action = input.Revoke
		return results
	})
	var told []string
	for _, line := range sheetOf(t, f, "For customers")[1:] {
		told = append(told, strings.Join(line, " "))
	}
	want := []string{"=고객0", "=고객1", "=고객2"}
	for i := range want {
		want[i] += " 01012345678 국민은행 00234567890123 한빛 1000 as #,##0 46022.99998842592 as yyyy-mm-dd hh:mm:ss 00" + strconv.Itoa(i)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if amount := held(t, f, "Results", 4, 2); amount != "1000 as #,##0" {
		t.Error("an amount is", amount)
	}
	if amount := held(t, f, "To mend", 4, 2); amount != "1,000원" {
		t.Error("an amount to mend is", amount)
	}
}

// FuzzWorkbook writes a cell of the input: it comes back as it was meant, as text.
func FuzzWorkbook(f *testing.F) {
	for _, seed := range []string{"", "=1+1", `=HYPERLINK("http://example.com","x")`, `="0042"`, "+1", "-2+3", "@SUM(A1)", "＝1+1", "0042", "1234567890123456", "1E5", "2026-11", "한글 😀", "a\nb\tc", " x",
		"\x00\x01\x1f", "\ufffe\uffff", "\xff\xfe", "_x000D_", "_x005F_x0041_", "<c>&amp;]]>", strings.Repeat("가", 32767), strings.Repeat("가", 32768), strings.Repeat("😀", 16384), "x" + strings.Repeat("😀", 16383), strings.Repeat("1\r\n", 20000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		path := filepath.Join(t.TempDir(), "a.csv")
		w, err := Create(path, nil, Options{Workbook: AnyWorkbook})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		r := result
		r.Status = batch.Rejected
		row := &input.Row{Cells: []string{cell, "x"}}
		if err := w.Header(&batch.Plan{Header: []string{"비고", "끝"}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(row, &r); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		// XML has no place for some characters, and reads CR LF as it likes.
		legible := func(s string) string {
			s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
			return strings.Map(func(r rune) rune {
				if r < ' ' && r != '\t' && r != '\n' || r == '\ufffe' || r == '\uffff' {
					return '\ufffd'
				}
				return r
			}, s)
		}
		book := opened(t, strings.TrimSuffix(path, ".csv")+".xlsx")
		want := legible(within(input.Clean(cell)))
		for _, sheet := range []string{"Results", "To mend"} {
			if got := legible(held(t, book, sheet, 1, 2)); got != want {
				t.Errorf("%s: %.100q came back as %.100q", sheet, want, got)
			}
			if end := held(t, book, sheet, 2, 2); end != "x" {
				t.Errorf("the cell beside it is %q", end)
			}
		}
	})
}

func TestWithin(t *testing.T) {
	t.Parallel()
	most := excelize.TotalCellChars
	for s, want := range map[string]string{
		strings.Repeat("가", most):           strings.Repeat("가", most),
		strings.Repeat("가", most+1):         strings.Repeat("가", most-1) + "…",
		strings.Repeat("😀", most/2+1):       strings.Repeat("😀", most/2) + "…",
		"x" + strings.Repeat("😀", most/2):   "x" + strings.Repeat("😀", most/2),
		"x" + strings.Repeat("😀", most/2+1): "x" + strings.Repeat("😀", most/2-1) + "…",
	} {
		if got := within(s); got != want {
			t.Errorf("%d bytes, want %d", len(got), len(want))
		}
	}
}

// TestWorkbookSize: a large workbook stands there only if asked for, and one that Excel could not open never.
func TestWorkbookSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked, want   Workbook
		rows, columns int
		refused       bool
	}{
		{SmallWorkbook, SmallWorkbook, 100_000, 3, false},
		{SmallWorkbook, NoWorkbook, 100_001, 3, false},
		{SmallWorkbook, NoWorkbook, 1, 16_369, false},
		{AnyWorkbook, AnyWorkbook, 1_048_575, 16_368, false},
		{AnyWorkbook, AnyWorkbook, 1_048_576, 3, true},
		{AnyWorkbook, AnyWorkbook, 1, 16_369, true},
		{NoWorkbook, NoWorkbook, 2_000_000, 3, false},
	} {
		o := Options{Workbook: c.asked, Plan: &batch.Plan{Header: make([]string, c.columns), Totals: batch.Totals{Rows: c.rows}}}
		if err := o.fit(); o.Workbook != c.want || (err != nil) != c.refused {
			t.Errorf("%+v: %d, %v", c, o.Workbook, err)
		}
	}
	part := &part{new(bytes.Buffer), 3}
	if n, err := part.Write([]byte("abc")); n != 3 || err != nil {
		t.Error(n, err)
	}
	if _, err := part.Write([]byte("d")); err == nil {
		t.Error("a part that Excel does not open was written")
	}
}

// TestWorkbookSwept: what a killed run had no memory for goes with the rest that it left behind.
func TestWorkbookSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	spill := filepath.Join(dir, ".a.xlsx.123")
	if err := os.Mkdir(spill, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(spill, "excelize-1"), []byte("홍길동"), 0o600); err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(spill, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	w, err := Create(filepath.Join(dir, "a.csv"), nil, Options{Workbook: AnyWorkbook})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(spill); !os.IsNotExist(err) {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
}

// TestSpreadsheet opens the workbook with LibreOffice and looks at what a person would see.
func TestSpreadsheet(t *testing.T) {
	if testing.Short() {
		t.Skip("starts LibreOffice")
	}
	office, err := exec.LookPath("soffice")
	if err != nil {
		t.Skip("LibreOffice is not installed: nothing has opened the workbook as a spreadsheet")
	}
	dir := t.TempDir()
	p, rows := plan(t, "testdata/orders.csv", input.Options{})
	path := filepath.Join(dir, "a.csv")
	if err := writeAll(t, path, Options{Workbook: AnyWorkbook, Language: say.Korean}, p, rows, outcomes(rows, batch.Issued)); err != nil {
		t.Fatal(err)
	}
	seen := filepath.Join(dir, "seen")
	// Out: UTF-8, cells as shown, the first sheet.
	command := exec.CommandContext(context.WithoutCancel(t.Context()), office, "--headless", "-env:UserInstallation=file://"+filepath.Join(dir, "profile"),
		"--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false", "--outdir", seen, filepath.Join(dir, "a.xlsx"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	shown, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(read(t, filepath.Join(seen, "a.csv")), "\ufeff"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(read(t, path), "\ufeff"))).ReadAll()
	if err != nil || len(shown) != len(want) {
		t.Fatal(len(shown), "lines", err)
	}
	for i, line := range want[1:] {
		for j, cell := range line {
			meant := meant(say.Korean, want[0][j], cell)
			if number, ok := strings.CutSuffix(meant, " as #,##0"); ok {
				n, _ := strconv.ParseInt(number, 10, 64)
				meant = Thousands(n)
			} else if at, err := time.Parse(time.RFC3339, cell); err == nil {
				meant = Clock(at)
			}
			if got := shown[i+1][j]; got != meant && got != strings.ReplaceAll(meant, ",", "") { // in a CSV numbers have no separators
				t.Errorf("%s of row %d shows as %q, not %q", want[0][j], i+1, got, meant)
			}
		}
	}
	t.Log(strings.Join(shown[1], " | "))
}

// BenchmarkWorkbook writes the workbook of 100,000 rows, of 12 columns and of what came of them.
func BenchmarkWorkbook(b *testing.B) {
	const rows = 100_000
	header := strings.Split("주문번호,고객명,연락처,이메일,우편번호,주소,상품,결제금액,은행,예금주,입금기한,비고", ",")
	in := &batch.Plan{Header: header, Totals: batch.Totals{Rows: rows}}
	row := &input.Row{Cells: strings.Split("A-1000000,홍길동,010-1234-5678,hong@example.com,06236,서울특별시 강남구 테헤란로 123,11월 관리비,35000,국민은행,한빛상사,2026-12-31,문 앞에 두세요", ",")}
	row.Request = client.IssueRequest{BuyerName: "홍길동", BuyerTel: "01012345678"}
	r := result
	for b.Loop() {
		w, err := newWorkbook(filepath.Join(b.TempDir(), "a.xlsx"), &Options{Workbook: AnyWorkbook, Language: say.Korean, Plan: in})
		if err != nil {
			b.Fatal(err)
		}
		kept := make([]int, len(header))
		for i := range kept {
			kept[i] = i
		}
		if err := w.header(in, kept, header); err != nil {
			b.Fatal(err)
		}
		for i := range rows {
			r.Line, r.Order = int64(i+2), ledger.Order{MerchantUID: "A-" + strconv.Itoa(1_000_000+i)}
			if err := w.add(append(slices.Clone(row.Cells), cellsOf(say.Korean, &r)...), row, &r); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.end(); err != nil {
			b.Fatal(err)
		}
		if err := w.seal(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(w.replacement.file.Name())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB/file")
		if err := w.close(); err != nil {
			b.Fatal(err)
		}
		w.drop()
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// TestKeyAsShown tells of order numbers that are read as a workbook shows them.
func TestKeyAsShown(t *testing.T) {
	f, format := excelize.NewFile(), `"R-"0000`
	defer f.Close()
	style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &format})
	if err != nil {
		t.Fatal(err)
	}
	f.SetSheetRow("Sheet1", "A1", &[]any{"주문번호", "금액"})
	f.SetSheetRow("Sheet1", "A2", &[]any{1, 1000})
	f.SetCellStyle("Sheet1", "A2", "A2", style)
	path := filepath.Join(t.TempDir(), "orders.xlsx")
	if err := f.SaveAs(path); err != nil {
		t.Fatal(err)
	}
	p, _ := plan(t, path, input.Options{Set: map[string]string{"vbank_code": "국민", "vbank_due": "+7d", "vbank_holder": "한빛"}})
	notices := Notices(say.English, p)
	if !slices.ContainsFunc(notices, func(notice string) bool { return strings.Contains(notice, "R-0001, where the cell holds 1;") }) {
		t.Error(notices)
	}
}
