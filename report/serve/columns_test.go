package serve

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/report/job"
	"vbankbatch/report/queue"
)

// stored is a job as it stands, and how its file is read.
func (s *site) stored(id int64) (*ledger.Job, input.Profile) {
	s.Helper()
	stored, err := s.Jobs.Get(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	request, err := job.ReadRequest(stored.Settings)
	if err != nil {
		s.Fatal(err)
	}
	return &stored, request.Profile
}

// choose sends the page of columns.
func (s *site) choose(id int64, values url.Values) *http.Response {
	s.Helper()
	stored, _ := s.stored(id)
	values.Set("settings", stored.Key)
	values.Set("ignores", "1")
	return s.post("uploaders", filePath(id, "columns"), values)
}

// TestNoColumn: that a field has no column counts, also where one has the field's name, and can be taken back.
func TestNoColumn(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", strings.ReplaceAll(good, "amount", "amount,buyer_name")+"A-3,3000,김,004,한빛상사,+7d\n")
	s.choose(id, url.Values{"column-buyer_name": {"0"}})
	if _, p := s.stored(id); len(p.Ignore) != 1 || p.Ignore[0] != "buyer_name" {
		t.Errorf("the column is looked at still: %v", p.Ignore)
	}
	s.choose(id, url.Values{"column-buyer_name": {"3"}, "ignore": {"3"}})
	if _, p := s.stored(id); len(p.Ignore) != 0 || p.Map["buyer_name"] != "buyer_name" {
		t.Errorf("the column is not taken: %v, %v", p.Ignore, p.Map)
	}
}

// TestFormOfAnotherLayout: what a form says of columns that this file does not have can be taken back.
func TestFormOfAnotherLayout(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", strings.ReplaceAll(good, "amount", "billed"))
	s.choose(id, url.Values{"column-amount": {"2"}, "form": {"billed"}})
	id, _ = s.bring("uploaders", "seoul", "b.csv", good)
	s.choose(id, url.Values{"use": {"billed"}})
	if page := s.get("uploaders", filePath(id, "check")); !strings.Contains(page, "billed") {
		t.Errorf("the form is of this layout:\n%s", page)
	}
	s.choose(id, url.Values{"column-amount": {"0"}})
	if page := s.get("uploaders", filePath(id, "check")); !strings.Contains(page, "To be sent") {
		t.Errorf("the file is refused still:\n%s", page)
	}
}

// TestSettleWithout: where only the workers have the credentials, the page says so.
func TestSettleWithout(t *testing.T) {
	s := newSite(t)
	s.Reconcile = func(context.Context, string) (int, int, error) { return 0, 0, queue.ErrNoCredentials }
	if answer := s.post("approvers", "/merchants/seoul/settle", nil); answer.StatusCode != http.StatusConflict {
		t.Error(answer.Status)
	}
}

// TestTwoWindows: what one window chose is not undone by another that has not seen it.
func TestTwoWindows(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", strings.ReplaceAll(good, "amount", "amount,billed")+"A-3,3000,5,004,한빛상사,+7d\n")
	before, _ := s.stored(id)
	s.choose(id, url.Values{"column-amount": {"3"}})
	answer := s.post("uploaders", filePath(id, "columns"), url.Values{"settings": {before.Key}, "ignores": {"1"}, "column-amount": {"2"}})
	if _, p := s.stored(id); answer.StatusCode != http.StatusConflict || p.Map["amount"] != "billed" {
		t.Errorf("%s; %v", answer.Status, p.Map)
	}
}
