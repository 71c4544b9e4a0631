//go:build !linux

package client

import (
	"syscall"
	"time"
)

// dropAfter does nothing: only Linux's option for it was seen to work.
func dropAfter(time.Duration) func(network, address string, conn syscall.RawConn) error { return nil }
