// Package account joins what the mesh model, the audit, a plan and the metrics say into what package roi prices. It is pure and has no arithmetic of money of its own.
package account

import (
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/latency"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Options are what a user states beside the cluster and its metrics.
type Options struct {
	At time.Time
	// Tool is the version that is written into a baseline.
	Tool   string
	Prices roi.Prices
	// ZonePrice is the price of a GB between zones, both directions of the charge; Currency that of all costs that the user gives.
	ZonePrice float64
	Currency  string
	// EngineeringCost is what the migration costs; 0 means not stated.
	EngineeringCost float64
	// WaypointReplicas is how many replicas each waypoint has that the move adds.
	WaypointReplicas int
}

// State is one reading of the world in the words of roi.
type State struct {
	Cluster terms.Cluster
	Dump    metric.Dump
	Pods    []roi.MeshPod
	// Source says where roles and requests of Pods come from.
	Source string
	Gaps   []terms.Gap

	mesh  *mesh.Mesh
	audit *audit.Result
	modes map[string]terms.Mode // by namespace
	since map[string]time.Time
	plan  *Plan
}

// FromObjects reads objects, and metrics beside them. plan may be nil.
func FromObjects(snap *snapshot.Snapshot, d metric.Dump, plan *Plan) *State {
	s := &State{Dump: d, plan: plan, mesh: mesh.Build(snap, mesh.Assume{})}
	s.audit = audit.Run(s.mesh, audit.Options{})
	s.Cluster = clusterOf(s.mesh)
	if plan != nil {
		s.setWaves()
	}
	s.Pods, s.Source = roi.MeshPods(s.Cluster, usageOf(d)), "pods of the input"
	s.modes, s.since = namespaceModes(s.Cluster)
	if len(s.Cluster.Nodes) == 0 {
		s.Gaps = append(s.Gaps, terms.Gap{What: "nodes", Why: "the input has none", Costs: "rung 3 cannot be simulated"})
	} else {
		s.Gaps = append(s.Gaps, volumeGaps(snap)...)
	}
	s.Gaps = append(s.Gaps, MetricGaps(d)...)
	return s
}

// FromMetrics reads metrics alone; unreadable is why the objects are not there.
func FromMetrics(d metric.Dump, plan *Plan, unreadable error) *State {
	s := &State{Dump: d, plan: plan, modes: map[string]terms.Mode{}}
	s.Gaps = append(s.Gaps, terms.Gap{What: "Kubernetes API", Why: oneLine(unreadable.Error()),
		Costs: "roles come from metrics by heuristic; no verdicts, so nothing is known to leave, and nodes are not simulated (rung 3)"})
	s.Pods, s.Source = meshPodsFromMetrics(d), "kube-state-metrics, roles by heuristic"
	s.Gaps = append(s.Gaps, MetricGaps(d)...)
	return s
}

// Forecast prices what the audit's verdicts, narrowed by the plan, would change.
func (s *State) Forecast(o Options) roi.Forecast {
	in := roi.Input{At: o.At, WindowStart: s.Dump.Start, HasObjects: s.mesh != nil, Cluster: s.Cluster, MeshPods: s.Pods, Source: s.Source,
		Prices: o.Prices, EngineeringCost: o.EngineeringCost, ByMode: s.edgeByMode(), Startup: s.startups(), Gaps: s.Gaps}
	if s.mesh != nil {
		in.Change, in.Keeps = s.change(o)
		in.Gaps = append(in.Gaps, s.keptAgainstPlan(in.Keeps)...)
		if s.plan != nil {
			in.Waves = s.plan.names()
		}
	}
	in.Zone = s.zones(o)
	return roi.Make(in)
}

// change is what the verdicts amount to, narrowed by the plan.
func (s *State) change(o Options) (terms.Change, []roi.Keep) {
	change, keeps := changeOf(s.mesh, s.audit, o.WaypointReplicas, terms.DefaultWaypoint)
	s.applyPlan(&change)
	return change, keeps
}

func (s *State) zones(o Options) roi.ZoneInput {
	var closeBy map[string]bool
	if s.mesh != nil {
		closeBy = closeNamespaces(s.mesh)
	}
	return zoneInput(s.Dump, s.Cluster, closeBy, o.ZonePrice, o.Currency)
}

// Baseline freezes what stands and what is promised.
func (s *State) Baseline(o Options) (roi.Baseline, error) {
	fc := s.Forecast(o)
	b := roi.Baseline{At: o.At, WindowStart: s.Dump.Start, Tool: o.Tool, Server: s.Dump.Server, Queries: s.Queries(), Prices: fc.Prices,
		Accounts: fc.Accounts, Sidecars: proxyState(s.Dump, s.staying(o)), Promised: fc, Edge: edgeOf(s.Dump, s.modes),
		Commitment: o.Prices.Commitment, Currency: fc.Money.Currency}
	b.Nodes, _ = s.nodes()
	fleet := o.Prices.Price(s.Cluster)
	if mean, ok := fleet.Mean(); ok {
		b.NodePrice = mean
	}
	b.EdgeRPS, _ = edgeRPS(b.Edge)
	return b.Freeze()
}

// Now is the state as a report compares it with a baseline. What only the user knows (bills, history, times of enrolment) is left open.
func (s *State) Now(o Options) roi.Now {
	now := roi.Now{At: o.At, MeshPods: s.Pods, HasPods: s.mesh != nil || s.Pods != nil, Source: s.Source, Sidecars: proxyState(s.Dump, s.Pods),
		EngineeringCost: o.EngineeringCost, Edge: edgeOf(s.Dump, s.modes), ByMode: s.edgeByMode(), Startup: s.startups(),
		WaveSidecars: s.waveSidecars(), Gaps: s.Gaps, Zone: s.zones(o)}
	now.Nodes, now.HasNodes = s.nodes()
	now.EdgeRPS, now.HasRPS = edgeRPS(now.Edge)
	return now
}

// Enrolled says when each namespace changed mode: as stated, or, where the baseline saw sidecars and none is left, when its newest pod was made.
func (s *State) Enrolled(b roi.Baseline, edge []latency.EdgeSeries, stated map[string]time.Time, released []string) {
	at := map[string]time.Time{}
	for _, e := range b.Edge {
		if m := s.modes[e.Namespace]; e.Mode == terms.ModeSidecar && (m == terms.ModeAmbient || m == terms.ModeWaypoint) {
			at[e.Namespace] = s.since[e.Namespace]
		}
	}
	for ns, t := range stated {
		at[ns] = t
	}
	for i := range edge {
		edge[i].EnrolledAt = at[edge[i].Namespace]
		for _, ns := range released {
			edge[i].VersionChanged = edge[i].VersionChanged || ns == edge[i].Namespace
		}
	}
}

// staying are the mesh pods less the sidecars that are to leave: the hybrid tax is judged on those that stay.
func (s *State) staying(o Options) []roi.MeshPod {
	if s.audit == nil {
		return s.Pods
	}
	change, _ := s.change(o)
	leaves := map[string]bool{}
	for _, p := range s.Cluster.Pods {
		if change.Leaves[p.Workload] {
			leaves[p.Object.Namespace+"/"+p.Object.Name] = true
		}
	}
	var out []roi.MeshPod
	for _, p := range s.Pods {
		if !leaves[p.Key()] {
			out = append(out, p)
		}
	}
	return out
}

// nodes counts nodes from objects, else from metrics.
func (s *State) nodes() (int, bool) {
	if n := len(s.Cluster.Nodes); n > 0 {
		return n, true
	}
	if r := s.Dump.Result("node_count"); r.Usable() {
		if v, ok := r.Series[0].Last(); ok {
			return int(v), true
		}
	}
	return 0, false
}

// Queries are the PromQL texts that were asked, by metric.
func (s *State) Queries() map[string]string {
	out := map[string]string{}
	for _, r := range s.Dump.Results {
		out[r.Metric] = r.Query
	}
	return out
}

// oneLine keeps a message that quotes input on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
