package report

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/gocarina/gocsv"
	"github.com/rivo/uniseg"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
)

// JSONLines is a format of LedgerExport: an object on each line.
const JSONLines = "jsonl"

// stateNames say how an order stands. Those of two words are written as one for programs.
var stateNames = map[ledger.State]string{
	ledger.Vacant: "", ledger.Intended: "in_doubt", ledger.Issued: "issued", ledger.Changing: "changing", ledger.Revoked: "revoked",
}

func stateForPeople(language say.Language, state ledger.State) string {
	return language.Text(strings.ReplaceAll(stateNames[state], "_", " "))
}

// batchRows is how many rows of CSV are made at once.
const batchRows = 256

// stream writes values of one kind as they come, as CSV with a header, as one JSON array, or as JSON lines.
type stream[T any] struct {
	w       io.Writer
	format  string
	waiting []T // CSV is made of many at once
	written bool
}

func (s *stream[T]) add(value T) error {
	if s.format == CSV {
		if s.waiting = append(s.waiting, value); len(s.waiting) < batchRows {
			return nil
		}
		return s.flushCSV()
	}
	before, after := "\n  ", ""
	switch {
	case s.format == JSONLines:
		before, after = "", "\n"
	case !s.written:
		before = "[\n  "
	default:
		before = ",\n  "
	}
	s.written = true
	text, err := marshal(value)
	if err == nil {
		_, err = fmt.Fprint(s.w, before, text, after)
	}
	return err
}

// marshal is json.Marshal that leaves < and > alone.
func marshal(value any) (string, error) {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	err := out.Encode(value)
	return strings.TrimSuffix(text.String(), "\n"), err
}

func (s *stream[T]) flushCSV() error {
	out := defused{csv.NewWriter(s.w)}
	write := gocsv.MarshalCSV
	if s.written {
		write = gocsv.MarshalCSVWithoutHeaders
	}
	err := write(s.waiting, out)
	s.waiting, s.written = s.waiting[:0], true
	return err
}

// end writes what is left.
func (s *stream[T]) end() error {
	var err error
	switch {
	case s.format == CSV && (len(s.waiting) > 0 || !s.written):
		err = s.flushCSV()
	case s.format == JSON && s.written:
		_, err = fmt.Fprint(s.w, "\n]\n")
	case s.format == JSON:
		_, err = fmt.Fprint(s.w, "[]\n")
	}
	return err
}

// listed is a line of the ledger as LedgerList tells it to programs.
type listed struct {
	MerchantUID string `csv:"merchant_uid" json:"merchant_uid"`
	Tier        string `csv:"tier" json:"tier"`
	State       string `csv:"state" json:"state"` // "" of a line that holds no order
	Status      string `csv:"status" json:"status"`
	Amount      int64  `csv:"amount" json:"amount"`       // won, now
	VbankDue    string `csv:"vbank_due" json:"vbank_due"` // now
	VbankCode   string `csv:"vbank_code" json:"vbank_code"`
	VbankName   string `csv:"vbank_name" json:"vbank_name"`
	ImpUID      string `csv:"imp_uid" json:"imp_uid"`
	VbankNum    string `csv:"vbank_num" json:"vbank_num"`
	Run         int64  `csv:"run" json:"run"`
	Line        int64  `csv:"line" json:"line"`
	At          string `csv:"at" json:"at"`
}

// LedgerList writes the lines that the filter lets through as they are read, the newest first, in one of the formats of
// Check. Of an account number only the last four digits are shown, unless all is asked for.
func LedgerList(ctx context.Context, w say.Writer, book *ledger.Reader, filter ledger.Filter, format string, showAccounts bool) error {
	number := Mask
	if showAccounts {
		number = func(vbankNum string) string { return vbankNum }
	}
	if format == Text {
		t := newTable(w, headings(w.Language, "order", "tier", "state", "status", "amount", "due", "bank", "imp_uid", "account", "run", "line"), 4, 9, 10)
		err := book.List(ctx, filter, func(l *ledger.Line) error {
			return t.add(l.MerchantUID, l.Tier, stateForPeople(w.Language, l.State), l.Status, Thousands(AmountNow(&l.Entry)), input.FormatDue(DueNow(&l.Entry)),
				strings.TrimSpace(cmp.Or(l.VbankCode, l.Bank)+" "+l.VbankName), l.ImpUID, number(l.VbankNum), strconv.FormatInt(l.Run, 10), strconv.FormatInt(l.Line, 10))
		})
		return cmp.Or(err, t.flush())
	}
	out := stream[listed]{w: w, format: format}
	err := book.List(ctx, filter, func(l *ledger.Line) error {
		return out.add(listed{MerchantUID: l.MerchantUID, Tier: l.Tier, State: stateNames[l.State], Status: l.Status, Amount: AmountNow(&l.Entry),
			VbankDue: moment(DueNow(&l.Entry)), VbankCode: cmp.Or(l.VbankCode, l.Bank), VbankName: l.VbankName, ImpUID: l.ImpUID, VbankNum: number(l.VbankNum),
			Run: l.Run, Line: l.Line, At: Stamp(l.At)})
	})
	if err != nil {
		return err // and the array stays open, so that nobody takes it for all
	}
	return out.end()
}

