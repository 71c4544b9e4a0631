package serve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/job"
)

// look is what was found out about a file, read as a request says, and held against the ledger.
type look struct {
	Plan      *batch.Plan     // its file is closed; nil where the file could not be read at all
	Compared  *batch.Compared // nil of a file that is refused, or where the ledger could not be asked
	Elsewhere int             // rows that are new to the ledger, whose orders have a payment at the API; -1 where it was not asked
	Refusal   error           // nil if the file can be sent
	Answers   []input.Answer  // to the refusal
	Problems  []problem
	Won       []bankSum  // by bank, most won first
	First     []firstRow // of those that are to be sent
	Cut       bool       // there are more problems than are kept
	At        time.Time
	Day       string // in Korea, from which relative due dates count
}

// mostAsked is of how many orders the API is asked before a file is approved, a hundred at once. All are asked for before they
// are issued.
const mostAsked = 2000

// mostProblems is how many problems of a file are kept.
const mostProblems = 200_000

// problem is one of a row's.
type problem struct {
	Line int
	input.Problem
}

// firstRow is what is sent for a row.
type firstRow struct {
	Line        int
	Action      input.Action
	Order, Bank string
	Amount, Due int64
}

// mostFirst is how many rows are shown as they are sent.
const mostFirst = 30

// bankSum is what is to be issued at a bank.
type bankSum struct {
	Bank string
	Rows int
	Won  int64
}

// looked keeps what was found out about the last files: a file of 100,000 rows takes a second or two to look through.
type looked struct {
	mu    sync.Mutex
	looks []*looking    // the last used first
	slots chan struct{} // who reads a file has one: each takes memory
}

// looking is a look under way, or done.
type looking struct {
	job  int64
	key  string
	done chan struct{}
	look *look
	err  error
}

const (
	mostLooks    = 6
	mostReading  = 2               // files that are read side by side
	lookKept     = 5 * time.Minute // then the ledger may know more
	lookPatience = time.Minute     // of what somebody has pressed
)

var lookWait = 3 * time.Second // then the page says that the file is being looked through

func (l *looking) over() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// errLooking is returned while a file is being looked through.
var errLooking = say.New("the file is being looked through")

