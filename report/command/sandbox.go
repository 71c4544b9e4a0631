package command

import (
	"fmt"
	"time"

	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

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
