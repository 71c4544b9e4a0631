//go:build unix

package command

import (
	"os"
	"os/exec"
	"syscall"
)

// The signals with which a run is asked for a line about itself, and to read its profile's rate again.
var (
	statusSignal os.Signal = syscall.SIGUSR1
	reloadSignal os.Signal = syscall.SIGHUP
)

// together has what a command starts end with it, when its time is up.
func together(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}
