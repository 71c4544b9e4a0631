package ledger

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"vbankbatch/batch/ledger/ledgertest"
)

// onBoth tests both stores.
func onBoth(t *testing.T, test func(t *testing.T, place string)) {
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		open(t, path, "merchant")
		test(t, path)
	})
	t.Run("database", func(t *testing.T) { test(t, ledgertest.Start(t, "fsync=off").Database(t)) })
}

var deed = Deed{Who: "김회계\x00", From: "192.0.2.7", What: "something", Detail: `{"rows":3}`}

// upload uploads bytes for the merchant of newJob.
func upload(t *testing.T, jobs *Jobs, content string) *Job {
	t.Helper()
	job := newJob("one")
	job.Digest = ""
	if err := jobs.Upload(ctx, job, strings.NewReader(content), deed); err != nil {
		t.Fatal(err)
	}
	return job
}

// numbers are those of jobs.
func numbers(jobs []Job, err error) (all []int64, _ error) {
	for _, job := range jobs {
		all = append(all, job.ID)
	}
	return all, err
}

func wantNumbers(t *testing.T, what string, got []int64, err error, want ...int64) {
	t.Helper()
	ok := err == nil && len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && got[i] == want[i]
	}
	if !ok {
		t.Errorf("%s: jobs %v, want %v; %v", what, got, want, err)
	}
}

