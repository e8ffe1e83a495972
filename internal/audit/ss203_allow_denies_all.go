package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// allowDeniesAll: an ALLOW of which no rule is left.
var allowDeniesAll = Rule{
	Code:       "SS203",
	Title:      "An ALLOW policy admits nobody at ztunnel",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Moving:     FailsShut,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.L7Authz}, Facts: []Fact{FactPolicies, FactMode, FactServices, FactSettings}},
	References: []string{"istio/istio pilot/pkg/serviceregistry/ambient/authorization.go", "https://istio.io/latest/docs/ambient/usage/l4-policy/"},
	Why: "istiod drops every ALLOW rule with an HTTP attribute. With no rule left the policy still counts as an ALLOW that never matches, so ztunnel refuses every call that no " +
		"other ALLOW admits: this fails closed, as an outage.",
	Remedy: "Bind the Services to a waypoint and give it a copy of the policy with targetRefs before the sidecar goes.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, p := range v.atZtunnel(authz.ActionAllow) {
			fate := v.Fate(p)
			dropped := fate.with(authz.FateDropped, authz.FateInert)
			if len(dropped) == 0 || len(dropped) < len(fate.rules) {
				continue
			}
			lost, evidence := lostFields(v, p, dropped)
			text := fmt.Sprintf("%s would refuse every call: its rules need %s, which ztunnel does not see, and none is left.", p.Ref, lost)
			if v.Mode() == mesh.Ambient {
				text = fmt.Sprintf("%s refuses every call: its rules need %s, which ztunnel does not see, and none is left.", p.Ref, lost)
			}
			out = append(out, Finding{Message: text, Evidence: evidence, Remedy: moveToWaypoint(v, p)})
		}
		return out
	},
}
