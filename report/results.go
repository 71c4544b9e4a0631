// Package report writes what a person or another program takes away from a run: the results CSV, the summary, and
// the progress while it is under way. Start with [Create] and [Results.Write].
//
// What a program may read goes to a file or to standard output; what a person reads goes to standard error. A results
// file is whole or it is not there: it is written under a temporary name, synced, and renamed into place. Beside it
// stand the rows that failed, ready to be mended and run, and a workbook for those who work in Excel.
package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/say"
)

// Columns lists the names of the results' own columns in order; the input's stand before them. The amount is in won, the bank's
// code is KFTC's, and times are RFC 3339 in +09:00.
var Columns = []string{"line", "status", "error_code", "error_message", "action", "merchant_uid", "imp_uid", "amount",
	"vbank_code", "vbank_name", "vbank_num", "vbank_holder", "vbank_due", "pg_provider", "issued_at", "attempts"}

// askedFor are those of them that say what the row asked for, where the result has nothing to say.
var askedFor = []string{"action", "merchant_uid", "amount", "vbank_code", "vbank_holder", "vbank_due"}

// askedAccount is the name, known to batch/input, of the input's own column vbank_num in the results, whose vbank_num is the account
// that there is.
const askedAccount = "고정계좌번호"

// cellsOf are the cells of a result, in the order of Columns.
func cellsOf(language say.Language, r *batch.Result) []string {
	return []string{strconv.FormatInt(r.Line, 10), r.Status, r.ErrorCode, r.ErrorMessage.In(language), r.Action, r.MerchantUID, r.ImpUID, number(r.Amount),
		r.VbankCode, r.VbankName, r.VbankNum, r.VbankHolder, moment(r.VbankDue), r.PGProvider, moment(r.IssuedAt), strconv.Itoa(r.Attempts)}
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// Options say what stands beside the results, and their form.
type Options struct {
	Workbook Workbook
	Encoding string       // of the results: UTF8, as "" is, or CP949
	Alone    bool         // no rows that failed beside them, nor are those removed: the input's own columns are not known
	Language say.Language // of the messages
	Plan     *batch.Plan  // by its size it is known whether there is a workbook
	Run      *Run         // what the workbook tells of it when the results are committed; nil tells nothing
	Facts    *Facts       // likewise
}

// Paths are the files that results at out may make or remove: out itself, FILE.failed.csv, or its next number, for the rows
// that failed, and the workbook; orders.results.csv has orders.failed.csv and orders.results.xlsx beside it. Standard output,
// "-", has nothing beside it.
func Paths(out string, o Options) []string {
	if out == "-" {
		return []string{out}
	}
	paths := []string{out}
	if !o.Alone {
		paths = append(paths, failedBeside(out))
	}
	if o.Workbook != NoWorkbook {
		paths = append(paths, workbookOf(out))
	}
	return paths
}

// The endings of the files of a run. The workbook bears the results' name.
const (
	resultsEnding  = ".results.csv"
	failedEnding   = ".failed.csv"
	workbookEnding = ".xlsx"
	SummaryEnding  = ".summary.json"
	PageEnding     = ".report.html"
	MaskedEnding   = ".report-masked.html" // of a page beside one with accounts in full, which it does not write over
)

// Beside is the path of another file of the run whose results stand at out, "" where they go to standard output.
func Beside(out, ending string) string {
	if out == "-" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(out, filepath.Ext(out)), ".results") + ending
}

