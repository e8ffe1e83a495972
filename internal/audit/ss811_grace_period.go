package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// gracePeriod: waypoints were killed after two seconds.
var gracePeriod = Rule{
	Code:       "SS811",
	Title:      "Before 1.28 waypoint pods are killed after two seconds",
	Severity:   Warning,
	Requires:   VerdictNone,
	Until:      27,
	Inputs:     Inputs{Facts: []Fact{FactWaypoints, FactSettings}},
	References: []string{"istio/istio releasenotes waypoint-termination-grace-period (1.28)", "istio/istio manifests/charts/istio-control/istio-discovery/files/waypoint.yaml"},
	Why:        "terminationGracePeriodSeconds of waypoint pods is set to 2 by istiod and put back when changed, so requests in flight are cut at every roll-out and scale-down.",
	Remedy:     "Upgrade to 1.28; from 1.26 on a deployment overlay (spec.infrastructure.parametersRef) can set 60.",
	Whole: func(m *MeshView) []Finding {
		waypoints := m.Waypoints()
		if len(waypoints) == 0 {
			return nil
		}
		var evidence []mesh.Evidence
		for _, w := range waypoints {
			evidence = append(evidence, at(w.Ref, "spec.infrastructure.parametersRef", ""))
		}
		f := one(fmt.Sprintf("Pods of %s get two seconds to end: requests in flight are cut at every restart.", objects(evidence)), evidence...)
		if m.Minor() < 26 {
			f[0].Remedy = "Upgrade: before 1.26 the value cannot be changed."
		}
		return f
	},
}
