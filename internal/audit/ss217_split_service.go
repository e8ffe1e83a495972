package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// splitService: a waypoint cannot tell the pods of one Service apart.
var splitService = Rule{
	Code:       "SS217",
	Title:      "Pods of one Service have different HTTP policies",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: waypointPolicies, Facts: []Fact{FactPolicies, FactServices}},
	References: []string{"https://istio.io/latest/docs/ambient/migrate/migrate-policies/", "https://github.com/istio/istio/issues/56505"},
	Why: "A policy selects pods; its copy for a waypoint targets a Service, before it is known which pod will answer. If the policy holds for some of the Service's pods only (one version, " +
		"one shard), the copy is either too wide or too narrow.",
	Remedy: "Split the Service so that all pods behind each one have the same policies, then bind them to a waypoint.",
	Check: func(v *View) []Finding {
		var out []Finding
		evidence := gather(v.Uses(waypointPolicies...))
		for _, p := range slices.Concat(v.Policies("AuthorizationPolicy"), v.Policies("RequestAuthentication")) {
			if p.Scope != mesh.BySelector || !slices.ContainsFunc(evidence, func(e mesh.Evidence) bool { return e.Object == p.Ref }) {
				continue
			}
			for _, s := range v.Services() {
				if s.Headless {
					continue // not served by a service waypoint in any case
				}
				if other := v.index.notUnder(p.Ref, s); other != nil {
					out = append(out, one(fmt.Sprintf("%s holds for this workload but not for %s behind the same Service %s; a waypoint cannot tell their pods apart.", p.Ref, other.Ref, s.Name),
						at(p.Ref, "spec.selector", ""), at(s.Ref, "spec.selector", ""))...)
				}
			}
		}
		return out
	},
}

// waypointPolicies are the features whose policies have to move to a waypoint.
var waypointPolicies = []mesh.Feature{mesh.L7Authz, mesh.ExtAuthz, mesh.RequestAuthn}

// notUnder returns a workload in the mesh that a Service selects and a policy does not, if there is one.
func (x *index) notUnder(policy mesh.Ref, s *mesh.Service) *mesh.Workload {
	key := [2]mesh.Ref{policy, s.Ref}
	if w, done := x.strangers[key]; done {
		return w
	}
	var stranger *mesh.Workload
	for _, w := range s.Workloads {
		under := slices.ContainsFunc(w.Policies, func(p *mesh.Policy) bool { return p.Ref == policy })
		if !under && w.Mode != mesh.None && w.Role == mesh.Application {
			stranger = w
			break
		}
	}
	if x.strangers == nil {
		x.strangers = map[[2]mesh.Ref]*mesh.Workload{}
	}
	x.strangers[key] = stranger
	return stranger
}
