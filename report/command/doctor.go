package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
	"vbankbatch/report"

	"github.com/dustin/go-humanize"
)

type doctorCommand struct {
	File     string `arg:"" optional:"" help:"The CSV or the folder that run is to be given."`
	runFlags `embed:""`
	Format   string `enum:"text,json" default:"text" help:"text or json."`
}

func (doctorCommand) Help() string {
	return `Takes the command line of run, with doctor in the place of run, as the user who will run it. Asks the API for a token and the
list of channels, opens and locks the ledger, and looks at the folder. Issues nothing, and changes nothing but what opening
a ledger does. Exit status 0: all is well, 1: there are warnings, 2: something fails.

  vbankbatch doctor --sandbox testdata/orders.csv
  sudo -u vbankbatch vbankbatch doctor --profile hanbit.toml /srv/vbankbatch/in`
}

// level is how a check ended.
type level string

const (
	levelOK   level = "ok"
	levelWarn level = "warn"
	levelFail level = "fail"
)

// finding is what came of one check.
type finding struct {
	Check   string `json:"check"`
	Level   level  `json:"level"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// doctor makes the checks. What one of them needs and an earlier one did not find is not asked for again.
type doctor struct {
	*driver
	found []finding
}

func (c *doctorCommand) Run(a *app) (err error) {
	run := &runCommand{File: c.File, runFlags: c.runFlags}
	d := &doctor{driver: run.driver(a)}
	d.log = quietLog() // the findings say it all
	d.flags()
	if d.merchant, err = d.where(); err != nil {
		d.add("ledger", levelFail, err, "")
	} else {
		d.credentials()
		d.book() // first, since the sandbox keeps its state in the same folder
		d.reach()
		d.files()
		d.disks()
	}
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	return d.print(c.Format)
}

// hurried are the flags for who waits for an answer, and not as long as a run does.
func (f requestFlags) hurried() *requestFlags {
	f.Workers, f.Patience, f.Timeout = 1, 0, min(f.Timeout, 15*time.Second)
	return &f
}

// add keeps a finding; what is an error, or a message.
func (d *doctor) add(check string, level level, what any, hint say.Message) {
	message, isMessage := what.(say.Message)
	if !isMessage {
		message = say.Of(what.(error))
	}
	d.found = append(d.found, finding{check, level, message.In(d.a.Language), hint.In(d.a.Language)})
}

// fails keeps an error with its own hint, if there is one.
func (d *doctor) fails(check string, err error) {
	exit, hint := statusOf(err)
	d.add(check, map[bool]level{false: levelFail, true: levelWarn}[exit == exitLocked], err, cmp.Or(hint, toRead(err)))
}

// toRead is what to do about a file that the user may not read, if that is the error.
func toRead(err error) say.Message {
	if errors.Is(err, fs.ErrPermission) {
		return say.Messagef("let the user %s read it", me())
	}
	return ""
}

// print tells the findings, and returns the exit status.
func (d *doctor) print(format string) error {
	exit := exitDone
	for _, f := range d.found {
		exit = max(exit, map[level]int{levelWarn: exitFailed, levelFail: exitUsage}[f.Level])
	}
	if format == "json" {
		if err := report.EncodeJSON(d.a.stdout, map[string]any{"exit_status": exit, "findings": d.found}); err != nil {
			return err
		}
	} else {
		for _, f := range d.found {
			fmt.Fprintf(d.a.stdout, "%-4s  %-11s  %s\n", f.Level, f.Check, f.Message)
			if f.Hint != "" {
				d.a.stdout.Printf("                   to do: %s\n", f.Hint)
			}
		}
	}
	if exit != exitDone {
		return rowsNotDone(exit)
	}
	return nil
}

// flags checks what can be read wrongly of the command line and the profile.
func (d *doctor) flags() {
	err := d.parse()
	if err == nil {
		_, err = d.options(d.kept, d.a.now())
	}
	switch {
	case err != nil:
		d.fails("flags", err)
	case d.Profile != "":
		d.add("flags", levelOK, say.Messagef("they can be read, and so can the profile %s", say.Name(d.Profile)), "")
	default:
		d.add("flags", levelOK, say.NewMessage("they can be read"), "")
	}
	if d.NotifyCmd != "" {
		if _, err := exec.LookPath("sh"); err != nil {
			d.add("notify", levelFail, say.NewMessage("there is no shell to run --notify-cmd"), say.NewMessage("install sh"))
		}
	} else if d.Quiet {
		d.add("notify", levelWarn, say.NewMessage("with --quiet and without --notify-cmd nobody is told of rows that were not done"), say.NewMessage("give --notify-cmd, or watch the exit status or --metrics"))
	}
}

// credentials finds them, and says where.
func (d *doctor) credentials() {
	m := d.merchant
	if err := d.identify(d.a.ctx, m); err != nil {
		d.fails("credentials", err)
	} else if m.state != "" {
		d.add("credentials", levelOK, say.NewMessage("the sandbox needs none"), "")
	} else {
		d.add("credentials", levelOK, say.Message(strings.Join(m.Places, ", ")), "")
	}
	for _, place := range m.Places {
		_, path, _ := strings.Cut(place, "=")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows" {
			d.add("credentials", levelWarn, say.Messagef("every user of this machine can read %s", say.Name(path)), say.Messagef("chmod o= %s", say.Name(path)))
		}
	}
	if err := m.PGAPIKeys.Find(d.a.ctx, d.kept.PGAPIKeys); err != nil && m.state == "" {
		d.add("credentials", levelFail, err, say.NewMessage("the profile's pg_api_keys name the places"))
	}
}

// reach asks the API for a token and the channels, and compares the clocks.
func (d *doctor) reach() {
	m := d.merchant
	if _, err := client.Proxy(m.url); m.state == "" && err != nil {
		d.add("address", levelFail, err, say.NewMessage("write it as http://proxy.example.com:3128"))
	} else {
		d.add("address", levelOK, m.way(), "")
	}
	if m.name == "" {
		return // there is nothing to ask for a token with
	}
	api, disconnect, err := m.client(d.a, d.hurried(), d.perSecond, d.log)
	defer func() { disconnect() }() // nothing is left to lose
	if err == nil {
		err = m.authenticate(d.a, api)
	}
	if err != nil {
		d.fails("token", err)
	} else {
		d.add("token", levelOK, say.NewMessage("the API took the credentials"), "")
	}
	if api == nil {
		return
	}
	if theirs := api.Date(); !theirs.IsZero() {
		switch off := theirs.Sub(d.a.now()).Round(time.Second); {
		case off.Abs() > wrongClock:
			d.add("clock", levelWarn, say.Messagef("this machine's clock and the API's are %s apart", off.Abs()), say.NewMessage("set this machine's: due dates such as +7d go by it"))
		default:
			d.add("clock", levelOK, say.Messagef("this machine's clock and the API's are %s apart", off.Abs()), "")
		}
	}
	if err == nil {
		d.channels(api)
	}
}

// channels lists the PGs of the merchant, and looks for the one that the flags name.
func (d *doctor) channels(api *client.Client) {
	list, err := api.Channels(d.a.ctx)
	if err != nil {
		d.add("channels", levelWarn, err, say.NewMessage("the list is needed only for rows with a channel_key"))
		return
	}
	wanted, found := cmp.Or(d.PG, d.kept.Set["pg"]), false
	name, mid, _ := pg.Name(wanted)
	var names []string
	lacking := ""
	for _, c := range list {
		provider, _, _ := pg.Name(string(c.PGProvider))
		found = found || provider == name && (mid == "" || mid == string(c.PGID))
		if provider == "html5_inicis" && (wanted == "" || name == provider) && d.merchant.PGAPIKeys.For(string(c.PGID)) == "" {
			lacking = string(c.PGID)
		}
		told := say.Name(strings.TrimSuffix(provider+"."+string(c.PGID), "."))
		if c.Sandbox {
			told += d.a.Text(" (test)")
		}
		names = append(names, told)
	}
	slices.Sort(names)
	switch {
	case len(list) == 0:
		d.add("channels", levelWarn, say.NewMessage("the merchant's account lists none"), say.NewMessage("add the PG's channel in the PortOne console"))
	case wanted != "" && !found:
		d.add("channels", levelWarn, say.Messagef("%s is not among them: %s", wanted, strings.Join(names, ", ")), say.NewMessage("correct --pg, or the profile's pg, or add the channel in the PortOne console"))
	default:
		d.add("channels", levelOK, say.Message(strings.Join(names, ", ")), "")
	}
	if lacking != "" {
		d.add("channels", levelWarn, say.Messagef("KG Inicis takes no virtual account without pg_api_key, and there is none for %s", lacking), say.NewMessage("set IMP_PG_API_KEY, or IMP_PG_API_KEY_FILE, or the profile's pg_api_keys"))
	}
}

// book locks and opens the ledger, and has its folder's disk confirm a write.
func (d *doctor) book() {
	m := d.merchant
	if ledger.IsDatabase(m.ledger) && m.name == "" { // nobody knows whose lease to take
		book, err := ledger.OpenReader(d.a.ctx, m.ledger, "")
		if err != nil {
			d.fails("ledger", m.ledgerFails(d.a.ctx, err))
			return
		}
		book.Close() // it has only read
		d.add("ledger", levelOK, say.Messagef("%s: opened", ledger.Name(m.ledger)), "")
		return
	}
	unlock, err := m.lock(d.a.ctx, &d.requestFlags)
	if err != nil {
		d.fails("ledger", err)
		return
	}
	defer func() { unlock() }()
	began := time.Now()
	if m.lease != nil {
		err = m.lease.Renew(d.a.ctx)
	} else {
		err = synced(m.ledger + ".lock") // to close the ledger itself would lose its lock
	}
	if err != nil {
		d.add("ledger", levelFail, err, say.NewMessage("keep the ledger on a local disk: what is not on the disk is lost with the power"))
		return
	}
	took := time.Since(began).Round(100 * time.Microsecond)
	if m.lease == nil {
		if err := ledger.Check(d.a.ctx, m.ledger); err != nil {
			d.add("ledger", levelFail, err, say.NewMessage(ledgerHint(err)))
			return
		}
	}
	d.add("ledger", levelOK, say.Messagef("%s: opened, locked, and written to the disk in %s", say.Name(ledger.Name(m.ledger)), took), "")
	for _, warning := range m.warnings() {
		d.add("ledger", levelWarn, warning, "")
	}
	if m.name == "" {
		return // nobody knows whose orders are meant
	}
	d.a.sound = true
	book, err := m.book(d.a)
	if err != nil {
		d.fails("ledger", err)
		return
	}
	defer func() { book.Close() }()
	if orders, err := book.InDoubt(d.a.ctx); err != nil {
		d.add("ledger", levelFail, err, "")
	} else if len(orders) > 0 {
		d.add("ledger", levelWarn, say.Messagef("orders in doubt: %d", len(orders)), say.NewMessage("vbankbatch reconcile asks the API what came of them"))
	}
}

// synced has the disk confirm what was written to a file.
func synced(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

// files checks what is read and where the results go.
func (d *doctor) files() {
	info, err := os.Stat(d.File)
	switch {
	case d.File == "":
	case d.File != "-" && err != nil:
		d.add("file", levelFail, err, say.NewMessage("name a file or a folder that is there"))
	case d.File != "-" && info.IsDir():
		d.folder()
	default:
		if d.File != "-" {
			d.access("file", d.File, false)
		}
		if _, err := place(d.a.ctx, d.File, d.Profile, &d.merchantFlags, &d.outputFlags, new(report.Run)); err != nil {
			if exit, _ := statusOf(err); exit != exitUsage || d.merchant.name != "" { // the credentials have been told
				d.fails("results", err)
				return
			}
		}
		if out := resultsOf(d.File, d.Out); out != "-" {
			d.access("results", filepath.Dir(out), true)
		}
	}
	if d.Metrics != "" {
		d.access("metrics", filepath.Dir(d.Metrics), true)
	}
}

// folder checks a folder of files.
func (d *doctor) folder() {
	err := distinct([]string{d.File, d.Profile}, d.merchant.books(), []string{"-", d.Metrics})
	if err == nil {
		err = d.inboxFlags()
	}
	if err != nil {
		d.fails("folder", err)
		return
	}
	if err := report.CheckInbox(d.File); err != nil {
		d.add("folder", levelFail, err, say.NewMessage("nothing was sent; this program did not make it: look what it is, then remove it"))
		return
	}
	for _, dir := range []string{d.File, filepath.Join(d.File, report.InboxDone), filepath.Join(d.File, report.InboxFailed)} {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) && !d.access("folder", dir, true) {
			return
		}
	}
	files, left, err := report.LookInbox(d.File)
	if err != nil {
		d.add("folder", levelFail, err, "")
		return
	}
	for _, file := range files {
		if err := mayAccess(file.Path, false); err != nil {
			d.add("folder", levelFail, say.Errorf("%s cannot be read: %w", say.Name(file.Path), err), say.Messagef("let the user %s read it", me()))
		}
	}
	d.add("folder", levelOK, say.Messagef("files to run: %d", len(files)), "")
	for _, name := range slices.Sorted(maps.Keys(left)) {
		d.add("folder", levelWarn, say.Messagef(left[name], say.Name(name)), say.NewMessage("save it as .xlsx or CSV under another name, or take it out of the folder"))
	}
}

// access checks whether the user may read, or write to, what stands at path, and says so if it is a folder.
func (d *doctor) access(check, path string, write bool) bool {
	err := mayAccess(path, write)
	switch {
	case err != nil && write:
		d.add(check, levelFail, say.Errorf("%s cannot be written: %w", say.Name(path), err), say.Messagef("let the user %s write to it", me()))
	case err != nil:
		d.add(check, levelFail, say.Errorf("%s cannot be read: %w", say.Name(path), err), say.Messagef("let the user %s read it", me()))
	case write:
		d.add(check, levelOK, say.Messagef("the user %s may write to %s", me(), say.Name(path)), "")
	default:
		d.add(check, levelOK, say.Messagef("the user %s may read %s", me(), say.Name(path)), "")
	}
	return err == nil
}

// me is the name of the user, as far as the system knows it.
func me() string {
	if me, err := user.Current(); err == nil {
		return me.Username
	}
	return fmt.Sprint(os.Getuid())
}

// How many bytes should be free on the disks that are written to, and must be.
const (
	roomy = 1 << 30
	tight = 64 << 20
)

// disks checks the room where the ledger, the results and copies of large inputs are written.
func (d *doctor) disks() {
	places := []string{os.TempDir()}
	if !ledger.IsDatabase(d.merchant.ledger) {
		places = append(places, filepath.Dir(d.merchant.ledger))
	}
	if info, err := os.Stat(d.File); err == nil && info.IsDir() {
		places = append(places, d.File)
	} else if out := resultsOf(d.File, d.Out); d.File != "" && out != "-" {
		places = append(places, filepath.Dir(out))
	}
	for _, place := range places {
		bytes, known := free(place)
		switch told := say.Messagef("%s: %s free", say.Name(place), humanize.IBytes(bytes)); {
		case !known:
		case bytes < tight:
			d.add("disk", levelFail, told, say.NewMessage("make room: a run that cannot write ends early"))
		case bytes < roomy:
			d.add("disk", levelWarn, told, say.NewMessage("make room: a run that cannot write ends early"))
		default:
			d.add("disk", levelOK, told, "")
		}
	}
}
