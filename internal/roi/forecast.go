package roi

import (
	"fmt"
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
	// CostCurrency is that of the engineering cost; empty for that of the prices.
	CostCurrency string
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
	waiting     int                   // of Leaving: pods that no node has room for
	Steps       []terms.Step          `json:"steps,omitempty"`
}

// Make makes a forecast. It always gives one: what cannot be known is listed in Gaps and named at the figure.
func Make(in Input) Forecast {
	f := Forecast{APIVersion: APIVersion, Kind: ForecastKind, At: in.At, WindowStart: in.WindowStart, Gaps: in.Gaps}
	f.Accounts = Accounts(in.MeshPods, in.Source)
	in.Cluster.Hourly = in.Prices.Hourly(in.Cluster)
	leaving, freed, used := f.sidecars(in)
	f.Ladder = append(f.Ladder, f.requestsRung(in, freed, f.added(in)), f.usageRung(in, used, leaving))
	f.simulate(in)
	f.Ladder = append(f.Ladder, f.nodesRung(), goneRung(), f.moneyRung(in))
	f.today(in)
	f.Groups = groupsOf(in)
	f.Waves = f.wavesOf(in)
	f.Costly = costly(in)
	f.Modes = latency.ByMode(in.ByMode, in.Startup)
	f.Zones = Zones(in.Zone)
	f.Causes = f.causes(in)
	return f
}

// usedSum is measured usage of the sidecars that leave; l4 and l7 are the CPU of those without and with a waypoint afterwards.
type usedSum struct {
	cpu, mem, l4, l7 float64
	cpuN, memN       int
}

// sidecars counts who leaves and what their sidecars request and use. A pod that waits for a node holds nothing, so it frees nothing.
func (f *Forecast) sidecars(in Input) (leaving int, freed terms.Resources, used usedSum) {
	pods := map[string]terms.Pod{}
	for _, p := range in.Cluster.Pods {
		pods[p.Object.Namespace+"/"+p.Object.Name] = p
	}
	for _, m := range in.MeshPods {
		if m.Role != terms.Application {
			continue
		}
		p, known := pods[m.Key()]
		if !known || !in.Change.Takes(p) {
			f.Staying++
			continue
		}
		f.Leaving++
		if p.Waiting() {
			f.waiting++
			continue
		}
		freed = freed.Plus(m.Requests)
		u := m.Use.clean()
		if u.HasCPU {
			used.cpu, used.cpuN = used.cpu+u.CPU, used.cpuN+1
			if in.Change.L7[p.Workload] {
				used.l7 += u.CPU
			} else {
				used.l4 += u.CPU
			}
		}
		if u.HasMemory {
			used.mem, used.memN = used.mem+u.Memory, used.memN+1
		}
	}
	f.Steps = append(f.Steps, terms.Stepf("sidecar requests freed", "sum over %d pods that leave and run = %d millicores, %s GiB",
		f.Leaving-f.waiting, freed.CPUMilli, terms.Number(terms.GiBs(freed.MemoryBytes))))
	return f.Leaving, freed, used
}

// addition is what a change asks for in return.
type addition struct {
	sum  terms.Resources
	note string
	// spread is how many millicores more the waypoints may need, where the usage of what they replace is not known.
	spread int64
}

