package latency

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Hourly is one value for each hour; T is the hour's end in Unix seconds.
type Hourly struct {
	T int64   `json:"t"`
	V float64 `json:"v"`
}

// EdgeSeries is what one unchanging instrument saw of a namespace.
type EdgeSeries struct {
	Namespace string     `json:"namespace"`
	P50       []Hourly   `json:"p50,omitempty"`
	P99       []Hourly   `json:"p99,omitempty"`
	RPS       []Hourly   `json:"rps,omitempty"`
	Errors    []Hourly   `json:"errors,omitempty"`
	Mode      terms.Mode `json:"mode,omitempty"`
	// EnrolledAt is when the namespace's last workload changed mode; zero while it has not.
	EnrolledAt time.Time `json:"enrolledAt,omitzero"`
	// VersionChanged tells that the application itself was released in the window.
	VersionChanged bool `json:"versionChanged,omitempty"`
}

// Finding of a comparison.
type Finding string

// Findings. "No change" is claimed only with enough points; everything else that cannot be judged is insufficient data.
const (
	Improved     Finding = "improved"
	NoChange     Finding = "no change"
	Worse        Finding = "worse"
	Insufficient Finding = "insufficient data"
)

// Rules of a latency verdict.
const (
	// MinPoints is the fewest paired hours a verdict may rest on (Spinnaker's canary analysis asks for 50 per metric).
	MinPoints = 50
	// MaxTrafficChange is how much the request rate may differ between the two sides.
	MaxTrafficChange = 0.30
	// MaxErrorChange is how much the error ratio may differ, absolute: failing fast looks like speed.
	MaxErrorChange = 0.01
	alpha          = 0.05
	rounds         = 500
)

// LatencyVerdict compares one namespace with itself before, net of what namespaces that did not change did meanwhile.
type LatencyVerdict struct {
	Namespace string  `json:"namespace"`
	Quantile  string  `json:"quantile"`
	Finding   Finding `json:"finding"`
	// Why explains the finding, always.
	Why string `json:"why"`
	// Shift is the median difference in milliseconds with its 95% interval; absent when data is insufficient.
	Shift terms.Figure `json:"shift"`
	// Before and After are medians of the namespace itself, for context.
	Before terms.Figure `json:"before"`
	After  terms.Figure `json:"after"`
	N      int          `json:"pairedHours"`
	// P is the rank test's p-value.
	P        float64 `json:"p"`
	Controls int     `json:"controlNamespaces"`
}

// Latency judges every namespace that has changed mode. settle is dropped after the change: restarts and cold caches are not the mesh.
// The controls are namespaces that changed nothing in the whole time.
func Latency(all []EdgeSeries, settle time.Duration, rng *rand.Rand) []LatencyVerdict {
	sorted := append([]EdgeSeries(nil), all...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Namespace < sorted[j].Namespace })
	var out []LatencyVerdict
	for _, s := range sorted {
		if s.EnrolledAt.IsZero() {
			continue
		}
		for _, q := range []struct {
			name string
			of   func(EdgeSeries) []Hourly
		}{{"P50", func(e EdgeSeries) []Hourly { return e.P50 }}, {"P99", func(e EdgeSeries) []Hourly { return e.P99 }}} {
			var controls [][]Hourly
			for _, c := range sorted {
				if c.EnrolledAt.IsZero() && !c.VersionChanged && len(q.of(c)) > 0 && trafficHeld(c, s.EnrolledAt, settle) == "" {
					controls = append(controls, q.of(c))
				}
			}
			out = append(out, judge(s, q.name, q.of(s), controls, settle, rng))
		}
	}
	return out
}

