package say

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// The Korean for each English text, as gettext's .po files have it: each msgid and msgstr is one string on one line.
//
//go:embed ko.po
var catalogue string

var korean = sync.OnceValue(func() map[string]string {
	texts := make(map[string]string)
	var english string
	for line := range strings.Lines(catalogue) {
		keyword, quoted, _ := strings.Cut(strings.TrimSpace(line), " ")
		if keyword == "" || keyword == "#" {
			continue
		}
		text, err := strconv.Unquote(quoted)
		switch {
		case err == nil && keyword == "msgid":
			english = text
		case err == nil && keyword == "msgstr" && texts[english] == "":
			texts[english] = text
		default:
			panic(fmt.Sprintf("ko.po: %q is not a msgid or msgstr, or a text that is there twice", line))
		}
	}
	delete(texts, "") // the catalogue's own header
	return texts
})
