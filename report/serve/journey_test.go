//go:build unix

package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"vbankbatch/batch/ledger/ledgertest"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
	"vbankbatch/report/command"
)

var (
	pictures = flag.String("pictures", "", "a folder for pictures of the pages")
	axe      = os.Getenv("AXE") // axe.min.js of axe-core, which then looks at every page
)

// TestMain lets the tests run this binary as vbankbatch, in processes of its own.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "vbankbatch" {
		os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, time.Now))
	}
	os.Exit(m.Run())
}

// desk is a server of pages, its API and its ledger.
type desk struct {
	*testing.T
	api    *sandbox.Sandbox
	dir    string
	binary string
	env    []string
	flags  []string
	server *exec.Cmd
	link   string
	log    string // the file of what the server says
}

// newDesk starts an API, and a server of pages with flags.
func newDesk(t *testing.T, faults sandbox.Faults, flags ...string) *desk {
	t.Helper()
	return newDeskAt(t, filepath.Join(t.TempDir(), "ledger.db"), faults, flags...)
}

// newDeskAt is newDesk with a ledger of its own.
func newDeskAt(t *testing.T, ledger string, faults sandbox.Faults, flags ...string) *desk {
	t.Helper()
	d := &desk{T: t, dir: t.TempDir(), flags: flags}
	d.log = filepath.Join(d.dir, "log")
	var err error
	if d.api, err = sandbox.New(sandbox.Config{Faults: faults}); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(d.api)
	t.Cleanup(func() { web.Close(); d.api.Close() })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.binary = filepath.Join(d.dir, "vbankbatch")
	if err := os.Symlink(self, d.binary); err != nil {
		t.Fatal(err)
	}
	d.env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+d.dir, "VBANKBATCH_LEDGER="+ledger, "VBANKBATCH_API_URL="+web.URL, "IMP_KEY=key", "IMP_SECRET=secret")
	d.start("127.0.0.1:0")
	t.Cleanup(func() {
		d.server.Process.Signal(os.Interrupt)
		d.server.Wait()
		if t.Failed() {
			t.Logf("the server said:\n%s", d.said())
		}
	})
	return d
}

// start starts the server, and waits for its link.
func (d *desk) start(listen string) {
	d.Helper()
	d.server = exec.Command(d.binary, append([]string{"serve", "--listen", listen}, d.flags...)...)
	d.server.Env, d.server.Dir = d.env, d.dir
	out, err := d.server.StdoutPipe()
	if err != nil {
		d.Fatal(err)
	}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		d.Fatal(err)
	}
	defer log.Close() // the server has its own
	d.server.Stderr = log
	if err := d.server.Start(); err != nil {
		d.Fatal(err)
	}
	told := make(chan string, 1)
	if strings.Contains(strings.Join(d.flags, " "), "--proxy-header") {
		go func() {
			for range 400 {
				text, _ := os.ReadFile(d.log)
				if _, after, found := strings.Cut(string(text), "the pages are at "); found && strings.Contains(after, ";") {
					address, _, _ := strings.Cut(after, ";")
					told <- address + "/"
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
	} else {
		go func() {
			line, _ := bufio.NewReader(out).ReadString('\n')
			told <- strings.TrimSpace(line)
		}()
	}
	select {
	case d.link = <-told:
	case <-time.After(20 * time.Second):
	}
	if !strings.HasPrefix(d.link, "http://") {
		d.Fatalf("the server printed no link: %q\n%s", d.link, d.said())
	}
}

func (d *desk) said() string {
	text, _ := os.ReadFile(d.log)
	return string(text)
}

// address is that of the pages.
func (d *desk) address() string {
	return d.link[:strings.IndexByte(d.link[len("http://"):], '/')+len("http://")]
}

// ready counts the accounts of each order.
func (d *desk) ready() map[string]int {
	accounts := make(map[string]int)
	for _, p := range d.api.Payments() {
		if p.Status == client.StatusReady {
			accounts[p.MerchantUID]++
		}
	}
	return accounts
}

// browser is a person's, who sees one page at a time.
type browser struct {
	*desk
	ctx      context.Context
	language string
	shots    string // prefix of the names of pictures; "" takes none
}

// browse opens a browser in a language, and is let in by the link.
func (d *desk) browse(language string, actions ...action) *browser {
	d.Helper()
	program := ""
	for _, name := range []string{"chromium", "google-chrome", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv("CI") != "" {
			d.Fatal("Chromium is not installed")
		}
		d.Skip("Chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.Flag("lang", language), chromedp.Flag("accept-lang", language),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1100, 900), chromedp.Env("LANGUAGE="+language), chromedp.WSURLReadTimeout(time.Minute))
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	d.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated)
	d.Cleanup(cancel)
	b := &browser{desk: d, ctx: ctx, language: language}
	if _, err := chromedp.Run(ctx, chromedp.Steps()); err != nil { // it lives as long as the context of its first action
		d.Fatal(err)
	}
	b.do(append([]action{call(network.Enable, network.EnableParams{}), headers("Accept-Language", language)}, actions...)...)
	return b
}

type action = chromedp.Action[chromedp.Void]

// call is a command to the browser.
func call[P, R any](command cdp.Command[P, R], params P) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func headers(pairs ...string) action {
	all := make(network.Headers)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: all})
}

// evaluate is what a script comes to.
func evaluate[T any](b *browser, script string, options ...chromedp.EvaluateOption) (found T) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, options...))
	if err != nil {
		b.Fatal(err)
	}
	return found
}

