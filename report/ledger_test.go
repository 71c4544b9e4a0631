package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

var started = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) // 09:00 in Korea

// shelf is a ledger with the entries as the lines of one run that has not ended.
func shelf(t *testing.T, entries ...ledger.Entry) *ledger.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, err := ledger.Open(path, "merchant")
	if err != nil {
		t.Fatal(err)
	}
	run, err := l.Begin(t.Context(), ledger.Run{Digest: "d", Settings: "s", File: `C:\받은 파일\십일월.csv`, Started: started})
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		entries[i].Run, entries[i].Line = run.ID, int64(i+2)
		if entries[i].Attempts > 0 {
			entries[i].IntentAt = started.Add(time.Minute)
		}
	}
	if err := errors.Join(l.Record(t.Context(), entries...), l.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := ledger.OpenReader(t.Context(), path, "merchant")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func few(t *testing.T) *ledger.Reader {
	hangul, changing := ledger.Entry{Outcome: result}, ledger.Entry{Outcome: result}
	hangul.State, hangul.Due, hangul.MerchantUID, hangul.Tier, hangul.VbankName = ledger.Issued, result.VbankDue, "가나-동", "001", "새마을금고"
	changing.State, changing.MerchantUID, changing.NowAmount, changing.VbankNum = ledger.Changing, "A-2", 1234567, ""
	doubt := ledger.Entry{Outcome: ledger.Outcome{Order: ledger.Order{MerchantUID: "A-3"}, Status: batch.Unknown, ErrorCode: batch.CodeInDoubt, Action: "issue", Amount: 5, Due: 1767193199, Bank: "088", Attempts: 1}, State: ledger.Intended}
	refused := ledger.Entry{Outcome: ledger.Outcome{Order: ledger.Order{MerchantUID: "A-4"}, Status: batch.Rejected, ErrorCode: batch.CodePGRefused, ErrorMessage: "=1\x1b[2J, \"no\"\n", Action: "issue", Amount: 5, Attempts: 1}}
	return shelf(t, hangul, changing, doubt, refused)
}

func TestLedgerList(t *testing.T) {
	t.Parallel()
	book := few(t)
	for _, test := range []struct {
		format string
		filter ledger.Filter
		whole  bool
		want   string
	}{
		{Text, ledger.Filter{}, false, "" +
			"order    tier  state     status      amount  due               bank            imp_uid  account         run  line\n" +
			"A-3      -     in doubt  unknown          5  2025-12-31 23:59  088             -        -                 1     4\n" +
			"A-2      -     changing  issued   1,234,567  2025-12-31 23:59  004 국민은행    imp_1    -                 1     3\n" +
			"가나-동  001   issued    issued      35,000  2025-12-31 23:59  004 새마을금고  imp_1    **********0123    1     2\n"},
		{CSV, ledger.Filter{}, true, "merchant_uid,tier,state,status,amount,vbank_due,vbank_code,vbank_name,imp_uid,vbank_num,run,line,at\n" +
			"A-3,,in_doubt,unknown,5,2025-12-31T23:59:59+09:00,088,,,,1,4,2026-11-01T09:01:00+09:00\n" +
			"A-2,,changing,issued,1234567,2025-12-31T23:59:59+09:00,004,국민은행,imp_1,,1,3,2026-11-01T09:01:00+09:00\n" +
			"가나-동,001,issued,issued,35000,2025-12-31T23:59:59+09:00,004,새마을금고,imp_1,00234567890123,1,2,2026-11-01T09:01:00+09:00\n"},
		{JSON, ledger.Filter{Status: batch.Rejected}, false, "[\n  " + `{"merchant_uid":"A-4","tier":"","state":"","status":"rejected","amount":5,"vbank_due":"","vbank_code":"",` +
			`"vbank_name":"","imp_uid":"","vbank_num":"","run":1,"line":5,"at":"2026-11-01T09:01:00+09:00"}` + "\n]\n"},
		{JSON, ledger.Filter{Run: 9}, false, "[]\n"},
		{CSV, ledger.Filter{Run: 9}, false, "merchant_uid,tier,state,status,amount,vbank_due,vbank_code,vbank_name,imp_uid,vbank_num,run,line,at\n"},
	} {
		var out strings.Builder
		if err := LedgerList(t.Context(), say.Writer{Writer: &out}, book, test.filter, test.format, test.whole); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Error(test.format, diff)
		}
	}
	for _, format := range []string{Text, CSV, JSON} {
		var out strings.Builder
		if err := LedgerList(t.Context(), say.Writer{Writer: &out}, book, ledger.Filter{}, format, false); err != nil || strings.Contains(out.String(), "00234567890123") || strings.Contains(out.String(), "한빛") {
			t.Errorf("%v\n%s", err, out.String())
		}
		if err := LedgerList(t.Context(), say.Writer{Writer: full{}}, book, ledger.Filter{}, format, false); err == nil || !strings.Contains(err.Error(), "no space") {
			t.Error(format, err)
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		out.Reset()
		if err := LedgerList(stopped, say.Writer{Writer: &out}, book, ledger.Filter{}, format, false); !errors.Is(err, context.Canceled) || strings.Contains(out.String(), "]") {
			t.Errorf("%s: %v, %q", format, err, out.String())
		}
	}
}

func TestLedgerExport(t *testing.T) {
	t.Parallel()
	book := few(t)
	var out strings.Builder
	if err := LedgerExport(t.Context(), say.Writer{Writer: &out}, book, CSV); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatal(rows, err)
	}
	out.Reset()
	if err := LedgerExport(t.Context(), say.Writer{Writer: &out}, book, JSONLines); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(out.String(), "\n")
	if len(lines) != 5 || lines[4] != "" {
		t.Fatalf("%q", lines)
	}
	for i, line := range lines[:4] { // both say the same
		var object map[string]any
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&object); err != nil {
			t.Fatal(err)
		}
		fromCSV := make(map[string]any)
		for column, name := range rows[0] {
			fromCSV[name] = strings.TrimPrefix(rows[i+1][column], "'") // of what a spreadsheet would run
			switch value := object[name].(type) {
			case json.Number:
				object[name] = value.String()
			case bool:
				object[name] = map[bool]string{true: "true", false: "false"}[value]
			}
		}
		if diff := cmp.Diff(object, fromCSV); diff != "" {
			t.Error(diff)
		}
	}
	for _, whole := range []string{`"merchant":"merchant"`, `"vbank_num":"00234567890123"`, `"vbank_holder":"한빛"`, `"intent_at":"2026-11-01T09:01:00.000000+09:00"`,
		`"file":"C:\\받은 파일\\십일월.csv"`, `"run_finished_at":""`, `"now_amount":1234567`, `"error_message":"=1\u001b[2J, \"no\"\n"`} {
		if !strings.Contains(out.String(), whole) {
			t.Errorf("no %s in\n%s", whole, out.String())
		}
	}
}

