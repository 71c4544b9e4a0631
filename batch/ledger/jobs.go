package ledger

import (
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"io"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"vbankbatch/client/say"
)

// Jobs are files of orders that wait to be run, are run, or have been, with what they came to: they stand beside the orders,
// and are kept there in whole, so that whoever runs them needs no file of the one who brought them. It is safe for concurrent use.
//
// The stored job decides what is done, and no queue: a queue may have two processes try. Each try has its turn, raised by
// [QueueJob]. What an earlier turn says of the job comes to nothing, and so does what a process says that does not hold the
// merchant's lease.
type Jobs struct {
	db           *sql.DB
	clock        string // the database's own, in microseconds
	number       string // of the next job; none is given twice
	lockTheTrail string // where a transaction that writes does not keep others from writing
}

// ErrTurn is returned when the job is another process's by now, or is over.
var ErrTurn = say.New("the job is no longer this process's")

// ErrNoJob is returned for a job that does not exist.
var ErrNoJob = say.New("there is no such job")

// Job is a file to be run.
type Job struct {
	ID       int64
	Merchant string // name of the credentials; "" is the one of IMP_KEY
	API      string // address
	Whose    string // the merchant in the ledger, see Merchant; "" while nobody has looked
	Language string
	File     string // as it was named; never a path to go by
	Digest   string // of its bytes
	Size     int64  // bytes, of an upload; 0 of what was submitted
	Settings string // JSON
	Key      string // digest of the settings
	Day      string // in Korea, 2026-11-05
	Again    int64  // counts the jobs of the same bytes and settings on that day, from 0
	By       string // user@host

	ApprovedBy string    // of an upload
	Approved   time.Time // or asked for again, once it had stopped; zero: nobody has

	Submitted, Started, Ended time.Time // an upload is submitted once more by its approval

	State   JobState
	Turn    int64
	Lacking bool // a worker had not the merchant's credentials
	Cancel  bool // somebody wants it to end

	Run      int64 // in the ledger
	Exit     int
	Reason   string
	Error    string
	Summary  string // JSON
	Progress JobProgress
	Fetched  time.Time // when its results were fetched first
}

// JobProgress tells how far a job is.
type JobProgress struct {
	Rows, Done, NotDone, Waiting, Won int64
	Sent, Refused                     int64 // see batch.Counts; since the job was begun or resumed
}

// JobState is how a job stands.
type JobState string

// The states. Those behind JobRunning are final, but that JobStopped can be queued again.
const (
	JobReceiving JobState = "receiving" // its bytes are not all here
	JobUploaded  JobState = "uploaded"  // they are, and nobody has approved it
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobDone      JobState = "done"    // its run reached its end
	JobRefused   JobState = "refused" // nothing was sent
	JobStopped   JobState = "stopped" // early, as a run ends with exit status 5
	JobCancelled JobState = "cancelled"
)

// Open reports whether the job is not over.
func (s JobState) Open() bool { return s == JobQueued || s == JobRunning }

const (
	isOpen      = `state IN ('queued', 'running')`
	isSubmitted = `state NOT IN ('receiving', 'uploaded')`
)

// JobInput is the kind of the file that a job is of. What is written of the run has kinds of its own.
const JobInput = "input"

// OpenJobs opens the jobs in a ledger, a file that is there, or a database, which is brought up to date. The caller closes them.
func OpenJobs(ctx context.Context, place string) (*Jobs, error) {
	if !IsDatabase(place) {
		absolute, err := locate(place)
		if err != nil {
			return nil, err
		}
		version, err := ours(absolute)
		if err == nil {
			err = otherVersion(version, schemaVersion)
		}
		if err != nil {
			return nil, say.Errorf("%s is not a usable ledger: %w", place, err)
		}
		db, err := connect(absolute, url.Values{"mode": {"rw"}}, "synchronous(FULL)", "busy_timeout(5000)")
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		// Of an upload that was discarded only the trail knows. Every transaction begins as one that writes.
		return &Jobs{db, `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`, `max((SELECT coalesce(max(id), 0) FROM jobs), (SELECT coalesce(max(job), 0) FROM trail)) + 1`, ""}, nil
	}
	if err := Prepare(ctx, place); err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, place)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4) // for all files and pages of the process
	db.SetMaxIdleConns(4)
	return &Jobs{db, databaseClock, `DEFAULT`, `LOCK TABLE trail IN SHARE ROW EXCLUSIVE MODE`}, nil
}

