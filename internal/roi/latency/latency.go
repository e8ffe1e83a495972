package latency

import (
	"fmt"
	"math"
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
	// EnrolledAt is when the namespace's last workload had changed mode; zero while it has not. EnrolledFrom is the last time at which none had, zero for the same: hours between the two are
	// neither before nor after.
	EnrolledAt   time.Time `json:"enrolledAt,omitzero"`
	EnrolledFrom time.Time `json:"enrolledFrom,omitzero"`
	// VersionChanged tells that the application itself was released in the window.
	VersionChanged bool `json:"versionChanged,omitempty"`
	// Changed is what else changed in the namespace, such as the mode of some of its workloads; it is then no control. Empty when nothing did.
	Changed string `json:"changed,omitempty"`
}

// from is the end of the hours before.
func (s EdgeSeries) from() time.Time {
	if s.EnrolledFrom.IsZero() || s.EnrolledFrom.After(s.EnrolledAt) {
		return s.EnrolledAt
	}
	return s.EnrolledFrom
}

// Finding of a comparison.
type Finding string

// Findings. "No change" is claimed only where the whole interval lies within the margin; what is neither that nor a change is insufficient data.
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
	// MaxTrafficChange is how much the request rate may differ between the two sides. What a smaller difference may explain widens the interval.
	MaxTrafficChange = 0.20
	// MaxErrorChange is how much the error ratio may differ, absolute: failing fast looks like speed.
	MaxErrorChange = 0.01
	// DefaultMargin is the relative change within which an interval has to lie to be called no change.
	DefaultMargin = 0.10
	alpha         = 0.05
)

// Options of a comparison.
type Options struct {
	// Settle is dropped after the change: restarts and cold caches are not the mesh.
	Settle time.Duration
	// Margin is the relative change below which there is none; zero for DefaultMargin.
	Margin float64
	// Refuse is why nothing can be compared; empty when it can.
	Refuse string
}

// LatencyVerdict compares one namespace with itself before, net of what namespaces that did not change did meanwhile.
type LatencyVerdict struct {
	Namespace string  `json:"namespace"`
	Quantile  string  `json:"quantile"`
	Finding   Finding `json:"finding"`
	// Why explains the finding, always.
	Why string `json:"why"`
	// Shift is the relative change times the level before, in milliseconds, and Change that change in per cent. Their intervals hold for all comparisons of one report together with 95%.
	// Absent when nothing could be compared.
	Shift  terms.Figure `json:"shift"`
	Change terms.Figure `json:"change"`
	// Before and After are medians of the namespace itself, for context.
	Before terms.Figure `json:"before"`
	After  terms.Figure `json:"after"`
	N      int          `json:"pairedHours"`
	// P is the probability of a difference like this without a change, times the number of comparisons in the report.
	P        float64 `json:"p"`
	Controls int     `json:"controlNamespaces"`
}

// comparison is a verdict in the making.
type comparison struct {
	verdict LatencyVerdict
	pairs   pairs
	like    resemblance
	// allowance is how much of the difference, as a logarithm, the change of traffic may explain.
	allowance float64
	judged    bool
}

// Latency judges every namespace that has changed mode. The controls are namespaces in which nothing changed in the whole time. All verdicts of one call count as one report: the chance that any of
// them finds a change where there is none is at most 5%, for noise that resembles itself from hour to hour and from day to day (TestFalsePositivesOfAReport and make latency-campaign show it).
func Latency(all []EdgeSeries, o Options) []LatencyVerdict {
	if o.Margin <= 0 {
		o.Margin = DefaultMargin
	}
	sorted := append([]EdgeSeries(nil), all...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Namespace < sorted[j].Namespace })
	var list []comparison
	judged := 0
	drifts := map[string]map[int64]float64{} // namespaces that moved together have the same controls
	for _, s := range sorted {
		if s.EnrolledAt.IsZero() {
			continue
		}
		for _, q := range quantiles {
			names, controls := q.name, [][]Hourly(nil)
			for _, c := range sorted {
				if c.EnrolledAt.IsZero() && !c.VersionChanged && c.Changed == "" && len(q.of(c)) > 0 && trafficHeld(c, s.from(), s.EnrolledAt, o.Settle) == "" {
					names, controls = names+" "+c.Namespace, append(controls, q.of(c))
				}
			}
			if _, ok := drifts[names]; !ok {
				for i := range controls {
					controls[i] = logs(controls[i])
				}
				drifts[names] = driftOf(controls)
			}
			x := compare(s, q.name, q.of(s), len(controls), drifts[names], o)
			if x.judged {
				judged++
			}
			list = append(list, x)
		}
	}
	shared := sharedResemblance(list, judged)
	var out []LatencyVerdict
	for _, x := range list {
		if x.judged {
			x.judge(judged, shared, o)
		}
		out = append(out, x.verdict)
	}
	return out
}

