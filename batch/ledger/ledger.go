// Package ledger remembers durably what was meant and what came of it, so that one order gets one account whatever
// happens to the process in between. Start with [Open]; a run calls [Hold] and [Check] first.
//
// It is in a file of SQLite's, or in a PostgreSQL database that several hosts share: then [Claim] and [Lease.Ledger] take the
// place of Hold, Check and Open.
//
// Three nouns carry it. A run is one pass over one input. An entry is what is known of one line of a run: what the
// results say of it and, if it asked for an account, how the order stands. An intent is an entry that says that an
// issue is about to be sent, durable before it is. Of all entries for an order at most one is live, the one whose
// issue may have made, or has made, the order's account; the database itself sees to that.
//
// A write that returned nil survives kill -9 and power loss; one that returned an error may or may not have
// happened. Writes that wait at the same time share one transaction and one fsync. Orders and runs are kept apart by
// merchant, and a merchant's orders by tier. The ledger knows nothing of the API and decides nothing: package batch does.
package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"vbankbatch/client/say"
)

// ErrTaken is returned by Intend when the order already has an account, or an issue whose outcome is not known.
var ErrTaken = say.New("the order is taken: it has an account, or an issue in doubt")

// Ledger is an open ledger for one merchant. It is safe for concurrent use.
type Ledger struct {
	read     *sql.DB
	orders   lookUp        // on read
	patience time.Duration // with a database that does not answer; 0 of a file
	store    store
	path     string // absolute; "" of a database
	merchant int64

	queue   chan *job
	closing chan struct{}
	done    chan struct{}
	once    sync.Once
}

// lookUp returns the live entries of a merchant's orders of one tier.
type lookUp func(ctx context.Context, merchant int64, tier string, merchantUIDs []string) (*sql.Rows, error)

// Merchant names the party whose orders these are: the API's address and the key, hashed, so that sandbox, test and
// live never mix and no key is stored.
func Merchant(apiURL, key string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{apiURL, key, ""}, "\x00"))) // schema 1 had the tier here
	return hex.EncodeToString(sum[:])
}

// Open opens the ledger file at path for one merchant, and makes it, mode 0600, when it is missing. A database at that
// address must be there, and its ledger refuses to be written to: see [Claim]. The caller closes it.
func Open(path, merchant string) (*Ledger, error) {
	if IsDatabase(path) {
		return openUnheld(context.Background(), path, merchant)
	}
	absolute, err := locate(path)
	if err != nil {
		return nil, err
	}
	version, err := ours(absolute)
	if err == nil && version > 0 {
		err = otherVersion(version, schemaVersion)
	}
	if err != nil {
		return nil, say.Errorf("%s is not a usable ledger: %w", path, err)
	}
	l := newLedger()
	l.path = absolute
	if err := l.openFile(merchant, version == 0); err != nil {
		return nil, errors.Join(say.Errorf("%s is not a usable ledger: %w", path, err), l.closeStore())
	}
	if err := l.store.(*file).prepare(); err != nil {
		return nil, errors.Join(say.Errorf("%s cannot be written: %w", path, err), l.closeStore())
	}
	go l.writer()
	return l, nil
}

func newLedger() *Ledger {
	return &Ledger{queue: make(chan *job, maxGroup), closing: make(chan struct{}), done: make(chan struct{})}
}

