package input

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPhones(t *testing.T) {
	for text, want := range map[string]string{
		"010-1234-5678": "010-1234-5678", "1012345678": "01012345678", "10-1234-5678": "010-1234-5678", "+82 10-0000-9999": "010-0000-9999",
		"+821000009999": "01000009999", "21234567": "21234567", "0212345678": "0212345678", "212345678": "0212345678", "1588-0000": "1588-0000", "+82 (0)10 1234 5678": "010 1234 5678",
	} {
		if got, _ := phone(text); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestIDs(t *testing.T) {
	for _, c := range []struct {
		cell string
		uid  string
		code Code
	}{
		{"A-1", "A-1", ""}, {`="004"`, "004", ""}, {"'0042", "0042", ""}, {"\u00a0A-1\u3000", "A-1", ""},
		{"2.02611E+15", "2.02611E+15", KeyDamagedByExcel}, {"2E+15", "2E+15", KeyDamagedByExcel}, {"E+15", "E+15", ""},
		{"2.0261E12", "2.0261E12", KeyDamagedByExcel}, {"2.0261e12", "2.0261e12", KeyDamagedByExcel}, {"2E15", "2E15", ""}, {"E1.5", "E1.5", ""}, {"12.5E3", "12.5E3", ""},
		{"12월 03일", "12월 03일", KeyDamagedByExcel}, {"03-Dec", "03-Dec", KeyDamagedByExcel}, {"3-Dec", "3-Dec", KeyDamagedByExcel}, {"Dec-26", "Dec-26", KeyDamagedByExcel},
		{"12-3", "12-3", ""}, {"13월 03일", "13월 03일", ""}, {"12월 03일-1", "12월 03일-1", ""}, {"A03-Dec", "A03-Dec", ""}, {"2026-12-03", "2026-12-03", ""},
		{"20261101.0", "20261101.0", KeyFraction}, {"20261101.00", "20261101.00", KeyFraction}, {"1.10", "1.10", ""}, {"A.0", "A.0", ""}, {"1.0.0", "1.0.0", ""},
		{"2026110312345670", "2026110312345670", KeyDigitsLost}, {"2026110312345678", "2026110312345678", ""}, {"202611031234567", "202611031234567", ""},
		{"\"A\n1\"", "A\n1", KeyInvalid}, {"A-\u200b1", "A-\u200b1", KeyInvalid}, {"\u200bA-1\u200b", "A-1", ""}, {"A-\u202e1", "A-\u202e1", KeyInvalid}, {strings.Repeat("가", 41), strings.Repeat("가", 41), TooLong}, {strings.Repeat("가", 40), strings.Repeat("가", 40), ""},
	} {
		rows, _, err := read(t, "주문번호,금액,은행,입금기한,예금주\n"+c.cell+",1000,국민,2026-12-31,한빛\n", Options{})
		if err != nil || len(rows) != 1 {
			t.Errorf("%q: %v %v", c.cell, rows, err)
			continue
		}
		var code Code
		for _, p := range rows[0].Problems {
			code = p.Code
		}
		if rows[0].Request.MerchantUID != c.uid || code != c.code {
			t.Errorf("%q: %q %q, want %q %q", c.cell, rows[0].Request.MerchantUID, code, c.uid, c.code)
		}
	}
}

// TestPlaceholders has signs and words for none, and errors of spreadsheets, in place of values.
func TestPlaceholders(t *testing.T) {
	const header = "주문번호,금액,은행,입금기한,예금주,상품명,주문자명,연락처,이메일\n"
	given := Options{Set: map[string]string{"vbank_code": "국민", "vbank_due": "2026-12-31", "vbank_holder": "한빛"}}
	for _, none := range []string{"-", "--", ".", "···", "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "########", "NULL", "null", "(null)", "<NULL>", "NA", "N/A", "n/a", "None", "nil", "NaN", "NaT", `\N`, "없음", "해당 없음", "해당없음", "미정", "ＮＵＬＬ"} {
		rows, _, err := read(t, header+none+",1000,국민,2026-12-31,한빛,책,,,\n", Options{})
		if err != nil || len(rows) != 1 {
			t.Fatal(none, rows, err)
		}
		if codes, _ := rows[0].Complaint(); codes != "KEY_PLACEHOLDER" {
			t.Errorf("order number %s: %s", none, codes)
		}
		rows, _, err = read(t, header+none+",1000,국민,2026-12-31,한빛,책,,,\n", Options{Key: "{주문번호}"})
		if codes, _ := rows[0].Complaint(); err != nil || codes != "KEY_PLACEHOLDER" {
			t.Errorf("--key of %s: %s %v", none, codes, err)
		}
		rows, _, err = read(t, header+strings.ReplaceAll("A-1,1000,x,x,x,x,x,x,x\n", "x", none), given)
		if err != nil || len(rows) != 1 {
			t.Fatal(none, rows, err)
		}
		if sheetError(none) { // it stands for a value that is not known
			if codes, _ := rows[0].Complaint(); codes != "BANK_UNKNOWN;DATE_INVALID;TEXT_INVALID;TEXT_INVALID" {
				t.Errorf("%s: %s", none, codes)
			}
		} else if r := rows[0].Request; len(rows[0].Problems) > 0 || r.VbankCode != "004" || r.VbankHolder != "한빛" || FormatDue(r.VbankDue) != "2026-12-31 23:59" || r.Name+r.BuyerName+r.BuyerTel+r.BuyerEmail != "" {
			t.Errorf("%s: %+v %+v", none, rows[0].Problems, r)
		}
		want := AmountInvalid
		if none == "-" {
			want = AmountZero
		}
		if _, code := ParseAmount(none); code != want {
			t.Errorf("amount %s: %s", none, code)
		}
	}
	for _, name := range []string{"Na", "Nancy", "Noname", "U", "Unna", "미미", "해당화", "없", "N", "1", "null1", "#1", "A.", "나"} {
		if name != "Na" && placeholder(name) {
			t.Errorf("%s is taken for none", name)
		}
	}
}

// TestNumbersWithFractions has order numbers that a program read as quantities.
func TestNumbersWithFractions(t *testing.T) {
	const text = "번호,금액,은행,입금기한,예금주\n20261101.0,1000,국민,2026-12-31,한빛\n20261102.0,1000,국민,2026-12-31,한빛\n-,1000,국민,2026-12-31,한빛\n"
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{Map: map[string]string{"merchant_uid": "번호"}}, "20261101.0 KEY_FRACTION|20261102.0 KEY_FRACTION|- KEY_PLACEHOLDER"},
		{Options{Key: "{번호}"}, "20261101.0 KEY_FRACTION?|20261102.0 KEY_FRACTION?|- KEY_PLACEHOLDER"},
	} {
		rows, _, err := read(t, text, c.options)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range rows {
			codes, _ := row.Complaint()
			if !row.Invalid() {
				codes += "?"
			}
			got = append(got, row.Request.MerchantUID+" "+codes)
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), c.want)
		}
	}
}

