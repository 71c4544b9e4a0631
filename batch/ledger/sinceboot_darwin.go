package ledger

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns the time since the machine was started, the time that it was suspended included, which Go's own clock
// leaves out: by clock_gettime(3), CLOCK_MONOTONIC goes on while the system is asleep, and so does this one, which is not
// adjusted.
func sinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &now); err != nil {
		panic(err) // only for a clock that there is not; macOS has had it since 10.12
	}
	return time.Duration(now.Nano())
}