// TestUploads has a file wait for its approval, which queues it once.
func TestUploads(t *testing.T) {
	onBoth(t, func(t *testing.T, place string) {
		jobs, others := openJobs(t, place), openJobs(t, place)

		// What is cut off leaves nothing.
		cut := errors.New("cut off")
		if err := jobs.Upload(ctx, newJob("one"), io.MultiReader(strings.NewReader("some"), iotest.ErrReader(cut)), deed); !errors.Is(err, cut) {
			t.Error(err)
		}
		var rows int
		if err := jobs.db.QueryRow(`SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM job_files) + (SELECT count(*) FROM trail)`).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows are left, %v", rows, err)
		}

		first := upload(t, jobs, "orders")
		sum := sha256.Sum256([]byte("orders"))
		if first.State != JobUploaded || first.Size != 6 || first.Digest != hex.EncodeToString(sum[:]) || first.ID == 0 || first.Submitted.Year() < 2025 || !first.Approved.IsZero() {
			t.Errorf("%+v", first)
		}
		var read bytes.Buffer
		if err := jobs.ReadFile(ctx, first.ID, JobInput, &read); err != nil || read.String() != "orders" {
			t.Error(read.String(), err)
		}
		second, other := upload(t, jobs, "orders"), upload(t, jobs, "other orders")
		before, err := numbers(jobs.Before(ctx, first))
		wantNumbers(t, "before", before, err, second.ID)
		for what, list := range map[string]func() ([]Job, error){
			"list": func() ([]Job, error) { return jobs.List(ctx, 10) }, "open": func() ([]Job, error) { return jobs.Open(ctx) },
			"page of none": func() ([]Job, error) { return jobs.Page(ctx, []string{}, 0, 10) }, "page of another": func() ([]Job, error) { return jobs.Page(ctx, []string{"another"}, 0, 10) },
		} {
			found, err := numbers(list())
			wantNumbers(t, what, found, err)
		}
		if counts, err := jobs.Counts(ctx); err != nil || len(counts) != 0 {
			t.Error(counts, err)
		}
		for _, merchants := range [][]string{nil, {"another", "hanbit"}} {
			found, err := numbers(jobs.Page(ctx, merchants, 0, 2))
			wantNumbers(t, "page", found, err, other.ID, second.ID)
			found, err = numbers(jobs.Page(ctx, merchants, second.ID, 2))
			wantNumbers(t, "second page", found, err, first.ID)
		}

		// Other settings are approved by their own key.
		first.Settings, first.Key, first.Language = `{"Due":"+7d"}`, "two", "en"
		if err := jobs.Configure(ctx, first, "one", deed); err != nil {
			t.Error(err)
		}
		slower := *first
		slower.Key = "three"
		if err := jobs.Configure(ctx, &slower, "one", deed); !errors.Is(err, ErrJobChanged) { // another window was faster
			t.Error(err)
		}
		if queued, err := jobs.Approve(ctx, &slower, "one", "박승인", "2026-11-06", deed); queued || !errors.Is(err, ErrJobChanged) {
			t.Error(queued, err)
		}

		// Approved by many at once, each is queued once, and the two have numbers of their own.
		var all sync.WaitGroup
		var mu sync.Mutex
		queued := make(map[int64]int)
		for i := range 8 {
			all.Go(func() {
				job, from := *[]*Job{first, second}[i%2], []*Jobs{jobs, others}[i/2%2]
				id, was := job.ID, job.Key
				job.Settings, job.Key = `{"ExpectRows":3}`, "figures"
				new, err := from.Approve(ctx, &job, was, "박승인", "2026-11-06", deed)
				if err != nil || job.ID != id || job.State != JobQueued || job.Key != "figures" {
					t.Error(job, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if new {
					queued[id]++
				}
			})
		}
		all.Wait()
		a, err := jobs.Get(ctx, first.ID)
		if err != nil || a.ApprovedBy != "박승인" || a.Approved.IsZero() || a.Submitted.Before(first.Submitted.Add(1)) || a.Day != "2026-11-06" || a.Settings != `{"ExpectRows":3}` || a.Language != "en" {
			t.Errorf("%+v, %v", a, err)
		}
		b, err := jobs.Get(ctx, second.ID)
		if err != nil || queued[first.ID] != 1 || queued[second.ID] != 1 || a.Again+b.Again != 1 || a.Again*b.Again != 0 {
			t.Errorf("queued %v, again %d and %d, %v", queued, a.Again, b.Again, err)
		}
		open, err := numbers(jobs.Open(ctx))
		wantNumbers(t, "open", open, err, first.ID, second.ID)
		if err := jobs.Configure(ctx, first, "two", deed); !errors.Is(err, ErrNotUploaded) {
			t.Error(err)
		}
		if err := jobs.Discard(ctx, first.ID, deed); !errors.Is(err, ErrNotUploaded) {
			t.Error(err)
		}
		if _, err := jobs.Approve(ctx, &Job{ID: 99}, "two", "", "", deed); !errors.Is(err, ErrNoJob) {
			t.Error(err)
		}
		if job, err := jobs.Turn(ctx, first.ID, 0); err != nil || job.Turn != 1 {
			t.Error(job, err)
		}
		if _, err := jobs.Turn(ctx, first.ID, 0); !errors.Is(err, ErrTurn) {
			t.Error(err)
		}

		// The number of what was discarded, the newest, is not another's.
		if err := jobs.Discard(ctx, other.ID, deed); err != nil {
			t.Error(err)
		}
		if err := jobs.ReadFile(ctx, other.ID, JobInput, &read); !errors.Is(err, ErrNoFile) {
			t.Error(err)
		}
		if next := upload(t, jobs, "next"); next.ID <= other.ID {
			t.Errorf("job %d comes after %d", next.ID, other.ID)
		}

		// The trail tells of what was done, and of nothing else.
		done := make(map[int64]int)
		marks, _, err := marksIn(place)
		for _, m := range marks {
			done[m.Job]++
			if m.Job == other.ID && m.Digest != other.Digest || m.Who != "김회계\uFFFD" {
				t.Errorf("%+v", m)
			}
		}
		if err != nil || done[first.ID] != 3 || done[second.ID] != 2 || done[other.ID] != 2 || len(done) != 4 {
			t.Error(done, err)
		}
	})
}

// TestNothingUntold: what the trail cannot tell of is not done.
func TestNothingUntold(t *testing.T) {
	onBoth(t, func(t *testing.T, place string) {
		jobs := openJobs(t, place)
		job, other := upload(t, jobs, "orders"), newJob("two")
		other.ID = job.ID
		if _, err := jobs.db.Exec(`ALTER TABLE trail RENAME COLUMN detail TO details`); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"upload": jobs.Upload(ctx, newJob("one"), strings.NewReader("orders"), deed), "configure": jobs.Configure(ctx, other, job.Key, deed), "discard": jobs.Discard(ctx, job.ID, deed),
			"form": jobs.SaveForm(ctx, &Form{}, deed), "note": jobs.Note(ctx, deed), "approve": func() error { _, err := jobs.Approve(ctx, other, job.Key, "", "", deed); return err }(),
		} {
			if err == nil {
				t.Error(what, "was done")
			}
		}
		left, err := jobs.Page(ctx, nil, 0, 10)
		if err != nil || len(left) != 1 || left[0] != *job {
			t.Error(left, err)
		}
		var rows int
		if err := jobs.db.QueryRow(`SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM job_files) + (SELECT count(*) FROM forms)`).Scan(&rows); err != nil || rows != 2 {
			t.Error(rows, err)
		}
	})
}

