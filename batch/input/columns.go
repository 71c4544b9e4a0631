package input

import (
	"slices"
	"strings"
	"unicode/utf8"

	"vbankbatch/client/say"
)

// A Column is one of the file's, as check shows it.
type Column struct {
	Number  int    // from 1
	Header  string // as it stands, on one line
	Field   string // what it is read as; "" if it is not
	Note    say.Message
	Samples []string // the first values that differ, up to three; of what may be personal little can be seen
}

// A Given is a field of Options.Set of which the file has a column too: the option is only for rows whose cell is empty.
type Given struct {
	Field  string
	Header string
	Rows   int // to issue, that have a value of their own
	Line   int // of the first of them
}

const (
	mostSamples = 3
	sampledRows = 1000
)

// sample keeps the first values of each column, of the first rows.
func (r *Reader) sample(cells []string) {
	if r.sampled == sampledRows {
		return
	}
	r.sampled++
	if r.samples == nil {
		r.samples = make([][]string, len(r.header.names))
	}
	for i, kept := range r.samples {
		if cell := told(clean(cells[i])); len(kept) < mostSamples && cell != "" && !slices.Contains(kept, cell) {
			r.samples[i] = append(kept, cell)
		}
	}
}

// Columns returns all columns that have a name or a value, with what each is read as, in their order.
func (r *Reader) Columns() (columns []Column) {
	for i, name := range r.header.names {
		c := Column{Number: i + 1, Header: oneLine(name), Note: r.noteOf(i)}
		for _, m := range r.mapped {
			if m.Column == c.Number {
				c.Field = m.Field
			}
		}
		if r.samples != nil {
			for _, text := range r.samples[i] {
				if personal[c.Field] || c.Field == "" && looksPersonal(r.header.folded[i], text) {
					text = mask(text)
				}
				c.Samples = append(c.Samples, text)
			}
		}
		if c.Header != "" || c.Samples != nil {
			columns = append(columns, c)
		}
	}
	return columns
}

// noteOf says what a column is used for beside its field, and of the amount's why it is this one.
func (r *Reader) noteOf(i int) say.Message {
	var notes []say.Message
	for _, w := range r.where {
		if w.column == i {
			notes = append(notes, "--where")
		}
	}
	if slices.ContainsFunc(r.key, func(part keyPart) bool { return part.column == i }) {
		notes = append(notes, "--key")
	}
	if slices.Contains(r.header.ignore, i) && r.header.folded[i] == "거래고유번호" {
		notes = append(notes, say.NewMessage("a PG's number: none begins with imp_"))
	} else if slices.Contains(r.header.ignore, i) {
		notes = append(notes, "--ignore")
	}
	switch {
	case !slices.Contains(r.currencies, i):
	case exchangeRate.MatchString(r.header.folded[i]):
		notes = append(notes, say.NewMessage("rows with another rate than 1 are refused, unless a column says that they are in won"))
	default:
		notes = append(notes, say.NewMessage("rows in another currency than won are refused"))
	}
	if i == r.amountAt {
		if note := r.whyAmount(); note != "" {
			notes = append(notes, note)
		}
	}
	return say.Join(notes, "; ")
}

// whyAmount says why the amount is read from its column and not from one beside it.
func (r *Reader) whyAmount() say.Message {
	if r.mappedByUser {
		return "--map"
	}
	var others []say.Message
	for i, role := range r.header.roles {
		if i != r.amountAt && role > noRole && role <= credit {
			others = append(others, say.Message("“"+told(r.header.names[i])+"”"))
		}
	}
	if others == nil {
		return ""
	}
	return say.Messagef("by its name, which goes before %s", say.Join(others, ", "))
}

// Given returns the fields that an option gives and a column too, with the rows that the option does not touch up to here.
func (r *Reader) Given() []Given { return r.given }

// countGiven counts a row that has a value of its own for what an option gives.
func (r *Reader) countGiven(row *Row) {
	if row.Action != Issue || row.Skip != "" {
		return
	}
	for i, column := range r.givenAt {
		if filled(row.Cells[column]) == "" {
			continue
		}
		if r.given[i].Rows++; r.given[i].Rows == 1 {
			r.given[i].Line = row.Line
		}
	}
}

// personalNames are pieces of headers under which there is something personal.
var personalNames = []string{"이름", "성명", "성함", "고객", "주문자", "구매자", "입금자", "예금주", "수취인", "받는", "담당", "대표", "세대주", "학생", "회원", "학부모", "보호자", "전화", "휴대", "핸드폰", "연락처",
	"주소", "우편", "메일", "계좌", "카드", "주민", "생년", "사업자", "name", "phone", "tel", "mobile", "mail", "address", "account", "birth"}

// looksPersonal reports a value that may be a name, a number or an address of a person.
func looksPersonal(header, text string) bool {
	digits := 0
	for i := range len(text) {
		if text[i] >= '0' && text[i] <= '9' {
			digits++
		}
	}
	return strings.Contains(text, "@") || digits >= 9 && strings.HasPrefix(text, "0") ||
		slices.ContainsFunc(personalNames, func(piece string) bool { return strings.Contains(header, piece) })
}

// mask leaves the first character of a text.
func mask(text string) string {
	_, size := utf8.DecodeRuneInString(text)
	return text[:size] + "**"
}
