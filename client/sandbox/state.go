package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// journal is the state file: a line of JSON for each payment that was made or changed, the last one counts. A line
// is one write, before the reply; never synced, so it outlives the process but not a power cut.
type journal struct {
	file *os.File
	size int64
}

// openJournal opens or makes the file and hands every line's payment to keep. A last line without its end was never
// answered for: it is cut off.
func openJournal(path string, keep func(*Payment)) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() { // a pipe, or /dev/zero, has no end to wait for
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", path), file.Close())
	}
	j := &journal{file: file}
	if err := j.replay(keep); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

func (j *journal) replay(keep func(*Payment)) error {
	lines := bufio.NewReaderSize(j.file, 1<<16)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			if len(line) == 0 {
				return nil
			}
			return j.file.Truncate(j.size)
		}
		if err != nil {
			return err
		}
		p := new(Payment)
		if err := json.Unmarshal(line, p); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if p.ImpUID == "" {
			return fmt.Errorf("line %d: no imp_uid", number)
		}
		keep(p)
		j.size += int64(len(line))
	}
}

func (j *journal) append(p *Payment) error {
	line, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return errors.Join(err, j.file.Truncate(j.size)) // half a line must not stand before the next one
	}
	j.size += int64(len(line)) + 1
	return nil
}
