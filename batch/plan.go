package batch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
)

// Plan is what the preflight found: the file whole, before anything is sent.
type Plan struct {
	File    *input.File
	Options input.Options
	Layout  input.Layout
	Passed  input.Stats        // rows, and the lines between them that are not rows
	Header  []string           // the input's own
	Mapping []input.Mapped     // which column is which field
	Columns []input.Column     // all of the file's
	Given   []input.Given      // options that columns go before
	Shown   input.AsShown      // an order number that a workbook shows otherwise than its cell holds it
	Lacking error              // an *input.Error if the file lacks columns that every row needs; Run refuses it
	Refusal error              // an *input.Error if the file lacks columns that every row needs, or a total contradicts its rows; Run refuses it
	Differ  []input.Difference // lines of totals that do not agree with the rows, the first hundred
	Totals

	Alike map[int]int // lines whose order number looks like another's → one of those lines; of very many some

	repeats    map[int]repeat // by line
	tellings   []input.Telling
	orderTotal bool // the amount is the order's by its column's name
}

// Totals are a file's figures.
type Totals struct {
	Rows     int                  // data rows
	Skipped  int                  // filtered, zero balance, repeated
	Skips    map[string]int       // of them, by reason
	Invalid  int                  // rows with an error
	Actions  map[input.Action]int // rows to be sent
	Won      int64                // sum of the amounts to be issued
	Least    int64                // smallest amount to be issued, won; 0 without one
	Most     int64                // largest
	FirstDue int64                // earliest due date to be issued, UNIX seconds; 0 without one
	LastDue  int64                // latest
	Banks    map[string]int       // rows to be issued, by KFTC code
	BankWon  map[string]int64     // their amounts
	PGs      map[string]int       // likewise, by PG and MID; "" is the API's default, "channel_key" a channel that is not known here
	Codes    map[string]int       // rows by problem code, warnings included
	Notices  map[say.Message]int  // rows by what is told once for all of them
	Warned   int                  // rows to be done with a warning that their PG may refuse them over, or that a text was changed
	Channels int                  // rows that name a channel_key
}

// ToDo is the number of rows that are to be sent.
func (t *Totals) ToDo() int { return t.Rows - t.Skipped - t.Invalid }

// harmless are warnings of what happens to every such request and does it no harm.
var harmless = map[input.Code]bool{input.Code(pg.Ignored): true, input.Code(pg.DueRounded): true}

func (t *Totals) add(row *input.Row) {
	t.Rows++
	warned := false
	for _, problem := range row.Problems {
		switch {
		case !problem.Everywhere:
			t.Codes[string(problem.Code)]++
		case problem.Warning && row.Skip == "":
			t.Notices[problem.Message]++
		}
		warned = warned || problem.Warning && !harmless[problem.Code]
	}
	if row.Request.ChannelKey != "" {
		t.Channels++
	}
	switch {
	case row.Invalid() && !row.OnlyLacks():
		t.Invalid++
		return
	case row.Skip != "":
		t.Skipped++
		t.Skips[row.Skip]++
		return
	}
	if warned {
		t.Warned++
	}
	t.Actions[row.Action]++
	if row.Action != input.Issue {
		return
	}
	amount, due := row.Request.Amount, row.Request.VbankDue
	first := t.Actions[input.Issue] == 1
	t.Won = min(t.Won, math.MaxInt64-amount) + amount // a sum that does not wrap around
	t.Most, t.LastDue = max(t.Most, amount), max(t.LastDue, due)
	if first || amount < t.Least {
		t.Least = amount
	}
	if first || due < t.FirstDue {
		t.FirstDue = due
	}
	t.Banks[row.Bank]++
	t.BankWon[row.Bank] += amount
	switch {
	case row.PG != "" || row.Request.ChannelKey == "":
		t.PGs[row.PG]++
	default:
		t.PGs["channel_key"]++
	}
}

// Preflight reads the whole file and checks it; nothing is sent. Its error is the file's (an *input.Error), not a
// row's. To find orders that stand in several rows, or look alike, it keeps some 40 bytes a row until it is done; a
// file that has such orders is read up to three times.
func Preflight(ctx context.Context, file *input.File, options input.Options) (*Plan, error) {
	return preflight(ctx, file, options, mostRepeats)
}