func TestLedgerOrder(t *testing.T) {
	t.Parallel()
	book := few(t)
	tell := func(order ledger.Order, format string) string {
		t.Helper()
		var out strings.Builder
		if err := LedgerOrder(t.Context(), say.Writer{Writer: &out}, book, order, format); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	want := `order     가나-동
tier      001
state     issued
amount    35,000 won
due       2025-12-31 23:59
bank      004 새마을금고
account   00234567890123
holder    한빛
imp_uid   imp_1
pg        settle
issued    2025-12-31 12:00:00

run  line  at                   action  status  sent  amount  code  file        message
  1     2  2026-11-01 09:01:00  issue   issued     1  35,000  -     십일월.csv  -
`
	if diff := cmp.Diff(want, tell(ledger.Order{Tier: "001", MerchantUID: "가나-동"}, Text)); diff != "" {
		t.Error(diff)
	}
	want = `order     A-4
state     no account that this ledger knows of

run  line  at                   action  status    sent  amount  code        file        message
  1     5  2026-11-01 09:01:00  issue   rejected     1       5  PG_REFUSED  십일월.csv  =1�[2J, "no"�
`
	if diff := cmp.Diff(want, tell(ledger.Order{MerchantUID: "A-4"}, Text)); diff != "" {
		t.Error(diff)
	}
	if got := tell(ledger.Order{MerchantUID: "A-2"}, Text); !strings.Contains(got, batch.Codes[batch.CodeAccountPurged]) {
		t.Error(got)
	}
	if got := tell(ledger.Order{MerchantUID: "A-3"}, CSV); strings.Count(got, "\n") != 2 || !strings.Contains(got, ",in_doubt,unknown,IN_DOUBT,") {
		t.Error(got)
	}
	var told struct {
		State string
		Lines []map[string]any
	}
	if err := json.Unmarshal([]byte(tell(ledger.Order{MerchantUID: "A-2"}, JSON)), &told); err != nil || told.State != "changing" || len(told.Lines) != 1 {
		t.Error(told, err)
	}
	var out strings.Builder
	if err := LedgerOrder(t.Context(), say.Writer{Writer: &out}, book, ledger.Order{MerchantUID: "가나-동"}, Text); err == nil || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestLedgerStats(t *testing.T) {
	t.Parallel()
	book := few(t)
	var out strings.Builder
	if err := LedgerStats(t.Context(), say.Writer{Writer: &out}, book, Text, started.Add(50*time.Hour+time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out.String(), "\n") // the file's size
	want := `orders: 1 issued, 1 in doubt, 1 changing, 0 revoked
oldest in doubt: since 2026-11-01 09:01:00, 2d 2h ago
lines: 4, from 2026-11-01 09:01:00 to 2026-11-01 09:01:00

run  file        started              finished                   lines  by status
  1  십일월.csv  2026-11-01 09:00:00  interrupted, or under way      4  issued 2, rejected 1, unknown 1
`
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := LedgerStats(t.Context(), say.Writer{Writer: &out}, book, JSON, started); err != nil {
		t.Fatal(err)
	}
	var told ledgerStats
	if err := json.Unmarshal([]byte(out.String()), &told); err != nil || told.Orders["in_doubt"] != 1 || told.Runs[0].Statuses["issued"] != 2 || told.Bytes == 0 {
		t.Error(told, err)
	}
	for d, want := range map[time.Duration]string{-time.Hour: "0m", 59 * time.Minute: "59m", 61 * time.Minute: "1h 1m", 49 * time.Hour: "2d 1h"} {
		if got := age(say.English, d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestPrintPurge(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	PrintPurge(say.Writer{Writer: &out}, ledger.Purged{Accounts: 1234, Waiting: 2}, started, true)
	for _, line := range []string{"runs that ended before 2026-11-01 are purged:\n", "      1,234  accounts without their number", "          2  accounts kept as they are"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
}

// TestTableGrows has a later block with a wider cell than the first: what is written already stays as it is.
func TestTableGrows(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	table := newTable(&out, []string{"a", "b"}, 1)
	for range tableBlock {
		table.add("가", "1")
	}
	table.add("한글한글", "1000")
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "a   b" || lines[1] != "가  1" || lines[len(lines)-2] != "한글한글  1000" {
		t.Errorf("%q … %q", lines[:2], lines[len(lines)-3:])
	}
}

// TestLedgerStreams lists and exports a ledger that is much larger than what may be held.
func TestLedgerStreams(t *testing.T) {
	const lines = 6000
	entries := make([]ledger.Entry, lines)
	for i := range entries {
		entries[i] = ledger.Entry{Outcome: result}
		entries[i].ErrorMessage = say.Message(strings.Repeat("x", 2500))
	}
	book := shelf(t, entries...)
	clear(entries)
	for name, tell := range map[string]func(*peak) error{
		"list": func(w *peak) error {
			return LedgerList(t.Context(), say.Writer{Writer: w}, book, ledger.Filter{Status: batch.Issued}, Text, false)
		},
		"list csv": func(w *peak) error {
			return LedgerList(t.Context(), say.Writer{Writer: w}, book, ledger.Filter{Status: batch.Issued}, CSV, false)
		},
		"list json": func(w *peak) error {
			return LedgerList(t.Context(), say.Writer{Writer: w}, book, ledger.Filter{Status: batch.Issued}, JSON, false)
		},
		"export":     func(w *peak) error { return LedgerExport(t.Context(), say.Writer{Writer: w}, book, JSONLines) },
		"export csv": func(w *peak) error { return LedgerExport(t.Context(), say.Writer{Writer: w}, book, CSV) },
	} {
		w := new(peak)
		w.measure()
		before := w.most
		if err := tell(w); err != nil {
			t.Fatal(err)
		}
		if w.lines < lines {
			t.Errorf("%s: %d lines", name, w.lines)
		}
		if grown := int64(w.most) - int64(before); grown > 6<<20 { // all of it is 15 MB and more
			t.Errorf("%s holds %d bytes", name, grown)
		}
	}
}

// peak drops what is written and remembers the most that was in use while it was.
type peak struct {
	lines, bytes int
	most         uint64
}

func (p *peak) Write(text []byte) (int, error) {
	if p.lines += bytes.Count(text, []byte("\n")); p.bytes>>18 != (p.bytes+len(text))>>18 {
		p.measure()
	}
	p.bytes += len(text)
	return len(text), nil
}

func (p *peak) measure() {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	p.most = max(p.most, stats.HeapAlloc)
}
