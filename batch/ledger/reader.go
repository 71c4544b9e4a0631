package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"vbankbatch/client/say"
)

// Reader reads a ledger for people: what it knows of orders and runs. It changes nothing, takes no lock, and works
// beside a run. It is safe for concurrent use.
type Reader struct {
	db       *sql.DB
	orders   lookUp
	path     string
	begin    string      // begins a transaction that shows the ledger as it is at one moment
	merchant int64       // 0: all of them
	still    fs.FileInfo // of a file that nobody was writing when it was opened, and that must stay as it is
}

// ErrChanged is returned when a ledger that lies where SQLite cannot lock it was written to while it was read.
var ErrChanged = say.New("the ledger was written to while it was read; read it again")

// OpenReader opens the ledger at path, a file or the address of a database, for one merchant (see [Merchant]), or for all when merchant is "". It makes
// no ledger where there is none (then the error is fs.ErrNotExist) and brings none up to date. The caller closes it.
func OpenReader(ctx context.Context, path, merchant string) (*Reader, error) {
	if IsDatabase(path) {
		return openDatabaseReader(ctx, path, merchant)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, say.Errorf("there is no ledger at %s: %w", path, fs.ErrNotExist)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, say.Errorf("%s is not a file, so it is not a ledger", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{path: absolute, begin: `BEGIN`}
	// Not mode=ro: the last to close a ledger must be able to merge its log into it, or whoever copies the one file
	// copies less than all. SQLite opens a file that may not be written to read-only by itself.
	err = r.connect(ctx, url.Values{"mode": {"rw"}}, merchant)
	if cannotLock(err) {
		// A permission that is lacking has an error of its own. (See lockItself: whoever gets here is not writing to it.)
		if file, denied := os.Open(path); denied != nil {
			return nil, denied
		} else if err := file.Close(); err != nil {
			return nil, err
		}
		if log, failed := os.Stat(absolute + "-wal"); failed == nil && log.Size() > 0 {
			return nil, say.Errorf("%s has a log beside it (-wal) that cannot be read where nothing may be written; copy both to another place: %w", path, err)
		}
		r.still = info
		err = r.connect(ctx, url.Values{"immutable": {"1"}}, merchant)
	}
	if err != nil {
		return nil, say.Errorf("%s is not a usable ledger: %w", path, err)
	}
	return r, nil
}

// cannotLock reports whether SQLite could not open the files that it keeps beside a ledger.
func cannotLock(err error) bool {
	fault, ok := errors.AsType[*sqlite.Error](err)
	return ok && (fault.Code()&0xff == sqlite3.SQLITE_CANTOPEN || fault.Code()&0xff == sqlite3.SQLITE_READONLY)
}

// connect opens the file, sees that it is a ledger of today's schema, and finds the merchant's number.
func (r *Reader) connect(ctx context.Context, query url.Values, merchant string) (err error) {
	if r.db, err = connect(r.path, query, "query_only(1)", "busy_timeout(5000)"); err != nil {
		return err
	}
	r.db.SetMaxOpenConns(1)
	r.orders = func(ctx context.Context, merchant int64, tier string, uids []string) (*sql.Rows, error) {
		return r.db.QueryContext(ctx, unnumbered(selectOrders), orderValues(merchant, tier, uids)...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.db.Close())
		}
	}()
	var version, tables int
	err = r.db.QueryRowContext(ctx, `SELECT user_version, (SELECT count(*) FROM sqlite_master
		WHERE type = 'table' AND name IN ('merchants', 'runs', 'entries')) FROM pragma_user_version`).Scan(&version, &tables)
	if err != nil {
		return err
	}
	if tables != 3 {
		return say.New("it holds none of a ledger's tables")
	}
	if err := otherVersion(version, schemaVersion); err != nil {
		return err
	}
	return r.findMerchant(ctx, merchant)
}

// findMerchant finds the merchant's number.
func (r *Reader) findMerchant(ctx context.Context, merchant string) error {
	if merchant == "" {
		return nil
	}
	err := r.db.QueryRowContext(ctx, `SELECT id FROM merchants WHERE hash = $1`, merchant).Scan(&r.merchant)
	if errors.Is(err, sql.ErrNoRows) {
		r.merchant, err = -1, nil // of whom the ledger knows nothing
	}
	return err
}

// Known reports whether the ledger has ever been opened for the merchant.
func (r *Reader) Known() bool { return r.merchant >= 0 }

// Orders is Ledger.Orders.
func (r *Reader) Orders(ctx context.Context, orders []Order) (map[Order]Entry, error) {
	found, err := r.orders.all(ctx, r.merchant, orders)
	return found, cmp.Or(err, r.unchanged())
}

// Close closes the ledger.
func (r *Reader) Close() error { return r.db.Close() }

// unchanged returns an error if the file was read without locks and is not the same any more.
func (r *Reader) unchanged() error {
	if r.still == nil {
		return nil
	}
	now, err := os.Stat(r.path)
	if err != nil {
		return err
	}
	if !os.SameFile(now, r.still) || now.Size() != r.still.Size() || !now.ModTime().Equal(r.still.ModTime()) {
		return ErrChanged
	}
	return nil
}

// Line is an entry and what the ledger knows around it.
type Line struct {
	Entry
	Live     bool      // it holds its order
	At       time.Time // of its last intent, or the start of its run where it had none
	Merchant string    // see the function Merchant
	File     string    // of its run; "" after a purge
	Started  time.Time // its run
	Finished time.Time // zero while the run is under way or interrupted
}

var (
	// lineTime is UNIX microseconds.
	lineTime    = `CASE WHEN e.intent_at > 0 THEN e.intent_at ELSE r.started_at END`
	selectLines = `SELECT ` + entryColumns + `, e.live, ` + lineTime + `, m.hash, r.file, r.started_at, r.finished_at, r.merchant
		FROM entries e JOIN runs r ON r.id = e.run JOIN merchants m ON m.id = r.merchant
		WHERE ($1 = 0 OR r.merchant = $1) `
)

// each calls do with every line that the query returns, as SQLite finds them. The line is valid during the call only.
func (r *Reader) each(ctx context.Context, do func(*Line) error, query string, values ...any) error {
	var line Line
	var live, at, started, finished, merchant int64
	entry := newReading(&live, &at, &line.Merchant, &line.File, &started, &finished, &merchant)
	err := eachRow(ctx, r.db, func(rows *sql.Rows) error {
		if err := entry.scan(rows); err != nil {
			return err
		}
		if err := entry.check(merchant, live); err != nil {
			return err
		}
		line.Entry, line.Live, line.Finished = entry.Entry, live == 1, time.Time{}
		line.At, line.Started = time.UnixMicro(at), time.UnixMicro(started)
		if finished != 0 {
			line.Finished = time.UnixMicro(finished)
		}
		return do(&line)
	}, query, values...)
	return cmp.Or(err, r.unchanged())
}

// InDoubt counts the orders whose issue, or a change of whose account, may have been sent and whose outcome is not known.
func (r *Reader) InDoubt(ctx context.Context) (orders int, err error) {
	err = r.db.QueryRowContext(ctx, `SELECT count(*) FROM entries WHERE state `+inDoubt+`
		AND run IN (SELECT id FROM runs WHERE ($1 = 0 OR merchant = $1) AND settled = 0)`, r.merchant).Scan(&orders)
	return orders, cmp.Or(err, r.unchanged())
}

// Filter says which lines List is to tell. The zero Filter is every order that has or had an account, or is in doubt,
// by the one line that holds it. With a Status or a Run it is all lines of the runs, those that hold no order too.
type Filter struct {
	InDoubt bool      // only orders whose issue or change is in doubt
	Status  string    // only lines of which the results say this
	Since   time.Time // only lines from then on
	Run     int64     // only this run's lines
}

// pageLines is how many lines List reads at once.
const pageLines = 1000

// List calls do with the lines that the filter lets through, the newest first. It reads a page at a time and holds on
// to nothing in between, so that a reader who takes an hour is in nobody's way: what a run does meanwhile may be seen
// or not.
func (r *Reader) List(ctx context.Context, filter Filter, do func(*Line) error) error {
	query := selectLines + `AND (e.run, e.line) < ($2, $3)`
	values := []any{r.merchant, int64(math.MaxInt64), int64(math.MaxInt64)}
	also := func(condition string, value any) {
		values = append(values, value)
		query += fmt.Sprintf(" AND "+condition, len(values))
	}
	if filter.Status == "" && filter.Run == 0 {
		query += ` AND e.live = 1`
	}
	if filter.InDoubt {
		query += ` AND e.state ` + inDoubt
	}
	if filter.Status != "" { // CAST, for what is no text any more, by a flipped bit, would be passed over
		also(`CAST(e.status AS TEXT) = $%d`, filter.Status)
	}
	if !filter.Since.IsZero() {
		also(lineTime+` >= $%d`, filter.Since.UnixMicro())
	}
	if filter.Run != 0 {
		also(`e.run = $%d`, filter.Run)
	}
	query += fmt.Sprintf(` ORDER BY e.run DESC, e.line DESC LIMIT %d`, pageLines)
	for {
		var page []Line
		err := r.each(ctx, func(line *Line) error {
			page = append(page, *line)
			return nil
		}, query, values...)
		if err != nil {
			return err
		}
		for i := range page {
			if err := do(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < pageLines {
			return nil
		}
		values[1], values[2] = page[len(page)-1].Run, page[len(page)-1].Line
	}
}

// LineFilter chooses lines of a run.
type LineFilter struct {
	Run, After  int64  // behind the line After
	Status      string // "" for all
	MerchantUID string // that the order number begins with
}

// Lines returns the first lines of the merchant's run that the filter lets through, in the order of lines.
func (r *Reader) Lines(ctx context.Context, filter LineFilter, most int) ([]Entry, error) {
	query, values := selectEntries+`WHERE merchant = $1 AND run = $2 AND line > $3`, []any{r.merchant, filter.Run, filter.After}
	if filter.Status != "" {
		values = append(values, filter.Status)
		query += fmt.Sprintf(` AND status = $%d`, len(values))
	}
	if filter.MerchantUID != "" {
		values = append(values, filter.MerchantUID)
		query += fmt.Sprintf(` AND substr(merchant_uid, 1, length($%d)) = $%d`, len(values), len(values))
	}
	values = append(values, most)
	query += fmt.Sprintf(` ORDER BY line LIMIT $%d`, len(values))
	found, err := collect(r.merchant)(r.db.QueryContext(ctx, query, values...))
	return found, cmp.Or(err, r.unchanged())
}

// Reason is what several lines of a run were not done for.
type Reason struct {
	Status, Code string
	Message      say.Message
	Rows         int64
}

// Reasons are those of the merchant's run, what most lines have first, and no more than most of them. What a message says is as
// the lines have it: a name or a number in it makes it another.
func (r *Reader) Reasons(ctx context.Context, run int64, most int) ([]Reason, error) {
	found, err := gather(ctx, r.db, func(of *Reason, rows *sql.Rows) error {
		return rows.Scan(&of.Status, &of.Code, &of.Message, &of.Rows)
	}, `SELECT status, error_code, error_message, count(*) FROM entries WHERE merchant = $1 AND run = $2 AND error_code <> ''
		GROUP BY status, error_code, error_message ORDER BY count(*) DESC, error_code, error_message LIMIT $3`, r.merchant, run, most)
	return found, cmp.Or(err, r.unchanged())
}

// All calls do with every line of the ledger as it stands at one moment, the oldest run first.
func (r *Reader) All(ctx context.Context, do func(*Line) error) error {
	return r.each(ctx, do, selectLines+`ORDER BY e.run, e.line`, r.merchant)
}

// UnknownOrderError is returned by History for an order of which the ledger has no line.
type UnknownOrderError struct {
	Order
	Tiers []string // in which it has the same order number
}

// Error is Say in words.
func (e *UnknownOrderError) Error() string { return e.Say().String() }

// Say names the order, and where else its number stands.
func (e *UnknownOrderError) Say() say.Message {
	switch {
	case len(e.Tiers) > 0:
		return say.Messagef("the ledger knows no order %q in the tier %q, but in %q", e.MerchantUID, e.Tier, e.Tiers)
	case e.Tier != "":
		return say.Messagef("the ledger knows no order %q in the tier %q", e.MerchantUID, e.Tier)
	}
	return say.Messagef("the ledger knows no order %q", e.MerchantUID)
}

// History returns every line of an order, the newest first; the one that holds the order is Live. It reads the ledger
// through, which takes a second or two for a million lines. Its error is an *UnknownOrderError when there is no line.
func (r *Reader) History(ctx context.Context, order Order) ([]Line, error) {
	var lines []Line
	unknown := &UnknownOrderError{Order: order}
	err := r.each(ctx, func(line *Line) error {
		switch {
		case line.Tier == order.Tier:
			lines = append(lines, *line)
		case !slices.Contains(unknown.Tiers, line.Tier):
			unknown.Tiers = append(unknown.Tiers, line.Tier)
		}
		return nil
	}, selectLines+`AND CAST(e.merchant_uid AS TEXT) = $2 ORDER BY e.run DESC, e.line DESC`, r.merchant, order.MerchantUID)
	if err == nil && len(lines) == 0 {
		err = unknown
	}
	return lines, err
}

// Stats are a ledger's figures at one moment.
type Stats struct {
	Orders         map[State]int64 // by the state of the line that holds them
	DoubtSince     time.Time       // the oldest order in doubt; zero without one
	Lines          int64
	Oldest, Newest time.Time  // lines
	Runs           []RunStats // the newest first
	Bytes          int64      // of the file, or of the database's tables
	LogBytes       int64      // of the log beside a file
}

// RunStats are a run and its lines, by status.
type RunStats struct {
	Run
	Lines    int64
	Statuses map[string]int64
}

// Stats reads the ledger through and counts.
func (r *Reader) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Orders: make(map[State]int64)}
	err := r.atOnce(ctx, func(conn *sql.Conn) error {
		if err := s.addRuns(ctx, conn, r.merchant); err != nil {
			return err
		}
		if err := s.addLines(ctx, conn, r.merchant); err != nil {
			return err
		}
		return s.addChanges(ctx, conn, r.merchant)
	})
	if err != nil {
		return Stats{}, err
	}
	if IsDatabase(r.path) {
		err := r.db.QueryRowContext(ctx, `SELECT sum(pg_total_relation_size(t))::bigint FROM unnest(ARRAY['merchants', 'runs', 'entries']::regclass[]) t`).Scan(&s.Bytes)
		return s, err
	}
	s.Bytes, s.LogBytes = size(r.path), size(r.path+"-wal")
	return s, r.unchanged()
}

func (s *Stats) addRuns(ctx context.Context, db querier, merchant int64) error {
	return eachRow(ctx, db, func(rows *sql.Rows) error {
		run := RunStats{Statuses: make(map[string]int64)}
		err := run.scan(rows)
		s.Runs = append(s.Runs, run)
		return err
	}, `SELECT `+runColumns+` FROM runs WHERE $1 = 0 OR merchant = $1 ORDER BY id DESC`, merchant)
}

// addLines counts the lines of the runs that are in s.
func (s *Stats) addLines(ctx context.Context, db querier, merchant int64) error {
	runs := make(map[int64]*RunStats)
	for i := range s.Runs {
		runs[s.Runs[i].ID] = &s.Runs[i]
	}
	return eachRow(ctx, db, func(rows *sql.Rows) error {
		var run, lines, first, last int64
		var live int64
		var state State
		var status string
		if err := rows.Scan(&run, &live, &state, &status, &lines, &first, &last); err != nil {
			return err
		}
		s.Lines += lines
		runs[run].Lines += lines
		runs[run].Statuses[status] += lines
		if live == 1 {
			s.Orders[state] += lines
		}
		s.Oldest, s.Newest = earlier(s.Oldest, time.UnixMicro(first)), later(s.Newest, time.UnixMicro(last))
		if live == 1 && state == Intended {
			s.DoubtSince = earlier(s.DoubtSince, time.UnixMicro(first))
		}
		return nil
	}, `SELECT e.run, e.live, e.state, e.status, count(*), min(`+lineTime+`), max(`+lineTime+`)
		FROM entries e JOIN runs r ON r.id = e.run WHERE $1 = 0 OR r.merchant = $1 GROUP BY e.run, e.live, e.state, e.status`, merchant)
}

// addChanges looks how long orders with a change in doubt have been so. A change is told by the line that asked for it, in
// another run perhaps than the line that holds the order.
func (s *Stats) addChanges(ctx context.Context, db querier, merchant int64) error {
	if s.Orders[Changing] == 0 {
		return nil
	}
	var since sql.NullInt64
	err := db.QueryRowContext(ctx, `SELECT min(`+lineTime+`) FROM entries e JOIN runs r ON r.id = e.run
		WHERE ($1 = 0 OR e.merchant = $1) AND e.state = '' AND e.status = '`+unknown+`' AND EXISTS (`+holder+` AND o.state = 'change')`, merchant).Scan(&since)
	if since.Valid {
		s.DoubtSince = earlier(s.DoubtSince, time.UnixMicro(since.Int64))
	}
	return err
}

// size is a file's size; the log may be gone by now.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// holder selects the line that holds the order of the line e.
const holder = `SELECT 1 FROM entries o WHERE o.live = 1 AND o.merchant = e.merchant AND o.tier = e.tier AND o.merchant_uid = e.merchant_uid`

// atOnce calls do with a connection that shows the ledger as it is at one moment.
func (r *Reader) atOnce(ctx context.Context, do func(*sql.Conn) error) error {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, r.begin); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	return do(conn)
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
