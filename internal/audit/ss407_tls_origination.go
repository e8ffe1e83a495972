package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// tlsOrigination moves from the caller's sidecar to an egress waypoint.
var tlsOrigination = Rule{
	Code:       "SS407",
	Title:      "TLS origination needs an egress waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.TLSOrigination}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/waypoint/", "https://github.com/istio/istio/issues/60148"},
	Why: "The application speaks plaintext and its sidecar turns that into TLS towards an external host. ztunnel does not originate TLS, so the call " +
		"would leave the cluster in plaintext or fail.",
	Remedy: "Bind the ServiceEntry to an egress waypoint (label istio.io/use-waypoint on the ServiceEntry); the DestinationRule then acts there.",
	Check:  waypointAfterRewrite((*View).Uses, "TLS origination", "ztunnel originates no TLS; an egress waypoint bound to the ServiceEntry does", mesh.TLSOrigination),
}
