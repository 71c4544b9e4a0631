package batch

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	"vbankbatch/batch/ledger"
	"vbankbatch/client"
	"vbankbatch/client/say"
)

// StopError is why a run ended before its last row. Its rows without an outcome are not_sent, and the same command
// continues it.
type StopError struct {
	Code string // one of those in Codes that end a run
	Err  error  // what led to it, or nil
}

// Error is Say in words.
func (e *StopError) Error() string { return e.Say().String() }

// Say tells the reason and what led to it.
func (e *StopError) Say() say.Message {
	if e.Err == nil {
		return say.Message(e.Code)
	}
	return say.Messagef("%s: %s", e.Code, e.Err)
}

// Unwrap returns what led to it.
func (e *StopError) Unwrap() error { return e.Err }

// TriesAgain reports whether the next run of the file is to send what this one had refused, since it was refused for a
// reason that somebody mends elsewhere. Otherwise it goes on behind those rows.
func (e *StopError) TriesAgain() bool {
	switch e.Code {
	case CodeTooManyFailures, CodeNoContract, CodePlanEnded, CodeKeyRefused:
		return true
	}
	return false
}

// EndsRun returns why an error of the API ends the whole run, or nil when it is one row's. The client has been patient
// already.
func EndsRun(err error) error {
	switch fault, _ := errors.AsType[*client.Error](err); client.KindOf(err) {
	case client.Refused, client.NotFound, client.Stopped:
		return nil
	case client.RateLimited:
		return &StopError{CodeAPIBusy, err}
	case client.Unauthorized:
		return &StopError{CodeUnauthorized, err}
	case client.NoReply, client.ServerError, client.Malformed, client.Mismatch, client.Refuted:
		if !fault.Down {
			return nil // this call alone: others are answered
		}
	}
	return &StopError{CodeAPIUnreachable, err}
}

// ledgerStops gives an error of a shared ledger the code that tells why the run ended; another error is returned as it is.
func ledgerStops(err error) error {
	switch {
	case errors.Is(err, ledger.ErrLeaseLost):
		return &StopError{CodeLeaseLost, err}
	case errors.Is(err, ledger.ErrUnreachable):
		return &StopError{CodeLedgerUnreachable, err}
	}
	return err
}

// sameRefusals is how many rows, the first ones of a PG, may be refused in the same words before the rest is spared it.
const sameRefusals = 20

// hopeless are refusals that every row of the PG will meet, by a piece of the API's words, with how many rows of the PG
// must have met it, and none been accepted. The documents tell of the first two; of the third no source has the words.
var hopeless = []struct {
	code, words string
	from        int
}{
	{CodeNoContract, "계약이 필요합니다", 1},
	{CodeKeyRefused, "hashData", 3},
	{CodePlanEnded, "요금제", 3},
	{CodePlanEnded, "이용기간", 3},
	{CodePlanEnded, "이용 기간", 3},
}

// failures counts what the API refused among what it was sent, and tells when that is enough.
type failures struct {
	limit Limit
	rows  map[string]int // of the plan, by PG

	counts *Counts
	before bool // an earlier process of the run had rows accepted

	mu   sync.Mutex
	byPG map[string]*refusals
}

func newFailures(options Options, rows map[string]int) failures {
	before := options.Counts.Sent.Load() > options.Counts.Refused.Load()
	return failures{limit: options.MaxFailures, rows: rows, counts: options.Counts, before: before, byPG: make(map[string]*refusals)}
}

// refusals are those of a PG that has accepted nothing yet.
type refusals struct {
	accepted bool
	rows     int
	words    string // of all of them, as long as they are the same
}

// accepted counts a row that was done.
func (f *failures) accepted(pg string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Sent.Add(1)
	f.of(pg).accepted = true
}

// add counts a row that was rejected, and returns why it should be the last one, if so.
func (f *failures) add(pg string, result *Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent, refused := f.counts.Sent.Add(1), f.counts.Refused.Add(1)
	if f.limit.reached(refused, sent) {
		return &StopError{CodeTooManyFailures, say.Errorf("%d rows had been refused when it was stopped", refused)}
	}
	of, words := f.of(pg), string(result.ErrorMessage)
	code, from := everyRow(words)
	if of.accepted || code == "" && result.ErrorCode != CodePGRefused {
		return nil
	}
	of.rows++
	if of.rows == 1 {
		of.words = words
	}
	if of.words != words {
		of.accepted = true // they are each refused for a reason of their own
		return nil
	}
	if code == "" {
		code, from = CodeAllRefused, sameRefusals
	}
	if of.rows >= from || code != CodeAllRefused && of.rows >= f.rows[pg] {
		return &StopError{code, say.Errorf("every row was refused, %d when it was stopped: %s", of.rows, words)}
	}
	return nil
}

func (f *failures) of(pg string) *refusals {
	if f.byPG[pg] == nil {
		f.byPG[pg] = &refusals{accepted: f.before}
	}
	return f.byPG[pg]
}

// everyRow returns the code of a refusal that every row of the PG will meet, and how many must have met it; "" of
// another one.
func everyRow(words string) (code string, from int) {
	for _, h := range hopeless {
		if strings.Contains(words, h.words) {
			return h.code, h.from
		}
	}
	return "", 0
}

// Limit is a number of rows, or a share of them that counts from 100 rows on. The zero Limit is never reached.
type Limit struct {
	Rows    int64
	Percent float64
}

// ParseLimit reads "25" or "10%"; "100%" is never reached.
func ParseLimit(text string) (Limit, error) {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(share, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return Limit{}, say.Errorf("%q is not a share between 0%% and 100%%", text)
		}
		return Limit{Percent: percent}, nil
	}
	rows, err := strconv.ParseInt(text, 10, 64)
	if err != nil || rows < 1 {
		return Limit{}, say.Errorf("%q is neither a number of rows, such as 25, nor a share, such as 10%%", text)
	}
	return Limit{Rows: rows}, nil
}

// reached reports whether failed rows out of all that were tried are too many.
func (l Limit) reached(failed, tried int64) bool {
	if l.Rows > 0 {
		return failed >= l.Rows
	}
	return l.Percent > 0 && l.Percent < 100 && tried >= 100 && float64(failed) >= l.Percent/100*float64(tried)
}
