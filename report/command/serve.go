package command

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
	"vbankbatch/report/access"
	"vbankbatch/report/job"
	"vbankbatch/report/queue"
	"vbankbatch/report/serve"
)

type serveCommand struct {
	readFlags     `embed:""`
	merchantFlags `embed:""`
	requestFlags  `embed:""`
	namedFlags    `embed:""`
	logFlags      `embed:""`
	Merchants     []string `placeholder:"NAME,…" help:"Whose files are taken, by the names that the credentials have. Default: the merchant of IMP_KEY."`
	Approve       string   `enum:"one,two" default:"one" help:"two: neither who brought a file nor who said how it is read may approve it."`
	LeaveDoubts   bool     `help:"An order that an earlier run left in doubt, and that the API does not show, stays unknown for a person to settle; it is not sent again."`
	Audit         bool     `default:"true" negatable:"" help:"At the end, hold the orders that were sent against the API once more."`
	Until         string   `placeholder:"HH:MM" help:"Take no new rows from then on, by the API's clock, in Korea."`
	MaxFailures   string   `default:"100%" help:"Stop once this many rows, or this share after 100 rows, were refused by the API."`
	MaxUpload     string   `default:"64MiB" placeholder:"SIZE" help:"The largest file that is taken, as it comes; --max-input is for what it unpacks to."`
	Keep          string   `default:"90d" placeholder:"DAYS" help:"How long files are kept once their results were taken, and those that nobody approves."`

	Listen  string   `default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Where the pages are: an address of this machine, or unix:/PATH for a proxy."`
	URL     string   `name:"url" placeholder:"URL" help:"The address that people use: https://orders.example.com. Default: --listen's."`
	Hosts   []string `placeholder:"HOST" help:"Other names under which people may ask; repeatable."`
	Open    bool     `help:"Open the page in this machine's browser."`
	TLSCert string   `name:"tls-cert" placeholder:"FILE" help:"The certificate for https, followed by the intermediate ones."`
	TLSKey  string   `name:"tls-key" placeholder:"FILE" help:"Its key."`

	Allow           []string `placeholder:"WHO=ROLES[@MERCHANTS]" sep:"none" help:"Who may do what, with --oidc-issuer or --proxy-header: a group's or a person's name, or * for everybody who has signed in; viewer, uploader, approver, or several with +; of which merchants. Repeatable."`
	OIDCIssuer      string   `name:"oidc-issuer" placeholder:"URL" help:"People sign in there, by OpenID Connect."`
	OIDCClient      string   `name:"oidc-client" placeholder:"ID" help:"The client's id at the issuer."`
	OIDCSecretFile  string   `name:"oidc-secret-file" placeholder:"FILE" help:"The file of the client's secret."`
	OIDCGroupsClaim string   `name:"oidc-groups-claim" default:"groups" placeholder:"NAME" help:"The claim that has a person's groups."`
	ProxyHeader     string   `placeholder:"NAME" help:"A proxy signs people in, and names them in this header; it must remove the header where a client sends it."`
	ProxyGroups     string   `placeholder:"NAME" help:"The header of their groups, separated by commas."`
	ProxyFrom       []string `placeholder:"ADDRESS" help:"The proxy's addresses, which the header counts from; behind a unix socket none are needed."`
}

func (serveCommand) Help() string {
	return `Serves pages on which people bring files, check and approve them, watch them run and take the results. Files, approvals and
who did what are kept in the ledger. With a ledger in a file this process sends them, one file after the other; with a
PostgreSQL database vbankbatch work does. By default only this machine is listened on, and the link that is printed lets its
reader in once, to do everything.

  vbankbatch serve --sandbox
  IMP_KEY_FILE=key IMP_SECRET_FILE=secret vbankbatch serve --due +7d --holder 한빛상사 --open`
}

func (c *serveCommand) Run(a *app) (err error) {
	if c.Approve == "two" && (c.OIDCIssuer == "") == (c.ProxyHeader == "") {
		return usage("give --oidc-issuer or --proxy-header, and not both: a person would have two names", "--approve two needs people who sign in by one way")
	}
	s := &served{serveCommand: c, a: a, woken: make(chan struct{}, 1)}
	defer func() { err = also(err, s.close()) }()
	if err := s.prepare(); err != nil {
		return err
	}
	listener, err := c.listen(a.ctx)
	if err != nil {
		return err
	}
	defer listener.Close()
	pages, err := s.pages(listener)
	if err != nil {
		return err
	}
	return s.run(listener, pages)
}