// Fetch puts files of a run whose results were written elsewhere to where they would stand with results at out, each whole and in
// one step, the results first. endings are those of their names where the results are NAME.results.csv. Where no row failed, the
// rows that failed of an earlier run are removed, unless somebody has mended them.
func Fetch(out string, endings []string, write func(ending string, w io.Writer) error) (paths []string, err error) {
	failed := failedBeside(out) // by what stands there now
	if slices.Contains(endings, resultsEnding) {
		endings = append([]string{resultsEnding}, slices.DeleteFunc(slices.Clone(endings), func(ending string) bool { return ending == resultsEnding })...)
		if !slices.Contains(endings, failedEnding) {
			if err := os.Remove(failed); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	for _, ending := range endings {
		path := Beside(out, ending)
		switch ending {
		case resultsEnding:
			path = out
		case resultsWorkbook:
			path = workbookOf(out)
		case failedEnding:
			path = failed
		}
		if err := Replace(path, 0o600, func(w io.Writer) error { return write(ending, w) }); err != nil {
			return nil, err
		}
		if ending == failedEnding {
			if err := sameTime(path, out); err != nil {
				return nil, err
			}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// workbookOf is the path of the workbook of results.
func workbookOf(out string) string {
	return strings.TrimSuffix(out, filepath.Ext(out)) + workbookEnding
}

// resultsWorkbook is what the name of a workbook ends with, where the results are NAME.results.csv.
const resultsWorkbook = ".results" + workbookEnding

// OfRun is the path for the results of a run by its number beside the results at out, orders.run-12.results.csv: one at which
// nothing stands.
func OfRun(out string, run int64) string {
	dir, name := filepath.Split(Beside(out, ""))
	for n := 1; ; n++ {
		path := fmt.Sprintf("%s.run-%d", filepath.Join(dir, shortened(name, longStem)), run)
		if n > 1 {
			path += fmt.Sprintf("-%d", n)
		}
		if _, err := os.Lstat(path + resultsEnding); err != nil { // whatever else is wrong shows when it is made
			return path + resultsEnding
		}
	}
}

// Default is the path of the results of the file at path, where none is named: without its ending, or both .csv and .gz.
func Default(path string) string { return stem(path) + resultsEnding }

func stem(path string) string {
	if ext := filepath.Ext(path); strings.EqualFold(ext, ".gz") {
		path = strings.TrimSuffix(path, ext)
	}
	return strings.TrimSuffix(path, filepath.Ext(path))
}

// Results are the results of a run being written, and the files beside them. Not safe for concurrent use.
type Results struct {
	Language say.Language // of the messages
	results  *sheet
	failed   *failedRows // nil on standard output
	book     *workbook   // nil without one

	header  []string
	kept    []int          // the input's columns that stand in the results
	asked   map[string]int // those that a result column replaces
	lacking EncodingError
}

// Create makes the temporary files for the results at path and for what stands beside them, mode 0600, so that a place
// that cannot be written is known before anything is sent. Close them in any case; Commit first to keep them.
//
// The path "-" stands for stdout. There the results alone are written, as they come: no rows that failed, and an error if
// a workbook was asked for.
func Create(path string, stdout io.Writer, o Options) (_ *Results, err error) {
	switch {
	case o.Encoding != "" && o.Encoding != UTF8 && o.Encoding != CP949:
		return nil, say.Errorf("results are not written in %q, but in %s or %s", o.Encoding, UTF8, CP949)
	case o.Workbook == AnyWorkbook && path == "-":
		return nil, say.New("the workbook stands in a file beside the results, and standard output has nothing beside it")
	}
	if err := o.fit(); err != nil {
		return nil, err
	}
	w := &Results{Language: o.Language}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	paths := Paths(path, o)
	if w.results, err = newSheet(path, stdout); err != nil {
		return nil, err
	}
	w.results.cp949 = o.Encoding == CP949
	if path == "-" {
		return w, nil
	}
	if !o.Alone {
		t, err := newSheet(paths[1], nil)
		if err != nil {
			return nil, err
		}
		w.failed = &failedRows{sheet: t, language: o.Language}
	}
	if o.Workbook != NoWorkbook {
		if w.book, err = newWorkbook(paths[len(paths)-1], &o); err != nil {
			return nil, err
		}
		if w.failed != nil {
			w.failed.tab = w.book.mend
		}
	}
	return w, nil
}

// Header begins the files. The results' header is the input's columns, but those that the results have under the same
// name, then the results'. Where a result has nothing to say of what the row asked for, the input's text stays.
func (w *Results) Header(plan *batch.Plan) error {
	w.asked = make(map[string]int)
	for i, name := range plan.Header {
		if fixed := slices.ContainsFunc(plan.Mapping, func(m input.Mapped) bool { return m.Field == "vbank_num" && m.Column == i+1 }); fixed && strings.TrimSpace(name) == "vbank_num" {
			name = askedAccount // what a row asked for must not be lost where it is run again, nor stand where an account is told
		} else if trimmed := strings.TrimSpace(name); slices.Contains(Columns, trimmed) {
			w.asked[trimmed] = i
			continue
		}
		w.kept = append(w.kept, i)
		w.header = append(w.header, name)
	}
	w.header = append(w.header, Columns...)
	if w.failed != nil {
		w.failed.plan, w.failed.open = plan, make(map[int]bool)
		if err := w.failed.header(plan.Header, plan.Options.Delimiter); err != nil {
			return err
		}
	}
	if w.book != nil {
		if err := w.book.header(plan, w.kept, w.header[:len(w.kept)]); err != nil {
			return err
		}
	}
	if !w.results.cp949 {
		if err := w.results.mark(); err != nil {
			return err
		}
	}
	return w.record(0, w.header)
}

// Write adds a row: the input's cells, then the result. Both may be reused afterwards. Its error ends the writing;
// a character that CP949 lacks is one on standard output only, and else told by Commit, with all the others.
func (w *Results) Write(asked *input.Row, result *batch.Result) error {
	cells := asked.Cells
	if w.failed != nil {
		if err := w.failed.write(cells, result); err != nil {
			return err
		}
	}
	row := cellsOf(w.Language, result)
	for i, name := range Columns {
		if from, ok := w.asked[name]; ok && row[i] == "" && slices.Contains(askedFor, name) {
			row[i] = cells[from] // so that a row that was refused can be mended and run again
		}
	}
	line := make([]string, 0, len(w.header))
	for _, i := range w.kept {
		line = append(line, cells[i])
	}
	line = append(line, row...)
	if err := w.record(result.Line, line); err != nil || w.book == nil {
		return err
	}
	return w.book.named(w.book.add(line, asked, result))
}

// record writes a line of the results.
func (w *Results) record(line int64, cells []string) error {
	if w.results.cp949 {
		if err := w.lacking.look(line, w.header, cells); err != nil {
			if w.results.file == nil {
				return err
			}
			return nil // what has one such character is not kept
		}
	}
	return w.results.record(cells)
}

// Commit puts the files in their places, each whole and in one step, the results first; nothing is touched before all of
// them are on the disk. Where no row failed, the rows that failed of an earlier run are removed, unless somebody has mended
// them. It returns an *EncodingError, and leaves the old files, if the results hold what their encoding lacks.
func (w *Results) Commit() error {
	if w.lacking.total > 0 {
		return &w.lacking
	}
	if w.book != nil {
		if err := w.book.end(); err != nil {
			return w.book.named(err)
		}
	}
	for _, t := range w.files() {
		if err := t.seal(); err != nil {
			return err
		}
	}
	if w.failed != nil {
		if err := w.failed.settleOn(w.results.replacement); err != nil {
			return w.failed.named(err)
		}
	}
	for _, t := range w.files() {
		if err := w.settle(t); err != nil {
			return t.named(err)
		}
	}
	return nil
}

// settle puts a sealed file in its place, or takes away what stands in the place of one that has nothing to say.
func (w *Results) settle(t *replacement) error {
	if t.file == nil {
		return nil
	}
	if w.failed != nil && t == w.failed.replacement && w.failed.rows == 0 {
		if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := t.drop(); err != nil {
			return err
		}
	} else if err := t.place(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(t.path))
}

// Failed is the path of the rows that failed, and how many there are; "" without any.
func (w *Results) Failed() (path string, rows int) {
	if w.failed == nil || w.failed.rows == 0 {
		return "", 0
	}
	return w.failed.path, w.failed.rows
}

// Workbook is its path, "" without one.
func (w *Results) Workbook() string {
	if w.book == nil {
		return ""
	}
	return w.book.path
}

// Close drops what was not committed. What stood at the paths before is untouched.
func (w *Results) Close() error {
	var all []error
	for _, t := range w.files() {
		all = append(all, t.drop())
	}
	if w.book != nil {
		all = append(all, w.book.close())
	}
	return errors.Join(all...)
}

// files are those that there are, in the order in which they are put in their places.
func (w *Results) files() (files []*replacement) {
	if w.results != nil {
		files = append(files, w.results.replacement)
	}
	if w.book != nil {
		files = append(files, w.book.replacement)
	}
	if w.failed != nil {
		files = append(files, w.failed.replacement)
	}
	return files
}
