package ledger

import (
	"context"
	"database/sql"
	"net/url"
	"time"

	"vbankbatch/client/say"
)

// querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, values ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, values ...any) *sql.Row
}

// connect opens the file with SQLite's parameters for a file's URI; without any it is made when it is missing.
func connect(path string, query url.Values, pragmas ...string) (*sql.DB, error) {
	query["_pragma"], query["_txlock"] = pragmas, []string{"immediate"}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String())
}

// eachRow calls do with every row that a query returns.
func eachRow(ctx context.Context, db querier, do func(*sql.Rows) error, query string, values ...any) error {
	rows, err := db.QueryContext(ctx, query, values...)
	return scanEach(rows, err, do)
}

// gather returns what scan takes from every row that a query returns.
func gather[T any](ctx context.Context, db querier, scan func(*T, *sql.Rows) error, query string, values ...any) (all []T, err error) {
	err = eachRow(ctx, db, func(rows *sql.Rows) error {
		all = append(all, *new(T))
		return scan(&all[len(all)-1], rows)
	}, query, values...)
	return all, err
}

// scanEach calls do with every row of a query's result.
func scanEach(rows *sql.Rows, err error, do func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// eachEntry calls do with every entry that a query returns, if it is as it was written. The query selects entryColumns, live
// and the merchant.
func eachEntry(ctx context.Context, db querier, do func(*reading) error, query string, values ...any) error {
	var live, merchant int64
	r := newReading(&live, &merchant)
	return eachRow(ctx, db, func(rows *sql.Rows) error {
		if err := r.scan(rows); err != nil {
			return err
		}
		if err := r.check(merchant, live); err != nil {
			return err
		}
		return do(r)
	}, query, values...)
}

// reading scans rows of entryColumns, one after the other into the same entry.
type reading struct {
	Entry
	state              any // text; a flipped bit can make a blob of the same bytes, which SQL compares as another state
	intentAt, checksum int64
	into               []any
	checksums
}

// newReading returns a reading of rows that have entryColumns and more columns behind them.
func newReading(behind ...any) *reading {
	r := new(reading)
	for _, column := range columns {
		switch column.name {
		case "state":
			r.into = append(r.into, &r.state)
		case "intent_at":
			r.into = append(r.into, &r.intentAt)
		default:
			r.into = append(r.into, column.field(&r.Entry))
		}
	}
	r.into = append(append(r.into, &r.checksum), behind...)
	return r
}

func (r *reading) scan(rows *sql.Rows) error {
	err := rows.Scan(r.into...) // which fails where a number is expected and something else stands; its error would tell what
	state, ok := r.state.(string)
	if err != nil || !ok {
		return r.damaged()
	}
	r.State, r.IntentAt = State(state), time.UnixMicro(r.intentAt)
	return nil
}

// check compares the entry, of a merchant and live or not, with its checksum.
func (r *reading) check(merchant, live int64) error {
	if r.checksum != r.whole(merchant, &r.Entry)|live {
		return r.damaged()
	}
	return nil
}

func (r *reading) damaged() error {
	return say.Errorf("%w: line %d of run %d is not as it was written", errDamaged, r.Line, r.Run)
}

const runColumns = `id, digest, settings, file, started_at, finished_at`

// scan reads a row of runColumns.
func (r *Run) scan(rows *sql.Rows) error {
	var started, finished int64
	err := rows.Scan(&r.ID, &r.Digest, &r.Settings, &r.File, &started, &finished)
	r.Started = time.UnixMicro(started)
	if finished != 0 {
		r.Finished = time.UnixMicro(finished)
	}
	return err
}
