// Package ledger remembers durably what was meant and what came of it, so that one order gets one account whatever
// happens to the process in between. Start with [Open]; a run takes [Lock] first.
//
// Four nouns carry it. A run is one pass over one input. An order is what the merchant knows by merchant_uid: it is
// vacant (no account, for sure), intended (an issue may have been sent; nobody knows yet), issued, or revoked. An
// intent is the record that an issue is about to be sent, durable before it is. An outcome is what a run's results
// say of one line.
//
// A write that returned nil survives kill -9 and power loss; one that returned an error may or may not have
// happened. Writes that wait at the same time share one transaction and one fsync. Orders and runs are kept apart by
// merchant. The ledger knows nothing of the API and decides nothing: package batch does.
package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// ErrTaken is returned by Intend when the order already has an account, or an issue whose outcome is not known.
var ErrTaken = errors.New("the order is taken: it has an account, or an issue in doubt")

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("the ledger is closed")

// State is what is known of an order.
type State string

// The states of an order.
const (
	Vacant   State = "vacant"  // surely without an account: never sent, refused, or looked up and not found
	Intended State = "intent"  // an issue may have been sent
	Issued   State = "issued"  // has the account that stands beside it
	Revoked  State = "revoked" // had that account, which was taken back
)

// Order is an order and the account it got, if any.
type Order struct {
	MerchantUID string
	State       State
	Run, Line   int64     // where the last intent came from; Line 0: not from a file
	Attempts    int       // issues sent or about to be, over all runs
	IntentAt    time.Time // by the server's clock; microseconds are kept
	Amount      int64     // won, as asked for and later updated
	Due         int64     // UNIX seconds, as asked for and later updated; 0: not known
	Bank        string    // KFTC code asked for, "" when not known
	Account
}

// Account is a virtual account as the API told of it.
type Account struct {
	ImpUID      string
	VbankCode   string // KFTC, three digits
	VbankName   string
	VbankNum    string // text: leading zeros count
	VbankHolder string
	VbankDue    int64 // UNIX seconds
	PGProvider  string
	IssuedAt    int64 // UNIX seconds
}

// Outcome is what a run's results say of one line.
type Outcome struct {
	Line         int64
	Status       string
	ErrorCode    string
	ErrorMessage string
	Action       string
	MerchantUID  string
	Amount       int64 // won
	Attempts     int   // issues, updates or revocations sent
	Account
}

// Run is one pass over one input.
type Run struct {
	ID        int64
	Digest    string // SHA-256 of the input's bytes, hex
	Settings  string // digest of the options that say how its rows are read
	File      string // its name, for people
	Started   time.Time
	Finished  time.Time // zero while it is under way or interrupted
	Continued bool      // Begin found it interrupted
}

// Ledger is an open ledger for one merchant. It is safe for concurrent use.
type Ledger struct {
	write    *sql.DB // one connection, owned by the writer goroutine
	read     *sql.DB
	merchant int64

	queue   chan *job
	closing chan struct{}
	done    chan struct{}
	once    sync.Once
}

// Merchant names the party whose orders these are: the API's address, the key and the tier, hashed, so that sandbox,
// test and live never mix and no key is stored.
func Merchant(apiURL, key, tier string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{apiURL, key, tier}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// Open opens the ledger file at path for one merchant, and makes it, mode 0600, when it is missing. The caller
// closes it.
func Open(path, merchant string) (*Ledger, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite gives its other files the same mode
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	l := &Ledger{queue: make(chan *job, maxGroup), closing: make(chan struct{}), done: make(chan struct{})}
	if l.write, err = connect(absolute, "journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)"); err != nil {
		return nil, err
	}
	l.write.SetMaxOpenConns(1)
	if err := l.prepare(merchant); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is no usable ledger: %w", path, err), l.write.Close())
	}
	if l.read, err = connect(absolute, "query_only(1)", "busy_timeout(5000)"); err != nil {
		return nil, errors.Join(err, l.write.Close())
	}
	ready := make(chan error)
	go l.writer(ready)
	if err := <-ready; err != nil {
		return nil, errors.Join(fmt.Errorf("%s cannot be written: %w", path, err), l.read.Close(), l.write.Close())
	}
	return l, nil
}

