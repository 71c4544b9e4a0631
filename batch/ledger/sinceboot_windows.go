package ledger

import (
	"time"

	"golang.org/x/sys/windows"
)

// sinceBoot returns the time since the machine was started, to about 16 ms, the time that it was suspended included.
func sinceBoot() time.Duration { return windows.DurationSinceBoot() }