// TestBanks has a bank named in one cell in more than one way, and names that the profile knows.
func TestBanks(t *testing.T) {
	banks := map[string]string{"우리동네금고": "045", "088-국민은행": "004", "저축은행(한빛)": "050", "서울지점": "국민", "신한": "X88"}
	for _, c := range []struct{ cell, pg, want string }{
		{"국민은행(KB)", "", "004"}, {"004-국민은행", "", "004"}, {"[004]국민", "", "004"}, {"국민은행/4", "", "004"}, {"004 국민은행", "", "004"}, {"기업은행(IBK)", "", "003"}, {"㈜국민은행", "", "004"}, {"(주)국민은행", "", "004"}, {"주식회사 카카오뱅크", "", "090"},
		{"카카오뱅크(주)", "", "090"}, {"농협은행(중앙회)", "", "011"}, {"농협은행(NH)", "", "011"}, {"지역농협", "", "012"}, {"단위농협", "", "012"}, {"지역농협(축협)", "", "012"}, {"KB Kookmin Bank", "kcp", "BK04"}, {"KB - Kookmin Bank", "", "004"},
		{"088-국민은행", "", "DIFFER"}, {"국민은행(신한)", "", "DIFFER"}, {"농협은행(단위농협)", "", "DIFFER"}, {"농협(지역)", "", "BANK_UNKNOWN"}, {"국민은행(서울지점)", "", "BANK_UNKNOWN"}, {"국민은행 123-45", "", "BANK_UNKNOWN"}, {"4-4", "", "BANK_UNKNOWN"}, {"11-1", "", "BANK_UNKNOWN"},
		{"국민연금(국민)", "", "BANK_UNKNOWN"}, {"(주)", "", "BANK_UNKNOWN"}, {"4.0", "", "BANK_UNKNOWN"}, {"우리동네금고", "", "BANK_UNKNOWN"},
		{"우리동네금고", "named", "045"}, {"우리동네 금고", "named", "045"}, {"우리동네금고", "named kcp", "BK45"}, {"088-국민은행", "named", "004"}, {"저축은행(한빛)", "named", "050"}, {"서울지점", "named", "004"}, {"신한", "named", "X88"}, {"088", "named", "X88"}, {"국민은행(서울지점)", "named", "BANK_UNKNOWN"}, {"0-88", "named", "BANK_UNKNOWN"},
	} {
		gateway, named := strings.CutPrefix(c.pg, "named")
		o := Options{Set: map[string]string{"pg": cmp.Or(strings.TrimSpace(gateway), "settle")}}
		if named {
			o.Banks = banks
		}
		rows, _, err := read(t, "주문번호,금액,은행,입금기한,예금주\nA-1,1000,"+c.cell+",2026-12-31,한빛\n", o)
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		got := rows[0].Request.VbankCode
		if slices.ContainsFunc(rows[0].Problems, func(p Problem) bool { return p.Code == BankUnknown }) {
			got = string(BankUnknown)
			if _, message := rows[0].Complaint(); strings.Contains(message.In("en"), "names two banks") {
				got = "DIFFER"
			}
		}
		if got != c.want {
			t.Errorf("%s %s: %s, want %s", c.cell, c.pg, got, c.want)
		}
	}
	for _, banks := range []map[string]string{{"": "004"}, {"--": "004"}, {"한빛": ""}, {"한빛": "004", "한 빛": "005"}} {
		if _, _, err := read(t, small, Options{Banks: banks}); err == nil {
			t.Errorf("%v is taken", banks)
		}
	}
}

