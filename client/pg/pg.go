// Package pg holds what differs between the payment gateways behind the API: what they are called, the form of
// bank code each one takes, and the few rules a row depends on. Start with [Name] or [VbankCode].
//
// The tables say what the vendor publishes. That a table lists a bank is no proof that the gateway issues accounts
// there, and that it does not is no proof of the contrary: callers warn, they do not refuse. Everything here is
// read-only and safe for concurrent use.
package pg

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// gateway is one PG: its code in the API, the other names people give it, and its bank codes.
type gateway struct {
	code  string
	names string                   // beside the code, separated by spaces; compared folded
	form  func(kftc string) string // its way to write a bank; nil is KFTC's three digits, "" none
	banks string                   // the KFTC codes in its table; "" where none is published
}

// 스마트로 alone is nobody's name here: two gateways go by it, and a wrong guess would go to the default PG unseen.
var gateways = []gateway{
	{"settle", "헥토파이낸셜 헥토 세틀뱅크 settlebank", nil, shared},
	{"nice", "나이스페이먼츠 nicepayments", nil, shared},
	{"nice_v2", "신나이스페이 신나이스페이먼츠", nil, "003 004 011 020 023 031 032 034 071 081 088 089"},
	{"html5_inicis", "inicis kg이니시스 이니시스 kginicis kg이니시스kginicis", twoDigits, shared},
	{"kcp", "nhnkcp", func(kftc string) string { return prefixed("BK", twoDigits(kftc)) }, shared},
	{"uplus", "구토스페이먼츠", nil, shared},
	{"tosspayments", "토스페이먼츠", nil, shared},
	{"kicc", "이지페이 이지페이kicc", nil, shared},
	{"smartro", "", nil, shared},
	{"smartro_v2", "", nil, ""},
	{"ksnet", "", nil, ""},
	{"welcome", "웰컴페이먼츠", nil, "003 004 007 020 031 032 034 037 039 081 088 089"},
	{"jtnet", "", nil, ""},
	{"danal", "다날", nil, shared},
	{"daou", "키움페이", func(kftc string) string { return daou[kftc] }, "003 004 011 020 023 032 071 081 088"},
}

const shared = "002 003 004 007 011 012 020 023 027 031 032 034 037 039 045 048 071 081 088 089 090 092"

// daou numbers banks its own way: its 11, 31 and 10 are other banks everywhere else. Its 05 for 외환은행 is left
// out, since that bank is part of 하나은행 now.
var daou = map[string]string{"003": "03", "004": "04", "011": "08", "020": "09", "023": "11", "032": "15", "071": "31",
	"081": "12", "088": "10"}

// twoDigits is KFTC's code without its leading zero.
func twoDigits(kftc string) string {
	short, ok := strings.CutPrefix(kftc, "0")
	if !ok {
		return ""
	}
	return short
}

func prefixed(prefix, code string) string {
	if code == "" {
		return ""
	}
	return prefix + code
}

var byName = func() map[string]*gateway {
	names := make(map[string]*gateway)
	for i, g := range gateways {
		for _, name := range append(strings.Fields(g.names), g.code) {
			names[Fold(name)] = &gateways[i]
		}
	}
	return names
}()

// find returns nil for a PG that is not known.
func find(value string) *gateway {
	name, _, _ := strings.Cut(value, ".")
	return byName[Fold(name)]
}

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

// NeedsAPIKey reports whether the PG of a pg value wants pg_api_key with each call: KG Inicis does.
func NeedsAPIKey(value string) bool {
	pg, _, _ := Name(value)
	return pg == "html5_inicis"
}

// IgnoresHolder reports whether the PG of a pg value puts the merchant's name in place of vbank_holder, so that a
// row needs none. The documents require it of every row; the vendor's later pages name these three.
func IgnoresHolder(value string) bool {
	pg, _, _ := Name(value)
	return pg == "tosspayments" || pg == "ksnet" || pg == "welcome"
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
