package batch

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

// Results reads the plan's file once more beside the entries of a run, and calls do with every data row and what
// became of it, in input order. Rows that the run did not reach, or left in doubt, are told by what the ledger knows
// of their orders now. The row and the result are valid during the call only.
func Results(ctx context.Context, plan *Plan, book Known, run int64, do func(*input.Row, *Result) error) error {
	return eachResult(ctx, plan, func(ctx context.Context, block []*input.Row) ([]Result, error) {
		return resultsOf(ctx, block, book, run)
	}, do)
}

// eachResult calls do with every data row and the result that tell has of it.
func eachResult(ctx context.Context, plan *Plan, tell func(context.Context, []*input.Row) ([]Result, error), do func(*input.Row, *Result) error) error {
	type told struct {
		rows    []*input.Row
		results []Result
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks := make(chan told, 1)
	var reading errgroup.Group
	reading.Go(func() error { // the next block is looked up while do is busy with this one
		defer close(blocks)
		return plan.blocks(ctx, func(block []*input.Row) error {
			results, err := tell(ctx, block)
			if err != nil {
				return err
			}
			select {
			case blocks <- told{block, results}:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	var failed error
	for block := range blocks {
		for i := 0; failed == nil && i < len(block.rows); i++ {
			plan.warn(block.rows[i].Line, &block.results[i])
			if failed = do(block.rows[i], &block.results[i]); failed != nil {
				cancel()
			}
		}
	}
	err := reading.Wait()
	return cmp.Or(failed, err)
}

// Recorded calls do with every row of a run that the ledger has an entry of, in the order of lines, and what became of it,
// without the run's file: of the row there is only what its entry says. Rows that the run did not reach are missing. The row
// and the result are valid during the call only.
func Recorded(ctx context.Context, book interface {
	Known
	EntriesAfter(ctx context.Context, run, line int64, most int) ([]ledger.Entry, error)
}, run int64, do func(*input.Row, *Result) error) error {
	for line := int64(0); ; {
		entries, err := book.EntriesAfter(ctx, run, line, blockRows)
		if err != nil || len(entries) == 0 {
			return err
		}
		line = entries[len(entries)-1].Line
		block := make([]*input.Row, len(entries))
		for i := range entries {
			block[i] = rowOf(&entries[i])
		}
		results, err := joined(ctx, block, entries, book)
		if err != nil {
			return err
		}
		for i := range results {
			if err := do(block[i], &results[i]); err != nil {
				return err
			}
		}
	}
}

// rowOf returns the row of an entry, as far as the entry says. It does not say whether the due date was relative, so the row
// claims that it was: then an order that was issued with another due date is not a conflict.
func rowOf(e *ledger.Entry) *input.Row {
	row := &input.Row{Line: int(e.Line), Action: input.Action(e.Action), ImpUID: e.ImpUID, Tier: e.Tier, Bank: e.Bank, RelativeDue: true}
	row.Request.MerchantUID, row.Request.Amount, row.Request.VbankDue = e.MerchantUID, e.Amount, e.Due
	return row
}

// resultsOf returns the results of a block of rows.
func resultsOf(ctx context.Context, block []*input.Row, book Known, run int64) ([]Result, error) {
	entries, err := book.Entries(ctx, run, int64(block[0].Line), int64(block[len(block)-1].Line))
	if err != nil {
		return nil, err
	}
	results, err := joined(ctx, block, entries, book)
	if err == nil {
		err = recall(ctx, results, book, run)
	}
	return results, err
}

// recall gives rows that a run did not get to the reason for which an earlier run over the same bytes did not do them: what
// is to be mended must not be lost by a run that ended at once.
func recall(ctx context.Context, results []Result, book Known, run int64) error {
	forgotten := make(map[int64]*Result)
	for i := range results {
		if r := &results[i]; r.Run == 0 && r.Status == NotSent && r.ErrorCode == CodeStopped {
			forgotten[r.Line] = r
		}
	}
	if len(forgotten) == 0 {
		return nil
	}
	runs, err := book.Runs(ctx, false)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(runs, func(r ledger.Run) bool { return r.ID == run })
	for _, earlier := range runs[at+1:] {
		if at < 0 || len(forgotten) == 0 || earlier.Digest != runs[at].Digest || earlier.Settings != runs[at].Settings {
			continue
		}
		entries, err := book.Entries(ctx, earlier.ID, results[0].Line, results[len(results)-1].Line)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if r := forgotten[e.Line]; r != nil && (e.Status == Rejected || e.Status == Conflict) {
				r.ErrorCode, r.ErrorMessage = e.ErrorCode, cmp.Or(e.ErrorMessage, meaning(e.ErrorCode))
			}
			delete(forgotten, e.Line)
		}
	}
	return nil
}

// joined joins rows with their entries, both in the order of lines, and with what the ledger knows of their orders.
func joined(ctx context.Context, block []*input.Row, entries []ledger.Entry, book Known) ([]Result, error) {
	results, open := make([]Result, len(block)), make([]bool, len(block))
	elsewhere := make([]bool, len(block)) // the account that the row was told is held by another run's line
	var named []ledger.Order              // by the rows whose entry does not say all
	for i, row := range block {
		for len(entries) > 0 && entries[0].Line < int64(row.Line) {
			entries = entries[1:]
		}
		// A row is open if it has no entry, or waits for the entry of another run that holds its order.
		if open[i] = true; len(entries) > 0 && entries[0].Line == int64(row.Line) {
			results[i], open[i] = resultOf(&entries[0])
			elsewhere[i] = row.Action == input.Issue && entries[0].State == ledger.Vacant && (entries[0].Status == Issued || entries[0].Status == AlreadyIssued)
		}
		if open[i] || elsewhere[i] || mayBeReissued(row, &results[i]) {
			named = append(named, (&job{row: row}).names())
		}
	}
	orders, err := book.Orders(ctx, named)
	if err != nil {
		return nil, err
	}
	for i, row := range block {
		now := orders[(&job{row: row}).names()]
		if open[i] {
			j := job{row: row}
			j.know(orders)
			j.begin(results[i].Status)
			results[i] = j.resultNow(results[i])
		} else if elsewhere[i] {
			results[i] = heldElsewhere(results[i], &now)
		}
		if !open[i] && mayBeReissued(row, &results[i]) && now.ImpUID != "" && now.ImpUID != results[i].ImpUID {
			results[i].ErrorMessage = say.Messagef("the account was revoked; the order has another one since then: %s", now.ImpUID)
		}
	}
	return results, nil
}

// heldElsewhere returns what a row was told of an account that another line holds, by how its order stands now.
func heldElsewhere(result Result, now *ledger.Entry) Result {
	switch {
	case now.State == ledger.Vacant: // a person said that the order has none
		result.Status, result.ErrorCode, result.ErrorMessage, result.Account = NotSent, CodeNoAccount, meaning(CodeNoAccount), ledger.Account{}
	case now.State == ledger.Revoked || now.ImpUID != result.ImpUID:
		result.Status = Revoked
	case questioned(now):
		result.Status, result.ErrorCode, result.ErrorMessage = now.Status, now.ErrorCode, now.ErrorMessage
	}
	return result
}

// mayBeReissued reports an account that was revoked after its issue: another run may have issued a new one for the order.
func mayBeReissued(row *input.Row, result *Result) bool {
	return row.Action == input.Issue && result.Status == Revoked
}

// resultOf returns what an entry says of its row. It is open if another entry, which holds the row's order, may say more.
func resultOf(e *ledger.Entry) (result Result, open bool) {
	result = e.Outcome
	result.ErrorMessage = cmp.Or(result.ErrorMessage, meaning(result.ErrorCode))
	if e.State == ledger.Revoked && !NotDone(e.Status) {
		result.Status = Revoked // by a later run; nobody must be told to pay into it
	}
	open = e.Status == Unknown || e.Status == NotSent && e.ErrorCode != CodeLookUpsDisagree
	return result, e.Status == "" || open && e.State == ledger.Vacant
}

// resultNow returns the result of a row that the run did not reach or left unknown, by what the ledger knows of its order now.
func (j *job) resultNow(before Result) Result {
	unknown := before.Status == Unknown
	doubted := j.row.Action == input.Issue && (j.order.State == ledger.Intended || j.order.State == ledger.Changing)
	result := j.decide()
	switch {
	case result.Status != "": // the order is settled, or the row cannot be done
		return result
	case unknown && (doubted || questioned(&j.order) || j.row.Action != input.Issue):
		return before
	case unknown:
		return j.result(NotSent, CodeNoAccount, "")
	case doubted:
		return j.result(Unknown, CodeInDoubt, "")
	case before.Status != "":
		return before
	}
	return j.result(NotSent, CodeStopped, "")
}

// warn adds to a result without a code that the row's order number looks like another's, if it does.
func (p *Plan) warn(line int, result *Result) {
	if other, ok := p.Alike[line]; ok && result.ErrorCode == "" && result.Status != Skipped {
		result.ErrorCode, result.ErrorMessage = CodeKeyLooksAlike, Alike(other)
	}
}
