package input

import (
	"strings"
	"time"

	"vbankbatch/client/say"
)

// Complaint joins what is wrong with the row: codes and messages, each with "; " between them. Warnings are told only
// of a row that has nothing worse.
func (r *Row) Complaint() (codes string, messages say.Message) {
	invalid := r.Invalid()
	var code []string
	var message []say.Message
	for _, p := range r.Problems {
		if p.Warning && (invalid || p.Everywhere) {
			continue
		}
		text := p.Message
		if p.Header != "" {
			text = say.Messagef("%s: %s", p.Header, text)
		}
		code, message = append(code, string(p.Code)), append(message, text)
	}
	return strings.Join(code, ";"), say.Join(message, "; ")
}

// OnlyLate reports whether all that keeps the row from being done is that its due date has passed.
func (r *Row) OnlyLate() bool {
	late := false
	for _, p := range r.Problems {
		if !p.Warning && p.Code != DuePast {
			return false
		}
		late = late || p.Code == DuePast
	}
	return late
}

// FormatDue writes a due date for people, in Korea's time: 2026-12-31 23:59.
func FormatDue(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return time.Unix(unix, 0).In(KST).Format("2006-01-02 15:04")
}

// Layout is how a pass reads the file's bytes.
type Layout struct {
	Encoding   string // utf-8, cp949, utf-16le or utf-16be
	Delimiter  rune
	HeaderLine int  // physical, from 1
	Results    bool // the file is the results of a run, which can be run again
}

// Layout returns what was detected, or what the options say.
func (r *Reader) Layout() Layout {
	return Layout{Encoding: r.scan.src.encoding, Delimiter: r.scan.comma, HeaderLine: r.header.line, Results: r.told != nil}
}
