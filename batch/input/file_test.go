package input

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/unicode/norm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const small = "주문번호,금액,은행,입금기한,예금주\nA-1,1000,국민,2026-12-31,똠방각하\n"

// TestOneTable reads the same small in every encoding and with every separator.
func TestOneTable(t *testing.T) {
	cp949, err := korean.EUCKR.NewEncoder().String(small)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"UTF-8": small, "UTF-8 with BOM": bom + small, "CP949": cp949, "decomposed": norm.NFD.String(small), "CRLF": strings.ReplaceAll(small, "\n", "\r\n"), "CR": strings.ReplaceAll(small, "\n", "\r"), "CR of CP949": strings.ReplaceAll(cp949, "\n", "\r"),
		"tabs": strings.ReplaceAll(small, ",", "\t"), "semicolons": strings.ReplaceAll(small, ",", ";"), "bars": strings.ReplaceAll(small, ",", "|"),
		"quoted": `"` + strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(small), ",", `","`), "\n", "\"\n\"") + `"`, "BOM and quoted": bom + `"주문번호",금액,은행,입금기한,예금주` + "\nA-1,1000,국민,2026-12-31,똠방각하",
		"no line end": strings.TrimSpace(small), "titles and blanks": "한빛상사,판매현황\n\n" + small + "\n\n,,,,\n", "trailing columns": strings.ReplaceAll(small, "\n", ",,,\n"),
	} {
		rows, _, err := read(t, text, Options{})
		if err != nil || len(rows) != 1 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
			continue
		}
		if got := brief(rows[0]); !strings.HasSuffix(got, "issue A-1 1000 004 2026-12-31T23:59:59") || rows[0].Request.VbankHolder != "똠방각하" {
			t.Errorf("%s: %s, %q", name, got, rows[0].Request.VbankHolder)
		}
	}
}

