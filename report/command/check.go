package command

import (
	"vbankbatch/batch"
	"vbankbatch/report"
)

type checkCommand struct {
	inputFlags    `embed:""`
	merchantFlags `embed:""`
	batch.Guards  `embed:""`
	Format        string `enum:"text,json,csv" default:"text" help:"text, json or csv."`
	SaveProfile   string `placeholder:"FILE" help:"Keep how the file is read in a new file, for --profile."`
}

func (checkCommand) Help() string {
	return `Prints what was understood, the control totals, and every problem of every row. Exit status 0: all rows are good,
1: some are not, 3: the file was refused. With --ledger, or --sandbox, text and JSON also say what a run would send.

  vbankbatch check --due +7d --holder 한빛상사 orders.csv
  vbankbatch check --map amount=합계 --due +7d --save-profile hanbit.toml orders.csv`
}

func (c *checkCommand) Run(a *app) error {
	var whose *merchant
	if (c.Ledger != "" || c.Sandbox) && c.Format != report.CSV {
		var err error
		if whose, err = c.find(a.ctx); err != nil { // the file can be checked all the same
			a.stderr.Printf("the file is not held against the ledger: %v\n", err)
			whose = nil
		}
	}
	plan, err := c.look(a, c.File, c.Format, c.Guards, whose)
	if err != nil {
		return err
	}
	if c.SaveProfile != "" {
		kept, err := c.profile()
		if err != nil {
			return err
		}
		profile := plan.Options.Profile(plan.Mapping)
		profile.PGAPIKeys, profile.Rate = kept.PGAPIKeys, kept.Rate // which are not about the file
		if err := profile.Write(c.SaveProfile); err != nil {
			return usage("name a file that does not exist yet", "--save-profile: %w", err)
		}
		a.stderr.Printf("profile: %s\n", c.SaveProfile)
	}
	if plan.Invalid > 0 {
		return rowsNotDone(exitFailed)
	}
	return nil
}
