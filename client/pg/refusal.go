package pg

import (
	"slices"
	"strings"
)

// Passing reports whether a PG's refusal is one that passes: the bank is busy, or closed for a moment, and the PG says
// to try again. The words are the API's message; an empty pg value is the API's default PG, which may be any.
func Passing(value, words string) bool {
	codes := strings.FieldsFunc(words, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z')
	})
	if g := find(value); g != nil {
		return g.refusesForNow(codes)
	}
	return slices.ContainsFunc(gateways, func(g gateway) bool { return g.refusesForNow(codes) })
}

func (g *gateway) refusesForNow(codes []string) bool {
	return slices.ContainsFunc(strings.Fields(g.passing), func(code string) bool { return slices.Contains(codes, code) })
}
