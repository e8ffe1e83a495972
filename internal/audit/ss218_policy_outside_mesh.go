package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// policyOutsideMesh: nobody enforces it.
var policyOutsideMesh = Rule{
	Code:       "SS218",
	Title:      "A policy selects a workload that is outside the mesh",
	Severity:   Warning,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.None},
	Inputs:     Inputs{Facts: []Fact{FactPolicies}},
	References: []string{"https://istio.io/latest/docs/concepts/security/"},
	Why:        "Without a sidecar and without ztunnel there is no proxy that could enforce a policy. Somebody wrote one for exactly these pods and probably believes that it works.",
	Remedy:     "Label the namespace or pod template for the mesh and restart, or delete the policy.",
	Check: func(v *View) []Finding {
		var evidence []mesh.Evidence
		for _, kind := range []string{"AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"} {
			for _, p := range v.Policies(kind) {
				if p.Scope == mesh.BySelector {
					evidence = append(evidence, at(p.Ref, "spec.selector", ""))
				}
			}
		}
		if len(evidence) == 0 {
			return nil
		}
		return one(fmt.Sprintf("%s selects these pods, but they are in no mesh: nobody enforces it.", objects(evidence)), evidence...)
	},
}
