package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// requestAuthn: JWTs are not validated by ztunnel.
var requestAuthn = Rule{
	Code:       "SS208",
	Title:      "JWTs are not validated by ztunnel",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Moving:     FailsOpen,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.RequestAuthn}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/", "https://github.com/istio/istio/issues/45502"},
	Why: "A RequestAuthentication needs an HTTP proxy. ztunnel ignores it, and a waypoint takes only those with targetRefs. " +
		"Invalid tokens then reach the application, and policies on requestPrincipals or request.auth.claims have nothing to match.",
	Remedy: "Copy the RequestAuthentication with targetRefs to the Service or its waypoint, together with the policies that use its claims.",
	Check:  waypointAfterRewrite((*View).Uses, "JWT validation", "ztunnel reads no HTTP, and a waypoint takes only a RequestAuthentication with targetRefs", mesh.RequestAuthn),
}