// TestPhoneNotes has a note or a second number behind a phone number: the first is sent, and nothing of it is told.
func TestPhoneNotes(t *testing.T) {
	for text, want := range map[string]string{
		"010-0000-1234 (어머니)": "010-0000-1234 PHONE_NOTE", "010-0000-1234 / 010-0000-5678": "010-0000-1234 PHONE_NOTE", "010-0000-1234(아버지 휴대폰)": "010-0000-1234 PHONE_NOTE", "01000001234 01000005678": "01000001234 PHONE_NOTE",
		"+82 10-0000-1234 (어머니)": "010-0000-1234 PHONE_NOTE", "02-000-1234, 010-0000-1234": "02-000-1234 PHONE_NOTE", "1588-0000 내선 번호 1234": "1588-0000 PHONE_NOTE", "010-0000-1234": "010-0000-1234 ", "010-0000-1234모": "010-0000-1234모 ",
		"010-0000-1234-5678-90": "010-0000-1234-5678-90 TOO_LONG", "어머니 010-0000-1234 로": "어머니 010-0000-1234 로 TOO_LONG", "0100000123401000005678": "0100000123401000005678 TOO_LONG", "1012345678.0": "01012345678 PHONE_ZERO_RESTORED",
	} {
		rows, _, err := read(t, "주문번호,금액,은행,입금기한,예금주,연락처\nA-1,1000,국민,2026-12-31,한빛,\""+text+"\"\n", Options{})
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		codes, message := rows[0].Complaint()
		if got := rows[0].Request.BuyerTel + " " + codes; got != want || strings.Contains(string(message)+fmt.Sprint(rows[0].Problems), "0000") || rows[0].Invalid() != strings.HasSuffix(want, "TOO_LONG") {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestOtherActions has columns that are called an action and hold what a shop keeps there.
func TestOtherActions(t *testing.T) {
	const header = "주문번호,금액,은행,입금기한,예금주,처리\n"
	row := func(n int, cell string) string {
		return fmt.Sprintf("A-%d,1000,국민,2026-12-31,한빛,%s\n", n, cell)
	}
	many := header
	for n := range 150 {
		many += row(n, "완료")
	}
	for _, c := range []struct {
		name, text string
		options    Options
		want       string // of the last row
	}{
		{"ours", header + row(1, "발급"), Options{}, "issue"},
		{"others", header + row(1, "완료"), Options{}, "issue ACTION_NOT_USED?"},
		{"others and none", header + row(1, "완료") + row(2, "-"), Options{}, "issue ACTION_NOT_USED?"},
		{"both", header + row(1, "발급") + row(2, "완료"), Options{}, "issue ACTION_UNKNOWN"},
		{"ours far below", many + row(200, "말소"), Options{}, "issue ACTION_UNKNOWN"},
		{"called off", many + row(200, "주문취소"), Options{}, "issue ACTION_UNKNOWN"},
		{"others far below", strings.ReplaceAll(many, "완료", "") + row(200, "완료"), Options{}, "issue ACTION_UNKNOWN"},
		{"asked for", header + row(1, "완료"), Options{Map: map[string]string{"action": "처리"}}, "issue ACTION_UNKNOWN"},
		{"ignored", header + row(1, "완료"), Options{Ignore: []string{"처리"}}, ""},
		{"the API's own name", strings.Replace(header, "처리", "action", 1) + row(1, "완료"), Options{}, "issue ACTION_UNKNOWN"},
		{"a profile", header + row(1, "완료"), Options{OnlyMapped: true, Map: map[string]string{"merchant_uid": "주문번호", "amount": "금액", "vbank_code": "은행", "vbank_due": "입금기한", "vbank_holder": "예금주"}}, "issue ACTION_NOT_USED?"},
	} {
		rows, _, err := read(t, c.text, c.options)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		last := rows[len(rows)-1]
		got := string(last.Action)
		for _, p := range last.Problems {
			got += " " + string(p.Code)
			if p.Warning {
				got += "?"
			}
		}
		if c.want != "" && got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestEveryField fills in every field of an issue from its column.
func TestEveryField(t *testing.T) {
	rows, _, err := read(t, "merchant_uid,amount,vbank_code,vbank_due,vbank_holder,name,buyer_name,buyer_email,buyer_tel,buyer_addr,buyer_postcode,pg,channel_key,"+
		"notice_url,custom_data,vbank_num,vbank_key,product_type,business_registration_number,tax_free,vat_amount,product_count,escrow_password,fixed_unlimited_vbank\n"+
		`A-1,1000,국민,2026-12-31,한빛,물건,홍길동,h@example.com,010-0000-0000,서울,04524,nice.MID1,key,https://a.example https://b.example,"{""a"":1}",00123,k1,real,123-45-67890,0,91,2,pw,Y`+"\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := rows[0].Request
	for _, p := range rows[0].Problems {
		if !p.Everywhere { // that nice does not take some of them
			t.Errorf("%+v", p)
		}
	}
	got := fmt.Sprint(r.MerchantUID, r.Amount, r.VbankCode, r.VbankHolder, r.Name, r.BuyerName, r.BuyerEmail, r.BuyerTel, r.BuyerAddr, r.BuyerPostcode, r.PG, r.ChannelKey,
		r.NoticeURL, string(r.CustomData), r.VbankNum, r.VbankKey, r.ProductType, r.BusinessRegistrationNumber, *r.TaxFree, *r.VatAmount, *r.ProductCount, r.EscrowPassword, r.FixedUnlimitedVbank)
	want := fmt.Sprint("A-1", int64(1000), "004", "한빛", "물건", "홍길동", "h@example.com", "010-0000-0000", "서울", "04524", "nice.MID1", "key",
		[]string{"https://a.example", "https://b.example"}, `{"a":1}`, "00123", "k1", "real", "1234567890", int64(0), int64(91), int64(2), "pw", true)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRows looks at what a row is read as, and at every problem of it.
func TestRows(t *testing.T) {
	const header = "action,imp_uid,주문번호,금액,은행,입금기한,예금주,pg,연락처,notice_url,custom_data,fixed_unlimited_vbank,tax_free\n"
	for _, c := range []struct{ cells, want string }{
		{",,A-1,1000,국민,2026-12-31,한빛,,,,,,", "issue A-1 1000 004 2026-12-31T23:59:59"},
		{"발급,,A-1,1000,4,2026-12-31,한빛,kcp,,,,,", "issue A-1 1000 BK04 2026-12-31T23:59:59 BANK_ZEROS_RESTORED PG_NOT_LISTED"},
		{",,A-1,1000,04,2026-12-31,한빛,inicis.M,,,,,", "issue A-1 1000 04 2026-12-31T23:59:59 FIELD_REQUIRED FIELD_REQUIRED"},
		{",,A-1,1000,신한,2026-12-31,한빛,daou,,,,,", "issue A-1 1000 10 2026-12-31T23:59:59 PG_NOT_LISTED"},
		{",,A-1,1000,iM뱅크,2026-12-31,한빛,daou,,,,,", "issue A-1 1000  2026-12-31T23:59:59 BANK_NOT_LISTED PG_NOT_LISTED"},
		{",,A-1,1000,카카오뱅크,2026-12-31,한빛,nice_v2,,,,,", "issue A-1 1000 090 2026-12-31T23:59:59 BANK_NOT_LISTED"},
		{",,A-1,1000,국민,2026-12-31,,tosspayments.M,,,,,", "issue A-1 1000 004 2026-12-31T23:59:59 DUE_TOO_FAR FIELD_REQUIRED"},
		{",,A-1,1000,국민,2026-12-31,,nice,,,,,", "issue A-1 1000 004 2026-12-31T23:59:59 HOLDER_MISSING"},
		{",,A-1,1000,국민,2026-12-31,한빛,nobody,,,,,", "issue A-1 1000 004 2026-12-31T23:59:59 PG_UNKNOWN"},
		{",,,,,,,,,,,,", ""},
		{",,,,,,한빛,,,,,,", ""},
		{",,,,국민,,한빛,,,,{},,", "issue  0 004 - KEY_MISSING AMOUNT_MISSING DUE_MISSING"},
		{",,A-1,abc,행복,12/10,,,1012345678,ftp://x,{,maybe,-1",
			"issue A-1 0  - AMOUNT_INVALID BANK_UNKNOWN DATE_NO_YEAR HOLDER_MISSING PHONE_ZERO_RESTORED NOTICE_URL_INVALID CUSTOM_DATA_INVALID FLAG_INVALID AMOUNT_NEGATIVE"},
		{",,A-1, - ,국민,2026-12-31,한빛,,,,,,", "issue A-1 0 004 2026-12-31T23:59:59 skip:ZERO_BALANCE"},
		{",,A-1,1000,국민,2026-11-04,한빛,,,,,,", "issue A-1 1000 004 2026-11-04T23:59:59 DUE_PAST"},
		{",imp_1,A-1,2000,,,,,,,,,", "update A-1 2000  - imp_1"},
		{",imp_1,,,,2026-12-31,,,,,,,", "update  0  2026-12-31T23:59:59 imp_1"},
		{",imp_1,A-1,0,,,,,,,,,", "update A-1 0  - imp_1 AMOUNT_ZERO"},
		{"변경,,A-1,2000,,,,,,,,,", "update A-1 2000  -"},
		{"update,,,2000,,,,,,,,,", "update  2000  - IMP_UID_MISSING"},
		{"update,imp_1,A-1,,,,,,,,,,", "update A-1 0  - imp_1 NOTHING_TO_CHANGE"},
		{"말소,imp_1,,,,,,,,,,,", "revoke  0  - imp_1"},
		{"revoke,,,,,,,,,,,,", "revoke  0  - IMP_UID_MISSING"},
		{"delete,imp_1,A-1,2000,,,,,,,,,", "update A-1 2000  - imp_1 ACTION_UNKNOWN"},
	} {
		rows, _, err := read(t, header+c.cells+"\n", Options{})
		got := strings.TrimPrefix(strings.Join(briefs(rows), "|"), "2 ")
		if err != nil || got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s\n%v", c.cells, got, c.want, err)
		}
	}
}

// TestProblems sees where problems are said to be, and that no personal text is among them.
func TestProblems(t *testing.T) {
	const secret = "비밀비밀비밀비밀비밀비밀비밀비밀비밀" // longer than any of these may be
	rows, _, err := read(t, "예금주,주문자,연락처,이메일,우편번호,가상계좌번호,custom_data,주문번호,금액,은행,입금기한\n"+
		secret+","+secret+",10"+"00001234,"+strings.Repeat(secret, 4)+","+secret+",2.0E+15,{"+secret+",A-1,"+strings.Repeat("x", 90)+",국민,2026-12-31\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range rows[0].Problems {
		got = append(got, fmt.Sprintf("%d %s %s", p.Column, p.Field, p.Code))
		if p.Message == "" || personal[p.Field] && p.Text != "" || len(p.Text) > 60 || strings.Contains(fmt.Sprint(p), secret) || strings.Contains(fmt.Sprint(p), "00001234") {
			t.Errorf("%+v", p)
		}
	}
	want := "1 vbank_holder TOO_LONG|2 buyer_name TOO_LONG|3 buyer_tel PHONE_ZERO_RESTORED|4 buyer_email TOO_LONG|5 buyer_postcode TOO_LONG|6 vbank_num KEY_DAMAGED_BY_EXCEL|7 custom_data CUSTOM_DATA_INVALID|9 amount AMOUNT_INVALID"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if name := rows[0].Request.BuyerName; name != "비밀비밀비밀비밀비밀비밀비밀비밀" {
		t.Errorf("buyer_name was cut to %q", name)
	}
}

// TestBlankCells has cells of nothing but spaces take what is given for all rows.
func TestBlankCells(t *testing.T) {
	rows, _, err := read(t, "주문번호,금액,은행,입금기한,예금주,tier,vbank_num,vbank_key,pg\nA-1,1000, , , ,  , , , \n", Options{Set: map[string]string{
		"vbank_code": "국민", "vbank_due": "+7d", "vbank_holder": "한빛", "tier": "T1", "vbank_num": "00123", "vbank_key": "k1", "pg": "nice"}})
	if err != nil || len(rows) != 1 || rows[0].Invalid() {
		t.Fatal(rows, err)
	}
	r := rows[0]
	if got := fmt.Sprint(r.Tier, r.Bank, r.Request.VbankHolder, r.Request.VbankNum, r.Request.VbankKey, r.Request.PG); got != "T1004한빛00123k1nice" {
		t.Error(got)
	}
}

// TestRefusedBefore has rows that an earlier run could not tell apart come back: what stands in the right columns now is
// not believed before a person has said so.
func TestRefusedBefore(t *testing.T) {
	const header = "주문번호,은행,입금기한,예금주,금액,비고,error_code,error_message\n"
	for cells, want := range map[string]string{
		"A-1,004,2099-12-31,한빛,35,,COLUMN_COUNT,x":                       "COLUMN_COUNT",
		"A-1,004,2099-12-31,한빛,35000,,DUE_PAST;UNREADABLE_ROW,x":         "UNREADABLE_ROW",
		"A-1,004,2099-12-31,한빛,35,,AMOUNT_AMBIGUOUS,x":                   "AMOUNT_AMBIGUOUS",
		"A-1,004,2099-12-31,한빛,35000,,AMOUNT_AMBIGUOUS,x":                "",
		"A-1,004,2099-12-31,한빛,35000,,,x":                                "",
		"A-1,004,2099-12-31,한빛,35000,,BANK_UNKNOWN,x":                    "",
		`"=""A-1""",004,2099-12-31,한빛,"=""35""","=""000""",PG_REFUSED,x`: "AMOUNT_AMBIGUOUS",
	} {
		rows, _, err := read(t, header+cells+"\n", Options{})
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		if got, _ := rows[0].Complaint(); got != want || rows[0].Invalid() != (want != "") {
			t.Errorf("%s\ngot  %s\nwant %s", cells, got, want)
		}
	}
	rows, _, err := read(t, "line,status,imp_uid,amount,error_code\n2,invalid,,35,COLUMN_COUNT\n3,invalid,,35,AMOUNT_AMBIGUOUS\n", Options{Revoke: true})
	if err != nil || len(rows) != 2 || rows[0].Skip != NotIssued || rows[1].Skip != NotIssued {
		t.Error(rows, err)
	}
}

// TestNotes says what columns of currencies are looked at for.
func TestNotes(t *testing.T) {
	r, err := reader(t, "주문번호,결제금액,통화,환율\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{2: "rows in another currency than won are refused", 3: "rows with another rate than 1 are refused, unless a column says that they are in won"} {
		if got := r.Columns()[i].Note.String(); got != want {
			t.Errorf("column %d: %s, want %s", i+1, got, want)
		}
	}
}
