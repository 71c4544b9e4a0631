package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
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

// put writes a new or changed payment to the state file and then keeps it. The caller holds mu.
func (s *Sandbox) put(p *Payment) error {
	if s.journal != nil {
		if err := s.journal.append(p); err != nil {
			return err
		}
	}
	p.since, p.before = time.Now(), nil
	if i, found := s.byImpUID[p.ImpUID]; found {
		p.before = s.payments[i]
	}
	s.index(p)
	return nil
}

func (s *Sandbox) index(p *Payment) {
	if i, found := s.byImpUID[p.ImpUID]; found {
		s.payments[i] = p
		return
	}
	i := len(s.payments)
	s.payments = append(s.payments, p)
	s.byImpUID[p.ImpUID] = i
	named := orderName{p.Tier, p.MerchantUID}
	s.byOrder[named] = append(s.byOrder[named], i)
}

func (s *Sandbox) snapshot() []*Payment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.payments)
}

// byID returns a tier's own payment as it was at a time.
func (s *Sandbox) byID(tier, impUID string, at time.Time) (*Payment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, found := s.byImpUID[impUID]; found && s.payments[i].Tier == tier {
		if p := s.payments[i].asOf(at); p != nil {
			return p, nil
		}
	}
	return nil, ErrNotFound
}

// newest returns the last of ofOrder's payments that was made.
func (s *Sandbox) newest(named orderName, status string, at time.Time) (*Payment, error) {
	if list := s.ofOrder(named, status, at); len(list) > 0 {
		return list[0], nil
	}
	return nil, ErrNotFound
}

// ofOrder returns an order's payments as they were at a time, the newest first; status "" or "all" means any.
func (s *Sandbox) ofOrder(named orderName, status string, at time.Time) []*Payment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Payment
	for _, i := range slices.Backward(s.byOrder[named]) {
		if p := s.payments[i].asOf(at); p != nil && (status == "" || status == "all" || p.Status == status) {
			list = append(list, p)
		}
	}
	return list
}
