package command

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vbankbatch/batch/ledger"

	_ "modernc.org/sqlite"
)

// TestUnusableLedger: nobody is told to take another ledger where one is that might know what has been issued, and a
// command that only looks after one makes none.
func TestUnusableLedger(t *testing.T) {
	t.Parallel()
	orders := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(orders, []byte("주문번호,금액,은행,입금기한,예금주\nA-1,1000,국민,+7d,한빛\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	change := func(statements ...string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range statements {
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
		says string
	}{
		{"newer", func(t *testing.T, path string) {
			book, err := ledger.Open(path, "merchant")
			if err != nil {
				t.Fatal(err)
			}
			book.Close()
			change(`PRAGMA user_version = 999`)(t, path)
		}, "use the newer program"},
		{"another program's", change(`CREATE TABLE notes (text)`), "the database of another program"},
		{"no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("this is a letter\n", 99)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "put a good copy in its place"},
		{"damaged", func(t *testing.T, path string) { // an index that lacks an order
			book, err := ledger.Open(path, "merchant")
			if err != nil {
				t.Fatal(err)
			}
			entry := ledger.Entry{Outcome: ledger.Outcome{Run: 1, Line: 2, Order: ledger.Order{MerchantUID: "A-1"}}, State: ledger.Issued}
			if err := errors.Join(book.Record(t.Context(), entry), book.Close()); err != nil {
				t.Fatal(err)
			}
			change(`PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'live = 1', 'live = 7') WHERE name = 'entries_live'`)(t, path)
			change(`REINDEX entries_live`, `PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'live = 7', 'live = 1') WHERE name = 'entries_live'`)(t, path)
		}, "put a good copy in its place"},
		{"missing", func(*testing.T, string) {}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.db")
			test.make(t, path)
			before, _ := os.ReadFile(path)
			for _, args := range [][]string{{"run", orders}, {"reconcile"}, {"ledger", "purge", "--before", "2026-01-01", "--yes"}, {"ledger", "list"}} {
				says := test.says
				if says == "" {
					if says = "there is no ledger at"; args[0] == "run" {
						continue // makes it
					}
				} else if args[len(args)-1] == "list" && test.name == "another program's" {
					says = "none of a ledger's tables"
				} else if args[len(args)-1] == "list" && test.name == "damaged" {
					continue // it is told what can be read
				}
				var out, errs bytes.Buffer
				if status := Main(append(args, "--sandbox", "--ledger", path), nil, &out, &errs, time.Now); status != exitUsage || !strings.Contains(errs.String(), says) {
					t.Errorf("%q: exit status %d, %s", args, status, &errs)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file is another one now")
			}
			if files, _ := os.ReadDir(filepath.Dir(path)); before == nil && len(files) > 0 {
				t.Error("where there was no ledger there are", files)
			}
		})
	}
}

// TestDamagedLine flips a bit of an account number in the ledger: it gets into no results, and nothing is sent.
func TestDamagedLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	orders, results, path := filepath.Join(dir, "orders.csv"), filepath.Join(dir, "orders.results.csv"), filepath.Join(dir, "ledger.db")
	if err := os.WriteFile(orders, []byte("주문번호,금액,은행,입금기한,예금주\nA-1,1000,국민,+7d,한빛\nA-2,1000,국민,+7d,한빛\nA-3,1000,국민,+7d,한빛\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(status int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if got := Main(append(args, "--sandbox", "--ledger", path), nil, &out, &errs, time.Now); got != status {
			t.Errorf("%q: exit status %d, want %d: %s", args, got, status, &errs)
		}
		return out.String() + errs.String()
	}
	command(exitDone, "run", orders)
	text, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	number := regexp.MustCompile(`A-2,.*,([0-9]{14}),`).FindSubmatch(text)
	file, err := os.ReadFile(path)
	if err != nil || len(number) < 2 || !bytes.Contains(file, number[1]) {
		t.Fatal(number, err)
	}
	file[bytes.Index(file, number[1])+7] ^= 1
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	sent, err := os.ReadFile(path + ".sandbox.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", orders}, {"report", orders}, {"ledger", "list"}, {"ledger", "show", "A-2"}, {"ledger", "export"}} {
		said := command(exitStopped, args...)
		if !strings.Contains(said, "the ledger is damaged: line 3 of run 1") || !strings.Contains(said, "hint: put a good copy") || strings.Contains(said, string(number[1][8:])) {
			t.Errorf("%q: %s", args, said)
		}
	}
	command(exitDone, "ledger", "show", "A-1")
	if after, err := os.ReadFile(results); err != nil || !bytes.Equal(after, text) {
		t.Errorf("the results are others: %s, %v", after, err)
	}
	if after, err := os.ReadFile(path + ".sandbox.jsonl"); err != nil || !bytes.Equal(after, sent) {
		t.Error("something was sent")
	}
}

