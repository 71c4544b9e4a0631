package input

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 5, 9, 0, 0, 0, KST)

// exports are files as people's programs write them.
const exports = "../../testdata/exports"

// someDefaults stand in where a sample has no such column.
var someDefaults = map[string]string{"vbank_code": "국민", "vbank_due": "+7d", "vbank_holder": "한빛상사"}

// read returns the rows of a file under testdata, or of one made of text.
func read(t testing.TB, path string, o Options) ([]*Row, Stats, error) {
	t.Helper()
	if ext := filepath.Ext(path); ext != ".csv" && ext != ".xlsx" {
		text := path
		path = filepath.Join(t.TempDir(), "input.csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if ext == ".csv" {
		path = filepath.Join(exports, path)
	}
	f, err := Open(path, nil)
	if err != nil {
		return nil, Stats{}, err
	}
	defer f.Close()
	if o.Now.IsZero() {
		o.Now = now
	}
	r, err := f.Read(o)
	if err != nil {
		return nil, Stats{}, err
	}
	defer r.Close()
	var rows []*Row
	for {
		row, err := r.Next()
		if err == io.EOF {
			return rows, r.Stats(), r.Lacking()
		}
		if err != nil {
			return rows, r.Stats(), err
		}
		rows = append(rows, row)
	}
}

// brief says of a row its line, action, order number, amount, bank, due date and problems.
func brief(row *Row) string {
	due := "-"
	if row.Request.VbankDue != 0 {
		due = time.Unix(row.Request.VbankDue, 0).In(KST).Format("2006-01-02T15:04:05")
	}
	words := []string{fmt.Sprint(row.Line), string(row.Action), row.Request.MerchantUID, fmt.Sprint(row.Request.Amount), row.Request.VbankCode, due}
	if row.ImpUID != "" {
		words = append(words, row.ImpUID)
	}
	if row.Skip != "" {
		words = append(words, "skip:"+row.Skip)
	}
	for _, p := range row.Problems {
		words = append(words, string(p.Code))
	}
	return strings.Join(words, " ")
}

func briefs(rows []*Row) (list []string) {
	for _, row := range rows {
		list = append(list, brief(row))
	}
	return list
}

func TestSamples(t *testing.T) {
	for _, c := range []struct {
		file  string
		o     Options
		want  []string
		stats Stats
	}{
		{"s03_godomall_orders_utf8.csv", Options{Set: someDefaults, Where: []Where{{"결제방법", "가상계좌"}}}, []string{
			"2 issue 2611031234567890 35000 004 2026-11-12T23:59:59 KEY_DIGITS_LOST",
			"3 issue 2611031234567890 35000 004 2026-11-12T23:59:59 KEY_DIGITS_LOST",
			"4 issue 2611031234567891 12000 004 2026-11-12T23:59:59 skip:FILTERED",
			"5 issue 2611031234567892 49900 004 2026-11-12T23:59:59",
		}, Stats{Rows: 4}},
		{"s04_excel_damaged_cp949.csv", Options{Set: someDefaults}, []string{
			"2 issue 2.02611E+15 35000 004 2026-12-31T23:59:59 KEY_DAMAGED_BY_EXCEL PHONE_ZERO_RESTORED BANK_ZEROS_RESTORED",
			"3 issue 2026110312345670 12000 088 2026-12-31T23:59:59 KEY_DIGITS_LOST PHONE_ZERO_RESTORED BANK_ZEROS_RESTORED",
			"4 issue 20261103-0000123 49900 011 2026-12-31T23:59:59 PHONE_ZERO_RESTORED BANK_ZEROS_RESTORED",
		}, Stats{Rows: 3}},
		{"s08_apartment_fee_cp949.csv", Options{Set: someDefaults, Key: "{동}-{호}-202611"}, []string{
			"3 issue 101-101-202611 182340 004 2026-11-30T23:59:59",
			"4 issue 101-102-202611 406240 004 2026-11-30T23:59:59",
			"5 issue 101-0103-202611 0 004 2026-11-30T23:59:59 skip:ZERO_BALANCE",
		}, Stats{Rows: 3, Titles: 1, Totals: 2, Agree: 2}},
		{"s01_ecount_sales_cp949.csv", Options{Set: someDefaults}, []string{
			"3 issue 2026/11/03 -1 1232000 004 2026-11-12T23:59:59",
			"4 issue 2026/11/03 -2 550000 004 2026-11-12T23:59:59",
			"6 issue 2026/11/04 -1 0 004 2026-11-12T23:59:59 AMOUNT_NEGATIVE",
		}, Stats{Rows: 3, Titles: 1, Totals: 3, Agree: 3}},
		{"s10_update_hecto_utf8bom.csv", Options{Set: someDefaults}, []string{
			"2 update INV-1 1300000  2026-12-31T23:59:59 imp_000000000001",
			"3 update INV-2 0  2027-01-15T18:00:00 imp_000000000002",
			"4 update INV-3 500000  - imp_000000000003",
			"5 update INV-4 0  - imp_000000000004 NOTHING_TO_CHANGE",
			"6 update INV-5 700000  2026-12-31T23:59:59",
			"7 update INV-1 1400000  2026-12-31T23:59:59 imp_000000000001",
		}, Stats{Rows: 6}},
		{"s12_messy_concat_utf8.csv", Options{Set: someDefaults}, []string{
			"2 issue A-1 1234000 088 2026-12-31T23:59:59 TOO_LONG",
			"3 issue A-2 50000 081 2026-12-31T23:59:59",
			"4 issue A-3 0 020 2026-12-31T23:59:59 AMOUNT_NEGATIVE",
			"5 issue A-4 0 020 2026-12-31T23:59:59 AMOUNT_FRACTION",
			"6 issue A-5 0 020 2026-12-31T23:59:59 AMOUNT_INVALID",
			"7 issue A-1 1234000 088 2026-12-31T23:59:59 TOO_LONG",
			"8 issue A-2 60000 081 2026-12-31T23:59:59",
			"10 issue B-1 10000 011 2025-01-01T23:59:59 DUE_PAST",
			"11 issue B-2 0 004 2026-11-12T23:59:59 COLUMN_COUNT",
			"13 issue B-3 10000  - BANK_UNKNOWN DATE_INVALID",
		}, Stats{Rows: 10, Headers: 1, Blank: 1}},
	} {
		t.Run(c.file, func(t *testing.T) {
			rows, stats, err := read(t, c.file, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, briefs(rows)); diff != "" {
				t.Error(diff)
			}
			if stats != c.stats {
				t.Errorf("stats %+v, want %+v", stats, c.stats)
			}
		})
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
