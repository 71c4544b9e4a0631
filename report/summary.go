package report

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rivo/uniseg"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Print tells a person what became of the rows: the accounts that stand, how many by status, won issued, the commonest reasons, and what the run took if
// that is known.
func (f *Facts) Print(w say.Writer, run *Run) {
	if run != nil && run.Error != nil {
		w.Printf("ended early: %v\n", run.Error)
		if stop, ok := errors.AsType[*batch.StopError](run.Error); ok {
			fmt.Fprintf(w, "  %s\n", Sentence(w.Language, stop.Code))
		}
	}
	w.Printf("%s rows", Thousands(f.Rows))
	if run != nil {
		seconds, done := run.Ended.Sub(run.Started).Seconds(), f.Rows-f.Statuses[batch.NotSent].Rows
		w.Printf(" in %.1f s (%.0f rows/s), %s requests", seconds, float64(done)/max(seconds, 0.001), Thousands(run.Requests))
	}
	fmt.Fprintln(w)
	issued := f.Statuses[batch.Issued]
	if all := f.Standing(); all.Rows > issued.Rows {
		w.Printf("accounts: %s, %s won; issued in this run: %s, %s won\n", Thousands(all.Rows), Thousands(all.Won), Thousands(issued.Rows), Thousands(issued.Won))
	}
	PrintStatuses(w, f.Statuses)
	printCodes(w, f.Codes)
	if run != nil {
		printAudit(w, run.Audit)
		printLimits(w, run.Limits)
	}
}

// PrintStatuses tells how many rows have which status.
func PrintStatuses(w say.Writer, statuses map[batch.Status]Sum) {
	width := 14
	if w.Language == say.Korean {
		width = 27
	}
	for _, status := range batch.Statuses {
		if sum := statuses[status]; sum.Rows > 0 {
			name := status
			if told := StatusName(w.Language, status); told != StatusName(say.English, status) {
				name = fmt.Sprintf("%s (%s)", told, status) // the results have the code
			}
			fmt.Fprintf(w, "  %s%s %9s", name, strings.Repeat(" ", max(width-uniseg.StringWidth(name), 0)), Thousands(sum.Rows))
			if status == batch.Issued {
				w.Printf("   %s won", Thousands(sum.Won))
			}
			fmt.Fprintln(w)
		}
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
func printLimits(w say.Writer, l *client.LimitStats) {
	if l == nil {
		return
	}
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
	names := commonest(codes)
	fmt.Fprintln(w, w.Text("reasons:"))
	for i, code := range names {
		if i == most {
			w.Printf("  and %d others\n", len(names)-most)
			break
		}
		fmt.Fprintf(w, "  %-22s %5s  %s\n", code, Thousands(int64(codes[code])), Sentence(w.Language, code))
	}
}

// commonest are the codes in the order of how many rows have them.
func commonest(codes map[string]int) []string {
	return slices.SortedFunc(maps.Keys(codes), func(a, b string) int {
		return cmp.Or(cmp.Compare(codes[b], codes[a]), cmp.Compare(a, b))
	})
}

// StatusName is the name of a status for a reader.
func StatusName(language say.Language, status batch.Status) string {
	return language.Text(strings.ReplaceAll(status, "_", " "))
}

// Sentence says what an error code means, "" for one that does not exist.
func Sentence(language say.Language, code string) string { return language.Text(english(code)) }

// Why says more of some codes: why it comes to that, and what to do.
func Why(language say.Language, code string) string {
	return language.Text(cmp.Or(batch.Whys[code], input.Whys[input.Code(code)]))
}

// IsSentence reports whether a message is the sentence of the code.
func IsSentence(code string, message say.Message) bool {
	return message == say.NewMessage(english(code))
}

func english(code string) string { return cmp.Or(batch.Codes[code], input.Sentences[input.Code(code)]) }
