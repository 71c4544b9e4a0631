package input

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Answer is one way to answer what a file was refused over: a flag with its value, as the hint of the refusal offers it.
type Answer struct {
	Flag  string // map, ignore, where, key, items, unit, totals, date-order, sheet or hidden
	Value string
}

var offered = regexp.MustCompile(`--(map|ignore|where|key|items|unit|totals|date-order|sheet|hidden) (?:'([^']*)'|([^\s;,']+))`)

// inCapitals is a word that stands for what the reader is to write.
var inCapitals = regexp.MustCompile(`HEADER|VALUE|FIELD|TEMPLATE|NAME`)

// Answers are the answers that the error's hint offers, whole ones: what the reader is to fill in is none.
func Answers(err error) (all []Answer) {
	refusal, ok := errors.AsType[*Error](err)
	if !ok {
		return nil
	}
	for _, found := range offered.FindAllStringSubmatch(refusal.Hint.String(), -1) {
		answer := Answer{found[1], found[2] + found[3]}
		if !inCapitals.MatchString(answer.Value) && !slices.Contains(all, answer) {
			all = append(all, answer)
		}
	}
	return all
}

// Answered is the profile with one more answer.
func (p Profile) Answered(a Answer) Profile {
	switch a.Flag {
	case "map":
		field, header, _ := strings.Cut(a.Value, "=")
		p.Map = maps.Clone(p.Map)
		if p.Map == nil {
			p.Map = make(map[string]string)
		}
		p.Map[field] = header
	case "ignore":
		p.Ignore = append(slices.Clone(p.Ignore), a.Value)
	case "where":
		p.Where = append(slices.Clone(p.Where), a.Value)
	case "key":
		p.Key = a.Value
	case "items":
		p.Items = a.Value
	case "unit":
		p.Unit = a.Value
	case "totals":
		p.Totals = a.Value
	case "date-order":
		p.DateOrder = a.Value
	case "sheet":
		p.Sheet = a.Value
	case "hidden":
		p.Hidden = a.Value
	}
	return p
}
