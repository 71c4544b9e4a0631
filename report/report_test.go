package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

var result = batch.Result{Line: 2, Status: batch.Issued, Action: "issue", Order: ledger.Order{MerchantUID: "A-1"}, Amount: 35000, Attempts: 1,
	Account: ledger.Account{ImpUID: "imp_1", VbankCode: "004", VbankName: "국민은행", VbankNum: "00234567890123", VbankHolder: "한빛",
		VbankDue: 1767193199, PGProvider: "settle", IssuedAt: 1767150000}}

func write(t *testing.T, path string, stdout io.Writer, rows int) error {
	t.Helper()
	w, err := Create(path, stdout, Options{})
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Header(&batch.Plan{Header: []string{"주문번호", "amount", "비고"}}); err != nil {
		return err
	}
	cells := []string{"A-1", "35,000", "두 줄\n\"인용\""}
	for range rows {
		if err := w.Write(&input.Row{Cells: cells}, &result); err != nil {
			return err
		}
	}
	return w.Commit()
}

func TestResults(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.results.csv")
	if err := write(t, path, nil, 1); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "\uFEFF주문번호,비고," + strings.Join(Columns, ",") + "\r\n" +
		"A-1,\"두 줄\n\"\"인용\"\"\",2,issued,,,issue,A-1,imp_1,35000,004,국민은행,00234567890123,한빛,2025-12-31T23:59:59+09:00,settle,2025-12-31T12:00:00+09:00,1\r\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	var out bytes.Buffer
	if err := write(t, "-", &out, 1); err != nil || out.String() != want {
		t.Error(out.String(), err)
	}
}

// TestResultsInBatches writes more rows than are marshalled at once, and none.
func TestResultsInBatches(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1, batchRows, 2*batchRows + 1} {
		var out bytes.Buffer
		if err := write(t, "-", &out, rows); err != nil {
			t.Fatal(err)
		}
		read, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(read) != rows+1 {
			t.Errorf("%d lines for %d rows: %v", len(read), rows, err)
		}
	}
}

// TestResultsReplace leaves the old file alone until the new one is whole.
func TestResultsReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "orders.results.csv")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Create(path, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Header(new(batch.Plan)); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(new(input.Row), &result); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil { // without Commit
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := write(t, path, nil, 1); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := Create(dir, nil, Options{}); err == nil {
		t.Error("results were created over a directory")
	}
}

// TestSweep finds what a killed run has left behind, and what another one is writing.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, ".orders.results.csv.123"), filepath.Join(dir, ".orders.results.csv.456")
	for _, file := range []string{old, fresh, filepath.Join(dir, "orders.csv")} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if err := write(t, filepath.Join(dir, "orders.results.csv"), nil, 1); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 || left[0].Name() != filepath.Base(fresh) {
		t.Error(left, err)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestResultsOnAFullDisk(t *testing.T) {
	t.Parallel()
	if err := write(t, "-", full{}, 3); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Error(err)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	var s Facts
	for _, r := range []batch.Result{
		result, result,
		{Status: batch.Invalid, ErrorCode: "AMOUNT_NEGATIVE;DUE_PAST"},
		{Status: batch.Unknown, ErrorCode: batch.CodeInDoubt},
		{Status: batch.NotSent, ErrorCode: batch.CodeStopped},
		{Status: batch.NotSent, ErrorCode: batch.CodeStopped},
	} {
		s.Add(new(input.Row), &r)
	}
	if s.NotDone() != 3 || s.Statuses[batch.Issued].Won != 70000 || s.Codes["DUE_PAST"] != 1 {
		t.Errorf("%+v", s)
	}
	var out strings.Builder
	s.Print(say.Writer{Writer: &out}, &Run{Ended: time.Time{}.Add(2 * time.Second), Requests: 1234})
	for _, line := range []string{
		"6 rows in 2.0 s (2 rows/s), 1,234 requests\n", // without those that were not sent
		"  issued                 2   70,000 won\n",
		"  AMOUNT_NEGATIVE            1  the amount is negative; an account cannot collect it\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -999: "-999"} {
		if got := Thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		var counts batch.Counts
		p := ShowProgress(say.Writer{Writer: &out}, Lines, 1500, &counts)
		counts.Done.Store(10)
		time.Sleep(lineEvery + time.Second)
		counts.Done.Store(1200)
		counts.Failed.Store(3)
		time.Sleep(lineEvery)
		p.Stop()
		if want := "10 of 1,500 rows\n1,200 of 1,500 rows, 3 not done\n"; out.String() != want {
			t.Errorf("%q", out.String())
		}
	})
}

// TestStatus goes by the pace of the rows that are sent: those that an earlier run had done took no time.
func TestStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var counts batch.Counts
		since := time.Now()
		time.Sleep(10 * time.Second)
		for _, c := range []struct {
			done, settled int64
			want          string
		}{
			{200, 0, "200 of 6,000 rows in 10s, 20.0 requests/s, about 4m50s left"},
			{2400, 2200, "2,400 of 6,000 rows in 10s, 20.0 requests/s, about 3m0s left"},
			{2200, 2200, "2,200 of 6,000 rows in 10s, 20.0 requests/s"},
			{6000, 5800, "6,000 of 6,000 rows in 10s, 20.0 requests/s"},
		} {
			counts.Done.Store(c.done)
			counts.Settled.Store(c.settled)
			if got := Status(say.English, 6000, &counts, since, 200); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		}
	})
}

