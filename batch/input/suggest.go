package input

import (
	"slices"
	"strings"

	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// mostSuggested is how many columns are named for one field.
const mostSuggested = 3

// mapHint is the option that gives a field a column. It names those of the file that are read as nothing and whose names
// and cells are such as the field has, if there are any. It is for a person to decide: nothing is read by it.
func (h header) mapHint(field string, mapped []Mapped, samples [][]string, o Options) say.Message {
	var hints []say.Message
	for i := range samples {
		used := slices.ContainsFunc(mapped, func(m Mapped) bool { return m.Column == i+1 || m.Answer == i+1 })
		if !used && !slices.Contains(h.ignore, i) && h.names[i] != "" && h.plausible(field, i, samples[i], o) {
			hints = append(hints, say.Messagef("--map '%s=%s' if it is meant", field, told(h.names[i])))
		}
	}
	if hints == nil || len(hints) > mostSuggested {
		return say.Message("--map " + field + "=HEADER")
	}
	hint := hints[0]
	for _, other := range hints[1:] {
		hint = say.Messagef("%s, or %s", hint, other)
	}
	return hint
}

// plausible reports whether a column may be a field that has none: by its name, by its first cells that differ, and by what
// stands beside it.
func (h header) plausible(field string, i int, cells []string, o Options) bool {
	name, role := h.folded[i], h.roles[i]
	if field == "amount" && role == noRole && containsAny(name, moneyNames) {
		role = someAmount
		h.roles = slices.Clone(h.roles)
		h.roles[i] = role
	}
	toPay := role == payable && !slices.Contains(h.roles, outstanding) // by its name, whatever was paid of the rest
	if neighbour, _ := h.doubtOf(field, i); cells == nil || neighbour >= 0 && !toPay {
		return false
	}
	fits := func(fit func(cell string) bool) bool { // most of them: one may be the mistake that is looked for
		good := 0
		for _, cell := range cells {
			if fit(cell) {
				good++
			}
		}
		return 2*good > len(cells)
	}
	switch field {
	case "amount":
		return slices.Contains(amountRoles, role) && fits(func(cell string) bool {
			won, code := ParseAmount(cell)
			return code == "" && won >= 100
		})
	case "vbank_due": // a day that has passed is when something was ordered
		return (role == noRole || role == deliveryDay || role == contractEnd) && fits(func(cell string) bool {
			day, err := ParseDay(cell)
			return err == nil && day.After(o.Now) && day.Before(o.Now.Add(farAway))
		})
	case "vbank_code":
		return fits(func(cell string) bool {
			_, ok := pg.BankByName(cell)
			return ok && !digits(cell)
		})
	case "merchant_uid": // running numbers are the same in the next file
		return role == noRole && !amountName.MatchString(name) && containsAny(name, numberNames) && !looksPersonal(name, "") && fits(func(cell string) bool {
			return len(cell) >= 5 && strings.ContainsAny(cell, "0123456789") && !placeholder(plain(cell))
		})
	}
	return false
}

var (
	amountRoles = []role{someAmount, payable, billed, paid, outstanding, total, bareTotal, instalment}
	moneyNames  = []string{"금액", "대금", "요금", "할돈", "납부액", "회비", "관리비", "수업료", "수강료", "임대료", "월세", "합계", "amount", "total", "price", "charge"}
	numberNames = []string{"번호", "코드", "number", "no", "id", "code", "ref"}
)

func containsAny(name string, pieces []string) bool {
	return slices.ContainsFunc(pieces, func(piece string) bool { return strings.Contains(name, piece) })
}
