package batch

import (
	"context"
	"slices"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

// Present is Results, and tells of every row what the ledger knows of its order now, whichever file brought that: a row that
// was refused in the run and mended in a file of its own has its account. Of an order that the ledger has nothing of, it
// tells what the run came to.
func Present(ctx context.Context, plan *Plan, book Known, run ledger.Run, do func(*input.Row, *Result) error) error {
	return eachResult(ctx, plan, func(ctx context.Context, block []*input.Row) ([]Result, error) {
		results, err := resultsOf(ctx, block, book, run.ID)
		if err != nil {
			return nil, err
		}
		jobs, named := make([]job, len(block)), make([]ledger.Order, len(block))
		for i, row := range block {
			jobs[i].row = row
			named[i] = jobs[i].names()
		}
		orders, err := book.Orders(ctx, named)
		for i := range jobs {
			jobs[i].know(orders)
			jobs[i].begin(results[i].Status)
			results[i] = jobs[i].present(results[i], run)
		}
		return results, err
	}, do)
}

// present returns the result of a row by what the run told of it, and by how its order stands now.
func (j *job) present(told Result, run ledger.Run) Result {
	row, order := j.row, &j.order
	own := order.Run == run.ID && order.Line == told.Line // the row's entry holds the order
	switch {
	case order.State == ledger.Vacant || told.Status == Skipped || !namesOrder(row):
		return told
	case order.State == ledger.Changing || order.State == ledger.Intended && row.Action == input.Issue:
		if told.Status == Unknown {
			return told
		}
		return j.result(Unknown, CodeInDoubt, "")
	case questioned(order) && row.Action == input.Issue && !own:
		return j.result(order.Status, order.ErrorCode, order.ErrorMessage)
	case questioned(order):
		return told
	case row.Action == input.Revoke && order.State == ledger.Revoked && NotDone(told.Status):
		return j.result(j.already(), "", "")
	case row.Action == input.Update && order.State == ledger.Revoked && !NotDone(told.Status),
		row.Action == input.Issue && order.State == ledger.Revoked && (order.Run > run.ID || told.Run == 0 && !run.Finished.IsZero()):
		// A row without an entry in a run that is finished had its account then. An account that was revoked before the run is
		// not what the row asks for.
		return j.result(Revoked, "", "")
	case row.Action == input.Issue && order.State == ledger.Issued:
		return j.presentIssue(told, own)
	case row.Action == input.Update && order.State == ledger.Issued && !row.Invalid():
		return j.presentUpdate(told)
	}
	return told
}

// presentIssue is present for an issue whose order has its account. It must be for the row's amount, unless that was what
// had to be mended. Another due date or bank may be what was mended: it is told, and is a conflict only where the run called
// it one.
func (j *job) presentIssue(told Result, own bool) Result {
	row, order := j.row, &j.order
	amount, _ := current(order)
	mended := complained(row, "amount")
	other := row.Request.Amount != amount
	differs := differences(row, order)
	switch {
	case own && NotDone(told.Status) && (told.Status != Conflict || other):
		return told
	case !NotDone(told.Status) && told.ImpUID == order.ImpUID && !other:
		return told
	case other && !mended, told.Status == Conflict && differs != "":
		return j.result(Conflict, CodeFiguresDiffer, say.Messagef("%s; to change it use a row with the action update", differs))
	case other:
		differs = say.Messagef("the row's amount was wrong; the account is for %d won, by a row of another file", amount)
	case row.Invalid():
		differs = ""
	}
	code := purged(order)
	result := j.result(AlreadyIssued, code, differs)
	result.Amount = amount
	return result
}

// presentUpdate is present for an update of an account that stands.
func (j *job) presentUpdate(told Result) Result {
	amount, due := current(&j.order)
	switch same := unchanged(j.row, &j.order); {
	case same && NotDone(told.Status):
		return j.result(j.already(), purged(&j.order), "")
	case !same && !NotDone(told.Status) && told.ImpUID == j.order.ImpUID:
		return j.result(Conflict, CodeFiguresDiffer, say.Messagef("the account was changed again since: it is for %d won, due %s", amount, input.FormatDue(due)))
	}
	return told
}

// namesOrder reports whether it is sure which order a row means, and that no other row of the file claims it.
func namesOrder(row *input.Row) bool {
	return row.Request.MerchantUID != "" && !complained(row, "merchant_uid") && !slices.ContainsFunc(row.Problems, func(p input.Problem) bool {
		return !p.Warning && (p.Code == input.ColumnCount || p.Code == input.UnreadableRow || p.Code == CodeDuplicateConflict)
	})
}

// complained reports whether something is wrong with the row's value of a field.
func complained(row *input.Row, field string) bool {
	return slices.ContainsFunc(row.Problems, func(p input.Problem) bool { return !p.Warning && p.Field == field })
}
