package input

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

// misread is a file that was once read wrongly without a question, or one beside it that must be read.
type misread struct {
	name, text string
	o          Options
	want       string // the rows in brief, or a part of the error
}

// needed is what accounts need besides.
var needed = map[string]string{"vbank_code": "국민", "vbank_due": "2026-12-31", "vbank_holder": "한빛"}

// test reads the file with what is needed besides.
func (c misread) test(t *testing.T) {
	t.Helper()
	if c.o.Set == nil {
		c.o.Set = needed
	}
	rows, _, err := read(t, c.text, c.o)
	got := strings.ReplaceAll(strings.Join(briefs(rows), "|"), " 004 2026-12-31T23:59:59", "")
	if err != nil {
		got = err.Error()
	}
	if err == nil && got != c.want || err != nil && (c.want == "" || !strings.Contains(got, c.want)) {
		t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
	}
}

// TestUnits has units and currencies in every place where a file says them.
func TestUnits(t *testing.T) {
	t.Parallel()
	const rows = "A-1,홍길동,350\n"
	const header = "주문번호,고객명,청구금액\n"
	const single = "not in single won"
	for _, c := range []misread{
		{"a gap in a title", ",,(단위 : 천 원)\n" + header + rows, Options{}, single},
		{"digits in a title", "\"(단위: 1,000원)\",,\n" + header + rows, Options{}, single},
		{"a unit without won", "단위: 천,,\n" + header + rows, Options{}, single},
		{"an equals sign", "단위=천원,,\n" + header + rows, Options{}, single},
		{"won in a title", "(단위 : 원),,\n" + header + rows, Options{}, "3 issue A-1 350"},
		{"single won in digits", "(단위: 1원),,\n" + header + rows, Options{}, "3 issue A-1 350"},
		{"something else", "(단위: 백개),,\n" + header + rows, Options{}, "3 issue A-1 350"},
		{"a gap in the header", "주문번호,고객명,청구금액(단위: 백만 원)\n" + rows, Options{}, single},
		{"another gap in the header", "주문번호,고객명,청구금액(단위 : 천 원)\n" + rows, Options{}, single},
		{"digits in the header", "주문번호,고객명,\"청구금액(단위: 1,000원)\"\n" + rows, Options{}, single},
		{"a unit that is told", "주문번호,고객명,청구금액(단위 : 천 원)\n" + rows, Options{Unit: 1000}, "2 issue A-1 350000"},
		{"a line below", header + rows + "※ 단위: 천원,,\n", Options{}, "line 3: counts the amounts in “※ 단위: 천원"},
		{"a currency below", header + rows + "※ 통화: USD,,\n", Options{}, "counts the amounts in"},
		{"a line below, and a unit that is told", header + rows + "※ 단위: 천원,,\n", Options{Unit: 1}, "2 issue A-1 350"},
		{"won below", header + rows + "※ 단위: 원,,\n", Options{}, "2 issue A-1 350"},
		{"a share below", header + rows + "(부가세 10% 포함),,\n", Options{}, "2 issue A-1 350"},
		{"a currency of each row", "주문번호,고객명,청구금액,통화명\nA-1,홍길동,350,USD\nA-2,김영희,35000,KRW\n", Options{}, "2 issue A-1 350 CURRENCY_UNSUPPORTED|3 issue A-2 35000"},
		{"a currency without a header", "주문번호,고객명,결제금액,\nA-1,홍길동,35,USD\nA-2,김영희,12000,KRW\n", Options{}, "2 issue A-1 35 CURRENCY_UNSUPPORTED|3 issue A-2 12000"},
		{"a unit of each row", "주문번호,고객명,금액,금액단위\nA-1,홍길동,350,천원\nA-2,김영희,35000,원\n", Options{}, "2 issue A-1 350 CURRENCY_UNSUPPORTED|3 issue A-2 35000"},
		{"the rows in won", "주문번호,고객명,청구금액,통화명\nA-1,홍길동,350,USD\nA-2,김영희,35000,KRW\n", Options{Where: []Where{{"통화명", "KRW"}}}, "2 issue A-1 350 skip:FILTERED|3 issue A-2 35000"},
		{"a column that is left out", "주문번호,고객명,청구금액,통화명\nA-1,홍길동,350,USD\n", Options{Ignore: []string{"통화명"}}, "2 issue A-1 350"},
		{"nothing but won", "주문번호,고객명,금액,금액단위\nA-1,홍길동,350,원\n", Options{}, "2 issue A-1 350"},
		{"a rate of each row", "주문번호,고객명,결제금액,환율\nA-1,홍길동,350,\"1,380.50\"\nA-2,김영희,35000,1.00\nA-3,이몽룡,900,\nA-4,성춘향,800,0\n", Options{}, "2 issue A-1 350 CURRENCY_UNSUPPORTED|3 issue A-2 35000|4 issue A-3 900|5 issue A-4 800"},
		{"a rate in English", "order_id,Amount,Exchange Rate\nA-1,35,1380\n", Options{}, "2 issue A-1 35 CURRENCY_UNSUPPORTED"},
		{"rates of won", "주문번호,결제금액,통화,환율\nA-1,350,KRW,1.000\nA-2,350,KRW,100\nA-3,350,KRW,\"1,350.00\"\nA-4,350,USD,1.000\nA-5,350,,1.000\nA-6,350,,\"1,000\"\n", Options{},
			"2 issue A-1 350|3 issue A-2 350|4 issue A-3 350|5 issue A-4 350 CURRENCY_UNSUPPORTED|6 issue A-5 350|7 issue A-6 350 CURRENCY_UNSUPPORTED"},
		{"a rate beside won", "주문번호,외화금액,환율,원화금액\nA-1,25,1380,34500\n", Options{}, "2 issue A-1 34500"},
		{"a rate that is left out", "주문번호,고객명,결제금액,환율\nA-1,홍길동,35000,1380\n", Options{Ignore: []string{"환율"}}, "2 issue A-1 35000"},
		{"sizes", "주문번호,고객명,금액,크기\nA-1,홍길동,350,ALL\nA-2,홍길동,350,TOP\n", Options{}, "2 issue A-1 350|3 issue A-2 350"},
		{"prices and shares", "주문번호,고객명,금액,옵션,율\nA-1,홍길동,350,\"1,000원\",10%\n", Options{}, "2 issue A-1 350"},
	} {
		c.test(t)
	}
}

