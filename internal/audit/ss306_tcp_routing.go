package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// tcpRouting: ztunnel routes nothing, not even TCP.
var tcpRouting = Rule{
	Code:       "SS306",
	Title:      "TCP and TLS routes need a waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     atService([]mesh.Feature{mesh.TCPRouting, mesh.TLSRouting}, FactMode, FactBinding),
	References: []string{"istio/istio releasenotes waypoint-tcproute (1.26)", "https://github.com/istio/istio/issues/57704"},
	Why: "A route that works on connections looks as if ztunnel could do it. ztunnel does no routing at all: it sends a connection to an endpoint of the " +
		"Service it was addressed to. TCPRoute at a waypoint works since 1.26, TLSRoute is Alpha.",
	Remedy: "Bind the Service to a waypoint, and turn the routes into TCPRoute or TLSRoute objects on the Service.",
	Check:  waypointServes("TCP or TLS routing", mesh.TCPRouting, mesh.TLSRouting),
}
