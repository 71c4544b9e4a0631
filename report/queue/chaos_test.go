package queue_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbankbatch/client"
	"vbankbatch/client/sandbox"
)

var rounds = flag.Int("rounds", 0, "how many rounds TestChaos goes")

// TestChaos has three workers do the files of 20 merchants at an API that loses replies, kills them, freezes them for longer than
// their leases last, restarts the database and cuts its connections. Every order gets one account, no merchant's rate is exceeded, no
// file is stuck, and the results are whole.
func TestChaos(t *testing.T) {
	if *rounds == 0 {
		t.Skip("-rounds says how often") // each keeps the machine busy for a minute
	}
	seed := uint64(time.Now().UnixNano())
	s := newSite(t)
	var total chaos
	for round := range *rounds {
		c := &chaos{site: s, random: rand.New(rand.NewPCG(seed, uint64(round)))}
		c.round(t, round)
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
		total.killed, total.frozen, total.restarted, total.cut = total.killed+c.killed, total.frozen+c.frozen, total.restarted+c.restarted, total.cut+c.cut
	}
	t.Logf("seed %d: %d rounds, %d workers killed, %d frozen, the database restarted %d times and its connections cut %d times",
		seed, *rounds, total.killed, total.frozen, total.restarted, total.cut)
}

const (
	chaosMerchants = 20
	chaosRows      = 150 // of each
	chaosRate      = 60  // requests a second, of each
	chaosLease     = 2 * time.Second
)

type chaos struct {
	*site
	random                         *rand.Rand
	killed, frozen, restarted, cut int
}

func (c *chaos) round(t *testing.T, round int) {
	api, err := sandbox.New(sandbox.Config{Faults: sandbox.Faults{Seed: c.random.Uint64(), DropBefore: 0.02, DropAfter: 0.03, CommitLate: 0.02, CommitBy: 150 * time.Millisecond,
		ErrorAfter: 0.02, BadGateway: 0.02, CutJSON: 0.01, LookDrop: 0.01, Latency: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	s := *c.site
	s.api, s.came = api, new(arrivals)
	web := httptest.NewServer(s.came.watch(api))
	defer func() { web.Close(); api.Close() }()
	s.address = s.server.Database(t)
	s.env = append(append([]string(nil), s.env...), "VBANKBATCH_LEDGER="+s.address, "VBANKBATCH_API_URL="+web.URL)
	ids := s.submit(fmt.Sprint("r", round), chaosMerchants, chaosRows, fmt.Sprint("--rate=", chaosRate), "--doubt-wait=400ms", "--timeout=1s", "--patience=20s")
	var logs []*bytes.Buffer
	defer func() {
		for i := range logs {
			if t.Failed() {
				t.Logf("worker %d:\n%s", i, logs[i])
			}
		}
	}()
	start := func() *exec.Cmd {
		worker := s.command("work", "--merchants=8", "--lease="+chaosLease.String(), "--slice=3s")
		log := new(bytes.Buffer)
		logs = append(logs, log)
		worker.Stderr = log
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
		return worker
	}
	workers := []*exec.Cmd{start(), start(), start()}
	defer func() {
		for _, worker := range workers {
			worker.Process.Signal(syscall.SIGCONT)
			worker.Process.Kill()
			worker.Wait()
		}
	}()
	began := time.Now()
	for open := true; open; {
		if time.Since(began) > 4*time.Minute {
			t.Errorf("files are stuck: %s", s.must(0, "jobs", "list"))
			t.Log(s.psql(`SELECT j.id, j.turn, j.state, clock_timestamp() - to_timestamp(j.seen_at / 1e6) AS unseen, r.args, r.state, r.attempt, r.scheduled_at, r.attempted_at, r.attempted_by
				FROM jobs j LEFT JOIN river_job r ON r.args @> jsonb_build_object('job', j.id) AND r.state <> 'completed' WHERE j.state IN ('queued', 'running') ORDER BY j.id`))
			t.Log(s.psql(`SELECT clock_timestamp(), * FROM river_leader`))
			for _, worker := range workers {
				worker.Process.Signal(syscall.SIGQUIT) // for what they wait for
				worker.Wait()
			}
			return
		}
		time.Sleep(time.Duration(200+c.random.IntN(1500)) * time.Millisecond)
		calm := time.Since(began) > 40*time.Second
		at := c.random.IntN(len(workers))
		switch what := c.random.IntN(10); {
		case calm:
		case what < 3:
			workers[at].Process.Kill()
			workers[at].Wait()
			workers[at] = start()
			c.killed++
		case what < 6:
			workers[at].Process.Signal(syscall.SIGSTOP)
			time.Sleep(chaosLease + time.Duration(c.random.IntN(3000))*time.Millisecond)
			workers[at].Process.Signal(syscall.SIGCONT)
			c.frozen++
		case what == 6:
			s.server.Kill()
			s.server.Serve(t)
			c.restarted++
		case what == 7:
			s.server.Psql(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vbankbatch'")
			c.cut++
		}
		listed := s.must(0, "jobs", "list")
		open = strings.Contains(listed, "\tqueued\t") || strings.Contains(listed, "\trunning\t")
	}
	c.check(t, &s, api, round, ids)
}

func (c *chaos) check(t *testing.T, s *site, api *sandbox.Sandbox, round int, ids []string) {
	ready := make(map[string]int)
	for _, p := range api.Payments() {
		if p.Status == client.StatusReady {
			ready[p.MerchantUID]++
		}
	}
	for order, n := range ready {
		if n > 1 {
			t.Errorf("%s has %d accounts", order, n)
		}
	}
	done := 0
	for m, id := range ids {
		name := fmt.Sprintf("r%dm%d", round, m)
		s.must(0, "jobs", "results", id)
		rows := s.rows(filepath.Join(s.dir, name+".results.csv"))
		for i := range chaosRows {
			order := fmt.Sprintf("%s-%d", name, i)
			row, told := rows[order]
			has := row.account != ""
			// An API that failed each time may leave a row rejected; what is told of its account must be so all the same.
			if !told || row.status != "unknown" && has != (ready[order] == 1) || has && row.status != "issued" && row.status != "already_issued" {
				t.Errorf("%s: in the results %v, %q, an account there %v, %d accounts", order, told, row.status, has, ready[order])
			}
			if has {
				done++
			}
		}
	}
	if done < chaosMerchants*chaosRows*9/10 {
		t.Errorf("only %d rows were issued", done)
	}
	for merchant, times := range s.came.all() {
		for i := chaosRate + 3; i < len(times); i++ { // a window that counts seconds sees one more, and each new holder begins with one
			if took := times[i].Sub(times[i-chaosRate-3]); took < 950*time.Millisecond {
				t.Errorf("merchant %s: %d issues within %s", merchant, chaosRate+4, took)
				break
			}
		}
	}
}
