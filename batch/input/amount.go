package input

import (
	"strconv"
	"strings"
	"unicode"
)

// MaxAmount is the largest amount that is believed, in won: a longer number is an order or phone number gone astray.
const MaxAmount = 999_999_999_999

// ParseAmount reads an amount of won as people and their programs write it: grouped or not, with a sign of the
// currency before or after it, with a fraction of zeros or a dash in its place. Nothing is guessed: the code says why there is no amount.
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
	var before, after, dashed bool // a currency has been seen there, a dash for the fraction
	for {
		was := s
		if rest, ok := strings.CutSuffix(s, ".-"); ok && !dashed && rest != "" && digits(rest[len(rest)-1:]) {
			s, dashed = rest, true
		}
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
			s, before = cut(s, strings.CutPrefix, "₩", `\`, "krw", "일금", "금")
		}
		if !after {
			s, after = cut(s, strings.CutSuffix, "원정", "원", "₩", "krw")
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

// currencies are the codes of ISO 4217 but KRW, and what people write in their place.
var currencies = set(`aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob bov brl bsd btn bwp byn bzd cad cdf che chf
		chw clf clp cny cop cou crc cuc cup cve czk djf dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr
		iqd irr isk jmd jod jpy kes kgs khr kmf kpw kwd kyd kzt lak lbp lkr lrd lsl lyd mad mdl mga mkd mmk mnt mop mru mur mvr mwk mxn mxv myr mzn nad ngn
		nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sdg sek sgd shp sle sll sos srd ssp stn svc syp szl thb tjs tmt tnd
		top try ttd twd tzs uah ugx usd usn uyi uyu uyw uzs ved ves vnd vuv wst xaf xag xau xcd xdr xof xpd xpf xpt yer zar zmw zwg zwl
		rmb cnh usdt us dollar dollars euro euros yen yuan 달러 미달러 불 유로 엔 위안 위안화 엔화 파운드 바트 루블 페소 元 円`)

// foreign reports an amount with the sign, the code or the name of another currency before or behind it.
func foreign(s string) bool {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Sc, r) && r != '₩' }) {
		return true
	}
	letters := func(r rune) bool { return unicode.IsLetter(r) }
	front := strings.TrimLeftFunc(s, letters)
	back := strings.TrimRightFunc(s, letters)
	return front != "" && (currencies[s[:len(s)-len(front)]] || currencies[s[len(back):]])
}

// inWords reports an amount with Korean words for numbers in it, such as 3만5천원.
func inWords(s string) bool { return strings.ContainsAny(s, "십백천만억조") }

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
