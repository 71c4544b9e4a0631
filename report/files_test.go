package report

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/korean"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

var update = flag.Bool("update", false, "write the golden files anew")

// plan reads a file the way a run does.
func plan(t testing.TB, path string, options input.Options) (*batch.Plan, []*input.Row) {
	t.Helper()
	file, err := input.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	p, err := batch.Preflight(t.Context(), file, options)
	if err != nil {
		t.Fatal(err)
	}
	var rows []*input.Row
	if err := p.Each(t.Context(), func(row *input.Row) error {
		rows = append(rows, row)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return p, rows
}

var undone = []batch.Status{batch.Invalid, batch.Rejected, batch.Conflict, batch.Unknown, batch.NotSent}

// outcomes makes up what became of the rows: every status that leaves a row undone, in turn, behind those of the first.
func outcomes(rows []*input.Row, first ...batch.Status) []batch.Result {
	results := make([]batch.Result, len(rows))
	for i, row := range rows {
		r := &results[i]
		*r = batch.Result{Line: int64(row.Line), Action: string(row.Action), Order: ledger.Order{MerchantUID: row.Request.MerchantUID}, Amount: row.Request.Amount, Attempts: 1}
		if i < len(first) {
			r.Status = first[i]
		} else {
			r.Status = undone[(i-len(first))%len(undone)]
		}
		switch {
		case row.Invalid():
			r.Status, r.Attempts = batch.Invalid, 0
			r.ErrorCode, r.ErrorMessage = row.Complaint()
		case r.Status == batch.Issued:
			r.Account = ledger.Account{ImpUID: "imp_1", VbankCode: "004", VbankName: "국민은행", VbankNum: "00234567890123", VbankHolder: "한빛",
				VbankDue: 1798729199, PGProvider: "settle", IssuedAt: 1767150000}
		case r.Status != batch.Skipped:
			r.ErrorCode, r.ErrorMessage = batch.CodePGRefused, "=1+1 은 안 됩니다, \"계좌\""
		}
	}
	return results
}

func writeAll(t testing.TB, path string, o Options, p *batch.Plan, rows []*input.Row, results []batch.Result) error {
	t.Helper()
	w, err := Create(path, nil, o)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Header(p); err != nil {
		return err
	}
	for i, row := range rows {
		if err := w.Write(row, &results[i]); err != nil {
			return err
		}
	}
	return w.Commit()
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestGolden(t *testing.T) {
	t.Parallel()
	p, rows := plan(t, "testdata/orders.csv", input.Options{})
	dir := t.TempDir()
	paths := Paths(filepath.Join(dir, "orders.results.csv"), Options{Workbook: AnyWorkbook})
	if err := writeAll(t, paths[0], Options{Workbook: AnyWorkbook}, p, rows, outcomes(rows, batch.Issued, batch.Rejected, batch.Unknown)); err != nil {
		t.Fatal(err)
	}
	for i, golden := range []string{"testdata/results.csv", "testdata/failed.csv"} {
		path := paths[i]
		if *update {
			if err := os.WriteFile(golden, []byte(read(t, path)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(read(t, golden), read(t, path)); diff != "" {
			t.Errorf("%s\n%s", golden, diff)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(info.Mode(), err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != len(paths) {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestReadBack feeds both of the CSV files to the reader: it asks for what the input asks for.
func TestReadBack(t *testing.T) {
	t.Parallel()
	p, rows := plan(t, "testdata/orders.csv", input.Options{})
	paths := Paths(filepath.Join(t.TempDir(), "orders.results.csv"), Options{})
	results := outcomes(rows, batch.Issued)
	if err := writeAll(t, paths[0], Options{}, p, rows, results); err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		_, again := plan(t, path, input.Options{})
		var want []*input.Row
		for j, row := range rows {
			if isFailed := i == 1; !isFailed || slices.Contains(undone, results[j].Status) {
				want = append(want, row)
			}
		}
		if len(again) != len(want) {
			t.Fatalf("%s: %d rows, want %d", path, len(again), len(want))
		}
		for j, row := range again {
			if diff := cmp.Diff(want[j].Request, row.Request); diff != "" {
				t.Errorf("%s, line %d: %s", path, row.Line, diff)
			}
			if row.Action != want[j].Action || row.ImpUID != want[j].ImpUID || row.Invalid() != want[j].Invalid() {
				t.Errorf("%s, line %d: %+v, want %+v", path, row.Line, row, want[j])
			}
			for k, cell := range want[j].Cells {
				if got := input.Clean(row.Cells[k]); got != input.Clean(cell) {
					t.Errorf("%s, line %d: %q was %q", path, row.Line, got, cell)
				}
			}
		}
	}
}

// TestFailedIsReadAsItsInput: the rows that failed mean what they meant, whatever columns their file already had, and
// again when they fail once more.
func TestFailedIsReadAsItsInput(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"orders":                    "order_id,amount,bank,due\n0042,1000,004,2099-12-31\n",
		"updates":                   "imp_uid,amount,status\nimp_1,1000,paid\n",
		"own status and error_code": "imp_uid,amount,status,memo\nimp_1,1000,paid,x\n",
		"own error_code":            "imp_uid,error_code,amount,bank\nimp_1,E1,1000,004\n",
		"own error_message":         "imp_uid,amount,error_message\nimp_1,1000,x\n",
		"fixed account":             "order_id,amount,bank,due,vbank_num,status\nA-1,1000,004,2099-12-31,0012,new\n",
		"results": "order_id,amount,bank,due,line,status,error_code,error_message,action,merchant_uid,imp_uid,vbank_num\n" +
			"A-1,1000,004,2099-12-31,2,rejected,PG_REFUSED,no,issue,A-1,,\n",
		"results cut short":   "order_id,amount,bank,due,status,error_code,imp_uid\nA-1,1000,004,2099-12-31,issued,,imp_1\n",
		"results of updates":  "imp_uid,amount,line,status,error_code,error_message,action,imp_uid\n,2000,2,unknown,IN_DOUBT,no,update,imp_7\n",
		"failed before":       "imp_uid,amount,status,error_code,error_message\nimp_1,1000,paid,PG_REFUSED,no\n",
		"title and two lines": "10월 청구\n청구,납기내,,납기후\n번호,금액,일자,금액\nA-1,1000,2099.12.31,1100\n",
		"formulas in the header": "=주문번호,@amount,+bank,2026-11,-due,\"=cmd|' /C \"\"calc\"\"'!A0\",\"＝1\n+1\",=" + strings.Repeat("x", 300) + "\n" +
			"0042,1000,004,x,2099-12-31,a,b,c\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "in.csv")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p, rows := plan(t, path, input.Options{})
			if len(rows) != 1 {
				t.Fatal(len(rows), "rows")
			}
			for range 2 {
				out := filepath.Join(dir, "out.results.csv")
				if err := writeAll(t, out, Options{Workbook: AnyWorkbook}, p, rows, outcomes(rows, batch.Rejected)); err != nil {
					t.Fatal(err)
				}
				_, inSheet := plan(t, filepath.Join(dir, "out.results.xlsx"), input.Options{Sheet: "To mend"})
				again, rowsAgain := plan(t, filepath.Join(dir, "out.failed.csv"), input.Options{})
				if len(rowsAgain) != 1 || len(inSheet) != 1 {
					t.Fatal(len(rowsAgain), "rows,", len(inSheet), "in the sheet")
				}
				was := rows[0]
				for _, is := range []*input.Row{rowsAgain[0], inSheet[0]} {
					if is.Action != was.Action || is.ImpUID != was.ImpUID || is.IssuedAs != was.IssuedAs || is.Invalid() != was.Invalid() {
						t.Errorf("%+v\nwas %+v", is, was)
					}
					if diff := cmp.Diff(was.Request, is.Request); diff != "" {
						t.Error(diff)
					}
				}
				if diff := cmp.Diff(p.Mapping, again.Mapping); diff != "" {
					t.Error(diff)
				}
				p, rows = again, rowsAgain
			}
			if n := strings.Count(strings.SplitN(read(t, filepath.Join(dir, "out.failed.csv")), "\r\n", 2)[0], messageColumn); n != 1 && name != "own error_message" {
				t.Errorf("%d columns %s", n, messageColumn)
			}
		})
	}
}

// TestNothingRuns has formulas in every place that comes from outside: in the files that spreadsheets open no cell is one, the
// header's neither. The results themselves repeat the input as it was.
func TestNothingRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "in.csv")
	hostile := []string{"=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "＝1+1", "\t=1+1", "\r=1+1", "=\"a\"&1"}
	header, cells := []string{"@order_id", "=amount", "+bank", "-due"}, []string{"=A-1", "=1000", "+은행", "-2099"}
	in, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(in)
	if err := errors.Join(w.Write(append(header, hostile...)), w.Write(append(cells, hostile...)), w.Write(append(cells, hostile...))); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	p, rows := plan(t, path, input.Options{})
	if len(rows) != 2 || len(p.Mapping) != 4 {
		t.Fatal(len(rows), p.Mapping)
	}
	written := make(map[string]string)
	paths := Paths(filepath.Join(dir, "in.results.csv"), Options{Workbook: AnyWorkbook})
	if err := writeAll(t, paths[0], Options{Workbook: AnyWorkbook}, p, rows, outcomes(rows)); err != nil {
		t.Fatal(err)
	}
	written["failed"] = read(t, paths[1])
	for _, sheet := range []string{"Results", "To mend"} { // held fails on a formula
		if cells := sheetOf(t, opened(t, paths[2]), sheet); cells[0][0] != header[0] || cells[1][len(header)] != hostile[0] {
			t.Errorf("%s: %q", sheet, cells)
		}
	}
	var out strings.Builder
	tell := func(name string, err error) {
		written[name] = out.String()
		out.Reset()
		if err != nil {
			t.Error(name, err)
		}
	}
	tell("check", Check(t.Context(), say.Writer{Writer: &out}, p, nil, CSV))
	book := shelf(t, ledger.Entry{Outcome: ledger.Outcome{Order: ledger.Order{MerchantUID: "=A-1", Tier: "+a"}, Status: batch.Rejected, ErrorCode: batch.CodePGRefused, ErrorMessage: "@no"}},
		ledger.Entry{Outcome: ledger.Outcome{Order: ledger.Order{MerchantUID: "=A-2"}, Status: batch.Issued, Account: ledger.Account{ImpUID: "-imp", VbankName: "＝은행", VbankNum: "=1", VbankHolder: "+a"}}, State: ledger.Issued})
	tell("ledger list", LedgerList(t.Context(), say.Writer{Writer: &out}, book, ledger.Filter{}, CSV, true))
	tell("ledger export", LedgerExport(t.Context(), say.Writer{Writer: &out}, book, CSV))
	tell("ledger show", LedgerOrder(t.Context(), say.Writer{Writer: &out}, book, ledger.Order{MerchantUID: "=A-2"}, CSV))
	for name, text := range written {
		lines, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff"))).ReadAll()
		if err != nil || len(lines) < 2 {
			t.Error(name, len(lines), "lines", err)
		}
		for i, line := range lines {
			for _, cell := range line {
				if !inert.MatchString(cell) {
					t.Errorf("%s, line %d: %q", name, i+1, cell)
				}
			}
		}
	}
}

// TestFailedWithTheFlagsOfTheRun: the input's separator and encoding were told by flags, which stay right.
func TestFailedWithTheFlagsOfTheRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := korean.EUCKR.NewEncoder().String("주문번호;결제금액;은행;입금기한;예금주\n0042;35,000;국민;2099-12-31;한빛\n")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "in.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := input.Options{Encoding: "cp949", Delimiter: ';'}
	p, rows := plan(t, path, flags)
	if err := writeAll(t, filepath.Join(dir, "in.results.csv"), Options{}, p, rows, outcomes(rows)); err != nil {
		t.Fatal(err)
	}
	_, again := plan(t, filepath.Join(dir, "in.failed.csv"), flags)
	if len(again) != 1 || len(rows) != 1 {
		t.Fatal(len(again), "rows")
	}
	if diff := cmp.Diff(rows[0].Request, again[0].Request); diff != "" || again[0].Request.MerchantUID != "0042" {
		t.Error(diff)
	}
}

// TestRefusedStaysRefused: the cells of a row that could not be told apart are not believed when they come back in a
// file in which they can.
func TestRefusedStaysRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"too many":  "order_id,bank,due,vbank_holder,amount\nA-1,004,2099-12-31,Hong,35,000\n",
		"too few":   "order_id,bank,due,vbank_holder,amount,memo\nA-1,004,2099-12-31,35000,3500\n",
		"torn":      "order_id,bank,due,amount,vbank_holder,buyer_name\nA-1,004,2099-12-31,35000,Hong,\"Kim\nA-2,004,2099-12-31,35000,Hong,Lee\n",
		"ambiguous": "order_id,bank,due,vbank_holder,amount,memo\nA-1,004,2099-12-31,Hong,35,000\n",
		"extra":     "order_id,bank,due,vbank_holder,amount,vat_amount\nA-1,004,2099-12-31,Hong,35,000,\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "in.csv")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p, rows := plan(t, path, input.Options{})
			if !rows[0].Invalid() {
				t.Fatal("the row is good")
			}
			paths := Paths(filepath.Join(dir, "in.results.csv"), Options{})
			if err := writeAll(t, paths[0], Options{}, p, rows, outcomes(rows)); err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				if _, again := plan(t, path, input.Options{}); !again[0].Invalid() {
					t.Errorf("%s: %d won would be asked for", filepath.Base(path), again[0].Request.Amount)
				}
			}
			mended := regexp.MustCompile(`COLUMN_COUNT|UNREADABLE_ROW`).ReplaceAllString(read(t, paths[1]), "")
			if err := os.WriteFile(paths[1], []byte(mended), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, again := plan(t, paths[1], input.Options{}); name == "torn" && again[0].Invalid() {
				t.Error("a mended row stays refused:", again[0].Problems)
			}
		})
	}
}

