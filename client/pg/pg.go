// Package pg holds what differs between the payment gateways behind the API: what they are called, the form of
// bank code each one takes, and what each asks of a request. Start with [Check], [Name] or [VbankCode].
//
// It says what the documents, the vendor's schema and the vendors' pages say, each rule once. [Check] calls an error
// only what one of them states and none contradicts; all else is a warning, since that a table lists a bank or a PG is
// no proof that it works there, and that it does not is no proof of the contrary. What a merchant's contract allows
// nobody here knows. Everything is read-only and safe for concurrent use.
package pg

import (
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
	g := find(value)
	return g != nil && g.required&pgAPIKey != 0
}

// RequiresHolder reports whether the PG of a pg value requires vbank_holder. The documents do so of every PG, and it is
// so for one that is not known; the vendor's later schema does not for some.
func RequiresHolder(value string) bool {
	g := find(value)
	return g == nil || g.required&vbankHolder != 0
}

// WantsDue reports whether the PG of a pg value wants vbank_due with every update, as settle's page has it.
func WantsDue(value string) bool {
	g := find(value)
	return g != nil && g.dueOnUpdate
}

// Fold makes two spellings of one name, of a bank, a PG or a column, equal: compatibility forms, case, spaces and punctuation do not count.
func Fold(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKC.String(text))
}
