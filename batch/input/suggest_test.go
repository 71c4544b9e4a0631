package input

import (
	"strings"
	"testing"
)

// TestSuggested has files whose columns have names of their own: where the cells make it plausible, what is lacking is asked
// for by the header, and never where they do not.
func TestSuggested(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, want string
		not              []string
	}{
		{"a day to come", "주문번호,금액,내는 날,은행\nA-1,1000,2026-12-01,국민\n", "--map 'vbank_due=내는 날' if it is meant", nil},
		{"days that have passed", "주문번호,금액,주문한 날\nA-1,1000,2026-10-01\n", "--map vbank_due=HEADER", []string{"주문한"}},
		{"the day of a delivery", "주문번호,금액,납기,납품일\nA-1,1000,2026-12-01,2026-12-02\n", "--map vbank_due=HEADER", []string{"납기="}},
		{"amounts, one of them wrong", "주문번호,내실 요금,은행\nA-1,1000,국민\nA-2,1만원,국민\nA-3,2000,국민\n", "--map 'amount=내실 요금' if it is meant", nil},
		{"two columns", "주문번호,내실 요금,6월 관리비\nA-1,1000,2000\n", "--map 'amount=내실 요금' if it is meant, or --map 'amount=6월 관리비' if it is meant", nil},
		{"what a marketplace pays out", "주문번호,내실 요금,정산예정금액\nA-1,1000,900\n", "--map amount=HEADER", nil},
		{"what is to be had beside what was had", "회원번호,회원명,회비,받을금액,받은금액\nM-1,홍길동,30000,20000,10000\n", "--map 'amount=받을금액' if it is meant", []string{"amount=회비", "amount=받은금액"}},
		{"what is due beside what was paid", "order_id,Total,Total Paid,Total Due\nI-1,30000,10000,20000\n", "--map 'amount=Total Due' if it is meant", []string{"amount=Total Paid", "amount=Total'"}},
		{"what was due beside what is left", "order_id,Total,Amount Due,Amount Paid,Amount Remaining\nI-1,30000,30000,10000,0\n", "--map amount=HEADER", []string{"amount=Amount Due"}},
		{"without VAT, and numbers", "주문번호,공급가액,수량\nA-1,1000,200\n", "--map amount=HEADER", []string{"amount=공급가액", "amount=수량"}},
		{"what may be paid in part", "주문번호,내실 요금,은행\nA-1,일만원,국민\n", "--map amount=HEADER", []string{"요금="}},
		{"order numbers", "접수코드,금액,은행\nOR-1001,1000,국민\n", "--map 'merchant_uid=접수코드' if it is meant", nil},
		{"what only ends like a number", "주문,금액,Prepaid\nA-1,1000,20000\n", "--map merchant_uid=HEADER", []string{"uid=Prepaid"}},
		{"running numbers, and telephones", "순번호,금액,전화번호\n1,1000,010-0000-1234\n", "--map merchant_uid=HEADER", []string{"uid=순번호", "uid=전화"}},
		{"banks", "주문번호,금액,어느 곳\nA-1,1000,국민은행\n", "--map 'vbank_code=어느 곳' if it is meant", nil},
		{"codes that may be banks", "주문번호,금액,어느 곳\nA-1,1000,004\n", "--map vbank_code=HEADER", []string{"어느 곳="}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := reader(t, c.file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = r.Next()
			}
			lacking, ok := r.Lacking().(*Error)
			if !ok {
				t.Fatal("nothing is lacking")
			}
			hint := lacking.Hint.String()
			if !strings.Contains(hint, c.want) {
				t.Errorf("%s\nwant %s", hint, c.want)
			}
			for _, not := range c.not {
				if strings.Contains(hint, not) {
					t.Errorf("%s\nsuggests %s", hint, not)
				}
			}
		})
	}
}

// TestUnknownHeader names the cells of a first line that can be a header, and of no line that may hold people's data.
func TestUnknownHeader(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"순서,누가,얼마\nA-1,홍길동,1000\n":     "if line 1 is the header, say which of “순서”, “누가”, “얼마” are",
		"A-1,홍길동,1000\nA-2,김영희,1000\n": "the header must name",
	} {
		_, err := reader(t, file, Options{})
		refused, ok := err.(*Error)
		if !ok || !strings.Contains(refused.Hint.String(), want) || strings.Contains(refused.Hint.String(), "홍길동") {
			t.Errorf("%q: %v, %v", file, err, refused)
		}
	}
}
