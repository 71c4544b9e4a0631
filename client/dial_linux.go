package client

import (
	"math"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DropAfter is the Control of a net.Dialer. It has the kernel drop a TCP connection on which something written was not
// acknowledged for so long. A stopped process cannot close its connections, and the kernel would go on retransmitting for a
// quarter of an hour. Keep-alive probes that are answered are no obstacle to it, and no cause. The time that the whole machine
// is suspended does not count.
func DropAfter(d time.Duration) func(network, address string, conn syscall.RawConn) error {
	return func(network, _ string, conn syscall.RawConn) (err error) {
		if !strings.HasPrefix(network, "tcp") {
			return nil
		}
		milliseconds := int(min(d.Milliseconds(), math.MaxInt32))
		failed := conn.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, milliseconds)
		})
		if failed != nil {
			return failed
		}
		return err
	}
}
