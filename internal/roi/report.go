package roi

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// Now is what is measured after the change.
type Now struct {
	At       time.Time
	Nodes    int
	HasNodes bool
	MeshPods []MeshPod
	// PodsOf counts the running pods of each workload, with or without a sidecar; nil where only metrics are known.
	PodsOf map[string]int
	// Proxied are the workloads with sidecars now; Machines the nodes by type, MeanNodes their mean number over the window (0 where only an instant is known).
	Proxied   []Proxied
	Machines  []Machines
	MeanNodes float64
	// HasPods tells that mesh pods could be listed, so that none means none.
	HasPods  bool
	Source   string
	Sidecars ProxyState
	EdgeRPS  float64
	HasRPS   bool
	// BilledBefore and BilledAfter are the bill per month, if the user gives it.
	BilledBefore, BilledAfter *float64
	EngineeringCost           float64
	Edge                      []latency.EdgeSeries
	Settle                    time.Duration
	ByMode                    []latency.ModeEdge
	Startup                   map[terms.Mode][]float64
	Zone                      ZoneInput
	Gaps                      []terms.Gap
	History                   []Week
	// Margin is the relative change of latency that counts as none; zero for the default. Instrument is the query that the edge's latency was asked with.
	Margin     float64
	Instrument string
	// WaveSidecars is how many pods of each wave still have a sidecar, where a plan is given.
	WaveSidecars map[string]int
	// Simulated says that the measurements themselves come from a generator, so that no reader takes them for real.
	Simulated string
}

// Row sets a promise against what came of it.
type Row struct {
	Name     string       `json:"name"`
	Promised terms.Figure `json:"promised"`
	Realised terms.Figure `json:"realised"`
	Finding  string       `json:"finding"` // as promised, less than promised, more than promised, cannot say
}

// Report is promised against realised.
type Report struct {
	APIVersion string                   `json:"apiVersion"`
	Kind       string                   `json:"kind"`
	At         time.Time                `json:"at"`
	Baseline   string                   `json:"baseline"`
	BaselineAt time.Time                `json:"baselineAt"`
	Rows       []Row                    `json:"rows"`
	Ladder     []Rung                   `json:"ladder"`
	Accounts   []Account                `json:"accounts"`
	Hybrid     HybridTax                `json:"hybridTax"`
	Latency    []latency.LatencyVerdict `json:"latency,omitempty"`
	Modes      []latency.ModeLatency    `json:"modes,omitempty"`
	Zones      ZoneLedger               `json:"zones"`
	Drift      []string                 `json:"drift,omitempty"`
	History    []Week                   `json:"history,omitempty"`
	ThisWeek   Week                     `json:"thisWeek"`
	Simulated  string                   `json:"simulated,omitempty"`
	Waves      []WaveROI                `json:"waves,omitempty"` // as promised, with the sidecars that are still there
	Gaps       []terms.Gap              `json:"gaps,omitempty"`
	Steps      []terms.Step             `json:"steps,omitempty"`
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
		Modes: latency.ByMode(now.ByMode, now.Startup), Zones: Zones(now.Zone)}
	r.Hybrid = DetectHybridTax(b.Sidecars, now.Sidecars)
	if len(b.Proxied) > 0 && now.PodsOf != nil {
		before, after, ok := staying(b, now)
		if r.Hybrid = DetectHybridTax(before, after); !ok {
			r.Hybrid.Verdict, r.Hybrid.Why = string(latency.Insufficient), "no workload that was to keep its sidecar is there at both ends"
		}
	}
	mv := movedOf(b, now)
	cpu, mem, use, memUse := r.freed(b, now, mv)
	gone := r.nodesGone(b, now, mv)
	money := r.moneyLines(b, now, gone, mv)
	r.rows(b, cpu, mem, gone, money[0].Figure)
	sim := Rung{3, "nodes removable", "simulated when the baseline was frozen", nil}
	for _, rung := range b.Promised.Ladder {
		if rung.Number == 3 {
			sim.Lines = rung.Lines
		}
	}
	first := []terms.Line{{Name: "CPU", Figure: cpu}, {Name: "memory", Figure: mem}}
	if mv.known {
		first = append(first, terms.Line{Name: "pods that run without the sidecar they had", Figure: terms.Known(float64(mv.left), "pods", "workloads of the baseline, pods that run now")})
	}
	r.Ladder = []Rung{
		{1, "requests freed", "what sidecars of the pods that left would request now, less what ambient requests more; no node is gone by that", first},
		{2, "usage freed", "what the mesh's containers use now against the baseline", []terms.Line{{Name: "CPU", Figure: use}, {Name: "memory", Figure: memUse}}},
		sim,
		{4, "nodes gone", "counted; other growth of the cluster is in it, see the request rate", []terms.Line{{Name: "nodes", Figure: gone}}},
		{5, "money", "what the fleet costs less, and the bill where you gave it; one is not the other", money},
	}
	edge := latency.Merge(b.Edge, now.Edge)
	options := latency.Options{Settle: now.Settle, Margin: now.Margin}
	if was := b.Queries["edge_latency"]; was != "" && now.Instrument != "" && was != now.Instrument {
		options.Refuse = "the instrument is not that of the baseline: give --edge, or the other flags of it, as they were then"
	}
	r.Latency = latency.Latency(edge, options)
	for _, w := range b.Promised.Waves {
		if n, ok := now.WaveSidecars[w.Wave]; ok {
			w.StillSidecars = &n
		}
		r.Waves = append(r.Waves, w)
	}
	r.drift(b, now, mv)
	r.driftOfUsage(b, use, memUse)
	r.driftOfService(edge, now.Settle)
	r.ThisWeek = Week{APIVersion: APIVersion, Kind: "RoiWeek", Week: WeekName(now.At), At: now.At, Baseline: b.Hash, Sidecars: now.Sidecars.Pods,
		CPU: totalOf(r.Accounts, now.HasPods, func(a Account) terms.Figure { return a.CPURequests }, "cores"), Memory: totalOf(r.Accounts, now.HasPods, func(a Account) terms.Figure { return a.MemoryRequests }, "GiB"),
		Nodes: terms.Missing("nodes", "nodes were not counted"), EdgeRPS: terms.Missing("requests/s", "no edge series"), Drift: r.Drift}
	if now.HasNodes {
		r.ThisWeek.Nodes = terms.Known(float64(now.Nodes), "nodes", "counted")
	}
	if now.HasRPS {
		r.ThisWeek.EdgeRPS = terms.Known(now.EdgeRPS, "requests/s", "edge")
	}
	return r
}

