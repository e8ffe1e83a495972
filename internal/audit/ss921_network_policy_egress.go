package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh/netpol"
)

// networkPolicyEgress: ztunnel dials from inside the caller's pod.
var networkPolicyEgress = Rule{
	Code:       "SS921",
	Title:      "A network policy does not let the workload's HBONE out",
	Severity:   Error,
	Requires:   VerdictAmbient,
	First:      true,
	Inputs:     networkInputs(FactMode),
	References: networkReferences,
	Why: "ztunnel opens its connections from inside the caller's network namespace, so the caller's own egress policies hold for them. They go to TCP 15008 of the pod or of a waypoint, whatever port the " +
		"application calls.",
	Remedy: "Let TCP 15008 out to the same peers, and to their waypoints, before the workload is enrolled.",
	Check: func(v *View) []Finding {
		gaps := v.Network().EgressGaps(v.w)
		if len(gaps) == 0 {
			return nil
		}
		evidence := gapEvidence(gaps)
		return []Finding{broken(v, Finding{
			Message:  fmt.Sprintf("%s lets calls out to %s at port %d and not at HBONE's (TCP 15008), which they would take.", objects(evidence), gaps[0].Peer, gaps[0].Port),
			Evidence: evidence, Apply: hboneRules(gaps, netpol.Egress),
		})}
	},
}