// served is what the pages are served with.
type served struct {
	*serveCommand
	a         *app
	merchant  *merchant
	profile   input.Profile
	perSecond float64
	log       *slog.Logger
	jobs      *ledger.Jobs
	queue     *queue.Queue
	tasks     *tasks
	woken     chan struct{}
	keep      time.Duration
	most      int64

	endSandbox func() error
}

// prepare refuses what is wrong with the flags, and opens the ledger's jobs.
func (s *served) prepare() (err error) {
	s.a.holdReload()
	if s.merchant, err = s.where(); err != nil {
		return err
	}
	if err := s.requestFlags.check(s.merchant); err != nil {
		return err
	}
	if s.most, err = input.ParseSize(s.MaxUpload); err != nil {
		return usage("", "--max-upload: %w", err)
	}
	if _, err = s.mostInput(); err != nil {
		return err
	}
	if s.keep, err = parseKeep(s.Keep); err != nil {
		return usage("90d is ninety days", "--keep: %w", err)
	}
	if _, err := batch.ParseLimit(s.MaxFailures); err != nil {
		return usage("", "--max-failures: %w", err)
	}
	if _, err := job.ParseClock(s.Until); err != nil {
		return usage("a time is told as 23:25", "--until: %w", err)
	}
	if len(s.Merchants) == 0 {
		s.Merchants = []string{""}
	}
	for i, name := range s.Merchants {
		if name == "default" {
			s.Merchants[i] = ""
		} else if name != "" && !client.MerchantName.MatchString(name) {
			return usage("a name has small letters, digits and hyphens", "--merchants: %q is not a merchant's name", name)
		}
	}
	kept, err := s.readFlags.profile()
	if err != nil {
		return err
	}
	if s.perSecond, err = s.rate(kept); err != nil {
		return err
	}
	options, err := s.options(kept, s.a.now())
	if err != nil {
		return err
	}
	s.profile = storedProfile(options, kept)
	if s.LogLevel == "" && !s.Quiet {
		s.LogLevel = "info"
	}
	s.log = s.logFlags.log(s.a)
	s.tasks = &tasks{a: s.a, where: s.merchant, named: s.credentials, log: s.log, logFlags: s.logFlags, lease: s.Lease}
	return s.open()
}

// credentials are those of a merchant, the sandbox's own of every one.
func (s *served) credentials(ctx context.Context, name string) (client.Credentials, error) {
	if s.merchant.state != "" {
		return s.merchant.Credentials, nil
	}
	return s.named(ctx, name)
}

// open opens the jobs of the ledger, which is made where there is none.
func (s *served) open() (err error) {
	m := s.merchant
	if ledger.IsDatabase(m.ledger) {
		if s.queue, err = openToWork(s.a, m, s.log); err == nil {
			s.jobs = s.queue.Jobs
		}
		return err
	}
	if s.jobs, err = ledger.OpenJobs(s.a.ctx, m.ledger); errors.Is(err, fs.ErrNotExist) || errors.Is(err, ledger.ErrOlder) {
		if err := s.make(); err != nil {
			return err
		}
		s.jobs, err = ledger.OpenJobs(s.a.ctx, m.ledger)
	}
	if err != nil {
		return m.ledgerFails(s.a.ctx, err)
	}
	s.queue = queue.Local(s.jobs, m.ledger)
	if m.state != "" {
		m.served, s.endSandbox, err = s.a.serve(m)
	}
	return err
}

// make makes the ledger, or brings it up to date.
func (s *served) make() error {
	m, err := s.tasks.merchant(s.a.ctx, s.Merchants[0])
	if errors.Is(err, queue.ErrNoCredentials) { // the pages say so
		m, err = &merchant{ledger: s.merchant.ledger, url: s.merchant.url, name: ledger.Merchant(s.merchant.url, "")}, nil
	}
	if err != nil {
		return err
	}
	_, release, err := m.locked(s.a, &s.requestFlags)
	if err != nil {
		return err
	}
	return release()
}

