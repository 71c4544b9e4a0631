package ledger

import (
	"context"
	"database/sql"
	"fmt"
)

// maxGroup is how many waiting writes share one transaction at most.
const maxGroup = 256

// job is one caller's write, run inside a transaction that others may share.
type job struct {
	do   func(*statements) error
	done chan error
}

// statements are prepared once on the writer's connection.
type statements struct {
	begin, finish, intend, order, outcome *sql.Stmt
}

const orderInsert = `INSERT INTO orders (merchant, ` + orderColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
	ON CONFLICT (merchant, merchant_uid) DO UPDATE SET
		state = excluded.state, run = excluded.run, line = excluded.line, attempts = excluded.attempts,
		intent_at = excluded.intent_at, amount = excluded.amount, due = excluded.due, bank = excluded.bank,
		imp_uid = excluded.imp_uid, vbank_code = excluded.vbank_code, vbank_name = excluded.vbank_name,
		vbank_num = excluded.vbank_num, vbank_holder = excluded.vbank_holder, vbank_due = excluded.vbank_due,
		pg_provider = excluded.pg_provider, issued_at = excluded.issued_at`

func (l *Ledger) prepareStatements(conn *sql.Conn) (*statements, error) {
	s := new(statements)
	for target, query := range map[**sql.Stmt]string{
		&s.begin:  `INSERT INTO runs (merchant, digest, settings, file, started_at) VALUES ($1, $2, $3, $4, $5)`,
		&s.finish: `UPDATE runs SET finished_at = $1 WHERE id = $2`,
		&s.intend: orderInsert + `
			WHERE orders.state NOT IN ('issued', 'intent')`,
		&s.order: orderInsert,
		&s.outcome: `INSERT INTO outcomes (run, ` + outcomeColumns + `)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
			ON CONFLICT (run, line) DO UPDATE SET
				status = excluded.status, error_code = excluded.error_code, error_message = excluded.error_message,
				action = excluded.action, merchant_uid = excluded.merchant_uid, amount = excluded.amount,
				attempts = excluded.attempts, imp_uid = excluded.imp_uid, vbank_code = excluded.vbank_code,
				vbank_name = excluded.vbank_name, vbank_num = excluded.vbank_num, vbank_holder = excluded.vbank_holder,
				vbank_due = excluded.vbank_due, pg_provider = excluded.pg_provider, issued_at = excluded.issued_at`,
	} {
		var err error
		if *target, err = conn.PrepareContext(context.Background(), query); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// commit hands a write to the writer and waits until it is durable, or has failed. It does not heed a context: a
// write that is queued will happen, and the caller must know how it ended.
func (l *Ledger) commit(do func(*statements) error) error {
	j := &job{do: do, done: make(chan error, 1)}
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
	s, err := l.prepareStatements(conn)
	ready <- err
	if err != nil {
		return
	}
	group := make([]*job, 0, maxGroup)
	for {
		select {
		case <-l.closing:
			return
		case first := <-l.queue:
			group = append(group[:0], first)
		}
	fill:
		for len(group) < maxGroup {
			select {
			case next := <-l.queue:
				group = append(group, next)
			default:
				break fill
			}
		}
		err := transact(conn, s, group)
		for _, j := range group {
			j.done <- err
		}
	}
}

// transact runs the group in one transaction. Everybody in it gets the same answer.
func transact(conn *sql.Conn, s *statements, group []*job) error {
	ctx := context.Background()
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("the ledger cannot be written: %w", err)
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
	return fmt.Errorf("the ledger cannot be written: %w", err)
}
