package batch_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"vbankbatch/batch/ledger"
	"vbankbatch/batch/ledger/ledgertest"
)

// inDatabase has the tests keep their ledgers in PostgreSQL.
var inDatabase = flag.Bool("database", false, "keep the ledgers in PostgreSQL")

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8") // what runs side by side waits for the disk, most of the time; -parallel goes before it
	flag.Parse()
	if *inDatabase {
		server, stop := ledgertest.Serve("fsync=off")
		databases.server = server
		status := m.Run()
		stop()
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// databases are those of the tests, by the path that the ledger would have in a file.
var databases struct {
	sync.Mutex
	server *ledgertest.Postgres
	names  map[string]string
}

// database returns the address of the database that stands for a path, and makes it where it is missing, a copy of another
// path's if one is named, or else of one that is up to date.
func database(t testing.TB, path, from string) string {
	databases.Lock()
	defer databases.Unlock()
	if databases.names == nil {
		databases.names = make(map[string]string)
		databases.server.Psql(t, "postgres", "CREATE DATABASE new OWNER vbankbatch")
		if err := ledger.Prepare(context.Background(), databases.server.Address("new")); err != nil {
			t.Fatal(err)
		}
	}
	if databases.names[path] == "" {
		name := fmt.Sprint("batch", len(databases.names))
		template := "new"
		if from != "" {
			template = databases.names[from]
		}
		databases.server.Psql(t, "postgres", "CREATE DATABASE "+name+" OWNER vbankbatch TEMPLATE "+template)
		// It stands for a file, which does not know that it is a copy.
		databases.server.Psql(t, name, `UPDATE ledger_schema SET origin = regexp_replace(origin, '[0-9]+$', (SELECT oid::text FROM pg_database WHERE datname = current_database()))`)
		databases.names[path] = name
	}
	return databases.server.Address(databases.names[path])
}

// open opens the world's ledger. A lease in a database is never renewed: in faked time it would be, every moment.
func (w *world) open() (*ledger.Ledger, error) {
	if !*inDatabase {
		return ledger.Open(w.ledger, "merchant")
	}
	w.release()
	lease, err := ledger.Claim(w.t.Context(), w.place(), "merchant", ledger.Terms{Life: time.Minute, Patience: w.opts.DoubtWait,
		Time: 100 * 365 * 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	if !w.cleans {
		w.cleans = true
		w.t.Cleanup(w.release)
	}
	w.lease = lease
	return lease.Ledger(w.t.Context())
}

// place is where the world's ledger is.
func (w *world) place() string {
	if *inDatabase {
		return database(w.t, w.ledger, "")
	}
	return w.ledger
}

// release gives the lease of the ledger that was open last back.
func (w *world) release() {
	if w.lease != nil {
		if err := w.lease.Release(); err != nil {
			w.t.Error(err)
		}
		if w.died {
			name := databases.names[w.ledger]
			databases.server.Psql(w.t, name, "UPDATE leases SET released = false")
		}
		w.lease, w.died = nil, false
	}
}

// save keeps the ledger, which is not open, as it is now.
func (w *world) save() (backup string) {
	w.saved++
	backup = fmt.Sprintf("%s.%d", w.ledger, w.saved)
	if *inDatabase {
		w.release()
		database(w.t, backup, w.ledger)
		return backup
	}
	w.copyFile(w.ledger, backup)
	return backup
}

// restore puts the world's ledger at another place, as it was when it was saved, or lost if it was not.
func (w *world) restore(backup string) {
	w.release()
	w.ledger += "+"
	if backup == "" {
		return
	}
	if *inDatabase {
		database(w.t, w.ledger, backup)
		return
	}
	w.copyFile(backup, w.ledger)
}

func (w *world) copyFile(from, to string) {
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
