package ledger

import (
	"fmt"
	"strings"
	"time"

	"vbankbatch/client/say"
)

// State is how the order of an entry stands.
type State string

// The states. An entry with any but the first is live.
const (
	Vacant   State = ""        // the entry asked for no account, or surely got none: never sent, refused, not found
	Intended State = "intent"  // an issue may have been sent
	Issued   State = "issued"  // the order has the entry's account
	Changing State = "change"  // it has that account, and an update or revocation of it may have been sent
	Revoked  State = "revoked" // it had that account, which was taken back
)

// ReplyDiffers is the error code of an entry in doubt of which the API has said that it made an account.
const ReplyDiffers = "REPLY_DIFFERS"

// Outcome is what became of one line of one run, as the results tell it. It holds no order.
type Outcome struct {
	Run, Line    int64
	Status       string
	ErrorCode    string
	ErrorMessage say.Message
	Action       string
	Order
	Amount   int64  // won, as asked for
	Due      int64  // UNIX seconds, as asked for; 0: not known
	Bank     string // KFTC code, as asked for; "" when not known
	Attempts int    // issues, updates or revocations sent in this run, and issues before that came to nothing
	Account
}

// Entry is a line as the ledger keeps it: its outcome, and how it holds the order that it asked an account for, if it does.
type Entry struct {
	Outcome
	State     State
	IntentAt  time.Time // of the last intent, by the server's clock; microseconds are kept
	NowAmount int64     // won, since an update; 0: as asked for
	NowDue    int64     // UNIX seconds, since an update; 0: as asked for
}

// Order names an order of the merchant's, or of the sub-merchant that a tier stands for.
type Order struct {
	Tier        string // of the Tier header; "" without one
	MerchantUID string
}

// Account is a virtual account as the API told of it.
type Account struct {
	ImpUID      string
	VbankCode   string // KFTC, three digits
	VbankName   string
	VbankNum    string // text: leading zeros count
	VbankHolder string
	VbankDue    int64 // UNIX seconds
	PGProvider  string
	PGID        string // the PG's MID; "" where it is not known
	IssuedAt    int64  // UNIX seconds
}

// Run is one pass over one input.
type Run struct {
	ID        int64
	Digest    string // SHA-256 of the input's bytes, hex
	Settings  string // digest of the options that say how its rows are read
	File      string // its absolute path, - for standard input; as it was typed, by older versions; "" after a purge
	Started   time.Time
	Finished  time.Time // zero while it is under way or interrupted
	Continued bool      // Begin found it interrupted
}

// unknown is the status of a line whose outcome is not known, as package batch has it.
const unknown = "unknown"

// inDoubt is the SQL condition for a state in doubt. It holds for a damaged state too, so that the damage is noticed.
const inDoubt = `NOT IN ('', 'issued', 'revoked')`

// live is 1 for an entry whose order is taken by it.
func live(state State) int64 { return number(state != Vacant) }

// settles reports whether the entry tells what came of an intent, which stays live.
func (e *Entry) settles() bool { return e.State != Vacant && e.State != Changing && e.Attempts > 0 }

func (e *Entry) inDoubt() bool { return e.State == Changing || e.State == Intended }

// number is 1 for true: not every database takes truth for a number.
func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// A new field of an entry is a field of its type above and a line in the table columns; a new schemaVersion goes with it. The
// schema, the upgrade of older ledgers, the statements, their values, what is read, and what the checksums cover follow from
// the table. Package batch fills a new field of an account in accountOf, and package report has the columns of the results.

// column is a column of entries, and the field that it keeps.
type column struct {
	name  string
	part  part
	field func(*Entry) any // a pointer: *int64, *int, *string or *time.Time
}

// part is what a statement writes together.
type part int

const (
	ofOrder   part = 1 << iota // the line and its order
	ofRequest                  // what an intent asks for
	ofOutcome                  // how it stands
	ofAccount                  // which an intent does not have yet

	ofIntent = ofOrder | ofRequest // never changed by what came of it
)

// in reports whether a column belongs to one of some parts.
func (c *column) in(parts part) bool { return c.part&parts != 0 }

// entryColumns are those of an entry, and its checksum.
var (
	entryColumns  = strings.Join(append(names(ofIntent|ofOutcome|ofAccount), "checksum"), ", ")
	selectEntries = `SELECT ` + entryColumns + ` FROM entries `
)

