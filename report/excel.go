package report

import (
	"encoding/csv"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"vbankbatch/batch/input"
)

// kind is what Excel is to make of a column.
type kind int

const (
	general    kind = iota // what Excel makes of it, unless that would change it
	identifier             // text, whatever it looks like
	day                    // a date, from RFC 3339
)

// identifiers are the fields whose every character counts.
var identifiers = []string{"imp_uid", "merchant_uid", "vbank_code", "buyer_tel", "buyer_postcode", "pg", "channel_key", "tier", "vbank_num", "vbank_key",
	"business_registration_number", "escrow_password"}

// excelKinds are those of the results' columns: the input's that are kept (indexes), then the results' own.
func excelKinds(kept []int, mapping []input.Mapped) (kinds []kind) {
	for _, i := range kept {
		k := general
		if slices.ContainsFunc(mapping, func(m input.Mapped) bool { return m.Column-1 == i && slices.Contains(identifiers, m.Field) }) {
			k = identifier
		}
		kinds = append(kinds, k)
	}
	for _, name := range Columns {
		switch {
		case slices.Contains(identifiers, name):
			kinds = append(kinds, identifier)
		case name == "vbank_due" || name == "issued_at":
			kinds = append(kinds, day)
		default:
			kinds = append(kinds, general)
		}
	}
	return kinds
}

// excelCell is a cell as Excel opens it right: read back by this program it is what it was. What Excel would run as a
// formula gets a ' before it, which shows, and stays there when the file is saved; text that Excel would take for a number is
// ="…", which shows as itself.
func excelCell(k kind, cell string) string {
	cell = input.Clean(cell)
	if k == day {
		if t, err := time.Parse(time.RFC3339, cell); err == nil {
			return t.In(input.KST).Format(time.DateTime)
		}
	}
	switch {
	case cell == "":
		return ""
	case formula(cell):
		return "'" + cell
	case spoiled(cell), cell == "-", k == identifier && strings.ContainsFunc(cell, unicode.IsDigit):
		return asText(cell)
	}
	return cell
}

// maxLiteral is how long a text within a formula of Excel may be.
const maxLiteral = 255

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
	// lookalike is text that Excel takes for another numeral (0042, 1E5) or for a day (3-5, 12-3-4, 2026/11, Mar-1).
	lookalike = regexp.MustCompile(`^(-?0[0-9][0-9,]*(\.[0-9]+)?|[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]+|[0-9]{1,2}[-/]([0-9]{1,2}[-/])?[0-9]{1,4}|[0-9]{4}[-/][0-9]{1,2}|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- /]?[0-9]{1,4}|[0-9]{1,2}[- /]?(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)$`)
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
