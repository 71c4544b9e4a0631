package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run this binary as vbankbatch. TEST_NOW, an RFC 3339 time, is the day for due dates.
func TestMain(m *testing.M) {
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
			os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, now))
		},
	})
}

func TestScripts(t *testing.T) {
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

// TestReadme holds the README to the program: every error code stands in it, with its sentence.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	codes := maps.Clone(batch.Codes)
	for code, sentence := range input.Sentences {
		codes[string(code)] = sentence
	}
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		fmt.Fprintf(&table, "| `%s` | %s |\n", code, codes[code])
	}
	if !strings.Contains(string(readme), table.String()) {
		t.Errorf("the README's table of error codes should be\n%s", table.String())
	}
}

var kills = flag.Int("kills", 25, "how many times TestCrash kills a run")

// TestCrash kills runs of the real binary, with kill -9 and with signals, at random moments, against a sandbox in another
// process that loses replies, until all is done; then every order has one account, and the results tell its number.
func TestCrash(t *testing.T) {
	const rows = 250
	seed := uint64(time.Now().UnixNano())
	if *kills == 25 {
		seed = 1 // CI's short form is the same each time, as far as clocks and schedulers are
	}
	random := rand.New(rand.NewPCG(seed, 0))
	killed, faults := 0, 0
	for round := 0; killed < *kills; round++ {
		dir := t.TempDir()
		api := startSandbox(t, dir, nil, "--seed", strconv.Itoa(round), "--latency", "1ms",
			"--drop-before", "0.02", "--drop-after", "0.03", "--commit-late", "0.02", "--commit-by", "150ms",
			"--error-before", "0.01", "--error-after", "0.02", "--bad-gateway", "0.02", "--cut-json", "0.01", "--wrong-order", "0.01",
			"--unauthorized", "0.005", "--too-many", "0.005", "--look-drop", "0.01")
		file := filepath.Join(dir, "orders.csv")
		var text strings.Builder
		text.WriteString("주문번호,금액\n")
		for i := range rows {
			fmt.Fprintf(&text, "R%d-%03d,%d\n", round, i, 1000+i)
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		status := -1
		for tries := 0; status != 0; tries++ {
			if tries == 60 {
				t.Fatalf("seed %d, round %d: not done after %d tries, last exit status %d", seed, round, tries, status)
			}
			command := exec.Command("vbankbatch", "run", "--api-url", api, "--rate", "0", "--workers", "8", "--doubt-wait", "400ms", "--timeout", "5s",
				"--due", "+7d", "--holder", "한빛", "--bank", "국민", "--ledger", filepath.Join(dir, "ledger.db"), file)
			command.Env = append(os.Environ(), "IMP_KEY=key", "IMP_SECRET=secret")
			var stderr bytes.Buffer
			command.Stderr = &stderr
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if tries < 12 {
				fatal := []os.Signal{os.Kill, os.Kill, os.Kill, syscall.SIGTERM}[random.IntN(4)]
				timer := time.AfterFunc(time.Duration(random.Int64N(int64(500*time.Millisecond))), func() { command.Process.Signal(fatal) })
				command.Wait()
				timer.Stop()
			} else {
				command.Wait()
			}
			if status = command.ProcessState.ExitCode(); status == -1 || status == 143 {
				killed++
			} else if status != 0 && status != 4 && status != 5 {
				t.Fatalf("seed %d, round %d: exit status %d\n%s", seed, round, status, &stderr)
			}
		}
		faults += checkAccounts(t, fmt.Sprintf("seed %d, round %d", seed, round), api, rows, strings.TrimSuffix(file, ".csv")+".results.csv")
	}
	t.Logf("seed %d: %d runs killed, %d faults met", seed, killed, faults)
}

// checkAccounts compares what the sandbox has issued with the results, and returns how many issues were lost and sent
// again.
func checkAccounts(t *testing.T, what, api string, rows int, results string) (resent int) {
	t.Helper()
	response, err := http.Get(api + "/_sandbox/accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var accounts []struct {
		MerchantUID string `json:"merchant_uid"`
		Status      string `json:"status"`
		Amount      int64  `json:"amount"`
		VbankNum    string `json:"vbank_num"`
	}
	if err := json.NewDecoder(response.Body).Decode(&accounts); err != nil {
		t.Fatal(err)
	}
	numbers := make(map[string]string)
	for _, a := range accounts {
		if numbers[a.MerchantUID] != "" {
			t.Errorf("%s: %s has two accounts", what, a.MerchantUID)
		}
		numbers[a.MerchantUID] = fmt.Sprintf("%d %s", a.Amount, a.VbankNum)
	}
	text, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(lines[0], name) }
	if len(lines) != rows+1 || len(numbers) != rows {
		t.Errorf("%s: %d results and %d orders with accounts for %d rows", what, len(lines)-1, len(numbers), rows)
	}
	for _, line := range lines[1:] {
		uid, status := line[column("merchant_uid")], line[column("status")]
		if got := line[column("amount")] + " " + line[column("vbank_num")]; got != numbers[uid] || status != "issued" {
			t.Errorf("%s: the results say %s %s of %s, the sandbox %s", what, status, got, uid, numbers[uid])
		}
		if line[column("attempts")] != "1" {
			resent++
		}
	}
	return resent
}
