package command

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/text/width"

	"vbankbatch/client/say"
)

// language is the one that the arguments ask for, the environment, or the locale. It is needed before they are parsed, to
// tell what is wrong with them.
func language(args []string) string {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	for i, arg := range args {
		value, found := strings.CutPrefix(arg, "--lang=")
		if arg == "--lang" && i+1 < len(args) {
			value, found = args[i+1], true
		}
		if found && (value == say.Korean || value == say.English) {
			return value
		}
	}
	if value := os.Getenv("VBANKBATCH_LANG"); value == say.Korean || value == say.English {
		return value
	}
	return say.Locale()
}

// filler stands behind each wide character of a help text while kong wraps it, so that it counts for two.
const filler = '\uE000'

func filled(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteRune(r)
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			b.WriteRune(filler)
		}
	}
	return b.String()
}

// printHelp is kong's help in the language of the process.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if say.In() == say.English {
		return kong.DefaultHelpPrinter(options, ctx)
	}
	translate(ctx.Model.Node, filled)
	stdout, text := ctx.Stdout, new(bytes.Buffer)
	ctx.Stdout = text
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Stdout = stdout
	if err != nil {
		return err
	}
	for line := range strings.Lines(strings.ReplaceAll(text.String(), string(filler), "")) {
		if _, err := io.WriteString(stdout, translated(helpWords, line)); err != nil {
			return err
		}
	}
	return nil
}

// translate puts the help of a command, its flags and the commands below it into the language of the process, each
// through fit.
func translate(n *kong.Node, fit func(string) string) {
	n.Help, n.Detail = fit(say.Text(n.Help)), fit(say.Text(n.Detail))
	for _, flag := range n.Flags {
		flag.Help = fit(strings.TrimSuffix(translated(helpWords, say.Text(flag.Help)+"\n"), "\n"))
		if flag.Group != nil {
			flag.Group.Title = say.Text(flag.Group.Title)
		}
	}
	for _, argument := range n.Positional {
		argument.Help = fit(say.Text(argument.Help))
	}
	for _, child := range n.Children {
		translate(child, fit)
	}
}

// pattern is a sentence of kong's, with what makes it out.
type pattern struct {
	said   *regexp.Regexp
	format string
}

// helpWords are those that kong itself puts into a help text.
var helpWords = []pattern{
	{regexp.MustCompile(`^Usage: (.*)\n$`), say.Mark("Usage: %s\n")},
	{regexp.MustCompile(`^Arguments:\n$`), say.Mark("Arguments:\n")},
	{regexp.MustCompile(`^Flags:\n$`), say.Mark("Flags:\n")},
	{regexp.MustCompile(`^Commands:\n$`), say.Mark("Commands:\n")},
	{regexp.MustCompile(`^Show context-sensitive help\.\n$`), say.Mark("Show context-sensitive help.\n")},
	{regexp.MustCompile(`^Run "(.*) <command> --help" for more information on a command\.\n$`), say.Mark("Run \"%s <command> --help\" for more information on a command.\n")},
	{regexp.MustCompile(`^Run "(.*) --help" for more information\.\n$`), say.Mark("Run \"%s --help\" for more information.\n")},
}

// parsing is what kong says of a command line.
var parsing = []pattern{
	{regexp.MustCompile(`^(.*), did you mean (.*)\?$`), say.Mark("%s, did you mean %s?")},
	{regexp.MustCompile(`^unknown flag (.*)$`), say.Mark("unknown flag %s")},
	{regexp.MustCompile(`^unexpected argument (.*)$`), say.Mark("unexpected argument %s")},
	{regexp.MustCompile(`^missing flags: (.*)$`), say.Mark("missing flags: %s")},
	{regexp.MustCompile(`^expected one of ((?:".*)|(?:<.*))$`), say.Mark("expected one of %s")},
	{regexp.MustCompile(`^expected ("<.*>.*")$`), say.Mark("expected %s")},
	{regexp.MustCompile(`^(--\S+|<\S+>) must be one of (.*) but got (".*")$`), say.Mark("%s must be one of %s but got %s")},
	{regexp.MustCompile(`^(--\S+): expected .* but got "EOL" \(<EOL>\)$`), say.Mark("%s: a value is missing")},
	{regexp.MustCompile(`^(--\S+): expected .* value but got ("[^"]*") \([a-z ]+\); perhaps try (.*)\?$`), say.Mark("%s: expected a value but got %s; perhaps try %s?")},
	{regexp.MustCompile(`^(--\S+): expected a valid (?:.*int|.*float) but got ("[^"]*").*$`), say.Mark("%s: expected a number but got %s")},
	{regexp.MustCompile(`^(--\S+): expected a float but got ("[^"]*").*$`), say.Mark("%s: expected a number but got %s")},
	{regexp.MustCompile(`^(--\S+): expected "<key>=<value>" but got (".*")$`), say.Mark("%s: expected NAME=VALUE but got %s")},
	{regexp.MustCompile(`^(--\S+): bool value must be .* but got (".*")$`), say.Mark("%s: expected true or false but got %s")},
	{regexp.MustCompile(`^(--\S+): expected duration but got ("[^"]*").*$`), say.Mark("%s: expected a duration such as 30s but got %s")},
}

// parseError is an error of kong's, told in plain words in the language of the process. What is not known stays as it is.
type parseError struct{ error }

func (e parseError) Error() string {
	return translated(parsing, e.error.Error())
}

func (e parseError) Unwrap() error { return e.error }

// translated tells a sentence that one of the patterns makes out; another stays as it is.
func translated(patterns []pattern, text string) string {
	for _, p := range patterns {
		found := p.said.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		values := make([]any, 0, len(found)-1)
		for i, value := range found[1:] {
			if i == 0 && strings.HasPrefix(p.format, "%s, ") { // another of them
				value = translated(slices.DeleteFunc(slices.Clone(patterns), func(o pattern) bool { return o.format == p.format }), value)
			}
			values = append(values, value)
		}
		return say.Sprintf(p.format, values...)
	}
	return text
}