// notMoved is why nothing can be attributed while no pod has left its sidecar.
const notMoved = "not attributable: no pod has left the sidecar that it had, so whatever changed has another cause"

// maxUnknown is the share of pods whose figure may be unknown in a sum: beyond it what is left out could turn the result.
const maxUnknown = 0.05

// totalOf adds a figure over accounts. Accounts that do not have it make the sum unknown, unless they are few pods; those are named as left out.
func totalOf(accounts []Account, listed bool, of func(Account) terms.Figure, unit string) terms.Figure {
	if len(accounts) == 0 && !listed {
		return terms.Missing(unit, "no mesh pods are known")
	}
	if len(accounts) == 0 {
		return terms.Known(0, unit, "no pod of the mesh runs")
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
		return terms.Missing(unit, strings.Join(why, "; "))
	}
	return terms.Known(sum, unit, source, append(leftOut, why...)...)
}

// freed compares the mesh's containers. Requests are those of the pods that left, at the size that their sidecars had, so that a cluster which scaled meanwhile
// does not pass for a saving; where only sums are known, the sums are subtracted.
func (r *Report) freed(b Baseline, now Now, mv moved) (cpu, mem, use, memUse terms.Figure) {
	delta := func(name, unit string, of func(Account) terms.Figure) terms.Figure {
		before, after := totalOf(b.Accounts, false, of, unit), totalOf(r.Accounts, now.HasPods, of, unit)
		if before.Value == nil {
			return terms.Missing(unit, "baseline: "+before.Missing)
		}
		if after.Value == nil {
			return terms.Missing(unit, "now: "+after.Missing)
		}
		r.Steps = append(r.Steps, terms.Stepf(name, "%s before - %s now = %s %s", terms.Number(*before.Value), terms.Number(*after.Value), terms.Number(*before.Value-*after.Value), unit))
		return terms.Known(*before.Value-*after.Value, unit, "all mesh containers, baseline less now", append(before.LeftOut, after.LeftOut...)...)
	}
	cpuOf, memOf := func(a Account) terms.Figure { return a.CPURequests }, func(a Account) terms.Figure { return a.MemoryRequests }
	use = delta("CPU usage freed", "cores", func(a Account) terms.Figure { return a.CPUUsage })
	memUse = delta("memory usage freed", "GiB", func(a Account) terms.Figure { return a.MemoryUsage })
	switch {
	case !mv.known:
		return delta("CPU requests freed", "cores", cpuOf), delta("memory requests freed", "GiB", memOf), use, memUse
	case mv.left == 0:
		return terms.Missing("cores", notMoved), terms.Missing("GiB", notMoved), use, memUse
	}
	own := func(name, unit string, freed float64, of func(Account) terms.Figure) terms.Figure {
		added := 0.0
		for _, part := range []struct {
			accounts []Account
			sign     float64
		}{{r.Accounts, 1}, {b.Accounts, -1}} {
			for _, a := range part.accounts {
				if a.Role == terms.Ztunnel || a.Role == terms.CNI || a.Role == terms.Waypoint {
					f := of(a)
					if f.Value == nil {
						return terms.Missing(unit, string(a.Role)+": "+f.Missing)
					}
					added += part.sign * *f.Value
				}
			}
		}
		r.Steps = append(r.Steps, terms.Stepf(name, "%d pods without the sidecar they had: %s - %s more for ztunnel, istio-cni and waypoints = %s %s", mv.left, terms.Number(freed), terms.Number(added), terms.Number(freed-added), unit))
		return terms.Known(freed-added, unit, fmt.Sprintf("%d pods that run without the sidecar they had, at its size, less what ztunnel, istio-cni and waypoints request more", mv.left))
	}
	return own("CPU requests freed", "cores", terms.Cores(mv.freed.CPUMilli), cpuOf), own("memory requests freed", "GiB", terms.GiBs(mv.freed.MemoryBytes), memOf), use, memUse
}