var columns = []column{
	{"run", ofOrder, func(e *Entry) any { return &e.Run }},
	{"line", ofOrder, func(e *Entry) any { return &e.Line }},
	{"tier", ofOrder, func(e *Entry) any { return &e.Tier }},
	{"merchant_uid", ofOrder, func(e *Entry) any { return &e.MerchantUID }},
	{"action", ofRequest, func(e *Entry) any { return &e.Action }},
	{"amount", ofRequest, func(e *Entry) any { return &e.Amount }},
	{"due", ofRequest, func(e *Entry) any { return &e.Due }},
	{"bank", ofRequest, func(e *Entry) any { return &e.Bank }},
	{"intent_at", ofRequest, func(e *Entry) any { return &e.IntentAt }},

	{"state", ofOutcome, func(e *Entry) any { return (*string)(&e.State) }},
	{"status", ofOutcome, func(e *Entry) any { return &e.Status }},
	{"error_code", ofOutcome, func(e *Entry) any { return &e.ErrorCode }},
	{"error_message", ofOutcome, func(e *Entry) any { return (*string)(&e.ErrorMessage) }},
	{"attempts", ofOutcome, func(e *Entry) any { return &e.Attempts }},

	{"imp_uid", ofAccount, func(e *Entry) any { return &e.ImpUID }},
	{"vbank_code", ofAccount, func(e *Entry) any { return &e.VbankCode }},
	{"vbank_name", ofAccount, func(e *Entry) any { return &e.VbankName }},
	{"vbank_num", ofAccount, func(e *Entry) any { return &e.VbankNum }},
	{"vbank_holder", ofAccount, func(e *Entry) any { return &e.VbankHolder }},
	{"vbank_due", ofAccount, func(e *Entry) any { return &e.VbankDue }},
	{"pg_provider", ofAccount, func(e *Entry) any { return &e.PGProvider }},
	{"issued_at", ofAccount, func(e *Entry) any { return &e.IssuedAt }},
	{"now_amount", ofAccount, func(e *Entry) any { return &e.NowAmount }},
	{"now_due", ofAccount, func(e *Entry) any { return &e.NowDue }},
	{"pg_id", ofAccount, func(e *Entry) any { return &e.PGID }},
}

// names lists the columns of some parts.
func names(parts part) (list []string) {
	for _, c := range columns {
		if c.in(parts) {
			list = append(list, c.name)
		}
	}
	return list
}

// definitions are the columns of entries as the schema has them.
func definitions() []string {
	list := []string{`merchant BIGINT NOT NULL`, `live INTEGER NOT NULL`, `checksum BIGINT NOT NULL DEFAULT 0`}
	for i := range columns {
		kind := ` BIGINT NOT NULL DEFAULT 0`
		if _, _, isText := columns[i].value(new(Entry)); isText {
			kind = ` TEXT NOT NULL DEFAULT ''`
		}
		list = append(list, columns[i].name+kind)
	}
	return list
}

// value returns what the column is to hold: a text or a number.
func (c *column) value(e *Entry) (number int64, text string, isText bool) {
	switch field := c.field(e).(type) {
	case *string:
		return 0, *field, true
	case *int64:
		return *field, "", false
	case *int:
		return int64(*field), "", false
	case *time.Time:
		return field.UnixMicro(), "", false
	}
	panic("no column is kept in such a field")
}

// appendValues appends the values of the columns of some parts.
func appendValues(values []any, e *Entry, parts part) []any {
	for i := range columns {
		if !columns[i].in(parts) {
			continue
		}
		if number, text, isText := columns[i].value(e); isText {
			values = append(values, text)
		} else {
			values = append(values, number)
		}
	}
	return values
}

// insert returns the statement that writes a new row: the columns of some parts, then the merchant, live and the checksum.
func insert(parts part) string {
	list := append(names(parts), "merchant", "live", "checksum")
	return `INSERT INTO entries (` + strings.Join(list, ", ") + `) VALUES (` + parameters(1, len(list)) + `)`
}

// parameters lists n parameters that are numbered from first on.
func parameters(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(list, ", ")
}

// assign returns the assignments to the columns of some parts, of parameters that are numbered from first on.
func assign(first int, parts part) string {
	list := names(parts)
	for i := range list {
		list[i] += fmt.Sprintf(" = $%d", first+i)
	}
	return strings.Join(list, ", ")
}

// replace returns the assignments to all columns but the key, of the values of a row that could not be inserted.
func replace() string {
	var list []string
	for _, name := range append(names(ofIntent|ofOutcome|ofAccount), "live", "checksum") {
		if name != "run" && name != "line" {
			list = append(list, name+" = excluded."+name)
		}
	}
	return strings.Join(list, ", ")
}
