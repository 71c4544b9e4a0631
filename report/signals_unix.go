//go:build unix

package report

import (
	"os"
	"syscall"
)

// The signals with which a run is asked for a line about itself, and to read its profile's rate again.
var (
	StatusSignal os.Signal = syscall.SIGUSR1
	ReloadSignal os.Signal = syscall.SIGHUP
)
