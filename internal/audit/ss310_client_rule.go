package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// clientRule: ambient mode has no configuration for one client.
var clientRule = Rule{
	Code:       "SS310",
	Title:      "A DestinationRule configures this client alone",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ClientDestinationRule}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/reference/config/networking/destination-rule/", "istio/istio pilot/pkg/networking/core/cluster_waypoint.go"},
	Why: "A DestinationRule with workloadSelector acts in the sidecars of the clients it selects. A waypoint belongs to the called Service and treats " +
		"all callers alike; ztunnel reads no DestinationRule.",
	Remedy: "Move the policy to a DestinationRule without workloadSelector in the Service's namespace, if it is right for all callers.",
	Check:  onlyClientSidecar("Client-side policy", "workloadSelector picks clients, and ambient mode has no configuration for a single client", mesh.ClientDestinationRule),
}
