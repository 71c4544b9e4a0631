package command

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rivo/uniseg"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/client/say"
	"vbankbatch/report"
)

type explainCommand struct {
	Code string `arg:"" optional:"" help:"A status or code, as the results, check and the summary have them; several with ; between them."`
}

func (explainCommand) Help() string {
	return `Prints what a status or a code means, why a row or a run came to it, and what to do. Without one it lists them all.

  vbankbatch explain IN_DOUBT
  vbankbatch explain unknown`
}

// A chapter is some of what can be explained: each code with its sentence, and with more on some of them.
type chapter struct {
	title       string
	codes       []string // in the order in which they are listed
	means, more map[string]string
	rest        string // what there is to say of those that more leaves out
}

// chapters are all that there is to explain.
func chapters() []chapter {
	found, more := make(map[string]string), make(map[string]string)
	for code, sentence := range input.Sentences {
		found[string(code)] = sentence
	}
	for code, why := range input.Whys {
		more[string(code)] = why
	}
	sorted := func(means map[string]string) []string { return slices.Sorted(maps.Keys(means)) }
	return []chapter{
		{say.Mark("What became of a row:"), batch.Statuses, batch.Meanings, batch.Whys, ""},
		{say.Mark("What was found in the file:"), sorted(found), found, more, input.WhyInvalid},
		{say.Mark("What the run found:"), sorted(batch.Codes), batch.Codes, batch.Whys, ""},
		{say.Mark("How a run ended, beside the codes above, in the summary's reason:"), sorted(report.Reasons), report.Reasons, nil, ""},
	}
}

func (c *explainCommand) Run(a *app) error {
	var out strings.Builder
	if c.Code == "" {
		for i, chapter := range chapters() {
			fmt.Fprintf(&out, "%s%s\n", "\n"[:min(i, 1)], a.Text(chapter.title))
			for _, code := range chapter.codes {
				fmt.Fprintf(&out, "  %-22s  %s\n", code, a.Text(chapter.means[code]))
			}
		}
	}
	for i, code := range strings.FieldsFunc(c.Code, func(r rune) bool { return r == ';' || r == ' ' }) {
		text, ok := explained(a.Language, code)
		if !ok {
			near := strings.Join(closest(code), ", ")
			return &failure{say.Errorf("there is no status or code %q", code), exitUsage, say.Messagef("vbankbatch explain lists all; the nearest are %s", near)}
		}
		fmt.Fprintf(&out, "%s%s", "\n"[:min(i, 1)], text)
	}
	fmt.Fprint(a.stdout, out.String())
	return nil
}

// explained is what there is to say of a status or code, in any case of its letters.
func explained(language say.Language, name string) (text string, ok bool) {
	for _, chapter := range chapters() {
		for _, code := range chapter.codes {
			if !strings.EqualFold(code, name) {
				continue
			}
			text = code + "\n" + wrapped(language.Text(chapter.means[code]))
			if more := cmp.Or(chapter.more[code], chapter.rest); more != "" {
				text += "\n" + wrapped(language.Text(more))
			}
			return text, true
		}
	}
	return "", false
}

// explainable lists all statuses and codes.
func explainable() (all []string) {
	for _, chapter := range chapters() {
		all = append(all, chapter.codes...)
	}
	return all
}

// closest are the three codes that are most like a name: those that hold it, then those that begin most like it.
func closest(name string) []string {
	all, name := explainable(), strings.ToUpper(name)
	near := func(code string) (same int) {
		if code = strings.ToUpper(code); strings.Contains(code, name) {
			return len(name) + 1
		}
		for same < min(len(name), len(code)) && name[same] == code[same] {
			same++
		}
		return same
	}
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(near(b), near(a)) })
	return all[:3]
}

// wrapped breaks a text between words, into indented lines for a terminal of 80 columns.
func wrapped(text string) string {
	var out strings.Builder
	width := 0
	for word := range strings.FieldsSeq(text) {
		size := uniseg.StringWidth(word)
		if width += 1 + size; width > 78 || out.Len() == 0 {
			fmt.Fprintf(&out, "%s ", "\n"[:min(out.Len(), 1)])
			width = 1 + size
		}
		fmt.Fprintf(&out, " %s", word)
	}
	return out.String() + "\n"
}
