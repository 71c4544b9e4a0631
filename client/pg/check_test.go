package pg

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/korean"

	"vbankbatch/client"
)

// noon in Seoul is when the tests take place.
var noon = time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)

// ahead is a due date: so many days from noon, at the last second of the day in Seoul.
func ahead(days int) int64 {
	return noon.Add(12*time.Hour-time.Second).Unix() + int64(days)*secondsADay
}

func won(n int64) *int64 { return &n }

// asks are, PG by PG, what an issue must hold, beside the order, the amount, the bank and the due date.
var asks = map[string]string{
	"":             "vbank_holder",
	"settle":       "vbank_holder",
	"nice":         "vbank_holder",
	"nice_v2":      "",
	"html5_inicis": "vbank_holder buyer_name buyer_email pg_api_key",
	"kcp":          "vbank_holder",
	"uplus":        "vbank_holder",
	"tosspayments": "buyer_name",
	"kicc":         "vbank_holder",
	"smartro":      "vbank_holder",
	"smartro_v2":   "vbank_holder buyer_name buyer_email buyer_tel",
	"ksnet":        "buyer_name product_type",
	"welcome":      "buyer_name",
	"jtnet":        "vbank_holder",
	"danal":        "vbank_holder",
	"daou":         "vbank_holder",
}

// empty empties a field of a request by the API's name.
func empty(r *client.IssueRequest, field string) {
	switch field {
	case "merchant_uid":
		r.MerchantUID = ""
	case "amount":
		r.Amount = 0
	case "vbank_code":
		r.VbankCode = ""
	case "vbank_due":
		r.VbankDue = 0
	case "vbank_holder":
		r.VbankHolder = ""
	case "buyer_name":
		r.BuyerName = ""
	case "buyer_email":
		r.BuyerEmail = ""
	case "buyer_tel":
		r.BuyerTel = ""
	case "product_type":
		r.ProductType = ""
	case "pg_api_key":
		r.PGAPIKey = ""
	}
}

// full is an issue that every PG takes, with all that any of them asks for.
func full(pg string) client.IssueRequest {
	code, _ := VbankCode(pg, "004")
	r := client.IssueRequest{
		MerchantUID: "A20300102x0001", Amount: 35000, VbankCode: code, VbankDue: ahead(7), VbankHolder: "한빛상사", Name: "머그컵 외 2건",
		BuyerName: "홍길동", BuyerEmail: "hong@example.com", BuyerTel: "010-0000-1234", BuyerAddr: "서울시 중구 세종대로 110", BuyerPostcode: "04524",
		PGAPIKey: "key",
	}
	if pg == "tosspayments" || pg == "ksnet" || pg == "welcome" { // they ignore it
		r.VbankHolder = ""
	}
	if pg == "ksnet" {
		r.ProductType = "digital"
	}
	return r
}

