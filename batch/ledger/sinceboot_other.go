//go:build !linux && !darwin && !windows

package ledger

import "time"

var processStart = time.Now()

// sinceBoot returns the time since the process was started. It leaves out the time that the machine was suspended, for want
// of a clock that is known to count it.
func sinceBoot() time.Duration { return time.Since(processStart) }