func TestSilentProgress(t *testing.T) {
	t.Parallel()
	ShowProgress(say.Writer{Writer: nil}, Silent, 1, new(batch.Counts)).Stop()
}

func ExampleFacts() {
	var s Facts
	s.Add(new(input.Row), &batch.Result{Status: batch.Issued, Amount: 35000})
	s.Add(new(input.Row), &batch.Result{Status: batch.Invalid, ErrorCode: "BANK_UNKNOWN"})
	s.Print(say.Writer{Writer: os.Stdout}, nil)
	// Output:
	// 2 rows
	//   issued                 1   35,000 won
	//   invalid                1
	// reasons:
	//   BANK_UNKNOWN               1  no bank has this name or code; vbankbatch banks lists them; a profile's [banks] takes other names
}

// TestPlaces refuses to replace what is no file, or a link. One that is planted later is replaced: what it leads to is not
// written.
func TestPlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe, link, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "link.csv"), filepath.Join(dir, "file.csv")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Skip(err)
	}
	if err := errors.Join(os.WriteFile(file, []byte("precious"), 0o600), os.Symlink(file, link), os.Symlink("nowhere", filepath.Join(dir, "dangling.csv"))); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, dir, link, filepath.Join(dir, "dangling.csv")} {
		if w, err := Create(path, nil, Options{}); err == nil {
			w.Close()
			t.Errorf("%s would be replaced", path)
		}
		if err := WriteMetrics(path, new(Run), new(Facts)); err == nil {
			t.Errorf("%s was replaced", path)
		}
	}
	later := filepath.Join(dir, "later.csv")
	w, err := Create(later, nil, Options{Workbook: AnyWorkbook})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, path := range Paths(later, Options{Workbook: AnyWorkbook}) {
		if err := os.Symlink(file, path); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(w.Header(&batch.Plan{Header: []string{"order_id"}}), w.Write(&input.Row{Cells: []string{"A-1"}}, &batch.Result{Status: batch.Rejected}), w.Commit())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range Paths(later, Options{Workbook: AnyWorkbook}) {
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || !strings.Contains(read(t, path), "A-1") && !strings.HasPrefix(read(t, path), "PK") {
			t.Error(path, info, err)
		}
	}
	if text := read(t, file); text != "precious" {
		t.Errorf("written through a link: %q", text)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{"00234567890123": "**********0123", "110-123-456789": "**********6789", "12345678": "****5678", "1234567": "*******", "가나다라마바": "******", "": ""} {
		if got := Mask(number); got != want {
			t.Errorf("%s: %s, want %s", number, got, want)
		}
	}
	if got := MaskName("홍길동") + MaskName(""); got != "홍**" {
		t.Error(got)
	}
}