// openFile opens the connections to the ledger's file.
func (l *Ledger) openFile(merchant string, empty bool) error {
	db, err := connect(l.path, url.Values{}, "journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	f := &file{db: db}
	l.store = f
	if f.merchant, err = beginFile(db, merchant, empty); err != nil {
		return err
	}
	l.merchant = f.merchant
	if l.read, err = connect(l.path, url.Values{}, "query_only(1)", "busy_timeout(5000)"); err != nil {
		return err
	}
	return l.prepareOrders()
}

// prepareOrders prepares the query of Orders: it asks for so many at once, and a shorter list is filled up.
func (l *Ledger) prepareOrders() error {
	prepared, err := l.read.Prepare(unnumbered(selectOrders))
	l.orders = func(ctx context.Context, merchant int64, tier string, uids []string) (*sql.Rows, error) {
		return prepared.QueryContext(ctx, orderValues(merchant, tier, uids)...)
	}
	return err
}

// selectOrders is the query of Orders in SQLite.
var selectOrders = selectEntries + `WHERE live = 1 AND merchant = $1 AND tier = $2 AND merchant_uid IN (` + parameters(3, ordersAtOnce) + `)`

func orderValues(merchant int64, tier string, uids []string) []any {
	values := make([]any, 2+ordersAtOnce)
	values[0], values[1] = merchant, tier
	for i := range ordersAtOnce {
		values[2+i] = uids[min(i, len(uids)-1)]
	}
	return values
}

// closeStore closes the connections that are open.
func (l *Ledger) closeStore() error {
	var errs []error
	if l.read != nil {
		errs = append(errs, l.read.Close())
	}
	if l.store != nil {
		errs = append(errs, l.store.close())
	}
	return errors.Join(errs...)
}

// beginFile makes the schema of an empty ledger and finds the merchant's number, in one transaction: a write that fails
// here means that nothing can be recorded and so nothing may be sent.
func beginFile(db *sql.DB, merchant string, empty bool) (number int64, err error) {
	tx, err := db.Begin()
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // after a commit this does nothing
	if empty {
		var version int // by now: another process may have made it
		if err := tx.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil {
			return 0, err
		}
		empty = version == 0
	}
	if empty {
		for _, statement := range schema {
			if _, err := tx.Exec(statement); err != nil {
				return 0, err
			}
		}
		if err := seal(context.Background(), tx); err != nil {
			return 0, err
		}
	}
	if number, err = addMerchant(context.Background(), tx, merchant); err != nil {
		return 0, err
	}
	return number, tx.Commit()
}

// addMerchant finds the merchant's number, and gives it one if it has none.
func addMerchant(ctx context.Context, tx *sql.Tx, merchant string) (number int64, err error) {
	if _, err := tx.ExecContext(ctx, `INSERT INTO merchants (hash) VALUES ($1) ON CONFLICT DO NOTHING`, merchant); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `SELECT id FROM merchants WHERE hash = $1`, merchant).Scan(&number)
	return number, err
}

// Quiet is when the last request has ended that another host may have sent which did not say so. It may be over, and the API still
// be at it. It is zero of a file, whose lock is free once its holder is dead.
func (l *Ledger) Quiet() time.Time {
	if d, ok := l.store.(*database); ok {
		return d.lease.quiet
	}
	return time.Time{}
}

// Restored reports whether the ledger is a copy of another, and so may lack orders that were sent since the copy was made.
func (l *Ledger) Restored() bool {
	d, ok := l.store.(*database)
	return ok && d.lease.Restored
}

// Close waits for the writes under way and closes the ledger.
func (l *Ledger) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closing)
		<-l.done
		err = l.closeStore()
	})
	return err
}

// Begin continues the merchant's interrupted run over the same bytes with the same settings, or starts a new one.
func (l *Ledger) Begin(ctx context.Context, run Run) (Run, error) {
	found, err := l.runs(ctx, `AND digest = $2 AND settings = $3 AND finished_at = 0 ORDER BY id DESC LIMIT 1`, run.Digest, run.Settings)
	if err != nil {
		return Run{}, err
	}
	if len(found) > 0 {
		run.ID, run.Started, run.Continued = found[0].ID, found[0].Started, true
		return run, l.commit(func(tx transaction) error { return tx.goOn(run) })
	}
	err = l.commit(func(tx transaction) error { return tx.begin(&run) })
	return run, err
}

// Finish marks a run as complete: the same input is a new run from now on.
func (l *Ledger) Finish(ctx context.Context, run int64, at time.Time) error {
	return l.commit(func(tx transaction) error { return tx.finish(run, at) })
}

// LastRun returns the merchant's newest run over the bytes with the digest, or sql.ErrNoRows.
func (l *Ledger) LastRun(ctx context.Context, digest string) (Run, error) {
	found, err := l.runs(ctx, `AND digest = $2 ORDER BY id DESC LIMIT 1`, digest)
	if err == nil && len(found) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return Run{}, err
	}
	return found[0], nil
}

// Runs lists the merchant's runs, the newest first: all of them, or only those that were interrupted or are under way.
func (l *Ledger) Runs(ctx context.Context, interrupted bool) ([]Run, error) {
	return l.runs(ctx, `AND ($2 = 0 OR finished_at = 0) ORDER BY id DESC`, number(interrupted))
}

