// Package input turns the bytes of a CSV file or a workbook, as people's programs export it, into rows that are ready to be
// sent or that say why they are not. Start with [Open]; each [File.Read] is then one pass over the same bytes, in constant
// memory.
//
// It promises that a row it lets through means what the file says: encodings, separators, the header and its names are found,
// not assumed; money, dates and order numbers are read in one way or refused; and a row is sent only if nothing in the file
// speaks against the way it was read, unless an option decides it. What is wrong with a row is data ([Problem]) and the pass
// goes on; what makes the file unreadable is an [*Error] with the line and what to do.
//
// On the way from bytes to rows: file.go (bytes, encodings), workbook.go (a sheet as CSV), record.go (records of CSV), header.go
// and neighbours.go (which column is what), lines.go and total.go (which line is a row), row.go with amount.go, due.go, bank.go
// and text.go (cells). Rows of one order are the caller's to compare.
package input

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/unicode"

	"vbankbatch/client/say"
)

// The encodings that are read. In x/text EUC-KR is CP949, all of it.
const (
	utf8Name    = "utf-8"
	cp949Name   = "cp949"
	utf16leName = "utf-16le"
	utf16beName = "utf-16be"
)

// encodings are those that a decoder turns into UTF-8; UTF-8 itself needs none.
var encodings = map[string]encoding.Encoding{
	cp949Name:   korean.EUCKR,
	utf16leName: unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	utf16beName: unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
}

const bom = "\ufeff"

// MostBytes is how many bytes Open takes: it bounds the disk that an input without an end, or a small one that unpacks to
// a large one, can fill.
const MostBytes = 4 << 30

// File is an input whose bytes have been looked through once. Every pass reads the bytes that were looked through, from a
// copy of them, whatever becomes of the file meanwhile. Several passes may run at once.
type File struct {
	Path     string
	Place    string            // where it lies; see Place
	Digest   [sha256.Size]byte // SHA-256 of its bytes, unpacked
	Size     int64             // bytes, unpacked
	Encoding string            // as detected: utf-8, cp949, utf-16le or utf-16be

	Sheet string // of a workbook's rows, which were made a file of their own; "" of any other

	formatted map[int]AsShown // of such a file, by column: the first number of which a format has made another text

	file     *os.File  // nil for standard input
	book     *workbook // nil if it is none
	modified time.Time
	copy     private
	packed   bool   // a zip archive, as workbooks are
	bom      bool   // of UTF-8
	returns  bool   // lines end in CR alone, as on old Macs
	halves   bool   // of UTF-8: characters are cut in two here and there
	broken   *Error // where it stops being UTF-8, if it does
	nul      *Error // where it holds its first NUL byte
}

// Open is OpenContext that nothing ends and that takes MostBytes.
func Open(path string, stdin io.Reader) (*File, error) {
	return OpenContext(context.Background(), path, stdin, MostBytes)
}

// OpenContext looks a file of at most so many bytes through, unpacked: every byte is read once and copied, and what cannot
// be a CSV file is refused with an *Error that says how to make it one. The path - is standard input. The end of ctx, whose
// cause is returned, also ends the wait for a pipe that nobody writes to.
func OpenContext(ctx context.Context, path string, stdin io.Reader, most int64) (*File, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f := &File{Path: path}
	r, err := f.open(ctx, stdin)
	if err == nil {
		err = f.examine(ctx, r, most)
	}
	if err != nil {
		f.Close() // the first error says more
		return nil, err
	}
	return f, nil
}

