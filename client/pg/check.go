package pg

import (
	"strings"
	"time"

	"vbankbatch/client"
	"vbankbatch/client/say"
)

// Action is what a request does.
type Action string

// The actions.
const (
	Issue  Action = "issue"  // POST /vbanks
	Update Action = "update" // PUT /vbanks/{imp_uid}
	Revoke Action = "revoke" // DELETE /vbanks/{imp_uid}
)

// Rule is a kind of breach. The values do not change.
type Rule string

// The rules. Behind each, whether a breach is an error or a warning.
const (
	Required       Rule = "FIELD_REQUIRED"       // not given; a warning where the sources contradict each other
	TooLong        Rule = "TOO_LONG"             // error: characters
	TooManyBytes   Rule = "TOO_MANY_BYTES"       // warning: in EUC-KR
	NotInEUCKR     Rule = "NOT_IN_EUCKR"         // warning: a character that EUC-KR lacks
	BadCharacters  Rule = "KEY_CHARACTERS"       // error: merchant_uid
	BadValue       Rule = "VALUE_INVALID"        // error: not one of the values there are
	DuePast        Rule = "DUE_PAST"             // error
	DueTooFar      Rule = "DUE_TOO_FAR"          // error; of an update a warning, since the limits are stated of issues
	DueRounded     Rule = "DUE_ROUNDED"          // warning: the PG keeps another time
	AmountTooSmall Rule = "AMOUNT_TOO_SMALL"     // error
	AmountUnusual  Rule = "AMOUNT_UNUSUAL"       // warning: a contract may allow more
	VatTooLarge    Rule = "VAT_TOO_LARGE"        // error
	Ignored        Rule = "FIELD_IGNORED"        // warning: the PG has no use for it
	OnlyOtherPGs   Rule = "FIELD_OF_OTHER_PGS"   // warning: others have a use for it, this one is not known to
	NotTaken       Rule = "FIELD_NOT_TAKEN"      // error: a page says that it cannot be
	DependsOnMID   Rule = "FIELD_DEPENDS_ON_MID" // warning: refused, unless the MID is set up for it
	BankNotOpened  Rule = "BANK_NOT_OPENED"      // warning: the bank is in the PG's table, not among those it opens accounts at
	NotListed      Rule = "PG_NOT_LISTED"        // warning: today's schema does not list the PG for the action
	NotSupported   Rule = "PG_NOT_SUPPORTED"     // error: today's schema says that the PG cannot
)

// Rules lists them with a sentence for each, in English; package say has the Korean.
var Rules = map[Rule]string{
	Required:       "the PG requires this field",
	TooLong:        "the text is longer than the API takes",
	TooManyBytes:   "the text is longer in EUC-KR than the PG takes; it may be cut",
	NotInEUCKR:     "the text has a character that EUC-KR, and so perhaps the PG, lacks",
	BadCharacters:  "the PG takes order numbers of letters and digits alone",
	BadValue:       "the field has a value that the PG does not know",
	DuePast:        "the due date has passed",
	DueTooFar:      "the due date is further ahead than the PG takes",
	DueRounded:     "the PG keeps the due date to the day, or to the minute",
	AmountTooSmall: "the amount is smaller than the PG takes",
	AmountUnusual:  "the amount is larger than the PG usually allows",
	VatTooLarge:    "vat_amount is a larger part of the amount than the PG takes",
	Ignored:        "the PG has no use for the field",
	OnlyOtherPGs:   "only other PGs are known to take the field",
	NotTaken:       "the PG does not take the field",
	DependsOnMID:   "the PG refuses the field unless the MID is set up for it",
	BankNotOpened:  "the PG is not known to open accounts at this bank",
	NotListed:      "today's schema, or any, does not list the PG for this action; the API decides",
	NotSupported:   "the PG cannot do this, as the vendor says",
}

// Breach is a rule that a request does not keep.
type Breach struct {
	Field   string // the API's name of the parameter; "pg" where the rule is about no parameter
	Rule    Rule
	Message say.Message // names the PG and the parameter; holds no value of the request but numbers of its length and time
	Warning bool        // the request may do all the same
}

