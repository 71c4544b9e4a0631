package command

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"vbankbatch/client/pg"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCommand) Help() string {
	return `The script completes commands, flags, their values and file names, and is made anew with each version.

  source <(vbankbatch completion bash)
  vbankbatch completion zsh >~/.zsh/completions/_vbankbatch
  vbankbatch completion fish >~/.config/fish/completions/vbankbatch.fish`
}

func (c *completionCommand) Run(a *app, parsed *kong.Context) error {
	var script strings.Builder
	map[string]func(io.Writer, *kong.Node){"bash": bash, "zsh": zsh, "fish": fish}[c.Shell](&script, parsed.Model.Node)
	_, err := io.WriteString(a.stdout, script.String())
	return err
}

// shown are the nodes with their paths as words, the program's own first.
func shown(root *kong.Node) (nodes []*kong.Node) {
	nodes = append(nodes, root)
	for _, child := range root.Children {
		if !child.Hidden {
			nodes = append(nodes, shown(child)...)
		}
	}
	return nodes
}

// path is the node's command as it is typed, without the program's name.
func path(n *kong.Node) string {
	if n.Parent == nil {
		return ""
	}
	return strings.TrimSpace(path(n.Parent) + " " + n.Name)
}

func children(n *kong.Node) (names []string) {
	for _, child := range n.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

// flags are the node's own and those of the program.
func flags(n *kong.Node) (all []*kong.Flag) {
	for _, group := range n.AllFlags(true) {
		all = append(all, group...)
	}
	return all
}

// spellings are how a flag is typed.
func spellings(f *kong.Flag) []string {
	if f.Tag.Negatable != "" {
		return []string{"--" + f.Name, "--no-" + f.Name}
	}
	return []string{"--" + f.Name}
}

// values are those that a flag or an argument takes, nil if they cannot be listed.
func values(v *kong.Value) []string {
	switch {
	case v.Enum != "":
		return slices.DeleteFunc(strings.Split(v.Enum, ","), func(s string) bool { return s == "" })
	case v.Name == "pg" || v.Name == "default-pg":
		return pg.PGs()
	case v.Flag == nil && v.Name == "code":
		return explainable()
	}
	return nil
}

// takesFile reports whether a value is the name of a file.
func takesFile(v *kong.Value) bool {
	return v.Flag == nil && v.Name == "file" || v.Flag != nil && strings.HasPrefix(v.Flag.PlaceHolder, "FILE")
}

// bash writes a function that walks the words up to the cursor. It does without the package bash-completion, and runs
// in bash 3.2, as macOS has it.
func bash(w io.Writer, root *kong.Node) {
	var commands, valued, valueCases, flagCases, wordCases strings.Builder
	for _, n := range shown(root) {
		at := path(n)
		for _, name := range children(n) {
			fmt.Fprintf(&commands, "|%q", at+" "+name)
		}
		var names []string
		for _, f := range flags(n) {
			names = append(names, spellings(f)...)
			if f.IsBool() {
				continue
			}
			fmt.Fprintf(&valued, "|%q", at+" --"+f.Name)
			if list := values(f.Value); list != nil {
				fmt.Fprintf(&valueCases, "\t\t%q) words=%q ;;\n", at+" --"+f.Name, strings.Join(list, " "))
			} else if takesFile(f.Value) {
				fmt.Fprintf(&valueCases, "\t\t%q) files=1 ;;\n", at+" --"+f.Name)
			}
		}
		fmt.Fprintf(&flagCases, "\t\t%q) words=%q ;;\n", at, strings.Join(names, " "))
		if names := children(n); names != nil {
			fmt.Fprintf(&wordCases, "\t\t%q) words=%q ;;\n", at, strings.Join(names, " "))
		}
		for _, argument := range n.Positional {
			if list := values(argument); list != nil {
				fmt.Fprintf(&wordCases, "\t\t%q) words=%q ;;\n", at, strings.Join(list, " "))
			} else if takesFile(argument) {
				fmt.Fprintf(&wordCases, "\t\t%q) files=1 ;;\n", at)
			}
		}
	}
	fmt.Fprintf(w, `# bash completion of vbankbatch
_vbankbatch() {
	local cur=${COMP_WORDS[COMP_CWORD]} at= flag= words= files= word i
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ -n $flag ]]; then # bash takes --flag=value for three words
			[[ $word == = ]] || flag=
			continue
		fi
		case "$at $word" in
		%s) at="${at:+$at }$word" ;;
		%s) flag=$word ;;
		esac
	done
	[[ $cur == = ]] && cur=
	if [[ -n $flag ]]; then
		case "$at $flag" in
%s		esac
	elif [[ $cur == -* ]]; then
		case "$at" in
%s		esac
	else
		case "$at" in
%s		esac
	fi
	local IFS=$'\n'
	if [[ -n $files ]]; then
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$cur"))
	else
		COMPREPLY=($(IFS=' '; compgen -W "$words" -- "$cur"))
	fi
}
complete -F _vbankbatch vbankbatch
`, commands.String()[1:], valued.String()[1:], &valueCases, &flagCases, &wordCases)
}

var (
	zshText  = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`, `'`, `'\''`)
	fishText = strings.NewReplacer(`\`, `\\`, `'`, `\'`)
)

// zsh writes a function for each command. The script can be sourced, or lie in a folder of fpath as _vbankbatch.
func zsh(w io.Writer, root *kong.Node) {
	fmt.Fprintln(w, "#compdef vbankbatch")
	for _, n := range shown(root) {
		function := zshFunction(n)
		fmt.Fprintf(w, "\n%s() {\n", function)
		if names := children(n); names != nil {
			fmt.Fprintf(w, "\tlocal state line\n\tlocal -a commands=(\n")
			for _, child := range n.Children {
				fmt.Fprintf(w, "\t\t'%s:%s'\n", child.Name, zshText.Replace(child.Help))
			}
			fmt.Fprintf(w, "\t)\n\t_arguments -C '--help[%s]' '1: :->command' '*:: :->rest'\n", zshText.Replace(root.Flags[0].Help))
			fmt.Fprintf(w, "\tcase $state in\n\tcommand) _describe command commands ;;\n\trest)\n\t\tcase $line[1] in\n")
			for _, child := range n.Children {
				fmt.Fprintf(w, "\t\t%s) %s ;;\n", child.Name, zshFunction(child))
			}
			fmt.Fprint(w, "\t\tesac\n\t\t;;\n\tesac\n}\n")
			continue
		}
		fmt.Fprint(w, "\t_arguments")
		for _, f := range flags(n) {
			repeated := ""
			if f.IsCumulative() {
				repeated = "*"
			}
			for _, name := range spellings(f) {
				if f.IsBool() {
					fmt.Fprintf(w, " \\\n\t\t'%s[%s]'", name, zshText.Replace(f.Help))
				} else {
					fmt.Fprintf(w, " \\\n\t\t'%s%s=[%s]:%s:%s'", repeated, name, zshText.Replace(f.Help), zshText.Replace(f.Name), zshValue(f.Value))
				}
			}
		}
		for i, argument := range n.Positional {
			fmt.Fprintf(w, " \\\n\t\t'%d:%s:%s'", i+1, argument.Name, zshValue(argument))
		}
		fmt.Fprint(w, "\n}\n")
	}
	fmt.Fprint(w, "\nif [[ $funcstack[1] == _vbankbatch ]]; then\n\t_vbankbatch \"$@\"\nelse\n\tcompdef _vbankbatch vbankbatch\nfi\n")
}

func zshFunction(n *kong.Node) string {
	return strings.TrimSuffix("_vbankbatch_"+strings.ReplaceAll(path(n), " ", "_"), "_")
}

func zshValue(v *kong.Value) string {
	switch list := values(v); {
	case list != nil:
		return "(" + strings.Join(list, " ") + ")"
	case takesFile(v):
		return "_files"
	}
	return ""
}

// fish writes a line for each command and flag.
func fish(w io.Writer, root *kong.Node) {
	fmt.Fprint(w, "# fish completion of vbankbatch\ncomplete -c vbankbatch -f\n")
	for _, n := range shown(root) {
		var conditions []string
		for _, name := range strings.Fields(path(n)) {
			conditions = append(conditions, "__fish_seen_subcommand_from "+name)
		}
		if names := children(n); names != nil {
			conditions = append(conditions, "not __fish_seen_subcommand_from "+strings.Join(names, " "))
		}
		line := fmt.Sprintf("complete -c vbankbatch -n '%s'", strings.Join(conditions, "; and "))
		for _, child := range n.Children {
			fmt.Fprintf(w, "%s -a %s -d '%s'\n", line, child.Name, fishText.Replace(child.Help))
		}
		for _, f := range flags(n) {
			for _, name := range spellings(f) {
				fmt.Fprintf(w, "%s -l %s%s -d '%s'\n", line, strings.TrimPrefix(name, "--"), fishValue(f), fishText.Replace(f.Help))
			}
		}
		for _, argument := range n.Positional {
			if list := values(argument); list != nil {
				fmt.Fprintf(w, "%s -a '%s'\n", line, strings.Join(list, " "))
			} else if takesFile(argument) {
				fmt.Fprintf(w, "%s -F\n", line)
			}
		}
	}
}

func fishValue(f *kong.Flag) string {
	switch list := values(f.Value); {
	case f.IsBool():
		return ""
	case list != nil:
		return " -x -a '" + strings.Join(list, " ") + "'"
	case takesFile(f.Value):
		return " -r -F"
	}
	return " -x"
}
