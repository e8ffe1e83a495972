package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// sidecarIngress: port remapping and unix sockets exist in sidecars only.
var sidecarIngress = Rule{
	Code:       "SS404",
	Title:      "A Sidecar remaps inbound traffic",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.SidecarIngress}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/reference/config/networking/sidecar/#IstioIngressListener"},
	Why: "Ingress listeners send inbound connections to another port, to a unix socket, or end TLS in front of the application. " +
		"ztunnel delivers to the port that was called; a waypoint does not read Sidecar objects.",
	Remedy: "Let the application listen on the Service's targetPort itself, then remove spec.ingress.",
	Check:  onlySidecar("Inbound remapping", "ztunnel delivers to the port that was called and reads no Sidecar object", mesh.SidecarIngress),
}
