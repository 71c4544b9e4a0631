package batch

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// run is one pass of a plan's rows through the workers.
type run struct {
	id       int64
	plan     *Plan
	api      API
	ledger   Ledger
	options  Options
	stop     context.CancelCauseFunc
	failures failures
	pending  pending
	perRow   atomic.Int64        // nanoseconds that the workers took for a row of late; 0 is not known
	outcomes chan []ledger.Entry // to be recorded; see recorder
	accounts accounts
	suspects sync.Map             // the lines, for the audit: found after their answer was lost
	flying   sync.Map             // the rows whose intent this process has made, and whose outcome is not durable yet, by their orders
	unripe   sync.Map             // the rows whose change was answered after a try that was lost, and may still be carried out; by imp_uid
	doubted  accounts             // orders in doubt, one of whose rows at a time settles it
	freed    map[ledger.Order]int // how often those were sent that were found at the start to have no account
	given    atomic.Int64         // outcomes that the recorder was given
	taken    atomic.Int64         // those of them that it is done with
	broken   atomic.Bool          // the ledger takes no more
	blind    atomic.Bool          // the API's lists do not hold the accounts of its test channels
}

// record hands a row's outcome to the recorder. A row whose own line holds the order's account goes on holding it.
func (r *run) record(j *job, result Result) {
	entry := ledger.Entry{Outcome: result}
	if r.holds(j, &j.order) && (j.order.State == ledger.Issued || j.order.State == ledger.Changing) {
		entry = j.order
		if result.Status != AlreadyIssued { // it was, by this row
			entry.Status, entry.ErrorCode, entry.ErrorMessage = result.Status, result.ErrorCode, result.ErrorMessage
		}
	}
	r.recordEntries(j, entry)
}

// changed records a row's outcome and, if the ledger knows the account, how it stands now.
func (r *run) changed(j *job, result Result) { r.recordEntries(j, withOrder(j, result)...) }

// withOrder returns the entries of a row's outcome and of its order, if the ledger has one.
func withOrder(j *job, result Result) []ledger.Entry {
	entries := []ledger.Entry{{Outcome: result}}
	if j.order.Run != 0 {
		entries = append(entries, j.order)
	}
	return entries
}

// recordEntries hands entries to the recorder, the first of which is the row's own.
func (r *run) recordEntries(j *job, entries ...ledger.Entry) {
	entries[0].Run = r.id
	r.given.Add(1)
	r.outcomes <- entries
	r.counted(j, &entries[0].Outcome) // which the recorder only reads
}

// waitForRecorder waits until what was recorded before is durable.
func (r *run) waitForRecorder() {
	for given := r.given.Load(); r.taken.Load() < given; {
		time.Sleep(time.Millisecond)
	}
}

// told counts a row whose outcome is durable already.
func (r *run) told(j *job, entry *ledger.Entry) {
	r.flying.CompareAndDelete(j.names(), j)
	r.options.Counts.done(entry.Status)
	r.options.Counts.Won.Add(wonIssued(entry))
	r.counted(j, &entry.Outcome)
}

// counted counts a row's outcome among its PG's.
func (r *run) counted(j *job, result *Result) {
	switch result.Status {
	case Issued, Updated, Revoked:
		r.failures.accepted(j.row.PG)
	case Rejected:
		if reason := r.failures.add(j.row.PG, result); reason != nil {
			r.stop(reason)
		}
	}
}

// recorder makes outcomes durable, as many at a time as have queued up. Workers do not wait for it: an outcome that
// is lost leaves its intent behind, and the order in doubt. A ledger that cannot take one ends the run.
func (r *run) recorder() error {
	broken := false
	var statuses []Status
	var entries []ledger.Entry
	for outcome := range r.outcomes {
		won := wonIssued(&outcome[0])
		statuses, entries = append(statuses[:0], outcome[0].Status), append(entries[:0], outcome...)
		for len(r.outcomes) > 0 && len(entries) < cap(r.outcomes) {
			outcome = <-r.outcomes
			won += wonIssued(&outcome[0])
			statuses, entries = append(statuses, outcome[0].Status), append(entries, outcome...)
		}
		if !broken { // what comes after a lost outcome is lost too, so that the ledger never has a later one alone
			broken = !r.recordAll(entries, statuses, won)
		}
		r.taken.Add(int64(len(statuses)))
	}
	return nil
}

// recordAll makes entries durable, which are the outcomes of rows of those statuses, and reports whether later ones may follow.
func (r *run) recordAll(entries []ledger.Entry, statuses []Status, won int64) bool {
	if err := r.ledger.RecordBatched(context.Background(), entries...); err != nil {
		r.broken.Store(true)
		r.stop(err)
		return errors.Is(err, ledger.ErrLeaseLost) // then the next holder is told of the accounts
	}
	for i := range entries {
		if by, flying := r.flying.Load(entries[i].Order); flying && r.holds(by.(*job), &entries[i]) {
			r.flying.Delete(entries[i].Order)
		}
	}
	for _, status := range statuses {
		r.options.Counts.done(status)
	}
	r.options.Counts.Won.Add(won)
	return true
}

func wonIssued(e *ledger.Entry) int64 {
	if e.Status != Issued {
		return 0
	}
	return e.Amount
}