func connect(path string, pragmas ...string) (*sql.DB, error) {
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String())
}

// schemaVersion counts changes of the schema that an older program must not touch.
const schemaVersion = 1

var schema = []string{
	`CREATE TABLE IF NOT EXISTS merchants (
		id INTEGER PRIMARY KEY,
		hash TEXT NOT NULL UNIQUE)`,
	`CREATE TABLE IF NOT EXISTS runs (
		id INTEGER PRIMARY KEY,
		merchant BIGINT NOT NULL, digest TEXT NOT NULL, settings TEXT NOT NULL, file TEXT NOT NULL,
		started_at BIGINT NOT NULL, finished_at BIGINT NOT NULL DEFAULT 0)`,
	`CREATE INDEX IF NOT EXISTS runs_digest ON runs (merchant, digest)`,
	`CREATE TABLE IF NOT EXISTS orders (
		merchant BIGINT NOT NULL, merchant_uid TEXT NOT NULL,
		state TEXT NOT NULL, run BIGINT NOT NULL, line BIGINT NOT NULL,
		attempts BIGINT NOT NULL, intent_at BIGINT NOT NULL,
		amount BIGINT NOT NULL, due BIGINT NOT NULL, bank TEXT NOT NULL,
		imp_uid TEXT NOT NULL, vbank_code TEXT NOT NULL, vbank_name TEXT NOT NULL, vbank_num TEXT NOT NULL,
		vbank_holder TEXT NOT NULL, vbank_due BIGINT NOT NULL, pg_provider TEXT NOT NULL, issued_at BIGINT NOT NULL,
		PRIMARY KEY (merchant, merchant_uid)) WITHOUT ROWID`,
	`CREATE INDEX IF NOT EXISTS orders_intent ON orders (merchant, intent_at) WHERE state = 'intent'`,
	`CREATE INDEX IF NOT EXISTS orders_imp_uid ON orders (merchant, imp_uid) WHERE imp_uid <> ''`,
	`CREATE TABLE IF NOT EXISTS outcomes (
		run BIGINT NOT NULL, line BIGINT NOT NULL,
		status TEXT NOT NULL, error_code TEXT NOT NULL, error_message TEXT NOT NULL, action TEXT NOT NULL,
		merchant_uid TEXT NOT NULL, amount BIGINT NOT NULL, attempts BIGINT NOT NULL,
		imp_uid TEXT NOT NULL, vbank_code TEXT NOT NULL, vbank_name TEXT NOT NULL, vbank_num TEXT NOT NULL,
		vbank_holder TEXT NOT NULL, vbank_due BIGINT NOT NULL, pg_provider TEXT NOT NULL, issued_at BIGINT NOT NULL,
		PRIMARY KEY (run, line)) WITHOUT ROWID`,
}

