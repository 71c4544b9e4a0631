package input

import (
	"strings"
	"unicode/utf8"

	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// Problem is one thing that is wrong, or with Warning only worth knowing, about one row.
type Problem struct {
	Column  int    // from 1; 0 when the row has no such column
	Header  string // that column's header
	Field   string // the API's name of the field; "" for the row as a whole
	Code    Code
	Text    string      // the text at fault, shortened; always empty for personal fields
	Message say.Message // what it is and what to do
	Warning bool

	// Everywhere: the rows have it in common, and it is told once for all. As an error it is a column that the file
	// lacks (Reader.Lacking), as a warning something about the PG.
	Everywhere bool
}

// Code names a kind of problem. Codes are stable: they stand in the results and scripts may rely on them.
type Code string

// The codes of problems.
const (
	ActionNotUsed       Code = "ACTION_NOT_USED"
	ActionUnknown       Code = "ACTION_UNKNOWN"
	AmountAmbiguous     Code = "AMOUNT_AMBIGUOUS"
	AmountFraction      Code = "AMOUNT_FRACTION"
	AmountInvalid       Code = "AMOUNT_INVALID"
	AmountMissing       Code = "AMOUNT_MISSING"
	AmountNegative      Code = "AMOUNT_NEGATIVE"
	AmountTooLarge      Code = "AMOUNT_TOO_LARGE"
	AmountZero          Code = "AMOUNT_ZERO"
	BankMissing         Code = "BANK_MISSING"
	BankNotListed       Code = "BANK_NOT_LISTED"
	BankUnknown         Code = "BANK_UNKNOWN"
	BankZerosRestored   Code = "BANK_ZEROS_RESTORED"
	ChannelUnknown      Code = "CHANNEL_UNKNOWN"
	ColumnCount         Code = "COLUMN_COUNT"
	CurrencyUnsupported Code = "CURRENCY_UNSUPPORTED"
	CustomDataInvalid   Code = "CUSTOM_DATA_INVALID"
	DateAmbiguous       Code = "DATE_AMBIGUOUS"
	DateInvalid         Code = "DATE_INVALID"
	DateNoYear          Code = "DATE_NO_YEAR"
	DateWeekday         Code = "DATE_WEEKDAY"
	DueMissing          Code = "DUE_MISSING"
	DueDoubtful         Code = "DUE_DOUBTFUL"
	DuePast             Code = "DUE_PAST"
	FlagInvalid         Code = "FLAG_INVALID"
	HolderMissing       Code = "HOLDER_MISSING"
	ImpUIDMissing       Code = "IMP_UID_MISSING"
	KeyDamagedByExcel   Code = "KEY_DAMAGED_BY_EXCEL"
	KeyDigitsLost       Code = "KEY_DIGITS_LOST"
	KeyFraction         Code = "KEY_FRACTION"
	KeyInvalid          Code = "KEY_INVALID"
	KeyIsTotal          Code = "KEY_IS_TOTAL"
	KeyMissing          Code = "KEY_MISSING"
	KeyPlaceholder      Code = "KEY_PLACEHOLDER"
	NothingToChange     Code = "NOTHING_TO_CHANGE"
	NoticeURLInvalid    Code = "NOTICE_URL_INVALID"
	PGUnknown           Code = "PG_UNKNOWN"
	PhoneNote           Code = "PHONE_NOTE"
	PhoneZeroRestored   Code = "PHONE_ZERO_RESTORED"
	ResultDiffers       Code = "RESULT_DIFFERS"
	TextInvalid         Code = "TEXT_INVALID"
	TooLong             Code = "TOO_LONG"
	TotalDiffers        Code = "TOTAL_DIFFERS" // of no row, but of a Difference
	UnreadableRow       Code = "UNREADABLE_ROW"
)

// The reasons of Row.Skip.
const (
	Filtered    = "FILTERED"     // Options.Where does not hold
	Repeated    = "REPEATED"     // the line belongs to the order of the line above
	NotIssued   = "NOT_ISSUED"   // Options.Revoke: the results do not say that this account was issued
	ZeroBalance = "ZERO_BALANCE" // the amount to collect is zero
)

// Meaning tells what the code means and what to do about it; nothing of a code that is no problem's.
func (c Code) Meaning() say.Message { return codeMessages[c] }

var codeMessages = say.Messages(Sentences)

// Sentences says of every code of a problem what it means and what to do about it, in English; package say has the Korean.
var Sentences = func() map[Code]string {
	for rule, sentence := range pg.Rules {
		if sentences[Code(rule)] == "" {
			sentences[Code(rule)] = sentence
		}
	}
	return sentences
}()

var sentences = map[Code]string{
	ActionNotUsed:       "the column is called an action and holds other words: it is not read, and every row is issued or updated by its other columns; --map action=HEADER has it read",
	ActionUnknown:       "the action is not issue, update or revoke (발급, 변경, 말소), or a cell says that nobody is to pay (취소, 환불, 완납)",
	AmountAmbiguous:     "the amount can be read in two ways; write it in digits alone",
	AmountFraction:      "won have no fraction; write a whole amount",
	AmountInvalid:       "the amount is not a number; write it in digits",
	AmountMissing:       "the amount is missing",
	AmountNegative:      "the amount is negative; an account cannot collect it",
	AmountTooLarge:      "the amount has more than 12 digits; check that the column is right",
	AmountZero:          "the amount is zero; leave it empty to keep it as it is",
	BankMissing:         "the bank is missing; fill it in or give --bank",
	BankNotListed:       "the PG's published table does not name this bank",
	BankUnknown:         "no bank has this name or code; vbankbatch banks lists them; a profile's [banks] takes other names",
	BankZerosRestored:   "the bank code had lost its leading zeros; they were restored",
	ChannelUnknown:      "the merchant's account lists no channel with this channel_key",
	ColumnCount:         "the row has another number of columns than the header; look for a separator too many or too few",
	CurrencyUnsupported: "the amount is not in won; only won can be collected",
	CustomDataInvalid:   "custom_data begins like JSON and is not valid JSON",
	DateAmbiguous:       "the order of year, month and day is not sure; give --date-order mdy, dmy or ymd",
	DateInvalid:         "the due date cannot be read, or there is no such day; write it as 2026-12-31",
	DateNoYear:          "the due date has no year; write it as 2026-12-31",
	DateWeekday:         "the day of the week is not that of the date; one of them is wrong",
	DueMissing:          "the due date is missing; fill it in or give --due",
	DueDoubtful:         "the due date is more than a year away, under a name that may mean the end of a contract; --map vbank_due=HEADER if it is meant",
	DuePast:             "the due date has passed",
	FlagInvalid:         "the value is neither yes (true, Y, 1) nor no (false, N, 0)",
	HolderMissing:       "the account holder is missing; fill it in or give --holder",
	ImpUIDMissing:       "there is neither imp_uid nor merchant_uid to tell which account is meant",
	KeyDamagedByExcel:   "Excel has made an exponent or a day of the number, and what it was is lost; export it again with that column as text",
	KeyDigitsLost:       "the number has more than 15 digits and ends in zeros, as Excel leaves it when digits are lost; compare it with the source",
	KeyFraction:         "the number ends in .0: a program has read it as a quantity, and zeros before it may be lost; export it again with that column as text, or give --key '{HEADER}' to take the cells as they stand",
	KeyInvalid:          "the number holds a line break, a character that cannot be seen or one that was lost in a conversion; type it anew",
	KeyIsTotal:          "the line reads like one of totals; if it is, pass it over with --pass-over, and if it is an order, --totals none takes it",
	KeyMissing:          "the order number is missing",
	KeyPlaceholder:      "the number is a sign or a word for none, or an error of the spreadsheet; fill it in, leave the row out with --where, or the column with --ignore if it is not needed",
	NothingToChange:     "the row changes neither amount nor due date",
	NoticeURLInvalid:    "notice_url is not an http or https address",
	PGUnknown:           "no PG has this name, and the API would silently use the default one; write its code, such as nice or settle.MID",
	PhoneNote:           "a note or another number follows the phone number; only the first number is sent",
	PhoneZeroRestored:   "the phone number had lost its leading zero; it was restored",
	ResultDiffers:       "a results file says one thing in its own column and another in the file's; make them agree",
	TextInvalid:         "the text holds half a character, or one that was lost in a conversion; type it anew, or leave the column out with --ignore if it is not needed",
	TooLong:             "the text is longer than the API takes",
	TotalDiffers:        "a total is not what the rows above it add up to; a row may be missing or changed",
	UnreadableRow:       "the line is not readable as CSV: a quotation mark is opened and never closed, or is followed by other text",
	Filtered:            "left out, as --where asks",
	NotIssued:           "left out: the results do not say that this row's account was issued by their run",
	ZeroBalance:         "there is nothing to collect: the amount is zero",
}

// Whys tells more of some codes: why it comes to that, and what to do. In English, as Sentences. Of the others WhyInvalid
// holds.
var Whys = map[Code]string{
	ActionUnknown:     "The column of the action holds another word: mend it. Or a column that is not read holds nothing but 취소, 환불, 반품, 철회, 완납, 입금완료, 구매확정 or the like, and an account would be issued for an order that nobody is to pay: leave such rows out with --where, or the column with --ignore if it means something else.",
	AmountAmbiguous:   "1.234 is one thousand to one program and a fraction to another, and 35,000 without quotation marks is two cells of a CSV: 35 and 000. A wrong guess would collect a wrong amount, so the row is refused. Write 1234 or 35000, or have the amounts exported without separators.",
	KeyIsTotal:        "A line of totals that is read as an order asks somebody for the money of all. So a row is refused whose order number, or first cell, reads like a total, or a number of rows (2건), or whose amount is what the rows above it come to while little else stands in it. --pass-over TEXT leaves out the lines that begin with the text, and --totals none takes every line for what it is otherwise.",
	KeyDamagedByExcel: "Excel shows a long number as 2.02611E+15 and saves what it shows, and makes a day of 12-3: 03-Dec or 12월 03일. In a workbook it keeps 15 digits of a number, so that a cell with more, or with a day, is refused where it is no text. The number cannot be brought back from the file. Go back to the export itself. If the file must go through Excel, set the column's format to text before the numbers come into it, or import the CSV with that column as text. Where the order number is a day, --key '{HEADER}' takes it as it stands.",
	KeyDigitsLost:     "Excel keeps 15 digits of a number and writes zeros for the others. A number may also end in zeros by itself, so this is a warning, and the row is sent.",
	ColumnCount:       "One separator too many, such as a comma in an address without quotation marks, moves all cells behind it, and an amount could be taken from another column. Put the cell into quotation marks, or export the file again.",
	TotalDiffers:      "Lines of totals are not sent. They are compared with the rows above them. If one differs, a row may be missing or changed, and the file is refused. A line that adds up something else, such as what was paid, differs as well: with --totals warn it is a warning. With --totals none no line is a total.",
	Filtered:          "The row is skipped, and is not a failure. To have it done leave --where out, or the profile's where.",
	NotIssued:         "--revoke takes back only what the results call issued. The row is skipped, and is not a failure.",
	ZeroBalance:       "The row is skipped, and is not a failure. If there should be an amount, look whether the right column was taken for it.",
}

// WhyInvalid is what to do about any problem of a row, in English.
var WhyInvalid = say.Mark("It was found in the file, before anything was sent. As an error it keeps the row from being sent: the message in the results names the column; mend the row in the .failed.csv, and run that. As a warning it is only told, and the row is sent all the same; with --strict the whole file is refused.")

// warnings are the codes of problems that do not keep a row from being done.
var warnings = map[Code]bool{ActionNotUsed: true, ChannelUnknown: true, PGUnknown: true, BankZerosRestored: true, KeyDigitsLost: true, PhoneNote: true, PhoneZeroRestored: true}

// personal are the fields whose text must reach no message.
var personal = map[string]bool{"vbank_holder": true, "buyer_name": true, "buyer_email": true, "buyer_tel": true, "buyer_addr": true,
	"buyer_postcode": true, "vbank_num": true, "vbank_key": true, "business_registration_number": true, "escrow_password": true, "custom_data": true}

// Error is what keeps a whole file from being read. Nothing of it has been acted on.
type Error struct {
	Path    string
	Line    int // physical, from 1; 0 when it is no line's fault
	Column  int // in characters from 1; 0 when it is no column's
	Message say.Message
	Hint    say.Message // what to do, if that can be said
	Err     error       // the cause, if there is one
}

// Error is Say in words.
func (e *Error) Error() string { return e.Say().String() }

// Say tells where and what.
func (e *Error) Say() say.Message {
	message := named(e.Path)
	if e.Line > 0 {
		message = say.Messagef("%s: line %d", message, e.Line)
	}
	if e.Column > 0 {
		message = say.Messagef("%s, column %d", message, e.Column)
	}
	if message = say.Messagef("%s: %s", message, e.Message); e.Err != nil {
		message = say.Messagef("%s: %s", message, e.Err)
	}
	return message
}

func (e *Error) Unwrap() error { return e.Err }

func shorten(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// Complaint joins what is wrong with the row: codes and messages, each with "; " between them. Warnings are told only
// of a row that has nothing worse.
func (r *Row) Complaint() (codes string, messages say.Message) {
	invalid := r.Invalid()
	var code []string
	var message []say.Message
	for _, p := range r.Problems {
		if p.Warning && (invalid || p.Everywhere) {
			continue
		}
		text := p.Message
		if p.Header != "" {
			text = say.Messagef("%s: %s", p.Header, text)
		}
		code, message = append(code, string(p.Code)), append(message, text)
	}
	return strings.Join(code, ";"), say.Join(message, "; ")
}

// OnlyLate reports whether all that keeps the row from being done is that its due date has passed.
func (r *Row) OnlyLate() bool {
	late := false
	for _, p := range r.Problems {
		if !p.Warning && p.Code != DuePast {
			return false
		}
		late = late || p.Code == DuePast
	}
	return late
}
