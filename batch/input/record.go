package input

import (
	"bytes"
	"encoding/csv"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"vbankbatch/client/say"
)

// maxRecord is how long a record may be, in bytes. It bounds what one quotation mark without its partner can swallow.
const maxRecord = 1 << 20

var errTooLong = errors.New("record too long")

// source decodes the file and keeps the text of the record being read, so that it can be looked at again, and read
// again in another way.
type source struct {
	file     *File
	encoding string
	r        io.Reader
	sum      hash.Hash32 // over the bytes as they are in the copy
	buf      []byte
	start    int             // buf[start:] begins with the current record
	next     int             // buf[next:] is still to be handed on
	line     int             // of buf[start]
	passed   int64           // bytes before buf[start] since the csv.Reader began
	blank    int             // empty lines so far
	quit     <-chan struct{} // closed to stop; may be nil
	held     int             // Control-Z read and not yet handed on: at the end of a file it is no text
	until    int             // the line after which no more is read; 0 reads all
	err      error           // what stopped reading; csv.Reader may hide it behind a ParseError for the line that it cut
	decoded  int             // lines that were looked through for what could not be decoded
	damaged  int             // those in which something could not, within a text
	damage   *Error          // where that was first
}

func (f *File) source(encoding string) *source {
	s := &source{file: f, encoding: encoding, sum: crc32.New(crcTable), line: 1}
	s.r = io.TeeReader(io.NewSectionReader(&f.copy, 0, f.Size), s.sum)
	if f.bom {
		io.CopyN(io.Discard, s.r, int64(len(bom))) // a failure shows again at the next read
	}
	if decode, ok := encodings[encoding]; ok {
		s.r = transform.NewReader(s.r, decode.NewDecoder())
	} else if f.halves {
		s.r = transform.NewReader(s.r, unicode.UTF8.NewDecoder())
	}
	if f.returns {
		s.r = returns{s.r}
	}
	return s
}

// returns makes line feeds of the carriage returns that alone end the lines.
type returns struct{ io.Reader }

