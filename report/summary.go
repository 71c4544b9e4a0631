package report

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Summary counts a run's results as they are written.
type Summary struct {
	Rows     int
	Statuses map[batch.Status]int
	Codes    map[string]int // rows by error code
	Issued   int64          // won of the rows issued in this run
}

// Add counts one result.
func (s *Summary) Add(result *batch.Result) {
	if s.Statuses == nil {
		s.Statuses, s.Codes = make(map[batch.Status]int), make(map[string]int)
	}
	s.Rows++
	s.Statuses[result.Status]++
	for code := range strings.SplitSeq(result.ErrorCode, ";") {
		if code != "" {
			s.Codes[code]++
		}
	}
	if result.Status == batch.Issued {
		s.Issued += result.Amount
	}
}

// Failed is the number of rows that were not done.
func (s *Summary) Failed() int {
	return s.Statuses[batch.Invalid] + s.Statuses[batch.Rejected] + s.Statuses[batch.Conflict] + s.Statuses[batch.NotSent]
}

// Effort is what a run took.
type Effort struct {
	Ended    error // why it ended early, or nil
	Elapsed  time.Duration
	Requests int64
	Limits   client.LimitStats
	Audit    *batch.Audit // nil without one
}

// Print tells the summary to a person: rows by status, won issued, the commonest reasons, and what it took if that is
// known.
func (s *Summary) Print(w say.Writer, effort *Effort) {
	if effort != nil && effort.Ended != nil {
		w.Printf("ended early: %v\n", effort.Ended)
		if stop, ok := errors.AsType[*batch.StopError](effort.Ended); ok {
			fmt.Fprintf(w, "  %s\n", Sentence(w.Language, stop.Code))
		}
	}
	w.Printf("%s rows", Thousands(int64(s.Rows)))
	if effort != nil {
		seconds, done := effort.Elapsed.Seconds(), s.Rows-s.Statuses[batch.NotSent]
		w.Printf(" in %.1f s (%.0f rows/s), %s requests", seconds, float64(done)/max(seconds, 0.001), Thousands(effort.Requests))
	}
	fmt.Fprintln(w)
	for _, status := range batch.Statuses {
		if n := s.Statuses[status]; n > 0 {
			fmt.Fprintf(w, "  %-14s %9s", status, Thousands(int64(n)))
			if status == batch.Issued {
				w.Printf("   %s won", Thousands(s.Issued))
			}
			fmt.Fprintln(w)
		}
	}
	printCodes(w, s.Codes)
	if effort != nil {
		printAudit(w, effort.Audit)
		printLimits(w, effort.Limits)
	}
}

// printAudit tells what the look at the end of a run found, if it was not what the run had.
func printAudit(w say.Writer, a *batch.Audit) {
	if a == nil {
		return
	}
	if a.Changed > 0 {
		w.Printf("the look at the end changed %s: the API shows something else than it had answered\n", Count(w.Language, a.Changed, "1 row", "%s rows"))
	}
	if a.Err != nil {
		w.Printf("warning: not every order was looked at once more at the end: %v\n", a.Err)
	}
}

// printLimits tells what a run found out about the API's limits, if anything.
func printLimits(w say.Writer, l client.LimitStats) {
	if l.TooMany > 0 {
		w.Printf("the API refused %s with 429, and nothing was sent for %.1f s\n", Count(w.Language, int(l.TooMany), "1 request", "%s requests"), l.Paused.Seconds())
	}
	if l.Confirmed {
		w.Printf("it seems to take %.1f requests a second\n", l.Rate)
	}
	if l.Failures > 0 {
		w.Printf("the API failed at %s or left them without an answer, and was sent as few as %d at once\n", Count(w.Language, int(l.Failures), "1 request", "%s requests"), l.LeastOnce)
	}
}

// printCodes lists the reasons, the commonest first, with their sentences.
func printCodes(w say.Writer, codes map[string]int) {
	if len(codes) == 0 {
		return
	}
	const most = 10
	names := slices.SortedFunc(maps.Keys(codes), func(a, b string) int {
		return cmp.Or(cmp.Compare(codes[b], codes[a]), cmp.Compare(a, b))
	})
	fmt.Fprintln(w, w.Text("reasons:"))
	for i, code := range names {
		if i == most {
			w.Printf("  and %d others\n", len(names)-most)
			break
		}
		fmt.Fprintf(w, "  %-22s %5s  %s\n", code, Thousands(int64(codes[code])), Sentence(w.Language, code))
	}
}

// Sentence says what an error code means, "" for one that does not exist.
func Sentence(language say.Language, code string) string { return language.Text(english(code)) }

// IsSentence reports whether a message is the sentence of the code.
func IsSentence(code string, message say.Message) bool {
	return message == say.NewMessage(english(code))
}

func english(code string) string { return cmp.Or(batch.Codes[code], input.Sentences[input.Code(code)]) }
