// Package batch takes a file of orders through its three passes: [Preflight] reads and checks it whole, [Run] issues,
// updates or revokes an account for every row, and the results are the input read once more beside the ledger's
// entries ([Results]). Each pass streams; memory does not grow with the accounts issued.
//
// The promise: an order gets one account, whatever happens to the process, the network or the API. The rule behind
// it: before an issue is sent its intent is durable in the ledger, and an issue that may have reached the API is
// never sent again before the API has been asked ([Run], doubt.go). What cannot be known is said to be unknown.
//
// Package batch does not read bytes (batch/input does), speak HTTP (client) or write reports (report).
package batch

import (
	"context"
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
}

// Known is the part of the ledger that only reads.
type Known interface {
	Orders(context.Context, []ledger.Order) (map[ledger.Order]ledger.Entry, error)
	InDoubt(context.Context) ([]ledger.Entry, error)
	Sent(ctx context.Context, run, after int64, limit int) ([]ledger.Entry, error)
	Entries(ctx context.Context, run, first, last int64) ([]ledger.Entry, error)
	Statuses(ctx context.Context, run, first, last int64) (map[int64]string, error)
}

// Options are what a run is told.
type Options struct {
	Workers     int              // rows in flight
	DoubtWait   time.Duration    // since an intent, before "not found" is believed
	SettleTime  time.Duration    // for settling rows in doubt after the run was told to stop
	RemoteCheck bool             // ask the API for orders that the ledger does not know as issued
	MaxFailures Limit            // stop once this many rows were refused by the API
	Until       time.Time        // take no new rows from then on, by the API's clock; zero is no end
	PGAPIKeys   client.PGAPIKeys // for KG Inicis
	Counts      *Counts          // bumped as rows get done; may be nil
	Audit       *Audit           // close the run with an audit, and fill this in; nil leaves it out
}
