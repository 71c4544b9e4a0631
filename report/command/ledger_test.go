package command

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vbankbatch/batch/ledger"

	_ "modernc.org/sqlite"
)

// TestUnusableLedger: nobody is told to take another ledger where one is that might know what has been issued, and a
// command that only looks after one makes none.
func TestUnusableLedger(t *testing.T) {
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
		}, "put a good copy of it in its place"},
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
				} else if args[1:] != nil && args[len(args)-1] == "list" && test.name == "another program's" {
					says = "none of a ledger's tables"
				}
				var out, errs bytes.Buffer
				if status := Main(append(args, "--sandbox", "--ledger", path), nil, &out, &errs, time.Now); status != exitUsage || !strings.Contains(errs.String(), says) {
					t.Errorf("%q: exit status %d, %s", args, status, &errs)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file is another one now")
			}
		})
	}
}
