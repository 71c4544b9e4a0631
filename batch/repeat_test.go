package batch

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbankbatch/batch/input"
	"vbankbatch/client"
)

// TestAlikeAndRepeated holds the index against a look at every two rows.
func TestAlikeAndRepeated(t *testing.T) {
	forms := map[string]string{"A-1": "A", "a-1": "A", "Ａ－１": "A", "ａ-1": "A", "A-2": "B", "a-2": "B", "É": "E", "é": "E", "가": "가", "ㅏ": "ᅡ", "ᅡ": "ᅡ", "ﬁ": "FI", "fi": "FI", "①": "1", "1": "1"}
	ids := make([]string, 0, len(forms))
	for id := range forms {
		ids = append(ids, id)
	}
	rapid.Check(t, func(t *rapid.T) {
		var rows []*input.Row
		x := repeatIndex{most: mostRepeats}
		for i := range rapid.IntRange(0, 12).Draw(t, "rows") {
			row := &input.Row{Line: i + 2, Action: input.Issue, Tier: rapid.SampledFrom([]string{"", "", "", "001"}).Draw(t, "tier"),
				Request: client.IssueRequest{MerchantUID: rapid.SampledFrom(ids).Draw(t, "id"), Amount: rapid.Int64Range(1, 2).Draw(t, "amount")}}
			if rapid.IntRange(0, 9).Draw(t, "skipped") == 0 {
				row.Skip = input.Filtered
			}
			rows = append(rows, row)
			x.add(row)
		}
		found, looks := x.resolve()
		for _, a := range rows {
			var repeated repeat
			alike := 0
			for _, b := range rows {
				if a.Skip != "" || b.Skip != "" || a.Tier != b.Tier {
					continue
				}
				if a.Request.MerchantUID == b.Request.MerchantUID {
					if a != b && repeated.first == 0 {
						repeated.first = min(a.Line, b.Line)
					}
					repeated.conflict = repeated.conflict || a.Request.Amount != b.Request.Amount
				} else if forms[a.Request.MerchantUID] == forms[b.Request.MerchantUID] && alike == 0 {
					alike = b.Line
				}
			}
			if got := found[a.Line]; got != repeated {
				t.Errorf("line %d: %+v, want %+v", a.Line, got, repeated)
			}
			if got := looks[a.Line]; got != alike {
				t.Errorf("line %d looks like %d, want %d", a.Line, got, alike)
			}
		}
	})
}

// TestTooMany: so many lines of orders that stand in others too are too many. Those that only look like others may be as
// many as they like; not all are told.
func TestTooMany(t *testing.T) {
	const most = 2 * mostAlike
	for name, test := range map[string]struct {
		name    func(i int) (key uint64, spelling byte)
		tooMany bool
		looks   int
	}{
		"one order":  {func(int) (uint64, byte) { return 7, 7 }, true, 0},
		"all in two": {func(i int) (uint64, byte) { return uint64(i/2) << 44, 7 }, true, 0},
		"all alike":  {func(i int) (uint64, byte) { return uint64(i/2) << 44, byte(i % 2) }, false, mostAlike},
	} {
		x := repeatIndex{most: most, entries: make([]entry, most, most+2)}
		for i := range x.entries {
			key, spelling := test.name(i)
			x.entries[i] = entry{key: key, line: uint32(i + 2), spelling: [3]byte{spelling}, by: issueByOrder}
		}
		if x.tooMany() {
			t.Errorf("%s: the most are too many", name)
		}
		x.entries = append(x.entries, x.entries[0], x.entries[1])
		if got := x.tooMany(); got != test.tooMany {
			t.Errorf("%s: too many: %t", name, got)
		}
		if _, looks := x.resolve(); len(looks) != test.looks {
			t.Errorf("%s: %d lines look like others", name, len(looks))
		}
	}
}

