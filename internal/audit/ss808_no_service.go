package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// noService: a service waypoint never sees calls to such pods.
var noService = Rule{
	Code:       "SS808",
	Title:      "No Service leads calls through a waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.NoService, mesh.HeadlessService}, Facts: []Fact{FactServices, FactBinding}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/#waypoint-traffic-types", "https://github.com/istio/istio/issues/57764", "https://github.com/istio/istio/issues/52527"},
	Why: "A service waypoint gets calls that are addressed to a Service's cluster address. Pods without a Service, or behind a headless one, are called by their own addresses, and such calls " +
		"pass a waypoint only if it is for workloads and the pods bear the use-waypoint label.",
	Remedy: "Give the workload a Service with a cluster address, or a waypoint with istio.io/waypoint-for: workload (or all) and the label istio.io/use-waypoint in the pod template.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		uses := v.Uses(mesh.NoService, mesh.HeadlessService)
		if verdict != VerdictWaypoint || len(uses) == 0 || v.Binding().Bound {
			return nil
		}
		headless := 0
		for _, s := range v.Services() {
			if s.Headless {
				headless++
			}
		}
		switch {
		case len(v.Services()) == 0:
			return one("It needs a waypoint but no Service selects it; a service waypoint never sees calls to pod addresses.", at(v.Workload(), templateLabel(v.Workload(), mesh.LabelUseWaypoint), ""))
		case headless == 0:
			return nil
		}
		return one(fmt.Sprintf("It needs a waypoint, but calls by its headless Service (%s) go to pod addresses, past a service waypoint.", objects(gather(v.Uses(mesh.HeadlessService)))), gather(v.Uses(mesh.HeadlessService))...)
	},
}
