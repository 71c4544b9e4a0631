package ledger

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestVanishedHost: the kernel gives up a connection to a database whose host has vanished within half a minute.
func TestVanishedHost(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	config, err := configure("postgres://who@" + listener.Addr().String() + "/ledger")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := config.DialFunc(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]int{unix.TCP_USER_TIMEOUT: 15_000, unix.TCP_KEEPIDLE: 10, unix.TCP_KEEPINTVL: 5, unix.TCP_KEEPCNT: 3} {
		if err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); got != want {
				t.Errorf("option %d is %d, want %d; %v", option, got, want, err)
			}
		}); err != nil {
			t.Error(err)
		}
	}
}
