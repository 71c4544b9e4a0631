package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite" // the database/sql driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"vbankbatch/client/say"
)

// ErrNewer is the error for a ledger that a newer program has written, and ErrOlder for one that Upgrade has not seen.
var (
	ErrNewer = say.New("it was written by a newer version of this program")
	ErrOlder = say.New("an older version of this program wrote it")
)

// schemaVersion counts changes of the schema that an older program must not touch.
const schemaVersion = 5

// schema is a ledger's tables in SQLite. Its triggers know that INSERT OR REPLACE deletes, and fires none for that.
var schema = slices.Concat(tables("INTEGER PRIMARY KEY", "BLOB", " WITHOUT ROWID"), tables2("INTEGER PRIMARY KEY"), []string{
	`CREATE TRIGGER trail_updated BEFORE UPDATE ON trail BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END`,
	`CREATE TRIGGER trail_deleted BEFORE DELETE ON trail BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END`,
	`CREATE TRIGGER trail_inserted BEFORE INSERT ON trail WHEN new.id <= (SELECT max(id) FROM trail)
		BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END`,
	`PRAGMA user_version = ` + strconv.Itoa(schemaVersion),
})

// tables are those of every ledger, as databases had them first. What databases call differently is the column that numbers rows, one of bytes, and how a
// table is kept in the order of its key.
func tables(number, bytes, ordered string) []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS merchants (
		id ` + number + `,
		hash TEXT NOT NULL UNIQUE)`,
		`CREATE TABLE IF NOT EXISTS runs (
		id ` + number + `,
		merchant BIGINT NOT NULL, digest TEXT NOT NULL, settings TEXT NOT NULL, file TEXT NOT NULL,
		started_at BIGINT NOT NULL, finished_at BIGINT NOT NULL DEFAULT 0,
		settled INTEGER NOT NULL DEFAULT 0)`,
		`CREATE INDEX IF NOT EXISTS runs_digest ON runs (merchant, digest)`,
		`CREATE INDEX IF NOT EXISTS runs_unsettled ON runs (merchant) WHERE settled = 0`,
		`CREATE TABLE IF NOT EXISTS entries (` + strings.Join(definitions(), ", ") + `, PRIMARY KEY (run, line))` + ordered,
		// never two: the order's one live entry
		`CREATE UNIQUE INDEX IF NOT EXISTS entries_live ON entries (merchant, tier, merchant_uid) WHERE live = 1`,
		`CREATE TABLE IF NOT EXISTS jobs (
		id ` + number + `,
		merchant TEXT NOT NULL, api TEXT NOT NULL, whose TEXT NOT NULL, language TEXT NOT NULL,
		file TEXT NOT NULL, digest TEXT NOT NULL, settings TEXT NOT NULL, settings_digest TEXT NOT NULL,
		day TEXT NOT NULL, again BIGINT NOT NULL, submitter TEXT NOT NULL,
		submitted_at BIGINT NOT NULL, started_at BIGINT NOT NULL DEFAULT 0, ended_at BIGINT NOT NULL DEFAULT 0,
		state TEXT NOT NULL, turn BIGINT NOT NULL DEFAULT 0, seen_at BIGINT NOT NULL DEFAULT 0,
		lacking INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0,
		run BIGINT NOT NULL DEFAULT 0, exit_status BIGINT NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
		error TEXT NOT NULL DEFAULT '', summary TEXT NOT NULL DEFAULT '',
		row_count BIGINT NOT NULL DEFAULT 0, done BIGINT NOT NULL DEFAULT 0, not_done BIGINT NOT NULL DEFAULT 0,
		waiting BIGINT NOT NULL DEFAULT 0, won BIGINT NOT NULL DEFAULT 0, sent BIGINT NOT NULL DEFAULT 0, refused BIGINT NOT NULL DEFAULT 0,
		fetched_at BIGINT NOT NULL DEFAULT 0)`,
		// the same file on the same day is one job, once all of it is here
		`CREATE UNIQUE INDEX IF NOT EXISTS jobs_same ON jobs (day, merchant, api, digest, settings_digest, again) WHERE state <> 'receiving'`,
		`CREATE INDEX IF NOT EXISTS jobs_open ON jobs (merchant, api) WHERE state IN ('queued', 'running')`,
		// a file is kept in pieces, compressed
		`CREATE TABLE IF NOT EXISTS job_files (
		job BIGINT NOT NULL, kind TEXT NOT NULL, piece BIGINT NOT NULL, name TEXT NOT NULL, bytes ` + bytes + ` NOT NULL,
		PRIMARY KEY (job, kind, piece))`,
	}
}

// tables2 is what came to the tables with the second version of databases, and the fifth of files.
func tables2(number string) []string {
	return []string{
		`ALTER TABLE jobs ADD COLUMN approved_by TEXT NOT NULL DEFAULT ''`,
		`ALTER TABLE jobs ADD COLUMN approved_at BIGINT NOT NULL DEFAULT 0`,
		`ALTER TABLE jobs ADD COLUMN size BIGINT NOT NULL DEFAULT 0`,
		`DROP INDEX jobs_same`,
		// the same file on the same day is one job, once it is to be run
		`CREATE UNIQUE INDEX jobs_same ON jobs (day, merchant, api, digest, settings_digest, again) WHERE ` + isSubmitted,
		`CREATE TABLE forms (
		id ` + number + `,
		merchant TEXT NOT NULL, name TEXT NOT NULL, layout TEXT NOT NULL, profile TEXT NOT NULL, saved_by TEXT NOT NULL, saved_at BIGINT NOT NULL,
		UNIQUE (merchant, name))`,
		`CREATE TABLE sessions (hash TEXT PRIMARY KEY, whose TEXT NOT NULL, ends_at BIGINT NOT NULL)`,
		`CREATE TABLE trail (
		id ` + number + `,
		at BIGINT NOT NULL, who TEXT NOT NULL, address TEXT NOT NULL, what TEXT NOT NULL, job BIGINT NOT NULL,
		digest TEXT NOT NULL, detail TEXT NOT NULL, before TEXT NOT NULL, hash TEXT NOT NULL)`,
		`CREATE INDEX trail_job ON trail (job)`,
	}
}

// otherVersion is the error for a ledger of another schema than today's: this program must not touch a newer one, and
// Upgrade must have seen an older one.
func otherVersion(version, todays int) error {
	switch {
	case version > todays:
		return say.Errorf("%w (schema %d, this one knows %d)", ErrNewer, version, todays)
	case version < todays:
		return say.Errorf("%w (schema %d); the next vbankbatch run or reconcile brings it up to date", ErrOlder, version)
	}
	return nil
}

// Damaged reports whether an error is for a ledger that is not as it was written: a file that is no database or not a
// whole one, or an entry that its checksum does not fit.
func Damaged(err error) bool {
	fault, ok := errors.AsType[*sqlite.Error](err)
	return errors.Is(err, errDamaged) || ok && (fault.Code()&0xff == sqlite3.SQLITE_CORRUPT || fault.Code()&0xff == sqlite3.SQLITE_NOTADB)
}

// ours returns the schema version of a ledger that this program may write to; an empty file has version 0. It changes nothing
// in the file, as the write connection would by its journal mode.
func ours(path string) (version int, err error) {
	db, err := connect(path, url.Values{}, "query_only(1)", "busy_timeout(5000)")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var tables int
	if err := db.QueryRow(`SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version`).Scan(&version, &tables); err != nil {
		return 0, err
	}
	switch {
	case version > schemaVersion:
		return version, otherVersion(version, schemaVersion)
	case version == 0 && tables > 0:
		return version, say.New("it is the database of another program")
	}
	return version, nil
}

// Upgrade brings a ledger that an earlier version of this program has written up to date, some 100,000 lines in a second.
// The caller holds the [Lock]; see [Hold].
func Upgrade(ctx context.Context, path string) error {
	return beforeOpen(path, func(db *sql.DB, version int) error {
		if version == 0 || version == schemaVersion {
			return nil
		}
		look := fits // what is damaged would get good checksums
		if version >= checksumVersion {
			look = sound
		}
		if err := look(ctx, db); err != nil {
			return err
		}
		return bringUp(ctx, db, version)
	})
}

// Hold takes the [Lock] of the ledger at path and brings it up to date.
func Hold(ctx context.Context, path string, wait time.Duration) (unlock func() error, err error) {
	unlock, err = Lock(ctx, path, wait)
	if err == nil {
		if err = Upgrade(ctx, path); err != nil {
			err = errors.Join(err, unlock())
		}
	}
	return unlock, err
}

// Check checks that all that the ledger at path holds fits together, so that no entry is overlooked; that takes some two
// seconds for a million lines. The entries themselves are checked whenever they are read.
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

// checksumVersion is the first schema whose lines have checksums.
const checksumVersion = 3

// bringUp brings a ledger of an earlier schema up to today's, or leaves it as it is.
func bringUp(ctx context.Context, db *sql.DB, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit this does nothing
	present, err := gather(ctx, tx, func(name *string, rows *sql.Rows) error { return rows.Scan(name) }, `SELECT name FROM pragma_table_info('entries')`)
	if err != nil {
		return err
	}
	statements := []string{`DROP INDEX entries_live`} // version 1 had no tiers in it
	for _, definition := range definitions() {
		if name, _, _ := strings.Cut(definition, " "); !slices.Contains(present, name) {
			statements = append(statements, `ALTER TABLE entries ADD COLUMN `+definition)
		}
	}
	for _, statement := range append(statements, schema...) {
		if _, err := tx.Exec(statement); err != nil {
			return err
		}
	}
	if version < checksumVersion {
		if err := addChecksums(ctx, tx); err != nil {
			return err
		}
	}
	if err := seal(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// addChecksums gives every line its checksum.
func addChecksums(ctx context.Context, tx *sql.Tx) error {
	write, err := tx.Prepare(`UPDATE entries SET checksum = $1 WHERE run = $2 AND line = $3`)
	if err != nil {
		return err
	}
	defer write.Close()
	var merchant, live int64
	r := newReading(&merchant, &live)
	return eachRow(ctx, tx, func(rows *sql.Rows) error {
		if err := r.scan(rows); err != nil {
			return err
		}
		_, err := write.Exec(r.whole(merchant, &r.Entry)|live, r.Run, r.Line)
		return err
	}, `SELECT `+entryColumns+`, merchant, live FROM entries`)
}

// schemaChecksum returns the checksum of the schema's text. The file's header keeps it as its application_id.
func schemaChecksum(ctx context.Context, db querier) (int32, error) {
	var text string
	err := db.QueryRowContext(ctx, `SELECT group_concat(type || name || tbl_name || coalesce(sql, ''), ' ' ORDER BY name) FROM sqlite_master`).Scan(&text)
	return int32(crc32.Checksum([]byte(text), castagnoli)), err
}

// seal keeps the schema's checksum, whenever the schema has been made or changed.
func seal(ctx context.Context, tx *sql.Tx) error {
	schema, err := schemaChecksum(ctx, tx)
	if err == nil {
		_, err = tx.Exec(fmt.Sprintf(`PRAGMA application_id = %d`, schema))
	}
	return err
}

// sound checks that all that a ledger holds fits together, which takes SQLite some two seconds for a million lines.
func sound(ctx context.Context, db querier) error {
	var kept int32
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&kept); err != nil {
		return err
	}
	if schema, err := schemaChecksum(ctx, db); err != nil {
		return err
	} else if schema != kept {
		return say.Errorf("%w: its schema is not as it was written", errDamaged)
	}
	if err := fits(ctx, db); err != nil {
		return err
	}
	return eachEntry(ctx, db, func(*reading) error { return nil }, edges)
}

// edges selects the first and the last line of each run. If a bit flips in the number of another line, SQLite finds the lines
// out of order; if it flips in these, they may stay in order, and no query for the line finds it.
var edges = `SELECT ` + entryColumns + `, live, (SELECT merchant FROM runs WHERE id = run) FROM entries
	JOIN (SELECT run, min(line) AS first, max(line) AS last FROM entries GROUP BY run) USING (run) WHERE line IN (first, last)`

// fits has SQLite check that pages and indexes fit together.
func fits(ctx context.Context, db querier) error {
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return say.Errorf("%w: %s", errDamaged, found)
	}
	return nil
}
