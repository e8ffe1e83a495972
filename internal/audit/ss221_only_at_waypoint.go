package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// onlyAtWaypoint: a sidecar ignores targetRefs.
var onlyAtWaypoint = Rule{
	Code:       "SS221",
	Title:      "A policy with targetRefs is ignored by the sidecar it should protect",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Modes:      []mesh.Mode{mesh.Sidecar},
	Inputs:     Inputs{Facts: []Fact{FactPolicies}},
	References: []string{"istio/istio pilot/pkg/model/policyattachment.go", "https://github.com/istio/istio/issues/57213"},
	Why: "Sidecars never read targetRefs, and calls from sidecars never pass a waypoint. While the workload has a sidecar, such a policy acts for ambient callers only. As a copy made in " +
		"advance that is fine; here no policy of the same kind without targetRefs stands beside it.",
	Remedy: "Until the workload is ambient keep a policy by selector with the same rules.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, kind := range []string{"AuthorizationPolicy", "RequestAuthentication"} {
			var evidence []mesh.Evidence
			twin := false
			for _, p := range v.Policies(kind) {
				if p.Scope == mesh.ByTargetRefs {
					evidence = append(evidence, at(p.Ref, "spec.targetRefs", ""))
				} else {
					twin = true
				}
			}
			if len(evidence) > 0 && !twin {
				out = append(out, one(fmt.Sprintf("%s acts at a waypoint only: the sidecar ignores it, and callers with sidecars pass no waypoint.", objects(evidence)), evidence...)...)
			}
		}
		return out
	},
}
