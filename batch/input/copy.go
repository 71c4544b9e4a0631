package input

import (
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode"

	"vbankbatch/client/say"
)

// inMemory is how many bytes of an input are kept in memory, some 50,000 rows: so much needs no place for temporary files.
const inMemory = 8 << 20

// private is a copy that nobody else can read or write: in memory, or, of larger inputs, in a temporary file. Where the
// system lets an open file go without a name it has none from the start and outlives no crash. Its zero value is empty.
type private struct {
	size   int64  // that is expected; 0 is not known
	sum    uint32 // of what was written: a disk that loses some of it is noticed
	memory []byte
	file   *os.File
	name   string // to be removed at close
}

var crcTable = crc32.MakeTable(crc32.Castagnoli) // which processors compute

func (c *private) write(p []byte) (err error) {
	c.sum = crc32.Update(c.sum, crcTable, p)
	if c.file == nil && max(c.size, int64(len(c.memory)+len(p))) <= inMemory {
		if c.memory == nil {
			c.memory = make([]byte, 0, max(c.size, int64(len(p))))
		}
		c.memory = append(c.memory, p...)
		return nil
	}
	if c.file == nil {
		if c.file, err = os.CreateTemp("", "vbankbatch-*.csv"); err != nil { // 0600
			return err
		}
		if os.Remove(c.file.Name()) != nil {
			c.name = c.file.Name()
		}
		if _, err := c.file.Write(c.memory); err != nil {
			return err
		}
		c.memory = nil
	}
	_, err = c.file.Write(p)
	return err
}

// ReadAt is io.ReaderAt's, once all is written.
func (c *private) ReadAt(p []byte, offset int64) (n int, err error) {
	if c.file != nil {
		return c.file.ReadAt(p, offset)
	}
	if n = copy(p, c.memory[min(offset, int64(len(c.memory))):]); n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (c *private) close() (err error) {
	if c.file != nil {
		err = c.file.Close()
	}
	if c.name != "" {
		err = errors.Join(err, os.Remove(c.name))
	}
	return err
}

// notCopied is the error of a file that the machine has no room for.
func (f *File) notCopied(err error) error {
	failed := f.failed(say.NewMessage("cannot be copied to a temporary file"), err).(*Error)
	failed.Hint = say.Messagef("make room in %s, or name another folder in TMPDIR", os.TempDir())
	return failed
}

// units are what a number of bytes may be followed by.
var units = map[string]int64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}

// ParseSize reads a number of bytes: 500000000, 500MB or 2GiB.
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRightFunc(text, unicode.IsLetter)
	unit := units[strings.ToUpper(text[len(digits):])]
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 1 || unit == 0 || n > math.MaxInt64/unit {
		return 0, say.Errorf("%q is not a size, such as 500MB or 2GiB", text)
	}
	return n * unit, nil
}