// databaseClock is a database's, in microseconds.
const databaseClock = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// Close closes the jobs.
func (j *Jobs) Close() error { return j.db.Close() }

// Ping asks the database for an answer.
func (j *Jobs) Ping(ctx context.Context) error { return j.db.PingContext(ctx) }

const jobColumns = `id, merchant, api, whose, language, file, digest, settings, settings_digest, day, again, submitter, submitted_at, started_at, ended_at,
	state, turn, lacking, cancel, run, exit_status, reason, error, summary, row_count, done, not_done, waiting, won, sent, refused, fetched_at, approved_by, approved_at, size`

func (job *Job) scan(rows *sql.Rows) error {
	var submitted, started, ended, fetched, approved int64
	p := &job.Progress
	err := rows.Scan(&job.ID, &job.Merchant, &job.API, &job.Whose, &job.Language, &job.File, &job.Digest, &job.Settings, &job.Key, &job.Day, &job.Again, &job.By,
		&submitted, &started, &ended, &job.State, &job.Turn, &job.Lacking, &job.Cancel, &job.Run, &job.Exit, &job.Reason, &job.Error, &job.Summary,
		&p.Rows, &p.Done, &p.NotDone, &p.Waiting, &p.Won, &p.Sent, &p.Refused, &fetched,
		&job.ApprovedBy, &approved, &job.Size)
	for at, micro := range map[*time.Time]int64{&job.Submitted: submitted, &job.Started: started, &job.Ended: ended, &job.Fetched: fetched, &job.Approved: approved} {
		if micro != 0 {
			*at = time.UnixMicro(micro)
		}
	}
	return err
}

// Get returns a job, or ErrNoJob.
func (j *Jobs) Get(ctx context.Context, id int64) (Job, error) {
	return jobIn(ctx, j.db, id)
}

