package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// customAuthz: external authorization ends with the sidecar.
var customAuthz = Rule{
	Code:       "SS205",
	Title:      "External authorization (action CUSTOM) is never asked by ztunnel",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ExtAuthz}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l4-policy/", "istio/istio pilot/pkg/serviceregistry/ambient/authorization.go"},
	Why: "ztunnel supports ALLOW and DENY. istiod does not send it an AuthorizationPolicy with action CUSTOM, whatever its rules say, " +
		"so on an ambient workload the external authorizer is skipped and every request passes: an authentication bypass, and a silent one.",
	Remedy: "Bind the Services to a waypoint and give it a copy of the policy with targetRefs before the sidecar goes.",
	Check:  waypointAfterRewrite((*View).Uses, "External authorization", "ztunnel ignores action CUSTOM, and a waypoint reads targetRefs only; requests would pass unchecked", mesh.ExtAuthz),
}
