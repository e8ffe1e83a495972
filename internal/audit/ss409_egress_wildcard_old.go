package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// egressWildcardOld: before 1.28 not even a waypoint serves it.
var egressWildcardOld = Rule{
	Code:       "SS409",
	Title:      "Before 1.28 no waypoint serves a wildcard or resolution NONE ServiceEntry",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Until:      27,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.EgressWildcard}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/news/releases/1.28.x/announcing-1.28/"},
	Why:        "Waypoints learned resolution NONE and wildcard hosts (DYNAMIC_DNS) in 1.28.",
	Remedy:     "Upgrade to Istio 1.28, or name the hosts one by one with resolution DNS.",
	Check:      onlySidecar("Egress to unknown addresses", "a wildcard host or resolution NONE is served by sidecars only before Istio 1.28", mesh.EgressWildcard),
}
