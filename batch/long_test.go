package batch_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

// balancer stands between a client and a server, and forgets connections: after so many bytes from the client nothing
// passes any more, in either direction, and nobody is told.
type balancer struct {
	net.Listener
	to        string
	forgotten atomic.Int64
}

func (l *balancer) serve(t *testing.T, bytes func(nth int) int64) {
	for nth := 0; ; nth++ {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", l.to)
		if err != nil {
			t.Error(err)
			return
		}
		var silent atomic.Bool
		go func() {
			defer to.Close()
			if _, err := io.CopyN(to, from, bytes(nth)); err == nil {
				silent.Store(true)
				l.forgotten.Add(1)
				io.Copy(io.Discard, from) // the client goes on writing
			}
		}()
		go func() {
			defer from.Close()
			buffer := make([]byte, 4096)
			for {
				n, err := to.Read(buffer)
				if err != nil {
					return
				}
				if !silent.Load() {
					from.Write(buffer[:n])
				}
			}
		}()
	}
}

// TestSilentConnections has a balancer forget connections in the middle of requests and between them. Every order gets its
// one account.
func TestSilentConnections(t *testing.T) {
	const rows = 120
	api, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	defer func() { server.Close(); api.Close() }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	between := &balancer{Listener: listener, to: strings.TrimPrefix(server.URL, "http://")}
	defer between.Close()
	go between.serve(t, func(nth int) int64 { return int64(3000 + 700*(nth%8)) }) // an issue is some 700 bytes
	c, err := client.New(client.Config{BaseURL: "http://" + listener.Addr().String(), Key: "k", Secret: "s", Workers: 8, Timeout: 500 * time.Millisecond, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	book := opened(t)
	lines := []string{"주문번호,금액"}
	for i := range rows {
		lines = append(lines, fmt.Sprintf("A-%03d,1000", i))
	}
	p := plan(t, lines...)
	found, err := batch.Run(t.Context(), p, c, book, batch.Options{Workers: 8, DoubtWait: time.Second, SettleTime: time.Minute, RemoteCheck: true})
	if err != nil {
		t.Error(err)
	}
	err = batch.Results(t.Context(), p, book, found.ID, func(_ *input.Row, r *batch.Result) error {
		if n := api.Ready(r.MerchantUID); r.Status != batch.Issued || n != 1 {
			t.Errorf("%s is %s %s, %d accounts", r.MerchantUID, r.Status, r.ErrorCode, n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if between.forgotten.Load() == 0 {
		t.Error("no connection was forgotten")
	}
}

var flatRows = flag.Int("rows", 12_000, "how many rows TestFlat runs")

// sampled is an API that looks at the process once a number of issues is reached.
type sampled struct {
	batch.API
	mu    sync.Mutex
	n, at int
	look  func()
}

func (s *sampled) Issue(ctx context.Context, request client.IssueRequest) (client.Payment, error) {
	s.mu.Lock()
	if s.n++; s.n == s.at {
		s.look()
	}
	s.mu.Unlock()
	return s.API.Issue(ctx, request)
}

// TestFlat compares memory and file handles early and late in a run over real sockets: they do not grow with the rows.
func TestFlat(t *testing.T) {
	if _, err := os.ReadDir("/proc/self/fd"); err != nil {
		t.Skip("there is no /proc here")
	}
	api := httptest.NewServer(forgetfulAPI(t))
	defer api.Close()
	c, err := client.New(client.Config{BaseURL: api.URL, Key: "k", Secret: "s", Workers: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	book := opened(t)
	file, err := input.Open(orders(t, *flatRows), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p, err := batch.Preflight(t.Context(), file, input.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	type sample struct {
		heap  uint64
		files int
	}
	look := func() (s sample) {
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		files, _ := os.ReadDir("/proc/self/fd")
		return sample{memory.HeapAlloc, len(files)}
	}
	var early, late sample
	first := &sampled{API: c, at: *flatRows / 10, look: func() { early = look() }}
	last := &sampled{API: first, at: *flatRows * 95 / 100, look: func() { late = look() }}
	var counts batch.Counts
	_, err = batch.Run(t.Context(), p, last, book, batch.Options{Workers: 8, RemoteCheck: false, Counts: &counts})
	if err != nil || counts.Failed.Load() != 0 || counts.Done.Load() != int64(*flatRows) {
		t.Fatal(err, counts.Done.Load(), counts.Failed.Load())
	}
	t.Logf("after a tenth %d kB and %d files, near the end %d kB and %d files", early.heap>>10, early.files, late.heap>>10, late.files)
	if late.heap > early.heap+4<<20 || late.files > early.files+4 {
		t.Errorf("after a tenth %d kB and %d files, near the end %d kB and %d files", early.heap>>10, early.files, late.heap>>10, late.files)
	}
}

// forgetfulAPI answers issues as the API does, and keeps nothing of them, so that it does not grow itself.
func forgetfulAPI(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var asked client.IssueRequest
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/users/getToken" {
			fmt.Fprintf(w, `{"code":0,"message":null,"response":{"access_token":"t","now":%d,"expired_at":%d}}`, time.Now().Unix(), time.Now().Unix()+1800)
			return
		}
		fmt.Fprintf(w, `{"code":0,"message":null,"response":{"imp_uid":"imp_1","merchant_uid":%q,"amount":%d,"status":"ready","vbank_code":"004","vbank_num":"1234567890","vbank_date":%d,"pay_method":"vbank"}}`,
			asked.MerchantUID, asked.Amount, asked.VbankDue)
	}
}
