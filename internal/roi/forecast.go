package roi

import (
	"fmt"
	"sort"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/object"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/packing"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// APIVersion of every document of this package; the kinds are below.
const APIVersion = object.APIVersion

// Kinds.
const (
	ForecastKind = "RoiForecast"
	BaselineKind = "RoiBaseline"
	ReportKind   = "RoiReport"
)

// Input is everything a forecast is made from.
type Input struct {
	// At is the time of the forecast, WindowStart the beginning of the measurements.
	At, WindowStart time.Time
	// HasObjects tells that pods and nodes came from the Kubernetes API, a snapshot or files; without them there is no
	// simulation and MeshPods come from metrics alone.
	HasObjects bool
	Cluster    terms.Cluster
	Change     terms.Change
	MeshPods   []MeshPod
	// Source says where roles and requests came from.
	Source string
	Prices Prices
	// EngineeringCost is what the migration costs, in the currency of the prices; 0 means not stated.
	EngineeringCost float64
	// Keeps are workloads that stay in their sidecar, with the features that hold them there.
	Keeps []Keep
	// Waves are the names of a plan's waves, in order; Pod.Wave and WaypointPlan.Wave refer to them. Empty without a plan.
	Waves   []string
	Zone    ZoneInput
	ByMode  []latency.ModeEdge
	Startup map[terms.Mode][]float64
	Gaps    []terms.Gap
}

// Keep is a workload that keeps its sidecar.
type Keep struct {
	Workload string   `json:"workload"`
	Features []string `json:"features"`
}

// Rung is one rung of the ladder of savings. A rung never stands in for another: what is freed is not gone, and what is gone
// is not yet off the bill.
type Rung struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	// Means says in a sentence what this rung is and what it is not.
	Means string       `json:"means"`
	Lines []terms.Line `json:"lines"`
}

// Forecast is what a change would do.
type Forecast struct {
	APIVersion  string                `json:"apiVersion"`
	Kind        string                `json:"kind"`
	At          time.Time             `json:"at"`
	WindowStart time.Time             `json:"windowStart"`
	Leaving     int                   `json:"podsLeavingTheirSidecar"`
	Staying     int                   `json:"podsKeepingTheirSidecar"`
	Accounts    []Account             `json:"accounts"`
	Ladder      []Rung                `json:"ladder"`
	Nodes       *NodeForecast         `json:"nodes,omitempty"`
	Money       Money                 `json:"money"`
	Groups      []GroupROI            `json:"groups"`
	Waves       []WaveROI             `json:"waves,omitempty"`
	Costly      []Costly              `json:"costlyFeatures,omitempty"`
	Modes       []latency.ModeLatency `json:"modes,omitempty"`
	Zones       ZoneLedger            `json:"zones"`
	Causes      []string              `json:"causes,omitempty"`
	Prices      []PriceUse            `json:"prices,omitempty"`
	Gaps        []terms.Gap           `json:"gaps,omitempty"`
	Steps       []terms.Step          `json:"steps,omitempty"`
}

// NodeForecast is both node simulations and what they mean.
type NodeForecast struct {
	Now           int               `json:"now"`
	ReplaceBefore packing.Packing   `json:"replaceBefore"`
	ReplaceAfter  packing.Packing   `json:"replaceAfter"`
	DrainBefore   packing.Draining  `json:"drainBefore"`
	DrainAfter    packing.Draining  `json:"drainAfter"`
	Removable     int               `json:"removable"`    // replace: before minus after
	Drained       int               `json:"drained"`      // drain: after minus before
	PackingAlone  int               `json:"packingAlone"` // now minus replaceBefore: slack that is there without the change
	BreakEven     packing.BreakEven `json:"breakEven"`
	Headroom      packing.Headroom  `json:"headroom"`
}

