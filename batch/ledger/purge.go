package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	"vbankbatch/client/say"
)

// A purge takes personal data out of the lines of runs that ended before a day, and leaves what keeps an order from
// getting a second account. Each such line meets one of these fates; fate says which.
//
//   - A line that holds an order whose account was issued or revoked loses the account number, its holder, and the
//     message, which may be the API's and name somebody. Order number, figures, bank, imp_uid, dates, state and codes
//     stay.
//   - A line that holds no order is deleted: refused, invalid, skipped, or done by another line.
//   - A line in doubt, or that waits for one in doubt, stays as it is, and so does an account that may still be paid
//     into.
//
// A run that lost anything loses the name and the digest of its file. So its results are not written again from what is
// left, and the same file is a new run, which finds its orders issued. A run without lines is deleted.

// Purged counts what a purge does.
type Purged struct {
	Accounts int64 // that lose number, holder and message
	Lines    int64 // deleted; they hold no order
	Runs     int64 // deleted with all their lines
	Files    int64 // other runs that lose their file's name and digest

	InDoubt int64 // lines that stay because their outcome is not known
	Waiting int64 // accounts that stay because their due date has not passed, or is not known, or because they have no fixed amount
}

// ErrStillRead is returned by Purge when another program was reading the ledger all the while.
var ErrStillRead = say.New("another program is reading the ledger, and what was purged is in its log until that ends; then purge again")

const (
	// oldRuns are those that ended before $2 (UNIX microseconds); one that was interrupted ended with its last intent.
	oldRuns = `SELECT r.id FROM runs r WHERE ($1 = 0 OR r.merchant = $1) AND r.started_at < $2
		AND CASE WHEN r.finished_at > 0 THEN r.finished_at ELSE coalesce((SELECT max(intent_at) FROM entries WHERE run = r.id), 0) END < $2`

	// fate is what becomes of the line e of an old run at $3 (UNIX seconds). A line whose status is unknown and that
	// holds no order waits for the one that does; if it named an account, that account's line must be settled.
	fate = `CASE
		WHEN e.state ` + inDoubt + ` THEN 'doubt'
		WHEN e.state = '' AND e.status = '` + unknown + `' AND CASE e.imp_uid
			WHEN '' THEN EXISTS (` + holder + ` AND o.state ` + inDoubt + `)
			ELSE NOT EXISTS (` + holder + ` AND o.state IN ('issued', 'revoked') AND o.imp_uid = e.imp_uid) END THEN 'doubt'
		WHEN e.state = '' THEN 'delete'
		WHEN e.state = 'issued' AND (e.vbank_due >= $3 OR e.now_due >= $3 OR e.due >= $3
			OR e.vbank_due = 0 AND e.now_due = 0 AND e.due = 0 OR e.amount = 0 AND e.now_amount = 0) THEN 'waiting'
		WHEN e.vbank_num = '' AND e.vbank_holder = '' AND e.error_message = '' THEN 'done'
		ELSE 'strip' END`

	countFates = `SELECT e.run, ` + fate + ` AS fate, count(*) FROM entries e WHERE e.run IN (` + oldRuns + `) GROUP BY e.run, fate`
	listRuns   = `SELECT id, digest <> '', id = (SELECT max(id) FROM runs) FROM runs WHERE id IN (` + oldRuns + `)`

	forgetFiles = `UPDATE runs SET digest = '', file = '' WHERE id IN (` + oldRuns + `) AND (
		EXISTS (SELECT 1 FROM entries e WHERE e.run = runs.id AND ` + fate + ` IN ('strip', 'delete'))
		OR NOT EXISTS (SELECT 1 FROM entries e WHERE e.run = runs.id))`
	stripLine   = `UPDATE entries SET vbank_num = '', vbank_holder = '', error_message = '', checksum = (checksum & ` + keepIntent + `) | $1 WHERE run = $2 AND line = $3`
	deleteLines = `DELETE FROM entries AS e WHERE e.run IN (` + oldRuns + `) AND ` + fate + ` = 'delete'`
	// The newest run stays: SQLite would give its number to the next.
	deleteRuns = `DELETE FROM runs WHERE id IN (` + oldRuns + `) AND id < (SELECT max(id) FROM runs)
		AND NOT EXISTS (SELECT 1 FROM entries WHERE run = runs.id)`
	deleteUploads  = `DELETE FROM jobs WHERE whose = (SELECT hash FROM merchants WHERE id = $1) AND state = 'uploaded' AND submitted_at < $2`
	deleteJobFiles = `DELETE FROM job_files WHERE job IN (SELECT id FROM jobs WHERE whose = (SELECT hash FROM merchants WHERE id = $1)
		AND ended_at BETWEEN 1 AND $2 AND NOT ` + isOpen + `)`
	deleteStrayFiles = `DELETE FROM job_files WHERE job NOT IN (SELECT id FROM jobs)`
)

