package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"vbankbatch/client/say"
)

// A lease says who may send requests for a merchant, of all hosts that share a database. No queue keeps a process that was
// given up for dead from going on where it stood still, so the ledger does, in four ways:
//
//  1. A claim raises the lease's epoch, once the time of the holder before is over by the database's clock, the only one that
//     counts. The holder renews it every few seconds.
//  2. Each write to the ledger checks owner, epoch and time in its own transaction: none of an earlier epoch is committed
//     after a claim. An outcome that comes too late is kept as a stray; see Ledger.Strays.
//  3. The holder's connections to the API write nothing once its time is over by a clock that goes on while the machine
//     sleeps. That time counts from before the renewal was asked for, and ends some seconds early.
//  4. The next holder waits for the longest life of a request before it believes that an order in doubt has no account; see
//     Ledger.Quiet.
const (
	leaseTime  = 30 * time.Second // without being renewed
	leaseParts = 6                // it is renewed after one such part, and nothing is sent in the last one
	leaseTry   = 5 * time.Second  // one attempt to renew
)

// ErrLeaseLost is returned by the methods of a ledger whose lease another process has claimed.
var ErrLeaseLost = say.New("another process has taken over the merchant's orders")

// Terms are what a lease is claimed for.
type Terms struct {
	Wait     time.Duration // for another's lease to end
	Life     time.Duration // the longest that a request to the API lasts
	Patience time.Duration // how long writes wait for a database that does not answer
	Time     time.Duration // how long the lease lasts without being renewed; 0 means 30 s
}

// Lease is the right to send requests for a merchant, until it is released or lost.
type Lease struct {
	Warnings []say.Message // of the database's settings
	Restored bool          // the ledger is a copy, and may lack what was sent before: the API must be asked about orders it does not know
	Rate     float64       // requests a second, the limit that the holder before had learnt; 0 if none
	Resume   time.Time     // end of a pause that the API had asked the holder before for; zero if none

	address  string
	config   *pgx.ConnConfig
	conn     *pgx.Conn // of the renewals, and after them; nil where it has to be opened
	terms    Terms
	merchant int64
	owner    string
	epoch    int64
	quiet    time.Time
	open     atomic.Int64 // until then requests may be sent, in nanoseconds of sinceBoot
	learnt   atomic.Pointer[func() (rate float64, resume time.Time)]
	lost     chan struct{}
	loseOnce sync.Once
	stop     context.CancelFunc
	ended    chan struct{}

	transactions transactions
}

