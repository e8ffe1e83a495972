package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// trafficExtension moves to the waypoint.
var trafficExtension = Rule{
	Code:       "SS504",
	Title:      "A TrafficExtension needs a waypoint and targetRefs",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Since:      30,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.TrafficExtension}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/extend-waypoint-lua/"},
	Why:        "Lua and Wasm filters run in Envoy. ztunnel runs none, and a waypoint loads only a TrafficExtension with targetRefs.",
	Remedy:     "Copy the TrafficExtension with targetRefs to the Service or Gateway before the sidecar goes.",
	Check:      waypointAfterRewrite((*View).Uses, "The Lua or Wasm extension", "ztunnel runs none, and a waypoint loads only a TrafficExtension with targetRefs", mesh.TrafficExtension),
}
