package report

import (
	"encoding/csv"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// maxLiteral is how long a text within a formula of Excel may be.
const maxLiteral = 255

// asText writes a cell for a CSV so that Excel shows it as it is, and this program reads it as what it was: ="…", or behind
// a ' where that has no room.
func asText(cell string) string {
	doubled := strings.ReplaceAll(cell, `"`, `""`)
	if len(doubled) > maxLiteral || strings.ContainsAny(cell, "\t\r\n") {
		return "'" + cell
	}
	return `="` + doubled + `"`
}

var (
	// numeral is one.
	numeral = regexp.MustCompile(`^-?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)(\.[0-9]+)?$`)
	// signed is a numeral, a telephone numeral or a dash: as a formula it could add up and call nothing.
	signed = regexp.MustCompile(`^[+-][0-9 ().,-]*$`)
	// lookalike is text that Excel takes for another numeral (0042, 1E5, 2026.10) or for a day (3-5, 12-3-4, 2026/11, 2026/11/03, Mar-1). A
	// day as it writes one itself, 2026-12-31, stays.
	lookalike = regexp.MustCompile(`^(-?0[0-9][0-9,]*(\.[0-9]+)?|[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]+|[0-9]{1,2}[-/]([0-9]{1,2}[-/])?[0-9]{1,4}|-?[0-9,]+\.[0-9]*0|[0-9]{4}[-/][0-9]{1,2}|[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}|[0-9]{4}-([0-9]-[0-9]{1,2}|[0-9]{2}-[0-9])|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- /]?[0-9]{1,4}|[0-9]{1,2}[- /]?(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)$`)
	// literal is a text that is written for spreadsheets already.
	literal = regexp.MustCompile(`^="[^"]*"$`)
)

// formula reports a cell that Excel would run, in characters of any width: those of a Korean or Japanese keyboard count too.
func formula(cell string) bool {
	first, _ := utf8.DecodeRuneInString(width.Fold.String(cell))
	return strings.ContainsRune("=+-@\t\r\n", first) && !signed.MatchString(cell)
}

// defused writes CSV of which a spreadsheet runs no cell: one that it would take for a formula has a ' before it.
type defused struct{ *csv.Writer }

func (w defused) Write(line []string) error {
	for i, cell := range line {
		if formula(strings.TrimSpace(cell)) {
			line[i] = "'" + cell
		}
	}
	return w.Writer.Write(line)
}

// spoiled reports a cell that a spreadsheet does not keep as it is: it drops leading zeros, plus signs and the digits
// after the fifteenth, and makes days of small fractions.
func spoiled(cell string) bool {
	folded := width.Fold.String(cell)
	if lookalike.MatchString(folded) || signed.MatchString(folded) && folded != "-" && !numeral.MatchString(folded) {
		return true
	}
	digits := 0
	for _, r := range folded {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	return digits > 15 && numeral.MatchString(folded)
}
