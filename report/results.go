// Package report writes what a person or another program takes away from a run: the results CSV, the summary, and
// the progress while it is under way. Start with [Create] and [Results.Write].
//
// What a program may read goes to a file or to standard output; what a person reads goes to standard error. A results
// file is whole or it is not there: it is written under a temporary name, synced, and renamed into place.
package report

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gocarina/gocsv"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
)

// columns are the results' own columns, in their order; the input's stand before them.
type columns struct {
	Line         string `csv:"line"`
	Status       string `csv:"status"`
	ErrorCode    string `csv:"error_code"`
	ErrorMessage string `csv:"error_message"`
	Action       string `csv:"action"`
	MerchantUID  string `csv:"merchant_uid"`
	ImpUID       string `csv:"imp_uid"`
	Amount       string `csv:"amount"`     // won
	VbankCode    string `csv:"vbank_code"` // KFTC
	VbankName    string `csv:"vbank_name"`
	VbankNum     string `csv:"vbank_num"`
	VbankHolder  string `csv:"vbank_holder"`
	VbankDue     string `csv:"vbank_due"` // RFC 3339, +09:00
	PGProvider   string `csv:"pg_provider"`
	IssuedAt     string `csv:"issued_at"` // RFC 3339, +09:00
	Attempts     string `csv:"attempts"`
}

// Columns lists the names of the results' own columns in order.
var Columns = []string{"line", "status", "error_code", "error_message", "action", "merchant_uid", "imp_uid", "amount",
	"vbank_code", "vbank_name", "vbank_num", "vbank_holder", "vbank_due", "pg_provider", "issued_at", "attempts"}

func columnsOf(r *batch.Result) columns {
	return columns{
		Line: strconv.FormatInt(r.Line, 10), Status: r.Status, ErrorCode: r.ErrorCode, ErrorMessage: r.ErrorMessage,
		Action: r.Action, MerchantUID: r.MerchantUID, ImpUID: r.ImpUID, Amount: number(r.Amount),
		VbankCode: r.VbankCode, VbankName: r.VbankName, VbankNum: r.VbankNum, VbankHolder: r.VbankHolder,
		VbankDue: moment(r.VbankDue), PGProvider: r.PGProvider, IssuedAt: moment(r.IssuedAt), Attempts: strconv.Itoa(r.Attempts),
	}
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func moment(unix int64) string {
	if unix == 0 {
		return ""
	}
	return time.Unix(unix, 0).In(input.KST).Format(time.RFC3339)
}

// batchRows is how many rows are marshalled at once.
const batchRows = 256

// Results is a results file being written. Not safe for concurrent use.
type Results struct {
	path string
	file *os.File // nil for standard output
	out  *bufio.Writer

	kept  []int          // the input's columns that stand in the results
	asked map[string]int // those that a result column replaces and that say what the row asked for
	input [][]string
	rows  []columns
	line  bytes.Buffer
	csv   *csv.Writer
}

// Create makes the temporary file for the results at path, mode 0600, so that a place that cannot be written is known
// before anything is sent. The path "-" stands for stdout. Close it in any case; Commit first to keep it.
func Create(path string, stdout io.Writer) (*Results, error) {
	w := &Results{path: path}
	w.csv = csv.NewWriter(&w.line)
	if path == "-" {
		w.out = bufio.NewWriter(stdout)
		return w, nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", path)
	} else if err == nil && !info.Mode().IsRegular() { // a device that is renamed over is gone
		return nil, fmt.Errorf("%s is no file that could be replaced", path)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path, w.path = target, target // not the link itself
	}
	temporary := "." + filepath.Base(path) + "."
	sweep(filepath.Dir(path), temporary)
	file, err := os.CreateTemp(filepath.Dir(path), temporary+"*")
	if err != nil {
		return nil, err
	}
	w.file, w.out = file, bufio.NewWriterSize(file, 1<<16)
	return w, nil
}

// Header writes the byte order mark and the header: the input's columns, but those that the results have under the
// same name, then the results'. Where a result has nothing to say of what the row asked for, the input's text stays.
func (w *Results) Header(input []string) error {
	var header []string
	w.asked = make(map[string]int)
	for i, name := range input {
		if trimmed := strings.TrimSpace(name); slices.Contains(Columns, trimmed) {
			w.asked[trimmed] = i
			continue
		}
		w.kept = append(w.kept, i)
		header = append(header, name)
	}
	if _, err := w.out.WriteString("\uFEFF"); err != nil {
		return err
	}
	return w.record(append(header, Columns...))
}

// Write adds a row: the input's cells, then the result. The cells may be reused afterwards.
func (w *Results) Write(cells []string, result *batch.Result) error {
	var kept []string
	for _, i := range w.kept {
		kept = append(kept, cells[i])
	}
	w.input = append(w.input, kept)
	row := columnsOf(result)
	for _, field := range []struct {
		name string
		cell *string
	}{{"action", &row.Action}, {"merchant_uid", &row.MerchantUID}, {"amount", &row.Amount}, {"vbank_code", &row.VbankCode},
		{"vbank_holder", &row.VbankHolder}, {"vbank_due", &row.VbankDue}} {
		if i, ok := w.asked[field.name]; ok && *field.cell == "" {
			*field.cell = cells[i] // so that a row that was refused can be mended and run again
		}
	}
	w.rows = append(w.rows, row)
	if len(w.rows) < batchRows {
		return nil
	}
	return w.flush()
}

func (w *Results) flush() error {
	if len(w.rows) == 0 {
		return nil
	}
	err := gocsv.MarshalCSVWithoutHeaders(w.rows, (*beside)(w))
	w.rows, w.input = w.rows[:0], w.input[:0]
	return err
}

// beside is the writer that gocsv marshals the result columns to; it puts the input's own cells in front.
type beside Results

func (b *beside) Write(result []string) error {
	w := (*Results)(b)
	cells := append(w.input[0], result...)
	w.input = w.input[1:]
	return w.record(cells)
}

func (b *beside) Flush()       {}
func (b *beside) Error() error { return nil }

// record writes one line that ends in CRLF. csv.Writer's own UseCRLF would change the line breaks inside cells too.
func (w *Results) record(cells []string) error {
	w.line.Reset()
	if err := w.csv.Write(cells); err != nil {
		return err
	}
	w.csv.Flush()
	w.line.Truncate(w.line.Len() - 1)
	w.line.WriteString("\r\n")
	_, err := w.out.Write(w.line.Bytes())
	return err
}

// Commit puts the results in their place: whole, synced, in one step.
func (w *Results) Commit() error {
	if err := errors.Join(w.flush(), w.out.Flush()); err != nil || w.file == nil {
		return err
	}
	file := w.file
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), w.path); err != nil {
		return err
	}
	w.file = nil
	return syncDir(filepath.Dir(w.path))
}

// Close drops what was not committed. What stood at the path before is untouched.
func (w *Results) Close() error {
	if w.file == nil {
		return nil
	}
	closing := w.file.Close()
	if errors.Is(closing, fs.ErrClosed) {
		closing = nil
	}
	return errors.Join(closing, os.Remove(w.file.Name()))
}

// sweep removes what killed runs have left behind: half-written results, which hold people's names. One that is still
// being written is younger than a day.
func sweep(dir, prefix string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // Create will say what is wrong with the directory
	}
	for _, entry := range entries {
		random, ours := strings.CutPrefix(entry.Name(), prefix)
		if !ours || strings.Trim(random, "0123456789") != "" {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > 24*time.Hour {
			os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// syncDir makes a rename in the directory durable, where the system can.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		err = nil // Windows cannot
	}
	return errors.Join(err, dir.Close())
}
