package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"vbankbatch/client/say"
)

// ErrNoSession is returned for a session that there is not, or not any more.
var ErrNoSession = say.New("the session has ended")

// PutSession keeps that who has the token with that hash is whose until some time; the token itself is kept nowhere. Sessions
// that have ended are removed.
func (j *Jobs) PutSession(ctx context.Context, hash, whose string, ends time.Time) error {
	return j.within(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE ends_at <= `+j.clock); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (hash, whose, ends_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO UPDATE SET whose = excluded.whose, ends_at = excluded.ends_at`,
			hash, clean(whose), ends.UnixMicro())
		return err
	})
}

// Session returns what PutSession was told. Its error is ErrNoSession once the session has ended, by the database's clock.
func (j *Jobs) Session(ctx context.Context, hash string) (whose string, ends time.Time, err error) {
	var micro int64
	err = j.db.QueryRowContext(ctx, `SELECT whose, ends_at FROM sessions WHERE hash = $1 AND ends_at > `+j.clock, hash).Scan(&whose, &micro)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoSession
	}
	return whose, time.UnixMicro(micro), err
}

// DropSession ends a session.
func (j *Jobs) DropSession(ctx context.Context, hash string) error {
	_, err := j.db.ExecContext(ctx, `DELETE FROM sessions WHERE hash = $1`, hash)
	return err
}
