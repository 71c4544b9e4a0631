package report

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"vbankbatch/batch"
	"vbankbatch/client"
)

// WriteMetrics writes the run for Prometheus, as node_exporter's textfile collector takes it, to path, whole or not at all.
// The file is readable for everybody, since the collector runs as another user; it names no person, account or order.
//
// All samples carry the file's name without its ending as the label batch, so that several files, one for each nightly
// job, can lie in one folder. Facts without rows, and a run that came to nothing, are told as such.
func WriteMetrics(path string, run *Run, facts *Facts) error {
	name := strings.ToValidUTF8(filepath.Base(path), "\uFFFD")
	return Replace(path, 0o644, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		writeMetrics(out, strings.TrimSuffix(name, filepath.Ext(name)), run, facts)
		return out.Flush()
	})
}

// writeMetrics leaves errors to the buffer, which keeps the first.
func writeMetrics(w *bufio.Writer, name string, run *Run, facts *Facts) {
	m := metrics{w, name}
	m.family("last_run_info", "What wrote these samples: the program's version, and the command.").sample(1, "version", run.Version, "command", run.Command)
	m.family("last_run_start_timestamp_seconds", "When the last run began.").sample(float64(run.Started.UnixMilli()) / 1e3)
	if !run.Ended.IsZero() {
		m.family("last_run_end_timestamp_seconds", "When the last run ended.").sample(float64(run.Ended.UnixMilli()) / 1e3)
		m.family("last_run_duration_seconds", "How long the last run took.").sample(seconds(run.Ended.Sub(run.Started)))
	}
	m.family("last_run_exit_status", "The last run's exit status: 0 every row done, 1 some rows not done, 4 some rows unknown, others as the README has them.").
		sample(float64(run.Exit))
	rows := m.family("last_run_rows", "Rows of the last run by status.")
	for _, status := range batch.Statuses {
		rows.sample(float64(facts.Statuses[status].Rows), "status", status)
	}
	won := m.family("last_run_amount_won", "Won of the rows of the last run by status.")
	for _, status := range batch.Statuses {
		won.sample(float64(facts.Statuses[status].Won), "status", status)
	}
	if run.InDoubt != nil {
		m.family("ledger_orders_in_doubt", "Orders in the ledger whose request may have reached the API without an answer, after the last run.").sample(float64(*run.InDoubt))
	}
	if run.NotTaken != nil {
		m.family("folder_files_not_taken", "Files in the folder that no run takes: no CSV and no .xlsx, links, names that this program gives.").sample(float64(*run.NotTaken))
	}
	if run.Measures != nil {
		requests := m.family("last_run_requests", "HTTP requests of the last run by endpoint and class of the HTTP status; none is without a whole reply.")
		for _, e := range run.Measures.Endpoints {
			for _, class := range client.Classes {
				requests.sample(float64(e.Classes[class]), "endpoint", e.Endpoint, "class", class)
			}
		}
	}
}

type metrics struct {
	w     *bufio.Writer
	batch string
}

// family is some of the samples, all of them gauges: each run starts anew.
type family struct {
	metrics
	name string
}

func (m metrics) family(name, help string) family {
	f := family{m, "vbankbatch_" + name}
	fmt.Fprintf(m.w, "# HELP %[1]s %[2]s\n# TYPE %[1]s gauge\n", f.name, help)
	return f
}

var metricEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// sample writes one, with labels as name and value by turns.
func (f family) sample(value float64, labels ...string) {
	fmt.Fprintf(f.w, `%s{batch="%s"`, f.name, metricEscapes.Replace(f.batch))
	for i := 0; i < len(labels); i += 2 {
		fmt.Fprintf(f.w, `,%s="%s"`, labels[i], metricEscapes.Replace(labels[i+1]))
	}
	fmt.Fprintf(f.w, "} %s\n", strconv.FormatFloat(value, 'f', -1, 64))
}