// preflight refuses a file of which more than most lines are for orders that stand in other lines too.
func preflight(ctx context.Context, file *input.File, options input.Options, most int) (*Plan, error) {
	p := &Plan{File: file, Options: options}
	index := repeatIndex{composed: options.Key != "" && options.Items == "", sum: options.Items == input.ItemsSum, most: most}
	count := func(also func(*input.Row) error) error {
		p.Totals = Totals{Actions: make(map[input.Action]int), Banks: make(map[string]int), BankWon: make(map[string]int64), PGs: make(map[string]int), Skips: make(map[string]int), Notices: make(map[say.Message]int), Codes: make(map[string]int)}
		return p.Each(ctx, func(row *input.Row) error {
			p.add(row)
			return also(row)
		})
	}
	tooMany := &input.Error{Path: file.Path, Message: say.Messagef("more than %d lines are for orders that stand in other lines too", most),
		Hint: say.NewMessage("split the file, or look whether the column of order numbers is the right one")}
	err := count(func(row *input.Row) error {
		if index.add(row); index.tooMany() {
			return tooMany
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	repeats, alike := index.resolve()
	if len(repeats) > most {
		return nil, tooMany
	}
	if err := p.compare(ctx, repeats); err != nil {
		return nil, err
	}
	if p.repeats, p.Alike = repeats, alike; len(p.repeats)+len(p.Alike) > 0 {
		if err := count(func(*input.Row) error { return nil }); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// compare reads the lines of orders that stand in several once more, to see in which columns they differ.
func (p *Plan) compare(ctx context.Context, repeats map[int]repeat) error {
	if len(repeats) == 0 {
		return nil
	}
	return p.Each(ctx, func(row *input.Row) error {
		if r, ok := repeats[row.Line]; ok {
			if r.lines = repeats[r.first].lines; r.lines == nil { // the first of them
				r.lines = new(orderLines)
			}
			r.lines.add(row, p.tellings)
			repeats[row.Line] = r
		}
		return nil
	})
}

// Each reads the file once more and calls do for every data row, with what the preflight found about its order in
// other rows added to it. The row's Cells are valid during the call only.
func (p *Plan) Each(ctx context.Context, do func(*input.Row) error) error {
	reader, err := p.File.Read(p.Options)
	if err != nil {
		return err
	}
	defer reader.Close()
	defer context.AfterFunc(ctx, reader.Stop)() // also while lines pass that are no rows
	p.Layout, p.Header, p.Mapping = reader.Layout(), reader.Header(), reader.Mapping()
	p.tellings, p.orderTotal = reader.Tellings(), reader.OrderTotal()
	for {
		row, err := reader.Next()
		if errors.Is(err, io.EOF) {
			p.Passed, p.Differ, p.Refusal = reader.Stats(), reader.Differences(), cmp.Or(reader.Lacking(), reader.Contradicted())
			p.Columns, p.Given, p.Shown, p.Lacking = reader.Columns(), reader.Given(), reader.KeyAsShown(), reader.Lacking()
			return nil
		}
		if err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		if found, ok := p.repeats[row.Line]; ok {
			p.tell(found, row)
		}
		if other, ok := p.Alike[row.Line]; ok {
			tellAlike(row, other)
		}
		if err := do(row); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}

// blocks reads the file once more, a block of rows at a time. The rows' Cells are not valid.
func (p *Plan) blocks(ctx context.Context, do func([]*input.Row) error) error {
	var block []*input.Row
	err := p.Each(ctx, func(row *input.Row) (err error) {
		if block = append(block, row); len(block) == blockRows {
			err = do(block)
			block = nil
		}
		return err
	})
	if err == nil && len(block) > 0 {
		err = do(block)
	}
	return err
}

// PartOf returns the first line of the order of a line, whose row asks for the amounts of all of them (Options.Items is sum);
// false of a line that is its order's only one.
func (p *Plan) PartOf(line int) (first int, ok bool) {
	found, ok := p.repeats[line]
	return found.first, ok && p.Options.Items == input.ItemsSum
}

// Digest is the SHA-256 of the file's bytes, in hex.
func (p *Plan) Digest() string { return hex.EncodeToString(p.File.Digest[:]) }

// Settings is a digest of the options that decide what the rows of a file mean. A run that was interrupted is
// continued by one with the same settings over the same bytes.
func (p *Plan) Settings() string {
	options := p.Options
	options.Now = time.Time{}
	text, err := json.Marshal(options) // maps come out sorted
	if err != nil {
		panic("options without a JSON form: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Guards are what a caller knows about a file beforehand. A zero guard guards nothing. The tags are for the command
// line.
type Guards struct {
	Strict      bool  `help:"Any invalid row, warning or total that differs stops the run before anything is sent."`
	ExpectRows  int   `placeholder:"N" help:"Stop before anything is sent unless N rows are to be done."`
	ExpectTotal int64 `placeholder:"WON" help:"Likewise, unless WON are to be issued."`
	MaxRows     int   `placeholder:"N" help:"Likewise, if more rows are to be done."`
	MaxTotal    int64 `placeholder:"WON" help:"Likewise, if more won are to be issued."`
	MaxAmount   int64 `placeholder:"WON" help:"Likewise, if one row asks for more."`
}

// Check compares what the preflight found with what the caller knows, and returns every difference.
func (g Guards) Check(p *Plan) error {
	var broken []error
	guard := func(holds bool, text string, values ...any) {
		if !holds {
			broken = append(broken, say.Errorf(text, values...))
		}
	}
	guard(g.ExpectRows <= 0 || p.ToDo() == g.ExpectRows, "%d rows are to be done, --expect-rows says %d", p.ToDo(), g.ExpectRows)
	guard(g.ExpectTotal <= 0 || p.Won == g.ExpectTotal, "%d won are to be issued, --expect-total says %d", p.Won, g.ExpectTotal)
	guard(g.MaxRows <= 0 || p.ToDo() <= g.MaxRows, "%d rows are to be done, --max-rows allows %d", p.ToDo(), g.MaxRows)
	guard(g.MaxTotal <= 0 || p.Won <= g.MaxTotal, "%d won are to be issued, --max-total allows %d", p.Won, g.MaxTotal)
	guard(g.MaxAmount <= 0 || p.Most <= g.MaxAmount, "one row asks for %d won, --max-amount allows %d", p.Most, g.MaxAmount)
	guard(!g.Strict || p.Invalid == 0, "%d rows are invalid, and --strict allows none", p.Invalid)
	guard(!g.Strict || p.Warned == 0, "%d rows have warnings, and --strict allows none", p.Warned)
	repeated := p.Skips[CodeRepeated]
	guard(!g.Strict || repeated == 0 || p.Options.Items != "", "%d lines repeat the order of another line, and --strict allows none; --items same does", repeated)
	for _, d := range p.Differ {
		guard(!g.Strict, "line %d: the total says %d and the rows come to %d, and --strict allows no difference", d.Line, d.Says, d.Adds)
	}
	return errors.Join(broken...)
}
