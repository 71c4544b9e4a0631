package say_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"vbankbatch/client/say"
)

// TestMessage puts messages into both languages, in one process.
func TestMessage(t *testing.T) {
	closed := say.New("the ledger is closed")
	for _, c := range []struct {
		message         say.Message
		english, korean string
	}{
		{"", "", ""},
		{"한도초과 100%", "한도초과 100%", "한도초과 100%"}, // the API's words
		{say.NewMessage("the due date has passed"), "the due date has passed", "입금기한이 지났습니다"},
		{say.NewMessage("nobody has translated 100% of this"), "nobody has translated 100% of this", "nobody has translated 100% of this"},
		{say.Messagef("%s of %s rows", "3", "12"), "3 of 12 rows", "12건 중 3건"},
		{say.Messagef("%d %.1f %v %q %t", int64(1)<<60, 0.5, 90*time.Second, "a\x1e\"b", true), "1152921504606846976 0.5 1m30s \"a\\x1e\\\"b\" true", "1152921504606846976 0.5 1m30s \"a\\x1e\\\"b\" true"},
		{say.Messagef("%s: %s", "A-1", say.NewMessage("the due date has passed")), "A-1: the due date has passed", "A-1: 입금기한이 지났습니다"},
		{say.Of(say.Errorf("the ledger: %w", closed)), "the ledger: the ledger is closed", "발급 대장: 발급 대장이 닫혀 있습니다"},
		{say.Of(errors.Join(closed, fs.ErrNotExist)), "the ledger is closed\nfile does not exist", "발급 대장이 닫혀 있습니다\nfile does not exist"},
		{say.Of(fmt.Errorf("by other means: %w", fs.ErrNotExist)), "by other means: file does not exist", "by other means: file does not exist"},
		{say.Join([]say.Message{say.NewMessage("the due date has passed"), "x"}, "; "), "the due date has passed; x", "입금기한이 지났습니다; x"},
	} {
		if english, korean := c.message.In(say.English), c.message.In(say.Korean); english != c.english || korean != c.korean {
			t.Errorf("%q: %q, %q", string(c.message), english, korean)
		}
	}
	if err := say.Errorf("the ledger: %w", closed); !errors.Is(err, closed) || errors.Is(err, say.New("the ledger is closed")) {
		t.Error(err)
	}
	if say.NewMessage("the due date has passed") != say.Messagef("the due date has passed") {
		t.Error("equal messages differ")
	}
}

// FuzzMessage has any text stand in a ledger where a message is expected.
func FuzzMessage(f *testing.F) {
	f.Add("\x1e[\"%d won\", \"x\"]")
	f.Add("\x1e[]")
	f.Add("\x1e[1,{}]")
	f.Fuzz(func(t *testing.T, text string) {
		say.Message(text).In(say.Korean)
	})
}
