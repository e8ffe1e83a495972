package account

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/roi"
	"github.com/sidestep-mesh/sidestep/internal/roi/terms"
)

// By Istio's published figures for 1.24, for each thousand requests a second: a sidecar takes 0.20 vCPU, at both ends of a call, and a waypoint 0.25 once; a waypoint is scaled
// at 70% of what it requests. The chart limits one to two cores.
const (
	waypointShare  = 0.25 / 0.40
	waypointTarget = 0.70
	waypointMost   = 2000 // millicores
)

// l7 is what the sidecars that a waypoint will replace request and use, of one namespace and waypoint.
type l7 struct {
	namespace      string
	requests, used float64 // cores
	pods, measured int
	// exists reports whether the waypoint is there; existing and busy are the cores that its replicas request and use.
	exists            bool
	existing, busy    float64
	existingEachMilli int64
}

// waypoints plans them for what leaves with L7 needs: sized by what the leaving sidecars use where that is measured, shared with a waypoint that exists or that the workload asks
// for. Where usage is not known the chart's size stands, and the top is what the sidecars' requests would amount to.
func (s *State) waypoints(change terms.Change, o Options) ([]terms.WaypointPlan, []terms.Gap) {
	groups := s.l7Groups(change)
	var out []terms.WaypointPlan
	var gaps []terms.Gap
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		g := groups[key]
		p := terms.WaypointPlan{Namespace: g.namespace, Replicas: o.WaypointReplicas, Each: terms.DefaultWaypoint}
		need := g.used * waypointShare / waypointTarget
		if g.measured > 0 && g.measured < g.pods {
			need *= float64(g.pods) / float64(g.measured)
		}
		most := g.requests * waypointShare / waypointTarget
		if g.exists {
			p.Replicas = 0
			free := g.existing - g.busy/waypointTarget
			if each := float64(g.existingEachMilli) / 1000; each > 0 {
				if g.measured > 0 && need > free {
					p.Replicas = int(math.Ceil((need - free) / each))
				}
				p.Each.CPUMilli = g.existingEachMilli
				p.Most = int(math.Ceil(math.Max(most-free, 0) / each))
			}
		} else if g.measured > 0 {
			p.Replicas = max(p.Replicas, int(math.Ceil(need*1000/waypointMost)))
			p.Each.CPUMilli = max(p.Each.CPUMilli, int64(math.Ceil(need*1000/float64(max(p.Replicas, 1)))))
		}
		if g.measured == 0 {
			p.MostCPU = int64(most * 1000)
			gaps = append(gaps, terms.Gap{What: "waypoint of namespace " + g.namespace, Why: fmt.Sprintf("what the %d sidecars use that it replaces was not measured", g.pods),
				Costs: fmt.Sprintf("it is counted with the chart's size (%d replicas of %s); if the sidecars use all that they request, waypoints of %s cores are needed", p.Replicas, p.Each, terms.Number(most))})
		}
		if p.Replicas > 0 || p.MostCPU > 0 {
			out = append(out, p)
		}
	}
	return out, gaps
}

func (s *State) l7Groups(change terms.Change) map[string]*l7 {
	use := map[string]roi.Use{}
	for _, p := range s.Pods {
		use[p.Key()] = p.Use
	}
	gateways := map[string]string{} // the waypoint that a workload will use: namespace/name
	for _, w := range s.mesh.Workloads {
		gateways[workloadKey(w)] = s.waypointOf(w)
	}
	out := map[string]*l7{}
	for _, p := range s.Cluster.Pods {
		if p.Finished() || !change.Takes(p) || !change.L7[p.Workload] {
			continue
		}
		key := gateways[p.Workload]
		exists := key != ""
		if !exists {
			key = p.Object.Namespace
		}
		g := out[key]
		if g == nil {
			g = &l7{namespace: p.Object.Namespace, exists: exists}
			out[key] = g
		}
		g.pods++
		g.requests += float64(terms.SidecarRequests(p).CPUMilli) / 1000
		if u := use[p.Object.Namespace+"/"+p.Object.Name]; u.HasCPU {
			g.used, g.measured = g.used+u.CPU, g.measured+1
		}
	}
	for _, p := range s.Cluster.Pods {
		if p.Role != terms.Waypoint || p.Finished() {
			continue
		}
		if g := out[p.Object.Namespace+"/"+workloadName(p.Workload)]; g != nil {
			g.existingEachMilli = max(g.existingEachMilli, terms.Requests(p.Object).CPUMilli)
			g.existing += float64(terms.Requests(p.Object).CPUMilli) / 1000
			g.busy += use[p.Object.Namespace+"/"+p.Object.Name].CPU
		}
	}
	return out
}

// waypointOf is the waypoint (namespace/name) that exists and will carry the workload's traffic: the one that its labels ask for, else one in its namespace; empty without.
func (s *State) waypointOf(w *mesh.Workload) string {
	known := map[string]bool{}
	own := ""
	for _, g := range s.mesh.Waypoints {
		known[g.Namespace+"/"+g.Name] = true
		if g.Namespace == w.Namespace && own == "" {
			own = g.Namespace + "/" + g.Name
		}
	}
	asked := []*mesh.Binding{w.Waypoint}
	for _, svc := range w.Services {
		asked = append(asked, svc.Waypoint)
	}
	for _, b := range asked {
		if b != nil && b.Asked && known[b.Gateway.Namespace+"/"+b.Gateway.Name] {
			return b.Gateway.Namespace + "/" + b.Gateway.Name
		}
	}
	return own
}

// daemons are the requests of ambient's DaemonSets by the chart of the Istio minor that runs: ztunnel asked for 500m and 2 GiB in 1.22.
func daemons(m *mesh.Mesh) (ztunnel, cni terms.Resources) {
	ztunnel, cni = terms.DefaultZtunnel, terms.DefaultCNI
	if minors := m.Settings.Minors; len(minors) > 0 && slices.Max(minors) <= 22 {
		ztunnel = terms.Resources{CPUMilli: 500, MemoryBytes: 2048 << 20}
	}
	return ztunnel, cni
}