func (r returns) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	for i := range p[:n] {
		if p[i] == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

func (s *source) Read(p []byte) (int, error) {
	if s.next == len(s.buf) {
		if s.err == nil {
			s.err = s.fill()
		}
		if s.err != nil {
			return 0, s.err
		}
	}
	n := copy(p, s.buf[s.next:])
	s.next += n
	return n, nil
}

// fill reads more behind what is kept.
func (s *source) fill() error {
	select {
	case <-s.quit:
		return errStopped
	default:
	}
	if s.until > 0 && s.line > s.until {
		return io.EOF
	}
	s.skipBlank()
	if len(s.buf)-s.start > maxRecord {
		return errTooLong
	}
	s.buf = append(s.buf[:0], s.buf[s.start:]...)
	s.start, s.next = 0, len(s.buf)
	if cap(s.buf)-len(s.buf) < 32<<10 {
		s.buf = append(make([]byte, 0, 2*cap(s.buf)+64<<10), s.buf...)
	}
	fresh := len(s.buf)
	n, err := s.more()
	if s.encoding != utf8Name {
		if err := s.undecoded(fresh, n == 0); err != nil {
			return err
		}
	}
	switch {
	case n > 0:
		return nil
	case err == io.EOF && s.sum.Sum32() != s.file.copy.sum:
		return &Error{Path: s.file.Path, Message: say.NewMessage("the copy that was made of it is damaged"), Hint: say.NewMessage("check the disk of the temporary folder, or name another folder in TMPDIR")}
	case err == io.EOF || err == nil:
		return err
	}
	return s.file.failed(say.NewMessage("cannot be read"), err)
}

// more reads behind what is kept, but holds back the Control-Z at its end until something follows.
func (s *source) more() (n int, err error) {
	from := len(s.buf)
	for n == 0 && err == nil {
		for ; s.held > 0; s.held-- {
			s.buf = append(s.buf, controlZ)
		}
		n, err = s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		for len(s.buf) > from && s.buf[len(s.buf)-1] == controlZ && s.held < 16 {
			s.buf = s.buf[:len(s.buf)-1]
			s.held++
		}
		n = len(s.buf) - from
	}
	return n, err
}

// controlZ is what old programs write at the end of a file.
const controlZ = '\x1a'

// A file of which more than so many lines, and more than one in so many, hold what cannot be decoded within their texts is
// in another encoding. Otherwise a character was lost here and there, and the cells that are sent tell.
const (
	mostDamaged   = 3
	damagedOfLine = 10
)

// undecoded looks for what the decoder could not read, which it marks with U+FFFD, and for NUL, from buf[fresh:] on.
func (s *source) undecoded(fresh int, ended bool) error {
	from := max(fresh-len(lost)+1, 0) // the read before may have cut it in two
	text := s.buf[from:]
	at := func(i int, message say.Message) *Error {
		at := place{line: s.line}
		at.pass(s.buf[:from+i])
		return &Error{Path: s.file.Path, Line: at.line, Column: at.column + 1, Message: message, Hint: say.NewMessage("export the file again as CSV UTF-8, or give its --encoding")}
	}
	if nul := bytes.IndexByte(text, 0); nul >= 0 && s.encoding != cp949Name {
		return at(nul, say.NewMessage("holds a NUL character, which no text does"))
	}
	if i := bytes.Index(text, []byte(lost)); i >= 0 {
		if s.damage == nil {
			message := say.NewMessage("holds a byte that is neither UTF-8 nor CP949")
			if s.encoding != cp949Name {
				message = say.NewMessage("holds half a character, or one that an earlier conversion has lost")
			}
			s.damage = at(i, message)
		}
		for line := range bytes.Lines(text) {
			if lostWithin(line) {
				s.damaged++
			}
		}
	}
	s.decoded += bytes.Count(s.buf[fresh:], []byte{'\n'})
	if (ended || s.decoded > 1000) && s.damaged > mostDamaged && s.damaged*damagedOfLine > s.decoded {
		return s.damage
	}
	return nil
}

// lostWithin reports a lost character before more text of its cell. At a cell's end it is half a character, as programs
// leave it that cut texts by bytes, which tells nothing of the encoding.
func lostWithin(line []byte) bool {
	for {
		_, after, found := bytes.Cut(line, []byte(lost))
		if !found {
			return false
		}
		if len(after) > 0 && !bytes.ContainsAny(after[:1], ",;|\t\"\r\n") {
			return true
		}
		line = after
	}
}

// skipBlank moves on to the first line that is not empty, among those handed on already.
func (s *source) skipBlank() {
	for {
		rest := s.buf[s.start:s.next]
		switch {
		case bytes.HasPrefix(rest, []byte("\n")):
			s.take(1)
		case bytes.HasPrefix(rest, []byte("\r\n")):
			s.take(2)
		default:
			return
		}
		s.blank++
	}
}

// take moves past n bytes.
func (s *source) take(n int) {
	s.line += bytes.Count(s.buf[s.start:s.start+n], []byte{'\n'})
	s.start += n
	s.passed += int64(n)
}

// record is one CSV record as it stands in the file.
type record struct {
	cells []string
	line  int // physical, where it starts
	lines int // how many it takes; 0 is one
	bytes int
	torn  bool // not readable as CSV; cells are a rough cut of its first line
}

// scanner reads records. Quotation marks are taken strictly, as RFC 4180 has them, so that none swallows a line
// unseen; a line that breaks those rules is read again on its own, with split, and reported if that fails too.
type scanner struct {
	src   *source
	csv   *csv.Reader
	comma rune
}

func (f *File) scan(encoding string, comma rune) *scanner {
	s := &scanner{src: f.source(encoding), comma: comma}
	s.restart()
	return s
}

// restart reads on from the source's current record.
func (s *scanner) restart() {
	s.src.next, s.src.passed, s.src.err = s.src.start, 0, nil
	s.csv = csv.NewReader(s.src)
	s.csv.Comma = s.comma
	s.csv.FieldsPerRecord = -1
	s.csv.ReuseRecord = true
}

// read returns the next record, past empty lines; its cells are valid until the next call. It ends with io.EOF or an
// *Error.
func (s *scanner) read() (record, error) {
	cells, err := s.csv.Read()
	if s.src.err != nil && s.src.err != io.EOF {
		err = s.src.err
	}
	s.src.skipBlank()
	line, n := s.src.line, int(s.csv.InputOffset()-s.src.passed)
	if err == nil {
		s.src.take(n)
		return record{cells: cells, line: line, lines: s.src.line - line, bytes: n}, nil
	}
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
	case errors.Is(err, errTooLong):
		n = s.src.next - s.src.start
	default:
		return record{}, err
	}
	raw := s.src.buf[s.src.start:][:n]
	first := n
	if i := bytes.IndexByte(raw, '\n'); i >= 0 {
		first = i + 1
	} else if parse == nil {
		return record{}, &Error{Path: s.src.file.Path, Line: line, Message: say.NewMessage("the line is longer than 1 MiB"), Hint: say.NewMessage("look for line ends that are missing, or for a file that is not CSV")}
	}
	if bytes.HasPrefix(raw, []byte(bom)) { // of a file that was joined to another: the mark hides the quotation mark behind it
		s.src.take(len(bom))
		s.restart()
		return s.read()
	}
	if parse != nil && (first == n || errors.Is(err, csv.ErrBareQuote)) {
		if cells, ok := split(lineText(raw), string(s.comma)); ok {
			s.src.take(n)
			return record{cells: cells, line: line, bytes: n}, nil
		}
	}
	torn := record{cells: strings.Split(lineText(raw[:first]), string(s.comma)), line: line, bytes: first, torn: true}
	s.src.take(first)
	if first < n || parse == nil {
		s.restart() // a quotation mark has swallowed the lines after the first: they are read on their own
	}
	return torn, nil
}

