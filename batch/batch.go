// Package batch takes a file of orders through its three passes: [Preflight] reads and checks it whole, [Run] issues,
// updates or revokes an account for every row, and [Results] reads the input once more beside the ledger's entries.
// Each pass streams; memory does not grow with the accounts issued.
//
// The promise: an order gets one account, whatever happens to the process, the network or the API. The rule behind
// it: before an issue is sent its intent is durable in the ledger, and an issue that may have reached the API is
// never sent again before the API has been asked. What cannot be known is said to be unknown.
//
// Each file uses only those that stand below it in this list:
//
//	run.go        Run: gives the rows to the workers
//	ahead.go      reads rows ahead of the workers, and looks their orders up
//	audit.go      compares what a run sent with the API, at its end
//	reconcile.go  Reconcile and Settle: orders in doubt, without their file
//	present.go    Present: the rows beside what is known of their orders now
//	results.go    Results: the rows beside their entries
//	row.go        the life of a row: decide, begin, process, conclude
//	change.go     updates and revocations
//	record.go     what the rows of a run share; their outcomes go to the ledger
//	doubt.go      orders in doubt, and what the API says of them
//	order.go      a row and what is known of its order
//	stop.go       what ends a run early
//	plan.go       Preflight
//	batch.go      what a run is told, and what it asks of the API and the ledger
//	repeat.go     orders that stand in several rows
//	result.go     statuses and codes
//
// Package batch does not read bytes (batch/input does), speak HTTP (client) or write reports (report).
package batch

import (
	"context"
	"sync/atomic"
	"time"

	"vbankbatch/batch/ledger"
	"vbankbatch/client"
)

// API is what a run asks of the PortOne API; *client.Client is one. Its errors are *client.Error.
type API interface {
	Issue(context.Context, client.IssueRequest) (client.Payment, error)
	Update(ctx context.Context, impUID string, request client.UpdateRequest) (client.Payment, error)
	Revoke(ctx context.Context, impUID string, request client.RevokeRequest) (client.Payment, error)
	LookUp
}

// LookUp is the part of the API that changes nothing.
type LookUp interface {
	Payment(ctx context.Context, tier, impUID string) (client.Payment, error)
	Payments(ctx context.Context, tier string, merchantUIDs []string) (map[string][]client.Payment, error)
	FindAll(ctx context.Context, tier, merchantUID, status string) ([]client.Payment, error)
	ServerTime() time.Time
}

// Ledger is what a run asks of the ledger; *ledger.Ledger is one.
type Ledger interface {
	Begin(context.Context, ledger.Run) (ledger.Run, error)
	Intend(context.Context, ...ledger.Entry) error
	RecordOutcome(context.Context, ...ledger.Outcome) error
	Record(context.Context, ...ledger.Entry) error
	RecordBatched(context.Context, ...ledger.Entry) error
	Known
	Shared
}

// Known is the part of the ledger that only reads.
type Known interface {
	Orders(context.Context, []ledger.Order) (map[ledger.Order]ledger.Entry, error)
	InDoubt(context.Context) ([]ledger.Entry, error)
	Sent(ctx context.Context, run, after int64, limit int) ([]ledger.Entry, error)
	Entries(ctx context.Context, run, first, last int64) ([]ledger.Entry, error)
	Statuses(ctx context.Context, run, first, last int64) (map[int64]string, error)
	Runs(ctx context.Context, interrupted bool) ([]ledger.Run, error)
}

// Shared is what a ledger knows of other hosts; that of one host says nothing.
type Shared interface {
	Quiet() time.Time
	Restored() bool
	Strays(context.Context) ([]ledger.Entry, error)
	Settled(context.Context, ledger.Entry) error
}

// Options are what a run is told.
type Options struct {
	Workers     int              // rows in flight
	DoubtWait   time.Duration    // since an intent, before "not found" is believed
	SettleTime  time.Duration    // for settling rows in doubt after the run was told to stop
	LeaveDoubts bool             // an order that an earlier run left in doubt, and that the API does not show, stays unknown
	RemoteCheck bool             // ask the API for orders that the ledger does not know as issued
	MaxFailures Limit            // stop once this many rows were refused by the API
	Until       time.Time        // take no new rows from then on, by the API's clock; zero is no end
	PGAPIKeys   client.PGAPIKeys // for KG Inicis
	Begun       func(ledger.Run) // is told of the run before anything is sent; may be nil
	Counts      *Counts          // bumped as rows get done; may be nil
	Audit       *Audit           // close the run with an audit, and fill this in; nil leaves it out
}

// Counts are bumped while a run is under way, for whoever shows its progress.
type Counts struct {
	Done    atomic.Int64 // rows with an outcome, those of an interrupted run included
	Failed  atomic.Int64 // of them, rows that were not done
	Settled atomic.Int64 // of them, rows that needed no request, such as those of an interrupted run
	Won     atomic.Int64 // issued
	Pending atomic.Int64 // rows that wait to be looked up, or for their next try
	Audited atomic.Int64 // orders looked at once more, at the end

	// These are what Options.MaxFailures is held against, and Won counts on too: what goes on with a run in another process may
	// set all three to where they stood.
	Sent    atomic.Int64 // rows that the API has done or refused
	Refused atomic.Int64 // of them
}

// settled counts a row that needed no request.
func (c *Counts) settled(status Status) {
	c.Settled.Add(1)
	c.done(status)
}

func (c *Counts) done(status Status) {
	c.Done.Add(1)
	if NotDone(status) {
		c.Failed.Add(1)
	}
}

// Audit is what the look at the end of a run found.
type Audit struct {
	Orders  int   // sent by the run, and looked at
	Closely int   // of them, those looked at one by one
	Changed int   // rows of which the API told something else than the run had
	Err     error // why some were not looked at; nil when all were
}

// Rows are read in blocks, each of which shares one look-up in the ledger. A chunk of orders shares one look-up at the API.
const (
	blockRows = 1024
	chunkRows = 100
)