// runs returns those of the merchant's runs that meet a condition.
func (l *Ledger) runs(ctx context.Context, condition string, values ...any) ([]Run, error) {
	values = append([]any{l.merchant}, values...)
	return outlast(ctx, l, func() ([]Run, error) {
		return gather(ctx, l.read, (*Run).scan, `SELECT `+runColumns+` FROM runs WHERE merchant = $1 `+condition, values...)
	})
}

// Made counts the lines of a run for which requests were sent or that hold an order, and those of them whose outcome is not
// known.
func (l *Ledger) Made(ctx context.Context, run int64) (made, inDoubt int64, err error) {
	_, err = outlast(ctx, l, func() (struct{}, error) {
		return struct{}{}, l.read.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE status = '`+unknown+`') FROM entries
			WHERE run = $1 AND (state <> '' OR attempts > 0 OR status = '`+unknown+`')`, run).Scan(&made, &inDoubt)
	})
	return made, inDoubt, err
}

// EntriesAfter returns the first entries of a run behind a line, in the order of lines.
func (l *Ledger) EntriesAfter(ctx context.Context, run, line int64, most int) ([]Entry, error) {
	return l.entries(ctx, selectEntries+`WHERE run = $1 AND line > $2 ORDER BY line LIMIT $3`, run, line, most)
}

// Intend records that an issue is about to be sent for the order of each entry; states and statuses are the caller's
// to set, to Intended and to what the results say while nobody knows more. It returns ErrTaken when an order has an
// account, or an issue in doubt (that one must be looked up, and recorded as vacant, first): then none of the issues
// may be sent, although some of the intents may be recorded.
func (l *Ledger) Intend(ctx context.Context, entries ...Entry) error {
	entries = withoutAccounts(entries)
	return l.commit(func(tx transaction) error { return tx.intend(entries) })
}

// withoutAccounts returns the entries as intents are written: an order has no account yet.
func withoutAccounts(entries []Entry) []Entry {
	has := func(e Entry) bool { return e.Account != (Account{}) || e.NowAmount != 0 || e.NowDue != 0 }
	if !slices.ContainsFunc(entries, has) {
		return entries
	}
	bare := slices.Clone(entries)
	for i := range bare {
		bare[i].Account, bare[i].NowAmount, bare[i].NowDue = Account{}, 0, 0
	}
	return bare
}

// takenError is ErrTaken for a line.
func takenError(line int64) error { return say.Errorf("line %d: %w", line, ErrTaken) }

// RecordOutcome makes outcomes durable that needed no request, all or none of them. It returns ErrTaken, and records nothing
// for that line, where the line's entry is live.
func (l *Ledger) RecordOutcome(ctx context.Context, outcomes ...Outcome) error {
	entries := make([]Entry, len(outcomes))
	for i := range outcomes {
		entries[i].Outcome = outcomes[i]
	}
	return l.commit(func(tx transaction) error { return tx.outcomes(entries) })
}

// Record makes the entries durable, all or none of them. An entry replaces the one for the same line of the same run,
// and settles its intent.
func (l *Ledger) Record(ctx context.Context, entries ...Entry) error {
	return l.commit(func(tx transaction) error { return tx.record(entries) })
}

// RecordBatched is Record for a caller who can wait some milliseconds: the entries go along with another's write, if there is
// one by then, and cost no fsync of their own.
func (l *Ledger) RecordBatched(ctx context.Context, entries ...Entry) error {
	return l.hand(func(tx transaction) error { return tx.record(entries) }, true)
}

// ordersAtOnce is how many orders one query asks for.
const ordersAtOnce = 128

// Orders returns the live entries of the named orders; an order that the ledger does not know of, or knows to have no
// account, is missing.
func (l *Ledger) Orders(ctx context.Context, orders []Order) (map[Order]Entry, error) {
	return outlast(ctx, l, func() (map[Order]Entry, error) { return l.orders.all(ctx, l.merchant, orders) })
}

// all asks for the live entries of orders, so many at once.
func (look lookUp) all(ctx context.Context, merchant int64, orders []Order) (map[Order]Entry, error) {
	byTier := make(map[string][]string)
	for _, o := range orders {
		byTier[o.Tier] = append(byTier[o.Tier], o.MerchantUID)
	}
	found := make(map[Order]Entry)
	for tier, merchantUIDs := range byTier {
		for uids := range slices.Chunk(merchantUIDs, ordersAtOnce) {
			entries, err := collect(merchant)(look(ctx, merchant, tier, uids))
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				found[e.Order] = e
			}
		}
	}
	return found, nil
}

// InDoubt returns the entries whose issue, or a change of whose account, may have been sent and whose outcome is not
// known, oldest run first.
func (l *Ledger) InDoubt(ctx context.Context) ([]Entry, error) {
	return l.entries(ctx, selectEntries+`WHERE state `+inDoubt+` AND run IN (SELECT id FROM runs WHERE merchant = $1 AND settled = 0)
		ORDER BY run, line`, l.merchant)
}

// Entries returns a run's entries from line first to line last, both included, in the order of lines.
func (l *Ledger) Entries(ctx context.Context, run, first, last int64) ([]Entry, error) {
	return l.entries(ctx, selectEntries+`WHERE run = $1 AND line BETWEEN $2 AND $3 ORDER BY line`, run, first, last)
}

// Sent returns the entries of a run whose issue was sent, in the order of lines: those behind the line after, at most limit
// of them. Only what is compared with the API is read of each: line, order, state, status, attempts, imp_uid and the amounts.
// Entries that the API contradicts are to be read whole: whether these are as they were written is not looked at.
func (l *Ledger) Sent(ctx context.Context, run, after int64, limit int) ([]Entry, error) {
	return outlast(ctx, l, func() ([]Entry, error) {
		return gather(ctx, l.read, func(e *Entry, rows *sql.Rows) error {
			e.Run = run
			return rows.Scan(&e.Line, &e.Tier, &e.MerchantUID, &e.State, &e.Status, &e.Attempts, &e.ImpUID, &e.Amount, &e.NowAmount)
		}, `SELECT line, tier, merchant_uid, state, status, attempts, imp_uid, amount, now_amount FROM entries
			WHERE run = $1 AND line > $2 AND attempts > 0 AND action = 'issue' ORDER BY line LIMIT $3`, run, after, limit)
	})
}

// Statuses returns only the statuses of those entries, by line; it is many times faster, since it does not check
// whether the entries are as they were written. So a status alone must not decide that something is sent.
func (l *Ledger) Statuses(ctx context.Context, run, first, last int64) (map[int64]string, error) {
	return outlast(ctx, l, func() (map[int64]string, error) {
		statuses := make(map[int64]string)
		err := eachRow(ctx, l.read, func(rows *sql.Rows) error {
			var line int64
			var status string
			err := rows.Scan(&line, &status)
			statuses[line] = status
			return err
		}, `SELECT line, status FROM entries WHERE run = $1 AND line BETWEEN $2 AND $3`, run, first, last)
		return statuses, err
	})
}

// entries returns the entries that a query returns.
func (l *Ledger) entries(ctx context.Context, query string, values ...any) ([]Entry, error) {
	return outlast(ctx, l, func() ([]Entry, error) {
		return collect(l.merchant)(l.read.QueryContext(ctx, query, values...))
	})
}

// outlast reads, and waits for a database that does not answer as long as for one that does not take a write.
func outlast[T any](ctx context.Context, l *Ledger, read func() (T, error)) (T, error) {
	end := time.Now().Add(l.patience)
	for between := new(pause); ; between.wait(ctx) {
		found, err := read()
		switch {
		case err == nil || l.patience == 0 || ctx.Err() != nil || errors.Is(err, errDamaged) || !unreachable(err):
			return found, err
		case time.Now().After(end):
			return found, say.Errorf("%w: %w", ErrUnreachable, err)
		}
	}
}

// collect returns what reads the entries of a merchant.
func collect(merchant int64) func(*sql.Rows, error) ([]Entry, error) {
	return func(rows *sql.Rows, err error) (all []Entry, _ error) {
		r := newReading()
		err = scanEach(rows, err, func(rows *sql.Rows) error {
			if err := r.scan(rows); err != nil {
				return err
			}
			all = append(all, r.Entry)
			return r.check(merchant, r.checksum&1)
		})
		return all, err
	}
}
