// Package queue has files of orders run by any number of hosts: River queues them in the ledger's PostgreSQL database, and a
// [Worker] on each host drives a report/job.Job for them. Start with [Open]; [Queue.Push] queues a stored job.
//
// No rule of sending lives here. A queue may have two processes try the same file, and knows nothing of a process that stands
// still and goes on later. So the merchant's lease in the ledger says who may send, and the stored job (ledger.Jobs) says what
// is to be done: what River has is a hint, of a job's number and its turn, and what it loses is queued again.
//
// What River runs is a slice of a file's run, a few minutes long: the run stays unfinished in the ledger, and the next slice,
// on whichever host, goes on with it.
package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

// Queue is the queue in a ledger's database. It is safe for concurrent use.
type Queue struct {
	Jobs *ledger.Jobs

	address string
	pool    *pgxpool.Pool
	driver  *riverpgxv5.Driver
	insert  *river.Client[pgx.Tx]
}

// Open opens the queue in the database at address, and brings ledger and queue up to date. Its error is ledger.ErrUnreachable
// where the database does not answer. The caller closes it.
func Open(ctx context.Context, address string, log *slog.Logger) (*Queue, error) {
	jobs, err := ledger.OpenJobs(ctx, address)
	if err != nil {
		return nil, err
	}
	q := &Queue{Jobs: jobs, address: address}
	if err := q.open(ctx, log); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

func (q *Queue) open(ctx context.Context, log *slog.Logger) error {
	config, err := ledger.Pool(q.address)
	if err != nil {
		return err
	}
	if q.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	q.driver = riverpgxv5.New(q.pool)
	if err := q.migrate(ctx, log); err != nil {
		return say.Errorf("the queue in %s: %w", ledger.Name(q.address), err)
	}
	q.insert, err = river.NewClient(q.driver, &river.Config{Logger: warnings(log)})
	return err
}

// migrationLock is the number of the lock under which River's tables are brought up to date.
const migrationLock = 7_640_311_206

// migrate brings River's tables up to date. River does so in transactions of its own, so that the lock has another one.
func (q *Queue) migrate(ctx context.Context, log *slog.Logger) error {
	migrator, err := rivermigrate.New(q.driver, &rivermigrate.Config{Logger: warnings(log)})
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return err
		}
		_, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
}

// warnings is a log for River, whose other events are about itself.
func warnings(log *slog.Logger) *slog.Logger { return slog.New(warningsHandler{log.Handler()}) }

type warningsHandler struct{ slog.Handler }

func (h warningsHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// claim opens the ledger for one merchant, for as long as nobody else writes to it. Its error is ledger.ErrLocked while
// somebody does. A file has no lease.
func (q *Queue) claim(ctx context.Context, task *Task) (*ledger.Lease, *ledger.Ledger, func() error, error) {
	if !ledger.IsDatabase(q.address) {
		unlock, err := ledger.Hold(ctx, q.address, 0)
		if err != nil {
			return nil, nil, nil, err
		}
		var book *ledger.Ledger
		if err = ledger.Check(ctx, q.address); err == nil {
			book, err = ledger.Open(q.address, task.Merchant)
		}
		if err != nil {
			return nil, nil, nil, errors.Join(err, unlock())
		}
		return nil, book, func() error { return errors.Join(book.Close(), unlock()) }, nil
	}
	lease, err := ledger.Claim(ctx, q.address, task.Merchant, task.Terms)
	if err != nil {
		return nil, nil, nil, err
	}
	book, err := lease.Ledger(ctx)
	if err != nil {
		return nil, nil, nil, errors.Join(err, lease.Release())
	}
	return lease, book, func() error { return errors.Join(book.Close(), lease.Release()) }, nil
}

// Close closes the queue.
func (q *Queue) Close() error {
	if q.pool != nil {
		q.pool.Close()
	}
	return q.Jobs.Close()
}

// slice is what River keeps of a slice of a job: no more than whose turn it is.
type slice struct {
	Job  int64 `json:"job"`
	Turn int64 `json:"turn"`
}

// Kind is what River calls a slice.
func (slice) Kind() string { return kind }

const kind = "slice"

// Push gives a stored job its next turn, behind the one that is known of it, and queues that. What another process has done before
// is no error.
func (q *Queue) Push(ctx context.Context, id, turn int64) error { return q.push(ctx, id, turn, -1) }

// push is Push, of a job that no process has been at since that time; -1 is of any.
func (q *Queue) push(ctx context.Context, id, turn, seen int64) error {
	err := pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		if err := ledger.QueueJob(ctx, tx, id, turn, seen); err != nil {
			return err
		}
		_, err := q.insert.InsertTx(ctx, tx, slice{id, turn + 1}, nil)
		return err
	})
	if errors.Is(err, ledger.ErrTurn) {
		return nil
	}
	return err
}

// pushLost queues the jobs again that are open, that no process has been at for so long, in seconds, and that no worker will
// come to within a minute: their host died, or whoever stored them before it had queued them, or River's time for them came from
// a clock that is wrong. River itself goes by the age of an attempt.
func (q *Queue) pushLost(ctx context.Context, lapse float64) error {
	type turn struct{ ID, Turn, Seen int64 }
	rows, err := q.pool.Query(ctx, `SELECT j.id, j.turn, j.seen_at FROM jobs j WHERE j.state IN ('queued', 'running')
		AND j.seen_at < (extract(epoch FROM clock_timestamp()) - $1::double precision) * 1000000
		AND NOT EXISTS (SELECT 1 FROM river_job r WHERE r.kind = '`+kind+`' AND r.state IN ('available', 'pending', 'retryable', 'scheduled')
			AND r.scheduled_at < clock_timestamp() + interval '1 minute' AND r.args @> jsonb_build_object('job', j.id, 'turn', j.turn))`, lapse)
	if err != nil {
		return err
	}
	lost, err := pgx.CollectRows(rows, pgx.RowToStructByPos[turn])
	for _, l := range lost {
		err = errors.Join(err, q.push(ctx, l.ID, l.Turn, l.Seen))
	}
	return err
}

// clock is the database's for River, which reckons some times by the host's and compares them with the database's.
type clock struct {
	host  func() time.Time
	ahead atomic.Int64 // nanoseconds that the database's clock was ahead of the host's, when it was last asked for
}

// Now is the time by the database's clock.
func (c *clock) Now() time.Time { return c.host().Add(time.Duration(c.ahead.Load())) }

// NowOrNil is nil, so that the database takes its own time.
func (*clock) NowOrNil() *time.Time { return nil }

// set asks the database for its time.
func (c *clock) set(ctx context.Context, pool *pgxpool.Pool) error {
	var now time.Time
	err := pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	if err == nil {
		c.ahead.Store(int64(now.Sub(c.host())))
	}
	return err
}