var quantiles = []struct {
	name string
	of   func(EdgeSeries) []Hourly
}{{"P50", func(e EdgeSeries) []Hourly { return e.P50 }}, {"P99", func(e EdgeSeries) []Hourly { return e.P99 }}}

// compare pairs the hours, or says why that is not possible.
func compare(s EdgeSeries, quantile string, series []Hourly, controls int, drift map[int64]float64, o Options) comparison {
	x := comparison{verdict: LatencyVerdict{Namespace: s.Namespace, Quantile: quantile, Finding: Insufficient, P: 1, Controls: controls}}
	v := &x.verdict
	no := func(format string, args ...any) comparison {
		v.Why = fmt.Sprintf(format, args...)
		v.Shift, v.Change = terms.Missing("ms", v.Why), terms.Missing("%", v.Why)
		return x
	}
	pre, post := split(series, s.from(), s.EnrolledAt, o.Settle)
	v.Before, v.After = level(pre, quantile, "before"), level(post, quantile, "after")
	if o.Refuse != "" {
		return no("%s", o.Refuse)
	}
	if s.VersionChanged {
		return no("the application was released in the same window")
	}
	if why := trafficHeld(s, s.from(), s.EnrolledAt, o.Settle); why != "" {
		return no("%s", why)
	}
	before, after := split(less(logs(series), drift), s.from(), s.EnrolledAt, o.Settle)
	x.pairs = pair(before, after)
	v.N = len(x.pairs.diffs)
	if v.N < MinPoints || x.pairs.independent < 2 {
		return no("%d paired hours, at least %d are needed", v.N, MinPoints)
	}
	if constant(x.pairs.pre) && constant(x.pairs.post) && (controls == 0 || mean(Values(x.pairs.diffs)) == 0) {
		return no("the quantile stands still inside one histogram bucket: the instrument cannot resolve a change")
	}
	x.like = resemblanceOf(x.pairs.diffs)
	x.allowance = explainedByTraffic(s, before, o.Settle)
	x.judged = true
	return x
}

func level(hours []Hourly, quantile, side string) terms.Figure {
	if len(hours) == 0 {
		return terms.Missing("ms", "no hours "+side+" the change")
	}
	return terms.Known(Median(Values(hours)), "ms", "edge "+quantile+", median of hours")
}

// Margins of the estimate of how much days resemble each other, in standard errors. Several comparisons at once look further into the tails, where an estimate that is too low does more harm.
const (
	ownMargin    = 1.0
	marginGrowth = 0.5
	sharedMargin = 1.0
)

// sharedResemblance is what all comparisons of a report say together about how days resemble each other: noise that comes from the cluster is the same everywhere, and twenty series tell more of it than one.
func sharedResemblance(list []comparison, judged int) float64 {
	var all resemblance
	for _, x := range list {
		if !x.judged {
			continue
		}
		for i := range all.at {
			all.at[i] += x.like.at[i] / float64(judged)
		}
		all.n += x.like.n
	}
	return all.dayToDay(sharedMargin)
}

