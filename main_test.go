package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/pg"
	"vbankbatch/report"
	"vbankbatch/report/command"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run this binary as vbankbatch. TEST_NOW, an RFC 3339 time, is the day for due dates.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "vbankbatch" { // whose locale is its script's
		os.Setenv("LC_ALL", "C")        // what is printed is compared in English
		flag.Set("test.parallel", "12") // most of these tests wait; -parallel goes before it
	}
	testscript.Main(m, map[string]func(){
		"vbankbatch": func() {
			now := time.Now
			if text := os.Getenv("TEST_NOW"); text != "" {
				fixed, err := time.Parse(time.RFC3339, text)
				if err != nil {
					panic(err)
				}
				now = func() time.Time { return fixed }
			}
			os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, now))
		},
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	orders, err := filepath.Abs("testdata/orders.csv")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_STATE_HOME", env.WorkDir+"/state")
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv("ORDERS", orders)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"serve":  serve,
		},
	})
}

// status runs a program and compares its exit status: status 3 vbankbatch run …
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program args…")
	}
	want := args[0]
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = strconv.Itoa(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %s, want %s", got, want)
	}
}

// serve starts vbankbatch sandbox in another process and puts its address into $API: serve [flags…]
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! serve")
	}
	var env []string
	for _, name := range []string{"IMP_KEY", "IMP_SECRET", "IMP_PG_API_KEY"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	address, stop, err := spawnSandbox(ts.MkAbs("."), env, args...)
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("API", address)
}

func startSandbox(t *testing.T, dir string, env []string, args ...string) (address string) {
	t.Helper()
	address, stop, err := spawnSandbox(dir, env, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return address
}

func spawnSandbox(dir string, env []string, args ...string) (address string, stop func(), err error) {
	command := exec.Command("vbankbatch", append([]string{"sandbox", "--listen", "127.0.0.1:0"}, args...)...)
	command.Dir = dir
	command.Env = append(os.Environ(), env...)
	out, err := command.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		command.Process.Signal(os.Interrupt)
		command.Wait()
	}
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
	}
	return strings.TrimSpace(address), stop, err
}

var update = flag.Bool("update", false, "write the golden files anew")

// sent are the columns of the results that say what was sent, in the golden files of testdata/exports/*.cases.
var sent = []string{"line", "status", "error_code", "merchant_uid", "amount", "vbank_code", "vbank_due", "vbank_holder"}

// TestExports checks and runs files as people's programs write them, and compares all that is said of them with the
// golden files: NAME.check as check tells it with the flags that the file needs to be read, NAME.results as run
// writes them with what the accounts need besides.
func TestExports(t *testing.T) {
	t.Parallel()
	const exports = "testdata/exports/"
	const account = "--bank=국민 --due=+7d --holder=한빛상사"
	now := func() time.Time { return time.Date(2026, 11, 5, 9, 0, 0, 0, input.KST) }
	tested := map[string]bool{"golden": true}
	for _, c := range []struct{ file, flags, more string }{
		{"s01_ecount_sales_cp949.csv", account, ""},
		{"s03_godomall_orders_utf8.csv", "--where=결제방법=가상계좌", account},
		{"s04_excel_damaged_cp949.csv", "", account},
		{"s05_excel_unicode_text_utf16le.txt", "", account},
		{"s08_apartment_fee_cp949.csv", "--key={동}-{호}-202611", account},
		{"s10_update_hecto_utf8bom.csv", "", ""},
		{"s12_messy_concat_utf8.csv", "", account},
		{"academy_fees_utf16be.txt", `--map=amount=원비 --map=vbank_due=납부마감일 --due-year=2026 --key={학생명}-{반} --set=custom_data={"반":"{반}"} ` + account, ""},
		{"carried_forward_cp949.csv", "--map=amount=금액", account},
		{"concatenated_months.csv", "", account},
		{"decomposed_macos.csv", "", account},
		{"excel_text_formulas.csv", "", account},
		{"german_semicolons.csv", "", account},
		{"leap_days.csv", "", account},
		{"lone_quote.csv", "", account},
		{"noon_and_midnight.csv", "", account},
		{"results_through_excel_cp949.csv", "--holder=한빛상사", ""},
		{"returns_and_totals_cp949.csv", account + " --totals=warn", ""},
		{"tabs_and_commas.csv", "", account},
		{"two_line_header_cp949.csv", "--key={동}-{호}-202611", account},
	} {
		tested[c.file] = true
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			vbankbatch := func(name string, flags ...string) string {
				var out, errs bytes.Buffer
				status := command.Main(append([]string{name, exports + c.file}, flags...), nil, &out, &errs, now)
				if name == "check" {
					fmt.Fprintf(&out, "%sexit status %d\n", &errs, status)
				} else if status > 1 /* some rows not done */ {
					t.Errorf("exit status %d\n%s", status, &errs)
				}
				return out.String()
			}
			golden(t, exports+"golden/"+c.file+".check", vbankbatch("check", strings.Fields(c.flags)...))
			ledger := filepath.Join(dir, "ledger.db")
			accountsForUpdates(t, ledger+".sandbox.jsonl")
			flags := append(strings.Fields(c.flags+" "+c.more), "--sandbox", "--quiet", "--workers=1", "--rate=0", "--ledger="+ledger, "--out=-")
			golden(t, exports+"golden/"+c.file+".results", vbankbatch("run", flags...))
		})
	}
	var cases []byte
	for _, kind := range []string{"cells", "columns", "lines"} {
		list, err := os.ReadFile(exports + kind + ".cases")
		if err != nil {
			t.Fatal(err)
		}
		cases, tested[kind+".cases"] = append(cases, list...), true
	}
	for line := range strings.Lines(string(cases)) {
		name, call, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || name[0] == '#' {
			continue
		}
		flags := strings.Fields(strings.ReplaceAll(call, "ACCOUNT", account))
		for i := range flags {
			flags[i] = strings.ReplaceAll(flags[i], "§", " ")
		}
		tested[flags[0]] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told, results bytes.Buffer
			args := append([]string{exports + flags[0]}, flags[1:]...)
			fmt.Fprintf(&told, "$ check %s\n", strings.Join(flags, " "))
			fmt.Fprintf(&told, "exit status %d\n$ run\n", command.Main(append([]string{"check"}, args...), nil, &told, &told, now))
			status := command.Main(append(append([]string{"run"}, args...), "--sandbox", "--quiet", "--workers=1", "--rate=0",
				"--ledger="+filepath.Join(t.TempDir(), "ledger.db"), "--out=-"), nil, &results, io.Discard, now)
			records, err := csv.NewReader(&results).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range records {
				for i, cell := range record {
					if name := records[0][i]; slices.Contains(sent, name) && !slices.Contains(records[0][i+1:], name) {
						fmt.Fprintf(&told, "%s | ", cell)
					}
				}
				fmt.Fprintln(&told)
			}
			fmt.Fprintf(&told, "exit status %d\n", status)
			golden(t, exports+"golden/"+name, told.String())
		})
	}
	files, err := os.ReadDir(exports)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !tested[file.Name()] {
			t.Errorf("%s is tested nowhere", file.Name())
		}
	}
}