func jobIn(ctx context.Context, db querier, id int64) (Job, error) {
	found, err := jobsIn(ctx, db, `WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = ErrNoJob
	}
	if err != nil {
		return Job{}, err
	}
	return found[0], nil
}

// List returns the newest jobs that were submitted, the newest first.
func (j *Jobs) List(ctx context.Context, most int) ([]Job, error) {
	return j.jobs(ctx, `WHERE `+isSubmitted+` ORDER BY id DESC LIMIT $1`, most)
}

func (j *Jobs) jobs(ctx context.Context, condition string, values ...any) ([]Job, error) {
	return jobsIn(ctx, j.db, condition, values...)
}

func jobsIn(ctx context.Context, db querier, condition string, values ...any) ([]Job, error) {
	return gather(ctx, db, (*Job).scan, `SELECT `+jobColumns+` FROM jobs `+condition, values...)
}

// Same returns the newest of the jobs of the same bytes and settings for the same merchant on the same day, nil without one.
func (j *Jobs) Same(ctx context.Context, job *Job) (*Job, error) {
	found, err := j.jobs(ctx, `WHERE `+isSubmitted+` AND day = $1 AND merchant = $2 AND api = $3 AND digest = $4 AND settings_digest = $5 ORDER BY again DESC LIMIT 1`,
		job.Day, job.Merchant, job.API, job.Digest, job.Key)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// Add stores a job with the bytes of its file, and reports whether it is a new one: job then has its number, and else is the
// one of the same bytes and settings that there is on that day. again makes another in any case.
func (j *Jobs) Add(ctx context.Context, job *Job, again bool, in io.Reader) (added bool, err error) {
	same, err := j.Same(ctx, job)
	if err != nil {
		return false, err
	}
	if same != nil && !again {
		*job = *same
		return false, nil
	}
	if err := j.receive(ctx, job, in); err != nil {
		return false, err
	}
	for {
		same, err := j.Same(ctx, job)
		switch {
		case err != nil:
			return false, errors.Join(err, j.drop(ctx, job.ID))
		case same != nil && same.ID == job.ID: // the answer was lost
			*job = *same
			return true, nil
		case same != nil && !again: // it came while this one's bytes did
			err := j.drop(ctx, job.ID)
			*job = *same
			return false, err
		case same != nil:
			job.Again = same.Again + 1
		}
		_, failed := j.db.ExecContext(ctx, `UPDATE jobs SET state = 'queued', again = $1 WHERE id = $2 AND state = 'receiving'`, job.Again, job.ID)
		if failed == nil {
			job.State = JobQueued
			return true, nil
		}
		if now, err := j.Same(ctx, job); err != nil || now == nil || same != nil && now.ID == same.ID { // it was not another's coming that it failed over
			return false, errors.Join(failed, err, j.drop(ctx, job.ID))
		}
	}
}

// receive stores a job and the bytes of its file; neither, if they do not all come.
func (j *Jobs) receive(ctx context.Context, job *Job, in io.Reader) error {
	job.State = JobReceiving
	err := j.db.QueryRowContext(ctx, `INSERT INTO jobs (id, merchant, api, whose, language, file, digest, settings, settings_digest, day, again, submitter, submitted_at, state)
		VALUES (`+j.number+`, $1, $2, $3, $4, $5, $6, $7, $8, $9, -1, $10, $11, $12) RETURNING id`, job.Merchant, job.API, job.Whose, job.Language, clean(job.File), job.Digest,
		clean(job.Settings), job.Key, job.Day, clean(job.By), job.Submitted.UnixMicro(), string(job.State)).Scan(&job.ID)
	if err != nil {
		return err
	}
	if err := j.WriteFile(ctx, job, JobInput, job.File, in); err != nil {
		return errors.Join(err, j.drop(ctx, job.ID))
	}
	return nil
}

// drop takes back a job whose bytes did not come.
func (j *Jobs) drop(ctx context.Context, id int64) error {
	ctx = context.WithoutCancel(ctx)
	_, err := j.db.ExecContext(ctx, `DELETE FROM job_files WHERE job = $1 AND EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND state = 'receiving')`, id)
	if err == nil {
		_, err = j.db.ExecContext(ctx, `DELETE FROM jobs WHERE id = $1 AND state = 'receiving'`, id)
	}
	return err
}

// pieceSize is how many bytes of a file, compressed, stand in one row.
const pieceSize = 1 << 20

// hasTurn is the condition that the job $1 is not over, and has the turn $2: each statement has it, since a transaction over all
// pieces of a file would keep a lease from being renewed.
const hasTurn = `EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND turn = $2 AND state IN ('receiving', 'queued', 'running'))`

// WriteFile stores a file of a job, or replaces it. Its error is ErrTurn where the job is another process's.
func (j *Jobs) WriteFile(ctx context.Context, job *Job, kind, name string, in io.Reader) error {
	if _, err := j.db.ExecContext(ctx, `DELETE FROM job_files WHERE job = $1 AND kind = $3 AND `+hasTurn, job.ID, job.Turn, kind); err != nil {
		return err
	}
	w := &pieces{write: func(piece int64, bytes []byte) error {
		return oneTurn(j.db.ExecContext(ctx, `INSERT INTO job_files (job, kind, piece, name, bytes)
			SELECT $1, CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS TEXT), $6 WHERE `+hasTurn, job.ID, job.Turn, kind, piece, clean(name), bytes))
	}}
	packed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.Copy(packed, in); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return w.flush()
}

// RemoveResults removes the files of a job's runs, for the process that has its turn: what an earlier run that stopped has written
// is not the results of one that goes on.
func (j *Jobs) RemoveResults(ctx context.Context, job *Job) error {
	_, err := j.db.ExecContext(ctx, `DELETE FROM job_files WHERE job = $1 AND kind <> $3 AND `+hasTurn, job.ID, job.Turn, JobInput)
	return err
}

// pieces cuts what is written to it.
type pieces struct {
	write func(piece int64, bytes []byte) error
	next  int64
	held  []byte
}

func (p *pieces) Write(bytes []byte) (int, error) {
	for rest := bytes; len(rest) > 0; {
		n := min(len(rest), pieceSize-len(p.held))
		p.held = append(p.held, rest[:n]...)
		rest = rest[n:]
		if len(p.held) == pieceSize {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(bytes), nil
}

func (p *pieces) flush() error {
	if len(p.held) == 0 {
		return nil
	}
	err := p.write(p.next, p.held)
	p.next, p.held = p.next+1, p.held[:0]
	return err
}

// ReadFile writes a file of a job to out. Its error is ErrNoFile where the job has none of that kind, or not any more.
func (j *Jobs) ReadFile(ctx context.Context, job int64, kind string, out io.Writer) error {
	in := &stored{next: func(piece int64) (bytes []byte, err error) {
		err = j.db.QueryRowContext(ctx, `SELECT bytes FROM job_files WHERE job = $1 AND kind = $2 AND piece = $3`, job, kind, piece).Scan(&bytes)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, io.EOF
		}
		return bytes, err
	}}
	packed, err := gzip.NewReader(in)
	if errors.Is(err, io.EOF) && in.piece == 0 {
		return ErrNoFile
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, packed); err != nil {
		return err
	}
	return packed.Close()
}

// ErrNoFile is returned for a file of a job that is not kept, or not any more.
var ErrNoFile = say.New("the job's file is not kept any more")

// stored reads pieces one after the other.
type stored struct {
	next  func(piece int64) ([]byte, error)
	piece int64
	held  []byte
}

func (s *stored) Read(into []byte) (int, error) {
	if len(s.held) == 0 {
		held, err := s.next(s.piece)
		if err != nil {
			return 0, err
		}
		s.held, s.piece = held, s.piece+1
	}
	n := copy(into, s.held)
	s.held = s.held[n:]
	return n, nil
}

// JobFile is a file that is kept with a job.
type JobFile struct{ Kind, Name string }

// Files lists the files that are kept with a job.
func (j *Jobs) Files(ctx context.Context, job int64) ([]JobFile, error) {
	return gather(ctx, j.db, func(f *JobFile, rows *sql.Rows) error { return rows.Scan(&f.Kind, &f.Name) },
		`SELECT kind, name FROM job_files WHERE job = $1 AND piece = 0 ORDER BY kind`, job)
}

// Cancel asks for the end of a job. One that has sent nothing yet is over at once.
func (j *Jobs) Cancel(ctx context.Context, id int64) (Job, error) {
	if _, err := j.db.ExecContext(ctx, `UPDATE jobs SET cancel = 1 WHERE id = $1 AND `+isOpen, id); err != nil {
		return Job{}, err
	}
	_, err := j.db.ExecContext(ctx, `UPDATE jobs SET state = 'cancelled', turn = turn + 1, ended_at = `+j.clock+`, exit_status = 5, reason = 'INTERRUPTED' WHERE id = $1 AND state = 'queued' AND started_at = 0`, id)
	if err != nil {
		return Job{}, err
	}
	return j.Get(ctx, id)
}

// Resume queues a job that was stopped, and whose file is still kept, and goes on with its run. Another process may have done so before.
func (j *Jobs) Resume(ctx context.Context, id int64) error {
	_, err := j.db.ExecContext(ctx, `UPDATE jobs SET state = 'queued', cancel = 0, ended_at = 0, exit_status = 0, reason = '', error = '', summary = '', fetched_at = 0, sent = 0, refused = 0, approved_at = `+j.clock+`
		WHERE id = $1 AND state = 'stopped' AND EXISTS (SELECT 1 FROM job_files WHERE job = $1 AND kind = $2)`, id, JobInput)
	return err
}

// NoteFetched notes that a job's results were fetched.
func (j *Jobs) NoteFetched(ctx context.Context, id int64) error {
	_, err := j.db.ExecContext(ctx, `UPDATE jobs SET fetched_at = `+j.clock+` WHERE id = $1 AND fetched_at = 0 AND NOT `+isOpen, id)
	return err
}

// RemoveFiles removes the files of jobs whose results were fetched so long ago, and the uploads that nobody has approved for so
// long, but for a day at least. Jobs whose bytes stopped coming a day ago go too.
func (j *Jobs) RemoveFiles(ctx context.Context, keep time.Duration) error {
	return j.within(ctx, func(tx *sql.Tx) error {
		const day = 24 * time.Hour
		_, err := tx.ExecContext(ctx, `DELETE FROM job_files WHERE job IN (SELECT id FROM jobs WHERE fetched_at > 0 AND fetched_at <= `+j.clock+` - $1 AND NOT `+isOpen+`)`, keep.Microseconds())
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM jobs WHERE state = 'receiving' AND submitted_at < `+j.clock+` - $1 OR state = 'uploaded' AND submitted_at < `+j.clock+` - $2`,
				day.Microseconds(), max(keep, day).Microseconds())
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, deleteStrayFiles)
		}
		return err
	})
}

