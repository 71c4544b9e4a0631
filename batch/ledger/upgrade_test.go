package ledger

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vbankbatch/batch/ledger/ledgertest"
)

// written is a ledger as testdata has it, in SQL.
func written(t *testing.T, name string) (path string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "ledger.db")
	change(t, path, string(text))
	return path
}

// change carries out statements on a file.
func change(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(statement, err)
		}
	}
}

// TestEarlierVersions upgrades ledgers that earlier versions of this program have written: all that they tell is kept,
// and every line has its checksum.
func TestEarlierVersions(t *testing.T) {
	for version, pgID := range map[int]string{1: "", 2: "MID1234567", 3: "MID1234567", 4: "MID1234567"} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			path := written(t, fmt.Sprintf("version%d.sql", version))
			before := tree(t, filepath.Dir(path))
			if l, err := Open(path, "merchant"); !errors.Is(err, ErrOlder) {
				t.Errorf("%v, %v", l, err)
			}
			if diff := cmp.Diff(before, tree(t, filepath.Dir(path))); diff != "" {
				t.Error("opening it has changed it:", diff)
			}
			for range 2 {
				if err := Upgrade(ctx, path); err != nil {
					t.Fatal(err)
				}
			}
			l := open(t, path, "merchant")
			entries, err := l.Entries(ctx, 1, 0, 100)
			if err != nil || len(entries) != 5 {
				t.Fatal(entries, err)
			}
			held := Account{ImpUID: "imp_A-1", VbankCode: "004", VbankName: "국민은행", VbankNum: "00123456789012", VbankHolder: "한빛상사",
				VbankDue: 1798729199, PGProvider: "nice", PGID: pgID, IssuedAt: 1767225601}
			want := Entry{Outcome: Outcome{Run: 1, Line: 2, Order: Order{MerchantUID: "A-1"}, Status: "issued", Action: "issue", Amount: 2000, Due: 1798729199, Bank: "004", Attempts: 1, Account: held}, State: Issued}
			want.IntentAt = entries[0].IntentAt
			if diff := cmp.Diff(want, entries[0]); diff != "" || want.IntentAt.UnixMicro() != 1767225600_000002 {
				t.Error(diff, want.IntentAt)
			}
			if e := entries[3]; e.State != Changing || e.NowAmount != 4321 || e.NowDue != 1798729200 {
				t.Errorf("%+v", e)
			}
			if e := entries[4]; e.Status != "invalid" || e.ErrorMessage != "금액이 음수입니다; it's \"past\"\nreally" {
				t.Errorf("%+v", e)
			}
			if doubts, err := l.InDoubt(ctx); err != nil || len(doubts) != 2 || doubts[0].MerchantUID != "A-3" || doubts[1].MerchantUID != "A-4" {
				t.Error(doubts, err)
			}
			known, err := l.Orders(ctx, named("A-1", "A-2", "A-3", "A-4", "A-5"))
			if err != nil || len(known) != 4 || known[Order{MerchantUID: "A-2"}].ImpUID != "imp_A-2b" {
				t.Error(known, err)
			}
			lines := 0
			if err := read(t, path, "").All(ctx, func(*Line) error { lines++; return nil }); err != nil || lines != 7 {
				t.Error(lines, err)
			}
			run, err := l.Begin(ctx, Run{Digest: "another", Settings: "settings"})
			if err != nil || run.ID != 2 || !run.Continued {
				t.Error(run, err)
			}
			if err := l.Intend(ctx, intent(run, 9, "A-3")); !errors.Is(err, ErrTaken) {
				t.Error(err)
			}
			if err := l.Intend(ctx, intent(run, 9, "A-5")); err != nil {
				t.Error(err)
			}
			jobs := openJobs(t, path)
			if kept, err := jobs.List(ctx, 10); err != nil || len(kept) != map[int]int{4: 1}[version] {
				t.Error(kept, err)
			}
			upload(t, jobs, "orders")
			if err := Check(ctx, path); err != nil {
				t.Error(err)
			}
			tiered := intent(run, 10, "A-5")
			tiered.Tier = "001"
			if err := l.Intend(ctx, tiered); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUpgradeFails has an upgrade fail half-way: the ledger stays as it was, and the next time all is done.
func TestUpgradeFails(t *testing.T) {
	path := written(t, "version1.sql")
	change(t, path, `CREATE TRIGGER fails BEFORE UPDATE ON entries WHEN old.line = 5 BEGIN SELECT RAISE(ABORT, 'a full disk'); END`)
	before := tree(t, filepath.Dir(path))
	if err := Upgrade(ctx, path); err == nil {
		t.Fatal("upgraded")
	}
	if diff := cmp.Diff(before, tree(t, filepath.Dir(path))); diff != "" {
		t.Error(diff)
	}
	change(t, path, `DROP TRIGGER fails`)
	if err := Upgrade(ctx, path); err != nil {
		t.Fatal(err)
	}
}

// TestEarlierDatabase brings a database up to date that has jobs from before uploads.
func TestEarlierDatabase(t *testing.T) {
	t.Parallel()
	address := ledgertest.Start(t, "fsync=off").Database(t)
	conn, _, err := dialAddress(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range append(slices.Clone(migrations[0]), `UPDATE ledger_schema SET version = 1`,
		`INSERT INTO jobs (merchant, api, whose, language, file, digest, settings, settings_digest, day, again, submitter, submitted_at, state)
			VALUES ('hanbit', '', '', 'ko', 'orders.csv', 'digest', '{}', 'key', '2026-11-05', 0, 'who@host', 1, 'queued')`) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatal(statement, err)
		}
	}
	jobs := openJobs(t, address)
	if kept, err := jobs.List(ctx, 10); err != nil || len(kept) != 1 || kept[0].State != JobQueued {
		t.Error(kept, err)
	}
	upload(t, jobs, "orders")
	if all, _, err := marksIn(address); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
}
