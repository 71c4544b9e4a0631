package input

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
)

// orders are the lines of a file, and what a pass makes of them; the file is larger than what is kept in memory if large.
func orders(large bool) (text string, numbers []string) {
	rows, note := 3, strings.Repeat("비", 300)
	if large {
		rows = inMemory / 900
	}
	var b strings.Builder
	b.WriteString("주문번호,금액,은행,입금기한,예금주,비고\n")
	for i := range rows {
		numbers = append(numbers, fmt.Sprintf("A-%d", i))
		fmt.Fprintf(&b, "A-%d,1000,국민,2026-12-31,한빛,%s\n", i, note)
	}
	return b.String(), numbers
}

// TestRewritten has a file written over, cut, added to or taken away once it was opened: every pass reads what Open read.
func TestRewritten(t *testing.T) {
	for _, large := range []bool{false, true} {
		text, numbers := orders(large)
		for name, change := range map[string]func(path string) error{
			"written over": func(path string) error {
				return os.WriteFile(path, []byte(strings.ReplaceAll(text, "1000", "9999")), 0o600)
			},
			"cut": func(path string) error { return os.Truncate(path, int64(len(text))/2) },
			"added to": func(path string) error {
				return os.WriteFile(path, []byte(text+"B-1,1000,국민,2026-12-31,한빛\n"), 0o600)
			},
			"removed": os.Remove,
		} {
			t.Run(fmt.Sprintf("%s, large: %v", name, large), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "orders.csv")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				f, err := Open(path, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if inFile := f.copy.file != nil; inFile != large {
					t.Errorf("in a temporary file: %v", inFile)
				}
				if err := change(path); err != nil {
					t.Fatal(err)
				}
				var passes errgroup.Group
				for range 2 { // at once
					passes.Go(func() error {
						r, err := f.Read(Options{Now: now})
						if err != nil {
							return err
						}
						defer r.Close()
						for i := 0; ; i++ {
							row, err := r.Next()
							switch {
							case err == io.EOF && i == len(numbers):
								return nil
							case err != nil:
								return fmt.Errorf("after %d rows: %w", i, err)
							case row.Request.MerchantUID != numbers[i] || row.Request.Amount != 1000:
								return fmt.Errorf("row %d is %s for %d won", i, row.Request.MerchantUID, row.Request.Amount)
							}
						}
					})
				}
				if err := passes.Wait(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestDamagedCopy has the disk lose the end of a copy.
func TestDamagedCopy(t *testing.T) {
	text, _ := orders(true)
	f, err := Open("-", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.copy.file.Truncate(f.Size - 100); err != nil {
		t.Fatal(err)
	}
	r, err := f.Read(Options{Now: now})
	for err == nil {
		_, err = r.Next()
	}
	r.Close()
	if err == io.EOF || !strings.Contains(err.Error(), "the copy that was made of it is damaged") {
		t.Error(err)
	}
}

// TestNoPlaceForCopies opens inputs where no temporary files can be made: small ones need none.
func TestNoPlaceForCopies(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	for _, large := range []bool{false, true} {
		text, _ := orders(large)
		f, err := Open("-", strings.NewReader(packed(t, text)))
		if !large {
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			continue
		}
		refused, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(err.Error(), "cannot be copied to a temporary file: no such file") || !strings.Contains(refused.Hint.String(), "TMPDIR") {
			t.Error(err)
		}
	}
}

// endless is a stream that never ends.
type endless struct{ written atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.written.Add(int64(len(p)))
	return copy(p, bytes.Repeat([]byte("A-1,1000\n"), len(p)/9+1)), nil
}

// TestMostBytes gives Open more than it may take: it takes little more, and leaves no copy behind.
func TestMostBytes(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	text, _ := orders(true)
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	most := int64(len(text) - 1)
	for _, in := range []struct {
		path  string
		stdin io.Reader
	}{{"-", new(endless)}, {"-", strings.NewReader(packed(t, text))}, {path, nil}} {
		f, err := OpenContext(t.Context(), in.path, in.stdin, most)
		if refused, ok := errors.AsType[*Error](err); f != nil || !ok || !strings.Contains(err.Error(), fmt.Sprintf("holds more than the %d bytes that --max-input allows", most)) || !strings.Contains(refused.Hint.String(), "--max-input") {
			t.Error(in.path, err)
		}
		if stream, ok := in.stdin.(*endless); ok && stream.written.Load() > most+1<<20 {
			t.Errorf("%d bytes were read", stream.written.Load())
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
	f, err := OpenContext(t.Context(), path, nil, most+1)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// silent is a stream of which nothing ever comes.
type silent struct{ end <-chan struct{} }

func (s silent) Read([]byte) (int, error) {
	<-s.end
	return 0, io.EOF
}

// TestSilentInput has the wait for a stream end with its context, whose cause is told as it is.
func TestSilentInput(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	end, stopped := make(chan struct{}), errors.New("stopped")
	defer close(end)
	go cancel(stopped)
	if f, err := OpenContext(ctx, "-", silent{end}, MostBytes); f != nil || err != stopped {
		t.Error(f, err)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "500MB": 500_000_000, "2GiB": 2 << 30, "2 gib": 2 << 30, "7kB": 7000, "10B": 10,
		"": 0, "0": 0, "-1": 0, "1.5GB": 0, "MB": 0, "10XB": 0, "9999999TiB": 0, "5G": 0} {
		got, err := ParseSize(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %d bytes, %v", text, got, err)
		}
	}
}
