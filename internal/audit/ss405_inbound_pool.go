package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// inboundPool: inbound connection limits exist in sidecars only.
var inboundPool = Rule{
	Code:       "SS405",
	Title:      "A Sidecar limits inbound connections",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.SidecarConnectionPool}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/reference/config/networking/sidecar/"},
	Why:        "inboundConnectionPool protects the application from too many connections or requests at its own sidecar. ztunnel has no such limit.",
	Remedy:     "Write the limit as connectionPool of a DestinationRule for the Service and bind it to a waypoint; then remove inboundConnectionPool.",
	Check:      onlySidecar("The inbound connection limit", "ztunnel has none, and a waypoint reads no Sidecar object", mesh.SidecarConnectionPool),
}
