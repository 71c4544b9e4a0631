package report

import (
	"fmt"
	"slices"

	"vbankbatch/client/pg"
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
	total int           // characters, each as often as it stands there
	first []say.Message // the first few and their places, and nothing else of the cells
}

// Error is Say in words.
func (e *EncodingError) Error() string { return e.Say().String() }

// Say names the characters and their places.
func (e *EncodingError) Say() say.Message {
	places := slices.Clip(e.first)
	if more := e.total - len(places); more > 0 {
		places = append(places, say.Messagef("and %d more", more))
	}
	return say.Messagef("CP949 lacks characters that stand in the results, %d in all: %s", e.total, say.Join(places, "; "))
}

// look notes what CP949 lacks of a line of the results (0 is the header), and returns an error for all lines up to here, if there is one.
func (e *EncodingError) look(line int64, header, cells []string) error {
	for i, cell := range cells {
		for _, r := range cell {
			if r < 0x80 || r >= '가' && r <= '힣' || pg.InEUCKR(r) {
				continue
			}
			e.total++
			character := fmt.Sprintf("%#U", r)
			switch {
			case len(e.first) == mostLacking:
			case line == 0:
				e.first = append(e.first, say.Messagef("in the header, column %d: %s", i+1, character))
			default:
				e.first = append(e.first, say.Messagef("line %d, column %d (%s): %s", line, i+1, header[i], character))
			}
		}
	}
	if e.total > 0 {
		return e
	}
	return nil
}
