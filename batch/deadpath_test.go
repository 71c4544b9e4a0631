package batch_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// A request that was given up must not arrive later, when "not found" has been believed: the kernel retransmits what was
// written before its connection was closed, or its process died. Only a path that is really dead shows it.
const (
	deadTimeout   = 3 * time.Second
	deadDoubtWait = 4 * time.Second
	deadFor       = 8 * time.Second  // longer than both together
	deadUntil     = 15 * time.Second // the kernel's first try after that comes 12.6 s after the request was written
	deadOrders    = 60
)

// TestDeadPath runs itself in a network namespace of its own, cuts the path while issues are on their way, heals it, and
// counts the accounts.
func TestDeadPath(t *testing.T) {
	switch how := os.Getenv("DEAD_PATH"); {
	case how == "run":
		runOverPath(t)
		return
	case how != "":
		cutPath(t, how)
		return
	case os.Getenv("CI") != "" || testing.Short():
		t.Skip("a network namespace of its own is not for CI")
	}
	const blackhole = "ip link set lo up && tc qdisc add dev lo root blackhole"
	if out, err := exec.Command("unshare", "-rn", "sh", "-c", blackhole).CombinedOutput(); err != nil {
		t.Skipf("no network namespace with a path to cut (unshare, ip, tc): %v: %s", err, out)
	}
	t.Parallel() // it waits, most of the time
	var group sync.WaitGroup
	for _, how := range []string{"plain", "TLS", "proxy", "killed", "frozen"} {
		group.Go(func() {
			command := exec.Command("unshare", "-rn", os.Args[0], "-test.run=^TestDeadPath$", "-test.v")
			command.Env = append(os.Environ(), "DEAD_PATH="+how)
			out, err := command.CombinedOutput()
			if t.Logf("%s:\n%s", how, out); err != nil {
				t.Errorf("%s: %v", how, err)
			}
		})
	}
	group.Wait()
}

// cutPath is the test within the namespace, with the sandbox.
func cutPath(t *testing.T, how string) {
	shell(t, "ip", "link", "set", "lo", "up")
	api, err := sandbox.New(sandbox.Config{Faults: sandbox.Faults{Latency: 20 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	dir := t.TempDir()
	doubtWait := deadDoubtWait
	env := append(os.Environ(), "DEAD_PATH=run", "DEAD_PATH_DIR="+dir)
	server := httptest.NewUnstartedServer(api)
	switch how {
	case "TLS", "proxy":
		server.StartTLS()
		certificate := filepath.Join(dir, "certificate.pem")
		block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
		if err := os.WriteFile(certificate, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		env = append(env, "SSL_CERT_FILE="+certificate)
	default:
		server.Start()
	}
	defer server.Close()
	url := server.URL
	switch how {
	case "proxy":
		proxy := httptest.NewServer(tunnel(server.Listener.Addr().String()))
		defer proxy.Close()
		env, url = append(env, "HTTPS_PROXY="+proxy.URL), "https://example.com" // loopback addresses go past proxies
	case "killed":
		doubtWait = 2 * time.Second // the next run begins to wait when the path is there again
	}
	env = append(env, "DEAD_PATH_URL="+url, "DEAD_PATH_WAIT="+doubtWait.String())
	start := func() *exec.Cmd {
		command := exec.Command(os.Args[0], "-test.run=^TestDeadPath$", "-test.v")
		command.Env, command.Stdout, command.Stderr = env, os.Stdout, os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return command
	}
	run := start()
	for len(api.Payments()) < deadOrders/3 {
		time.Sleep(time.Millisecond)
	}
	shell(t, "tc", "qdisc", "add", "dev", "lo", "root", "blackhole")
	cut := time.Now()
	before := len(api.Payments())
	if how == "killed" {
		time.Sleep(time.Second)
		run.Process.Kill()
		run.Wait()
		run = start()
	}
	if how == "frozen" {
		time.Sleep(time.Second)
		shell(t, "kill", "-STOP", fmt.Sprint(run.Process.Pid))
		before = len(api.Payments())
	}
	time.Sleep(time.Until(cut.Add(deadFor)))
	shell(t, "tc", "qdisc", "del", "dev", "lo", "root")
	if how == "frozen" {
		time.Sleep(time.Until(cut.Add(deadUntil)))
		if late := len(api.Payments()) - before; late > 0 {
			t.Errorf("%d issues arrived while the process that had written them was stopped", late)
		}
		shell(t, "kill", "-CONT", fmt.Sprint(run.Process.Pid))
	}
	if err := run.Wait(); err != nil {
		t.Error(err)
	}
	took := time.Since(cut)
	time.Sleep(time.Until(cut.Add(deadUntil)))
	t.Logf("cut at %d accounts, %v before the run ended: %d for %d orders", before, took.Round(time.Second/10), len(api.Payments()), deadOrders)
	for i := range deadOrders {
		if n := api.Ready(deadOrder(i)); n != 1 {
			t.Errorf("%s has %d accounts", deadOrder(i), n)
		}
	}
}

func deadOrder(i int) string { return fmt.Sprintf("D-%d", i) }

func shell(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// tunnel is a proxy whose every CONNECT leads to one address.
func tunnel(address string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		there, err := net.Dial("tcp", address)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			defer there.Close()
			io.Copy(there, buffered)
		}()
		io.Copy(here, there)
	}
}

// runOverPath is the run, in a process of its own that can be killed.
func runOverPath(t *testing.T) {
	dir, ctx := os.Getenv("DEAD_PATH_DIR"), t.Context()
	wait, err := time.ParseDuration(os.Getenv("DEAD_PATH_WAIT"))
	if err != nil {
		t.Fatal(err)
	}
	text := "주문번호,금액,은행,예금주,입금기한\n"
	for i := range deadOrders {
		text += deadOrder(i) + ",1000,국민,한빛,2099-12-31\n"
	}
	path := filepath.Join(dir, "orders.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := input.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p, err := batch.Preflight(ctx, file, input.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{BaseURL: os.Getenv("DEAD_PATH_URL"), Key: "k", Secret: "s", Workers: 9, Timeout: deadTimeout, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var group sync.WaitGroup
	for range 8 { // connections for the issues that will be written once the path is dead
		group.Go(func() {
			if _, err := c.FindAll(ctx, "", "nobody's", ""); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	c.SetRate(20)
	book, err := ledger.Open(filepath.Join(dir, "ledger.db"), "merchant")
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	_, err = batch.Run(context.WithoutCancel(ctx), p, c, book, batch.Options{Workers: 8, DoubtWait: wait, SettleTime: time.Minute, RemoteCheck: true})
	if err != nil {
		t.Error(err)
	}
}
