package ledger

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkIssue is the ledger's share of one issue: a durable intent, then a durable outcome, with 16 workers.
func BenchmarkIssue(b *testing.B) {
	l, err := Open(filepath.Join(b.TempDir(), "ledger.db"), Merchant("sandbox", "key"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ctx := context.Background()
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			e := Entry{Outcome: Outcome{Run: 1, Line: i, Order: Order{MerchantUID: fmt.Sprintf("order-%09d", i)}, Status: "unknown", Attempts: 1, Amount: 1000}, State: Intended, IntentAt: time.Now()}
			if err := l.Intend(ctx, e); err != nil {
				b.Fatal(err)
			}
			e.State, e.Status, e.Account = Issued, "issued", Account{ImpUID: fmt.Sprintf("imp_%012d", i), VbankNum: "01234567890123", VbankCode: "004", VbankName: "국민은행"}
			if err := l.Record(ctx, e); err != nil {
				b.Fatal(err)
			}
		}
	})
}
