package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// bypassAtWaypoint: a policy against going round the waypoint has to stand at the pods.
var bypassAtWaypoint = Rule{
	Code:       "SS815",
	Title:      "A policy that names the waypoint's identity stands at the waypoint",
	Severity:   Error,
	Requires:   VerdictNone,
	Modes:      []mesh.Mode{mesh.Ambient},
	Inputs:     Inputs{Facts: []Fact{FactPolicies, FactWaypoints}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/", "https://istio.io/latest/docs/ambient/migrate/migrate-policies/", "https://github.com/istio/istio/issues/54696"},
	Why: "At a waypoint the peer is the client; only the pods see the waypoint's identity. A policy that admits the waypoint alone, or refuses all but the waypoint, therefore refuses everybody when it has targetRefs, and closes no way " +
		"round the waypoint: calls that do not pass it never meet the policy.",
	Remedy: "Give it the pods' selector instead of targetRefs, so that ztunnel enforces it.",
	Check: func(v *View) []Finding {
		var out []Finding
		for _, p := range v.Policies("AuthorizationPolicy") {
			if p.Scope != mesh.ByTargetRefs || p.DryRun {
				continue
			}
			compiled := &v.Fate(p).compiled
			for _, w := range v.Waypoints() {
				if !againstBypass(compiled, w) {
					continue
				}
				what := "admits the waypoint's identity alone"
				if compiled.Action == authz.ActionDeny {
					what = "refuses all but the waypoint's identity"
				}
				out = append(out, one(fmt.Sprintf("%s %s, at the waypoint: there the peer is the client, so that it refuses everybody and closes no way round the waypoint.", p.Ref, what), at(p.Ref, "spec.targetRefs", ""))...)
				break
			}
		}
		return out
	},
}

// againstBypass reports whether a policy makes sense only where a waypoint is the peer: an ALLOW of nobody else, or a DENY of
// everybody else.
func againstBypass(p *authz.AuthorizationPolicy, w *mesh.WaypointGateway) bool {
	switch p.Action {
	case authz.ActionAllow:
		return len(p.Rules) > 0 && !slices.ContainsFunc(p.Rules, func(r authz.Rule) bool { return !onlyFrom(&r, w) })
	case authz.ActionDeny:
		return slices.ContainsFunc(p.Rules, func(r authz.Rule) bool { return len(r.To) == 0 && allBut(&r, w) })
	}
	return false
}

// onlyFrom reports whether a rule admits the waypoint's identity and no other.
func onlyFrom(r *authz.Rule, w *mesh.WaypointGateway) bool {
	for _, c := range r.When {
		if c.Key == "source.principal" && namesOnly(c.Values, w.Principal) || c.Key == "source.serviceAccount" && namesOnly(c.Values, accountOf(w)) {
			return true
		}
	}
	return len(r.From) > 0 && !slices.ContainsFunc(r.From, func(s authz.Source) bool {
		return !namesOnly(s.Principals, w.Principal) && !namesOnly(s.ServiceAccounts, accountOf(w), w.ServiceAccount)
	})
}

// allBut reports whether a rule without operations matches every peer but those that it names, the waypoint among them.
func allBut(r *authz.Rule, w *mesh.WaypointGateway) bool {
	if len(r.From) == 0 {
		return len(r.When) == 1 && len(r.When[0].Values) == 0 &&
			(r.When[0].Key == "source.principal" && slices.Contains(r.When[0].NotValues, w.Principal) || r.When[0].Key == "source.serviceAccount" && slices.Contains(r.When[0].NotValues, accountOf(w)))
	}
	return len(r.When) == 0 && slices.ContainsFunc(r.From, func(s authz.Source) bool {
		return slices.Contains(s.NotPrincipals, w.Principal) || slices.Contains(s.NotServiceAccounts, accountOf(w)) || slices.Contains(s.NotServiceAccounts, w.ServiceAccount)
	})
}

// accountOf is the waypoint's service account as policies spell one of any namespace.
func accountOf(w *mesh.WaypointGateway) string { return w.Namespace + "/" + w.ServiceAccount }

// namesOnly reports whether a list has one of the names, with or without a leading wildcard for the trust domain, and nothing else.
func namesOnly(values []string, names ...string) bool {
	return len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool {
		return !slices.ContainsFunc(names, func(n string) bool {
			rest, wild := strings.CutPrefix(v, "*")
			return v == n || wild && strings.Contains(rest, "/sa/") && strings.HasSuffix(n, rest)
		})
	})
}
