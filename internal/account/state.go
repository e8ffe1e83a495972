// Package account joins what the mesh model, the audit, a plan and the metrics say into what package roi prices. It is pure and has no arithmetic of money of its own.
package account

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidestep-mesh/sidestep/internal/audit"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/metric"
	"github.com/sidestep-mesh/sidestep/internal/roi"
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
	// ZonePriceGiven tells that the user stated it; otherwise the cloud's list price stands.
	ZonePriceGiven bool
	Currency       string
	// EngineeringCost is what the migration costs; 0 means not stated.
	EngineeringCost float64
	// WaypointReplicas is how many replicas each waypoint has that the move adds.
	WaypointReplicas int
	// Namespaces and Waves narrow what moves; empty means all. Everything else stays as it is and is still taken into account.
	Namespaces, Waves []string
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
	s.Gaps = append(append(s.Gaps, assumedGaps(s.mesh)...), captureGaps(s.Cluster)...)
	if plan != nil {
		s.setWaves()
	}
	s.Pods, s.Source = roi.MeshPods(s.Cluster, usageOf(d, s.Cluster)), "pods of the input"
	s.modes, s.since = namespaceModes(s.Cluster)
	if len(s.Cluster.Nodes) == 0 {
		s.Gaps = append(s.Gaps, terms.Gap{What: "nodes", Why: "the input has none", Costs: "rung 3 cannot be simulated, and what ztunnel and istio-cni request on each node is not in rung 1"})
	} else {
		s.Gaps = append(s.Gaps, volumeGaps(snap)...)
	}
	s.Gaps = append(append(s.Gaps, MetricGaps(d)...), youngGaps(d, s.Cluster, s.Pods)...)
	return s
}

// FromMetrics reads metrics alone; unreadable is why the objects are not there.
func FromMetrics(d metric.Dump, plan *Plan, unreadable error) *State {
	s := &State{Dump: d, plan: plan, modes: map[string]terms.Mode{}}
	s.Gaps = append(s.Gaps, terms.Gap{What: "Kubernetes API", Why: oneLine(unreadable.Error()),
		Costs: "roles come from metrics by heuristic; no verdicts, so nothing is known to leave, and nodes are not simulated (rung 3)"})
	s.Pods, s.Source = meshPodsFromMetrics(d), "kube-state-metrics, roles by heuristic"
	s.Gaps = append(append(s.Gaps, MetricGaps(d)...), youngGaps(d, s.Cluster, s.Pods)...)
	return s
}

// Forecast prices what the audit's verdicts, narrowed by the plan, would change.
func (s *State) Forecast(o Options) roi.Forecast {
	in := roi.Input{At: o.At, WindowStart: s.Dump.Start, HasObjects: s.mesh != nil, Cluster: s.Cluster, MeshPods: s.Pods, Source: s.Source,
		Prices: o.Prices, EngineeringCost: o.EngineeringCost, CostCurrency: o.Currency, ByMode: s.edgeByMode(), Startup: s.startups(), Gaps: s.Gaps}
	if s.mesh != nil {
		var gaps []terms.Gap
		in.Change, in.Keeps, gaps = s.change(o)
		in.Gaps = append(append(in.Gaps, gaps...), s.keptAgainstPlan(in.Keeps)...)
		if s.plan != nil {
			in.Waves = s.plan.names()
		}
	}
	in.Zone = s.zones(o)
	return roi.Make(in)
}

// change is what the verdicts amount to, narrowed by the plan and by what the user asks about.
func (s *State) change(o Options) (change terms.Change, keeps []roi.Keep, gaps []terms.Gap) {
	change, keeps = changeOf(s.mesh, s.audit)
	s.narrow(&change, o)
	change.Waypoints, gaps = s.waypoints(change, o)
	s.placeWaypoints(&change)
	more, moreGaps := s.more(change)
	change.More = more
	return change, keeps, append(gaps, moreGaps...)
}

// narrow leaves of a change what the plan moves, in the waves and namespaces asked for.
func (s *State) narrow(change *terms.Change, o Options) {
	for w := range change.Leaves {
		ns, _, _ := strings.Cut(w, "/")
		keep := len(o.Namespaces) == 0 || slices.Contains(o.Namespaces, ns)
		if s.plan != nil {
			at := s.plan.waveOf(w)
			keep = keep && at != "" && (len(o.Waves) == 0 || slices.Contains(o.Waves, at))
		}
		if !keep {
			delete(change.Leaves, w)
			delete(change.L7, w)
		}
	}
}

// CheckScope reports namespaces without workloads and waves that the plan does not have.
func (s *State) CheckScope(o Options) error {
	known := map[string]bool{}
	for _, p := range s.Cluster.Pods {
		known[p.Object.Namespace] = true
	}
	for _, ns := range o.Namespaces {
		if !known[ns] {
			return fmt.Errorf("-n %s: the input has no workload there", ns)
		}
	}
	for _, w := range o.Waves {
		if s.plan == nil {
			return fmt.Errorf("--wave %s: give the plan that has it (--plan)", w)
		}
		if !slices.Contains(s.plan.names(), w) {
			return fmt.Errorf("--wave %s: the plan has %s", w, strings.Join(s.plan.names(), ", "))
		}
	}
	return nil
}

