package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// sidecarEgress: configuration scope, and a control only together with REGISTRY_ONLY (SS401).
var sidecarEgress = Rule{
	Code:       "SS402",
	Title:      "A Sidecar's egress hosts mean nothing in ambient mode",
	Severity:   Warning,
	Requires:   VerdictAmbient,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.SidecarEgress, mesh.RegistryOnly}},
	References: []string{"https://github.com/istio/istio/issues/54281", "https://istio.io/latest/docs/reference/config/networking/sidecar/"},
	Why: "ztunnel and waypoints do not read Sidecar objects. The list keeps a sidecar's configuration small, which nobody needs without a sidecar, and it hides other hosts from the workload; " +
		"calls to them pass all the same unless REGISTRY_ONLY forbids it, and then SS401 speaks.",
	Remedy: "If the list only keeps configuration small, nothing; if it is meant as a control, write it as AuthorizationPolicies on the called side or as NetworkPolicies.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.SidecarEgress)
		if len(uses) == 0 || len(v.Uses(mesh.RegistryOnly)) > 0 {
			return nil
		}
		evidence := gather(uses)
		return one(fmt.Sprintf("The egress hosts of %s are a control lost in ambient mode: other hosts become known to the workload.", objects(evidence)), evidence...)
	},
}
