package report

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"vbankbatch/batch"
	"vbankbatch/client/say"
)

// How often progress is shown: on a terminal, to programs, and as plain lines elsewhere.
const (
	barEvery  = 250 * time.Millisecond
	logEvery  = time.Second
	lineEvery = 30 * time.Second
)

// Mode is how progress is shown.
type Mode int

// The modes.
const (
	Silent Mode = iota
	Lines       // a plain line now and then
	Bar         // on a terminal
)

// Progress shows how far a run is until Stop. Workers only bump the counts: a terminal that blocks holds up nobody
// but the one goroutine that draws.
type Progress struct {
	stop chan struct{}
	done sync.WaitGroup
}

// ShowProgress starts to show counts against total rows on w.
func ShowProgress(w say.Writer, mode Mode, total int, counts *batch.Counts) *Progress {
	p := &Progress{stop: make(chan struct{})}
	if mode == Silent {
		return p
	}
	show, every := line(w, total, counts), lineEvery
	var clear func()
	if mode == Bar {
		options := []progressbar.Option{progressbar.OptionSetWriter(w.Writer), progressbar.OptionShowCount()}
		narrow := narrow(w.Writer)
		if narrow { // a line that does not fit would be drawn below itself
			options = append(options, progressbar.OptionSetWidth(4), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
		} else {
			options = append(options, progressbar.OptionShowIts(), progressbar.OptionSetItsString(w.Text("rows")),
				progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(), progressbar.OptionSetDescription(w.Text("rows")))
		}
		bar := progressbar.NewOptions(total, options...)
		show = func() {
			if failed := counts.Failed.Load(); failed > 0 && narrow {
				bar.Describe(w.Sprintf("%s not done", Thousands(failed)))
			} else if failed > 0 {
				bar.Describe(w.Sprintf("rows (%s not done)", Thousands(failed)))
			}
			if audited := counts.Audited.Load(); audited > 0 && !narrow {
				bar.Describe(w.Sprintf("rows, %s looked at once more", Thousands(audited)))
			}
			bar.Set64(min(counts.Done.Load(), int64(total)))
		}
		every, clear = barEvery, func() { bar.Clear() }
	}
	p.show(every, show, clear)
	return p
}

// LogProgress starts to log counts against total rows, for programs; the last event has what they were in the end.
func LogProgress(log *slog.Logger, total int, counts *batch.Counts) *Progress {
	p, began := &Progress{stop: make(chan struct{})}, time.Now()
	show := func() {
		done := counts.Done.Load()
		figures := []any{"rows_done", done, "rows", total, "not_done", counts.Failed.Load(), "waiting", counts.Pending.Load(),
			"won_issued", counts.Won.Load(), "rows_per_second", math.Round(10*float64(done)/max(time.Since(began).Seconds(), 0.001)) / 10}
		if left, known := left(total, counts, began); known {
			figures = append(figures, "eta_seconds", math.Ceil(left.Seconds()))
		}
		log.Info("progress", figures...)
	}
	p.show(logEvery, show, show)
	return p
}

// show shows progress now and then until Stop; last comes behind that, if it is not nil.
func (p *Progress) show(every time.Duration, show, last func()) {
	p.done.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				show()
			case <-p.stop:
				if last != nil {
					last()
				}
				return
			}
		}
	})
}

// wideEnough is how many columns the whole line of a bar takes, with the numbers of a million rows.
const wideEnough = 76

func narrow(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	return err == nil && width < wideEnough
}

// Stop takes the bar away and waits until nothing more is drawn.
func (p *Progress) Stop() {
	close(p.stop)
	p.done.Wait()
}

func line(w say.Writer, total int, counts *batch.Counts) func() {
	return func() { fmt.Fprintln(w, progress(w.Language, total, counts)) }
}

func progress(language say.Language, total int, counts *batch.Counts) string {
	text := language.Sprintf("%s of %s rows", Thousands(counts.Done.Load()), Thousands(int64(total)))
	if failed := counts.Failed.Load(); failed > 0 {
		text += language.Sprintf(", %s not done", Thousands(failed))
	}
	if pending := counts.Pending.Load(); pending > 0 {
		text += language.Sprintf(", %s waiting", Thousands(pending))
	}
	if audited := counts.Audited.Load(); audited > 0 {
		text += language.Sprintf(", %s looked at once more", Thousands(audited))
	}
	return text
}

// Status is one line about a run that is under way, since when, and how many requests it has made.
func Status(language say.Language, total int, counts *batch.Counts, since time.Time, requests int64) string {
	elapsed := time.Since(since)
	text := language.Sprintf("%s in %s, %.1f requests/s", progress(language, total, counts), elapsed.Round(time.Second), float64(requests)/max(elapsed.Seconds(), 0.001))
	if left, known := left(total, counts, since); known {
		text += language.Sprintf(", about %s left", left.Round(time.Second))
	}
	return text
}

// left is how long the rest of the rows will take at the pace of those that were sent.
func left(total int, counts *batch.Counts, since time.Time) (left time.Duration, known bool) {
	done := counts.Done.Load()
	sent := done - counts.Settled.Load()
	if sent <= 0 || done >= int64(total) {
		return 0, false
	}
	return time.Duration(float64(time.Since(since)) / float64(sent) * float64(int64(total)-done)), true
}