// look returns what was found out about a job's file. Its error is errLooking if that takes long.
func (s *Server) look(ctx context.Context, stored *ledger.Job) (*look, error) {
	s.looked.mu.Lock()
	i := slices.IndexFunc(s.looked.looks, func(l *looking) bool { return l.job == stored.ID && l.key == stored.Key })
	var l *looking
	if i >= 0 {
		l = s.looked.looks[i]
		s.looked.looks = slices.Delete(s.looked.looks, i, i+1)
		if l.over() && (l.err != nil || time.Since(l.look.At) > lookKept || l.look.Day != s.day()) {
			l = nil
		}
	}
	if l == nil {
		l = &looking{job: stored.ID, key: stored.Key, done: make(chan struct{})}
		given := *stored
		go func() {
			defer close(l.done)
			defer func() {
				if p := recover(); p != nil { // one file must not end the process that sends others
					l.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			l.look, l.err = s.lookThrough(context.WithoutCancel(ctx), &given)
		}()
	}
	s.looked.looks = slices.Insert(s.looked.looks, 0, l)
	over := 0
	s.looked.looks = slices.DeleteFunc(s.looked.looks, func(l *looking) bool { // one under way would be begun again
		if l.over() {
			over++
		}
		return l.over() && over > mostLooks
	})
	s.looked.mu.Unlock()
	select {
	case <-l.done:
		return l.look, l.err
	case <-time.After(lookWait):
		return nil, errLooking
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// lookWhole is look for what somebody has pressed: it waits until the file was looked through, a minute at most.
func (s *Server) lookWhole(ctx context.Context, stored *ledger.Job) (found *look, err error) {
	for began := time.Now(); time.Since(began) < lookPatience; {
		if found, err = s.look(ctx, stored); err != errLooking {
			break
		}
	}
	return found, err
}

// slot waits until a file may be read, and returns what is called once it was.
func (s *Server) slot(ctx context.Context) (leave func(), err error) {
	select {
	case s.looked.slots <- struct{}{}:
		return func() { <-s.looked.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// open opens a stored file as a run does. The caller closes it.
func (s *Server) open(ctx context.Context, stored *ledger.Job, most int64) (*input.File, error) {
	kept, err := os.CreateTemp("", "vbankbatch-look-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(kept.Name())
	defer kept.Close()
	os.Remove(kept.Name()) // where the system lets an open file go without a name it outlives no crash
	if err := s.Jobs.ReadFile(ctx, stored.ID, ledger.JobInput, kept); err != nil {
		return nil, err
	}
	if _, err := kept.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	file, err := input.OpenContext(ctx, "-", kept, most)
	if err != nil {
		if refused, ok := errors.AsType[*input.Error](err); ok {
			refused.Path = stored.File
		}
		return nil, err
	}
	file.Path, file.Place = stored.File, stored.File
	return file, nil
}

// plan reads a job's file as its request says. The caller closes the plan's file.
func (s *Server) plan(ctx context.Context, stored *ledger.Job) (*batch.Plan, error) {
	request, err := job.ReadRequest(stored.Settings)
	if err != nil {
		return nil, err
	}
	most, err := input.ParseSize(request.MaxInput)
	if err != nil {
		return nil, err
	}
	file, err := s.open(ctx, stored, most)
	if err != nil {
		return nil, err
	}
	options, err := s.Options(ctx, stored.Merchant, &request, s.Now())
	if err == nil {
		var plan *batch.Plan
		if plan, err = batch.Preflight(ctx, file, options); err == nil {
			return plan, nil
		}
		if refused, ok := errors.AsType[*input.Error](err); ok { // the columns can be shown all the same
			if plan, again := batch.Preflight(ctx, file, input.Options{Unread: true, Sheet: options.Sheet, Encoding: options.Encoding, Delimiter: options.Delimiter, Now: options.Now}); again == nil {
				plan.Refusal = refused
				return plan, nil
			}
		}
	}
	return nil, errors.Join(err, file.Close())
}

// lookThrough reads a file once more, for its problems.
func (s *Server) lookThrough(ctx context.Context, stored *ledger.Job) (*look, error) {
	leave, err := s.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	l := &look{At: time.Now(), Day: s.day()}
	plan, err := s.plan(ctx, stored)
	_, ours := errors.AsType[syscall.Errno](err) // a disk that is full is no fault of the file
	if refused, ok := errors.AsType[*input.Error](err); ok && !ours {
		l.Refusal, l.Answers = refused, input.Answers(refused)
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	defer plan.File.Close()
	l.Plan, l.Refusal = plan, plan.Refusal
	l.Answers = input.Answers(l.Refusal)
	if l.Refusal != nil && plan.Lacking != l.Refusal {
		return l, nil
	}
	err = report.EachProblem(ctx, plan, func(line int, p *input.Problem) error {
		if len(l.Problems) < mostProblems {
			l.Problems = append(l.Problems, problem{line, *p})
		}
		l.Cut = len(l.Problems) == mostProblems
		return nil
	})
	if err == nil && l.Refusal == nil {
		l.First, err = firstRows(ctx, plan)
	}
	if err != nil {
		return nil, err
	}
	for bank, rows := range plan.Banks {
		l.Won = append(l.Won, bankSum{bank, rows, plan.BankWon[bank]})
	}
	slices.SortFunc(l.Won, func(a, b bankSum) int {
		return cmp.Or(cmp.Compare(b.Won, a.Won), strings.Compare(a.Bank, b.Bank))
	})
	if l.Refusal == nil {
		l.Compared = s.compare(ctx, stored.Merchant, plan)
		if l.Elsewhere = -1; s.Elsewhere != nil && l.Compared != nil && l.Compared.New.Rows <= mostAsked {
			if rows, err := s.Elsewhere(ctx, stored.Merchant, plan); err == nil {
				l.Elsewhere = rows
			} else {
				s.Log.Warn("the API could not be asked for the orders of a file", "error", err)
			}
		}
	}
	return l, nil
}

// errEnough ends the reading of a file of which enough was read.
var errEnough = errors.New("enough")

// firstRows are the first of a plan that are sent: changes and revocations, which no sum tells of, before what is issued.
func firstRows(ctx context.Context, plan *batch.Plan) (first []firstRow, err error) {
	changes := plan.Actions[input.Update] + plan.Actions[input.Revoke]
	var issues []firstRow
	err = plan.Each(ctx, func(row *input.Row) error {
		if row.Invalid() || row.Skip != "" {
			return nil
		}
		kept := &first
		if row.Action == input.Issue {
			kept = &issues
		} else {
			changes--
		}
		if len(*kept) < mostFirst {
			*kept = append(*kept, firstRow{row.Line, row.Action, cmp.Or(row.Request.MerchantUID, row.ImpUID), row.Bank, row.Request.Amount, row.Request.VbankDue})
		}
		if changes <= 0 && (len(issues) == mostFirst || len(first) == mostFirst) {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return append(first, issues[:min(len(issues), mostFirst-len(first))]...), err
}

// compare holds a plan against the ledger; nil if that cannot be asked.
func (s *Server) compare(ctx context.Context, merchant string, plan *batch.Plan) *batch.Compared {
	orders := func(context.Context, []ledger.Order) (map[ledger.Order]ledger.Entry, error) { return nil, nil }
	book, err := s.Read(ctx, merchant, "")
	if err != nil {
		s.Log.Warn("a file could not be held against the ledger", "error", err)
		return nil
	}
	if book != nil {
		defer book.Close()
		orders = book.Orders
	}
	found, err := plan.Compare(ctx, orders)
	if err != nil {
		s.Log.Warn("a file could not be held against the ledger", "error", err)
		return nil
	}
	return &found
}

// layoutOf names a file's layout by its headers: a form that was saved for one of the same columns is taken for it.
func layoutOf(plan *batch.Plan) string {
	var headers []string
	for _, column := range plan.Columns {
		headers = append(headers, column.Header)
	}
	sum := sha256.Sum256([]byte(strings.Join(headers, "\x00")))
	return hex.EncodeToString(sum[:16])
}