func TestRefusedFiles(t *testing.T) {
	for _, c := range []struct{ name, text, message string }{
		{"empty", "", "is empty"},
		{"blank", "\n\n  \n", "is empty"},
		{"xlsx", "PK\x03\x04 and so on", "damaged workbook"},
		{"xls", "\xD0\xCF\x11\xE0 and so on", "xls"},
		{"web page", "<html><small><tr><td>주문번호</td></tr></small></html>", "web page"},
		{"NUL", "주문번호,금액\nA-1,10\x0000\n", "line 2, column 7: holds a NUL byte"},
		{"neither UTF-8 nor CP949", "주문번호,금액\nA-1,\xff\xff\xff\n", "line 2, column 5"},
		{"BOM and CP949", bom + "주문번호,금액\n\xb1\xb9,1\n", "line 2, column 1"},
		{"no header", "하나,둘\n1,2\n", "no header was found"},
		{"a quotation mark before the header", "\"" + small, "line 1: a quotation mark is opened and never closed"},
		{"no amount", "주문번호,이름,은행\nA-1,홍길동,국민\n", "amount"},
		{"two candidates", "주문번호,결제금액,청구금액,은행,입금기한,예금주\n", "“결제금액” may be what was paid already, since “청구금액” stands beside it"},
		{"the same name twice", "주문번호,금액,금액,은행,입금기한,예금주\n", "columns 2 and 3 are both called “금액”"},
		{"a line without an end", "주문번호,금액\n" + strings.Repeat("x", 10<<20), "longer than 1 MiB"},
		{"bytes of no encoding", "\xc1\xd6\xb9\xae\xb9\xf8\xc8\xa3,\xb1\xdd\xbe\xd7\n" + strings.Repeat("A\"1,10\xb0 1\n", 10), "line 2, column 7"},
		{"a bare quote on a line without an end", "주문번호,금액\nA\"1," + strings.Repeat("x", 2<<20) + "\n", "line 2: the line is longer than 1 MiB"},
		{"ten thousand times two columns", strings.Repeat("주문번호,", 20000) + "금액\n", "columns"},
	} {
		_, _, err := read(t, c.text, Options{})
		file, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v, want %q", c.name, err, c.message)
		} else if file.Hint == "" && c.name != "empty" && c.name != "blank" && !strings.Contains(c.name, "thousand") {
			t.Errorf("%s: no hint", c.name)
		}
	}
	if _, err := Open("testdata", nil); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Error(err)
	}
	if _, err := Open("testdata/missing.csv", nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestRowsApart has rows that are broken in themselves; the others are read.
func TestRowsApart(t *testing.T) {
	rows, _, err := read(t, small+
		"A-2,1000,국민,2026-12-31,\"한빛\nA-3,1000,국민,2026-12-31,한빛\n"+ // a quotation mark without its partner
		"A-4,1000,국민\n"+ // too few
		"A-5,1000,국민,2026-12-31,한빛,more\n"+ // too many
		"A-6,1000,국민,2026-12-31,\"두\n줄\"\n"+
		"A-7,=1+1,국민,2026-12-31,한\"빛\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		code, _ := row.Complaint()
		got = append(got, fmt.Sprintf("%d %s %s", row.Line, row.Cells[0], code))
	}
	want := "2 A-1 |3 A-2 UNREADABLE_ROW|4 A-3 |5 A-4 COLUMN_COUNT|6 A-5 COLUMN_COUNT|7 A-6 |9 A-7 AMOUNT_INVALID"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

// TestHostile reads what nobody should write, in little memory and time.
func TestHostile(t *testing.T) {
	const more = "A-2,1000,국민,2026-12-31,한빛\n"
	for _, c := range []struct {
		name, text string
		rows       int
		codes      string // of the last row
		megabytes  uint64 // allocated in all, at most
	}{
		{"a million blank lines", small + strings.Repeat("\n", 1_000_000) + more, 2, "", 20},
		{"a million commas", small + strings.Repeat(",", 1_000_000) + "\n" + more, 2, "", 400},
		{"ten thousand cells", small + "A-2" + strings.Repeat(",x", 10_000) + "\n", 2, "COLUMN_COUNT", 20},
		{"ten thousand columns", strings.Replace(small, "\n", strings.Repeat(",x", 10_000)+"\n", 1), 1, "COLUMN_COUNT", 50},
		{"a lone quote", small + "\"" + strings.Repeat(more, 30_000), 30_001, "", 400},
		{"a lone quote in every other line", small + strings.Repeat("\""+more+more, 6_000), 12_001, "", 600},
		{"quotes that pair up across lines", small + strings.Repeat("\"\"\"\n", 30_000), 15_001, "COLUMN_COUNT", 200},
		{"formulas that never end", small + "A-2,a\"b" + strings.Repeat(",=(", 300_000) + "\n", 2, "COLUMN_COUNT", 400},
		{"quotes that pair up with nothing", small + strings.Repeat("\"x\"y\n", 30_000), 30_001, "UNREADABLE_ROW", 600},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			started := time.Now()
			rows, _, err := read(t, c.text, Options{})
			took := time.Since(started)
			runtime.ReadMemStats(&after)
			if err != nil || len(rows) != c.rows {
				t.Fatalf("%d rows, want %d; %v", len(rows), c.rows, err)
			}
			if codes, _ := rows[len(rows)-1].Complaint(); codes != c.codes {
				t.Errorf("the last row says %q, want %q", codes, c.codes)
			}
			if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > c.megabytes || took > 5*time.Minute {
				t.Errorf("%d MB in %v, want at most %d MB", mb, took, c.megabytes)
			}
		})
	}
}