func (b *browser) do(actions ...action) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Steps(actions...)); err != nil {
		look, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		defer cancel()
		text, _ := chromedp.Run(look, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
		b.Fatalf("%v; the page is\n%s", err, text)
	}
}

// enter lets the person in by the link.
func (b *browser) enter() {
	b.Helper()
	b.do(chromedp.Navigate(b.link), chromedp.Click(`form button`), chromedp.WaitVisible(`header.bar`))
}

// press presses a button and waits for the page that has the selector.
func (b *browser) press(button, then string) {
	b.Helper()
	b.do(chromedp.WaitVisible(button), chromedp.Click(button), chromedp.WaitVisible(then))
}

func (b *browser) text() string {
	b.Helper()
	return evaluate[string](b, `document.body?.innerText ?? ""`)
}

func (b *browser) sees(texts ...string) {
	b.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // the page may not be whole yet
		shown := b.text()
		i := slices.IndexFunc(texts, func(text string) bool { return !strings.Contains(shown, text) })
		if i < 0 {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("there is no %q on the page:\n%s", texts[i], shown)
		}
	}
}

// bring uploads a file.
func (b *browser) bring(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.address()+"/"), chromedp.SetUploadFiles(`input[type=file]`, []string{path}), chromedp.Click(`form.upload button`), chromedp.WaitVisible(`h1`), b.at("/check"))
}

// at waits until the address ends so.
func (b *browser) at(ending string) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for {
			where, err := chromedp.Location()(ctx, t)
			if err != nil && ctx.Err() != nil {
				return err
			}
			if before, _, _ := strings.Cut(where, "?"); strings.HasSuffix(before, ending) {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("at %s, not at %s", where, ending)
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}

// shot keeps a picture, and has axe-core look at the page.
func (b *browser) shot(name string) {
	b.Helper()
	if axe != "" {
		b.accessible(name)
	}
	if *pictures == "" || b.shots == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, b.shots+name+".png"), picture, 0o644); err != nil {
		b.Fatal(err)
	}
}

// accessible fails if axe-core finds something serious.
func (b *browser) accessible(name string) {
	b.Helper()
	script, err := os.ReadFile(axe)
	if err != nil {
		b.Fatal(err)
	}
	b.script(string(script))
	found := evaluate[[]string](b, `axe.run().then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical").map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html).join(" ")))`, chromedp.EvalAwaitPromise)
	for _, violation := range found {
		b.Errorf("%s: %s", name, violation)
	}
}

// script runs a script, whatever it comes to.
func (b *browser) script(text string) {
	b.Helper()
	evaluate[bool](b, text+";\ntrue")
}