// refusal returns the result of a row whose request surely had no effect, or whose look-up before the request failed. It
// stops the run if every other row would fail too.
func (r *run) refusal(j *job, err error) Result {
	if reason := EndsRun(err); reason != nil {
		r.stop(reason)
	}
	fault, ok := errors.AsType[*client.Error](err)
	if !ok {
		return j.result(NotSent, CodeStopped, say.Of(err))
	}
	switch fault.Kind {
	case client.Stopped:
		return j.result(NotSent, CodeStopped, "")
	case client.RateLimited:
		return j.result(NotSent, CodeAPIBusy, "")
	case client.Unauthorized:
		return j.result(NotSent, CodeUnauthorized, fault.Say())
	case client.NotFound:
		return j.result(Rejected, CodeNotFound, say.Message(fault.Message))
	case client.Refused:
		code, _ := everyRow(fault.Message)
		return j.result(Rejected, cmp.Or(code, CodePGRefused), say.Message(fault.Message))
	}
	return j.result(NotSent, CodeAPIUnreachable, fault.Say())
}

// notAsked returns the result of an issue that was not sent because the look-up before it failed or was refused.
func (r *run) notAsked(j *job, err error) Result {
	result := r.refusal(j, err)
	result.Status = NotSent
	return result
}

// passingWaits are how long a row waits before each further try, after the API refused it for a reason that passes.
var passingWaits = [...]time.Duration{15 * time.Second, time.Minute, 4 * time.Minute}

// tryLater puts a row aside until its next try, if it was refused for a reason that passes, and reports whether it did.
func (r *run) tryLater(ctx context.Context, j *job, err error, refusal Result) bool {
	if client.KindOf(err) != client.Refused || !pg.Passing(j.row.PG, string(refusal.ErrorMessage)) || j.refusals >= len(passingWaits) {
		return false
	}
	// The intent is taken back meanwhile: a process that dies while it waits leaves no doubt behind.
	refusal.Run, refusal.Status = r.id, NotSent
	if err := r.ledger.Record(ctx, withOrder(j, refusal)...); err != nil {
		r.stop(err)
		return false
	}
	j.refusals++
	j.refusal = refusal.ErrorMessage
	if j.row.Action == input.Issue {
		j.stage = toLookUp // a bank that was slow may have made the account all the same
	}
	return r.pending.sendAgain(j, time.Now().Add(passingWaits[j.refusals-1]))
}

// setAside puts a row in doubt aside.
func (r *run) setAside(j *job) {
	r.pending.put(newDoubt(j.order, j, r.ledger.Quiet(), r.options.DoubtWait, r.api.ServerTime()))
	if _, lost := r.pending.inDoubt(); lost >= maxPending {
		r.stop(&StopError{CodeTooManyInDoubt, say.Errorf("%d rows have lost their answer and wait to be looked up", maxPending)})
	}
}

// waitUntilRipe puts a row aside while a request that was lost may still change its account, and reports whether it did. The
// row comes back when that time has passed.
func (r *run) waitUntilRipe(ctx context.Context, j *job) bool {
	if j.ripe.IsZero() { // an earlier process's
		j.ripe = ripeFor(&j.order, r.ledger.Quiet(), r.options.DoubtWait, r.api.ServerTime())
	}
	if !time.Now().Before(j.ripe) {
		return false
	}
	r.sendAgain(ctx, j, j.ripe)
	return true
}

// sendAgain puts a row aside until a time; where too many rows wait already, its worker waits with it.
func (r *run) sendAgain(ctx context.Context, j *job, at time.Time) {
	if !r.pending.sendAgain(j, at) {
		pause(ctx, time.Until(at))
		r.pending.sendAgain(j, time.Time{})
	}
}

// timeIsUp stops the run once the API's clock shows the end of Options.Until.
func (r *run) timeIsUp() bool {
	up := !r.options.Until.IsZero() && !r.api.ServerTime().Before(r.options.Until)
	if up {
		r.stop(&StopError{Code: CodeTimeIsUp})
	}
	return up
}

// payments returns every payment of an order, and the one that the ledger claims although no list holds it.
func (r *run) payments(ctx context.Context, e *ledger.Entry) ([]client.Payment, error) {
	payments, err := r.api.FindAll(ctx, e.Tier, e.MerchantUID, "")
	if err != nil || e.State != ledger.Issued || claimed(e, payments) != nil {
		return payments, err
	}
	own, err := r.api.Payment(ctx, e.Tier, e.ImpUID)
	switch {
	case client.KindOf(err) == client.NotFound:
		return payments, nil
	case err != nil:
		return nil, err
	}
	if own.Sandbox {
		r.blind.Store(true)
	}
	return append(payments, own), nil
}

// accounts lets one row at a time change an account, or settle an order in doubt: a file may name it in one row by its order and
// in another by its imp_uid. The zero value is ready.
type accounts struct {
	mu     sync.Mutex
	busy   map[string]chan struct{} // by imp_uid; closed when the row that holds it is done
	recent map[string]bool          // changed by rows of late, about which other rows may know less
	order  [recentAccounts]string   // of recent, the next to be forgotten at next
	next   int
}

// recentAccounts is more than the rows that are read ahead.
const recentAccounts = 4 * blockRows

// lock waits for the account and returns what lets it go, and whether another row has held it of late.
func (a *accounts) lock(impUID string) (unlock func(), before bool) {
	a.mu.Lock()
	for a.busy[impUID] != nil {
		done := a.busy[impUID]
		a.mu.Unlock()
		<-done
		a.mu.Lock()
	}
	defer a.mu.Unlock()
	if a.busy == nil {
		a.busy, a.recent = make(map[string]chan struct{}), make(map[string]bool)
	}
	done := make(chan struct{})
	a.busy[impUID] = done
	if before = a.recent[impUID]; !before {
		delete(a.recent, a.order[a.next])
		a.order[a.next], a.recent[impUID] = impUID, true
		a.next = (a.next + 1) % recentAccounts
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.busy, impUID)
		close(done)
	}, before
}
