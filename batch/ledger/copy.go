package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"vbankbatch/client/say"
)

// ErrNotEmpty is returned by Copy when the ledger to be filled knows of runs, files or deeds.
var ErrNotEmpty = say.New("it is not empty, and two ledgers are not made one")

// ErrInUse is returned by Copy for a database whose merchants' orders a process is working on, or of which a request may still be
// under way whose sender has died.
var ErrInUse = say.New("another run holds a lease of the ledger")

// ErrHasStrays is returned by Copy for a database with accounts that no order's entry tells of yet.
var ErrHasStrays = say.New("it holds accounts that came too late; vbankbatch reconcile takes them in")

// copied are the tables of every ledger, with what orders their rows.
var copied = []struct{ table, columns, order string }{
	{"merchants", "id, hash", "id"},
	{"runs", "merchant, settled, " + runColumns, "id"},
	{"entries", entryColumns + ", live, merchant", "run, line"},
	{"forms", "id, " + formColumns + ", saved_at", "id"},
	{"trail", trailColumns, "id"},
}

// Copy copies a ledger, of all merchants, into an empty one, and then compares the two row by row: either is a file or the
// address of a database. It happens as a whole or not at all. The caller has called [Hold] for a file; nobody
// may claim a lease of a database meanwhile.
//
// Both know the same orders then, and only one of them may be used from now on. A database that may lack orders fills one that
// is known to; it is reported since a file does not tell.
func Copy(ctx context.Context, from, to string) (rows int64, restored bool, err error) {
	source, err := openCopy(ctx, from, false)
	if err != nil {
		return 0, false, err
	}
	defer source.close()
	target, err := openCopy(ctx, to, true)
	if err != nil {
		return 0, false, err
	}
	defer target.close()
	if source.database {
		if err := source.conn.QueryRowContext(ctx, `SELECT restored OR origin <> `+origin+` FROM ledger_schema`).Scan(&restored); err != nil {
			return 0, false, err
		}
	}
	for _, t := range copied {
		n, err := target.fill(ctx, source, t.table, t.columns, t.order)
		if err != nil {
			return 0, false, err
		}
		rows += n
	}
	for _, t := range copied {
		if err := target.same(ctx, source, t.table, t.columns, t.order); err != nil {
			return 0, false, err
		}
	}
	if target.database {
		if _, err := target.conn.ExecContext(ctx, `UPDATE ledger_schema SET restored = restored OR $1`, restored); err != nil {
			return 0, false, err
		}
		// The next number is behind those that were copied, or are told of.
		for table, numbers := range map[string]string{"merchants": "SELECT id FROM merchants", "runs": "SELECT id FROM runs", "forms": "SELECT id FROM forms", "jobs": "SELECT job FROM trail"} {
			if _, err := target.conn.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence('`+table+`', 'id'), max(n)) FROM (`+numbers+`) all_of_them (n) HAVING max(n) > 0`); err != nil {
				return 0, false, err
			}
		}
	}
	if source.database { // a holder that stands still must not go on with what is left behind
		for _, statement := range []string{`UPDATE leases SET epoch = epoch + 1, owner = '', released = true, until = '-infinity'`, `COMMIT`} {
			if _, err := source.conn.ExecContext(ctx, statement); err != nil {
				return 0, false, err
			}
		}
	}
	_, err = target.conn.ExecContext(ctx, `COMMIT`)
	return rows, restored, err
}

// copying is one side of a Copy: a transaction that shows the ledger as it is at one moment.
type copying struct {
	db       *sql.DB
	conn     *sql.Conn // in the transaction
	database bool
}

func openCopy(ctx context.Context, place string, fill bool) (c *copying, err error) {
	c = &copying{database: IsDatabase(place)}
	if c.db, err = c.open(ctx, place, fill); err != nil {
		return nil, err
	}
	if c.conn, err = c.db.Conn(ctx); err == nil {
		err = c.begin(ctx, fill)
	}
	if err != nil {
		c.close()
		return nil, say.Errorf("%s: %w", Name(place), err)
	}
	return c, nil
}

func (c *copying) open(ctx context.Context, place string, fill bool) (*sql.DB, error) {
	switch {
	case c.database && fill:
		if err := Prepare(ctx, place); err != nil {
			return nil, err
		}
		return openDatabase(ctx, place)
	case c.database:
		return openDatabase(ctx, place)
	case fill: // makes the tables
		l, err := Open(place, "")
		if err != nil {
			return nil, err
		}
		path := l.path
		if err := l.Close(); err != nil {
			return nil, err
		}
		return connect(path, map[string][]string{"mode": {"rw"}}, "synchronous(FULL)", "busy_timeout(5000)")
	}
	r, err := OpenReader(ctx, place, "")
	if err != nil {
		return nil, err
	}
	return r.db, nil
}

// begin refuses a ledger that is in use, or is to be filled and is not empty.
func (c *copying) begin(ctx context.Context, fill bool) error {
	begin := `BEGIN`
	if c.database {
		begin = `BEGIN ISOLATION LEVEL REPEATABLE READ`
	}
	if _, err := c.conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	if c.database {
		var held, strays int
		if _, err := c.conn.ExecContext(ctx, `LOCK TABLE leases IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		err := c.conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM leases WHERE greatest(until, quiet_until, CASE WHEN NOT released THEN until + life * interval '1 millisecond' END) > clock_timestamp()),
			(SELECT count(*) FROM strays)`).Scan(&held, &strays)
		switch {
		case err != nil:
			return err
		case held > 0:
			return ErrInUse
		case strays > 0:
			return ErrHasStrays
		}
	}
	if !fill {
		return nil
	}
	var rows int
	if err := c.conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM jobs) + (SELECT count(*) FROM forms) + (SELECT count(*) FROM trail)`).Scan(&rows); err != nil {
		return err
	}
	if rows > 0 {
		return ErrNotEmpty
	}
	for _, table := range []string{"leases", "merchants"}[number(!c.database):] { // of a ledger that was opened and never used
		if _, err := c.conn.ExecContext(ctx, `DELETE FROM `+table); err != nil {
			return err
		}
	}
	return nil
}