func (s *served) close() error {
	if s.queue == nil {
		return nil
	}
	err := s.queue.Close()
	if s.endSandbox != nil {
		err = errors.Join(err, s.endSandbox())
	}
	return err
}

// listen takes the address. Plain http is for this machine alone.
func (c *serveCommand) listen(ctx context.Context) (net.Listener, error) {
	hint := say.Mark("name an address that is free, such as 127.0.0.1:8080")
	if path, ok := strings.CutPrefix(c.Listen, "unix:"); ok {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
			if conn, err := net.Dial("unix", path); err == nil {
				conn.Close()
				return nil, usage("give another path", "--listen: somebody listens on %s already", path)
			}
			os.Remove(path) // of a process that was killed
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
		if err == nil {
			err = os.Chmod(path, 0o660)
		}
		if err != nil {
			return nil, usage("name a path in a folder that this user can write to; the proxy's user must be in this user's group", "--listen: %w", err)
		}
		return listener, nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, usage(hint, "--listen: %w", err)
	}
	if !client.Loopback("http://"+net.JoinHostPort(host, "80")) && c.TLSCert == "" && c.ProxyHeader == "" {
		return nil, usage("give --tls-cert and --tls-key, or listen on 127.0.0.1 with a proxy before it", "--listen: plain http is for this machine alone, and %s is not", c.Listen)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return nil, usage("give both", "--tls-cert and --tls-key belong together")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, usage(hint, "--listen: %w", err)
	}
	if c.TLSCert == "" {
		return listener, nil
	}
	if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
		listener.Close()
		return nil, usage("", "--tls-cert: %w", err)
	}
	return tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey) // one that was renewed is taken
		return &pair, err
	}}), nil
}

// gate is who gets in.
func (s *served) gate(listener net.Listener) (*access.Gate, error) {
	s.URL = cmp.Or(s.URL, map[bool]string{false: "http://", true: "https://"}[s.TLSCert != ""]+listener.Addr().String())
	config := access.Config{Sessions: s.jobs, URL: s.URL, Hosts: s.Hosts, Link: s.OIDCIssuer == "" && s.ProxyHeader == "", Owner: me(), Log: s.log,
		Now: s.a.now, Note: func(ctx context.Context, who, from, what string) error {
			return s.jobs.Note(ctx, ledger.Deed{Who: who, From: from, What: what})
		}}
	if _, port, err := net.SplitHostPort(listener.Addr().String()); err == nil {
		config.Hosts = append(config.Hosts, "localhost:"+port)
	}
	for _, text := range s.Allow {
		rules, err := access.ParseRule(text)
		if err != nil {
			return nil, usage("--allow accounting=uploader@seoul, --allow bosses=approver", "--allow: %w", err)
		}
		config.Rules = append(config.Rules, rules...)
	}
	if s.OIDCIssuer != "" {
		config.OIDC = &access.OIDC{Issuer: s.OIDCIssuer, ClientID: s.OIDCClient, GroupsClaim: s.OIDCGroupsClaim}
		if s.OIDCSecretFile != "" {
			secret, err := client.ReadSecret(s.a.ctx, s.OIDCSecretFile)
			if err != nil {
				return nil, usage("", "--oidc-secret-file: %w", err)
			}
			config.OIDC.ClientSecret = secret
		}
	}
	if s.ProxyHeader != "" {
		config.Proxy = &access.Proxy{Header: s.ProxyHeader, GroupsHeader: s.ProxyGroups}
		for _, text := range s.ProxyFrom {
			prefix, err := netip.ParsePrefix(text)
			if address, single := netip.ParseAddr(text); single == nil {
				prefix, err = address.Prefix(address.BitLen())
			}
			if err != nil {
				return nil, usage("an address, or 10.0.0.0/24", "--proxy-from: %q is no address", text)
			}
			config.Proxy.From = append(config.Proxy.From, prefix)
		}
	}
	gate, err := access.New(config)
	if err != nil {
		return nil, usage("vbankbatch serve --help tells of --url, --allow, --oidc-issuer and --proxy-header", "%w", err)
	}
	return gate, nil
}

