package ledger

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"vbankbatch/client/say"
)

// SQLite takes a page as it finds it. So every entry carries a checksum, and a bit that flipped on the disk since it was
// written is met when the entry is read, before it gets into the results or decides about an order.
//
// It has two parts and a bit, since a statement that says what came of an intent does not know the rest of its line:
//
//	bits 63 to 32  the line, its order, and what an intent asks for
//	bits 31 to 1   what came of it
//	bit 0          live
//
// Pages and indexes that do not fit together, so that an entry is not found at all, are what Check is for.

// keepIntent is what statements keep of a checksum when they write anew what came of an intent.
const keepIntent = `-4294967295` // all but bits 31 to 1

// errDamaged is in the error for what is not as it was written.
var errDamaged = say.New("the ledger is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksums computes them, one after the other.
type checksums struct{ numbers, texts []byte }

func (c *checksums) intent(merchant int64, e *Entry) int64 {
	return int64(c.sum(e, merchant, ofIntent)) << 32
}

func (c *checksums) outcome(e *Entry) int64 {
	return int64(c.sum(e, 0, ofOutcome|ofAccount) &^ 1)
}

// sum is the checksum of the columns of some parts: their numbers, in the order of columns, the merchant's behind the line's,
// then their texts.
func (c *checksums) sum(e *Entry, merchant int64, parts part) uint32 {
	c.numbers, c.texts = c.numbers[:0], c.texts[:0]
	for i := range columns {
		column := &columns[i]
		if column.part&parts == 0 {
			continue
		}
		if number, text, isText := column.value(e); isText {
			c.texts = append(binary.AppendUvarint(c.texts, uint64(len(text))), text...)
		} else {
			c.numbers = binary.LittleEndian.AppendUint64(c.numbers, uint64(number))
		}
		if column.name == "line" {
			c.numbers = binary.LittleEndian.AppendUint64(c.numbers, uint64(merchant))
		}
	}
	return crc32.Update(crc32.Checksum(c.numbers, castagnoli), castagnoli, c.texts)
}

// whole is the checksum of an entry but for bit 0.
func (c *checksums) whole(merchant int64, e *Entry) int64 {
	return c.intent(merchant, e) | c.outcome(e)
}

// reading takes rows of entryColumns, one after the other into the same entry.
type reading struct {
	Entry
	state              any // text; a flipped bit can make a blob of the same bytes, which SQL compares as another state
	intentAt, checksum int64
	into               []any
	checksums
}

// newReading is for rows of entryColumns and the columns that stand behind them.
func newReading(behind ...any) *reading {
	r := new(reading)
	for _, column := range columns {
		switch column.name {
		case "state":
			r.into = append(r.into, &r.state)
		case "intent_at":
			r.into = append(r.into, &r.intentAt)
		default:
			r.into = append(r.into, column.field(&r.Entry))
		}
	}
	r.into = append(append(r.into, &r.checksum), behind...)
	return r
}

func (r *reading) scan(rows *sql.Rows) error {
	err := rows.Scan(r.into...) // which fails where a number is expected and something else stands; its error would tell what
	state, ok := r.state.(string)
	if err != nil || !ok {
		return r.damaged()
	}
	r.State, r.IntentAt = State(state), time.UnixMicro(r.intentAt)
	return nil
}

// check compares the entry, of a merchant and live or not, with its checksum.
func (r *reading) check(merchant, live int64) error {
	if r.checksum != r.whole(merchant, &r.Entry)|live {
		return r.damaged()
	}
	return nil
}

func (r *reading) damaged() error {
	return say.Errorf("%w: line %d of run %d is not as it was written", errDamaged, r.Line, r.Run)
}

// querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, values ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, values ...any) *sql.Row
}

// schemaChecksum is that of the schema's own text. It stands in the file's head as the number of its kind.
func schemaChecksum(ctx context.Context, db querier) (int32, error) {
	var text string
	err := db.QueryRowContext(ctx, `SELECT group_concat(type || name || tbl_name || coalesce(sql, ''), ' ' ORDER BY name) FROM sqlite_master`).Scan(&text)
	return int32(crc32.Checksum([]byte(text), castagnoli)), err
}

// seal keeps the schema's checksum, whenever the schema has been made or changed.
func seal(ctx context.Context, tx *sql.Tx) error {
	schema, err := schemaChecksum(ctx, tx)
	if err == nil {
		_, err = tx.Exec(fmt.Sprintf(`PRAGMA application_id = %d`, schema))
	}
	return err
}

// sound looks whether all that a ledger holds fits together, which takes SQLite some two seconds for a million lines.
func sound(ctx context.Context, db querier) error {
	var kept int32
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&kept); err != nil {
		return err
	}
	if schema, err := schemaChecksum(ctx, db); err != nil {
		return err
	} else if schema != kept {
		return say.Errorf("%w: its schema is not as it was written", errDamaged)
	}
	if err := fits(ctx, db); err != nil {
		return err
	}
	var merchant, live int64
	r := newReading(&merchant, &live)
	return rowsOf(ctx, db, func(rows *sql.Rows) error {
		if err := r.scan(rows); err != nil {
			return err
		}
		return r.check(merchant, live)
	}, edges)
}

// edges are the first and the last line of each run: those that are in order even if their numbers are others now, so that
// nobody meets them who asks for a line.
var edges = `SELECT ` + entryColumns + `, (SELECT merchant FROM runs WHERE id = run), live FROM entries
	JOIN (SELECT run, min(line) AS first, max(line) AS last FROM entries GROUP BY run) USING (run) WHERE line IN (first, last)`

// fits has SQLite look whether pages and indexes fit together.
func fits(ctx context.Context, db querier) error {
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return say.Errorf("%w: %s", errDamaged, found)
	}
	return nil
}
