package ledger

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"vbankbatch/batch/ledger/ledgertest"
)

// TestJobs has files of orders stored in a file and in a database.
func TestJobs(t *testing.T) {
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		open(t, path, "merchant")
		testJobs(t, path)
	})
	t.Run("database", func(t *testing.T) {
		server := ledgertest.Start(t, "fsync=off")
		testJobs(t, server.Database(t))
	})
}

func openJobs(t *testing.T, place string) *Jobs {
	t.Helper()
	jobs, err := OpenJobs(ctx, place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { jobs.Close() })
	return jobs
}

func newJob(key string) *Job {
	return &Job{Merchant: "hanbit", API: "http://127.0.0.1:1", Language: "ko", File: "../etc/주문\x00\xff.csv", Digest: "digest", Settings: `{"Set":"가"}`, Key: key, Day: "2026-11-05",
		By: "who@host", Submitted: time.UnixMicro(1767225600000002)}
}

func testJobs(t *testing.T, place string) {
	jobs := openJobs(t, place)
	r := rand.NewChaCha8([32]byte{})
	bytes_ := make([]byte, 5*pieceSize/2) // which do not get smaller
	r.Read(bytes_)

	// Stored by many at once, it is one job.
	added, first := make([]bool, 4), make([]*Job, 4)
	var all sync.WaitGroup
	for i := range added {
		first[i] = newJob("one")
		all.Go(func() {
			var err error
			if added[i], err = jobs.Add(ctx, first[i], false, bytes.NewReader(bytes_)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := strings.Count(strings.Join(texts(added), ""), "true"); n != 1 || t.Failed() {
		t.Fatalf("%d of them are new: %v", n, added)
	}
	for _, job := range first[1:] {
		if job.ID != first[0].ID {
			t.Errorf("jobs %d and %d", job.ID, first[0].ID)
		}
	}
	job, err := jobs.Get(ctx, first[0].ID)
	want := newJob("one")
	want.ID, want.State, want.File = job.ID, JobQueued, job.File
	if diff := cmp.Diff(*want, job); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if list, err := jobs.List(ctx, 10); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
	again := newJob("one")
	if added, err := jobs.Add(ctx, again, true, strings.NewReader("again")); err != nil || !added || again.ID == job.ID || again.Again != 1 {
		t.Error(added, again, err)
	}
	if first, err := jobs.First(ctx, again); err != nil || first {
		t.Error("an earlier file of the merchant is open", first, err)
	}

	// A file is whole, also an empty one, and is replaced by a shorter one.
	for kind, content := range map[string]string{".empty": "", ".short": "short"} {
		for _, content := range []string{string(bytes_), content} {
			if err := jobs.WriteFile(ctx, &job, kind, "name"+kind, strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			var read strings.Builder
			if err := jobs.ReadFile(ctx, job.ID, kind, &read); err != nil || read.String() != content {
				t.Errorf("%s: %v, %d bytes of %d", kind, err, read.Len(), len(content))
			}
		}
	}
	var read bytes.Buffer
	if err := jobs.ReadFile(ctx, job.ID, JobInput, &read); err != nil || !bytes.Equal(read.Bytes(), bytes_) {
		t.Errorf("%v, %d bytes", err, read.Len())
	}
	if err := jobs.ReadFile(ctx, job.ID, ".none", &read); !errors.Is(err, ErrNoFile) {
		t.Error(err)
	}

	// What has another turn changes nothing.
	late := job
	late.Turn = 7
	for what, err := range map[string]error{"seen": second(jobs.Seen(ctx, job.ID, 7)), "start": jobs.Start(ctx, nil, &late), "advance": second(jobs.Advance(ctx, &late)), "end": jobs.End(ctx, nil, &late, false), "lacks": jobs.Lacks(ctx, &late),
		"write": jobs.WriteFile(ctx, &late, ".short", "name.short", strings.NewReader("late"))} {
		if !errors.Is(err, ErrTurn) {
			t.Errorf("%s: %v", what, err)
		}
	}
	read.Reset()
	if err := errors.Join(jobs.RemoveResults(ctx, &late), jobs.ReadFile(ctx, job.ID, ".short", &read)); err != nil || read.String() != "short" {
		t.Errorf("%v; the process that had the turn before has changed the results to %q", err, read.String())
	}
	job.Whose = "merchant's"
	if err := jobs.Start(ctx, nil, &job); err != nil {
		t.Fatal(err)
	}
	job.Progress = JobProgress{Rows: 9, Done: 8, NotDone: 1, Waiting: 2, Won: 3, Sent: 4, Refused: 5}
	if cancel, err := jobs.Advance(ctx, &job); err != nil || cancel {
		t.Error(cancel, err)
	}
	if asked, err := jobs.Cancel(ctx, job.ID); err != nil || asked.State != JobRunning || asked.Progress != job.Progress || asked.Whose != job.Whose || asked.Started.IsZero() {
		t.Error(asked, err)
	}
	if cancel, err := jobs.Advance(ctx, &job); err != nil || !cancel {
		t.Error(cancel, err)
	}
	if asked, err := jobs.Cancel(ctx, again.ID); err != nil || asked.State != JobCancelled || asked.Exit != 5 || asked.Reason != "INTERRUPTED" {
		t.Error(asked, err)
	}

	// It ends once, and its files stay until they were fetched.
	job.State, job.Exit, job.Reason, job.Error, job.Summary = JobStopped, 5, "INTERRUPTED", "error\x00", "{}"
	if err := jobs.End(ctx, nil, &job, false); err != nil {
		t.Fatal(err)
	}
	if err := jobs.End(ctx, nil, &job, false); !errors.Is(err, ErrTurn) {
		t.Error(err)
	}
	remains := func(want int) {
		t.Helper()
		if err := jobs.RemoveFiles(ctx, 0); err != nil {
			t.Error(err)
		}
		if files, err := jobs.Files(ctx, job.ID); err != nil || len(files) != want {
			t.Error(files, err)
		}
	}
	remains(3)
	if err := jobs.NoteFetched(ctx, job.ID); err != nil {
		t.Error(err)
	}
	if err := jobs.RemoveFiles(ctx, time.Hour); err != nil {
		t.Error(err)
	}
	if ended, err := jobs.Get(ctx, job.ID); err != nil || ended.State != JobStopped || ended.Exit != 5 || ended.Ended.IsZero() || ended.Fetched.IsZero() {
		t.Error(ended, err)
	}
	if err := jobs.Resume(ctx, job.ID); err != nil {
		t.Error(err)
	}
	remains(3)
	if resumed, err := jobs.Get(ctx, job.ID); err != nil || resumed.State != JobQueued || resumed.Cancel || resumed.Error != "" || resumed.Approved.IsZero() || !resumed.Submitted.Equal(job.Submitted) {
		t.Error(resumed, err)
	}
	if err := jobs.RemoveResults(ctx, &job); err != nil {
		t.Error(err)
	}
	remains(1) // the input
	if err := jobs.End(ctx, nil, &job, false); err != nil {
		t.Error(err)
	}
	if err := jobs.NoteFetched(ctx, job.ID); err != nil {
		t.Error(err)
	}
	remains(0)
	if counts, err := jobs.Counts(ctx); err != nil || len(counts) != 2 || counts[0].State != JobCancelled || counts[1].Jobs != 1 || counts[1].Done != 8 {
		t.Error(counts, err)
	}
}

func texts(list []bool) (all []string) {
	for _, b := range list {
		if b {
			all = append(all, "true")
		}
	}
	return all
}

func second[T any](_ T, err error) error { return err }

// TestJobNeedsLease has a process end a job whose merchant's lease another one has claimed.
func TestJobNeedsLease(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	address := server.Database(t)
	jobs := openJobs(t, address)
	job := newJob("one")
	if _, err := jobs.Add(ctx, job, false, strings.NewReader("orders")); err != nil {
		t.Fatal(err)
	}
	_, lease := inDatabase(t, address, "merchant")
	if err := jobs.Start(ctx, lease, job); err != nil {
		t.Error(err)
	}
	server.Psql(t, "ledger1", `UPDATE leases SET epoch = epoch + 1, owner = 'another'`)
	job.State = JobDone
	if err := jobs.Start(ctx, lease, job); !errors.Is(err, ErrLeaseLost) {
		t.Error(err)
	}
	if err := jobs.End(ctx, lease, job, false); !errors.Is(err, ErrLeaseLost) {
		t.Error(err)
	}

	// A turn is given once, and takes the job from whoever had the one before.
	config, err := configure(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, want := range []error{nil, ErrTurn} {
		if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return QueueJob(ctx, tx, job.ID, 0, -1) }); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, err := jobs.Advance(ctx, job); !errors.Is(err, ErrTurn) {
		t.Error(err)
	}

	// Whoever gives a turn since nobody was seen must know the last time that somebody was: the job may have been taken up.
	turn := func(seen int64) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return QueueJob(ctx, tx, job.ID, 1, seen) })
	}
	seen := func() (at int64) {
		if err := conn.QueryRow(ctx, `SELECT seen_at FROM jobs`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := seen()
	if _, err := jobs.Seen(ctx, job.ID, 1); err != nil {
		t.Fatal(err)
	}
	if err := turn(before); !errors.Is(err, ErrTurn) {
		t.Errorf("a job was taken from who had come to it: %v", err)
	}
	now := seen()
	if err := turn(now); err != nil || seen() == now {
		t.Errorf("%v; whoever is given a turn has as long to come to it as anybody", err)
	}
}

// TestPurgeJobs: the files of jobs go with what the ledger knows of their orders, the merchant's own and those that are over, and
// uploads that nobody has approved.
func TestPurgeJobs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path, "merchant")
	jobs := openJobs(t, path)
	for _, key := range []string{"merchant", "another", "open"} {
		job := newJob(key)
		if _, err := jobs.Add(ctx, job, false, strings.NewReader("orders")); err != nil {
			t.Fatal(err)
		}
		if job.Whose = key; key == "open" {
			job.Whose = "merchant"
		}
		err := jobs.Start(ctx, nil, job)
		if job.State = JobDone; err == nil && key != "open" {
			err = jobs.End(ctx, nil, job, false)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			files, err := jobs.Files(ctx, job.ID)
			if err != nil || (key == "merchant") != (len(files) == 0) {
				t.Error(key, files, err)
			}
		}()
	}
	uploaded := newJob("upload")
	for _, uploaded.Whose = range []string{"merchant", "another"} {
		if err := jobs.Upload(ctx, uploaded, strings.NewReader("orders"), deed); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Purge(ctx, time.Now(), time.Now()); err != nil {
		t.Error(err)
	}
	if left, err := jobs.Before(ctx, &Job{Merchant: uploaded.Merchant, API: uploaded.API, Digest: uploaded.Digest}); err != nil || len(left) != 1 || left[0].Whose != "another" {
		t.Error("uploads that are left:", left, err)
	}
	if files, err := jobs.Files(ctx, uploaded.ID-1); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
	if all, _, err := marksIn(path); err != nil || len(all) != 2 {
		t.Error("the trail stays:", all, err)
	}
}

// TestUpgradeKeepsDamage: a line that its checksum did not fit does not get a good one.
func TestUpgradeKeepsDamage(t *testing.T) {
	path := written(t, "version3.sql")
	change(t, path, `UPDATE entries SET amount = amount + 1 WHERE run = 1 AND line = 4`)
	if err := Upgrade(ctx, path); err != nil {
		t.Fatal(err)
	}
	l := open(t, path, "merchant")
	if _, err := l.Entries(ctx, 1, 4, 4); !Damaged(err) {
		t.Error(err)
	}
}

// TestAddAnswerLost: a job that is queued keeps its file, though the answer to that was lost; so does an upload.
func TestAddAnswerLost(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	for name, words := range map[string]string{"submitted": "SET state = 'queued'", "uploaded": "commit\x00"} {
		t.Run(name, func(t *testing.T) {
			address := server.Database(t)
			jobs := openJobs(t, address)
			cutter := cut(t, server.Socket())
			cutter.words = words
			cutOff := openJobs(t, cutter.address(address, server.Socket()))
			cutter.cuts.Store(1)
			job := newJob("one")
			var err error
			if name == "submitted" {
				_, err = cutOff.Add(ctx, job, false, strings.NewReader("orders"))
			} else {
				err = cutOff.Upload(ctx, job, strings.NewReader("orders"), Deed{Who: "somebody", What: "upload"})
			}
			if cutter.made.Load() == 0 {
				t.Fatal("no answer was lost")
			}
			var file bytes.Buffer
			stored, failed := jobs.Get(ctx, 1)
			if failed != nil {
				t.Fatal("it is not stored", failed, err)
			}
			if err := jobs.ReadFile(ctx, stored.ID, JobInput, &file); err != nil || file.String() != "orders" {
				t.Errorf("the job is %s, and its file: %q, %v (to who brought it: %v)", stored.State, file.String(), err, err)
			}
		})
	}
}
