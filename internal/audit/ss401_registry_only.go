package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// registryOnly: ztunnel lets every outbound connection pass.
var registryOnly = Rule{
	Code:       "SS401",
	Title:      "REGISTRY_ONLY is not enforced in ambient mode",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.RegistryOnly}, Facts: []Fact{FactMode}},
	References: []string{"https://github.com/istio/istio/issues/54281"},
	Why: "With outboundTrafficPolicy REGISTRY_ONLY a sidecar drops calls to hosts that the mesh does not know. ztunnel passes them through, so " +
		"this control is lost without a word.",
	Remedy: "Replace the control: a NetworkPolicy that allows egress to the mesh and to an egress waypoint only, with ServiceEntries bound to that waypoint. Then set ALLOW_ANY.",
	Check:  onlySidecar("Egress control REGISTRY_ONLY", "ztunnel passes connections to unknown hosts", mesh.RegistryOnly),
}