func lineText(raw []byte) string { return strings.TrimRight(string(raw), "\r\n") }

// split cuts a line that breaks the rules of quotation marks and can still be read in one way: a mark inside a cell
// is part of its text, and a formula keeps the separators within its parentheses (=HYPERLINK("http://a","b")).
func split(line, comma string) (cells []string, ok bool) {
	formulas := mostFormulas
	for {
		var cell string
		if strings.HasPrefix(line, `"`) {
			end := closing(line, comma)
			if end < 0 {
				return nil, false
			}
			cell, line = strings.ReplaceAll(line[1:end], `""`, `"`), line[end+1:]
		} else {
			end := unquoted(line, comma, &formulas)
			if cell, line = line[:end], line[end:]; strings.Contains(cell, "\n") {
				return nil, false
			}
		}
		cells = append(cells, cell)
		if line == "" {
			return cells, true
		}
		line = line[len(comma):]
	}
}

// closing finds the quotation mark that ends the cell at the front of line.
func closing(line, comma string) int {
	for i := 1; i < len(line); i++ {
		switch rest := line[i:]; {
		case rest[0] != '"':
		case strings.HasPrefix(rest, `""`):
			i++
		case len(rest) == 1 || strings.HasPrefix(rest[1:], comma):
			return i
		}
	}
	return -1
}

// mostFormulas is how many cells of a line may look like formulas and not be; each is looked for to the line's end.
const mostFormulas = 16

// unquoted finds the end of the cell at the front of line.
func unquoted(line, comma string, formulas *int) int {
	if line != "" && strings.ContainsRune("=+-@", rune(line[0])) && *formulas > 0 {
		depth, quoted := 0, false
		for i := range len(line) {
			switch {
			case line[i] == '"':
				quoted = !quoted
			case quoted:
			case line[i] == '(':
				depth++
			case line[i] == ')':
				depth--
			case depth <= 0 && strings.HasPrefix(line[i:], comma):
				return i
			}
		}
		if depth <= 0 && !quoted {
			return len(line)
		}
		*formulas--
	}
	if i := strings.Index(line, comma); i >= 0 {
		return i
	}
	return len(line)
}
