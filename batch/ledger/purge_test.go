package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbankbatch/batch/ledger/ledgertest"
	"vbankbatch/client/say"
)

func read(t testing.TB, path, merchant string) *Reader {
	t.Helper()
	r, err := OpenReader(ctx, path, merchant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// day is a day of 2026 in UTC, whose hour does not matter here.
func day(month time.Month, d int) time.Time { return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC) }

// batchOf begins a run on a day, records the entries as its lines from 2 on, and finishes it unless told not to.
func batchOf(t testing.TB, l *Ledger, started time.Time, finish bool, entries ...Entry) Run {
	t.Helper()
	run, err := l.Begin(ctx, Run{Digest: started.String(), Settings: "s", File: "/home/kim/고객명단 " + started.Format(time.DateOnly) + ".csv", Started: started})
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		entries[i].Run, entries[i].Line = run.ID, int64(i+2)
		if entries[i].Attempts > 0 {
			entries[i].IntentAt = started.Add(time.Minute)
		}
	}
	if err := l.Record(ctx, entries...); err != nil {
		t.Fatal(err)
	}
	if finish {
		if err := l.Finish(ctx, run.ID, started.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	return run
}

// holding is an entry that holds its order; the account and the message name the order, so that they can be looked for.
func holding(uid string, state State, due time.Time) Entry {
	return Entry{Outcome: Outcome{Order: Order{MerchantUID: uid}, Status: "issued", Action: "issue", Amount: 1000, Due: due.Unix(), Bank: "004", Attempts: 1, ErrorCode: "BANK_DIFFERS", ErrorMessage: say.Message("message of " + uid), Account: Account{ImpUID: "imp_" + uid, VbankCode: "004", VbankName: "국민은행",
		VbankNum: "number of " + uid, VbankHolder: "holder of " + uid, VbankDue: due.Unix(), PGProvider: "settle", PGID: "MID", IssuedAt: 1}}, State: state}
}

// without is an entry that holds no order, with somebody's account in it all the same.
func without(uid, status string) Entry {
	e := holding(uid, Vacant, day(1, 31))
	e.Status = status
	return e
}

// bytesOf is all that stands in the files of the ledger's directory.
func bytesOf(t testing.TB, path string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return all
}

var now, before = day(6, 1), day(3, 1)

func TestPurge(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	past, future := day(1, 31), day(12, 31)

	unlimited, undated, updated := holding("unlimited", Issued, past), holding("undated", Issued, past), holding("updated", Issued, past)
	unlimited.Amount = 0
	undated.Due, undated.VbankDue = 0, 0
	updated.NowDue = future.Unix()
	doubt := holding("doubt", Intended, past)
	doubt.Account = Account{}
	waits := without("doubt", "unknown") // for doubt
	waits.Account = Account{}
	asks, elsewhere, stranger := without("changing", "unknown"), without("past", "unknown"), without("stranger", "unknown")
	elsewhere.Account = holding("elsewhere", Issued, past).Account // another account of that order
	elsewhere.ErrorMessage = ""
	settled := without("past", "unknown")
	ended := without("nowhere", "unknown")
	ended.ImpUID = ""
	first := batchOf(t, l, day(2, 1), true, holding("past", Issued, past), holding("revoked", Revoked, future), holding("future", Issued, future),
		unlimited, undated, updated, doubt, holding("changing", Changing, past), without("rejected", "rejected"))
	second := batchOf(t, l, day(2, 2), false, without("past", "already_issued"), waits, asks, elsewhere, stranger, settled, ended) // interrupted
	batchOf(t, l, day(2, 3), true, without("invalid", "invalid"))
	straddles := batchOf(t, l, day(2, 28), false, holding("straddles", Issued, past))
	if err := l.Finish(ctx, straddles.ID, day(3, 2)); err != nil {
		t.Fatal(err)
	}
	fifth := batchOf(t, l, day(2, 27), true, holding("waits", Issued, future))
	late := without("late", "rejected")
	sixth := batchOf(t, l, day(2, 26), false, late)
	late = holding("late", Intended, past) // of a run that was continued after the day
	late.Run, late.Line, late.IntentAt = sixth.ID, 2, day(3, 5)
	if err := l.Record(ctx, late); err != nil {
		t.Fatal(err)
	}
	batchOf(t, l, day(2, 20), true, without("skipped", "skipped"))
	other := open(t, path, "another merchant")
	batchOf(t, other, day(2, 5), true, holding("other", Issued, past))

	// A line that is written again leaves what stood there before somewhere in the file.
	again := holding("again", Issued, past)
	again.VbankNum = "number before"
	run := batchOf(t, l, day(2, 4), true, again)
	again.Run, again.Line, again.VbankNum = run.ID, 2, "a number that takes much more room than the number of before"
	if err := l.Record(ctx, again); err != nil {
		t.Fatal(err)
	}
	newest := batchOf(t, l, day(2, 21), true, without("conflict", "conflict"))

	lines := func() map[string]Line {
		found := make(map[string]Line)
		if err := read(t, path, "").All(ctx, func(line *Line) error {
			found[fmt.Sprintf("%s, run %d line %d", line.MerchantUID, line.Run, line.Line)] = *line
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	want := lines()
	for key, line := range want {
		switch {
		case line.Merchant == "another merchant":
		case line.MerchantUID == "past" && line.Live, line.MerchantUID == "revoked", line.MerchantUID == "again":
			line.VbankNum, line.VbankHolder, line.ErrorMessage, line.File = "", "", "", ""
			want[key] = line
		case line.Status == "rejected", line.Status == "already_issued", line.Status == "invalid", line.Status == "skipped", line.Status == "conflict",
			line.MerchantUID == "past" && line.ImpUID == "imp_past", line.MerchantUID == "nowhere":
			delete(want, key)
		case line.Run == first.ID, line.Run == second.ID:
			line.File = ""
			want[key] = line
		}
	}
	expected := Purged{Accounts: 3, Lines: 7, Runs: 2, Files: 4, Waiting: 5, InDoubt: 6}

	foretold, err := read(t, path, "merchant").Purgeable(ctx, before, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, foretold); diff != "" {
		t.Error("foretold:", diff)
	}
	purged, err := l.Purge(ctx, before, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, purged); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Error(diff)
	}

	// with the ledger open, and its log there
	all := bytesOf(t, path)
	for _, gone := range []string{"number of past", "holder of past", "message of past", "number of revoked", "holder of revoked", "number of rejected",
		"message of rejected", "holder of invalid", "number before", "takes much more room", "고객명단 2026-02-01", "고객명단 2026-02-02", "고객명단 2026-02-04", "nowhere"} {
		if bytes.Contains(all, []byte(gone)) {
			t.Errorf("%q is still in the files", gone)
		}
	}
	for _, stays := range []string{"imp_past", "number of future", "holder of changing", "number of other", "number of straddles", "고객명단 2026-02-27", "고객명단 2026-02-28"} {
		if !bytes.Contains(all, []byte(stays)) {
			t.Errorf("%q is lost", stays)
		}
	}

	// what protects is as it was
	next := batchOf(t, l, day(6, 1), false)
	if next.ID <= newest.ID {
		t.Errorf("the number of a run was given again: %d", next.ID)
	}
	for i, uid := range []string{"past", "future", "unlimited", "undated", "updated", "doubt", "changing", "straddles", "waits", "late", "again"} {
		if err := l.Intend(ctx, intent(next, int64(i+2), uid)); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: %v, want ErrTaken", uid, err)
		}
	}
	for i, uid := range []string{"revoked", "rejected"} {
		if err := l.Intend(ctx, intent(next, int64(i+100), uid)); err != nil {
			t.Errorf("%s: %v", uid, err)
		}
	}
	doubts, err := l.InDoubt(ctx)
	if err != nil || len(doubts) != 5 { // doubt, changing, late, and the two of now
		t.Error(doubts, err)
	}
	for _, run := range []Run{first, second} {
		if found, err := l.LastRun(ctx, run.Digest); err == nil {
			t.Errorf("results would be written from what is left of run %d", found.ID)
		}
	}
	if found, err := l.LastRun(ctx, fifth.Digest); err != nil || found.File == "" {
		t.Error("a run that lost nothing has lost its file:", err)
	}
	if again, err := l.Purge(ctx, before, now); err != nil || again.Accounts+again.Lines+again.Files != 0 || again.Runs != 1 { // it was the newest
		t.Errorf("%+v, %v", again, err)
	}
	// the year is over: what waited is due
	if purged, err := l.Purge(ctx, before, day(12, 31).AddDate(0, 0, 1)); err != nil || purged.Accounts != 3 || purged.Waiting != 2 {
		t.Errorf("%+v, %v", purged, err)
	}
}

// TestPurgeToCome refuses a year that was mistyped.
func TestPurgeToCome(t *testing.T) {
	path := place(t)
	l := open(t, path, "merchant")
	batchOf(t, l, day(2, 1), true, holding("past", Issued, day(1, 31)))
	if p, err := l.Purge(ctx, now.Add(time.Second), now); err == nil {
		t.Error(p)
	}
	if p, err := read(t, path, "merchant").Purgeable(ctx, now.Add(time.Second), now); err == nil {
		t.Error(p)
	}
	if !bytes.Contains(bytesOf(t, path), []byte("number of past")) {
		t.Error("purged all the same")
	}
}

// TestPurgeBesideAReader has somebody read the ledger all the while: the purge says that the data are still there.
func TestPurgeBesideAReader(t *testing.T) {
	t.Parallel() // it waits for the reader in vain
	path := place(t)
	l := open(t, path, "merchant")
	batchOf(t, l, day(2, 1), true, holding("past", Issued, day(1, 31)), holding("past too", Issued, day(1, 31)))
	seen := 0
	err := read(t, path, "merchant").All(ctx, func(line *Line) error {
		if line.VbankNum == "" {
			t.Error("what is read changes under the reader")
		}
		if seen++; seen > 1 {
			return nil
		}
		p, err := l.Purge(ctx, before, now)
		if !errors.Is(err, ErrStillRead) || p.Accounts != 2 {
			t.Errorf("%+v, %v", p, err)
		}
		return nil
	})
	if err != nil || seen != 2 {
		t.Error(seen, err)
	}
	if p, err := l.Purge(ctx, before, now); err != nil || p.Accounts != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if bytes.Contains(bytesOf(t, path), []byte("number of past")) {
		t.Error("still in the files")
	}
}

const purgeKilled = "LEDGER_PURGE_KILLED"

// TestPurgeKilled kills purges at many moments. Either nothing has happened or all, the ledger is sound, and the next
// purge leaves nothing in its files.
func TestPurgeKilled(t *testing.T) {
	if path := os.Getenv(purgeKilled); path != "" { // the process that is killed
		l, err := Open(path, "merchant")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready")
		_, err = l.Purge(ctx, before, now)
		t.Log(err)
		return
	}
	const lines = 1500
	var entries []Entry
	for i := range lines {
		entries = append(entries, holding(fmt.Sprintf("A-%04d", i), Issued, day(1, 31)))
	}
	path := place(t)
	l := open(t, path, "merchant")
	run := batchOf(t, l, day(2, 1), true, entries...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(map[bool]int)
	for after := time.Duration(0); after < 150*time.Millisecond; after += after/2 + time.Millisecond {
		os.Remove(path + "-wal")
		os.Remove(path + "-shm")
		if err := os.WriteFile(path, full, 0o600); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-test.run=^TestPurgeKilled$")
		child.Env = append(os.Environ(), purgeKilled+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		child.Process.Kill()
		child.Wait()

		l := open(t, path, "merchant")
		found, err := l.Entries(ctx, run.ID, 0, lines+2)
		if err != nil || len(found) != lines {
			t.Fatalf("%d lines: %v", len(found), err)
		}
		gone := found[0].VbankNum == ""
		outcomes[gone]++
		for _, e := range found {
			if e.State != Issued || (e.VbankNum == "") != gone || (e.VbankHolder == "") != gone {
				t.Fatalf("half a purge: %+v", e)
			}
		}
		if err := l.Intend(ctx, intent(run, 9999, "A-0001")); !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
		if _, err := l.Purge(ctx, before, now); err != nil {
			t.Fatal(err)
		}
		if text := bytesOf(t, path); bytes.Contains(text, []byte("number of")) || bytes.Contains(text, []byte("holder of")) {
			t.Error("still in the files")
		}
		var sound string
		if err := l.read.QueryRow(`PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
			t.Error(sound, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("killed before the purge had happened: %d, after: %d", outcomes[false], outcomes[true])
}

// TestPurgeStrays: what came too late and was not taken in yet is not left in the ledger by a purge, nor made an order of no run.
func TestPurgeStrays(t *testing.T) {
	t.Parallel()
	address := ledgertest.Start(t, "fsync=off").Database(t)
	book, first := inDatabase(t, address, "merchant")
	run := begin(t, book)
	if err := book.Intend(ctx, intent(run, 2, "A-1")); err != nil {
		t.Fatal(err)
	}
	outlived(t, first)
	next, _ := inDatabase(t, address, "merchant") // asks, finds no account, and frees the order
	freed := intent(run, 2, "A-1")
	freed.State, freed.Status = Vacant, "not_sent"
	if err := errors.Join(next.Record(ctx, freed), next.Finish(ctx, run.ID, time.UnixMicro(1767225700_000000))); err != nil {
		t.Fatal(err)
	}
	told := intent(run, 2, "A-1") // the first host wakes with an account, number and holder
	told.State, told.Status, told.Account = Issued, "issued", account
	if err := book.Record(ctx, told); !errors.Is(err, ErrLeaseLost) {
		t.Fatal(err)
	}
	if _, err := next.Purge(ctx, time.Now(), time.Now()); !errors.Is(err, ErrHasStrays) {
		t.Error(err)
	}
}
