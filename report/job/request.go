package job

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/say"
)

// Request is what is stored of a job that waits for whoever does it: what is to be done, not where anything stands.
type Request struct {
	Profile      input.Profile
	Guards       batch.Guards
	MaxInput     string
	Rate         float64
	Workers      int
	Timeout      Duration
	DoubtWait    Duration
	Patience     Duration
	RemoteCheck  bool
	LeaveDoubts  bool `json:",omitempty"`
	Audit        bool
	Until        string
	MaxFailures  string
	Revoke       bool
	OutEncoding  string
	Excel        *bool
	HTML         bool
	ShowAccounts bool
	Digest       string `json:",omitempty"` // of the bytes that were approved; others are refused
	Form         string `json:",omitempty"` // the name of the form by which the file is read
	FormBy       string `json:",omitempty"` // who has saved it
}

// Text is the request as it is stored, and the digest of that.
func (r *Request) Text() (text, key string, err error) {
	written, err := json.Marshal(r)
	sum := sha256.Sum256(written)
	return string(written), hex.EncodeToString(sum[:]), err
}

// ReadRequest reads what Text has written.
func ReadRequest(text string) (r Request, err error) {
	if err = json.Unmarshal([]byte(text), &r); err != nil {
		err = say.Errorf("the job's settings cannot be read: %w", err)
	}
	return r, err
}

// Duration is told as 30s.
type Duration time.Duration

// MarshalText writes 30s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads 30s.
func (d *Duration) UnmarshalText(text []byte) error {
	read, err := time.ParseDuration(string(text))
	*d = Duration(read)
	return err
}
