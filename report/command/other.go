package command

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/sandbox"
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
			return usage(say.Sprintf("one of %s", strings.Join(pgs, " ")), "no PG is called %q", c.PG)
		}
		pgs = []string{name}
	}
	return report.Banks(a.stdout, c.Format, pgs)
}

type sandboxCommand struct {
	Listen         string        `default:"127.0.0.1:8787" help:"Where to listen; port 0 takes any free one."`
	State          string        `placeholder:"FILE" help:"Keep the accounts in a file; by default they are gone at the end."`
	TokenLife      time.Duration `default:"30m" help:"How long a token lives."`
	DefaultPG      string        `name:"default-pg" default:"settle" help:"For requests that name no PG."`
	sandbox.Faults `embed:"" group:"Faults: shares from 0 to 1 of POST, PUT and DELETE /vbanks, unless it says otherwise"`
}

func (sandboxCommand) Help() string {
	return `Serves the API's sandbox until it is stopped, and prints its address. It takes any credentials, or only those in
IMP_KEY, IMP_SECRET and IMP_PG_API_KEY if they are set. GET /_sandbox/accounts lists the accounts it has made.

  vbankbatch sandbox --listen 127.0.0.1:8787 --drop-after 0.01
  IMP_KEY=any IMP_SECRET=any vbankbatch run --api-url http://127.0.0.1:8787 orders.csv`
}

func (c *sandboxCommand) Run(a *app) error {
	credentials, err := client.Environment(a.ctx)
	if err != nil {
		return usage("", "%w", err)
	}
	err = sandbox.Serve(a.ctx, c.Listen, sandbox.Config{
		Key: string(credentials.Key), Secret: string(credentials.Secret), PGAPIKey: string(credentials.PGAPIKeys.Any),
		State: c.State, TokenLife: c.TokenLife, DefaultPG: c.DefaultPG, Faults: c.Faults,
	}, func(url string) { fmt.Fprintln(a.stdout, url) })
	if err != nil {
		return usage("", "the sandbox: %w", err)
	}
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(a *app) error {
	_, err := fmt.Fprintln(a.stdout, "vbankbatch", version())
	return err
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return fmt.Sprintf("%s, %s", info.Main.Version, info.GoVersion)
	}
	return "unknown"
}
