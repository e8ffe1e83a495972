package audit

import (
	"fmt"
	"slices"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
	"github.com/sidestep-mesh/sidestep/internal/mesh/netpol"
)

// networkPolicy: HBONE needs its own port, for the same peers.
var networkPolicy = Rule{
	Code:       "SS912",
	Title:      "A network policy does not let HBONE in",
	Severity:   Error,
	Requires:   VerdictAmbient,
	First:      true,
	Inputs:     networkInputs(FactMode),
	References: append(slices.Clone(networkReferences), "https://github.com/kartverket/skiperator/issues/940"),
	Why: "Between ambient pods all calls arrive on TCP 15008, whatever port they are for, and policies are enforced outside the pod. Callers that a policy admits at the application's ports alone are " +
		"kept out once they and the workload are ambient. That other peers may reach 15008 does not let these in.",
	Remedy: "Admit TCP 15008 from the same peers, beside the application's ports, before the pods are enrolled; take the application's ports away when nobody calls in plaintext any more.",
	Check: func(v *View) []Finding {
		var out []Finding
		gaps := v.Network().IngressGaps(v.w)
		for _, unknown := range []bool{false, true} {
			some := slices.DeleteFunc(slices.Clone(gaps), func(g mesh.NetworkGap) bool { return g.Unknown != unknown })
			if len(some) == 0 {
				continue
			}
			evidence := gapEvidence(some)
			f := Finding{
				Message: fmt.Sprintf("%s lets %s in at port %d and not at HBONE's (TCP 15008), where calls of ambient pods arrive.",
					objects(evidence), some[0].Peer, some[0].Port),
				Evidence: evidence, Apply: hboneRules(some, netpol.Ingress),
			}
			if unknown {
				f.Severity = Info // they may be outside the mesh, and go on in plaintext
				if len(v.Network().OpenedByHBONE(v.w)) == 0 && !v.Network().AdmitsSomeHBONE(v.w) {
					f.Severity = Warning
				}
			} else {
				f = broken(v, f)
			}
			out = append(out, f)
		}
		return out
	},
}
