package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// clientNamespaceRule: a waypoint reads the rules of the Service's side.
var clientNamespaceRule = Rule{
	Code:       "SS311",
	Title:      "A DestinationRule stands in the clients' namespace",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.ClientNamespaceRule}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ops/best-practices/traffic-management/#cross-namespace-configuration"},
	Why: "Sidecars look for a DestinationRule in their own namespace first, so clients can have rules of their own for a host. A waypoint looks from its own " +
		"namespace: it never sees the rule that stands with the clients.",
	Remedy: "Move the DestinationRule into the namespace of the Service; it then acts for every caller, at the waypoint.",
	Check:  onlyClientSidecar("Client-side policy", "the rule stands in another namespace than its host, where only sidecars of that namespace find it", mesh.ClientNamespaceRule),
}
