package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// noReadyWaypoint: there is no way round a waypoint that was ready once.
var noReadyWaypoint = Rule{
	Code:       "SS813",
	Title:      "A waypoint in use has no ready pod",
	Severity:   Error,
	Requires:   VerdictNone,
	Inputs:     Inputs{Facts: []Fact{FactWaypoints, FactServices}, Kinds: []snapshot.Kind{kindPod}},
	References: []string{"https://github.com/istio/istio.io/pull/17520", "istio/istio pilot/pkg/serviceregistry/ambient/waypoints.go"},
	Why:        "Once a waypoint has an address, ztunnel sends all calls to the Services bound to it there. It does not fall back to the pods: without a ready waypoint pod these calls fail.",
	Remedy:     "Bring its pods back (kubectl get deployment of the Gateway's name), or unbind the Services if nothing at the waypoint protects them. Run two replicas or more with a PodDisruptionBudget.",
	Whole: func(m *MeshView) []Finding {
		if len(snapshot.All[*snapshot.Pod](m.Snapshot())) == 0 {
			return nil // manifests have no pods
		}
		bound := map[mesh.Ref]int{}
		for _, s := range m.Services() {
			if s.Waypoint.Bound {
				bound[s.Waypoint.Gateway]++
			}
		}
		var out []Finding
		for _, w := range m.Waypoints() {
			if n := bound[w.Ref]; n > 0 && w.Programmed && w.ReadyPods == 0 {
				out = append(out, one(fmt.Sprintf("Waypoint %s/%s has no ready pod: calls to %s bound to it fail.", w.Namespace, w.Name, count(n, "Service", "Services")), at(w.Ref, "status.addresses", ""))...)
			}
		}
		return out
	},
}
