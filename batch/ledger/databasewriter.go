package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"vbankbatch/client/say"
)

// database is the store of a ledger in a database, for the holder of a lease. What a group writes is sent in one round trip
// and committed with it: the fence, then statements that write many rows each. A group of which one job's order is taken is
// not written, but its jobs one by one.
type database struct {
	lease *Lease
	conn  *pgx.Conn // nil until it is needed, and after an error
	*transactions
}

// transactions number those of a lease, also where several ledgers are opened for it, one after the other.
type transactions struct {
	last atomic.Int64 // the number of the last one that was committed, as the lease has it
	next int64        // a number that none has had
	lost int64        // the number of one whose answer was lost; 0 without one
}

const groupTime = 15 * time.Second // for one round trip

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// pause is the time between two tries of what a database did not take, twice as long each time.
type pause time.Duration

// wait waits until the next try, or the end of ctx.
func (p *pause) wait(ctx context.Context) {
	*p = pause(min(max(2*time.Duration(*p), firstPause), lastPause))
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(*p) + rand.N(time.Duration(*p))):
	}
}

// Ledger opens the ledger for the lease's merchant. It is closed before it is opened again, and before the lease is released.
func (l *Lease) Ledger(ctx context.Context) (*Ledger, error) {
	read, err := openDatabase(ctx, l.address)
	if err != nil {
		return nil, err
	}
	book := newLedger()
	book.read, book.orders, book.merchant, book.patience = read, lookUpIn(read), l.merchant, l.terms.Patience
	book.store = &database{lease: l, transactions: &l.transactions}
	go book.writer()
	return book, nil
}

func (d *database) close() error {
	if d.conn == nil {
		return nil
	}
	return d.conn.Close(context.Background())
}

func (d *database) commit(group []*job) {
	err := d.write(group)
	for _, j := range group {
		if errors.Is(err, ErrTaken) && len(group) > 1 {
			j.done <- d.write([]*job{j})
		} else {
			j.done <- err
		}
	}
}

// write makes the writes of a group in one transaction, and waits for a database that does not answer.
func (d *database) write(group []*job) error {
	end := time.Now().Add(d.lease.terms.Patience)
	var sent int64
	for between := new(pause); ; between.wait(context.Background()) {
		err := d.attempt(group, &sent)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrLeaseLost):
			d.lease.lose()
			return errors.Join(err, d.keepStrays(group, end))
		case errors.Is(err, ErrTaken):
			return err
		case !errors.Is(err, ErrUnreachable) && !conflicting(err):
			return say.Errorf("the ledger cannot be written: %w", err)
		case time.Now().After(end):
			return say.Errorf("the ledger cannot be written, and was tried for %s: %w", d.lease.terms.Patience, err)
		}
	}
}

// attempt makes the writes of a group once. sent keeps the number of the group's transaction if its answer was lost: the next
// attempt asks first what became of it.
func (d *database) attempt(group []*job, sent *int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	if d.lost != 0 {
		committed, err := d.settleLost(ctx)
		if err != nil || committed == *sent && *sent != 0 {
			return err
		}
	}
	tx := &databaseTransaction{ctx: ctx, database: d}
	for _, j := range group {
		if err := j.do(tx); err != nil {
			return err
		}
	}
	number := d.next
	d.next++
	err := d.connected(ctx, func(conn *pgx.Conn) error {
		err := tx.send(conn, number, false)
		if state := sqlstate(err); state == stateTaken || state == stateUnique { // nothing was written
			err = tx.send(conn, number, true)
		}
		return err
	})
	switch state := sqlstate(err); {
	case err == nil:
		d.last.Store(number)
	case state == stateTaken || state == stateUnique && len(tx.intents) > 0:
		return d.whoIsTaken(tx)
	case state == stateNotHeld:
		d.lost, *sent = number, number
		return say.Errorf("%w: %w", ErrUnreachable, err) // unless the lease is another's, which the next attempt finds out
	case errors.Is(err, ErrUnreachable):
		d.lost, *sent = number, number
	}
	return err
}

// connected does something with the connection, which is opened if need be, and closed once it does not answer.
func (d *database) connected(ctx context.Context, do func(*pgx.Conn) error) (err error) {
	if d.conn == nil {
		if d.conn, err = dial(ctx, d.lease.config); err != nil {
			d.conn = nil
			return err
		}
	}
	if err = do(d.conn); err == nil || errors.Is(err, ErrLeaseLost) || !unreachable(err) {
		return err
	}
	closing, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	d.conn.Close(closing)
	d.conn = nil
	return say.Errorf("%w: %w", ErrUnreachable, err)
}

