package pg

import (
	"cmp"
	"strings"
)

// gateway is one PG with all that is known of it. The zero rules are those of the documents.
type gateway struct {
	code  string
	names string                   // beside the code, separated by spaces; compared folded
	form  func(kftc string) string // its way to write a bank; nil is KFTC's three digits, "" none
	banks string                   // the KFTC codes in its table; "" where none is published
	opens string                   // those among banks that a page says accounts are opened at; "" where none does

	issue, update, revoke listing

	required field // of an issue
	advised  field // of an issue, where one source requires what another does not
	ignored  field // taken, and not used
	refused  field // not to be sent
	special  field // what this PG takes of the parameters that only some PGs do
	byMID    field // refused, unless the MID is set up for it

	bytes        map[field]int // most bytes in EUC-KR
	minWon       int64         // smallest amount where it is above 1
	usualWon     int64         // largest amount where the contract says nothing else; 0 is none
	vatPart      int64         // vat_amount is at most amount divided by this; 0 is no limit
	maxDays      int64         // most days until vbank_due, counted in days of the calendar; 0 is no limit
	keeps        precision     // of vbank_due
	alphanumeric bool          // merchant_uid of letters and digits alone

	passing string // codes, separated by spaces, of refusals that pass: the bank is busy or closed, try again

	unlimitedRefused field // not to be sent with fixed_unlimited_vbank
	dueOnUpdate      bool  // its page wants vbank_due with every update
	taxFreeStays     bool  // an account issued with tax_free cannot be updated
}

// precision is how much of a due date a PG keeps.
type precision uint8

const (
	toTheSecond precision = iota
	toTheMinute           // seconds become 59
	toTheDay              // the time becomes 23:59:59 in Seoul
)

// The parameters that the documents require of every issue. anonymous are those but vbank_holder.
const (
	anonymous = merchantUID | amount | vbankCode | vbankDue
	common    = anonymous | vbankHolder
)

// documents stands for the PG of a request that names none, or one that is not known: the default PG, whichever it is.
var documents = gateway{required: common}

