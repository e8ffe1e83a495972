package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/authz"
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// callsDiffer: what the model shows, whichever feature is behind it.
var callsDiffer = Rule{
	Code:     "SS229",
	Title:    "Calls would be decided otherwise in the mode that the rules alone ask for",
	Severity: Warning,
	Requires: VerdictSidecar,
	Inputs:   Inputs{Facts: []Fact{FactModel}},
	References: []string{
		"https://istio.io/latest/docs/ambient/usage/l4-policy/", "istio/istio pilot/pkg/serviceregistry/ambient/authorization.go", "istio/ztunnel src/rbac.rs",
	},
	Why: "The audit supposes the state that its verdicts lead to: everybody restarted in their mode, Services bound to waypoints, policies copied for each of them, the way past a waypoint closed. It " +
		"compares who may call whom there with today, for every caller, destination and request that a policy can tell apart. A workload at which a call is refused that passes today, or passes that is " +
		"refused, is given the next costlier mode until nothing differs. Where the destination does not move, its callers' new mode is the reason.",
	Remedy: "Change the policy that decides, so that it decides alike in both states; `sidestep authz diff` shows whether it does.",
	Consequence: func(v *View, verdict Verdict) []Finding {
		var out []Finding
		if raised := v.Raised(); len(raised) > 0 {
			out = append(out, Finding{Requires: verdict, Message: differenceText(&raised[0]), Evidence: differenceEvidence(v, raised)})
		}
		if differ := v.Differ(); len(differ) > 0 {
			out = append(out, Finding{Requires: VerdictNone, Message: differenceText(&differ[0]) + " The workload itself does not move: its callers do.", Evidence: differenceEvidence(v, differ)})
		}
		return out
	},
}

// differenceText tells one call, before and after.
func differenceText(d *authz.Divergence) string {
	return fmt.Sprintf("%s: today %s, then %s.", d.Words, answerText(&d.Before), answerText(&d.After))
}

func answerText(a *authz.Answer) string {
	word := map[authz.Decision]string{authz.Allow: "admitted", authz.Deny: "refused", authz.DecisionUnknown: "not known to be admitted or refused"}[a.Decision]
	text := fmt.Sprintf("%s by the %s", word, a.By)
	if a.By == authz.PointNobody {
		text = word + ", no proxy being on the way"
	}
	if a.Policy != "" {
		text += " (" + a.Policy + ")"
	}
	return text
}

// differenceEvidence names the policies of today that decided, or the workload where none did.
func differenceEvidence(v *View, differ []authz.Divergence) []mesh.Evidence {
	var out []mesh.Evidence
	for i := range differ {
		for _, name := range []string{differ[i].Before.Policy, differ[i].After.Policy} {
			if p := policyNamed(v.mesh, name); p != nil {
				out = append(out, at(p.Ref, "spec.rules", ""))
			}
		}
	}
	if len(out) == 0 {
		out = append(out, at(v.w.Ref, "", ""))
	}
	return out
}
