package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io/fs"

	"vbankbatch/batch"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
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

// printCompared tells what a run over a plan would do.
func printCompared(w say.Writer, c batch.Compared) {
	for _, part := range []struct {
		planned batch.Planned
		says    string
	}{
		{c.New, say.Mark("to issue, new to the ledger: %s (%s won)\n")},
		{c.Issued, say.Mark("issued already, nothing is sent: %s (%s won)\n")},
		{c.Changed, say.Mark("issued already with other figures, a conflict: %s (%s won)\n")},
		{c.InDoubt, say.Mark("in doubt, looked up first: %s (%s won)\n")},
		{c.Changes, say.Mark("updates and revocations to send: %s (%s won)\n")},
		{c.Done, say.Mark("updates and revocations that are done already: %s (%s won)\n")},
	} {
		if part.planned.Rows > 0 {
			w.Printf(part.says, report.Count(w.Language, part.planned.Rows, "1 row", "%s rows"), report.Thousands(part.planned.Won))
		}
	}
}

// look checks a file, and, with a merchant, compares it with the ledger. Nothing is sent.
func (f *readFlags) look(a *app, file, format string, guards batch.Guards, m *merchant) (*batch.Plan, error) {
	kept, err := f.profile()
	if err != nil {
		return nil, err
	}
	plan, err := f.open(a, file, kept)
	if err != nil {
		return nil, err
	}
	defer plan.File.Close()
	out := bufio.NewWriter(a.stdout)
	if err := cmp.Or(report.Check(a.ctx, a.stdout.To(out), plan, format), out.Flush()); err != nil {
		return nil, err
	}
	if m != nil && plan.Refusal == nil {
		compared, err := m.compare(a, plan)
		if err != nil {
			return nil, err
		}
		printCompared(a.stdout, compared)
	}
	if plan.Refusal != nil {
		return nil, plan.Refusal
	}
	if err := guards.Check(plan); err != nil {
		return nil, &failure{err, exitInput, ""}
	}
	return plan, nil
}
