package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"vbankbatch/client/say"
)

// The audit trail tells who did what to which file, from where and when. It is only appended to, in the transaction of what it
// tells of, and holds no personal data, so that it can stay for ever. Each entry has the hash of the one before: whoever changes
// or removes one must make all behind it anew, and the last hash is another one then, which those who noted it see.

// Deed is who did what.
type Deed struct {
	Who, From string // From is an address
	What      string
	Job       int64  // 0: of no job
	Digest    string // of the job's bytes
	Detail    string // JSON without personal data
}

// Mark is an entry of the trail.
//
// Its hash is the SHA-256, in lower-case hexadecimal, of nine fields: Before, ID, At in UNIX microseconds, Who, From, What, Job,
// Digest and Detail. Each stands in it as its length in bytes, a colon, and its UTF-8 bytes; lengths and numbers are decimal.
// The first entry, ID 1, begins with "0:1:1".
type Mark struct {
	ID int64
	At time.Time // by the database's clock
	Deed
	Before, Hash string // of the entry before, "" in the first, and of this one
}

func (m *Mark) sum() string {
	hash := sha256.New()
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, field := range []string{m.Before, number(m.ID), number(m.At.UnixMicro()), m.Who, m.From, m.What, number(m.Job), m.Digest, m.Detail} {
		fmt.Fprintf(hash, "%d:%s", len(field), field)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// ErrTampered is returned for a trail that is not as it was written.
var ErrTampered = say.New("the audit trail is not as it was written")

const trailColumns = `id, at, who, address, what, job, digest, detail, before, hash`

func (m *Mark) scan(rows *sql.Rows) error {
	var at int64
	err := rows.Scan(&m.ID, &at, &m.Who, &m.From, &m.What, &m.Job, &m.Digest, &m.Detail, &m.Before, &m.Hash)
	m.At = time.UnixMicro(at)
	return err
}

// Note appends a deed that changes nothing here.
func (j *Jobs) Note(ctx context.Context, d Deed) error {
	return j.doing(ctx, &d, func(*sql.Tx) error { return nil })
}

// doing does something and appends the deed, as do has completed it, in one transaction. One process appends at a time; as the
// trail is locked last, nobody waits for somebody who waits.
func (j *Jobs) doing(ctx context.Context, d *Deed, do func(*sql.Tx) error) error {
	return j.within(ctx, func(tx *sql.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		if j.lockTheTrail != "" {
			if _, err := tx.ExecContext(ctx, j.lockTheTrail); err != nil {
				return err
			}
		}
		var at int64
		m := Mark{Deed: Deed{clean(d.Who), clean(d.From), clean(d.What), d.Job, clean(d.Digest), clean(d.Detail)}}
		err := tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) + 1, coalesce((SELECT hash FROM trail ORDER BY id DESC LIMIT 1), ''), `+j.clock+` FROM trail`).Scan(&m.ID, &m.Before, &at)
		if err != nil {
			return err
		}
		m.At = time.UnixMicro(at)
		_, err = tx.ExecContext(ctx, `INSERT INTO trail (`+trailColumns+`) VALUES (`+parameters(1, 10)+`)`, m.ID, at, m.Who, m.From, m.What, m.Job, m.Digest, m.Detail, m.Before, m.sum())
		return err
	})
}

// Trail calls do with every entry of the audit trail, the oldest first. An entry that does not fit the one before is not told, and
// ends it: the error names the entry and is ErrTampered. Entries that are missing at the end are found only by a hash of theirs
// that somebody has noted.
func (r *Reader) Trail(ctx context.Context, do func(Mark) error) error {
	return cmp.Or(trail(ctx, r.db, do), r.unchanged())
}

func trail(ctx context.Context, db querier, do func(Mark) error) error {
	tampered := func(id int64) error { return say.Errorf("%w: entry %d was changed or removed", ErrTampered, id) }
	behind, last := int64(math.MinInt64), Mark{} // an entry with a number below 1 is seen too
	for {
		page, err := gather(ctx, db, func(m *Mark, rows *sql.Rows) error {
			if m.scan(rows) != nil { // something else stands where a number did
				m.ID = 0
			}
			return ctx.Err()
		}, `SELECT `+trailColumns+` FROM trail WHERE id > $1 ORDER BY id LIMIT `+strconv.Itoa(pageLines), behind)
		if err != nil {
			return err
		}
		for _, m := range page {
			if m.ID != last.ID+1 || m.Before != last.Hash || m.Hash != m.sum() {
				return tampered(last.ID + 1)
			}
			if err := do(m); err != nil {
				return err
			}
			last = m
		}
		if len(page) < pageLines {
			return nil
		}
		behind = last.ID
	}
}

// Doers are those who have done one of some things to a job.
func (j *Jobs) Doers(ctx context.Context, job int64, what ...string) (names []string, err error) {
	values := []any{job}
	for _, deed := range what {
		values = append(values, deed)
	}
	return gather(ctx, j.db, func(name *string, rows *sql.Rows) error { return rows.Scan(name) },
		`SELECT DISTINCT who FROM trail WHERE job = $1 AND what IN (`+parameters(2, len(what))+`)`, values...)
}

// Marks are the newest entries of the trail before one, 0 for all, the newest first, as they stand: whether they fit is not
// looked at.
func (j *Jobs) Marks(ctx context.Context, before int64, most int) ([]Mark, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return gather(ctx, j.db, (*Mark).scan, `SELECT `+trailColumns+` FROM trail WHERE id < $1 ORDER BY id DESC LIMIT $2`, before, most)
}
