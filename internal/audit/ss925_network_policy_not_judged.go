package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// networkPolicyNotJudged: the same need, and nobody here who can tell whether it is met.
var networkPolicyNotJudged = Rule{
	Code:       "SS925",
	Title:      "A network policy is written in a way that is not evaluated",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     networkInputs(),
	References: append([]string{"https://docs.tigera.io/calico/latest/reference/resources/networkpolicy", "https://docs.cilium.io/en/stable/security/policy/"}, networkReferences...),
	Why: "Policies of Cilium, Calico and of administrators have the same need as a NetworkPolicy: TCP 15008 from the same peers, in the callers' egress too, and the probes' address. What looks into requests sees nothing in " +
		"HBONE, which is encrypted. This one uses a part of its API that is not evaluated here, so that nothing can be said of what it lets through.",
	Remedy: "Check by hand that it admits TCP 15008 from the workload's callers, to whom it calls, and 169.254.7.127 for probes, and that nothing in it has to look into requests.",
	Check: func(v *View) []Finding {
		var evidence []mesh.Evidence
		for _, p := range v.Network().NotJudged(v.w) {
			evidence = append(evidence, at(mesh.PolicyRef(p), "", p.NotJudged))
		}
		if len(evidence) == 0 {
			return nil
		}
		return one(fmt.Sprintf("%s limits these pods and is not evaluated (%s): it has to let HBONE (TCP 15008) and probes through.", objects(evidence), values(evidence)), evidence...)
	},
}
