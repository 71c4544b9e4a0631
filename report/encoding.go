package report

import (
	"fmt"

	"golang.org/x/text/encoding/korean"

	"vbankbatch/client/say"
)

// The encodings that results are written in.
const (
	UTF8  = "utf-8" // with a byte order mark
	CP949 = "cp949" // without one
)

// mostLacking is how many characters an EncodingError names.
const mostLacking = 5

// An EncodingError is of results that hold what CP949 lacks. Nothing was replaced and nothing written: the same
// results can be written in UTF-8.
type EncodingError struct {
	Total int       // characters, each as often as it stands there
	First []Lacking // the first few
}

// Lacking is a character that CP949 lacks, and where it stands.
type Lacking struct {
	Line   int64 // of the input, as the results' column line has it; 0 for the header
	Column int   // of the results, from 1
	Header string
	Char   rune
}

// Error is Say in words.
func (e *EncodingError) Error() string { return e.Say().String() }

// Say names the characters and their places, and nothing else of the cells.
func (e *EncodingError) Say() say.Message {
	var places []say.Message
	for _, l := range e.First {
		character := fmt.Sprintf("%#U", l.Char)
		if l.Line == 0 {
			places = append(places, say.Messagef("in the header, column %d: %s", l.Column, character))
		} else {
			places = append(places, say.Messagef("line %d, column %d (%s): %s", l.Line, l.Column, l.Header, character))
		}
	}
	if more := e.Total - len(e.First); more > 0 {
		places = append(places, say.Messagef("and %d more", more))
	}
	return say.Messagef("CP949 lacks characters that stand in the results, %d in all: %s", e.Total, say.Join(places, "; "))
}

// look notes what CP949 lacks of a line of the results, and returns an error for all lines up to here, if there is one.
func (e *EncodingError) look(line int64, header, cells []string) error {
	for i, cell := range cells {
		for _, r := range cell {
			if r < 0x80 || r >= '가' && r <= '힣' || inCP949(r) {
				continue
			}
			if e.Total++; len(e.First) < mostLacking {
				e.First = append(e.First, Lacking{line, i + 1, header[i], r})
			}
		}
	}
	if e.Total > 0 {
		return e
	}
	return nil
}

func inCP949(r rune) bool {
	_, err := korean.EUCKR.NewEncoder().String(string(r))
	return err == nil
}