// settleLost returns the number of the transaction whose answer was lost if it was committed. If it was not, the lease gets
// another number, so that the fence holds the transaction should the database come to it yet. The lease is renewed by the way:
// a time that ran out while the database was silent is no loss if nobody has claimed it.
func (d *database) settleLost(ctx context.Context) (committed int64, err error) {
	now := d.next
	d.next++
	err = d.connected(ctx, func(conn *pgx.Conn) error {
		asked := sinceBoot()
		err := pgx.BeginTxFunc(ctx, conn, readCommitted, func(tx pgx.Tx) error {
			var written int64
			err := tx.QueryRow(ctx, `SELECT written FROM leases WHERE merchant = $1 AND owner = $2 AND epoch = $3 FOR UPDATE`,
				d.lease.merchant, d.lease.owner, d.lease.epoch).Scan(&written)
			if errors.Is(err, pgx.ErrNoRows) {
				return ErrLeaseLost
			}
			if err != nil {
				return err
			}
			if written < d.last.Load() { // the database has lost what it had confirmed
				return ErrLeaseLost
			}
			if written == d.lost {
				now, committed = written, written
			}
			_, err = tx.Exec(ctx, `UPDATE leases SET written = $2, until = clock_timestamp() + $3 * interval '1 microsecond' WHERE merchant = $1`,
				d.lease.merchant, now, d.lease.terms.Time.Microseconds())
			return err
		})
		if err == nil {
			d.lease.extend(asked)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	d.last.Store(now)
	d.lost = 0
	return committed, nil
}

// whoIsTaken is ErrTaken for the line of a transaction that could not be written.
func (d *database) whoIsTaken(tx *databaseTransaction) error {
	entries := append(tx.intents, tx.made...)
	line := entries[0].Line
	err := d.connected(tx.ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(tx.ctx, `SELECT v.line FROM entries e, `+given(2, ofOrder)+` WHERE e.merchant = $1 AND e.live = 1
			AND (e.tier = v.tier AND e.merchant_uid = v.merchant_uid OR e.run = v.run AND e.line = v.line) LIMIT 1`,
			append([]any{d.lease.merchant}, lists(entries, ofOrder)...)...).Scan(&line)
	})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return takenError(line)
}

// keepStrays keeps what a group tells of accounts, for the lease's next holder.
func (d *database) keepStrays(group []*job, end time.Time) error {
	tx := &databaseTransaction{database: d}
	for _, j := range group {
		if err := j.do(tx); err != nil {
			return nil // a run that does not begin
		}
	}
	var strays []Entry
	for _, e := range tx.records {
		if e.State == Issued || e.State == Intended && e.ErrorCode == ReplyDiffers {
			strays = append(strays, e)
		}
	}
	if len(strays) == 0 {
		return nil
	}
	for between := new(pause); ; between.wait(context.Background()) {
		ctx, cancel := context.WithTimeout(context.Background(), groupTime)
		err := d.connected(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, insertStrays, d.rows(strays)...)
			return err
		})
		cancel()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// databaseTransaction gathers the writes of a group.
type databaseTransaction struct {
	ctx context.Context // nil where nothing is to be sent
	*database
	runs                   pgx.Batch
	reopened               []int64
	intents, made, records []Entry // made are outcomes that needed no request
}

func (t *databaseTransaction) begin(run *Run) error {
	if t.ctx == nil {
		return ErrLeaseLost
	}
	err := t.connected(t.ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(t.ctx, `SELECT nextval(pg_get_serial_sequence('runs', 'id'))`).Scan(&run.ID)
	})
	t.runs.Queue(`INSERT INTO runs (merchant, digest, settings, file, started_at, id) VALUES ($1, $2, $3, $4, $5, $6)`,
		t.lease.merchant, run.Digest, run.Settings, clean(run.File), run.Started.UnixMicro(), run.ID)
	return err
}

func (t *databaseTransaction) goOn(run Run) error {
	t.runs.Queue(goOnRun, clean(run.File), run.ID)
	return nil
}

func (t *databaseTransaction) finish(run int64, at time.Time) error {
	t.runs.Queue(finishRun, at.UnixMicro(), run)
	t.runs.Queue(settleRuns, t.lease.merchant)
	return nil
}

func (t *databaseTransaction) intend(entries []Entry) error   { return t.add(&t.intents, entries) }
func (t *databaseTransaction) outcomes(entries []Entry) error { return t.add(&t.made, entries) }

func (t *databaseTransaction) record(entries []Entry) error {
	for i := range entries {
		if entries[i].inDoubt() { // the run that it is of may have been settled long ago
			t.reopened = append(t.reopened, entries[i].Run)
		}
	}
	return t.add(&t.records, entries)
}

func (t *databaseTransaction) settled(stray Entry) error {
	t.runs.Queue(`DELETE FROM strays WHERE merchant = $1 AND run = $2 AND line = $3 AND imp_uid = $4`, t.lease.merchant, stray.Run, stray.Line, stray.ImpUID)
	return nil
}

func (t *databaseTransaction) add(to *[]Entry, entries []Entry) error {
	for _, e := range entries {
		if clean(e.Tier) != e.Tier || clean(e.MerchantUID) != e.MerchantUID {
			return say.Errorf("line %d: the order number holds bytes that a database does not take", e.Line)
		}
		for i := range columns {
			if text, ok := columns[i].field(&e).(*string); ok {
				*text = clean(*text)
			}
		}
		*to = append(*to, e)
	}
	return nil
}

// clean replaces what a database does not take in a text.
func clean(text string) string {
	if utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// send sends all at once; what the database carries out until it answers is one transaction. Nearly always every outcome is
// that of an intent, and neither order nor line of an intent has an entry yet: a transaction that is not careful takes that
// for granted, and fails if it is not so.
func (t *databaseTransaction) send(conn *pgx.Conn, number int64, careful bool) error {
	var batch pgx.Batch
	batch.Queue(`SELECT ledger_fence($1, $2, $3, $4, $5)`, t.lease.merchant, t.lease.owner, t.lease.epoch, t.last.Load(), number)
	batch.QueuedQueries = append(batch.QueuedQueries, t.runs.QueuedQueries...)
	if len(t.reopened) > 0 {
		batch.Queue(`UPDATE runs SET settled = 0 WHERE id = ANY($1)`, t.reopened)
	}
	for _, entries := range apart(t.records) {
		var settling, others []Entry
		for _, e := range entries {
			if !careful && e.settles() {
				settling = append(settling, e)
			} else {
				others = append(others, e)
			}
		}
		if len(settling) > 0 {
			batch.Queue(settleEntries, append(t.rows(settling), len(settling))...)
		}
		if len(others) > 0 {
			batch.Queue(releaseForRecords, append([]any{t.lease.merchant}, lists(others, ofOrder|ofOutcome)...)...)
			batch.Queue(recordEntries, t.rows(others)...)
		}
	}
	for _, entries := range apart(t.made) {
		batch.Queue(recordOutcomes, append(t.rows(entries), len(entries))...)
	}
	for _, entries := range apart(t.intents) {
		if careful {
			orders := append([]any{t.lease.merchant}, lists(entries, ofOrder)...)
			batch.Queue(releaseForIntents, orders...)
			batch.Queue(clearLines, orders...)
		}
		batch.Queue(insertIntents, t.rows(entries)...)
	}
	return conn.SendBatch(t.ctx, &batch).Close()
}

// apart cuts entries into lists in which no line and no order stands twice: one statement takes each but once.
func apart(entries []Entry) (all [][]Entry) {
	type line struct{ run, line int64 }
	lines, orders := make(map[line]bool), make(map[Order]bool)
	start := 0
	for i, e := range entries {
		if at := (line{e.Run, e.Line}); lines[at] || orders[e.Order] {
			all = append(all, entries[start:i])
			start = i
			clear(lines)
			clear(orders)
		}
		lines[line{e.Run, e.Line}] = true
		if e.MerchantUID != "" {
			orders[e.Order] = true
		}
	}
	if start < len(entries) {
		all = append(all, entries[start:])
	}
	return all
}

// rows are the values of the statements that insert entries: the merchant, and a list for each column.
func (d *database) rows(entries []Entry) []any {
	lives, checksums_ := make([]int64, len(entries)), make([]int64, len(entries))
	var sums checksums
	for i := range entries {
		e := &entries[i]
		lives[i] = live(e.State)
		checksums_[i] = sums.whole(d.lease.merchant, e) | lives[i]
	}
	return append(append([]any{d.lease.merchant}, lists(entries, allParts)...), lives, checksums_)
}

// lists are the values of the columns of some parts, a list for each.
func lists(entries []Entry, parts part) (all []any) {
	for i := range columns {
		column := &columns[i]
		if !column.in(parts) {
			continue
		}
		var numbers []int64
		var texts []string
		for j := range entries {
			if number, text, isText := column.value(&entries[j]); isText {
				texts = append(texts, text)
			} else {
				numbers = append(numbers, number)
			}
		}
		if texts != nil {
			all = append(all, texts)
		} else {
			all = append(all, numbers)
		}
	}
	return all
}

// given is what lists are in a statement: rows, called v. more are columns of numbers behind them.
func given(first int, parts part, more ...string) string {
	var values, names []string
	add := func(name, kind string) {
		values = append(values, fmt.Sprintf("$%d::%s[]", first+len(values), kind))
		names = append(names, name)
	}
	for i := range columns {
		if column := &columns[i]; column.in(parts) {
			kind := "bigint"
			if _, _, isText := column.value(new(Entry)); isText {
				kind = "text"
			}
			add(column.name, kind)
		}
	}
	for _, name := range more {
		add(name, "bigint")
	}
	return `unnest(` + strings.Join(values, ", ") + `) AS v(` + strings.Join(names, ", ") + `)`
}

const allParts = ofIntent | ofOutcome | ofAccount

// settling is the condition for a given entry that tells what came of an intent; see Entry.settles.
const settling = `v.state NOT IN ('', 'change') AND v.attempts > 0`

// These do for many entries what the statements of a file do for one; see statements.queries.
var (
	allColumns = strings.Join(names(allParts), ", ")
	allGiven   = given(2, allParts, "live", "checksum")
	fromGiven  = `(` + allColumns + `, merchant, live, checksum) SELECT ` + allColumns + `, $1, live, checksum FROM `

	releaseForIntents = `UPDATE entries e SET live = 0, checksum = e.checksum & -2 FROM ` + given(2, ofOrder) + `
		WHERE e.merchant = $1 AND e.tier = v.tier AND e.merchant_uid = v.merchant_uid AND e.live = 1 AND e.state = 'revoked'`
	clearLines = `DELETE FROM entries e USING ` + given(2, ofOrder) + ` WHERE e.run = v.run AND e.line = v.line AND e.live = 0
		AND NOT EXISTS (SELECT 1 FROM entries o WHERE o.merchant = $1 AND o.tier = v.tier AND o.merchant_uid = v.merchant_uid AND o.live = 1)`
	insertIntents = `INSERT INTO entries ` + fromGiven + allGiven

	releaseForRecords = `UPDATE entries e SET live = 0, checksum = e.checksum & -2 FROM ` + given(2, ofOrder|ofOutcome) + `
		WHERE v.state <> '' AND e.merchant = $1 AND e.tier = v.tier AND e.merchant_uid = v.merchant_uid AND e.live = 1 AND e.state = 'revoked'
		AND (e.run, e.line) <> (v.run, v.line) AND NOT (` + settling + ` AND EXISTS (
			SELECT 1 FROM entries o WHERE o.run = v.run AND o.line = v.line AND (o.live = 1 OR v.state = 'revoked')))`
	settleGiven = `UPDATE entries e SET ` + assignGiven(ofOutcome|ofAccount) + `, checksum = (e.checksum & ` + keepIntent + `) | (v.checksum & ~(` + keepIntent + `)::bigint)
		FROM v WHERE e.merchant = $1 AND e.run = v.run AND e.line = v.line AND ` + settling + ` AND (e.live = 1 OR v.state = 'revoked') RETURNING e.run, e.line`
	settleEntries = `WITH v AS (SELECT * FROM ` + allGiven + `), settled AS (` + settleGiven + `) ` + allWritten("settled")
	recordEntries = `WITH v AS (SELECT * FROM ` + allGiven + `), settled AS (` + settleGiven + `)
		INSERT INTO entries ` + fromGiven + `v WHERE (run, line) NOT IN (SELECT run, line FROM settled) ON CONFLICT (run, line) DO UPDATE SET ` + replace()
	recordOutcomes = `WITH written AS (INSERT INTO entries ` + fromGiven + allGiven + ` ON CONFLICT (run, line) DO UPDATE SET ` + replace() + `
		WHERE entries.live = 0 RETURNING 1) ` + allWritten("written")
	insertStrays = `INSERT INTO strays ` + fromGiven + allGiven
)

// allWritten is the end of a statement that is to have written so many rows, as a value behind those of the rows tells.
func allWritten(written string) string {
	return fmt.Sprintf(`SELECT ledger_written((SELECT count(*) FROM %s), $%d)`, written, 4+len(names(allParts)))
}

// assignGiven returns the assignments to the columns of some parts, of the values that are given.
func assignGiven(parts part) string {
	list := names(parts)
	for i, name := range list {
		list[i] = name + " = v." + name
	}
	return strings.Join(list, ", ")
}
