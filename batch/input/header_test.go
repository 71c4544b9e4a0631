package input

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// reader begins a pass over text.
func reader(t testing.TB, text string, o Options) (*Reader, error) {
	t.Helper()
	f, err := Open("-", strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { f.Close() })
	o.Now = now
	r, err := f.Read(o)
	if err == nil {
		t.Cleanup(func() { r.Close() })
	}
	return r, err
}

// fieldsOf says which header is which field.
func fieldsOf(t testing.TB, text string, o Options) string {
	t.Helper()
	r, err := reader(t, text, o)
	if err != nil {
		return err.Error()
	}
	var list []string
	for _, m := range r.Mapping() {
		list = append(list, m.Field+"="+m.Header)
	}
	return strings.Join(list, " ")
}

// TestHeaderNames has the names of each field, as they stand, decorated, and beside those that mean something else.
func TestHeaderNames(t *testing.T) {
	names := map[string]string{
		"merchant_uid": "merchant_uid order_id orderno 주문번호 청구번호 고지번호 전표번호 문서번호 계약번호 접수번호 관리번호 일자-no 상품주문번호",
		"amount":       "amount 청구금액 청구액 입금금액 입금액 입금예정금액 결제금액 총결제금액 결제예정금액 납부금액 납부할금액 납기내금액 합계금액 합계 총금액 총액 변경금액 금액 잔액 미수금",
		"vbank_code":   "vbank_code bank bank_code 은행 은행명 은행코드 입금은행 가상계좌은행",
		"vbank_due":    "vbank_due due due_date netduedate 입금기한 입금마감일 납부기한 납부마감일 납기일 마감일 만료일 지급기한 변경입금기한",
		"vbank_holder": "vbank_holder 예금주 예금주명 계좌주",
		"name":         "name order_name 주문명 품목명 품목명(요약) 품명 상품명 청구내용",
		"buyer_name":   "buyer_name 주문자 주문자명 주문자이름 구매자명 고객명 거래처명 거래처 상호 회사명 회원명 성명 이름 학생명 납부자명 세대주",
		"buyer_tel":    "buyer_tel phone mobile 연락처 휴대폰 휴대폰번호 휴대전화 핸드폰번호 주문자핸드폰번호 구매자연락처 학부모연락처 전화번호",
		"buyer_email":  "buyer_email email e-mail 이메일 메일 주문자e-mail",
		"buyer_addr":   "buyer_addr 주소 주문자주소", "buyer_postcode": "buyer_postcode 우편번호",
		"imp_uid": "imp_uid 포트원거래번호 거래고유번호", "vbank_num": "vbank_num 고정계좌번호 전용계좌번호 가상계좌번호", "vbank_key": "vbank_key 고객키 계좌고유키",
		"pg": "pg", "channel_key": "channel_key", "notice_url": "notice_url", "custom_data": "custom_data", "tax_free": "tax_free", "vat_amount": "vat_amount",
	}
	const others = "공급가액,단가,납기후금액,환불은행,주문일자,작성일자,입금계좌,수취인,면세금액,과세"
	for field, list := range names {
		for name := range strings.FieldsSeq(list) {
			for _, written := range []string{name, strings.ToUpper(name), " " + strings.Join(strings.Split(name, ""), " ") + " ", "* " + name + "(필수)", name + " (원)"} {
				if got, want := fieldsOf(t, others+","+written+",pg_code\n", Options{}), field+"="+clean(written); got != want {
					t.Errorf("%q: %s, want %s", written, got, want)
				}
			}
		}
	}
}

