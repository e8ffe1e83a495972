package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// denyBroadened: a DENY that hits more than it was meant for.
var denyBroadened = Rule{
	Code:       "SS202",
	Title:      "A DENY policy refuses more at ztunnel than it was meant to",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Moving:     FailsShut,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.L7Authz}, Facts: []Fact{FactPolicies, FactMode, FactServices, FactSettings}},
	References: []string{"istio/istio pilot/pkg/serviceregistry/ambient/authorization.go", "https://istio.io/latest/docs/ambient/usage/l4-policy/"},
	Why: "Where an L4 attribute stands in the same source or operation as an HTTP one (ports with paths, principals with requestPrincipals), istiod strips the HTTP part and " +
		"ztunnel refuses everything the rest matches.",
	Remedy: "Bind the Services to a waypoint and give it a copy of the policy with targetRefs before the sidecar goes.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, p := range v.atZtunnel(authz.ActionDeny) {
			fate := v.Fate(p)
			broad := fate.with(authz.FateBroadened)
			if len(broad) == 0 {
				continue
			}
			lost, evidence := lostFields(v, p, broad)
			verb := "would refuse"
			if v.Mode() == mesh.Ambient {
				verb = "refuses"
			}
			out = append(out, Finding{
				Message:  fmt.Sprintf("%s %s more than asked: ztunnel leaves %s out of %s and denies whatever the rest matches.", p.Ref, verb, lost, whichRules(len(broad), len(fate.rules))),
				Evidence: evidence, Remedy: moveToWaypoint(v, p),
			})
		}
		return out
	},
}
