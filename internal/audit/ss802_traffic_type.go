package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// trafficType: the waypoint is for another kind of traffic.
var trafficType = Rule{
	Code:       "SS802",
	Title:      "The waypoint does not take this kind of traffic",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Today:      true,
	Inputs:     Inputs{Facts: []Fact{FactBinding, FactServices, FactUnknown}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/#waypoint-traffic-types", "istio/istio pilot/pkg/model/service.go"},
	Why: "istio.io/waypoint-for on the Gateway says whether it takes calls to Services (the default), to workloads, or all. A Service cannot bind to one that is for workloads, nor a pod to " +
		"one that is for Services (UnsupportedTrafficType); calls then go round it.",
	Remedy: "Label the Gateway istio.io/waypoint-for: all, or name another waypoint.",
	Check:  refusedBinding("does not take its kind of traffic", mesh.UnsupportedTrafficType),
}