// sample is an export of a shop's accounting software that names neither bank nor holder nor due date.
const sample = "layout_ecount_slips_cp949.csv"

// ticked ticks all that is asked for before a file is sent.
func (b *browser) ticked() action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](`for (const box of document.querySelectorAll('`+approveForm+` input[type=checkbox]')) box.checked = true; true`)(ctx, t)
		return err
	})
}

// write writes a file.
func (d *desk) write(name string, text []byte) string {
	d.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		d.Fatal(err)
	}
	return path
}

// orders is a CSV of n orders.
func orders(prefix string, n int) []byte {
	var text bytes.Buffer
	text.WriteString("주문번호,주문자명,연락처,결제금액,은행,예금주,입금기한\n")
	for i := range n {
		fmt.Fprintf(&text, "%s-%d,홍길동,010-1234-%04d,%d,국민,한빛상사,+7d\n", prefix, i, i, 1000+i)
	}
	return text.Bytes()
}

const (
	approveForm = `form[action$="/approve"]`
	sure        = approveForm + ` input[name=sure]`
	send        = approveForm + ` button`
)

// TestKorean is the whole way of an accountant: an export of CP949 that lacks bank, holder and due date, with a wrong row.
func TestKorean(t *testing.T) {
	t.Parallel()
	d := newDesk(t, sandbox.Faults{})
	export, err := os.ReadFile("../../testdata/exports/" + sample)
	if err != nil {
		t.Fatal(err)
	}
	b := d.browse("ko")
	b.shots = "serve-"
	b.enter()
	b.sees("주문 파일")
	b.bring(d.write("판매현황.csv", export))
	b.shot("refused")
	b.press(`a.button`, `select[name=set-vbank_code]`)
	b.shot("columns")
	b.do(chromedp.SetValue(`select[name=set-vbank_code]`, "004"), chromedp.SetValue(`input[name=set-vbank_due]`, "+7d"), chromedp.SetValue(`input[name=set-vbank_holder]`, "한빛상사"),
		chromedp.SetValue(`input[name=form]`, "판매현황"), chromedp.Click(`input[name=form] ~ p button, section:last-of-type button`), b.at("/check"), chromedp.WaitVisible(sure))
	b.sees("국민은행")
	b.shot("check")
	// Other totals than the file's are refused.
	b.do(chromedp.SetValue(approveForm+` input[name=won]`, "1"), b.ticked())
	b.press(send, `[role=alert]`)
	b.do(chromedp.Navigate(b.address()+"/files/1/check"), chromedp.WaitVisible(sure), b.ticked())
	b.press(send, `a[href$=".results.xlsx"]`)
	b.shot("results")
	b.press(`a[href$="/rows"]`, `table`)
	b.shot("rows")
	masked := b.text()
	b.press(`form[method=post][action$="/rows"] button`, `section[data-whole=true]`)
	for _, p := range d.api.Payments() {
		if strings.Contains(masked, string(p.VbankNum)) || !strings.Contains(b.text(), string(p.VbankNum)) {
			t.Errorf("account numbers are shown before they were asked for, or not then")
		}
	}
	if len(d.ready()) == 0 {
		t.Fatal("nothing was issued")
	}
	// The same layout again uses the form, and nothing gets a second account.
	b.bring(filepath.Join(d.dir, "판매현황.csv"))
	b.do(chromedp.WaitVisible(`#figures`))
	b.sees("전에")
	b.do(chromedp.Navigate(b.address()+"/"), chromedp.WaitVisible(`table`))
	b.shot("start")
	b.do(chromedp.EmulateViewport(390, 800), chromedp.Navigate(b.address()+"/"), chromedp.WaitVisible(`table`))
	b.shot("start-390")
	if evaluate[bool](b, `document.documentElement.scrollWidth > 391`) {
		t.Error("the page is wider than a telephone")
	}
	for order, n := range d.ready() {
		if n != 1 {
			t.Errorf("%s has %d accounts", order, n)
		}
	}
}