var linesToStrip = `SELECT ` + entryColumns + `, live, merchant FROM entries AS e WHERE e.run IN (` + oldRuns + `) AND ` + fate + ` = 'strip'`

// Purgeable counts what Purge would do to the merchant's lines of runs that ended before a moment, now being now.
func (r *Reader) Purgeable(ctx context.Context, before, now time.Time) (Purged, error) {
	if err := notToCome(before, now); err != nil {
		return Purged{}, err
	}
	var p Purged
	err := r.atOnce(ctx, func(conn *sql.Conn) (err error) {
		p, err = purgeable(ctx, conn, []any{r.merchant, before.UnixMicro(), now.Unix()})
		return err
	})
	if err != nil {
		return Purged{}, err
	}
	return p, r.unchanged()
}

// notToCome refuses a mistyped year that would take in everything.
func notToCome(before, now time.Time) error {
	if before.After(now) {
		return say.Errorf("%s is still to come; only what is past can be purged", before.Format(time.DateOnly))
	}
	return nil
}

func purgeable(ctx context.Context, db querier, values []any) (p Purged, err error) {
	type left struct{ lines, lost int64 } // that a run keeps, and that it loses something of
	runs := make(map[int64]left)
	err = eachRow(ctx, db, func(rows *sql.Rows) error {
		var run, lines int64
		var fate string
		if err := rows.Scan(&run, &fate, &lines); err != nil {
			return err
		}
		of := runs[run]
		switch fate {
		case "doubt":
			p.InDoubt += lines
		case "waiting":
			p.Waiting += lines
		case "strip":
			p.Accounts += lines
			of.lost += lines
		case "delete":
			p.Lines += lines
			of.lost += lines
		}
		if fate != "delete" {
			of.lines += lines
		}
		runs[run] = of
		return nil
	}, countFates, valuesOf(countFates, values)...)
	if err != nil {
		return Purged{}, err
	}
	return p, eachRow(ctx, db, func(rows *sql.Rows) error {
		var run int64
		var named, newest bool
		if err := rows.Scan(&run, &named, &newest); err != nil {
			return err
		}
		switch of := runs[run]; {
		case of.lines == 0 && !newest:
			p.Runs++
		case named && (of.lost > 0 || of.lines == 0):
			p.Files++
		}
		return nil
	}, listRuns, valuesOf(listRuns, values)...)
}

