package serve

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/report/job"
)

// slowly has files be looked through once go on is called, and a page say so at once.
func (s *site) slowly() (goOn func()) {
	was, options, hold := lookWait, s.Options, make(chan struct{})
	lookWait = time.Millisecond
	s.Options = func(ctx context.Context, merchant string, r *job.Request, now time.Time) (input.Options, error) {
		<-hold
		return options(ctx, merchant, r, now)
	}
	goOn = sync.OnceFunc(func() { close(hold) })
	s.Cleanup(func() { goOn(); lookWait = was })
	return goOn
}

// TestFormOfLargeFile: a form is used for a file that takes long to look through, too.
func TestFormOfLargeFile(t *testing.T) {
	s := newSite(t)
	billed := strings.ReplaceAll(good, "amount", "billed")
	first, _ := s.bring("uploaders", "seoul", "a.csv", billed)
	s.choose(first, url.Values{"column-amount": {"2"}, "form": {"billed"}})
	goOn := s.slowly()
	brought := make(chan int64)
	go func() {
		id, _ := s.bring("uploaders", "seoul", "b.csv", strings.ReplaceAll(billed, "A-", "B-"))
		brought <- id
	}()
	for { // until its page was not to be had, no more than by who brings it
		answer := s.ask("uploaders", "GET", filePath(first+1, "check"), nil, "")
		if said := text(answer); answer.StatusCode == http.StatusOK && strings.Contains(said, "Looking through") {
			break
		} else if answer.StatusCode == http.StatusOK {
			t.Fatalf("it was not looked through slowly:\n%s", said)
		}
	}
	goOn()
	if _, p := s.stored(<-brought); p.Map["amount"] != "billed" {
		t.Errorf("the form was not used: %v", p.Map)
	}
}

// TestManyLooks: a look under way is not begun anew, however many others there are, and few files are read side by side.
func TestManyLooks(t *testing.T) {
	s := newSite(t)
	goOn := s.slowly()
	ctx := t.Context()
	files := make([]*ledger.Job, 3*mostLooks)
	for i := range files {
		files[i] = &ledger.Job{Merchant: "seoul", API: s.API, File: "a.csv", Settings: `{"MaxInput":"4MiB"}`, Key: fmt.Sprint(i), Day: "2026-11-30", Submitted: when}
		if err := s.Jobs.Upload(ctx, files[i], strings.NewReader(good), ledger.Deed{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.look(ctx, files[i]); err != errLooking {
			t.Fatal(err)
		}
	}
	under := len(s.looked.looks)
	if _, err := s.look(ctx, files[0]); err != errLooking || under != len(files) || len(s.looked.looks) != under {
		t.Errorf("%v; %d of %d looks are kept, then %d", err, under, len(files), len(s.looked.looks))
	}
	if n := len(s.looked.slots); n > mostReading {
		t.Errorf("%d files are read side by side", n)
	}
	goOn()
	for _, file := range files {
		if _, err := s.lookWhole(ctx, file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.lookWhole(ctx, files[0]); err != nil || len(s.looked.looks) > mostLooks+1 { // and one that was under way
		t.Errorf("%v; %d looks are kept", err, len(s.looked.looks))
	}
}

// TestPanic: a file over which the program fails does not end it.
func TestPanic(t *testing.T) {
	s := newSite(t)
	id, _ := s.bring("uploaders", "seoul", "a.csv", good)
	stored, _ := s.stored(id)
	stored.Key = "other"
	s.Options = func(context.Context, string, *job.Request, time.Time) (input.Options, error) { panic("a defect") }
	if _, err := s.look(t.Context(), stored); err == nil {
		t.Error("it was looked through")
	}
}

// TestLongUpload: an upload that took longer than an answer may is answered.
func TestLongUpload(t *testing.T) {
	s := newSite(t, func(server *http.Server) { server.WriteTimeout = time.Nanosecond })
	if _, answer := s.bring("uploaders", "seoul", "a.csv", good); answer.StatusCode != http.StatusSeeOther {
		t.Error(answer.Status)
	}
}
