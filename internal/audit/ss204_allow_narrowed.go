package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// allowNarrowed: an ALLOW of which only the L4 rules are left.
var allowNarrowed = Rule{
	Code:       "SS204",
	Title:      "Some rules of an ALLOW policy are dropped at ztunnel",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Moving:     FailsShut,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.L7Authz}, Facts: []Fact{FactPolicies, FactMode, FactServices, FactSettings}},
	References: []string{"istio/istio pilot/pkg/serviceregistry/ambient/authorization.go"},
	Why:        "istiod drops ALLOW rules with an HTTP attribute and keeps the rest. What only the dropped rules admit is refused; what the others admit still passes. It does not deny everything.",
	Remedy:     "Bind the Services to a waypoint and give it a copy of the policy with targetRefs before the sidecar goes.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, p := range v.atZtunnel(authz.ActionAllow) {
			fate := v.Fate(p)
			dropped := fate.with(authz.FateDropped, authz.FateInert)
			if len(dropped) == 0 || len(dropped) == len(fate.rules) {
				continue
			}
			lost, evidence := lostFields(v, p, dropped)
			verb := "would lose"
			if v.Mode() == mesh.Ambient {
				verb = "has lost"
			}
			out = append(out, Finding{
				Message:  fmt.Sprintf("%s %s %s at ztunnel (%s): calls that only they admit are refused.", p.Ref, verb, whichRules(len(dropped), len(fate.rules)), lost),
				Evidence: evidence, Remedy: moveToWaypoint(v, p),
			})
		}
		return out
	},
}