// AmountNow and DueNow are what an order's account has now, as far as the ledger knows, or what was asked for.
func AmountNow(e *ledger.Entry) int64 { return cmp.Or(e.NowAmount, e.Amount) }

// DueNow is described at [AmountNow].
func DueNow(e *ledger.Entry) int64 { return cmp.Or(e.VbankDue, e.NowDue, e.Due) }

// exported is a line of the ledger with all that stands in it. An empty cell and a 0 say that something is not known.
type exported struct {
	Merchant     string `csv:"merchant" json:"merchant"`
	Run          int64  `csv:"run" json:"run"`
	File         string `csv:"file" json:"file"`
	Started      string `csv:"run_started_at" json:"run_started_at"`
	Finished     string `csv:"run_finished_at" json:"run_finished_at"`
	Line         int64  `csv:"line" json:"line"`
	Tier         string `csv:"tier" json:"tier"`
	MerchantUID  string `csv:"merchant_uid" json:"merchant_uid"`
	Live         bool   `csv:"live" json:"live"`
	State        string `csv:"state" json:"state"`
	Status       string `csv:"status" json:"status"`
	ErrorCode    string `csv:"error_code" json:"error_code"`
	ErrorMessage string `csv:"error_message" json:"error_message"`
	Action       string `csv:"action" json:"action"`
	Attempts     int    `csv:"attempts" json:"attempts"`
	Amount       int64  `csv:"amount" json:"amount"`
	Due          string `csv:"due" json:"due"`
	Bank         string `csv:"bank" json:"bank"`
	IntentAt     string `csv:"intent_at" json:"intent_at"`
	ImpUID       string `csv:"imp_uid" json:"imp_uid"`
	VbankCode    string `csv:"vbank_code" json:"vbank_code"`
	VbankName    string `csv:"vbank_name" json:"vbank_name"`
	VbankNum     string `csv:"vbank_num" json:"vbank_num"`
	VbankHolder  string `csv:"vbank_holder" json:"vbank_holder"`
	VbankDue     string `csv:"vbank_due" json:"vbank_due"`
	PGProvider   string `csv:"pg_provider" json:"pg_provider"`
	PGID         string `csv:"pg_id" json:"pg_id"`
	IssuedAt     string `csv:"issued_at" json:"issued_at"`
	NowAmount    int64  `csv:"now_amount" json:"now_amount"`
	NowDue       string `csv:"now_due" json:"now_due"`
}

func export(language say.Language, l *ledger.Line) exported {
	e := exported{Merchant: l.Merchant, Run: l.Run, File: l.File, Started: Stamp(l.Started), Finished: Stamp(l.Finished), Line: l.Line,
		Tier: l.Tier, MerchantUID: l.MerchantUID, Live: l.Live, State: stateNames[l.State], Status: l.Status, ErrorCode: l.ErrorCode,
		ErrorMessage: l.ErrorMessage.In(language), Action: l.Action, Attempts: l.Attempts, Amount: l.Amount, Due: moment(l.Due), Bank: l.Bank,
		ImpUID: l.ImpUID, VbankCode: l.VbankCode, VbankName: l.VbankName, VbankNum: l.VbankNum, VbankHolder: l.VbankHolder, VbankDue: moment(l.VbankDue),
		PGProvider: l.PGProvider, PGID: l.PGID, IssuedAt: moment(l.IssuedAt), NowAmount: l.NowAmount, NowDue: moment(l.NowDue)}
	if l.IntentAt.UnixMicro() > 0 {
		e.IntentAt = l.IntentAt.In(input.KST).Format("2006-01-02T15:04:05.000000Z07:00")
	}
	return e
}