// TestNoneFailed removes the rows that failed of an earlier run, and nothing else.
func TestNoneFailed(t *testing.T) {
	t.Parallel()
	p, rows := plan(t, "testdata/orders.csv", input.Options{})
	dir := t.TempDir()
	paths := Paths(filepath.Join(dir, "orders.results.csv"), Options{Workbook: AnyWorkbook})
	results := outcomes(rows)
	if err := writeAll(t, paths[0], Options{Workbook: AnyWorkbook}, p, rows, results); err != nil {
		t.Fatal(err)
	}
	excel := read(t, paths[2])
	for i := range results {
		results[i].Status = batch.AlreadyIssued
	}
	if err := writeAll(t, paths[0], Options{}, p, rows, results); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 || read(t, paths[2]) != excel {
		t.Error(left, err)
	}
	if err := writeAll(t, paths[0], Options{}, p, rows, results); err != nil { // with none to remove
		t.Fatal(err)
	}
}

// TestMendedStays: rows that failed and that somebody has mended are neither written over nor removed.
func TestMendedStays(t *testing.T) {
	t.Parallel()
	p, rows := plan(t, "testdata/orders.csv", input.Options{})
	dir := t.TempDir()
	out, first, second := filepath.Join(dir, "orders.results.csv"), filepath.Join(dir, "orders.failed.csv"), filepath.Join(dir, "orders.failed-2.csv")
	done, failed := outcomes(rows), outcomes(rows)
	for i := range rows {
		done[i].Status = batch.AlreadyIssued
	}
	run := func(results []batch.Result, want ...string) {
		t.Helper()
		if err := writeAll(t, out, Options{}, p, rows, results); err != nil {
			t.Fatal(err)
		}
		if found, err := filepath.Glob(filepath.Join(dir, "*.failed*")); err != nil || !slices.Equal(found, want) {
			t.Errorf("%q, want %q", found, want)
		}
	}
	run(failed, first)
	run(failed, first)
	mend := time.Now().Add(time.Second)
	if err := errors.Join(os.WriteFile(first, []byte("mended"), 0o600), os.Chtimes(first, mend, mend)); err != nil {
		t.Fatal(err)
	}
	run(failed, second, first)
	run(failed, second, first)
	run(done, first)
	if text := read(t, first); text != "mended" {
		t.Errorf("%q", text)
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"in/a.csv": "in/a.results.csv", "in/a.CSV": "in/a.results.csv", "a.b.csv.gz": "a.b.results.csv", "a.csv.GZ": "a.results.csv",
		"a": "a.results.csv", "a.gz": "a.results.csv", "in.d/a": "in.d/a.results.csv"} {
		if got := Default(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for out, want := range map[string][]string{
		"a/orders.results.csv": {"a/orders.results.csv", "a/orders.failed.csv", "a/orders.results.xlsx"},
		"third.csv":            {"third.csv", "third.failed.csv", "third.xlsx"},
		"out":                  {"out", "out.failed.csv", "out.xlsx"},
		"-":                    {"-"},

		"orders.failed.results.csv":   {"orders.failed.results.csv", "orders.failed-2.csv", "orders.failed.results.xlsx"},
		"orders.FAILED-9.results.csv": {"orders.FAILED-9.results.csv", "orders.failed-10.csv", "orders.FAILED-9.results.xlsx"},
		"orders.failed-.results.csv":  {"orders.failed-.results.csv", "orders.failed-.failed.csv", "orders.failed-.results.xlsx"},
		".failed.results.csv":         {".failed.results.csv", ".failed.failed.csv", ".failed.results.xlsx"},
	} {
		if diff := cmp.Diff(want, Paths(out, Options{Workbook: AnyWorkbook})); diff != "" {
			t.Error(diff)
		}
	}
}

// TestFullDisk fails each of the files in turn: all the old ones stay.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	p, rows := plan(t, "testdata/orders.csv", input.Options{})
	results := outcomes(rows)
	for fails := range 3 {
		dir := t.TempDir()
		paths := Paths(filepath.Join(dir, "orders.results.csv"), Options{Workbook: AnyWorkbook})
		for _, path := range paths {
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w, err := Create(paths[0], nil, Options{Workbook: AnyWorkbook})
		if err != nil {
			t.Fatal(err)
		}
		broken := w.files()[fails]
		broken.out = bufio.NewWriter(io.MultiWriter(full{}))
		if err := w.Header(p); err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			if err := w.Write(row, &results[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		for _, path := range paths {
			if text := read(t, path); text != "old" {
				t.Errorf("%s is %q", path, text)
			}
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != len(paths) {
			t.Error(left, err)
		}
	}
}

// TestPlacesBeside: what stands in the way of a file beside the results is told before anything is sent.
func TestPlacesBeside(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"orders.failed.csv", "orders.results.xlsx"} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Create(filepath.Join(dir, "orders.results.csv"), nil, Options{Workbook: AnyWorkbook}); err == nil || !strings.Contains(err.Error(), name) {
			t.Error(name, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Error(left, err)
		}
	}
	for _, o := range []Options{{Workbook: AnyWorkbook}, {Encoding: "latin1"}} {
		if _, err := Create("-", io.Discard, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestCP949(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "in.results.csv")
	row := []string{"A-1", "35000", "똠방각하 ￦ ㈜"}
	in := &batch.Plan{Header: []string{"주문번호", "결제금액", "비고"}}
	put := func(path string, stdout io.Writer, rows ...[]string) error {
		w, err := Create(path, stdout, Options{Encoding: CP949})
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.Header(in); err != nil {
			return err
		}
		for i, cells := range rows {
			r := result
			r.Line = int64(i + 2)
			if err := w.Write(&input.Row{Cells: cells}, &r); err != nil {
				return err
			}
		}
		return w.Commit()
	}
	if err := put(path, nil, row); err != nil {
		t.Fatal(err)
	}
	old := read(t, path)
	text, err := korean.EUCKR.NewDecoder().String(old)
	if err != nil || !strings.HasPrefix(text, "주문번호,결제금액,비고,line,") || !strings.Contains(text, "\r\nA-1,35000,똠방각하 ￦ ㈜,2,issued,") || utf8.ValidString(old) {
		t.Errorf("%q %v", text, err)
	}

	err = put(path, nil, row, []string{"A-2", "₩12000", "네\u00a0😀"}, row, []string{"A-3", "1", "😀😀😀😀"})
	if _, ok := errors.AsType[*EncodingError](err); !ok {
		t.Fatal(err)
	}
	if want := "CP949 lacks characters that stand in the results, 7 in all: line 3, column 2 (결제금액): U+20A9 '₩'; line 3, column 3 (비고): U+00A0; " +
		"line 3, column 3 (비고): U+1F600 '😀'; line 5, column 3 (비고): U+1F600 '😀'; line 5, column 3 (비고): U+1F600 '😀'; and 2 more"; err.Error() != want {
		t.Error(err)
	}
	if read(t, path) != old {
		t.Error("the old results are gone")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Error(left, err)
	}

	var out bytes.Buffer
	if err := put("-", &out, row); err != nil || out.String() != old {
		t.Errorf("%q %v", out.String(), err)
	}
	if _, ok := errors.AsType[*EncodingError](put("-", &out, []string{"A-2", "₩12000", ""})); !ok {
		t.Error("standard output got what CP949 lacks")
	}
	in.Header[2] = "비고😀"
	if err := put(path, nil, row); err == nil || !strings.Contains(err.Error(), "in the header, column 3: U+1F600") {
		t.Error(err)
	}
}

// inert are the forms in which Excel runs nothing: a text alone within a formula, a text behind an apostrophe, a plain
// number, and what does not begin like a formula.
var inert = regexp.MustCompile(`(?s)^(="([^"]|"")*"|'.*|-([0-9][0-9,.]*)?|[^=+\-@\t\r\n＝＋－＠].*)?$`)

// FuzzMendable writes a cell of a row that failed and reads the file: the cell has not changed, and Excel would run nothing.
func FuzzMendable(f *testing.F) {
	for _, seed := range []string{"", "=1+1", `="0042"`, `="a"&cmd|'/c calc'!A0&"b"`, "-500", "-1,000.5", "-", "+7d", "@x", "\t=1", "'=1", "''", "'", "＝1+1", "－５００", "0042", "００４２",
		"1234567890123456", "1E5", "3-5", "2026-11", "2026-12-31", "한글", "a\"b\nc", "=\"a\nb\"", "\ufeff=1", "010-1234-5678", "=" + strings.Repeat("x", 300), strings.Repeat("0", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		if !utf8.ValidString(cell) || strings.ContainsRune(cell, 0) {
			t.Skip("no cell")
		}
		cell = strings.ReplaceAll(cell, "\r\n", "\n") // as encoding/csv reads it
		var out bytes.Buffer
		w := csv.NewWriter(&out)
		if err := w.WriteAll([][]string{{"주문번호", "결제금액", "비고", "끝"}, {"A-1", "1000", mendable(cell), "x"}}); err != nil {
			t.Fatal(err)
		}
		file, err := input.Open("-", strings.NewReader("\ufeff"+out.String()))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r, err := file.Read(input.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		row, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := input.Clean(row.Cells[2]), input.Clean(cell); got != want {
			t.Errorf("%q came back as %q, written as %q", want, got, mendable(cell))
		}
		if form := mendable(cell); !inert.MatchString(strings.TrimSpace(form)) {
			t.Errorf("%q is written as %q", cell, form)
		}
	})
}

func TestMendable(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"":                       "",
		"-500":                   "-500",
		"-1,000":                 "-1,000",
		"35000":                  "35000",
		"-0500":                  `="-0500"`,
		"-":                      "-",
		"-－":                     `="-－"`,
		"+82 10-0000-9999":       `="+82 10-0000-9999"`,
		"-2+3+cmd|' /C calc'!A0": `="-2+3+cmd|' /C calc'!A0"`,
		"+7d":                    `="+7d"`,
		"=1+1":                   `="=1+1"`,
		"＝1+1":                   `="＝1+1"`,
		"0042":                   `="0042"`,
		"0":                      "0",
		"0.5":                    "0.5",
		"123456789012345":        "123456789012345",
		"1234567890123456":       `="1234567890123456"`,
		"1,234,567,890,123,456":  `="1,234,567,890,123,456"`,
		"3-5":                    `="3-5"`,
		"12-3-4":                 `="12-3-4"`,
		"1/2/2026":               `="1/2/2026"`,
		"Mar-1":                  `="Mar-1"`,
		"1E5":                    `="1E5"`,
		"2026-12-31":             "2026-12-31",
		"2026/12/31":             `="2026/12/31"`,
		"2026-1-5":               `="2026-1-5"`,
		"2026.10":                `="2026.10"`,
		"1,000.00":               `="1,000.00"`,
		"2026.11":                "2026.11",
		`="004"`:                 `="004"`,
		`="a"&1`:                 `="=""a""&1"`,
		"A-1":                    "A-1",
		"=\n1":                   "'=\n1",
		strings.Repeat("1", 256): "'" + strings.Repeat("1", 256),
	} {
		if got := mendable(cell); got != want {
			t.Errorf("%q: %q, want %q", cell, got, want)
		}
	}
}
