package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// localityLB needs a waypoint unless preferring the nearest endpoint is all that is meant.
var localityLB = Rule{
	Code:       "SS314",
	Title:      "Locality load balancing needs a waypoint or trafficDistribution",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     atService([]mesh.Feature{mesh.LocalityLB}, FactMode, FactBinding),
	References: []string{"https://istio.io/latest/docs/ambient/usage/traffic-distribution/"},
	Why:        "localityLbSetting is applied by Envoy. ztunnel has no zone preference of its own: it follows the Service's trafficDistribution and nothing else.",
	Remedy:     "If calls should just stay near, set spec.trafficDistribution: PreferClose on the Service and remove localityLbSetting; otherwise bind the Service to a waypoint.",
	Check:      waypointServes("Locality load balancing", mesh.LocalityLB),
}