// judge gives the finding; comparisons is how many the report makes.
func (x *comparison) judge(comparisons int, shared float64, o Options) {
	v, p := &x.verdict, x.pairs
	k := float64(comparisons)
	r := math.Max(x.like.dayToDay(ownMargin+marginGrowth*math.Log(k)), shared)
	shift := mean(p.days)
	se, df := dayError(p.days, p.independent, r)
	half := studentQuantile(alpha/k, df)*se + x.allowance
	if q, ok := terms.Ratio(math.Max(0, math.Abs(shift)-x.allowance), se); ok {
		v.P = terms.Tidy(math.Min(1, k*studentTail(q, df)))
	}
	low, high := shift-half, shift+half
	source := fmt.Sprintf("edge %s, ratio of hours of the week before and after", v.Quantile)
	if v.Controls > 0 {
		source += fmt.Sprintf(", less what %d unchanged namespaces did", v.Controls)
	} else {
		source += "; no unchanged namespace to compare with, so other causes are not ruled out"
	}
	percent := func(l float64) float64 { return 100 * math.Expm1(l) }
	v.Change = terms.Known(percent(shift), "%", source).Between(percent(low), percent(high))
	base := 0.0
	if v.Before.Value != nil {
		base = *v.Before.Value / 100
	}
	v.Shift = terms.Known(base*percent(shift), "ms", source).Between(base*percent(low), base*percent(high))
	v.Why = fmt.Sprintf("change %s, p=%.3g over %d comparisons, %d paired hours", v.Change, v.P, comparisons, v.N)
	switch margin := math.Log1p(o.Margin); {
	case high < 0:
		v.Finding = Improved
	case low > 0:
		v.Finding = Worse
	case low > -margin && high < margin:
		v.Finding = NoChange
		v.Why += fmt.Sprintf("; all of it within the margin of %s%%", terms.Number(100*o.Margin))
	default:
		v.Why += fmt.Sprintf("; that is neither a change nor within the margin of %s%%: it takes more hours, or controls, to tell", terms.Number(100*o.Margin))
	}
	if x.allowance > 0.001 {
		v.Why += fmt.Sprintf("; widened by %.2g%% for what the change of traffic may explain", percent(x.allowance))
	}
}

// trafficHeld says why latency before and after cannot be compared, empty when it can.
func trafficHeld(s EdgeSeries, from, at time.Time, settle time.Duration) string {
	pre, post := split(s.RPS, from, at, settle)
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
	if a, b, ok := errorRatios(s, from, at, settle); ok && math.Abs(b-a) > MaxErrorChange {
		return fmt.Sprintf("the error ratio changed from %.2g%% to %.2g%%", a*100, b*100)
	}
	return ""
}

// steadyTraffic is the spread of the logarithm of the request rate below which the hours say nothing about how latency follows it.
const steadyTraffic = 0.05

// explainedByTraffic is how much of a difference of latency, as a logarithm, the change of traffic may explain: that change, times how strongly latency followed traffic from hour to hour before. Where
// traffic was too steady to tell, latency is taken to be proportional to it. before are logarithms of latency.
func explainedByTraffic(s EdgeSeries, before []Hourly, settle time.Duration) float64 {
	pre, post := split(logs(s.RPS), s.from(), s.EnrolledAt, settle)
	change := math.Abs(mean(Values(pair(pre, post).diffs)))
	rate := map[int64]float64{}
	for _, h := range pre {
		rate[hour(h.T)] = h.V
	}
	var x, y []float64
	for _, h := range before {
		if r, ok := rate[hour(h.T)]; ok {
			x, y = append(x, r), append(y, h.V)
		}
	}
	mx, my := mean(x), mean(y)
	sxx, sxy, syy := 0.0, 0.0, 0.0
	for i := range x {
		sxx, sxy, syy = sxx+(x[i]-mx)*(x[i]-mx), sxy+(x[i]-mx)*(y[i]-my), syy+(y[i]-my)*(y[i]-my)
	}
	n := float64(len(x))
	if n < MinPoints || math.Sqrt(sxx/n) < steadyTraffic {
		return change
	}
	slope := sxy / sxx
	se := math.Sqrt(math.Max(0, syy-slope*sxy) / (n - 2) / sxx)
	return change * (math.Abs(slope) + 3*se)
}

// ErrorRatios are the medians before and after the namespace's change.
func ErrorRatios(s EdgeSeries, settle time.Duration) (before, after float64, ok bool) {
	return errorRatios(s, s.from(), s.EnrolledAt, settle)
}

func errorRatios(s EdgeSeries, from, at time.Time, settle time.Duration) (before, after float64, ok bool) {
	pre, post := split(s.Errors, from, at, settle)
	if len(pre) == 0 || len(post) == 0 {
		return 0, 0, false
	}
	return Median(Values(pre)), Median(Values(post)), true
}
