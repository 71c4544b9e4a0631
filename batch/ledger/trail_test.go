package ledger

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vbankbatch/batch/ledger/ledgertest"
)

// TestTrail has several processes append, and then somebody change, remove and exchange entries.
func TestTrail(t *testing.T) {
	onBoth(t, func(t *testing.T, place string) {
		jobs, others := openJobs(t, place), openJobs(t, place)
		if all, _, err := marksIn(place); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				if err := []*Jobs{jobs, others}[i%2].Note(ctx, Deed{"who", "192.0.2.7", fmt.Sprint("deed ", i), 7, "digest", `{}`}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		marks, head, err := marksIn(place)
		if err != nil || len(marks) != 12 || len(head) != 64 || time.Since(marks[11].At) > time.Hour {
			t.Fatal(marks, err)
		}

		for _, statement := range []string{`UPDATE trail SET who = who WHERE id = 1`, `DELETE FROM trail WHERE id = 12`,
			`INSERT INTO trail (` + trailColumns + `) VALUES (12, 0, '', '', '', 0, '', '', '', '') ON CONFLICT (id) DO UPDATE SET who = ''`,
			`INSERT OR REPLACE INTO trail (` + trailColumns + `) VALUES (12, 0, '', '', '', 0, '', '', '', '')`, `TRUNCATE trail`} {
			if _, err := jobs.db.Exec(statement); err == nil {
				t.Error("not refused:", statement)
			}
		}

		type tampering struct{ what, entry string }
		tampered := []tampering{
			{`UPDATE trail SET who = who`, ""}, {`DELETE FROM trail WHERE id = 1`, "entry 1 "}, {`DELETE FROM trail WHERE id = 5`, "entry 5 "},
			{`UPDATE trail SET id = 13 WHERE id = 12`, "entry 12 "}, {`UPDATE trail SET id = -3 WHERE id = 12`, "entry 1 "},
			{`UPDATE trail SET id = -3 WHERE id = 5; UPDATE trail SET id = 5 WHERE id = 6; UPDATE trail SET id = 6 WHERE id = -3`, "entry 5 "},
			{`DELETE FROM trail WHERE id = 12`, ""}, // which only the hash of the last tells
		}
		for _, column := range strings.Split(trailColumns, ", ")[1:] {
			change := column + ` = 'x' || substr(` + column + `, 2)`
			if column == "at" || column == "job" {
				change = column + ` = ` + column + ` + 1`
			}
			tampered = append(tampered, tampering{`UPDATE trail SET ` + change + ` WHERE id = 5`, "entry 5 "})
		}
		// Hashes that fit what was changed do not fit what comes behind, nor a gap.
		changed, moved := marks[10], marks[11]
		changed.Who, moved.ID = "another", 13
		tampered = append(tampered, tampering{`UPDATE trail SET who = 'another', hash = '` + changed.sum() + `' WHERE id = 11`, "entry 12 "},
			tampering{`UPDATE trail SET id = 13, hash = '` + moved.sum() + `' WHERE id = 12`, "entry 12 "})
		for _, change := range tampered {
			tx := rewritable(t, jobs)
			for _, statement := range strings.Split(change.what, "; ") {
				if _, err := tx.Exec(statement); err != nil {
					t.Fatal(statement, err)
				}
			}
			err := trail(ctx, tx, func(Mark) error { return nil })
			if change.entry == "" && err != nil || change.entry != "" && (!errors.Is(err, ErrTampered) || !strings.Contains(err.Error(), change.entry)) {
				t.Errorf("%s: %v, want %q", change.what, err, change.entry)
			}
			tx.Rollback()
		}
	})
}

// marksIn are the entries of the trail at a place, as they are verified, and the hash of the last.
func marksIn(place string) (all []Mark, head string, err error) {
	r, err := OpenReader(ctx, place, "merchant")
	if err != nil {
		return nil, "", err
	}
	err = r.Trail(ctx, func(m Mark) error {
		all, head = append(all, m), m.Hash
		return nil
	})
	return all, head, errors.Join(err, r.Close())
}

// TestMarkHash is how anybody can verify a trail.
func TestMarkHash(t *testing.T) {
	m := Mark{ID: 12, At: time.UnixMicro(1767225600000002), Deed: Deed{"김", "", "approve", 7, "ab", `{"rows":3}`}, Before: "cd"}
	sum := sha256.Sum256([]byte(`2:cd2:1216:17672256000000023:김0:7:approve1:72:ab10:{"rows":3}`))
	if want := hex.EncodeToString(sum[:]); m.sum() != want {
		t.Errorf("%s, want %s", m.sum(), want)
	}
}

// TestCopyTrail copies trail and forms from a file to a database and on to a file, where they go on.
func TestCopyTrail(t *testing.T) {
	t.Parallel()
	path, third := filepath.Join(t.TempDir(), "ledger.db"), filepath.Join(t.TempDir(), "third.db")
	open(t, path, "merchant")
	jobs := openJobs(t, path)
	last := upload(t, jobs, "orders")
	for _, name := range []string{"b", "가", "A", "_"} { // in whose order databases differ
		if err := jobs.SaveForm(ctx, &Form{Name: name}, deed); err != nil {
			t.Fatal(err)
		}
	}
	if err := jobs.PutSession(ctx, "hash", "who", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, want, err := marksIn(path)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := path, ledgertest.Start(t, "fsync=off").Database(t); from != third; from, to = to, third {
		if _, _, err := Copy(ctx, from, to); err != nil {
			t.Fatal(err)
		}
		copied := openJobs(t, to)
		if all, head, err := marksIn(to); err != nil || head != want {
			t.Error(all, err)
		}
		if forms, err := copied.Forms(ctx, ""); err != nil || len(forms) != 4 {
			t.Error(forms, err)
		}
		if _, _, err := copied.Session(ctx, "hash"); !errors.Is(err, ErrNoSession) {
			t.Error(err)
		}
		next := upload(t, copied, "orders")
		if next.ID <= last.ID {
			t.Errorf("job %d comes after %d, of which the trail tells", next.ID, last.ID)
		}
		if err := copied.SaveForm(ctx, &Form{Name: "next"}, deed); err != nil {
			t.Error(err)
		}
		if err := copied.DropForm(ctx, "", "next", deed); err != nil {
			t.Error(err)
		}
		if _, want, err = marksIn(to); err != nil {
			t.Error(err)
		}
		last = next
	}
	if _, _, err := Copy(ctx, third, path); !errors.Is(err, ErrNotEmpty) {
		t.Error("into one that has a trail:", err)
	}
	tx := rewritable(t, jobs)
	if _, err := tx.Exec(`UPDATE trail SET who = 'another' WHERE id = 2`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Copy(ctx, path, filepath.Join(t.TempDir(), "fourth.db")); !errors.Is(err, ErrTampered) {
		t.Error(err)
	}
}

// rewritable is a transaction in which the trail can be written to, as one who administers the database can.
func rewritable(t *testing.T, jobs *Jobs) *sql.Tx {
	t.Helper()
	tx, err := jobs.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{`DROP TRIGGER trail_updated`, `DROP TRIGGER trail_deleted`, `DROP TRIGGER trail_inserted`}
	if jobs.lockTheTrail != "" {
		statements = []string{`DROP TRIGGER trail_kept ON trail`}
	}
	for _, statement := range statements {
		if _, err := tx.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return tx
}
