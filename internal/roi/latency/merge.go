package latency

import "sort"

// Merge joins series frozen in the baseline with those measured now; where both have an hour, the newer measurement stands.
func Merge(old, recent []EdgeSeries) []EdgeSeries {
	by := map[string]EdgeSeries{}
	for _, s := range old {
		by[s.Namespace] = s
	}
	for _, s := range recent {
		o, ok := by[s.Namespace]
		if !ok {
			by[s.Namespace] = s
			continue
		}
		s.P50, s.P99, s.RPS, s.Errors = mergeHours(o.P50, s.P50), mergeHours(o.P99, s.P99), mergeHours(o.RPS, s.RPS), mergeHours(o.Errors, s.Errors)
		s.VersionChanged = s.VersionChanged || o.VersionChanged
		if s.Changed == "" {
			s.Changed = o.Changed
		}
		by[s.Namespace] = s
	}
	out := make([]EdgeSeries, 0, len(by))
	for _, s := range by {
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Namespace < out[j].Namespace })
	return out
}

func mergeHours(old, recent []Hourly) []Hourly {
	at := map[int64]Hourly{}
	for _, h := range old {
		at[hour(h.T)] = h
	}
	for _, h := range recent {
		at[hour(h.T)] = h
	}
	out := make([]Hourly, 0, len(at))
	for _, h := range at {
		out = append(out, h)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].T < out[j].T })
	return out
}
