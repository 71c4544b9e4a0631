package report

import (
	"fmt"
	"io"

	"github.com/gocarina/gocsv"

	"vbankbatch/client/pg"
)

// Banks writes the banks of PGs in one of the formats of Check: the PG, the KFTC code, the code that the PG takes, and
// the name.
func Banks(w io.Writer, format string, pgs []string) error {
	type bank struct {
		PG   string `json:"pg" csv:"pg"`
		KFTC string `json:"kftc" csv:"kftc"`
		Code string `json:"code" csv:"code"`
		Name string `json:"name" csv:"name"`
	}
	list := []bank{}
	for _, name := range pgs {
		for _, b := range pg.Banks(name) {
			list = append(list, bank{name, b.KFTC, b.Code, b.Name})
		}
	}
	switch format {
	case JSON:
		return EncodeJSON(w, list)
	case CSV:
		return gocsv.Marshal(list, w)
	}
	for _, b := range list {
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", b.PG, b.KFTC, b.Code, b.Name); err != nil {
			return err
		}
	}
	return nil
}
