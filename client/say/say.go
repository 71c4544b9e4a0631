// Package say tells people things in their language. The English text in the code is the key, and says all that there is
// to say; ko.po has the Korean for each.
//
// What finds something out returns a [Message] or an error ([Errorf], [New]): the English text with its values, in no
// language yet. What talks to a reader has the reader's [Language], or a [Writer] that has it, and puts it into words. Nothing
// is kept for the process, which may have several readers at once. [Message.String] and the errors' own words are English, for
// logs.
//
// A test reads the source: every text that is given to these functions must be in the catalogue, with the same verbs. What
// is not there all the same is told in English. What programs read is no text: codes, the names of columns and flags, log
// events.
package say

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Language is that of a reader. All but Korean is English.
type Language string

// The languages.
const (
	English Language = "en"
	Korean  Language = "ko"
)

// Locale returns the language of the process's locale: Korean for ko, ko_KR.UTF-8 and so on, English for all others.
func Locale() Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := os.Getenv(name); locale != "" {
			if language := strings.FieldsFunc(locale, func(r rune) bool { return strings.ContainsRune("_.@-", r) }); len(language) > 0 && Language(language[0]) == Korean {
				return Korean
			}
			return English
		}
	}
	return English
}

// Text returns a text in the language.
func (l Language) Text(english string) string {
	if l == Korean {
		if text, ok := korean()[english]; ok {
			return text
		}
	}
	return english
}

// Error puts an error into words.
func (l Language) Error(err error) string { return Of(err).In(l) }

// Mark returns the text as it is: it is for the catalogue, and translated where it is shown.
func Mark(english string) string { return english }

// Sprintf is fmt.Sprintf in the language, also of the messages and errors among the values.
func (l Language) Sprintf(format string, values ...any) string {
	if false { // so that vet checks the calls as it does those of fmt.Sprintf
		return fmt.Sprintf(format, values...)
	}
	told := slices.Clone(values)
	for i, value := range told {
		switch value := value.(type) {
		case Message:
			told[i] = value.In(l)
		case error:
			told[i] = l.Error(value)
		}
	}
	return fmt.Sprintf(l.Text(format), told...)
}

// T is a text in the language, for a template, with its values filled in if there are any.
func (l Language) T(english string, values ...any) string {
	if len(values) == 0 {
		return l.Text(english)
	}
	return l.Sprintf(english, values...)
}

// Writer is where a reader reads, in the reader's language.
type Writer struct {
	io.Writer
	Language
}

// Printf writes what Sprintf returns.
func (w Writer) Printf(format string, values ...any) (int, error) {
	return io.WriteString(w, w.Sprintf(format, values...))
}

// To is another writer for the same reader.
func (w Writer) To(other io.Writer) Writer { return Writer{other, w.Language} }

// Name is a file's name or path as it is shown: quoted if it holds what a terminal or a journal would not show as it is,
// such as control characters or bytes that are not UTF-8.
func Name(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return name
	}
	return strconv.Quote(name)
}
