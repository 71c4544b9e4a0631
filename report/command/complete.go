package command

import (
	"fmt"
	"slices"
	"strings"

	"vbankbatch/client/pg"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCommand) Help() string {
	return `The script completes commands, flags, their values and file names: it asks the program for them.

  source <(vbankbatch completion bash)
  vbankbatch completion zsh >~/.zsh/completions/_vbankbatch
  vbankbatch completion fish >~/.config/fish/completions/vbankbatch.fish`
}

func (c *completionCommand) Run(a *app) error {
	fmt.Fprint(a.stdout, scripts[c.Shell])
	return nil
}

// scripts hand the words up to the cursor to the command __complete, and offer what it prints.
var scripts = map[string]string{
	// It does without the package bash-completion, and runs in bash 3.2, as macOS has it.
	"bash": `# bash completion of vbankbatch
_vbankbatch() {
	local cur=${COMP_WORDS[COMP_CWORD]} list IFS=$'\n'
	list=$("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1)
	[[ $cur == = ]] && cur= # bash takes --flag=value for three words
	if [[ $list == :files ]]; then
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$cur"))
	else
		COMPREPLY=($(compgen -W "$list" -- "$cur"))
	fi
}
complete -F _vbankbatch vbankbatch
`,
	// The script can be sourced, or lie in a folder of fpath as _vbankbatch.
	"zsh": `#compdef vbankbatch
_vbankbatch() {
	local line
	local -a list
	for line in "${(@f)$("$words[1]" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		[[ -n $line ]] && list+=("${${line//:/\\:}/$'\t'/:}")
	done
	[[ $PREFIX == --*=* ]] && compset -P '*='
	if [[ $list == '\:files' ]]; then
		_files
	else
		_describe vbankbatch list
	fi
}
if [[ $funcstack[1] == _vbankbatch ]]; then
	_vbankbatch "$@"
else
	compdef _vbankbatch vbankbatch
fi
`,
	"fish": `# fish completion of vbankbatch
function __vbankbatch
	set -l words (commandline -opc)
	set -l cur (commandline -ct)
	set -l list ($words[1] __complete -- $words[2..-1] $cur 2>/dev/null)
	set -l flag (string match -r '^--[^=]*=' -- $cur)
	if test "$list" = :files
		set list (__fish_complete_path (string replace -- "$flag" '' $cur))
	end
	printf "$flag%s\n" $list
end
complete -c vbankbatch -f -a '(__vbankbatch)'
`,
}

type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run prints what may stand where the last word is, each with its help behind a tab, or ":files" for the name of a file.
func (c *completeCommand) Run(a *app, parsed *kong.Context) error {
	last := len(c.Words) - 1 // the first is --
	if last < 1 {
		return nil
	}
	for _, candidate := range candidates(parsed.Model.Node, c.Words[1:last], c.Words[last]) {
		fmt.Fprintln(a.stdout, candidate)
	}
	return nil
}

// candidates are what may stand behind the words, where the last one has been begun.
func candidates(node *kong.Node, words []string, last string) (list []string) {
	var flag *kong.Flag // whose value comes next
	for _, word := range words {
		child := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word })
		switch {
		case flag != nil && word == "=": // bash takes --flag=value for three words
		case flag != nil:
			flag = nil
		case strings.HasPrefix(word, "--"):
			flag = valued(node, word)
		case child >= 0:
			node = node.Children[child]
		}
	}
	if name, _, found := strings.Cut(last, "="); found && flag == nil {
		flag = valued(node, name)
	}
	if flag != nil {
		return values(flag.Value)
	}
	if strings.HasPrefix(last, "-") {
		for _, flag := range slices.Concat(node.AllFlags(true)...) {
			list = append(list, "--"+flag.Name+"\t"+flag.Help)
			if flag.Tag.Negatable != "" {
				list = append(list, "--no-"+flag.Name+"\t"+flag.Help)
			}
		}
		return list
	}
	for _, child := range node.Children {
		if !child.Hidden {
			list = append(list, child.Name+"\t"+child.Help)
		}
	}
	for _, argument := range node.Positional {
		list = append(list, values(argument)...)
	}
	return list
}

// valued is the flag of that spelling, if it takes a value.
func valued(node *kong.Node, spelling string) *kong.Flag {
	for _, flag := range slices.Concat(node.AllFlags(true)...) {
		if "--"+flag.Name == spelling && !flag.IsBool() {
			return flag
		}
	}
	return nil
}

// values are those that a flag or an argument takes, as far as they can be listed.
func values(v *kong.Value) []string {
	switch {
	case v.Enum != "":
		return slices.DeleteFunc(strings.Split(v.Enum, ","), func(s string) bool { return s == "" })
	case v.Name == "pg" || v.Name == "default-pg":
		return pg.PGs()
	case v.Flag == nil && v.Name == "code":
		return explainable()
	case v.Flag == nil && v.Name == "file" || v.Flag != nil && strings.HasPrefix(v.Flag.PlaceHolder, "FILE"):
		return []string{":files"}
	}
	return nil
}
