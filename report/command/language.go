package command

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/text/width"

	"vbankbatch/client/say"
)

// language is the one that the arguments ask for, the environment, or the locale.
func language(args []string) say.Language {
	if asked := given(args, "lang", string(say.English), string(say.Korean)); asked != "" {
		return say.Language(asked)
	}
	return say.Locale()
}

// given is the value of a flag, or of its variable, before the arguments are parsed: it is needed to tell what is wrong with
// them. What is none of the values is passed over.
func given(args []string, flag string, values ...string) string {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	for i, arg := range args {
		value, found := strings.CutPrefix(arg, "--"+flag+"=")
		if arg == "--"+flag && i+1 < len(args) {
			value, found = args[i+1], true
		}
		if found && slices.Contains(values, value) {
			return value
		}
	}
	if value := os.Getenv(variable(flag)); slices.Contains(values, value) {
		return value
	}
	return ""
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

// moreHelp is the last line of kong's help.
const moreHelp = "Run \"%s <command> --help\" for more information on a command."

// printHelp is kong's help in the reader's language.
func (a *app) printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if a.Language == say.English {
		return kong.DefaultHelpPrinter(options, ctx)
	}
	a.translate(ctx.Model.Node)
	stdout, text := ctx.Stdout, new(bytes.Buffer)
	ctx.Stdout = text
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Stdout = stdout
	if err != nil {
		return err
	}
	name := ctx.Model.Name
	words := []string{string(filler), "", "Usage: " + name, a.Sprintf("Usage: %s", name), fmt.Sprintf(moreHelp, name), a.Sprintf(moreHelp, name)}
	for _, heading := range []string{say.Mark("Arguments:"), say.Mark("Flags:"), say.Mark("Commands:")} {
		words = append(words, "\n"+heading+"\n", "\n"+a.Text(heading)+"\n")
	}
	_, err = strings.NewReplacer(words...).WriteString(stdout, text.String())
	return err
}

// The help of --help, which is kong's.
var _ = say.Mark("Show context-sensitive help.")

// translate puts the help of a command, its flags and the commands below it into the reader's language, to be wrapped by kong.
func (a *app) translate(n *kong.Node) {
	n.Help, n.Detail = filled(a.Text(n.Help)), filled(a.Text(n.Detail))
	for _, flag := range n.Flags {
		flag.Help = filled(a.Text(flag.Help))
		if flag.Group != nil {
			flag.Group.Title = a.Text(flag.Group.Title)
		}
	}
	for _, argument := range n.Positional {
		argument.Help = filled(a.Text(argument.Help))
	}
	for _, child := range n.Children {
		a.translate(child)
	}
}
