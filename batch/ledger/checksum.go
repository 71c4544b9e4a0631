package ledger

import (
	"encoding/binary"
	"hash/crc32"

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
		if !column.in(parts) {
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
