package ledger

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestSinceBoot runs itself in a time namespace whose boot-time clock alone is an hour ahead, as after an hour's sleep.
func TestSinceBoot(t *testing.T) {
	if os.Getenv("SINCE_BOOT") != "" {
		os.Stdout.WriteString("since boot: " + sinceBoot().String() + "\n")
		return
	}
	before := sinceBoot()
	if after := sinceBoot(); before <= 0 || after < before {
		t.Errorf("%v, and then %v", before, after)
	}
	if n := testing.AllocsPerRun(100, func() { sinceBoot() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	command := exec.Command("unshare", "-rT", "--boottime", "3600", os.Args[0], "-test.run=^TestSinceBoot$")
	command.Env = append(os.Environ(), "SINCE_BOOT=1")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Skipf("no time namespace (unshare): %v: %s", err, out)
	}
	_, text, _ := strings.Cut(string(out), "since boot: ")
	text, _, _ = strings.Cut(text, "\n")
	there, err := time.ParseDuration(text)
	if ahead := there - sinceBoot(); err != nil || (ahead-time.Hour).Abs() > 30*time.Minute {
		t.Errorf("%v ahead after an hour's sleep: %v", ahead, err)
	}
}