// TestPGs runs testdata/pg: a file of orders for each PG, good ones and one for each rule of the PG that it breaks, and a
// file that changes them. The column expect has the status and the codes, those of warnings with a question mark.
func TestPGs(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 11, 5, 9, 0, 0, 0, input.KST) }
	for _, name := range pg.PGs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ledger := filepath.Join(t.TempDir(), "ledger.db")
			for _, path := range []string{"testdata/pg/" + name + ".csv", "testdata/pg/" + name + ".update.csv"} {
				var problems, results, errs bytes.Buffer
				flags := []string{path, "--pg=" + name}
				command.Main(append([]string{"check", "--format=csv"}, flags...), nil, &problems, &errs, now)
				warnings := make(map[string][]string)
				for _, p := range table(t, problems.String()) {
					if p["warning"] == "true" {
						warnings[p["line"]] = append(warnings[p["line"]], p["code"]+"?")
					}
				}
				status := command.Main(append([]string{"run", "--sandbox", "--rate=0", "--quiet", "--ledger=" + ledger, "--out=-"}, flags...), nil, &results, &errs, now)
				if status > 1 /* some rows not done */ {
					t.Fatalf("exit status %d: %s", status, &errs)
				}
				for _, row := range table(t, results.String()) {
					codes := warnings[row["line"]]
					if row["error_code"] != "" {
						codes = append([]string{row["error_code"]}, codes...)
					}
					if got := strings.TrimSpace(row["status"] + " " + strings.Join(codes, ";")); got != row["expect"] {
						t.Errorf("%s, line %s: %s (%s), want %s", path, row["line"], got, row["error_message"], row["expect"])
					}
				}
			}
		})
	}
}