// Purge takes personal data out of the merchant's lines of runs that ended before a moment, now being now, and out of
// the ledger's files: what is left is written anew, which takes as much room on the disk again for a while, and the log
// is emptied. What backups and the disk's free blocks hold is beyond it. The caller holds the Lock.
//
// It happens as a whole or not at all. If it did and an error is returned all the same, as with ErrStillRead or on a
// full disk, the bytes may still be in the files; the next Purge, whatever its date, takes them out. A database is vacuumed:
// it writes over what was deleted as it needs the room.
func (l *Ledger) Purge(ctx context.Context, before, now time.Time) (p Purged, err error) {
	if err := notToCome(before, now); err != nil {
		return Purged{}, err
	}
	db, held := l.read, func(context.Context, querier) error { return nil }
	if d, ok := l.store.(*database); ok {
		held = d.lease.held
		if strays, err := l.Strays(ctx); err != nil || len(strays) > 0 {
			return Purged{}, cmp.Or(err, error(ErrHasStrays))
		}
	} else {
		// secure_delete takes most of it out of the file even where there is no room for writing the file anew.
		if db, err = connect(l.path, url.Values{"mode": {"rw"}}, "synchronous(FULL)", "busy_timeout(5000)", "secure_delete(1)"); err != nil {
			return Purged{}, err
		}
		defer db.Close()
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return Purged{}, err
	}
	defer conn.Close()
	p, err = purge(ctx, conn, []any{l.merchant, before.UnixMicro(), now.Unix()}, held)
	if err != nil {
		return Purged{}, say.Errorf("nothing was purged: %w", err)
	}
	if l.path == "" {
		_, err = conn.ExecContext(ctx, `VACUUM entries, runs, job_files`)
	} else {
		err = rewrite(ctx, conn)
	}
	if err != nil {
		return p, say.Errorf("what was purged may still be in the ledger's files: %w", err)
	}
	return p, nil
}

// purge does it in one transaction, at the end of which held must not object.
func purge(ctx context.Context, conn *sql.Conn, values []any, held func(context.Context, querier) error) (p Purged, err error) {
	// Not ctx, which must not leave open whether the whole has happened.
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return p, err
	}
	defer tx.Rollback() // after a commit this does nothing
	if p, err = purgeable(ctx, tx, values); err != nil {
		return p, err
	}
	if _, err := tx.ExecContext(ctx, forgetFiles, valuesOf(forgetFiles, values)...); err != nil {
		return p, err
	}
	if err := strip(ctx, tx, values); err != nil {
		return p, err
	}
	for _, statement := range []string{deleteLines, deleteRuns, deleteUploads, deleteJobFiles, deleteStrayFiles} {
		if _, err := tx.ExecContext(ctx, statement, valuesOf(statement, values)...); err != nil {
			return p, err
		}
	}
	if err := held(ctx, tx); err != nil {
		return p, err
	}
	return p, tx.Commit()
}

// strip takes what is personal out of lines, each with a new checksum.
func strip(ctx context.Context, tx *sql.Tx, values []any) error {
	var lines [][3]int64 // the checksum, run and line of each: while rows are read, not every database can write
	err := eachEntry(ctx, tx, func(r *reading) error {
		r.VbankNum, r.VbankHolder, r.ErrorMessage = "", "", ""
		lines = append(lines, [3]int64{r.outcome(&r.Entry), r.Run, r.Line})
		return nil
	}, linesToStrip, values...)
	if err != nil {
		return err
	}
	write, err := tx.PrepareContext(ctx, stripLine)
	if err != nil {
		return err
	}
	defer write.Close()
	for _, line := range lines {
		if _, err := write.ExecContext(ctx, line[0], line[1], line[2]); err != nil {
			return err
		}
	}
	return nil
}

// valuesOf are the values that a query names: the first ones.
func valuesOf(query string, values []any) []any {
	for n := len(values); n > 0; n-- {
		if strings.Contains(query, fmt.Sprintf("$%d", n)) {
			return values[:n]
		}
	}
	return nil
}

// rewrite leaves nothing in the ledger's files but what is in its tables. Pages hold remains of what stood in them
// since long before a purge.
func rewrite(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `VACUUM`); err != nil {
		return err
	}
	var busy, frames, merged int
	if err := conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &merged); err != nil {
		return err
	}
	if busy != 0 {
		return ErrStillRead
	}
	return nil
}
