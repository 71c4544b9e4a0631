package pg

const (
	secondsADay = 24 * 60 * 60
	seoul       = 9 * 60 * 60 // seconds before UTC; no summer time since 1988
)

// Due is the vbank_due, in UNIX seconds, that the PG of a pg value makes of one: some keep the date or the minute alone.
func Due(value string, due int64) int64 {
	if g := find(value); g != nil {
		return g.due(due)
	}
	return due
}

func (g *gateway) due(due int64) int64 {
	switch g.keeps {
	case toTheDay:
		return (day(due)+1)*secondsADay - seoul - 1
	case toTheMinute:
		return due - due%60 + 59
	}
	return due
}

// day is the number of a date in Seoul.
func day(unix int64) int64 { return (unix + seoul) / secondsADay }
