package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"vbankbatch/client/say"
)

// An upload is a job that waits for somebody's approval: until then it may be looked at, configured and discarded, and nobody
// runs it. Its number is never another's, so that who approves a number approves the bytes that stand behind it.

// ErrNotUploaded is returned for a job that is not an upload any more: it was approved.
var ErrNotUploaded = say.New("the file has been approved already")

// ErrJobChanged is returned when an upload's settings are not those that were to be changed or approved.
var ErrJobChanged = say.New("the settings were changed since they were looked at")

// Upload stores a job with the bytes of its file, and sets it to what is stored: its number, digest and size are known once all
// bytes are here. If in fails, nothing is left.
func (j *Jobs) Upload(ctx context.Context, job *Job, in io.Reader, d Deed) error {
	hash := sha256.New()
	var size counter
	job.Submitted = time.Now() // until the database knows better
	if err := j.receive(ctx, job, io.TeeReader(in, io.MultiWriter(hash, &size))); err != nil {
		return err
	}
	d.Job, d.Digest = job.ID, hex.EncodeToString(hash.Sum(nil))
	var stored Job
	err := j.doing(ctx, &d, func(tx *sql.Tx) (err error) {
		err = updateJob(ctx, tx, nil, `UPDATE jobs SET state = 'uploaded', digest = $1, size = $2, submitted_at = `+j.clock+` WHERE id = $3 AND state = 'receiving'`, d.Digest, int64(size), job.ID)
		if err == nil {
			stored, err = jobIn(ctx, tx, job.ID)
		}
		return err
	})
	if err != nil {
		return errors.Join(err, j.drop(ctx, job.ID))
	}
	*job = stored
	return nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(bytes []byte) (int, error) {
	*c += counter(len(bytes))
	return len(bytes), nil
}

// Configure sets the settings, their digest and the language of an upload whose settings had the digest was, or have been set so
// already. Its error is ErrNotUploaded once it is approved, and ErrJobChanged if the settings are other ones.
func (j *Jobs) Configure(ctx context.Context, job *Job, was string, d Deed) error {
	return j.doing(ctx, &d, func(tx *sql.Tx) error {
		return d.ofUpload(ctx, tx, job.ID, `UPDATE jobs SET settings = $2, settings_digest = $3, language = $4 WHERE id = $1 AND state = 'uploaded' AND settings_digest IN ($5, $3) RETURNING digest`,
			clean(job.Settings), job.Key, job.Language, was)
	})
}

// Discard removes an upload and its bytes. Its error is ErrNotUploaded once it is approved.
func (j *Jobs) Discard(ctx context.Context, id int64, d Deed) error {
	return j.doing(ctx, &d, func(tx *sql.Tx) error {
		if err := d.ofUpload(ctx, tx, id, `DELETE FROM jobs WHERE id = $1 AND state = 'uploaded' RETURNING digest`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM job_files WHERE job = $1`, id)
		return err
	})
}

// Approve queues an upload with the job's settings, their digest and language, as a job of the day, a date in Korea, and sets job
// to what is stored. Its settings had the digest was: its error is ErrJobChanged if they are other ones. An upload is queued
// once: who comes later gets the job as it is by then.
func (j *Jobs) Approve(ctx context.Context, job *Job, was, by, day string, d Deed) (queued bool, err error) {
	var stored Job
	for {
		err = j.doing(ctx, &d, func(tx *sql.Tx) error {
			err := d.ofUpload(ctx, tx, job.ID, `UPDATE jobs SET state = 'queued', approved_by = $2, approved_at = `+j.clock+`, submitted_at = `+j.clock+`, day = $3,
				settings = $4, settings_digest = $5, language = $6,
				again = (SELECT coalesce(max(s.again), -1) + 1 FROM jobs s WHERE s.day = $3 AND s.merchant = jobs.merchant AND s.api = jobs.api AND s.digest = jobs.digest
					AND s.settings_digest = $5 AND s.`+isSubmitted+`)
				WHERE id = $1 AND state = 'uploaded' AND settings_digest = $7 RETURNING digest`, clean(by), day, clean(job.Settings), job.Key, job.Language, was)
			if err == nil {
				stored, err = jobIn(ctx, tx, job.ID)
			}
			return err
		})
		if sqlstate(err) != stateUnique { // else another job of the same bytes and settings was queued meanwhile
			break
		}
	}
	if queued = err == nil; errors.Is(err, ErrNotUploaded) {
		stored, err = j.Get(ctx, job.ID)
	}
	if err == nil {
		*job = stored
	}
	return queued, err
}

// ofUpload makes a change of an upload, $1, that returns its digest, and makes the deed one of that job.
func (d *Deed) ofUpload(ctx context.Context, tx *sql.Tx, id int64, statement string, values ...any) error {
	digests, err := gather(ctx, tx, func(digest *string, rows *sql.Rows) error { return rows.Scan(digest) }, statement, append([]any{id}, values...)...)
	if err != nil {
		return err
	}
	if len(digests) == 0 {
		job, err := jobIn(ctx, tx, id)
		if err == nil && job.State == JobUploaded {
			err = ErrJobChanged
		}
		return cmp.Or(err, error(ErrNotUploaded))
	}
	d.Job, d.Digest = id, digests[0]
	return nil
}

// Page returns the newest jobs of some merchants, by the names of their credentials, of all when merchants is nil; uploads too.
// They come behind the job before, 0 for the first page, the newest first.
func (j *Jobs) Page(ctx context.Context, merchants []string, before int64, most int) ([]Job, error) {
	condition, values := `WHERE state <> 'receiving' AND ($1 = 0 OR id < $1)`, []any{before, most}
	if merchants != nil {
		if len(merchants) == 0 {
			return nil, nil
		}
		condition += ` AND merchant IN (` + parameters(3, len(merchants)) + `)`
	}
	for _, name := range merchants {
		values = append(values, name)
	}
	return j.jobs(ctx, condition+` ORDER BY id DESC LIMIT $2`, values...)
}

// Before returns the other jobs of the same bytes for the same merchant, uploads too, the newest first; 10 of them at most.
func (j *Jobs) Before(ctx context.Context, job *Job) ([]Job, error) {
	return j.jobs(ctx, `WHERE state <> 'receiving' AND id <> $1 AND merchant = $2 AND api = $3 AND digest = $4 ORDER BY id DESC LIMIT 10`, job.ID, job.Merchant, job.API, job.Digest)
}

// Open returns the jobs that are open, the oldest first.
func (j *Jobs) Open(ctx context.Context) ([]Job, error) {
	return j.jobs(ctx, `WHERE `+isOpen+` ORDER BY id`)
}