// TestUnitsOfFormats has units and currencies that only the format of a workbook's cell shows.
func TestUnitsOfFormats(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		`#,##0"천원"`: "350천원", `#,##0\천\원`: "350천원", `#,##0,"천원"`: "350", `#,##0,,"백만원"`: "350", `#,##0,,"천원"`: "350천원",
		`[$USD]\ #,##0`: "USD350", `#,##0" USD"`: "USD350", `"JPY"#,##0`: "JPY350", `#,##0\ "USD"`: "USD350",
		`#,##0"원"`: "350", `[$KRW] #,##0`: "350", `[$₩-412]#,##0`: "350", `#,##0"건"`: "350", `0.00%`: "350",
	} {
		path := workbookOf(t, func(f *excelize.File) {
			style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &format})
			if err != nil {
				t.Fatal(err)
			}
			f.SetSheetRow("Sheet1", "A1", &[]any{"주문번호", "금액"})
			f.SetSheetRow("Sheet1", "A2", &[]any{"A-1", 350})
			f.SetCellStyle("Sheet1", "B2", "B2", style)
		})
		if got, err := cellsOf(t, path, Options{}); got != "2 A-1|"+want {
			t.Errorf("%s: %s %v, want %s", format, got, err, want)
		}
	}
}

// TestPaidBeside has names of what was paid, and of what is left, beside the amount.
func TestPaidBeside(t *testing.T) {
	t.Parallel()
	const part, already, other = "may be paid in part or in full", "may be what was paid already", "may not be what is still to be paid"
	for names, want := range map[string]string{
		"청구금액,받은금액": part, "합계금액,받은 금액": part, "결제금액,받은금액": already, "청구금액,낸 금액": part, "청구금액,납부완료": part,
		"청구금액,납부잔액": part, "결제금액,납부잔액": already, "금액,결제잔액": part,
		"Amount,Amount Received": part, "Amount,Total Paid": part, "Amount,Total Due": other, "청구금액,받을금액": other,
	} {
		misread{names, "주문번호," + names + "\nA-1,35000,1000\n", Options{}, want}.test(t)
	}
}