// Claim takes the merchant's lease in the database at address, and brings the database up to date first. Its error is
// ErrLocked when another process holds the lease for longer than Terms.Wait, and ErrUnreachable when the database does not answer.
// The caller releases the lease.
func Claim(ctx context.Context, address, merchant string, terms Terms) (*Lease, error) {
	conn, config, err := dialAddress(ctx, address)
	if err != nil {
		return nil, err
	}
	terms.Time = cmp.Or(terms.Time, leaseTime)
	l := &Lease{address: address, config: config, conn: conn, terms: terms, owner: rand.Text(), lost: make(chan struct{}), ended: make(chan struct{}), transactions: transactions{next: 1}}
	if err := l.prepare(ctx, conn, merchant); err != nil {
		if conn.IsClosed() { // the database went away meanwhile
			err = say.Errorf("%w: %w", ErrUnreachable, err)
		}
		conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	renewing, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.renew(renewing)
	return l, nil
}

// prepare brings the database up to date and takes the lease.
func (l *Lease) prepare(ctx context.Context, conn *pgx.Conn, merchant string) (err error) {
	if err := migrated(ctx, conn, l.address); err != nil {
		return err
	}
	if l.Warnings, err = warnings(ctx, conn); err != nil {
		return err
	}
	if l.merchant, err = l.register(ctx, conn, merchant); err != nil {
		return err
	}
	return patiently(ctx, time.Now().Add(l.terms.Wait), func() (bool, error) { return l.claim(ctx, conn) })
}

// register finds the merchant's number, and makes its lease.
func (l *Lease) register(ctx context.Context, conn *pgx.Conn, merchant string) (number int64, err error) {
	err = pgx.BeginTxFunc(ctx, conn, readCommitted, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO merchants (hash) VALUES ($1) ON CONFLICT DO NOTHING`, merchant); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT id FROM merchants WHERE hash = $1`, merchant).Scan(&number); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO leases (merchant, released) SELECT $1, NOT restored FROM ledger_schema ON CONFLICT DO NOTHING`, number)
		return err
	})
	return number, err
}

// claim takes the lease unless its holder's time is not over. One of a database that was restored may have a holder that the copy does
// not know: its time is waited for, too.
func (l *Lease) claim(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var quiet, pause float64 // seconds from now
	asked := sinceBoot()
	err := conn.QueryRow(ctx, `WITH before AS (SELECT * FROM leases WHERE merchant = $1 FOR UPDATE)
		UPDATE leases l SET epoch = l.epoch + 1, owner = $2, until = clock_timestamp() + $3 * interval '1 microsecond', released = false, written = 0, life = $4,
			quiet_until = CASE WHEN b.released THEN b.quiet_until ELSE greatest(b.quiet_until, clock_timestamp() + greatest(b.life, $4) * interval '1 millisecond'
				+ CASE b.owner WHEN '' THEN $3 ELSE 0 END * interval '1 microsecond') END
		FROM before b WHERE l.merchant = b.merchant AND l.until < clock_timestamp()
		RETURNING l.epoch, extract(epoch FROM l.quiet_until - clock_timestamp())::double precision, (SELECT restored FROM ledger_schema), l.rate, coalesce(extract(epoch FROM l.pause_until - clock_timestamp())::double precision, 0)`,
		l.merchant, l.owner, l.terms.Time.Microseconds(), l.terms.Life.Milliseconds()).Scan(&l.epoch, &quiet, &l.Restored, &l.Rate, &pause)
	if errors.Is(err, pgx.ErrNoRows) || conflicting(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l.extend(asked)
	if pause > 0 {
		l.Resume = time.Now().Add(time.Duration(pause * float64(time.Second)))
	}
	l.quiet = time.Now().Add(time.Duration(quiet * float64(time.Second))) // perhaps of an earlier holder than the last, and over
	return true, nil
}

// extend lets requests be sent for the time that was asked for at a moment of sinceBoot.
func (l *Lease) extend(asked time.Duration) {
	l.open.Store(int64(asked + l.terms.Time - l.terms.Time/leaseParts))
}

// renew keeps the lease until ctx ends or another process has it. A lease whose time ran out because the database did not
// answer is still this one's if nobody has claimed it.
func (l *Lease) renew(ctx context.Context) {
	defer close(l.ended)
	every := l.terms.Time / leaseParts
	wait := every
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.lost:
			return
		case <-time.After(wait):
		}
		err := l.within(ctx, &l.conn, l.renewOnce)
		switch {
		case err == nil:
			wait = every
		case errors.Is(err, ErrLeaseLost):
			l.lose()
			return
		default:
			wait = min(every, time.Second)
		}
	}
}

// within does something with a connection, which is opened if need be and closed after an error.
func (l *Lease) within(ctx context.Context, conn **pgx.Conn, do func(context.Context, *pgx.Conn) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTry)
	defer cancel()
	if *conn == nil {
		if *conn, err = dial(ctx, l.config); err != nil {
			*conn = nil
			return err
		}
	}
	if err = do(ctx, *conn); err != nil {
		(*conn).Close(ctx)
		*conn = nil
	}
	return err
}

// set sets columns of the lease, whose values begin at $6, and what was learnt; what was learnt before stays where this holder has
// asked the API nothing.
func (l *Lease) set(ctx context.Context, conn *pgx.Conn, columns string, values ...any) (pgconn.CommandTag, error) {
	var rate *float64
	var pause *int64 // microseconds that are left of it
	if learnt := l.learnt.Load(); learnt != nil {
		told, resume := (*learnt)()
		rate = &told
		if left := time.Until(resume); left > 0 {
			pause = new(left.Microseconds())
		}
	}
	return conn.Exec(ctx, `UPDATE leases SET `+columns+`, rate = coalesce($4::double precision, rate),
		pause_until = CASE WHEN $4::double precision IS NULL THEN pause_until ELSE clock_timestamp() + $5::bigint * interval '1 microsecond' END
		WHERE merchant = $1 AND owner = $2 AND epoch = $3`, append([]any{l.merchant, l.owner, l.epoch, rate, pause}, values...)...)
}

func (l *Lease) renewOnce(ctx context.Context, conn *pgx.Conn) error {
	asked := sinceBoot()
	done, err := l.set(ctx, conn, `until = clock_timestamp() + $6 * interval '1 microsecond'`, l.terms.Time.Microseconds())
	if err != nil {
		return err
	}
	if done.RowsAffected() == 0 {
		return ErrLeaseLost
	}
	l.extend(asked)
	return nil
}

// Renew renews the lease now, which has the database confirm a write.
func (l *Lease) Renew(ctx context.Context) error {
	var conn *pgx.Conn
	err := l.within(ctx, &conn, l.renewOnce)
	disconnect(conn)
	return err
}

func disconnect(conn *pgx.Conn) {
	if conn != nil {
		conn.Close(context.Background())
	}
}

// lose ends the lease: nothing is sent any more.
func (l *Lease) lose() {
	l.loseOnce.Do(func() {
		l.open.Store(0)
		close(l.lost)
	})
}

// Open reports whether a request may be written now. It takes no lock: a connection asks before each write.
func (l *Lease) Open() bool { return int64(sinceBoot()) < l.open.Load() }

// Wait waits until requests may be sent. Its error is ErrLeaseLost when that will not be, or the cause of ctx's end.
func (l *Lease) Wait(ctx context.Context) error {
	for !l.Open() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.lost:
			return ErrLeaseLost
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// held ends a transaction whose lease is another's, or of a database that has lost what it had confirmed. A claim waits for what is
// left of it.
func (l *Lease) held(ctx context.Context, tx querier) error {
	var held int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM leases WHERE merchant = $1 AND owner = $2 AND epoch = $3 AND until > clock_timestamp() AND written >= $4 FOR SHARE`,
		l.merchant, l.owner, l.epoch, l.transactions.last.Load()).Scan(&held)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrLeaseLost
	}
	return err
}