// TestCloseEarly leaves a pass in its middle; TestMain sees that no goroutine stays behind.
func TestCloseEarly(t *testing.T) {
	f, err := Open("-", strings.NewReader(small+strings.Repeat("A-2,1000,국민,2026-12-31,한빛\n", 10_000)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := f.Read(Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Error(err)
	}
	r.Close()
	r.Close()
}

func TestStandardInput(t *testing.T) {
	f, err := Open("-", strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 { // it can be read more than once
		r, err := f.Read(Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if row, err := r.Next(); err != nil || row.Request.MerchantUID != "A-1" {
			t.Error(row, err)
		}
		r.Close()
	}
}

func TestMapAndDefaults(t *testing.T) {
	const text = "번호,값,결제금액,둘\nA-1,1000,5,x\nA-2,2000,5,y\n"
	o := Options{Map: map[string]string{"merchant_uid": "번호", "amount": "값"}, Set: someDefaults, Where: []Where{{"둘", "y"}}}
	rows, _, err := read(t, text, o)
	if err != nil || len(rows) != 2 || rows[0].Skip != Filtered || rows[1].Request.Amount != 2000 || rows[1].Request.VbankHolder != "한빛상사" || !rows[1].RelativeDue {
		t.Errorf("%v %v", briefs(rows), err)
	}
	for _, o := range []Options{
		{Map: map[string]string{"amount": "없음"}},
		{Map: map[string]string{"amuont": "값"}},
		{Set: map[string]string{"vbank_due": "2020-01-01"}},
		{Set: map[string]string{"merchant_uid": "A-1"}},
		{Key: "{없음}"}, {Key: "constant"}, {Key: "{번호"},
		{Where: []Where{{"없음", "x"}}},
	} {
		if _, _, err := read(t, text, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// TestHeaders looks at which column each field is read from.
func TestHeaders(t *testing.T) {
	for name, c := range map[string]struct{ header, want string }{
		"never a neighbour": {"공급가액,합 계,배송비,주문자,수취인,주문번호,환불은행,은행,입금계좌,주문일자,입금기한(필수),*예금주",
			"amount=합 계 buyer_name=주문자 merchant_uid=주문번호 vbank_code=은행 vbank_due=입금기한(필수) vbank_holder=*예금주"},
		"the stronger name": {"상품주문번호,주문번호,금액(원),결제금액,은행,입금기한,예금주,전화번호,휴대폰",
			"merchant_uid=주문번호 amount=결제금액 vbank_code=은행 vbank_due=입금기한 vbank_holder=예금주 buyer_tel=휴대폰"},
		"the API's own name": {"주문번호,ＭＥＲＣＨＡＮＴ_UID,결제금액,Amount,BANK,vbank_code,due,예금주",
			"merchant_uid=MERCHANT amount=Amount vbank_code=vbank_code vbank_due=due vbank_holder=예금주"},
		"results fed back": {"line,status,error_code,error_message,action,merchant_uid,imp_uid,amount,vbank_code,vbank_name,vbank_num,vbank_holder,vbank_due,pg_provider,issued_at,attempts",
			"action=action merchant_uid=merchant_uid amount=amount vbank_code=vbank_code vbank_holder=vbank_holder vbank_due=vbank_due"},
	} {
		f, err := Open("-", strings.NewReader(c.header+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.Read(Options{Now: now})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, m := range r.Mapping() {
			if m.Header == "ＭＥＲＣＨＡＮＴ_UID" {
				m.Header = "MERCHANT"
			}
			got = append(got, m.Field+"="+m.Header)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", name, strings.Join(got, " "), c.want)
		}
		r.Close()
		f.Close()
	}
}

// TestAnotherHeader joins two files whose columns differ: the amount would be read from another column unseen.
func TestAnotherHeader(t *testing.T) {
	_, _, err := read(t, small+"주문번호,은행,금액,입금기한,예금주\nA-2,국민,1000,2026-12-31,한빛\n", Options{})
	if file, ok := errors.AsType[*Error](err); !ok || file.Line != 3 || !strings.Contains(file.Message.String(), "another header") {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob(exports + "/*.*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(small))
	f.Add([]byte("\"" + small))
	f.Add([]byte("merchant_uid,amount,buyer_tel,buyer_name\nA-1,1000,\x01=\"01000001234\",\x01'" + strings.Repeat("가", 20) + "\n"))
	f.Add([]byte("merchant_uid,amount,name\nA-1,1000,\"=\"\"" + strings.Repeat("가", 37) + "\"\"나다라\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Open("-", bytes.NewReader(text))
		if err != nil {
			return
		}
		defer file.Close()
		r, err := file.Read(Options{Now: now, Set: map[string]string{"vbank_code": "국민", "vbank_due": "+7d", "vbank_holder": "한빛"}})
		if err != nil {
			return
		}
		defer r.Close()
		last := 0
		var accepted []*Row
		for {
			row, err := r.Next()
			if err != nil {
				break
			}
			if row.Line <= last || len(row.Cells) != len(r.Header()) {
				t.Fatalf("line %d after %d, %d cells under %d headers", row.Line, last, len(row.Cells), len(r.Header()))
			}
			last = row.Line
			if row.Invalid() || row.Skip != "" {
				continue
			}
			request := row.Request
			if row.Action == Issue && (request.Amount <= 0 || request.MerchantUID == "" || request.VbankDue <= now.Unix() || request.VbankCode == "") {
				t.Fatalf("line %d was let through: %+v", row.Line, request)
			}
			if placeholder(request.MerchantUID) || strings.Contains(fmt.Sprintf("%+v%s", request, request.CustomData), lost) {
				t.Fatalf("line %d was let through with what was lost: %+v", row.Line, request)
			}
			if row.Action == Issue && len(accepted) < 100 {
				accepted = append(accepted, row)
			}
		}
		writtenAndRead(t, accepted)
	})
}

// writtenAndRead writes rows as plain CSV, with the texts that they were read as, and reads them again.
func writtenAndRead(t *testing.T, rows []*Row) {
	if len(rows) == 0 {
		return
	}
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	w.Write([]string{"merchant_uid", "amount", "vbank_code", "vbank_due", "vbank_holder", "name", "buyer_name", "buyer_email", "buyer_tel", "buyer_addr",
		"buyer_postcode", "pg", "vbank_num", "vbank_key"})
	for _, row := range rows {
		r := row.Request
		w.Write([]string{r.MerchantUID, fmt.Sprint(r.Amount), row.Bank, time.Unix(r.VbankDue, 0).UTC().Format(time.RFC3339), r.VbankHolder, r.Name, r.BuyerName,
			r.BuyerEmail, r.BuyerTel, r.BuyerAddr, r.BuyerPostcode, r.PG, r.VbankNum, r.VbankKey})
	}
	w.Flush()
	again, _, err := read(t, text.String(), Options{})
	if err != nil || len(again) != len(rows) {
		t.Fatalf("%d rows came back as %d: %v\n%s", len(rows), len(again), err, &text)
	}
	for i, row := range rows {
		a, b := row.Request, again[i].Request
		a.ChannelKey, a.NoticeURL, a.CustomData, a.ProductType, a.BusinessRegistrationNumber = "", nil, nil, "", ""
		a.TaxFree, a.VatAmount, a.ProductCount, a.EscrowPassword, a.FixedUnlimitedVbank = nil, nil, nil, "", false
		if diff := cmp.Diff(a, b); diff != "" || again[i].Invalid() {
			t.Fatalf("line %d came back as another (%+v): %s", row.Line, again[i].Problems, diff)
		}
	}
}

func ExampleOpen() {
	file, err := Open("-", strings.NewReader("주문번호,결제금액,은행,예금주\nA-1,\"35,000원\",KB국민은행,한빛상사\nA-2,만원,국민,한빛상사\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	reader, err := file.Read(Options{Set: map[string]string{"vbank_due": "+7d"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()
	for {
		row, err := reader.Next()
		if err != nil {
			break
		}
		codes, _ := row.Complaint()
		fmt.Printf("%d %s %d %q\n", row.Line, row.Request.MerchantUID, row.Request.Amount, codes)
	}
	// Output:
	// 2 A-1 35000 ""
	// 3 A-2 0 "AMOUNT_INVALID"
}

func packed(t testing.TB, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPacked reads what gzip has packed, by a name and from standard input, and refuses half of it.
func TestPacked(t *testing.T) {
	whole := packed(t, small)
	for name, c := range map[string]struct{ text, message string }{
		"whole":           {whole, ""},
		"two in one":      {packed(t, small[:30]) + packed(t, small[30:]), ""},
		"cut short":       {whole[:len(whole)-12], "cannot be unpacked: unexpected EOF"},
		"its end missing": {whole[:len(whole)-2], "cannot be unpacked: unexpected EOF"},
		"damaged":         {whole[:20] + "xxxx" + whole[24:], "cannot be unpacked"},
		"no header":       {"\x1f\x8b", "cannot be unpacked: unexpected EOF"},
		"a workbook":      {packed(t, "PK\x03\x04 and so on"), "damaged workbook"},
	} {
		path := filepath.Join(t.TempDir(), "orders.csv.gz")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		byName, errName := Open(path, nil)
		piped, errPipe := Open("-", strings.NewReader(c.text))
		for _, err := range []error{errName, errPipe} {
			if c.message == "" && err != nil || c.message != "" && (err == nil || !strings.Contains(err.Error(), c.message)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, f := range []*File{byName, piped} {
			if f != nil {
				if plain, err := Open("-", strings.NewReader(small)); err != nil || f.Digest != plain.Digest || f.Size != int64(len(small)) {
					t.Errorf("%s: %+v, %v", name, f, err)
				} else {
					plain.Close()
				}
				f.Close()
			}
		}
	}
}

// TestStillGrowing appends to a file after it was opened, and while it is looked at.
func TestStillGrowing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.csv")
	writer, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	add := func(text string) {
		if _, err := writer.WriteString(text); err != nil {
			t.Error(err)
		}
	}
	add(small)
	for name, when := range map[string]time.Duration{"before": 0, "while": 100 * time.Millisecond} {
		f, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		adding := time.AfterFunc(when, func() { add("A-2,1000,국민,2026-12-31,한빛\n") })
		if when == 0 {
			adding.Stop()
			add("A-2,1000,국민,2026-12-31,한빛\n")
		}
		if err := f.Settled(t.Context()); err == nil || !strings.Contains(err.Error(), "is still being written") {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
	f, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Settled(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestHalfCharacters has half a character, or one that a conversion lost, in a cell that is sent, and in one that is not.
func TestHalfCharacters(t *testing.T) {
	header, filler := "주문번호,금액,은행,입금기한,예금주,상품명,비고,메모\n", strings.Repeat("Z,1000,국민,2026-12-31,한빛,책,,\n", 30)
	cp949 := func(text string) string {
		encoded, err := korean.EUCKR.NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	for _, half := range []struct {
		encoding, text string
		encode         func(string) string
	}{
		{"utf-8", "\xEA\xB5", func(s string) string { return s }}, {"utf-8", "\xEA", func(s string) string { return s }}, {"utf-8", lost, func(s string) string { return s }}, {"cp949", "\xb1", cp949},
	} {
		for cells, want := range map[string]string{
			"A-1,1000,국민,2026-12-31,한빛,책,,메모#":     "",
			"A-1,1000,국민,2026-12-31,한빛,책,\"#\",메모": "",
			"A-1,1000,국민,2026-12-31,한빛,책#,,":       "TEXT_INVALID",
			"A-1,1000,국민,2026-12-31,한빛#,책,,":       "TEXT_INVALID",
			"A-1#,1000,국민,2026-12-31,한빛,책,,":       "KEY_INVALID",
			"A-1,1000#,국민,2026-12-31,한빛,책,,":       "AMOUNT_INVALID",
			"A-1,1000,국민#,2026-12-31,한빛,책,,":       "BANK_UNKNOWN",
			"A-1,1000,국민,2026-12-31#,한빛,책,,":       "DATE_INVALID",
		} {
			before, after, _ := strings.Cut(header+filler+cells+"\n"+filler, "#")
			rows, _, err := read(t, half.encode(before)+half.text+half.encode(after), Options{})
			if err != nil || len(rows) != 61 {
				t.Errorf("%s %q: %d rows, %v", half.encoding, cells, len(rows), err)
				continue
			}
			if codes, _ := rows[30].Complaint(); codes != want || rows[60].Request.VbankHolder != "한빛" || len(rows[60].Problems) > 0 {
				t.Errorf("%s %q: %s, want %s", half.encoding, cells, codes, want)
			}
		}
	}
	if rows, _, err := read(t, cp949(header)+strings.Repeat(cp949("A-1,1000,국민,2026-12-31,한빛,책,,메")+"\xb1\n", 3000), Options{}); err != nil || len(rows) != 3000 || rows[2999].Invalid() {
		t.Error("texts that are cut by bytes", err)
	}
	filtered, _, err := read(t, header+"A-1,1000,국민,2026-12-31,한빛,책,,보\xEB\nA-2,1000,국민,2026-12-31,한빛,책,,보냄\n", Options{Where: []Where{{"메모", "보냄"}}})
	if err != nil || !filtered[0].Invalid() || filtered[1].Invalid() {
		t.Error(filtered, err)
	}
	_, _, err = read(t, "주문\uFFFD번호,금액,은행,입금기한,예금주\nA-1,1000,국민,2026-12-31,한빛\n", Options{})
	if err == nil {
		t.Error("a header that has lost a character is read as if it had not")
	}
}

// TestUTF16 reads both orders of bytes, with and without the mark, and says where it ends being text.
func TestUTF16(t *testing.T) {
	for _, c := range []struct {
		name, text, encoding string
		order                unicode.Endianness
		mark                 unicode.BOMPolicy
		message              string
	}{
		{"little", small, "", unicode.LittleEndian, unicode.UseBOM, ""},
		{"big", small, "", unicode.BigEndian, unicode.UseBOM, ""},
		{"no mark", small, "utf-16le", unicode.LittleEndian, unicode.IgnoreBOM, ""},
		{"no mark and no flag", small, "", unicode.LittleEndian, unicode.IgnoreBOM, "line 1, column 10: holds a NUL byte"},
		{"called UTF-8", small, "utf-8", unicode.LittleEndian, unicode.UseBOM, "begins as utf-16le does"},
		{"NUL", small + "A-2,\x00", "", unicode.BigEndian, unicode.UseBOM, "line 3, column 5: holds a NUL character"},
		{"half a character", small + strings.Repeat("A-2,\uFFFD1\n", 4), "", unicode.LittleEndian, unicode.UseBOM, "line 3, column 5: holds half a character"},
		{"a workbook's page", "<html>" + small, "", unicode.LittleEndian, unicode.UseBOM, "web page"},
	} {
		text, err := unicode.UTF16(c.order, c.mark).NewEncoder().String(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if c.name == "half a character" {
			text = strings.ReplaceAll(text, "\xfd\xff", "\x00\xd8")
		}
		rows, _, err := read(t, text, Options{Encoding: c.encoding})
		if c.message == "" && (err != nil || len(rows) != 1 || rows[0].Request.VbankHolder != "똠방각하") {
			t.Errorf("%s: %v %v", c.name, briefs(rows), err)
		}
		if c.message != "" && (err == nil || !strings.Contains(err.Error(), c.message)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