// TestDividedAmounts has an amount that a header of two lines divides between several columns.
func TestDividedAmounts(t *testing.T) {
	t.Parallel()
	const header, parts = "주문번호,고객명,납부금액,,\n", ",,수강료,교재비,셔틀비\nA-1,홍길동,300000,20000,15000\n"
	const asked = "divided between the columns “수강료”, “교재비”, “셔틀비”, and none"
	for _, c := range []misread{
		{"parts", header + parts, Options{}, asked},
		{"parts that are numbered", "주문번호,고객명,청구금액,,\n,,10월,11월,12월\nA-1,홍길동,300000,20000,15000\n", Options{}, "“10월”, “11월”, “12월”"},
		{"two lines of other names", "주문,,결제금액,\n번호,고객명,수강료,교재비\nA-1,홍길동,300000,20000\n", Options{}, "“수강료”, “교재비”"},
		{"an amount and its VAT", "주문번호,고객명,청구금액,\n,,금액,부가세\nA-1,홍길동,300000,30000\n", Options{}, "“청구금액 금액”, “부가세”"},
		{"a total among them", header + ",,수강료,교재비,합계\nA-1,홍길동,300000,20000,320000\n", Options{}, "3 issue A-1 320000"},
		{"another word for it", header + ",,수강료,교재비,계\nA-1,홍길동,300000,20000,320000\n", Options{}, "3 issue A-1 320000"},
		{"a total before them", header + ",,계,수강료,교재비\nA-1,홍길동,320000,300000,20000\n", Options{}, "3 issue A-1 320000"},
		{"a total with VAT", "주문번호,고객명,금액,,\n,,공급가액,부가세,합계\nA-1,홍길동,300000,30000,330000\n", Options{}, "3 issue A-1 330000"},
		{"pieces and amounts", "주문번호,고객명,합계,\n,,건수,금액\nA-1,홍길동,2,30000\n", Options{}, "“합계” may count pieces"},
		{"a total of deposits", "주문번호,입금액,,미수금\n,현금,계,\nA-1,1000,1000,30000\n", Options{}, "may be what was paid already"},
		{"a total beside them", "주문번호,고객명,납부금액,,합계\n,,수강료,교재비,\nA-1,홍길동,300000,20000,320000\n", Options{}, "“수강료”, “교재비”, and none"},
		{"a total that is told", "주문번호,고객명,납부금액,,합계\n,,수강료,교재비,\nA-1,홍길동,300000,20000,320000\n", Options{Map: map[string]string{"amount": "합계"}}, "3 issue A-1 320000"},
		{"a part that is told", header + parts, Options{Map: map[string]string{"amount": "수강료"}}, "3 issue A-1 300000"},
		{"nothing else on the line above", ",,납부금액,,\n주문번호,고객명,수강료,교재비,셔틀비\nA-1,홍길동,300000,20000,15000\n", Options{}, asked},
		{"a total before what is to be paid", "주문번호,고객명,청구금액,,,\n,,수업료,합계,할인액,납부할금액\nA-1,홍길동,100,100,20,80\n", Options{}, "both “청구금액” and “납부할금액” can be amount"},
		{"a total before what is left", "주문번호,고객명,청구금액,,,\n,,당월분,합계,입금액,미수금\nA-1,홍길동,100,100,20,80\n", Options{}, "“청구금액” may be paid in part or in full, as “미수금” beside it"},
		{"a total and a balance", "주문번호,고객명,납부금액,,,\n,,수강료,교재비,합계,잔액\nA-1,홍길동,80,20,100,50\n", Options{}, "“납부금액” may be what was paid already, since “잔액”"},
		{"a total before the discount", "주문번호,고객명,청구금액,,,\n,,수업료,합계,할인,결제금액\nA-1,홍길동,100,100,20,80\n", Options{}, "“청구금액” may be paid in part or in full, as “결제금액”"},
		{"two totals by the due day", "주문번호,고객명,청구금액,,,\n,,관리비,합계,납기내금액,납기후금액\nA-1,홍길동,100,100,100,103\n", Options{}, "both “청구금액” and “납기내금액” can be amount"},
		{"what was paid, below a neutral name", "주문,,금액,,\n주문번호,고객명,상품금액,배송비,결제금액\nA-1,홍길동,320,30,350\n", Options{}, "3 issue A-1 350"},
		{"what is billed with its VAT", "주문번호,고객명,금액,,\n,,공급가액,부가세,청구금액\nA-1,홍길동,320,32,352\n", Options{}, "3 issue A-1 352"},
		{"two sums by the due day", "주문,,금액,\n주문번호,고객명,납기내금액,납기후금액\nA-1,홍길동,10000,10300\n", Options{}, "3 issue A-1 10000"},
		{"what is left", "주문,,금액,,\n주문번호,고객명,회비,연체료,미수금\nA-1,홍길동,100,3,103\n", Options{}, "3 issue A-1 103"},
		{"what is to be paid", "주문,,금액(원),,\n주문번호,고객명,회비,연체료,납부할금액\nA-1,홍길동,100,3,103\n", Options{}, "3 issue A-1 103"},
		{"what is to be paid, below what is billed", "주문번호,고객명,청구금액,,\n,,수업료,할인액,납부할금액\nA-1,홍길동,100,20,80\n", Options{}, "3 issue A-1 80"},
		{"what has come in", "주문,,금액,\n주문번호,고객명,회비,입금액\nA-1,홍길동,100,80\n", Options{}, "“회비”, “입금액”, and none"},
		{"a sum of all rows above the header", "주문내역,,,,총금액,,\"180,000\"\n주문번호,고객명,결제금액,메모,수량,요청사항,지역\nA-1,홍길동,90000,,2,,서울\n", Options{}, "3 issue A-1 90000"},
		{"a sum of all rows alone", ",,,총액,,\"60,000\"\n주문번호,고객명,청구금액,회비,찬조금,비고\nA-1,홍길동,30000,20000,10000,\n", Options{}, "3 issue A-1 30000"},
		{"a number elsewhere on the line above", "2026,,납부금액,,\n주문번호,고객명,수강료,교재비,셔틀비\nA-1,홍길동,300000,20000,15000\n", Options{}, asked},
		{"a title", "청구금액,,\n주문번호,고객명,금액\nA-1,홍길동,1000\n", Options{}, "3 issue A-1 1000"},
		{"a row without an amount", "주문번호,고객명,금액,,\nA-1,홍길동,미납,전화,\n", Options{}, "2 issue A-1 0 AMOUNT_INVALID"},
		{"a row without a digit", "주문번호,고객명,금액,,\n가나,홍길동,미정,전화,\n", Options{}, "2 issue 가나 0 AMOUNT_INVALID"},
	} {
		c.test(t)
	}
	path := workbookOf(t, func(f *excelize.File) {
		f.SetSheetRow("Sheet1", "A1", &[]any{"주문번호", "납부금액"})
		f.SetSheetRow("Sheet1", "A2", &[]any{nil, "수강료", "교재비", "셔틀비"})
		f.SetSheetRow("Sheet1", "A3", &[]any{"A-1", 300000, 20000, 15000})
		f.MergeCell("Sheet1", "A1", "A2")
		f.MergeCell("Sheet1", "B1", "D1")
	})
	if got, err := cellsOf(t, path, Options{}); err == nil || !strings.Contains(err.Error(), asked) {
		t.Errorf("a workbook: %s %v", got, err)
	}
}

