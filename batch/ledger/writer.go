package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"time"

	"vbankbatch/client/say"
)

// maxGroup is how many waiting writes share one transaction at most.
const maxGroup = 256

// linger is how long a write that can wait does so for one that cannot, to share its transaction and fsync.
const linger = 10 * time.Millisecond

// ErrClosed is returned by every method after Close.
var ErrClosed = say.New("the ledger is closed")

// job is one caller's write, made in a transaction that others may share.
type job struct {
	do      func(transaction) error // may be called several times: only the last one counts
	canWait bool
	done    chan error
}

// transaction makes the writes of some jobs. What they come to is durable once the store has committed it.
type transaction interface {
	begin(*Run) error // sets the run's ID
	goOn(Run) error
	finish(run int64, at time.Time) error
	intend([]Entry) error
	outcomes([]Entry) error
	record([]Entry) error
	settled(stray Entry) error
}

// store keeps a ledger's rows: SQLite in a file, or PostgreSQL.
type store interface {
	// commit makes the writes of the jobs durable, and tells each job how it ended.
	commit(group []*job)
	close() error
}

// file is the store of a ledger in a file of SQLite's: one connection, with its statements prepared once.
type file struct {
	db       *sql.DB // of one connection
	conn     *sql.Conn
	merchant int64
	statements
}

// statements are those of a transaction.
type statements struct {
	begin, goOn, reopen, finish, settled                    *sql.Stmt
	intend, release, clearLine, settle, outcomeOnly, record *sql.Stmt
	checksums
}

// settledColumns is how many columns the statement settle sets, beside the checksum.
var settledColumns = len(names(ofOutcome | ofAccount))

const (
	goOnRun   = `UPDATE runs SET settled = 0, file = $1 WHERE id = $2`
	finishRun = `UPDATE runs SET finished_at = $1 WHERE id = $2`
	// Finished runs without an entry in doubt: InDoubt need not look through them.
	settleRuns = `UPDATE runs SET settled = 1 WHERE merchant = $1 AND settled = 0 AND finished_at > 0
		AND NOT EXISTS (SELECT 1 FROM entries WHERE run = runs.id AND state ` + inDoubt + `)`
)

// queries pairs every statement with its SQL.
func (s *statements) queries() map[**sql.Stmt]string {
	record := insert(ofIntent|ofOutcome|ofAccount) + ` ON CONFLICT (run, line) DO UPDATE SET ` + replace()
	return map[**sql.Stmt]string{
		&s.begin:   `INSERT INTO runs (merchant, digest, settings, file, started_at) VALUES ($1, $2, $3, $4, $5)`,
		&s.goOn:    goOnRun,
		&s.reopen:  `UPDATE runs SET settled = 0 WHERE id = $1`,
		&s.finish:  finishRun,
		&s.settled: settleRuns,

		// An intent; nothing happens if the line has an entry, or the order a live one.
		&s.intend: insert(ofIntent|ofOutcome) + ` ON CONFLICT DO NOTHING`,
		// The order's account was revoked, and another may be made.
		&s.release: `UPDATE entries SET live = 0, checksum = checksum & -2
			WHERE merchant = $1 AND tier = $2 AND merchant_uid = $3 AND live = 1 AND state = 'revoked'`,
		// The line has an entry from before that holds no order, and gets an intent, which its order lets it have.
		&s.clearLine: `DELETE FROM entries WHERE run = $1 AND line = $2 AND live = 0
			AND NOT EXISTS (SELECT 1 FROM entries WHERE merchant = $3 AND tier = $4 AND merchant_uid = $5 AND live = 1)`,
		// What came of an intent. live stays as it is and is not named, since that would cost its index an update. An account
		// that was revoked may stand in an entry that is not live any more, because another holds the order.
		&s.settle: fmt.Sprintf(`UPDATE entries SET %s, checksum = (checksum & %s) | $%d
			WHERE run = $%d AND line = $%d AND (live = 1 OR $%d = 'revoked')`, assign(1, ofOutcome|ofAccount), keepIntent,
			settledColumns+1, settledColumns+2, settledColumns+3, settledColumns+4),
		&s.record:      record,
		&s.outcomeOnly: record + ` WHERE entries.live = 0`,
	}
}

var placeholder = regexp.MustCompile(`\$\d+`)

// unnumbered returns the query with ? instead of $1, $2 and so on, if those stand in order: SQLite's driver looks up each
// numbered one by its name.
func unnumbered(query string) string {
	for i, name := range placeholder.FindAllString(query, -1) {
		if name != fmt.Sprintf("$%d", i+1) {
			return query
		}
	}
	return placeholder.ReplaceAllLiteralString(query, "?")
}

// commit hands a write to the writer and waits until it is durable, or has failed. It does not heed a context: a
// write that is queued will happen, and the caller must know how it ended.
func (l *Ledger) commit(do func(transaction) error) error {
	return l.hand(do, false)
}

// hand is commit. A write that can wait shares the transaction of one that cannot, if there is one soon.
func (l *Ledger) hand(do func(transaction) error, canWait bool) error {
	j := &job{do: do, canWait: canWait, done: make(chan error, 1)}
	select {
	case <-l.closing:
		return ErrClosed
	case l.queue <- j:
	}
	select {
	case err := <-j.done:
		return err
	case <-l.done: // closed with the job still queued, or just answered
		select {
		case err := <-j.done:
			return err
		default:
			return ErrClosed
		}
	}
}

// writer commits whatever has queued up together.
func (l *Ledger) writer() {
	defer close(l.done)
	group := make([]*job, 0, maxGroup)
	for {
		select {
		case <-l.closing:
			return
		case first := <-l.queue:
			group = l.fill(append(group[:0], first))
			l.store.commit(group)
		}
	}
}