// Check holds a request against the rules of the PG that a value of the pg parameter names, at the time now. Text that is
// empty and numbers that are 0 are not given; of a revocation only PGAPIKey is looked at, of an update also Amount, VbankDue,
// and, where it is known, what the account was issued with. Check returns nil where there is nothing to say; errors need
// not come before warnings. To a value that names no known PG the documents' rules apply: which PG its request goes to is
// the merchant's setting. Days are those of the calendar in Seoul, so a due date of 30 days ahead may be at any time of its
// day.
func Check(value string, action Action, r client.IssueRequest, now time.Time) []Breach {
	g := of(value)
	c := check{g: g, action: action, now: now.Unix()}
	if g != &documents {
		c.listing()
	}
	switch action {
	case Issue:
		c.issue(&r)
	case Update:
		c.update(&r)
	case Revoke:
		if g.required&pgAPIKey != 0 && r.PGAPIKey == "" {
			c.missing(pgAPIKey, false)
		}
	}
	return c.found
}

// check is a Check under way.
type check struct {
	g      *gateway
	action Action
	now    int64 // UNIX seconds
	found  []Breach
}

func (c *check) breach(f string, rule Rule, warning bool, format string, values ...any) {
	name := say.Message(c.g.code)
	if name == "" {
		name = say.NewMessage("the default PG")
	}
	c.found = append(c.found, Breach{Field: f, Rule: rule, Warning: warning, Message: say.Messagef("%s %s", name, say.Messagef(format, values...))})
}

func (c *check) missing(f field, warning bool) {
	hint := say.NewMessage("add it to the row")
	switch {
	case f == pgAPIKey:
		hint = say.NewMessage("take it from the PG's merchant console")
	case warning:
		hint = say.NewMessage("the documents want it of every PG, today's schema does not; better add it")
	}
	c.breach(f.first(), Required, warning, "requires %s: %s", f.first(), hint)
}

func (c *check) listing() {
	switch listed := c.g.listed(c.action); {
	case listed&denied != 0:
		c.breach("pg", NotSupported, false, "is a pg whose accounts cannot be %sd, by today's schema: revoke the account and issue another", say.NewMessage(string(c.action)))
	case listed == 0:
		c.breach("pg", NotListed, true, "is a pg that neither the documents nor today's schema list for %s; the API decides", say.NewMessage(string(c.action)))
	case listed&bySchema == 0:
		c.breach("pg", NotListed, true, "is a pg that the documents list for %s and today's schema no longer does; the API decides", say.NewMessage(string(c.action)))
	}
}

func (c *check) issue(r *client.IssueRequest) {
	g, values := c.g, values(r)
	var given field
	for i, value := range values {
		if value != "" {
			given |= 1 << i
		}
	}
	required, refused := g.required, g.refused
	if given&g.special&fixedUnlimited != 0 { // it has a number of its own, and no amount
		required = required&^amount | vbankNum
		refused |= g.unlimitedRefused
	}
	for f := range (required &^ given).each {
		c.missing(f, false)
	}
	for f := range (g.advised &^ given).each {
		c.missing(f, true)
	}
	for f := range (given & refused).each {
		c.breach(f.first(), NotTaken, false, "does not take %s here: leave it out", f.first())
	}
	for f := range (given & g.ignored).each {
		c.breach(f.first(), Ignored, true, "ignores %s: the merchant's name stands in its place", f.first())
	}
	if g != &documents { // the default PG may be one that takes them
		for f := range (given & special &^ g.special &^ refused).each {
			c.breach(f.first(), OnlyOtherPGs, true, "is not known to take %s, only %s: leave it out", f.first(), takers(f))
		}
	}
	for f := range (given & g.byMID).each {
		c.breach(f.first(), DependsOnMID, true, "refuses %s unless the MID's tax setting is 복합과세 (welcome: 부가세업체정함): leave it out if it is not", f.first())
	}
	c.texts(&values)
	if g.alphanumeric && strings.ContainsFunc(r.MerchantUID, notAlphanumeric) {
		c.breach("merchant_uid", BadCharacters, false, "takes a merchant_uid of letters A to Z and digits alone: take the others out")
	}
	if given&g.special&productType != 0 && r.ProductType != "real" && r.ProductType != "digital" {
		c.breach("product_type", BadValue, false, "takes a product_type of real or digital alone")
	}
	if g.vatPart > 0 && r.Amount > 0 && r.VatAmount != nil && *r.VatAmount > r.Amount/g.vatPart {
		c.breach("vat_amount", VatTooLarge, false, "takes a vat_amount of at most 1/%d of amount: make it less", g.vatPart)
	}
	if g.opens != "" && len(r.VbankCode) == len("004") && strings.Contains(g.banks, r.VbankCode) && !strings.Contains(g.opens, r.VbankCode) {
		c.breach("vbank_code", BankNotOpened, true, "is not known to open accounts at the bank of this vbank_code: better choose another")
	}
	c.amount(r.Amount)
	c.due(r.VbankDue)
}