// Place is the absolute path to which a path leads, through the links of its folder, and its own as long as they lead
// somewhere. Standard input, and a pipe that a shell has made, lie nowhere: "-".
func Place(path string) string {
	if path == "-" {
		return path
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 && (strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/")) {
		return "-"
	}
	for range 40 { // as many links as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(folder, filepath.Base(path))
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return path
}

// Name is the file's path as it is told.
func (f *File) Name() say.Message { return named(f.Path) }

func named(path string) say.Message {
	if path == "-" {
		return say.NewMessage("standard input")
	}
	return say.Message(say.Name(path))
}

// open returns what the file's bytes are read from, unpacked.
func (f *File) open(ctx context.Context, stdin io.Reader) (io.Reader, error) {
	f.Place = Place(f.Path)
	if f.Path == "-" {
		return f.unpacked(patient(ctx, stdin)), nil
	}
	file, err := openFile(ctx, f.Path)
	f.file = file
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, f.failed(say.NewMessage("cannot be opened"), err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, f.failed(say.NewMessage("cannot be read"), err)
	case info.IsDir():
		return nil, &Error{Path: f.Path, Message: say.NewMessage("is a directory"), Hint: say.NewMessage("name a CSV file, or - for standard input")}
	case info.Mode()&fs.ModeDevice != 0:
		return nil, &Error{Path: f.Path, Message: say.NewMessage("is a device"), Hint: say.NewMessage("name a CSV file, or - for standard input")}
	case !info.Mode().IsRegular():
		return f.unpacked(patient(ctx, file)), nil
	}
	r := f.unpacked(file)
	if _, packed := r.(*unpacking); !packed { // whose own end tells whether it is whole
		f.modified, f.copy.size = info.ModTime(), info.Size()
	}
	return r, nil
}

// openFile is os.Open that the end of ctx ends, too: a pipe that nobody writes to keeps whoever opens it waiting. What
// still waits then is left behind; the process is about to end.
func openFile(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened)
	go func() {
		file, err := os.Open(path)
		select {
		case done <- opened{file, err}:
		case <-ctx.Done():
			file.Close() // nil has nothing to close
		}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// patient reads from what may keep its reader waiting for ever, until ctx is done.
func patient(ctx context.Context, from io.Reader) io.Reader {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(w, from)
		w.CloseWithError(err) // without an error it is the end
	}()
	return r
}

const gzipMagic = "\x1f\x8b"

// unpacked is r, or what it unpacks to if gzip has packed it.
func (f *File) unpacked(r io.Reader) io.Reader {
	buffered := bufio.NewReader(r)
	if magic, _ := buffered.Peek(len(gzipMagic)); string(magic) != gzipMagic { // its error comes again at the next read
		return buffered
	}
	return &unpacking{file: f, from: buffered}
}

// unpacking tells what is wrong with what was packed from what is wrong with its reading.
type unpacking struct {
	file *File
	from io.Reader
	gzip *gzip.Reader
}

func (u *unpacking) Read(p []byte) (n int, err error) {
	if u.gzip == nil {
		u.gzip, err = gzip.NewReader(u.from)
	}
	if err == nil {
		n, err = u.gzip.Read(p)
	}
	if err != nil && err != io.EOF {
		err = &Error{Path: u.file.Path, Message: say.NewMessage("cannot be unpacked"), Hint: say.NewMessage("it may have been cut short: fetch or pack it again"), Err: err}
	}
	return n, err
}

// Bytes reads the bytes that were looked through, unpacked.
func (f *File) Bytes() io.Reader { return io.NewSectionReader(&f.copy, 0, f.Size) }

// Close closes the file and removes the copy. Passes are to be closed before.
func (f *File) Close() error {
	err := f.copy.close()
	if f.book != nil {
		err = errors.Join(err, f.book.close())
	}
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
	}
	return err
}

func (f *File) failed(message say.Message, err error) error {
	if told, ok := errors.AsType[*Error](err); ok {
		return told
	}
	if cause := (*os.PathError)(nil); errors.As(err, &cause) {
		err = cause.Err // the path is said already
	}
	return &Error{Path: f.Path, Message: message, Err: err}
}

// foreignFormats are files that people take for CSV, by their first bytes.
var foreignFormats = []struct{ magic, message string }{
	{"\xD0\xCF\x11\xE0", say.Mark("is an old Excel workbook (xls)")},
	{"<html", say.Mark("is a web page, whatever its name, not a CSV file")},
	{"<table", say.Mark("is a web page, whatever its name, not a CSV file")},
	{"<!doctype", say.Mark("is a web page, whatever its name, not a CSV file")},
	{"<meta", say.Mark("is a web page, whatever its name, not a CSV file")},
	{"<?xml", say.Mark("is an XML document, whatever its name, not a CSV file")},
	{"%pdf", say.Mark("is a PDF document, not a CSV file")},
}

// examine is the first pass over the bytes, which copies them.
func (f *File) examine(ctx context.Context, r io.Reader, most int64) error {
	hash, at := sha256.New(), place{line: 1}
	buf := make([]byte, 256<<10)
	kept := 0                        // bytes of a character that the last read cut in two
	feeds, syllables := false, false // line feeds, and Hangul in UTF-8
	for first, end := true, false; !end; first = false {
		n, err := io.ReadFull(r, buf[kept:])
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if end = err == io.EOF || err == io.ErrUnexpectedEOF; err != nil && !end {
			return f.failed(say.NewMessage("cannot be read"), err)
		}
		if f.Size += int64(n); f.Size > most {
			return &Error{Path: f.Path, Message: say.Messagef("holds more than the %d bytes that --max-input allows", most), Hint: say.NewMessage("split it, or give a larger --max-input")}
		}
		read, chunk := buf[kept:kept+n], buf[:kept+n]
		copied := make(chan error, 1)
		go func() { copied <- f.copy.write(read) }() // beside the hash, which takes about as long
		hash.Write(read)
		if err := <-copied; err != nil {
			return f.notCopied(err)
		}
		if first {
			if err := f.begins(chunk, end); err != nil {
				return err
			}
			f.packed = bytes.HasPrefix(chunk, []byte(zipMagic))
			if f.bom {
				chunk = chunk[len(bom):]
			}
		}
		if f.packed {
			continue
		}
		if f.Encoding == utf8Name || f.broken != nil {
			feeds = feeds || bytes.IndexByte(chunk, '\n') >= 0
			f.returns = f.returns || !feeds && bytes.IndexByte(chunk, '\r') >= 0
		}
		kept = 0
		if f.Encoding != utf8Name && f.broken == nil { // UTF-16; a pass finds what is wrong with it
			if first {
				text, _ := encodings[f.Encoding].NewDecoder().Bytes(chunk[:len(chunk)&^1])
				f.returns = bytes.IndexByte(text, '\r') >= 0 && bytes.IndexByte(text, '\n') < 0
			}
			continue
		}
		if i := bytes.IndexByte(chunk, 0); i >= 0 && f.nul == nil {
			nul := at
			nul.pass(chunk[:i])
			f.nul = &Error{Path: f.Path, Line: nul.line, Column: nul.column + 1, Message: say.NewMessage("holds a NUL byte, which no text does"),
				Hint: say.NewMessage("open it in Excel and save it as “CSV UTF-8 (comma delimited)”; if it is UTF-16, give --encoding utf-16le")}
		}
		if f.broken == nil {
			for {
				valid := validLen(chunk)
				at.pass(chunk[:valid])
				syllables = syllables || hangul(chunk[:valid])
				chunk = chunk[valid:]
				n := half(chunk, end)
				if n == 0 || !syllables && !f.bom {
					break
				}
				f.halves = true
				at.column++
				chunk = chunk[n:]
			}
			if len(chunk) == 0 || !end && !utf8.FullRune(chunk) {
				kept = copy(buf, chunk)
				continue
			}
			f.broken = &Error{Path: f.Path, Line: at.line, Column: at.column + 1, Message: say.NewMessage("is not valid UTF-8 from here on")}
			f.Encoding = cp949Name
			if syllables || f.bom {
				f.broken.Message = say.NewMessage("is not valid UTF-8 from here on, although it is before")
				f.broken.Hint = say.NewMessage("export the file again; it may have been joined from files in two encodings")
				return f.broken
			}
		}
		if line := utf8Line(chunk); line > 0 {
			return f.mixed(at.line + line - 1)
		}
		at.line += bytes.Count(chunk, []byte{'\n'})
	}
	f.Digest = [sha256.Size]byte(hash.Sum(nil))
	f.returns = f.returns && !feeds
	if f.packed {
		return f.openWorkbook(most)
	}
	return nil
}

// mixed is the error of a file that is UTF-8 in one place and not in another: read in one encoding, its order numbers
// would be others.
func (f *File) mixed(line int) error {
	return &Error{Path: f.Path, Line: line, Message: say.NewMessage("is in another encoding than the lines before it"),
		Hint: say.NewMessage("the file was joined from files in UTF-8 and CP949; export it again, or run each on its own")}
}

// utf8Line returns the number, from 1, of the first whole line that has Hangul in UTF-8; 0 is none.
func utf8Line(chunk []byte) int {
	for n := 1; ; n++ {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			return 0
		}
		if n > 1 && utf8.Valid(chunk[:end]) && hangul(chunk[:end]) { // the first may be the end of one
			return n
		}
		chunk = chunk[end+1:]
	}
}

