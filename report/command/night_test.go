package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

var (
	debianRoot    = flag.String("debian", "", "a Debian root with systemd and faketime, for TestEveryNight")
	debianPackage = flag.String("package", "", "the Debian package, for TestEveryNight")
)

// TestEveryNight follows the section of the README word for word, as root of a fresh Debian that systemd has booted, in a
// container that forgets all that was written. The API's address alone is another one, and cron's clock is just before two.
func TestEveryNight(t *testing.T) {
	if *debianRoot == "" {
		t.Skip("needs root, systemd-nspawn and a Debian: -debian, -package")
	}
	const install, folders, keys, profile, check, cron, systemd, morning, blocks = 0, 1, 2, 3, 4, 5, 6, 7, 8
	recipe := readRecipe(t)
	if len(recipe) != blocks || len(recipe[keys]) != 4 {
		t.Fatalf("the section has other commands than this test knows:\n%q", recipe)
	}
	api, err := sandbox.New(sandbox.Config{Key: "the-key", Secret: "the-secret", Channels: []client.Channel{{PGProvider: "nice", PGID: "hanbit"}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	defer server.Close()
	accounts := func(want int) {
		t.Helper()
		var made []any
		if reply, err := http.Get(server.URL + "/_sandbox/accounts"); err != nil {
			t.Fatal(err)
		} else if err := json.NewDecoder(reply.Body).Decode(&made); err != nil || len(made) != want {
			t.Fatalf("%d accounts, want %d (%v)", len(made), want, err)
		}
	}
	d := boot(t, *debianRoot)
	d.write("root/"+filepath.Base(*debianPackage), *debianPackage)
	d.do("useradd --create-home alice")
	follow := func(block int) {
		t.Helper()
		for _, command := range recipe[block] {
			d.do(command)
		}
	}
	upload := func(name, rows string) {
		t.Helper()
		d.given("주문번호,결제금액,은행,예금주\n"+rows, "runuser -u alice -- sh -c 'cat >/srv/vbankbatch/in/"+name+".part && mv /srv/vbankbatch/in/"+name+".part /srv/vbankbatch/in/"+name+"'")
	}

	follow(install)
	d.do("systemctl stop cron") // its clock is not to come to two
	follow(folders)
	d.do(recipe[keys][0])
	d.do(recipe[keys][1])
	d.given("the-key\n", recipe[keys][2])
	d.given("the-secret\n", recipe[keys][3])
	follow(profile)
	d.do("sed -i '1a export VBANKBATCH_API_URL=" + server.URL + "' /etc/vbankbatch/night")
	d.do("systemd-analyze verify vbankbatch.service vbankbatch.timer vbankbatch-mail@failure.service")
	follow(check)
	follow(cron)

	// a good night: nobody is told, and who uploaded can read the results
	upload("a.csv", "a1,1000,국민,한빛\na2,2000,신한,한빛\n")
	d.cronNight()
	accounts(2)
	d.mails(0)
	d.do("runuser -u alice -- grep -c ,issued, /srv/vbankbatch/in/done/a.results.csv")
	d.do("! runuser -u alice -- cat /etc/vbankbatch/key")
	d.do("! runuser -u alice -- ls /var/lib/vbankbatch")
	d.do("test -s /var/lib/vbankbatch/ledger.db")
	d.do("grep '^vbankbatch_last_run_exit_status.* 0$' /var/lib/prometheus/node-exporter/vbankbatch.prom")

	// the same file again, and rows that fail: one mail
	upload("a.csv", "a1,1000,국민,한빛\na2,2000,신한,한빛\n")
	d.cronNight()
	accounts(2)
	d.mails(0)
	upload("b.csv", "b1,1000,국민,한빛\nb2,-5,국민,한빛\n")
	d.cronNight()
	accounts(3)
	d.mails(1, "what: 1 of 2 rows were not done", "file: /srv/vbankbatch/in/failed/b.csv; results: /srv/vbankbatch/in/failed/b.results.csv", "next: mend the rows")

	// keys that the user cannot read: one mail
	d.do("chown root /etc/vbankbatch/key")
	upload("c.csv", "c1,1000,국민,한빛\n")
	d.cronNight()
	d.mails(2, "what: IMP_KEY_FILE", "next: let the user vbankbatch read it")
	d.do("chown vbankbatch /etc/vbankbatch/key")

	// a file that the user cannot read: one mail; c, whose keys were missing, is run
	upload("e.csv", "e1,1000,국민,한빛\n")
	d.do("chmod 600 /srv/vbankbatch/in/e.csv")
	d.cronNight()
	accounts(4)
	d.mails(3, "what: /srv/vbankbatch/in/e.csv: cannot be opened: permission denied", "next: let the user vbankbatch read it")
	d.do("rm /etc/cron.d/vbankbatch")

	// the same with systemd
	follow(systemd)
	d.do("systemctl list-timers vbankbatch.timer | grep ' vbankbatch.service$'")
	upload("f.csv", "f1,1000,국민,한빛\n")
	d.unitNight(true)
	accounts(5)
	d.do("runuser -u alice -- grep -c ,issued, /srv/vbankbatch/in/done/f.results.csv")
	upload("f.csv", "f1,1000,국민,한빛\n")
	d.unitNight(true)
	accounts(5)
	d.mails(3)
	upload("d.csv", "d1,-5,국민,한빛\n")
	d.unitNight(false)
	d.mails(4, "what: 1 of 1 rows were not done")
	d.do("touch -d yesterday /srv/vbankbatch/in/orders.xls")
	d.unitNight(true)
	d.mails(5, "what: not taken by any run, in", "orders.xls")
	d.do("rm /srv/vbankbatch/in/orders.xls")
	d.do("chmod -x /etc/vbankbatch/night")
	d.unitNight(false)
	d.mails(6, "/etc/vbankbatch/night: Permission denied")
	d.do("chmod +x /etc/vbankbatch/night")
	follow(morning)

	// the package goes; the ledger stays
	d.do("apt-get purge -y vbankbatch")
	d.do("test ! -e /usr/bin/vbankbatch && test -s /var/lib/vbankbatch/ledger.db && test -s /etc/vbankbatch/key")
}

// readRecipe returns the commands of the README's section, in blocks.
func readRecipe(t *testing.T) (blocks [][]string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Every night\n")
	section, _, _ = strings.Cut(section, "\n## ")
	block := false
	for line := range strings.Lines(section) {
		command, indented := strings.CutPrefix(line, "    ")
		if indented && !block {
			blocks = append(blocks, nil)
		}
		if block = indented; block {
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], strings.TrimSpace(command))
		}
	}
	return blocks
}

// container is a Debian that runs beside this system, in its network.
type container struct {
	t   *testing.T
	pid string // of its systemd
}

func boot(t *testing.T, root string) *container {
	t.Helper()
	machine := exec.Command("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--volatile=overlay", "--directory="+root, "--boot")
	console := new(bytes.Buffer)
	machine.Stdout, machine.Stderr = console, console
	if err := machine.Start(); err != nil {
		t.Fatal(err)
	}
	d := &container{t: t}
	t.Cleanup(func() {
		machine.Process.Kill()
		if pid, err := strconv.Atoi(d.pid); err == nil { // systemd outlives systemd-nspawn, but nothing outlives systemd
			if systemd, err := os.FindProcess(pid); err == nil {
				systemd.Kill()
			}
		}
		machine.Wait()
		if t.Failed() {
			t.Logf("the container's console:\n%s", console)
		}
	})
	d.wait("systemd", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", machine.Process.Pid))
		d.pid = strings.TrimSpace(string(children))
		return d.pid != "" && d.ok("systemctl is-system-running --wait | grep -E 'running|degraded'")
	})
	return d
}