// table reads CSV by the names of its columns.
func table(t *testing.T, text string) (rows []map[string]string) {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff"))).ReadAll()
	if err != nil || len(records) == 0 {
		t.Fatal(err, text)
	}
	for _, record := range records[1:] {
		row := make(map[string]string)
		for i, name := range records[0] {
			row[name] = record[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// accountsForUpdates puts the accounts into the sandbox's state that s10 changes.
func accountsForUpdates(t *testing.T, path string) {
	var lines strings.Builder
	for i := 1; i <= 4; i++ {
		fmt.Fprintf(&lines, `{"imp_uid":"imp_%012d","merchant_uid":"INV-%d","pg_provider":"settle","vbank_code":"004","vbank_num":"0012345%d","vbank_date":1798729199,"amount":1000,"status":"ready","started_at":1793836800}`+"\n", i, i, i)
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestReadme holds the READMEs to the program: every status, reason and error code stands there with its sentence, the
// columns of the results. Their links lead somewhere, and the first one stays a page.
func TestReadme(t *testing.T) {
	texts := make(map[string]string)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "README.md" {
			var text []byte
			text, err = os.ReadFile(path)
			texts[path] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	has := func(path, what, want string) {
		t.Helper()
		if !strings.Contains(texts[path], want) {
			t.Errorf("%s: the %s should be\n%s", path, what, want)
		}
	}
	table := func(names []string, sentences map[string]string) string {
		var table strings.Builder
		table.WriteString("|---|---|\n")
		for _, name := range names {
			fmt.Fprintf(&table, "| `%s` | %s |\n", name, sentences[name])
		}
		return table.String()
	}
	codes := maps.Clone(batch.Codes)
	for code, sentence := range input.Sentences {
		codes[string(code)] = sentence
	}
	has("report/README.md", "table of error codes", table(slices.Sorted(maps.Keys(codes)), codes))
	has("report/README.md", "table of statuses", table(batch.Statuses, batch.Meanings))
	reasons := []string{report.ReasonDone, report.ReasonRowsNotDone, report.ReasonRowsUnknown, report.ReasonInterrupted, report.ReasonNotTaken, report.ReasonFailed}
	has("report/README.md", "table of reasons", table(reasons, report.Reasons))
	has("report/README.md", "list of columns", "`"+strings.Join(report.Columns, ", ")+"`")
	for _, status := range batch.Statuses {
		has("README.md", "table of statuses", "`"+status+"`")
	}

	for path, text := range texts {
		for _, link := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
			file, heading, _ := strings.Cut(link[1], "#")
			target := filepath.Join(filepath.Dir(path), file)
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", path, err)
			} else if heading != "" && !strings.Contains(strings.ToLower(texts[target]), "\n## "+strings.ReplaceAll(heading, "-", " ")+"\n") {
				t.Errorf("%s: %s has no heading %s", path, target, heading)
			}
		}
	}
	lines := strings.Split(strings.TrimSuffix(texts["README.md"], "\n"), "\n")
	if len(lines) > 180 {
		t.Errorf("README.md has %d lines; what is looked up belongs into the README.md of its folder", len(lines))
	}
	for i, line := range lines {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("README.md, line %d has %d characters", i+1, n)
		}
	}
}

var kills = flag.Int("kills", 25, "how many times TestCrash kills a run")

// TestCrash kills runs of the real binary, with kill -9 and with signals, or freezes them, at random moments, against a
// sandbox in another process that loses replies and lies, until all is done; then every order has one account, and the results tell its number.
func TestCrash(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if *kills == 25 {
		seed = 1 // CI's short form is the same each time, as far as clocks and schedulers are
	}
	var rounds, killed, freezes, resent atomic.Int64
	t.Cleanup(func() {
		t.Logf("seed %d: %d runs killed, %d frozen, %d issues sent again", seed, killed.Load(), freezes.Load(), resent.Load())
		if !t.Failed() && killed.Load() < int64(*kills) {
			t.Errorf("%d runs killed, want %d", killed.Load(), *kills)
		}
	})
	for lane := range 4 { // they wait, most of the time
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			for killed.Load() < int64(*kills) {
				crash(t, seed, rounds.Add(1)-1, &killed, &freezes, &resent)
			}
		})
	}
}

// crash is a round of TestCrash, over a file and a sandbox of its own.
func crash(t *testing.T, seed uint64, round int64, killed, freezes, resent *atomic.Int64) {
	const rows = 250
	random := rand.New(rand.NewPCG(seed, uint64(round)))
	dir := t.TempDir()
	api := startSandbox(t, dir, nil, "--seed", strconv.FormatInt(round, 10), "--latency", "1ms",
		"--drop-before", "0.02", "--drop-after", "0.03", "--commit-late", "0.02", "--commit-by", "150ms",
		"--error-before", "0.01", "--error-after", "0.02", "--bad-gateway", "0.02", "--cut-json", "0.01", "--wrong-order", "0.01",
		"--unauthorized", "0.005", "--too-many", "0.005", "--look-drop", "0.01", "--lie-after", "0.01", "--short-list", "0.05")
	file, results := filepath.Join(dir, "orders.csv"), filepath.Join(dir, "orders.results.csv")
	if err := os.WriteFile(file, ordersOf(fmt.Sprintf("R%d", round), rows), 0o600); err != nil {
		t.Fatal(err)
	}
	status := -1
	for tries := 0; status != 0; tries++ {
		if tries == 60 {
			t.Fatalf("seed %d, round %d: not done after %d tries, last exit status %d", seed, round, tries, status)
		}
		command, stderr := runOf(dir, api, "--workers", "8", "--doubt-wait", "400ms", "--timeout", "1s", file)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		if tries < 12 {
			fatal, frozen := []os.Signal{os.Kill, os.Kill, os.Kill, syscall.SIGTERM}[random.IntN(4)], random.IntN(6) == 0
			timer := time.AfterFunc(time.Duration(random.Int64N(int64(500*time.Millisecond))), func() {
				if frozen { // for longer than every wait
					command.Process.Signal(syscall.SIGSTOP)
					time.Sleep(2 * time.Second)
					command.Process.Signal(syscall.SIGCONT)
					freezes.Add(1)
					return
				}
				command.Process.Signal(fatal)
			})
			command.Wait()
			timer.Stop()
		} else {
			command.Wait()
		}
		if status = command.ProcessState.ExitCode(); status == -1 || status == 143 {
			killed.Add(1)
			if _, err := os.Stat(results); err == nil && statuses(t, results)["issued"] == rows {
				status = 0 // it had just finished, and the same command would be a new run
			}
		} else if status == 1 && onlyFailed(t, results) {
			status = -1 // three tries of a row were lost, and none made an account, as the API says: the next run tries again
		} else if status != 0 && status != 4 && status != 5 { // 4: look-ups were lost too; the next run knows what was issued
			t.Fatalf("seed %d, round %d: exit status %d\n%s", seed, round, status, stderr)
		}
	}
	resent.Add(int64(checkAccounts(t, fmt.Sprintf("seed %d, round %d", seed, round), api, rows, results, []string{"issued", "already_issued"})))
}

// checkAccounts compares what the sandbox has issued with the results, and returns how many issues were lost and sent
// again.
func checkAccounts(t *testing.T, what, api string, rows int, results string, statuses []string) (resent int) {
	t.Helper()
	numbers := make(map[string]string)
	for _, a := range accounts(t, api) {
		if numbers[a.MerchantUID] != "" {
			t.Errorf("%s: %s has two accounts", what, a.MerchantUID)
		}
		numbers[a.MerchantUID] = fmt.Sprintf("%d %s", a.Amount, a.VbankNum)
	}
	lines := readResults(t, results)
	column := func(name string) int { return slices.Index(lines[0], name) }
	if len(lines) != rows+1 || len(numbers) != rows {
		t.Errorf("%s: %d results and %d orders with accounts for %d rows", what, len(lines)-1, len(numbers), rows)
	}
	for _, line := range lines[1:] {
		uid, status := line[column("merchant_uid")], line[column("status")]
		if got := line[column("amount")] + " " + line[column("vbank_num")]; got != numbers[uid] || !slices.Contains(statuses, status) {
			t.Errorf("%s: the results say %s %s of %s, the sandbox %s", what, status, got, uid, numbers[uid])
		}
		if line[column("attempts")] != "1" {
			resent++
		}
	}
	return resent
}

// ordersOf is a file of n orders whose numbers begin with a prefix.
func ordersOf(prefix string, n int) []byte {
	var text bytes.Buffer
	text.WriteString("주문번호,금액\n")
	for i := range n {
		fmt.Fprintf(&text, "%s-%05d,%d\n", prefix, i, 1000+i)
	}
	return text.Bytes()
}

// runOf is vbankbatch run with a ledger in a folder, against the API, and what it will print. The last of the flags is its file.
func runOf(dir, api string, flags ...string) (command *exec.Cmd, stderr *bytes.Buffer) {
	command = exec.Command("vbankbatch", append([]string{"run", "--api-url", api, "--rate", "0", "--doubt-wait", "300ms", "--timeout", "5s", "--due", "+7d", "--holder", "한빛",
		"--bank", "국민", "--ledger", filepath.Join(dir, "ledger.db")}, flags...)...)
	command.Env = append(os.Environ(), "IMP_KEY=key", "IMP_SECRET=secret")
	stderr = new(bytes.Buffer)
	command.Stderr = stderr
	return command, stderr
}

// process is runOf a file of n orders that it writes, and the path of its results.
func process(t *testing.T, dir, api string, n int, flags ...string) (command *exec.Cmd, stderr *bytes.Buffer, results string) {
	t.Helper()
	file := filepath.Join(dir, "orders.csv")
	if err := os.WriteFile(file, ordersOf("R", n), 0o600); err != nil {
		t.Fatal(err)
	}
	command, stderr = runOf(dir, api, append(flags, file)...)
	return command, stderr, filepath.Join(dir, "orders.results.csv")
}

// TestNobodyReads: a run whose messages nobody takes any more ends as any other.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	command, _, results := process(t, dir, startSandbox(t, dir, nil), 50)
	gone, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	command.Stdout, command.Stderr = stderr, stderr
	finishStarted(t, command, new(bytes.Buffer), 0)
	stderr.Close()
	if got := statuses(t, results)["issued"]; got != 50 {
		t.Errorf("%d issued", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "orders.summary.json")); err != nil {
		t.Error(err)
	}
}

// finish waits for a process, for two minutes at most, and compares its exit status.
func finish(t *testing.T, command *exec.Cmd, stderr *bytes.Buffer, status int) {
	t.Helper()
	giveUp := time.AfterFunc(2*time.Minute, func() { command.Process.Kill() })
	defer giveUp.Stop()
	command.Wait()
	if got := command.ProcessState.ExitCode(); got != status {
		t.Fatalf("exit status %d, want %d\n%s", got, status, stderr)
	}
}

// readResults returns the lines of a results file, its header first.
func readResults(t *testing.T, results string) [][]string {
	t.Helper()
	text, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// statuses counts the statuses in a results file.
func statuses(t *testing.T, results string) map[string]int {
	t.Helper()
	lines := readResults(t, results)
	column, count := slices.Index(lines[0], "status"), make(map[string]int)
	for _, line := range lines[1:] {
		count[line[column]]++
	}
	return count
}

// onlyFailed reports whether the rows that are not done are all API_FAILED.
func onlyFailed(t *testing.T, results string) bool {
	t.Helper()
	lines := readResults(t, results)
	status, code := slices.Index(lines[0], "status"), slices.Index(lines[0], "error_code")
	return !slices.ContainsFunc(lines[1:], func(line []string) bool { return batch.NotDone(line[status]) && line[code] != batch.CodeAPIFailed })
}

// waitFor waits until the sandbox has been asked for some accounts.
func waitFor(t *testing.T, api string, accounts int) {
	t.Helper()
	for range 1000 {
		response, err := http.Get(api + "/_sandbox/requests")
		if err != nil {
			t.Fatal(err)
		}
		var requests map[string]int
		err = json.NewDecoder(response.Body).Decode(&requests)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if requests["POST /vbanks"] >= accounts {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("nothing was sent")
}

// TestSignals stops a run with a signal, and another with two.
func TestSignals(t *testing.T) {
	t.Parallel()
	for signal, status := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			api := startSandbox(t, dir, nil, "--latency", "50ms", "--drop-after", "0.1")
			command, stderr, results := process(t, dir, api, 300)
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, api, 40)
			command.Process.Signal(signal)
			finish(t, command, stderr, status)
			count := statuses(t, results)
			if count["issued"] < 20 || count["not_sent"] < 20 || count["issued"]+count["not_sent"] != 300 {
				t.Error(count)
			}
			if text := stderr.String(); !strings.Contains(text, "hint: run the same command again to go on") {
				t.Error(text)
			}
			command, stderr, results = process(t, dir, api, 300)
			finishStarted(t, command, stderr, 0)
			checkAccounts(t, "again", api, 300, results, []string{"issued"})
		})
	}
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		api := startSandbox(t, dir, nil, "--late", "1", "--late-by", "3s") // replies that are waited for
		command, _, results := process(t, dir, api, 20)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, api, 4)
		command.Process.Signal(os.Interrupt)
		time.Sleep(300 * time.Millisecond)
		command.Process.Signal(os.Interrupt)
		started := time.Now()
		command.Wait()
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("a second signal took %v", took)
		}
		if _, err := os.Stat(results); err == nil {
			t.Error("results were written after a second signal")
		}
	})
}