// QueueJob gives an open job its next turn, in a transaction that also tells a queue of it: what had it before has it no
// longer. Its error is ErrTurn if the job has had that turn already, is over, or has been seen since that time; -1 is whenever.
func QueueJob(ctx context.Context, tx pgx.Tx, id, turn, seen int64) error {
	// Whoever comes to it next has as long for that as anybody: the job is not lost while a worker that has taken it is on its way.
	done, err := tx.Exec(ctx, `UPDATE jobs SET turn = turn + 1, seen_at = `+databaseClock+` WHERE id = $1 AND turn = $2 AND `+isOpen+` AND $3::bigint IN (-1, seen_at)`, id, turn, seen)
	if err == nil && done.RowsAffected() == 0 {
		err = ErrTurn
	}
	return err
}

// Turn is QueueJob where there is no queue, and returns the job.
func (j *Jobs) Turn(ctx context.Context, id, turn int64) (job Job, err error) {
	err = j.within(ctx, func(tx *sql.Tx) error {
		if err := updateJob(ctx, tx, nil, `UPDATE jobs SET turn = turn + 1 WHERE id = $1 AND turn = $2 AND `+isOpen, id, turn); err != nil {
			return err
		}
		job, err = jobIn(ctx, tx, id)
		return err
	})
	return job, err
}

