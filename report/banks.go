package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"

	"vbankbatch/client/pg"
)

// Banks writes the banks of PGs in one of the formats of Check: the PG, the KFTC code, the code that the PG takes, and
// the name.
func Banks(w io.Writer, format string, pgs []string) error {
	type bank struct {
		PG   string `json:"pg"`
		KFTC string `json:"kftc"`
		Code string `json:"code"`
		Name string `json:"name"`
	}
	list := []bank{}
	for _, name := range pgs {
		for _, b := range pg.Banks(name) {
			list = append(list, bank{name, b.KFTC, b.Code, b.Name})
		}
	}
	switch format {
	case JSON:
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(list)
	case CSV:
		out := csv.NewWriter(w)
		out.Write([]string{"pg", "kftc", "code", "name"}) // Error tells
		for _, b := range list {
			out.Write([]string{b.PG, b.KFTC, b.Code, b.Name})
		}
		out.Flush()
		return out.Error()
	}
	for _, b := range list {
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", b.PG, b.KFTC, b.Code, b.Name); err != nil {
			return err
		}
	}
	return nil
}