// TestSignalBehindOthers stops a run that hangs in telling its status, since nobody reads its messages: however many ask for
// that, the signal that ends it is not lost.
func TestSignalBehindOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	api := startSandbox(t, dir, nil, "--latency", "50ms")
	command, _, results := process(t, dir, api, 1000, "--quiet")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := writer.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Skip(err)
	}
	if _, err := writer.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Skip("the pipe does not get full: ", err)
	}
	command.Stderr = writer
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	waitFor(t, api, 8)
	for _, signal := range []os.Signal{syscall.SIGUSR1, syscall.SIGUSR1, syscall.SIGTERM} {
		command.Process.Signal(signal)
		time.Sleep(300 * time.Millisecond)
	}
	text := make(chan []byte, 1)
	go func() {
		read, _ := io.ReadAll(reader)
		text <- read
	}()
	finish(t, command, new(bytes.Buffer), 143)
	if told := bytes.Trim(<-text, "\x00"); !bytes.HasPrefix(told, []byte("status: ")) {
		t.Errorf("%q", told)
	}
	if count := statuses(t, results); count["not_sent"] == 0 || count["issued"]+count["not_sent"] != 1000 {
		t.Error(count)
	}
}

// TestStatusAndReload asks a run for its status, and has it read a profile with another rate: at the first one it would
// take more than a minute.
func TestStatusAndReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	api := startSandbox(t, dir, nil)
	profile := filepath.Join(dir, "profile.toml")
	rate := func(text string) {
		if err := os.WriteFile(profile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rate("rate = 4.0\n")
	command, stderr, results := startByProfile(t, dir, api, profile)
	waitFor(t, api, 2)
	command.Process.Signal(syscall.SIGUSR1)
	time.Sleep(100 * time.Millisecond) // one signal after the other
	rate("rate = -1.0\n")
	command.Process.Signal(syscall.SIGHUP)
	time.Sleep(100 * time.Millisecond)
	rate("rate = 0.0\n")
	command.Process.Signal(syscall.SIGHUP)
	finish(t, command, stderr, 0)
	checkAccounts(t, "reload", api, 300, results, []string{"issued"})
	text := stderr.String()
	for _, want := range []string{`(?m)^status: \d+ of 300 rows in \d+s, [\d.]+ requests/s`, "the rate stays as it is: the rate must be 0 or more", "(?m)^there is no limit to the rate now$"} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%s is not told: %s", want, text)
		}
	}
}

// startByProfile starts a run of 300 rows whose rate is the profile's. It is killed after a minute.
func startByProfile(t *testing.T, dir, api, profile string) (command *exec.Cmd, stderr *bytes.Buffer, results string) {
	t.Helper()
	command, stderr, results = process(t, dir, api, 300, "--profile", profile)
	at := slices.Index(command.Args, "--rate")
	command.Args = slices.Delete(command.Args, at, at+2)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(time.Minute, func() { command.Process.Kill() })
	t.Cleanup(func() { giveUp.Stop() })
	return command, stderr, results
}

