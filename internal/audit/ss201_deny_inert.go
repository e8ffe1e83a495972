package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// denyInert: the worst trap of the migration, a DENY that quietly does nothing.
var denyInert = Rule{
	Code:     "SS201",
	Title:    "A DENY policy stops denying at ztunnel",
	Severity: Error,
	Requires: VerdictWaypoint,
	Moving:   FailsOpen,
	Inputs:   Inputs{Features: []mesh.Feature{mesh.L7Authz}, Facts: []Fact{FactPolicies, FactMode, FactServices, FactSettings}},
	References: []string{
		"https://github.com/istio/istio/issues/61126", "istio/istio pilot/pkg/serviceregistry/ambient/authorization.go", "istio/ztunnel src/rbac.rs",
	},
	Why: "istiod strips HTTP attributes from a DENY policy before it sends it to ztunnel, clause by clause: to, from and each when. A clause of which nothing is left never " +
		"matches, and then the whole rule never does, even if another clause was about L4. What was refused passes: this fails OPEN. Documentation and the status text of " +
		"releases up to 1.31 say that such a policy denies everything; that is true of ALLOW only.",
	Remedy: "Bind the Services to a waypoint and give it a copy of the policy with targetRefs before the sidecar goes.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, p := range v.atZtunnel(authz.ActionDeny) {
			fate := v.Fate(p)
			inert := fate.with(authz.FateInert, authz.FateDropped)
			if len(inert) == 0 {
				continue
			}
			lost, evidence := lostFields(v, p, inert)
			text := fmt.Sprintf("%s would stop denying without a word: %s needs %s, which ztunnel does not see (fail-open).", p.Ref, whichRules(len(inert), len(fate.rules)), lost)
			if v.Mode() == mesh.Ambient {
				text = fmt.Sprintf("%s denies nothing by %s: ztunnel does not see %s (fail-open).", p.Ref, whichRules(len(inert), len(fate.rules)), lost)
			}
			f := Finding{Message: text, Evidence: evidence, Remedy: moveToWaypoint(v, p)}
			if v.Copied(p) {
				f.Severity = Info
				f.Message = fmt.Sprintf("%s does nothing at ztunnel (it needs %s); its copy at the waypoint denies.", p, lost)
				f.Remedy = "Remove it once no sidecar is left that enforces it."
			}
			out = append(out, f)
		}
		return out
	},
}
