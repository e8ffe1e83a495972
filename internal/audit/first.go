package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// firstOf lists what has to happen before a workload moves, each thing once: what rules say of it, what its verdict asks for,
// and what the state that it goes to was given for the comparison to hold.
func firstOf(v *View, rules []Rule, r *WorkloadResult) []Step {
	if r.Workload.Mode != mesh.Sidecar || r.Verdict != VerdictAmbient && r.Verdict != VerdictWaypoint {
		return nil
	}
	first := map[string]bool{}
	for i := range rules {
		first[rules[i].Code] = rules[i].First
	}
	var out []Step
	add := func(s Step) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, f := range r.Findings {
		if f.Severity != Info && (first[f.Code] || r.Verdict == VerdictWaypoint && f.Requires == VerdictWaypoint) {
			add(Step{f.Code, f.Message, f.Remedy})
		}
	}
	s := v.index.shown
	if s == nil {
		return out
	}
	if s.guarded[r.Workload.Ref] {
		add(Step{waypointBypass.Code, "Calls that reach the pods without their waypoint would not meet the policies that moved there.",
			"Let the pods admit the waypoint alone: a DENY with its selector and notPrincipals of the waypoint's service account, before the sidecar goes."})
	}
	for _, d := range onePolicyEach(s.plaintext[r.Workload.Ref]) {
		add(Step{noHBONE.Code, fmt.Sprintf("Calls that have mTLS today would arrive in plaintext, which %s refuses: %s.", d.After.Policy, d.Words),
			"Where such calls are made, move their callers first: only an ambient caller has mTLS by a headless Service, and one with ISTIO_META_DISABLE_HBONE_SEND anywhere. Else set PERMISSIVE here until they are."})
	}
	for _, d := range onePolicyEach(s.named[r.Workload.Ref]) {
		add(Step{callsDiffer.Code, fmt.Sprintf("Calls to pod addresses show who calls once the sidecars are gone, so that %s begins to refuse some: %s.", d.After.Policy, d.Words),
			"Make sure that this is meant before the workload, or the first of its callers, moves."})
	}
	for _, d := range onePolicyEach(s.enforced[r.Workload.Ref]) {
		add(Step{onlyAtWaypoint.Code, fmt.Sprintf("Policy %s holds at the waypoint alone and starts to refuse what is admitted today: %s.", d.After.Policy, d.Words),
			"Make sure that this is meant before the workload, or the first of its callers, moves."})
	}
	return out
}

// onePolicyEach keeps the first call that each policy refuses.
func onePolicyEach(calls []authz.Divergence) []authz.Divergence {
	var out []authz.Divergence
	for _, d := range calls {
		if !slices.ContainsFunc(out, func(o authz.Divergence) bool { return o.After.Policy == d.After.Policy }) {
			out = append(out, d)
		}
	}
	return out
}
