package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// waypointBypass: the waypoint enforces, and some callers go round it.
var waypointBypass = Rule{
	Code:       "SS810",
	Title:      "Callers can go round the waypoint",
	Severity:   Warning,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Ambient},
	Inputs:     Inputs{Facts: []Fact{FactPolicies, FactBinding, FactWaypoints, FactWorkloads, FactSettings}},
	References: []string{"https://github.com/istio/istio/issues/57213", "https://github.com/istio/istio/issues/51445", "https://istio.io/latest/docs/ambient/migrate/migrate-policies/"},
	Why: "Callers with sidecars, plaintext callers and callers by pod address never meet a service waypoint; its policies do not hold for them. Only an L4 policy at ztunnel can close that: " +
		"one that admits the waypoint's identity alone.",
	Remedy: "Make the callers ambient. To close the rest add a selector policy DENY with notPrincipals naming the waypoint (and, while they last, callers with sidecars); it must not use targetRefs.",
	Check: func(v *View) []Finding {
		by, served := v.ServedBy()
		w, known := v.Waypoint(by)
		callers := v.SidecarCallers()
		if !served || !known || callers == 0 || v.Settings().AutoAllowWaypoint {
			return nil
		}
		var evidence []mesh.Evidence
		for _, p := range v.Policies("AuthorizationPolicy") {
			if p.Scope == mesh.ByTargetRefs {
				evidence = append(evidence, at(p.Ref, "spec.targetRefs", ""))
			} else if namesPrincipal(&v.Fate(p).compiled, w.Principal) {
				return nil
			}
		}
		if len(evidence) == 0 {
			return nil
		}
		return one(fmt.Sprintf("%s holds at waypoint %s only; callers with sidecars (%s in the mesh) go round it.", objects(evidence), by.Name, count(callers, "workload", "workloads")), evidence...)
	},
}

// namesPrincipal tells whether a policy at ztunnel speaks of an identity.
func namesPrincipal(p *authz.AuthorizationPolicy, principal string) bool {
	return slices.ContainsFunc(p.Rules, func(r authz.Rule) bool {
		return slices.ContainsFunc(r.From, func(s authz.Source) bool {
			return slices.Contains(s.Principals, principal) || slices.Contains(s.NotPrincipals, principal)
		})
	})
}