func judge(s EdgeSeries, quantile string, series []Hourly, controls [][]Hourly, settle time.Duration, rng *rand.Rand) LatencyVerdict {
	v := LatencyVerdict{Namespace: s.Namespace, Quantile: quantile, Finding: Insufficient, P: 1, Controls: len(controls)}
	no := func(format string, args ...any) LatencyVerdict {
		v.Why = fmt.Sprintf(format, args...)
		v.Shift = terms.Missing("ms", v.Why)
		return v
	}
	own := adjust(series, nil)
	pre, post := split(own, s.EnrolledAt, settle)
	if len(pre) > 0 {
		v.Before = terms.Known(Median(Values(pre)), "ms", "edge "+quantile+", median of hours")
	} else {
		v.Before = terms.Missing("ms", "no hours before the change")
	}
	if len(post) > 0 {
		v.After = terms.Known(Median(Values(post)), "ms", "edge "+quantile+", median of hours")
	} else {
		v.After = terms.Missing("ms", "no hours after the change")
	}
	if s.VersionChanged {
		return no("the application was released in the same window")
	}
	if why := trafficHeld(s, s.EnrolledAt, settle); why != "" {
		return no("%s", why)
	}
	diff := adjust(series, controls)
	before, after := split(diff, s.EnrolledAt, settle)
	paired, preUsed, postUsed := pairByHourOfWeek(before, after)
	v.N = len(paired)
	if v.N < MinPoints {
		return no("%d paired hours, at least %d are needed", v.N, MinPoints)
	}
	if constant(preUsed) && constant(postUsed) && (len(controls) == 0 || Median(paired) == 0) {
		return no("the quantile stands still inside one histogram bucket: the instrument cannot resolve a change")
	}
	v.P = terms.Tidy(MannWhitney(preUsed, postUsed, inflationOf(paired)))
	shift := Median(paired)
	low, high := BlockBootstrap(paired, blockLength(paired), rounds, 1-alpha, rng)
	source := fmt.Sprintf("edge %s, difference of hours of the week before and after", quantile)
	if len(controls) > 0 {
		source += fmt.Sprintf(", less what %d unchanged namespaces did", len(controls))
	} else {
		source += "; no unchanged namespace to compare with, so other causes are not ruled out"
	}
	v.Shift = terms.Known(shift, "ms", source).Between(low, high)
	// Both must agree: each alone is too ready on short series whose hours resemble each other.
	switch {
	case v.P < alpha && high < 0:
		v.Finding = Improved
	case v.P < alpha && low > 0:
		v.Finding = Worse
	default:
		v.Finding = NoChange
	}
	v.Why = fmt.Sprintf("shift %s, rank test p=%.3g, %d paired hours", v.Shift, v.P, v.N)
	if v.Finding == NoChange {
		v.Why += fmt.Sprintf("; a change smaller than %s ms would not have been seen", terms.Number(math.Max(high-shift, shift-low)))
	}
	return v
}

// blockLength grows with how much an hour resembles the one before.
func blockLength(s []float64) int {
	r := math.Max(0, math.Min(autocorrelation(s), 0.9))
	return max(2, int(math.Ceil(math.Cbrt(float64(len(s)))*(1+3*r))))
}

// adjust subtracts, hour by hour, the median of the controls. Hours in which a control is silent use the others; hours without
// any control drop out.
func adjust(series []Hourly, controls [][]Hourly) []Hourly {
	if len(controls) == 0 {
		return series
	}
	at := map[int64][]float64{}
	for _, c := range controls {
		base := Median(Values(c))
		for _, h := range c {
			at[hour(h.T)] = append(at[hour(h.T)], h.V-base)
		}
	}
	var out []Hourly
	for _, h := range series {
		if c := at[hour(h.T)]; len(c) > 0 {
			out = append(out, Hourly{h.T, h.V - Median(c)})
		}
	}
	return out
}

func hour(t int64) int64 { return t / 3600 }

// split cuts at the change; hours that reach into the change or the time to settle drop out.
func split(in []Hourly, at time.Time, settle time.Duration) (before, after []Hourly) {
	for _, h := range in {
		switch {
		case h.T <= at.Unix():
			before = append(before, h)
		case h.T-3600 >= at.Add(settle).Unix():
			after = append(after, h)
		}
	}
	return before, after
}

// pairByHourOfWeek compares Monday nine o'clock with Monday nine o'clock; hours of the week that one side lacks drop out. Where both
// sides cover less than a week in common, it pairs by hour of the day instead. Each hour after is paired with the median of its like before.
func pairByHourOfWeek(before, after []Hourly) (diffs, pre, post []float64) {
	for _, period := range []int64{7 * 24, 24} {
		diffs, pre, post = pair(before, after, period)
		if len(diffs) >= MinPoints {
			return diffs, pre, post
		}
	}
	return diffs, pre, post
}

