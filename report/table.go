package report

import (
	"io"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"

	"vbankbatch/client/say"
)

// tableBlock is how many rows a table looks at together to find how wide its columns are.
const tableBlock = 500

// table writes rows in columns for people, without holding more than a block of them: a column that turns out too
// narrow in a later block is wider from there on. Hangul takes two places.
type table struct {
	w      io.Writer
	right  map[int]bool // columns of numbers
	rows   [][]string
	widths []int
}

// headings are the names of a table's columns, for people.
func headings(language say.Language, names ...string) []string {
	for i, name := range names {
		names[i] = language.Text(name)
	}
	return names
}

func newTable(w io.Writer, header []string, right ...int) *table {
	t := &table{w: w, right: make(map[int]bool), rows: [][]string{header}, widths: make([]int, len(header))}
	for _, column := range right {
		t.right[column] = true
	}
	return t
}

// add takes a row. An empty cell is shown as a dash.
func (t *table) add(cells ...string) error {
	for i, cell := range cells {
		if cells[i] = visible(cell); cell == "" {
			cells[i] = "-"
		}
	}
	if t.rows = append(t.rows, cells); len(t.rows) < tableBlock {
		return nil
	}
	return t.flush()
}

// flush writes what was added.
func (t *table) flush() error {
	for _, row := range t.rows {
		for i, cell := range row {
			t.widths[i] = max(t.widths[i], uniseg.StringWidth(cell))
		}
	}
	var out strings.Builder
	for _, row := range t.rows {
		for i, cell := range row {
			space := strings.Repeat(" ", t.widths[i]-uniseg.StringWidth(cell))
			if i > 0 {
				out.WriteString("  ")
			}
			switch {
			case t.right[i]:
				out.WriteString(space + cell)
			case i == len(row)-1:
				out.WriteString(cell)
			default:
				out.WriteString(cell + space)
			}
		}
		out.WriteByte('\n')
	}
	t.rows = t.rows[:0]
	_, err := io.WriteString(t.w, out.String())
	return err
}

// visible keeps a terminal from obeying what others have written.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
