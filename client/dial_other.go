//go:build !linux

package client

import (
	"syscall"
	"time"
)

// DropAfter does nothing: only Linux's option for it was seen to work.
func DropAfter(time.Duration) func(network, address string, conn syscall.RawConn) error { return nil }
