package batch

import (
	"context"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
)

// windowLines is how many lines' outcomes are read from the ledger at once.
const windowLines = 2048

// Results reads the plan's file once more beside the outcomes of a run, and calls do with every data row and what
// became of it, in input order. The row and the result are valid during the call only.
func Results(ctx context.Context, plan *Plan, book Known, run int64, do func(*input.Row, *Result) error) error {
	doubts, err := book.InDoubt(ctx)
	if err != nil {
		return err
	}
	inDoubt := make(map[int64]ledger.Order)
	for _, order := range doubts {
		if order.Run == run {
			inDoubt[order.Line] = order
		}
	}
	var window []Result
	last := int64(0)
	return plan.Each(ctx, func(row *input.Row) error {
		line := int64(row.Line)
		if line > last {
			last = line + windowLines - 1
			if window, err = book.Outcomes(ctx, run, line, last); err != nil {
				return err
			}
		}
		for len(window) > 0 && window[0].Line < line {
			window = window[1:]
		}
		if len(window) > 0 && window[0].Line == line {
			return do(row, &window[0])
		}
		result := unrecorded(row)
		if order, ok := inDoubt[line]; ok {
			j := job{row: row, order: order, sent: order.Attempts}
			result = j.result(Unknown, CodeInDoubt, Codes[CodeInDoubt])
		}
		return do(row, &result)
	})
}

// unrecorded is the result of a row for which the ledger has no outcome: its own fault, or not reached.
func unrecorded(row *input.Row) Result {
	j := job{row: row}
	switch {
	case row.Invalid():
		code, message := row.Complaint()
		return j.result(Invalid, code, message)
	case row.Skip != "":
		return j.result(Skipped, row.Skip, j.whySkipped())
	}
	return j.result(NotSent, CodeStopped, Codes[CodeStopped])
}
