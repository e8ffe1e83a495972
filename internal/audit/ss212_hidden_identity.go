package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// hiddenIdentity: behind a waypoint the destination sees the waypoint.
var hiddenIdentity = Rule{
	Code:       "SS212",
	Title:      "Policies by client identity break behind a waypoint",
	Severity:   Error,
	Requires:   VerdictWaypoint,
	Moving:     FailsShut,
	Inputs:     Inputs{Facts: []Fact{FactPolicies, FactServices, FactBinding, FactWaypoints, FactSettings, FactMode}},
	References: []string{"https://github.com/istio/istio/issues/44671", "https://github.com/istio/istio.io/issues/16586", "https://istio.io/latest/docs/ambient/usage/l4-policy/"},
	Why: "A waypoint does not impersonate its clients: ztunnel, or a sidecar, behind it sees the waypoint's identity. An ALLOW by principal, namespace or service account then refuses " +
		"everything that comes through the waypoint, and a DENY by identity refuses nobody.",
	Remedy: "Give the waypoint a copy of the policy with targetRefs (it sees the real client), and admit the waypoint's service account in the policy that stays at ztunnel.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		if verdict != VerdictWaypoint && !v.behindWaypoint() {
			return nil
		}
		by, served := v.ServedBy()
		var waypoint string
		if w, known := v.Waypoint(by); served && known {
			waypoint = w.Principal
		}
		var out []Finding
		for _, p := range v.Policies("AuthorizationPolicy") {
			fate := v.Fate(p)
			if p.Scope == mesh.ByTargetRefs || p.DryRun || fate.changes() {
				continue // at the waypoint already, or it has to move there whole (SS201 to SS204)
			}
			places := identityFields(&fate.compiled, waypoint)
			if len(places) == 0 || fate.compiled.Action == authz.ActionAllow && v.Settings().AutoAllowWaypoint {
				continue
			}
			if fate.compiled.Action == authz.ActionDeny && v.Copied(p) {
				continue // the copy sees the client
			}
			f := Finding{Message: fmt.Sprintf("%s goes by client identity; behind a waypoint only the waypoint's is seen, so it would %s.", p.Ref, identityEffect[fate.compiled.Action])}
			if v.Mode() == mesh.Sidecar {
				f.Severity = Warning // not yet: it comes with the waypoint
			}
			for _, place := range places {
				f.Evidence = append(f.Evidence, at(p.Ref, place, ""))
			}
			out = append(out, f)
		}
		return out
	},
}

// behindWaypoint reports whether calls of some Service pass a waypoint on their way to the ambient workload, be it a
// neighbour that needed it or the namespace.
func (v *View) behindWaypoint() bool {
	return v.Mode() == mesh.Ambient && slices.ContainsFunc(v.Services(), func(s *mesh.Service) bool { return !s.Headless && s.Waypoint.Bound })
}

var identityEffect = map[authz.Action]string{
	authz.ActionAllow: "refuse every call that comes through it",
	authz.ActionDeny:  "no longer refuse the callers it names",
}

// identityFields lists where rules of an ALLOW or DENY policy match the identity of the peer, leaving
// out rules that name the waypoint itself.
func identityFields(p *authz.AuthorizationPolicy, waypoint string) []string {
	if identityEffect[p.Action] == "" {
		return nil
	}
	var out []string
	for i, r := range p.Rules {
		for j, s := range r.From {
			named := slices.Concat(s.Principals, s.NotPrincipals)
			if waypoint != "" && slices.Contains(named, waypoint) {
				return nil
			}
			if len(named)+len(s.Namespaces)+len(s.NotNamespaces)+len(s.ServiceAccounts)+len(s.NotServiceAccounts) > 0 {
				out = append(out, fmt.Sprintf("spec.rules[%d].from[%d].source", i, j))
			}
		}
		for j, w := range r.When {
			if w.Key == "source.principal" || w.Key == "source.namespace" || w.Key == "source.serviceAccount" {
				out = append(out, fmt.Sprintf("spec.rules[%d].when[%d]", i, j))
			}
		}
	}
	return out
}
