//go:build unix

package command

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
)

// TestNotifyTakesTooLong has a command start another one, which holds on to standard error as long as it lives.
func TestNotifyTakesTooLong(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f := &notifyFlags{NotifyCmd: "sleep 600 & wait"}
	f.tell(&app{ctx: t.Context(), stderr: say.Writer{Writer: w}}, strings.NewReader("{}"), nil, 100*time.Millisecond)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r.SetReadDeadline(time.Now().Add(time.Minute))
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal("what the command started lives on:", err)
	}
	if got, want := string(text), "warning: --notify-cmd: it took more than a minute, and was ended\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPrintWorkbook: that a large file has no workbook is told, but to whom wants none.
func TestPrintWorkbook(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		excel *bool
		files report.Files
		rows  int64
		want  string
	}{
		{nil, report.Files{Workbook: "a.xlsx", Results: "a.csv"}, 100_000, "workbook: a.xlsx\n"},
		{nil, report.Files{Results: "a.csv"}, 100_001, "no workbook: of more than 100,000 rows it is written with --excel\n"},
		{new(true), report.Files{Workbook: "a.xlsx", Results: "a.csv"}, 100_001, "workbook: a.xlsx\n"},
		{new(false), report.Files{Results: "a.csv"}, 100_001, ""},
		{nil, report.Files{Results: "-"}, 100_001, ""},
	} {
		var out strings.Builder
		f := &outputFlags{Output: job.Output{Excel: c.excel}}
		f.printWorkbook(&app{stderr: say.Writer{Writer: &out}}, c.files, &report.Facts{Rows: c.rows}, false)
		if out.String() != c.want {
			t.Errorf("%q, want %q", out.String(), c.want)
		}
	}
}
