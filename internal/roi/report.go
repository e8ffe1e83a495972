package roi

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"time"
)

// Now is what is measured after the change.
type Now struct {
	At       time.Time
	Nodes    int
	HasNodes bool
	MeshPods []MeshPod
	// HasPods tells that mesh pods could be listed, so that none means none.
	HasPods  bool
	Source   string
	Sidecars ProxyState
	EdgeRPS  float64
	HasRPS   bool
	// BilledBefore and BilledAfter are the bill per month, if the user gives it.
	BilledBefore, BilledAfter *float64
	EngineeringCost           float64
	Edge                      []EdgeSeries
	Settle                    time.Duration
	ByMode                    []ModeEdge
	Startup                   map[Mode][]float64
	Zone                      ZoneInput
	Gaps                      []Gap
	History                   []Week
	Rng                       *rand.Rand
	// WaveSidecars is how many pods of each wave still have a sidecar, where a plan is given.
	WaveSidecars map[string]int
	// Simulated says that the measurements themselves come from a generator, so that no reader takes them for real.
	Simulated string
}

// Row sets a promise against what came of it.
type Row struct {
	Name     string `json:"name"`
	Promised Figure `json:"promised"`
	Realised Figure `json:"realised"`
	Finding  string `json:"finding"` // as promised, less than promised, more than promised, cannot say
}

// Report is promised against realised.
type Report struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	At         time.Time        `json:"at"`
	Baseline   string           `json:"baseline"`
	BaselineAt time.Time        `json:"baselineAt"`
	Rows       []Row            `json:"rows"`
	Ladder     []Rung           `json:"ladder"`
	Accounts   []Account        `json:"accounts"`
	Hybrid     HybridTax        `json:"hybridTax"`
	Latency    []LatencyVerdict `json:"latency,omitempty"`
	Modes      []ModeLatency    `json:"modes,omitempty"`
	Zones      ZoneLedger       `json:"zones"`
	Drift      []string         `json:"drift,omitempty"`
	History    []Week           `json:"history,omitempty"`
	ThisWeek   Week             `json:"thisWeek"`
	Simulated  string           `json:"simulated,omitempty"`
	Waves      []WaveROI        `json:"waves,omitempty"` // as promised, with the sidecars that are still there
	Gaps       []Gap            `json:"gaps,omitempty"`
	Steps      []Step           `json:"steps,omitempty"`
}

// Tolerances of "as promised".
const (
	nodeTolerance  = 1
	shareTolerance = 0.15
)

// Compare makes the report.
func Compare(b Baseline, now Now) Report {
	r := Report{APIVersion: APIVersion, Kind: ReportKind, At: now.At, Baseline: b.Hash, BaselineAt: b.At, Gaps: now.Gaps,
		Accounts: Accounts(now.MeshPods, now.Source), History: now.History, Simulated: now.Simulated,
		Hybrid: DetectHybridTax(b.Sidecars, now.Sidecars), Modes: ByMode(now.ByMode, now.Startup), Zones: Zones(now.Zone)}
	cpu, mem, use, memUse := r.freed(b, now.HasPods)
	gone := r.nodesGone(b, now)
	r.rows(b, cpu, mem, gone)
	money := r.moneyLines(b, now, gone)
	sim := Rung{3, "nodes removable", "simulated when the baseline was frozen", nil}
	for _, rung := range b.Promised.Ladder {
		if rung.Number == 3 {
			sim.Lines = rung.Lines
		}
	}
	r.Ladder = []Rung{
		{1, "requests freed", "what the mesh's containers request now against the baseline; no node is gone by that", []Line{{"CPU", cpu}, {"memory", mem}}},
		{2, "usage freed", "what they use now against the baseline", []Line{{"CPU", use}, {"memory", memUse}}},
		sim,
		{4, "nodes gone", "counted; other growth of the cluster is in it, see the request rate", []Line{{"nodes", gone}}},
		{5, "money", "what nodes gone are worth, and the bill where you gave it; one is not the other", money},
	}
	edge := mergeEdge(b.Edge, now.Edge)
	r.Latency = Latency(edge, now.Settle, now.Rng)
	for _, w := range b.Promised.Waves {
		if n, ok := now.WaveSidecars[w.Wave]; ok {
			w.StillSidecars = &n
		}
		r.Waves = append(r.Waves, w)
	}
	r.drift(b, now)
	r.driftOfUsage(b, use, memUse)
	r.driftOfService(edge, now.Settle)
	r.ThisWeek = Week{APIVersion: APIVersion, Kind: "RoiWeek", Week: WeekName(now.At), At: now.At, Baseline: b.Hash, Sidecars: now.Sidecars.Pods,
		CPU: totalOf(r.Accounts, now.HasPods, func(a Account) Figure { return a.CPURequests }, "cores"), Memory: totalOf(r.Accounts, now.HasPods, func(a Account) Figure { return a.MemoryRequests }, "GiB"),
		Nodes: Missing("nodes", "nodes were not counted"), EdgeRPS: Missing("requests/s", "no edge series"), Drift: r.Drift}
	if now.HasNodes {
		r.ThisWeek.Nodes = Known(float64(now.Nodes), "nodes", "counted")
	}
	if now.HasRPS {
		r.ThisWeek.EdgeRPS = Known(now.EdgeRPS, "requests/s", "edge")
	}
	return r
}