// LedgerExport writes every line of the ledger as it stands at one moment, the oldest run first, as CSV or as JSON
// lines. Account numbers and holders are whole: it is for a backup or an audit, and as secret as the ledger.
func LedgerExport(ctx context.Context, w say.Writer, book *ledger.Reader, format string) error {
	out := stream[exported]{w: w, format: format}
	if err := book.All(ctx, func(l *ledger.Line) error { return out.add(export(w.Language, l)) }); err != nil {
		return err
	}
	return out.end()
}

// LedgerOrder writes all that the ledger knows of one order, in one of the formats of Check: how it stands, with its
// whole account number, and every line of it, the newest first. Its error is a *ledger.UnknownOrderError for an order
// that the ledger does not know.
func LedgerOrder(ctx context.Context, w say.Writer, book *ledger.Reader, order ledger.Order, format string) error {
	lines, err := book.History(ctx, order)
	if err != nil {
		return err
	}
	switch format {
	case JSON:
		told := struct {
			MerchantUID string     `json:"merchant_uid"`
			Tier        string     `json:"tier"`
			State       string     `json:"state"` // "" without an account
			Lines       []exported `json:"lines"`
		}{MerchantUID: order.MerchantUID, Tier: order.Tier}
		for i := range lines {
			told.Lines = append(told.Lines, export(w.Language, &lines[i]))
			if lines[i].Live {
				told.State = stateNames[lines[i].State]
			}
		}
		return EncodeJSON(w, told)
	case CSV:
		out := stream[exported]{w: w, format: CSV}
		for i := range lines {
			if err := out.add(export(w.Language, &lines[i])); err != nil {
				return err
			}
		}
		return out.end()
	}
	if err := printOrder(w, order, lines); err != nil {
		return err
	}
	t := newTable(w, headings(w.Language, "run", "line", "at", "action", "status", "sent", "amount", "code", "file", "message"), 0, 1, 5, 6)
	for i := range lines {
		l := &lines[i]
		err := t.add(strconv.FormatInt(l.Run, 10), strconv.FormatInt(l.Line, 10), Clock(l.At), l.Action, l.Status, Thousands(int64(l.Attempts)), Thousands(l.Amount),
			l.ErrorCode, BaseName(l.File), l.ErrorMessage.In(w.Language))
		if err != nil {
			return err
		}
	}
	return t.flush()
}

// printOrder tells a person how an order stands.
func printOrder(w say.Writer, order ledger.Order, lines []ledger.Line) error {
	var out strings.Builder
	field := func(name, value string) {
		if value != "" {
			name = w.Text(name)
			fmt.Fprintf(&out, "%s%s %s\n", name, strings.Repeat(" ", max(9-uniseg.StringWidth(name), 0)), visible(value))
		}
	}
	field("order", order.MerchantUID)
	field("tier", order.Tier)
	var live *ledger.Line
	for i := range lines {
		if lines[i].Live {
			live = &lines[i]
		}
	}
	if live == nil {
		field("state", w.Text("no account that this ledger knows of"))
	} else {
		field("state", stateForPeople(w.Language, live.State))
		field("amount", w.Sprintf("%s won", Thousands(AmountNow(&live.Entry))))
		field("due", input.FormatDue(DueNow(&live.Entry)))
		field("bank", strings.TrimSpace(cmp.Or(live.VbankCode, live.Bank)+" "+live.VbankName))
		field("account", live.VbankNum)
		field("holder", live.VbankHolder)
		field("imp_uid", live.ImpUID)
		field("pg", strings.TrimSpace(live.PGProvider+" "+live.PGID))
		if live.IssuedAt != 0 {
			field("issued", Clock(time.Unix(live.IssuedAt, 0)))
		}
		if live.State != ledger.Intended && live.VbankNum == "" {
			field("account", Sentence(w.Language, batch.CodeAccountPurged))
		}
	}
	out.WriteByte('\n')
	_, err := io.WriteString(w, out.String())
	return err
}

// BaseName is the last part of a path, of Windows too; "" stays.
func BaseName(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }

// ledgerStats is what LedgerStats says in JSON.
type ledgerStats struct {
	Bytes      int64            `json:"bytes"`
	LogBytes   int64            `json:"log_bytes"`
	Orders     map[string]int64 `json:"orders"`
	DoubtSince string           `json:"in_doubt_since,omitempty"`
	Lines      int64            `json:"lines"`
	Oldest     string           `json:"oldest,omitempty"`
	Newest     string           `json:"newest,omitempty"`
	Runs       []statsRun       `json:"runs"`
}

type statsRun struct {
	Run      int64            `json:"run"`
	File     string           `json:"file"`
	Started  string           `json:"started_at"`
	Finished string           `json:"finished_at,omitempty"`
	Lines    int64            `json:"lines"`
	Statuses map[string]int64 `json:"statuses"`
}