// TestReloadAtTheStart asks a run to read its profile again while the API has not answered it yet, as it may not for as long
// as --patience: the run goes on, and at the rate that the profile says by then.
func TestReloadAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	api := startSandbox(t, dir, nil)
	target, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	var first sync.Once
	through := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() { close(asked) })
		<-answer
		through.ServeHTTP(w, r)
	}))
	defer server.Close()
	profile := filepath.Join(dir, "profile.toml")
	if err := os.WriteFile(profile, []byte("rate = 2.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command, stderr, results := startByProfile(t, dir, server.URL, profile)
	<-asked
	command.Process.Signal(syscall.SIGHUP)
	time.Sleep(200 * time.Millisecond)
	if err := os.WriteFile(profile, []byte("rate = 0.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	close(answer)
	finish(t, command, stderr, 0)
	checkAccounts(t, "reload", api, 300, results, []string{"issued"})
	if text := stderr.String(); !strings.Contains(text, "there is no limit to the rate now\n") {
		t.Error(text)
	}
}

func finishStarted(t *testing.T, command *exec.Cmd, stderr *bytes.Buffer, status int) {
	t.Helper()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	finish(t, command, stderr, status)
}

// gate stands before an API. While it is shut, the replies to issues stay behind it, and their effect is there.
type gate struct {
	url    string
	tokens atomic.Int64 // requests for one: every run makes one, once it has the lock

	mu     sync.Mutex
	pass   int           // replies that it still lets through
	kept   chan struct{} // closed at the first that it keeps
	opened chan struct{}
}

func newGate(t *testing.T, api string) *gate {
	t.Helper()
	target, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	g := new(gate)
	through := httputil.NewSingleHostReverseProxy(target)
	through.ErrorLog = log.New(io.Discard, "", 0) // of runs that were killed
	through.ModifyResponse = func(r *http.Response) error {
		switch r.Request.Method + " " + r.Request.URL.Path {
		case "POST /users/getToken":
			g.tokens.Add(1)
		case "POST /vbanks":
			g.reply(r.Request.Context())
		}
		return nil
	}
	server := httptest.NewServer(through)
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// reply waits until the gate lets a reply through, or nobody waits for it any more.
func (g *gate) reply(ctx context.Context) {
	g.mu.Lock()
	g.pass--
	at, kept, opened := g.pass, g.kept, g.opened
	g.mu.Unlock()
	if kept == nil || at >= 0 {
		return
	}
	if at == -1 {
		close(kept)
	}
	select {
	case <-opened:
	case <-ctx.Done():
	}
}

// shut keeps the replies behind the next n. kept is closed once there is one, and open lets all go.
func (g *gate) shut(t *testing.T, n int) (kept <-chan struct{}, open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	stays, opened := make(chan struct{}), make(chan struct{})
	g.pass, g.kept, g.opened = n, stays, opened
	open = sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.kept = nil
		close(opened)
	})
	t.Cleanup(open) // before the server waits for its requests
	return stays, open
}

// TestLockByAnotherName has a run hold a ledger, and others come to it by a hard link, by a mount of the file alone, as a
// container has it, and after it was renamed: they leave at once, or wait, and ask the API for nothing. TestInboxStopped has one
// that comes by the same name.
func TestLockByAnotherName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	api := startSandbox(t, dir, nil)
	gate := newGate(t, api)
	ledger, linked, mounted := filepath.Join(dir, "ledger.db"), filepath.Join(t.TempDir(), "linked.db"), filepath.Join(t.TempDir(), "mounted.db")
	if err := os.WriteFile(mounted, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	private := []string{"unshare", "-m"}
	if exec.Command("unshare", "-m", "true").Run() != nil {
		private[1] = "-rm"
	}
	if out, err := exec.Command(private[0], private[1], "mount", "--bind", dir, dir).CombinedOutput(); err != nil {
		t.Logf("mounts are not tested, for none can be made here: %v: %s", err, out)
		private = nil
	}
	at := t.TempDir()
	by := func(ledger string, flags ...string) (*exec.Cmd, *bytes.Buffer) {
		command, stderr, _ := process(t, at, gate.url, 400, append(flags, "--ledger", ledger)...)
		return command, stderr
	}
	byMount := func(flags ...string) (*exec.Cmd, *bytes.Buffer) {
		command, stderr := by(mounted, flags...)
		command.Args = slices.Concat(private, []string{"sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, ledger, mounted}, command.Args)
		command.Path, _ = exec.LookPath(private[0])
		return command, stderr
	}
	refused := func(command *exec.Cmd, stderr *bytes.Buffer, status int, why string) {
		t.Helper()
		finishStarted(t, command, stderr, status)
		if text := stderr.String(); !strings.Contains(text, why) || !strings.Contains(text, "hint: ") {
			t.Error(text)
		}
		if _, err := os.Stat(filepath.Join(at, "orders.results.csv")); err == nil {
			t.Error("there are results of a run without the lock")
		}
	}
	first, firstErr, results := process(t, dir, gate.url, 200, "--timeout", "1m")
	kept, open := gate.shut(t, 10)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-kept
	if err := os.Link(ledger, linked); err != nil {
		t.Fatal(err)
	}
	second, secondErr := by(linked)
	refused(second, secondErr, 6, "another run holds the ledger's lock")
	if private != nil {
		second, secondErr = byMount()
		refused(second, secondErr, 6, "another run holds the ledger's lock")
		second, secondErr = byMount("--lock-wait", "30s")
		if err := second.Start(); err != nil {
			t.Fatal(err)
		}
	}
	third, thirdErr := by(linked, "--lock-wait", "30s")
	if err := third.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // they wait
	open()
	finish(t, first, firstErr, 0)
	finish(t, third, thirdErr, 2)
	if text := thirdErr.String(); !strings.Contains(text, "several names (hard links)") {
		t.Error(text)
	}
	if private != nil {
		finish(t, second, secondErr, 2) // it has waited
	}
	if err := os.Remove(linked); err != nil {
		t.Fatal(err)
	}
	if private != nil {
		second, secondErr = byMount()
		refused(second, secondErr, 2, "mounted by itself")
	}
	checkAccounts(t, "names", api, 200, results, []string{"issued"})

	// A name that is the only one, but not that of the lock file, is waited for, and good.
	first, firstErr, _ = process(t, dir, gate.url, 400, "--timeout", "1m")
	kept, open = gate.shut(t, 10)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-kept
	renamed := filepath.Join(dir, "renamed.db")
	if err := os.Rename(ledger, renamed); err != nil {
		t.Fatal(err)
	}
	second, secondErr = by(renamed)
	refused(second, secondErr, 6, "another run holds the ledger's lock")
	third, thirdErr = by(renamed, "--lock-wait", "30s")
	if err := third.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // it waits
	if n := gate.tokens.Load(); n != 2 {
		t.Errorf("%d runs have asked for a token, and two had the lock", n)
	}
	open()
	finish(t, first, firstErr, 0)
	finish(t, third, thirdErr, 0)
	checkAccounts(t, "renamed", api, 400, filepath.Join(at, "orders.results.csv"), []string{"already_issued"})
}

// TestFullDisk limits how large the files of a run may grow. What was lost is done by the next run.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell to set the limit with")
	}
	for _, blocks := range []int{250, 320, 450} { // of 512 bytes; an empty ledger takes more than 150
		t.Run(fmt.Sprint(blocks), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			api := startSandbox(t, dir, nil, "--drop-after", "0.05")
			command, stderr, results := process(t, dir, api, 300)
			path, err := exec.LookPath(command.Path)
			if err != nil {
				t.Fatal(err)
			}
			command.Path, command.Args = shell, append([]string{"sh", "-c", fmt.Sprintf("ulimit -f %d; exec \"$@\"", blocks), "sh", path}, command.Args[1:]...)
			finishStarted(t, command, stderr, 5)
			if !strings.Contains(stderr.String(), "the ledger cannot be written") {
				t.Error(stderr)
			}
			command, stderr, _ = process(t, dir, api, 300)
			finishStarted(t, command, stderr, 0)
			checkAccounts(t, "again", api, 300, results, []string{"issued"})
		})
	}
}

// TestPowerLoss watches the system calls of a run: when an issue is written to the network, the part of the ledger that
// holds its intent has been synced, so that it is there after a power cut too.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("no strace to watch with")
	}
	dir := t.TempDir()
	api := startSandbox(t, dir, nil)
	const rows = 60
	command, stderr, _ := process(t, dir, api, rows, "--workers", "2")
	path, err := exec.LookPath(command.Path)
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(dir, "trace")
	command.Path = strace
	command.Args = append([]string{"strace", "-f", "-y", "-s", "8192", "-e", "trace=pwrite64,fsync,fdatasync,write", "-o", trace, path}, command.Args[1:]...)
	if finishStarted(t, command, stderr, 0); t.Failed() {
		return
	}
	file, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	order := regexp.MustCompile(`R-\d{5}`)
	written, syncing, synced := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	sent := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.Contains(line, "pwrite64(") && strings.Contains(line, "ledger.db-wal"):
			for _, uid := range order.FindAllString(line, -1) {
				written[uid] = true
			}
		case strings.Contains(line, "sync(") && strings.Contains(line, "ledger.db-wal"):
			maps.Copy(syncing, written)
			if strings.Contains(line, " = 0") {
				maps.Copy(synced, syncing)
			}
		case strings.Contains(line, "sync resumed>") && strings.Contains(line, " = 0"):
			maps.Copy(synced, syncing)
		case strings.Contains(line, "POST /vbanks HTTP/"):
			sent++
			if uid := order.FindString(line); !synced[uid] {
				t.Errorf("%s was sent before its intent was synced", uid)
			}
		}
	}
	if err := lines.Err(); err != nil || sent != rows {
		t.Errorf("%d issues seen, want %d: %v", sent, rows, err)
	}
}

// TestReconcileCommand has an API that loses every reply and cannot be asked; when it is well again, reconcile settles
// what is in doubt, report writes the run's results anew, and run goes on.
func TestReconcileCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state := filepath.Join(dir, "accounts.jsonl")
	api, stop, err := spawnSandbox(dir, nil, "--state", state, "--error-after", "1", "--latency", "300ms", "--look-drop", "1")
	if err != nil {
		t.Fatal(err)
	}
	command, stderr, results := process(t, dir, api, 6, "--no-remote-check", "--patience", "0s", // all six are on their way before one is lost
		"--doubt-wait", "0s") // and all are looked up at once; each look-up that fails doubles the wait for the next
	finishStarted(t, command, stderr, 4)
	if count := statuses(t, results); count["unknown"] != 6 {
		t.Errorf("%v", count)
	}
	stop()
	startSandbox(t, dir, nil, "--listen", strings.TrimPrefix(api, "http://"), "--state", state)

	again := func(name string, status int, flags ...string) (stdout string) {
		t.Helper()
		other := exec.Command("vbankbatch", append([]string{name}, flags...)...)
		other.Env = command.Env
		var out, stderr bytes.Buffer
		other.Stdout, other.Stderr = &out, &stderr
		finishStarted(t, other, &stderr, status)
		return out.String()
	}
	where := []string{"--api-url", api, "--ledger", filepath.Join(dir, "ledger.db")}
	read := []string{"--due", "+7d", "--holder", "한빛", "--bank", "국민", filepath.Join(dir, "orders.csv")}
	if out := again("reconcile", 0, append(where, "--doubt-wait", "50ms")...); strings.Count(out, "\tissued\timp_") != 6 {
		t.Error(out)
	}
	if out := again("reconcile", 0, append(where, "--doubt-wait", "50ms")...); out != "" {
		t.Error(out)
	}
	again("report", 0, append(where, read...)...)
	checkAccounts(t, "report", api, 6, results, []string{"issued"})
	again("run", 0, append(where, read...)...)
	checkAccounts(t, "run", api, 6, results, []string{"already_issued"})
}