// path is where a file of the container is, seen from here.
func (d *container) path(name string) string { return filepath.Join("/proc", d.pid, "root", name) }

// write copies a file into the container.
func (d *container) write(name, from string) {
	d.t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(d.path(name), text, 0o644)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// command is a shell's, as root in its home.
func (d *container) command(line string) *exec.Cmd {
	return exec.Command("nsenter", "--target="+d.pid, "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--",
		"env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", "cd && "+line)
}

func (d *container) ok(line string) bool { return d.command(line).Run() == nil }

// do runs a command that must not fail, and logs what it prints.
func (d *container) do(line string) {
	d.t.Helper()
	d.given("", line)
}

func (d *container) given(stdin, line string) {
	d.t.Helper()
	command := d.command(line)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	d.t.Logf("# %s\n%s", line, out)
	if err != nil {
		d.t.Fatalf("%s: %v", line, err)
	}
}

// wait waits until something has come about.
func (d *container) wait(what string, come func() bool) {
	d.t.Helper()
	for began := time.Now(); !come(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			d.t.Fatalf("waited for %s in vain", what)
		}
	}
}

// cronNight runs cron from before two until its job has ended, and cron has mailed what that printed.
func (d *container) cronNight() {
	d.t.Helper()
	metrics := d.path("var/lib/prometheus/node-exporter/vbankbatch.prom")
	before, _ := os.Stat(metrics)
	cron := d.command("exec faketime '2026-12-01 01:59:58' cron -f")
	if err := cron.Start(); err != nil {
		d.t.Fatal(err)
	}
	defer cron.Wait()
	defer d.do("kill $(cat /run/crond.pid)")
	d.wait("the metrics", func() bool {
		after, err := os.Stat(metrics)
		return err == nil && (before == nil || !os.SameFile(before, after))
	})
	d.wait("the job's end", func() bool {
		return d.ok("pid=$(cat /run/crond.pid) && test -z \"$(cat /proc/$pid/task/$pid/children)\"")
	})
}