// Make makes a forecast. It always gives one: what cannot be known is listed in Gaps and named at the figure.
func Make(in Input) Forecast {
	f := Forecast{APIVersion: APIVersion, Kind: ForecastKind, At: in.At, WindowStart: in.WindowStart, Gaps: in.Gaps}
	f.Accounts = Accounts(in.MeshPods, in.Source)
	leaving, freed, used := f.sidecars(in)
	added, addedNote := f.added(in)
	f.Ladder = append(f.Ladder, f.requestsRung(in, freed, added, addedNote), f.usageRung(in, used, leaving))
	f.simulate(in)
	f.Ladder = append(f.Ladder, f.nodesRung(), goneRung(), f.moneyRung(in))
	f.Groups = groupsOf(in)
	f.Waves = f.wavesOf(in)
	f.Costly = costly(in)
	f.Modes = latency.ByMode(in.ByMode, in.Startup)
	f.Zones = Zones(in.Zone)
	f.Causes = f.causes(in)
	return f
}

type usedSum struct {
	cpu, mem   float64
	cpuN, memN int
}

// sidecars counts who leaves and what their sidecars request and use.
func (f *Forecast) sidecars(in Input) (leaving int, freed terms.Resources, used usedSum) {
	workload := map[string]string{}
	for _, p := range in.Cluster.Pods {
		workload[p.Object.Namespace+"/"+p.Object.Name] = p.Workload
	}
	for _, m := range in.MeshPods {
		if m.Role != terms.Application {
			continue
		}
		if !in.Change.Leaves[workload[m.Key()]] {
			f.Staying++
			continue
		}
		f.Leaving++
		freed = freed.Plus(m.Requests)
		u := m.Use.clean()
		if u.HasCPU {
			used.cpu, used.cpuN = used.cpu+u.CPU, used.cpuN+1
		}
		if u.HasMemory {
			used.mem, used.memN = used.mem+u.Memory, used.memN+1
		}
	}
	f.Steps = append(f.Steps, terms.Stepf("sidecar requests freed", "sum over %d pods that leave = %d millicores, %s GiB",
		f.Leaving, freed.CPUMilli, terms.Number(terms.GiBs(freed.MemoryBytes))))
	return f.Leaving, freed, used
}

// added is what the change asks for in return: DaemonSets on nodes that lack them, and waypoints.
func (f *Forecast) added(in Input) (terms.Resources, string) {
	r, z, cni := daemonRequests(in.Cluster, in.Change)
	replicas := 0
	for _, w := range in.Change.Waypoints {
		replicas += w.Replicas
		r = r.Plus(w.Each.Times(int64(w.Replicas)))
	}
	note := fmt.Sprintf("ztunnel on %d nodes (%s), istio-cni on %d (%s), %d waypoint replicas", z, in.Change.Ztunnel, cni, in.Change.CNI, replicas)
	f.Steps = append(f.Steps, terms.Stepf("requests added", "%s = %s", note, r))
	return r, note
}

func (f *Forecast) requestsRung(in Input, freed, added terms.Resources, note string) Rung {
	net := freed.Minus(added)
	leftOut := []string{"changes in istiod's own requests"}
	if !in.HasObjects {
		leftOut = append(leftOut, "ztunnel and istio-cni per node: nodes are not known without the Kubernetes API")
	}
	return Rung{1, "requests freed", "what the scheduler no longer reserves; no node is gone and nothing is saved yet", []terms.Line{
		{Name: "CPU", Figure: terms.Known(terms.Cores(net.CPUMilli), "cores", in.Source+": sidecars "+terms.Number(terms.Cores(freed.CPUMilli))+" less "+note, leftOut...)},
		{Name: "memory", Figure: terms.Known(terms.GiBs(net.MemoryBytes), "GiB", in.Source+": sidecars "+terms.Number(terms.GiBs(freed.MemoryBytes))+" less "+note, leftOut...)},
	}}
}

// Share of a sidecar pair's CPU that an ambient path takes, from Istio's published figures for 1.24 (per proxy and 1000 requests per second: sidecar 0.20 vCPU,
// waypoint 0.25, ztunnel 0.06): two ztunnels 0.12 of 0.40, with a waypoint 0.37 of 0.40. A prior, never a result.
const (
	priorL4 = 0.12 / 0.40
	priorL7 = 0.37 / 0.40
)