// TestTriedAgain stops a run over too many refusals; when their cause is mended, the same command tries those rows again.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	api, stop, err := spawnSandbox(dir, nil, "--refuse", "1", "--refuse-with", "[F113] 요청하신 은행은 발급할 수 없습니다.")
	if err != nil {
		t.Fatal(err)
	}
	command, stderr, results := process(t, dir, api, 50, "--max-failures", "3", "--workers", "1")
	finishStarted(t, command, stderr, 5)
	if count := statuses(t, results); count["rejected"] < 3 || count["not_sent"] < 40 {
		t.Errorf("%v", count)
	}
	stop()
	startSandbox(t, dir, nil, "--listen", strings.TrimPrefix(api, "http://"))
	command, stderr, results = process(t, dir, api, 50, "--max-failures", "3", "--workers", "1")
	finishStarted(t, command, stderr, 0)
	checkAccounts(t, "tried again", api, 50, results, []string{"issued"})
}

// deafToRevocations is an API with one account, at Inicis, that drops the connection of every DELETE, whose address
// holds a key.
func deafToRevocations(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodDelete:
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			conn.Close()
		case r.URL.Path == "/users/getToken":
			io.WriteString(w, `{"code":0,"message":null,"response":{"access_token":"token-5ecret","now":1767225600,"expired_at":1767227400}}`)
		case r.URL.Path == "/payments/imp_1":
			io.WriteString(w, `{"code":0,"message":null,"response":{"imp_uid":"imp_1","merchant_uid":"A-9","pg_provider":"html5_inicis","pg_id":"MID","amount":1000,"vbank_num":"1","status":"ready"}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"code":-1,"message":"존재하지 않는 결제정보입니다.","response":null}`)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// shared is a buffer for what several goroutines print, as they may to a terminal or a file: log, progress, messages.
type shared struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.String()
}

// TestSecrets runs everything that can fail and looks for the credentials, and for what is personal, in all that is
// printed and written.
func TestSecrets(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"IMP_KEY": "imp-key-5ecret", "IMP_SECRET": "imp-secret-5ecret", "IMP_PG_API_KEY": "pg-api-key-5ecret", "KEY_OF_MID": "mid-key-5ecret"}
	var env []string
	for name, value := range secrets {
		env = append(env, name+"="+value)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	profile := write("profile.toml", "[pg_api_keys]\nMID = 'env:KEY_OF_MID'\n")
	const personal = "홍길순,010-98769876,gilsoon@example.org"
	orders := write("orders.csv", "주문번호,금액,은행,입금기한,예금주,주문자명,연락처,이메일,pg\n"+
		"A-1,1000,국민,+7d,한빛,"+personal+",inicis.MID\nA-2,1000,국민,+7d,한빛,"+personal+",inicis.OTHER\n"+
		"A-3,1000,국민,+7d,한빛,홍길순홍길순홍길순홍길순홍길순홍길순,1098769876,gilsoon@example.org"+strings.Repeat("x", 60)+",inicis.MID\n")
	changes := write("changes.csv", "action,주문번호,금액,pg\n변경,A-1,2000,inicis.MID\n말소,A-2,,inicis.OTHER\n말소,A-9,,\n")
	undo := write("undo.csv", "action,imp_uid,금액\nrevoke,imp_1,\n")
	var printed shared
	lost := 0                                                             // the address at which issues and look-ups lose their answers
	addresses := []string{"http://127.0.0.1:1", "http://127.0.0.1:1/%zz"} // nobody there, and no address at all
	for _, fault := range []string{"--drop-before=1", "--drop-after=1", "--error-after=1", "--bad-gateway=1", "--cut-json=1", "--wrong-order=1", "--refuse=1",
		"--unauthorized=1", "--too-many=0.15 --seed=3" /* each of the commands meets one */, "--look-drop=1", "--drop-after=1 --look-drop=1", "--late=1", "--seed=1"} {
		if fault == "--drop-after=1 --look-drop=1" {
			lost = len(addresses)
		}
		addresses = append(addresses, startSandbox(t, dir, env, append(strings.Fields(fault), "--late-by=3s")...))
	}
	addresses = append(addresses, deafToRevocations(t))
	env = append(env, "IMP_PG_API_KEY=pg-api-key-5ecret-wrong")
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() {
			wait := "50ms"
			if i == lost {
				wait = "0s" // so that all are looked up at once; each look-up that fails doubles the wait for the next
			}
			vbankbatch := func(args ...string) {
				command := exec.Command("vbankbatch", append(args, "--api-url", address, "--ledger", filepath.Join(dir, fmt.Sprintf("ledger%d.db", i)),
					"--rate=0", "--doubt-wait", wait, "--timeout=300ms", "--patience=0s", "--log-level=debug")...)
				command.Env = append(os.Environ(), env...)
				command.Stdout, command.Stderr = &printed, &printed
				err := command.Run()
				if command.ProcessState == nil {
					t.Error(err)
				} else if status := command.ProcessState.ExitCode(); status < 0 || status > 5 {
					t.Errorf("%s: exit status %d", address, status)
				} else {
					fmt.Fprintln(&printed, "exit status", status)
				}
			}
			for _, file := range []string{orders, changes, undo} {
				flags := []string{"run", file, "--profile", profile, "--out", filepath.Join(dir, fmt.Sprintf("out%d.csv", i)), "--log-format", []string{"text", "json"}[i%2]}
				if i == lost { // it would look the orders up first, in vain
					flags = append(flags, "--no-remote-check")
				}
				vbankbatch(flags...)
			}
			vbankbatch("reconcile")
		})
	}
	all.Wait()
	if i := strings.Index(printed.String(), "goroutine "); i >= 0 { // a panic, or a race
		t.Errorf("%s", printed.String()[max(i-2000, 0):])
	}
	for _, word := range []string{"IN_DOUBT", "PG_REFUSED", "API_UNREACHABLE", "TOO_LONG", "rate limited", "op=", `"op":`, "exit status 2", "exit status 4"} {
		if !strings.Contains(printed.String(), word) {
			t.Errorf("nothing has led to %s", word)
		}
	}
	for _, secret := range append(slices.Collect(maps.Values(secrets)), "5ecret") {
		if i := strings.Index(printed.String(), secret); i >= 0 {
			t.Fatalf("%s was printed: %s", secret, printed.String()[max(i-200, 0):i+50])
		}
	}
	for _, word := range []string{"홍길순", "98769876", "gilsoon"} {
		if i := strings.Index(printed.String(), word); i >= 0 {
			t.Errorf("%s was printed: %s", word, printed.String()[max(i-200, 0):i+50])
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("5ecret")) {
			t.Errorf("a secret stands in %s", file.Name())
		}
	}
}

