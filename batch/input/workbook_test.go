package input

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

// workbookOf writes a workbook with excelize.
func workbookOf(t testing.TB, fill func(f *excelize.File)) string {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	fill(f)
	path := filepath.Join(t.TempDir(), "orders.xlsx")
	if err := f.SaveAs(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// part is one of a package that is written by hand.
type part struct{ name, text string }

const (
	aWorkbook = `<workbook xmlns:r="r"><sheets><sheet name="청구" sheetId="1" r:id="rId1"/></sheets></workbook>`
	aRels     = `<Relationships><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`
	aHeader   = `<row r="1"><c r="A1" t="inlineStr"><is><t>주문번호</t></is></c><c r="B1" t="inlineStr"><is><t>금액</t></is></c></row>`
)

// packageOf writes a package of a workbook with one sheet, whose rows are given, and with other parts.
func packageOf(t testing.TB, rows string, others ...part) string {
	t.Helper()
	parts := append([]part{{"xl/workbook.xml", aWorkbook}, {"xl/_rels/workbook.xml.rels", aRels}, {"xl/worksheets/sheet1.xml", "<worksheet><sheetData>" + rows + "</sheetData></worksheet>"}}, others...)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	written := make(map[string]bool)
	for i := len(parts) - 1; i >= 0; i-- { // a later one takes the place of an earlier one
		if written[parts[i].name] {
			continue
		}
		written[parts[i].name] = true
		part, err := w.Create(parts[i].name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(part, parts[i].text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "orders.xlsx")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// cellsOf reads a workbook and returns its rows as text, and the error that ended it.
func cellsOf(t testing.TB, path string, o Options) (string, error) {
	t.Helper()
	f, err := Open(path, nil)
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { f.Close() })
	o.Now = now
	r, err := f.Read(o)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var all []string
	for {
		row, err := r.Next()
		if row == nil {
			if len(all) == 0 {
				return "", err
			}
			return strings.Join(all, "\n"), nil
		}
		all = append(all, fmt.Sprintf("%d %s", row.Line, strings.Join(row.Cells, "|")))
	}
}

// TestWorkbookCells reads each kind of cell: what it holds, and not what it shows.
func TestWorkbookCells(t *testing.T) {
	day := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	path := workbookOf(t, func(f *excelize.File) {
		style := func(format string) int {
			id, err := f.NewStyle(&excelize.Style{CustomNumFmt: &format})
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		for i, name := range []string{"주문번호", "금액", "입금기한", "비고"} {
			f.SetCellValue("Sheet1", fmt.Sprintf("%c2", 'A'+i), name)
		}
		set := func(row int, cells ...any) {
			for i, cell := range cells {
				f.SetCellValue("Sheet1", fmt.Sprintf("%c%d", 'A'+i, row), cell)
			}
		}
		set(3, int64(20261103000123), 35000, day, true)
		set(4, "0042", 1234000.0000000002, day.Add(18*time.Hour), "줄\n바꿈")
		f.SetCellStyle("Sheet1", "C4", "C4", style("yyyy-mm-dd hh:mm"))
		set(6, 42, 0.1, 46387, "=1+1")
		f.SetCellStyle("Sheet1", "A6", "A6", style("000000"))
		f.SetCellStyle("Sheet1", "B6", "B6", style("[$$-409]#,##0.00"))
		f.SetCellStyle("Sheet1", "C6", "C6", style(`yyyy"년" m"월" d"일"`))
		set(7, "A-7", 35000, "2026-12-31", nil)
		f.SetCellStyle("Sheet1", "B7", "B7", style("[$₩-412]#,##0"))
		f.SetCellRichText("Sheet1", "D7", []excelize.RichTextRun{{Text: "굵게 "}, {Text: "보통"}})
		f.SetCellFormula("Sheet1", "D3", "1=1")
		f.SetCellValue("Sheet1", "D3", "TRUE")
		last, _ := f.NewStyle(&excelize.Style{Fill: excelize.Fill{Type: "pattern", Color: []string{"FFFF00"}, Pattern: 1}})
		f.SetCellStyle("Sheet1", "H1", "H900", last)
	})
	got, err := cellsOf(t, path, Options{})
	want := "3 20261103000123|35000|2026-12-31|TRUE\n4 0042|1234000.0000000002|2026-12-31 18:00:00|줄 바꿈\n6 000042|$0.1|2026-12-31|=1+1\n7 A-7|35000|2026-12-31|굵게 보통"
	if err != nil || got != want {
		t.Errorf("got\n%s\nwant\n%s\n%v", got, want, err)
	}
}

// TestWorkbookXML reads what Excel and other programs write, element by element.
func TestWorkbookXML(t *testing.T) {
	row := func(cells string) string { return aHeader + `<row r="2">` + cells + `</row>` }
	shared := part{"xl/sharedStrings.xml", `<sst><si><t>A-1</t><rPh><t>에이</t></rPh></si><si><r><t>A</t></r><r><t xml:space="preserve"> 2_x000D_</t></r></si></sst>`}
	dates := part{"xl/styles.xml", `<styleSheet><cellStyleXfs><xf numFmtId="9"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>`}
	for _, c := range []struct {
		name, rows, want string
		others           []part
		o                Options
	}{
		{"a shared text", row(`<c r="A2" t="s"><v>0</v></c><c r="B2"><v>1000</v></c>`), "2 A-1|1000", []part{shared}, Options{}},
		{"a rich text, escaped", row(`<c r="A2" t="s"><v>1</v></c><c r="B2"><v>1000</v></c>`), "2 A 2|1000", []part{shared}, Options{}},
		{"no references", `<row><c t="inlineStr"><is><t>주문번호</t></is></c><c t="inlineStr"><is><t>금액</t></is></c></row><row><c t="str"><v>A-1</v></c><c><v>1000</v></c></row>`, "2 A-1|1000", nil, Options{}},
		{"an exponent", row(`<c r="A2"><v>2.0261103000123E13</v></c><c r="B2"><v>3.5E4</v></c>`), "2 20261103000123|35000", nil, Options{}},
		{"1900 and 1904", row(`<c r="A2" s="1"><v>46387</v></c><c r="B2"><v>1000</v></c>`), "2 2026-12-31|1000", []part{dates}, Options{}},
		{"1904", row(`<c r="A2" s="1"><v>44925</v></c><c r="B2"><v>1000</v></c>`), "2 2026-12-31|1000", []part{dates, {"xl/workbook.xml", strings.Replace(aWorkbook, "<sheets>", `<workbookPr date1904="1"/><sheets>`, 1)}}, Options{}},
		{"a cached formula", row(`<c r="A2" t="str"><f>"A"&amp;1</f><v>A1</v></c><c r="B2"><f>500*2</f><v>1000</v></c>`), "2 A1|1000", nil, Options{}},
		{"an error", row(`<c r="A2" t="e"><v>#REF!</v></c><c r="B2"><v>1000</v></c>`), "2 #REF!|1000", nil, Options{}},
		{"hidden rows", row(`<c r="A2"><v>1</v></c><c r="B2"><v>1000</v></c>`) + `<row r="3" hidden="1"><c r="A3"><v>2</v></c><c r="B3"><v>1000</v></c></row>`, "2 1|1000", nil, Options{Hidden: HiddenSkip}},
		{"hidden rows too", row(`<c r="A2"><v>1</v></c><c r="B2"><v>1000</v></c>`) + `<row r="3" hidden="1"><c r="A3"><v>2</v></c><c r="B3"><v>1000</v></c></row>`, "2 1|1000\n3 2|1000", nil, Options{Hidden: HiddenInclude}},
		{"a hidden row with nothing in it", row(`<c r="A2"><v>1</v></c><c r="B2"><v>1000</v></c>`) + `<row r="3" hidden="1"><c r="A3" s="1"/></row>`, "2 1|1000", nil, Options{}},
		{"styles to the last row", row(`<c r="A2"><v>1</v></c><c r="B2"><v>1000</v></c>`) + `<row r="1048576"><c r="XFD1048576" s="1"/></row>`, "2 1|1000", nil, Options{}},
	} {
		if got, err := cellsOf(t, packageOf(t, c.rows, c.others...), c.o); err != nil || got != c.want {
			t.Errorf("%s: %q, want %q; %v", c.name, got, c.want, err)
		}
	}
}

// TestWorkbookRefused says of each file that is no workbook, or of which a part is wrong, what to do.
func TestWorkbookRefused(t *testing.T) {
	good := aHeader + `<row r="2"><c r="A2"><v>1</v></c><c r="B2"><v>1000</v></c></row>`
	two := []part{{"xl/workbook.xml", strings.Replace(aWorkbook, "</sheets>", `<sheet name="둘" sheetId="2" r:id="rId2"/></sheets>`, 1)},
		{"xl/_rels/workbook.xml.rels", strings.Replace(aRels, "</Relationships>", strings.ReplaceAll(strings.ReplaceAll(aRels[len("<Relationships>"):], "rId1", "rId2"), "sheet1", "sheet2"), 1)},
		{"xl/worksheets/sheet2.xml", "<worksheet><sheetData>" + good + "</sheetData></worksheet>"}}
	for _, c := range []struct {
		name, want string
		rows       string
		others     []part
		o          Options
	}{
		{"hidden rows", "row that are hidden|has rows that are hidden or filtered out", good + `<row r="3" hidden="1"><c r="A3"><v>2</v></c><c r="B3"><v>1000</v></c></row>`, nil, Options{}},
		{"a formula without a value", "formula whose value was not saved with it, in the cell B3", good + `<row r="3"><c r="A3"><v>2</v></c><c r="B3"><f>SUM(B2)</f></c></row>`, nil, Options{}},
		{"two sheets", "several sheets can be read: “청구”, “둘”", good, two, Options{}},
		{"two sheets, one with hidden rows", "several sheets can be read: “청구”, “둘”", good + `<row r="3" hidden="1"><c r="A3"><v>2</v></c><c r="B3"><v>1000</v></c></row>`, two, Options{}},
		{"no such sheet", "there is no sheet “셋” among “청구”, “둘”", good, two, Options{Sheet: "셋"}},
		{"cut short", "cannot be read", "", []part{{"xl/worksheets/sheet1.xml", "<worksheet><sheetData>" + good}}, Options{}},
		{"rows in disorder", "row 2 is followed by row 1", good + `<row r="1"/>`, nil, Options{}},
		{"cells in disorder", "has no place for a cell A3", good + `<row r="3"><c r="B3"><v>1</v></c><c r="A3"><v>1</v></c></row>`, nil, Options{}},
		{"a text that is not there", "names a text that is not there", good + `<row r="3"><c r="A3" t="s"><v>9</v></c></row>`, nil, Options{}},
		{"no sheet", "has no sheet that is shown", good, []part{{"xl/workbook.xml", strings.Replace(aWorkbook, "sheetId", `state="veryHidden" sheetId`, 1)}}, Options{}},
		{"binary", "is a binary workbook (xlsb)", good, []part{{"xl/workbook.bin", "x"}}, Options{}},
		{"OpenDocument", "is an OpenDocument spreadsheet (ods)", good, []part{{"content.xml", "x"}}, Options{}},
	} {
		want := c.want[strings.IndexByte(c.want, '|')+1:]
		if got, err := cellsOf(t, packageOf(t, c.rows, c.others...), c.o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v, want %s", c.name, got, err, want)
		}
	}
	if got, err := cellsOf(t, packageOf(t, good, two...), Options{Sheet: "둘"}); err != nil || got != "2 1|1000" {
		t.Errorf("the named sheet: %q, %v", got, err)
	}
	for name, bytes := range map[string]string{
		"is a zip archive, not a workbook": func() string {
			text, _ := os.ReadFile(packageOf(t, good))
			return strings.ReplaceAll(string(text), "xl/workbook.xml", "xl/workbook.txt")
		}(),
		"is a damaged workbook": func() string {
			text, _ := os.ReadFile(packageOf(t, good))
			return string(text[:len(text)/2])
		}(),
		"is a workbook behind a password": "\xD0\xCF\x11\xE0" + strings.Repeat("\x00", 100) + "E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00",
		"is an old Excel workbook (xls)":  "\xD0\xCF\x11\xE0" + strings.Repeat("\x00", 100),
	} {
		path := filepath.Join(t.TempDir(), "orders.xlsx")
		if err := os.WriteFile(path, []byte(bytes), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := cellsOf(t, path, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
}

// TestZipBomb unpacks no more than is allowed, whatever the package says of itself.
func TestZipBomb(t *testing.T) {
	path := packageOf(t, aHeader+strings.Repeat(`<row><c><v>1</v></c></row>`, 1)+strings.Repeat(" ", 40<<20))
	info, err := os.Stat(path)
	if err != nil || info.Size() > 1<<20 {
		t.Fatal(info.Size(), err)
	}
	f, err := OpenContext(t.Context(), path, nil, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(Options{}); err == nil || !strings.Contains(err.Error(), "unpacks to more than the 8388608 bytes") {
		t.Error(err)
	}
}

func FuzzWorkbook(f *testing.F) {
	for _, rows := range []string{aHeader, aHeader + `<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="s"><v>1000</v></c></row>`, `<row><c t="inlineStr"><is><t>주문번호</t>`, `<row r="3"><c r="ZZ3"><f>1</f></c></row>`} {
		f.Add(rows)
	}
	f.Fuzz(func(t *testing.T, rows string) {
		got, err := cellsOf(t, packageOf(t, rows), Options{})
		if err != nil && got != "" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// BenchmarkWorkbook reads and checks 100,000 rows of 12 columns.
func BenchmarkWorkbook(b *testing.B) {
	path := filepath.Join(b.TempDir(), "orders.xlsx")
	w := excelize.NewFile()
	stream, err := w.NewStreamWriter("Sheet1")
	if err != nil {
		b.Fatal(err)
	}
	row := []any{"주문번호", "주문자명", "연락처", "상품명", "결제금액", "은행", "입금기한", "예금주", "비고", "수신처", "메모", "지점"}
	for i := range 100_001 {
		if err := stream.SetRow(fmt.Sprintf("A%d", i+1), row); err != nil {
			b.Fatal(err)
		}
		row = []any{fmt.Sprintf("20261103-%07d", i), "홍길동", fmt.Sprintf("010-0000-%04d", i%10000), fmt.Sprintf("머그컵 %d", i%97), 1000 + i, "국민", "2026-12-31", "한빛상사", "", "서울", "없음", i % 7}
	}
	if err := stream.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := w.SaveAs(path); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := Open(path, nil)
		if err != nil {
			b.Fatal(err)
		}
		r, err := f.Read(Options{})
		if err != nil {
			b.Fatal(err)
		}
		rows := 0
		for {
			row, err := r.Next()
			if row == nil {
				if rows != 100_000 {
					b.Fatal(rows, err)
				}
				break
			}
			rows++
		}
		r.Close()
		f.Close()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(memory.HeapSys>>20), "MB-heap")
	}
}

// TestKeyAsShown tells of order numbers that are not what their cells hold, and of no other columns.
func TestKeyAsShown(t *testing.T) {
	for format, want := range map[string]AsShown{`"R-"0000`: {"R-0001", "1"}, "0000": {"0001", "1"}, "0": {}, `"none"`: {}} {
		path := workbookOf(t, func(f *excelize.File) {
			f.SetSheetRow("Sheet1", "A1", &[]any{"주문번호", "동", "금액"})
			f.SetSheetRow("Sheet1", "A2", &[]any{1, 101, 1000})
			for column, format := range map[string]string{"A2": format, "B2": `"B-"0`, "C2": `0" won"`} {
				style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &format})
				if err != nil {
					t.Fatal(err)
				}
				f.SetCellStyle("Sheet1", column, column, style)
			}
		})
		f, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for key, want := range map[string]AsShown{"": want, "{동}-1": {"B-101", "101"}} {
			r, err := f.Read(Options{Now: now, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got := r.KeyAsShown(); got != want {
				t.Errorf("%s, key %q: %v, want %v", format, key, got, want)
			}
		}
	}
}
