package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// sidecarEgress: configuration scope is control only together with REGISTRY_ONLY.
var sidecarEgress = Rule{
	Code:       "SS402",
	Title:      "A Sidecar's egress hosts mean nothing in ambient mode",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.SidecarEgress, mesh.RegistryOnly}},
	References: []string{"https://github.com/istio/istio/issues/54281", "https://istio.io/latest/docs/reference/config/networking/sidecar/"},
	Why: "ztunnel and waypoints do not read Sidecar objects. Where outbound traffic is REGISTRY_ONLY, egress hosts are the list of what the workload may call, " +
		"and that control is lost. Elsewhere the list only keeps the sidecar's configuration small, which nobody needs without a sidecar.",
	Remedy: "Express who may call whom as AuthorizationPolicies on the called side and as NetworkPolicies; then delete the Sidecar object.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.SidecarEgress)
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		if len(v.Uses(mesh.RegistryOnly)) > 0 {
			return one(fmt.Sprintf("The egress hosts of %s are a control lost in ambient mode: ztunnel lets the workload call anything.", objects(evidence)), evidence...)
		}
		return []Finding{{
			Requires: VerdictAmbient, Evidence: evidence,
			Message: fmt.Sprintf("The egress hosts of %s are not read in ambient mode: hosts outside the list become known to the workload.", objects(evidence)),
			Remedy:  "If the list only keeps configuration small, nothing; if it is meant as a control, write it as AuthorizationPolicies or NetworkPolicies.",
		}}
	},
}