// added is what the change asks for in return: DaemonSets on nodes that lack them, waypoints, and pods of autoscalers that counted the sidecar.
func (f *Forecast) added(in Input) addition {
	var a addition
	sum, z, cni := packing.Daemons(in.Cluster, in.Change)
	a.sum = sum
	replicas, more := 0, 0
	for _, w := range in.Change.Waypoints {
		replicas += w.Replicas
		all := w.Each.Times(int64(w.Replicas))
		a.sum = a.sum.Plus(all)
		a.spread += max(0, w.MostCPU-all.CPUMilli)
	}
	if len(in.Change.More) > 0 {
		seen := map[string]bool{}
		for _, p := range in.Cluster.Pods {
			if n := in.Change.More[p.Workload]; n > 0 && !seen[p.Workload] && !p.Finished() {
				seen[p.Workload] = true
				more += n
				a.sum = a.sum.Plus(in.Change.After(p).Times(int64(n)))
			}
		}
	}
	a.note = fmt.Sprintf("ztunnel on %d nodes (%s), istio-cni on %d (%s), %d waypoint replicas", z, in.Change.Ztunnel, cni, in.Change.CNI, replicas)
	if more > 0 {
		a.note += fmt.Sprintf(", %d more pods of horizontal autoscalers whose utilisation counted the sidecar's request", more)
	}
	f.Steps = append(f.Steps, terms.Stepf("requests added", "%s = %s", a.note, a.sum))
	return a
}

func (f *Forecast) requestsRung(in Input, freed terms.Resources, add addition) Rung {
	const means = "what the scheduler no longer reserves; no node is gone and nothing is saved yet"
	if !in.HasObjects {
		why := "what could leave its sidecar is not known without the cluster's objects"
		return Rung{1, "requests freed", means, []terms.Line{{Name: "CPU", Figure: terms.Missing("cores", why)}, {Name: "memory", Figure: terms.Missing("GiB", why)}}}
	}
	net := freed.Minus(add.sum)
	leftOut := []string{"changes in istiod's own requests"}
	if len(in.Cluster.Nodes) == 0 && f.Leaving > 0 {
		leftOut = append(leftOut, fmt.Sprintf("ztunnel (%s) and istio-cni (%s) on every node: the input has no nodes", in.Change.Ztunnel, in.Change.CNI))
	}
	if f.waiting > 0 {
		leftOut = append(leftOut, fmt.Sprintf("%d pods that wait for a node: their sidecars hold nothing yet", f.waiting))
	}
	cpu := terms.Known(terms.Cores(net.CPUMilli), "cores", in.Source+": sidecars "+terms.Number(terms.Cores(freed.CPUMilli))+" less "+add.note, leftOut...)
	if add.spread > 0 {
		cpu = cpu.Between(terms.Cores(net.CPUMilli-add.spread), terms.Cores(net.CPUMilli))
	}
	return Rung{1, "requests freed", means, []terms.Line{
		{Name: "CPU", Figure: cpu},
		{Name: "memory", Figure: terms.Known(terms.GiBs(net.MemoryBytes), "GiB", in.Source+": sidecars "+terms.Number(terms.GiBs(freed.MemoryBytes))+" less "+add.note, leftOut...)},
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
		switch {
		case !in.HasObjects:
			return terms.Line{Name: name, Figure: terms.Missing(unit, "what could leave its sidecar is not known without the cluster's objects")}
		case leaving == 0:
			return terms.Line{Name: name, Figure: terms.Known(0, unit, "nothing leaves")}
		case n == 0:
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
		net := used.l4*(1-priorL4) + used.l7*(1-priorL7)
		f.Steps = append(f.Steps, terms.Stepf("net CPU by the published prior",
			"%s cores at L4 x (1 - %.3f) + %s cores behind a waypoint x (1 - %.3f) = %s; Istio 1.24 performance page, per hop", terms.Number(used.l4), priorL4, terms.Number(used.l7), priorL7, terms.Number(net)))
		r.Lines = append(r.Lines, terms.Line{Name: "net CPU, prior from published figures (not a measurement)",
			Figure: terms.Known(net, "cores", "Istio performance page 1.24", "differences of your traffic from the benchmark's").Between(used.cpu*(1-priorL7), used.cpu*(1-priorL4))})
	}
	return r
}

func goneRung() Rung {
	return Rung{4, "nodes gone", "counted, not simulated", []terms.Line{
		{Name: "nodes", Figure: terms.Missing("nodes", "only sidestep roi report can say, after the change and against a baseline")}}}
}
