package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// consistentHash: session affinity needs an HTTP proxy.
var consistentHash = Rule{
	Code:       "SS312",
	Title:      "Session affinity needs a waypoint",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     atService([]mesh.Feature{mesh.ConsistentHash}, FactMode, FactBinding),
	References: []string{"https://github.com/istio/istio/issues/61045"},
	Why: "consistentHash picks the pod by header, cookie, query or source address. ztunnel balances connections only. A waypoint does it, since 1.31 " +
		"also for a host without VirtualService (see SS313 for older releases).",
	Remedy: "Bind the Service to a waypoint; the DestinationRule can stay as it is.",
	Check:  waypointServes("Session affinity", mesh.ConsistentHash),
}
