//go:build !unix

package command

import (
	"os"
	"os/exec"
)

// There are no such signals here.
var statusSignal, reloadSignal os.Signal

// together leaves a command alone: there are no process groups here.
func together(*exec.Cmd) {}