// TestWorkbookInEnglish takes a workbook, searches for a name, and changes and revokes the account of an order.
func TestWorkbookInEnglish(t *testing.T) {
	t.Parallel()
	d := newDesk(t, sandbox.Faults{})
	b := d.browse("en")
	b.shots = "serve-en-"
	b.enter()
	b.sees("Bring a file of orders")
	other := exec.Command(d.binary, "run", "--ledger", filepath.Join(d.dir, "other.db"), d.write("one.csv", orders("W", 1)))
	other.Env = d.env
	if out, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b.bring(d.write("orders.csv", orders("W", 3)))
	b.sees("PortOne has payments for orders that are new here: 1.")
	b.do(chromedp.WaitVisible(sure), chromedp.Click(sure))
	b.press(send, `a[href$=".results.xlsx"]`)
	b.sees("Every row is done.")
	b.do(chromedp.Navigate(b.address()+"/search?q="+"홍길동"), chromedp.WaitVisible(`table`))
	b.sees("W-0", "W-1", "W-2")
	b.press(`tbody tr:first-child a`, `form[action$="/update"]`)
	b.shot("order")
	b.do(chromedp.SetValue(`form[action$="/update"] input[name=amount]`, "7,777"))
	b.press(`form[action$="/update"] button`, sure)
	b.sees("change 1 account")
	b.do(chromedp.Click(sure))
	b.press(send, `a[href$=".results.csv"]`)
	changed := 0
	for _, p := range d.api.Payments() {
		if p.Amount == 7777 {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%d accounts were changed", changed)
	}
	b.do(chromedp.Navigate(b.address()+"/orders/default?order=W-0"), chromedp.WaitVisible(`form[action$="/revoke"]`))
	b.press(`form[action$="/revoke"] button`, sure)
	b.sees("take back 1 account")
	b.do(chromedp.Click(sure))
	b.press(send, `a[href$=".results.csv"]`)
	if d.ready()["W-0"] != 0 {
		t.Error("the account was not taken back")
	}
	b.do(chromedp.Navigate(b.address()+"/trail"), chromedp.WaitVisible(`table`))
	b.sees("approved it", "brought a file", "signed in")
}

// TestWithoutScript goes the whole way in a browser that runs no scripts.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	d := newDesk(t, sandbox.Faults{})
	b := d.browse("ko", call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	b.enter()
	b.bring(d.write("orders.csv", orders("N", 3)))
	b.do(chromedp.WaitVisible(sure), chromedp.Click(sure), chromedp.Click(send), b.at("/files/1"), chromedp.WaitVisible(`h1`))
	for range 100 {
		b.do(chromedp.Navigate(b.address()+"/files/1"), chromedp.WaitVisible(`h1`))
		if evaluate[bool](b, `document.querySelector('a[href$=".results.xlsx"]') !== null`) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.do(chromedp.WaitVisible(`a[href$=".results.xlsx"]`))
	if len(d.ready()) != 3 {
		t.Errorf("%d accounts", len(d.ready()))
	}
}

// TestKilled: a server that is killed in the middle of a file goes on with it once it runs again; the page that was open follows.
func TestKilled(t *testing.T) {
	t.Parallel()
	d := newDesk(t, sandbox.Faults{Latency: 100 * time.Millisecond, DropAfter: 0.05}, "--workers=2", "--doubt-wait=500ms", "--timeout=2s")
	b := d.browse("ko")
	b.shots = "serve-"
	b.enter()
	b.bring(d.write("orders.csv", orders("K", 60)))
	b.do(chromedp.WaitVisible(sure), chromedp.Click(sure))
	b.press(send, `progress`)
	for d.Failed(); len(d.ready()) < 10; time.Sleep(50 * time.Millisecond) {
	}
	b.do(chromedp.WaitVisible(`progress:not([value="0"])`))
	b.shot("progress")
	d.server.Process.Signal(syscall.SIGKILL)
	d.server.Wait()
	d.start(strings.TrimPrefix(d.address(), "http://"))
	b.do(chromedp.WaitVisible(`a[href$=".results.xlsx"]`)) // the page asks again by itself, and its session is still good
	accounts := d.ready()
	if len(accounts) != 60 {
		t.Errorf("%d orders have their account", len(accounts))
	}
	for order, n := range accounts {
		if n != 1 {
			t.Errorf("%s has %d accounts", order, n)
		}
	}
}

// TestWithWorkers: with a PostgreSQL ledger two servers take files and workers send them; a file that is approved at both at
// once is sent once, and with --approve two not by who has brought it.
func TestWithWorkers(t *testing.T) {
	t.Parallel()
	server := ledgertest.Start(t, "fsync=off")
	first := newDeskAt(t, server.Database(t), sandbox.Faults{DropAfter: 0.05}, "--proxy-header=X-User", "--proxy-from=127.0.0.1", "--allow=*=uploader+approver", "--approve=two", "--doubt-wait=500ms", "--timeout=2s")
	second := *first
	second.log += " of the second"
	second.start("127.0.0.1:0")
	defer func() {
		second.server.Process.Signal(os.Interrupt)
		second.server.Wait()
	}()
	var logs [2]bytes.Buffer
	for i := range logs {
		worker := exec.Command(first.binary, "work", "--lease=2s")
		worker.Env, worker.Dir, worker.Stderr = first.env, first.dir, &logs[i]
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			worker.Process.Signal(os.Interrupt)
			worker.Wait()
			if t.Failed() {
				t.Logf("worker %d:\n%s", i, &logs[i])
			}
		}()
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	w.WriteField("merchant", "default")
	part, err := w.CreateFormFile("file", "orders.csv")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(orders("P", 40))
	w.Close()
	first.ask("kim", "POST", "/uploads", w.FormDataContentType(), &form)
	if page := first.ask("kim", "GET", "/files/1/check", "", nil); !strings.Contains(page, "another person has to approve it") {
		t.Errorf("who brought the file sees\n%s", page)
	}
	page := first.ask("lee", "GET", "/files/1/check", "", nil)
	values := url.Values{"sure": {"yes"}}
	for _, name := range []string{"settings", "digest", "to-do", "total", "due"} {
		_, rest, _ := strings.Cut(page, `name="`+name+`" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		values.Set(name, value)
	}
	const asForm = "application/x-www-form-urlencoded"
	if status, text := first.answer("kim", "POST", "/files/1/approve", asForm, strings.NewReader(values.Encode())); status != http.StatusForbidden {
		t.Errorf("approved by who brought it: %d\n%s", status, text)
	}
	var both sync.WaitGroup
	for i := range 8 {
		both.Go(func() {
			[]*desk{first, &second}[i%2].ask("lee", "POST", "/files/1/approve", asForm, strings.NewReader(values.Encode()))
		})
	}
	both.Wait()
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(second.ask("kim", "GET", "/files/1", "", nil), ".results.xlsx"); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the file is not done")
		}
	}
	accounts := first.ready()
	if len(accounts) != 40 {
		t.Errorf("%d orders have their account", len(accounts))
	}
	for order, n := range accounts {
		if n != 1 {
			t.Errorf("%s has %d accounts", order, n)
		}
	}
	if trail := second.ask("kim", "GET", "/trail", "", nil); strings.Count(trail, "approved it") != 1 {
		t.Errorf("it was not approved once:\n%s", trail)
	}
}

// ask asks for a page as somebody whom the proxy names, and returns what it says.
func (d *desk) ask(who, method, path, kind string, body io.Reader) string {
	d.Helper()
	status, text := d.answer(who, method, path, kind, body)
	if status != http.StatusOK {
		d.Errorf("%s %s as %s: %d\n%s", method, path, who, status, text)
	}
	return text
}

// answer is what ask gets, whether it is a page or not.
func (d *desk) answer(who, method, path, kind string, body io.Reader) (status int, _ string) {
	d.Helper()
	r, err := http.NewRequest(method, d.address()+path, body)
	if err != nil {
		d.Fatal(err)
	}
	r.Header.Set("X-User", who)
	r.Header.Set("Accept-Language", "en")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		d.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