// meanOr is the mean over the window where it is known, else the instant.
func meanOr(mean float64, instant int) float64 {
	if mean > 0 {
		return mean
	}
	return float64(instant)
}

func (r *Report) nodesGone(b Baseline, now Now, mv moved) terms.Figure {
	switch {
	case b.Nodes == 0:
		return terms.Missing("nodes", "the baseline does not know how many nodes there were")
	case !now.HasNodes:
		return terms.Missing("nodes", "nodes could not be counted now")
	case mv.known && mv.left == 0:
		return terms.Missing("nodes", notMoved)
	}
	if b.MeanNodes > 0 && now.MeanNodes > 0 {
		r.Steps = append(r.Steps, terms.Stepf("nodes gone", "mean of the windows: %s at the baseline - %s now", terms.Number(b.MeanNodes), terms.Number(now.MeanNodes)))
		return terms.Known(b.MeanNodes-now.MeanNodes, "nodes", fmt.Sprintf("%s at the baseline, %s now, means of the windows", terms.Number(b.MeanNodes), terms.Number(now.MeanNodes)), "growth or shrinkage for other reasons")
	}
	r.Steps = append(r.Steps, terms.Stepf("nodes gone", "%d at the baseline - %d now = %d", b.Nodes, now.Nodes, b.Nodes-now.Nodes))
	return terms.Known(float64(b.Nodes-now.Nodes), "nodes", fmt.Sprintf("%d at the baseline, %d now", b.Nodes, now.Nodes), "growth or shrinkage for other reasons")
}

