package ledger

import (
	"context"
	"database/sql"
	"net/url"

	"vbankbatch/client/say"
)

// What brings a ledger up from the schema before.
var (
	fromVersion1 = []string{ // which knew no tiers within a run
		`ALTER TABLE entries ADD COLUMN tier TEXT NOT NULL DEFAULT ''`,
		`ALTER TABLE entries ADD COLUMN pg_id TEXT NOT NULL DEFAULT ''`,
		`DROP INDEX entries_live`,
	}
	fromVersion2 = []string{`ALTER TABLE entries ADD COLUMN checksum BIGINT NOT NULL DEFAULT 0`}
)

// Upgrade brings a ledger that an earlier version of this program has written up to date, some 100,000 lines in a second.
// The caller holds the [Lock], and calls it before [Open].
func Upgrade(ctx context.Context, path string) error {
	return beforeOpen(path, func(db *sql.DB, version int) error {
		if version == 0 || version == schemaVersion {
			return nil
		}
		if err := fits(ctx, db); err != nil { // what is damaged would get good checksums
			return err
		}
		return bringUp(ctx, db, version)
	})
}

// Check looks whether all that the ledger at path holds fits together, so that nothing is missed that is there; that takes
// some two seconds for a million lines. What an entry says is looked at whenever it is read.
func Check(ctx context.Context, path string) error {
	return beforeOpen(path, func(db *sql.DB, version int) error {
		if version != schemaVersion {
			return nil
		}
		return sound(ctx, db)
	})
}

// beforeOpen does something with a ledger that this program may write to; schema version 0 is an empty one.
func beforeOpen(path string, do func(db *sql.DB, version int) error) error {
	absolute, err := locate(path)
	if err != nil {
		return err
	}
	version, err := ours(absolute)
	if err == nil {
		err = connected(absolute, func(db *sql.DB) error { return do(db, version) })
	}
	if err != nil {
		return say.Errorf("%s is not a usable ledger: %w", path, err)
	}
	return nil
}

func connected(path string, do func(*sql.DB) error) error {
	db, err := connect(path, url.Values{"mode": {"rw"}}, "synchronous(FULL)", "busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

// bringUp brings a ledger of an earlier schema up to today's, or leaves it as it is.
func bringUp(ctx context.Context, db *sql.DB, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit this does nothing
	statements := append(fromVersion2, schema...)
	if version == 1 {
		statements = append(fromVersion1, statements...)
	}
	for _, statement := range statements {
		if _, err := tx.Exec(statement); err != nil {
			return err
		}
	}
	write, err := tx.Prepare(`UPDATE entries SET checksum = $1 WHERE run = $2 AND line = $3`)
	if err != nil {
		return err
	}
	defer write.Close()
	var merchant, live int64
	r := newReading(&merchant, &live)
	err = rowsOf(ctx, tx, func(rows *sql.Rows) error {
		if err := r.scan(rows); err != nil {
			return err
		}
		_, err := write.Exec(r.whole(merchant, &r.Entry)|live, r.Run, r.Line)
		return err
	}, `SELECT `+entryColumns+`, merchant, live FROM entries`)
	if err != nil {
		return err
	}
	if err := seal(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}
