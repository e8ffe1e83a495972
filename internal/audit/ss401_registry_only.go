package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// registryOnly: ztunnel lets every outbound connection pass.
var registryOnly = Rule{
	Code:       "SS401",
	Title:      "REGISTRY_ONLY is not enforced in ambient mode",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Moving:     FailsOpen,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.RegistryOnly, mesh.SidecarEgress}, Facts: []Fact{FactMode}},
	References: []string{"https://github.com/istio/istio/issues/54281"},
	Why: "With outboundTrafficPolicy REGISTRY_ONLY a sidecar drops calls to hosts that the mesh does not know. ztunnel passes them through, so " +
		"this control is lost without a word.",
	Remedy: "Replace the control: a NetworkPolicy that allows egress to the mesh and to an egress waypoint only, with ServiceEntries bound to that waypoint. Then set ALLOW_ANY.",
	Check: func(v *View) []Finding {
		uses := v.Uses(mesh.RegistryOnly)
		if len(uses) == 0 {
			return nil
		}
		evidence := gather(uses)
		what := "REGISTRY_ONLY"
		if hosts := gather(v.Uses(mesh.SidecarEgress)); len(hosts) > 0 {
			what, evidence = "REGISTRY_ONLY with a list of egress hosts", append(evidence, hosts...)
		}
		text := "keeps the sidecar"
		if v.Mode() == mesh.Ambient {
			text = "is not enforced on this ambient workload"
		}
		return one(fmt.Sprintf("The egress control %s (%s) %s: ztunnel passes connections to any host.", what, objects(evidence), text), evidence...)
	},
}