// TestStopsReading has behind too many lines of one order one that would be another error of the file.
func TestStopsReading(t *testing.T) {
	text := "order_id,amount\n" + strings.Repeat("A-1,1\n", 1100) + "amount,order_id,memo\n"
	file, err := input.Open("-", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := preflight(t.Context(), file, input.Options{}, 1000); err == nil || !strings.Contains(err.Error(), "more than 1000 lines") {
		t.Error(err)
	}
}

// TestItems has lines of one order that differ. want is, by line, the amount that is sent, 0 for a line that another one
// stands for, and -1 for one that is refused.
func TestItems(t *testing.T) {
	const bank = "국민,2099-12-31,한빛"
	const most = "999999999999"
	for _, c := range []struct {
		name, header string
		lines        []string
		items        string
		want         string
		says         string // in what is said of the last line
	}{
		{"the same row", "상품명,비고", []string{"A-1,1000,컵,", "A-1,1000원,컵,서둘러 주세요"}, "", "1000 0", ""},
		{"items", "상품명,비고", []string{"A-1,1000,컵,", "A-1,1000,접시,"}, "", "-1 -1", "“상품명” (column 6)"},
		{"a serial number", "순번", []string{"A-1,1000,1", "A-1,1000,2"}, "", "-1 -1", "--items same"},
		{"items, the order's amount in each", "상품명", []string{"A-1,1000,컵", "A-1,1000,접시", "A-2,5,컵"}, input.ItemsSame, "1000 0 5", ""},
		{"items, their own amounts where the order's should be", "상품명", []string{"A-1,1000,컵", "A-1,2000,접시"}, input.ItemsSame, "-1 -1", "--items sum"},
		{"items, each its own", "상품명", []string{"A-1,1000,컵", "A-2,5,컵", "A-1,2000,접시", "A-1,1000,컵"}, input.ItemsSum, "4000 5 0 0", "the 4000 won of all its lines, the 1000 won of this one"},
		{"one of them is invalid", "상품명", []string{"A-1,1000,컵", "A-1,-200,쿠폰", "A-1,1000,컵"}, input.ItemsSum, "-1 -1 -1", "line 3 is of the same order"},
		{"one of them is free", "상품명", []string{"A-1,1000,컵", "A-1,0,사은품"}, input.ItemsSum, "1000 0", ""},
		{"too much together", "상품명", []string{"A-1," + most + ",컵", "A-1,1,접시"}, input.ItemsSum, "-1 -1", "12 digits"},
		{"their taxes", "상품명,vat_amount", []string{"A-1,1000,컵,90", "A-1,1000,접시,90"}, input.ItemsSum, "-1 -1", "--ignore"},
		{"bills", "일자", []string{"A-1,1000,10월", "A-1,1000,11월"}, "", "-1 -1", "--key '{주문번호}-{일자}'"},
	} {
		text := "주문번호,결제금액,은행,입금기한,예금주," + c.header + "\n"
		for _, line := range c.lines {
			cells := strings.SplitN(line, ",", 3)
			text += cells[0] + "," + cells[1] + "," + bank + "," + cells[2] + "\n"
		}
		file, err := input.Open("-", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		p, err := Preflight(t.Context(), file, input.Options{Items: c.items, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		var won int64
		said := ""
		if err := p.Each(t.Context(), func(row *input.Row) error {
			amount := row.Request.Amount
			if _, message := row.Complaint(); row.Invalid() {
				amount, said = -1, message.String()
			} else if row.Skip != "" {
				amount, said = 0, message.String()
			} else {
				won += amount
			}
			got = append(got, strconv.FormatInt(amount, 10))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != c.want || !strings.Contains(said, c.says) || p.Won != won {
			t.Errorf("%s: %v, %d won: %s", c.name, got, p.Won, said)
		}
		if err := (Guards{Strict: true}).Check(p); p.Invalid == 0 && p.Skips[CodeRepeated] > 0 && c.items == "" && err == nil {
			t.Errorf("%s: --strict allows it", c.name)
		}
	}
}

// TestOwnResults runs the results of items again, in which the first line has the sum beside its own amount.
func TestOwnResults(t *testing.T) {
	const text = "주문번호,결제금액,은행,입금기한,예금주,상품명,line,status,error_code,error_message,action,merchant_uid,imp_uid,amount,attempts\n" +
		"A-1,1000,국민,2099-12-31,한빛,컵,2,issued,,,issue,A-1,imp_1,3000,1\n" +
		"A-1,2000,국민,2099-12-31,한빛,접시,3,skipped,REPEATED,line 2,issue,A-1,,2000,0\n"
	file, err := input.Open("-", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p, err := Preflight(t.Context(), file, input.Options{Items: input.ItemsSum, Now: time.Now()})
	if err != nil || p.Won != 3000 || p.Invalid > 0 {
		t.Error(p, err)
	}
}