// maxUnknown is the share of pods whose figure may be unknown in a sum: beyond it what is left out could turn the result.
const maxUnknown = 0.05

// totalOf adds a figure over accounts. Accounts that do not have it make the sum unknown, unless they are few pods; those are named as left out.
func totalOf(accounts []Account, listed bool, of func(Account) Figure, unit string) Figure {
	if len(accounts) == 0 && !listed {
		return Missing(unit, "no mesh pods are known")
	}
	if len(accounts) == 0 {
		return Known(0, unit, "no pod of the mesh runs")
	}
	sum, source := 0.0, ""
	pods, unknown := 0, 0
	var leftOut, why []string
	for _, a := range accounts {
		f := of(a)
		pods += a.Pods
		if f.Value == nil {
			unknown += a.Pods
			why = append(why, fmt.Sprintf("%d pods (%s): %s", a.Pods, strings.TrimSpace(string(a.Sidecar)+" "+string(a.Role)), f.Missing))
			continue
		}
		sum += *f.Value
		source = f.Source
		leftOut = append(leftOut, f.LeftOut...)
	}
	if float64(unknown) > maxUnknown*float64(pods) {
		return Missing(unit, strings.Join(why, "; "))
	}
	return Known(sum, unit, source, append(leftOut, why...)...)
}

func (r *Report) freed(b Baseline, listed bool) (cpu, mem, use, memUse Figure) {
	delta := func(name, unit string, of func(Account) Figure) Figure {
		before, after := totalOf(b.Accounts, false, of, unit), totalOf(r.Accounts, listed, of, unit)
		if before.Value == nil {
			return Missing(unit, "baseline: "+before.Missing)
		}
		if after.Value == nil {
			return Missing(unit, "now: "+after.Missing)
		}
		r.Steps = append(r.Steps, stepf(name, "%s before - %s now = %s %s", number(*before.Value), number(*after.Value), number(*before.Value-*after.Value), unit))
		return Known(*before.Value-*after.Value, unit, "all mesh containers, baseline less now", append(before.LeftOut, after.LeftOut...)...)
	}
	return delta("CPU requests freed", "cores", func(a Account) Figure { return a.CPURequests }),
		delta("memory requests freed", "GiB", func(a Account) Figure { return a.MemoryRequests }),
		delta("CPU usage freed", "cores", func(a Account) Figure { return a.CPUUsage }),
		delta("memory usage freed", "GiB", func(a Account) Figure { return a.MemoryUsage })
}

func (r *Report) nodesGone(b Baseline, now Now) Figure {
	if b.Nodes == 0 {
		return Missing("nodes", "the baseline does not know how many nodes there were")
	}
	if !now.HasNodes {
		return Missing("nodes", "nodes could not be counted now")
	}
	r.Steps = append(r.Steps, stepf("nodes gone", "%d at the baseline - %d now = %d", b.Nodes, now.Nodes, b.Nodes-now.Nodes))
	return Known(float64(b.Nodes-now.Nodes), "nodes", fmt.Sprintf("%d at the baseline, %d now", b.Nodes, now.Nodes), "growth or shrinkage for other reasons")
}