func pair(before, after []Hourly, period int64) (diffs, pre, post []float64) {
	like := map[int64][]float64{}
	for _, h := range before {
		k := hour(h.T) % period
		like[k] = append(like[k], h.V)
	}
	used := map[int64]bool{}
	for _, h := range after {
		k := hour(h.T) % period
		if vs := like[k]; len(vs) > 0 {
			diffs = append(diffs, h.V-Median(vs))
			post = append(post, h.V)
			used[k] = true
		}
	}
	for _, h := range before {
		if used[hour(h.T)%period] {
			pre = append(pre, h.V)
		}
	}
	if len(pre) < len(diffs) {
		// Fewer hours before than after: the pairs are only worth the scarcer side.
		diffs, post = diffs[:len(pre)], post[:len(pre)]
	}
	return diffs, pre, post
}

// trafficHeld says why latency before and after cannot be compared, empty when it can.
func trafficHeld(s EdgeSeries, at time.Time, settle time.Duration) string {
	pre, post := split(s.RPS, at, settle)
	if len(pre) == 0 || len(post) == 0 {
		return "the request rate is not known on both sides"
	}
	a, b := Median(Values(pre)), Median(Values(post))
	change, ok := terms.Ratio(b-a, a)
	if !ok {
		return "there were no requests before the change"
	}
	if math.Abs(change) > MaxTrafficChange {
		return fmt.Sprintf("traffic changed by %+.0f%% (%s to %s requests/s)", change*100, terms.Number(a), terms.Number(b))
	}
	if a, b, ok := ErrorRatios(s, at, settle); ok && math.Abs(b-a) > MaxErrorChange {
		return fmt.Sprintf("the error ratio changed from %.2g%% to %.2g%%", a*100, b*100)
	}
	return ""
}

// ErrorRatios are the medians before and after.
func ErrorRatios(s EdgeSeries, at time.Time, settle time.Duration) (before, after float64, ok bool) {
	pre, post := split(s.Errors, at, settle)
	if len(pre) == 0 || len(post) == 0 {
		return 0, 0, false
	}
	return Median(Values(pre)), Median(Values(post)), true
}

// Values are the values alone.
func Values(in []Hourly) []float64 {
	out := make([]float64, len(in))
	for i, h := range in {
		out[i] = h.V
	}
	return out
}

func constant(in []float64) bool {
	for _, v := range in {
		if v != in[0] {
			return false
		}
	}
	return true
}

// ModeEdge is what the edge saw of the workloads in one mode. Figures that are not known say why.
type ModeEdge struct {
	Mode terms.Mode
	// Namespaces are those with such workloads.
	Namespaces       []string
	P50, P99, Errors terms.Figure
}

// ModeLatency is what the edge saw of the workloads in one mode: context, not a comparison. Modes serve different
// applications, so a difference between two rows is not an effect of the mesh.
type ModeLatency struct {
	Mode       terms.Mode   `json:"mode"`
	Namespaces []string     `json:"namespaces,omitempty"`
	P50        terms.Figure `json:"p50"`
	P99        terms.Figure `json:"p99"`
	Errors     terms.Figure `json:"errorRatio"`
	Startup    terms.Figure `json:"startup"`
}

// ByMode joins what the edge saw with how long pods take to start: seconds from created to ready, by mode.
func ByMode(edge []ModeEdge, startups map[terms.Mode][]float64) []ModeLatency {
	by := map[terms.Mode]ModeLatency{}
	for _, e := range edge {
		by[e.Mode] = ModeLatency{Mode: e.Mode, Namespaces: e.Namespaces, P50: e.P50, P99: e.P99, Errors: e.Errors, Startup: terms.Missing("s", "no pod start-up times")}
	}
	if m, ok := by[terms.ModeMixed]; ok {
		m.Startup = terms.Missing("s", "pods are counted under their own mode")
		by[terms.ModeMixed] = m
	}
	for mode, seconds := range startups {
		m, ok := by[mode]
		if !ok {
			const none = "no edge series"
			m = ModeLatency{Mode: mode, P50: terms.Missing("ms", none), P99: terms.Missing("ms", none), Errors: terms.Missing("ratio", none), Startup: terms.Missing("s", "no pod start-up times")}
		}
		if len(seconds) > 0 {
			m.Startup = terms.Known(Median(seconds), "s", fmt.Sprintf("pods, created to ready, median of %d", len(seconds)))
		}
		by[mode] = m
	}
	out := make([]ModeLatency, 0, len(by))
	for _, m := range by {
		out = append(out, m)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Mode < out[j].Mode })
	return out
}