// prepare brings the schema up and finds the merchant's number, in one transaction: a write that fails here means
// that nothing can be recorded and so nothing may be sent.
func (l *Ledger) prepare(merchant string) error {
	var version int
	if err := l.write.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("it was written by a newer version of this program (schema %d, this one knows %d)", version, schemaVersion)
	}
	tx, err := l.write.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit this does nothing
	for _, statement := range schema {
		if _, err := tx.Exec(statement); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, schemaVersion)); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO merchants (hash) VALUES ($1) ON CONFLICT DO NOTHING`, merchant); err != nil {
		return err
	}
	if err := tx.QueryRow(`SELECT id FROM merchants WHERE hash = $1`, merchant).Scan(&l.merchant); err != nil {
		return err
	}
	return tx.Commit()
}

// Close waits for the writes under way and closes the file.
func (l *Ledger) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closing)
		<-l.done
		err = errors.Join(l.read.Close(), l.write.Close())
	})
	return err
}

// Begin continues the merchant's interrupted run over the same bytes with the same settings, or starts a new one.
func (l *Ledger) Begin(ctx context.Context, run Run) (Run, error) {
	var started int64
	err := l.read.QueryRowContext(ctx, `SELECT id, started_at FROM runs
		WHERE merchant = $1 AND digest = $2 AND settings = $3 AND finished_at = 0
		ORDER BY id DESC LIMIT 1`, l.merchant, run.Digest, run.Settings).Scan(&run.ID, &started)
	if err == nil {
		run.Started, run.Continued = time.UnixMicro(started), true
		return run, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return Run{}, err
	}
	return run, l.commit(func(s *statements) error {
		result, err := s.begin.Exec(l.merchant, run.Digest, run.Settings, run.File, run.Started.UnixMicro())
		if err == nil {
			run.ID, err = result.LastInsertId()
		}
		return err
	})
}

// Finish marks a run as complete: the same input is a new run from now on.
func (l *Ledger) Finish(ctx context.Context, run int64, at time.Time) error {
	return l.commit(func(s *statements) error {
		_, err := s.finish.Exec(at.UnixMicro(), run)
		return err
	})
}

// LastRun returns the merchant's newest run over the bytes with the digest, or sql.ErrNoRows.
func (l *Ledger) LastRun(ctx context.Context, digest string) (Run, error) {
	run := Run{Digest: digest}
	var started, finished int64
	err := l.read.QueryRowContext(ctx, `SELECT id, settings, file, started_at, finished_at FROM runs
		WHERE merchant = $1 AND digest = $2 ORDER BY id DESC LIMIT 1`, l.merchant, digest).
		Scan(&run.ID, &run.Settings, &run.File, &started, &finished)
	run.Started = time.UnixMicro(started)
	if finished != 0 {
		run.Finished = time.UnixMicro(finished)
	}
	return run, err
}

// Intend records that an issue for the order is about to be sent. It returns ErrTaken, and records nothing, when the
// order has an account, or an issue in doubt: that one must be looked up, and the order recorded as vacant, first.
func (l *Ledger) Intend(ctx context.Context, order Order) error {
	var changed int64
	err := l.commit(func(s *statements) error {
		result, err := s.intend.Exec(l.orderValues(order)...)
		if err == nil {
			changed, err = result.RowsAffected()
		}
		return err
	})
	if err == nil && changed == 0 {
		return ErrTaken
	}
	return err
}

// Entry is one thing to record: a line's outcome, the order's new state, or both, together or not at all.
type Entry struct {
	Run     int64
	Outcome *Outcome
	Order   *Order
}

// Record makes the entries durable, all or none of them.
func (l *Ledger) Record(ctx context.Context, entries ...Entry) error {
	return l.commit(func(s *statements) error {
		for _, entry := range entries {
			if entry.Order != nil {
				if _, err := s.order.Exec(l.orderValues(*entry.Order)...); err != nil {
					return err
				}
			}
			if entry.Outcome != nil {
				if _, err := s.outcome.Exec(outcomeValues(entry.Run, entry.Outcome)...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

const orderColumns = `merchant_uid, state, run, line, attempts, intent_at, amount, due, bank,
	imp_uid, vbank_code, vbank_name, vbank_num, vbank_holder, vbank_due, pg_provider, issued_at`

func (l *Ledger) orderValues(o Order) []any {
	return []any{l.merchant, o.MerchantUID, string(o.State), o.Run, o.Line, o.Attempts, o.IntentAt.UnixMicro(), o.Amount, o.Due, o.Bank,
		o.ImpUID, o.VbankCode, o.VbankName, o.VbankNum, o.VbankHolder, o.VbankDue, o.PGProvider, o.IssuedAt}
}

func scanOrder(rows *sql.Rows) (Order, error) {
	var o Order
	var intentAt int64
	err := rows.Scan(&o.MerchantUID, &o.State, &o.Run, &o.Line, &o.Attempts, &intentAt, &o.Amount, &o.Due, &o.Bank,
		&o.ImpUID, &o.VbankCode, &o.VbankName, &o.VbankNum, &o.VbankHolder, &o.VbankDue, &o.PGProvider, &o.IssuedAt)
	o.IntentAt = time.UnixMicro(intentAt)
	return o, err
}

const outcomeColumns = `line, status, error_code, error_message, action, merchant_uid, amount, attempts,
	imp_uid, vbank_code, vbank_name, vbank_num, vbank_holder, vbank_due, pg_provider, issued_at`

func outcomeValues(run int64, o *Outcome) []any {
	return []any{run, o.Line, o.Status, o.ErrorCode, o.ErrorMessage, o.Action, o.MerchantUID, o.Amount, o.Attempts,
		o.ImpUID, o.VbankCode, o.VbankName, o.VbankNum, o.VbankHolder, o.VbankDue, o.PGProvider, o.IssuedAt}
}

// Orders returns what is known of the named orders; those that the ledger has never seen are missing.
func (l *Ledger) Orders(ctx context.Context, merchantUIDs []string) (map[string]Order, error) {
	return l.orders(ctx, "merchant_uid", merchantUIDs, func(o Order) string { return o.MerchantUID })
}

// OrdersOf is Orders by the imp_uid of their accounts.
func (l *Ledger) OrdersOf(ctx context.Context, impUIDs []string) (map[string]Order, error) {
	return l.orders(ctx, "imp_uid", impUIDs, func(o Order) string { return o.ImpUID })
}

func (l *Ledger) orders(ctx context.Context, column string, ids []string, key func(Order) string) (map[string]Order, error) {
	found := make(map[string]Order)
	if len(ids) == 0 {
		return found, nil
	}
	values := make([]any, 0, len(ids)+1)
	values = append(values, l.merchant)
	for _, id := range ids {
		values = append(values, id)
	}
	query := `SELECT ` + orderColumns + ` FROM orders WHERE merchant = $1 AND imp_uid <> '' AND imp_uid IN (`
	if column == "merchant_uid" {
		query = `SELECT ` + orderColumns + ` FROM orders WHERE merchant = $1 AND merchant_uid IN (`
	}
	orders, err := collect(ctx, l.read, scanOrder, query+placeholders(2, len(ids))+`)`, values...)
	for _, order := range orders {
		found[key(order)] = order
	}
	return found, err
}

// placeholders writes "$from,$from+1,…", n of them, numbered in order of appearance.
func placeholders(from, n int) string {
	var list strings.Builder
	for i := range n {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, "$%d", from+i)
	}
	return list.String()
}

// InDoubt returns the orders whose issue may have been sent and whose outcome is not known, oldest intent first.
func (l *Ledger) InDoubt(ctx context.Context) ([]Order, error) {
	return collect(ctx, l.read, scanOrder, `SELECT `+orderColumns+` FROM orders
		WHERE merchant = $1 AND state = 'intent' ORDER BY intent_at`, l.merchant)
}

// Outcomes returns a run's outcomes from line first to line last, both included, in the order of lines.
func (l *Ledger) Outcomes(ctx context.Context, run, first, last int64) ([]Outcome, error) {
	scan := func(rows *sql.Rows) (Outcome, error) {
		var o Outcome
		err := rows.Scan(&o.Line, &o.Status, &o.ErrorCode, &o.ErrorMessage, &o.Action, &o.MerchantUID, &o.Amount, &o.Attempts,
			&o.ImpUID, &o.VbankCode, &o.VbankName, &o.VbankNum, &o.VbankHolder, &o.VbankDue, &o.PGProvider, &o.IssuedAt)
		return o, err
	}
	return collect(ctx, l.read, scan, `SELECT `+outcomeColumns+` FROM outcomes
		WHERE run = $1 AND line BETWEEN $2 AND $3 ORDER BY line`, run, first, last)
}

func collect[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, values ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