// worthOf is what the fleet costs less per month.
func (r *Report) worthOf(b Baseline, now Now, gone terms.Figure, mv moved) terms.Figure {
	unit := unitOf(b.Currency)
	switch {
	case mv.known && mv.left == 0:
		return terms.Missing(unit, notMoved)
	case gone.Value == nil:
		return terms.Missing(unit, gone.Missing)
	case b.Commitment.Nodes > 0 && now.At.Before(b.Commitment.Until):
		if b.NodePrice <= 0 {
			return terms.Missing(unit, "the baseline has no node price")
		}
		fewer := b.Commitment.billed(b.Nodes, now.At) - b.Commitment.billed(now.Nodes, now.At)
		return terms.Known(float64(fewer)*b.NodePrice*HoursPerMonth, unit, fmt.Sprintf("%d nodes off the bill x %s per hour (mean of the baseline) x 730 h; %d nodes are committed until %s",
			fewer, terms.Number(b.NodePrice), b.Commitment.Nodes, b.Commitment.Until.Format(time.DateOnly)), gone.LeftOut...)
	case len(b.Machines) > 0 && len(now.Machines) > 0:
		perHour, how, err := fleetDifference(b.Machines, now.Machines, b.MeanNodes, now.MeanNodes)
		if err != nil {
			return terms.Missing(unit, err.Error())
		}
		r.Steps = append(r.Steps, terms.Stepf("worth per month", "(%s) x 730 h = %s", how, terms.Number(perHour*HoursPerMonth)))
		return terms.Known(perHour*HoursPerMonth, unit, "the fleet at the baseline less the fleet now, both by type at the same prices: "+how, gone.LeftOut...)
	case b.NodePrice <= 0:
		return terms.Missing(unit, "the baseline has no node price")
	}
	return terms.Known(*gone.Value*b.NodePrice*HoursPerMonth, unit, fmt.Sprintf("%s nodes x %s per hour (mean of the baseline; types are not known now) x 730 h", terms.Number(*gone.Value), terms.Number(b.NodePrice)), gone.LeftOut...)
}

func (r *Report) moneyLines(b Baseline, now Now, gone terms.Figure, mv moved) []terms.Line {
	unit := unitOf(b.Currency)
	worth := r.worthOf(b, now, gone, mv)
	billed := terms.Missing(unit, "no bill was given (--billed-before, --billed-after)")
	if now.BilledBefore != nil && now.BilledAfter != nil {
		billed = terms.Known(*now.BilledBefore-*now.BilledAfter, unit, "your bill, before less after", "everything else that changed on the bill")
	}
	payback := terms.Missing("months", "no engineering cost was stated (--engineering-cost)")
	saving := worth
	if billed.Value != nil && (!mv.known || mv.left > 0) {
		saving = billed
	}
	if now.EngineeringCost > 0 {
		switch {
		case saving.Value == nil:
			payback = terms.Missing("months", saving.Missing)
		case *saving.Value <= 0:
			payback = terms.Missing("months", "never: nothing is saved per month")
		default:
			payback = terms.Known(now.EngineeringCost / *saving.Value, "months", terms.Number(now.EngineeringCost)+" / "+terms.Number(*saving.Value)+" "+unit)
		}
	}
	return []terms.Line{{Name: "worth per month", Figure: worth}, {Name: "billed", Figure: billed}, {Name: "payback of the engineering cost", Figure: payback}}
}

func (r *Report) rows(b Baseline, cpu, mem, gone, worth terms.Figure) {
	promised := func(rung int, lines ...string) terms.Figure {
		for _, l := range b.Promised.Ladder {
			if l.Number != rung {
				continue
			}
			for _, want := range lines {
				for _, x := range l.Lines {
					if x.Name == want {
						return x.Figure
					}
				}
			}
		}
		return terms.Missing("", "not promised")
	}
	r.Rows = []Row{
		row("CPU requests freed", promised(1, "CPU"), cpu),
		row("memory requests freed", promised(1, "memory"), mem),
		row("nodes gone (promised: removable, simulated)", promised(3, "expected", "replace"), gone),
		row("worth per month", promised(5, "worth per month if the removable nodes go"), worth),
	}
}

// row judges within the promised range, widened by 15% of the promise. Where something was promised and nothing came, or less than nothing, the promise is broken whatever the range.
func row(name string, promised, realised terms.Figure) Row {
	out := Row{Name: name, Promised: promised, Realised: realised, Finding: "cannot say"}
	if promised.Value == nil || realised.Value == nil {
		return out
	}
	low, high := *promised.Value, *promised.Value
	if promised.Low != nil && promised.High != nil {
		low, high = *promised.Low, *promised.High
	}
	slack := shareTolerance * math.Abs(*promised.Value)
	switch v := *realised.Value; {
	case v < low-slack, *promised.Value > 0 && v <= 0:
		out.Finding = "less than promised"
	case v > high+slack:
		out.Finding = "more than promised"
	default:
		out.Finding = "as promised"
	}
	return out
}

