package latency

import (
	"math"
	"sort"
	"time"
)

func hour(t int64) int64 { return t / 3600 }

// logs are natural logarithms: a difference of them is a ratio, which a control of 2 s and a service of 20 ms have in common. Hours of nothing drop out.
func logs(in []Hourly) []Hourly {
	out := make([]Hourly, 0, len(in))
	for _, h := range in {
		if h.V > 0 && !math.IsInf(h.V, 1) {
			out = append(out, Hourly{h.T, math.Log(h.V)})
		}
	}
	return out
}

// split cuts at the change: hours up to from are before, hours that begin once it has settled are after; what lies between is neither.
func split(in []Hourly, from, at time.Time, settle time.Duration) (before, after []Hourly) {
	for _, h := range in {
		switch {
		case h.T <= from.Unix():
			before = append(before, h)
		case h.T-3600 >= at.Add(settle).Unix():
			after = append(after, h)
		}
	}
	return before, after
}

// driftOf is, hour by hour, the median of what the controls did against their own level, as logarithms; nil without controls. Hours in which a control is silent use the others.
func driftOf(controls [][]Hourly) map[int64]float64 {
	if len(controls) == 0 {
		return nil
	}
	at := map[int64][]float64{}
	for _, c := range controls {
		level := Median(Values(c))
		for _, h := range c {
			at[hour(h.T)] = append(at[hour(h.T)], h.V-level)
		}
	}
	out := make(map[int64]float64, len(at))
	for t, list := range at {
		out[t] = Median(list)
	}
	return out
}

// less subtracts the drift of the controls; hours without any control drop out.
func less(series []Hourly, drift map[int64]float64) []Hourly {
	if drift == nil {
		return series
	}
	var out []Hourly
	for _, h := range series {
		if d, ok := drift[hour(h.T)]; ok {
			out = append(out, Hourly{h.T, h.V - d})
		}
	}
	return out
}

// pairs are differences of hours after from their like before.
type pairs struct {
	diffs []Hourly // at the time of the hour after
	// days are the means of their days; independent is how many have a day before of their own.
	days        []float64
	independent int
	pre, post   []float64 // the values that were paired
}

// hoursOfADay is how many paired hours a day must have to count as one.
const hoursOfADay = 12

// pair compares Monday nine o'clock with Monday nine o'clock. Where both sides have less than that in common it compares days, the first after with the last before and so on, hour by hour of the day.
func pair(before, after []Hourly) pairs {
	p := pairBy(before, after, 7*24)
	if len(p.diffs) < MinPoints {
		if q := pairBy(before, after, 24); len(q.diffs) > len(p.diffs) {
			return q
		}
	}
	return p
}

func pairBy(before, after []Hourly, period int64) pairs {
	like := map[int64][]Hourly{}
	for _, h := range before {
		k := hour(h.T) % period
		like[k] = append(like[k], h)
	}
	var p pairs
	nth := map[int64]int{} // how many hours after have used their like before
	used := map[int64]bool{}
	byDay := map[int64][]float64{} // counted from the first hour after
	for _, h := range after {
		k := hour(h.T) % period
		list := like[k]
		if len(list) == 0 {
			continue
		}
		x := list[len(list)-1-nth[k]%len(list)]
		nth[k]++
		p.diffs = append(p.diffs, Hourly{h.T, h.V - x.V})
		p.post = append(p.post, h.V)
		if !used[x.T] {
			used[x.T] = true
			p.pre = append(p.pre, x.V)
		}
		d := (h.T - after[0].T) / 86400
		byDay[d] = append(byDay[d], h.V-x.V)
	}
	var order []int64
	for d, hours := range byDay {
		if len(hours) >= hoursOfADay {
			order = append(order, d)
		}
	}
	sort.Slice(order, func(i, j int) bool { return order[i] < order[j] })
	for _, d := range order {
		p.days = append(p.days, mean(byDay[d]))
	}
	whole := len(p.pre) / 24
	if len(p.pre)%24 >= hoursOfADay {
		whole++
	}
	p.independent = min(len(p.days), whole)
	return p
}
