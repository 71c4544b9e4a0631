package pg

import (
	"math/bits"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding/korean"

	"vbankbatch/client"
)

// field is a set of parameters.
type field uint32

// The parameters that rules speak of; breaches come in this order.
const (
	pgAPIKey field = 1 << iota
	merchantUID
	amount
	vbankCode
	vbankDue
	vbankHolder
	name
	buyerName
	buyerEmail
	buyerTel
	buyerAddr
	buyerPostcode
	vbankNum
	vbankKey
	productType
	businessNumber
	taxFree
	vatAmount
	escrowPassword
	fixedUnlimited
)

// fields are the parameters by the number of their bit, with the most characters that each may have; 0 is no limit.
// The documents have the lengths but those of vbank_key and business_registration_number, which are today's schema's.
// Neither says what it counts.
var fields = [...]struct {
	name  string
	chars int
}{
	{"pg_api_key", 0},
	{"merchant_uid", 40},
	{"amount", 0},
	{"vbank_code", 0},
	{"vbank_due", 0},
	{"vbank_holder", 16},
	{"name", 40},
	{"buyer_name", 16},
	{"buyer_email", 64},
	{"buyer_tel", 16},
	{"buyer_addr", 128},
	{"buyer_postcode", 8},
	{"vbank_num", 0},
	{"vbank_key", 13},
	{"product_type", 0},
	{"business_registration_number", 10},
	{"tax_free", 0},
	{"vat_amount", 0},
	{"escrow_password", 0},
	{"fixed_unlimited_vbank", 0},
}

// first is the name of the first parameter of a set.
func (f field) first() string { return fields[bits.TrailingZeros32(uint32(f))].name }

// each yields the parameters of a set one by one.
func (f field) each(yield func(field) bool) {
	for ; f != 0; f &= f - 1 {
		if !yield(f & -f) {
			return
		}
	}
}

// values are those of the parameters by the number of their bit, "" where they are not given. Of one that is no text it
// is a mark.
func values(r *client.IssueRequest) [len(fields)]string {
	mark := func(given bool) string {
		if given {
			return "given"
		}
		return ""
	}
	return [...]string{
		string(r.PGAPIKey), r.MerchantUID, mark(r.Amount != 0), r.VbankCode, mark(r.VbankDue != 0), r.VbankHolder, r.Name,
		r.BuyerName, r.BuyerEmail, r.BuyerTel, r.BuyerAddr, r.BuyerPostcode, r.VbankNum, r.VbankKey, r.ProductType,
		r.BusinessRegistrationNumber, mark(r.TaxFree != nil), mark(r.VatAmount != nil), r.EscrowPassword, mark(r.FixedUnlimitedVbank),
	}
}

// special are the parameters that only some PGs take.
var special = func() (all field) {
	for _, g := range gateways {
		all |= g.special
	}
	return all
}()

// measure counts a text in characters and in bytes of EUC-KR, and gives the place of the first character that EUC-KR
// lacks, counted from 1; 0 is none. Such a character counts as two bytes. It is Microsoft's EUC-KR (CP949), which
// has every Hangul syllable, as Korean systems have used it for long.
func measure(text string) (chars, size, lacks int) {
	for i := 0; i < len(text); chars++ {
		switch c := text[i]; {
		case c < utf8.RuneSelf:
			size++
			i++
			continue
		case (c == 0xEB || c == 0xEC) && i+2 < len(text): // U+B000 to U+CFFF, all of them Hangul syllables
			size += 2
			i += 3
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		size += 2
		i += n
		if (r < '가' || r > '힣') && lacks == 0 && !InEUCKR(r) {
			lacks = chars + 1
		}
	}
	return chars, size, lacks
}

// InEUCKR reports whether EUC-KR, as measure has it, has a character above ASCII.
func InEUCKR(r rune) bool { return r <= 0xffff && encodable()[r/64]>>(r%64)&1 != 0 }

// encodable has a bit for each character up to U+FFFF: asking the encoder costs memory every time.
var encodable = sync.OnceValue(func() *[1024]uint64 {
	var set [1024]uint64
	var from, to [4]byte
	encoder := korean.EUCKR.NewEncoder().Transformer
	for r := rune(utf8.RuneSelf); r <= 0xffff; r++ {
		if !utf8.ValidRune(r) || r == utf8.RuneError {
			continue
		}
		n := utf8.EncodeRune(from[:], r)
		if _, _, err := encoder.Transform(to[:], from[:n], true); err == nil {
			set[r/64] |= 1 << (r % 64)
		}
	}
	return &set
})
