package report

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// ROI is a forecast or a report laid out in sections; every format shows the same cells.
type ROI struct {
	Title    string
	Lead     []string
	Sections []ROISection
	document any
}

// ROISection is one table with what needs saying about it.
type ROISection struct {
	Title   string
	Note    string
	Columns []string
	Rows    [][]string
}

// NewROIForecast lays a forecast out. explain adds every query and step of arithmetic.
func NewROIForecast(f roi.Forecast, queries map[string]string, explain bool) *ROI {
	r := &ROI{Title: "Return of moving to ambient: forecast", document: f}
	r.Lead = append(r.Lead, fmt.Sprintf("%s leave their sidecar, %s keep it.", count(f.Leaving, "pod"), count(f.Staying, "pod")))
	for _, c := range f.Causes {
		r.Lead = append(r.Lead, "No gain: "+c+".")
	}
	r.summary(f)
	r.ladder(f.Ladder)
	if f.Nodes != nil {
		r.nodes(*f.Nodes)
	}
	r.accounts(f.Accounts)
	r.waves(f.Waves)
	r.groups(f.Groups)
	r.costly(f.Costly)
	r.zones(f.Zones)
	r.modes(f.Modes)
	r.prices(f.Prices, f.Money.Committed)
	r.gaps(f.Gaps)
	if explain {
		r.explain(f.Steps, queries)
	}
	return r
}

// summary is the page's head: what the sidecars cost, what the move is worth and by which rule, when it pays, and what has to be true for that.
func (r *ROI) summary(f roi.Forecast) {
	s := ROISection{Title: "In short", Columns: []string{"what", "value", "rests on"}}
	today := f.Money.SidecarsPerMonth.String()
	if f.Money.SidecarShare.Value != nil {
		today += fmt.Sprintf(", %.1f%% of the fleet", *f.Money.SidecarShare.Value)
		if f.Money.FleetPerMonth.Value != nil {
			today += " (" + f.Money.FleetPerMonth.String() + ")"
		}
	}
	worth := f.Money.PerMonth.String()
	if q := f.Money.FleetPerMonth.Value; q != nil && *q > 0 && f.Money.PerMonth.Value != nil {
		worth += fmt.Sprintf(", %.1f%% of the fleet", *f.Money.PerMonth.Value / *q * 100)
	}
	rule := "pods and nodes are needed"
	if f.Nodes != nil {
		rule = f.Nodes.Rule
	}
	s.Rows = [][]string{
		{"The sidecars cost today", today, "requests of sidecars, of what nodes can allocate; no saving by itself"},
		{"The move is worth", worth, rule},
		{"It pays for itself in", f.Money.PaybackMonths.String(), f.Money.PaybackMonths.Source},
	}
	if len(f.Money.PaybackMonths.LeftOut) > 0 {
		s.Rows[2][2] += "; " + strings.Join(f.Money.PaybackMonths.LeftOut, "; ")
	}
	for _, x := range mustHold(f) {
		s.Rows = append(s.Rows, []string{"What must be true", x, ""})
	}
	r.add(s)
}

// mustHold is what the headline takes for granted.
func mustHold(f roi.Forecast) []string {
	var out []string
	if f.Leaving > 0 {
		out = append(out, "the plan is carried out: "+count(f.Leaving, "pod")+" restart without their sidecar")
	}
	if f.Nodes != nil && f.Money.PerMonth.Value != nil && *f.Money.PerMonth.Value > 0 {
		out = append(out, "nodes that fall empty are taken off the bill by the rule above, and nothing else grows into them")
	}
	if f.Money.Committed != "" {
		out = append(out, f.Money.Committed)
	}
	for _, g := range f.Gaps {
		if strings.HasPrefix(g.What, "HorizontalPodAutoscaler") || strings.HasPrefix(g.What, "waypoint of") || g.What == "sidecar requests" || g.What == "node prices" {
			out = append(out, g.What+": "+g.Costs)
		}
	}
	return out
}

