//go:build unix

package command

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"vbankbatch/client/say"
)

// TestNotifyTakesTooLong has a command start another one, which holds on to standard error as long as it lives.
func TestNotifyTakesTooLong(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f := &notifyFlags{NotifyCmd: "sleep 600 & wait"}
	f.tell(&app{ctx: t.Context(), stderr: say.Writer{Writer: w}}, strings.NewReader("{}"), nil, 100*time.Millisecond)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r.SetReadDeadline(time.Now().Add(time.Minute))
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal("what the command started lives on:", err)
	}
	if got, want := string(text), "warning: --notify-cmd: it took more than a minute, and was ended\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
