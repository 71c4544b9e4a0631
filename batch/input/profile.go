package input

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"vbankbatch/client/say"
)

// Profile is what Options say of a file that comes again and again, as people write it: in a TOML file, or in flags.
type Profile struct {
	Encoding   string            `toml:"encoding,omitempty" comment:"utf-8, cp949, utf-16le or utf-16be; without it the file's bytes tell"`
	Delimiter  string            `toml:"delimiter,omitempty" comment:"comma, tab, semicolon, pipe or the character itself; without it the header tells"`
	Key        string            `toml:"key,omitempty" comment:"the order number, made of columns; it must be another one for every order that was ever issued"`
	Where      []string          `toml:"where,omitempty" comment:"only the rows in which all of these hold: HEADER=VALUE"`
	DueYear    int               `toml:"due_year,omitempty" comment:"the year of due dates that have none"`
	DateOrder  string            `toml:"date_order,omitempty" comment:"of dates such as 01/02/2026 and 26.11.27: mdy, dmy or ymd"`
	Unit       string            `toml:"unit,omitempty" comment:"what the amounts are counted in: won, 천원, 만원, 백만원, or a number of won"`
	Items      string            `toml:"items,omitempty" comment:"of lines of one order that differ: same, each has the order's amount; sum, each has its own"`
	Ignore     []string          `toml:"ignore,omitempty" comment:"headers of columns that are not read and say nothing of the others"`
	FillDown   []string          `toml:"fill_down,omitempty" comment:"headers of columns whose empty cells repeat the one above"`
	Sheet      string            `toml:"sheet,omitempty" comment:"the sheet of a workbook; without it the only one that is shown and has a header"`
	Hidden     string            `toml:"hidden,omitempty" comment:"of a workbook's rows that are hidden or filtered out: skip or include"`
	StopAt     string            `toml:"stop_at,omitempty" comment:"the rows end at the line that begins with this"`
	PassOver   []string          `toml:"pass_over,omitempty" comment:"lines that begin with one of these are not read; * stands for any text"`
	Totals     string            `toml:"totals,omitempty" comment:"of lines of totals: warn, those that differ from the rows are only told; none, no line is one"`
	OnlyMapped bool              `toml:"only_mapped,omitempty" comment:"another column whose name is known stops the run: the export has changed"`
	Rate       *float64          `toml:"rate,omitempty" comment:"HTTP requests a second, 0 for no limit; a run reads it again on SIGHUP"`
	Map        map[string]string `toml:"map,omitempty" comment:"which column is which field: FIELD = HEADER"`
	Set        map[string]string `toml:"set,omitempty" comment:"what rows have that do not say it themselves: FIELD = VALUE"`
	Banks      map[string]string `toml:"banks,omitempty" comment:"the code to send for a bank, where the PG's own table is not to be used: \"국민\" = \"04\""`
	PGAPIKeys  map[string]string `toml:"pg_api_keys,omitempty" comment:"where the pg_api_key of a MID of KG Inicis is kept: MID = env:NAME or file:PATH"`
}

const profileHead = `# How vbankbatch reads a file: vbankbatch run --profile THIS_FILE orders.csv. Flags go before what stands here.

`

