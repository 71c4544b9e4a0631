package command

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

type ledgerCommand struct {
	List   ledgerListCommand   `cmd:"" help:"Print the orders that the ledger knows, the newest first."`
	Show   ledgerShowCommand   `cmd:"" help:"Print all that the ledger knows of one order."`
	Export ledgerExportCommand `cmd:"" help:"Print every line of the ledger, account numbers and holders whole."`
	Stats  ledgerStatsCommand  `cmd:"" help:"Print the ledger's figures."`
	Settle ledgerSettleCommand `cmd:"" help:"Record which account an order has that only a person can settle, or that it has none."`
	Copy   ledgerCopyCommand   `cmd:"" help:"Copy the ledger, of all merchants, from a file to a database or back, and compare the two."`
	Audit  ledgerAuditCommand  `cmd:"" help:"Verify the audit trail: who uploaded, approved, stopped and downloaded what. Needs no credentials."`
	Purge  ledgerPurgeCommand  `cmd:"" help:"Take account numbers and names out of the ledger. Orders stay known, and get no second account."`
}

const noLedgerHint = "the first run makes it; --ledger names another, --sandbox the sandbox's"

// reader opens the ledger for a command that only reads; all is for the orders of all merchants.
func (m *merchant) reader(a *app, all bool) (*ledger.Reader, error) {
	name := m.name
	if all {
		name = ""
	}
	book, err := ledger.OpenReader(a.ctx, m.ledger, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usage(noLedgerHint, "%w", err)
	case errors.Is(err, ledger.ErrNewer) || ledger.Damaged(err):
		return nil, usage(ledgerHint(err), "the ledger: %w", err)
	case err != nil:
		return nil, usage("--ledger names another", "the ledger: %w", err)
	case !book.Known():
		a.stderr.Printf("hint: %s\n", say.NewMessage("the ledger has no orders of this API address and key"))
	}
	return book, nil
}

// read opens the ledger and has what it says printed.
func (f *merchantFlags) read(a *app, all bool, print func(say.Writer, *ledger.Reader) error) error {
	m, err := f.find(a.ctx)
	if err != nil {
		return err
	}
	book, err := m.reader(a, all)
	if err != nil {
		return err
	}
	defer book.Close() // it has only read
	out := bufio.NewWriter(a.stdout)
	err = print(a.stdout.To(out), book)
	return cmp.Or(err, out.Flush())
}

type ledgerListCommand struct {
	merchantFlags `embed:""`
	InDoubt       bool   `help:"Only orders in doubt."`
	Status        string `placeholder:"STATUS" enum:",issued,already_issued,updated,unchanged,revoked,skipped,invalid,rejected,conflict,unknown,not_sent" default:"" help:"Only lines with this status, those without an account too."`
	Since         string `placeholder:"DATE" help:"Only lines since this day."`
	OfRun         int64  `name:"run" placeholder:"N" help:"Only the lines of this run, those without an account too."`
	ShowAccounts  bool   `help:"Whole account numbers, not the last four digits."`
	Format        string `enum:"text,json,csv" default:"text" help:"text, json or csv."`
}

func (c *ledgerListCommand) Run(a *app) error {
	filter := ledger.Filter{InDoubt: c.InDoubt, Status: c.Status, Run: c.OfRun}
	if c.Since != "" {
		var err error
		if filter.Since, err = input.ParseDay(c.Since); err != nil {
			return usage("", "--since: %w", err)
		}
	}
	return c.read(a, false, func(w say.Writer, book *ledger.Reader) error {
		return report.LedgerList(a.ctx, w, book, filter, c.Format, c.ShowAccounts)
	})
}

type ledgerShowCommand struct {
	merchantFlags `embed:""`
	Order         string `arg:"" help:"The order number."`
	Tier          string `help:"The order's sub-merchant."`
	Format        string `enum:"text,json,csv" default:"text" help:"text, json or csv."`
}

func (c *ledgerShowCommand) Run(a *app) error {
	err := c.read(a, false, func(w say.Writer, book *ledger.Reader) error {
		return report.LedgerOrder(a.ctx, w, book, ledger.Order{Tier: c.Tier, MerchantUID: c.Order}, c.Format)
	})
	if unknown, ok := errors.AsType[*ledger.UnknownOrderError](err); ok {
		return &failure{unknown, exitInput, say.NewMessage("--tier, --ledger, --api-url or the key may be others")}
	}
	return err
}