// half returns how many bytes at the front are the beginning of a character of three bytes whose end is missing, as
// databases leave it that count a text's bytes: in UTF-8 that is, since no syllable of CP949 begins so before ASCII.
func half(text []byte, whole bool) int {
	for n, b := range text[:min(len(text), 3)] {
		switch {
		case n == 0 && (b < 0xE1 || b > 0xEF):
			return 0
		case n > 0 && b < utf8.RuneSelf:
			return n
		case n == 2 || n > 0 && b >= 0xC0:
			return 0
		}
	}
	if whole {
		return len(text)
	}
	return 0
}

// hangul reports a syllable in UTF-8. What people write in CP949 has its three bytes nowhere.
func hangul(text []byte) bool {
	for i := 0; i+2 < len(text); i++ {
		if text[i] >= 0xEA && text[i] <= 0xED {
			if r, _ := utf8.DecodeRune(text[i:]); r >= '가' && r <= '힣' {
				return true
			}
		}
	}
	return false
}

// begins looks at the first bytes: they tell UTF-16 and a byte order mark, and files that are no text at all.
func (f *File) begins(chunk []byte, whole bool) error {
	f.Encoding = utf8Name
	switch {
	case bytes.HasPrefix(chunk, []byte("\xFF\xFE")):
		f.Encoding = utf16leName
	case bytes.HasPrefix(chunk, []byte("\xFE\xFF")):
		f.Encoding = utf16beName
	}
	f.bom = bytes.HasPrefix(chunk, []byte(bom))
	text := chunk[:min(len(chunk), 1024)]
	if decode, ok := encodings[f.Encoding]; ok {
		text, _ = decode.NewDecoder().Bytes(text[:len(text)&^1]) // a pass tells what cannot be decoded
	}
	head := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(text, []byte(bom)), " \t\r\n"))
	if len(head) == 0 && whole {
		return &Error{Path: f.Path, Message: say.NewMessage("is empty")}
	}
	if encrypted(chunk) {
		return &Error{Path: f.Path, Message: say.NewMessage("is a workbook behind a password"), Hint: say.NewMessage("open it in Excel, take the password off and save it as a workbook (.xlsx)")}
	}
	for _, format := range foreignFormats {
		if bytes.HasPrefix(chunk, []byte(format.magic)) || bytes.HasPrefix(head, []byte(format.magic)) {
			return &Error{Path: f.Path, Message: say.NewMessage(format.message), Hint: say.NewMessage("open it in Excel and save it as “CSV UTF-8 (comma delimited)”")}
		}
	}
	return nil
}

