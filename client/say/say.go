// Package say tells people things in their language. The English text in the code is the key, and says all that there is
// to say; korean.go has the Korean for each. Start with [Use], once at the start of a process; then [Text], [Sprintf] and
// [Errorf] stand where the English would.
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

// Same reports whether what was said is the English text, in whichever language.
func Same(english, said string) bool { return said == english || said == korean[english] }

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

// Errorf is fmt.Errorf in the language of the process, %w included.
func Errorf(format string, values ...any) error {
	if text, ok := translated(format); ok {
		return fmt.Errorf(text, values...)
	}
	return fmt.Errorf(format, values...)
}

// New is errors.New: each is another error. It is told in the language that the process has then, so that it may be made
// before [Use].
func New(english string) error { return &sentence{english} }

type sentence struct{ english string }

func (s *sentence) Error() string { return Text(s.english) }

// Name is a file's name or path as it is shown: quoted if it holds what a terminal or a journal would not show as it is,
// such as control characters or bytes that are not UTF-8.
func Name(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return name
	}
	return strconv.Quote(name)
}

func translated(english string) (text string, ok bool) {
	if inKorean.Load() {
		text, ok = korean[english]
	}
	return text, ok
}
