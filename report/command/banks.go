package command

import (
	"strings"

	"vbankbatch/client/pg"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

type banksCommand struct {
	PG     string `name:"pg" help:"Only this PG's: nice, kcp, inicis, …"`
	Format string `enum:"text,json,csv" default:"text" help:"text, json or csv."`
}

func (banksCommand) Help() string {
	return `Prints the PG, the KFTC code, the PG's own code and the bank's name, separated by tabs. In a file the name or the KFTC code will do.

  vbankbatch banks --pg kcp`
}

func (c *banksCommand) Run(a *app) error {
	pgs := pg.PGs()
	if c.PG != "" {
		name, _, known := pg.Name(c.PG)
		if !known {
			return &failure{say.Errorf("no PG is called %q", c.PG), exitUsage, say.Messagef("one of %s", strings.Join(pgs, " "))}
		}
		pgs = []string{name}
	}
	return report.Banks(a.stdout, c.Format, pgs)
}