// NewROIReport lays out promised against realised.
func NewROIReport(p roi.Report, queries map[string]string, explain bool) *ROI {
	r := &ROI{Title: "Return of moving to ambient: promised and realised", document: p}
	r.Lead = append(r.Lead, fmt.Sprintf("Baseline %.12s of %s.", p.Baseline, p.BaselineAt.Format(time.DateOnly)))
	if p.Simulated != "" {
		r.Lead = append(r.Lead, "Simulated: "+p.Simulated+".")
	}
	s := ROISection{Title: "Promised and realised", Columns: []string{"what", "promised", "realised", "finding"}}
	for _, row := range p.Rows {
		s.Rows = append(s.Rows, []string{row.Name, row.Promised.String(), row.Realised.String(), row.Finding})
	}
	r.add(s)
	if len(p.Drift) > 0 {
		d := ROISection{Title: "Drift", Columns: []string{"what moved"}}
		for _, x := range p.Drift {
			d.Rows = append(d.Rows, []string{x})
		}
		r.add(d)
	}
	r.ladder(p.Ladder)
	r.waves(p.Waves)
	r.hybrid(p.Hybrid)
	r.latency(p.Latency)
	r.modes(p.Modes)
	r.accounts(p.Accounts)
	r.zones(p.Zones)
	r.history(p.History, p.ThisWeek)
	r.gaps(p.Gaps)
	if explain {
		r.explain(p.Steps, queries)
	}
	return r
}

func (r *ROI) add(s ROISection) {
	if len(s.Rows) > 0 {
		r.Sections = append(r.Sections, s)
	}
}

// amount is CPU and memory in the units of the other tables.
func amount(r terms.Resources) string {
	return terms.Known(float64(r.CPUMilli)/1000, "CPU", "").String() + ", " + terms.Known(float64(r.MemoryBytes)/(1<<30), "GiB", "").String()
}

func leftOut(f terms.Figure) string { return strings.Join(f.LeftOut, "; ") }

func (r *ROI) ladder(rungs []roi.Rung) {
	s := ROISection{Title: "The ladder of savings", Note: "Each rung is a different thing; none stands in for another.",
		Columns: []string{"rung", "what", "value", "source", "left out"}}
	for _, g := range rungs {
		for i, l := range g.Lines {
			name := ""
			if i == 0 {
				name = fmt.Sprintf("%d %s", g.Number, g.Name)
			}
			s.Rows = append(s.Rows, []string{name, l.Name, l.Figure.String(), l.Figure.Source, leftOut(l.Figure)})
		}
	}
	r.add(s)
}

func (r *ROI) nodes(n roi.NodeForecast) {
	s := ROISection{Title: "Nodes, simulated", Columns: []string{"what", "value"}}
	add := func(what, format string, args ...any) {
		s.Rows = append(s.Rows, []string{what, fmt.Sprintf(format, args...)})
	}
	add("nodes now", "%d", n.Now)
	add("packed afresh, before", "%d (%d to %d by order), bound by %s", n.ReplaceBefore.Nodes, n.ReplaceBefore.Low, n.ReplaceBefore.High, n.ReplaceBefore.Binding)
	add("packed afresh, after", "%d (%d to %d by order), bound by %s", n.ReplaceAfter.Nodes, n.ReplaceAfter.Low, n.ReplaceAfter.High, n.ReplaceAfter.Binding)
	for _, k := range []string{"cpu", "memory", "pods"} {
		if v, ok := n.ReplaceAfter.Full[k]; ok {
			add("  "+k+" held after", "%.0f%% of what nodes offer", v*100)
		}
	}
	add("drained where pods run, before", "%d removable, %d blocked", len(n.DrainBefore.Removed), len(n.DrainBefore.Blocked))
	add("drained where pods run, after", "%d removable, %d blocked", len(n.DrainAfter.Removed), len(n.DrainAfter.Blocked))
	if n.BreakEven.CPU > 0 || n.BreakEven.Memory > 0 {
		add("break-even", "%d meshed pods per node for CPU, %d for memory; now %.1f leave per node", n.BreakEven.CPU, n.BreakEven.Memory, n.BreakEven.Now)
	}
	add("more pods on the same nodes", "%d of the median shape (%d fit before, %d after); placement rules not applied", n.Headroom.MoreThanNow, n.Headroom.Before, n.Headroom.After)
	why := map[string]int{}
	for _, b := range n.DrainAfter.Blocked {
		_, reason, found := strings.Cut(b.Why, " ")
		if !found {
			reason = b.Why
		}
		why[reason]++
	}
	reasons := make([]string, 0, len(why))
	for w := range why {
		reasons = append(reasons, w)
	}
	sort.Slice(reasons, func(i, j int) bool {
		return why[reasons[i]] > why[reasons[j]] || why[reasons[i]] == why[reasons[j]] && reasons[i] < reasons[j]
	})
	for i, w := range reasons {
		if i == 5 {
			break
		}
		add("  stays after, "+count(why[w], "node"), "a pod %s", w)
	}
	r.add(s)
}

