package audit

import (
	"fmt"

	"github.com/sidestep-mesh/sidestep/internal/mesh"
)

// envoyFilter: patches of a sidecar's configuration have no supported place elsewhere.
var envoyFilter = Rule{
	Code:     "SS501",
	Title:    "An EnvoyFilter patches the sidecar",
	Severity: Error,
	Requires: VerdictSidecar,
	Inputs:   Inputs{Features: []mesh.Feature{mesh.EnvoyFilter, mesh.RateLimit}, Facts: []Fact{FactMode}},
	References: []string{
		"https://istio.io/latest/docs/ambient/migrate/", "https://github.com/istio/istio/issues/55149", "https://github.com/istio/api/issues/3442",
	},
	Why:    "ztunnel is not Envoy. That a waypoint applies some patches of an EnvoyFilter with targetRefs is called accidental by the maintainers and is not supported.",
	Remedy: "Replace the patch by an API that waypoints support (Telemetry, WasmPlugin, TrafficExtension with Lua since 1.30, HTTPRoute, DestinationRule), then delete the EnvoyFilter.",
	Check: func(v *View) []Finding {
		evidence := without(gather(v.Uses(mesh.EnvoyFilter)), gather(v.Uses(mesh.RateLimit)))
		if len(evidence) == 0 {
			return nil
		}
		if v.Mode() == mesh.Ambient {
			return one(fmt.Sprintf("%s is not in effect on this ambient workload: ztunnel is not Envoy.", objects(evidence)), evidence...)
		}
		return one(fmt.Sprintf("%s keeps the sidecar: its patches have no supported place in ambient mode.", objects(evidence)), evidence...)
	},
}
