package batch

import (
	"context"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
)

// Compared is what a run over a plan would do, as far as the ledger knows: a run also asks the API for orders that the ledger
// does not know.
type Compared struct {
	New     Planned `json:"new"`      // to be issued
	Issued  Planned `json:"issued"`   // have their account already, with the same figures
	Changed Planned `json:"changed"`  // have an account with other figures: a conflict
	InDoubt Planned `json:"in_doubt"` // to be looked up: nobody knows what came of an earlier request
	Changes Planned `json:"changes"`  // updates and revocations to be sent
	Done    Planned `json:"done"`     // those of them that need none
}

// Planned counts rows, and their amounts.
type Planned struct {
	Rows int   `json:"rows"`
	Won  int64 `json:"won"`
}

func (p *Planned) add(row *input.Row) {
	p.Rows++
	p.Won += row.Request.Amount
}

// Compare holds the rows of a plan against a ledger. Nothing is sent.
func (p *Plan) Compare(ctx context.Context, orders func(context.Context, []ledger.Order) (map[ledger.Order]ledger.Entry, error)) (found Compared, err error) {
	err = p.known(ctx, orders, func(jobs []*job) error {
		for _, j := range jobs {
			found.add(j)
		}
		return nil
	})
	return found, err
}

// known calls do with the rows of a plan, a block at a time, and what a ledger knows of their orders.
func (p *Plan) known(ctx context.Context, orders func(context.Context, []ledger.Order) (map[ledger.Order]ledger.Entry, error), do func([]*job) error) error {
	return p.blocks(ctx, func(rows []*input.Row) error {
		jobs, named := make([]*job, len(rows)), make([]ledger.Order, len(rows))
		for i, row := range rows {
			jobs[i] = &job{row: row}
			named[i] = jobs[i].names()
		}
		known, err := orders(ctx, named)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			j.know(known)
		}
		return do(jobs)
	})
}

// Elsewhere counts the rows to be issued of which the ledger knows nothing, and whose order has a payment at the API all the
// same: another program, or a ledger that was lost, has made it. Nothing is sent; it takes a request for 100 rows.
func (p *Plan) Elsewhere(ctx context.Context, api API, orders func(context.Context, []ledger.Order) (map[ledger.Order]ledger.Entry, error)) (elsewhere int, err error) {
	err = p.known(ctx, orders, func(jobs []*job) error {
		var fresh []*job
		for _, j := range jobs {
			if j.row.Action == input.Issue && j.order.State == ledger.Vacant && j.decide().Status == "" {
				fresh = append(fresh, j)
			}
		}
		for _, chunk := range byTier(fresh, (*job).names) {
			found, err := list(ctx, api, chunk, (*job).names)
			if err != nil {
				return err
			}
			for _, j := range chunk {
				if len(found[j.row.Request.MerchantUID]) > 0 {
					elsewhere++
				}
			}
		}
		return nil
	})
	return elsewhere, err
}

// add counts a row by what decide says of it.
func (c *Compared) add(j *job) {
	issue := j.row.Action == input.Issue
	switch j.decide().Status {
	case Invalid, Skipped:
	case AlreadyIssued:
		c.Issued.add(j.row)
	case Conflict:
		c.Changed.add(j.row)
	case "":
		switch {
		case j.order.State == ledger.Intended || j.order.State == ledger.Changing:
			c.InDoubt.add(j.row)
		case issue && j.order.State == ledger.Issued:
			c.Issued.add(j.row) // and is asked about once more
		case issue:
			c.New.add(j.row)
		default:
			c.Changes.add(j.row)
		}
	default:
		c.Done.add(j.row)
	}
}
