package command

import (
	"bufio"
	"cmp"

	"vbankbatch/batch"
	"vbankbatch/report"
)

type checkCommand struct {
	inputFlags   `embed:""`
	batch.Guards `embed:""`
	Format       string `enum:"text,json,csv" default:"text" help:"text, json or csv."`
	SaveProfile  string `placeholder:"FILE" help:"Keep how the file is read in a new file, for --profile."`
}

func (checkCommand) Help() string {
	return `Prints what was understood, the control totals, and every problem of every row. Exit status 0: all rows are good,
1: some are not, 3: the file was refused.

  vbankbatch check --due +7d --holder 한빛상사 orders.csv
  vbankbatch check --map amount=합계 --due +7d --save-profile hanbit.toml orders.csv`
}

func (c *checkCommand) Run(a *app) error {
	kept, err := c.profile()
	if err != nil {
		return err
	}
	plan, err := c.open(a, c.File, kept)
	if err != nil {
		return err
	}
	defer plan.File.Close()
	out := bufio.NewWriter(a.stdout)
	if err := cmp.Or(report.Check(a.ctx, a.stdout.To(out), plan, c.Format), out.Flush()); err != nil {
		return err
	}
	if plan.Refusal != nil {
		return plan.Refusal
	}
	if err := c.Check(plan); err != nil {
		return &failure{err, exitInput, ""}
	}
	if c.SaveProfile != "" {
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
