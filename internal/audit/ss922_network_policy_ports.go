package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// networkPolicyPorts: behind one port there are all.
var networkPolicyPorts = Rule{
	Code:       "SS922",
	Title:      "A network policy's limit to some ports ends with HBONE",
	Severity:   Error,
	Requires:   VerdictAmbient,
	First:      true,
	Inputs:     networkInputs(FactMode),
	References: networkReferences,
	Why: "HBONE carries calls to every port of the pod through TCP 15008. A peer that may open 15008 reaches all of them, also those that the policy keeps from it: after the move the policy no longer " +
		"tells ports apart, only peers.",
	Remedy: "Open 15008 to those peers only that may call at all, and limit their ports by an AuthorizationPolicy (operation.ports), which ztunnel enforces.",
	Check: func(v *View) []Finding {
		var evidence []mesh.Evidence
		var message string
		for _, o := range v.Network().OpenedByHBONE(v.w) {
			evidence = append(evidence, at(mesh.PolicyRef(o.Policy), o.Rule.Field, fmt.Sprintf("%s, port %d", o.Peer, o.Port)))
			if message == "" {
				message = fmt.Sprintf("%s opens TCP 15008 to %s, which may not call port %d: HBONE would carry them there.", mesh.PolicyRef(o.Policy), o.Peer, o.Port)
			}
		}
		for _, g := range v.Network().IngressGaps(v.w) {
			if len(g.Opens) == 0 {
				continue
			}
			evidence = append(evidence, at(g.Ref(), g.Rule.Field, fmt.Sprintf("%s, port %d", g.Peer, g.Opens[0])))
			if message == "" {
				message = fmt.Sprintf("%s keeps %s from port %d; once HBONE (TCP 15008) is opened to them, as ambient mode needs, it no longer does.", g.Ref(), g.Peer, g.Opens[0])
			}
		}
		if len(evidence) == 0 {
			return nil
		}
		return []Finding{broken(v, Finding{Message: message, Evidence: evidence})}
	},
}
