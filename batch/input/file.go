// Package input turns the bytes of a CSV file, as people's programs export it, into rows that are ready to be sent or
// that say why they are not. Start with [Open]; each [File.Read] is then one pass over the same bytes, in constant
// memory.
//
// It promises that a row it lets through means what the file says: encodings, separators, the header and its names
// are found, not assumed; money, dates and order numbers are read in one way or refused. What is wrong with a row is
// data ([Problem]) and the pass goes on; what makes the file unreadable is an [*Error] with the line and what to do.
//
// It does not look at rows together: repeated orders and totals are the caller's.
package input

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"unicode/utf8"
)

const (
	utf8Name  = "utf-8"
	cp949Name = "cp949"
	bom       = "\ufeff"
)

// File is an input whose bytes have been looked through once. It stays open, so a pass reads the file that Open saw
// even when another has taken its name. Several passes may run at once.
type File struct {
	Path     string
	Digest   [sha256.Size]byte // SHA-256 of its bytes
	Size     int64             // bytes
	Encoding string            // as detected: utf-8 or cp949

	file   *os.File
	spool  string // to be removed at Close
	bom    bool
	broken *Error // where it stops being UTF-8, if it does
}

// Open looks a file through: every byte is read once, and what cannot be a CSV file is refused with an *Error that
// says how to make it one. The path - is standard input, which is copied to a private temporary file, as is anything
// else that can be read only once.
func Open(path string, stdin io.Reader) (*File, error) {
	f := &File{Path: path}
	err := f.open(stdin)
	if err == nil {
		err = f.examine()
	}
	if err != nil {
		if f.file != nil {
			f.Close() // the first error says more
		}
		return nil, err
	}
	return f, nil
}

func (f *File) open(stdin io.Reader) error {
	if f.Path == "-" {
		f.Path = "standard input"
		return f.spoolFrom(stdin)
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return f.failed("cannot be opened", err)
	}
	info, err := file.Stat()
	switch {
	case err == nil && info.Mode().IsRegular():
		f.file = file
		return nil
	case err != nil:
		err = f.failed("cannot be read", err)
	case info.IsDir():
		err = &Error{Path: f.Path, Message: "is a directory", Hint: "name a CSV file, or - for standard input"}
	default:
		err = f.spoolFrom(file)
	}
	file.Close() // read only
	return err
}

// spoolFrom copies what can be read only once to a file that nobody else can read. Where the system lets an open
// file go without a name, the copy has none from the start and outlives no crash.
func (f *File) spoolFrom(r io.Reader) error {
	spool, err := os.CreateTemp("", "vbankbatch-*.csv") // 0600
	if err != nil {
		return f.failed("cannot be copied to a temporary file", err)
	}
	f.file = spool
	if os.Remove(spool.Name()) != nil {
		f.spool = spool.Name()
	}
	if _, err := io.Copy(spool, r); err != nil {
		return f.failed("cannot be copied to a temporary file", err)
	}
	return nil
}

// Close closes the file and removes what Open has copied. Passes are to be closed before.
func (f *File) Close() error {
	err := f.file.Close()
	if f.spool != "" {
		err = errors.Join(err, os.Remove(f.spool))
	}
	return err
}

func (f *File) failed(message string, err error) error {
	if cause := (*os.PathError)(nil); errors.As(err, &cause) {
		err = cause.Err // the path is said already
	}
	return &Error{Path: f.Path, Message: message, Err: err}
}

const saveAs = "open it in Excel and save it as “CSV UTF-8 (comma delimited)”"

// foreignFormats are files that people take for CSV, by their first bytes.
var foreignFormats = []struct{ magic, name string }{
	{"PK\x03\x04", "an Excel workbook (xlsx) or zip archive"},
	{"\xD0\xCF\x11\xE0", "an Excel workbook (xls)"},
	{"\xFF\xFE", "UTF-16 text (Excel’s “Unicode text”)"},
	{"\xFE\xFF", "UTF-16 text"},
	{"<html", "a web page, whatever its name"},
	{"<table", "a web page, whatever its name"},
	{"<!doctype", "a web page, whatever its name"},
	{"<?xml", "an XML document, whatever its name"},
	{"%pdf", "a PDF document"},
}

// examine is the first pass over the bytes.
func (f *File) examine() error {
	f.Encoding = utf8Name
	hash, at := sha256.New(), place{line: 1}
	buf := make([]byte, 256<<10)
	kept := 0 // bytes of a character that the last read cut in two
	for first, end := true, false; !end; {
		n, err := io.ReadFull(io.NewSectionReader(f.file, f.Size, int64(len(buf)-kept)), buf[kept:])
		if end = err == io.EOF || err == io.ErrUnexpectedEOF; err != nil && !end {
			return f.failed("cannot be read", err)
		}
		hash.Write(buf[kept : kept+n])
		f.Size += int64(n)
		chunk := buf[:kept+n]
		if first {
			first = false
			head := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(chunk[:min(len(chunk), 1024)], []byte(bom)), " \t\r\n"))
			if len(head) == 0 && end {
				return &Error{Path: f.Path, Message: "is empty"}
			}
			for _, format := range foreignFormats {
				if bytes.HasPrefix(chunk, []byte(format.magic)) || bytes.HasPrefix(head, []byte(format.magic)) {
					return &Error{Path: f.Path, Message: "is " + format.name + ", not a CSV file", Hint: saveAs}
				}
			}
			if f.bom = bytes.HasPrefix(chunk, []byte(bom)); f.bom {
				chunk = chunk[len(bom):]
			}
		}
		if i := bytes.IndexByte(chunk, 0); i >= 0 {
			at.pass(chunk[:i])
			return &Error{Path: f.Path, Line: at.line, Column: at.column + 1, Message: "holds a NUL byte, which no text does", Hint: saveAs}
		}
		kept = 0
		if f.broken == nil {
			valid := validLen(chunk)
			kept = len(chunk) - valid
			if end && kept > 0 || kept > 0 && utf8.FullRune(chunk[valid:]) {
				at.pass(chunk[:valid])
				f.broken = &Error{Path: f.Path, Line: at.line, Column: at.column + 1, Message: "is not valid UTF-8 from here on"}
				f.Encoding, kept = cp949Name, 0
				at.pass(chunk[valid:])
			} else {
				at.pass(chunk[:valid])
			}
		} else {
			at.pass(chunk)
		}
		copy(buf, chunk[len(chunk)-kept:])
	}
	f.Digest = [sha256.Size]byte(hash.Sum(nil))
	if f.bom && f.broken != nil {
		f.broken.Message = "begins as UTF-8 and is not valid UTF-8 from here on"
		f.broken.Hint = "export the file again; it may have been joined from files in two encodings"
		return f.broken
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
	switch name := cmp.Or(asked, f.Encoding); {
	case name != utf8Name && name != cp949Name:
		return "", &Error{Path: f.Path, Message: "the encoding " + asked + " is not known", Hint: "--encoding takes utf-8 or cp949"}
	case name == utf8Name && f.broken != nil:
		return "", f.broken
	default:
		return name, nil
	}
}
