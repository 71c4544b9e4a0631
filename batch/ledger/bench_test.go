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
	l, err := Open(filepath.Join(b.TempDir(), "ledger.db"), Merchant("sandbox", "key", ""))
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
			order := Order{MerchantUID: fmt.Sprintf("order-%09d", i), State: Intended, Run: 1, Line: i, IntentAt: time.Now(), Amount: 1000}
			if err := l.Intend(ctx, order); err != nil {
				b.Fatal(err)
			}
			order.State, order.Account = Issued, Account{ImpUID: fmt.Sprintf("imp_%012d", i), VbankNum: "01234567890123", VbankCode: "004", VbankName: "국민은행"}
			outcome := Outcome{Line: i, Status: "issued", MerchantUID: order.MerchantUID, Account: order.Account}
			if err := l.Record(ctx, Entry{Run: 1, Outcome: &outcome, Order: &order}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
