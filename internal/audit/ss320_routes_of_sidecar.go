package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// waypointDone are the features that a waypoint of the called Service carries out for its callers.
var waypointDone = append([]mesh.Feature{mesh.FaultInjection, mesh.TCPRouting, mesh.TLSRouting, mesh.ConnectionPool, mesh.OutlierDetection,
	mesh.LoadBalancing, mesh.ClientTLS, mesh.Subsets, mesh.ConsistentHash, mesh.LocalityLB}, httpRouteFeatures...)

var routesOfSidecar = Rule{
	Code:       "SS320",
	Title:      "A workload keeps its sidecar, and its callers' routes still need a waypoint",
	Severity:   Warning,
	Requires:   VerdictNone,
	Inputs:     Inputs{Features: waypointDone, Facts: []Fact{FactVerdicts, FactServices}},
	References: []string{"istio/istio pilot/pkg/networking/core/route/route.go"},
	Why: "Routes, time limits, retries and traffic policies of a Service are carried out by the callers' sidecars, not by the server's. While the server keeps its sidecar for another reason, nobody " +
		"thinks of binding its Service, and a caller that goes ambient loses them without a word.",
	Remedy: "Bind the Service to a waypoint before any of its callers goes ambient, although the workload behind it keeps its sidecar.",
	Whole: func(m *MeshView) []Finding {
		keeps := map[mesh.Ref]bool{}
		moves := false
		for _, r := range m.Results() {
			if r.Verdict == VerdictSidecar {
				keeps[r.Workload.Ref] = true
			} else if r.Verdict == VerdictAmbient || r.Verdict == VerdictWaypoint {
				moves = true
			}
		}
		var out []Finding
		for _, s := range m.Services() {
			if !moves || s.Waypoint.Bound || len(s.Workloads) == 0 || !allKeep(s, keeps) {
				continue
			}
			var evidence []mesh.Evidence
			var features []mesh.Feature
			for _, f := range waypointDone {
				if uses := m.ServiceUses(s, f); len(uses) > 0 {
					evidence, features = append(evidence, gather(uses)...), append(features, f)
				}
			}
			if len(evidence) > 0 {
				out = append(out, one(fmt.Sprintf("%s keeps its workload's sidecar, which does none of %s (%s): callers that go ambient lose it until the Service is bound to a waypoint.",
					s.Ref, featureWords(features), objects(evidence)), evidence...)...)
			}
		}
		return out
	},
}

// allKeep reports whether every workload behind a Service keeps its sidecar.
func allKeep(s *mesh.Service, keeps map[mesh.Ref]bool) bool {
	for _, w := range s.Workloads {
		if !keeps[w.Ref] {
			return false
		}
	}
	return true
}