// TestKeysOfWorkbooks has order numbers in cells that are numbers and days: what people see, where that is sure, else refused.
func TestKeysOfWorkbooks(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 12, 3, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		cell   any
		format string // of the cell
		uid    string
		code   Code
	}{
		{12, `"ORD-"0000`, "ORD-0012", ""}, {123456, `"ORD-"0000`, "ORD-123456", ""}, {12, `\O\-00;"none"`, "O-12", ""}, {12, `"ORD-"#`, "ORD-12", ""}, {12, `"한빛-"00`, "한빛-12", ""}, {12, `General"호"`, "12", ""}, {12, `0호`, "12", ""},
		{20261103001, `00000000\-000`, "20261103-001", ""}, {20261103001, `00000000-0000`, "02026110-3001", ""}, {12, `[Red]"A"00_)`, "A12", ""}, {0, `"A"00`, "A00", ""}, {7, `000-0`, "000-7", ""},
		{12, `#,##0`, "12", ""}, {12, `[<100]"A"0;"B"0`, "12", ""}, {12, `"none"`, "12", ""}, {12.5, `"A"0`, "12.5", ""}, {12, "", "12", ""},
		{day, "", "2026-12-03", KeyDamagedByExcel}, {day, `m"월" d"일"`, "2026-12-03", KeyDamagedByExcel}, {day.Add(time.Hour), "yyyy-mm-dd hh:mm", "2026-12-03 01:00:00", KeyDamagedByExcel},
		{0.5, "h:mm", "12:00:00", KeyDamagedByExcel}, {202611031234567, "", "202611031234567", ""}, {2026110312345678, "", "2.026110312345678E+15", KeyDamagedByExcel},
		{20261103123456789, "0", "2.0261103123456789E+16", KeyDamagedByExcel}, {2026110312345670, "", "2.026110312345670E+15", KeyDamagedByExcel}, {"2026110312345678", "", "2026110312345678", ""}, {"12-3", "", "12-3", ""},
	} {
		path := workbookOf(t, func(f *excelize.File) {
			f.SetSheetRow("Sheet1", "A1", &[]any{"주문번호", "금액"})
			f.SetSheetRow("Sheet1", "A2", &[]any{c.cell, 350})
			if c.format != "" {
				style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &c.format})
				if err != nil {
					t.Fatal(err)
				}
				f.SetCellStyle("Sheet1", "A2", "A2", style)
			}
		})
		misread{fmt.Sprint(c.cell, " as ", c.format), path, Options{}, strings.TrimSpace("2 issue " + c.uid + " 350 " + string(c.code))}.test(t)
	}
	for _, format := range []string{`# ##0`, `0"."00`, `0\.00`, `0"000"`, `"총 "0"원"`, `0"원 (VAT 별도)"`, `"₩"#`, `(0)`,
		`0" won"`, `0"WON"`, `"W"0`, `"총-"0`, `0"P"`, `-0`, `0"원-"`} { // an amount is what the cell holds
		path := workbookOf(t, func(f *excelize.File) {
			f.SetSheetRow("Sheet1", "A1", &[]any{"주문번호", "금액"})
			f.SetSheetRow("Sheet1", "A2", &[]any{"A-1", 350000})
			style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &format})
			if err != nil {
				t.Fatal(err)
			}
			f.SetCellStyle("Sheet1", "B2", "B2", style)
		})
		misread{"an amount as " + format, path, Options{}, "2 issue A-1 350000"}.test(t)
	}
	path := workbookOf(t, func(f *excelize.File) {
		f.SetSheetRow("Sheet1", "A1", &[]any{"주문번호", "금액"})
		f.SetSheetRow("Sheet1", "A2", &[]any{day, 350})
	})
	for _, c := range []misread{
		{"a day that is told", path, Options{Key: "{주문번호}"}, "2 issue 2026-12-03 350"},
		{"a day that was refused", "주문번호,금액,error_code,error_message\n2026-12-03,350,KEY_DAMAGED_BY_EXCEL,x\n", Options{}, "2 issue 2026-12-03 350 KEY_DAMAGED_BY_EXCEL"},
		{"a number typed anew", "주문번호,금액,error_code,error_message\n12-3,350,KEY_DAMAGED_BY_EXCEL,x\n", Options{}, "2 issue 12-3 350"},
		{"a day in a text", "주문번호,금액\n2026-12-03,350\n", Options{}, "2 issue 2026-12-03 350"},
	} {
		c.test(t)
	}
}