func (r *Report) moneyLines(b Baseline, now Now, gone Figure) []Line {
	unit := unitOf(b.Currency)
	worth := Missing(unit, gone.Missing)
	switch {
	case gone.Value == nil:
	case b.NodePrice <= 0:
		worth = Missing(unit, "the baseline has no node price")
	default:
		before, after := b.Commitment.billed(b.Nodes, now.At), b.Commitment.billed(now.Nodes, now.At)
		worth = Known(float64(before-after)*b.NodePrice*HoursPerMonth, unit, fmt.Sprintf("%d nodes x %s per hour (baseline's price) x 730 h", before-after, number(b.NodePrice)), gone.LeftOut...)
		if b.Commitment.Nodes > 0 && now.At.Before(b.Commitment.Until) {
			worth.Source += fmt.Sprintf("; %d nodes are committed until %s", b.Commitment.Nodes, b.Commitment.Until.Format(time.DateOnly))
		}
	}
	billed := Missing(unit, "no bill was given (--billed-before, --billed-after)")
	if now.BilledBefore != nil && now.BilledAfter != nil {
		billed = Known(*now.BilledBefore-*now.BilledAfter, unit, "your bill, before less after", "everything else that changed on the bill")
	}
	payback := Missing("months", "no engineering cost was stated (--engineering-cost)")
	saving := worth
	if billed.Value != nil {
		saving = billed
	}
	if now.EngineeringCost > 0 {
		switch {
		case saving.Value == nil:
			payback = Missing("months", saving.Missing)
		case *saving.Value <= 0:
			payback = Missing("months", "never: nothing is saved per month")
		default:
			payback = Known(now.EngineeringCost / *saving.Value, "months", number(now.EngineeringCost)+" / "+number(*saving.Value)+" "+unit)
		}
	}
	return []Line{{"worth per month of nodes gone", worth}, {"billed", billed}, {"payback of the engineering cost", payback}}
}

func (r *Report) rows(b Baseline, cpu, mem, gone Figure) {
	promised := func(rung int, line string) Figure {
		for _, l := range b.Promised.Ladder {
			if l.Number != rung {
				continue
			}
			for _, x := range l.Lines {
				if x.Name == line {
					return x.Figure
				}
			}
		}
		return Missing("", "not promised")
	}
	nodes := promised(3, "replace")
	if d := promised(3, "drain"); nodes.Value != nil && d.Value != nil { // how far an autoscaler gets lies between the two simulations, orders of packing included
		low, high := *nodes.Value, *nodes.Value
		if nodes.Low != nil && nodes.High != nil {
			low, high = *nodes.Low, *nodes.High
		}
		nodes = nodes.Between(min(low, *d.Value), max(high, *d.Value))
	}
	r.Rows = []Row{
		row("CPU requests freed", promised(1, "CPU"), cpu, 0),
		row("memory requests freed", promised(1, "memory"), mem, 0),
		row("nodes gone (promised: removable, simulated)", nodes, gone, nodeTolerance),
	}
}

// row judges within the promised range, widened by the tolerance or by 15%.
func row(name string, promised, realised Figure, tolerance float64) Row {
	out := Row{Name: name, Promised: promised, Realised: realised, Finding: "cannot say"}
	if promised.Value == nil || realised.Value == nil {
		return out
	}
	low, high := *promised.Value, *promised.Value
	if promised.Low != nil && promised.High != nil {
		low, high = *promised.Low, *promised.High
	}
	slack := math.Max(tolerance, shareTolerance*math.Abs(*promised.Value))
	switch v := *realised.Value; {
	case v < low-slack:
		out.Finding = "less than promised"
	case v > high+slack:
		out.Finding = "more than promised"
	default:
		out.Finding = "as promised"
	}
	return out
}

