package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// customAuthz: external authorization ends with the sidecar.
var customAuthz = Rule{
	Code:       "SS205",
	Title:      "External authorization (action CUSTOM) is never asked by ztunnel",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Moving:     FailsOpen,
	Inputs:     Inputs{Facts: []Fact{FactPolicies, FactMode, FactServices}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l4-policy/", "istio/istio pilot/pkg/serviceregistry/ambient/authorization.go"},
	Why: "ztunnel supports ALLOW and DENY. istiod does not send it an AuthorizationPolicy with action CUSTOM, whatever its rules say, " +
		"so on an ambient workload the external authorizer is skipped and every request passes: an authentication bypass, and a silent one.",
	Remedy: "Bind the Services to a waypoint and give it a copy of the policy with targetRefs before the sidecar goes.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, p := range v.atZtunnel(authz.ActionCustom) {
			f := Finding{Evidence: []mesh.Evidence{at(p.Ref, "spec.action", p.Action)}, Remedy: moveToWaypoint(v, p)}
			switch {
			case v.Copied(p):
				f.Severity = Info
				f.Message = fmt.Sprintf("%s does nothing at ztunnel; its copy at the waypoint asks the external authorizer.", p)
				f.Remedy = "Remove it once no sidecar is left that enforces it."
			case v.Mode() == mesh.Ambient:
				f.Message = fmt.Sprintf("%s is not enforced: ztunnel ignores action CUSTOM, so requests pass without external authorization.", p)
			default:
				f.Message = fmt.Sprintf("%s would no longer be asked: ztunnel ignores action CUSTOM, so requests would pass without external authorization.", p)
			}
			out = append(out, f)
		}
		return out
	},
}