func (r *ROI) accounts(accounts []roi.Account) {
	s := ROISection{Title: "What the mesh's containers take", Note: "By role: a container called istio-proxy may be a sidecar, a gateway, a waypoint or ztunnel.",
		Columns: []string{"role", "pods", "CPU requested", "memory requested", "CPU used", "memory used", "left out"}}
	for _, a := range accounts {
		role := string(a.Role)
		if a.Sidecar != terms.NoSidecar {
			role = string(a.Sidecar) + " sidecar"
		}
		s.Rows = append(s.Rows, []string{role, number(a.Pods), a.CPURequests.String(), a.MemoryRequests.String(), a.CPUUsage.String(), a.MemoryUsage.String(), leftOut(a.CPUUsage)})
	}
	r.add(s)
}

func (r *ROI) groups(groups []roi.GroupROI) {
	s := ROISection{Title: "By namespace", Note: "Requests that leave with sidecars less those of waypoints; ztunnel and istio-cni per node are not in it.",
		Columns: []string{"namespace", "leave", "stay", "freed", "waypoints", "net", "advice"}}
	waves := false
	for _, g := range groups {
		waves = waves || g.Wave != ""
	}
	if waves {
		s.Title, s.Columns = "By wave and namespace", append([]string{"wave"}, s.Columns...)
	}
	for _, g := range groups {
		row := []string{g.Namespace, number(g.Leaving), number(g.Staying), amount(g.Freed), amount(g.Waypoints), amount(g.Net), g.Advice}
		if waves {
			row = append([]string{g.Wave}, row...)
		}
		s.Rows = append(s.Rows, row)
	}
	r.add(s)
}

func (r *ROI) waves(waves []roi.WaveROI) {
	s := ROISection{Title: "By wave", Note: "Nodes and money are running totals, each packed anew: a wave that empties no node may be what lets a later one do it.",
		Columns: []string{"wave", "leave", "freed", "added", "net so far", "nodes removable so far", "worth so far", "advice"}}
	counted := slices.ContainsFunc(waves, func(w roi.WaveROI) bool { return w.StillSidecars != nil })
	if counted {
		s.Columns = slices.Insert(s.Columns, 2, "still with sidecar")
	}
	for _, w := range waves {
		row := []string{w.Wave, number(w.Leaving), amount(w.Freed), amount(w.Added), amount(w.NetSoFar), w.RemovableSoFar.String(), w.WorthSoFar.String(), w.Advice}
		if counted {
			still := "not known"
			if w.StillSidecars != nil {
				still = number(*w.StillSidecars)
			}
			row = slices.Insert(row, 2, still)
		}
		s.Rows = append(s.Rows, row)
	}
	r.add(s)
}

func (r *ROI) costly(costly []roi.Costly) {
	s := ROISection{Title: "Features that keep sidecars", Note: "Workloads held by one feature alone come first: that feature is what their sidecars cost.",
		Columns: []string{"workload", "pods", "sidecar requests", "kept by"}}
	for i, c := range costly {
		if i == 20 {
			s.Note += fmt.Sprintf(" %s more in JSON.", count(len(costly)-20, "workload"))
			break
		}
		s.Rows = append(s.Rows, []string{c.Workload, number(c.Pods), amount(c.Requests), strings.Join(c.Features, ", ")})
	}
	r.add(s)
}

func (r *ROI) zones(z roi.ZoneLedger) {
	s := ROISection{Title: "Traffic between zones", Columns: []string{"what", "value", "source", "left out"}}
	for _, l := range []terms.Line{{Name: "measured by ztunnel", Figure: z.Measured}, {Name: "estimated for sidecars", Figure: z.Estimated},
		{Name: "price", Figure: z.Price}, {Name: "avoidable by trafficDistribution", Figure: z.Avoidable}} {
		if l.Figure.Unit != "" {
			s.Rows = append(s.Rows, []string{l.Name, l.Figure.String(), l.Figure.Source, leftOut(l.Figure)})
		}
	}
	r.add(s)
}