func (c *check) update(r *client.IssueRequest) {
	g := c.g
	if r.Amount == 0 && r.VbankDue == 0 {
		c.breach("amount", Required, false, "requires amount, vbank_due or both: say what to change")
	} else if g.dueOnUpdate && r.VbankDue == 0 {
		c.breach("vbank_due", Required, true, "requires vbank_due with every update by its page, today's schema does not: better add the account's own")
	}
	if g.taxFreeStays && r.TaxFree != nil {
		c.breach("tax_free", NotTaken, false, "cannot change an account that was issued with tax_free: revoke it and issue another")
	}
	c.amount(r.Amount)
	c.due(r.VbankDue)
}

// texts checks the lengths, and that EUC-KR has every character.
func (c *check) texts(values *[len(fields)]string) {
	for i, f := range fields {
		if f.chars == 0 || values[i] == "" {
			continue
		}
		chars, size, lacks := measure(values[i])
		most := c.g.bytes[1<<i]
		switch {
		case chars > f.chars:
			c.breach(f.name, TooLong, false, "takes %d characters of %s, not %d: shorten it", f.chars, f.name, chars)
		case most > 0 && size > most:
			c.breach(f.name, TooManyBytes, true, "takes %d bytes of %s in EUC-KR, not %d: better shorten it", most, f.name, size)
		}
		if lacks > 0 {
			c.breach(f.name, NotInEUCKR, true, "may lose character %d of %s, which EUC-KR lacks: better write it otherwise", lacks, f.name)
		}
	}
}

func (c *check) amount(won int64) {
	least := max(c.g.minWon, 1)
	switch {
	case won == 0: // not given
	case won < least:
		c.breach("amount", AmountTooSmall, false, "takes an amount of at least %d won", least)
	case c.g.usualWon > 0 && won > c.g.usualWon:
		c.breach("amount", AmountUnusual, true, "takes an amount of at most %d won unless the contract says more", c.g.usualWon)
	}
}

func (c *check) due(due int64) {
	days := day(due) - day(c.now)
	switch {
	case due == 0: // not given
	case due <= c.now:
		c.breach("vbank_due", DuePast, false, "takes no vbank_due in the past: choose a later one")
	case c.g.maxDays > 0 && days > c.g.maxDays:
		c.breach("vbank_due", DueTooFar, c.action == Update, "takes a vbank_due at most %d days ahead, not %d: choose an earlier one", c.g.maxDays, days)
	case c.g.due(due) != due && c.g.keeps == toTheDay:
		c.breach("vbank_due", DueRounded, true, "keeps the date of vbank_due alone: the account stays open until 23:59:59 of that day")
	case c.g.due(due) != due:
		c.breach("vbank_due", DueRounded, true, "keeps vbank_due to the minute alone: the account stays open until its second 59")
	}
}

// takers lists the PGs that take a parameter.
func takers(f field) string {
	var codes []string
	for _, g := range gateways {
		if g.special&f != 0 {
			codes = append(codes, g.code)
		}
	}
	return strings.Join(codes, ", ")
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