// unitNight starts the unit as its timer does, and waits until the mail's unit has run.
func (d *container) unitNight(succeeds bool) {
	d.t.Helper()
	mailed := "systemctl show --property=ExecMainExitTimestampMonotonic vbankbatch-mail@" + map[bool]string{true: "success", false: "failure"}[succeeds]
	before, _ := d.command(mailed).Output()
	out, err := d.command("systemctl start vbankbatch.service; code=$?; journalctl --quiet --output=cat --unit=vbankbatch --lines=20; exit $code").CombinedOutput()
	d.t.Logf("# systemctl start vbankbatch.service\n%s", out)
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed || failed == succeeds {
		d.t.Fatalf("the unit: %v", err)
	}
	d.wait("the mail's unit", func() bool {
		after, err := d.command(mailed).Output()
		return err == nil && !bytes.Equal(before, after) && !bytes.HasSuffix(after, []byte("=0\n")) // which it is while it runs
	})
}

// mails checks how many mails have been sent so far, and what the last one says.
func (d *container) mails(n int, says ...string) {
	d.t.Helper()
	log, _ := os.ReadFile(d.path("var/log/exim4/mainlog"))
	if sent := strings.Count(string(log), " <= "); sent != n {
		d.t.Fatalf("%d mails, want %d:\n%s", sent, n, log)
	}
	if n == 0 {
		return
	}
	var box []byte
	d.wait("the mail", func() bool {
		box, _ = os.ReadFile(d.path("var/mail/mail"))
		return bytes.Count(append([]byte("\n"), box...), []byte("\nFrom ")) == n
	})
	last := box[max(0, bytes.LastIndex(box, []byte("\nFrom "))):]
	d.t.Logf("mail:\n%s", last)
	for _, words := range says {
		if !bytes.Contains(last, []byte(words)) {
			d.t.Fatalf("the mail does not say %q", words)
		}
	}
}