func (r *ROI) modes(modes []latency.ModeLatency) {
	s := ROISection{Title: "Latency by mode", Note: "Context, not a comparison: modes serve different applications.",
		Columns: []string{"mode", "namespaces", "P50", "P99", "errors", "pod start-up"}}
	for _, m := range modes {
		s.Rows = append(s.Rows, []string{string(m.Mode), namespaces(m.Namespaces), m.P50.String(), m.P99.String(), m.Errors.String(), m.Startup.String()})
	}
	r.add(s)
}

// namespaces names a few and counts more.
func namespaces(names []string) string {
	if len(names) > 6 {
		return fmt.Sprintf("%d, among them %s", len(names), strings.Join(names[:3], ", "))
	}
	return strings.Join(names, ", ")
}

func (r *ROI) latency(verdicts []latency.LatencyVerdict) {
	s := ROISection{Title: "Latency before and after", Note: "The same instrument before and after, less what unchanged namespaces did, by hour of the week. At most one report in twenty finds a change where there is none.",
		Columns: []string{"namespace", "", "before", "after", "shift", "finding", "why"}}
	for _, v := range verdicts {
		s.Rows = append(s.Rows, []string{v.Namespace, v.Quantile, v.Before.String(), v.After.String(), v.Shift.String(), string(v.Finding), v.Why})
	}
	r.add(s)
}

func (r *ROI) hybrid(h roi.HybridTax) {
	s := ROISection{Title: "Hybrid tax", Note: "Whether the sidecars that stay became dearer once ambient was on.", Columns: []string{"what", "value", "source"}}
	s.Rows = [][]string{{"verdict", h.Verdict, h.Why}, {"CPU growth", h.CPU.String(), h.CPU.Source}, {"memory growth", h.Memory.String(), h.Memory.Source}}
	for _, x := range h.Remedy {
		s.Rows = append(s.Rows, []string{"remedy", x, ""})
	}
	r.add(s)
}

func (r *ROI) prices(prices []roi.PriceUse, committed string) {
	s := ROISection{Title: "Prices", Note: committed, Columns: []string{"instance type", "nodes", "per hour", "source", "date"}}
	for _, p := range prices {
		date := p.Date
		if date == "" {
			date = "not stated"
		}
		s.Rows = append(s.Rows, []string{p.InstanceType, number(p.Nodes), fmt.Sprintf("%.4f %s", p.PerHour, p.Currency), p.Source, date})
	}
	r.add(s)
}

func (r *ROI) history(weeks []roi.Week, now roi.Week) {
	s := ROISection{Title: "Week by week", Columns: []string{"week", "nodes", "sidecars", "mesh CPU requested", "mesh memory requested", "edge"}}
	for _, w := range append(append([]roi.Week(nil), weeks...), now) {
		s.Rows = append(s.Rows, []string{w.Week, w.Nodes.String(), number(w.Sidecars), w.CPU.String(), w.Memory.String(), w.EdgeRPS.String()})
	}
	r.add(s)
}

func (r *ROI) gaps(gaps []terms.Gap) {
	s := ROISection{Title: "What could not be had", Columns: []string{"what", "why", "what that costs"}}
	for _, g := range gaps {
		s.Rows = append(s.Rows, []string{g.What, g.Why, g.Costs})
	}
	r.add(s)
}

func (r *ROI) explain(steps []terms.Step, queries map[string]string) {
	s := ROISection{Title: "Arithmetic", Columns: []string{"what", "how"}}
	for _, x := range steps {
		s.Rows = append(s.Rows, []string{x.What, x.How})
	}
	r.add(s)
	q := ROISection{Title: "Queries", Columns: []string{"metric", "PromQL"}}
	for name, text := range queries {
		q.Rows = append(q.Rows, []string{name, text})
	}
	sort.Slice(q.Rows, func(i, j int) bool { return q.Rows[i][0] < q.Rows[j][0] })
	r.add(q)
}
