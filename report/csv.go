package report

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"io"

	"golang.org/x/text/encoding/korean"
)

// sheet is a CSV file in the making.
type sheet struct {
	*replacement
	cp949 bool
	line  bytes.Buffer
	csv   *csv.Writer
}

// newSheet makes one that will stand at path, or that goes to stdout where the path is "-".
func newSheet(path string, stdout io.Writer) (_ *sheet, err error) {
	t := new(sheet)
	t.csv = csv.NewWriter(&t.line)
	if path == "-" {
		t.replacement = &replacement{path: path, out: bufio.NewWriter(stdout)}
		return t, nil
	}
	if t.replacement, err = newReplacement(path); err != nil {
		return nil, err
	}
	return t, nil
}

// mark writes the byte order mark, by which Excel knows UTF-8.
func (t *sheet) mark() error {
	_, err := t.out.WriteString("\uFEFF")
	return t.named(err)
}

// record writes one line that ends in CRLF. csv.Writer's own UseCRLF would change the line breaks inside cells too.
func (t *sheet) record(cells []string) error {
	t.line.Reset()
	if err := t.csv.Write(cells); err != nil {
		return err
	}
	t.csv.Flush()
	t.line.Truncate(t.line.Len() - 1)
	t.line.WriteString("\r\n")
	line := t.line.Bytes()
	if t.cp949 {
		var err error
		if line, err = korean.EUCKR.NewEncoder().Bytes(line); err != nil {
			return err
		}
	}
	_, err := t.out.Write(line)
	return t.named(err)
}
