package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io/fs"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/report"
)

// compare holds a plan against the ledger. Where there is none yet, nothing is known of any order.
func (m *merchant) compare(a *app, plan *batch.Plan) (batch.Compared, error) {
	orders := func(context.Context, []ledger.Order) (map[ledger.Order]ledger.Entry, error) { return nil, nil }
	book, err := ledger.OpenReader(a.ctx, m.ledger, m.name)
	switch {
	case err == nil:
		defer book.Close()
		orders = book.Orders
	case !errors.Is(err, fs.ErrNotExist):
		return batch.Compared{}, usage(ledgerHint(err), "the ledger: %w", err)
	}
	return plan.Compare(a.ctx, orders)
}

// look checks a file, and, with a merchant, compares it with the ledger. Nothing is sent.
func (f *readFlags) look(a *app, file, format string, guards batch.Guards, m *merchant) (*batch.Plan, error) {
	kept, err := f.profile()
	if err != nil {
		return nil, err
	}
	plan, err := f.open(a, file, func() (input.Options, error) { return f.options(kept, a.now()) })
	if err != nil {
		return nil, err
	}
	defer plan.File.Close()
	var found *batch.Compared
	var failed error
	if m != nil && plan.Refusal == nil {
		var compared batch.Compared
		if compared, failed = m.compare(a, plan); failed == nil {
			found = &compared
		}
	}
	out := bufio.NewWriter(a.stdout)
	if err := cmp.Or(report.Check(a.ctx, a.stdout.To(out), plan, found, format), out.Flush(), failed); err != nil {
		return nil, err
	}
	if plan.Refusal != nil {
		return nil, plan.Refusal
	}
	if err := guards.Check(plan); err != nil {
		return nil, &failure{err, exitInput, ""}
	}
	return plan, nil
}
