package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// delegateRoute: delegation is not part of what waypoints support.
var delegateRoute = Rule{
	Code:       "SS304",
	Title:      "A delegating VirtualService has no counterpart at a waypoint",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.DelegateRoute}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/migrate-policies/", "istio/istio pilot/pkg/networking/core/listener_waypoint.go"},
	Why: "A VirtualService that hands part of its routes to another one cannot be written as one HTTPRoute, and whether a waypoint merges delegates " +
		"depends on namespaces and release.",
	Remedy: "Write the merged routes as HTTPRoutes on the Service and delete both VirtualServices.",
	Check:  onlySidecar("Route delegation", "an HTTPRoute cannot delegate, and what a waypoint makes of it is not documented", mesh.DelegateRoute),
}
