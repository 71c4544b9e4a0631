package batch

import (
	"context"

	"vbankbatch/batch/input"
)

// windowLines is how many lines' entries are read from the ledger at once.
const windowLines = 2048

// Results reads the plan's file once more beside the entries of a run, and calls do with every data row and what
// became of it, in input order. The row and the result are valid during the call only.
func Results(ctx context.Context, plan *Plan, book Known, run int64, do func(*input.Row, *Result) error) error {
	var window []Result
	last := int64(0)
	return plan.Each(ctx, func(row *input.Row) error {
		line := int64(row.Line)
		if line > last {
			var err error
			last = line + windowLines - 1
			if window, err = book.Entries(ctx, run, line, last); err != nil {
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
		return do(row, &result)
	})
}

// unrecorded is the result of a row for which the ledger has no entry: its own fault, or not reached.
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
