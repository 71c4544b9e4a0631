package batch

import (
	"strings"
	"testing"

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
