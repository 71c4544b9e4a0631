package input

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

// BenchmarkRead reads and validates a million rows of fifteen columns.
func BenchmarkRead(b *testing.B) {
	const rows = 1_000_000
	path := filepath.Join(b.TempDir(), "million.csv")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	fmt.Fprintln(w, "주문번호,주문일자,주문자명,이메일,연락처,상품명,수량,공급가액,결제금액,은행,입금기한,예금주,주소,우편번호,메모")
	for i := range rows {
		fmt.Fprintf(w, "20261103-%07d,2026-11-03,홍길동,hong%d@example.com,010-0000-%04d,머그컵 외 2건,3,31818,\"%d,000\",국민은행,2026-12-31,한빛상사,서울시 중구 세종대로 1,04524,\n", i, i, i%10000, 1+i%900)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	// Little is live during a pass, so that the collector runs all the time at its default; the program sets this too.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path, nil)
		if err != nil {
			b.Fatal(err)
		}
		r, err := f.Read(Options{Now: time.Date(2026, 11, 5, 0, 0, 0, 0, KST)})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			row, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil || len(row.Problems) > 0 {
				b.Fatal(err, row)
			}
			n++
		}
		if n != rows {
			b.Fatal(n, "rows")
		}
		r.Close()
		f.Close()
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