// drift flags what moved away from the promise or from last week, and names the causes that can be seen.
func (r *Report) drift(b Baseline, now Now, mv moved) {
	causes := r.causesOfDrift(b, now, mv)
	for _, row := range r.Rows {
		if row.Finding == "less than promised" {
			text := fmt.Sprintf("%s: %s, promised %s", row.Name, row.Realised, row.Promised)
			if len(causes) > 0 {
				text += "; " + strings.Join(causes, "; ")
			}
			r.Drift = append(r.Drift, text)
		}
	}
	if r.Hybrid.Verdict == "tax" {
		r.Drift = append(r.Drift, "hybrid tax: "+r.Hybrid.Why)
	}
	if change, ok := terms.Ratio(now.EdgeRPS-b.EdgeRPS, b.EdgeRPS); ok && now.HasRPS && math.Abs(change) > latency.MaxTrafficChange {
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
			r.Drift = append(r.Drift, fmt.Sprintf("nodes grew from %s (%s) to %d", terms.Number(*last.Nodes.Value), last.Week, now.Nodes))
		}
		if last.Baseline != b.Hash {
			r.Drift = append(r.Drift, "last week was measured against another baseline")
		}
	}
}

// causesOfDrift are what can be seen that keeps a promise from being kept.
func (r *Report) causesOfDrift(b Baseline, now Now, mv moved) []string {
	var out []string
	if mv.known && mv.still > 0 {
		out = append(out, fmt.Sprintf("%d pods that were to leave still have their sidecar", mv.still))
	}
	if mv.known {
		before, after := 0, 0
		for _, p := range b.Proxied {
			before, after = before+p.Pods, after+now.PodsOf[p.Workload]
		}
		if q, ok := terms.Ratio(float64(after-before), float64(before)); ok && math.Abs(q) > 0.05 {
			out = append(out, fmt.Sprintf("the same workloads have %+.0f%% pods", q*100))
		}
	}
	types := func(list []Machines) string {
		var names []string
		for _, m := range list {
			names = append(names, m.key())
		}
		return strings.Join(names, ", ")
	}
	if was, is := types(b.Machines), types(now.Machines); was != "" && is != "" && was != is {
		out = append(out, "the types of nodes changed from "+was+" to "+is)
	}
	if n := b.Promised.Nodes; n != nil && n.Rule != "" && len(now.Machines) > 0 {
		out = append(out, "what removes nodes here: "+n.Rule)
	}
	return out
}

// driftOfUsage flags a mesh that takes clearly more than it did: ztunnel and waypoints can cost more than the sidecars that left.
func (r *Report) driftOfUsage(b Baseline, cpu, memory terms.Figure) {
	for _, x := range []struct {
		name  string
		freed terms.Figure
		of    func(Account) terms.Figure
	}{{"CPU", cpu, func(a Account) terms.Figure { return a.CPUUsage }}, {"memory", memory, func(a Account) terms.Figure { return a.MemoryUsage }}} {
		before := totalOf(b.Accounts, false, x.of, x.freed.Unit)
		if x.freed.Value == nil || before.Value == nil || *x.freed.Value >= -shareTolerance**before.Value {
			continue
		}
		r.Drift = append(r.Drift, fmt.Sprintf("%s used by the mesh grew: %s %s now, %s at the baseline", x.name,
			terms.Number(*before.Value-*x.freed.Value), x.freed.Unit, before))
	}
}

// driftOfService flags what users of the services feel: slower answers and more errors in namespaces that changed mode.
func (r *Report) driftOfService(edge []latency.EdgeSeries, settle time.Duration) {
	for _, quantile := range []string{"P50", "P99"} {
		judged, worst := 0, latency.LatencyVerdict{}
		var worse []string
		for _, v := range r.Latency {
			if v.Quantile != quantile || v.Finding == latency.Insufficient {
				continue
			}
			if judged++; v.Finding != latency.Worse {
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
		if before, after, ok := latency.ErrorRatios(s, settle); ok && after-before > latency.MaxErrorChange {
			r.Drift = append(r.Drift, fmt.Sprintf("errors in %s rose from %.2g%% to %.2g%% of requests", s.Namespace, before*100, after*100))
		}
	}
}
