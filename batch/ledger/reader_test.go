package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestList(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	due := day(12, 31)
	var many []Entry // more than three pages
	for i := range 3*pageLines + 1 {
		many = append(many, holding(fmt.Sprintf("A-%04d", i), Issued, due))
	}
	first := batchOf(t, l, day(1, 1), true, many...)
	second := batchOf(t, l, day(1, 2), true, without("A-0000", "already_issued"), without("B-1", "rejected"), holding("B-2", Intended, due), holding("B-3", Changing, due))
	batchOf(t, l, day(1, 3), true, holding("B-4", Revoked, due))
	batchOf(t, open(t, path, "another merchant"), day(1, 4), true, holding("C-1", Issued, due))

	r := read(t, path, "merchant")
	list := func(r *Reader, f Filter) (uids []string) {
		t.Helper()
		if err := r.List(ctx, f, func(line *Line) error {
			uids = append(uids, line.MerchantUID)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return uids
	}
	all := list(r, Filter{})
	if len(all) != len(many)+3 || !slices.Equal(all[:4], []string{"B-4", "B-3", "B-2", "A-3000"}) || all[len(all)-1] != "A-0000" {
		t.Errorf("%d lines, %q …", len(all), all[:5])
	}
	slices.Sort(all)
	if once := slices.Compact(all); len(once) != len(many)+3 {
		t.Error("an order is listed twice")
	}
	for _, test := range []struct {
		name   string
		filter Filter
		want   []string
	}{
		{"in doubt", Filter{InDoubt: true}, []string{"B-3", "B-2"}},
		{"status", Filter{Status: "rejected"}, []string{"B-1"}},
		{"status of a repeated line", Filter{Status: "already_issued"}, []string{"A-0000"}},
		{"run", Filter{Run: second.ID}, []string{"B-3", "B-2", "B-1", "A-0000"}},
		{"run and status", Filter{Run: first.ID, Status: "rejected"}, nil},
		{"since", Filter{Since: day(1, 2)}, []string{"B-4", "B-3", "B-2"}},
		{"since the second itself", Filter{Since: day(1, 3).Add(time.Minute)}, []string{"B-4"}},
		{"since later", Filter{Since: day(1, 3).Add(time.Minute + time.Microsecond)}, nil},
		{"another merchant's run", Filter{Run: 4}, nil},
	} {
		if diff := cmp.Diff(test.want, list(r, test.filter)); diff != "" {
			t.Error(test.name, diff)
		}
	}
	if got := list(read(t, path, ""), Filter{Since: day(1, 4)}); !slices.Equal(got, []string{"C-1"}) {
		t.Error("all merchants:", got)
	}
	for who, want := range map[string]int{"merchant": 2, "another merchant": 0, "nobody": 0, "": 2} {
		if got, err := read(t, path, who).InDoubt(ctx); err != nil || got != want {
			t.Errorf("%q has %d in doubt, want %d (%v)", who, got, want, err)
		}
	}
	nobody := read(t, path, "nobody")
	if got := list(nobody, Filter{}); got != nil || nobody.Known() || !r.Known() {
		t.Error("nobody:", got)
	}
	enough := errors.New("enough")
	if err := r.List(ctx, Filter{}, func(*Line) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.All(stopped, func(*Line) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestHistory(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	due := day(12, 31)
	batchOf(t, l, day(1, 1), true, without("A-1", "rejected"), without("A-2", "rejected"))
	batchOf(t, l, day(1, 2), true, holding("A-1", Issued, due))
	third := batchOf(t, l, day(1, 3), false, without("A-1", "already_issued"))
	tiered := holding("A-2", Issued, due)
	tiered.Tier = "001"
	batchOf(t, l, day(1, 4), true, tiered)

	r := read(t, path, "merchant")
	lines, err := r.History(ctx, Order{MerchantUID: "A-1"})
	if err != nil || len(lines) != 3 {
		t.Fatal(lines, err)
	}
	if statuses := []string{lines[0].Status, lines[1].Status, lines[2].Status}; !slices.Equal(statuses, []string{"already_issued", "issued", "rejected"}) {
		t.Error(statuses)
	}
	if lines[0].Live || !lines[1].Live || lines[2].Live || lines[1].VbankNum != "number of A-1" {
		t.Errorf("%+v", lines)
	}
	if lines[0].Run != third.ID || !lines[0].Finished.IsZero() || !lines[1].Finished.Equal(day(1, 2).Add(time.Hour)) || !lines[1].At.Equal(day(1, 2).Add(time.Minute)) ||
		!strings.Contains(lines[1].File, "2026-01-02") || lines[1].Merchant != "merchant" {
		t.Errorf("%+v", lines)
	}
	if lines, err := r.History(ctx, Order{MerchantUID: "A-2"}); err != nil || len(lines) != 1 || lines[0].Live {
		t.Error(lines, err)
	}
	for order, want := range map[Order]string{
		{"", "A-3"}:    `the ledger knows no order "A-3"`,
		{"001", "A-3"}: `the ledger knows no order "A-3" in the tier "001"`,
		{"002", "A-2"}: `the ledger knows no order "A-2" in the tier "002", but in ["001" ""]`,
	} {
		_, err := r.History(ctx, order)
		if unknown, ok := errors.AsType[*UnknownOrderError](err); !ok || unknown.Error() != want {
			t.Errorf("%v: %v, want %s", order, err, want)
		}
	}
	if _, err := read(t, path, "another merchant").History(ctx, Order{MerchantUID: "A-1"}); err == nil {
		t.Error("another merchant sees the order")
	}
}

func TestStats(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	due := day(12, 31)
	batchOf(t, l, day(1, 1), true, holding("A-1", Issued, due), holding("A-2", Issued, due), holding("A-3", Changing, due), without("A-4", "rejected"))
	change := without("A-3", "unknown")
	change.Action, change.Attempts = "update", 0
	batchOf(t, l, day(1, 5), true, change)
	doubt := holding("A-5", Intended, due)
	doubt.Status = "unknown"
	batchOf(t, l, day(1, 6), false, doubt, holding("A-6", Revoked, due))
	batchOf(t, open(t, path, "another merchant"), day(1, 7), true, holding("C-1", Issued, due))

	s, err := read(t, path, "merchant").Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[State]int64{Issued: 2, Intended: 1, Changing: 1, Revoked: 1}, s.Orders); diff != "" {
		t.Error(diff)
	}
	if s.Lines != 7 || !s.Oldest.Equal(day(1, 1).Add(time.Minute)) || !s.Newest.Equal(day(1, 6).Add(time.Minute)) {
		t.Error(s.Lines, s.Oldest, s.Newest)
	}
	if !s.DoubtSince.Equal(day(1, 5)) { // when the change was asked for, not the issue
		t.Error(s.DoubtSince)
	}
	if len(s.Runs) != 3 || s.Runs[0].Lines != 2 || !s.Runs[0].Finished.IsZero() || s.Runs[2].Statuses["rejected"] != 1 || s.Runs[2].Statuses["issued"] != 3 {
		t.Errorf("%+v", s.Runs)
	}
	if s.Bytes == 0 || s.LogBytes == 0 {
		t.Error(s.Bytes, s.LogBytes)
	}
	if s, err := read(t, path, "nobody").Stats(ctx); err != nil || s.Lines != 0 || len(s.Runs) != 0 || !s.Oldest.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := read(t, path, "").Stats(ctx); err != nil || s.Lines != 8 || len(s.Runs) != 4 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestReadWhileWriting reads a ledger while a run holds its lock and writes as fast as it can.
func TestReadWhileWriting(t *testing.T) {
	path := place(t)
	unlock, err := Lock(ctx, path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	l := open(t, path, "merchant")
	run := begin(t, l)
	const orders = 200 // of each writer; then it records the same ones again and again
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range int64(4) {
		writers.Go(func() {
			for i := int64(0); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				e := intent(run, 4*(i%orders)+w+2, fmt.Sprintf("A-%d-%d", w, i%orders))
				if i < orders {
					if err := l.Intend(ctx, e); err != nil {
						t.Error(err)
					}
				}
				e.State, e.Status, e.Account = Issued, "issued", account
				if err := l.Record(ctx, e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	lines := int64(0)
	for pass := 0; pass < 10 || lines < orders; pass++ {
		r := read(t, path, "merchant")
		s, err := r.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if s.Lines < lines || s.Orders[Issued]+s.Orders[Intended] != s.Lines {
			t.Fatalf("%d lines after %d, %v", s.Lines, lines, s.Orders)
		}
		lines = s.Lines
		n := int64(0)
		if err := r.All(ctx, func(line *Line) error {
			if n++; line.State == Issued && line.VbankNum == "" {
				return fmt.Errorf("half a line: %+v", line)
			}
			return nil
		}); err != nil || n < lines {
			t.Fatal(n, lines, err)
		}
		seen := make(map[string]bool)
		if err := r.List(ctx, Filter{}, func(line *Line) error {
			if seen[line.MerchantUID] {
				return fmt.Errorf("%s is listed twice", line.MerchantUID)
			}
			seen[line.MerchantUID] = true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	writers.Wait()
}

// TestReaderMakesNothing has ledgers that are none; reading leaves every place as it was.
func TestReaderMakesNothing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	change := func(name string, statements ...string) string {
		path := filepath.Join(dir, name)
		l := open(t, path, "merchant")
		begin(t, l)
		l.Close()
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
		return path
	}
	whole, err := os.ReadFile(change("whole.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want string }{
		{filepath.Join(dir, "missing.db"), "there is no ledger at"},
		{filepath.Join(dir, "missing", "missing.db"), "there is no ledger at"},
		{dir, "is not a file"},
		{write("empty.db", ""), "none of a ledger's tables"},
		{write("short.db", "abc"), "not a database"},
		{write("text.db", strings.Repeat("this is a text, and no database. ", 100)), "not a database"},
		{write("cut.db", string(whole[:5000])), "malformed"},
		{change("other.db", `DROP TABLE entries`), "none of a ledger's tables"},
		{change("newer.db", `PRAGMA user_version = 99`), "newer version"},
		{change("older.db", `PRAGMA user_version = 1`), "the next vbankbatch run or reconcile brings it up to date"},
	} {
		before := tree(t, dir)
		r, err := OpenReader(ctx, test.path, "merchant")
		if err == nil {
			r.Close()
			t.Errorf("%s was opened", test.path)
			continue
		}
		if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.path) {
			t.Errorf("%v; want %q", err, test.want)
		}
		if missing := strings.HasPrefix(test.want, "there is no"); errors.Is(err, fs.ErrNotExist) != missing {
			t.Errorf("%v: is it missing?", err)
		}
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Error(test.path, diff)
		}
	}
	good := filepath.Join(dir, "whole.db")
	before := tree(t, dir)
	r := read(t, good, "merchant of whom it knows nothing")
	if _, err := r.Stats(ctx); err != nil {
		t.Error(err)
	}
	if _, err := r.db.Exec(`DELETE FROM runs`); err == nil {
		t.Error("a reader can write")
	}
	r.Close()
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// tree is the content of the files in a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[file.Name()] = string(text)
	}
	return all
}
