package report

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
)

// Check tells all that the preflight found: what was understood, the control totals, and every problem of every row.
func Check(ctx context.Context, w io.Writer, p *batch.Plan) error {
	PrintPlan(w, p)
	err := p.Each(ctx, func(row *input.Row) error {
		for _, problem := range row.Problems {
			if _, err := fmt.Fprintln(w, complaint(row.Line, &problem)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	printCodes(w, p.Codes)
	return nil
}

// complaint is a problem as one line: where, what, and what to do.
func complaint(line int, p *input.Problem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "line %d", line)
	if p.Column > 0 {
		fmt.Fprintf(&b, ", column %d (%s)", p.Column, p.Header)
	}
	if p.Warning {
		b.WriteString(", warning")
	}
	fmt.Fprintf(&b, ": %s: %s", p.Code, p.Message)
	return b.String()
}

// PrintPlan tells a person what a file asks for, before anything is sent.
func PrintPlan(w io.Writer, p *batch.Plan) {
	fmt.Fprintf(w, "%s: %s, separated by %s, header on line %d\n", p.File.Path, p.Layout.Encoding, delimiterName(p.Layout.Delimiter), p.Layout.HeaderLine)
	for _, m := range p.Mapping {
		fmt.Fprintf(w, "  %-14s from column %d, %s\n", m.Field, m.Column, m.Header)
	}
	fmt.Fprintf(w, "%s rows: %s to do", thousands(int64(p.Rows)), thousands(int64(p.ToDo())))
	for _, action := range []input.Action{input.Issue, input.Update, input.Revoke} {
		if n := p.Actions[action]; n > 0 {
			fmt.Fprintf(w, ", %s to %s", thousands(int64(n)), action)
		}
	}
	fmt.Fprintf(w, "; %s skipped, %s invalid\n", thousands(int64(p.Skipped)), thousands(int64(p.Invalid)))
	if s := p.Passed; s.Titles+s.Headers+s.Blank+s.Totals > 0 {
		fmt.Fprintf(w, "passed over: %d lines above the header, %d repeated headers, %d blank lines, %d lines of totals (not checked)\n",
			s.Titles, s.Headers, s.Blank, s.Totals)
	}
	if p.Actions[input.Issue] > 0 {
		fmt.Fprintf(w, "to issue: %s won, from %s to %s each, due from %s to %s\n", thousands(p.Won), thousands(p.Least), thousands(p.Most),
			input.FormatDue(p.FirstDue), input.FormatDue(p.LastDue))
		var banks []string
		for _, bank := range slices.Sorted(maps.Keys(p.Banks)) {
			banks = append(banks, fmt.Sprintf("%s %s", bank, thousands(int64(p.Banks[bank]))))
		}
		fmt.Fprintf(w, "by bank: %s\n", strings.Join(banks, ", "))
	}
}

func delimiterName(r rune) string {
	switch r {
	case ',':
		return "commas"
	case '\t':
		return "tabs"
	case ';':
		return "semicolons"
	}
	return strconv.QuoteRune(r)
}
