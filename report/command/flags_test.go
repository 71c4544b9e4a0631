package command

import (
	"testing"
	"time"

	"vbankbatch/client"
)

// TestWaits: live, "not found" is never believed before an account must have appeared.
func TestWaits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url                string
		timeout, doubtWait int // seconds
		good               bool
	}{
		{client.DefaultURL, 60, 30, true},
		{client.DefaultURL, 30, 30, true},
		{client.DefaultURL, 1, 59, true},
		{client.DefaultURL, 55, 5, true},
		{client.DefaultURL, 20, 30, false},
		{client.DefaultURL, 1, 58, false},
		{client.DefaultURL, 60, 4, false},
		{client.DefaultURL, -5, 90, false},
		{"http://127.0.0.1:8787", 3, 4, true},
	} {
		flags := requestFlags{Workers: 8, Timeout: time.Duration(test.timeout) * time.Second, DoubtWait: time.Duration(test.doubtWait) * time.Second}
		if err := flags.check(&merchant{url: test.url}); (err == nil) != test.good {
			t.Errorf("%s: --timeout %ds --doubt-wait %ds: %v", test.url, test.timeout, test.doubtWait, err)
		}
	}
}
