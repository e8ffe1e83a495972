package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// mixedRoutes: two route APIs for one host are undefined.
var mixedRoutes = Rule{
	Code:       "SS307",
	Title:      "One host has both a VirtualService and a Gateway API route",
	Severity:   Error,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.MixedRoutes}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/migrate-policies/"},
	Why: "Istio does not define which of the two wins for one host, at a sidecar or at a waypoint. Creating an HTTPRoute next to a live VirtualService " +
		"changes sidecar callers at once.",
	Remedy: "Keep one of them for each host: create the HTTPRoute and delete the VirtualService in the same step.",
	Check: differs(func(from string) string {
		return fmt.Sprintf("%s route the same host by two APIs; which one wins is undefined.", from)
	}, mesh.MixedRoutes),
}
