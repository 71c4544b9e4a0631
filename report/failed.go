package report

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vbankbatch/batch"
	"vbankbatch/client/say"
)

// The columns that say why a row failed. The input's own stand before them as they were, so that the file is read with
// the flags of the run it is of; batch/input knows these two at the end of a header and takes it for no results file.
const (
	codeColumn    = "error_code"
	messageColumn = "error_message"
)

// failedRows is the file of the rows that failed, and the sheet of them in the workbook.
type failedRows struct {
	*sheet
	tab           *tab // nil without a workbook
	rows          int
	code, message int // the indexes of their columns
	width         int
	language      say.Language // of the messages
	plan          *batch.Plan
	open          map[int]bool // first lines, as of Plan.PartOf, of orders that are not done
}

// failedName is the name of a file of rows that failed, without .csv: that of the input's, and its number.
var failedName = regexp.MustCompile(`(?i)^(.+)\.failed(?:-([0-9]{1,9}))?$`)

// isFailed reports whether a file's name is one of rows that failed.
func isFailed(name string) bool {
	stem, csv := strings.CutSuffix(strings.ToLower(name), ".csv")
	return csv && failedName.MatchString(stem)
}

// failedBeside is the path for the rows that failed of the run whose results stand at out: orders.failed.csv, or of a run of
// that file orders.failed-2.csv. A file that somebody has mended is not written over: the next number is taken.
func failedBeside(out string) string {
	dir, name := filepath.Split(Beside(out, ""))
	n := 1
	if of := failedName.FindStringSubmatch(name); of != nil {
		before, _ := strconv.Atoi(of[2])
		name, n = of[1], max(before, 1)+1
	}
	for ; ; n++ {
		path := dir + name + ".failed"
		if n > 1 {
			path += "-" + strconv.Itoa(n)
		}
		if path += ".csv"; !mended(path, out) {
			return path
		}
	}
}

// mended reports whether a file of rows that failed is not any more as it was written with the results at out: then it bears
// their time. Under a folder's hidden names nobody mends anything.
func mended(path, out string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(filepath.Base(path), hidden+".") {
		return false
	}
	results, err := os.Stat(out)
	return err != nil || !info.ModTime().Equal(results.ModTime())
}

// settleOn chooses the place of a sealed file, by what stands there now, and gives it the time of the sealed results.
func (f *failedRows) settleOn(results *replacement) error {
	f.path = failedBeside(results.path)
	return sameTime(f.file.Name(), results.file.Name())
}

// sameTime gives a file the time of another.
func sameTime(path, other string) error {
	info, err := os.Stat(other)
	if err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

// header writes the input's header. Reasons that stand in it already, both of them, are replaced, and moved nowhere.
func (f *failedRows) header(names []string, delimiter rune) error {
	if delimiter != 0 {
		f.csv.Comma = delimiter
	}
	f.code, f.message = -1, -1
	for i, name := range names {
		switch strings.TrimSpace(name) {
		case codeColumn:
			f.code = i
		case messageColumn:
			f.message = i
		}
	}
	header := slices.Clone(names) // keep changes it
	if f.code < 0 || f.message < 0 {
		f.code, f.message = len(header), len(header)+1
		header = append(header, codeColumn, messageColumn)
	}
	f.width = len(header)
	if err := f.mark(); err != nil {
		return err
	}
	return f.keep(header)
}

// write adds a row if it failed, or if it is another line of an order that did and asks for the sum of its lines: without it the
// order would be for another amount.
func (f *failedRows) write(cells []string, result *batch.Result) error {
	first, part := f.plan.PartOf(int(result.Line))
	switch {
	case batch.NotDone(result.Status):
		f.rows++
		if part && int64(first) == result.Line {
			f.open[first] = true
		}
	case !part || !f.open[first]:
		return nil
	}
	row := make([]string, f.width)
	copy(row, cells)
	row[f.code], row[f.message] = result.ErrorCode, result.ErrorMessage.In(f.language)
	return f.keep(row)
}

// keep writes a line, the header too. In the CSV what a spreadsheet would spoil or run becomes ="…", which is read as what it
// was. The file is there to be mended: an order in doubt whose number has lost its zeros is another order.
func (f *failedRows) keep(line []string) error {
	if f.tab != nil {
		if err := f.tab.texts(line); err != nil {
			return err
		}
	}
	for i, cell := range line {
		line[i] = mendable(cell)
	}
	return f.record(line)
}

// mendable is a cell of the CSV.
func mendable(cell string) string {
	if trimmed := strings.TrimSpace(cell); spoiled(trimmed) || formula(trimmed) && !literal.MatchString(cell) {
		return asText(cell)
	}
	return cell
}
