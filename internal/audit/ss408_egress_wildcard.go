package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// egressWildcard needs an egress waypoint from 1.28 on.
var egressWildcard = Rule{
	Code:       "SS408",
	Title:      "A wildcard or resolution NONE ServiceEntry needs an egress waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Since:      28,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.EgressWildcard}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio pilot/pkg/model/service.go (condition istio.io/WaypointMissing, 1.28)", "https://github.com/istio/istio/issues/60148"},
	Why: "ztunnel knows destinations by address. For a wildcard host or resolution NONE there is none, so the entry has no effect unless a waypoint " +
		"serves it; istiod says so in condition istio.io/WaypointMissing.",
	Remedy: "Bind the ServiceEntry to an egress waypoint; wildcard hosts then need resolution DYNAMIC_DNS.",
	Check:  waypointAfterRewrite((*View).Uses, "Egress to unknown addresses", "ztunnel cannot serve a wildcard host or resolution NONE without a waypoint", mesh.EgressWildcard),
}