// fill adds the writes that have queued up to the group; while all writes of the group can wait, it waits for more.
func (l *Ledger) fill(group []*job) []*job {
	waiting := group[0].canWait
	var end <-chan time.Time
	for len(group) < maxGroup {
		var next *job
		select {
		case next = <-l.queue:
		default:
			if !waiting {
				return group
			}
			if end == nil {
				end = time.After(linger)
			}
			select {
			case next = <-l.queue:
			case <-end:
				return group
			case <-l.closing:
				return group
			}
		}
		group = append(group, next)
		waiting = waiting && next.canWait
	}
	return group
}

// commit runs the group in one transaction. What is committed is told to all but those whose order was taken.
func (f *file) commit(group []*job) {
	taken, err := f.transact(group)
	for i, j := range group {
		j.done <- cmp.Or(err, taken[i])
	}
}

func (f *file) transact(group []*job) (taken []error, err error) {
	ctx := context.Background()
	taken = make([]error, len(group))
	if _, err := f.conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return taken, say.Errorf("the ledger cannot be written: %w", err)
	}
	for i, j := range group {
		if err = j.do(fileTransaction{f}); errors.Is(err, ErrTaken) {
			taken[i], err = err, nil
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		_, err = f.conn.ExecContext(ctx, `COMMIT`)
	}
	if err == nil {
		return taken, nil
	}
	f.conn.ExecContext(ctx, `ROLLBACK`) // SQLite may have rolled back already; if it could not, the next BEGIN tells
	return taken, say.Errorf("the ledger cannot be written: %w", err)
}

// prepare takes the connection and prepares its statements.
func (f *file) prepare() (err error) {
	ctx := context.Background()
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	for statement, query := range f.queries() {
		if *statement, err = f.conn.PrepareContext(ctx, unnumbered(query)); err != nil {
			return err
		}
	}
	return nil
}

// close lets the statements go, and closes the file; SQLite keeps a connection's files open as long as it has any.
func (f *file) close() error {
	for statement := range f.queries() {
		if *statement != nil {
			(*statement).Close()
		}
	}
	if f.conn != nil {
		f.conn.Close()
	}
	return f.db.Close()
}

// fileTransaction makes writes within the transaction that a file's connection is in.
type fileTransaction struct{ *file }

func (t fileTransaction) begin(run *Run) error {
	result, err := t.statements.begin.Exec(t.merchant, run.Digest, run.Settings, run.File, run.Started.UnixMicro())
	if err == nil {
		run.ID, err = result.LastInsertId()
	}
	return err
}

func (t fileTransaction) goOn(run Run) error {
	_, err := t.statements.goOn.Exec(run.File, run.ID)
	return err
}

func (t fileTransaction) finish(run int64, at time.Time) error {
	if _, err := t.statements.finish.Exec(at.UnixMicro(), run); err != nil {
		return err
	}
	_, err := t.statements.settled.Exec(t.merchant)
	return err
}

func (t fileTransaction) intend(entries []Entry) error { return unlessTaken(entries, t.intendOne) }

// unlessTaken writes each entry, and returns ErrTaken if a write changed nothing.
func unlessTaken(entries []Entry, write func(*Entry) (int64, error)) (taken error) {
	for i := range entries {
		n, err := write(&entries[i])
		if err != nil {
			return err
		}
		if n == 0 {
			taken = takenError(entries[i].Line)
		}
	}
	return taken
}

func (t fileTransaction) intendOne(e *Entry) (int64, error) {
	values := t.row(e, ofIntent|ofOutcome)
	n, err := changed(t.statements.intend.Exec(values...))
	if err != nil || n > 0 {
		return n, err
	}
	// The order is taken, or has a revoked account, or the line has an entry from before that is not live.
	if _, err := t.release.Exec(t.merchant, e.Tier, e.MerchantUID); err != nil {
		return 0, err
	}
	if _, err := t.clearLine.Exec(e.Run, e.Line, t.merchant, e.Tier, e.MerchantUID); err != nil {
		return 0, err
	}
	return changed(t.statements.intend.Exec(values...))
}

func changed(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (t fileTransaction) outcomes(entries []Entry) error {
	return unlessTaken(entries, func(e *Entry) (int64, error) {
		return changed(t.outcomeOnly.Exec(t.row(e, ofIntent|ofOutcome|ofAccount)...))
	})
}

func (t fileTransaction) record(entries []Entry) error {
	for i := range entries {
		e := &entries[i]
		if e.inDoubt() { // the run that it is of may have been settled long ago
			if _, err := t.reopen.Exec(e.Run); err != nil {
				return err
			}
		}
		if e.settles() {
			values := appendValues(make([]any, 0, settledColumns+4), e, ofOutcome|ofAccount)
			n, err := changed(t.settle.Exec(append(values, t.outcome(e), e.Run, e.Line, string(e.State))...))
			if err != nil {
				return err
			}
			if n > 0 {
				continue
			}
		}
		if e.State != Vacant { // the order's account of before may have been revoked
			if _, err := t.release.Exec(t.merchant, e.Tier, e.MerchantUID); err != nil {
				return err
			}
		}
		if _, err := t.statements.record.Exec(t.row(e, ofIntent|ofOutcome|ofAccount)...); err != nil {
			return err
		}
	}
	return nil
}

func (t fileTransaction) settled(Entry) error { return nil } // a file has no strays

// row returns the values of an insert statement for some parts of an entry.
func (t fileTransaction) row(e *Entry, parts part) []any {
	return append(appendValues(make([]any, 0, len(columns)+3), e, parts), t.merchant, live(e.State), t.whole(t.merchant, e)|live(e.State))
}
