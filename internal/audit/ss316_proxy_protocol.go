package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// upstreamProxyProtocol: not known to work anywhere but in a sidecar.
var upstreamProxyProtocol = Rule{
	Code:       "SS316",
	Title:      "PROXY protocol or a tunnel towards the destination is a sidecar's work",
	Severity:   Warning,
	Requires:   VerdictSidecar,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.UpstreamProxyProtocol}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/reference/config/networking/destination-rule/"},
	Why: "trafficPolicy.proxyProtocol and trafficPolicy.tunnel change how the caller's proxy opens connections. Neither is documented for waypoints, " +
		"and what is not known to work counts as lost.",
	Remedy: "Send such calls through an egress gateway that speaks it, or keep the sidecar.",
	Check:  onlySidecar("PROXY protocol or tunnelling", "nothing but a sidecar is documented to open connections that way", mesh.UpstreamProxyProtocol),
}
