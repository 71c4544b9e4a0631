package command

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain lets the shells run this binary as vbankbatch.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "vbankbatch" {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, time.Now))
	}
	os.Exit(m.Run())
}

// printed is what the program prints.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if status := Main(args, nil, &out, &errs, time.Now); status != exitDone || errs.Len() > 0 {
		t.Fatalf("%q: exit status %d, %s", args, status, &errs)
	}
	return out.String()
}

// script is the completion of a shell, in a file that the shell has found good; the test is skipped where there is no
// such shell.
func script(t *testing.T, shell string) (path string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("there is no %s here to read the script", shell)
	}
	path = filepath.Join(t.TempDir(), "_vbankbatch")
	if err := os.WriteFile(path, []byte(printed(t, "completion", shell)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%s -n: %v\n%s", shell, err, out)
	}
	return path
}

// completed are lines typed up to the cursor, with some of what completes them and some of what does not.
var completed = []struct {
	typed    string
	some, no []string
}{
	{"vbankbatch ", []string{"run", "check", "ledger", "completion"}, []string{"list", "--out", "orders.csv"}},
	{"vbankbatch re", []string{"report", "reconcile"}, []string{"run"}},
	{"vbankbatch run --", []string{"--out", "--due", "--no-remote-check", "--help"}, []string{"--save-profile", "run"}},
	{"vbankbatch run --enc", []string{"--encoding"}, []string{"--out"}},
	{"vbankbatch run --encoding ", []string{"auto", "cp949", "utf-16le"}, []string{"--out", "orders.csv"}},
	{"vbankbatch run --encoding u", []string{"utf-8", "utf-16be"}, []string{"cp949"}},
	{"vbankbatch run --due +7d --notify ", []string{"failed", "always"}, []string{"run"}},
	{"vbankbatch run --pg ", []string{"nice", "html5_inicis"}, []string{"run"}},
	{"vbankbatch run --quiet ", []string{"orders.csv"}, []string{"run", "--out"}},
	{"vbankbatch run --out run ", []string{"orders.csv"}, []string{"run"}},
	{"vbankbatch check --profile h", []string{"hanbit.toml"}, []string{"orders.csv"}},
	{"vbankbatch ledger ", []string{"list", "show", "export", "stats", "purge"}, []string{"run"}},
	{"vbankbatch ledger list --", []string{"--ledger", "--format"}, []string{"--out"}},
	{"vbankbatch ledger list --format ", []string{"json"}, []string{"list"}},
	{"vbankbatch explain ", []string{"unknown", "IN_DOUBT", "FIELD_REQUIRED"}, []string{"run", "orders.csv"}},
	{"vbankbatch run ", []string{"orders.csv"}, []string{":files", "--out"}},
	{"vbankbatch completion ", []string{"bash", "zsh", "fish"}, []string{"run"}},
}

// folder has two files, and in is what makes a command run in it, with this program as vbankbatch.
func folder(t *testing.T) (in func(*exec.Cmd) *exec.Cmd) {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "vbankbatch")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"orders.csv", "hanbit.toml"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(command *exec.Cmd) *exec.Cmd {
		command.Dir, command.Env = dir, append(os.Environ(), "HOME="+dir, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
		return command
	}
}

// shellCompletes has a shell complete each line in a folder with two files, and compares.
func shellCompletes(t *testing.T, complete func(typed string) *exec.Cmd) {
	t.Helper()
	in := folder(t)
	for _, c := range completed {
		out, err := in(complete(c.typed)).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", c.typed, err, out)
		}
		var got []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			got = append(got, word)
		}
		for _, want := range c.some {
			if !slices.Contains(got, want) {
				t.Errorf("%q is not completed by %s, but %q", c.typed, want, got)
			}
		}
		for _, word := range c.no {
			if slices.Contains(got, word) {
				t.Errorf("%q is completed by %s", c.typed, word)
			}
		}
	}
}

func TestBash(t *testing.T) {
	t.Parallel()
	path := script(t, "bash")
	shellCompletes(t, func(typed string) *exec.Cmd {
		words := strings.Split(typed, " ")
		return exec.Command("bash", append([]string{"-c", `source "$1"; shift; COMP_CWORD=$1; shift; COMP_WORDS=("$@")
			[[ $(complete -p vbankbatch) == "complete -F _vbankbatch vbankbatch" ]] || exit 1
			_vbankbatch; ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"`, "bash", path, strconv.Itoa(len(words) - 1)}, words...)...)
	})

	// bash makes three words of --flag=value
	in := folder(t)
	for _, words := range [][]string{{"--encoding", "="}, {"--encoding", "=", "cp"}} {
		command := exec.Command("bash", append([]string{"-c", `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vbankbatch; printf '%s\n' "${COMPREPLY[@]}"`,
			"bash", path, "vbankbatch", "run"}, words...)...)
		if out, err := in(command).CombinedOutput(); err != nil || !strings.Contains(string(out), "cp949\n") || strings.Contains(string(out), "--") {
			t.Errorf("%q: %s, %v", words, out, err)
		}
	}
}

func TestFish(t *testing.T) {
	t.Parallel()
	path := script(t, "fish")
	shellCompletes(t, func(typed string) *exec.Cmd {
		return exec.Command("fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, path, typed)
	})

	// fish completes the whole word of --flag=value
	for typed, want := range map[string]string{"--encoding=u": "--encoding=utf-8\n", "--out=ord": "--out=orders.csv\n"} {
		command := folder(t)(exec.Command("fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, path, "vbankbatch run "+typed))
		if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "cp949") {
			t.Errorf("%q: %s, %v", typed, out, err)
		}
	}
}

// TestZsh calls the function as zsh's completion would, with what it calls replaced by what prints the candidates.
func TestZsh(t *testing.T) {
	t.Parallel()
	path := script(t, "zsh")
	out, err := exec.Command("zsh", "-f", "-c", `autoload -Uz compinit && compinit -u -D && source $1 && print $_comps[vbankbatch]`, "zsh", path).CombinedOutput()
	if err != nil || string(out) != "_vbankbatch\n" {
		t.Errorf("%s, %v", out, err)
	}
	shellCompletes(t, func(typed string) *exec.Cmd {
		words := strings.Split(typed, " ")
		return exec.Command("zsh", append([]string{"-f", "-c", `compdef() { }; compset() { PREFIX=${PREFIX#*=} }; _files() { print -l -- $PREFIX*(N) }
			_describe() { for found in ${(P)2}; do [[ $found == $PREFIX* ]] && print -- ${found%%:*}; done; return 0 }
			source $1; shift; words=("$@") CURRENT=$# PREFIX=$words[-1]; _vbankbatch`, "zsh", path}, words...)...)
	})
}
