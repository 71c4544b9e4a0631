package ledger

import (
	"fmt"
	"strings"
	"time"
)

// A new field of an entry is a field of its type and a line here. The schema, the upgrade of older ledgers, the statements,
// what they are given, what is read, and what the checksums cover follow. A new schemaVersion goes with it.

// column is a column of entries, and the field that it keeps.
type column struct {
	name  string
	part  part
	field func(*Entry) any // a pointer: *int64, *int, *string or *time.Time
}

// part is what a statement writes together.
type part int

const (
	ofIntent  part = 1 << iota // the line, its order, and what an intent asks for: never changed by what came of it
	ofOutcome                  // how it stands
	ofAccount                  // which an intent does not have yet
)

// entryColumns are those of an entry, and its checksum.
var (
	entryColumns  = strings.Join(append(names(ofIntent|ofOutcome|ofAccount), "checksum"), ", ")
	selectEntries = `SELECT ` + entryColumns + ` FROM entries `
)

var columns = []column{
	{"run", ofIntent, func(e *Entry) any { return &e.Run }},
	{"line", ofIntent, func(e *Entry) any { return &e.Line }},
	{"tier", ofIntent, func(e *Entry) any { return &e.Tier }},
	{"merchant_uid", ofIntent, func(e *Entry) any { return &e.MerchantUID }},
	{"action", ofIntent, func(e *Entry) any { return &e.Action }},
	{"amount", ofIntent, func(e *Entry) any { return &e.Amount }},
	{"due", ofIntent, func(e *Entry) any { return &e.Due }},
	{"bank", ofIntent, func(e *Entry) any { return &e.Bank }},
	{"intent_at", ofIntent, func(e *Entry) any { return &e.IntentAt }},

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
		if c.part&parts != 0 {
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
		if columns[i].part&parts == 0 {
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