// TestApprovedAtOnce has an approval wait for another one, of the same bytes and settings, that takes the number it would have.
func TestApprovedAtOnce(t *testing.T) {
	t.Parallel()
	place := ledgertest.Start(t, "fsync=off").Database(t)
	jobs, others := openJobs(t, place), openJobs(t, place)
	first, second := upload(t, jobs, "orders"), upload(t, jobs, "orders")
	approved := *second
	ended := make(chan error, 1)
	err := jobs.within(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(`UPDATE jobs SET state = 'queued', again = 0 WHERE id = $1`, first.ID); err != nil {
			return err
		}
		go func() {
			_, err := others.Approve(ctx, &approved, second.Key, "who", second.Day, deed)
			ended <- err
		}()
		for waiting := 0; waiting == 0; {
			if err := jobs.db.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, <-ended); err != nil || approved.State != JobQueued || approved.Again != 1 {
		t.Error(approved, err)
	}
}

// TestAbandoned: uploads that nobody approves go, once they are old enough.
func TestAbandoned(t *testing.T) {
	onBoth(t, func(t *testing.T, place string) {
		jobs := openJobs(t, place)
		old, fresh := upload(t, jobs, "orders"), upload(t, jobs, "orders")
		if _, err := jobs.db.Exec(`UPDATE jobs SET submitted_at = submitted_at - $1 WHERE id = $2`, (25 * time.Hour).Microseconds(), old.ID); err != nil {
			t.Fatal(err)
		}
		for _, remove := range []struct {
			keep time.Duration
			left []int64
		}{{26 * time.Hour, []int64{fresh.ID, old.ID}}, {0, []int64{fresh.ID}}} {
			if err := jobs.RemoveFiles(ctx, remove.keep); err != nil {
				t.Error(err)
			}
			left, err := numbers(jobs.Page(ctx, nil, 0, 10))
			wantNumbers(t, "left", left, err, remove.left...)
			var files int
			if err := jobs.db.QueryRow(`SELECT count(*) FROM job_files`).Scan(&files); err != nil || files != len(remove.left) {
				t.Error(files, err)
			}
		}
	})
}

// TestForms saves forms and sessions.
func TestForms(t *testing.T) {
	onBoth(t, func(t *testing.T, place string) {
		jobs := openJobs(t, place)
		for _, form := range []Form{{Name: "나", Layout: "layout"}, {Name: "가", Layout: "another"}, {Name: "가", Layout: "layout", Profile: "{}"}, {Merchant: "other", Name: "가", Layout: "layout"}} {
			form.By = "who"
			if err := jobs.SaveForm(ctx, &form, deed); err != nil {
				t.Fatal(err)
			}
		}
		if forms, err := jobs.Forms(ctx, ""); err != nil || len(forms) != 2 || forms[0].Name != "가" {
			t.Error(forms, err)
		}
		if _, err := jobs.db.Exec(`UPDATE forms SET saved_at = saved_at + 1 WHERE name = '가'`); err != nil { // they may come in one microsecond
			t.Fatal(err)
		}
		if form, err := jobs.FormOf(ctx, "", "layout"); err != nil || form == nil || form.Name != "가" || form.Profile != "{}" || form.By != "who" {
			t.Error(form, err)
		}
		if form, err := jobs.FormOf(ctx, "", "another"); err != nil || form != nil {
			t.Error(form, err)
		}
		for _, want := range []error{nil, ErrNoForm} {
			if err := jobs.DropForm(ctx, "", "가", deed); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if forms, err := jobs.Forms(ctx, "other"); err != nil || len(forms) != 1 {
			t.Error(forms, err)
		}
		if all, _, err := marksIn(place); err != nil || len(all) != 5 {
			t.Error(all, err)
		}

		ends := time.UnixMicro(time.Now().Add(time.Hour).UnixMicro())
		if err := errors.Join(jobs.PutSession(ctx, "hash", "who", ends), jobs.PutSession(ctx, "over", "who", time.Now().Add(-time.Hour))); err != nil {
			t.Fatal(err)
		}
		if whose, until, err := jobs.Session(ctx, "hash"); err != nil || whose != "who" || !until.Equal(ends) {
			t.Error(whose, until, err)
		}
		if err := jobs.DropSession(ctx, "hash"); err != nil {
			t.Error(err)
		}
		for _, hash := range []string{"over", "hash", ""} {
			if whose, _, err := jobs.Session(ctx, hash); !errors.Is(err, ErrNoSession) {
				t.Error(hash, whose, err)
			}
		}
		if err := jobs.PutSession(ctx, "next", "who", ends); err != nil {
			t.Error(err)
		}
		var kept int
		if err := jobs.db.QueryRow(`SELECT count(*) FROM sessions`).Scan(&kept); err != nil || kept != 1 {
			t.Error(kept, err)
		}
	})
}