func (c *copying) close() {
	if c.conn != nil {
		c.conn.ExecContext(context.Background(), `ROLLBACK`) // after a commit this does nothing
		c.conn.Close()
	}
	c.db.Close()
}

// row is a row of a table: numbers and texts, in the order of its columns.
type row []any

// each calls do with each row of a table, which is valid during the call only.
func (c *copying) each(ctx context.Context, table, columns, order string, do func(row) error) error {
	n := strings.Count(columns, ",") + 1
	values, into := make(row, n), make([]any, n)
	for i := range values {
		into[i] = &values[i]
	}
	return eachRow(ctx, c.conn, func(rows *sql.Rows) error {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, value := range values {
			switch value := value.(type) {
			case []byte:
				values[i] = string(value)
			case int32:
				values[i] = int64(value)
			}
		}
		return do(values)
	}, `SELECT `+columns+` FROM `+table+` ORDER BY `+order)
}

// fill copies a table. Entries and the trail are copied if they are as they were written.
func (c *copying) fill(ctx context.Context, from *copying, table, columns, order string) (rows int64, err error) {
	switch table {
	case "entries":
		err = eachEntry(ctx, from.conn, func(*reading) error { return nil }, `SELECT `+columns+` FROM `+table)
	case "trail":
		err = trail(ctx, from.conn, func(Mark) error { return nil })
	}
	if err != nil {
		return 0, err
	}
	const most = 100
	n := strings.Count(columns, ",") + 1
	insert := func(rows int) string {
		var list []string
		for i := range rows {
			list = append(list, `(`+parameters(1+i*n, n)+`)`)
		}
		return `INSERT INTO ` + table + ` (` + columns + `) VALUES ` + strings.Join(list, ", ")
	}
	full := insert(most)
	var values []any
	write := func(query string) error {
		if !c.database {
			query = unnumbered(query)
		}
		_, err := c.conn.ExecContext(ctx, query, values...)
		values = values[:0]
		return err
	}
	err = from.each(ctx, table, columns, order, func(r row) error {
		rows++
		for _, value := range r {
			if text, ok := value.(string); ok && c.database && clean(text) != text {
				return say.Errorf("a row of %s holds bytes that a database does not take", table)
			}
		}
		if values = append(values, r...); len(values) == most*n {
			return write(full)
		}
		return nil
	})
	if err == nil && len(values) > 0 {
		err = write(insert(len(values) / n))
	}
	return rows, err
}

// same compares a table with that of another ledger, row by row.
func (c *copying) same(ctx context.Context, other *copying, table, columns, order string) error {
	theirs, stop := make(chan row, 100), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		defer close(theirs)
		ended <- other.each(ctx, table, columns, order, func(r row) error {
			select {
			case theirs <- append(row(nil), r...):
				return nil
			case <-stop:
				return context.Canceled
			}
		})
	}()
	differ := say.Errorf("%s: the copy is not the same", table)
	err := c.each(ctx, table, columns, order, func(r row) error {
		if their, ok := <-theirs; !ok || fmt.Sprint(their...) != fmt.Sprint(r...) {
			return differ
		}
		return nil
	})
	if _, more := <-theirs; err == nil && more {
		err = differ
	}
	close(stop)
	for range theirs {
	}
	if failed := <-ended; err == nil {
		err = failed
	}
	return err
}