func (s *served) pages(listener net.Listener) (*serve.Server, error) {
	gate, err := s.gate(listener)
	if err != nil {
		return nil, err
	}
	return &serve.Server{Jobs: s.jobs, Gate: gate, Merchants: s.Merchants, API: s.merchant.url, Live: s.merchant.live(), Two: s.Approve == "two", MaxUpload: s.most, Log: s.log, Now: s.a.now,
		Request: s.request(), Options: s.read, Whose: s.whose, Read: s.reader, Approved: s.approved, Reconcile: s.reconcile, Elsewhere: s.elsewhere, Settle: s.settle, Faults: s.faults}, nil
}

// request is what a file is read and sent with, before its columns were looked at.
func (s *served) request() job.Request {
	return job.Request{Profile: s.profile, MaxInput: s.MaxInput, Rate: s.perSecond, Workers: s.Workers, Timeout: job.Duration(s.Timeout), DoubtWait: job.Duration(s.DoubtWait), Patience: job.Duration(s.Patience),
		Sending: job.Sending{RemoteCheck: true, LeaveDoubts: s.LeaveDoubts, Audit: s.Audit, Until: s.Until, MaxFailures: s.MaxFailures}, Output: job.Output{HTML: true}}
}

// read is how a file is read that somebody has brought.
func (s *served) read(ctx context.Context, merchant string, r *job.Request, now time.Time) (input.Options, error) {
	flags := flagsOf(r)
	options, err := flags.options(r.Profile, now)
	if err != nil {
		return options, err
	}
	options.Revoke = r.Revoke
	if m, err := s.tasks.merchant(ctx, merchant); err == nil {
		if err := m.PGAPIKeys.Find(ctx, r.Profile.PGAPIKeys); err != nil && m.state == "" {
			return options, err
		}
		options.HasKey = job.HasKey(m.PGAPIKeys)
	}
	return options, nil
}

// whose is a merchant's name in the ledger, "" where only the workers have its credentials.
func (s *served) whose(ctx context.Context, name string) (string, error) {
	m, err := s.tasks.merchant(ctx, name)
	if errors.Is(err, queue.ErrNoCredentials) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return m.name, nil
}

func (s *served) reader(ctx context.Context, name, whose string) (_ *ledger.Reader, err error) {
	if whose == "" {
		whose, err = s.whose(ctx, name)
	}
	if err == nil && whose == "" { // what the ledger knows is not known here, which is not nothing
		err = queue.ErrNoCredentials
	}
	if err != nil {
		return nil, err
	}
	book, err := ledger.OpenReader(ctx, s.merchant.ledger, whose)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return book, err
}

// approved has a file sent.
func (s *served) approved(ctx context.Context, stored *ledger.Job) error {
	if ledger.IsDatabase(s.merchant.ledger) {
		return s.queue.Push(ctx, stored.ID, stored.Turn)
	}
	select {
	case s.woken <- struct{}{}:
	default: // somebody has said so
	}
	return nil
}