// TestReportWithoutLedger looks for a file's run where no ledger is yet, nor its folder.
func TestReportWithoutLedger(t *testing.T) {
	t.Parallel()
	orders := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(orders, []byte("주문번호,금액,은행,입금기한,예금주\nA-1,1000,국민,+7d,한빛\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	args := []string{"report", "--sandbox", "--ledger", filepath.Join(t.TempDir(), "deep", "ledger.db"), orders}
	if status := Main(args, nil, &out, &errs, time.Now); status != exitInput || !strings.Contains(errs.String(), "holds no run of this file") {
		t.Errorf("exit status %d, %s", status, &errs)
	}
}

// TestAudit verifies a trail, with its last hash from before and without, and one that was changed; it has no credentials.
func TestAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	audit := func(status int, wanted string, args ...string) (printed string) {
		t.Helper()
		var out, errs bytes.Buffer
		got := Main(append([]string{"ledger", "audit", "--lang", "en", "--ledger", path}, args...), nil, &out, &errs, time.Now)
		if all := out.String() + errs.String(); got != status || !strings.Contains(all, wanted) {
			t.Errorf("%v: %d, want %d and %q:\n%s", args, got, status, wanted, all)
		}
		return out.String()
	}
	audit(exitUsage, "there is no ledger")
	book, err := ledger.Open(path, "merchant")
	if err != nil {
		t.Fatal(err)
	}
	book.Close()
	audit(exitDone, "entries verified: 0\n")
	jobs, err := ledger.OpenJobs(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer jobs.Close()
	for range 3 {
		if err := jobs.Note(t.Context(), ledger.Deed{Who: "kim", What: "sign-in", Detail: "{}"}); err != nil {
			t.Fatal(err)
		}
	}
	audit(exitDone, "entries verified: 3\n")
	var told auditFigures
	if err := json.Unmarshal([]byte(audit(exitDone, "", "--format", "json")), &told); err != nil || told.Entries != 3 || len(told.Trail) != 3 || told.Trail[2].Who != "kim" || told.Trail[2].Hash != told.Head {
		t.Fatal(told, err)
	}
	head := told.Head
	audit(exitDone, "the hash of --head: entry 3\n", "--head", strings.ToUpper(head))
	audit(exitUsage, "is not a hash", "--head", head[1:])

	change := func(statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range []string{`DROP TRIGGER IF EXISTS trail_updated`, `DROP TRIGGER IF EXISTS trail_deleted`, statement} {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	change(`DELETE FROM trail WHERE id = 3`)
	audit(exitDone, "entries verified: 2\n")
	audit(exitFailed, "no entry has the hash "+head, "--head", head)
	change(`UPDATE trail SET who = 'lee' WHERE id = 2`)
	audit(exitFailed, "entry 2 was changed or removed")
	if printed := audit(exitFailed, "", "--format", "json"); json.Unmarshal([]byte(printed), &told) != nil || told.Entries != 1 || !strings.Contains(told.Error, "entry 2") {
		t.Error(printed)
	}
}
