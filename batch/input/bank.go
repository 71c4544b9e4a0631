package input

import (
	"slices"
	"strings"
	"unicode"

	"vbankbatch/client/pg"
)

// bankCode is what became of a bank's name for one PG. Files name few banks, many times over.
type bankCode struct {
	kftc, code    string
	known, listed bool
	differ        bool // not known, since it names two
}

func (r *Reader) bank(gateway, text string) bankCode {
	key := [2]string{gateway, text}
	b, ok := r.banks[key]
	if !ok {
		b = r.findBank(gateway, text)
		if len(r.banks) < 1000 {
			r.banks[key] = b
		}
	}
	return b
}

// findBank looks a bank up: by what is known of banks, by what Options.Banks says of other names, and by the parts of the
// text. A code of Options.Banks goes before the PG's table. A name of no bank whose code is a bank's is a name of that bank.
func (r *Reader) findBank(gateway, text string) (b bankCode) {
	if strings.Contains(text, lost) {
		return b
	}
	b.kftc, b.known = pg.BankByName(text)
	if code := r.named[pg.Fold(text)]; !b.known && code != "" {
		if b.kftc, b.known = pg.BankByName(code); !b.known {
			b = bankCode{code: code, known: true, listed: true}
			if len(code) == 3 && digits(code) {
				b.kftc = code
			}
			return b
		}
	}
	if !b.known {
		b.kftc, b.known, b.differ = bankOfParts(text)
	}
	if b.code, b.listed = pg.VbankCode(gateway, b.kftc); r.codes[b.kftc] != "" {
		b.code, b.listed = r.codes[b.kftc], true
	}
	return b
}

var companies = strings.NewReplacer("㈜", "", "(주)", "", "（주）", "", "주식회사", "")

// bankOfParts reads a text that names one bank more than once, 국민은행(KB) or 004-국민은행. Every part must be a bank by
// itself, and all the same one: what differs, or is something else, may be a mistake in either part.
func bankOfParts(text string) (kftc string, known, differ bool) {
	text = companies.Replace(text)
	if kftc, known = pg.BankByName(text); known {
		return kftc, true, false
	}
	var banks []string
	named := false
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("()[]（）-/:·|_ ", r) }) {
		bank, ok := pg.BankByName(part)
		if !ok {
			return "", false, false
		}
		named = named || strings.ContainsFunc(part, unicode.IsLetter)
		banks = append(banks, bank)
	}
	switch {
	case !named: // 11-1 is not a bank
		return "", false, false
	case slices.ContainsFunc(banks, func(bank string) bool { return bank != banks[0] }):
		return "", false, true
	}
	return banks[0], true, false
}
