package ledger

import (
	"context"
	"database/sql"
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

// job is one caller's write, run inside a transaction that others may share.
type job struct {
	do      func(*statements) error
	canWait bool
	done    chan error
}

// statements are prepared once on the writer's connection.
type statements struct {
	begin, goOn, reopen, finish, settled                    *sql.Stmt
	intend, release, clearLine, settle, outcomeOnly, record *sql.Stmt
	checksums
}

// settledColumns is how many columns the statement settle sets, beside the checksum.
var settledColumns = len(names(ofOutcome | ofAccount))

// queries pairs every statement with its SQL.
func (s *statements) queries() map[**sql.Stmt]string {
	record := insert(ofIntent|ofOutcome|ofAccount) + ` ON CONFLICT (run, line) DO UPDATE SET ` + replace()
	return map[**sql.Stmt]string{
		&s.begin:  `INSERT INTO runs (merchant, digest, settings, file, started_at) VALUES ($1, $2, $3, $4, $5)`,
		&s.goOn:   `UPDATE runs SET settled = 0, file = $1 WHERE id = $2`,
		&s.reopen: `UPDATE runs SET settled = 0 WHERE id = $1`,
		&s.finish: `UPDATE runs SET finished_at = $1 WHERE id = $2`,
		// Finished runs without an entry in doubt: InDoubt need not look through them.
		&s.settled: `UPDATE runs SET settled = 1 WHERE merchant = $1 AND settled = 0 AND finished_at > 0
			AND NOT EXISTS (SELECT 1 FROM entries WHERE run = runs.id AND state ` + inDoubt + `)`,

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

func (s *statements) prepare(conn *sql.Conn) error {
	for statement, query := range s.queries() {
		var err error
		if *statement, err = conn.PrepareContext(context.Background(), unnumbered(query)); err != nil {
			return err
		}
	}
	return nil
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

// close lets the statements go; SQLite keeps a connection's files open as long as it has any.
func (s *statements) close() {
	for statement := range s.queries() {
		if *statement != nil {
			(*statement).Close()
		}
	}
}

// commit hands a write to the writer and waits until it is durable, or has failed. It does not heed a context: a
// write that is queued will happen, and the caller must know how it ended.
func (l *Ledger) commit(do func(*statements) error) error {
	return l.hand(do, false)
}

// hand is commit. A write that can wait shares the transaction of one that cannot, if there is one soon.
func (l *Ledger) hand(do func(*statements) error, canWait bool) error {
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

// writer owns the one writing connection. It commits whatever has queued up together.
func (l *Ledger) writer(ready chan<- error) {
	defer close(l.done)
	conn, err := l.write.Conn(context.Background())
	if err != nil {
		ready <- err
		return
	}
	defer conn.Close()
	s := new(statements)
	defer s.close()
	err = s.prepare(conn)
	ready <- err
	if err != nil {
		return
	}
	group := make([]*job, 0, maxGroup)
	for {
		var first *job
		select {
		case <-l.closing:
			return
		case first = <-l.queue:
		}
		group = l.fill(append(group[:0], first))
		err := transact(conn, s, group)
		for _, j := range group {
			j.done <- err
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

// transact runs the group in one transaction. Everybody in it gets the same answer.
func transact(conn *sql.Conn, s *statements, group []*job) error {
	ctx := context.Background()
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return say.Errorf("the ledger cannot be written: %w", err)
	}
	var err error
	for _, j := range group {
		if err = j.do(s); err != nil {
			break
		}
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, `COMMIT`)
	}
	if err == nil {
		return nil
	}
	conn.ExecContext(ctx, `ROLLBACK`) // SQLite may have rolled back already; if it could not, the next BEGIN tells
	return say.Errorf("the ledger cannot be written: %w", err)
}