func (f *Forecast) usageRung(in Input, used usedSum, leaving int) Rung {
	r := Rung{2, "usage freed", "what the sidecars that leave really use; what ztunnel and waypoints will use instead is measured only once they carry the traffic", nil}
	line := func(name string, v float64, n int, unit string) terms.Line {
		if leaving == 0 {
			return terms.Line{Name: name, Figure: terms.Known(0, unit, "nothing leaves")}
		}
		if n == 0 {
			return terms.Line{Name: name, Figure: terms.Missing(unit, "no usage series for the pods that leave")}
		}
		fig := terms.Known(v, unit, "cAdvisor, mean over the window, sidecars that leave", "usage of ztunnel and waypoints")
		if n < leaving {
			fig.LeftOut = append(fig.LeftOut, fmt.Sprintf("%d of %d pods without series", leaving-n, leaving))
		}
		return terms.Line{Name: name, Figure: fig}
	}
	r.Lines = append(r.Lines, line("CPU of leaving sidecars", used.cpu, used.cpuN, "cores"),
		line("memory of leaving sidecars", used.mem/terms.GiB, used.memN, "GiB"))
	if used.cpuN > 0 && leaving > 0 {
		l7 := 0
		for w := range in.Change.L7 {
			if in.Change.Leaves[w] {
				l7++
			}
		}
		share, _ := terms.Ratio(float64(l7), float64(len(in.Change.Leaves)))
		prior := (1-share)*priorL4 + share*priorL7
		net := used.cpu * (1 - prior)
		f.Steps = append(f.Steps, terms.Stepf("net CPU by the published prior",
			"%s cores x (1 - (%.2f x %.3f + %.2f x %.3f)) = %s; Istio 1.24 performance page, per hop", terms.Number(used.cpu), 1-share, priorL4, share, priorL7, terms.Number(net)))
		r.Lines = append(r.Lines, terms.Line{Name: "net CPU, prior from published figures (not a measurement)",
			Figure: terms.Known(net, "cores", "Istio performance page 1.24", "differences of your traffic from the benchmark's").Between(used.cpu*(1-priorL7), used.cpu*(1-priorL4))})
	}
	return r
}

// simulate packs before and after.
func (f *Forecast) simulate(in Input) {
	if !in.HasObjects || len(in.Cluster.Nodes) == 0 {
		return
	}
	n := &NodeForecast{Now: len(in.Cluster.Nodes),
		ReplaceBefore: packing.Replace(in.Cluster, terms.Change{}), ReplaceAfter: packing.Replace(in.Cluster, in.Change),
		DrainBefore: packing.Drain(in.Cluster, terms.Change{}), DrainAfter: packing.Drain(in.Cluster, in.Change),
		Headroom: packing.MorePods(in.Cluster, in.Change)}
	n.Removable = n.ReplaceBefore.Nodes - n.ReplaceAfter.Nodes
	n.Drained = len(n.DrainAfter.Removed) - len(n.DrainBefore.Removed)
	n.PackingAlone = n.Now - n.ReplaceBefore.Nodes
	var sidecars []terms.Resources
	for _, p := range in.Cluster.Pods {
		if !p.Finished() && p.Sidecar != terms.NoSidecar && in.Change.Leaves[p.Workload] {
			sidecars = append(sidecars, terms.SidecarRequests(p))
		}
	}
	if len(sidecars) > 0 {
		n.BreakEven = packing.BreakEvenPods(in.Change.Ztunnel.Plus(in.Change.CNI), packing.Median(sidecars))
		if q, ok := terms.Ratio(float64(len(sidecars)), float64(n.Now)); ok {
			n.BreakEven.Now = terms.Tidy(q)
		}
		f.Steps = append(f.Steps, terms.Stepf("break-even pods per node", "CPU ceil(%d/%d) = %d, memory ceil(%s/%s Mi) = %d",
			in.Change.Ztunnel.Plus(in.Change.CNI).CPUMilli, packing.Median(sidecars).CPUMilli, n.BreakEven.CPU,
			terms.Number(float64(in.Change.Ztunnel.Plus(in.Change.CNI).MemoryBytes)/(1<<20)), terms.Number(float64(packing.Median(sidecars).MemoryBytes)/(1<<20)), n.BreakEven.Memory))
	}
	f.Steps = append(f.Steps,
		terms.Stepf("nodes, replace", "all pods packed afresh per node group: %d before, %d after; %d - %d = %d", n.ReplaceBefore.Nodes, n.ReplaceAfter.Nodes,
			n.ReplaceBefore.Nodes, n.ReplaceAfter.Nodes, n.Removable),
		terms.Stepf("nodes, drain", "nodes below 50%% whose pods fit elsewhere: %d before, %d after; %d - %d = %d", len(n.DrainBefore.Removed), len(n.DrainAfter.Removed),
			len(n.DrainAfter.Removed), len(n.DrainBefore.Removed), n.Drained))
	f.Nodes = n
}

