package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	command := exec.Command("vbankbatch", append([]string{"sandbox", "--listen", "127.0.0.1:0"}, args...)...)
	command.Dir = ts.MkAbs(".")
	for _, name := range []string{"IMP_KEY", "IMP_SECRET", "IMP_PG_API_KEY"} {
		command.Env = append(command.Environ(), name+"="+ts.Getenv(name))
	}
	out, err := command.StdoutPipe()
	ts.Check(err)
	ts.Check(command.Start())
	ts.Defer(func() {
		command.Process.Signal(os.Interrupt)
		command.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	ts.Setenv("API", strings.TrimSpace(address))
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