// held opens a merchant's ledger and a client for something that issues nothing.
func (s *served) held(ctx context.Context, name string, do func(*client.Client, *ledger.Ledger) error) (err error) {
	m, err := s.tasks.merchant(ctx, name)
	if err != nil {
		return err
	}
	own := s.a.within(ctx, s.a.Language)
	book, release, err := m.locked(own, &s.requestFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	api, disconnect, err := m.connect(own, &s.requestFlags, s.perSecond, s.log)
	defer func() { err = errors.Join(err, disconnect()) }()
	if err != nil {
		return err
	}
	return do(api, book)
}

// reconcile does what the command reconcile does.
func (s *served) reconcile(ctx context.Context, name string) (settled, unknown int, err error) {
	err = s.held(ctx, name, func(api *client.Client, book *ledger.Ledger) error {
		return batch.Reconcile(ctx, api, book, s.DoubtWait, s.LeaveDoubts, func(of batch.Settled) {
			settled++
			if of.Status == batch.Unknown {
				unknown++
			}
		})
	})
	return settled, unknown, err
}

// settle does what the command ledger settle does.
func (s *served) settle(ctx context.Context, name string, verdict batch.Verdict) error {
	return s.held(ctx, name, func(api *client.Client, book *ledger.Ledger) error {
		_, err := batch.Settle(ctx, api, book, s.DoubtWait, verdict)
		return err
	})
}

// elsewhere counts the rows of a plan for whose orders the API has a payment that the ledger does not know.
func (s *served) elsewhere(ctx context.Context, name string, plan *batch.Plan) (rows int, err error) {
	m, err := s.tasks.merchant(ctx, name)
	if err != nil {
		return 0, err
	}
	book, err := s.reader(ctx, name, m.name)
	if err != nil || book == nil {
		return 0, err
	}
	defer book.Close()
	api, disconnect, err := m.connect(s.a.within(ctx, s.a.Language), s.hurried(), s.perSecond, quietLog()) // somebody looks at a page meanwhile
	defer func() { err = errors.Join(err, disconnect()) }()
	if err != nil {
		return 0, err
	}
	return plan.Elsewhere(ctx, api, book.Orders)
}

// faults is what doctor finds wrong with each merchant's credentials and the way to the API.
func (s *served) faults(ctx context.Context, language say.Language) (all []serve.Fault) {
	for _, name := range s.Merchants {
		m, err := s.tasks.merchant(ctx, name)
		if errors.Is(err, queue.ErrNoCredentials) {
			if !ledger.IsDatabase(s.merchant.ledger) { // else the workers have them
				all = append(all, serve.Fault{Merchant: name, What: say.Messagef("there are no credentials of the merchant %s", cmp.Or(name, "IMP_KEY")), Hint: say.NewMessage("whoever runs this page has to set them; vbankbatch doctor tells more")})
			}
			continue
		}
		d := &doctor{driver: (&runCommand{runFlags: runFlags{requestFlags: s.requestFlags}}).driver(s.a.within(ctx, language))}
		d.merchant, d.perSecond, d.log = m, s.perSecond, quietLog()
		d.reach()
		for _, f := range d.found {
			if f.Level == levelFail || f.Level == levelWarn && f.Check != "channels" {
				all = append(all, serve.Fault{Merchant: name, What: say.Message(f.Message), Hint: say.Message(f.Hint)})
			}
		}
	}
	return all
}

// run serves until Ctrl-C: then the rows under way are finished, and the next start goes on.
func (s *served) run(listener net.Listener, pages *serve.Server) error {
	server := &http.Server{Handler: pages.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	ctx, stop := context.WithCancel(s.a.ctx)
	defer stop()
	var working sync.WaitGroup
	if !ledger.IsDatabase(s.merchant.ledger) { // else vbankbatch work runs the jobs
		w := &queue.Worker{Queue: s.queue, Merchants: 1, Keep: s.keep, Log: s.log, End: jobEnd, Task: s.tasks.task}
		working.Go(func() { w.RunLocal(ctx, s.woken) })
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	s.greet(pages.Gate)
	var err error
	select {
	case <-s.a.ctx.Done():
	case err = <-ended:
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(s.a.ctx), 10*time.Second)
	defer cancel()
	if server.Shutdown(closing) != nil {
		server.Close()
	}
	stop() // also where the server has failed
	working.Wait()
	return err
}

// greet prints where the pages are, and lets this machine's user in.
func (s *served) greet(gate *access.Gate) {
	if s.OIDCIssuer != "" || s.ProxyHeader != "" {
		if !s.Quiet {
			s.a.stderr.Printf("the pages are at %s; Ctrl-C ends it\n", s.URL)
		}
		return
	}
	link := gate.Link()
	fmt.Fprintln(s.a.stdout, link)
	s.a.onReload(func() { fmt.Fprintln(s.a.stdout, gate.Link()) })
	if !s.Quiet {
		s.a.stderr.Printf("open this link in a browser of this machine: it lets its reader in once, within ten minutes; SIGHUP prints another. Ctrl-C ends it\n")
	}
	if s.Open {
		name, args := "xdg-open", []string{link}
		switch runtime.GOOS {
		case "darwin":
			name = "open"
		case "windows":
			name, args = "rundll32", []string{"url.dll,FileProtocolHandler", link}
		}
		if err := exec.Command(name, args...).Start(); err != nil {
			s.a.stderr.Printf("the browser could not be opened: %v\n", err)
		}
	}
}
