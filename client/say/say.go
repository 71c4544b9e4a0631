// Package say tells people things in their language. The English text in the code is the key, and says all that there is
// to say; ko.po has the Korean for each.
//
// What finds something out returns a [Message] or an error ([Errorf], [New]): the English text with its values, in no
// language yet. What talks to a reader puts it into words with [Message.In] or [Error]. [Use] sets the language of a process
// that has one reader, such as a command; then [Text], [Sprintf] and [Message.String] stand where the English would.
//
// A test reads the source: every text that is given to these functions must be in the catalogue, with the same verbs. What
// is not there all the same is told in English. What programs read is no text: codes, the names of columns and flags, log
// events.
package say

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// The languages.
const (
	English = "en"
	Korean  = "ko"
)

var inKorean atomic.Bool

// Use sets the language of the process. All but Korean is English.
func Use(language string) { inKorean.Store(language == Korean) }

// In returns the language of the process.
func In() string {
	if inKorean.Load() {
		return Korean
	}
	return English
}

// Locale returns the language of the process's locale: Korean for ko, ko_KR.UTF-8 and so on, English for all others.
func Locale() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := os.Getenv(name); locale != "" {
			if language := strings.FieldsFunc(locale, func(r rune) bool { return strings.ContainsRune("_.@-", r) }); len(language) > 0 && language[0] == Korean {
				return Korean
			}
			return English
		}
	}
	return English
}

// Text returns a text in the language of the process.
func Text(english string) string {
	if text, ok := translated(english); ok {
		return text
	}
	return english
}

// Mark returns the text as it is: it is for the catalogue, and translated where it is shown.
func Mark(english string) string { return english }

// Sprintf is fmt.Sprintf in the language of the process.
func Sprintf(format string, values ...any) string {
	if text, ok := translated(format); ok {
		return fmt.Sprintf(text, values...)
	}
	return fmt.Sprintf(format, values...)
}

// Fprintf is fmt.Fprintf in the language of the process.
func Fprintf(w io.Writer, format string, values ...any) (int, error) {
	if text, ok := translated(format); ok {
		return fmt.Fprintf(w, text, values...)
	}
	return fmt.Fprintf(w, format, values...)
}

// Name is a file's name or path as it is shown: quoted if it holds what a terminal or a journal would not show as it is,
// such as control characters or bytes that are not UTF-8.
func Name(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return name
	}
	return strconv.Quote(name)
}

func translated(english string) (text string, ok bool) { return translation(english, In()) }

func translation(english, language string) (text string, ok bool) {
	if language == Korean {
		text, ok = korean()[english]
	}
	return text, ok
}
