package job

import (
	"cmp"
	"context"
	"errors"
	"io"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/page"
)

// WriteResults joins the input with the ledger's outcomes, as each tells them: [batch.Results] or [batch.Present]. It is done also
// after the end of ctx. What is counted is whole also where it cannot be written. Where the input cannot be read any more, the
// results are written from the ledger alone, beside their own path, and its error says so.
func WriteResults(ctx context.Context, plan *batch.Plan, book *ledger.Ledger, run int64, results *report.Results, path string, facts *report.Facts, each func(context.Context, func(*input.Row, *batch.Result) error) error) error {
	ctx = context.WithoutCancel(ctx)
	err := write(plan, results, facts, func(do doRow) error { return each(ctx, do) })
	if _, unreadable := errors.AsType[*input.Error](err); unreadable && path != "-" {
		instead := report.OfRun(path, run)
		if _, failed := FromLedger(ctx, book, run, instead, nil, report.Options{Language: results.Language}, facts); failed == nil {
			return &Error{NotWritten, run, say.Errorf("the results could not be written from the file: %w; from the ledger, without the file's own columns, they are in %s", err, instead)}
		}
	}
	if lacking, ok := errors.AsType[*report.EncodingError](err); ok {
		return &Error{NotWritten, run, lacking}
	}
	if ledger.Damaged(err) { // they would be wrong the next time too
		return say.Errorf("the results could not be written: %w", err)
	}
	if err != nil {
		return &Error{NotWritten, run, say.Errorf("the results could not be written: %w", err)}
	}
	return nil
}

// FromLedger writes the results of a run from the ledger alone, in its own columns. It returns the path of their workbook, ""
// without one.
func FromLedger(ctx context.Context, book *ledger.Ledger, run int64, path string, stdout io.Writer, form report.Options, facts *report.Facts) (workbook string, err error) {
	plan := new(batch.Plan)
	each := func(do doRow) error { return batch.Recorded(ctx, book, run, do) }
	if form.Workbook != report.NoWorkbook {
		if err := each(func(*input.Row, *batch.Result) error { plan.Rows++; return nil }); err != nil {
			return "", err
		}
	}
	form.Alone, form.Plan, form.Facts = true, plan, facts
	results, err := report.Create(path, stdout, form)
	if err != nil {
		return "", err
	}
	defer results.Close()
	return results.Workbook(), write(plan, results, facts, each)
}

// doRow is called for each row and what became of it.
type doRow = func(*input.Row, *batch.Result) error

// write writes the results that each hands on. Where it fails to, nothing is counted.
func write(plan *batch.Plan, results *report.Results, facts *report.Facts, each func(doRow) error) error {
	written := results.Header(plan)
	err := each(func(row *input.Row, result *batch.Result) error {
		facts.Add(row, result)
		if written == nil {
			written = results.Write(row, result)
		}
		return nil
	})
	if err != nil {
		*facts = report.Facts{}
	}
	if err = cmp.Or(err, written); err == nil {
		err = results.Commit()
	}
	return err
}

// WriteFigures writes the files that tell of a run as a whole: the summary, the page and the metrics, those of them that have
// a place. Of a run that came to no results there are only the metrics.
func WriteFigures(at report.Files, run *report.Run, facts *report.Facts, options page.Options) error {
	var all []error
	write := func(path string, do func() error) {
		if path != "" {
			all = append(all, do()) // an error names the file
		}
	}
	if run.ID != 0 {
		write(at.Summary, func() error { return report.WriteFigures(at.Summary, run, facts) })
		write(at.Page, func() error { return page.Write(at.Page, run, facts, options) })
	}
	write(at.Metrics, func() error { return report.WriteMetrics(at.Metrics, run, facts) })
	return errors.Join(all...)
}
