package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// subsets: an HTTPRoute cannot name a subset.
var subsets = Rule{
	Code:       "SS309",
	Title:      "DestinationRule subsets need a waypoint and a Service for each version",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     atService([]mesh.Feature{mesh.Subsets}, FactMode),
	References: []string{"https://github.com/istio/istio/issues/57704", "https://istio.io/latest/docs/ambient/migrate/migrate-policies/"},
	Why: "Subsets are picked by VirtualServices. Without the sidecar of the caller every connection goes to any pod of the Service: writes have hit " +
		"read replicas that way. An HTTPRoute cannot refer to a subset.",
	Remedy: "Create one Service for each version and an HTTPRoute on the Service with those as backendRefs; then bind the Service to a waypoint.",
	Check:  waypointAfterRewrite((*View).AtService, "Subset routing", "ztunnel sends connections to any pod of the Service, and an HTTPRoute cannot name a subset", mesh.Subsets),
}
