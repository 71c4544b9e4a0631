//go:build unix

package queue_test

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"testing"
	"time"

	"vbankbatch/batch/ledger/ledgertest"
	"vbankbatch/client/sandbox"
)

// BenchmarkMerchants is what workers do in sum, from the first order that comes to the API until the results of all are stored: one
// worker with the file of one merchant, one and two with those of 20, eight side by side each, all on this machine. Replies come at
// once, or take 50 ms as in BenchmarkLatency.
func BenchmarkMerchants(b *testing.B) {
	server := ledgertest.Start(b)
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		for _, hosts := range []struct{ workers, merchants, rows int }{{1, 1, 10000}, {1, 20, 2000}, {2, 20, 2000}} {
			b.Run(fmt.Sprintf("latency=%s/workers=%d/merchants=%d", latency, hosts.workers, hosts.merchants), func(b *testing.B) {
				var took time.Duration
				for b.Loop() {
					s := submitted(b, server, sandbox.Faults{Latency: latency}, hosts.merchants, hosts.rows, "--rate=0")
					var workers []*exec.Cmd
					for range hosts.workers {
						workers = append(workers, s.work("--merchants=8"))
					}
					last := s.ended(hosts.merchants)
					first := slices.MinFunc(slices.Concat(slices.Collect(maps.Values(s.came.all()))...), time.Time.Compare)
					took += last.Sub(first)
					end(workers...)
				}
				b.ReportMetric(float64(b.N*hosts.merchants*hosts.rows)/took.Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkTakeOver is how long it takes from the kill -9 of a worker that has eight files to the next row of each, which another sends.
func BenchmarkTakeOver(b *testing.B) {
	server := ledgertest.Start(b)
	const files = 8
	var took []time.Duration
	for b.Loop() {
		s := submitted(b, server, sandbox.Faults{Latency: 20 * time.Millisecond}, files, 10000, "--rate=20")
		first := s.work("--merchants=8")
		s.arrived("orders of each file", func(came map[string][]time.Time) bool { return len(came) == files })
		second := s.work("--merchants=8")
		time.Sleep(5 * time.Second) // it has looked for work
		first.Process.Kill()
		first.Wait()
		killed := time.Now()
		for _, times := range s.arrived("orders of each file, after the kill", func(came map[string][]time.Time) bool {
			return len(came) == files && !slices.ContainsFunc(slices.Collect(maps.Values(came)), func(times []time.Time) bool { return times[len(times)-1].Before(killed) })
		}) {
			next := slices.IndexFunc(times, killed.Before)
			took = append(took, times[next].Sub(killed))
		}
		end(second)
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds(), "p50-s")
	b.ReportMetric(took[len(took)*99/100].Seconds(), "p99-s")
}

// submitted is a site with the files of some merchants.
func submitted(b *testing.B, server *ledgertest.Postgres, faults sandbox.Faults, merchants, rows int, flags ...string) *site {
	s := siteOn(b, server, sandbox.Config{Faults: faults})
	s.submit("", merchants, rows, flags...)
	return s
}

// end kills workers.
func end(workers ...*exec.Cmd) {
	for _, worker := range workers {
		worker.Process.Kill()
		worker.Wait()
	}
}
