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
	Profile   input.Profile
	Guards    batch.Guards
	MaxInput  string
	Rate      float64
	Workers   int
	Timeout   Duration
	DoubtWait Duration
	Patience  Duration
	Sending
	Output
	Digest string `json:",omitempty"` // of the bytes that were approved; others are refused
	Form   string `json:",omitempty"` // the name of the form by which the file is read
	FormBy string `json:",omitempty"` // who has saved it
}

// Sending says how far a job goes in sending. The tags are for the command line, too.
type Sending struct {
	RemoteCheck bool   `default:"true" negatable:"" help:"Ask the API for orders that the ledger does not know, before issuing them."`
	LeaveDoubts bool   `json:",omitempty" help:"An order that an earlier run left in doubt, and that the API does not show, stays unknown for a person to settle; it is not sent again."`
	Audit       bool   `default:"true" negatable:"" help:"At the end, hold the orders that were sent against the API once more."`
	Until       string `placeholder:"HH:MM" help:"Take no new rows from then on, by the API's clock, in Korea: 23:25, before the banks close."`
	MaxFailures string `default:"100%" help:"Stop once this many rows, or this share after 100 rows, were refused by the API."`
	Revoke      bool   `help:"Take back what a results file says was issued: FILE is that file."`
}

// Output says in which forms the results are written. The tags are for the command line, too.
type Output struct {
	OutEncoding  string `enum:"utf-8,cp949" default:"utf-8" help:"Of the results: utf-8, which Excel knows by its mark, or cp949."`
	Excel        *bool  `negatable:"" help:"A workbook beside the results, .xlsx, of any number of rows that Excel takes. Default: of up to 100,000."`
	HTML         bool   `name:"html" help:"A page for people: .report.html."`
	ShowAccounts bool   `help:"Whole account numbers and holders on the page."`
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