// Settled reports, with an *Error, that somebody is still writing to the file: it has changed since Open, or within
// the last second and changes again while Settled waits a moment.
func (f *File) Settled(ctx context.Context) error {
	if f.modified.IsZero() {
		return nil // a copy
	}
	if age := time.Since(f.modified); age < time.Second {
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	info, err := f.file.Stat()
	if err != nil {
		return f.failed(say.NewMessage("cannot be read"), err)
	}
	if info.Size() != f.Size || !info.ModTime().Equal(f.modified) {
		return &Error{Path: f.Path, Message: say.NewMessage("is still being written"), Hint: say.NewMessage("run it again when the export has ended")}
	}
	return nil
}

// validLen is how many bytes from the front are valid UTF-8.
func validLen(p []byte) int {
	if utf8.Valid(p) {
		return len(p)
	}
	for i := 0; ; {
		_, size := utf8.DecodeRune(p[i:])
		if size <= 1 && p[i] >= utf8.RuneSelf {
			return i
		}
		i += size
	}
}

// place counts lines, and the characters passed on the last of them.
type place struct{ line, column int }

func (at *place) pass(p []byte) {
	if n := bytes.Count(p, []byte{'\n'}); n > 0 {
		at.line += n
		at.column = 0
		p = p[bytes.LastIndexByte(p, '\n')+1:]
	}
	at.column += utf8.RuneCount(p)
}

// encoding settles what a pass decodes.
func (f *File) encoding(asked string) (string, error) {
	name := strings.ToLower(cmp.Or(asked, f.Encoding))
	if f.bom && f.broken == nil && encodings[name] != nil {
		name = utf8Name // for sure: what this program writes, run with the flags of the file it was made of
	}
	switch {
	case name == utf8Name && f.broken != nil:
		return "", f.broken
	case name == utf8Name && f.Encoding != utf8Name:
		return "", &Error{Path: f.Path, Line: 1, Message: say.Messagef("begins as %s does", f.Encoding), Hint: say.NewMessage("leave --encoding out")}
	case name != utf8Name && encodings[name] == nil:
		return "", &Error{Path: f.Path, Message: say.Messagef("the encoding %s is not known", asked), Hint: say.NewMessage("--encoding takes utf-8, cp949, utf-16le or utf-16be")}
	case f.nul != nil && (name == utf8Name || name == cp949Name):
		return "", f.nul
	}
	return name, nil
}