// LedgerStats writes the ledger's figures, as text or as JSON: orders by state and the age of the oldest in doubt, and
// the lines of each run by status.
func LedgerStats(ctx context.Context, w say.Writer, book *ledger.Reader, format string, now time.Time) error {
	s, err := book.Stats(ctx)
	if err != nil {
		return err
	}
	states := []ledger.State{ledger.Issued, ledger.Intended, ledger.Changing, ledger.Revoked}
	if format == JSON {
		told := ledgerStats{Bytes: s.Bytes, LogBytes: s.LogBytes, Orders: make(map[string]int64), DoubtSince: Stamp(s.DoubtSince),
			Lines: s.Lines, Oldest: Stamp(s.Oldest), Newest: Stamp(s.Newest), Runs: []statsRun{}}
		for _, state := range states {
			told.Orders[stateNames[state]] = s.Orders[state]
		}
		for _, r := range s.Runs {
			told.Runs = append(told.Runs, statsRun{r.ID, BaseName(r.File), Stamp(r.Started), Stamp(r.Finished), r.Lines, r.Statuses})
		}
		return EncodeJSON(w, told)
	}
	var out strings.Builder
	w.To(&out).Printf("file: %s bytes, and %s in the log beside it\n", Thousands(s.Bytes), Thousands(s.LogBytes))
	w.To(&out).Printf("orders: %s issued, %s in doubt, %s changing, %s revoked\n", Thousands(s.Orders[ledger.Issued]), Thousands(s.Orders[ledger.Intended]),
		Thousands(s.Orders[ledger.Changing]), Thousands(s.Orders[ledger.Revoked]))
	if !s.DoubtSince.IsZero() {
		w.To(&out).Printf("oldest in doubt: since %s, %s ago\n", Clock(s.DoubtSince), age(w.Language, now.Sub(s.DoubtSince)))
	}
	if s.Lines > 0 {
		w.To(&out).Printf("lines: %s, from %s to %s\n", Thousands(s.Lines), Clock(s.Oldest), Clock(s.Newest))
	}
	out.WriteByte('\n')
	if _, err := io.WriteString(w, out.String()); err != nil {
		return err
	}
	t := newTable(w, headings(w.Language, "run", "file", "started", "finished", "lines", "by status"), 0, 4)
	for _, r := range s.Runs {
		finished := w.Text("interrupted, or under way")
		if !r.Finished.IsZero() {
			finished = Clock(r.Finished)
		}
		var statuses []string
		for _, status := range batch.Statuses {
			if n := r.Statuses[status]; n > 0 {
				statuses = append(statuses, status+" "+Thousands(n))
			}
		}
		if err := t.add(strconv.FormatInt(r.ID, 10), BaseName(r.File), Clock(r.Started), finished, Thousands(r.Lines), strings.Join(statuses, ", ")); err != nil {
			return err
		}
	}
	return t.flush()
}

// age writes how long ago something was: 3d 4h, 5h 6m, or 7m.
func age(language say.Language, d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes := d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60
	switch {
	case days > 0:
		return language.Sprintf("%dd %dh", days, hours)
	case hours > 0:
		return language.Sprintf("%dh %dm", hours, minutes)
	}
	return language.Sprintf("%dm", minutes)
}

// PrintPurge tells a person what a purge of the runs that ended before a day does, or has done.
func PrintPurge(w say.Writer, p ledger.Purged, before time.Time, done bool) {
	head := say.Mark("runs that ended before %s would be purged:\n")
	if done {
		head = say.Mark("runs that ended before %s are purged:\n")
	}
	w.Printf(head, before.In(input.KST).Format(time.DateOnly))
	for _, line := range []struct {
		n     int64
		words string
	}{
		{p.Accounts, w.Text("accounts without their number, holder and messages; their orders stay known, and get no second account")},
		{p.Lines, w.Text("lines deleted that hold no order: refused, invalid, skipped, or done by another line")},
		{p.Runs, w.Text("runs deleted, all of whose lines were")},
		{p.Files, w.Text("runs without the name and the digest of their file; report cannot write their results again")},
		{p.Waiting, w.Text("accounts kept as they are, since they may still be paid into: their due date has not passed, or they have none")},
		{p.InDoubt, w.Text("lines kept as they are, since they are in doubt; vbankbatch reconcile settles them")},
	} {
		fmt.Fprintf(w, "  %9s  %s\n", Thousands(line.n), line.words)
	}
}