type ledgerExportCommand struct {
	merchantFlags `embed:""`
	All           bool   `help:"Of all merchants, not only of this API address and key."`
	Format        string `enum:"csv,jsonl" default:"csv" help:"csv or jsonl."`
}

func (c *ledgerExportCommand) Run(a *app) error {
	return c.read(a, c.All, func(w say.Writer, book *ledger.Reader) error { return report.LedgerExport(a.ctx, w, book, c.Format) })
}

type ledgerStatsCommand struct {
	merchantFlags `embed:""`
	Format        string `enum:"text,json" default:"text" help:"text or json."`
}

func (c *ledgerStatsCommand) Run(a *app) error {
	return c.read(a, false, func(w say.Writer, book *ledger.Reader) error {
		return report.LedgerStats(a.ctx, w, book, c.Format, a.now())
	})
}

type ledgerSettleCommand struct {
	merchantFlags `embed:""`
	requestFlags  `embed:""`
	logFlags      `embed:""`
	Order         string `arg:"" help:"The order number."`
	Tier          string `help:"The order's sub-merchant."`
	Account       string `placeholder:"IMP_UID" xor:"verdict" required:"" help:"The order has this account."`
	None          bool   `xor:"verdict" required:"" help:"The order has no account; the next run of its file issues one."`
	Reason        string `required:"" placeholder:"TEXT" help:"Why; it is kept in the ledger and told in the results."`
	By            string `placeholder:"NAME" help:"Who says so. Default: the user of this machine."`
	Yes           bool   `help:"Ask no question."`
}

func (ledgerSettleCommand) Help() string {
	return `For an order of which the results say unknown or SEVERAL_ACCOUNTS and asking again does not help. The API is asked whether
what you say can be true; nothing is issued or revoked. Look at the order first: vbankbatch ledger show ORDER.

  vbankbatch ledger settle ORD-7 --account imp_123456789012 --reason "the customer has this one; the other is revoked"
  vbankbatch ledger settle ORD-7 --none --reason "PortOne support: it was never made"`
}

