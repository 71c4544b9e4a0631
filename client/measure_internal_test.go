package client

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestHistogram compares percentiles with those of the sorted values, over all sizes.
func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []float64{1, 3, 8, 20} {
		var h histogram
		var all []time.Duration
		for range 20_000 {
			d := time.Duration(float64(100*time.Microsecond) * math.Exp(random.Float64()*spread))
			d = min(d, time.Hour)
			h.add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, percent := range []int64{1, 50, 90, 99, 100} {
			want, got := all[int64(len(all))*percent/100-1], h.percentile(percent)
			if math.Abs(float64(got)/float64(want)-1) > 0.02 {
				t.Errorf("spread %v, p%d: %v, want %v", spread, percent, got, want)
			}
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	for _, d := range []time.Duration{0, time.Microsecond, 63 * time.Microsecond, 64 * time.Microsecond, 65 * time.Microsecond, time.Hour, 30 * time.Hour, math.MaxInt64} {
		var h histogram
		h.add(d)
		got, want := h.percentile(50), min(d, 1<<mostBits*time.Microsecond)
		if math.Abs(float64(got-want)) > 0.02*float64(want) || h.most != d {
			t.Errorf("%v: %v, most %v", d, got, h.most)
		}
	}
	var none histogram
	if none.percentile(99) != 0 {
		t.Error("a percentile of nothing")
	}
}

// TestSeriesDoubles ends an attempt every second for an hour: the intervals grow, none is lost, and their number is
// bounded.
func TestSeriesDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m measuring
		for range 3600 {
			sent := time.Now()
			time.Sleep(time.Second)
			m.add(&call{op: "POST /vbanks"}, 0, sent, nil)
		}
		told := m.snapshot()
		if told.Interval != 32*time.Second || len(told.Series) != 3600/32+1 {
			t.Fatalf("%d intervals of %v", len(told.Series), told.Interval)
		}
		answered := int64(0)
		for i, moment := range told.Series {
			answered += moment.Answered
			if moment.Answered != moment.Changes || moment.P50 < 980*time.Millisecond || moment.P99 > 1020*time.Millisecond ||
				i > 0 && i < len(told.Series)-1 && moment.Answered != 32 {
				t.Errorf("interval %d: %+v", i, moment)
			}
		}
		if answered != 3600 {
			t.Errorf("%d answers of 3600", answered)
		}
		time.Sleep(100 * 24 * time.Hour) // asleep: the gap is no loop for each interval
		m.add(&call{op: "POST /vbanks"}, 0, time.Now(), nil)
		if told := m.snapshot(); len(told.Series) > mostMoments || told.Series[0].Answered != 3600 {
			t.Errorf("%d intervals, %+v", len(told.Series), told.Series[0])
		}
	})
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	var m measuring
	k, fault, sent := &call{op: "GET /payments"}, &Error{Status: 429, Kind: RateLimited}, time.Now()
	add := func() { m.add(k, time.Millisecond, sent, fault) }
	add()
	if n := testing.AllocsPerRun(1000, add); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMeasure(b *testing.B) {
	var m measuring
	k := &call{op: "POST /vbanks"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		sent := time.Now()
		for pb.Next() {
			m.add(k, time.Millisecond, sent, nil)
		}
	})
}