// Seen tells that the process that has the job's turn is at it, and returns the job.
func (j *Jobs) Seen(ctx context.Context, id, turn int64) (Job, error) {
	if err := j.update(ctx, nil, `UPDATE jobs SET seen_at = `+j.clock+` WHERE id = $1 AND turn = $2 AND `+isOpen, id, turn); err != nil {
		return Job{}, err
	}
	return j.Get(ctx, id)
}

// update makes one change of a job, for the holder of the lease if there is one. Its error is ErrTurn if it changed nothing.
func (j *Jobs) update(ctx context.Context, lease *Lease, statement string, values ...any) error {
	return j.within(ctx, func(tx *sql.Tx) error { return updateJob(ctx, tx, lease, statement, values...) })
}

// within makes changes in one transaction, which sees what others have committed while it waited for a lock.
func (j *Jobs) within(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := j.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit this does nothing
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func updateJob(ctx context.Context, tx *sql.Tx, lease *Lease, statement string, values ...any) error {
	if lease != nil {
		if err := lease.held(ctx, tx); err != nil {
			return err
		}
	}
	return oneTurn(tx.ExecContext(ctx, statement, values...))
}

// oneTurn returns ErrTurn if a statement changed nothing.
func oneTurn(done sql.Result, err error) error {
	n, err := changed(done, err)
	if err == nil && n == 0 {
		err = ErrTurn
	}
	return err
}

// First reports whether no older job of the same merchant is open: files are run one after the other.
func (j *Jobs) First(ctx context.Context, job *Job) (bool, error) {
	older, err := j.jobs(ctx, `WHERE `+isOpen+` AND merchant = $1 AND api = $2 AND id < $3 AND ($4 = '' OR whose IN ('', $4)) LIMIT 1`, job.Merchant, job.API, job.ID, job.Whose)
	return len(older) == 0, err
}

// Lacks notes that a worker has not the credentials of a job's merchant.
func (j *Jobs) Lacks(ctx context.Context, job *Job) error {
	return j.update(ctx, nil, `UPDATE jobs SET lacking = 1 WHERE id = $1 AND turn = $2 AND `+isOpen, job.ID, job.Turn)
}

// Start notes that the job is run for the merchant Whose.
func (j *Jobs) Start(ctx context.Context, lease *Lease, job *Job) error {
	return j.update(ctx, lease, `UPDATE jobs SET state = 'running', whose = $1, lacking = 0, seen_at = `+j.clock+`,
		started_at = CASE started_at WHEN 0 THEN `+j.clock+` ELSE started_at END WHERE id = $2 AND turn = $3 AND `+isOpen, job.Whose, job.ID, job.Turn)
}

// Advance tells how far the job is, and that the process that has its turn is at it. It reports whether somebody wants the job
// to end.
func (j *Jobs) Advance(ctx context.Context, job *Job) (cancel bool, err error) {
	p := &job.Progress
	err = j.update(ctx, nil, `UPDATE jobs SET seen_at = `+j.clock+`, row_count = $1, done = $2, not_done = $3, waiting = $4, won = $5, sent = $6, refused = $7, run = coalesce(nullif(CAST($8 AS BIGINT), 0), run)
		WHERE id = $9 AND turn = $10 AND `+isOpen, p.Rows, p.Done, p.NotDone, p.Waiting, p.Won, p.Sent, p.Refused, job.Run, job.ID, job.Turn)
	if err != nil {
		return false, err
	}
	now, err := j.Get(ctx, job.ID)
	return now.Cancel, err
}

// End makes a job's final state durable, with what it came to, and marks its run as finished at once, if it is: what would go
// on with the run otherwise would tell of its orders as of another's.
func (j *Jobs) End(ctx context.Context, lease *Lease, job *Job, finished bool) error {
	p := &job.Progress
	return j.within(ctx, func(tx *sql.Tx) error {
		err := updateJob(ctx, tx, lease, `UPDATE jobs SET state = $1, ended_at = `+j.clock+`, run = $2, exit_status = $3, reason = $4, error = $5, summary = $6,
			row_count = $7, done = $8, not_done = $9, waiting = $10, won = $11, sent = $12, refused = $13 WHERE id = $14 AND turn = $15 AND `+isOpen,
			string(job.State), job.Run, job.Exit, job.Reason, clean(job.Error), clean(job.Summary), p.Rows, p.Done, p.NotDone, p.Waiting, p.Won, p.Sent, p.Refused, job.ID, job.Turn)
		if err != nil || !finished {
			return err
		}
		if _, err := tx.ExecContext(ctx, finishRun, time.Now().UnixMicro(), job.Run); err != nil {
			return err
		}
		var merchant int64
		if err := tx.QueryRowContext(ctx, `SELECT merchant FROM runs WHERE id = $1`, job.Run).Scan(&merchant); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, settleRuns, merchant)
		return err
	})
}

// JobCount counts jobs of a merchant in a state.
type JobCount struct {
	Merchant string
	State    JobState
	Jobs     int64
	JobProgress
	Oldest time.Time // when the first of them was submitted
}

// Counts counts the jobs by merchant and state.
func (j *Jobs) Counts(ctx context.Context) ([]JobCount, error) {
	return gather(ctx, j.db, func(c *JobCount, rows *sql.Rows) error {
		var oldest int64
		err := rows.Scan(&c.Merchant, &c.State, &c.Jobs, &c.Rows, &c.Done, &c.NotDone, &c.Waiting, &c.Won, &oldest)
		c.Oldest = time.UnixMicro(oldest)
		return err
	}, `SELECT merchant, state, count(*), cast(sum(row_count) AS bigint), cast(sum(done) AS bigint), cast(sum(not_done) AS bigint), cast(sum(waiting) AS bigint),
		cast(sum(won) AS bigint), min(submitted_at) FROM jobs WHERE `+isSubmitted+` GROUP BY merchant, state ORDER BY merchant, state`)
}