func (c *ledgerSettleCommand) Run(a *app) (err error) {
	verdict := batch.Verdict{Order: ledger.Order{Tier: c.Tier, MerchantUID: c.Order}, ImpUID: c.Account, By: c.By, Why: strings.TrimSpace(c.Reason), At: a.now()}
	if verdict.Why == "" {
		return usage("whoever reads the ledger in a year wants to know", "--reason is empty")
	}
	if verdict.By == "" {
		me, err := user.Current()
		if err != nil {
			return usage("give --by", "it is not known who says so: %w", err)
		}
		verdict.By = me.Username
	}
	m, err := c.find(a.ctx)
	if err != nil {
		return err
	}
	book, release, err := m.existing(a, &c.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	perSecond, err := c.rate(input.Profile{})
	if err != nil {
		return err
	}
	entry, err := batch.Contested(a.ctx, book, verdict.Order)
	if err != nil {
		return settleFailure(err)
	}
	if !c.Yes {
		a.stderr.Printf("%s: %d won, %s %s: %s\n", say.Name(c.Order), entry.Amount, entry.Status, entry.ErrorCode, entry.ErrorMessage)
		question := a.Text("record that it has no account, and may be issued again?")
		if c.Account != "" {
			question = a.Sprintf("record that its account is %s?", c.Account)
		}
		if err := a.ask(question, say.New("there is no terminal to ask on")); err != nil {
			return err
		}
	}
	api, disconnect, err := m.connect(a, &c.requestFlags, perSecond, c.log(a))
	defer func() { err = also(err, disconnect()) }()
	if err != nil {
		return err
	}
	if c.None && entry.State == ledger.Intended {
		a.stderr.Printf("waiting for what may be under way still, then asking the API\n")
	}
	settled, err := batch.Settle(a.ctx, api, book, c.DoubtWait, verdict)
	if err != nil {
		return settleFailure(err)
	}
	a.stdout.Printf("%s\t%s\t%s\t%s\n", settled.MerchantUID, settled.Status, settled.ImpUID, settled.ErrorMessage)
	return nil
}

// settleFailure is how the command ends when a verdict cannot be recorded.
func settleFailure(err error) error {
	switch fault, ok := errors.AsType[*client.Error](err); {
	case ok:
		return cmp.Or(batch.EndsRun(fault), error(&failure{err, exitStopped, say.NewMessage("nothing was recorded")}))
	case ledger.Damaged(err):
		return err
	case errors.Is(err, batch.ErrSettled):
		return &failure{err, exitInput, say.NewMessage("vbankbatch ledger show ORDER tells what it knows; --tier, --ledger, --api-url or the key may be others")}
	}
	return &failure{err, exitInput, say.NewMessage("nothing was recorded; revoke accounts that must not be paid into by rows with their imp_uid first")}
}

type ledgerAuditCommand struct {
	merchantFlags `embed:""`
	Head          string `placeholder:"HASH" help:"A hash that was noted earlier; the trail must still hold it."`
	Format        string `enum:"text,json" default:"text" help:"text or json; json has the entries too."`
}

func (ledgerAuditCommand) Help() string {
	return `Each entry has the hash of the one before, so what is changed, removed or swapped is found. What is missing at the end is found
only with a hash from before: note the last one now and then, somewhere else. Exit status 1: the trail is not as it was written.

  vbankbatch ledger audit --head 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d`
}

// auditFigures are what programs read of the audit trail. Times are RFC 3339 in +09:00, those of entries with the microseconds
// that their hashes count.
type auditFigures struct {
	Entries int64        `json:"entries"` // verified
	First   string       `json:"first,omitempty"`
	Last    string       `json:"last,omitempty"`
	Head    string       `json:"head"`
	HeldAs  int64        `json:"held_as,omitempty"` // the entry with the hash of --head
	Error   string       `json:"error,omitempty"`
	Trail   []auditEntry `json:"trail"`
}

type auditEntry struct {
	ID     int64  `json:"id"`
	At     string `json:"at"`
	Who    string `json:"who"`
	From   string `json:"from"`
	What   string `json:"what"`
	Job    int64  `json:"job"`
	Digest string `json:"digest"`
	Detail string `json:"detail"`
	Before string `json:"before"`
	Hash   string `json:"hash"`
}

func (c *ledgerAuditCommand) Run(a *app) (err error) {
	head := strings.ToLower(c.Head)
	if hash, err := hex.DecodeString(head); c.Head != "" && (err != nil || len(hash) != sha256.Size) {
		return usage("vbankbatch ledger audit prints the last one", "--head: %q is not a hash of the trail", c.Head)
	}
	m, err := c.where()
	if err != nil {
		return err
	}
	book, err := m.reader(a, true)
	if err != nil {
		return err
	}
	defer book.Close() // it has only read
	told := auditFigures{Trail: []auditEntry{}}
	var first, last time.Time
	err = book.Trail(a.ctx, func(e ledger.Mark) error {
		told.Entries, told.Head, last = e.ID, e.Hash, e.At
		if e.ID == 1 {
			first = e.At
		}
		if e.Hash == head {
			told.HeldAs = e.ID
		}
		if c.Format == "json" {
			told.Trail = append(told.Trail, auditEntry{e.ID, e.At.In(input.KST).Format("2006-01-02T15:04:05.000000Z07:00"), e.Who, e.From, e.What, e.Job, e.Digest, e.Detail, e.Before, e.Hash})
		}
		return nil
	})
	hint := say.Mark("keep a copy of the ledger as it is; a backup shows what stood there")
	if err == nil && head != "" && told.HeldAs == 0 {
		err = say.Errorf("%w: no entry has the hash %s", ledger.ErrTampered, head)
		hint = say.Mark("entries at the end were removed, or the hash is of another ledger's trail")
	}
	if err != nil && !errors.Is(err, ledger.ErrTampered) {
		return err
	}
	if c.Format == "json" {
		told.First, told.Last = report.Stamp(first), report.Stamp(last)
		if err != nil {
			told.Error = err.Error()
		}
		if err := report.EncodeJSON(a.stdout, told); err != nil {
			return err
		}
	} else if err := told.print(a.stdout, first, last); err != nil {
		return err
	}
	if err != nil {
		return &failure{err, exitFailed, say.NewMessage(hint)}
	}
	return nil
}

func (f *auditFigures) print(w say.Writer, first, last time.Time) error {
	_, err := w.Printf("entries verified: %s\n", report.Thousands(f.Entries))
	if err == nil && f.Entries > 0 {
		_, err = w.Printf("first: %s\nlast: %s\nhash of the last: %s\n", report.Clock(first), report.Clock(last), f.Head)
	}
	if err == nil && f.HeldAs > 0 {
		_, err = w.Printf("the hash of --head: entry %s\n", report.Thousands(f.HeldAs))
	}
	return err
}

type ledgerPurgeCommand struct {
	merchantFlags `embed:""`
	Before        string        `required:"" placeholder:"DATE" help:"Only runs that ended before this day."`
	DryRun        bool          `help:"Only say what would be done."`
	LockWait      time.Duration `default:"0s" help:"Wait so long for a run's lock."`
	Yes           bool          `help:"Ask no question."`
}

func (c *ledgerPurgeCommand) Run(a *app) (err error) {
	before, err := input.ParseDay(c.Before)
	if err != nil {
		return usage("", "--before: %w", err)
	}
	if before.After(a.now()) {
		return usage("name a day that is over", "--before: %s is in the future", c.Before)
	}
	m, err := c.find(a.ctx)
	if err != nil {
		return err
	}
	if c.DryRun || !c.Yes {
		err := c.read(a, false, func(w say.Writer, book *ledger.Reader) error {
			p, err := book.Purgeable(a.ctx, before, a.now())
			if err == nil {
				report.PrintPurge(w, p, before, false)
			}
			return err
		})
		if err != nil || c.DryRun {
			return err
		}
		if err := a.ask(a.Text("take these out of the ledger, for good?"), say.New("there is no terminal to ask whether to take them out")); err != nil {
			return err
		}
	}
	book, release, err := m.existing(a, &requestFlags{Workers: 1, Timeout: time.Second, DoubtWait: time.Minute, LockWait: c.LockWait})
	if err != nil {
		return err
	}
	defer func() { err = also(err, release()) }()
	p, err := book.Purge(a.ctx, before, a.now())
	if ledger.Damaged(err) {
		return err
	}
	if errors.Is(err, ledger.ErrHasStrays) {
		return usage("nothing was purged", "%w", err)
	}
	if err != nil {
		return &failure{err, exitStopped, say.NewMessage("the same command again goes on")}
	}
	report.PrintPurge(a.stdout, p, before, true)
	return nil
}

type ledgerCopyCommand struct {
	From string `arg:"" help:"A ledger: a file, or a database as postgres://user@host/database."`
	To   string `arg:"" help:"Where it is copied to; what is there must be empty."`
}

func (ledgerCopyCommand) Help() string {
	return `Copies all that a ledger knows of orders and runs, its audit trail and its forms, and compares the two row by row before it counts. No run may be under way.
From then on use the new one alone: neither learns what the other does, and an order could get two accounts.

  vbankbatch ledger copy ~/.local/state/vbankbatch/ledger.db postgres://vbankbatch@db.example.com/vbankbatch`
}

func (c *ledgerCopyCommand) Run(a *app) (ended error) {
	for _, place := range []string{c.From, c.To} {
		if ledger.HasPassword(place) {
			return usage("put it into ~/.pgpass or PGPASSWORD", "%s holds a password, which every user of this machine can read there", ledger.Name(place))
		}
		if _, err := os.Stat(place); place == c.From && !ledger.IsDatabase(place) && errors.Is(err, fs.ErrNotExist) {
			return usage(noLedgerHint, "there is no ledger at %s: %w", place, fs.ErrNotExist)
		}
		if ledger.IsDatabase(place) {
			continue // which is asked whether it is in use
		}
		unlock, err := ledger.Hold(a.ctx, place, 0)
		if err != nil {
			return (&merchant{ledger: place}).ledgerFails(a.ctx, err)
		}
		defer func() { ended = also(ended, unlock()) }()
	}
	rows, restored, err := ledger.Copy(a.ctx, c.From, c.To)
	switch {
	case errors.Is(err, ledger.ErrInUse):
		return &failure{err, exitLocked, say.NewMessage("wait for it to end")}
	case errors.Is(err, ledger.ErrUnreachable):
		return &failure{err, exitStopped, say.NewMessage("nothing was copied; look at the database and the network, then run the same command again")}
	case err != nil:
		return usage("nothing was copied", "%w", err)
	}
	if restored && !ledger.IsDatabase(c.To) {
		warning := say.Messagef("%s is a copy or was restored, and may lack orders: with the file that was filled from it do not use --no-remote-check", ledger.Name(c.From))
		a.warn([]say.Message{warning})
	}
	a.stderr.Printf("%s rows were copied and compared; use %s alone from now on\n", report.Thousands(rows), ledger.Name(c.To))
	return nil
}