// TestSecondTables has a table below the orders' own, of something else. Its lines are not billed.
func TestSecondTables(t *testing.T) {
	t.Parallel()
	const rows = "주문번호,고객명,결제금액\nA-1,홍길동,35000\n"
	for _, c := range []misread{
		{"deposits", rows + "\n입금일,입금자,입금액\n2026-11-03,이몽룡,49900\n", Options{}, "line 4: is another header than the one on line 1"},
		{"what was cancelled", rows + "\n취소번호,고객명,취소금액\nC-1,이몽룡,49900\n", Options{}, "line 4: is another header"},
		{"refunds", "주문번호,고객명,결제금액,입금은행,입금기한\nA-1,홍길동,35000,국민,2026-12-31\n주문번호,고객명,환불금액,환불은행,환불일\nA-9,김영희,12000,신한,2026-12-15\n", Options{}, "line 3: is another header"},
		{"a table that is cut off", rows + "\n취소번호,고객명,취소금액\nC-1,이몽룡,49900\n", Options{StopAt: "취소번호"}, "2 issue A-1 35000"},
		{"a row without an amount", rows + "A-2,김영희,취소\n가나,고객,미정\n", Options{}, "2 issue A-1 35000|3 issue A-2 0 AMOUNT_INVALID|4 issue 가나 0 AMOUNT_INVALID"},
	} {
		c.test(t)
	}
}

