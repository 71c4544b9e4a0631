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

// moreHelp is the last line of kong's help.
const moreHelp = "Run \"%s <command> --help\" for more information on a command."

// printHelp is kong's help in the language of the process.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if say.In() == say.English {
		return kong.DefaultHelpPrinter(options, ctx)
	}
	translate(ctx.Model.Node)
	stdout, text := ctx.Stdout, new(bytes.Buffer)
	ctx.Stdout = text
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Stdout = stdout
	if err != nil {
		return err
	}
	name := ctx.Model.Name
	words := []string{string(filler), "", "Usage: " + name, say.Sprintf("Usage: %s", name), fmt.Sprintf(moreHelp, name), say.Sprintf(moreHelp, name)}
	for _, heading := range []string{say.Mark("Arguments:"), say.Mark("Flags:"), say.Mark("Commands:")} {
		words = append(words, "\n"+heading+"\n", "\n"+say.Text(heading)+"\n")
	}
	_, err = strings.NewReplacer(words...).WriteString(stdout, text.String())
	return err
}

// The help of --help, which is kong's.
var _ = say.Mark("Show context-sensitive help.")

// translate puts the help of a command, its flags and the commands below it into the language of the process, to be wrapped
// by kong.
func translate(n *kong.Node) {
	n.Help, n.Detail = filled(say.Text(n.Help)), filled(say.Text(n.Detail))
	for _, flag := range n.Flags {
		flag.Help = filled(say.Text(flag.Help))
		if flag.Group != nil {
			flag.Group.Title = say.Text(flag.Group.Title)
		}
	}
	for _, argument := range n.Positional {
		argument.Help = filled(say.Text(argument.Help))
	}
	for _, child := range n.Children {
		translate(child)
	}
}
