package ledger

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"vbankbatch/client"
	"vbankbatch/client/say"
)

// A ledger in a PostgreSQL database has the same tables as one in a file, and what several hosts need: leases, and the
// outcomes that came too late. The database is the ledger's own. What PgBouncer cannot keep from one transaction to the next
// is not used: prepared statements, settings of a session, its locks.

// ErrUnreachable is the error for a database that does not answer, or cannot be written to just now.
var ErrUnreachable = say.New("the ledger's database cannot be reached")

// IsDatabase reports whether a ledger's place is the address of a PostgreSQL database.
func IsDatabase(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

// HasPassword reports whether a database's address holds a password.
func HasPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return IsDatabase(address) // better one message too many
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// Name is what a ledger's place is called where people read it: a database's address without what is secret.
func Name(place string) string {
	if !IsDatabase(place) {
		return place
	}
	config, err := configure(place)
	if err != nil {
		return "postgres://"
	}
	host := config.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, strconv.Itoa(int(config.Port)))
	}
	return "postgres://" + config.User + "@" + host + "/" + config.Database
}

var errAddress = say.New("the ledger's address must look like postgres://user@host:5432/database")

// configure reads a database's address. The password may also be in PGPASSWORD, or in the file that PGPASSFILE names.
func configure(address string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil { // whose text has the address in it
		return nil, errAddress
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "vbankbatch"
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	// A host that has vanished closes no connection.
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}, Control: client.DropAfter(15 * time.Second)}
	config.DialFunc = dialer.DialContext
	return config, nil
}

// Pool is the configuration of connections to a database as the ledger's are.
func Pool(address string) (*pgxpool.Config, error) {
	conn, err := configure(address)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.ParseConfig(address)
	if err != nil { // whose text has the address in it
		return nil, errAddress
	}
	pool.ConnConfig = conn
	return pool, nil
}