const simulationLeavesOut = "preferred (soft) rules, priorities, HPA reactions, pods that could move to nodes of another group"

func (f *Forecast) nodesRung() Rung {
	r := Rung{3, "nodes removable", "simulated: how many nodes fewer the same pods need; an autoscaler still has to remove them", nil}
	if f.Nodes == nil {
		why := "pods and nodes are needed: give a kubeconfig, -f with a snapshot, or files"
		r.Lines = []terms.Line{{Name: "replace", Figure: terms.Missing("nodes", why)}, {Name: "drain", Figure: terms.Missing("nodes", why)}}
		return r
	}
	n := f.Nodes
	rep := terms.Known(float64(n.Removable), "nodes", fmt.Sprintf("simulation: all pods packed afresh, %d nodes before and %d after; binding: %s",
		n.ReplaceBefore.Nodes, n.ReplaceAfter.Nodes, n.ReplaceAfter.Binding), simulationLeavesOut)
	if f.Leaving > 0 { // equally good orders of packing differ by a node or two
		rep = rep.Between(float64(n.ReplaceBefore.Low-n.ReplaceAfter.High), float64(n.ReplaceBefore.High-n.ReplaceAfter.Low))
	}
	if n.ReplaceAfter.Pending > 0 {
		rep.LeftOut = append(rep.LeftOut, fmt.Sprintf("%d pods without a node", n.ReplaceAfter.Pending))
	}
	if u := len(n.ReplaceAfter.Unplaced); u > 0 {
		rep.LeftOut = append(rep.LeftOut, fmt.Sprintf("%d pods that no new node could take; their nodes are kept", u))
	}
	dr := terms.Known(float64(n.Drained), "nodes", fmt.Sprintf("simulation: cluster-autoscaler's rule where pods run now, %d removable before and %d after, %d blocked",
		len(n.DrainBefore.Removed), len(n.DrainAfter.Removed), len(n.DrainAfter.Blocked)), simulationLeavesOut)
	if v := n.ReplaceAfter.VolumesUnknown; v > 0 {
		left := fmt.Sprintf("where the volumes of %d pods can be used: they are kept in their zone", v)
		rep.LeftOut, dr.LeftOut = append(rep.LeftOut, left), append(dr.LeftOut, left)
	}
	r.Lines = []terms.Line{{Name: "replace", Figure: rep}, {Name: "drain", Figure: dr},
		{Name: "not due to the change: slack that packing afresh would find today", Figure: terms.Known(float64(n.PackingAlone), "nodes", "simulation")}}
	return r
}

func goneRung() Rung {
	return Rung{4, "nodes gone", "counted, not simulated", []terms.Line{
		{Name: "nodes", Figure: terms.Missing("nodes", "only sidestep roi report can say, after the change and against a baseline")}}}
}

// causes says why a return is not positive.
func (f *Forecast) causes(in Input) []string {
	var out []string
	if f.Leaving == 0 {
		return []string{"nothing leaves its sidecar: there is nothing to gain"}
	}
	if n := f.Nodes; n != nil {
		replicas := 0
		for _, w := range in.Change.Waypoints {
			replicas += w.Replicas
		}
		if n.Removable <= 0 {
			if n.BreakEven.Now < float64(max(n.BreakEven.CPU, n.BreakEven.Memory)) {
				out = append(out, fmt.Sprintf("%s pods per node leave their sidecar; ambient breaks even at %d for CPU and %d for memory",
					terms.Number(n.BreakEven.Now), n.BreakEven.CPU, n.BreakEven.Memory))
			}
			if replicas > 0 {
				out = append(out, fmt.Sprintf("%d waypoint replicas take part of what is freed", replicas))
			}
			out = append(out, "the number of nodes is bound by "+n.ReplaceAfter.Binding+", which the change does not relieve enough to empty a node")
		}
	}
	sort.Strings(out)
	return out
}