func TestMapping(t *testing.T) {
	rows := func(headers string) string { return headers + "\n" }
	for _, c := range []struct {
		name, text string
		o          Options
		want       string
	}{
		{"a stronger name", rows("주문번호,상품주문번호,금액,결제금액,전화번호,연락처"), Options{}, "merchant_uid=주문번호 amount=결제금액 buyer_tel=연락처"},
		{"a weak name alone", rows("상품주문번호,미수금,전화번호"), Options{}, "merchant_uid=상품주문번호 amount=미수금 buyer_tel=전화번호"},
		{"the API's name first", rows("amount,결제금액,merchant_uid"), Options{}, "amount=amount merchant_uid=merchant_uid"},
		{"two weak ones", rows("주문번호,금액,잔액"), Options{}, "standard input: line 1: “금액” may be paid in part or in full, as “잔액” beside it would tell"},
		{"a flag decides", rows("주문번호,금액,잔액"), Options{Map: map[string]string{"amount": "잔 액"}}, "merchant_uid=주문번호 amount=잔액"},
		{"a flag takes a name away", rows("주문번호,전표번호,금액"), Options{Map: map[string]string{"name": "전표번호"}}, "merchant_uid=주문번호 name=전표번호 amount=금액"},
		{"a flag without a column", rows("주문번호,금액"), Options{Map: map[string]string{"amount": "합계"}}, "standard input: line 1: --map amount names “합계”, and there is no such column among “주문번호”, “금액”"},
		{"a flag without a field", rows("주문번호,금액"), Options{Map: map[string]string{"price": "금액"}}, "standard input: line 1: --map price names no field"},
		{"titles above", "한빛상사,,\n2026년 11월\n\n" + rows("주문번호,금액"), Options{}, "merchant_uid=주문번호 amount=금액"},
		{"two lines", rows("주문,,결제") + rows("번호,고객명,금액"), Options{}, "merchant_uid=주문 번호 buyer_name=고객명 amount=결제 금액"},
		{"two lines, one name above", rows("주문번호,고객명,관리비,") + rows(",,당월,납기내금액"), Options{}, "merchant_uid=주문번호 buyer_name=고객명 amount=납기내금액"},
		{"a row is no second line", rows("주문번호,고객명,금액,") + rows("A-1,,1000,연락처"), Options{}, "merchant_uid=주문번호 buyer_name=고객명 amount=금액"},
		{"lines with a blank one between", rows("주문번호,고객명,,") + "\n" + rows(",,금액,은행"), Options{}, "merchant_uid=주문번호 buyer_name=고객명"},
		{"a results file", rows("주문번호,결제금액,status,error_code,action,merchant_uid,imp_uid,amount,vbank_code,vbank_num,vbank_due,attempts"), Options{},
			"merchant_uid=주문번호 amount=결제금액 action=action vbank_code=vbank_code vbank_due=vbank_due"},
	} {
		if got := fieldsOf(t, c.text, c.o); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestLacking reads a file without the columns that it needs: each row is invalid, and one error says what to give.
func TestLacking(t *testing.T) {
	rows, _, err := read(t, "동,호,세대주,납기내금액\n101,102,홍길동,1000\n", Options{})
	if len(rows) != 1 || !rows[0].Invalid() || !rows[0].OnlyLacks() || rows[0].Request.Amount != 1000 {
		t.Errorf("%+v", rows)
	}
	if err == nil || !strings.Contains(err.Error(), "there is no column for merchant_uid, vbank_code, vbank_due, vbank_holder; the headers are “동”, “호”, “세대주”, “납기내금액”") {
		t.Error(err)
	}
	file, _ := err.(*Error)
	for _, flag := range []string{"--key TEMPLATE such as '{동}-{호}-202611'", "--bank", "--due", "--holder"} {
		if !strings.Contains(file.Hint.String(), flag) {
			t.Errorf("no %s in %q", flag, file.Hint)
		}
	}
}

// TestKeys makes order numbers of columns.
func TestKeys(t *testing.T) {
	const text = "동,호,금액,은행,납기일,예금주\n101,0102,1000,국민,2026-12-31,한빛\n101,,1000,국민,2026-12-31,한빛\n2.0E+15,1,1000,국민,2026-12-31,한빛\n" // a missing part, a damaged one
	for key, want := range map[string]string{
		"{동}-{호}-202611": "101-0102-202611 , KEY_MISSING,2.0E+15-1-202611 KEY_DAMAGED_BY_EXCEL",
		"{동}":            "101 ,101 ,2.0E+15 KEY_DAMAGED_BY_EXCEL",
		"x":              "--key x names no column",
		"{동-{호}":         "--key names “동-{호”, and there is no such column",
		"{동":             "--key {동 opens a brace and does not close it",
		"{층}":            "--key names “층”, and there is no such column",
		"{동}" + strings.Repeat("0", 40): "101" + strings.Repeat("0", 40) + " TOO_LONG,101" + strings.Repeat("0", 40) + " TOO_LONG,2.0E+15" + strings.Repeat("0", 40) +
			" KEY_DAMAGED_BY_EXCEL;TOO_LONG",
	} {
		rows, _, err := read(t, text, Options{Key: key})
		var got []string
		for _, row := range rows {
			codes, _ := row.Complaint()
			got = append(got, row.Request.MerchantUID+" "+codes)
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if !strings.Contains(strings.Join(got, ","), want) {
			t.Errorf("%s:\ngot  %s\nwant %s", key, strings.Join(got, ","), want)
		}
	}
}

// TestCustomData puts cells into the custom_data of a flag.
func TestCustomData(t *testing.T) {
	const text = "주문번호,반,인원,금액,은행,납기일,예금주,custom_data\nA-1,\"중2 \"\"심화\"\"\",12,1000,국민,2026-12-31,한빛,\nA-2,중3,없음,1000,국민,2026-12-31,한빛,\"[1]\"\n"
	for set, want := range map[string]string{
		`{"반":"{반}"}`:          `{"반":"중2 \"심화\""} [1]`,
		`{"반":["{반}",{인원}]}`:   `{"반":["중2 \"심화\"",12]} [1]`,
		`{"a":{},"b":{ }}`:     `{"a":{},"b":{ }} [1]`,
		`{반}반`:                 `"중2 \"심화\"반" [1]`,
		`{"반":"{학년}"}`:         `--set custom_data names “학년”, and there is no such column`,
		`{"반":`:                `CUSTOM_DATA_INVALID`,
		`{"no":{"반":{"x":1}}}`: `{"no":{"반":{"x":1}}} [1]`,
	} {
		rows, _, err := read(t, text, Options{Set: map[string]string{"custom_data": set}})
		got := fmt.Sprint(err)
		if err == nil {
			got = string(rows[0].Request.CustomData) + " " + string(rows[1].Request.CustomData)
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", set, got, want)
		}
	}
}

// TestTotals holds lines of totals to the rows.
func TestTotals(t *testing.T) {
	const header = "주문번호,거래처명,금액\n"
	for _, c := range []struct{ name, rows, want string }{
		{"as they add up", "A,x,100\nB,y,200\n합계,,300\n", "1 1 0"},
		{"not", "A,x,100\nB,y,200\n합계,,299\n", "1 0 1 [line 4: 299, 300]"},
		{"returns count", "A,x,100\nB,y,(30)\n소계,,70\nC,z,-\n총계,,70\n", "2 2 0"},
		{"negative", "A,x,-100\n소계,,(100)\n", "1 1 0"},
		{"two groups and all", "A,x,1\nx 소계,,1\nB,y,2\ny 소계,,2\n합계,,3\n", "3 3 0"},
		{"two levels of one word", "A,x,1\n소계,,1\nB,x,2\n소계,,2\n소계,,3\nC,y,4\n소계,,4\nD,y,5\n소계,,5\n소계,,9\n총합계,,12\n", "7 7 0"},
		{"the last group is not all", "A,x,1\n소계,,1\nB,y,2\n총합계,,2\n", "2 1 1 [line 5: 2, 3]"},
		{"two files", "A,x,1\n합계,,1\n주문번호,거래처명,금액\nB,y,2\n합계,,2\n", "2 2 0"},
		{"carried forward", ",전기이월,50\nA,x,1\n월계,,1\n누계,,51\n", "3 2 0"},
		{"an amount that cannot be read", "A,x,1만\n합계,,10000\nB,y,2\n소계,,2\n", "2 1 0"},
		{"a line that cannot be read", "A,x\n합계,,1\n", "1 0 0"},
		{"no amount", "합계,,\n합계,2건,2건\n", "2 0 0"},
		{"an order that is filtered out counts", "A,x,100\nB,n,200\n합계,,300\n", "1 1 0"},
		{"above what it adds up", "합계,,3\nA,x,1\nB,x,2\n", "1 0 0"},
		{"orders repeated for each item", "A,x,30\nA,y,30\nB,z,5\n합계,,35\n", "1 1 0"},
		{"a month and all, mixed up", "A,x,10\n[ 월 계 ],,10\n[ 누 계 ],,10\nB,x,7\n[ 월 계 ],,17\n[ 누 계 ],,7\n", "4 2 2 [line 6: 17, 7] [line 7: 7, 17]"},
		{"the word behind an empty order number", ",2026-11-03,1\n,일계,1\n", "1 1 0"},
		{"a customer of that name", "A,합계,1\n", "0 0 0"},
	} {
		o := Options{Set: someDefaults}
		if c.name == "an order that is filtered out counts" {
			o.Where = []Where{{"거래처명", "x"}}
		}
		r, err := reader(t, header+c.rows, o)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		s := r.Stats()
		got := fmt.Sprint(s.Totals, s.Agree, s.Differ)
		for _, d := range r.Differences() {
			got += fmt.Sprintf(" [line %d: %d, %d]", d.Line, d.Says, d.Adds)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestResultsRunAgain has a results file in which a person has mended some rows.
func TestResultsRunAgain(t *testing.T) {
	const header = "주문번호,결제금액,은행,마감일,line,status,error_code,action,merchant_uid,imp_uid,amount,vbank_code,vbank_num,vbank_holder,vbank_due,attempts\n"
	for _, c := range []struct{ cells, want string }{
		{"A-1,\"1,000\",국민,2026-12-31,2,issued,,issue,A-1,imp_1,1000,4,4.7E+13,한빛,2026-12-31T23:59:59+09:00,1", "issue A-1 1000 004 2026-12-31T23:59:59"},
		{"A-1,1000,국민,,2,issued,,issue,A-1,imp_1,1000,088,1,한빛,2027-01-05T23:59:59+09:00,1", "issue A-1 1000 004 2027-01-05T23:59:59"},
		{"A-1,1000,신한,2026-12-31,2,invalid,BANK_UNKNOWN,issue,A-1,,1000,,,한빛,,0", "issue A-1 1000 088 2026-12-31T23:59:59"},
		{"A-1,2000,국민,2026-12-31,2,rejected,PG_REFUSED,issue,A-1,,1000,,,한빛,,1", "issue A-1 2000 004 2026-12-31T23:59:59 RESULT_DIFFERS"},
		{"A-2,1000,국민,2026-12-31,2,issued,,issue,A-1,imp_1,1000,,,한빛,,1", "issue A-2 1000 004 2026-12-31T23:59:59 RESULT_DIFFERS"},
		{"A-1,,국민,2026-12-31,2,updated,,update,A-1,imp_1,1000,,,한빛,,1", "update A-1 1000  2026-12-31T23:59:59 imp_1"},
	} {
		rows, _, err := read(t, header+c.cells+"\n", Options{})
		if got := strings.TrimPrefix(strings.Join(briefs(rows), "|"), "2 "); err != nil || got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s\n%v", c.cells, got, c.want, err)
		}
	}
	rows, _, err := read(t, header+"A-1,2000,국민,2026-12-31,2,rejected,PG_REFUSED,issue,A-1,,1000,,,한빛,,1\n", Options{Map: map[string]string{"amount": "결제금액"}})
	if got := strings.Join(briefs(rows), "|"); err != nil || got != "2 issue A-1 2000 004 2026-12-31T23:59:59 RESULT_DIFFERS" {
		t.Error(got, err)
	}
}

// TestBanksInEveryForm writes a bank in each of its ways.
func TestBanksInEveryForm(t *testing.T) {
	const names = `002 산업 KDB · 003 기업 IBK 중소기업 · 004 국민 KB KB국민 · 007 수협 Sh · 011 농협 NH NH농협 · 012 축협 지역농축협 · 020 우리 · 023 SC SC제일 제일 · 027 씨티 한국씨티 · 031 대구 DGB 아이엠 iM · 032 부산 BNK부산 · 034 광주 · 037 전북 · 039 경남 BNK경남 · 045 새마을금고 MG · 048 신협 · 071 우체국 · 081 하나 KEB하나 외환 · 088 신한 · 089 케이 K · 090 카카오 · 092 토스`
	rapid.Check(t, func(t *rapid.T) {
		list := strings.Fields(rapid.SampledFrom(strings.Split(names, " · ")).Draw(t, "bank"))
		code := list[0]
		form := rapid.SampledFrom(append(list[1:], code, strings.TrimLeft(code, "0"), code[1:], "BK"+code[1:])).Draw(t, "form")
		if rapid.Bool().Draw(t, "lower") {
			form = strings.ToLower(form)
		}
		if strings.Trim(form, "0123456789") != "" && !strings.HasPrefix(strings.ToUpper(form), "BK") || strings.HasPrefix(form, "BNK") {
			form += rapid.SampledFrom([]string{"", "은행", " 은행", "뱅크", "Bank"}).Draw(t, "word")
		}
		form = rapid.SampledFrom([]string{"", " ", "\u00a0", "'"}).Draw(t, "before") + form
		r := &Reader{banks: make(map[[2]string]bankCode)}
		if b := r.bank("", clean(form)); b.kftc != code || !b.known {
			t.Fatalf("%q is %q, not %s", form, b.kftc, code)
		}
	})
}

func TestProfile(t *testing.T) {
	dir := t.TempDir()
	o := Options{Encoding: cp949Name, Delimiter: '\t', Key: "{동}-{호}", DueYear: 2026, Where: []Where{{"결제방법", "가상계좌"}},
		Set: map[string]string{"custom_data": `{"반":"{반}"}`, "vbank_holder": "한빛 '상사'"}, Banks: map[string]string{"우리": "20"}, Map: map[string]string{"amount": "잔액"}}
	if err := o.Profile([]Mapped{{Field: "amount", Header: "잔액"}, {Field: "name", Header: "품명\"요약\""}}).Write(dir + "/p.toml"); err != nil {
		t.Fatal(err)
	}
	p, err := ReadProfile(dir + "/p.toml")
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Options(o.Now)
	if err != nil {
		t.Fatal(err)
	}
	o.Map["name"], o.OnlyMapped = `품명"요약"`, true
	if diff := cmp.Diff(o, again); diff != "" {
		t.Error(diff)
	}
	if err := p.Write(dir + "/p.toml"); err == nil {
		t.Error("a profile was overwritten")
	}
	flags := Profile{Key: "{호}", Where: []string{"동=101"}, Set: map[string]string{"vbank_due": "+7d"}, Map: map[string]string{"amount": "합계"}}
	merged, err := p.With(flags).Options(o.Now)
	o.Key, o.Map["amount"], o.Set["vbank_due"], o.Where = "{호}", "합계", "+7d", []Where{{"동", "101"}, {"결제방법", "가상계좌"}}
	if diff := cmp.Diff(o, merged); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for text, message := range map[string]string{
		"due = '+7d'\n":                  "line 1: there is no setting called due",
		"[map]\namount = 1\n":            "line 2, column",
		"encoding = 'cp949\n":            "line 1, column",
		"delimiter = ';;'\n":             `the delimiter ";;" is not auto`,
		"delimiter = '\"'\n":             "is not auto",
		"where = ['결제방법']\n":             `where "결제방법" is not HEADER=VALUE`,
		"due_year = 26\n":                "due_year 26 is not a year",
		"key = 'a'\nkey = 'b'\n":         "line 2, column",
		"\ufeffkey = '{동}'\n":            "",
		"[set]\r\nvbank_due = '+7d'\r\n": "",
	} {
		name := t.TempDir() + "/p.toml"
		writeFile(t, name, text)
		p, err := ReadProfile(name)
		if err == nil {
			_, err = p.Options(now)
		}
		if message == "" && err != nil || message != "" && (err == nil || !strings.Contains(err.Error(), message)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