// Prepare brings the database at address up to date.
func Prepare(ctx context.Context, address string) error {
	conn, _, err := dialAddress(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return migrated(ctx, conn, address)
}

// migrated brings a database up to date.
func migrated(ctx context.Context, conn *pgx.Conn, address string) error {
	if err := migrate(ctx, conn); err != nil {
		return say.Errorf("%s is not a usable ledger: %w", Name(address), err)
	}
	return nil
}

// dial opens a connection to the database.
func dial(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, connectFailed(err)
}

// connectFailed tells of a connection that could not be opened.
func connectFailed(err error) error {
	if err == nil {
		return nil
	}
	if err = (connectError{err}); unreachable(err) {
		err = say.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// dialAddress opens a connection to the database at an address.
func dialAddress(ctx context.Context, address string) (*pgx.Conn, *pgx.ConnConfig, error) {
	config, err := configure(address)
	if err != nil {
		return nil, nil, err
	}
	conn, err := dial(ctx, config)
	return conn, config, err
}

// connectError is why no connection could be opened, in one line: the last of several addresses that were tried.
type connectError struct{ error }

func (e connectError) Error() string {
	text := e.error.Error()
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

func (e connectError) Unwrap() error { return e.error }

// unreachable reports whether an error is the database's absence, or says that it cannot be written to just now: the same
// may succeed later. Whether what was asked for has happened is not known.
func unreachable(err error) bool {
	fault, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return true
	}
	switch fault.Code[:2] {
	case "08", "53", "57": // connection, resources, operator
		return true
	}
	return fault.Code == "25006" // a standby, until it is promoted
}

// Refuses reports whether an error is a database's refusal: of the user, the password, or what was asked for.
func Refuses(err error) bool { return sqlstate(err) != "" }

// conflicting reports whether a transaction was rolled back since others were in its way, and may be tried again.
func conflicting(err error) bool {
	state := sqlstate(err)
	return state == "40001" || state == "40P01"
}

// sqlstate returns the database's code of an error, "" of another error.
func sqlstate(err error) string {
	if fault, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fault.Code
	}
	return ""
}

// The SQLSTATEs that the ledger's own functions raise.
const (
	stateNotHeld = "VB001" // the lease is not the writer's, or not any more
	stateTaken   = "VB002" // a row was not written, since its line holds an order
	stateKept    = "VB003" // the trail is only appended to
	stateUnique  = "23505" // unique_violation
)

// databaseVersion counts the migrations. An older program refuses a newer one.
var databaseVersion = len(migrations)

// identity is the column that numbers rows.
const identity = `BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY`

// migrations bring a database from one version to the next. What was released is not changed any more.
var migrations = [][]string{
	append(tables(identity, "BYTEA", " WITH (fillfactor = 60)"), // most entries are written twice
		// written names the last transaction of the lease's holder that was committed; life is the longest that a request of the
		// holder's lasts, milliseconds; rate and pause_until are what was learnt of the API's limit, 0 and NULL where nothing was.
		`CREATE TABLE leases (
		merchant BIGINT PRIMARY KEY REFERENCES merchants,
		owner TEXT NOT NULL DEFAULT '', epoch BIGINT NOT NULL DEFAULT 0,
		until TIMESTAMPTZ NOT NULL DEFAULT '-infinity', released BOOLEAN NOT NULL DEFAULT true,
		written BIGINT NOT NULL DEFAULT 0, life BIGINT NOT NULL DEFAULT 0,
		rate DOUBLE PRECISION NOT NULL DEFAULT 0, pause_until TIMESTAMPTZ,
		restored BOOLEAN NOT NULL DEFAULT false)`,
		// strays are outcomes of a holder that had lost its lease before they were durable.
		`CREATE TABLE strays (
		id `+identity+`, `+strings.Join(definitions(), ", ")+`)`,
		// ledger_fence lets a transaction of a lease's holder go on, and gives it a number. None of an earlier epoch commits
		// after a claim, for a claim waits until this transaction has ended; and one whose answer was lost can be asked for.
		`CREATE FUNCTION ledger_fence(of_merchant BIGINT, of_owner TEXT, of_epoch BIGINT, last BIGINT, this BIGINT) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			UPDATE leases SET written = this WHERE merchant = of_merchant AND owner = of_owner AND epoch = of_epoch AND written = last AND until > clock_timestamp();
			IF NOT FOUND THEN
				RAISE EXCEPTION 'not held' USING ERRCODE = '`+stateNotHeld+`';
			END IF;
			IF current_setting('synchronous_commit') = 'off' THEN
				PERFORM set_config('synchronous_commit', 'on', true);
			END IF;
		END $$`,
		`CREATE FUNCTION ledger_written(rows BIGINT, wanted BIGINT) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			IF rows <> wanted THEN
				RAISE EXCEPTION 'taken' USING ERRCODE = '`+stateTaken+`';
			END IF;
		END $$`,
		// ledger_schema has one row. origin is of the tables that were last seen: other ones are a copy.
		`CREATE TABLE ledger_schema (version BIGINT NOT NULL, origin TEXT NOT NULL)`,
		`INSERT INTO ledger_schema SELECT 0, `+origin1),
	slices.Concat(tables2(identity), []string{
		`CREATE FUNCTION trail_kept() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			RAISE EXCEPTION 'kept' USING ERRCODE = '` + stateKept + `';
		END $$`,
		`CREATE TRIGGER trail_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON trail FOR EACH STATEMENT EXECUTE FUNCTION trail_kept()`,
	}),
	// quiet_until is when the last request of a holder that did not give the lease back has ended.
	{`ALTER TABLE leases ADD quiet_until TIMESTAMPTZ NOT NULL DEFAULT 'epoch'`},
	// restored is of all merchants: one may have sent its first orders after the copy was made.
	{`ALTER TABLE ledger_schema ADD restored BOOLEAN NOT NULL DEFAULT false`,
		`UPDATE ledger_schema SET restored = EXISTS (SELECT FROM leases WHERE restored)`,
		`ALTER TABLE leases DROP restored`,
		`UPDATE ledger_schema SET origin = ` + origin + ` WHERE origin = ` + origin1},
}

// origin is what tells a database from its copies: one that was loaded from a dump has other tables, one that the server made of
// another as its template has another number, a backup that was brought up to some moment, or a standby that was promoted, goes
// on in another timeline. origin1 is that of the first version.
const (
	origin1 = `(SELECT system_identifier FROM pg_control_system()) || '/' || (SELECT timeline_id FROM pg_control_checkpoint()) || '/' || 'ledger_schema'::regclass::oid`
	origin  = origin1 + ` || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())`
)

// readCommitted transactions see what others have committed while they waited for a lock, whatever the database's default is.
var readCommitted = pgx.TxOptions{IsoLevel: pgx.ReadCommitted}

// migrationLock is the number of the lock under which databases are brought up to date.
const migrationLock = 7_640_311_205

// migrate brings a database up to date, and raises the epochs of one that is a copy, in one transaction.
func migrate(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginTxFunc(ctx, conn, readCommitted, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return err
		}
		version, err := versionOf(ctx, tx)
		if err != nil {
			return err
		}
		if version > databaseVersion {
			return otherVersion(version, databaseVersion)
		}
		for _, statements := range migrations[version:] {
			for _, statement := range statements {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return err
				}
			}
		}
		if version < databaseVersion {
			if _, err := tx.Exec(ctx, `UPDATE ledger_schema SET version = $1`, databaseVersion); err != nil {
				return err
			}
		}
		// What was written after the copy was made is not in it: a holder of a lease that it knows nothing of must not go on, and
		// the API must be asked about orders that it does not know.
		changed, err := tx.Exec(ctx, `UPDATE ledger_schema SET restored = true, origin = `+origin+` WHERE origin <> `+origin)
		if err != nil || changed.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE leases SET epoch = epoch + 1, owner = '', released = false, until = clock_timestamp()`)
		return err
	})
}

// versionOf returns the version of a database's schema; an empty database has 0.
func versionOf(ctx context.Context, db interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (version int, err error) {
	var ours, others bool
	err = db.QueryRow(ctx, `SELECT to_regclass('ledger_schema') IS NOT NULL, to_regclass('entries') IS NOT NULL OR to_regclass('runs') IS NOT NULL`).Scan(&ours, &others)
	switch {
	case err != nil:
		return 0, err
	case !ours && others:
		return 0, say.New("it is the database of another program")
	case !ours:
		return 0, nil
	}
	err = db.QueryRow(ctx, `SELECT version FROM ledger_schema`).Scan(&version)
	return version, err
}

// openDatabase opens a pool of two connections, to a database of today's schema. Its error is fs.ErrNotExist where there
// is no ledger yet.
func openDatabase(ctx context.Context, address string) (*sql.DB, error) {
	config, err := configure(address)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*config)
	if err := checkVersion(ctx, db, address); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.SetMaxOpenConns(2) // more bring nothing, and a worker has many merchants
	db.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

// checkVersion has a pool open its first connection.
func checkVersion(ctx context.Context, db *sql.DB, address string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return connectFailed(err)
	}
	defer conn.Close()
	return conn.Raw(func(conn any) error {
		version, err := versionOf(ctx, conn.(*stdlib.Conn).Conn())
		if err == nil && version == 0 {
			err = say.Errorf("there is no ledger in %s: %w", Name(address), fs.ErrNotExist)
		}
		if err == nil {
			err = otherVersion(version, databaseVersion)
		}
		return err
	})
}

// openUnheld opens a merchant's ledger in a database without its lease.
func openUnheld(ctx context.Context, address, merchant string) (*Ledger, error) {
	r, err := openDatabaseReader(ctx, address, merchant)
	if err != nil {
		return nil, err
	}
	l := newLedger()
	l.read, l.orders, l.merchant, l.store = r.db, r.orders, r.merchant, unheld{}
	go l.writer()
	return l, nil
}

// unheld is the store of a ledger that may only be read.
type unheld struct{}

func (unheld) commit(group []*job) {
	for _, j := range group {
		j.done <- say.New("the ledger was opened without its lease")
	}
}

func (unheld) close() error { return nil }

// openDatabaseReader is OpenReader for a database.
func openDatabaseReader(ctx context.Context, address, merchant string) (*Reader, error) {
	db, err := openDatabase(ctx, address)
	if err != nil {
		return nil, err
	}
	r := &Reader{db: db, orders: lookUpIn(db), path: address, begin: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`}
	if err := r.findMerchant(ctx, merchant); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return r, nil
}

