package serve

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"testing"

	"vbankbatch/batch/ledger"
)

func packed(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkPages makes pages of a file of 100,000 rows: what is wrong with it before it is sent, and its rows afterwards.
func BenchmarkPages(b *testing.B) {
	const rows = 100_000
	s := newSite(b)
	s.MaxUpload = 64 << 20
	var text bytes.Buffer
	text.WriteString("merchant_uid,amount,vbank_code,vbank_holder,vbank_due\n")
	for i := range rows {
		amount := fmt.Sprint(1000 + i)
		if i%2 == 0 {
			amount = "1만원"
		}
		fmt.Fprintf(&text, "P-%d,%s,004,hanbit,+7d\n", i, amount)
	}
	id, _ := s.bring("uploaders", "seoul", "large.csv", text.String())
	stored, err := s.Jobs.Get(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	for {
		if _, err := s.look(b.Context(), &stored); err == nil {
			break
		} else if err != errLooking {
			b.Fatal(err)
		}
	}
	done, _ := s.bring("uploaders", "seoul", "done.csv", good)
	s.finish(done)
	over, err := s.Jobs.Get(b.Context(), done)
	if err != nil {
		b.Fatal(err)
	}
	book, err := ledger.Open(s.path, "whose seoul")
	if err != nil {
		b.Fatal(err)
	}
	entries := make([]ledger.Entry, rows)
	for i := range entries {
		e := &entries[i]
		e.Run, e.Line, e.Action, e.Status, e.Amount, e.MerchantUID = over.Run, int64(i+10), "issue", "issued", 1000, fmt.Sprintf("P-%d", i)
		e.State, e.Attempts, e.ImpUID, e.VbankNum = ledger.Issued, 1, fmt.Sprintf("imp_%d", i), "12345678901234"
		if i == rows-1 {
			e.State, e.Status = ledger.Vacant, "rejected"
		}
	}
	for from := 0; from < rows; from += 10_000 {
		if err := book.Record(b.Context(), entries[from:from+10_000]...); err != nil {
			b.Fatal(err)
		}
	}
	if err := book.Close(); err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"start": "/", "check": filePath(id, "check"), "check-last": filePath(id, "check") + "?from=49950", "check-filter": filePath(id, "check") + "?text=99999",
		"rows": filePath(done, "rows"), "rows-last": filePath(done, "rows") + "?after=99000", "rows-rejected": filePath(done, "rows") + "?status=rejected"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.TB = b
				s.get("uploaders", path)
			}
		})
	}
}
