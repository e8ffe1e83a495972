package audit

import "github.com/sidestep-mesh/sidestep/internal/mesh"

var egressProxy = Rule{
	Code:       "SS411",
	Title:      "Calls to unknown hosts go through a proxy of the sidecar's choice",
	Severity:   Error,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.EgressProxy}, Facts: []Fact{FactMode}},
	References: []string{"istio/istio pilot/pkg/networking/core/httproute.go (buildCatchAllVirtualHost)", "https://istio.io/latest/docs/reference/config/networking/sidecar/"},
	Why: "outboundTrafficPolicy.egressProxy of a Sidecar sends calls to hosts that the mesh does not know to a proxy, which may inspect or refuse them. ztunnel reads no Sidecar and " +
		"lets such calls pass to the address they are made to.",
	Remedy: "Make ServiceEntries of the hosts that are needed and bind them to an egress waypoint; let a NetworkPolicy admit egress to that waypoint only.",
	Check:  onlyClientSidecar("The egress proxy", "ztunnel lets calls to unknown hosts pass", mesh.EgressProxy),
}