// lookUpIn asks a database for orders, one after the other: as long as it knows little of a table it takes an index's first
// column to be enough, and reads through all that a merchant has.
func lookUpIn(db *sql.DB) lookUp {
	return func(ctx context.Context, merchant int64, tier string, uids []string) (*sql.Rows, error) {
		return db.QueryContext(ctx, `SELECT `+entryColumns+` FROM unnest($3::text[]) AS wanted(uid) CROSS JOIN LATERAL (
			SELECT * FROM entries WHERE live = 1 AND merchant = $1 AND tier = $2 AND merchant_uid = uid OFFSET 0) e`, merchant, tier, uids)
	}
}

// Warnings tells what is set in the server of the database at address that a ledger should not have.
func Warnings(ctx context.Context, address string) ([]say.Message, error) {
	conn, _, err := dialAddress(ctx, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return warnings(ctx, conn)
}

// warnings is Warnings by a connection.
func warnings(ctx context.Context, conn *pgx.Conn) (told []say.Message, err error) {
	var fsync, commit, names string
	var standbys int
	err = conn.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
		(SELECT count(*) FROM pg_stat_replication)`).Scan(&fsync, &commit, &names, &standbys)
	if fsync == "off" {
		told = append(told, say.NewMessage("the database's fsync is off: after a power cut it may not know which orders have their account"))
	}
	if commit == "off" {
		told = append(told, say.NewMessage("the database's synchronous_commit is off; the ledger's own writes are made with it on"))
	}
	if standbys > 0 && (names == "" || commit == "local") {
		told = append(told, say.NewMessage("the database's standbys are asynchronous: after a fail-over the ledger may lack what was written last; the API is asked then"))
	}
	return told, err
}