// drift flags what moved away from the promise or from last week.
func (r *Report) drift(b Baseline, now Now) {
	for _, row := range r.Rows {
		if row.Finding == "less than promised" {
			r.Drift = append(r.Drift, fmt.Sprintf("%s: %s, promised %s", row.Name, row.Realised, row.Promised))
		}
	}
	if r.Hybrid.Verdict == "tax" {
		r.Drift = append(r.Drift, "hybrid tax: "+r.Hybrid.Why)
	}
	if change, ok := ratio(now.EdgeRPS-b.EdgeRPS, b.EdgeRPS); ok && now.HasRPS && math.Abs(change) > MaxTrafficChange {
		r.Drift = append(r.Drift, fmt.Sprintf("traffic changed by %+.0f%% since the baseline: nodes and usage moved for that reason too", change*100))
	}
	weeks := append([]Week(nil), now.History...)
	sort.Slice(weeks, func(i, j int) bool { return weeks[i].At.Before(weeks[j].At) })
	if n := len(weeks); n > 0 {
		last := weeks[n-1]
		if last.Sidecars < now.Sidecars.Pods {
			r.Drift = append(r.Drift, fmt.Sprintf("sidecars came back: %d last time (%s), %d now", last.Sidecars, last.Week, now.Sidecars.Pods))
		}
		if last.Nodes.Value != nil && now.HasNodes && float64(now.Nodes) > *last.Nodes.Value+nodeTolerance {
			r.Drift = append(r.Drift, fmt.Sprintf("nodes grew from %s (%s) to %d", number(*last.Nodes.Value), last.Week, now.Nodes))
		}
		if last.Baseline != b.Hash {
			r.Drift = append(r.Drift, "last week was measured against another baseline")
		}
	}
}

// driftOfUsage flags a mesh that takes clearly more than it did: ztunnel and waypoints can cost more than the sidecars that left.
func (r *Report) driftOfUsage(b Baseline, cpu, memory Figure) {
	for _, x := range []struct {
		name  string
		freed Figure
		of    func(Account) Figure
	}{{"CPU", cpu, func(a Account) Figure { return a.CPUUsage }}, {"memory", memory, func(a Account) Figure { return a.MemoryUsage }}} {
		before := totalOf(b.Accounts, false, x.of, x.freed.Unit)
		if x.freed.Value == nil || before.Value == nil || *x.freed.Value >= -shareTolerance**before.Value {
			continue
		}
		r.Drift = append(r.Drift, fmt.Sprintf("%s used by the mesh grew: %s %s now, %s at the baseline", x.name,
			number(*before.Value-*x.freed.Value), x.freed.Unit, before))
	}
}

// driftOfService flags what users of the services feel: slower answers and more errors in namespaces that changed mode.
func (r *Report) driftOfService(edge []EdgeSeries, settle time.Duration) {
	for _, quantile := range []string{"P50", "P99"} {
		judged, worst := 0, LatencyVerdict{}
		var worse []string
		for _, v := range r.Latency {
			if v.Quantile != quantile || v.Finding == Insufficient {
				continue
			}
			if judged++; v.Finding != Worse {
				continue
			}
			worse = append(worse, v.Namespace)
			if worst.Shift.Value == nil || *v.Shift.Value > *worst.Shift.Value {
				worst = v
			}
		}
		if len(worse) > 0 {
			r.Drift = append(r.Drift, fmt.Sprintf("%s latency is worse in %d of %d namespaces that could be judged (%s); most in %s: %s", quantile, len(worse), judged,
				strings.Join(worse, ", "), worst.Namespace, worst.Shift))
		}
	}
	for _, s := range edge {
		if s.EnrolledAt.IsZero() {
			continue
		}
		if before, after, ok := errorRatios(s, s.EnrolledAt, settle); ok && after-before > MaxErrorChange {
			r.Drift = append(r.Drift, fmt.Sprintf("errors in %s rose from %.2g%% to %.2g%% of requests", s.Namespace, before*100, after*100))
		}
	}
}

// mergeEdge joins series frozen in the baseline with those measured now; where both have an hour, the newer measurement stands.
func mergeEdge(old, recent []EdgeSeries) []EdgeSeries {
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
