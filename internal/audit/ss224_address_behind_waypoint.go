package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// addressBehindWaypoint: with a waypoint neither end of the policy sees the client's address.
var addressBehindWaypoint = Rule{
	Code:     "SS224",
	Title:    "A policy by client address cannot follow the workload behind a waypoint",
	Severity: Warning,
	Requires: VerdictWaypoint,
	Inputs:   Inputs{Facts: []Fact{FactPolicies, FactBinding, FactWaypoints, FactSettings, FactServices, FactModel}},
	References: []string{
		"https://github.com/istio/istio/issues/46982", "istio/istio pilot/pkg/networking/core/listener_waypoint.go", "istio/ztunnel src/proxy/inbound.rs",
	},
	Why: "A waypoint ends the connection and opens one of its own. ztunnel behind it sees the waypoint's address, and a copy with targetRefs sees none at all (SS223): " +
		"ipBlocks match nothing there, notIpBlocks everything. (Where a range holds the waypoint's own address, ztunnel takes every call through it for one from that range.) Calls that do not pass the waypoint are judged as before.",
	Remedy: "Say it by principals or namespaces in a policy with targetRefs. Use remoteIpBlocks (remote.ip) there only where every caller is a proxy that sets X-Forwarded-For: a caller can write that " +
		"header itself. An ALLOW that stays at ztunnel has to admit the waypoint's service account.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		if verdict != VerdictWaypoint && v.RulesVerdict(verdict) != VerdictWaypoint {
			return nil
		}
		var out []Finding
		for _, p := range v.Policies("AuthorizationPolicy") {
			fate := v.Fate(p)
			if p.Scope == mesh.ByTargetRefs || p.DryRun || fate.addresses.none() || v.Copied(p) || v.translated(&fate.compiled) {
				continue // at the waypoint SS223 tells what is wrong
			}
			action := fate.compiled.Action
			effect := fate.addresses.effectUnseen(action, "addresses")
			f := Finding{Evidence: fate.addresses.all()}
			switch {
			case action != authz.ActionAllow && action != authz.ActionDeny || fate.changes():
				f.Message = fmt.Sprintf("%s has to move to a waypoint, which sees no client address: copied as it is, it %s.", p.Ref, effect)
			case action == authz.ActionAllow && v.Settings().AutoAllowWaypoint:
				f.Message = fmt.Sprintf("%s goes by client address; ztunnel admits whatever comes through the waypoint (fail-open), and a copy at the waypoint sees no client address.", p.Ref)
			default:
				f.Message = fmt.Sprintf("%s goes by client address; behind a waypoint ztunnel sees the waypoint's and a copy at the waypoint sees none, so for calls that pass it, it %s.", p.Ref, effect)
			}
			out = append(out, f)
		}
		return out
	},
}

// translated tells that a policy of the same action at the waypoint goes by remote address, and that an
// ALLOW which stays at ztunnel lets the waypoint in.
func (v *View) translated(original *authz.AuthorizationPolicy) bool {
	by, _ := v.ServedBy()
	waypoint, known := v.Waypoint(by)
	written := false
	admitted := original.Action != authz.ActionAllow || v.Settings().AutoAllowWaypoint
	for _, p := range v.Policies("AuthorizationPolicy") {
		fate := v.Fate(p)
		policy := &fate.compiled
		if policy.Action != original.Action || policy.DryRun {
			continue
		}
		if p.Scope != mesh.ByTargetRefs {
			admitted = admitted || known && namesPrincipal(policy, waypoint.Principal)
			continue
		}
		written = written || !fate.remotes.none()
	}
	return written && admitted
}

// namesPrincipal reports whether a policy at ztunnel speaks of an identity.
func namesPrincipal(p *authz.AuthorizationPolicy, principal string) bool {
	return slices.ContainsFunc(p.Rules, func(r authz.Rule) bool {
		return slices.ContainsFunc(r.From, func(s authz.Source) bool {
			return slices.Contains(s.Principals, principal) || slices.Contains(s.NotPrincipals, principal)
		})
	})
}