// gateways is the one table of what differs between PGs. The source of a rule stands behind it: "doc" is the
// documents "Request virtual account API" and "Update virtual account API" of 2022, "now" the vendor's schema of 2026,
// "page" a help page of the vendor's or of the PG's own.
//
// Of issue the Korean document says that no other PG can, and then shows jtnet as a value of pg; so a PG that no list
// names is warned of, never refused. 스마트로 alone is nobody's name here: two gateways go by it, and a wrong guess
// would go to the default PG unseen.
var gateways = []gateway{
	{
		code: "settle", names: "헥토파이낸셜 헥토 세틀뱅크 settlebank", banks: shared,
		opens: "003 004 007 011 020 023 027 031 032 034 039 045 071 081 088 089", // page: Hecto's list and an older one
		issue: byDocuments | bySchema, update: byDocuments | bySchema, revoke: bySchema,
		required:         common,                                     // doc, now
		special:          vbankNum | fixedUnlimited | escrowPassword, // now: vbank_num; page: the others
		unlimitedRefused: taxFree | vatAmount,                        // page
		maxDays:          365,                                        // page: Hecto's
		usualWon:         1_000_000,                                  // page
		dueOnUpdate:      true,                                       // page; now: not required
		passing:          "RA88 CA01",                                // page: Hecto's
		taxFreeStays:     true,                                       // page
	},
	{
		code: "nice", names: "나이스페이먼츠 nicepayments", banks: shared,
		opens: "003 004 011 020 023 031 032 034 071 081 088 089", // page: NICE's manual
		issue: byDocuments | bySchema, update: byDocuments, revoke: bySchema,
		required: common,              // doc, now
		special:  taxFree | vatAmount, // now
		byMID:    taxFree,             // now: required where the MID is 복합과세, no account otherwise
		// page: NICE's manual, GoodsName, BuyerName, VbankAccountName, Moid, BuyerTel, BuyerEmail
		bytes:   map[field]int{name: 40, buyerName: 30, vbankHolder: 30, merchantUID: 64, buyerTel: 20, buyerEmail: 60},
		passing: "4116 4008 2159", // page: NICE's codes
	},
	{
		code: "nice_v2", names: "신나이스페이 신나이스페이먼츠", banks: "003 004 011 020 023 031 032 034 071 081 088 089",
		issue: bySchema, update: denied, revoke: bySchema,
		required: anonymous,
		advised:  vbankHolder,                          // doc: of every PG; now: not of this one
		special:  taxFree | vatAmount | businessNumber, // now
		byMID:    taxFree,                              // now, as nice
	},
	{
		code: "html5_inicis", names: "inicis kg이니시스 이니시스 kginicis kg이니시스kginicis", form: twoDigits, banks: shared,
		issue: byDocuments | bySchema, update: byDocuments, revoke: bySchema,
		required: common | pgAPIKey | buyerName | buyerEmail, // doc, now: the key, for revoke too; now: the buyer
		bytes:    map[field]int{name: 40, buyerName: 30},     // page
		passing:  "504954",                                   // page
	},
	{
		code: "kcp", names: "nhnkcp", form: func(kftc string) string { return prefixed("BK", twoDigits(kftc)) }, banks: shared,
		update: byDocuments, revoke: bySchema, // revoke: in the schema's text, not in its list
		required: common,                          // doc
		passing:  "8321 8322 8323 8324 8325 8326", // page: KCP's codes
	},
	{
		code: "uplus", names: "구토스페이먼츠", banks: shared,
		update: byDocuments, revoke: bySchema, // update: TOSS Payments, whose older module this is
		required: common, // doc
	},
	{
		code: "tosspayments", names: "토스페이먼츠", banks: shared,
		opens: "003 004 007 011 020 031 032 034 037 039 045 071 081 088 089", // page: the vendor's 13, and two of Toss's
		issue: bySchema, update: byDocuments, revoke: bySchema,
		required: anonymous | buyerName, // now
		ignored:  vbankHolder,           // now: the merchant's name in its place
		special:  vbankKey,              // now
		maxDays:  30,                    // page
	},
	{
		code: "kicc", names: "이지페이 이지페이kicc", banks: shared,
		update: byDocuments, revoke: bySchema,
		required: common, // doc
	},
	{
		code: "smartro", banks: shared,
		update: byDocuments, revoke: bySchema,
		required: common, // doc
	},
	{
		code:  "smartro_v2",
		issue: bySchema, revoke: bySchema,
		required:     common | buyerName | buyerEmail | buyerTel, // now
		special:      vbankNum,                                   // now
		alphanumeric: true,                                       // now, page
		keeps:        toTheDay,                                   // page, of the payment window
	},
	{
		code:  "ksnet",
		issue: bySchema, revoke: bySchema,
		required: anonymous | productType | buyerName, // now
		ignored:  vbankHolder,                         // now
		refused:  taxFree | vatAmount,                 // page
		special:  productType,                         // now
	},
	{
		code: "welcome", names: "웰컴페이먼츠", banks: "003 004 007 020 031 032 034 037 039 081 088 089",
		opens: "003 004 007 031 032 037 039 088 089", // page: 020, 034 and 081 have ended on 2024-12-27
		issue: bySchema, revoke: bySchema,
		required: anonymous | buyerName, // now
		ignored:  vbankHolder,           // now
		special:  taxFree | vatAmount,   // now
		byMID:    taxFree | vatAmount,   // now
		vatPart:  10,                    // now
		minWon:   300,                   // page
		keeps:    toTheMinute,           // page, of the payment window
	},
	{code: "jtnet", required: common}, // doc: as a value of pg alone
	{code: "danal", names: "다날", banks: shared, revoke: bySchema, required: common}, // doc
	{
		code: "daou", names: "키움페이", form: func(kftc string) string { return daou[kftc] }, banks: "003 004 011 020 023 032 071 081 088",
		required: common, // doc
	},
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
		names[g.code] = &gateways[i] // found without folding
		for _, name := range append(strings.Fields(g.names), g.code) {
			names[Fold(name)] = &gateways[i]
		}
	}
	return names
}()

// of returns the gateway of a pg value, the documents' for one that is not known.
func of(value string) *gateway { return cmp.Or(find(value), &documents) }

// find returns nil for a PG that is not known.
func find(value string) *gateway {
	name, _, _ := strings.Cut(value, ".")
	if g := byName[name]; g != nil || name == "" {
		return g
	}
	return byName[Fold(name)]
}
