package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"vbankbatch/batch/input"
	"vbankbatch/client"
	"vbankbatch/report"
)

// chart is drawn by the template. Its paths fill a field of Width by Height, which the browser stretches; all that is to be
// read stands beside it, so that it has one size on every screen.
type chart struct {
	ID, Title, Told           string
	Width, Height             int
	Grid, Area, First, Second string // paths
	Top, Half                 string // of the scale
	From, To                  string // times
}

const (
	chartWidth  = 600
	chartHeight = 160
)

// Charts draws the series, if it is long enough to show a course.
func (p *page) Charts() []chart {
	m := p.Measures
	n := len(m.Series)
	if n < 3 {
		return nil
	}
	speed, half, most := make([]float64, n), make([]float64, n), make([]float64, n)
	changes := int64(0)
	for i, moment := range m.Series {
		lasted := m.Interval
		if i == n-1 { // it was cut short
			lasted = min(max(m.Ended.Sub(m.Started)-time.Duration(i)*m.Interval, m.Interval/2), m.Interval)
		}
		changes += moment.Changes
		speed[i] = float64(moment.Changes) / lasted.Seconds()
		half[i], most[i] = math.NaN(), math.NaN() // nothing is known of a moment without an answer
		if moment.Answered > 0 {
			half[i], most[i] = moment.P50.Seconds()*1000, moment.P99.Seconds()*1000
		}
	}
	slowest := time.Duration(0)
	for _, e := range m.Endpoints {
		slowest = max(slowest, e.Latency.Max)
	}
	fastest, average := greatest(speed), float64(changes)/max(m.Ended.Sub(m.Started).Seconds(), 0.001)
	first := p.chart("speed", p.T("Issues, updates and revocations answered, a second"), m, greatest(speed))
	first.Told = p.T("%s a second on average, %s at most.", figure(average), figure(fastest))
	first.First = steps(speed, niceTop(fastest))
	first.Area = fmt.Sprintf("%sV%d H0Z", first.First, chartHeight)
	second := p.chart("latency", p.T("How long the API took to answer, ms"), m, greatest(most))
	second.Told = p.T("Half of the answers came faster than the solid line, 99%% faster than the dashed one. The slowest took %s.", p.duration(slowest))
	top := niceTop(greatest(most))
	second.First, second.Second = polyline(half, top), polyline(most, top)
	return []chart{first, second}
}

func (p *page) chart(id, title string, m *client.Measures, most float64) chart {
	top := niceTop(most)
	return chart{ID: id, Title: title, Width: chartWidth, Height: chartHeight, Top: figure(top), Half: figure(top / 2),
		Grid: fmt.Sprintf("M0 0H%[1]dM0 %[2]dH%[1]dM0 %[3]dH%[1]d", chartWidth, chartHeight/2, chartHeight),
		From: m.Started.In(input.KST).Format(time.TimeOnly), To: m.Ended.In(input.KST).Format(time.TimeOnly)}
}

// steps draws values that hold for an interval each.
func steps(values []float64, top float64) string {
	var b strings.Builder
	for i, v := range values {
		fmt.Fprintf(&b, "%s%.1f H%.1f", map[bool]string{true: "M0 ", false: "V"}[i == 0], height(v, top), float64(i+1)*chartWidth/float64(len(values)))
	}
	return b.String()
}

// polyline draws values at the middle of an interval each, and nothing where one is not known.
func polyline(values []float64, top float64) string {
	var b strings.Builder
	gap := true
	for i, v := range values {
		if math.IsNaN(v) {
			gap = true
			continue
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[gap], (float64(i)+0.5)*chartWidth/float64(len(values)), height(v, top))
		if gap {
			b.WriteString("h0") // a dot, should it stand alone
		}
		gap = false
	}
	return b.String()
}

func height(v, top float64) float64 { return chartHeight * (1 - v/top) }

func greatest(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		if v > most { // NaN is not
			most = v
		}
	}
	return most
}

// niceTop is the least round number that a value fits under.
func niceTop(v float64) float64 {
	if v <= 0 {
		return 1
	}
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 2.5, 4, 5, 8} {
		if v <= step*ten {
			return step * ten
		}
	}
	return 10 * ten
}

// figure writes a number with as many digits as matter.
func figure(v float64) string {
	if v >= 100 {
		return report.Thousands(int64(math.Round(v)))
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