// TestPeers runs the comparison with what people write in place of this program on a few orders, so that it works when it
// is wanted. The first reply that is lost makes each of the others a second account.
func TestPeers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the scripts need the tools of Linux")
	}
	for _, tool := range []string{"bash", "awk", "curl", "timeout", "go", "python3", "node"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no ", tool)
		}
	}
	command := exec.Command("testdata/peers/compare.sh", "60")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	table, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s%s", err, &stderr, table)
	}
	for _, line := range []string{
		`\| 60 orders, 16 at once \| curl.sh \| threads.py \| pool.mjs \| vbankbatch \|`,
		`\| no faults: rows a second( \| [1-9]\d*){4} \|`,
		`\| .*: orders that got two accounts or more( \| [1-9]\d*){3} \| 0 \|`,
		`\| … requests answered with 429( \| \d+){4} \|`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).Match(table) {
			t.Errorf("there is no line %s in\n%s", line, table)
		}
	}
}

// TestCrashInbox kills runs over a folder of several files, with kill -9 and at random moments, until nothing is left in
// it; then every order has one account, and every file is in done with results that say issued of each.
func TestCrashInbox(t *testing.T) {
	t.Parallel()
	const files, rows = 6, 40
	random := rand.New(rand.NewPCG(2, uint64(*kills)))
	killed := 0
	for round := 0; killed < *kills; round++ {
		dir := t.TempDir()
		api := startSandbox(t, dir, nil, "--seed", strconv.Itoa(round), "--latency", "1ms", "--drop-after", "0.02", "--error-after", "0.01")
		in := filepath.Join(dir, "in")
		if err := os.Mkdir(in, 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range files {
			path := filepath.Join(in, fmt.Sprintf("orders%d.csv", i))
			written := time.Now().Add(time.Duration(i-60) * time.Minute)
			if err := errors.Join(os.WriteFile(path, ordersOf(fmt.Sprintf("F%d", i), rows), 0o600), os.Chtimes(path, written, written)); err != nil {
				t.Fatal(err)
			}
		}
		told := filepath.Join(dir, "told")
		status := -1
		for tries := 0; status != 0; tries++ {
			if tries == 60 {
				t.Fatalf("round %d: not done after %d tries, last exit status %d", round, tries, status)
			}
			command, stderr := runOf(dir, api, "--doubt-wait", "200ms", "--notify", "always", "--notify-cmd", "echo told >>'"+told+"'", in)
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if tries < 25 {
				timer := time.AfterFunc(time.Duration(random.Int64N(int64(400*time.Millisecond))), func() { command.Process.Kill() })
				command.Wait()
				timer.Stop()
			} else {
				command.Wait()
			}
			if status = command.ProcessState.ExitCode(); status == -1 {
				killed++
			} else if status != 0 {
				t.Fatalf("round %d: exit status %d\n%s", round, status, stderr)
			}
		}
		checkInbox(t, fmt.Sprintf("round %d", round), api, in, files, rows)
		if text, err := os.ReadFile(told); err != nil || strings.Count(string(text), "told") < files {
			t.Errorf("round %d: of %d files was told %q, %v", round, files, text, err)
		}
	}
	t.Logf("%d runs killed", killed)
}

// checkInbox looks that a folder is empty but for its own folders, and compares the results in done with what the sandbox
// has issued.
func checkInbox(t *testing.T, what, api, in string, files, rows int) {
	t.Helper()
	for folder, want := range map[string][]string{"": {".vbankbatch.lock", "done", "failed"}, "failed": nil} {
		entries, err := os.ReadDir(filepath.Join(in, folder))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %s/%s holds %q", what, in, folder, names)
		}
	}
	// all results as one file, as checkAccounts takes them
	var whole strings.Builder
	for i := range files {
		path := filepath.Join(in, "done", fmt.Sprintf("orders%d", i))
		text, err := os.ReadFile(path + ".results.csv")
		if err != nil {
			t.Fatal(err)
		}
		for _, ending := range []string{".csv", ".summary.json"} {
			if _, err := os.Stat(path + ending); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if i > 0 {
			_, text, _ = bytes.Cut(text, []byte("\n"))
		}
		whole.Write(text)
	}
	all := filepath.Join(filepath.Dir(in), "all.csv")
	if err := os.WriteFile(all, []byte(whole.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	checkAccounts(t, what, api, files*rows, all, []string{"issued"})
	if entries, _ := os.ReadDir(filepath.Join(in, "done")); len(entries) != 4*files {
		t.Errorf("%s: %d files in done, want %d", what, len(entries), 4*files)
	}
}

// TestInboxStopped stops a run over a folder with a signal: the file under way stays, and the same command goes on. While
// it runs nobody else may run the folder, with this ledger or another, or a file of it.
func TestInboxStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	api := startSandbox(t, dir, nil, "--latency", "30ms")
	gate := newGate(t, api)
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	written := time.Now().Add(-time.Hour)
	for i := range 2 {
		path := filepath.Join(in, fmt.Sprintf("orders%d.csv", i))
		if err := errors.Join(os.WriteFile(path, ordersOf(fmt.Sprintf("F%d", i), 100), 0o600), os.Chtimes(path, written, written)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(ledger, path string) (*exec.Cmd, *bytes.Buffer) {
		return runOf(dir, gate.url, "--timeout", "1m", "--ledger", filepath.Join(dir, ledger), path)
	}
	first, firstErr := run("ledger.db", in)
	kept, open := gate.shut(t, 20)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-kept
	for _, other := range []struct{ ledger, path, says string }{
		{"ledger.db", in, "another run is busy with"},
		{"other.db", in, "another run is busy with"},
		{"ledger.db", filepath.Join(in, "orders1.csv"), "another run holds the ledger's lock"},
	} {
		command, stderr := run(other.ledger, other.path)
		finishStarted(t, command, stderr, 6)
		if !strings.Contains(stderr.String(), other.says) {
			t.Errorf("%+v: %s", other, stderr)
		}
	}
	first.Process.Signal(syscall.SIGTERM)
	open()
	finish(t, first, firstErr, 143)
	if text := firstErr.String(); strings.Contains(text, "moved to") || !strings.Contains(text, "hint: run the same command again to go on") {
		t.Error(text)
	}
	again, againErr := run("ledger.db", in)
	finishStarted(t, again, againErr, 0)
	checkInbox(t, "after a signal", api, in, 2, 100)
}

// TestInboxGrows adds rows to a file of a folder while it runs: it stays, whoever reads standard error hears of it, and
// the next run does them.
func TestInboxGrows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	api := startSandbox(t, dir, nil, "--latency", "30ms")
	in := filepath.Join(dir, "in")
	path := filepath.Join(in, "orders.csv")
	written := time.Now().Add(-time.Hour)
	if err := errors.Join(os.Mkdir(in, 0o700), os.WriteFile(path, ordersOf("F", 100), 0o600), os.Chtimes(path, written, written)); err != nil {
		t.Fatal(err)
	}
	first, stderr := runOf(dir, api, "--quiet", in)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, api, 20)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString("F-00100,1100\n")
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	finish(t, first, stderr, 0)
	if text := stderr.String(); !strings.HasPrefix(text, "left: orders.csv was written to, replaced or taken away while it ran; rows that were added to it are not done") {
		t.Error(text)
	}
	if err := os.Chtimes(path, written, written); err != nil {
		t.Fatal(err)
	}
	again, stderr := runOf(dir, api, "--quiet", in)
	finishStarted(t, again, stderr, 0)
	if results, err := filepath.Glob(filepath.Join(in, "done", "orders-*.results.csv")); err != nil || len(results) != 1 {
		t.Error(results, err)
	} else if lines := readResults(t, results[0]); len(lines) != 102 || !slices.Contains(lines[101], "issued") || !slices.Contains(lines[1], "already_issued") {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

// account is one that the sandbox has made.
type account struct {
	MerchantUID string `json:"merchant_uid"`
	Amount      int64  `json:"amount"`
	VbankNum    string `json:"vbank_num"`
}

func accounts(t *testing.T, api string) (all []account) {
	t.Helper()
	response, err := http.Get(api + "/_sandbox/accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// ordersText is a file of orders whose numbers begin with a prefix, with so many bytes in each row that no run holds all of
// it at once.
func ordersText(prefix string, rows, amount, width int) string {
	var text strings.Builder
	text.WriteString("주문번호,금액,비고\n")
	for i := range rows {
		fmt.Fprintf(&text, "%s-%05d,%d,%s\n", prefix, i, amount, strings.Repeat("-", width))
	}
	return text.String()
}

// TestSalvaged kills runs with kill -9 and changes their file before it is run again, by its name or by its folder: every
// account stands in some results, and no order has two.
func TestSalvaged(t *testing.T) {
	const rows = 2000
	old := ordersText("A", rows, 1000, 300)
	for name, change := range map[string]struct {
		to     string // what the file holds then; "" is no file
		status int    // of the run that follows
	}{
		"written over":       {ordersText("B", 20, 1000, 300), 0},
		"cut":                {old[:strings.Index(old, "A-00100")+8], 1}, // behind the order number of a row
		"a workbook":         {"PK\x03\x04 and so on", 3},
		"refused by a guard": {ordersText("B", 20, 6000, 300), 3},
		"without an amount":  {"주문번호\nA-1\n", 3},
		"removed":            {"", 3},
		"the same":           {old, 0},
	} {
		for _, folder := range []bool{false, true} {
			if folder && change.to == old {
				continue // refused, it leaves the folder
			}
			t.Run(fmt.Sprintf("%s, folder: %v", name, folder), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				api := startSandbox(t, dir, nil, "--latency", "5ms", "--drop-after", "0.02")
				in := filepath.Join(dir, "in")
				file, what := filepath.Join(in, "orders.csv"), filepath.Join(in, "orders.csv")
				if folder {
					what = in
				}
				put := func(text string) {
					written := time.Now().Add(-time.Hour)
					if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, written, written)); err != nil {
						t.Fatal(err)
					}
				}
				run := func(flags ...string) (*exec.Cmd, *bytes.Buffer) {
					return runOf(dir, api, append(flags, "--quiet", "--max-amount", "5000", "--notify", "always", "--notify-cmd", "cat >>'"+filepath.Join(dir, "told")+"'", what)...)
				}
				if err := os.Mkdir(in, 0o700); err != nil {
					t.Fatal(err)
				}
				put(old)
				killed, _ := run()
				if err := killed.Start(); err != nil {
					t.Fatal(err)
				}
				waitFor(t, api, 300)
				killed.Process.Kill()
				killed.Wait()

				again, stderr := run()
				status := change.status
				switch {
				case change.to == old: // what a guard refuses, but the run is not lost, and goes on
					refused, refusedErr := run("--expect-rows", "1")
					finishStarted(t, refused, refusedErr, 3)
					if strings.Contains(refusedErr.String(), "was interrupted") {
						t.Error(refusedErr)
					}
				case change.to != "":
					put(change.to)
				default:
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
				if folder && (status == 0 || change.to == "") {
					status = 1 // there is something in failed
				}
				finishStarted(t, again, stderr, status)
				if salvaged := strings.Contains(stderr.String(), "run 1 was interrupted and its file has since changed or gone"); salvaged != (change.to != old) {
					t.Errorf("%s", stderr)
				}
				told := numbersIn(t, in)
				orders := make(map[string]bool)
				made := accounts(t, api)
				for _, a := range made {
					if orders[a.MerchantUID] {
						t.Errorf("%s has two accounts", a.MerchantUID)
					}
					if orders[a.MerchantUID] = true; !told[a.VbankNum] {
						t.Errorf("no results have the account of %s", a.MerchantUID)
					}
				}
				if len(made) < 250 {
					t.Errorf("%d accounts", len(made))
				}
				if text, err := os.ReadFile(filepath.Join(dir, "told")); folder && (err != nil || !regexp.MustCompile(`(?m)^what: run 1 was interrupted and its file has since changed or gone;.*\nfile: .*; results: .*failed/orders.run-1.results.csv\nnext: (look what became of the file|some of its rows are unknown)`).Match(text)) {
					t.Errorf("%s, %v", text, err)
				}
				// it is salvaged once
				last, stderr := run()
				if err := last.Run(); err != nil && last.ProcessState == nil {
					t.Fatal(err)
				}
				if strings.Contains(stderr.String(), "was interrupted") {
					t.Errorf("again: %s", stderr)
				}
			})
		}
	}
}

// TestDamagedCopy has the disk lose what a run goes by: it ends early, what it did is written from the ledger, and the same
// command goes on.
func TestDamagedCopy(t *testing.T) {
	t.Parallel()
	const rows = 4000
	if runtime.GOOS != "linux" {
		t.Skip("the copy has no name, and is found by /proc")
	}
	dir := t.TempDir()
	api := startSandbox(t, dir, nil)
	file := filepath.Join(dir, "orders.csv")
	run := func() (*exec.Cmd, *bytes.Buffer, string) {
		command, stderr, results := process(t, dir, api, 0, "--workers", "16")
		if err := os.WriteFile(file, []byte(ordersText("A", rows, 1000, 3000)), 0o600); err != nil {
			t.Fatal(err)
		}
		return command, stderr, results
	}
	command, stderr, results := run()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, api, 20)
	open := fmt.Sprintf("/proc/%d/fd", command.Process.Pid)
	files, err := os.ReadDir(open)
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, f := range files {
		link := filepath.Join(open, f.Name())
		if target, err := os.Readlink(link); err == nil && strings.Contains(target, "/vbankbatch-") && strings.HasSuffix(target, " (deleted)") {
			cut++
			if err := os.Truncate(link, 10<<20); err != nil {
				t.Fatal(err)
			}
		}
	}
	if cut != 1 {
		t.Fatalf("%d copies", cut)
	}
	finish(t, command, stderr, 5)
	if text := stderr.String(); !strings.Contains(text, "the results could not be written from the file: ") || !strings.Contains(text, "orders.run-1.results.csv") {
		t.Error(text)
	}
	told := numbersIn(t, dir)
	for _, a := range accounts(t, api) {
		if !told[a.VbankNum] {
			t.Fatalf("no results have the account of %s", a.MerchantUID)
		}
	}
	if _, err := os.Stat(results); err == nil {
		t.Error("there are results of the whole file")
	}
	command, stderr, results = run()
	finishStarted(t, command, stderr, 0)
	checkAccounts(t, "again", api, rows, results, []string{"issued"})
}

// numbersIn returns the account numbers in all results in a folder and its folders.
func numbersIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	numbers := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".results.csv") {
			return err
		}
		lines := readResults(t, path)
		column := slices.Index(lines[0], "vbank_num")
		for _, line := range lines[1:] {
			numbers[line[column]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}
