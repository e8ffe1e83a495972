package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// sidecarListener: own egress listeners exist in sidecars only.
var sidecarListener = Rule{
	Code:       "SS403",
	Title:      "A Sidecar opens egress listeners of its own",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.SidecarListener}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/reference/config/networking/sidecar/#IstioEgressListener"},
	Why:        "An egress listener with a port, bind address or capture mode makes the sidecar listen where the application calls. Without the sidecar nobody listens there.",
	Remedy:     "Let the application call the Service itself, then remove the listener.",
	Check:      onlySidecar("The egress listener", "nothing would listen where the application calls", mesh.SidecarListener),
}