// TestOwnAccounts has the accounts of customers, whose banks and holders are not those of the accounts to be issued.
func TestOwnAccounts(t *testing.T) {
	t.Parallel()
	const due = ",결제금액,입금기한"
	none := map[string]string{"vbank_code": "국민"}
	for _, c := range []misread{
		{"a holder beside an account for refunds", "주문번호,환불은행,환불계좌번호,예금주" + due + "\nA-1,신한,110-1,홍길동,1000,2026-12-31\n", Options{Set: none}, "may be the holder of the payer's own account"},
		{"a bank beside it", "주문번호,환불계좌,은행" + due + "\nA-1,110-1,신한,1000,2026-12-31\n", Options{Set: none}, "may be the payer's own bank"},
		{"a customer's account", "주문번호,고객 계좌번호,은행" + due + "\nA-1,110-1,신한,1000,2026-12-31\n", Options{Set: none}, "may be the payer's own bank"},
		{"a bank that is meant", "주문번호,환불계좌,은행,예금주" + due + "\nA-1,110-1,국민,한빛,1000,2026-12-31\n", Options{Map: map[string]string{"vbank_code": "은행", "vbank_holder": "예금주"}}, "2 issue A-1 1000"},
		{"a virtual account", "주문번호,고객별 가상계좌,은행,예금주" + due + "\nA-1,110-1,국민,한빛,1000,2026-12-31\n", Options{}, "2 issue A-1 1000"},
	} {
		c.test(t)
	}
}

