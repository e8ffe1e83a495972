package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// trafficPolicy: DestinationRules act at the waypoint.
var trafficPolicy = Rule{
	Code:       "SS308",
	Title:      "A DestinationRule's traffic policy needs a waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     atService([]mesh.Feature{mesh.ConnectionPool, mesh.OutlierDetection, mesh.LoadBalancing, mesh.ClientTLS}, FactMode, FactBinding),
	References: []string{"https://istio.io/latest/docs/ambient/usage/l7-features/", "istio/istio releasenotes ambient-waypoint-portlevel (1.24)"},
	Why: "Connection limits, outlier detection, load balancing algorithms and client TLS are applied by the caller's sidecar. ztunnel reads no DestinationRule; " +
		"a waypoint applies its trafficPolicy unchanged (portLevelSettings since 1.24).",
	Remedy: "Bind the Service to a waypoint; the DestinationRule can stay as it is.",
	Check:  waypointServes("DestinationRule traffic policy", mesh.ConnectionPool, mesh.OutlierDetection, mesh.LoadBalancing, mesh.ClientTLS),
}
