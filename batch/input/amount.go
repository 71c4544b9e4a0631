package input

import (
	"strconv"
	"strings"
)

// MaxAmount is the largest amount that is believed, in won: a longer number is an order or phone number gone astray.
const MaxAmount = 999_999_999_999

// ParseAmount reads an amount of won as people and their programs write it: grouped or not, with a sign of the
// currency before or after it, with a fraction of zeros. Nothing is guessed: the code says why there is no amount.
// Zero, and the dash that accounting formats print for it, is AmountZero. Of the amounts that are refused only a
// negative one is returned.
func ParseAmount(text string) (won int64, code Code) {
	s := plain(text)
	if s == "" {
		return 0, AmountMissing
	}
	negative := false
	if !digits(s[:1]) || !digits(s[len(s)-1:]) {
		s, negative = peel(s)
	}
	if s == "" && negative {
		return 0, AmountZero // a dash alone
	}
	won, code = number(s)
	switch {
	case code == AmountInvalid && foreign(s):
		return 0, CurrencyUnsupported
	case code != "":
		return 0, code
	case won == 0:
		return 0, AmountZero
	case negative:
		return -won, AmountNegative
	}
	return won, ""
}

// peel takes the currency and the sign off a number, each at most once at either end.
func peel(s string) (rest string, negative bool) {
	var before, after bool // a currency has been seen there
	for {
		was := s
		switch {
		case negative:
		case len(s) > 2 && s[0] == '(' && s[len(s)-1] == ')':
			s, negative = s[1:len(s)-1], true
		default:
			s, negative = cut(s, strings.CutPrefix, "-", "−", "–", "△", "▲")
			if !negative {
				s, negative = cut(s, strings.CutSuffix, "-", "−")
			}
		}
		s = strings.TrimSpace(s)
		if !before {
			s, before = cut(s, strings.CutPrefix, "₩", `\`, "krw")
		}
		if !after {
			s, after = cut(s, strings.CutSuffix, "원", "krw")
		}
		if s = strings.TrimSpace(s); s == was {
			return s, negative
		}
	}
}

func cut(s string, by func(s, sign string) (string, bool), signs ...string) (string, bool) {
	for _, sign := range signs {
		if rest, ok := by(s, sign); ok {
			return rest, true
		}
	}
	return s, false
}

func foreign(s string) bool {
	if strings.ContainsAny(s, "$€¥£円元") {
		return true
	}
	for _, name := range []string{"usd", "eur", "jpy", "cny", "gbp", "달러", "유로", "엔", "위안"} {
		if strings.HasPrefix(s, name) || strings.HasSuffix(s, name) {
			return true
		}
	}
	return false
}

// number reads digits with separators. A separator that could mark thousands as well as a fraction is ambiguous.
func number(s string) (int64, Code) {
	commas, dots := strings.Count(s, ","), strings.Count(s, ".")
	whole, fraction := s, ""
	switch {
	case commas == 0 && dots == 0:
	case commas > 0 && dots > 0:
		group, point := ",", "."
		if strings.LastIndexByte(s, '.') < strings.LastIndexByte(s, ',') {
			group, point = ".", ","
		}
		var more bool
		whole, fraction, more = strings.Cut(s, point)
		if grouped, ok := ungroup(whole, group); ok && more && digits(fraction) {
			if len(fraction) == 3 {
				return 0, AmountAmbiguous
			}
			whole = grouped
			break
		}
		return 0, AmountInvalid
	case dots == 1:
		whole, fraction, _ = strings.Cut(s, ".")
		if !digits(whole) || !digits(fraction) {
			return 0, AmountInvalid
		}
		if len(fraction) == 3 && len(whole) <= 3 && whole[0] != '0' {
			return 0, AmountAmbiguous
		}
	default: // commas or dots alone, as marks of thousands
		group := ","
		if dots > 0 {
			group = "."
		}
		grouped, ok := ungroup(s, group)
		if !ok {
			if before, after, _ := strings.Cut(s, ","); commas == 1 && digits(before) && digits(after) && len(after) < 3 {
				return 0, AmountAmbiguous
			}
			return 0, AmountInvalid
		}
		whole = grouped
	}
	if !digits(whole) {
		return 0, AmountInvalid
	}
	if strings.Trim(fraction, "0") != "" {
		return 0, AmountFraction
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		return 0, ""
	}
	if len(whole) > 12 {
		return 0, AmountTooLarge
	}
	won, _ := strconv.ParseInt(whole, 10, 64) // at most twelve digits
	return won, ""
}

// ungroup joins 1,234,000 where every group but the first has three digits.
func ungroup(s, separator string) (string, bool) {
	first, rest, more := strings.Cut(s, separator)
	ok := digits(first) && len(first) <= 3 && (!more || first[0] != '0')
	for more && ok {
		var group string
		group, rest, more = strings.Cut(rest, separator)
		ok = len(group) == 3 && digits(group)
	}
	return strings.ReplaceAll(s, separator, ""), ok
}
