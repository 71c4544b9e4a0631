package report

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vbankbatch/batch"
)

// parsed reads a file of metrics as Prometheus does.
func parsed(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value is that of the one sample with the labels; labels are names and values by turns.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	var found []float64
	for _, m := range families[name].GetMetric() {
		has := make(map[string]string)
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		fits := true
		for i := 0; i < len(labels); i += 2 {
			fits = fits && has[labels[i]] == labels[i+1]
		}
		if fits {
			found = append(found, m.GetGauge().GetValue())
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s%v has %d samples", name, labels, len(found))
	}
	return found[0]
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	run, facts, numbers := ran(t)
	path := filepath.Join(t.TempDir(), "hanbit.prom")
	if err := WriteMetrics(path, run, facts); err != nil {
		t.Fatal(err)
	}
	text := written(t, path, 0o644)
	families := parsed(t, text)
	for name, family := range families {
		if family.GetHelp() == "" || family.GetType() != dto.MetricType_GAUGE || !strings.HasPrefix(name, "vbankbatch_") {
			t.Errorf("%s: %q, %v", name, family.GetHelp(), family.GetType())
		}
		for _, m := range family.GetMetric() {
			if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "batch" && l.GetValue() == "hanbit" }) {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
	if got := len(families["vbankbatch_last_run_rows"].GetMetric()); got != len(batch.Statuses) {
		t.Errorf("%d statuses", got)
	}
	for _, c := range []struct {
		name   string
		want   float64
		labels []string
	}{
		{"vbankbatch_last_run_exit_status", 1, nil},
		{"vbankbatch_last_run_start_timestamp_seconds", float64(run.Started.Unix()), nil},
		{"vbankbatch_last_run_end_timestamp_seconds", float64(run.Ended.UnixMilli()) / 1000, nil},
		{"vbankbatch_last_run_duration_seconds", run.Ended.Sub(run.Started).Seconds(), nil},
		{"vbankbatch_last_run_rows", float64(facts.Statuses[batch.Issued].Rows), []string{"status", "issued"}},
		{"vbankbatch_last_run_rows", 0, []string{"status", "conflict"}},
		{"vbankbatch_last_run_amount_won", float64(facts.Statuses[batch.Issued].Won), []string{"status", "issued"}},
		{"vbankbatch_ledger_orders_in_doubt", 0, nil},
		{"vbankbatch_last_run_requests", 1, []string{"endpoint", "POST /users/getToken", "class", "2xx"}},
		{"vbankbatch_last_run_info", 1, []string{"version", "v1.2.3", "command", "run"}},
	} {
		if got := value(t, families, c.name, c.labels...); got-c.want > 1e-3 || c.want-got > 1e-3 {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, secret := range append(slices.Clone(personal), numbers...) {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the metrics tell %s", secret)
		}
	}

	// A run that came to nothing is told too, with no more than is known.
	path = filepath.Join(t.TempDir(), "a \"quoted\"\\name.prom")
	if err := WriteMetrics(path, &Run{Started: run.Started, Ended: run.Started, Exit: 6, Reason: ReasonFailed}, new(Facts)); err != nil {
		t.Fatal(err)
	}
	families = parsed(t, written(t, path, 0o644))
	if got := value(t, families, "vbankbatch_last_run_exit_status", "batch", `a "quoted"\name`); got != 6 {
		t.Errorf("exit status %v", got)
	}
	if families["vbankbatch_ledger_orders_in_doubt"] != nil || families["vbankbatch_last_run_requests"] != nil {
		t.Error("what is not known is told")
	}
}
