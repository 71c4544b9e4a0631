package command

import (
	"fmt"
	"io"
	"strings"

	"vbankbatch/client/say"

	"github.com/alecthomas/kong"
)

type manCommand struct{}

func (manCommand) Help() string {
	return `Prints it as roff, for man.

  vbankbatch man | man -l -
  vbankbatch man >/usr/local/share/man/man1/vbankbatch.1`
}

func (manCommand) Run(a *app, parsed *kong.Context) error {
	translate(parsed.Model.Node, func(text string) string { return text })
	var page strings.Builder
	writeMan(&page, parsed.Model.Node)
	_, err := io.WriteString(a.stdout, page.String())
	return err
}

// statuses are the exit statuses, as the manual tells them.
var statuses = []struct {
	exit int
	text string
}{
	{exitDone, say.Mark("every row done")},
	{exitFailed, say.Mark("finished, some rows not done (invalid, rejected, conflict, not_sent)")},
	{exitUsage, say.Mark("command line or configuration; nothing sent")},
	{exitInput, say.Mark("the input was refused; nothing sent")},
	{exitUnknown, say.Mark("some rows are unknown (goes before 1)")},
	{exitStopped, say.Mark("stopped early: credentials refused, API down, too many failures, ledger or disk failed")},
	{exitLocked, say.Mark("another run holds the lock")},
	{129, say.Mark("stopped by SIGHUP, with no profile to read again")},
	{130, say.Mark("stopped by SIGINT")},
	{143, say.Mark("stopped by SIGTERM")},
}

// variables are those of the environment that no flag stands for.
var variables = []struct{ name, text string }{
	{"IMP_KEY, IMP_SECRET", say.Mark("The REST API key and secret of the PortOne console.")},
	{"IMP_PG_API_KEY", say.Mark("For KG Inicis.")},
	{"IMP_KEY_FILE, IMP_SECRET_FILE, IMP_PG_API_KEY_FILE", say.Mark("Files that hold them.")},
	{"VBANKBATCH_FLAG", say.Mark("Any flag: --doubt-wait as VBANKBATCH_DOUBT_WAIT.")},
	{"XDG_STATE_HOME", say.Mark("Where the ledger is kept, in vbankbatch/ledger.db; ~/.local/state by default.")},
}

// writeMan writes the program as a page for man(7).
func writeMan(w io.Writer, root *kong.Node) {
	name := strings.ToUpper(root.Name)
	summary, detail, _ := strings.Cut(root.Help, "\n")
	fmt.Fprintf(w, ".TH %s 1 \"\" \"%s\"\n.SH NAME\n%s \\- %s\n", name, roff(root.Name), roff(root.Name), roff(strings.TrimSuffix(summary, ".")))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n.I command\n.RI [ flags ]\n.RI [ arguments ]\n.SH DESCRIPTION\n", roff(root.Name))
	writeText(w, detail)
	fmt.Fprint(w, ".SH COMMANDS\n")
	for _, n := range shown(root) {
		if children(n) != nil {
			continue
		}
		fmt.Fprintf(w, ".SS \"%s\"\n", roff(strings.TrimSpace(path(n)+" "+arguments(n))))
		writeText(w, n.Help+"\n"+n.Detail)
		writeFlags(w, n.Flags)
	}
	fmt.Fprint(w, ".SH OPTIONS\n")
	writeFlags(w, root.Flags)
	fmt.Fprint(w, ".SH \"EXIT STATUS\"\n")
	for _, s := range statuses {
		fmt.Fprintf(w, ".TP\n.B %d\n%s\n", s.exit, roff(say.Text(s.text)))
	}
	fmt.Fprint(w, ".SH ENVIRONMENT\n")
	for _, v := range variables {
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(v.name), roff(say.Text(v.text)))
	}
}

func writeFlags(w io.Writer, flags []*kong.Flag) {
	group := ""
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		if f.Group != nil && f.Group.Title != group {
			group = f.Group.Title
			fmt.Fprint(w, ".PP\n")
			writeText(w, group+":")
		}
		fmt.Fprintf(w, ".TP\n%s\n", manFlag(f))
		writeText(w, f.Help)
	}
}

func arguments(n *kong.Node) string {
	var names []string
	for _, argument := range n.Positional {
		names = append(names, strings.ToUpper(argument.Name))
	}
	return strings.Join(names, " ")
}

// manFlag is a flag as it is typed, with its default or what it takes.
func manFlag(f *kong.Flag) string {
	var text strings.Builder
	for i, name := range spellings(f) {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(`\fB` + roff(name) + `\fR`)
	}
	if f.IsBool() {
		return text.String()
	}
	return text.String() + `=\fI` + roff(strings.Trim(f.FormatPlaceHolder(), `"`)) + `\fR`
}

// writeText writes paragraphs; lines that are indented are examples, and stay as they are.
func writeText(w io.Writer, text string) {
	example := false
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		indented := strings.HasPrefix(line, "  ")
		if indented != example && strings.TrimSpace(line) != "" {
			example = indented
			fmt.Fprint(w, map[bool]string{true: ".PP\n.RS 4\n.nf\n", false: ".fi\n.RE\n.PP\n"}[example])
		}
		switch {
		case strings.TrimSpace(line) != "":
			fmt.Fprintln(w, roff(strings.TrimSpace(line)))
		case !example:
			fmt.Fprint(w, ".PP\n")
		}
	}
	if example {
		fmt.Fprint(w, ".fi\n.RE\n")
	}
}

// roff is a text that man shows as it is, whatever the locale it is formatted in.
func roff(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '"':
			b.WriteString(`\(dq`)
		case r == '\'' && i > 0:
			b.WriteString(`\(aq`)
		case (r == '.' || r == '\'') && i == 0:
			b.WriteString(`\&` + string(r))
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