func (s *State) zones(o Options) roi.ZoneInput {
	var closeBy map[string]bool
	if s.mesh != nil {
		closeBy = closeNamespaces(s.mesh)
	}
	price, currency, source := o.ZonePrice, o.Currency, "--zone-price"
	if !o.ZonePriceGiven {
		price, currency, source = zonePrice(s.Cluster)
	}
	in := zoneInput(s.Dump, s.Cluster, closeBy, price, currency)
	in.Source = source
	return in
}

// zonePrice is the list price of a GB between zones, both directions of the charge together, by the cloud that the nodes name: AWS 0.01 each way, GCP 0.01 for what leaves, Azure nothing
// (since 2024). No cloud, no price.
func zonePrice(c terms.Cluster) (perGB float64, currency, source string) {
	for _, n := range c.Nodes {
		cloud, _, _ := strings.Cut(n.Spec.ProviderID, ":")
		switch {
		case cloud == "aws":
			return 0.02, "USD", "AWS list price, 0.01 each way"
		case cloud == "gce":
			return 0.01, "USD", "GCP list price"
		case cloud == "azure":
			return 0, "USD", "Azure does not charge between zones"
		}
	}
	return -1, "", ""
}

// Baseline freezes what stands and what is promised.
func (s *State) Baseline(o Options) (roi.Baseline, error) {
	fc := s.Forecast(o)
	b := roi.Baseline{At: o.At, WindowStart: s.Dump.Start, Tool: o.Tool, Server: s.Dump.Server, Instrument: s.Dump.Instrument, Queries: s.Queries(), Prices: fc.Prices,
		Accounts: fc.Accounts, Sidecars: proxyState(s.Dump, s.staying(o)), Promised: fc, Edge: edgeOf(s.Dump, s.modes),
		Commitment: o.Prices.Commitment, Currency: fc.Money.Currency}
	b.Nodes, _ = s.nodes()
	b.MeanNodes = s.meanNodes()
	b.Machines = o.Prices.Machines(s.Cluster)
	if s.mesh != nil {
		change, _, _ := s.change(o)
		b.Workloads = s.readings()
		b.Proxied = roi.ProxiedOf(s.Pods, func(w string) bool { return !change.Leaves[w] }, s.requestsByNamespace())
	}
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
		EngineeringCost: o.EngineeringCost, Edge: edgeOf(s.Dump, s.modes), Instrument: s.Dump.Result("edge_latency").Query, ByMode: s.edgeByMode(), Startup: s.startups(),
		WaveSidecars: s.waveSidecars(), Gaps: s.Gaps, Zone: s.zones(o)}
	now.Nodes, now.HasNodes = s.nodes()
	now.MeanNodes = s.meanNodes()
	now.Machines = o.Prices.Machines(s.Cluster)
	if s.mesh != nil {
		now.PodsOf = map[string]int{}
		for _, p := range s.Cluster.Pods {
			if !p.Finished() && !p.Waiting() && p.Role == terms.Application {
				now.PodsOf[p.Workload]++
			}
		}
		now.Proxied = roi.ProxiedOf(s.Pods, func(string) bool { return true }, s.requestsByNamespace())
	}
	now.EdgeRPS, now.HasRPS = edgeRPS(now.Edge)
	return now
}

// staying are the mesh pods less the sidecars that are to leave: the hybrid tax is judged on those that stay.
func (s *State) staying(o Options) []roi.MeshPod {
	if s.audit == nil {
		return s.Pods
	}
	change, _, _ := s.change(o)
	leaves := map[string]bool{}
	for _, p := range s.Cluster.Pods {
		if change.Takes(p) {
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

// meanNodes is the mean number of nodes over the last week of the window, 0 where it was not measured: one instant of a cluster that scales with the day says little.
func (s *State) meanNodes() float64 {
	r := s.Dump.Result("node_count")
	if !r.Usable() || len(r.Series) == 0 {
		return 0
	}
	sum, n := 0.0, 0.0
	for _, p := range r.Series[0].Points {
		if s.Dump.End.Sub(time.Unix(p.T, 0)) <= 7*24*time.Hour {
			sum, n = sum+p.V, n+1
		}
	}
	if n < 24 { // less than a day: no better than an instant
		return 0
	}
	return sum / n
}

// requestsByNamespace are HTTP requests per second that sidecars served, nil where it was not measured.
func (s *State) requestsByNamespace() map[string]float64 {
	r := s.Dump.Result("proxied_requests")
	if !r.Usable() {
		return nil
	}
	out := map[string]float64{}
	for _, x := range r.Series {
		if v, ok := x.Last(); ok && x.Labels["reporter"] == "destination" {
			out[x.Labels["namespace"]] += v
		}
	}
	return out
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