// ReadProfile reads a profile. A key that it does not know is an error, with its line.
func ReadProfile(path string) (Profile, error) {
	var p Profile
	info, err := os.Stat(path)
	if err != nil {
		return p, err
	}
	if !info.Mode().IsRegular() { // it is read more than once, and a pipe might never end
		return p, say.Errorf("%s is not a regular file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	err = toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte(bom)))).DisallowUnknownFields().Decode(&p)
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		line, _ := unknown.Errors[0].Position()
		return p, say.Errorf("%s: line %d: there is no setting called %s; there are encoding, delimiter, key, where, due_year, date_order, unit, items, ignore, fill_down, sheet, hidden, stop_at, pass_over, totals, only_mapped, rate, [map], [set], [banks] and [pg_api_keys]",
			path, line, strings.Join(unknown.Errors[0].Key(), "."))
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := bad.Position()
		return p, say.Errorf("%s: line %d, column %d: %w", path, line, column, err)
	}
	return p, err
}

// Write puts the profile, with comments, into a new file.
func (p Profile) Write(path string) error {
	text, err := toml.Marshal(p)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(profileHead + string(text))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// With returns the profile with what another one says in its place. Conditions on other columns are added.
func (p Profile) With(other Profile) Profile {
	p.Encoding, p.Delimiter = cmp.Or(other.Encoding, p.Encoding), cmp.Or(other.Delimiter, p.Delimiter)
	p.Key, p.DueYear = cmp.Or(other.Key, p.Key), cmp.Or(other.DueYear, p.DueYear)
	p.DateOrder, p.Unit = cmp.Or(other.DateOrder, p.DateOrder), cmp.Or(other.Unit, p.Unit)
	p.Items, p.StopAt, p.Totals = cmp.Or(other.Items, p.Items), cmp.Or(other.StopAt, p.StopAt), cmp.Or(other.Totals, p.Totals)
	p.Sheet, p.Hidden = cmp.Or(other.Sheet, p.Sheet), cmp.Or(other.Hidden, p.Hidden)
	p.PassOver = append(slices.Clone(p.PassOver), other.PassOver...)
	p.Ignore, p.FillDown = append(slices.Clone(p.Ignore), other.Ignore...), append(slices.Clone(p.FillDown), other.FillDown...)
	conditions := slices.Clone(other.Where)
	for _, mine := range p.Where {
		header, _, _ := strings.Cut(mine, "=")
		if !slices.ContainsFunc(other.Where, func(w string) bool { return strings.HasPrefix(w, header+"=") }) {
			conditions = append(conditions, mine)
		}
	}
	p.Where = conditions
	p.Map, p.Set, p.Banks = joined(p.Map, other.Map), joined(p.Set, other.Set), joined(p.Banks, other.Banks)
	return p
}

func joined(a, b map[string]string) map[string]string {
	all := make(map[string]string)
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

// What Options.Items and Options.DateOrder can say.
const (
	ItemsSame  = "same"
	ItemsSum   = "sum"
	MonthFirst = "mdy"
	DayFirst   = "dmy"
	YearFirst  = "ymd"
)

// moneyUnits are the names of what amounts are counted in, as files and flags have them, in won.
var moneyUnits = map[string]int64{"won": 1, "원": 1, "krw": 1, "백원": 100, "천원": 1000, "만원": 10_000, "십만원": 100_000, "백만원": 1_000_000, "억원": 100_000_000}

var delimiters = map[string]rune{"": 0, "auto": 0, "comma": ',', "tab": '\t', "semicolon": ';', "pipe": '|'}

// Options returns the options that the profile stands for, or an error that names the setting.
func (p Profile) Options(now time.Time) (Options, error) {
	o := Options{Map: p.Map, Set: p.Set, Key: p.Key, OnlyMapped: p.OnlyMapped, DueYear: p.DueYear, Banks: p.Banks, Now: now,
		DateOrder: p.DateOrder, Items: p.Items, Ignore: p.Ignore, FillDown: p.FillDown, StopAt: p.StopAt, PassOver: p.PassOver, Totals: p.Totals, Sheet: p.Sheet, Hidden: p.Hidden}
	if o.Hidden != "" && o.Hidden != HiddenSkip && o.Hidden != HiddenInclude {
		return o, say.Errorf("hidden %q is neither skip nor include", o.Hidden)
	}
	if o.Items != "" && o.Items != ItemsSame && o.Items != ItemsSum {
		return o, say.Errorf("items %q is neither same nor sum", o.Items)
	}
	if o.Totals != "" && o.Totals != TotalsWarn && o.Totals != TotalsNone {
		return o, say.Errorf("totals %q is neither warn nor none", o.Totals)
	}
	if o.DateOrder != "" && o.DateOrder != MonthFirst && o.DateOrder != DayFirst && o.DateOrder != YearFirst {
		return o, say.Errorf("date_order %q is not mdy, dmy or ymd", o.DateOrder)
	}
	if p.Unit != "" {
		if o.Unit = moneyUnits[strings.ToLower(p.Unit)]; o.Unit == 0 {
			o.Unit, _ = strconv.ParseInt(p.Unit, 10, 64)
		}
		if o.Unit < 1 || o.Unit > 1_000_000_000 {
			return o, say.Errorf("unit %q is not won, 천원, 만원, 백만원 or a number of won", p.Unit)
		}
	}
	if p.Encoding != "auto" {
		o.Encoding = p.Encoding
	}
	for _, condition := range p.Where {
		header, value, ok := strings.Cut(condition, "=")
		if !ok || strings.TrimSpace(header) == "" {
			return o, say.Errorf("where %q is not HEADER=VALUE, such as 결제방법=가상계좌", condition)
		}
		o.Where = append(o.Where, Where{Header: header, Value: value})
	}
	if o.DueYear != 0 && (o.DueYear < firstDay.Year() || o.DueYear > lastDay.Year()) {
		return o, say.Errorf("due_year %d is not a year from %d to %d", o.DueYear, firstDay.Year(), lastDay.Year())
	}
	delimiter, ok := delimiters[p.Delimiter]
	if r, size := utf8.DecodeRuneInString(p.Delimiter); !ok && size == len(p.Delimiter) && r != utf8.RuneError && !strings.ContainsRune("\"\r\n", r) {
		delimiter, ok = r, true
	}
	if !ok {
		return o, say.Errorf("the delimiter %q is not auto, comma, tab, semicolon, pipe or one character", p.Delimiter)
	}
	o.Delimiter = delimiter
	return o, nil
}

// Profile returns the settings under which a file with the same header is read in the same way again, without any
// search for columns.
func (o Options) Profile(mapping []Mapped) Profile {
	p := Profile{Encoding: o.Encoding, Key: o.Key, OnlyMapped: true, DueYear: o.DueYear, Set: o.Set, Banks: o.Banks, Map: make(map[string]string)}
	p.DateOrder, p.Items, p.Ignore, p.FillDown, p.StopAt = o.DateOrder, o.Items, o.Ignore, o.FillDown, o.StopAt
	p.PassOver, p.Totals, p.Sheet, p.Hidden = o.PassOver, o.Totals, o.Sheet, o.Hidden
	if o.Unit != 0 {
		p.Unit = strconv.FormatInt(o.Unit, 10)
	}
	if o.Delimiter != 0 {
		p.Delimiter = string(o.Delimiter)
	}
	for _, w := range o.Where {
		p.Where = append(p.Where, w.Header+"="+w.Value)
	}
	for _, m := range mapping {
		p.Map[m.Field] = m.Header
	}
	return p
}
