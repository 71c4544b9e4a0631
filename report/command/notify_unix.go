//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

// together has what a command starts end with it, when its time is up.
func together(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}
