// Package pg holds what differs between the payment gateways behind the API: what they are called, the form of
// bank code each one takes, and what each asks of a request. Start with [Check], [Name] or [VbankCode].
//
// It says what the documents, the vendor's schema and the vendors' pages say, each rule once. [Check] calls an error
// only what one of them states and none contradicts; all else is a warning, since that a table lists a bank or a PG is
// no proof that it works there, and that it does not is no proof of the contrary. What a merchant's contract allows
// nobody here knows. Everything is read-only and safe for concurrent use.
package pg

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// PGs returns the code of every known PG. Inicis is html5_inicis.
func PGs() []string {
	codes := make([]string, len(gateways))
	for i, g := range gateways {
		codes[i] = g.code
	}
	return codes
}

// Name splits a value of the pg parameter, {PG} or {PG}.{MID}. The PG may be any of its names: 나이스페이먼츠 and nice
// are nice, inicis and KG이니시스 are html5_inicis. One that is not known comes back as it was written.
func Name(value string) (pg, mid string, known bool) {
	pg, mid, _ = strings.Cut(strings.TrimSpace(value), ".")
	if g := find(pg); g != nil {
		return g.code, mid, true
	}
	return pg, mid, false
}

// Value is the pg parameter to send for a value as people write it: a code stays the code it is, inicis and
// html5_inicis included, and another name becomes the code (for Inicis with a MID inicis.{MID}, as the vendor has it).
func Value(value string) string {
	pg, mid, known := Name(value)
	typed, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(value)), ".")
	switch {
	case !known || typed == "inicis" || typed == pg:
		pg = typed
	case pg == "html5_inicis" && mid != "":
		pg = "inicis"
	}
	if mid != "" {
		pg += "." + mid
	}
	return pg
}

// NeedsAPIKey reports whether the PG of a pg value wants pg_api_key with each issue and revocation: KG Inicis does.
func NeedsAPIKey(value string) bool {
	return of(value).required&pgAPIKey != 0
}

// RequiresHolder reports whether the PG of a pg value requires vbank_holder. The documents do so of every PG, and it is
// so for one that is not known; the vendor's later schema does not for some.
func RequiresHolder(value string) bool {
	return of(value).required&vbankHolder != 0
}

// WantsDue reports whether the PG of a pg value wants vbank_due with every update, as settle's page has it.
func WantsDue(value string) bool { return of(value).dueOnUpdate }

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

// listing says where a PG is named for an action; 0 is nowhere. README.md has the table.
type listing uint8

// The sources. The documents know issue and update alone.
const (
	byDocuments listing = 1 << iota // the documents "Request" and "Update virtual account API" of 2022
	bySchema                        // the vendor's schema of 2026
	denied                          // that schema says that the PG cannot
)

func (g *gateway) listed(action Action) listing {
	switch action {
	case Issue:
		return g.issue
	case Update:
		return g.update
	case Revoke:
		return g.revoke
	}
	return 0
}

const (
	secondsADay = 24 * 60 * 60
	seoul       = 9 * 60 * 60 // seconds before UTC; no summer time since 1988
)

// Due is the vbank_due, in UNIX seconds, that the PG of a pg value makes of one: some keep the date or the minute alone.
func Due(value string, due int64) int64 { return of(value).due(due) }

func (g *gateway) due(due int64) int64 {
	switch g.keeps {
	case toTheDay:
		return (day(due)+1)*secondsADay - seoul - 1
	case toTheMinute:
		return due - due%60 + 59
	}
	return due
}

// day is the number of a date in Seoul.
func day(unix int64) int64 { return (unix + seoul) / secondsADay }

// Fold makes two spellings of one name, of a bank, a PG or a column, equal: compatibility forms, case, spaces and punctuation do not count.
func Fold(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKC.String(text))
}