// TestSettled has rows that nobody is to pay any more, as columns of any name say.
func TestSettled(t *testing.T) {
	t.Parallel()
	rows := func(name, first, second string) string {
		return "주문번호,고객명,결제금액," + name + "\nA-1,홍길동,35000," + first + "\nA-2,김영희,12000," + second + "\n"
	}
	const asked, refused, good = "paid already or cancelled", "2 issue A-1 35000|3 issue A-2 12000 ACTION_UNKNOWN", "2 issue A-1 35000|3 issue A-2 12000"
	late := rows("진행상태", "입금대기", "입금대기")
	for range 1000 {
		late += "A-3,홍길동,1,입금대기\n"
	}
	for _, c := range []misread{
		{"the day it was cancelled", rows("취소일", "", "2026-11-20"), Options{}, asked},
		{"the day it was refunded", rows("환불일시", "", "2026-11-20"), Options{}, asked},
		{"the day of the deposit", "주문번호,입금일,입금은행,입금액\nA-1,2026-11-20,신한,30000\n", Options{}, asked},
		{"the time of the card's approval", rows("승인일시", "", "2026-11-20 10:00"), Options{}, asked},
		{"paid in full", rows("완납", "", "Y"), Options{}, asked},
		{"a state of any name", rows("진행상태", "신규", "취소완료"), Options{}, asked},
		{"a state that says it is bought", rows("상태", "배송중", "구매확정"), Options{}, asked},
		{"how it stands", rows("처리현황", "신규", "환불"), Options{}, asked},
		{"a state of something else", rows("배송상태", "배송중", "배송완료"), Options{}, good},
		{"a remark", rows("비고", "", "취소"), Options{}, refused},
		{"a kind", rows("구분", "정상", "반품"), Options{}, refused},
		{"a word with a gap", rows("비고", "문 앞", "입금 완료"), Options{}, refused},
		{"a remark that says more", rows("비고", "", "취소하면 전화"), Options{}, good},
		{"rows that are left out", rows("구분", "정상", "반품"), Options{Where: []Where{{"구분", "정상"}}}, "2 issue A-1 35000|3 issue A-2 12000 skip:FILTERED"},
		{"rows that are asked for", rows("구분", "정상", "반품"), Options{Where: []Where{{"구분", "반품"}}}, "2 issue A-1 35000 skip:FILTERED|3 issue A-2 12000"},
		{"a column that is left out", rows("비고", "", "취소"), Options{Ignore: []string{"비고"}}, good},
		{"a product", rows("상품명", "책", "취소"), Options{}, good},
		{"what is left to pay", "주문번호,미수금,구분\nA-1,35000,반품\n", Options{}, "2 issue A-1 35000"},
		{"results", "merchant_uid,amount,비고,line,status,error_code,imp_uid\nA-1,35000,취소,2,rejected,PG_REFUSED,\n", Options{}, "2 issue A-1 35000"},
	} {
		c.test(t)
	}
	all, _, err := read(t, late+"A-4,이몽룡,1,취소\n", Options{Set: needed})
	if err != nil || !strings.HasSuffix(brief(all[len(all)-1]), "ACTION_UNKNOWN") {
		t.Errorf("a state that is first told late: %v", err)
	}
}

// TestCutAndSummed has amounts that were cut at their commas, and totals in words of their own.
func TestCutAndSummed(t *testing.T) {
	t.Parallel()
	const sums = "주문번호,고객명,품명,청구금액\nA-1,홍길동,회비,30000\nA-2,김영희,회비,20000\n"
	for _, c := range []misread{
		{"a name that is no name", "주문번호,결제금액,주문자,비고\nA-1,35,000,홍길동\nA-2,900,이몽룡,급함\n", Options{}, "2 issue A-1 0 AMOUNT_AMBIGUOUS|3 issue A-2 900"},
		{"a product that is no product", "주문번호,결제금액,상품명,비고\nA-1,1,500,책\n", Options{}, "2 issue A-1 0 AMOUNT_AMBIGUOUS"},
		{"a large amount beside a name of digits", "주문번호,결제금액,상품명,비고\nA-1,35000,500,책\n", Options{}, "2 issue A-1 35000"},
		{"a total in words", sums + "A-4,성춘향,반품,-5000\n총매출,,,50000\n", Options{}, "2 issue A-1 30000|3 issue A-2 20000|4 issue A-4 0 AMOUNT_NEGATIVE|5 issue 총매출 50000 KEY_IS_TOTAL"},
		{"a total beside an amount that is none", sums + "A-3,이몽룡,회비,미정\n11월 청구분,,,58000\n", Options{}, "2 issue A-1 30000|3 issue A-2 20000|4 issue A-3 0 AMOUNT_INVALID|5 issue 11월 청구분 58000 KEY_IS_TOTAL"},
		{"an order in words", sums + "특별 주문,이몽룡,회비,58000\n", Options{}, "2 issue A-1 30000|3 issue A-2 20000|4 issue 특별 주문 58000"},
		{"no line is a total", sums + "특별 주문,,,58000\n", Options{Totals: TotalsNone}, "2 issue A-1 30000|3 issue A-2 20000|4 issue 특별 주문 58000"},
		{"orders that look alike", "주문번호,고객명,금액\n가-1,홍길동,10\n나-2,,20\n다-3,,50\n", Options{}, "2 issue 가-1 10|3 issue 나-2 20|4 issue 다-3 50"},
	} {
		c.test(t)
	}
}

