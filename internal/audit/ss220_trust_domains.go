package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// trustDomains: an attribute that ztunnel drops without a word.
var trustDomains = Rule{
	Code:       "SS220",
	Title:      "ztunnel leaves out an attribute of an ALLOW rule and admits more",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Moving:     FailsOpen,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.L7Authz}, Facts: []Fact{FactPolicies, FactMode}},
	References: []string{"istio/istio pilot/pkg/serviceregistry/ambient/authorization.go"},
	Why: "source.trustDomains (1.30) is not among the attributes that istiod sends to ztunnel, and up to 1.31 no status says so. An ALLOW rule that narrows its callers by trust domain " +
		"beside another attribute admits callers of every trust domain.",
	Remedy: "Write the trust domain into principals (\"td.example/ns/...\"), or move the policy to a waypoint.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, p := range v.atZtunnel(authz.ActionAllow) {
			fate := v.Fate(p)
			broad := fate.with(authz.FateBroadened)
			if len(broad) == 0 {
				continue
			}
			lost, evidence := lostFields(v, p, broad)
			verb := "would admit"
			if v.Mode() == mesh.Ambient {
				verb = "admits"
			}
			out = append(out, one(fmt.Sprintf("%s %s more than asked: ztunnel leaves %s out of %s.", p.Ref, verb, lost, whichRules(len(broad), len(fate.rules))), evidence...)...)
		}
		return out
	},
}
