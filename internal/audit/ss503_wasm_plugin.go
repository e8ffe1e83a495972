package audit

import (
	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// wasmPlugin moves to the waypoint.
var wasmPlugin = Rule{
	Code:       "SS503",
	Title:      "A WasmPlugin needs a waypoint and targetRefs",
	Severity:   Warning,
	Requires:   VerdictWaypoint,
	Inputs:     Inputs{Features: []mesh.Feature{mesh.WasmPlugin}, Facts: []Fact{FactMode}},
	References: []string{"https://istio.io/latest/docs/ambient/usage/extend-waypoint-wasm/"},
	Why:        "ztunnel runs no extensions, and a waypoint loads only plugins with targetRefs.",
	Remedy:     "Copy the WasmPlugin with targetRefs to the Service or Gateway before the sidecar goes.",
	Check:      waypointAfterRewrite((*View).Uses, "The Wasm extension", "ztunnel runs none, and a waypoint loads only a WasmPlugin with targetRefs", mesh.WasmPlugin),
}