// told writes breaches as "FIELD RULE", a warning with a question mark behind it.
func told(breaches []Breach) string {
	var list []string
	for _, b := range breaches {
		text := b.Field + " " + string(b.Rule)
		if b.Warning {
			text += "?"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// unlisted is what is said of an action that the PG is not listed for.
func unlisted(pg string, action Action) string {
	switch listed := of(pg).listed(action); {
	case pg == "" || listed&bySchema != 0:
		return ""
	case listed == denied:
		return "pg PG_NOT_SUPPORTED"
	}
	return "pg PG_NOT_LISTED?"
}

// TestRequired takes every field away from every PG in turn.
func TestRequired(t *testing.T) {
	pgs := append(PGs(), "")
	if len(asks) != len(pgs) {
		t.Fatalf("%d PGs are tested, %d are known", len(asks), len(pgs))
	}
	for _, pg := range pgs {
		listed := unlisted(pg, Issue)
		if got := told(Check(pg, Issue, full(pg), noon)); got != listed {
			t.Errorf("%s: a good request: %s", pg, got)
		}
		required := append(strings.Fields(asks[pg]), "merchant_uid", "amount", "vbank_code", "vbank_due")
		for _, field := range []string{"merchant_uid", "amount", "vbank_code", "vbank_due", "vbank_holder", "buyer_name", "buyer_email", "buyer_tel",
			"product_type", "pg_api_key"} {
			r := full(pg)
			empty(&r, field)
			var want []string
			if listed != "" {
				want = append(want, listed)
			}
			switch {
			case slices.Contains(required, field):
				want = append(want, field+" FIELD_REQUIRED")
			case pg == "nice_v2" && field == "vbank_holder":
				want = append(want, field+" FIELD_REQUIRED?")
			}
			if got := told(Check(pg, Issue, r, noon)); got != strings.Join(want, ", ") {
				t.Errorf("%s without %s: got %q, want %q", pg, field, got, want)
			}
		}
	}
}

func TestCheckIssue(t *testing.T) {
	hangul := strings.Repeat("가", 200)
	for _, test := range []struct {
		pg     string
		change func(*client.IssueRequest)
		want   string
	}{
		// lengths in characters, of whatever PG
		{"", func(r *client.IssueRequest) { r.MerchantUID = hangul[:40*3] }, ""},
		{"", func(r *client.IssueRequest) { r.MerchantUID = hangul[:41*3] }, "merchant_uid TOO_LONG"},
		{"", func(r *client.IssueRequest) { r.VbankHolder, r.Name = hangul[:16*3], hangul[:40*3] }, ""},
		{"", func(r *client.IssueRequest) { r.VbankHolder, r.Name = hangul[:17*3], hangul[:41*3] }, "vbank_holder TOO_LONG, name TOO_LONG"},
		{"", func(r *client.IssueRequest) { r.BuyerName, r.BuyerEmail = hangul[:17*3], strings.Repeat("a", 65) }, "buyer_name TOO_LONG, buyer_email TOO_LONG"},
		{"", func(r *client.IssueRequest) { r.BuyerTel, r.BuyerAddr = strings.Repeat("0", 17), hangul[:129*3] }, "buyer_tel TOO_LONG, buyer_addr TOO_LONG"},
		{"nobody.M", func(r *client.IssueRequest) { r.BuyerPostcode = "123456789" }, "buyer_postcode TOO_LONG"},
		{"tosspayments", func(r *client.IssueRequest) { r.VbankKey = "12345678901234" }, "vbank_key TOO_LONG"},
		{"tosspayments", func(r *client.IssueRequest) { r.VbankKey = "1234567890123" }, ""},
		{"nice_v2", func(r *client.IssueRequest) { r.BusinessRegistrationNumber = "12345678901" }, "business_registration_number TOO_LONG"},
		// what EUC-KR makes of them
		{"", func(r *client.IssueRequest) { r.Name = "머그컵 😀" }, "name NOT_IN_EUCKR?"},
		{"", func(r *client.IssueRequest) { r.Name = "똠방각하 ㈜ ￦ 株 ―" }, ""},
		{"settle", func(r *client.IssueRequest) { r.BuyerName, r.BuyerAddr = "𠮷", "Zürich" }, "buyer_name NOT_IN_EUCKR?, buyer_addr NOT_IN_EUCKR?"},
		{"nice.MID1", func(r *client.IssueRequest) { r.Name = hangul[:20*3] }, ""},
		{"nice.MID1", func(r *client.IssueRequest) { r.Name = hangul[:20*3] + "!" }, "name TOO_MANY_BYTES?"},
		{"나이스페이먼츠", func(r *client.IssueRequest) { r.BuyerName, r.VbankHolder = hangul[:16*3], hangul[:16*3] }, "vbank_holder TOO_MANY_BYTES?, buyer_name TOO_MANY_BYTES?"},
		{"nice", func(r *client.IssueRequest) { r.MerchantUID, r.BuyerEmail = hangul[:33*3], strings.Repeat("a", 61) }, "merchant_uid TOO_MANY_BYTES?, buyer_email TOO_MANY_BYTES?"},
		{"nice", func(r *client.IssueRequest) { r.Name = hangul[:41*3] }, "name TOO_LONG"},
		{"inicis.M", func(r *client.IssueRequest) { r.Name, r.BuyerName = hangul[:21*3], hangul[:16*3] }, "name TOO_MANY_BYTES?, buyer_name TOO_MANY_BYTES?"},
		{"settle", func(r *client.IssueRequest) { r.Name = hangul[:40*3] }, ""},
		// due dates
		{"", func(r *client.IssueRequest) { r.VbankDue = noon.Unix() }, "vbank_due DUE_PAST"},
		{"", func(r *client.IssueRequest) { r.VbankDue = noon.Unix() + 1 }, ""},
		{"", func(r *client.IssueRequest) { r.VbankDue = -5 }, "vbank_due DUE_PAST"},
		{"", func(r *client.IssueRequest) { r.VbankDue = ahead(9999) }, ""},
		{"tosspayments", func(r *client.IssueRequest) { r.VbankDue = ahead(30) }, ""},
		{"tosspayments", func(r *client.IssueRequest) { r.VbankDue = ahead(30) + 1 }, "vbank_due DUE_TOO_FAR"},
		{"settle", func(r *client.IssueRequest) { r.VbankDue = ahead(365) }, ""},
		{"settle", func(r *client.IssueRequest) { r.VbankDue = ahead(366) }, "vbank_due DUE_TOO_FAR"},
		{"nice", func(r *client.IssueRequest) { r.VbankDue = ahead(366) }, ""},
		{"smartro_v2", func(r *client.IssueRequest) { r.VbankDue -= 3600 }, "vbank_due DUE_ROUNDED?"},
		{"welcome", func(r *client.IssueRequest) { r.VbankDue -= 60 }, ""},
		{"welcome", func(r *client.IssueRequest) { r.VbankDue -= 59 }, "vbank_due DUE_ROUNDED?"},
		// amounts
		{"", func(r *client.IssueRequest) { r.Amount = -1 }, "amount AMOUNT_TOO_SMALL"},
		{"nice", func(r *client.IssueRequest) { r.Amount = 1 }, ""},
		{"welcome", func(r *client.IssueRequest) { r.Amount = 299 }, "amount AMOUNT_TOO_SMALL"},
		{"welcome", func(r *client.IssueRequest) { r.Amount = 300 }, ""},
		{"settle", func(r *client.IssueRequest) { r.Amount = 1_000_000 }, ""},
		{"settle", func(r *client.IssueRequest) { r.Amount = 1_000_001 }, "amount AMOUNT_UNUSUAL?"},
		// what a PG ignores, refuses or leaves to others
		{"tosspayments", func(r *client.IssueRequest) { r.VbankHolder = "한빛" }, "vbank_holder FIELD_IGNORED?"},
		{"ksnet", func(r *client.IssueRequest) { r.VbankHolder = "한빛" }, "vbank_holder FIELD_IGNORED?"},
		{"welcome", func(r *client.IssueRequest) { r.VbankHolder = "한빛" }, "vbank_holder FIELD_IGNORED?"},
		{"smartro_v2", func(r *client.IssueRequest) { r.MerchantUID = "A-1" }, "merchant_uid KEY_CHARACTERS"},
		{"smartro_v2", func(r *client.IssueRequest) { r.MerchantUID = "09AZaz" }, ""},
		{"smartro_v2.M", func(r *client.IssueRequest) { r.MerchantUID = "주문1" }, "merchant_uid KEY_CHARACTERS"},
		{"settle", func(r *client.IssueRequest) { r.MerchantUID = "주문/1" }, ""},
		{"ksnet", func(r *client.IssueRequest) { r.ProductType = "food" }, "product_type VALUE_INVALID"},
		{"ksnet", func(r *client.IssueRequest) { r.ProductType = "real" }, ""},
		{"nice", func(r *client.IssueRequest) { r.ProductType = "food" }, "product_type FIELD_OF_OTHER_PGS?"},
		{"", func(r *client.IssueRequest) {
			r.ProductType, r.VbankNum, r.VbankKey, r.TaxFree, r.BusinessRegistrationNumber = "real", "1", "2", won(0), "3"
		}, ""},
		{"settle", func(r *client.IssueRequest) { r.VbankNum, r.EscrowPassword = "01234", "5" }, ""},
		{"smartro_v2", func(r *client.IssueRequest) { r.VbankNum = "01234" }, ""},
		{"nice", func(r *client.IssueRequest) {
			r.VbankNum, r.VbankKey, r.EscrowPassword, r.FixedUnlimitedVbank = "01", "2", "3", true
		},
			"vbank_num FIELD_OF_OTHER_PGS?, vbank_key FIELD_OF_OTHER_PGS?, escrow_password FIELD_OF_OTHER_PGS?, fixed_unlimited_vbank FIELD_OF_OTHER_PGS?"},
		{"settle", func(r *client.IssueRequest) { r.VbankKey = "1" }, "vbank_key FIELD_OF_OTHER_PGS?"},
		{"nice_v2", func(r *client.IssueRequest) { r.BusinessRegistrationNumber = "1234567890" }, ""},
		{"nice", func(r *client.IssueRequest) { r.BusinessRegistrationNumber = "1234567890" }, "business_registration_number FIELD_OF_OTHER_PGS?"},
		{"settle", func(r *client.IssueRequest) { r.FixedUnlimitedVbank, r.VbankNum, r.Amount = true, "01234", 0 }, ""},
		{"settle", func(r *client.IssueRequest) { r.FixedUnlimitedVbank = true }, "vbank_num FIELD_REQUIRED"},
		{"settle", func(r *client.IssueRequest) {
			r.FixedUnlimitedVbank, r.VbankNum, r.TaxFree, r.VatAmount = true, "01234", won(0), won(1)
		}, "tax_free FIELD_NOT_TAKEN, vat_amount FIELD_NOT_TAKEN"},
		{"settle", func(r *client.IssueRequest) { r.TaxFree = won(0) }, "tax_free FIELD_OF_OTHER_PGS?"},
		{"nice", func(r *client.IssueRequest) { r.TaxFree, r.VatAmount = won(0), won(1000) }, "tax_free FIELD_DEPENDS_ON_MID?"},
		{"nice_v2", func(r *client.IssueRequest) { r.TaxFree = won(1000) }, "tax_free FIELD_DEPENDS_ON_MID?"},
		{"welcome", func(r *client.IssueRequest) { r.TaxFree, r.VatAmount = won(0), won(3500) }, "tax_free FIELD_DEPENDS_ON_MID?, vat_amount FIELD_DEPENDS_ON_MID?"},
		{"welcome", func(r *client.IssueRequest) { r.VatAmount = won(3501) }, "vat_amount FIELD_DEPENDS_ON_MID?, vat_amount VAT_TOO_LARGE"},
		{"ksnet", func(r *client.IssueRequest) { r.TaxFree, r.VatAmount = won(0), won(0) }, "tax_free FIELD_NOT_TAKEN, vat_amount FIELD_NOT_TAKEN"},
		// banks
		{"welcome", func(r *client.IssueRequest) { r.VbankCode = "081" }, "vbank_code BANK_NOT_OPENED?"},
		{"tosspayments", func(r *client.IssueRequest) { r.VbankCode = "090" }, "vbank_code BANK_NOT_OPENED?"},
		{"settle", func(r *client.IssueRequest) { r.VbankCode = "090" }, "vbank_code BANK_NOT_OPENED?"},
		{"nice", func(r *client.IssueRequest) { r.VbankCode = "039" }, "vbank_code BANK_NOT_OPENED?"},
		{"tosspayments", func(r *client.IssueRequest) { r.VbankCode = "035" }, ""}, // VbankCode says it is not in the table
		{"ksnet", func(r *client.IssueRequest) { r.VbankCode = "090" }, ""},
	} {
		code, _, _ := Name(test.pg)
		r := full(code)
		test.change(&r)
		got := Check(test.pg, Issue, r, noon)
		if told(got) != test.want {
			t.Errorf("%s, %+v: got %q, want %q", test.pg, r, told(got), test.want)
		}
		readable(t, code, r, got)
	}
}

// TestMessages has those that say more than their rule.
func TestMessages(t *testing.T) {
	for _, test := range []struct {
		pg     string
		change func(*client.IssueRequest)
		want   string
	}{
		{"", func(r *client.IssueRequest) { r.VbankHolder = "" }, "the default PG requires vbank_holder: add it to the row"},
		{"inicis.M", func(r *client.IssueRequest) { r.PGAPIKey = "" }, "html5_inicis requires pg_api_key: take it from the PG's merchant console"},
		{"nice", func(r *client.IssueRequest) { r.VbankNum = "1" }, "nice is not known to take vbank_num, only settle, smartro_v2: leave it out"},
		{"nice", func(r *client.IssueRequest) { r.Name = strings.Repeat("가", 21) }, "nice takes 40 bytes of name in EUC-KR, not 42: better shorten it"},
		{"", func(r *client.IssueRequest) { r.Name = "컵 😀" }, "the default PG may lose character 3 of name, which EUC-KR lacks: better write it otherwise"},
		{"settle", func(r *client.IssueRequest) { r.VbankDue = ahead(370) }, "settle takes a vbank_due at most 365 days ahead, not 370: choose an earlier one"},
	} {
		r := full(test.pg)
		test.change(&r)
		if got := Check(test.pg, Issue, r, noon); len(got) != 1 || got[0].Message.String() != test.want {
			t.Errorf("got %+v, want %q", got, test.want)
		}
	}
}

// readable checks that each message names the PG and its field, and gives nobody's data away.
func readable(t *testing.T, pg string, r client.IssueRequest, breaches []Breach) {
	t.Helper()
	if _, _, known := Name(pg); !known {
		pg = "the default PG"
	}
	for _, b := range breaches {
		if !strings.HasPrefix(b.Message.String(), pg+" ") || !strings.Contains(b.Message.String(), b.Field) {
			t.Errorf("%s of %s: %q does not name them", b.Rule, b.Field, b.Message)
		}
		for _, value := range []string{r.MerchantUID, r.VbankHolder, r.Name, r.BuyerName, r.BuyerEmail, r.BuyerTel, r.BuyerAddr} {
			if len(value) > 2 && strings.Contains(b.Message.String(), value) {
				t.Errorf("%q holds %q", b.Message, value)
			}
		}
	}
}

func TestCheckUpdate(t *testing.T) {
	for _, pg := range append(PGs(), "", "nobody") {
		_, _, known := Name(pg)
		for _, test := range []struct {
			request client.IssueRequest
			want    string
		}{
			{client.IssueRequest{Amount: 35000, VbankDue: ahead(7)}, ""},
			{client.IssueRequest{VbankDue: ahead(7)}, ""},
			{client.IssueRequest{}, "amount FIELD_REQUIRED"},
			{client.IssueRequest{Amount: -1, VbankDue: noon.Unix()}, "amount AMOUNT_TOO_SMALL, vbank_due DUE_PAST"},
		} {
			want := test.want
			if said := unlisted(pg, Update); known && said != "" {
				want = strings.TrimSuffix(said+", "+want, ", ")
			}
			got := Check(pg+".M", Update, test.request, noon)
			if told(got) != want {
				t.Errorf("%s, %+v: got %q, want %q", pg, test.request, told(got), want)
			}
			readable(t, pg, test.request, got)
		}
	}
	for _, test := range []struct {
		pg      string
		request client.IssueRequest
		want    string
	}{
		{"", client.IssueRequest{Amount: 1}, ""},
		{"settle", client.IssueRequest{Amount: 1}, "vbank_due FIELD_REQUIRED?"},
		{"settle", client.IssueRequest{VbankDue: ahead(366)}, "vbank_due DUE_TOO_FAR?"},
		{"settle", client.IssueRequest{VbankDue: ahead(1), TaxFree: won(0)}, "tax_free FIELD_NOT_TAKEN"},
		{"nice", client.IssueRequest{Amount: 1, TaxFree: won(0)}, "pg PG_NOT_LISTED?"},
		{"tosspayments", client.IssueRequest{VbankDue: ahead(31)}, "pg PG_NOT_LISTED?, vbank_due DUE_TOO_FAR?"},
		{"welcome", client.IssueRequest{Amount: 299}, "pg PG_NOT_LISTED?, amount AMOUNT_TOO_SMALL"},
	} {
		got := Check(test.pg, Update, test.request, noon)
		if told(got) != test.want {
			t.Errorf("%s, %+v: got %q, want %q", test.pg, test.request, told(got), test.want)
		}
		readable(t, test.pg, test.request, got)
	}
}

func TestCheckRevoke(t *testing.T) {
	for _, pg := range append(PGs(), "", "nobody") {
		_, _, known := Name(pg)
		var want []string
		if said := unlisted(pg, Revoke); known && said != "" {
			want = []string{said}
		}
		if got := told(Check(pg, Revoke, client.IssueRequest{PGAPIKey: "key"}, noon)); got != strings.Join(want, "") {
			t.Errorf("%s: got %q, want %q", pg, got, want)
		}
		if pg == "html5_inicis" {
			want = append(want, "pg_api_key FIELD_REQUIRED")
		}
		if got := told(Check(pg, Revoke, client.IssueRequest{}, noon)); got != strings.Join(want, "") {
			t.Errorf("%s without a key: got %q, want %q", pg, got, want)
		}
	}
}

// TestListed has the lists as the documents and the schema have them, and README.md's table as the lists.
func TestListed(t *testing.T) {
	lists := map[Action][3]string{
		Issue:  {"settle nice html5_inicis", "settle nice nice_v2 html5_inicis ksnet smartro_v2 tosspayments welcome", ""},
		Update: {"html5_inicis kcp uplus tosspayments nice kicc settle smartro", "settle", "nice_v2"},
		Revoke: {"", "html5_inicis uplus danal nice kicc settle smartro tosspayments ksnet smartro_v2 nice_v2 welcome kcp", ""},
	}
	var table strings.Builder
	for _, pg := range PGs() {
		table.WriteString("| " + pg)
		for _, action := range []Action{Issue, Update, Revoke} {
			var want listing
			var words []string
			for i, says := range []string{"documents", "today's schema", "not by today's schema"} {
				if slices.Contains(strings.Fields(lists[action][i]), pg) {
					want, words = want|1<<i, append(words, says)
				}
			}
			if got := of(pg + ".M").listed(action); got != want {
				t.Errorf("%s, %s: %v, want %v", pg, action, got, want)
			}
			table.WriteString(" | " + cmp.Or(strings.Join(words, ", "), "not listed"))
		}
		table.WriteString(" |\n")
	}
	if readme, err := os.ReadFile("README.md"); err != nil || !strings.Contains(string(readme), table.String()) {
		t.Errorf("README.md: %v; its table should be\n%s", err, table.String())
	}
	if got := of("nobody"); got.issue|got.update|got.revoke != 0 {
		t.Errorf("nobody: %+v", got)
	}
}

func TestDue(t *testing.T) {
	at := noon.Unix() + 30 // 12:00:30 in Seoul
	for _, pg := range append(PGs(), "", "nobody") {
		want := at
		switch pg {
		case "smartro_v2":
			want = ahead(0)
		case "welcome":
			want = at + 29
		}
		if got := Due(pg+".M", at); got != want {
			t.Errorf("%s: %d, want %d", pg, got, want)
		}
		if got := Due(pg, ahead(0)); got != ahead(0) {
			t.Errorf("%s: the last second of a day becomes %d", pg, got)
		}
	}
	if got := Due("smartro_v2", ahead(0)+1); got != ahead(1) {
		t.Errorf("the first second of a day in Seoul becomes %d, want %d", got, ahead(1))
	}
}

// TestMeasure compares with the encoder, character by character.
func TestMeasure(t *testing.T) {
	encoder := korean.EUCKR.NewEncoder()
	for r := rune(1); r <= 0x10ffff; r++ {
		if r > 0xffff {
			r += 0xff // a sample of what lies above
		}
		text := string(r) // a surrogate becomes U+FFFD
		encoded, err := encoder.String(text)
		chars, size, lacks := measure(text)
		if (lacks != 0) != (err != nil) || chars != 1 || err == nil && size != len(encoded) {
			t.Fatalf("%U: %d characters, %d bytes, lacks %d; the encoder gives %d bytes, %v", r, chars, size, lacks, len(encoded), err)
		}
	}
	if chars, size, lacks := measure("a가😀나😀"); chars != 5 || size != 9 || lacks != 3 {
		t.Errorf("got %d, %d, %d", chars, size, lacks)
	}
}

// TestCheckIsCheap: nothing is allocated for a row with nothing wrong.
func TestCheckIsCheap(t *testing.T) {
	for _, pg := range []string{"", "settle", "nice.MID1", "smartro_v2", "inicis.M"} {
		r := full(pg)
		if n := testing.AllocsPerRun(100, func() {
			if Check(pg, Issue, r, noon) != nil {
				t.Fatal("a good request is none")
			}
		}); n != 0 {
			t.Errorf("%q: %g allocations", pg, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, pg := range []string{"", "settle", "nice.MID1", "inicis.M"} {
		b.Run(pg, func(b *testing.B) {
			r := full(pg)
			b.ReportAllocs()
			for b.Loop() {
				if Check(pg, Issue, r, noon) != nil {
					b.Fatal("a good request is none")
				}
			}
		})
	}
}

func ExampleCheck() {
	now := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	request := client.IssueRequest{MerchantUID: "A-1", Amount: 200, VbankCode: "088", VbankDue: now.Add(48 * time.Hour).Unix(), BuyerName: "홍길동", VbankHolder: "한빛"}
	for _, b := range Check("welcome", Issue, request, now) {
		fmt.Println(b.Field, b.Rule, b.Warning)
		fmt.Println(" ", b.Message)
	}
	// Output:
	// vbank_holder FIELD_IGNORED true
	//   welcome ignores vbank_holder: the merchant's name stands in its place
	// amount AMOUNT_TOO_SMALL false
	//   welcome takes an amount of at least 300 won
	// vbank_due DUE_ROUNDED true
	//   welcome keeps vbank_due to the minute alone: the account stays open until its second 59
}