// Learn has each renewal keep what is known of the API's limit: requests a second, 0 if nothing is, and the end of a pause.
func (l *Lease) Learn(learnt func() (rate float64, resume time.Time)) { l.learnt.Store(&learnt) }

// Release gives the lease back: no request of its holder is under way any more. The ledger is closed first.
func (l *Lease) Release() error {
	l.stop()
	<-l.ended
	defer func() { disconnect(l.conn) }()
	select {
	case <-l.lost:
		return nil
	default:
	}
	l.lose()
	give := func(ctx context.Context, conn *pgx.Conn) error {
		_, err := l.set(ctx, conn, `until = '-infinity', released = true`)
		return err
	}
	err := l.within(context.Background(), &l.conn, give)
	if err != nil { // of a connection that was cut, perhaps
		err = l.within(context.Background(), &l.conn, give)
	}
	if err != nil {
		return say.Errorf("the lease could not be given back, and ends by itself in %s: %w", l.terms.Time, err)
	}
	return nil
}

// Strays are the accounts that a holder of the lease was told of when it had lost it already, the oldest first. The API has them,
// and the entries of their orders may not say so.
func (l *Ledger) Strays(ctx context.Context) ([]Entry, error) {
	if _, ok := l.store.(*database); !ok {
		return nil, nil
	}
	return l.entries(ctx, `SELECT `+entryColumns+` FROM strays WHERE merchant = $1 ORDER BY id`, l.merchant)
}

// Settled forgets a stray whose order's entry tells of it.
func (l *Ledger) Settled(ctx context.Context, stray Entry) error {
	return l.commit(func(tx transaction) error { return tx.settled(stray) })
}