// TestRowsThatDisappear has rows that were once passed over.
func TestRowsThatDisappear(t *testing.T) {
	t.Parallel()
	const changes = "포트원 거래번호,주문번호,변경금액,변경입금기한,고객명,비고\nimp_000000000001,,10000,2026-12-31,홍길동,x\nimp_000000000002,,20000,2026-12-31,김영희,y\n"
	for _, c := range []misread{
		{"a header that was sorted with its rows", "가-1,홍길동,35000\n나-1,김영희,12000\n주문번호,고객명,결제금액\n하-1,이몽룡,49900\n", Options{}, "line 1: reads like a row, and stands above the header on line 3"},
		{"a header at the end", "1001,홍길동,35000\n주문번호,고객명,결제금액\n", Options{}, "line 1: reads like a row"},
		{"titles", "한빛상사,2026,\n합계,2,35000\n주문번호,고객명,결제금액\n하-1,이몽룡,49900\n", Options{}, "4 issue 하-1 49900"},
		{"a word of footers", "담당자,주문번호,고객명,청구금액\n김대리,A-1,홍길동,30000\n확인중,A-2,김영희,\n작성팀,A-3,이몽룡,미정\n", Options{}, "2 issue A-1 30000|3 issue A-2 0 AMOUNT_MISSING|4 issue A-3 0 AMOUNT_INVALID"},
		{"a word of footers in the first row that failed", "담당자,주문번호,고객명,청구금액,error_code,error_message\n확인중,A-2,김영희,미정,AMOUNT_INVALID,x\n김대리,A-3,이몽룡,30000,BANK_UNKNOWN,x\n", Options{}, "2 issue A-2 0 AMOUNT_INVALID|3 issue A-3 30000"},
		{"an amount that the others that failed come to", "주문번호,고객명,은행,입금기한,예금주,청구금액,error_code,error_message\nA-1,홍길동,국민,2026-12-31,한빛,10,DUE_PAST,x\nA-2,김영희,국민,2026-12-31,한빛,20,DUE_PAST,x\n,,,,,30,KEY_MISSING;BANK_MISSING,x\n", Options{}, "2 issue A-1 10|3 issue A-2 20|4 issue  30 KEY_MISSING"},
		{"a footer", "담당자,주문번호,고객명,청구금액\n김대리,A-1,홍길동,30000\n작성자,김대리,확인,이과장\n", Options{}, "2 issue A-1 30000"},
		{"rows between two quotation marks", "주문번호,결제금액,고객명,비고\nA-1,30000,홍길동,\"긴급\nA-2,12000,김영희,보통\nA-3,9000,이몽룡,급함\"\nA-4,5000,성춘향,\n", Options{}, "2   0  - UNREADABLE_ROW|5 issue A-4 5000"},
		{"a cell of several lines", "주문번호,결제금액,고객명,비고\nA-1,30000,홍길동,\"빨강\n파랑,검정,노랑,하양\"\n", Options{}, "2 issue A-1 30000"},
	} {
		c.test(t)
	}
	rows, _, err := read(t, changes+"imp_000000000003,,30000,,,\n", Options{})
	if err != nil || len(rows) != 3 || rows[2].Request.Amount != 30000 || rows[2].Invalid() {
		t.Errorf("a change to what the others come to: %v %v", briefs(rows), err)
	}
	workbook := strings.Replace(aWorkbook, "</workbook>", `<calcPr calcId="124519" fullCalcOnLoad="1"/></workbook>`, 1)
	const formula = `<row r="2"><c r="A2" t="inlineStr"><is><t>A-1</t></is></c><c r="B2"><f>C2*D2</f><v>0</v></c></row>`
	if got, err := cellsOf(t, packageOf(t, aHeader+formula, part{"xl/workbook.xml", workbook}), Options{}); err == nil || !strings.Contains(err.Error(), "B2") {
		t.Errorf("a formula that nobody calculated: %s %v", got, err)
	}
	if got, err := cellsOf(t, packageOf(t, aHeader+formula), Options{}); err != nil || got != "2 A-1|0" {
		t.Errorf("a formula that was calculated: %s %v", got, err)
	}
}
