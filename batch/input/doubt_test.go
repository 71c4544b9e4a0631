package input

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/korean"
)

// Files in which money, an order number or a row could be misread without anybody noticing.

const account = ",국민,2026-12-31,한빛" // bank, due date and holder

// TestDoubtful reads files that must not be read in the obvious way. want is the rows, or a part of the error.
func TestDoubtful(t *testing.T) {
	const usual = "주문번호,금액,은행,입금기한,예금주\n"
	for _, c := range []struct {
		name, text string
		o          Options
		want       string
	}{
		{"an amount cut at its comma, the last column empty", "주문번호,고객명,은행,입금기한,예금주,청구금액,비고\nA-1,홍길동,국민,2026-12-31,한빛,35,000,\n", Options{},
			"2 issue A-1 0 004 2026-12-31T23:59:59 AMOUNT_AMBIGUOUS"},
		{"an amount cut at its comma, the last column left out", "주문번호,은행,입금기한,예금주,금액,비고\nA-1,국민,2026-12-31,한빛,35,000\n", Options{},
			"2 issue A-1 0 004 2026-12-31T23:59:59 AMOUNT_AMBIGUOUS"},
		{"a small amount beside a bank", "주문번호,금액,은행,입금기한,예금주\nA-1,500,004,2026-12-31,한빛\n", Options{}, "2 issue A-1 500 004 2026-12-31T23:59:59"},
		{"an amount beside three digits", "주문번호,금액,동,은행,입금기한,예금주\nA-1,35000,101,004,2026-12-31,한빛\n", Options{}, "2 issue A-1 35000 004 2026-12-31T23:59:59"},
		{"a better header further down", usual + "A-1,35000" + account + "\n주문번호,금액,은행,입금기한,예금주,연락처\nB-1,1000" + account + ",010\n", Options{},
			"line 3: is another header than the one on line 1"},
		{"another spelling of the order's columns in the titles", "주문번호 목록,2026\n" + usual + "A-1,1000" + account + "\n", Options{}, "3 issue A-1 1000 004 2026-12-31T23:59:59"},
		{"a district of that name", "지점," + usual + "상계,A-1,1000" + account + "\n월계,A-2,1000" + account + "\n", Options{},
			"2 issue A-1 1000 004 2026-12-31T23:59:59|3 issue A-2 1000 004 2026-12-31T23:59:59"},
		{"words behind a space", "청구내용," + usual + "동창회 계,A-1,1000" + account + "\n", Options{}, "2 issue A-1 1000 004 2026-12-31T23:59:59"},
		{"a total under the order numbers", "일자," + usual + "2026-11-03,합계,1000" + account + "\n", Options{}, "2 issue 합계 1000 004 2026-12-31T23:59:59 KEY_IS_TOTAL"},
		{"totals that say so otherwise", usual + "TOTAL-1,1" + account + "\n101동소계,1" + account + "\n이월금액-2,1" + account + "\n", Options{},
			"2 issue TOTAL-1 1 004 2026-12-31T23:59:59 KEY_IS_TOTAL|3 issue 101동소계 1 004 2026-12-31T23:59:59 KEY_IS_TOTAL|4 issue 이월금액-2 1 004 2026-12-31T23:59:59 KEY_IS_TOTAL"},
		{"no line is a total", usual + "TOTAL,1" + account + "\n101동소계,1" + account + "\n", Options{Totals: TotalsNone},
			"2 issue TOTAL 1 004 2026-12-31T23:59:59|3 issue 101동소계 1 004 2026-12-31T23:59:59"},
		{"a total among the parts of a key", "동,호,금액,은행,입금기한,예금주\n101,1,1000" + account + "\n101,소계,1000" + account + "\n101동\u3000소계,,1000" + account + "\n", Options{Key: "{동}-{호}"},
			"2 issue 101-1 1000 004 2026-12-31T23:59:59|3 issue 101-소계 1000 004 2026-12-31T23:59:59 KEY_IS_TOTAL"},
		{"a note's number", usual + "A-1,①35000" + account + "\nA-2,35000²" + account + "\nA-3,３５０００" + account + "\nA-4,1000,④,2026-12-31,한빛\n", Options{},
			"2 issue A-1 0 004 2026-12-31T23:59:59 AMOUNT_INVALID|3 issue A-2 0 004 2026-12-31T23:59:59 AMOUNT_INVALID|4 issue A-3 35000 004 2026-12-31T23:59:59|" +
				"5 issue A-4 1000  2026-12-31T23:59:59 BANK_UNKNOWN"},
		{"a column that the profile does not know", "주문번호,잔액,은행,예금주,마감일\nA-1,1000,신한,홍,2027-01-31\n",
			Options{OnlyMapped: true, Map: map[string]string{"merchant_uid": "주문번호", "amount": "잔액"}, Set: someDefaults}, "the column “은행” is vbank_code by its name, and the profile does not know it"},
		{"a heading over two columns", "주문번호,환불,,입금기한,예금주\n,금액,은행,,\nA-1,1000,신한,2026-12-31,홍\n", Options{}, "there is no column for amount, vbank_code"},
		{"a total under a header that has none", "주문번호,구분,금액,은행,입금기한,예금주\n,합계,,,,\nA-1,5,1000" + account + "\n", Options{}, "3 issue A-1 1000 004 2026-12-31T23:59:59"},
		{"two quotation marks that do not belong together", "주문번호,상품명,금액,은행,입금기한,예금주\nA-1,\"27인치 모니터,10000" + account + "\nA-2,모니터 27\",99000" + account + "\nA-3,x,1000" + account + "\n", Options{},
			"2   0  - UNREADABLE_ROW|4 issue A-3 1000 004 2026-12-31T23:59:59"},
		{"a cell of two lines", "주문번호,상품명,금액,은행,입금기한,예금주\nA-1,\"담요, 큰\n(대형, 회색)\",1000" + account + "\n", Options{}, "2 issue A-1 1000 004 2026-12-31T23:59:59"},
		{"a German exponent", "Order_ID;Amount;Bank;Due;Vbank_Holder\n2,02611E+15;1000;004;2026-12-31;x\n", Options{}, "2 issue 2,02611E+15 1000 004 2026-12-31T23:59:59 KEY_DAMAGED_BY_EXCEL"},
		{"a day and an hour", usual + "A-1,1000,국민,2026123118,한빛\n", Options{}, "2 issue A-1 1000 004 - DATE_INVALID"},
		{"the file's own Amount", "Order_ID,Amount,Bank,Due,Vbank_Holder,line,status,error_code,action,merchant_uid,amount,vbank_code,vbank_holder,vbank_due\n" +
			"A-1,12000,KB,2026-12-31,x,2,rejected,PG_REFUSED,issue,A-1,10000,,,\n", Options{}, "2 issue A-1 12000 004 2026-12-31T23:59:59 RESULT_DIFFERS"},
		{"results without their error codes", "주문번호,결제금액,은행,마감일,예금주,line,status,action,merchant_uid,amount,vbank_code,attempts\n" +
			"A-1,12000,신한,2026-12-31,x,2,rejected,issue,A-1,10000,,1\n", Options{}, "2 issue A-1 12000 088 2026-12-31T23:59:59 RESULT_DIFFERS"},
		{"the results of a revocation", "line,status,error_code,action,merchant_uid,imp_uid,amount,attempts\n2,revoked,,revoke,A-1,imp_2,1000,1\n3,rejected,NOT_FOUND,revoke,A-7,imp_9,,1\n", Options{},
			"2 revoke A-1 0  - imp_2|3 revoke A-7 0  - imp_9"},
		{"the file's own Status", "order_id,금액,은행,입금기한,예금주,Status,IMP UID,line,status,error_code,action,merchant_uid,imp_uid\nA-1,1000" + account + ",issued,x,2,already_issued,,issue,A-1,imp_1\n" +
			"A-2,1000" + account + ",new,y,3,issued,,issue,A-2,imp_2\n", Options{Revoke: true}, "2 revoke  0  - skip:NOT_ISSUED|3 revoke A-2 0  - imp_2"},
		{"a bank mended in the results", "주문번호,금액,은행,입금기한,예금주,line,status,error_code,vbank_code,vbank_due\nA-1,1000" + account + ",2,invalid,X,088,\nA-2,1000" + account + ",2,invalid,X,,2027-02-20\n" +
			"A-3,1000" + account + ",2,invalid,X,4,2026.12.31\n", Options{}, "2 issue A-1 1000 004 2026-12-31T23:59:59 RESULT_DIFFERS|3 issue A-2 1000 004 2026-12-31T23:59:59 RESULT_DIFFERS|4 issue A-3 1000 004 2026-12-31T23:59:59"},
		{"a bank with two codes", usual + "A-1,1000" + account + "\n", Options{Banks: map[string]string{"국민": "004", "KB국민": "088"}}, "[banks] gives bank 004 two codes"},
		{"a memo of two lines", "주문번호,금액,배송메모\nA-1,1000,\"문 앞에, 놔주세요, 감사합니다\n(부재시 연락)\"\n", Options{Set: someDefaults}, "2 issue A-1 1000 004 2026-11-12T23:59:59"},
		{"a header in two languages", "주문번호,금액,은행,입금기한,예금주\norder_id,amount,bank,due,vbank_holder\nA-1,1000" + account + "\n", Options{}, "3 issue A-1 1000 004 2026-12-31T23:59:59"},
		{"names with a word for totals in them", usual + "TOTALENERGIES-11,1" + account + "\nhp-TotalCare-3,1" + account + "\n합계빌라-101,1" + account + "\n서초평균타운,1" + account + "\n", Options{},
			"2 issue TOTALENERGIES-11 1 004 2026-12-31T23:59:59|3 issue hp-TotalCare-3 1 004 2026-12-31T23:59:59|4 issue 합계빌라-101 1 004 2026-12-31T23:59:59|5 issue 서초평균타운 1 004 2026-12-31T23:59:59"},
		{"results whose key Excel has changed", "동,호,금액,은행,입금기한,예금주,line,status,error_code,action,merchant_uid,imp_uid\n101,101,1000" + account + ",2,issued,,issue,101-0101,imp_1\n", Options{Key: "{동}-{호}"},
			"2 issue 101-101 1000 004 2026-12-31T23:59:59 RESULT_DIFFERS"},
	} {
		rows, _, err := read(t, c.text, c.o)
		got := strings.Join(briefs(rows), "|")
		if err != nil {
			got = err.Error()
			if !strings.Contains(got, c.want) || c.want == "" {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		} else if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestMixedEncodings joins a file in UTF-8 with one in CP949, either way round: read in one encoding, the order
// numbers of half of it would be others.
func TestMixedEncodings(t *testing.T) {
	const header, row = "merchant_uid,amount,vbank_code,vbank_due,vbank_holder\n", "주문-1,1000,004,2026-12-31,HB\n"
	cp949, err := korean.EUCKR.NewEncoder().String("교육-2,1000,004,2026-12-31,한빛\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"UTF-8 first": header + row + cp949, "CP949 first": header + cp949 + row + cp949} {
		if _, _, err := read(t, text, Options{}); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStop ends a pass over lines that are no rows.
func TestStop(t *testing.T) {
	r, err := reader(t, small+strings.Repeat("\n", 5_000_000), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.Stop()
	for err == nil {
		_, err = r.Next()
	}
	if errors.Is(err, io.EOF) {
		t.Error("the pass went on to its end")
	}
}

// TestNothingPersonalInErrors has data where the header should be, and what would steer a terminal in a header.
func TestNothingPersonalInErrors(t *testing.T) {
	_, _, err := read(t, "홍길동,010-1234-5678,hong@example.com,110-234-567890,35000\n", Options{})
	file, ok := err.(*Error)
	if !ok || strings.Contains(file.Error()+file.Hint.String(), "홍길동") || strings.Contains(file.Error()+file.Hint.String(), "5678") {
		t.Error(err)
	}
	_, _, err = read(t, "주문번호,결제금액\x1b[@,결제금액\x1b]\x07\u202e\n1,2,3\n", Options{})
	if file, ok := err.(*Error); !ok || strings.ContainsAny(file.Error()+file.Hint.String(), "\x1b\x07\u202e") {
		t.Errorf("%q", err)
	}
}
