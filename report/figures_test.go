package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// personal is what must stand in no summary and in no metrics; the holder is given by a flag.
var personal = []string{"홍길동", "010-1234-5678", "hong@example.com", "ORDER-", "한빛상사", "imp_"}

// hostile is an order number that would do something on a page.
const hostile = `<img src=//h.invalid onerror=a()>`

// ran runs 300 orders against a sandbox that misbehaves, in faked time, and tells of it. Every account number is added
// to numbers.
func ran(t *testing.T) (run *Run, facts *Facts, numbers []string) {
	t.Helper()
	lines := []string{"주문번호,주문자명,연락처,이메일,결제금액,은행,pg"}
	for i := range 300 {
		amount := fmt.Sprint(10_000 + 1_000*i)
		if i%60 == 59 {
			amount = "-5000"
		}
		lines = append(lines, fmt.Sprintf("ORDER-%04d,홍길동,010-1234-5678,hong@example.com,%s,%s,%s", i, amount,
			[]string{"국민", "신한", "농협", "우리"}[i%4], []string{"nice.MID1", "settle"}[i%2]))
	}
	lines = append(lines, `"`+hostile+`",홍길동,,,1000,국민,settle`)
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		file, err := input.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		plan, err := batch.Preflight(t.Context(), file, input.Options{Now: time.Now(), Set: map[string]string{"vbank_due": "+7d", "vbank_holder": "한빛상사"}})
		if err != nil {
			t.Fatal(err)
		}
		api, err := sandbox.New(sandbox.Config{Faults: sandbox.Faults{Latency: 80 * time.Millisecond, Late: 0.1, LateBy: 700 * time.Millisecond,
			DropAfter: 0.02, Refuse: 0.1, RefuseWith: "잔액증명이 없습니다 <script>alert(1)</script>", Limit: 15}})
		if err != nil {
			t.Fatal(err)
		}
		defer api.Close()
		c, err := client.New(client.Config{Key: "k", Secret: "s", Rate: 20, Workers: 4, Timeout: time.Minute, Through: api.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		book, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), "merchant")
		if err != nil {
			t.Fatal(err)
		}
		defer book.Close()
		started := time.Now()
		var audit batch.Audit
		found, err := batch.Run(t.Context(), plan, c, book, batch.Options{Workers: 4, DoubtWait: 30 * time.Second, SettleTime: time.Minute, RemoteCheck: true, Audit: &audit})
		if err != nil {
			t.Fatal(err)
		}
		facts = new(Facts)
		err = batch.Results(t.Context(), plan, book, found.ID, func(row *input.Row, result *batch.Result) error {
			facts.Add(row, result)
			if result.VbankNum != "" {
				numbers = append(numbers, result.VbankNum)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		doubtful, err := book.InDoubt(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		measures, limits := c.Measures(), c.Limits()
		run = &Run{Version: "v1.2.3", Command: "run", API: "sandbox", ID: found.ID, Started: started, Ended: time.Now(), Exit: 1, Reason: Reason(1, nil), Plan: plan,
			Settings: &Settings{Rate: 20, Workers: 4, Timeout: time.Minute, DoubtWait: 30 * time.Second, RemoteCheck: true, MaxFailures: "100%",
				Guards: batch.Guards{Strict: true, ExpectRows: 1, ExpectTotal: 2, MaxRows: 3, MaxTotal: 4, MaxAmount: 5}},
			LogID: "4f2a", Measures: &measures, Limits: &limits, Audit: &audit, InDoubt: new(len(doubtful)), NotTaken: new(1),
			Files: Files{Workbook: "orders.results.xlsx", Results: "orders.results.csv", Failed: "orders.failed.csv", Summary: "orders.summary.json", Page: "orders.report.html", Metrics: "hanbit.prom", Ledger: "ledger.db"}}
	})
	if t.Failed() {
		t.FailNow()
	}
	if len(numbers) < 200 {
		t.Fatalf("%d accounts", len(numbers))
	}
	return run, facts, numbers
}

// toldAgain is the run as report knows it, which has measured nothing.
func toldAgain(run *Run) *Run {
	return &Run{Version: run.Version, Command: "report", API: run.API, ID: run.ID, Started: run.Started, Exit: 1, Reason: Reason(1, nil), Plan: run.Plan}
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("testdata/summary.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestFigures(t *testing.T) {
	t.Parallel()
	run, facts, numbers := ran(t)
	path := filepath.Join(t.TempDir(), "orders.summary.json")
	if err := WriteFigures(path, run, facts); err != nil {
		t.Fatal(err)
	}
	text := written(t, path, 0o600)
	told, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(told); err != nil {
		t.Error(err)
	}
	for _, secret := range append(slices.Clone(personal), numbers...) {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the summary tells %s", secret)
		}
	}

	var f Figures
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	rows, issued, won := int64(0), Sum{}, Sum{}
	for _, s := range f.Statuses {
		rows += s.Rows
	}
	for _, b := range f.Banks {
		issued.Rows, issued.Won = issued.Rows+b.Rows, issued.Won+b.Won
	}
	for _, pg := range f.PGs {
		won.Rows, won.Won = won.Rows+pg.Rows, won.Won+pg.Won
	}
	if rows != 301 || f.Rows != 301 || f.NotDone != f.Statuses[batch.Invalid].Rows+f.Statuses[batch.Rejected].Rows ||
		f.Statuses[batch.Invalid] != (Sum{5, 0}) || f.Codes["AMOUNT_NEGATIVE"] != 5 || f.Codes[batch.CodePGRefused] == 0 {
		t.Errorf("%d rows, %+v, %v", f.Rows, f.Statuses, f.Codes)
	}
	if issued != f.Statuses[batch.Issued] || won != issued || issued != facts.Statuses[batch.Issued] || issued.Won == 0 || len(f.Banks) != 4 || len(f.PGs) != 2 {
		t.Errorf("issued %+v, by bank %+v, by PG %+v", f.Statuses[batch.Issued], f.Banks, f.PGs)
	}
	if f.Requests.Total == 0 || f.Requests.Retries == 0 || f.Limits.TooMany == 0 || len(f.Requests.Series.Moments) < 10 || *f.Seconds < 10 {
		t.Errorf("%+v, %+v", f.Requests, f.Limits)
	}

	if err := WriteFigures(path, toldAgain(run), facts); err != nil {
		t.Fatal(err)
	}
	again, err := jsonschema.UnmarshalJSON(bytes.NewReader(written(t, path, 0o600)))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(again); err != nil {
		t.Error("told again:", err)
	}
	if again.(map[string]any)["requests"] != nil || again.(map[string]any)["ended"] != nil {
		t.Error("what is not known is told all the same")
	}
	empty := *run
	empty.Measures = new(client.Measures)
	if err := WriteFigures(path, &empty, new(Facts)); err != nil {
		t.Fatal(err)
	}
	if told, err = jsonschema.UnmarshalJSON(bytes.NewReader(written(t, path, 0o600))); err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(told); err != nil {
		t.Error("without rows:", err)
	}
}

// TestFiguresOfARefusedRun holds what is piped to --notify-cmd to the schema too.
func TestFiguresOfARefusedRun(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	refused := &Run{Command: "run", File: "in/orders.csv", Started: time.Now(), Ended: time.Now(), Exit: 3, Reason: ReasonFailed, Error: errors.New("in/orders.csv: is empty")}
	if err := EncodeFigures(&text, refused, new(Facts)); err != nil {
		t.Fatal(err)
	}
	told, err := jsonschema.UnmarshalJSON(&text)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(told); err != nil {
		t.Error(err)
	}
	f := told.(map[string]any)
	if diff := cmp.Diff(map[string]any{"file": "orders.csv"}, f["input"]); diff != "" || f["error"] != refused.Error.Error() {
		t.Error(diff, f["error"])
	}
}

// TestSchemaAndFiguresAgree finds a property that the schema has and the summary of a whole run has not, and sees that the
// schema refuses what is wrong.
func TestSchemaAndFiguresAgree(t *testing.T) {
	t.Parallel()
	run, facts, _ := ran(t)
	run.Plan.Options.Key, run.Plan.Options.DueYear, run.Plan.Options.Revoke = "{동}-{호}", 2026, true
	run.Plan.Options.Where = []input.Where{{Header: "주문자명", Value: "홍길동"}}
	run.Error = errors.New("disk full")
	run.Audit.Err = errors.New("no answer")
	text, err := json.Marshal(figures(run, facts))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range personal {
		if strings.Contains(string(text), secret) {
			t.Errorf("the summary tells %s", secret)
		}
	}
	var described struct {
		properties
		Defs map[string]properties `json:"$defs"`
	}
	source, err := os.ReadFile("testdata/summary.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(source, &described); err != nil {
		t.Fatal(err)
	}
	described.Defs[""] = described.properties
	for name, p := range described.Defs {
		for property := range p.Properties {
			if !strings.Contains(string(text), `"`+property+`":`) {
				t.Errorf("%s of %q is described and never written", property, name)
			}
		}
	}

	for what, spoil := range map[string]func(map[string]any){
		"a property nobody knows": func(m map[string]any) { m["buyer_name"] = "홍길동" },
		"a status nobody knows":   func(m map[string]any) { m["statuses"].(map[string]any)["lost"] = map[string]any{"rows": 1, "won": 1} },
		"no rows":                 func(m map[string]any) { delete(m, "rows") },
		"a time without a zone":   func(m map[string]any) { m["started"] = "2026-11-03 14:00:00" },
		"another schema":          func(m map[string]any) { m["schema"] = 2 },
		"no digest":               func(m map[string]any) { delete(m["input"].(map[string]any), "sha256") },
	} {
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		if err := schema(t).Validate(m); err != nil {
			t.Fatal(err)
		}
		if spoil(m); schema(t).Validate(m) == nil {
			t.Errorf("the schema takes %s", what)
		}
	}
}

type properties struct {
	Properties map[string]any `json:"properties"`
}

func TestReason(t *testing.T) {
	t.Parallel()
	stop := fmt.Errorf("run: %w", &batch.StopError{Code: batch.CodeTooManyFailures})
	for _, c := range []struct {
		exit  int
		ended error
		want  string
	}{{0, nil, ReasonDone}, {1, errors.New("some rows"), ReasonRowsNotDone}, {4, nil, ReasonRowsUnknown}, {5, stop, batch.CodeTooManyFailures},
		{5, errors.New("disk"), ReasonFailed}, {3, nil, ReasonFailed}, {130, context.Canceled, ReasonInterrupted}} {
		if got := Reason(c.exit, c.ended); got != c.want {
			t.Errorf("%d, %v: %s, want %s", c.exit, c.ended, got, c.want)
		}
	}
}

// TestFactsAreBounded adds many rows that have nothing in common.
func TestFactsAreBounded(t *testing.T) {
	t.Parallel()
	var f Facts
	const rows = 5000
	for i := range int64(rows) {
		f.Add(&input.Row{PG: "nice.MID"}, &batch.Result{Line: i, Status: batch.Issued, ErrorCode: fmt.Sprint("CODE_", i), Order: ledger.Order{MerchantUID: strings.Repeat("한", 5000)},
			Amount: 1 << 60, Account: ledger.Account{VbankNum: "1", VbankCode: fmt.Sprint(i), PGProvider: fmt.Sprint("pg", i)}})
	}
	if len(f.banks) != mostNames+1 || f.banks[OtherName].Rows != rows-mostNames || len(f.pgs) != mostNames+1 || len(f.reasons) != mostReasons || len(f.Accounts) != mostAccounts {
		t.Errorf("%d banks, %d PGs, %d reasons, %d accounts", len(f.banks), len(f.pgs), len(f.reasons), len(f.Accounts))
	}
	if n := len([]rune(f.Accounts[0].MerchantUID)); n != mostText {
		t.Errorf("%d characters are kept", n)
	}
	if f.Statuses[batch.Issued].Won <= 0 || f.banks[OtherName].Won <= 0 {
		t.Error("a sum has wrapped around")
	}
	f.Add(&input.Row{PG: "settle.MID"}, &batch.Result{Status: batch.Skipped, ErrorCode: input.Filtered})
	if f.reasons[input.Filtered] != nil {
		t.Error("a row that was not to be done is to be looked at")
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"ORDER 1": "ORDER 1", "A\u202e321": "A\uFFFD321", "a\nb\u00a0c": "a b c", "zero\u200bwidth": "zero\uFFFDwidth", "한글 café ₩": "한글 café ₩"} {
		if got := Clip(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestReplaceLeavesTheOld has a write fail half-way, as on a full disk.
func TestReplaceLeavesTheOld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "orders.summary.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left on device")
	err := Replace(path, 0o600, func(w io.Writer) error {
		w.Write(bytes.Repeat([]byte("new"), 1<<16))
		return full
	})
	left, _ := os.ReadDir(dir)
	if text, _ := os.ReadFile(path); !errors.Is(err, full) || string(text) != "old" || len(left) != 1 {
		t.Errorf("%v, %q, %v", err, text, left)
	}
	if err := Replace("-", 0o600, nil); err == nil {
		t.Error("standard output is taken for a file")
	}
}

func written(t *testing.T, path string, mode fs.FileMode) []byte {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != mode {
		t.Errorf("%s has the mode %v, want %v", filepath.Base(path), info.Mode().Perm(), mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
